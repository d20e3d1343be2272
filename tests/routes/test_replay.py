"""W16: kept changes go through the pipeline again, and nothing comes of it twice."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from moorage.inbox_worker import MOST_TRIES, NOT_FOUND_RETRIES
from moorage.replay import AT_ONCE, ReplayOrder, find, replay
from moorage_adapters.memory.things import Slip
from moorage_adapters.memory.world import CAFE, NEWSLETTER
from moorage_ports.inbox import ItemState
from tests.support.harbour import ADMIN, Harbour, harbour

LONGEST = 1.2 * max(NOT_FOUND_RETRIES)
DEAD = ReplayOrder(org_id=ADMIN.org_id, by="somebody")
DONE = ReplayOrder(org_id=ADMIN.org_id, by="somebody", states=(ItemState.DONE,))
ALL = ReplayOrder(org_id=ADMIN.org_id, by="somebody", states=(ItemState.DONE, ItemState.DEAD))


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Harbour]:
    async with harbour(tmp_path) as made:
        await made.connect()
        await made.select(CAFE.id)
        yield made


async def hand_in(host: Harbour, count: int = 1) -> list[Slip]:
    slips = [host.world.fill_in(NEWSLETTER.id, {"email": (f"{n}@harbour.example",)}) for n in range(count)]
    await host.deliver_all()
    return slips


async def bury(host: Harbour, count: int = 1) -> list[Slip]:
    """Leads that the vendor denies until their rows are given up; then it has them again."""
    slips = await hand_in(host, count)
    hidden = {slip.id: host.world.slips.pop(slip.id) for slip in slips}
    for _ in range(MOST_TRIES):
        await host.work()
        host.clock.advance(LONGEST)
    host.world.slips.update(hidden)
    return slips


async def lead_ids(host: Harbour) -> list[str]:
    return sorted(lead.external_id for lead in await host.leads())


async def test_what_was_given_up_is_worked_on_again_w16(host: Harbour) -> None:
    slips = await bury(host, 3)
    assert await lead_ids(host) == []
    assert await replay(host.services, DEAD) == 3

    await host.work()
    assert await lead_ids(host) == sorted(slip.id for slip in slips)
    assert await find(host.services, DEAD) == ()


async def test_what_is_done_has_no_second_effect_w16(host: Harbour) -> None:
    await hand_in(host, 5)
    await host.work()
    before = await host.leads()
    calls = host.world.calls
    for _ in range(3):
        host.clock.advance(timedelta(minutes=1))
        assert await replay(host.services, DONE) == 5
        await host.work()

    assert await host.leads() == before
    assert host.world.calls == calls, "the vendor is not asked for what the CRM has"


async def test_a_replayed_change_has_all_its_tries_again(host: Harbour) -> None:
    (slip,) = await bury(host)
    hidden = host.world.slips.pop(slip.id)
    await replay(host.services, DEAD)
    await host.work()
    assert await find(host.services, DEAD) == (), "one failure does not bury it"

    host.world.slips[slip.id] = hidden
    host.clock.advance(LONGEST)
    await host.work()
    assert await lead_ids(host) == [slip.id]


async def test_a_dry_run_changes_nothing_w16(host: Harbour) -> None:
    """And says what would be replayed, without anything of what is in it."""
    await bury(host)
    (item,) = await find(host.services, DEAD)
    await host.work()

    assert (item.state, item.kind, item.error, item.tries) == (
        ItemState.DEAD,
        "slip",
        "not_found",
        MOST_TRIES,
    )
    assert await host.storage.backlog.pending_count() == 0
    assert await find(host.services, DEAD) == (item,)


async def test_single_changes_by_id_w16(host: Harbour) -> None:
    await bury(host, 3)
    first, second, _ = await find(host.services, DEAD)
    order = ReplayOrder(org_id=ADMIN.org_id, by="somebody", ids=(first.id, second.id))
    assert await replay(host.services, order) == 2
    await host.work()
    assert len(await host.leads()) == 2


@pytest.mark.parametrize(
    "strange", ["", "x", "00", "00" * 16, "ZZ" * 16, "é", "'; DROP TABLE inbox", "0" * 31]
)
async def test_ids_of_nothing_replay_nothing(host: Harbour, strange: str) -> None:
    await bury(host)
    order = ReplayOrder(org_id=ADMIN.org_id, by="somebody", ids=(strange,))
    assert await replay(host.services, order) == 0


async def test_no_org_replays_anothers_w16(host: Harbour) -> None:
    await bury(host)
    (item,) = await find(host.services, DEAD)
    for ids in ((), (item.id,)):
        assert await replay(host.services, ReplayOrder(org_id="org-b", by="them", ids=ids)) == 0
    assert await find(host.services, DEAD) == (item,)


async def test_what_is_pending_or_parked_is_left_alone(host: Harbour) -> None:
    """Parked work waits for the reconnection, not for us."""
    host.world.revoke_grant()
    await hand_in(host)
    await host.work()
    await hand_in(host)
    host.clock.advance(timedelta(hours=1))
    assert await replay(host.services, ALL) == 0


async def test_a_replay_joins_the_line_by_itself(host: Harbour) -> None:
    """No worker has to be told: the nudge is in the same transaction."""
    await bury(host)
    await replay(host.services, DEAD)
    assert len(await host.storage.backlog.pending_groups(host.clock.now())) == 1


async def test_big_replays_go_in_parts(host: Harbour) -> None:
    await hand_in(host, AT_ONCE + 5)
    await host.work()
    host.clock.advance(timedelta(minutes=1))
    assert len(await find(host.services, DONE)) == AT_ONCE
    assert await replay(host.services, DONE) == AT_ONCE + 5


async def test_a_replay_leaves_a_line_that_says_who_and_what_w16(host: Harbour) -> None:
    await bury(host)
    (item,) = await find(host.services, DEAD)
    with capture_logs() as lines:
        await replay(host.services, DEAD)
    (line,) = [line for line in lines if line["event"] == "replayed"]
    assert (line["org"], line["by"], line["count"], line["items"]) == ("org-a", "somebody", 1, [item.id])


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=st.lists(st.sampled_from(["lead", "replay dead", "replay done", "work", "deny"]), max_size=12))
async def test_replaying_at_any_time_changes_nothing_in_the_end_w16(
    tmp_path_factory: pytest.TempPathFactory, acts: list[str]
) -> None:
    """Whatever is replayed whenever: one lead for each form that was filled in."""
    async with harbour(tmp_path_factory.mktemp("replay")) as host:
        await host.connect()
        await host.select(CAFE.id)
        slips: list[Slip] = []
        for act in [*acts, "replay dead", "replay done", "work"]:
            host.clock.advance(timedelta(hours=1))
            match act:
                case "lead":
                    slips += await hand_in(host)
                case "deny":
                    slips += await bury(host)
                case "work":
                    await host.work()
                case _:
                    await replay(host.services, DEAD if act.endswith("dead") else DONE)
        await host.work()
        assert await lead_ids(host) == sorted(slip.id for slip in slips)
