"""Secrets of one org and one vendor, sealed under the org's own key."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from sqlalchemy import RowMapping

from moorage_adapters.sqlmodel.tables import SECRET
from moorage_adapters.sqlmodel.tenant import Condition, OrgGate, Tenant
from moorage_ports.clock import Clock
from moorage_ports.errors import ConflictError
from moorage_ports.secret import Secret
from moorage_ports.secret_store import OpenedSecret, SecretRef

_KEY = ("org_id", "vendor", "owner_type", "owner_id", "field")


class SqlSecretStore:
    """`moorage_ports.secret_store.SecretStore` inside a unit of work."""

    def __init__(self, gate: OrgGate, vendor: str, clock: Clock) -> None:
        self._gate = gate
        self._vendor = vendor
        self._clock = clock

    async def put(self, ref: SecretRef, value: Secret, *, expected_version: int | None = None) -> int:
        """Seal `value` and answer its new version.

        Raises:
            ConflictError: `expected_version` is not the stored one; nothing was written.
        """

        def work(org: Tenant) -> int:
            row = self._row(org, ref)
            stored = 0 if row is None else int(row["version"])
            if expected_version is not None and expected_version != stored:
                msg = "the secret was changed meanwhile"
                raise ConflictError(msg)
            version = stored + 1
            values = {
                "vendor": self._vendor,
                "owner_type": ref.owner_type,
                "owner_id": ref.owner_id,
                "field": ref.field,
                "version": version,
                "value_sealed": org.seal(value.reveal().encode(), *self._context(ref, version)),
                "updated_at": self._clock.now(),
            }
            org.upsert(SECRET, values, _KEY)
            return version

        return await self._gate.run(work)

    async def get(self, ref: SecretRef) -> OpenedSecret | None:
        """The secret, or `None` if nothing is kept there.

        Raises:
            SealError: What is kept there does not open.
        """

        def work(org: Tenant) -> OpenedSecret | None:
            row = self._row(org, ref)
            if row is None:
                return None
            version = int(row["version"])
            opened = org.open(row["value_sealed"], *self._context(ref, version))
            return OpenedSecret(value=Secret(opened.decode()), version=version)

        return await self._gate.run(work)

    async def forget(self, *, owner_type: str, owner_id: str) -> int:
        """Delete everything that this owner has; answers how many secrets that were."""
        where = (
            SECRET.c.vendor == self._vendor,
            SECRET.c.owner_type == owner_type,
            SECRET.c.owner_id == owner_id,
        )
        return await self._gate.run(lambda org: org.delete(SECRET, *where))

    def _row(self, org: Tenant, ref: SecretRef) -> RowMapping | None:
        return org.one(SECRET, *self._is(ref))

    def _is(self, ref: SecretRef) -> tuple[Condition, ...]:
        return (
            SECRET.c.vendor == self._vendor,
            SECRET.c.owner_type == ref.owner_type,
            SECRET.c.owner_id == ref.owner_id,
            SECRET.c.field == ref.field,
        )

    def _context(self, ref: SecretRef, version: int) -> tuple[str, ...]:
        return ("secret", self._vendor, ref.owner_type, ref.owner_id, ref.field, str(version))


class SqlSecrets:
    """The same secrets outside a unit of work: each call is a transaction of its own."""

    def __init__(self, open_store: Callable[[bool], AbstractAsyncContextManager[SqlSecretStore]]) -> None:
        self._open_store = open_store  # its argument: whether the call only reads

    async def put(self, ref: SecretRef, value: Secret, *, expected_version: int | None = None) -> int:
        """See `SqlSecretStore.put`; durable when this returns."""
        async with self._open_store(False) as store:
            return await store.put(ref, value, expected_version=expected_version)

    async def get(self, ref: SecretRef) -> OpenedSecret | None:
        """See `SqlSecretStore.get`."""
        async with self._open_store(True) as store:
            return await store.get(ref)

    async def forget(self, *, owner_type: str, owner_id: str) -> int:
        """See `SqlSecretStore.forget`; durable when this returns."""
        async with self._open_store(False) as store:
            return await store.forget(owner_type=owner_type, owner_id=owner_id)
