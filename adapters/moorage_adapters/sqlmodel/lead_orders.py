"""What was ordered about leads, and what each form's leads add up to, for one org."""

from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import Connection, Table, func, not_, or_, select, tuple_

from moorage_adapters.sqlmodel.lead_order_tables import BACKFILL, FORM_CHECK, LEAD_TEST, REMAP
from moorage_adapters.sqlmodel.tables import CHANNEL, INTEGRATION
from moorage_adapters.sqlmodel.tenant import Condition, OrgGate, Tenant, among, fields_of, value_of
from moorage_ports.form_checks import FormCheck
from moorage_ports.integrations import IntegrationStatus
from moorage_ports.lead_orders import Backfill, LeadTest, OrderState, Remap

_ID = ("org_id", "id")
_FORM = ("org_id", "vendor", "channel_external_id", "form_external_id")


def _is_newest(table: Table) -> Condition:
    """Whether none of the same form was ordered after it."""
    later = table.alias("later")
    return not_(
        select(later.c.id)
        .where(
            *(later.c[name] == table.c[name] for name in ("org_id", "vendor", "form_external_id")),
            tuple_(later.c.ordered_at, later.c.id) > tuple_(table.c.ordered_at, table.c.id),
        )
        .exists()
    )


def _forget_finished(org: Tenant, table: Table, before: datetime, limit: int) -> int:
    is_over = (table.c.state != OrderState.RUNNING, table.c.finished_at <= before)
    ids = org.ids(table, *is_over, not_(_is_newest(table)), order_by=(table.c.id,), limit=limit)
    return org.delete(table, table.c.id.in_(ids)) if ids else 0


class SqlBackfills:
    """`moorage_ports.lead_orders.Backfills` over one unit of work."""

    def __init__(self, gate: OrgGate) -> None:
        self._gate = gate

    async def get(self, backfill_id: str) -> Backfill | None:
        """One by our id."""

        def work(org: Tenant) -> Backfill | None:
            row = org.one(BACKFILL, BACKFILL.c.id == backfill_id)
            return None if row is None else value_of(Backfill, row)

        return await self._gate.run(work)

    async def newest(self, vendor: str, form_external_ids: Collection[str]) -> Mapping[str, Backfill]:
        """The newest of each of these forms that has one, by the form's id."""
        where = (
            BACKFILL.c.vendor == vendor,
            BACKFILL.c.form_external_id.in_(form_external_ids),
            _is_newest(BACKFILL),
        )

        def work(org: Tenant) -> dict[str, Backfill]:
            rows = org.rows(BACKFILL, *where)
            return {row["form_external_id"]: value_of(Backfill, row) for row in rows}

        return await self._gate.run(work)

    async def running(self) -> tuple[Backfill, ...]:
        """Those that are not over."""
        where = BACKFILL.c.state == OrderState.RUNNING
        order = (BACKFILL.c.ordered_at, BACKFILL.c.id)
        return await self._gate.run(
            lambda org: tuple(value_of(Backfill, row) for row in org.rows(BACKFILL, where, order_by=order))
        )

    async def save(self, backfill: Backfill) -> None:
        """Insert or replace."""
        await self._gate.run(lambda org: org.upsert(BACKFILL, fields_of(backfill), _ID))

    async def forget_finished(self, before: datetime, *, limit: int) -> int:
        """Delete those that were over at that moment, but for each form's newest; answers how many went."""
        return await self._gate.run(lambda org: _forget_finished(org, BACKFILL, before, limit))


class SqlRemaps:
    """`moorage_ports.lead_orders.Remaps` over one unit of work."""

    def __init__(self, gate: OrgGate) -> None:
        self._gate = gate

    async def get(self, remap_id: str) -> Remap | None:
        """One by our id."""

        def work(org: Tenant) -> Remap | None:
            row = org.one(REMAP, REMAP.c.id == remap_id)
            return None if row is None else value_of(Remap, row)

        return await self._gate.run(work)

    async def newest(self, vendor: str, form_external_id: str) -> Remap | None:
        """The one of this form that was ordered last."""
        where = (REMAP.c.vendor == vendor, REMAP.c.form_external_id == form_external_id)
        order = (REMAP.c.ordered_at.desc(), REMAP.c.id.desc())

        def work(org: Tenant) -> Remap | None:
            rows = org.rows(REMAP, *where, order_by=order, limit=1)
            return value_of(Remap, rows[0]) if rows else None

        return await self._gate.run(work)

    async def save(self, remap: Remap) -> None:
        """Insert or replace."""
        await self._gate.run(lambda org: org.upsert(REMAP, fields_of(remap), _ID))

    async def forget_finished(self, before: datetime, *, limit: int) -> int:
        """Delete those that were over at that moment, but for each form's newest; answers how many went."""
        return await self._gate.run(lambda org: _forget_finished(org, REMAP, before, limit))


class SqlLeadTests:
    """`moorage_ports.lead_orders.LeadTests` over one unit of work."""

    def __init__(self, gate: OrgGate) -> None:
        self._gate = gate

    async def get(self, test_id: str) -> LeadTest | None:
        """One by our id."""

        def work(org: Tenant) -> LeadTest | None:
            row = org.one(LEAD_TEST, LEAD_TEST.c.id == test_id)
            return None if row is None else value_of(LeadTest, row)

        return await self._gate.run(work)

    async def made(self, vendor: str, lead_external_ids: tuple[str, ...]) -> frozenset[str]:
        """Which of these leads are tests that were ordered here."""
        where = (LEAD_TEST.c.vendor == vendor, among(LEAD_TEST.c.lead_external_id, lead_external_ids))
        return await self._gate.run(
            lambda org: frozenset(org.distinct(LEAD_TEST, "lead_external_id", *where))
        )

    async def save(self, test: LeadTest) -> None:
        """Insert or replace."""
        await self._gate.run(lambda org: org.upsert(LEAD_TEST, fields_of(test), _ID))

    async def forget(self, before: datetime, *, limit: int) -> int:
        """Delete those that were ordered at that moment or earlier; answers how many went."""

        def work(org: Tenant) -> int:
            are_old = LEAD_TEST.c.ordered_at <= before
            ids = org.ids(LEAD_TEST, are_old, order_by=(LEAD_TEST.c.id,), limit=limit)
            return org.delete(LEAD_TEST, LEAD_TEST.c.id.in_(ids)) if ids else 0

        return await self._gate.run(work)


class SqlFormChecks:
    """`moorage_ports.form_checks.FormChecks` over one unit of work."""

    def __init__(self, gate: OrgGate) -> None:
        self._gate = gate

    async def get(self, vendor: str, channel_external_id: str, form_external_id: str) -> FormCheck | None:
        """One form's."""
        where = (
            FORM_CHECK.c.vendor == vendor,
            FORM_CHECK.c.channel_external_id == channel_external_id,
            FORM_CHECK.c.form_external_id == form_external_id,
        )

        def work(org: Tenant) -> FormCheck | None:
            row = org.one(FORM_CHECK, *where)
            return None if row is None else value_of(FormCheck, row)

        return await self._gate.run(work)

    async def all(self) -> tuple[FormCheck, ...]:
        """Every form's that was ever compared, those with a gap first."""
        order = (FORM_CHECK.c.gap.desc(), *(FORM_CHECK.c[name] for name in _FORM[1:]))
        return await self._gate.run(
            lambda org: tuple(value_of(FormCheck, row) for row in org.rows(FORM_CHECK, order_by=order))
        )

    async def save(self, check: FormCheck) -> None:
        """Insert or replace (one per channel and form)."""
        await self._gate.run(lambda org: org.upsert(FORM_CHECK, fields_of(check), _FORM))

    async def keep_only(
        self, vendor: str, channel_external_id: str, form_external_ids: Collection[str]
    ) -> None:
        """The channel has these forms and no others: nothing is missing of one that is gone."""
        where = (
            FORM_CHECK.c.vendor == vendor,
            FORM_CHECK.c.channel_external_id == channel_external_id,
            FORM_CHECK.c.form_external_id.not_in(form_external_ids),
        )
        await self._gate.run(lambda org: org.delete(FORM_CHECK, *where))


def missing_leads(connection: Connection) -> Mapping[str, int]:
    """How many leads are missing over all orgs, by vendor: gaps that alarm, of channels that are selected.

    Of others nobody looks, so nobody would find out that they are complete by now.
    """
    is_listened_to = (
        select(CHANNEL.c.id)
        .join(
            INTEGRATION,
            (INTEGRATION.c.org_id == CHANNEL.c.org_id) & (INTEGRATION.c.id == CHANNEL.c.integration_id),
        )
        .where(
            CHANNEL.c.org_id == FORM_CHECK.c.org_id,
            CHANNEL.c.vendor == FORM_CHECK.c.vendor,
            CHANNEL.c.external_id == FORM_CHECK.c.channel_external_id,
            CHANNEL.c.selected.is_(True),
            INTEGRATION.c.status != IntegrationStatus.INACTIVE,
        )
        .exists()
    )
    rows = connection.execute(
        select(FORM_CHECK.c.vendor, func.sum(FORM_CHECK.c.gap))
        .where(FORM_CHECK.c.alarmed_at.is_not(None), is_listened_to)
        .group_by(FORM_CHECK.c.vendor)
    )
    return {vendor: int(missing) for vendor, missing in rows}


def backfills_due(connection: Connection, now: datetime) -> list[tuple[str, str]]:
    """Every (org, backfill) that is not over, and not told to wait beyond `now`."""
    is_due = or_(BACKFILL.c.retry_at.is_(None), BACKFILL.c.retry_at <= now)
    rows = connection.execute(
        select(BACKFILL.c.org_id, BACKFILL.c.id).where(BACKFILL.c.state == OrderState.RUNNING, is_due)
    )
    return [(row[0], row[1]) for row in rows]


def running_remaps(connection: Connection) -> list[tuple[str, str]]:
    """Every (org, re-mapping) that is not over."""
    is_running = REMAP.c.state == OrderState.RUNNING
    rows = connection.execute(select(REMAP.c.org_id, REMAP.c.id).where(is_running))
    return [(row[0], row[1]) for row in rows]
