"""Any order, any batches, any doubles: the CRM ends the same; and what it ends as."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moorage.crm.merge import contact_id_of, direct_id_of, identity_id_of, message_id_of, thread_id_of
from moorage.crm.merge_messages import state_of
from moorage.crm.merging import apply_events
from moorage.crm.scoring import HALF_LIFE, score
from moorage_ports.crm_records import Ledger, record_id
from moorage_ports.events import (
    Attachment,
    AttachmentType,
    ChannelNotice,
    CommentHidden,
    CommentRemoved,
    CommentSeen,
    ContactMoment,
    ContactMoved,
    CrmEvent,
    DeliveryMark,
    DeliveryState,
    Mentioned,
    MentionRemoved,
    MessageDelivery,
    MessageEdited,
    MessageKind,
    MessageRemoved,
    MessageSeen,
    Person,
    PersonLinked,
    PostRemoved,
    PostSeen,
    PostShared,
    ReactionRemoved,
    ReactionSet,
    Severity,
    Target,
    ThreadHandedOver,
)
from tests.support.crm_records import KINDS, DictRecords

NOON = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
BOARD = "board-1"
V = "memory"


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def person(number: int, name: str = "") -> Person:
    return Person(external_id=f"p{number}", realm=BOARD, name=name)


def comment(number: int, seconds: float, **more: Any) -> CommentSeen:
    given = {"post_external_id": "post-1", "author": person(number % 3, f"P{number % 3}"), "text": "hi"}
    return CommentSeen(
        channel_external_id=BOARD,
        comment_external_id=f"c{number}",
        at=at(seconds),
        surface="notes",
        **{**given, **more},
    )


def message(number: int, seconds: float, **more: Any) -> MessageSeen:
    given: dict[str, Any] = {"person": person(number % 3), "text": "hello"}
    return MessageSeen(
        channel_external_id=BOARD,
        message_external_id=f"m{number}",
        at=at(seconds),
        surface="letters",
        **{**given, **more},
    )


async def merged(*events: CrmEvent, into: DictRecords | None = None) -> DictRecords:
    records = into or DictRecords()
    await apply_events(records, [(V, event) for event in events])
    return records


# What is generated -------------------------------------------------------------------------------

_seconds = st.integers(0, 40)
_people = st.integers(0, 3)
_names = st.sampled_from(["", "Ada", "Bo", "Cy"])
_texts = st.sampled_from(["", "one", "two", "three"])
_attachments = st.sampled_from([(), (Attachment(type=AttachmentType.IMAGE, url="https://x.example/1"),)])
_persons = st.builds(person, _people, _names)


@st.composite
def comments(draw: st.DrawFn) -> CommentSeen:
    """A comment of a fixed forest: c0, c1 at the top, c2..c4 below these, c5..c7 below those."""
    number = draw(st.integers(0, 7))
    parent = "" if number < 2 else f"c{number - 2}" if number < 5 else f"c{number - 3}"
    is_edit = draw(st.booleans())
    exact = at(number) if draw(st.booleans()) or not is_edit else None
    ours = number == 4
    return CommentSeen(
        channel_external_id=BOARD,
        comment_external_id=f"c{number}",
        at=at(number + draw(_seconds)),
        created_at=exact,
        surface="notes",
        post_external_id=draw(st.sampled_from(["", "post-1"])),
        parent_external_id=parent,
        author=None if ours else draw(st.sampled_from([None, person(number % 4, draw(_names))])),
        is_ours=ours,
        is_edit=is_edit,
        text=draw(_texts),
        attachments=draw(_attachments),
        is_hidden=draw(st.sampled_from([None, True, False])),
    )


@st.composite
def letters(draw: st.DrawFn) -> MessageSeen:
    """A message whose moment, sender and direction follow from its number."""
    number = draw(st.integers(0, 4))
    return MessageSeen(
        channel_external_id=BOARD,
        message_external_id=f"m{number}",
        person=person(number % 2, draw(_names)),
        at=at(number * 3),
        surface="letters",
        is_ours=number == 3,
        kind=MessageKind.TEXT,
        text=f"text {number}",
        attachments=(),
        reply_until=at(number * 3 + 1000),
    )


def _on_message(kind: type, **more: Any) -> st.SearchStrategy[Any]:
    ids = st.integers(0, 4).map(lambda number: f"m{number}")
    return st.builds(
        kind, channel_external_id=st.just(BOARD), message_external_id=ids, at=_seconds.map(at), **more
    )


def _on_comment(kind: type, **more: Any) -> st.SearchStrategy[Any]:
    ids = st.integers(0, 7).map(lambda number: f"c{number}")
    return st.builds(
        kind, channel_external_id=st.just(BOARD), comment_external_id=ids, at=_seconds.map(at), **more
    )


_targets = st.sampled_from([(Target.POST, "post-1"), (Target.COMMENT, "c1"), (Target.MESSAGE, "m1")])


@st.composite
def reactions(draw: st.DrawFn) -> CrmEvent:
    target, external_id = draw(_targets)
    common: dict[str, Any] = {
        "channel_external_id": BOARD,
        "target": target,
        "target_external_id": external_id,
        "person": draw(_persons),
        "at": at(draw(_seconds)),
    }
    if draw(st.booleans()):
        return ReactionRemoved(**common)
    return ReactionSet(
        **common, reaction=draw(st.sampled_from(["like", "love"])), is_exact=draw(st.booleans())
    )


_mentions = st.integers(0, 1).map(str)
_events: st.SearchStrategy[CrmEvent] = st.one_of(
    comments(),
    comments(),
    letters(),
    letters(),
    reactions(),
    _on_comment(CommentHidden, is_hidden=st.booleans()),
    _on_comment(CommentRemoved),
    _on_message(MessageEdited, text=_texts),
    _on_message(MessageRemoved),
    _on_message(MessageDelivery, state=st.sampled_from(DeliveryState), error_code=st.sampled_from(["", "7"])),
    st.builds(
        DeliveryMark,
        channel_external_id=st.just(BOARD),
        person=_persons,
        surface=st.just("letters"),
        state=st.sampled_from([DeliveryState.DELIVERED, DeliveryState.READ]),
        up_to=_seconds.map(at),
    ),
    st.builds(
        ThreadHandedOver,
        channel_external_id=st.just(BOARD),
        person=_persons,
        surface=st.just("letters"),
        at=_seconds.map(at),
        owner=st.sampled_from(["", "robot"]),
    ),
    st.builds(
        PersonLinked,
        channel_external_id=st.just(BOARD),
        persons=st.tuples(_persons, _persons),
        at=_seconds.map(at),
    ),
    st.builds(
        PostSeen,
        channel_external_id=st.just(BOARD),
        post_external_id=st.just("post-1"),
        at=_seconds.map(at),
        created_at=st.none() | _seconds.map(at),
        author=st.none() | _persons,
        text=_texts,
        attachments=_attachments,
        is_hidden=st.none() | st.booleans(),
        shares=st.none() | st.integers(0, 3),
    ),
    st.builds(
        PostRemoved,
        channel_external_id=st.just(BOARD),
        post_external_id=st.just("post-1"),
        at=_seconds.map(at),
    ),
    st.builds(
        PostShared,
        channel_external_id=st.just(BOARD),
        post_external_id=st.just("post-1"),
        share_external_id=st.just("s1"),
        at=_seconds.map(at),
        person=st.none() | st.just(person(1)),
        text=_texts,
    ),
    st.builds(
        Mentioned,
        channel_external_id=st.just(BOARD),
        mention_external_id=_mentions,
        at=_seconds.map(at),
        surface=st.just("notes"),
        person=st.none() | st.just(person(2)),
        text=_texts,
    ),
    st.builds(
        MentionRemoved, channel_external_id=st.just(BOARD), mention_external_id=_mentions, at=_seconds.map(at)
    ),
    st.builds(
        ContactMoved,
        channel_external_id=st.just(BOARD),
        person=st.just(person(3)),
        moment=st.sampled_from(ContactMoment),
        moment_external_id=st.just("x"),
        at=_seconds.map(at),
        surface=st.just("letters"),
        text=_texts,
    ),
    st.builds(
        ChannelNotice,
        channel_external_id=st.just(BOARD),
        kind=st.just("review"),
        notice_external_id=st.just("n"),
        at=_seconds.map(at),
        severity=st.sampled_from(Severity),
        text=_texts,
    ),
)


def _plain(ledger: Ledger, kind: str) -> dict[str, dict[str, object]]:
    """All records of a kind as dicts; heat apart, which is a sum of floats."""
    return {
        key: {name: value for name, value in attrs.asdict(record, recurse=False).items() if name != "heat"}
        for key, record in sorted(getattr(ledger, kind).items())
    }


def assert_same(one: Ledger, other: Ledger) -> None:
    """The same records, field by field."""
    for kind in KINDS:
        assert _plain(other, kind) == _plain(one, kind), kind
    for key, contact in one.contacts.items():
        assert other.contacts[key].heat == pytest.approx(contact.heat, rel=1e-9, abs=1e-3)


@settings(max_examples=400, deadline=None)
@given(events=st.lists(_events, max_size=24), seed=st.integers(0, 2**32))
async def test_any_order_ends_the_same(events: Sequence[CrmEvent], seed: int) -> None:
    """W15: a permutation with doubles, cut into any batches, over any number of transactions."""
    dice = random.Random(seed)
    one = DictRecords()
    for event in events:
        await merged(event, into=one)
    shuffled = [*events, *dice.choices(events, k=len(events) // 2)] if events else []
    dice.shuffle(shuffled)
    other = DictRecords()
    while shuffled:
        size = dice.randint(1, 8)
        batch, shuffled = shuffled[:size], shuffled[size:]
        await merged(*batch, into=other)
    assert_same(one.kept, other.kept)


# What it ends as ---------------------------------------------------------------------------------


async def test_replies_of_replies_join_the_thread_of_the_top_level_comment() -> None:
    """Also when the deepest comes first, and what is above it only later."""
    records = await merged(comment(3, 3, parent_external_id="c2"))
    await merged(comment(2, 2, parent_external_id="c1"), into=records)
    await merged(comment(1, 1), into=records)

    [conversation] = records.kept.conversations.values()
    assert conversation.id == thread_id_of(V, "c1")
    assert {one.conversation_id for one in records.kept.messages.values()} == {conversation.id}
    assert conversation.thread_external_id == "c1"
    assert conversation.unread_count == 3
    assert (conversation.last_message_id, conversation.last_message_at) == (message_id_of(V, "c3"), at(3))
    assert conversation.identity_id == identity_id_of(V, person(1))


async def test_what_people_decided_survives_a_thread_that_turns_out_to_be_part_of_another() -> None:
    records = await merged(comment(2, 2, parent_external_id="c1"))
    [provisional] = records.kept.conversations.values()
    provisional.status, provisional.status_stamp, provisional.assignee = "closed", at(9), "ada"
    provisional.tags, provisional.read_at = ("vip",), at(5)
    await merged(comment(1, 1, parent_external_id="c0"), into=records)

    [thread] = records.kept.conversations.values()
    assert (thread.id, thread.status, thread.assignee, thread.tags) == (
        thread_id_of(V, "c0"),
        "closed",
        "ada",
        ("vip",),
    )
    assert thread.unread_count == 0


async def test_a_removal_that_comes_first_wins() -> None:
    """And nothing of what was written is kept, nor counted."""
    removal = CommentRemoved(channel_external_id=BOARD, comment_external_id="c1", at=at(5))
    records = await merged(removal)
    await merged(comment(1, 1, text="secret", permalink="https://x.example/c1"), into=records)
    await merged(comment(1, 9, text="again", is_edit=True), into=records)

    [message_] = records.kept.messages.values()
    [conversation] = records.kept.conversations.values()
    [activity] = records.kept.activities.values()
    [contact] = records.kept.contacts.values()
    assert (message_.text, message_.permalink, message_.removed_at) == ("", "", at(5))
    assert (conversation.unread_count, activity.is_present, activity.text) == (0, False, "")
    assert contact.heat == pytest.approx(0)


async def test_an_edit_that_comes_first_wins() -> None:
    records = await merged(comment(1, 9, text="new", is_edit=True))
    await merged(comment(1, 1, text="old"), into=records)

    [message_] = records.kept.messages.values()
    assert (message_.text, message_.at, message_.edited_at) == ("new", at(1), at(9))


async def test_what_a_delivery_and_a_sync_say_of_one_comment_is_one_row() -> None:
    """The sync reads later, and knows when it was written."""
    records = await merged(comment(1, 1), comment(1, 600, created_at=at(1), text="hi"))

    assert len(records.kept.messages) == len(records.kept.conversations) == len(records.kept.activities) == 1
    [conversation] = records.kept.conversations.values()
    assert (conversation.unread_count, conversation.updated_at) == (1, at(1))


async def test_our_own_words_are_read_and_date_no_contact() -> None:
    records = await merged(comment(1, 1, author=None, is_ours=True), message(1, 2, is_ours=True))

    assert [one.unread_count for one in records.kept.conversations.values()] == [0, 0]
    assert all(contact.heat == 0 for contact in records.kept.contacts.values())


async def test_a_new_message_opens_what_was_closed_and_an_old_one_does_not() -> None:
    records = await merged(message(1, 1))
    [conversation] = records.kept.conversations.values()
    conversation.status, conversation.status_stamp = "closed", at(100)

    await merged(message(4, 50), into=records)
    assert records.kept.conversations[conversation.id].status == "closed"
    await merged(message(7, 101), into=records)
    assert records.kept.conversations[conversation.id].status == "open"


async def test_how_far_a_message_got_is_known_before_the_message() -> None:
    """A status, a mark for all up to a moment, then the echo."""
    mark = DeliveryMark(
        channel_external_id=BOARD,
        person=person(1),
        surface="letters",
        state=DeliveryState.READ,
        up_to=at(10),
    )
    failed = MessageDelivery(
        channel_external_id=BOARD,
        message_external_id="m4",
        state=DeliveryState.FAILED,
        at=at(12),
        error_code="131047",
        error="too late",
    )
    records = await merged(mark, failed, message(1, 2, is_ours=True), message(4, 11, is_ours=True))

    conversation = records.kept.conversations[direct_id_of(V, BOARD, person(1))]
    first, second = (records.kept.messages[message_id_of(V, name)] for name in ("m1", "m4"))
    assert state_of(first, conversation) is DeliveryState.READ
    assert state_of(second, conversation) is DeliveryState.FAILED
    assert (second.error_code, second.error) == ("131047", "too late")


async def test_people_are_joined_on_proof_only_and_for_good() -> None:
    """Joined in a chain, asked for by a former id, and warmed by what is said of either afterwards."""
    link = [
        PersonLinked(channel_external_id=BOARD, persons=(person(a), person(b)), at=at(1))
        for a, b in ((0, 1), (1, 2))
    ]
    records = await merged(message(0, 0), message(1, 0), message(2, 0))
    assert len({one.contact_id for one in records.kept.identities.values()}) == 3
    for one in link:
        await merged(one, into=records)
    await merged(message(5, 3, person=person(2, "Cy")), into=records)

    [winner_id] = {one.contact_id for one in records.kept.identities.values()}
    winner = records.kept.contacts[winner_id]
    others = [one for one in records.kept.contacts.values() if one.id != winner_id]
    assert {contact_id_of(V, person(number)) for number in range(3)} == {winner_id, *(o.id for o in others)}
    assert [one.merged_into for one in others] == [winner_id, winner_id]
    assert (winner.name, winner.last_seen_at) == ("Cy", at(3))
    assert score(winner.heat, at(3)) == pytest.approx(4 * 3, rel=1e-3)


async def test_a_reaction_warms_once_and_cools_when_it_is_taken_back() -> None:
    like = ReactionSet(
        channel_external_id=BOARD,
        target=Target.POST,
        target_external_id="post-1",
        person=person(1),
        reaction="like",
        at=at(1),
    )
    records = await merged(like, like)
    await merged(attrs.evolve(like, reaction="love", at=at(2)), into=records)
    [contact] = records.kept.contacts.values()
    assert score(contact.heat, at(2)) == pytest.approx(1, rel=1e-3)
    assert score(contact.heat, at(2) + HALF_LIFE) == pytest.approx(0.5, rel=1e-2)

    gone = ReactionRemoved(
        channel_external_id=BOARD,
        target=Target.POST,
        target_external_id="post-1",
        person=person(1),
        at=at(3),
    )
    await merged(gone, attrs.evolve(like, at=at(2)), into=records)
    [contact] = records.kept.contacts.values()
    [activity] = records.kept.activities.values()
    assert not activity.is_present
    assert contact.heat == pytest.approx(0, abs=1e-6)


async def test_a_vendors_wild_clock_breaks_nothing() -> None:
    for moment in (datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)):
        records = await merged(comment(1, 1, created_at=moment), attrs.evolve(message(1, 1), at=moment))
        assert all(score(one.heat, NOON) >= 0 for one in records.kept.contacts.values())


async def test_many_new_events_cost_one_load_and_one_save() -> None:
    records = await merged(*(comment(number, number) for number in range(50)))
    assert records.loads == 1


def test_ids_are_told_apart_by_where_names_end() -> None:
    assert record_id("x", "ab", "c") != record_id("x", "a", "bc")
