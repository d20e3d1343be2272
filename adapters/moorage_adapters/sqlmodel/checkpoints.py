"""How far each form's leads are known, for one org; and whose channels have to be looked after."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, select

from moorage_adapters.sqlmodel.tables import CHANNEL, INTEGRATION, LEAD_CHECKPOINT
from moorage_adapters.sqlmodel.tenant import OrgGate, Tenant, fields_of, value_of
from moorage_ports.checkpoints import LeadCheckpoint
from moorage_ports.integrations import IntegrationStatus

_KEY = ("org_id", "vendor", "channel_external_id", "form_external_id")


class SqlLeadCheckpoints:
    """`moorage_ports.checkpoints.LeadCheckpoints` over one unit of work."""

    def __init__(self, gate: OrgGate) -> None:
        self._gate = gate

    async def begin(self, vendor: str, channel_external_id: str, since: datetime) -> None:
        """Listen from `since` on; what was noted before is forgotten."""
        first = LeadCheckpoint(vendor=vendor, channel_external_id=channel_external_id, since=since)

        def work(org: Tenant) -> None:
            org.delete(
                LEAD_CHECKPOINT,
                LEAD_CHECKPOINT.c.vendor == vendor,
                LEAD_CHECKPOINT.c.channel_external_id == channel_external_id,
            )
            org.insert(LEAD_CHECKPOINT, fields_of(first))

        await self._gate.run(work)

    async def of_channel(self, vendor: str, channel_external_id: str) -> tuple[LeadCheckpoint, ...]:
        """The channel's checkpoints: its own first, then one per form."""
        where = (
            LEAD_CHECKPOINT.c.vendor == vendor,
            LEAD_CHECKPOINT.c.channel_external_id == channel_external_id,
        )
        order = (LEAD_CHECKPOINT.c.form_external_id,)
        return await self._gate.run(
            lambda org: tuple(
                value_of(LeadCheckpoint, row) for row in org.rows(LEAD_CHECKPOINT, *where, order_by=order)
            )
        )

    async def save(self, checkpoint: LeadCheckpoint) -> None:
        """Insert or replace (one per channel and form)."""
        await self._gate.run(lambda org: org.upsert(LEAD_CHECKPOINT, fields_of(checkpoint), _KEY))


def listening_channels(connection: Connection) -> Sequence[tuple[str, str, str]]:
    """Every (org, vendor, channel's external id) that is selected, can be acted as and is connected."""
    rows = connection.execute(
        select(CHANNEL.c.org_id, CHANNEL.c.vendor, CHANNEL.c.external_id)
        .join(
            INTEGRATION,
            (INTEGRATION.c.org_id == CHANNEL.c.org_id) & (INTEGRATION.c.id == CHANNEL.c.integration_id),
        )
        .where(
            CHANNEL.c.selected.is_(True),
            CHANNEL.c.selectable.is_(True),
            INTEGRATION.c.status == IntegrationStatus.ACTIVE,
        )
        .order_by(CHANNEL.c.org_id, CHANNEL.c.vendor, CHANNEL.c.external_id)
    )
    return [(row[0], row[1], row[2]) for row in rows]
