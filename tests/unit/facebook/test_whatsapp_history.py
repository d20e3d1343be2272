"""What was said on a phone before it was connected: told in one go, in any order, beside what is new."""

import json
import random
from collections.abc import Iterator, Sequence
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moorage.crm.apply import apply_events
from moorage.crm.merge import direct_id_of, message_id_of
from moorage_facebook.history_pieces import MOST_MESSAGES, MOST_PIECES
from moorage_facebook.settings import VENDOR
from moorage_facebook.webhooks import GraphWebhooks
from moorage_ports.errors import MalformedError
from moorage_ports.events import (
    CrmEvent,
    DeliveryState,
    Event,
    GrantChanged,
    LeadArrived,
    MessageKind,
    MessageSeen,
    Person,
    PersonNamed,
    Unmapped,
)
from moorage_ports.webhooks import MOST_CHANGES, Change
from tests.support.crm_events import assert_same
from tests.support.crm_records import DictRecords
from tests.unit.facebook.fixtures import BUSINESS, DAY, NUMBER, RECEIVED_AT, at

WEBHOOKS = GraphWebhooks()
SHOWN: Final = "4930123456"
ADA, TOM = "491700000001", "491700000002"
TALK: Final = direct_id_of(VENDOR, NUMBER, Person(external_id=ADA, realm="whatsapp"))


def change(field: str, **value: object) -> dict[str, Any]:
    metadata = {"display_phone_number": SHOWN, "phone_number_id": NUMBER}
    return {"field": field, "value": {"messaging_product": "whatsapp", "metadata": metadata, **value}}


def delivery(*changes: object) -> bytes:
    entry = {"id": BUSINESS, "time": 1893459700, "changes": changes}
    return json.dumps({"object": "whatsapp_business_account", "entry": [entry]}).encode()


def said(number: int, who: str, **more: object) -> dict[str, object]:
    """The message of that number, so many seconds after the first moment."""
    told = {"from": who, "id": f"wamid.{number}", "timestamp": str(1893459600 + number), "type": "text"}
    return {**told, "text": {"body": f"text {number}"}, **more}


def thread(person: str, *messages: object, **more: object) -> dict[str, object]:
    return {"id": person, "messages": list(messages), **more}


def history(*threads: object, **more: object) -> dict[str, Any]:
    chunk = {"metadata": {"phase": 0, "chunk_order": 1, "progress": 40}, "threads": list(threads), **more}
    return change("history", history=[chunk])


def news(number: int, who: str = ADA, **more: object) -> dict[str, Any]:
    contacts = [{"wa_id": who, "profile": {"name": f"Name {number}"}}]
    return change("messages", contacts=contacts, messages=[said(number, who, **more)])


def events_of(*changes: object) -> list[Event]:
    return [event for one in WEBHOOKS.split(delivery(*changes)) for event in read(one)]


def read(kept: Change) -> tuple[Event, ...]:
    return WEBHOOKS.events(kept.body, RECEIVED_AT)


def seen(*changes: object) -> list[MessageSeen]:
    return [event for event in events_of(*changes) if isinstance(event, MessageSeen)]


def for_the_crm(events: Sequence[Event]) -> list[CrmEvent]:
    return [one for one in events if not isinstance(one, Unmapped | LeadArrived | GrantChanged)]


async def taken_in(records: DictRecords, changes: Sequence[Change], known: set[str]) -> None:
    """As intake and the worker do it: what came before, by its key, is left out; the rest is merged."""
    fresh = {one.business_key: one for one in reversed(changes) if one.business_key not in known}
    known |= set(fresh)
    happened = [event for one in fresh.values() for event in for_the_crm(read(one))]
    await apply_events(records, [(VENDOR, event) for event in happened])


# In any order ------------------------------------------------------------------------------------

US_TO_ADA: Final = {"to": ADA}
READ: Final = {"history_context": {"status": "READ"}}
HAPPENED: Final = (
    history(thread(ADA, said(1, ADA, **READ), said(2, SHOWN, **US_TO_ADA, **READ), said(7, ADA, **READ))),
    history(thread(ADA, said(2, SHOWN, **US_TO_ADA, history_context={"status": "SENT"}), said(3, ADA))),
    history(thread(TOM, said(4, TOM, type="media_placeholder")), thread(ADA, said(5, SHOWN, to=ADA))),
    change("history", messages=[said(4, TOM, type="image", image={"id": "77", "caption": "look"})]),
    history(thread(ADA, said(6, ADA, type="revoke", revoke={"original_message_id": "wamid.3"}))),
    change("history", history=[{"errors": [{"code": 2593109, "title": "none"}]}]),
    news(7),
    news(8),
    news(9, type="reaction", reaction={"message_id": "wamid.2", "emoji": "👍"}),
    change("smb_message_echoes", message_echoes=[said(5, SHOWN, to=ADA)]),
    change("smb_message_echoes", message_echoes=[said(10, SHOWN, to=TOM, to_user_id="DE.1")]),
    change("messages", statuses=[{"id": "wamid.2", "status": "delivered", "timestamp": "1893459690",
                                  "recipient_id": ADA}]),
    change("smb_app_state_sync", state_sync=[
        {"type": "contact", "action": "add", "contact": {"full_name": "Tom O.", "phone_number": TOM},
         "metadata": {"timestamp": "1893459650"}},
        {"type": "contact", "action": "remove", "contact": {"phone_number": ADA},
         "metadata": {"timestamp": "1893459651"}},
    ]),
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32))
async def test_any_order_of_histories_news_and_echoes_ends_the_same(seed: int) -> None:
    """With doubles, in any company, cut into deliveries in any way."""
    dice = random.Random(seed)
    one, other = DictRecords(), DictRecords()
    await taken_in(one, WEBHOOKS.split(delivery(*HAPPENED)), set())
    mixed = [*HAPPENED, *dice.choices(HAPPENED, k=6)]
    dice.shuffle(mixed)
    known: set[str] = set()
    while mixed:
        size = dice.randint(1, 5)
        some, mixed = mixed[:size], mixed[size:]
        await taken_in(other, WEBHOOKS.split(delivery(*some)), known)

    assert_same(one.kept, other.kept)
    talk = other.kept.conversations[TALK]
    assert (talk.unread_count, talk.reply_until) == (2, at(8) + DAY), "of 7 and 8, which came as news"


async def test_a_history_leaves_nothing_to_do() -> None:
    """Nothing is unread, no window is open, and what was said stands at its own time."""
    records = DictRecords()
    chunk = history(thread(ADA, said(1, ADA, **READ), said(2, SHOWN, to=ADA, **READ), said(3, ADA)))
    await taken_in(records, WEBHOOKS.split(delivery(chunk)), set())

    [talk] = records.kept.conversations.values()
    assert (talk.unread_count, talk.reply_until, talk.last_received_at) == (0, None, at(3))
    assert (talk.created_at, talk.updated_at) == (at(1), at(3))
    [contact] = records.kept.contacts.values()
    assert (contact.first_seen_at, contact.last_seen_at) == (at(1), at(3))
    ours = records.kept.messages[message_id_of(VENDOR, "wamid.2")]
    assert (ours.is_ours, ours.at, ours.state) == (True, at(2), DeliveryState.READ)


@pytest.mark.parametrize("is_news_first", [True, False])
async def test_what_came_as_news_is_news_whatever_a_history_says(is_news_first: bool) -> None:
    """Both are kept: neither is taken for a second delivery of the other."""
    told, new = history(thread(ADA, said(1, ADA, **READ))), news(1)
    top = change("history", messages=[said(1, ADA)])
    keys = {one.business_key for each in (told, new, top) for one in WEBHOOKS.split(delivery(each))}
    assert len(keys) == 3

    records, known = DictRecords(), set[str]()
    for each in (new, told, top) if is_news_first else (told, top, new):
        await taken_in(records, WEBHOOKS.split(delivery(each)), known)

    [talk] = records.kept.conversations.values()
    assert (talk.unread_count, talk.reply_until) == (1, at(1) + DAY)


@pytest.mark.parametrize("is_file_first", [True, False])
async def test_a_file_takes_the_place_of_what_stood_for_it(is_file_first: bool) -> None:
    records, known = DictRecords(), set[str]()
    placeholder = history(thread(TOM, said(4, TOM, type="media_placeholder")))
    file = change("history", messages=[said(4, TOM, type="image", image={"id": "77", "caption": "look"})])
    for each in (file, placeholder) if is_file_first else (placeholder, file):
        await taken_in(records, WEBHOOKS.split(delivery(each)), known)
        [message] = records.kept.messages.values()
        is_there = each is file or is_file_first
        assert message.kind is (MessageKind.TEXT if is_there else MessageKind.UNSUPPORTED)

    [message] = records.kept.messages.values()
    assert (message.kind, message.text) == (MessageKind.TEXT, "look")
    assert [one.external_id for one in message.attachments] == ["77"]


# Who said it -------------------------------------------------------------------------------------


def test_ours_is_what_the_business_s_own_number_sent() -> None:
    """However the number is displayed; only what the business sent names an addressee."""
    spaced = history(thread(ADA, said(1, SHOWN), said(2, ADA), said(3, "+4930 1234-56")))
    spaced["value"]["metadata"]["display_phone_number"] = "+49 30 123456"
    assert [one.is_ours for one in seen(spaced)] == [True, False, True]

    nameless = history(thread(ADA, said(1, "4999", to=ADA), said(2, ADA, to=SHOWN), said(3, "4998")))
    del nameless["value"]["metadata"]["display_phone_number"]
    assert [one.is_ours for one in seen(nameless)] == [True, False, False]
    assert {one.person.external_id for one in seen(nameless)} == {ADA}


def test_a_thread_may_be_with_a_user_id() -> None:
    (told,) = seen(history(thread("DE.13491208655302741918", said(1, ""))))

    assert told.person == Person(external_id="DE.13491208655302741918", realm="whatsapp-user")


def test_notes_to_oneself_are_no_conversation() -> None:
    assert events_of(history(thread(SHOWN, said(1, SHOWN), said(2, SHOWN, to=SHOWN)))) == []
    spaced = history(thread(SHOWN, said(1, SHOWN)))
    spaced["value"]["metadata"]["display_phone_number"] = "+49 30 123456"
    assert events_of(spaced) == []


def test_what_cannot_be_read_is_counted_and_costs_nothing_else() -> None:
    """A message without an id between two with one; a thread that is none."""
    nameless = {"from": ADA, "type": "text", "text": {"body": "?"}}
    events = events_of(history(thread(ADA, said(1, ADA), nameless, said(2, ADA))))
    assert [type(event) for event in events] == [MessageSeen, MessageSeen, Unmapped]
    assert isinstance(events[-1], Unmapped)
    assert events[-1].kind == "whatsapp_business_account.history"
    assert [type(event) for event in events_of(history(thread(ADA, nameless), "no thread"))] == [Unmapped] * 2


@pytest.mark.parametrize("contact", [{}, {"full_name": "Ada"}, {"phone_number": "none"}, None])
def test_an_entry_of_the_address_book_that_names_nobody_is_kept(contact: object) -> None:
    entry = {"type": "contact", "action": "add", "contact": contact}
    assert [type(event) for event in events_of(change("smb_app_state_sync", state_sync=[entry]))] == [
        Unmapped
    ]


def test_the_address_book_names_people_by_user_id_where_there_is_no_number() -> None:
    contact = {"full_name": "Ada", "user_id": "DE.1"}
    entry = {"type": "contact", "action": "add", "contact": contact}
    assert events_of(change("smb_app_state_sync", state_sync=[entry])) == [
        PersonNamed(
            channel_external_id=NUMBER,
            person=Person(external_id="DE.1", realm="whatsapp-user", name="Ada"),
            at=at(100),
        )
    ]


# However much it is ------------------------------------------------------------------------------


def test_a_long_thread_is_many_rows_and_each_is_small() -> None:
    """Every message once, in order; each row names whom it is about, and its number."""
    chunk = history(
        thread(ADA, *(said(number, ADA) for number in range(3_050))), thread(TOM, said(9_999, TOM))
    )
    rows = WEBHOOKS.split(delivery(chunk))

    told = [[one for one in read(row) if isinstance(one, MessageSeen)] for row in rows]
    assert [len(one) for one in told] == [MOST_MESSAGES] * 30 + [50, 1]
    assert [one.message_external_id for each in told[:-1] for one in each] == [
        f"wamid.{number}" for number in range(3_050)
    ]
    assert len({row.partition for row in rows}) == 2
    assert {row.owner_keys for row in rows} == {(BUSINESS, NUMBER)}
    assert len({row.business_key for row in rows}) == len(rows)
    assert {one.person.external_id for each in told[:-1] for one in each} == {ADA}


@pytest.mark.parametrize("people", [MOST_PIECES, MOST_PIECES + 1, 6_000])
def test_very_many_threads_are_no_more_rows_than_a_delivery_may_have(people: int) -> None:
    """Nobody can ask for a history again, so none may be too much."""
    chunk = history(
        *(thread(f"4917{number:08}", said(number, f"4917{number:08}")) for number in range(people))
    )
    rows = WEBHOOKS.split(delivery(chunk))

    assert len(rows) == (people if people <= MOST_PIECES else -(-people // MOST_MESSAGES))
    assert len(rows) <= MOST_CHANGES
    found = [one for row in rows for one in read(row) if isinstance(one, MessageSeen)]
    assert {(one.person.external_id, one.message_external_id) for one in found} == {
        (f"4917{number:08}", f"wamid.{number}") for number in range(people)
    }


def test_the_next_try_of_a_chunk_is_known_again() -> None:
    """Also beside other chunks, and when it is sent at another time."""
    chunk = history(thread(ADA, *(said(number, ADA) for number in range(150))), thread(TOM, said(200, TOM)))
    once = [one.business_key for one in WEBHOOKS.split(delivery(chunk))]
    again = json.loads(delivery(history(thread(ADA, said(300, ADA))), chunk))
    again["entry"][0]["time"] += 60

    assert [one.business_key for one in WEBHOOKS.split(json.dumps(again).encode())][1:] == once


_words = st.sampled_from(
    ["id", "messages", "threads", "metadata", "errors", "from", "to", "type", "text", "image", "reaction",
     "history_context", "status", "contact", "action", "phone_number", "timestamp", "x"]
)  # fmt: skip
_leaves = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.sampled_from([ADA, SHOWN, "", "READ"])
_trees = st.recursive(
    _leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_words, inner, max_size=5),
    max_leaves=25,
)


def marked(tree: Any, names: Iterator[int]) -> Any:
    """With a mark of its own beside each leaf."""
    match tree:
        case dict():
            return {name: marked(part, names) for name, part in tree.items()}
        case list():
            return [marked(part, names) for part in tree for _ in range(1 + 101 * (part == []))]
        case _:
            return [tree, f"mark-{next(names)}-"]


def marks_in(raw: bytes) -> set[str]:
    return {f"mark-{part.partition('-')[0]}-" for part in raw.decode().split("mark-")[1:]}


@settings(max_examples=150, deadline=None)
@given(
    chunks=st.lists(
        _trees | st.fixed_dictionaries({"threads": st.lists(_trees), "metadata": _trees}), max_size=3
    ),
    entries=st.lists(_trees, max_size=3),
    is_marked=st.booleans(),
)
def test_whatever_stands_in_a_history_is_kept(
    chunks: list[Any], entries: list[Any], *, is_marked: bool
) -> None:
    """Nothing is lost between the rows, and every row can be read; what is in it may be anything."""
    names = iter(range(10**9))
    if is_marked:
        chunks, entries = marked(chunks, names), marked(entries, names)
    body = delivery(change("history", history=chunks), change("smb_app_state_sync", state_sync=entries))
    try:
        rows = WEBHOOKS.split(body)
    except MalformedError:
        return

    assert marks_in(body) <= set().union(*(marks_in(row.body) for row in rows))
    for row in rows:
        read(row)
