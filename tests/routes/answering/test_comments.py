"""Comments are answered, hidden and answered in private."""

from datetime import timedelta
from typing import Any

import attrs
import pytest

from moorage.crm.merge import message_id_of, thread_id_of
from moorage_adapters.memory.direct_messages import MemoryDirectMessages
from moorage_adapters.memory.letters import BY_HAND
from moorage_adapters.memory.world import BOOKS, CAFE
from moorage_ports.events import DeliveryState, MessageSeen
from tests.support.answering import ANSWER, TALK, ask, code_of, comment, messages, ours, sync, told
from tests.support.harbour import ADMIN, Harbour

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
