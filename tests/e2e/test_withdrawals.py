"""Somebody removes the app at a running vendor, and a running host hears of it."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.demo import DemoClient, demo_client, running_demo

pytestmark = pytest.mark.e2e


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[DemoClient]:
    async with running_demo(tmp_path / "data") as (_, facts), demo_client(facts) as made:
        await made.connect()
        yield made


async def _integration(client: DemoClient) -> dict[str, Any]:
    answer = await client.get("/upstream/active/facebook")
    assert answer.status_code == 200, answer.text
    cards: list[dict[str, Any]] = answer.json()["integrations"]
    (card,) = cards
    return card


async def _answers(client: DemoClient, *, deadline: float) -> list[int]:
    """What the host answered to the sandbox's notices, once it did."""
    until = time.monotonic() + deadline
    while time.monotonic() < until:
        state: Any = await client.state()
        notices = [each for each in state["webhooks"] if each["topic"] == "deauthorize"]
        if notices and all(each["attempts"] for each in notices):
            return [attempt["status"] for each in notices for attempt in each["attempts"]]
        await asyncio.sleep(0.05)
    msg = "the sandbox's notice got no answer"
    raise AssertionError(msg)


async def test_who_removes_the_app_is_gone_at_once_and_comes_back_m1(client: DemoClient) -> None:
    """M1: with the answer to the notice the integration is expired; connecting again restores all of it."""
    post = {"pageId": client.facts.pages[0].id, "message": "Open as usual"}
    before = await _integration(client)

    revoked = await client.control("revoke", {})
    assert len(revoked.json()["deliveries"]) == 1, revoked.text
    assert await _answers(client, deadline=10) == [200]
    assert (await _integration(client))["status"] == "expired"
    refused = await client.call("post-to-page", post)
    assert (refused.status_code, refused.json()["code"]) == (412, "reconnect_required")
    assert (await client.state())["posts"] == []

    await client.connect()
    after = await _integration(client)
    posted = await client.call("post-to-page", post)

    assert (after["id"], after["status"]) == (before["id"], "active")
    assert (posted.status_code, posted.json()["status"]) == (200, "published"), posted.text
