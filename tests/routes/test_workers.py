"""The workers as they run: on the machine's clock, told by nudges and not by polling."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from moorage_adapters.memory.world import CAFE, NEWSLETTER
from moorage_ports.integrations import IntegrationStatus
from moorage_ports.operations import PublicationStatus
from tests.support.harbour import Harbour, working_harbour


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Harbour]:
    async with working_harbour(tmp_path) as made:
        await made.connect()
        await made.select(CAFE.id)
        yield made


async def _until(has_come: Callable[[], Awaitable[bool]], *, within: float) -> float:
    """How long it took; fails if it took longer."""
    started = time.monotonic()
    for _ in range(100_000):
        if await has_come():
            break
        assert time.monotonic() - started < within, "it did not come in time"
        await asyncio.sleep(0.005)
    return time.monotonic() - started


async def _until_leads(host: Harbour, count: int, *, within: float) -> float:
    async def have_come() -> bool:
        return len(await host.leads()) >= count

    return await _until(have_come, within=within)


async def test_a_lead_is_in_the_crm_within_a_second_of_its_delivery(host: Harbour) -> None:
    waits = []
    for number in range(5):
        host.world.fill_in(NEWSLETTER.id, {"email": (f"{number}@harbour.example",)})
        await host.deliver_all()
        waits.append(await _until_leads(host, number + 1, within=2))

    assert max(waits) < 1


async def test_a_burst_is_worked_on_to_the_end(host: Harbour) -> None:
    slips = [host.world.fill_in(NEWSLETTER.id, {"email": (f"{n}@harbour.example",)}) for n in range(150)]
    host.world.outbox.clear()
    await host.deliver(host.world.delivery_of(*slips))

    await _until_leads(host, 150, within=30)
    assert len({lead.external_id for lead in await host.leads()}) == 150


async def test_a_connection_after_a_lost_grant_wakes_what_waited(host: Harbour) -> None:
    host.world.revoke_grant()
    host.world.fill_in(NEWSLETTER.id, {"email": ("waiting@harbour.example",)})
    await host.deliver_all()

    async def has_expired() -> bool:
        return (await host.integration()).status is IntegrationStatus.EXPIRED

    await _until(has_expired, within=5)
    await host.connect()

    await _until_leads(host, 1, within=5)


async def test_an_unconfirmed_post_is_settled_by_the_workers(host: Harbour) -> None:
    host.world.drop_answers()
    view = await host.publish()
    assert view.status is PublicationStatus.UNCONFIRMED
    host.world.clear_up()

    async def is_settled() -> bool:
        async with host.storage.unit_of_work("org-a", reads_only=True) as uow:
            found = await uow.publications.get(view.id)
        return found is not None and found.status is PublicationStatus.PUBLISHED

    await _until(is_settled, within=10)
    assert len(host.world.notes) == 1
