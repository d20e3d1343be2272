"""Publishing over a running host, with a vendor that is slow or loses its answers: one post, and said so."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest

from tests.support.demo import DemoClient, demo_client, running_demo

pytestmark = pytest.mark.e2e

TEXT = "Twice the same"
ALBUM = [f"https://cdn.shop.example/{number}.jpg" for number in range(8)]


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[DemoClient]:
    async with running_demo(tmp_path / "data") as (_, facts), demo_client(facts) as made:
        await made.connect()
        yield made


async def _posts(client: DemoClient) -> list[Mapping[str, object]]:
    return cast("list[Mapping[str, object]]", (await client.state())["posts"])


async def _settled(client: DemoClient, publication_id: str, *, deadline: float) -> Mapping[str, object]:
    """The publication, once nothing more happens to it by itself."""
    until = time.monotonic() + deadline
    while True:
        answer = await client.call("get-publication", {"id": publication_id})
        found = cast("Mapping[str, object]", answer.json())
        if found["status"] in {"published", "failed", "withdrawn", "draft"}:
            return found
        assert time.monotonic() < until, answer.text
        await asyncio.sleep(0.5)


async def test_a_twin_whose_answer_was_lost_is_found_beside_the_first_a9(client: DemoClient) -> None:
    """A9: both stand on the Page, so neither may be told as failed; and nobody sends a third."""
    body = {"pageId": client.facts.pages[0].id, "message": TEXT, "link": "https://shop.example/spring"}
    first = await client.call("post-to-page", body)
    assert first.status_code == 200, first.text
    await client.control(
        "faults", {"match": {"method": "POST", "path": "/feed"}, "times": 1, "drop": "after"}
    )

    lost = await client.call("post-to-page", body)
    assert (lost.status_code, lost.json()["status"]) == (202, "unconfirmed")
    assert lost.json()["steps"][-1]["outcome"] == "no_answer"

    found = await _settled(client, lost.json()["id"], deadline=30)
    posts = await _posts(client)
    assert found["status"] == "published"
    assert {post["id"] for post in posts} == {first.json()["externalId"], found["externalId"]}
    assert len(posts) == 2


async def test_an_album_that_takes_longer_than_a_caller_waits_is_published_all_the_same(
    client: DemoClient,
) -> None:
    """The caller is answered within 15 s, and told that it goes on; slow is not lost."""
    await client.control("faults", {"match": {"method": "POST", "path": "/photos"}, "delayMs": 8500})
    began = time.monotonic()

    body = {"pageId": client.facts.pages[0].id, "message": "An album", "images": ALBUM}
    answer = await client.call("post-to-page", body)

    assert (answer.status_code, answer.json()["status"]) == (202, "pending")
    assert time.monotonic() - began < 16
    found = await _settled(client, answer.json()["id"], deadline=30)
    (post,) = await _posts(client)
    assert (found["status"], found["externalId"]) == ("published", post["id"])
    assert post["photos"] == ALBUM


async def test_a_slow_permalink_costs_neither_the_id_nor_the_callers_time(client: DemoClient) -> None:
    for match, delay in (({"method": "POST", "path": "/feed"}, 12_500), ({"method": "GET"}, 4_000)):
        await client.control("faults", {"match": match, "delayMs": delay})
    began = time.monotonic()

    answer = await client.call("post-to-page", {"pageId": client.facts.pages[0].id, "message": "Slow"})

    assert time.monotonic() - began < 16
    (post,) = await _posts(client)
    assert (answer.status_code, answer.json()["status"]) == (200, "published"), answer.text
    assert answer.json()["externalId"] == post["id"]


async def test_drafts_and_posts_for_later_are_kept_and_a_video_is_not_taken_yet(client: DemoClient) -> None:
    page_id = client.facts.pages[0].id
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()

    draft = await client.call("post-to-page", {"pageId": page_id, "message": "Never", "draft": True})
    planned = await client.call("post-to-page", {"pageId": page_id, "message": "Later", "publishAt": later})
    soon = await client.call(
        "post-to-page", {"pageId": page_id, "message": "Soon", "publishAt": datetime.now(UTC).isoformat()}
    )
    video = await client.call(
        "post-to-page", {"pageId": page_id, "message": "Film", "video": "https://shop.example/film.mp4"}
    )

    assert (draft.status_code, draft.json()["status"]) == (200, "draft")
    assert (planned.status_code, planned.json()["status"]) == (202, "scheduled")
    assert (soon.status_code, soon.json()["code"]) == (422, "invalid_request")
    assert "publishAt" in soon.json()["fields"]
    assert (video.status_code, video.json()["code"]) == (501, "unsupported")
    assert {post["id"] for post in await _posts(client)} == {
        draft.json()["externalId"],
        planned.json()["externalId"],
    }
    assert not any(post["live"] for post in await _posts(client))
