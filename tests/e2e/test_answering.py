"""Answering over a running host and the sandbox: what people write is a conversation, and answered once."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.demo import DemoClient, demo_client, running_demo

pytestmark = pytest.mark.e2e

ANSWER = "From ten to four ☕"


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[DemoClient]:
    async with running_demo(tmp_path / "data") as (_, facts), demo_client(facts) as made:
        await made.connect()
        yield made


async def _listed(
    client: DemoClient, path: str, fits: Callable[[Sequence[Mapping[str, Any]]], bool]
) -> Sequence[Mapping[str, Any]]:
    """What a list has once that fits; the workers need a moment."""
    until = time.monotonic() + 15
    while True:
        answer = await client.get(path)
        assert answer.status_code == 200, answer.text
        items: list[Mapping[str, Any]] = answer.json()["items"]
        if fits(items):
            return items
        assert time.monotonic() < until, answer.text
        await asyncio.sleep(0.05)


async def _conversation(client: DemoClient, kind: str) -> Mapping[str, Any]:
    return (await _listed(client, f"/crm/inbox/conversations?kind={kind}", bool))[0]


async def _ours(client: DemoClient, conversation_id: str, *states: str) -> Sequence[Mapping[str, Any]]:
    """Our side of a conversation, oldest first, once it stands like that."""
    path = f"/crm/inbox/messages?conversationId={conversation_id}"

    def side(items: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        return [item for item in reversed(items) if item["direction"] == "out"]

    items = await _listed(client, path, lambda items: [one["state"] for one in side(items)] == list(states))
    return side(items)


async def _sent(client: DemoClient) -> list[str]:
    """What the Page has written to people, as the sandbox has it."""
    messages: Any = (await client.state())["messages"]
    return [row["text"] for row in messages if row["direction"] == "out"]


async def test_a_message_is_answered_once_and_shows_how_far_it_got(client: DemoClient) -> None:
    await client.control("messages", {"channel": "messenger", "text": "Do you open on Sunday?"})
    talk = await _conversation(client, "direct")
    assert (talk["surface"], talk["unreadCount"]) == ("messenger", 1)

    body = {"conversationId": talk["id"], "text": ANSWER}
    answer = await client.call("send-message", body, **{"Idempotency-Key": "1"})
    again = await client.call("send-message", body, **{"Idempotency-Key": "1"})

    assert answer.status_code == 200, answer.text
    assert again.content == answer.content
    (sent,) = await _ours(client, talk["id"], "delivered")
    assert (sent["id"], sent["externalId"]) == (answer.json()["id"], answer.json()["externalId"])
    assert sent["sentBy"]
    await client.control("messages", {"channel": "messenger", "action": "read"})
    await _ours(client, talk["id"], "read")
    assert await _sent(client) == [ANSWER]

    await client.control(
        "faults", {"match": {"method": "POST", "path": "/messages"}, "times": 1, "drop": "after"}
    )
    lost = await client.call("send-message", {**body, "text": "And on Monday, too"})
    assert (lost.status_code, lost.json()["state"]) in {(202, "unknown"), (200, "sent")}, lost.text
    await _ours(client, talk["id"], "read", "delivered")
    assert await _sent(client) == [ANSWER, "And on Monday, too"]

    await client.control("clock", {"advanceSeconds": 25 * 3600})  # theirs is the clock that counts
    late = await client.call("send-message", {**body, "text": "Too late"})
    assert (late.status_code, late.json()["code"]) == (422, "vendor_rejected")
    assert late.json()["vendor"]["subcode"] == "2018278"
    await _ours(client, talk["id"], "read", "delivered", "failed")
    active = await client.get("/upstream/active/facebook")
    assert "active" in active.text, "a closed window ends no connection"


async def test_a_comment_is_answered_hidden_and_answered_in_private(client: DemoClient) -> None:
    page_id = client.facts.pages[0].id
    posted = await client.call("post-to-page", {"pageId": page_id, "message": "Spring sale"})
    assert posted.status_code == 200, posted.text
    await client.control("comments", {"pageId": page_id, "text": "What does it cost?"})
    thread = await _conversation(client, "comment")
    (asked,) = await _listed(client, f"/crm/inbox/messages?conversationId={thread['id']}", bool)

    reply = await client.call("reply-to-comment", {"conversationId": thread["id"], "text": "See inside!"})
    assert (reply.status_code, reply.json()["state"]) == (200, "sent"), reply.text
    private = await client.call("private-reply", {"commentId": asked["id"], "text": "For you: 10 off"})
    assert private.status_code == 200, private.text
    hidden = await client.call("hide-comment", {"commentId": asked["externalId"], "hidden": True})
    assert (hidden.status_code, hidden.json()["hidden"]) == (200, True), hidden.text
    twice = await client.call("private-reply", {"commentId": asked["id"], "text": "And again"})
    assert (twice.status_code, twice.json()["code"]) == (422, "vendor_rejected")

    state: Any = await client.state()
    comments = {row["text"]: row for row in state["comments"]}
    assert comments.keys() == {"What does it cost?", "See inside!"}
    assert comments["What does it cost?"]["isHidden"]
    assert await _sent(client) == ["For you: 10 off"]
    talk = await _conversation(client, "direct")
    (told,) = await _ours(client, talk["id"], "delivered")
    assert told["id"] == private.json()["id"]
    assert talk["contactId"] == thread["contactId"]
    # The webhook of our own reply, and the next sync, say the same once more.
    await client.http.post(
        f"{client.facts.host}/sync/trigger/facebook",
        json={},
        headers={"orgid": client.facts.org, "authorization": f"Bearer {client.facts.token}"},
    )
    await asyncio.sleep(1)
    ours = await _ours(client, thread["id"], "sent", "failed")
    assert [one["text"] for one in ours] == ["See inside!", "And again"]
