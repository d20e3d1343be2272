"""`/sync/…`: who may start a sync, hold it back, and what everybody sees of it."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import attrs
import httpx
import pytest
from sqlalchemy import text

from moorage.syncing import Syncer, sync_nudge
from moorage_adapters.memory.activity_sync import MemoryActivitySync
from moorage_adapters.memory.things import Note
from moorage_adapters.memory.world import BOOKS, CAFE
from moorage_ports.activity_sync import ActivityPiece
from moorage_ports.operations import Role
from moorage_ports.plugin import Vendor, hookimpl
from tests.support.asking import headers_of
from tests.support.harbour import ADMIN, NOON, Harbour, harbour


class Mute:
    """A vendor without activity."""

    @hookimpl
    def moorage_vendor(self) -> Vendor:
        return Vendor(slug="mute", title="Mute", settings=_NoApp)


@attrs.frozen
class _NoApp:
    def app(self) -> None:
        return None


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Harbour]:
    async with harbour(tmp_path, Mute()) as made:
        await made.connect()
        await made.select(CAFE.id, BOOKS.id)
        made.world.notes["note-1"] = Note(
            id="note-1", board_id=CAFE.id, text="Hi", link=None, images=(), pinned_at=NOON
        )
        yield made


async def ask(
    host: Harbour, method: str, path: str, *, role: Role = Role.ADMIN, org_id: str = "org-a", **body: object
) -> httpx.Response:
    headers = headers_of(host, org_id, role=role)
    return await host.http.request(method, path, headers=headers, json=body or None)


async def work(host: Harbour, board_id: str = CAFE.id) -> None:
    await Syncer(host.services).look(sync_nudge(ADMIN.org_id, "memory", board_id))


async def test_a_trigger_starts_every_selected_channel(host: Harbour) -> None:
    host.world.say("note-1", "Hello")
    answer = await ask(host, "POST", "/sync/trigger", platform="memory")

    assert answer.status_code == 202, answer.text
    channels = answer.json()["channels"]
    assert [line["channel"]["externalId"] for line in channels] == [CAFE.id, BOOKS.id]
    assert all(line["running"] and not line["paused"] for line in channels)
    await work(host)
    status = (await ask(host, "GET", "/sync/status")).json()
    assert (status["running"], status["paused"], status["failing"]) == (1, 0, 0)
    cafe = next(line for line in status["channels"] if line["channel"]["externalId"] == CAFE.id)
    assert (cafe["running"], cafe["items"], cafe["calls"], cafe["progress"]) == (False, 1, 1, 1.0)
    assert cafe["lastSuccessAt"] == cafe["startedAt"] == "2030-06-01T12:00:00Z"


async def test_a_run_that_just_ended_is_started_again_when_asked_for(host: Harbour) -> None:
    """The schedule would not; a person does not want to wait for it."""
    await ask(host, "POST", "/sync/trigger/memory")
    await work(host)
    host.world.say("note-1", "Just now")
    await work(host)
    assert (await ask(host, "GET", "/sync/status")).json()["channels"][0]["items"] == 0
    await ask(host, "POST", "/sync/trigger/memory")
    await work(host)
    assert (await ask(host, "GET", "/sync/status")).json()["channels"][0]["items"] == 1


@pytest.mark.parametrize("path", ["/sync/trigger/memory", "/api/sync/trigger/memory"])
async def test_the_platform_may_stand_in_the_path(host: Harbour, path: str) -> None:
    answer = await ask(host, "POST", path)
    assert answer.status_code == 202
    assert len(answer.json()["channels"]) == 2


async def test_some_channels_only_by_either_id(host: Harbour) -> None:
    ours = (await host.channels()).channels[0].id
    for name in (CAFE.id, ours):
        answer = await ask(host, "POST", "/sync/trigger", platform="memory", channels=[name])
        assert [line["channel"]["externalId"] for line in answer.json()["channels"]] == [CAFE.id]
    refused = await ask(host, "POST", "/sync/trigger", platform="memory", channels=[CAFE.id, "board-3"])
    assert refused.status_code == 422
    assert refused.json()["fields"] == {"channels[1]": "no selected channel of this organisation"}


@pytest.mark.parametrize(
    ("missing", "refusal"), [((), (412, "reconnect_required")), (("read",), (403, "missing_scope"))]
)
async def test_a_channel_that_cannot_be_read_is_not_said_to_run(
    host: Harbour, missing: tuple[str, ...], refusal: tuple[int, str]
) -> None:
    """Named, it is refused with what to do; among all of them it is left out; its run does not go on."""
    await ask(host, "POST", "/sync/trigger", platform="memory", channels=[CAFE.id])
    assert (await ask(host, "GET", "/sync/status")).json()["running"] == 1
    async with host.storage.unit_of_work(ADMIN.org_id) as uow:
        cafe = await uow.integrations.channel("memory", CAFE.id)
        assert cafe is not None
        broken = attrs.evolve(cafe, selectable=False, reason="Ask the mayor.", missing_scopes=missing)
        await uow.integrations.save_channels([broken])

    refused = await ask(host, "POST", "/sync/trigger", platform="memory", channels=[BOOKS.id, CAFE.id])
    assert (refused.status_code, refused.json()["code"]) == refusal
    assert refused.json()["remedy"] == "Ask the mayor."
    assert (await ask(host, "GET", "/sync/status")).json()["running"] == 0
    others = await ask(host, "POST", "/sync/trigger", platform="memory")
    assert [line["channel"]["externalId"] for line in others.json()["channels"]] == [BOOKS.id]


@pytest.mark.parametrize("sync_type", ["activity", "posts", ["posts", "comments"], []])
async def test_the_platforms_words_for_it_are_taken(host: Harbour, sync_type: object) -> None:
    answer = await ask(host, "POST", "/sync/trigger", platform="memory", syncType=sync_type)
    assert answer.status_code == 202, answer.text


async def test_what_of_the_platforms_own_body_is_not_synced_is_said_and_the_rest_is(host: Harbour) -> None:
    """Callers ask for everything of a platform; that ads are not read must not cost them the posts."""
    options = {"startDate": "2030-04-01T00:00:00Z", "force": True}
    answer = await ask(
        host, "POST", "/sync/trigger", platform="memory", syncType=["posts", "ads-metrics"], options=options
    )
    assert answer.status_code == 202, answer.text
    assert (len(answer.json()["channels"]), answer.json()["skipped"]) == (2, ["ads-metrics"])
    assert (await ask(host, "POST", "/sync/trigger/memory")).json()["skipped"] == []


@pytest.mark.parametrize("prefix", ["", "/api"])
async def test_the_kind_may_stand_in_the_path_too(host: Harbour, prefix: str) -> None:
    path = f"{prefix}/sync/trigger/memory"
    answer = await ask(host, "POST", f"{path}/posts", channels=[CAFE.id])
    assert answer.status_code == 202, answer.text
    assert [line["channel"]["externalId"] for line in answer.json()["channels"]] == [CAFE.id]
    assert (await ask(host, "POST", f"{path}/posts", syncType="posts")).status_code == 202
    for refused in (
        await ask(host, "POST", f"{path}/ads-metrics"),
        await ask(host, "POST", f"{path}/posts", syncType=["comments"]),
    ):
        assert refused.status_code == 422
        assert "syncType" in refused.json()["fields"]
    assert (await ask(host, "POST", f"{path}/posts", role=Role.VIEWER)).status_code == 403


async def test_what_is_not_synced_is_refused(host: Harbour) -> None:
    for body, status in (
        ({"platform": "memory", "syncType": "ads-metrics"}, 422),
        ({"platform": "memory", "syncType": ["ads-metrics", "insights"]}, 422),
        ({"platform": "memory", "syncType": 7}, 422),
        ({"platform": "memory", "syncType": ["posts", "x" * 65]}, 422),
        ({"platform": "memory", "surprise": True}, 422),
        ({"platform": "memory", "options": {"startDate": "yesterday"}}, 422),
        ({"platform": ""}, 422),
        ({"platform": "nobody"}, 404),
        ({"platform": "mute"}, 501),
        ({}, 422),
    ):
        answer = await ask(host, "POST", "/sync/trigger", **body)
        assert answer.status_code == status, (body, answer.text)
        assert answer.json()["remedy"]


async def test_a_first_run_may_begin_at_a_date_and_a_forced_one_begins_anew(host: Harbour) -> None:
    host.world.say("note-1", "Long ago")
    host.clock.advance(timedelta(days=2))
    host.world.say("note-1", "Yesterday")
    start = "2030-06-02T00:00:00Z"
    await ask(host, "POST", "/sync/trigger", platform="memory", options={"startDate": start})
    await work(host)
    assert (await ask(host, "GET", "/sync/status")).json()["channels"][0]["items"] == 1

    await ask(host, "POST", "/sync/trigger", platform="memory", options={"force": True})
    await work(host)
    assert (await ask(host, "GET", "/sync/status")).json()["channels"][0]["items"] == 2


# Holding back ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["memory", CAFE.id])
async def test_what_is_paused_is_not_read_until_resumed(host: Harbour, name: str) -> None:
    host.world.say("note-1", "Hello")
    answer = await ask(host, "POST", f"/sync/pause/{name}")
    assert answer.status_code == 200
    assert all(line["paused"] for line in answer.json()["channels"])
    calls = host.world.calls
    triggered = await ask(host, "POST", "/sync/trigger", platform="memory", channels=[CAFE.id])
    assert (triggered.json()["channels"][0]["paused"], triggered.json()["channels"][0]["running"]) == (
        True,
        False,
    )
    await work(host)
    assert host.world.calls == calls
    status = (await ask(host, "GET", "/sync/status")).json()
    assert status["paused"] == (2 if name == "memory" else 1)

    assert (await ask(host, "POST", f"/sync/resume/{name}")).status_code == 200
    await work(host)
    assert (await ask(host, "GET", "/sync/status")).json()["channels"][0]["items"] == 1


async def test_a_channel_selected_later_is_paused_with_its_platform(host: Harbour) -> None:
    await host.select(CAFE.id)
    await ask(host, "POST", "/sync/pause/memory")
    await host.select(CAFE.id, BOOKS.id)
    status = (await ask(host, "GET", "/sync/status")).json()
    assert [line["paused"] for line in status["channels"]] == [True, True]


async def test_a_run_under_way_ends_with_its_piece_and_goes_on_from_there(
    host: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody pauses the channel while its first piece is being read."""
    for number in range(9):
        host.world.say("note-1", f"Remark {number}")
    whole = MemoryActivitySync.activity

    async def meanwhile_paused(
        sync: MemoryActivitySync, channel: str, *, checkpoint: str = "", since: datetime | None = None
    ) -> ActivityPiece:
        await ask(host, "POST", f"/sync/pause/{CAFE.id}")
        return await whole(sync, channel, checkpoint=checkpoint, since=since)

    with monkeypatch.context() as patched:
        patched.setattr(MemoryActivitySync, "activity", meanwhile_paused)
        await work(host)
    seen = (await ask(host, "GET", "/sync/status")).json()["channels"][0]
    assert (seen["running"], seen["paused"]) == (True, True)
    assert 0 < seen["items"] < 9

    await ask(host, "POST", f"/sync/resume/{CAFE.id}")
    await work(host)
    seen = (await ask(host, "GET", "/sync/status")).json()["channels"][0]
    assert (seen["running"], seen["items"]) == (False, 9)


async def test_nothing_is_called_that(host: Harbour) -> None:
    for name in ("nobody", "mute", "board-3", "x" * 300, "%00", "..%2f"):
        for action in ("pause", "resume"):
            answer = await ask(host, "POST", f"/sync/{action}/{name}")
            assert answer.status_code == 404, (name, answer.text)


# Who sees and may what -----------------------------------------------------------------------------


async def test_roles(host: Harbour) -> None:
    """A viewer looks, an agent starts, an admin holds back."""
    for method, path, role, status in (
        ("GET", "/sync/status", Role.VIEWER, 200),
        ("GET", "/sync/platforms", Role.VIEWER, 200),
        ("POST", "/sync/trigger/memory", Role.VIEWER, 403),
        ("POST", "/sync/trigger/memory", Role.AGENT, 202),
        ("POST", "/sync/pause/memory", Role.AGENT, 403),
        ("POST", "/sync/resume/memory", Role.AGENT, 403),
        ("POST", "/sync/pause/memory", Role.ADMIN, 200),
        ("POST", "/sync/resume/memory", Role.ADMIN, 200),
    ):
        assert (await ask(host, method, path, role=role)).status_code == status, (path, role)


async def test_another_org_sees_and_starts_nothing_of_ours(host: Harbour) -> None:
    await ask(host, "POST", "/sync/trigger/memory")
    assert (await ask(host, "GET", "/sync/status", org_id="org-b")).json()["channels"] == []
    started = await ask(host, "POST", "/sync/trigger/memory", org_id="org-b")
    assert (started.status_code, started.json()["code"]) == (412, "not_connected")
    assert (await ask(host, "POST", f"/sync/pause/{CAFE.id}", org_id="org-b")).status_code == 404


async def test_platforms_are_those_that_can_be_synced(host: Harbour) -> None:
    await ask(host, "POST", f"/sync/pause/{BOOKS.id}")
    await ask(host, "POST", "/sync/trigger/memory")
    answer = (await ask(host, "GET", "/sync/platforms")).json()
    assert answer["platforms"] == [
        {
            "name": "memory",
            "title": "Memory",
            "syncTypes": ["activity"],
            "channels": 2,
            "running": 1,
            "paused": 1,
        }
    ]


async def test_the_operation_does_the_same(host: Harbour) -> None:
    """`sync-activity`, under the vendor's own name for it; a dry run starts nothing."""
    tried = await ask(host, "POST", "/upstream/test/memory-provider/sync")
    assert tried.status_code == 200, tried.text
    assert (await ask(host, "GET", "/sync/status")).json()["running"] == 0
    done = await ask(host, "POST", "/upstream/call/memory-provider/sync", channels=[CAFE.id])
    assert done.status_code == 200, done.text
    assert [line["running"] for line in done.json()["channels"]] == [True]


async def test_an_expired_integration_says_so(host: Harbour) -> None:
    host.world.revoke_grant()
    await ask(host, "POST", "/sync/trigger/memory")
    await work(host)
    answer = await ask(host, "POST", "/sync/trigger/memory")
    assert (answer.status_code, answer.json()["code"]) == (412, "reconnect_required")
    status = (await ask(host, "GET", "/sync/status")).json()
    assert (status["running"], status["failing"]) == (0, 1)
    failing = next(line for line in status["channels"] if "lastError" in line)
    assert failing["lastError"] == "reconnect_required"
    assert failing["remedy"]


async def test_a_run_that_a_lost_grant_stopped_goes_on_as_soon_as_somebody_connects(host: Harbour) -> None:
    """Not at the next turn: who connects again looks for what came meanwhile now."""
    host.world.revoke_grant()
    await ask(host, "POST", "/sync/trigger/memory")
    await work(host)
    await forget_nudges(host)

    await host.connect()
    assert await nudged(host) == [
        sync_nudge(ADMIN.org_id, "memory", board.id).group for board in (CAFE, BOOKS)
    ]
    assert (await ask(host, "GET", "/sync/status")).json()["running"] == 2
    for board in (CAFE, BOOKS):
        await work(host, board.id)
    status = (await ask(host, "GET", "/sync/status")).json()
    assert (status["running"], status["failing"]) == (0, 0)


async def test_a_channel_that_is_chosen_is_read_at_once_and_no_other(host: Harbour) -> None:
    """Not at the next turn: whoever has just chosen looks into an inbox that would be empty until then."""
    await host.connect()
    await host.select(CAFE.id)
    await forget_nudges(host)
    await host.select(CAFE.id, BOOKS.id)
    assert await nudged(host) == [sync_nudge(ADMIN.org_id, "memory", BOOKS.id).group]


async def nudged(host: Harbour) -> list[str]:
    """The groups that the workers of the sync were told to look at."""
    asked = text("SELECT group_key FROM job WHERE queue = 'sync' ORDER BY group_key")
    async with host.storage.database.read() as transaction:
        return await transaction.run(lambda connection: [*connection.execute(asked).scalars()])


async def forget_nudges(host: Harbour) -> None:
    async with host.storage.database.write() as transaction:
        await transaction.run(lambda connection: connection.execute(text("DELETE FROM job")))
