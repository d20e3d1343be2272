"""What the intake does within one transaction: find owners, seal, insert, put groups in line. Synchronous.

This is the hottest path of the host. What happens per row goes through the driver's own cursor with prepared
statements (`SqliteRows`): SQLAlchemy's part alone would cost more than the insert.
"""

import secrets
import sqlite3
import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, Protocol, TypeAlias

import attrs
import msgspec
from sqlalchemy import Connection

from moorage_adapters.cipher import HOST, OrgKeys
from moorage_adapters.sqlmodel.inbox import body_context, pack
from moorage_adapters.sqlmodel.keys import TransactionKeys
from moorage_adapters.sqlmodel.nudges import next_place
from moorage_adapters.sqlmodel.tables import QUARANTINE
from moorage_adapters.sqlmodel.types import clean, sqlite_moment
from moorage_ports.failpoints import fail_point
from moorage_ports.inbox import Arrival, Kept, Unreadable
from moorage_ports.webhooks import Change

QUEUE: Final = "inbox"
BUCKETS: Final = 4  # groups per org: as many of its partitions may be worked on at once
QUARANTINE_LIFETIME: Final = timedelta(days=7)
NOBODYS: Final = "nobody owns it"

Owners: TypeAlias = Mapping[tuple[str, str, str], Iterable[str]]  # (vendor, app, channel) -> orgs


def bucket_of(partition: str) -> int:
    """The bucket that a partition's changes lie in, always the same."""
    return zlib.crc32(partition.encode("utf-8", "surrogatepass")) % BUCKETS


def group_of(org_id: str, bucket: int) -> str:
    """The job group that works on a bucket."""
    return f"{org_id}:{bucket}"


@attrs.frozen
class InboxLine:
    """A row of the inbox as it is inserted."""

    org_id: str
    vendor: str
    key_digest: bytes
    partition_digest: bytes
    bucket: int
    kind: str
    received_at: datetime
    body_sealed: bytes


class Rows(Protocol):
    """The statements of the hot path, in one database's own words."""

    def owners(self, vendor: str, external_ids: Sequence[str]) -> Iterable[tuple[str, str, str]]:
        """(channel, org, app) of whoever has one of these channels selected and is not inactive."""
        ...

    def insert(self, line: InboxLine) -> bool:
        """Insert; false if the org has this vendor's change already."""
        ...

    def nudge(self, groups: Iterable[tuple[str, str]]) -> None:
        """Put these (group, org) in line, or mark those that stand there as nudged again."""
        ...


class SqliteRows:
    """`Rows` over sqlite3's cursor."""

    _OWNERS: Final = (
        "SELECT channel.external_id, channel.org_id, integration.app_id FROM json_each(?) AS wanted"
        " CROSS JOIN channel ON channel.vendor = ? AND channel.external_id = wanted.value"
        " CROSS JOIN integration ON integration.org_id = channel.org_id"
        " AND integration.id = channel.integration_id"
        " WHERE channel.selected AND integration.status <> 'inactive'"
    )
    _INSERT: Final = (
        "INSERT INTO inbox (org_id, vendor, key_digest, partition_digest, bucket, kind, state, received_at,"
        " tries, lease, last_error, body_sealed) VALUES (?, ?, ?, ?, ?, ?, 'pending', ?, 0, 0, '', ?)"
        " ON CONFLICT DO NOTHING"
    )
    _NUDGE: Final = (
        f"INSERT INTO job (queue, group_key, org_id, version, place, failures)"  # noqa: S608 - a constant
        f" VALUES ('{QUEUE}', ?, ?, 1, ?, 0)"
        " ON CONFLICT (queue, group_key) DO UPDATE SET version = version + 1"
    )

    def __init__(self, connection: Connection) -> None:
        raw = connection.connection.driver_connection
        if not isinstance(raw, sqlite3.Connection):
            msg = "these rows are SQLite's"
            raise TypeError(msg)
        if not connection.in_transaction():
            connection.begin()
        self._cursor = raw.cursor()

    def owners(self, vendor: str, external_ids: Sequence[str]) -> Iterable[tuple[str, str, str]]:
        """See `Rows`; any number of ids is one parameter."""
        return self._cursor.execute(self._OWNERS, (msgspec.json.encode(external_ids).decode(), vendor))

    def insert(self, line: InboxLine) -> bool:
        """See `Rows`."""
        values = (
            line.org_id,
            line.vendor,
            line.key_digest,
            line.partition_digest,
            line.bucket,
            line.kind,
            sqlite_moment(line.received_at),
            line.body_sealed,
        )
        return self._cursor.execute(self._INSERT, values).rowcount == 1

    def nudge(self, groups: Iterable[tuple[str, str]]) -> None:
        """See `Rows`."""
        for group, org_id in sorted(groups):
            self._cursor.execute(self._NUDGE, (group, org_id, next_place()))


class Keeping:
    """One group of deliveries on its way into the database."""

    def __init__(self, connection: Connection, keys: TransactionKeys) -> None:
        self._connection = connection
        self._rows: Rows = SqliteRows(connection)
        self._keys = keys
        self._org_keys: dict[str, OrgKeys] = {}
        self._nudged: set[tuple[str, str]] = set()
        self._aside: list[tuple[Aside, bytes]] = []

    def store(self, arrivals: Sequence[Arrival]) -> list[Kept]:
        """Write every change of every arrival to its owners, or aside if it has none."""
        owners = self.find_owners(arrivals)
        fail_point("P4")
        kept = [self._store(arrival, owners) for arrival in arrivals]
        if self._aside:
            put_aside(self._connection, self._keys, self._aside)
        self._rows.nudge(self._nudged)
        fail_point("P5")
        return kept

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

    def _store(self, arrival: Arrival, owners: Owners) -> Kept:
        stored = duplicates = orphaned = 0
        for change in arrival.changes:
            orgs = owners_of(change, arrival, owners)
            if not orgs:
                orphaned += 1
                self._aside.append((Aside.of(arrival, NOBODYS), whole(change)))
            for org_id in orgs:
                if self._insert(org_id, arrival, change):
                    stored += 1
                else:
                    duplicates += 1
        return Kept(stored=stored, duplicates=duplicates, orphaned=orphaned)

    def _insert(self, org_id: str, arrival: Arrival, change: Change) -> bool:
        keys = self._org_keys.get(org_id)
        if keys is None:
            keys = self._org_keys[org_id] = self._keys.sealing(self._connection, org_id)
        digest = keys.digest("inbox key", change.business_key)
        bucket = bucket_of(change.partition)
        line = InboxLine(
            org_id,
            arrival.vendor,
            digest,
            keys.digest("inbox partition", change.partition),
            bucket,
            clean(change.kind),
            arrival.received_at,
            keys.seal(pack(change.partition, change.body), *body_context(arrival.vendor, digest)),
        )
        is_new = self._rows.insert(line)
        if is_new:
            self._nudged.add((group_of(org_id, bucket), org_id))
        return is_new


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
