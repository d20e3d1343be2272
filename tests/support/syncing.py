"""A host that syncs one Page of a sandbox: told to begin, watched, and asked what it holds afterwards."""

import asyncio
import time
from collections.abc import Mapping

import attrs
import httpx
from sqlalchemy import Connection, text

from moorage_ports.activity_sync import SyncState
from tests.oracles.sandbox import PAGE
from tests.support.hosting import HostPlan, HostProcess

ORG = "wall"


@attrs.define(kw_only=True)
class SyncingHost:
    """One host process over one plan; it may be killed and started again."""

    plan: HostPlan
    port: int
    process: HostProcess = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.process = HostProcess(plan=self.plan, port=self.port)

    async def start(self, environment: Mapping[str, str] | None = None) -> None:
        """Start it, and wait until it answers."""
        await self.process.start(environment)
        await self.process.ready()

    async def trigger(self) -> None:
        """`POST /sync/trigger`."""
        headers = {"Authorization": f"Bearer {self.plan.token(ORG)}", "orgid": ORG}
        url = f"http://127.0.0.1:{self.port}/sync/trigger"
        async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
            answer = await client.post(url, json={"platform": "facebook"}, headers=headers)
        assert answer.status_code == 202, answer.text

    async def state(self) -> SyncState | None:
        """Where the Page's sync stands, as the database has it."""
        storage = await self.plan.storage()
        try:
            async with storage.unit_of_work(ORG, reads_only=True) as work:
                return await work.sync_states.get("facebook", PAGE)
        finally:
            await storage.aclose()

    async def until_done(self, *, deadline: float) -> SyncState:
        """Wait for the end of the first run; its state."""
        until = time.monotonic() + deadline
        while time.monotonic() < until:
            state = await self.state()
            if state is not None and not state.is_running and state.finished_at is not None:
                return state
            await asyncio.sleep(0.2)
        msg = f"the sync did not end: {await self.state()}"
        raise AssertionError(msg)

    async def held(self) -> Mapping[str, int]:
        """What the CRM holds now."""
        storage = await self.plan.storage()
        try:
            return await storage.database.read_at_once(_held)
        finally:
            await storage.aclose()


def _held(connection: Connection) -> Mapping[str, int]:
    def count(statement: str) -> int:
        return int(connection.execute(text(statement)).scalar_one())

    return {
        "comments": count("SELECT count(*) FROM message"),
        "reactions": count("SELECT count(*) FROM activity WHERE kind = 'reaction' AND is_present"),
    }
