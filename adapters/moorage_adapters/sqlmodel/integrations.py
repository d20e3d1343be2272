"""Integrations, grants and channels of one org."""

from collections.abc import Collection, Mapping, Sequence

import msgspec
from sqlalchemy import Connection, RowMapping, select
from sqlalchemy.exc import IntegrityError

from moorage_adapters.sqlmodel.tables import CHANNEL, GRANT, INTEGRATION
from moorage_adapters.sqlmodel.tenant import OrgGate, Tenant, fields_of, value_of
from moorage_ports.capabilities import Capability
from moorage_ports.errors import ConflictError
from moorage_ports.integrations import Channel, GrantRecord, Integration, IntegrationStatus


class SqlIntegrations:
    """`moorage_ports.integrations.Integrations` over one unit of work."""

    def __init__(self, gate: OrgGate) -> None:
        self._gate = gate

    async def of_vendor(self, vendor: str) -> Integration | None:
        """The org's integration with `vendor`, whatever its status."""
        return await self._gate.run(
            lambda org: _maybe(org, org.one(INTEGRATION, INTEGRATION.c.vendor == vendor))
        )

    async def get(self, integration_id: str) -> Integration | None:
        """One integration by our id."""
        return await self._gate.run(
            lambda org: _maybe(org, org.one(INTEGRATION, INTEGRATION.c.id == integration_id))
        )

    async def all(self) -> tuple[Integration, ...]:
        """Every integration of the org, oldest first."""
        order = (INTEGRATION.c.created_at, INTEGRATION.c.id)
        return await self._gate.run(
            lambda org: tuple(_integration(org, row) for row in org.rows(INTEGRATION, order_by=order))
        )

    async def save(self, integration: Integration) -> None:
        """Insert or replace.

        Raises:
            ConflictError: The org has another integration with this vendor.
        """

        def work(org: Tenant) -> None:
            values = fields_of(integration, without=("notify_emails", "capabilities"))
            chosen = integration.capabilities
            values["capabilities"] = None if chosen is None else tuple(each.value for each in chosen)
            emails = msgspec.json.encode(integration.notify_emails)
            values["notify_emails_sealed"] = org.seal(emails, *_emails_context(integration.id))
            others = org.count(
                INTEGRATION, INTEGRATION.c.vendor == integration.vendor, INTEGRATION.c.id != integration.id
            )
            if others:
                msg = "the organisation has an integration with this vendor already"
                raise ConflictError(msg)
            org.upsert(INTEGRATION, values, ("org_id", "id"))

        await self._gate.run(work)

    async def grants(self, integration_id: str) -> tuple[GrantRecord, ...]:
        """The grants beneath it, oldest first."""
        order = (GRANT.c.created_at, GRANT.c.id)
        return await self._gate.run(
            lambda org: tuple(
                value_of(GrantRecord, row)
                for row in org.rows(GRANT, GRANT.c.integration_id == integration_id, order_by=order)
            )
        )

    async def save_grant(self, grant: GrantRecord) -> None:
        """Insert or replace (one per integration and subject)."""

        def work(org: Tenant) -> None:
            org.delete(
                GRANT,
                GRANT.c.integration_id == grant.integration_id,
                GRANT.c.subject_index == grant.subject_index,
                GRANT.c.id != grant.id,
            )
            org.upsert(GRANT, fields_of(grant), ("org_id", "id"))

        await self._gate.run(work)

    async def remove_grant(self, grant_id: str) -> None:
        """Delete a grant."""
        await self._gate.run(lambda org: org.delete(GRANT, GRANT.c.id == grant_id))

    async def channels(self, integration_id: str) -> tuple[Channel, ...]:
        """Its channels, by name."""
        order = (CHANNEL.c.name, CHANNEL.c.external_id)
        return await self._gate.run(
            lambda org: tuple(
                value_of(Channel, row)
                for row in org.rows(CHANNEL, CHANNEL.c.integration_id == integration_id, order_by=order)
            )
        )

    async def channel(self, vendor: str, external_id: str) -> Channel | None:
        """One channel by the vendor's id."""

        def work(org: Tenant) -> Channel | None:
            row = org.one(CHANNEL, CHANNEL.c.vendor == vendor, CHANNEL.c.external_id == external_id)
            return None if row is None else value_of(Channel, row)

        return await self._gate.run(work)

    async def save_channels(self, channels: Sequence[Channel]) -> None:
        """Insert or replace each (one per org, vendor and external id)."""

        def work(org: Tenant) -> None:
            for channel in channels:
                org.upsert(CHANNEL, fields_of(channel), ("org_id", "vendor", "external_id"))

        try:
            await self._gate.run(work)
        except IntegrityError:
            msg = "a channel's integration does not exist, or its id is another channel's"
            raise ConflictError(msg) from None

    async def remove_channels(self, channel_ids: Collection[str]) -> None:
        """Delete channels by our id."""
        await self._gate.run(lambda org: org.delete(CHANNEL, CHANNEL.c.id.in_(list(channel_ids))))


def _maybe(org: Tenant, row: RowMapping | None) -> Integration | None:
    return None if row is None else _integration(org, row)


def _integration(org: Tenant, row: RowMapping) -> Integration:
    emails = org.open(row["notify_emails_sealed"], *_emails_context(row["id"]))
    return value_of(
        Integration,
        row,
        notify_emails=msgspec.json.decode(emails, type=tuple[str, ...]),
        capabilities=_capabilities(row["capabilities"]),
    )


def _capabilities(kept: tuple[str, ...] | None) -> tuple[Capability, ...] | None:
    """What was chosen; one that a later version no longer knows is left out."""
    return None if kept is None else tuple(each for each in Capability if each.value in kept)


def _emails_context(integration_id: str) -> tuple[str, str, str]:
    return ("integration", integration_id, "notify_emails")


def grants_of(
    connection: Connection, vendor: str, app_id: str, subject_index: str
) -> Collection[tuple[str, str]]:
    """Every (org, grant) of one person beneath integrations with this app."""
    rows = connection.execute(
        select(GRANT.c.org_id, GRANT.c.id)
        .join(
            INTEGRATION,
            (INTEGRATION.c.org_id == GRANT.c.org_id) & (INTEGRATION.c.id == GRANT.c.integration_id),
        )
        .where(
            GRANT.c.subject_index == subject_index,
            INTEGRATION.c.vendor == vendor,
            INTEGRATION.c.app_id == app_id,
        )
    )
    return [(str(org_id), str(grant_id)) for org_id, grant_id in rows]


def channel_holders(
    connection: Connection, vendor: str, app_id: str, external_ids: Collection[str]
) -> Mapping[str, frozenset[str]]:
    """Which orgs have each channel selected, in an integration with this app that is not inactive."""
    holders: dict[str, set[str]] = {external_id: set() for external_id in external_ids}
    rows = connection.execute(
        select(CHANNEL.c.external_id, CHANNEL.c.org_id)
        .join(
            INTEGRATION,
            (INTEGRATION.c.org_id == CHANNEL.c.org_id) & (INTEGRATION.c.id == CHANNEL.c.integration_id),
        )
        .where(
            CHANNEL.c.vendor == vendor,
            CHANNEL.c.external_id.in_(list(external_ids)),
            CHANNEL.c.selected.is_(True),
            INTEGRATION.c.app_id == app_id,
            INTEGRATION.c.status != IntegrationStatus.INACTIVE,
        )
    )
    for external_id, org_id in rows:
        holders[external_id].add(org_id)
    return {external_id: frozenset(orgs) for external_id, orgs in holders.items()}


def orgs_of_app(connection: Connection, vendor: str, app_id: str) -> Sequence[str]:
    """Every org whose integration is with this app, whatever its status."""
    rows = connection.execute(
        select(INTEGRATION.c.org_id).where(INTEGRATION.c.vendor == vendor, INTEGRATION.c.app_id == app_id)
    )
    return sorted(rows.scalars().all())
