"""How far each channel's activity is known, for one org."""

from moorage_adapters.sqlmodel.sync_tables import SYNC_STATE
from moorage_adapters.sqlmodel.tenant import OrgGate, Tenant, fields_of, value_of
from moorage_ports.activity_sync import SyncState

_KEY = ("org_id", "vendor", "channel_external_id")


class SqlSyncStates:
    """`moorage_ports.activity_sync.SyncStates` over one unit of work."""

    def __init__(self, gate: OrgGate) -> None:
        self._gate = gate

    async def get(self, vendor: str, channel_external_id: str) -> SyncState | None:
        """One channel's."""

        def work(org: Tenant) -> SyncState | None:
            row = org.one(
                SYNC_STATE,
                SYNC_STATE.c.vendor == vendor,
                SYNC_STATE.c.channel_external_id == channel_external_id,
            )
            return None if row is None else value_of(SyncState, row)

        return await self._gate.run(work)

    async def all(self) -> tuple[SyncState, ...]:
        """Every channel's that was ever synced, and all that was ever paused."""
        order = (SYNC_STATE.c.vendor, SYNC_STATE.c.channel_external_id)
        return await self._gate.run(
            lambda org: tuple(value_of(SyncState, row) for row in org.rows(SYNC_STATE, order_by=order))
        )

    async def save(self, state: SyncState) -> None:
        """Insert or replace (one per channel)."""
        await self._gate.run(lambda org: org.upsert(SYNC_STATE, fields_of(state), _KEY))
