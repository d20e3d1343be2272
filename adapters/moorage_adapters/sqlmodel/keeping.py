"""What the intake does within one transaction: find owners, seal, insert, put groups in line. Synchronous.

This is the hottest path of the host. What happens per row goes to the driver itself with prepared statements
(`SqliteRows`, `PostgresRows`): SQLAlchemy's part alone would cost more than the insert.
"""

import secrets
import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, TypeAlias

import attrs
import msgspec
from sqlalchemy import Connection, delete, select

from moorage_adapters.cipher import HOST, OrgKeys, fresh_nonces
from moorage_adapters.sqlmodel.inbox import KEY_LABEL, body_context, pack
from moorage_adapters.sqlmodel.inbox_lines import InboxLine, Key, Rows
from moorage_adapters.sqlmodel.keys import TransactionKeys
from moorage_adapters.sqlmodel.postgres_rows import PostgresRows
from moorage_adapters.sqlmodel.sqlite_rows import SqliteRows
from moorage_adapters.sqlmodel.tables import QUARANTINE
from moorage_adapters.sqlmodel.types import clean
from moorage_ports.failpoints import fail_point
from moorage_ports.inbox import INBOX_QUEUE, Arrival, Kept, Unreadable, inbox_group
from moorage_ports.webhooks import Change

BUCKETS: Final = 4  # groups per org: as many of its partitions may be worked on at once
QUARANTINE_LIFETIME: Final = timedelta(days=7)
NOBODYS: Final = "nobody owns it"

Owners: TypeAlias = Mapping[tuple[str, str, str], Iterable[str]]  # (vendor, app, channel) -> orgs


def bucket_of(partition: str) -> int:
    """The bucket that a partition's changes lie in, always the same."""
    return zlib.crc32(partition.encode("utf-8", "surrogatepass")) % BUCKETS


def rows_of(connection: Connection) -> Rows:
    """The statements in the words of the connection's database."""
    return (
        PostgresRows(connection, INBOX_QUEUE)
        if connection.dialect.name == "postgresql"
        else SqliteRows(connection)
    )


class Keeping:
    """One group of deliveries on its way into the database."""

    def __init__(self, connection: Connection, keys: TransactionKeys) -> None:
        self._connection = connection
        self._rows = rows_of(connection)
        self._keys = keys
        self._org_keys: dict[str, OrgKeys] = {}
        self._nonces: list[bytes] = []

    def store(self, arrivals: Sequence[Arrival]) -> list[Kept]:
        """Write every change of every arrival to its owners, or aside if it has none."""
        owners = self.find_owners(arrivals)
        fail_point("P4")
        orgs_of = [[owners_of(change, arrival, owners) for change in arrival.changes] for arrival in arrivals]
        self._nonces = fresh_nonces(sum(len(orgs) for found in orgs_of for orgs in found))
        lines_of = [self._lines(*one) for one in zip(arrivals, orgs_of, strict=True)]
        aside_of = [_nobodys(*one) for one in zip(arrivals, orgs_of, strict=True)]
        if any(aside_of):
            put_aside(self._connection, self._keys, [item for items in aside_of for item in items])
        new = self._insert([line for lines in lines_of for line in lines])
        fail_point("P5")
        return [
            _kept(lines, new, orphaned=len(items)) for lines, items in zip(lines_of, aside_of, strict=True)
        ]

    def find_owners(self, arrivals: Iterable[Arrival]) -> Owners:
        """Who owns the channels that these arrivals name.

        Ownership survives expiry (what arrives meanwhile is parked); it ends with the integration or the
        selection, and counts only for the app that the integration was connected with: whoever brought an
        app can sign anything with it.
        """
        wanted: defaultdict[str, set[str]] = defaultdict(set)
        for arrival in arrivals:
            for change in arrival.changes:
                wanted[arrival.vendor].update(change.owner_keys)
        found: defaultdict[tuple[str, str, str], set[str]] = defaultdict(set)
        for vendor, external_ids in wanted.items():
            for external_id, org_id, app_id in self._rows.owners(vendor, [*map(clean, external_ids)]):
                found[vendor, app_id, external_id].add(org_id)
        return found

    def _lines(self, arrival: Arrival, orgs_of: Iterable[Sequence[str]]) -> list[InboxLine]:
        """One line per owner of each of the arrival's changes."""
        return [
            self._line(org_id, arrival, change)
            for change, orgs in zip(arrival.changes, orgs_of, strict=True)
            for org_id in orgs
        ]

    def _line(self, org_id: str, arrival: Arrival, change: Change) -> InboxLine:
        keys = self._org_keys.get(org_id)
        if keys is None:
            keys = self._org_keys[org_id] = self._keys.sealing(self._connection, org_id)
        digest = keys.digest(KEY_LABEL, change.business_key)
        return InboxLine(
            org_id,
            arrival.vendor,
            digest,
            keys.digest("inbox partition", change.partition),
            bucket_of(change.partition),
            clean(change.kind),
            arrival.received_at,
            keys.seal(
                pack(change.partition, change.body),
                *body_context(arrival.vendor, digest),
                nonce=self._nonces.pop(),
            ),
        )

    def _insert(self, lines: Sequence[InboxLine]) -> set[Key]:
        """Insert, and put the groups of what was new in line; answers the keys of that."""
        if not lines:
            return set()
        new = set(self._rows.insert(lines))
        groups = {(inbox_group(line.org_id, line.bucket), line.org_id) for line in lines if line.key in new}
        self._rows.nudge(groups)
        return new


def _nobodys(arrival: Arrival, orgs_of: Iterable[Sequence[str]]) -> list[tuple["Aside", bytes]]:
    """The arrival's changes that nobody owns."""
    return [
        (Aside.of(arrival, NOBODYS), whole(change))
        for change, orgs in zip(arrival.changes, orgs_of, strict=True)
        if not orgs
    ]


def _kept(lines: Iterable[InboxLine], new: set[Key], *, orphaned: int) -> Kept:
    """What became of one delivery; takes its keys out of `new`, for a later double is one."""
    stored = duplicates = 0
    for line in lines:
        if line.key in new:
            new.discard(line.key)
            stored += 1
        else:
            duplicates += 1
    return Kept(stored=stored, duplicates=duplicates, orphaned=orphaned)


def owners_of(change: Change, arrival: Arrival, owners: Owners) -> Sequence[str]:
    """The orgs of the surest owner key that anybody holds; `narrow_to` takes away, it never adds."""
    for key in change.owner_keys:
        orgs = owners.get((arrival.vendor, arrival.app_id, key))
        if orgs:
            return [org_id for org_id in orgs if arrival.narrow_to in (None, org_id)]
    return ()


# The quarantine ------------------------------------------------------------------------------


@attrs.frozen
class Aside:
    """A row of the quarantine, but for its body."""

    id: str
    vendor: str
    app_id: str
    reason: str
    received_at: datetime
    expires_at: datetime

    @classmethod
    def of(cls, came: Arrival | Unreadable, reason: str) -> "Aside":
        """What came in, kept aside because of `reason`."""
        expires_at = came.received_at + QUARANTINE_LIFETIME
        return cls(secrets.token_hex(16), came.vendor, came.app_id, reason, came.received_at, expires_at)


def whole(change: Change) -> bytes:
    """A change as it can be read again, should it find an owner."""
    encodable = attrs.evolve(
        change,
        kind=clean(change.kind),
        owner_keys=tuple(map(clean, change.owner_keys)),
        business_key=clean(change.business_key),
        partition=clean(change.partition),
    )
    return msgspec.msgpack.encode(encodable)


def forget_aside(connection: Connection, now: datetime, limit: int) -> int:
    """Delete rows of the quarantine that have run out, the oldest first; answers how many."""
    oldest = (
        select(QUARANTINE.c.id)
        .where(QUARANTINE.c.expires_at <= now)
        .order_by(QUARANTINE.c.expires_at)
        .limit(limit)
    )
    return connection.execute(delete(QUARANTINE).where(QUARANTINE.c.id.in_(oldest))).rowcount


def put_aside(connection: Connection, keys: TransactionKeys, items: Iterable[tuple[Aside, bytes]]) -> None:
    """Insert rows into the quarantine, sealed under the host's key."""
    host = keys.sealing(connection, HOST)
    connection.execute(
        QUARANTINE.insert(),
        [
            {**attrs.asdict(aside), "body_sealed": host.seal(body, "quarantine", aside.id, "body")}
            for aside, body in items
        ],
    )
