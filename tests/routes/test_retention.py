"""M4, W5: what is kept for a while goes when it is due, and no earlier."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import attrs
import pytest
from sqlalchemy import text

from moorage.workers import forget_expired, forget_settled, register_workers
from moorage_adapters.memory.world import CAFE, NEWSLETTER
from tests.support.harbour import Harbour, StillJobs, harbour


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Harbour]:
    async with harbour(tmp_path) as made:
        await made.connect()
        yield made


async def kept_aside(host: Harbour) -> int:
    async with host.storage.database.read() as transaction:
        return await transaction.run(
            lambda connection: int(connection.execute(text("SELECT count(*) FROM quarantine")).scalar_one())
        )


async def unwanted(host: Harbour) -> None:
    """A delivery about a channel that was not chosen."""
    slip = host.world.fill_in(NEWSLETTER.id, {"email": ("ada@harbour.example",)})
    assert (await host.deliver(host.world.delivery_of(slip))).status_code == 200


async def test_t_retention_nobodys_deliveries_go_after_seven_days_m4(host: Harbour) -> None:
    """M4: a channel that nobody chose may still send; people's answers must not pile up here."""
    await unwanted(host)
    host.clock.advance(timedelta(days=6))
    await unwanted(host)
    await forget_expired(host.services)
    assert await kept_aside(host) == 2

    host.clock.advance(timedelta(days=1))
    await forget_expired(host.services)
    assert await kept_aside(host) == 1
    host.clock.advance(timedelta(days=6))
    await forget_expired(host.services)
    assert await kept_aside(host) == 0


async def test_it_runs_by_itself_m4(host: Harbour) -> None:
    jobs = StillJobs()
    register_workers(attrs.evolve(host.services, jobs=jobs))

    assert jobs.schedules["quarantine"] <= timedelta(hours=1)
    assert jobs.schedules["settled deliveries"] <= timedelta(hours=1)


async def inbox_rows(host: Harbour) -> list[tuple[str, bool]]:
    """The kind of every row that is there, and whether it still has a body."""
    async with host.storage.database.read() as transaction:
        return await transaction.run(
            lambda connection: [
                (row[0], bool(row[1]))
                for row in connection.execute(
                    text("SELECT kind, length(body_sealed) > 0 FROM inbox ORDER BY kind")
                )
            ]
        )


async def test_t_retention_of_what_was_worked_on_m4_w5(host: Harbour) -> None:
    """M4: what people wrote for 7 days. W5: that it was here for 30, of a lead for ever."""
    await host.select(CAFE.id)
    slip = host.world.fill_in(NEWSLETTER.id, {"email": ("ada@harbour.example",)})
    announced = host.world.delivery_of(slip)
    host.world.outbox.clear()
    host.world.write_to(CAFE.id, "hello")
    [letter] = host.world.outbox
    for delivery in (announced, letter):
        await host.deliver(delivery)
    await host.work()
    assert await inbox_rows(host) == [("letter", True), ("slip", True)]

    for days, left in ((6, [("letter", True), ("slip", True)]), (1, [("letter", False), ("slip", False)])):
        host.clock.advance(timedelta(days=days))
        await forget_settled(host.services)
        assert await inbox_rows(host) == left
    host.clock.advance(timedelta(days=22))
    for delivery in (announced, letter):  # a double all the same
        assert (await host.deliver(delivery)).status_code == 200
    await forget_settled(host.services)
    assert await inbox_rows(host) == [("letter", False), ("slip", False)]

    host.clock.advance(timedelta(days=1))
    await forget_settled(host.services)
    assert await inbox_rows(host) == [("slip", False)]
    host.clock.advance(timedelta(days=2_000))
    await forget_settled(host.services)
    await host.deliver(announced)
    await host.work()
    assert len(await host.leads()) == 1
    assert await inbox_rows(host) == [("slip", False)]
