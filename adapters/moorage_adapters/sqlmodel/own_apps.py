"""Apps that orgs brought, and what their calls add up to."""

from collections.abc import Mapping

from sqlalchemy import Connection, select
from sqlalchemy.exc import IntegrityError

from moorage_adapters.sqlmodel.tables import CALL_COUNT, OWN_APP
from moorage_adapters.sqlmodel.tenant import OrgGate, Tenant, fields_of, value_of
from moorage_ports.apps import CallCount, OwnApp
from moorage_ports.errors import ConflictError


class SqlOwnApps:
    """`moorage_ports.apps.OwnApps` over one unit of work."""

    def __init__(self, gate: OrgGate) -> None:
        self._gate = gate

    async def of_vendor(self, vendor: str) -> OwnApp | None:
        """The org's app at `vendor`, if it brought one."""

        def work(org: Tenant) -> OwnApp | None:
            row = org.one(OWN_APP, OWN_APP.c.vendor == vendor)
            return None if row is None else value_of(OwnApp, row)

        return await self._gate.run(work)

    async def save(self, app: OwnApp) -> None:
        """Insert or replace.

        Raises:
            ConflictError: Another org brought this very app.
        """
        try:
            await self._gate.run(lambda org: org.upsert(OWN_APP, fields_of(app), ("org_id", "vendor")))
        except IntegrityError:
            msg = "this app cannot be used here"
            raise ConflictError(msg) from None

    async def remove(self, vendor: str) -> bool:
        """Forget it; false if there was none."""
        return await self._gate.run(lambda org: org.delete(OWN_APP, OWN_APP.c.vendor == vendor) == 1)


class SqlCallCounts:
    """`moorage_ports.apps.CallCounts` over one unit of work."""

    def __init__(self, gate: OrgGate) -> None:
        self._gate = gate

    async def of_vendor(self, vendor: str) -> CallCount:
        """All calls so far; zeros if there was none."""

        def work(org: Tenant) -> CallCount:
            row = org.one(CALL_COUNT, CALL_COUNT.c.vendor == vendor)
            return CallCount() if row is None else value_of(CallCount, row)

        return await self._gate.run(work)

    async def add(self, vendor: str, count: CallCount) -> None:
        """Add to what is counted already."""

        def work(org: Tenant) -> None:
            if org.insert(CALL_COUNT, fields_of(count) | {"vendor": vendor}):
                return
            # Added by the database: other processes count, too.
            sums: dict[str, object] = {
                "total": CALL_COUNT.c.total + count.total,
                "failed": CALL_COUNT.c.failed + count.failed,
                "milliseconds": CALL_COUNT.c.milliseconds + count.milliseconds,
            }
            if count.last_used_at is not None:
                sums["last_used_at"] = count.last_used_at
            org.update(CALL_COUNT, sums, CALL_COUNT.c.vendor == vendor)

        await self._gate.run(work)


def own_app_marks(connection: Connection) -> Mapping[tuple[str, str], str]:
    """The revision of every app that an org brought, by (vendor, org)."""
    rows = connection.execute(select(OWN_APP.c.vendor, OWN_APP.c.org_id, OWN_APP.c.revision))
    return {(vendor, org_id): revision for vendor, org_id, revision in rows}
