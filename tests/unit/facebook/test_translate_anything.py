"""Translators are total and bounded: whatever stands in a change, they answer, and never too much."""

import json
from collections.abc import Iterator
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moorage_facebook.graph.values import decode, record
from moorage_facebook.translate.happening import when
from moorage_facebook.translate.table import ANY, ROWS, Row, row_of
from moorage_facebook.webhooks import GraphWebhooks, happening_of
from moorage_ports.errors import MalformedError
from moorage_ports.events import Event, Unmapped
from tests.support.mutants import Mutator
from tests.unit.facebook.fixtures import FIXTURES, RECEIVED_AT, at

WEBHOOKS = GraphWebhooks()
BODIES = [path.read_bytes() for path in sorted(FIXTURES.glob("*.json"))]
LONGEST, LONGEST_ID, MOST, MOST_DETAILS = 65_536 + 20, 600, 1_001, 40


def names_in(tree: object) -> Iterator[str]:
    if isinstance(tree, dict):
        yield from tree
        for part in tree.values():
            yield from names_in(part)
    elif isinstance(tree, list):
        for part in tree:
            yield from names_in(part)


LONG, MANY = "long", "many"  # marks: so that an example stays readable
NAMES = sorted({name for body in BODIES for name in names_in(json.loads(body))})
scalars = (
    st.none()
    | st.booleans()
    | st.integers(min_value=-(2**70), max_value=2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(["0", "1_2", "7", "1893459600", "https://cdn.example/", "\x00", LONG])
)
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | scalars.map(lambda one: [MANY, one])
        | st.dictionaries(st.sampled_from(NAMES), inner, max_size=8)
    ),
    max_leaves=20,
)
objects = st.dictionaries(st.sampled_from(NAMES), anything, max_size=14)


def grown(tree: Any) -> Any:
    """With long texts and lists in the places of their marks."""
    match tree:
        case dict():
            return {name: grown(part) for name, part in tree.items()}
        case ["many", part]:
            return [part] * 1_005
        case list():
            return [grown(part) for part in tree]
        case "long":
            return "https://cdn.example/" + "x" * 70_000
        case _:
            return tree


def change_of(row: Row, told: dict[str, Any], number: int) -> dict[str, Any]:
    """A change that this row reads, with `told` in it."""
    field, item, verb = (
        "" if word == ANY else word
        for word in (row.fields[number % len(row.fields)], row.items[number % len(row.items)], row.verbs[0])
    )
    entry: dict[str, Any]
    match field:
        case "messaging" | "standby":
            entry = {field: [{**told, item: told.get(item, told)}]}
        case "changed_fields":
            entry = {field: [told.get("field", "feed")]}
        case "messages" | "smb_message_echoes" if item:
            name = "statuses" if item == "status" else "messages" if field == "messages" else "message_echoes"
            one = {**told, "status": verb} if item == "status" else {**told, "type": item, item: told}
            entry = {"changes": [{"field": field, "value": {**told, name: [one]}}]}
        case "history":
            chunk = {**told, "threads": [{**told, "messages": [told, {**told, "type": "reaction"}]}]}
            if item:
                chunk = {**told, "threads": [], "errors": [told]}
            entry = {"changes": [{"field": field, "value": {**told, "history": [chunk]}}]}
        case "smb_app_state_sync":
            one = {**told, "type": item, "action": verb, "contact": told}
            entry = {"changes": [{"field": field, "value": {**told, "state_sync": [one]}}]}
        case _:
            entry = {"changes": [{"field": field, "value": {**told, "item": item, "verb": verb}}]}
    return {"object": row.topic, "entry": [{"id": "1", "time": told.get("time"), **entry}]}


def assert_it_fits(part: object) -> None:
    """No text, list or mapping in an event is longer than it may be."""
    if isinstance(part, str):
        assert len(part) <= LONGEST
    elif isinstance(part, tuple):
        assert len(part) <= MOST
        for one in part:
            assert_it_fits(one)
    elif isinstance(part, dict):
        assert len(part) <= MOST_DETAILS
        for name, words in part.items():
            assert len(name) <= LONGEST
            assert_it_fits(words)
    else:
        for name, value in fields_of(part).items():
            assert not name.endswith("external_id") or len(value) <= LONGEST_ID
            assert_it_fits(value)


def fields_of(part: Any) -> dict[str, Any]:
    return attrs.asdict(part, recurse=False) if attrs.has(type(part)) else {}


def meant(body: bytes) -> Iterator[Event]:
    """What a delivery means, checked."""
    try:
        changes = WEBHOOKS.split(body)
    except MalformedError:
        return
    for change in changes:
        events = WEBHOOKS.events(change.body, RECEIVED_AT)
        assert len(events) <= MOST
        row = row_of(happening_of(record(decode(change.body)), RECEIVED_AT))
        kinds = {type(event) for event in events}
        assert kinds == {Unmapped} or (row is not None and kinds <= {*row.events, Unmapped})
        yield from events


@settings(max_examples=60, deadline=None)
@given(told=objects, number=st.integers(min_value=0, max_value=1_000))
def test_every_row_reads_anything(told: dict[str, Any], number: int) -> None:
    """Names that Meta uses, with values that it does not."""
    whole = grown(told) if number % 20 == 0 else told
    for row in ROWS[number % 6 :: 6]:
        for event in meant(json.dumps(change_of(row, whole, number)).encode()):
            if not isinstance(event, Unmapped):
                assert_it_fits(event)


# Of these it is enough to know that it happened.
NEED_NOTHING = {
    *("page_changed", "names_only", "ad_notice", "permission_changed", "person_changed", "lead_changed"),
    *("video_flagged", "told_owner", "policy_enforced", "business_notice"),
}


def test_what_says_too_little_is_unmapped() -> None:
    """Counted and kept, so that somebody can look: not dropped, and not made up."""
    for row in ROWS:
        for number in range(max(len(row.fields), len(row.items))):
            events = [*meant(json.dumps(change_of(row, {}, number)).encode())]
            if row.translate.__name__ not in NEED_NOTHING and events:
                assert {type(event) for event in events} == {Unmapped}, (row, events)


def test_mutants_are_read() -> None:
    """A few thousand of those that `python -m bench.mutants` sends."""
    mutator = Mutator.of(BODIES, seed=11)
    for _ in range(3_000):
        for event in meant(mutator.mutant()):
            if not isinstance(event, Unmapped):
                assert_it_fits(event)


@pytest.mark.parametrize(
    ("said", "meant_at"),
    [
        (1893459600, 0),
        ("1893459600", 0),
        (1893459600123, 0.123),
        ("1893459600123", 0.123),
        ("2030-01-01T01:00:00+0000", 0),
        ("2030-01-01T02:00:00+01:00", 0),
        ("2030-01-01T01:00:00Z", 0),
    ],
)
def test_moments_in_every_spelling(said: object, meant_at: float) -> None:
    """Seconds, milliseconds, as number or text, or written out."""
    assert when(said) == at(meant_at)


def test_decimals_are_moments_too() -> None:
    """`1.8934596e9` is how some encoders write a number."""
    assert when(decode(b"1.8934596e9")) == at(0)
    assert when(decode(b"1893459600.9")) == at(0)


@pytest.mark.parametrize(
    "said",
    [
        *(None, True, 0, -1, "", "0", "soon", "TIMESTAMP", {}, [], 2**63, 2**70, "9" * 30, 10**15),
        *("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59Z", "2030-13-45"),
    ],
)
def test_nonsense_is_no_moment(said: object) -> None:
    """Also what no clock says: nobody could count on from there."""
    assert when(said) is None
