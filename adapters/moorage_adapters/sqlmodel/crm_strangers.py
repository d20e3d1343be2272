"""People without a name, and when they are asked about: `moorage_ports.profiles.Strangers`."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Connection, exists, select

from moorage_adapters.sqlmodel.crm_tables import CONVERSATION, IDENTITY, IS_NAMELESS
from moorage_adapters.sqlmodel.tables import INTEGRATION
from moorage_adapters.sqlmodel.tenant import OrgGate, Tenant
from moorage_adapters.sqlmodel.types import clean
from moorage_ports.events import Person
from moorage_ports.integrations import IntegrationStatus
from moorage_ports.profiles import Stranger

_WRITTEN_IN: Final = (CONVERSATION.c.kind == "direct", CONVERSATION.c.last_received_at.is_not(None))
_COLUMNS: Final = ("id", "external_id", "realm")


class SqlStrangers:
    """`moorage_ports.profiles.Strangers` over one unit of work."""

    def __init__(self, gate: OrgGate) -> None:
        self._gate = gate

    async def claim(self, vendor: str, *, now: datetime, until: datetime, limit: int) -> tuple[Stranger, ...]:
        """Some of those whose time has come; nobody else gets them before `until`."""
        are_due = (IDENTITY.c.vendor == vendor, IS_NAMELESS, IDENTITY.c.ask_at <= now)

        def work(org: Tenant) -> tuple[Stranger, ...]:
            ids = org.ids(IDENTITY, *are_due, order_by=(IDENTITY.c.ask_at,), limit=limit)  # type: ignore[arg-type]
            if not ids:
                return ()
            of_them = IDENTITY.c.id.in_(ids)
            rows = org.update_returning(IDENTITY, {"ask_at": until}, of_them, columns=_COLUMNS)
            by_id = {row["id"]: row for row in rows}
            wrote_to = _channels(org, ids)
            return tuple(
                Stranger(
                    identity_id=key,
                    person=Person(external_id=by_id[key]["external_id"], realm=by_id[key]["realm"]),
                    channel_external_id=wrote_to.get(key, ""),
                )
                for key in ids
            )

        return await self._gate.run(work)

    async def ask_again(self, identity_ids: Collection[str], *, at: datetime) -> None:
        """Have these wait until `at`."""
        if identity_ids:
            of_them = IDENTITY.c.id.in_(sorted(identity_ids))
            await self._gate.run(lambda org: org.update(IDENTITY, {"ask_at": at}, of_them))

    async def leave_be(self, vendor: str, channel_external_id: str, *, until: datetime) -> None:
        """Have everybody wait at least until then who wrote to this channel."""

        def work(org: Tenant) -> None:
            wrote = exists().where(
                CONVERSATION.c.org_id == org.org_id,
                CONVERSATION.c.identity_id == IDENTITY.c.id,
                CONVERSATION.c.channel_external_id == clean(channel_external_id),
                *_WRITTEN_IN,
            )
            waiting = (IDENTITY.c.vendor == vendor, IS_NAMELESS, IDENTITY.c.ask_at < until, wrote)
            org.update(IDENTITY, {"ask_at": until}, *waiting)  # type: ignore[arg-type]

        await self._gate.run(work)


def _channels(org: Tenant, identity_ids: Sequence[str]) -> dict[str, str]:
    """The channel that each of these wrote to last; nothing of those who never wrote to one."""
    rows = org.rows(
        CONVERSATION,
        CONVERSATION.c.identity_id.in_(identity_ids),
        *_WRITTEN_IN,
        order_by=(CONVERSATION.c.last_received_at, CONVERSATION.c.id),
        columns=("identity_id", "channel_external_id"),
    )
    return {row["identity_id"]: row["channel_external_id"] for row in rows}


def strangers_due(
    connection: Connection, vendors: Collection[str], now: datetime
) -> Sequence[tuple[str, str]]:
    """Every (org, vendor of these) that is connected and has people without a name to be asked about."""
    somebody = exists().where(
        IDENTITY.c.org_id == INTEGRATION.c.org_id,
        IDENTITY.c.vendor == INTEGRATION.c.vendor,
        IS_NAMELESS,
        IDENTITY.c.ask_at <= now,
    )
    rows = connection.execute(
        select(INTEGRATION.c.org_id, INTEGRATION.c.vendor)
        .where(
            INTEGRATION.c.status == IntegrationStatus.ACTIVE,
            INTEGRATION.c.vendor.in_(sorted(vendors)),
            somebody,
        )
        .order_by(INTEGRATION.c.org_id, INTEGRATION.c.vendor)
    )
    return [(row[0], row[1]) for row in rows]
