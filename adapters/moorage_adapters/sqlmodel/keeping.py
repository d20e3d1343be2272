"""What the intake does within one transaction: find owners, seal, insert, put groups in line. Synchronous.

This is the hottest path of the host. What happens per row goes to the driver itself with prepared statements
(`SqliteRows`, `PostgresRows`): SQLAlchemy's part alone would cost more than the insert.
"""

import hashlib
import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, TypeAlias

import attrs
import msgspec
from sqlalchemy import Connection, delete, select

from moorage_adapters.cipher import HOST, OrgKeys, fresh_nonces, length_prefixed
from moorage_adapters.sqlmodel.inbox import KEY_LABEL, body_context, pack
from moorage_adapters.sqlmodel.inbox_lines import InboxLine, Key, Rows
from moorage_adapters.sqlmodel.keys import TransactionKeys
from moorage_adapters.sqlmodel.postgres_rows import PostgresRows
from moorage_adapters.sqlmodel.sqlite_rows import SqliteRows
from moorage_adapters.sqlmodel.tables import INBOX_DOUBLE, QUARANTINE
from moorage_adapters.sqlmodel.tenant import insert_into
from moorage_adapters.sqlmodel.types import clean
from moorage_ports.failpoints import fail_point
from moorage_ports.inbox import INBOX_QUEUE, Arrival, HeardBy, Kept, Unreadable, inbox_group
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
            arrival.heard_by,
        )

    def _insert(self, lines: Sequence[InboxLine]) -> set[Key]:
        """Insert, and put the groups of what was new in line; answers the keys of that."""
        if not lines:
            return set()
        new = set(self._rows.insert(lines))
        groups = {(inbox_group(line.org_id, line.bucket), line.org_id) for line in lines if line.key in new}
        self._rows.nudge(groups)
        doubles = _came_again(lines, new)
        if doubles:
            self._rows.note_doubles(doubles)
        return new


def _came_again(lines: Iterable[InboxLine], new: set[Key]) -> list[InboxLine]:
    """What a vendor sent a second time. What we looked for ourselves is no double: it came once or never."""
    first = set(new)
    doubles = []
    for line in lines:
        if line.key in first:
            first.discard(line.key)
        elif line.heard_by is HeardBy.WEBHOOK:
            doubles.append(line)
    return doubles


def forget_doubles(connection: Connection, before: datetime, limit: int) -> int:
    """Delete the oldest notes of what came again; answers how many."""
    oldest = (
        select(INBOX_DOUBLE.c.seq).where(INBOX_DOUBLE.c.at <= before).order_by(INBOX_DOUBLE.c.at).limit(limit)
    )
    return connection.execute(delete(INBOX_DOUBLE).where(INBOX_DOUBLE.c.seq.in_(oldest))).rowcount


def _nobodys(arrival: Arrival, orgs_of: Iterable[Sequence[str]]) -> list["Aside"]:
    """The arrival's changes that nobody owns."""
    return [
        Aside(arrival, NOBODYS, change.business_key.encode("utf-8", "surrogatepass"), whole(change))
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
    """Something that goes into the quarantine, once: `key` is what a second one of it would share."""

    came: Arrival | Unreadable
    reason: str
    key: bytes = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)

    @classmethod
    def unreadable(cls, delivery: Unreadable) -> "Aside":
        """A delivery that cannot be split: it is the same one only if it is the same bytes."""
        return cls(delivery, delivery.reason, delivery.body, delivery.body)

    def id(self, host: OrgKeys) -> str:
        """The row's key: a signature is good for ever, so whoever has one delivery may send it for ever."""
        named = length_prefixed("whole" if isinstance(self.came, Unreadable) else "change", self.came.vendor)
        named += length_prefixed(clean(self.came.app_id))
        return host.digest("quarantine", hashlib.sha256(named + self.key).hexdigest()).hex()


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


def put_aside(connection: Connection, keys: TransactionKeys, items: Iterable[Aside]) -> None:
    """Insert what is not in the quarantine yet, sealed under the host's key."""
    host = keys.sealing(connection, HOST)
    # In one order: two transactions with the same ones must not wait for each other.
    named = sorted({item.id(host): item for item in items}.items())
    rows = [
        {
            "id": row_id,
            "vendor": item.came.vendor,
            "app_id": item.came.app_id,
            "reason": item.reason,
            "received_at": item.came.received_at,
            "expires_at": item.came.received_at + QUARANTINE_LIFETIME,
            "body_sealed": host.seal(item.body, "quarantine", row_id, "body"),
        }
        for row_id, item in named
    ]
    connection.execute(insert_into(connection, QUARANTINE).on_conflict_do_nothing(), rows)
