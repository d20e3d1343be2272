"""Messages to people: sent once, whoever tells of them ends on one row, and never outside their window."""

import asyncio
from datetime import timedelta

import pytest

from moorage.crm.apply import apply_events
from moorage.crm.merge import direct_id_of, message_id_of
from moorage.operations import outgoing
from moorage_adapters.memory.activity_sync import person_from_memory
from moorage_adapters.memory.direct_messages import MemoryDirectMessages
from moorage_adapters.memory.letters import BY_HAND, WINDOW
from moorage_adapters.memory.things import Person
from moorage_adapters.memory.world import ADA, CAFE
from moorage_ports.direct_messages import OutgoingMessage, ReplyWindow
from moorage_ports.errors import RateLimitError
from moorage_ports.events import DeliveryState, MessageSeen, PersonLinked
from tests.support.answering import (
    ANSWER,
    PICTURE,
    REHEARSE,
    TALK,
    ask,
    code_of,
    conversation,
    hear,
    messages,
    ours,
    told,
    write,
)
from tests.support.harbour import ADMIN, NOON, Harbour

BO = Person(id="person-2", name="Ada R.")


# A message ----------------------------------------------------------------------------------------


async def test_a_message_is_sent_once_and_stands_in_its_conversation(host: Harbour) -> None:
    answer = await write(host)

    assert answer.status_code == 200, answer.text
    assert told(host) == [ANSWER]
    view = answer.json()
    (sent,) = await ours(host)
    assert view["id"] == sent.record.id == message_id_of("memory", view["externalId"])
    assert (view["direction"], view["state"], view["text"]) == ("out", "sent", ANSWER)
    assert view["conversationId"] == TALK
    assert view["author"]["name"] == CAFE.name
    assert sent.record.sent_by == "user-1"
    talk = await conversation(host)
    assert talk.last_message_id == sent.record.id
    assert talk.unread_count == 1, "an answer does not say that the question was read"


async def test_the_echo_and_every_receipt_end_on_the_same_row(host: Harbour) -> None:
    letter_id = (await write(host)).json()["externalId"]
    await hear(host)
    rows = await ours(host)
    for what in ("arrived", "opened", "arrived"):
        host.clock.advance(timedelta(seconds=1))
        host.world.take_note(letter_id, what)
        await hear(host)
        rows = [*rows, *await ours(host)]

    assert [row.record.state for row in rows] == [
        DeliveryState.SENT,
        DeliveryState.DELIVERED,
        DeliveryState.READ,
        DeliveryState.READ,
    ]
    assert {row.record.sent_by for row in rows} == {"user-1"}


async def test_a_letter_that_comes_back_has_failed_and_says_why(host: Harbour) -> None:
    letter_id = (await write(host)).json()["externalId"]
    host.world.take_note(letter_id, "returned")
    await hear(host)

    (sent,) = await ours(host)
    assert (sent.record.state, sent.record.error_code) == (DeliveryState.FAILED, "returned")


@pytest.mark.parametrize("keeps_marks", [True, False])
async def test_an_echo_may_come_before_the_answer(
    host: Harbour, keeps_marks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The vendor's news overtakes its own answer: one row all the same, and it is known who wrote it."""
    host.world.mail.keeps_marks = keeps_marks
    send = MemoryDirectMessages.send

    async def overtaken(self: MemoryDirectMessages, message: OutgoingMessage) -> MessageSeen:
        seen = await send(self, message)
        await hear(host)
        return seen

    monkeypatch.setattr(MemoryDirectMessages, "send", overtaken)

    answer = await write(host)

    assert answer.json()["state"] == "sent"
    (sent,) = await ours(host)
    assert sent.record.external_id == answer.json()["externalId"]
    assert (sent.record.sent_by, sent.record.state) == ("user-1", DeliveryState.SENT)
    assert (await conversation(host)).last_message_id == sent.record.id


async def test_while_it_is_under_way_everybody_can_see_it(
    host: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And whoever does not want to wait is answered before the vendor is."""
    may_answer, seen_meanwhile = asyncio.Event(), []
    send = MemoryDirectMessages.send

    async def slow(self: MemoryDirectMessages, message: OutgoingMessage) -> MessageSeen:
        await may_answer.wait()
        return await send(self, message)

    monkeypatch.setattr(MemoryDirectMessages, "send", slow)
    monkeypatch.setattr(outgoing, "BUDGET", timedelta(seconds=0.05))

    answer = await write(host, key="sunday")
    seen_meanwhile = [(one.record.state, one.record.text) for one in await ours(host)]
    may_answer.set()
    await host.services.background.drain()

    assert (answer.status_code, answer.json()["state"]) == (202, "pending")
    assert seen_meanwhile == [(DeliveryState.PENDING, ANSWER)]
    (sent,) = await ours(host)
    assert (sent.record.state, told(host)) == (DeliveryState.SENT, [ANSWER])


async def test_words_and_pictures_are_parts_with_a_state_each(host: Harbour) -> None:
    answer = await write(host, attachments=[PICTURE, PICTURE])

    assert answer.status_code == 200, answer.text
    assert told(host) == [ANSWER, PICTURE["url"], PICTURE["url"]]
    parts = answer.json()["parts"]
    assert [part["state"] for part in parts] == ["sent"] * 3
    assert parts[0]["id"] == answer.json()["id"]
    assert {part["id"] for part in parts} == {one.record.id for one in await ours(host)}
    await hear(host)
    assert len(await ours(host)) == 3


async def test_a_part_that_is_refused_keeps_those_behind_it_back(
    host: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is out is out; the rest says of itself that it is not."""
    send, calls = MemoryDirectMessages.send, 0

    async def limited(self: MemoryDirectMessages, message: OutgoingMessage) -> MessageSeen:
        nonlocal calls
        calls += 1
        if calls == 2:
            msg = "too much"
            raise RateLimitError(msg, vendor="memory", retry_after=timedelta(minutes=1))
        return await send(self, message)

    monkeypatch.setattr(MemoryDirectMessages, "send", limited)

    answer = await write(host, attachments=[PICTURE, PICTURE])

    assert (answer.status_code, answer.json()["state"]) == (200, "sent")
    parts = answer.json()["parts"]
    assert [(part["state"], part.get("errorCode")) for part in parts] == [
        ("sent", None),
        ("failed", "rate_limited"),
        ("failed", "not_sent"),
    ]
    assert (told(host), calls) == ([ANSWER], 2)


async def test_an_answer_to_one_message_names_it(host: Harbour) -> None:
    (asked,) = await messages(host)

    await write(host, replyToMessageId=asked.record.id)

    (sent,) = await ours(host)
    assert sent.record.reply_to_external_id == asked.record.external_id
    strange = await write(host, replyToMessageId="ms_nothing")
    assert strange.json()["fields"].keys() == {"replyToMessageId"}


# The window ----------------------------------------------------------------------------------------


async def test_a_closed_window_is_refused_before_the_vendor_is_asked(host: Harbour) -> None:
    """And says until when it was open; a program's closes before a person's."""
    host.clock.advance(NOON + WINDOW - host.clock.now())
    calls = host.world.calls
    by_program = await write(host)
    rehearsed = await ask(host, "write", {"conversationId": TALK, "text": "x"}, to=REHEARSE)

    assert code_of(by_program) == code_of(rehearsed) == (422, "vendor_rejected")
    assert "until 2030-06-02 12:00 UTC" in by_program.json()["remedy"]
    assert "until 2030-06-08 12:00 UTC" in by_program.json()["remedy"]
    assert (host.world.calls, await ours(host)) == (calls, [])

    assert (await write(host, byHand=True)).status_code == 200, "a person wrote it"
    host.clock.advance(NOON + BY_HAND - host.clock.now())
    calls = host.world.calls
    late = await write(host, byHand=True)
    assert code_of(late) == (422, "vendor_rejected")
    assert "until 2030-06-08 12:00 UTC" in late.json()["remedy"]
    assert host.world.calls == calls

    host.world.write_to(CAFE.id, "Hello?")
    await hear(host)
    assert (await write(host)).status_code == 200, "opened again"


async def test_the_window_of_somebody_with_two_ids_opens_with_either(host: Harbour) -> None:
    """And the answer goes to the id that they wrote under last."""
    host.clock.advance(NOON + BY_HAND - host.clock.now())
    assert code_of(await write(host, byHand=True)) == (422, "vendor_rejected")
    host.world.people[BO.id] = BO
    host.world.write_to(CAFE.id, "It is me again.", by=BO)
    await hear(host)
    one, other = person_from_memory(ADA), person_from_memory(BO)
    link = PersonLinked(channel_external_id=CAFE.id, persons=(one, other), at=host.clock.now())
    async with host.storage.unit_of_work(ADMIN.org_id) as uow:
        await apply_events(uow.crm_records, [("memory", link)])

    talks = (direct_id_of("memory", CAFE.id, person) for person in (one, other))
    (talk,) = [key for key in talks if await messages(host, key)]
    host.clock.advance(timedelta(minutes=1))
    sent = await ask(host, "write", {"conversationId": talk, "text": ANSWER})

    assert sent.status_code == 200, sent.text
    assert [one.record.text for one in await messages(host, talk)][-2:] == ["It is me again.", ANSWER]
    (letter,) = [one for one in host.world.mail.letters.values() if one.is_from_board]
    assert letter.person.id == BO.id


async def test_where_waiting_does_not_help_the_vendors_own_remedy_is_told(
    host: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A group, say, that may be read and not written into."""
    monkeypatch.setattr(
        MemoryDirectMessages, "window", lambda *_: ReplyWindow(remedy="Answer in the hall itself.")
    )
    calls = host.world.calls

    refused = await write(host, byHand=True)

    assert code_of(refused) == (422, "vendor_rejected")
    assert refused.json()["remedy"] == "Answer in the hall itself."
    assert host.world.calls == calls
