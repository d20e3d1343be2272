"""Somebody asks a running vendor to have their data deleted, and a running host does it."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from tests.support.demo import DemoClient, demo_client, running_demo

pytestmark = pytest.mark.e2e


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[DemoClient]:
    async with running_demo(tmp_path / "data") as (_, facts), demo_client(facts) as made:
        await made.connect()
        yield made


async def _eventually(look: Callable[[], Awaitable[Any]], *, deadline: float) -> Any:
    until = time.monotonic() + deadline
    while time.monotonic() < until:
        found = await look()
        if found:
            return found
        await asyncio.sleep(0.1)
    msg = "it did not happen in time"
    raise AssertionError(msg)


async def test_who_asks_the_vendor_is_forgotten_and_can_see_it_m2(client: DemoClient) -> None:
    """M2: answered as Meta wants it, looked at without signing in, done within a minute."""
    asked = await client.control("data-deletion", {})
    assert len(asked.json()["deliveries"]) == 1, asked.text

    async def answered() -> Any:
        state: Any = await client.state()
        notices = [each for each in state["webhooks"] if each["topic"] == "data_deletion"]
        return [attempt for each in notices for attempt in each["attempts"]]

    (attempt,) = await _eventually(answered, deadline=10)
    assert attempt["status"] == 200
    told = msgspec.json.decode(attempt["answer"], type=dict[str, str])
    assert set(told) == {"url", "confirmation_code"}
    assert told["confirmation_code"].isalnum()
    assert told["url"].startswith(client.facts.host)

    async with httpx.AsyncClient(trust_env=False) as anybody:

        async def done() -> bool:
            seen = await anybody.get(told["url"])
            assert seen.status_code == 200, seen.text
            assert seen.json()["code"] == told["confirmation_code"]
            return bool(seen.json()["status"] == "done")

        assert await _eventually(done, deadline=60)
        page = await anybody.get(told["url"], headers={"accept": "text/html"})
    assert "was deleted" in page.text
    answer = await client.get("/upstream/active/facebook")
    (card,) = answer.json()["integrations"]
    assert card["status"] == "expired"
