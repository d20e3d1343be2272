"""What one org keeps for how long, and what the job did about it."""

import msgspec

from moorage_adapters.sqlmodel.privacy_tables import RETENTION
from moorage_adapters.sqlmodel.tenant import OrgGate, Tenant, Values, fields_of, value_of
from moorage_adapters.sqlmodel.types import to_json
from moorage_ports.retention import Retention, RetentionCheck


class SqlRetentionRules:
    """`moorage_ports.retention.RetentionRules` over one unit of work."""

    def __init__(self, gate: OrgGate) -> None:
        self._gate = gate

    async def get(self) -> Retention:
        """What holds; the defaults, if the org never said."""

        def work(org: Tenant) -> Retention:
            row = org.one(RETENTION)
            return Retention() if row is None else value_of(Retention, row)

        return await self._gate.run(work)

    async def save(self, retention: Retention) -> None:
        """Put this in place of it; what the job did last stays."""
        await self._gate.run(lambda org: _put(org, retention, fields_of(retention)))

    async def last_check(self) -> RetentionCheck:
        """What the job did last."""

        def work(org: Tenant) -> RetentionCheck:
            row = org.one(RETENTION)
            if row is None:
                return RetentionCheck()
            removed = msgspec.json.decode(row["removed_json"], type=dict[str, int])
            return RetentionCheck(checked_at=row["checked_at"], removed=removed)

        return await self._gate.run(work)

    async def note_check(self, check: RetentionCheck) -> None:
        """The job has looked."""
        values = {"checked_at": check.checked_at, "removed_json": to_json(dict(check.removed))}
        await self._gate.run(lambda org: _put(org, Retention(), values))


def _put(org: Tenant, retention: Retention, values: Values) -> None:
    """Change the org's row; made of `retention` and of no look yet, if there is none."""
    if not org.update(RETENTION, values):
        fresh = {"checked_at": None, "removed_json": "{}", **fields_of(retention), **values}
        org.insert(RETENTION, fresh)
