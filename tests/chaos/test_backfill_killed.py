"""kill -9 in the middle of a backfill: the next process goes on from its row, every lead is there once."""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from moorage_ports.lead_orders import OrderState
from tests.oracles.sandbox import FORM, PAGE, ServedSandbox
from tests.support.demo import free_port
from tests.support.sandboxes import SandboxProcess, host_plan, served_by
from tests.support.syncing import ORG, SyncingHost

pytestmark = pytest.mark.chaos

LEADS = 1_500  # of three weeks ago: no reconciliation looks for them
LISTED = "GET /{form}/leads"


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[ServedSandbox]:
    """A form that many people filled in, in a process that nobody kills before the end."""
    process = SandboxProcess(folder=tmp_path)
    try:
        served = served_by(process, await process.start())
        with served.client:
            long_ago = served.seconds() - int(timedelta(days=21).total_seconds())
            served.fill_in({"email": ["{n}@mail.example"]}, count=LEADS, createdTime=long_ago)
            yield served
    finally:
        await process.stop()


async def test_a_killed_backfill_goes_on_from_its_row(sandbox: ServedSandbox, tmp_path: Path) -> None:
    """B1: of the twelfth page the leads are kept, and that it was read is not."""
    plan = host_plan(sandbox, tmp_path)
    await plan.seed({ORG: [PAGE]})
    host = SyncingHost(plan=plan, port=free_port())
    try:
        await host.start({"MOORAGE_FAIL_POINT": "B1:12"})
        ordered = await ask(host, "backfill-leads", formId=FORM)
        await host.process.wait_dead()

        await host.start()
        done = await until_over(host, str(ordered["id"]), deadline=120)
        stored = await until_stored(host, deadline=120)
    finally:
        await host.process.kill()

    assert done["state"] == OrderState.DONE.value
    assert (done["fetched"], done["alreadyThere"]) == (LEADS, 0)
    assert stored == LEADS
    calls = sandbox.client.get("/_sandbox/state", params={"only": "calls"}).json()["calls"]
    assert int(calls[LISTED]) <= LEADS // 100 + 4, "it did not go on where it stood"


async def ask(host: SyncingHost, operation: str, **body: object) -> Mapping[str, object]:
    """Ask by name, over HTTP."""
    headers = {"Authorization": f"Bearer {host.plan.token(ORG)}", "orgid": ORG}
    url = f"http://127.0.0.1:{host.port}/upstream/call/facebook-provider/{operation}"
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        answer = await client.post(url, json=body, headers=headers)
    assert answer.status_code in {200, 202}, answer.text
    told: Mapping[str, object] = answer.json()
    return told


async def until_over(host: SyncingHost, backfill_id: str, *, deadline: float) -> Mapping[str, object]:
    """Wait for the end of a backfill; how it ended."""
    until = time.monotonic() + deadline
    while True:
        backfill = await ask(host, "get-backfill", id=backfill_id)
        if backfill["state"] != OrderState.RUNNING.value:
            return backfill
        assert time.monotonic() < until, f"the backfill did not end: {backfill}"
        await asyncio.sleep(0.2)


async def until_stored(host: SyncingHost, *, deadline: float) -> int:
    """Wait until nothing is on its way to the CRM; how many leads it has."""
    storage = await host.plan.storage()
    try:
        until = time.monotonic() + deadline
        while True:
            pending = await storage.backlog.pending_count()
            if not pending or time.monotonic() > until:
                break
            await asyncio.sleep(0.2)
        async with storage.unit_of_work(ORG, reads_only=True) as uow:
            return (await uow.leads.page(page=1, page_size=1)).total
    finally:
        await storage.aclose()
