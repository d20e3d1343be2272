"""The door of the inbox: deliveries are kept, durably, before anybody understands them.

Deliveries that arrive together are committed together: while one group is written and fsynced, the next one
collects, and nobody waits for a timer. A failure fails every delivery of its group, so an acknowledgement
never stands for less than a commit.
"""

import asyncio
import secrets
import sqlite3
import zlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import attrs
import msgspec
import structlog
from sqlalchemy import Connection, bindparam, select

from moorage_adapters.cipher import HOST, EnvelopeCipher
from moorage_adapters.sqlmodel.engine import SqliteDatabase
from moorage_adapters.sqlmodel.inbox import body_context, pack
from moorage_adapters.sqlmodel.keys import TransactionKeys
from moorage_adapters.sqlmodel.nudges import Bell, put_nudges
from moorage_adapters.sqlmodel.tables import CHANNEL, INTEGRATION, QUARANTINE
from moorage_adapters.sqlmodel.types import clean, sqlite_moment
from moorage_ports.clock import Clock
from moorage_ports.errors import UnavailableError
from moorage_ports.failpoints import fail_point
from moorage_ports.inbox import Arrival, Kept, Unreadable
from moorage_ports.integrations import IntegrationStatus
from moorage_ports.jobs import Nudge
from moorage_ports.webhooks import Change

log = structlog.get_logger(__name__)

QUEUE: Final = "inbox"
BUCKETS: Final = 4  # groups per org: as many of its partitions may be worked on at once
GROUP_ROWS: Final = 64
QUARANTINE_LIFETIME: Final = timedelta(days=7)
NOBODYS: Final = "nobody owns it"

_INSERT: Final = (
    "INSERT INTO inbox (org_id, vendor, key_digest, partition_digest, bucket, kind, state, received_at,"
    " tries, lease, last_error, body_sealed) VALUES (?, ?, ?, ?, ?, ?, 'pending', ?, 0, 0, '', ?)"
    " ON CONFLICT DO NOTHING"
)
_LOOKUP_CHUNK: Final = 4096  # SQLite takes 32,766 parameters at most
_OWNERS: Final = (
    select(CHANNEL.c.external_id, CHANNEL.c.org_id, INTEGRATION.c.app_id)
    .join(
        INTEGRATION,
        (INTEGRATION.c.org_id == CHANNEL.c.org_id) & (INTEGRATION.c.id == CHANNEL.c.integration_id),
    )
    .where(
        CHANNEL.c.vendor == bindparam("vendor"),
        CHANNEL.c.external_id.in_(bindparam("ids", expanding=True)),
        CHANNEL.c.selected.is_(True),
        INTEGRATION.c.status != IntegrationStatus.INACTIVE,
    )
)


def bucket_of(partition: str) -> int:
    """The bucket that a partition's changes lie in, always the same."""
    return zlib.crc32(partition.encode("utf-8", "surrogatepass")) % BUCKETS


def group_of(org_id: str, bucket: int) -> str:
    """The job group that works on a bucket."""
    return f"{org_id}:{bucket}"


@attrs.define
class _Waiting:
    """A delivery whose sender waits for our answer."""

    arrival: Arrival
    answer: "asyncio.Future[Kept]"


class SqlIntake:
    """`moorage_ports.inbox.Intake` with group commit."""

    def __init__(self, database: SqliteDatabase, cipher: EnvelopeCipher, clock: Clock, bell: Bell) -> None:
        self._database = database
        self._cipher = cipher
        self._clock = clock
        self._bell = bell
        self._waiting: list[_Waiting] = []
        self._writer: asyncio.Task[None] | None = None

    async def keep(self, arrival: Arrival) -> Kept:
        """One row per owning org and change; returns only when all of them are durable.

        Raises:
            UnavailableError: Not stored, nothing half-written.
        """
        if not arrival.changes:
            return Kept()
        answer: asyncio.Future[Kept] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(arrival, answer))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write_groups(), name="moorage-intake")
        return await answer

    async def keep_aside(self, unreadable: Unreadable) -> None:
        """Keep what cannot be split; durable when this returns.

        Raises:
            UnavailableError: Not stored.
        """
        keys = TransactionKeys(self._cipher, self._clock)

        def work(connection: Connection) -> None:
            aside = _Aside.of(unreadable.vendor, unreadable.app_id, unreadable.received_at, unreadable.reason)
            _put_aside(connection, keys, [(aside, unreadable.body)])

        await self._database.write_at_once(work, hot=True)
        keys.publish()

    async def aclose(self) -> None:
        """Wait for what is being written."""
        if self._writer is not None:
            await asyncio.wait([self._writer])

    async def _write_groups(self) -> None:
        """Write group after group until nobody waits."""
        try:
            await asyncio.sleep(
                0
            )  # whoever is ready to arrive in this turn of the loop joins the first group
            while self._waiting:
                await self._write(self._next_group())
        finally:
            self._writer = None
            _refuse(self._waiting)  # only if this task was cancelled: the process is going down
            self._waiting.clear()

    def _next_group(self) -> list[_Waiting]:
        rows = 0
        for number, waiting in enumerate(self._waiting):
            rows += len(waiting.arrival.changes)
            if rows > GROUP_ROWS and number:
                group, self._waiting = self._waiting[:number], self._waiting[number:]
                return group
        group, self._waiting = self._waiting, []
        return group

    async def _write(self, group: Sequence[_Waiting]) -> None:
        """Commit one group and answer everybody in it."""
        keys = TransactionKeys(self._cipher, self._clock)
        arrivals = [waiting.arrival for waiting in group]
        try:
            kept = await self._database.write_at_once(
                lambda connection: store(connection, keys, arrivals), hot=True
            )
        except (UnavailableError, asyncio.CancelledError) as failure:
            _refuse(group)
            if isinstance(failure, asyncio.CancelledError):
                raise
            return
        except Exception as failure:
            if len(group) > 1:  # one of them is bad: the others must not suffer for it again and again
                for waiting in group:
                    await self._write([waiting])
                return
            log.exception("delivery_not_kept", vendor=arrivals[0].vendor, error=type(failure).__name__)
            _refuse(group)
            return
        fail_point("P6")
        keys.publish()
        if any(one.stored for one in kept):
            self._bell.ring()
        for waiting, one in zip(group, kept, strict=True):
            if not waiting.answer.done():
                waiting.answer.set_result(one)


def _refuse(group: Iterable[_Waiting]) -> None:
    for waiting in group:
        if not waiting.answer.done():
            msg = "the delivery was not stored"
            waiting.answer.set_exception(UnavailableError(msg))


# On the database's thread, inside one transaction --------------------------------------------


def store(connection: Connection, keys: TransactionKeys, arrivals: Sequence[Arrival]) -> list[Kept]:
    """Write every change of every arrival to its owners, or aside if it has none."""
    owners = find_owners(connection, arrivals)
    fail_point("P4")
    kept: list[Kept] = []
    nudged: set[tuple[str, int]] = set()
    aside: list[tuple[_Aside, bytes]] = []
    cursor = _sqlite_cursor(connection)
    for arrival in arrivals:
        stored = duplicates = orphaned = 0
        moment = sqlite_moment(arrival.received_at)
        for change in arrival.changes:
            orgs = _owners_of(change, arrival, owners)
            if not orgs:
                orphaned += 1
                aside.append(
                    (_Aside.of(arrival.vendor, arrival.app_id, arrival.received_at, NOBODYS), _whole(change))
                )
            for org_id in orgs:
                row = _row(keys, connection, org_id, arrival.vendor, change, moment)
                if cursor.execute(_INSERT, row).rowcount == 1:
                    stored += 1
                    nudged.add((org_id, row[4]))
                else:
                    duplicates += 1
        kept.append(Kept(stored=stored, duplicates=duplicates, orphaned=orphaned))
    if aside:
        _put_aside(connection, keys, aside)
    if nudged:
        put_nudges(
            connection,
            [Nudge(queue=QUEUE, group=group_of(org_id, bucket), org_id=org_id) for org_id, bucket in nudged],
        )
    fail_point("P5")
    return kept


_Owners = Mapping[tuple[str, str, str], frozenset[str]]  # (vendor, app, external id) -> orgs


def find_owners(connection: Connection, arrivals: Iterable[Arrival]) -> _Owners:
    """Who owns the channels that these arrivals name.

    Ownership survives expiry (what arrives meanwhile is parked); it ends with the integration or the
    selection, and counts only for the app that the integration was connected with: whoever brought an app
    can sign anything with it.
    """
    wanted: defaultdict[str, set[str]] = defaultdict(set)
    for arrival in arrivals:
        for change in arrival.changes:
            wanted[arrival.vendor].update(change.owner_keys)
    found: defaultdict[tuple[str, str, str], set[str]] = defaultdict(set)
    for vendor, external_ids in wanted.items():
        ids = [clean(external_id) for external_id in external_ids]
        for start in range(0, len(ids), _LOOKUP_CHUNK):
            chunk = _padded(ids[start : start + _LOOKUP_CHUNK])
            for external_id, org_id, app_id in connection.execute(_OWNERS, {"vendor": vendor, "ids": chunk}):
                found[vendor, app_id, external_id].add(org_id)
    return {key: frozenset(orgs) for key, orgs in found.items()}


def _padded(ids: list[str]) -> list[str]:
    """As many ids as the next power of two, so that few different statements have to be prepared."""
    size = 1 << max(len(ids) - 1, 0).bit_length()
    return ids + ids[:1] * (size - len(ids))


def _owners_of(change: Change, arrival: Arrival, owners: _Owners) -> Sequence[str]:
    """The orgs of the surest owner key that anybody holds; `narrow_to` takes away, it never adds."""
    for key in change.owner_keys:
        orgs = owners.get((arrival.vendor, arrival.app_id, key))
        if orgs:
            return sorted(orgs if arrival.narrow_to is None else orgs & {arrival.narrow_to})
    return ()


def _sqlite_cursor(connection: Connection) -> sqlite3.Cursor:
    """The driver's own cursor: per row, SQLAlchemy's would cost more than the insert."""
    raw = connection.connection.driver_connection
    if not isinstance(raw, sqlite3.Connection):
        msg = "this intake writes to SQLite"
        raise TypeError(msg)
    return raw.cursor()


def _row(
    keys: TransactionKeys, connection: Connection, org_id: str, vendor: str, change: Change, moment: str
) -> tuple[Any, ...]:
    org_keys = keys.sealing(connection, org_id)
    digest = org_keys.digest("inbox key", change.business_key)
    sealed = org_keys.seal(pack(change.partition, change.body), *body_context(vendor, digest))
    return (
        org_id,
        vendor,
        digest,
        org_keys.digest("inbox partition", change.partition),
        bucket_of(change.partition),
        clean(change.kind),
        moment,
        sealed,
    )


@attrs.frozen
class _Aside:
    """A row of the quarantine, but for its body."""

    id: str
    vendor: str
    app_id: str
    reason: str
    received_at: datetime
    expires_at: datetime

    @classmethod
    def of(cls, vendor: str, app_id: str, received_at: datetime, reason: str) -> "_Aside":
        return cls(
            secrets.token_hex(16), vendor, app_id, reason, received_at, received_at + QUARANTINE_LIFETIME
        )


def _whole(change: Change) -> bytes:
    """A change as it can be read again, should it find an owner."""
    encodable = attrs.evolve(
        change,
        kind=clean(change.kind),
        owner_keys=tuple(map(clean, change.owner_keys)),
        business_key=clean(change.business_key),
        partition=clean(change.partition),
    )
    return msgspec.msgpack.encode(encodable)


def _put_aside(connection: Connection, keys: TransactionKeys, items: Iterable[tuple[_Aside, bytes]]) -> None:
    host = keys.sealing(connection, HOST)
    connection.execute(
        QUARANTINE.insert(),
        [
            {**attrs.asdict(aside), "body_sealed": host.seal(body, "quarantine", aside.id, "body")}
            for aside, body in items
        ],
    )
