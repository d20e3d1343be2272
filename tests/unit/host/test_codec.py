"""The JSON edge: strict in, tidy out, every mistake with its path."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Literal

import attrs
import msgspec
import pytest
from attrs.validators import (
    and_,
    deep_iterable,
    deep_mapping,
    ge,
    in_,
    instance_of,
    lt,
    matches_re,
    max_len,
    min_len,
    optional,
)
from hypothesis import given
from hypothesis import strategies as st

from moorage.codec import camel, clean_text, decode, encode, structure, structure_query, to_plain
from moorage.constraints import Validator, keywords_of, parts_of
from moorage_ports.errors import InvalidRequestError, MalformedError
from moorage_ports.operations import PublicationStatus, PublicationView, Step
from moorage_ports.secret import Secret
from moorage_ports.values import is_web_url


class Size(Enum):
    SMALL = "small"
    LARGE = "large"


@attrs.frozen(kw_only=True)
class Part:
    part_name: str = attrs.field(validator=[min_len(1), max_len(5)])
    count: int = attrs.field(default=1, validator=ge(0))


@attrs.frozen(kw_only=True)
class Order:
    ad_set_id: str = attrs.field(validator=matches_re(r"[a-z]+"))
    parts: tuple[Part, ...] = attrs.field(default=(), validator=max_len(3))
    tags: tuple[str, ...] = attrs.field(default=(), validator=deep_iterable(min_len(2), max_len(4)))
    size: Size = Size.SMALL
    mode: Literal["fast", "slow"] = "slow"
    kind: str = attrs.field(default="a", validator=in_(("a", "b")))
    weight: float = attrs.field(default=0.5, validator=lt(10))
    amount: Decimal = Decimal(1)
    is_gift: bool = False
    due_at: datetime | None = None
    site: str | None = attrs.field(default=None, validator=optional(is_web_url))
    extra: Mapping[str, object] = attrs.field(factory=dict)
    labels: Mapping[str, str] = attrs.field(factory=dict, validator=max_len(2))

    def __attrs_post_init__(self) -> None:
        if self.is_gift and self.size is Size.LARGE:
            msg = "a gift must be small"
            raise ValueError(msg)


def mistakes(raw: bytes, kind: type[object] = Order) -> dict[str, str]:
    with pytest.raises(InvalidRequestError) as refusal:
        decode(raw, kind)
    return refusal.value.fields


def test_a_whole_body_becomes_a_value() -> None:
    raw = (
        b'{"adSetId":"x","parts":[{"partName":"bolt","count":2.0}],"tags":["ab"],"size":"large","mode":"fast",'
        b'"kind":"b","weight":3,"amount":"12.50","dueAt":"2026-01-31T09:00:00.5+01:00",'
        b'"site":"https://x.example/","extra":{"a":[1,{"b":null}]},"labels":{"a":"b"}}'
    )

    assert decode(raw, Order) == Order(
        ad_set_id="x",
        parts=(Part(part_name="bolt", count=2),),
        tags=("ab",),
        size=Size.LARGE,
        mode="fast",
        kind="b",
        weight=3.0,
        amount=Decimal("12.50"),
        due_at=datetime(2026, 1, 31, 8, 0, 0, 500_000, tzinfo=UTC),
        site="https://x.example/",
        extra={"a": [1, {"b": None}]},
        labels={"a": "b"},
    )


@pytest.mark.parametrize(
    ("body", "path", "says"),
    [
        (b'{"adSetId":5}', "adSetId", "must be text"),
        (b'{"adSetId":null}', "adSetId", "must be text"),
        (b"{}", "adSetId", "is required"),
        (b'{"adSetId":"x","ad_set_id":"y"}', "ad_set_id", "is not a known field"),
        (
            b'{"adSetId":"x","parts":[{"partName":"a"},{"partName":"toolong"}]}',
            "parts[1].partName",
            "at most 5",
        ),
        (b'{"adSetId":"x","parts":[{"partName":"a","count":"2"}]}', "parts[0].count", "whole number"),
        (b'{"adSetId":"x","parts":[{"partName":"a","count":true}]}', "parts[0].count", "whole number"),
        (b'{"adSetId":"x","parts":[{"partName":"a","count":1.5}]}', "parts[0].count", "whole number"),
        (b'{"adSetId":"x","parts":[{"partName":"a","count":-1}]}', "parts[0].count", "at least 0"),
        (b'{"adSetId":"x","parts":"abc"}', "parts", "must be a list"),
        (b'{"adSetId":"x","parts":{}}', "parts", "must be a list"),
        (b'{"adSetId":"x","parts":[7]}', "parts[0]", "must be an object"),
        (b'{"adSetId":"x","tags":["a"]}', "tags[0]", "at least 2"),
        (b'{"adSetId":"x","tags":["aa","bb","cc","dd","ee"]}', "tags", "at most 4 entries"),
        (b'{"adSetId":"x","size":"SMALL"}', "size", "must be one of: small, large"),
        (b'{"adSetId":"x","mode":"warp"}', "mode", "must be one of: fast, slow"),
        (b'{"adSetId":"x","kind":"c"}', "kind", "must be one of: a, b"),
        (b'{"adSetId":"X"}', "adSetId", "must match [a-z]+"),
        (b'{"adSetId":"x","weight":10}', "weight", "must be less than 10"),
        (b'{"adSetId":"x","weight":"1"}', "weight", "must be a number"),
        (b'{"adSetId":"x","weight":true}', "weight", "must be a number"),
        (b'{"adSetId":"x","amount":"1e5"}', "amount", "number"),
        (b'{"adSetId":"x","amount":true}', "amount", "number"),
        (b'{"adSetId":"x","isGift":1}', "isGift", "true or false"),
        (b'{"adSetId":"x","isGift":"true"}', "isGift", "true or false"),
        (b'{"adSetId":"x","dueAt":"2026-01-31"}', "dueAt", "point in time"),
        (b'{"adSetId":"x","dueAt":"2026-01-31T09:00:00"}', "dueAt", "point in time"),
        (b'{"adSetId":"x","dueAt":"2026-02-31T09:00:00Z"}', "dueAt", "point in time"),
        (b'{"adSetId":"x","dueAt":"0001-01-01T00:00:00+14:00"}', "dueAt", "point in time"),
        (b'{"adSetId":"x","dueAt":1769846400}', "dueAt", "point in time"),
        (b'{"adSetId":"x","site":"javascript:alert(1)"}', "site", "http"),
        (b'{"adSetId":"x","labels":{"a":1}}', "labels.a", "must be text"),
        (b'{"adSetId":"x","labels":{"a":"","b":"","c":""}}', "labels", "at most 2 entries"),
        (b'{"adSetId":"x","extra":{"a":{"b":["\\u0000"]}}}', "extra.a.b[0]", "NUL"),
        (b'{"adSetId":"x\\u0000"}', "adSetId", "NUL"),
    ],
)
def test_a_mistake_is_named_by_its_path(body: bytes, path: str, says: str) -> None:
    found = mistakes(body)

    assert list(found) == [path]
    assert says in found[path]


def test_all_mistakes_are_named_at_once() -> None:
    found = mistakes(b'{"adSetId":"X","parts":[{"partName":""},{}],"kind":"z","size":1,"nonsense":1}')

    assert set(found) == {"adSetId", "parts[0].partName", "parts[1].partName", "kind", "size", "nonsense"}


def test_a_rule_over_several_fields_is_said_in_the_detail() -> None:
    with pytest.raises(InvalidRequestError, match="a gift must be small") as refusal:
        decode(b'{"adSetId":"x","isGift":true,"size":"large"}', Order)
    assert refusal.value.fields == {}


def test_a_complaint_does_not_repeat_the_value() -> None:
    with pytest.raises(InvalidRequestError) as refusal:
        decode(b'{"adSetId":"SECRET99","kind":"SECRET99","site":"SECRET99","size":"SECRET99"}', Order)
    assert "SECRET99" not in f"{refusal.value} {refusal.value.fields}"


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b"nonsense",
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'\xef\xbb\xbf{"adSetId":"x"}',
        b'{"adSetId":"x"} {}',
        b'{"adSetId":"\xff"}',
        b'{"adSetId":"\\ud800"}',
        b'{"adSetId":"\\udc00\\ud800"}',
        b'{"adSetId":"\xed\xa0\x80"}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"a":' + b"9" * 5000 + b"}",
        b"'a'",
        b'{"adSetId":"x",}',
    ],
)
def test_what_is_not_json_is_malformed(raw: bytes) -> None:
    """BAR 57 among others: lone surrogates never get in, and depth is no crash."""
    with pytest.raises(MalformedError):
        decode(raw, Order)


@pytest.mark.parametrize("raw", [b"[]", b"null", b"5", b'"text"', b"true"])
def test_json_that_is_no_object_is_an_invalid_request(raw: bytes) -> None:
    with pytest.raises(InvalidRequestError, match="one JSON object"):
        decode(raw, Order)


@pytest.mark.parametrize("raw", [b"", b"  ", b"\r\n"])
def test_no_body_is_an_empty_one(raw: bytes) -> None:
    assert mistakes(raw) == {"adSetId": "is required"}


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    try:
        decode(raw, Order)
    except (MalformedError, InvalidRequestError):
        return


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
names = st.sampled_from([camel(field.name) for field in attrs.fields(Order)])


@given(st.dictionaries(names | st.text(max_size=5), json_values, max_size=6))
def test_any_json_object_is_read_or_refused(body: dict[str, object]) -> None:
    try:
        order = structure(body, Order)
    except InvalidRequestError:
        return
    assert decode(encode(order), Order) == order


def test_a_query_is_read_as_strictly_as_a_body() -> None:
    pairs = [("adSetId", "x"), ("tags", "aa"), ("tags", "bb"), ("isGift", "true"), ("weight", "2.5")]
    assert structure_query(pairs, Order) == Order(ad_set_id="x", tags=("aa", "bb"), is_gift=True, weight=2.5)

    for wrong in ([("adSetId", "x"), ("adSetId", "y")], [("adSetId", "x"), ("isGift", "1")], [("q", "x")]):
        with pytest.raises(InvalidRequestError) as refusal:
            structure_query(wrong, Order)
        assert refusal.value.fields


# Out -----------------------------------------------------------------------------------------


def test_a_result_leaves_out_what_is_empty_and_may_be() -> None:
    at = datetime(2026, 1, 31, 9, 0, tzinfo=timezone(timedelta(hours=1)))
    view = PublicationView(
        id="1", status=PublicationStatus.PENDING, steps=(Step(name="s", at=at, outcome="ok"),)
    )

    assert msgspec.json.decode(encode(view)) == {
        "id": "1",
        "status": "pending",
        "steps": [{"name": "s", "at": "2026-01-31T08:00:00Z", "outcome": "ok"}],
    }


def test_what_is_required_is_written_even_when_empty() -> None:
    @attrs.frozen(kw_only=True)
    class Answer:
        channels: tuple[str, ...]
        is_done: bool = False
        count: int = 0

    assert to_plain(Answer(channels=())) == {"channels": [], "isDone": False, "count": 0}


@pytest.mark.parametrize("value", [Secret("s"), {"a": Secret("s")}, (Secret("s"),), object(), b"bytes"])
def test_a_secret_has_no_way_out(value: object) -> None:
    with pytest.raises(TypeError, match="no place in JSON"):
        encode(value)


def test_a_time_without_an_offset_has_no_way_out() -> None:
    with pytest.raises(TypeError, match="offset"):
        encode({"at": datetime(2026, 1, 31)})  # noqa: DTZ001 - that is the point


@given(st.text())
def test_cleaned_text_can_be_stored(text: str) -> None:
    """BAR 57: whatever comes, it is UTF-8 without NUL afterwards, and as long as before."""
    cleaned = clean_text(text + "\x00\ud800")

    assert "\x00" not in cleaned
    assert cleaned.encode()
    assert len(cleaned) == len(text) + 2


# attrs' private validators ------------------------------------------------------------------------


def test_every_validator_of_attrs_that_we_read_is_read() -> None:
    """They are recognised by their classes' private names: an upgrade that renames one must not be silent."""
    found = [
        keywords_of(min_len(1), "string"),
        keywords_of(max_len(2), "array"),
        keywords_of(in_(("a", "b")), "string"),
        keywords_of(ge(0), "integer"),
        keywords_of(lt(5), "number"),
        keywords_of(matches_re("a+"), "string"),
        keywords_of(optional(and_(min_len(1), max_len(2))), "string"),
    ]

    assert found == [
        {"minLength": 1},
        {"maxItems": 2},
        {"enum": ["a", "b"]},
        {"minimum": 0},
        {"exclusiveMaximum": 5},
        {"pattern": "^(?:a+)$"},
        {"minLength": 1, "maxLength": 2},
    ]
    others: list[Validator] = [
        deep_iterable(min_len(1)),
        deep_mapping(min_len(1), min_len(1)),
        instance_of(str),
    ]
    names = {type(part).__name__ for validator in others for part in parts_of(validator)}
    assert names == {"_DeepIterable", "_DeepMapping", "_InstanceOfValidator"}
