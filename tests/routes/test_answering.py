"""Answering in a whole host: sent once, whatever becomes of the answer, and one row whoever tells of it."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import httpx
import msgspec
import pytest

from moorage.crm.apply import apply_events
from moorage.crm.merge import direct_id_of, message_id_of, thread_id_of
from moorage.operations import outgoing
from moorage.syncing import Syncer, sync_nudge
from moorage_adapters.memory.activity_sync import person_from_memory
from moorage_adapters.memory.direct_messages import MemoryDirectMessages
from moorage_adapters.memory.letters import BY_HAND, WINDOW
from moorage_adapters.memory.things import SEND_LETTERS, WRITE_NOTES, Note, Person
from moorage_adapters.memory.world import ADA, BOOKS, CAFE
from moorage_ports.conversations import Message
from moorage_ports.crm_records import ConversationRecord
from moorage_ports.direct_messages import OutgoingMessage, ReplyWindow
from moorage_ports.errors import RateLimitError, UnavailableError
from moorage_ports.events import DeliveryState, MessageSeen, PersonLinked
from moorage_ports.integrations import IntegrationStatus
from moorage_ports.operations import Role
from tests.support.asking import headers_of
from tests.support.harbour import ADMIN, NOON, Harbour, harbour

CALL, REHEARSE = "/upstream/call/memory-provider", "/upstream/test/memory-provider"
BO = Person(id="person-2", name="Ada R.")
TALK = direct_id_of("memory", CAFE.id, person_from_memory(ADA))
ANSWER = "From ten to four."
PICTURE = {"type": "image", "url": "https://img.example/menu.jpg"}
LATER = outgoing.LOST_AFTER + timedelta(seconds=1)


class CrashError(BaseException):
    """The process dies here."""


@pytest.fixture
def url(database_kind: str, request: pytest.FixtureRequest) -> str:
    """The database that is none of the harbour's own."""
    return str(request.getfixturevalue("postgres_url")) if database_kind == "postgres" else ""


@pytest.fixture
async def host(tmp_path: Path, url: str) -> AsyncIterator[Harbour]:
    """Org A manages the café's board, on which a note hangs; Ada has just written to it."""
    async with _answering(tmp_path, url) as made:
        yield made


@pytest.fixture
async def quick(tmp_path: Path) -> AsyncIterator[Harbour]:
    """The same, where it makes no difference which database there is."""
    async with _answering(tmp_path, "") as made:
        yield made


@asynccontextmanager
async def _answering(folder: Path, url: str) -> AsyncIterator[Harbour]:
    async with harbour(folder, database_url=url) as made:
        await made.connect()
        await made.select(CAFE.id)
        for board in (CAFE, BOOKS):
            note = Note(
                id=f"note-{board.id}", board_id=board.id, text="Hi", link=None, images=(), pinned_at=NOON
            )
            made.world.notes[note.id] = note
        made.world.write_to(CAFE.id, "Do you open on Sunday?")
        await hear(made)
        made.clock.advance(timedelta(minutes=1))
        yield made


async def hear(host: Harbour) -> None:
    """Take what lies in the vendor's outbox in, and work on it."""
    await host.deliver_all()
    await host.work()


async def ask(
    host: Harbour,
    operation: str,
    body: Mapping[str, object],
    *,
    key: str | None = None,
    role: Role = Role.AGENT,
    to: str = CALL,
) -> httpx.Response:
    headers = headers_of(host, role=role) | ({} if key is None else {"idempotency-key": key})
    return await host.http.post(f"{to}/{operation}", content=msgspec.json.encode(body), headers=headers)


async def write(host: Harbour, text: str = ANSWER, *, key: str | None = None, **more: Any) -> httpx.Response:
    return await ask(host, "write", {"conversationId": TALK, "text": text, **more}, key=key)


async def comment(host: Harbour, text: str = "What does it cost?") -> str:
    """Ada writes below the café's note, and the sync reads it; the vendor's id of it."""
    remark = host.world.say(f"note-{CAFE.id}", text)
    await sync(host)
    return remark.id


async def sync(host: Harbour) -> None:
    headers = headers_of(host, role=Role.AGENT)
    assert (await host.http.post(f"{CALL}/sync", content=b"{}", headers=headers)).status_code == 200
    for _ in range(50):
        if await Syncer(host.services).look(sync_nudge(ADMIN.org_id, "memory", CAFE.id)) is None:
            return
    msg = "the sync never ends"
    raise AssertionError(msg)


async def messages(host: Harbour, conversation_id: str = TALK) -> Sequence[Message]:
    """Oldest first."""
    async with host.storage.unit_of_work(ADMIN.org_id, reads_only=True) as uow:
        found = await uow.conversations.messages(conversation_id, page=1, page_size=100)
    return tuple(reversed(found.items))


async def ours(host: Harbour, conversation_id: str = TALK) -> Sequence[Message]:
    return [one for one in await messages(host, conversation_id) if one.record.is_ours]


async def conversation(host: Harbour, conversation_id: str = TALK) -> ConversationRecord:
    async with host.storage.unit_of_work(ADMIN.org_id, reads_only=True) as uow:
        found = await uow.conversations.get(conversation_id)
    assert found is not None
    return found.record


def told(host: Harbour) -> list[str]:
    """What the board wrote to people, as they got it."""
    return [
        letter.enclosure.url if letter.enclosure else letter.text
        for letter in host.world.mail.letters.values()
        if letter.is_from_board
    ]


def code_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def crash_at(monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    """Die at a fail point: what was not committed by then never will be."""

    def die(name: str) -> None:
        if name == point:
            raise CrashError

    monkeypatch.setattr(outgoing, "fail_point", die)


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


# Comments ----------------------------------------------------------------------------------------


async def test_a_reply_stands_below_the_comment_at_once_and_after_the_next_sync(host: Harbour) -> None:
    remark = await comment(host)
    thread = thread_id_of("memory", remark)

    answer = await ask(host, "reply", {"commentId": remark, "text": ANSWER}, key="1")
    again = await ask(host, "reply", {"commentId": remark, "text": ANSWER}, key="1")

    assert answer.status_code == 200, answer.text
    assert again.content == answer.content
    assert (answer.json()["state"], answer.json()["conversationId"]) == ("sent", thread)
    (reply,) = await ours(host, thread)
    assert (reply.record.parent_external_id, reply.record.sent_by) == (remark, "user-1")
    await sync(host)
    assert [one.record.id for one in await ours(host, thread)] == [answer.json()["id"]]
    assert [one.text for one in host.world.chatter.remarks.values() if one.by is None] == [ANSWER]


@pytest.mark.parametrize("name", ["ours", "the conversation"])
async def test_a_comment_is_named_by_our_id_or_by_its_conversation(host: Harbour, name: str) -> None:
    remark = await comment(host)
    named = {
        "ours": {"commentId": message_id_of("memory", remark)},
        "the conversation": {"conversationId": thread_id_of("memory", remark)},
    }

    answer = await ask(host, "reply", {**named[name], "text": ANSWER})

    assert answer.status_code == 200, answer.text
    assert [*host.world.chatter.remarks.values()][-1].answers == remark


async def test_a_reply_whose_answer_was_lost_is_found_by_the_next_sync(host: Harbour) -> None:
    remark = await comment(host)
    thread = thread_id_of("memory", remark)
    host.world.drop_answers()
    lost = await ask(host, "reply", {"commentId": remark, "text": ANSWER})
    host.world.clear_up()

    assert (lost.status_code, lost.json()["state"]) == (202, "unknown")
    await sync(host)
    (reply,) = await ours(host, thread)
    assert (reply.record.state, reply.record.sent_by) == (DeliveryState.SENT, "user-1")
    assert len([one for one in host.world.chatter.remarks.values() if one.by is None]) == 1


async def test_a_comment_is_hidden_and_shown_again(host: Harbour) -> None:
    remark = await comment(host, "Something rude")
    thread = thread_id_of("memory", remark)
    hidden = []
    for wanted in (True, True, False):
        host.clock.advance(timedelta(seconds=1))
        answer = await ask(host, "hide", {"commentId": remark, "hidden": wanted})
        assert answer.status_code == 200, answer.text
        assert answer.json()["text"] == "Something rude"
        hidden.append((answer.json()["hidden"], host.world.chatter.remarks[remark].is_covered))
        host.clock.advance(timedelta(seconds=1))
        await sync(host)
        (row,) = await messages(host, thread)
        assert row.record.is_hidden is wanted

    assert hidden == [(True, True), (True, True), (False, False)]


async def test_a_comment_is_answered_in_private_once(host: Harbour) -> None:
    remark = await comment(host)

    answer = await ask(host, "answer-by-letter", {"commentId": remark, "text": ANSWER})
    second = await ask(host, "answer-by-letter", {"commentId": remark, "text": ANSWER})

    assert answer.status_code == 200, answer.text
    assert answer.json()["conversationId"] == TALK, "where its author is written to"
    (sent,) = await ours(host)
    assert sent.record.reply_to_external_id == remark
    assert code_of(second) == (422, "vendor_rejected")
    assert told(host) == [ANSWER]
    failed = await ours(host, thread_id_of("memory", remark))
    assert [one.record.state for one in failed] == [DeliveryState.FAILED]


async def test_a_private_answer_comes_too_late_after_a_while(host: Harbour) -> None:
    remark = await comment(host)
    host.clock.advance(BY_HAND)
    calls = host.world.calls

    late = await ask(host, "answer-by-letter", {"commentId": remark, "text": ANSWER})

    assert code_of(late) == (422, "vendor_rejected")
    assert "until 2030-06-08 12:01 UTC" in late.json()["remedy"]
    assert host.world.calls == calls


async def test_a_private_answer_proves_who_wrote_the_comment(
    host: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The vendor itself brought it to that person: so the two ids are one contact's."""
    reply_privately = MemoryDirectMessages.reply_privately

    async def under_another_id(self: MemoryDirectMessages, reply: Any) -> MessageSeen:
        seen = await reply_privately(self, reply)
        other = attrs.evolve(seen.person, external_id="person-1-by-post", realm="post")
        return attrs.evolve(seen, person=other)

    monkeypatch.setattr(MemoryDirectMessages, "reply_privately", under_another_id)
    remark = await comment(host)
    answer = await ask(host, "answer-by-letter", {"commentId": remark, "text": ANSWER})

    async with host.storage.unit_of_work(ADMIN.org_id, reads_only=True) as uow:
        talk = await uow.conversations.get(answer.json()["conversationId"])
        thread = await uow.conversations.get(thread_id_of("memory", remark))
    assert talk is not None
    assert thread is not None
    assert talk.contact_id == thread.contact_id
    said = {one.record.text for one in await messages(host, talk.record.id)}
    assert said == {"Do you open on Sunday?", ANSWER}, "and one conversation's"


async def test_a_comment_that_nobody_here_has_heard_of_needs_its_channel(host: Harbour) -> None:
    remark = host.world.say(f"note-{CAFE.id}", "Just now").id
    alone = await ask(host, "hide", {"commentId": remark})
    await host.select(CAFE.id, BOOKS.id)
    unclear = await ask(host, "reply", {"commentId": remark, "text": ANSWER})
    named = await ask(host, "reply", {"commentId": remark, "text": ANSWER, "channelId": CAFE.id})
    strange = await ask(host, "reply", {"commentId": remark, "text": ANSWER, "channelId": "board-9"})

    assert (alone.status_code, alone.json()["hidden"]) == (200, True)
    assert code_of(unclear) == (422, "invalid_request")
    assert unclear.json()["fields"].keys() == {"channelId"}
    assert named.status_code == 200, named.text
    assert code_of(strange) == (404, "not_found")
    await sync(host)
    assert len(await messages(host, thread_id_of("memory", remark))) == 2


# Who may not ------------------------------------------------------------------------------------


async def test_what_is_no_conversation_of_that_kind_is_refused(quick: Harbour) -> None:
    remark = await comment(quick)
    thread = thread_id_of("memory", remark)
    (letter,) = await messages(quick)
    asked = [
        await ask(quick, "write", {"conversationId": "cv_nothing", "text": "x"}),
        await ask(quick, "write", {"conversationId": thread, "text": "x"}),
        await ask(quick, "reply", {"conversationId": TALK, "text": "x"}),
        await ask(quick, "reply", {"commentId": letter.record.id, "text": "x"}),
        await ask(quick, "hide", {"commentId": letter.record.external_id}),
        await ask(quick, "reply", {"commentId": "ms_nothing", "text": "x"}),
        await ask(quick, "reply", {"text": "x"}),
        await ask(quick, "reply", {"commentId": remark, "conversationId": thread, "text": "x"}),
        await ask(quick, "reply", {"commentId": remark, "text": "  "}),
        await ask(quick, "write", {"conversationId": TALK, "text": " "}),
        await ask(quick, "write", {"conversationId": TALK, "attachments": [{"type": "image", "url": "x"}]}),
    ]

    assert [answer.status_code for answer in asked] == [404, 422, 422, 422, 422, 404, *[422] * 5]
    assert (told(quick), await ours(quick), await ours(quick, thread)) == ([], [], [])
    assert all(one.by is not None for one in quick.world.chatter.remarks.values())


async def test_another_orgs_conversation_is_nobodys(quick: Harbour) -> None:
    other = attrs.evolve(ADMIN, org_id="org-b", user_id="user-2")
    await quick.connect(other)
    await quick.select(CAFE.id, caller=other)
    remark = await comment(quick)
    headers = headers_of(quick, "org-b", user_id="user-2")
    calls = quick.world.calls
    for operation, body in (
        ("write", {"conversationId": TALK, "text": "x"}),
        ("reply", {"commentId": message_id_of("memory", remark), "text": "x"}),
        ("hide", {"commentId": message_id_of("memory", remark)}),
    ):
        answer = await quick.http.post(
            f"{CALL}/{operation}", content=msgspec.json.encode(body), headers=headers
        )
        assert code_of(answer) == (404, "not_found"), operation
    assert quick.world.calls == calls


async def test_only_agents_answer(quick: Harbour) -> None:
    remark = await comment(quick)
    for operation, body in (
        ("write", {"conversationId": TALK, "text": "x"}),
        ("reply", {"commentId": remark, "text": "x"}),
        ("hide", {"commentId": remark}),
        ("answer-by-letter", {"commentId": remark, "text": "x"}),
    ):
        assert (await ask(quick, operation, body, role=Role.VIEWER)).status_code == 403, operation
    assert told(quick) == []


async def test_a_rehearsal_sends_nothing(quick: Harbour) -> None:
    remark = await comment(quick)
    calls = quick.world.calls
    for operation, body in (
        ("write", {"conversationId": TALK, "text": "x"}),
        ("reply", {"commentId": remark, "text": "x"}),
        ("hide", {"commentId": remark}),
        ("answer-by-letter", {"commentId": remark, "text": "x"}),
    ):
        answer = await ask(quick, operation, body, to=REHEARSE)
        assert (answer.status_code, answer.json()["valid"]) == (200, True), answer.text
    assert (quick.world.calls, await ours(quick)) == (calls, [])
    assert not quick.world.chatter.remarks[remark].is_covered


# The grant -----------------------------------------------------------------------------------------


async def test_without_a_grant_nothing_is_sent(quick: Harbour) -> None:
    """412: the first refusal ends the integration, later ones are not even asked."""
    remark = await comment(quick)
    quick.world.revoke_grant()

    assert code_of(await write(quick)) == (412, "reconnect_required")
    assert (await quick.integration()).status is IntegrationStatus.EXPIRED
    calls = quick.world.calls
    for operation, body in (
        ("write", {"conversationId": TALK, "text": "x"}),
        ("reply", {"commentId": remark, "text": "x"}),
        ("hide", {"commentId": remark}),
        ("answer-by-letter", {"commentId": remark, "text": "x"}),
    ):
        assert code_of(await ask(quick, operation, body)) == (412, "reconnect_required"), operation
    assert quick.world.calls == calls
    await quick.connect()
    assert (await write(quick)).status_code == 200


async def test_hiding_hears_of_a_lost_grant_too(quick: Harbour) -> None:
    remark = await comment(quick)
    quick.world.revoke_grant()

    assert code_of(await ask(quick, "hide", {"commentId": remark})) == (412, "reconnect_required")
    assert (await quick.integration()).status is IntegrationStatus.EXPIRED


async def test_a_missing_scope_names_the_way_out(quick: Harbour) -> None:
    remark = await comment(quick)
    quick.world.drop_scope(SEND_LETTERS, WRITE_NOTES)
    for operation, body in (
        ("write", {"conversationId": TALK, "text": "x"}),
        ("reply", {"commentId": remark, "text": "x"}),
        ("hide", {"commentId": remark}),
        ("answer-by-letter", {"commentId": remark, "text": "x"}),
    ):
        answer = await ask(quick, operation, body)
        assert code_of(answer) == (403, "missing_scope"), operation
        assert answer.json()["remedy"]
    assert (await quick.integration()).status is IntegrationStatus.ACTIVE


async def test_a_channel_that_was_taken_hits_that_channel_only(quick: Harbour) -> None:
    quick.world.take_board(CAFE.id)

    assert code_of(await write(quick)) == (412, "reconnect_required")
    assert (await quick.integration()).status is IntegrationStatus.ACTIVE
    calls = quick.world.calls
    assert code_of(await write(quick)) == (412, "reconnect_required")
    assert quick.world.calls == calls


async def test_what_was_written_stands_in_no_log(
    quick: Harbour, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever becomes of it."""
    caplog.set_level(0)
    await write(quick, "Your code is 4711-0815")
    quick.world.drop_answers()
    await write(quick, "Your code is 4711-0815")
    quick.world.clear_up()
    quick.world.refuse_notes()
    await write(quick, "Your code is 4711-0815")
    await hear(quick)

    printed = capsys.readouterr()
    assert "4711-0815" not in caplog.text + printed.out + printed.err
