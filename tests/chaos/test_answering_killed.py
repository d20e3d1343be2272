"""kill -9 around the one call that sends a message: it goes out once or not at all, and we find out which."""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.demo import DemoClient, DemoProcess, demo_client

pytestmark = pytest.mark.chaos

TEXT = "We open at ten, said while the power failed"
KEY = {"Idempotency-Key": "the-one-answer"}


@pytest.mark.parametrize(
    ("point", "messages", "state"), [("M1-before", 0, "pending"), ("M1", 1, "delivered")]
)
async def test_a_message_is_never_doubled_when_its_process_dies_10(
    tmp_path: Path, point: str, messages: int, state: str
) -> None:
    """Killed after the call, the echo settles it; killed before, nobody sends it by itself."""
    demo = DemoProcess(data=tmp_path / "data")
    try:
        facts = await demo.start()
        async with demo_client(facts) as client:
            await client.connect()
            await client.control("messages", {"channel": "messenger", "text": "When do you open?"})
            talk = await _conversation(client)
        await demo.kill()
        facts = await demo.start({"MOORAGE_FAIL_POINT": point})
        body = {"conversationId": talk, "text": TEXT}
        async with demo_client(facts) as client:
            with pytest.raises(httpx.TransportError):
                await client.call("send-message", body, **KEY)
        await demo.wait_dead()

        facts = await demo.start()
        async with demo_client(facts) as client:
            ours = await _ours(client, talk, state)
            assert await _sent(client) == messages
            answer = await client.call("send-message", body, **KEY)
            assert answer.status_code in {200, 202, 409}, answer.text
            assert (await _ours(client, talk, state))["id"] == ours["id"]
            assert await _sent(client) == messages, "the key was used, so it is not sent again"
    finally:
        await demo.kill()


async def _conversation(client: DemoClient) -> str:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        items = (await client.get("/crm/inbox/conversations?kind=direct")).json()["items"]
        if items:
            return str(items[0]["id"])
        await asyncio.sleep(0.1)
    msg = "the message never became a conversation"
    raise AssertionError(msg)


async def _ours(client: DemoClient, conversation_id: str, state: str) -> Mapping[str, Any]:
    """The one message of ours, once it is in that state."""
    until = time.monotonic() + 60
    while True:
        answer = await client.get(f"/crm/inbox/messages?conversationId={conversation_id}")
        ours = [item for item in answer.json()["items"] if item["direction"] == "out"]
        if [one["state"] for one in ours] == [state]:
            return dict(ours[0])
        assert time.monotonic() < until, answer.text
        await asyncio.sleep(0.2)


async def _sent(client: DemoClient) -> int:
    """How often the text reached somebody."""
    messages: Any = (await client.state())["messages"]
    return sum(row["direction"] == "out" and row["text"] == TEXT for row in messages)
