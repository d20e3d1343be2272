"""What becomes of a message whose answer is lost, whose process dies, or that is asked for twice."""

import asyncio
from datetime import timedelta

import pytest

from moorage.operations import outgoing
from moorage_ports.errors import UnavailableError
from moorage_ports.events import DeliveryState
from moorage_ports.operations import Role
from tests.support.answering import (
    ANSWER,
    LATER,
    TALK,
    CrashError,
    code_of,
    conversation,
    crash_at,
    hear,
    ours,
    told,
    write,
)
from tests.support.asking import headers_of
from tests.support.harbour import Harbour

# Lost answers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("keeps_marks", [True, False])
async def test_a_lost_answer_is_unknown_until_an_echo_settles_it(host: Harbour, keeps_marks: bool) -> None:
    """Never sent again; known by its mark, or by what it says where the vendor gives no mark back."""
    host.world.mail.keeps_marks = keeps_marks
    host.world.drop_answers()
    lost = await write(host, key="sunday")
    host.world.clear_up()
    again = await write(host, key="sunday")

    assert (lost.status_code, lost.json()["state"], lost.json()["errorCode"]) == (
        202,
        "unknown",
        "outcome_unknown",
    )
    assert lost.json()["error"], "says what to do"
    assert again.content == lost.content
    assert [one.record.state for one in await ours(host)] == [DeliveryState.UNKNOWN]
    await hear(host)

    (sent,) = await ours(host)
    assert (sent.record.state, sent.record.sent_by, sent.record.error_code) == (
        DeliveryState.SENT,
        "user-1",
        "",
    )
    assert sent.record.external_id in host.world.mail.letters
    assert (await conversation(host)).last_message_id == sent.record.id
    assert told(host) == [ANSWER]


async def test_a_receipt_alone_settles_it(host: Harbour) -> None:
    """Some vendors never repeat what was sent: the attempt knows what it said."""
    host.world.drop_answers()
    await write(host)
    host.world.outbox.clear()
    letter = [*host.world.mail.letters.values()][-1]
    host.world.take_note(letter.id, "arrived")
    await hear(host)

    (sent,) = await ours(host)
    assert (sent.record.external_id, sent.record.text) == (letter.id, ANSWER)
    assert (sent.record.state, sent.record.sent_by) == (DeliveryState.DELIVERED, "user-1")
    assert sent.record.at == letter.written_at


async def test_another_message_that_says_the_same_settles_nothing(
    host: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first was sent and is known; the second never left: its state must stay what it is."""
    host.world.mail.keeps_marks = False
    await write(host)
    crash_at(monkeypatch, "M1-before")
    with pytest.raises(CrashError):
        await write(host)
    host.clock.advance(LATER)
    await outgoing.give_up_on_lost(host.services)
    await hear(host)

    states = {one.record.state for one in await ours(host)}
    assert states == {DeliveryState.SENT, DeliveryState.UNKNOWN}
    assert (len(await ours(host)), told(host)) == (2, [ANSWER])


async def test_what_people_read_says_nothing_about_an_attempt(host: Harbour) -> None:
    """A read mark covers all messages up to a moment: but this one may never have come."""
    host.world.drop_answers()
    host.world.mail.keeps_marks = False
    await write(host)
    host.world.clear_up()
    host.world.outbox.clear()
    listed = await host.http.get(
        f"/crm/inbox/messages?conversationId={TALK}", headers=headers_of(host, role=Role.VIEWER)
    )

    newest = listed.json()["items"][0]
    assert (newest["state"], newest.get("externalId")) == ("unknown", None)


# The process dies -------------------------------------------------------------------------------


@pytest.mark.parametrize("keeps_marks", [True, False])
async def test_killed_between_the_call_and_its_note(
    host: Harbour, keeps_marks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message is out and nobody wrote that down: not sent twice, and found out."""
    host.world.mail.keeps_marks = keeps_marks
    crash_at(monkeypatch, "M1")
    with pytest.raises(CrashError):
        await write(host, key="sunday")
    monkeypatch.undo()

    assert code_of(await write(host, key="sunday")) == (409, "conflict")
    host.clock.advance(LATER)
    await outgoing.give_up_on_lost(host.services)
    unknown = await write(host, key="sunday")
    assert (unknown.status_code, unknown.json()["state"]) == (202, "unknown")
    await hear(host)
    settled = await write(host, key="sunday")
    assert (settled.status_code, settled.json()["state"]) == (200, "sent")
    assert [one.record.id for one in await ours(host)] == [settled.json()["id"]]
    assert told(host) == [ANSWER]


async def test_an_echo_that_came_before_anybody_knew_of_the_crash_settles_it_then(
    host: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a mark the echo of what is under way is a message of its own, until its sender is given up."""
    host.world.mail.keeps_marks = False
    crash_at(monkeypatch, "M1")
    with pytest.raises(CrashError):
        await write(host)
    await hear(host)
    host.clock.advance(LATER)
    await outgoing.give_up_on_lost(host.services)

    (sent,) = await ours(host)
    assert (sent.record.state, sent.record.sent_by) == (DeliveryState.SENT, "user-1")
    assert (await conversation(host)).last_message_id == sent.record.id


async def test_killed_before_the_call_nothing_is_sent_by_itself(
    host: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message that comes five minutes late may be worse than none: a person decides."""
    crash_at(monkeypatch, "M1-before")
    with pytest.raises(CrashError):
        await write(host)
    await outgoing.give_up_on_lost(host.services)
    assert [one.record.state for one in await ours(host)] == [DeliveryState.PENDING], "still young"
    host.clock.advance(LATER)
    for _ in range(2):
        await outgoing.give_up_on_lost(host.services)

    assert [one.record.state for one in await ours(host)] == [DeliveryState.UNKNOWN]
    assert told(host) == []


async def test_a_database_out_of_reach_after_the_call_changes_nothing(
    host: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is out, and the caller is told so; the echo writes down what the process could not."""

    async def unreachable(*_: object) -> None:
        raise UnavailableError("down")

    monkeypatch.setattr(outgoing, "apply_events", unreachable)
    answer = await write(host, key="sunday")
    monkeypatch.undo()

    assert answer.status_code in {200, 202}
    await hear(host)
    (sent,) = await ours(host)
    assert (sent.record.state, sent.record.sent_by, told(host)) == (DeliveryState.SENT, "user-1", [ANSWER])


async def test_a_process_about_to_end_sends_nothing(host: Harbour) -> None:
    host.services.background.is_draining = True

    assert code_of(await write(host)) == (503, "unavailable")
    assert (told(host), await ours(host)) == ([], [])


# Once ------------------------------------------------------------------------------------------


async def test_the_same_key_answers_the_first_result_again(host: Harbour) -> None:
    first = await write(host, key="sunday")
    again = await write(host, key="sunday")
    other = await write(host, "Something else", key="sunday")

    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert code_of(other) == (409, "idempotency_mismatch")
    assert told(host) == [ANSWER]


async def test_a_key_raced_by_many_sends_once(host: Harbour) -> None:
    answers = await asyncio.gather(*(write(host, key="sunday") for _ in range(8)))

    assert told(host) == [ANSWER]
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert len({answer.content for answer in answers if answer.status_code == 200}) == 1


async def test_a_refusal_frees_the_key_and_leaves_nothing_behind(host: Harbour) -> None:
    host.world.limit(timedelta(seconds=30))
    limited = await write(host, key="sunday")
    left = await ours(host)
    host.world.clear_up()
    sent = await write(host, key="sunday")

    assert code_of(limited) == (429, "rate_limited")
    assert limited.headers["retry-after"] == "30"
    assert left == []
    assert (sent.status_code, told(host)) == (200, [ANSWER])


async def test_what_the_vendor_does_not_want_stays_visible_as_failed(host: Harbour) -> None:
    """So that others see that there was an answer, and why it is not there."""
    host.world.refuse_notes()

    assert code_of(await write(host)) == (422, "vendor_rejected")
    (failed,) = await ours(host)
    assert (failed.record.state, failed.record.error_code) == (DeliveryState.FAILED, "vendor_rejected")
    assert failed.record.error
