"""What was sent from here and what is told of it: one row, whoever tells first, and no attempt left over."""

import copy
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.crm import attempts
from moorage.crm.apply import apply_events
from moorage.crm.merge import direct_id_of, message_id_of
from moorage_ports.crm_records import Ledger, MessageRecord, attempt_record_id
from moorage_ports.events import CrmEvent, DeliveryState, MessageDelivery, MessageEdited, MessageSeen, Person
from tests.support.crm_records import DictRecords

NOON = datetime(2030, 6, 1, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
ADA = Person(external_id="ada", realm="page-1")
TALK = direct_id_of("v", "page-1", ADA)
QUESTION = MessageSeen(
    channel_external_id="page-1",
    message_external_id="m-0",
    person=ADA,
    at=NOON - SECOND,
    surface="s",
    text="Are you there?",
)


def attempt(attempt_id: str = "a-1", text: str = "Yes", *, at: datetime = NOON) -> MessageRecord:
    return MessageRecord(
        id=attempt_record_id("v", attempt_id),
        vendor="v",
        channel_external_id="page-1",
        external_id="",
        conversation_id=TALK,
        is_ours=True,
        sent_by="user-1",
        attempt_id=attempt_id,
        text=text,
        text_stamp=at,
        at=at,
        state=DeliveryState.PENDING,
        state_at=at,
    )


def seen(
    external_id: str = "m-1", *, reference: str = "a-1", after: int = 1, text: str = "Yes"
) -> MessageSeen:
    return MessageSeen(
        channel_external_id="page-1",
        message_external_id=external_id,
        person=ADA,
        at=NOON + after * SECOND,
        surface="s",
        is_ours=True,
        text=text,
        reference=reference,
    )


def told(state: DeliveryState, *, reference: str = "a-1", after: int = 2) -> MessageDelivery:
    return MessageDelivery(
        channel_external_id="page-1",
        message_external_id="m-1",
        state=state,
        at=NOON + after * SECOND,
        reference=reference,
    )


async def begun(*records: MessageRecord) -> DictRecords:
    """Ada has written, and these were begun."""
    kept = DictRecords()
    await apply_events(kept, [("v", QUESTION)])
    await attempts.begin(kept, [copy.deepcopy(record) for record in records])
    return kept


async def apply(records: DictRecords, events: Sequence[CrmEvent]) -> None:
    for event in events:
        await apply_events(records, [("v", event)])


def ours(kept: Ledger) -> list[MessageRecord]:
    return [one for one in kept.messages.values() if one.is_ours]


ANSWER = seen(after=1)
ECHO = seen(after=1, reference="")
MARKED_ECHO = seen(after=1)
NEWS: Sequence[CrmEvent] = (
    ANSWER,
    ECHO,
    MARKED_ECHO,
    told(DeliveryState.SENT),
    told(DeliveryState.DELIVERED, after=3),
    told(DeliveryState.READ, after=4, reference=""),
    MessageEdited(
        channel_external_id="page-1", message_external_id="m-1", at=NOON + 9 * SECOND, text="Yes, we are"
    ),
)


@given(order=st.permutations(NEWS), doubled=st.sets(st.sampled_from(range(len(NEWS)))), at_once=st.booleans())
async def test_any_order_of_what_is_told_ends_in_one_row(
    order: Sequence[CrmEvent], doubled: set[int], at_once: bool
) -> None:
    """Answer, echo with and without its mark, statuses and an edit: the same row, also of doubles."""
    wanted = await begun(attempt())
    await apply(wanted, NEWS)
    records = await begun(attempt())
    events = [*order, *(NEWS[number] for number in doubled)]
    if at_once:
        await apply_events(records, [("v", event) for event in events])
    else:
        await apply(records, events)

    (row,) = ours(records.kept)
    assert row == ours(wanted.kept)[0]
    assert (row.external_id, row.attempt_id, row.sent_by) == ("m-1", "a-1", "user-1")
    assert (row.state, row.text) == (DeliveryState.READ, "Yes, we are")
    assert records.kept.conversations == wanted.kept.conversations
    assert records.kept.conversations[TALK].last_message_id == row.id


@pytest.mark.parametrize("state", [DeliveryState.UNKNOWN, DeliveryState.FAILED])
@given(news=st.lists(st.sampled_from([ANSWER, told(DeliveryState.DELIVERED)]), min_size=1))
async def test_proof_settles_whatever_was_thought_of_it(state: DeliveryState, news: list[CrmEvent]) -> None:
    """Given up, or taken for refused: the mark says that it is there."""
    records = await begun(attempt())
    await attempts.note(records, [attempt().id], state, NOON + SECOND, "code", "remedy")
    await apply(records, news)

    (row,) = ours(records.kept)
    assert (row.external_id, row.error_code, row.text) == ("m-1", "", "Yes")


async def test_a_status_alone_knows_what_it_said_and_when() -> None:
    records = await begun(attempt())

    await apply(records, [told(DeliveryState.DELIVERED)])

    (row,) = ours(records.kept)
    assert (row.is_known, row.text, row.at, row.conversation_id) == (True, "Yes", NOON, TALK)
    assert records.kept.conversations[TALK].last_message_id == row.id
    assert records.kept.conversations[TALK].unread_count == 1


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (seen(reference="", text="No"), "says something else"),
        (seen(reference="", after=-600), "was written before"),
        (seen(reference="a-9"), "bears another's mark, which nobody here gave"),
        (attrs.evolve(seen(reference=""), person=Person(external_id="bob", realm="page-1")), "to another"),
        (attrs.evolve(seen(reference=""), is_ours=False), "is theirs"),
    ],
)
async def test_what_is_another_message_settles_nothing(event: MessageSeen, why: str) -> None:
    """Without the mark it has to say the same, in the same conversation, later."""
    records = await begun(attempt())
    await attempts.note(records, [attempt().id], DeliveryState.UNKNOWN, NOON + SECOND, "code", "remedy")

    await apply(records, [event])

    assert records.kept.messages[attempt().id].state is DeliveryState.UNKNOWN, why


async def test_twins_are_settled_one_by_one_the_earlier_first() -> None:
    """Two attempts that say the same, two echoes without a mark: each takes one."""
    records = await begun(attempt("a-1"), attempt("a-2", at=NOON + SECOND))
    ids = [attempt("a-1").id, attempt("a-2").id]
    await attempts.note(records, ids, DeliveryState.UNKNOWN, NOON + SECOND, "code", "remedy")

    await apply(records, [seen("m-1", reference="", after=1), seen("m-2", reference="", after=2)])

    rows = {row.external_id: row.attempt_id for row in ours(records.kept)}
    assert rows == {"m-1": "a-1", "m-2": "a-2"}


async def test_a_twin_that_is_known_is_not_taken_for_another() -> None:
    """The first was answered; its echo comes late and must not settle the second, which never left."""
    records = await begun(attempt("a-1"))
    await apply(records, [seen("m-1", reference="a-1")])
    await attempts.begin(records, [attempt("a-2", at=NOON + SECOND)])
    await attempts.note(records, [attempt("a-2").id], DeliveryState.UNKNOWN, NOON + 2 * SECOND, "code", "")
    await apply(records, [seen("m-1", reference="")])

    assert {row.external_id: row.attempt_id for row in ours(records.kept)} == {"m-1": "a-1", "": "a-2"}


async def test_what_came_before_it_was_given_up_is_found_then() -> None:
    records = await begun(attempt())
    await apply(records, [seen(reference="")])
    assert len(ours(records.kept)) == 2, "while the call is under way nobody guesses"

    await attempts.note(records, [attempt().id], DeliveryState.UNKNOWN, NOON + SECOND, "code", "remedy")

    (row,) = ours(records.kept)
    assert (row.external_id, row.attempt_id, row.sent_by) == ("m-1", "a-1", "user-1")


async def test_an_attempt_taken_back_leaves_the_conversation_as_it_was() -> None:
    before = await begun()
    records = await begun(attempt(), attempt("a-2"))

    await attempts.drop(records, [attempt().id, attempt("a-2").id])

    assert records.kept == before.kept


async def test_noting_what_is_settled_changes_nothing() -> None:
    """Its echo was faster than the sender that gave up."""
    records = await begun(attempt())
    await apply(records, [ANSWER])
    there = copy.deepcopy(records.kept)

    await attempts.note(records, [attempt().id], DeliveryState.FAILED, NOON + SECOND, "code", "remedy")

    assert records.kept == there
    assert message_id_of("v", "m-1") in there.messages
