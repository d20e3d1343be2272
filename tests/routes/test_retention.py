"""M4: what nobody owns is kept for its seven days and no longer."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import attrs
import pytest
from sqlalchemy import text

from moorage.intake import forget_expired, register_workers
from moorage_adapters.memory.world import NEWSLETTER
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
