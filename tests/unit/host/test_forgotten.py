"""M3: whatever is told again of somebody who was erased has no effect; what they do afterwards has."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import get_args

import pytest

from moorage.crm.apply import apply_events
from moorage.crm.event_kinds import EVENT_KINDS
from moorage.crm.merge import identity_id_of, message_id_of, post_id_of
from moorage_ports.crm_records import record_id
from moorage_ports.events import (
    CommentSeen,
    ContactMoment,
    ContactMoved,
    CrmEvent,
    DeliveryMark,
    DeliveryState,
    Mentioned,
    MessageDelivery,
    MessageEdited,
    MessageSeen,
    Person,
    PersonLinked,
    PersonNamed,
    PostSeen,
    PostShared,
    ReactionSet,
    Target,
    ThreadHandedOver,
)
from tests.support.crm_records import DictRecords

VENDOR = "memory"
ERASED_AT = datetime(2030, 6, 1, 12, 0, tzinfo=UTC)
BEFORE, AFTER = ERASED_AT - timedelta(days=1), ERASED_AT + timedelta(days=1)
ADA = Person(external_id="ada", realm="board-1", name="Ada Moor")
BEN = Person(external_id="ben", realm="board-1", name="Ben Moor")
BOARD = "board-1"


def comment(key: str, author: Person | None, at: datetime, created_at: datetime | None = None) -> CommentSeen:
    return CommentSeen(
        channel_external_id=BOARD,
        comment_external_id=key,
        at=at,
        created_at=created_at,
        surface="board",
        author=author,
        text="Is it still open?",
        post_external_id="post-1",
    )


def message(key: str, person: Person, at: datetime) -> MessageSeen:
    return MessageSeen(
        channel_external_id=BOARD, message_external_id=key, person=person, at=at, surface="mail", text="hello"
    )


def reaction(person: Person, at: datetime) -> ReactionSet:
    return ReactionSet(
        channel_external_id=BOARD,
        target=Target.POST,
        target_external_id="post-1",
        person=person,
        reaction="like",
        at=at,
        is_exact=False,
    )


@pytest.fixture
def records() -> DictRecords:
    """Ada was erased, with a comment, a message and a reaction of hers, and a post."""
    kept = DictRecords()
    erased = {
        identity_id_of(VENDOR, ADA),
        message_id_of(VENDOR, "c1"),
        message_id_of(VENDOR, "m1"),
        post_id_of(VENDOR, "post-9"),
        record_id("ac", VENDOR, "reaction", "post", "post-1", ADA.realm, ADA.external_id),
        record_id("ac", VENDOR, "share", "share-1"),
    }
    kept.marks = dict.fromkeys(erased, ERASED_AT)
    return kept


OLD: list[CrmEvent] = [
    comment("c1", ADA, BEFORE),
    comment("c1", None, AFTER),  # a sync reads it anew, and does not say whose it is
    comment("c2", ADA, AFTER, created_at=BEFORE),  # one that nobody had seen, found by a sync of the past
    message("m1", ADA, BEFORE),
    message("m2", ADA, BEFORE),
    MessageEdited(channel_external_id=BOARD, message_external_id="m1", at=AFTER, text="hello again"),
    MessageDelivery(channel_external_id=BOARD, message_external_id="m1", state=DeliveryState.READ, at=AFTER),
    DeliveryMark(
        channel_external_id=BOARD, person=ADA, surface="mail", state=DeliveryState.READ, up_to=AFTER
    ),
    ThreadHandedOver(channel_external_id=BOARD, person=ADA, surface="mail", at=BEFORE, owner="bot"),
    PersonLinked(channel_external_id=BOARD, persons=(ADA, BEN), at=BEFORE),
    PersonNamed(channel_external_id=BOARD, person=ADA, at=AFTER),  # an address book, told anew
    reaction(ADA, AFTER),  # a sync dates it by when it looked
    PostShared(
        channel_external_id=BOARD,
        post_external_id="post-1",
        share_external_id="share-1",
        at=AFTER,
        text="look",
    ),
    PostSeen(channel_external_id=BOARD, post_external_id="post-9", at=AFTER, author=ADA, text="hello"),
    PostSeen(
        channel_external_id=BOARD,
        post_external_id="post-8",
        at=AFTER,
        created_at=BEFORE,
        author=ADA,
        text="hello",
    ),
    Mentioned(
        channel_external_id=BOARD, mention_external_id="n1", at=BEFORE, surface="board", person=ADA, text="hi"
    ),
    ContactMoved(
        channel_external_id=BOARD,
        person=ADA,
        moment=ContactMoment.OPT_IN,
        moment_external_id="o1",
        at=ERASED_AT,
        surface="mail",
    ),
]


@pytest.mark.parametrize("event", OLD, ids=lambda event: type(event).__name__)
async def test_what_is_told_again_of_somebody_who_was_erased_has_no_effect_m3(
    records: DictRecords, event: CrmEvent
) -> None:
    """M3: not a name, not a text, not a stub that says that there was something."""
    applied = await apply_events(records, [(VENDOR, event)])

    assert sum(applied.written.values()) == 0
    assert not any(vars_of(records))


OF_A_HISTORY: list[CrmEvent] = [
    MessageEdited(channel_external_id=BOARD, message_external_id="m7", at=AFTER, text="hello again"),
    message("m7", ADA, BEFORE),
    MessageDelivery(channel_external_id=BOARD, message_external_id="m7", state=DeliveryState.READ, at=AFTER),
]


@pytest.mark.parametrize("told", [*permutations(OF_A_HISTORY)])
async def test_told_piece_by_piece_in_any_order_a_history_leaves_no_stub_either_m3(
    records: DictRecords, told: Sequence[CrmEvent]
) -> None:
    """M3, W15: what changes a message names nobody, and its text would stay for ever."""
    for event in told:
        await apply_events(records, [(VENDOR, event)])

    assert not any(vars_of(records))


async def test_a_history_that_is_told_after_an_erasure_leaves_no_stub_m3(records: DictRecords) -> None:
    """M3: how far a message of before got, and how it was changed, names nobody; another's stays."""
    told = OF_A_HISTORY
    applied = await apply_events(records, [(VENDOR, event) for event in told])
    assert (sum(applied.written.values()), applied.left_out) == (0, frozenset({0, 1, 2}))

    await apply_events(records, [(VENDOR, event) for event in (*told, message("m8", BEN, BEFORE))])
    assert [one.external_id for one in records.kept.messages.values()] == ["m8"]


def vars_of(records: DictRecords) -> list[object]:
    kept = records.kept
    return [
        kept.identities,
        kept.contacts,
        kept.conversations,
        kept.messages,
        kept.activities,
        kept.posts,
    ]


async def test_what_others_do_beside_it_counts(records: DictRecords) -> None:
    """M3: a reply below an erased comment, another's reaction to the same post, in the same batch."""
    reply = CommentSeen(
        channel_external_id=BOARD,
        comment_external_id="c5",
        parent_external_id="c1",
        at=BEFORE,
        surface="board",
        author=BEN,
        text="It is.",
        post_external_id="post-1",
    )
    await apply_events(records, [(VENDOR, event) for event in (*OLD, reply, reaction(BEN, BEFORE))])

    assert {one.name for one in records.kept.contacts.values()} == {"Ben Moor"}
    assert [one.text for one in records.kept.messages.values() if one.is_known] == ["It is."]
    assert {one.kind for one in records.kept.activities.values()} == {"comment", "reaction"}


async def test_who_comes_back_is_a_new_contact(records: DictRecords) -> None:
    """What somebody does after they were forgotten is nobody's old data."""
    await apply_events(records, [(VENDOR, message("m9", ADA, AFTER))])

    assert [one.name for one in records.kept.contacts.values()] == ["Ada Moor"]
    assert [one.text for one in records.kept.messages.values()] == ["hello"]


def test_every_event_says_what_it_is_about() -> None:
    """A new kind of event has to be looked at here."""
    assert set(EVENT_KINDS) == set(get_args(CrmEvent))
