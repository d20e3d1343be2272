"""Any order, any batches, any doubles: the CRM ends the same; and what it ends as."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from moorage.crm.apply import apply_events
from moorage.crm.merge import contact_id_of, direct_id_of, identity_id_of, message_id_of, thread_id_of
from moorage.crm.merge_messages import state_of
from moorage.crm.scoring import HALF_LIFE, MOST, score
from moorage_ports.crm_records import MessageRecord, attempt_record_id, record_id
from moorage_ports.events import (
    CommentRemoved,
    CrmEvent,
    DeliveryMark,
    DeliveryState,
    MessageDelivery,
    MessageKind,
    PersonLinked,
    PersonNamed,
    ReactionRemoved,
    ReactionSet,
    Target,
    ThreadHandedOver,
)
from tests.support.crm_events import BOARD, NOON, V, assert_same, at, comment, events, message, person
from tests.support.crm_records import DictRecords


async def merged(*events: CrmEvent, into: DictRecords | None = None) -> DictRecords:
    records = into or DictRecords()
    await apply_events(records, [(V, event) for event in events])
    return records


@settings(max_examples=400, deadline=None)
@given(happened=st.lists(events, max_size=24), seed=st.integers(0, 2**32))
async def test_any_order_ends_the_same(happened: Sequence[CrmEvent], seed: int) -> None:
    """W15: a permutation with doubles, cut into any batches, over any number of transactions."""
    dice = random.Random(seed)
    one = DictRecords()
    for event in happened:
        await merged(event, into=one)
    shuffled = [*happened, *dice.choices(happened, k=len(happened) // 2)] if happened else []
    dice.shuffle(shuffled)
    other = DictRecords()
    while shuffled:
        size = dice.randint(1, 8)
        batch, shuffled = shuffled[:size], shuffled[size:]
        await merged(*batch, into=other)
    assert_same(one.kept, other.kept)
    talks = [
        (other.kept.identities[talk.identity_id].contact_id, talk.channel_external_id)
        for talk in other.kept.conversations.values()
        if talk.kind == "direct"
    ]
    assert len(talks) == len(set(talks)), "one per contact and channel"


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


async def test_a_name_alone_makes_a_contact_whom_nobody_has_seen() -> None:
    """When they were here, only what they do says; and the later name stays, whichever comes first."""
    named = PersonNamed(channel_external_id=BOARD, person=person(1, "Bo in the book"), at=at(50))
    records = await merged(named)
    [contact] = records.kept.contacts.values()
    assert (contact.name, contact.is_exact, contact.heat) == ("Bo in the book", False, 0)

    await merged(message(1, 9, person=person(1, "Bo")), into=records)
    [contact] = records.kept.contacts.values()
    assert (contact.name, contact.first_seen_at, contact.last_seen_at) == ("Bo in the book", at(9), at(9))

    await merged(message(4, 60, person=person(1, "Bo Quay")), named, into=records)
    [contact] = records.kept.contacts.values()
    assert (contact.name, contact.last_seen_at) == ("Bo Quay", at(60))


async def test_our_own_words_are_read_and_date_no_contact() -> None:
    records = await merged(comment(1, 1, author=None, is_ours=True), message(1, 2, is_ours=True))

    assert [one.unread_count for one in records.kept.conversations.values()] == [0, 0]
    assert all(contact.heat == 0 for contact in records.kept.contacts.values())

    await merged(message(1, 9), into=records)
    await merged(message(4, 20, is_ours=True), delivered(30, DeliveryState.DELIVERED), into=records)
    [contact] = records.kept.contacts.values()
    assert (contact.first_seen_at, contact.last_seen_at) == (at(9), at(9))
    await merged(delivered(40, DeliveryState.READ), into=records)
    [contact] = records.kept.contacts.values()
    assert contact.last_seen_at == at(40)


def delivered(second: int, state: DeliveryState) -> DeliveryMark:
    return DeliveryMark(
        channel_external_id=BOARD, person=person(1), surface="letters", state=state, up_to=at(second)
    )


async def test_a_new_message_opens_what_was_closed_and_an_old_one_does_not() -> None:
    records = await merged(message(1, 1))
    [conversation] = records.kept.conversations.values()
    conversation.status, conversation.status_stamp = "closed", at(100)

    await merged(message(4, 50), into=records)
    assert records.kept.conversations[conversation.id].status == "closed"
    await merged(message(7, 101), into=records)
    assert records.kept.conversations[conversation.id].status == "open"


async def test_what_the_vendor_itself_says_is_nobodys_message() -> None:
    """A new number, say: it opens nothing, is nothing to answer, and warms nobody."""
    records = await merged(message(1, 1))
    [conversation] = records.kept.conversations.values()
    conversation.status, conversation.status_stamp = "closed", at(2)
    conversation.read_at, conversation.unread_count = at(2), 0
    [heat] = [contact.heat for contact in records.kept.contacts.values()]

    notice = message(4, 100, kind=MessageKind.NOTICE, text="has a new number")
    await merged(notice, into=records)

    [told] = records.kept.conversations.values()
    assert (told.status, told.last_received_at, told.unread_count) == ("closed", at(1), 0)
    assert (told.last_message_id, told.last_message_at) == (message_id_of(V, "m4"), at(100))
    assert [contact.heat for contact in records.kept.contacts.values()] == [heat]


async def test_a_message_that_turns_out_to_be_the_vendors_own_is_counted_no_more() -> None:
    records = await merged(message(1, 1), message(4, 5))
    await merged(message(4, 5, kind=MessageKind.NOTICE), into=records)

    [conversation] = records.kept.conversations.values()
    assert (conversation.last_received_at, conversation.unread_count) == (at(1), 1)


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


async def test_a_person_known_by_two_ids_has_one_conversation_on_a_channel() -> None:
    """In whatever order they are told to be one, with what was decided, marked and counted on either side."""
    other_channel = attrs.evolve(message(7, 4, person=person(1)), channel_external_id="board-2")
    link = PersonLinked(channel_external_id=BOARD, persons=(person(0), person(1)), at=at(5))
    told: list[CrmEvent] = [
        message(0, 0, person=person(0), reply_until=at(1000)),
        message(1, 1, person=person(1), reply_until=at(1001)),
        ThreadHandedOver(
            channel_external_id=BOARD, person=person(1), surface="letters", at=at(2), owner="robot"
        ),
        message(3, 3, person=person(0), is_ours=True),
        other_channel,
    ]
    for happened in ([link, *told], [*told, link], [*told[:2], link, *told[2:]]):
        records = DictRecords()
        for event in happened:
            await merged(event, into=records)
        talks = {one.channel_external_id: one for one in records.kept.conversations.values()}
        assert len(talks) == len(records.kept.conversations) == 2
        talk = talks[BOARD]
        assert {
            one.conversation_id for one in records.kept.messages.values() if one.channel_external_id == BOARD
        } == {talk.id}
        assert (talk.last_received_at, talk.reply_until) == (at(1), at(1001))
        assert (talk.unread_count, talk.last_message_id, talk.owner) == (2, message_id_of(V, "m3"), "robot")
        authors = {one.external_id: one.identity_id for one in records.kept.messages.values()}
        assert authors["m0"] == identity_id_of(V, person(0))
        assert authors["m1"] == identity_id_of(V, person(1))


async def test_what_people_decided_goes_along_into_the_one_conversation() -> None:
    records = await merged(message(0, 0, person=person(0)), message(1, 1, person=person(1)))
    for number, talk in enumerate(records.kept.conversations.values()):
        talk.status, talk.status_stamp, talk.assignee = "closed", at(10 + number), f"ada{number}"
        talk.read_at = at(number)

    link = PersonLinked(channel_external_id=BOARD, persons=(person(0), person(1)), at=at(5))
    await merged(link, into=records)

    [talk] = records.kept.conversations.values()
    assert (talk.status, talk.assignee, talk.read_at, talk.unread_count) == ("closed", "ada1", at(1), 0)


async def test_an_attempt_without_an_answer_is_found_again_where_its_conversation_went() -> None:
    """The link and the echo come in one batch, under the person's other id."""
    records = await merged(message(0, 0, person=person(0)), message(1, 1, person=person(1)))
    for talk in list(records.kept.conversations.values()):
        attempt = MessageRecord(
            id=attempt_record_id(V, talk.id),
            vendor=V,
            channel_external_id=BOARD,
            external_id="",
            conversation_id=talk.id,
            is_known=True,
            is_ours=True,
            sent_by="ada",
            attempt_id=talk.id,
            text=f"to {talk.identity_id}",
            at=at(2),
            state=DeliveryState.UNKNOWN,
        )
        records.kept.messages[attempt.id] = attempt
    texts = [f"to {identity_id_of(V, person(number))}" for number in (0, 1)]

    link = PersonLinked(channel_external_id=BOARD, persons=(person(0), person(1)), at=at(5))
    echoes = [
        message(5 + n, 3, person=person(1 - n), is_ours=True, text=text) for n, text in enumerate(texts)
    ]
    await merged(link, *echoes, into=records)

    [talk] = records.kept.conversations.values()
    assert {one.external_id for one in records.kept.messages.values()} == {"m0", "m1", "m5", "m6"}
    assert [records.kept.messages[message_id_of(V, name)].sent_by for name in ("m5", "m6")] == ["ada", "ada"]


async def test_conversations_that_were_apart_before_are_one_when_the_person_writes_again() -> None:
    """As they may stand in a database in which contacts were joined, and conversations were not."""
    records = await merged(message(0, 0, person=person(0)), message(1, 1, person=person(1)))
    first, other = sorted(records.kept.identities.values(), key=lambda one: one.contact_id)
    records.kept.contacts[other.contact_id].merged_into = first.contact_id
    other.contact_id = first.contact_id

    await merged(message(4, 9, person=person(int(other.external_id[1:]))), into=records)

    [talk] = records.kept.conversations.values()
    assert talk.id == direct_id_of(V, BOARD, person(int(first.external_id[1:])))
    assert (talk.unread_count, talk.last_received_at) == (3, at(9))


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
        assert all(0 <= score(one.heat, NOON) <= MOST for one in records.kept.contacts.values())


async def test_many_new_events_cost_one_load_and_one_save() -> None:
    records = await merged(*(comment(number, number) for number in range(50)))
    assert records.loads == 1


def test_ids_are_told_apart_by_where_names_end() -> None:
    assert record_id("x", "ab", "c") != record_id("x", "a", "bc")
