"""kill -9 around the one call that publishes: the post goes out once or not at all, and we find out which."""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import httpx
import pytest

from tests.support.demo import DemoClient, DemoProcess, demo_client

pytestmark = pytest.mark.chaos

TEXT = "Fresh scones, sent while the power failed"


@pytest.mark.parametrize(
    ("point", "posts", "status"), [("P10-before", 0, "unconfirmed"), ("P10", 1, "published")]
)
async def test_a_post_is_never_doubled_when_its_process_dies_10(
    tmp_path: Path, point: str, posts: int, status: str
) -> None:
    """P10: killed before or after the call; the caller repeats itself with its key; one post or none."""
    demo = DemoProcess(data=tmp_path / "data")
    try:
        facts = await demo.start()
        async with demo_client(facts) as client:
            await client.connect()
        await demo.kill()
        facts = await demo.start({"MOORAGE_FAIL_POINT": point})
        body = {"pageId": facts.pages[0].id, "message": TEXT}
        key = {"Idempotency-Key": "the-one-post"}
        async with demo_client(facts) as client:
            with pytest.raises(httpx.TransportError):
                await client.call("post-to-page", body, **key)
        await demo.wait_dead()

        facts = await demo.start()
        async with demo_client(facts) as client:
            assert await _posts(client) == posts
            await _wait_for(client, body, key, status=status, deadline=90)
            assert await _posts(client) == posts, "it is looked for, never sent again"
    finally:
        await demo.kill()


async def test_a_post_that_was_not_begun_is_published_after_the_restart_10(tmp_path: Path) -> None:
    """P10: killed before the note that the call begins; nothing was sent, so it is sent, once."""
    demo = DemoProcess(data=tmp_path / "data")
    try:
        facts = await demo.start()
        async with demo_client(facts) as client:
            await client.connect()
        await demo.kill()
        facts = await demo.start({"MOORAGE_FAIL_POINT": "P10-prepared"})
        body = {"pageId": facts.pages[0].id, "message": TEXT}
        key = {"Idempotency-Key": "the-one-post"}
        async with demo_client(facts) as client:
            with pytest.raises(httpx.TransportError):
                await client.call("post-to-page", body, **key)
        await demo.wait_dead()

        facts = await demo.start()
        async with demo_client(facts) as client:
            assert await _posts(client) == 0
            await _wait_for(client, body, key, status="published", deadline=120)
            assert await _posts(client) == 1
    finally:
        await demo.kill()


async def _posts(client: DemoClient) -> int:
    """How often the text stands on the vendor's pages."""
    state = await client.state()
    posts = cast("list[dict[str, object]]", state["posts"])
    return sum(post.get("message") == TEXT for post in posts)


async def _wait_for(
    client: DemoClient, body: Mapping[str, object], key: Mapping[str, str], *, status: str, deadline: float
) -> None:
    """Repeat the call with its key until it says `status`; before that it is still at it, or unconfirmed."""
    until = time.monotonic() + deadline
    answer = await client.call("post-to-page", body, **key)
    while answer.json().get("status") != status:
        assert answer.status_code in {202, 409}, answer.text
        assert time.monotonic() < until, answer.text
        await asyncio.sleep(0.5)
        answer = await client.call("post-to-page", body, **key)
