"""One grant, three kinds of channels: what people say on each is a conversation, and is answered as that."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.demo import DemoClient, demo_client, running_demo

pytestmark = pytest.mark.e2e

INSTAGRAM, NUMBER = "17841400008460056", "277905518032461"
ANSWERS = {"comment": "It is linen", "instagram": "From ten to four", "whatsapp": "We keep one for you"}


PAGES_ONLY = (
    *("pages_show_list", "pages_read_engagement", "pages_manage_metadata", "pages_manage_posts"),
    *("pages_read_user_content", "pages_manage_engagement", "pages_messaging", "leads_retrieval"),
)


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[DemoClient]:
    """Of an org that was connected to its Page only, and connects again."""
    async with running_demo(tmp_path / "data") as (_, facts), demo_client(facts) as made:
        await _consent(made, scopes=PAGES_ONLY)
        chosen = await made.call("select-channels", {"channels": [facts.pages[0].id]})
        assert (chosen.status_code, chosen.json()["problems"]) == (200, []), chosen.text
        assert {channel["type"] for channel in (await _listed(made)).values()} == {"page"}
        await _consent(made)
        yield made


async def _consent(client: DemoClient, **how: object) -> None:
    asked = {"returnUrl": "https://admin.example/integrations", "rerequest": True}
    begun = await client.call("get-auth-url", asked)
    assert begun.status_code == 200, begun.text
    body = {"authUrl": begun.json()["authUrl"], "decision": "grant", **how}
    back = await client.http.get((await client.control("consent", body)).json()["redirect"])
    assert "integration=connected" in back.headers["location"], back.headers["location"]


async def _conversations(client: DemoClient, count: int) -> dict[str, Mapping[str, Any]]:
    """All of them once there are so many, by what they are: comments, or the surface of messages."""
    until = time.monotonic() + 15
    while True:
        answer = await client.get("/crm/inbox/conversations")
        assert answer.status_code == 200, answer.text
        items: list[Mapping[str, Any]] = answer.json()["items"]
        if len(items) >= count:
            return {one["kind"] if one["kind"] == "comment" else one["surface"]: one for one in items}
        assert time.monotonic() < until, answer.text
        await asyncio.sleep(0.05)


async def _listed(client: DemoClient) -> dict[str, Mapping[str, Any]]:
    answer = await client.call("list-channels", {})
    assert answer.status_code == 200, answer.text
    return {channel["externalId"]: channel for channel in answer.json()["channels"]}


async def test_an_account_and_a_number_are_listened_to_and_spoken_for(client: DemoClient) -> None:
    page_id = client.facts.pages[0].id
    channels = await _listed(client)
    wanted = {page_id: "page", INSTAGRAM: "instagram", NUMBER: "whatsapp"}
    assert {key: channels[key]["type"] for key in wanted} == wanted
    assert all(channels[key]["selectable"] for key in wanted)
    assert [channels[key]["selected"] for key in wanted] == [True, False, False]

    chosen = await client.call("select-channels", {"channels": list(wanted)})
    assert chosen.status_code == 200, chosen.text
    assert (chosen.json()["problems"], len(chosen.json()["subscribed"])) == ([], 3)

    state: Any = await client.state()
    media = next(row["id"] for row in state["instagramMedia"] if row["accountId"] == INSTAGRAM)
    await client.control("comments", {"mediaId": media, "text": "What is it made of?"})
    for surface in ("instagram", "whatsapp"):
        await client.control("messages", {"channel": surface, "text": f"Hello on {surface}"})
    talks = await _conversations(client, 3)
    assert talks.keys() == ANSWERS.keys()
    assert talks["comment"]["surface"] == "instagram"

    for what, text in ANSWERS.items():
        operation = "reply-to-comment" if what == "comment" else "send-message"
        answer = await client.call(operation, {"conversationId": talks[what]["id"], "text": text})
        assert (answer.status_code, answer.json()["state"]) == (200, "sent"), answer.text
    state = await client.state()
    said = [row for row in state["instagramComments"] if row["authorId"] == INSTAGRAM]
    assert [row["text"] for row in said] == [ANSWERS["comment"]]
    sent = {row["channelId"]: row["text"] for row in state["messages"] if row["direction"] == "out"}
    assert sent == {INSTAGRAM: ANSWERS["instagram"], NUMBER: ANSWERS["whatsapp"]}
    assert len(await _conversations(client, 3)) == 3, "our own words make no conversation of their own"

    asked = await client.get(f"/crm/inbox/messages?conversationId={talks['comment']['id']}")
    comment = next(row for row in asked.json()["items"] if row["direction"] == "in")
    private = await client.call("private-reply", {"commentId": comment["id"], "text": "For you: 10 off"})
    assert private.status_code == 200, private.text
    hidden = await client.call("hide-comment", {"commentId": comment["id"], "hidden": True})
    assert hidden.status_code == 200, hidden.text
    state = await client.state()
    kept = {row["text"]: row for row in state["instagramComments"]}["What is it made of?"]
    assert (kept["isHidden"], kept["answeredPrivately"]) == (True, True)
    assert "For you: 10 off" in {row["text"] for row in state["messages"] if row["channelId"] == INSTAGRAM}

    await _only_what_suits_it(client, page_id)


async def _only_what_suits_it(client: DemoClient, page_id: str) -> None:
    """Neither posts nor syncs go where there is no such thing; and what is chosen no more is not heard."""
    unknown = await client.call("post-to-page", {"pageId": "1", "message": "Hello"})
    for channel_id in (INSTAGRAM, NUMBER):
        refused = await client.call("post-to-page", {"pageId": channel_id, "message": "Hello"})
        assert (refused.status_code, refused.json()["code"]) == (404, unknown.json()["code"]), refused.text
    synced = (await client.get("/sync/status")).json()
    assert {row["channel"]["externalId"] for row in synced["channels"]} == {page_id, INSTAGRAM}
    assert synced["failing"] == 0

    await client.call("select-channels", {"channels": [INSTAGRAM]})
    state: Any = await client.state()
    assert [row["pageId"] for row in state["subscriptions"]] == [page_id], "the account hangs on it"
    assert not any(row["appIds"] for row in state["whatsappAccounts"])
    await client.call("select-channels", {"channels": []})
    state = await client.state()
    assert state["subscriptions"] == []
