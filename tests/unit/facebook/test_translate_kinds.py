"""Every kind of change means exactly these events; the table of kinds, its page and the fixtures agree."""

import re
from collections.abc import Iterator, Mapping

import pytest
from attrs import evolve

from moorage_facebook.graph.values import decode, record
from moorage_facebook.translate.table import ANY, EFFECTS, OF_NO_CHANNEL, ROWS, WHATSAPP, Row, row_of
from moorage_facebook.webhooks import GraphWebhooks, happening_of
from moorage_ports.events import ChannelNotice, ContactMoved, Event, MessageSeen, PostShared, Unmapped
from tests.unit.facebook.fixtures import FIXTURES, RECEIVED_AT, fixture
from tests.unit.facebook.meanings import accounts, instagram, messages, wall, whatsapp

WEBHOOKS = GraphWebhooks()
MEANINGS: Mapping[str, tuple[Event, ...]] = {
    **wall.MEANINGS,
    **messages.MEANINGS,
    **instagram.MEANINGS,
    **whatsapp.MEANINGS,
    **accounts.MEANINGS,
}
NUMBER = "109900770011"  # of all fixtures
_FINGERPRINT = re.compile(r"[0-9a-f]{24}")


def plain(event: Event) -> Event:
    """The event without what only tells it from others of its kind."""
    if isinstance(event, Unmapped):
        return evolve(event, raw={})
    match event:
        case MessageSeen():
            return evolve(event, message_external_id=_FINGERPRINT.sub("#", event.message_external_id))
        case ContactMoved():
            return evolve(event, moment_external_id=_FINGERPRINT.sub("#", event.moment_external_id))
        case PostShared():
            return evolve(event, share_external_id=_FINGERPRINT.sub("#", event.share_external_id))
        case ChannelNotice():
            return evolve(event, notice_external_id=_FINGERPRINT.sub("#", event.notice_external_id))
        case _:
            return event


def row_and_events(name: str) -> Iterator[tuple[Row | None, tuple[Event, ...]]]:
    for change in WEBHOOKS.split(fixture(name)):
        row = row_of(happening_of(record(decode(change.body)), RECEIVED_AT))
        yield row, WEBHOOKS.events(change.body, RECEIVED_AT)


@pytest.mark.parametrize("name", MEANINGS)
def test_a_change_means_exactly_this(name: str) -> None:
    """Each of our fixtures, with each event's every field."""
    events = [event for _, events in row_and_events(name) for event in events]

    assert [plain(event) for event in events] == list(MEANINGS[name])


def test_every_fixture_has_its_meaning_pinned() -> None:
    """None lies around unread, none is missing."""
    assert {path.stem for path in FIXTURES.glob("*.json")} == set(MEANINGS)


def test_every_translator_brings_each_event_that_is_promised_of_it() -> None:
    """So no row of the table is there without a fixture that shows what it is for."""
    promised: dict[str, set[type[Event]]] = {}
    for row in ROWS:
        promised.setdefault(_name(row), set()).update(row.events)
    brought: dict[str, set[type[Event]]] = {name: set() for name in promised}
    for name in MEANINGS:
        for row_read, events in row_and_events(name):
            if row_read is not None:
                brought[_name(row_read)].update(map(type, events))

    assert {name: events - brought[name] for name, events in promised.items() if events - brought[name]} == {}


def _name(row: Row) -> str:
    return f"{row.translate.__module__}.{row.translate.__name__}"


def test_translators_bring_what_the_table_says() -> None:
    """The page about kinds is made from it."""
    for name in MEANINGS:
        for row, events in row_and_events(name):
            kinds = {type(event) for event in events}
            if row is not None and kinds != {Unmapped}:
                assert kinds <= {*row.events, *((Unmapped,) if row.is_guess else ())}, name
            else:
                assert kinds == {Unmapped}, name


def test_what_is_said_to_be_of_no_channel_names_accounts_only() -> None:
    """The page about kinds says so of these fields, and of no other that has a fixture."""
    for name in MEANINGS:
        for change in WEBHOOKS.split(fixture(name)):
            happening = happening_of(record(decode(change.body)), RECEIVED_AT)
            if (happening.topic or WHATSAPP) == WHATSAPP:
                is_aside = happening.field in OF_NO_CHANNEL[WHATSAPP]
                assert is_aside == (NUMBER not in change.owner_keys), name


def test_no_key_has_two_rows() -> None:
    """Or which of them reads a change would depend on their order."""
    keys = [key for row in ROWS for key in row.keys]

    assert len(keys) == len(set(keys))
    assert all(ANY not in key[0] for key in keys)


def test_every_event_has_an_effect() -> None:
    """No more and no fewer than the translators bring."""
    assert set(EFFECTS) == {event for row in ROWS for event in row.events}
