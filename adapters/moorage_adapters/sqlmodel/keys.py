"""Orgs' data keys in the database: found, made and re-wrapped. Synchronous, inside a transaction."""

from collections.abc import Iterable

from sqlalchemy import ColumnElement, Connection, delete, func, select, update

from moorage_adapters.cipher import (
    FIRST_KEY_NO,
    HOST,
    SEALS_PER_BLOCK,
    SEALS_PER_KEY,
    EnvelopeCipher,
    OrgKeys,
    WrappedKey,
)
from moorage_adapters.sqlmodel.dialects import insert_into
from moorage_adapters.sqlmodel.tables import ORG_KEY
from moorage_ports.clock import Clock
from moorage_ports.secret_store import SealError


class TransactionKeys:
    """The keys one transaction works with.

    What it mints is remembered for others only by `publish`, once the transaction is durable: a value sealed
    under a key that was rolled back would never open again.
    """

    def __init__(self, cipher: EnvelopeCipher, clock: Clock) -> None:
        self._cipher = cipher
        self._clock = clock
        self._loaded: dict[str, OrgKeys] = {}

    def opening(self, connection: Connection, org_id: str) -> OrgKeys:
        """The org's keys, to read with.

        Raises:
            SealError: It has none (any more), or they do not unwrap.
        """
        found = self._loaded.get(org_id) or self._cipher.cached(org_id)
        if found is not None:
            return found
        return self._keep(org_id, read_keys(connection, org_id))

    def open(self, connection: Connection, org_id: str, sealed: bytes, *context: str) -> bytes:
        """The plaintext of what the org sealed with this context.

        Raises:
            SealError: It does not open as that, or the org's keys do not unwrap.
        """
        keys = self.opening(connection, org_id)
        if not keys.has_key_of(sealed):  # another process may have renewed the key since we read it
            keys = self._keep(org_id, read_keys(connection, org_id))
        return keys.open(sealed, *context)

    def sealing(self, connection: Connection, org_id: str) -> OrgKeys:
        """The org's keys, to write with: made if it has none, renewed once the newest was used enough."""
        found = self._loaded.get(org_id) or self._cipher.cached(org_id)
        if found is None:
            stored = read_keys(connection, org_id)
            if not stored:
                store_keys(connection, org_id, self._cipher.mint(org_id), self._clock)
                stored = read_keys(connection, org_id)
            found = self._keep(org_id, stored)
        if found.current.uses.unrecorded >= SEALS_PER_BLOCK:
            return self._record(connection, found)
        return found

    def _record(self, connection: Connection, keys: OrgKeys) -> OrgKeys:
        """Add up how often the newest key was used; a key that was used enough gets a successor."""
        uses, this = keys.current.uses, _is_key(keys.org_id, keys.current.key_no)
        recorded = uses.unrecorded
        connection.execute(update(ORG_KEY).where(*this).values(seals=ORG_KEY.c.seals + recorded))
        uses.unrecorded -= recorded
        total = connection.execute(select(ORG_KEY.c.seals).where(*this)).scalar()
        if total is None or total < SEALS_PER_KEY:
            return keys
        mint_next(connection, keys.org_id, self._cipher, self._clock)
        return self._keep(keys.org_id, read_keys(connection, keys.org_id))

    def _keep(self, org_id: str, stored: Iterable[WrappedKey]) -> OrgKeys:
        keys = self._loaded[org_id] = self._cipher.unwrap(org_id, stored)
        return keys

    def publish(self) -> None:
        """Remember for others what was loaded or minted: the transaction is durable."""
        for keys in self._loaded.values():
            self._cipher.remember(keys)


def _is_key(org_id: str, key_no: int) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return (ORG_KEY.c.org_id == org_id, ORG_KEY.c.key_no == key_no)


def read_keys(connection: Connection, org_id: str) -> list[WrappedKey]:
    """The org's wrapped keys, none if it has none."""
    rows = connection.execute(
        select(ORG_KEY.c.key_no, ORG_KEY.c.kek_id, ORG_KEY.c.wrapped).where(ORG_KEY.c.org_id == org_id)
    )
    return [WrappedKey(key_no=row.key_no, kek_id=row.kek_id, sealed=row.wrapped) for row in rows]


def store_keys(connection: Connection, org_id: str, keys: Iterable[WrappedKey], clock: Clock) -> None:
    """Insert wrapped keys, but those that another process stored just now: those are the org's."""
    now = clock.now()
    values = [
        {
            "org_id": org_id,
            "key_no": key.key_no,
            "kek_id": key.kek_id,
            "wrapped": key.sealed,
            "created_at": now,
        }
        for key in keys
    ]
    connection.execute(insert_into(connection, ORG_KEY).values(seals=0).on_conflict_do_nothing(), values)


def mint_next(connection: Connection, org_id: str, cipher: EnvelopeCipher, clock: Clock) -> int:
    """Give the org a newer data key; what older ones sealed stays readable. Answers its number.

    Raises:
        SealError: The org has no keys yet.
    """
    newest = connection.execute(select(func.max(ORG_KEY.c.key_no)).where(ORG_KEY.c.org_id == org_id)).scalar()
    if newest is None or newest < FIRST_KEY_NO:
        raise SealError
    store_keys(connection, org_id, [cipher.mint_one(org_id, newest + 1)], clock)
    return int(newest) + 1


def rewrap_some(connection: Connection, cipher: EnvelopeCipher, *, limit: int) -> int:
    """Wrap up to `limit` keys under the primary key that another one wraps still; 0 when none is left.

    Raises:
        SealError: One of them does not unwrap: its old key is not in the keyring.
    """
    primary = cipher.keyring.primary
    rows = connection.execute(select(ORG_KEY).where(ORG_KEY.c.kek_id != primary).limit(limit)).all()
    for row in rows:
        new = cipher.rewrap(row.org_id, WrappedKey(key_no=row.key_no, kek_id=row.kek_id, sealed=row.wrapped))
        connection.execute(
            update(ORG_KEY)
            .where(
                ORG_KEY.c.org_id == row.org_id, ORG_KEY.c.key_no == row.key_no, ORG_KEY.c.kek_id == row.kek_id
            )
            .values(kek_id=new.kek_id, wrapped=new.sealed)
        )
    return len(rows)


def shred(connection: Connection, org_id: str) -> int:
    """Delete the org's keys: nothing it sealed can be read again, in no copy of this database."""
    return connection.execute(delete(ORG_KEY).where(ORG_KEY.c.org_id == org_id)).rowcount


def orgs_with_keys(connection: Connection) -> list[str]:
    """Every org that has ever sealed anything."""
    rows = connection.execute(select(ORG_KEY.c.org_id).where(ORG_KEY.c.org_id != HOST).distinct())
    return sorted(rows.scalars().all())


def counts_by_kek(connection: Connection) -> dict[str, int]:
    """How many data keys each key of the keyring wraps; one with none may be removed."""
    rows = connection.execute(select(ORG_KEY.c.kek_id, func.count()).group_by(ORG_KEY.c.kek_id))
    return {row[0]: row[1] for row in rows}
