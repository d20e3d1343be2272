"""The worker's side of the inbox: one org's kept changes, claimed and settled."""

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final

import attrs
import structlog
from sqlalchemy import (
    Connection,
    Delete,
    RowMapping,
    Update,
    and_,
    delete,
    exists,
    false,
    func,
    literal_column,
    or_,
    select,
    update,
)

from moorage_adapters.sqlmodel.crm_people import Page
from moorage_adapters.sqlmodel.lead_ledger_tables import LEAD_ENTRY
from moorage_adapters.sqlmodel.tables import INBOX, IS_PARKED, IS_PENDING
from moorage_adapters.sqlmodel.tenant import Condition, OrgGate, Tenant, among
from moorage_adapters.sqlmodel.types import clean
from moorage_ports.inbox import (
    BODY_KEPT,
    DEAD_KEPT,
    KEY_KEPT,
    InboxItem,
    ItemState,
    KeptItem,
    SettledItem,
    Settlement,
)
from moorage_ports.listing import Listing
from moorage_ports.secret_store import SealError

log = structlog.get_logger(__name__)

MAX_ERROR_CHARACTERS = 500
KEY_LABEL: Final = "inbox key"  # what a business key's digest is told apart by
MOST_PARAMETERS: Final = 500
_ID = re.compile(r"(?:[0-9a-f]{2})+", re.ASCII)


class SqlInbox:
    """`moorage_ports.inbox.Inbox` over one unit of work.

    A lease has no time of its own: a later claim takes a row over, and the earlier claimer's settle is
    refused. `Jobs` sees to it that a group has one worker at a time; the lease covers the case that it fails.
    """

    def __init__(self, gate: OrgGate) -> None:
        self._gate = gate

    async def claim(self, bucket: int, *, limit: int, now: datetime) -> tuple[InboxItem, ...]:
        """The oldest pending items of a bucket that are due, in order.

        Raises:
            SealError: The org's keys do not unwrap; nothing was claimed.
        """

        def work(org: Tenant) -> tuple[InboxItem, ...]:
            pending = _pending_of(org, bucket)
            waiting = select(INBOX.c.partition_digest).where(*pending, INBOX.c.next_at > now)
            due = (
                select(INBOX.c.seq)
                .where(*pending, _is_due(now), INBOX.c.partition_digest.not_in(waiting))
                .order_by(INBOX.c.seq)
                .limit(limit)
                .with_for_update(skip_locked=True)  # nothing on SQLite, where nobody else writes meanwhile
                .cte("due")  # looked for once; joined, as a list it would be held against all rows of the org
            )
            leased = {"lease": INBOX.c.lease + 1, "tries": INBOX.c.tries + 1}
            rows = org.update_returning(INBOX, leased, INBOX.c.seq == due.c.seq)  # UPDATE ... FROM due
            if rows:
                org.unlock()
            return tuple(_opened(org, sorted(rows, key=lambda row: int(row["seq"])), now))

        return await self._gate.run(work)

    async def settle(self, settlements: Sequence[Settlement], *, now: datetime) -> tuple[bool, ...]:
        """Record outcomes, those that are alike in one statement; false for one whose lease was lost.

        `PENDING` without an error gives the row back unworked: that was no try.
        """
        alike: dict[_Words, list[bytes]] = {}
        for one in settlements:
            alike.setdefault(_words(one, now), []).append(bytes.fromhex(one.item.id))

        def work(org: Tenant) -> tuple[bool, ...]:
            settled = {
                (words.vendor, words.lease, digest)
                for words, digests in alike.items()
                for start in range(0, len(digests), MOST_PARAMETERS)
                for digest in _settle(org, words, digests[start : start + MOST_PARAMETERS])
            }
            return tuple(
                (one.item.vendor, one.item.lease, bytes.fromhex(one.item.id)) in settled
                for one in settlements
            )

        return await self._gate.run(work)

    async def unpark(self, vendor: str, *, now: datetime, with_waiting: bool = True) -> tuple[int, ...]:
        """Make parked items of `vendor` pending again, and `with_waiting` due what waits for a later try."""
        of_vendor = INBOX.c.vendor == vendor
        return await self._gate.run(
            lambda org: _sorted(
                # Two statements: each has a partial index.
                bucket
                for where in (IS_PARKED, *([_waits(now)] if with_waiting else ()))
                for bucket in _begin_again(org, of_vendor, where)
            )
        )

    async def revive(self, vendor: str, business_keys: Collection[str], *, now: datetime) -> tuple[int, ...]:
        """Make pending, as if they had just come, what of these is dead, parked or waits for a later try."""

        def work(org: Tenant) -> tuple[int, ...]:
            digests = [org.digest(KEY_LABEL, key) for key in business_keys]
            found = or_(_is(ItemState.DEAD), IS_PARKED, _waits(now))
            return _sorted(
                bucket
                for start in range(0, len(digests), MOST_PARAMETERS)
                for bucket in _begin_again(
                    org,
                    INBOX.c.vendor == vendor,
                    INBOX.c.key_digest.in_(digests[start : start + MOST_PARAMETERS]),
                    found,
                )
            )

        return await self._gate.run(work)

    async def settled(
        self,
        *,
        states: Collection[ItemState],
        before: datetime,
        ids: Collection[str] = (),
        vendor: str = "",
        kind: str = "",
        error: str = "",
        form_external_id: str = "",
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 500,
    ) -> tuple[SettledItem, ...]:
        """The oldest items that are `done` or `dead` since before `before`; of `ids`, if any are given."""
        where = [
            or_(*(_is(state) for state in SETTLED if state in states)) if states else false(),
            INBOX.c.settled_at <= before,
            _HAS_BODY,
        ]
        if ids:
            where.append(INBOX.c.key_digest.in_(_digests(ids)))
        asked = ((INBOX.c.vendor, vendor), (INBOX.c.kind, kind), (INBOX.c.last_error, error))
        where += [column == word for column, word in asked if word]
        where += [] if since is None else [INBOX.c.received_at >= since]
        where += [] if until is None else [INBOX.c.received_at < until]

        def work(org: Tenant) -> tuple[SettledItem, ...]:
            of_form = [_tells_of(org, form_external_id)] if form_external_id else []
            rows = org.rows(INBOX, *where, *of_form, order_by=(INBOX.c.seq,), limit=limit)
            return tuple(map(_settled, rows))

        return await self._gate.run(work)

    async def kept(
        self, state: ItemState, *, page: int, page_size: int, vendor: str = ""
    ) -> Listing[KeptItem]:
        """What is in that state, the newest first; of one vendor, if it is given."""
        asked = Page(page, page_size)
        where = [_is(state)]
        if vendor:
            where.append(INBOX.c.vendor == vendor)

        def work(org: Tenant) -> Listing[KeptItem]:
            newest = (INBOX.c.seq.desc(),)
            rows = org.rows(INBOX, *where, order_by=newest, limit=asked.size, offset=asked.offset)
            return asked.of(map(_kept, rows), org.count(INBOX, *where))

        return await self._gate.run(work)

    async def replay(self, items: Collection[SettledItem], *, now: datetime) -> tuple[int, ...]:
        """Make settled items pending again; answers the buckets that have work now."""
        by_vendor: dict[str, list[bytes]] = {}
        for item in items:
            by_vendor.setdefault(item.vendor, []).extend(_digests((item.id,)))

        def work(org: Tenant) -> tuple[int, ...]:
            return _sorted(
                bucket
                for vendor, digests in by_vendor.items()
                for bucket in _begin_again(
                    org,
                    INBOX.c.vendor == vendor,
                    INBOX.c.key_digest.in_(digests),
                    or_(*map(_is, SETTLED)),
                    INBOX.c.settled_at <= now,
                    _HAS_BODY,
                )
            )

        return await self._gate.run(work)


SETTLED = (ItemState.DONE, ItemState.DEAD)
_HAS_BODY: Final = func.length(INBOX.c.body_sealed) > 0
# As if it had just come. The lease: whoever may still hold an old one has nothing more to say.
_BEGINNING: Final = {
    "state": ItemState.PENDING,
    "next_at": None,
    "settled_at": None,
    "forget_at": None,
    "tries": 0,
    "last_error": "",
    "lease": INBOX.c.lease + 1,
}


def _begin_again(org: Tenant, *where: Condition) -> Iterable[int]:
    """Have these worked on from the beginning; answers their buckets (they may be many, with long bodies)."""
    buckets = [int(bucket) for bucket in org.distinct(INBOX, "bucket", *where)]
    if buckets:
        org.update(INBOX, _BEGINNING, *where)
    return buckets


@attrs.frozen
class _Words:
    """What is said of items that are settled alike."""

    vendor: str
    lease: int
    tries: int
    state: ItemState
    error: str
    next_at: datetime | None
    settled_at: datetime | None
    forget_at: datetime | None
    is_lasting: bool


def _forget_at(state: ItemState, now: datetime) -> datetime | None:
    """When something of an item that is settled now is to be forgotten."""
    kept = {ItemState.DONE: BODY_KEPT, ItemState.DEAD: DEAD_KEPT}.get(state)
    return None if kept is None else now + kept


def _words(settlement: Settlement, now: datetime) -> _Words:
    item, is_pending = settlement.item, settlement.state is ItemState.PENDING
    return _Words(
        vendor=item.vendor,
        lease=item.lease,
        tries=item.tries - 1 if is_pending and not settlement.error else item.tries,
        state=settlement.state,
        error=settlement.error[:MAX_ERROR_CHARACTERS],
        next_at=settlement.retry_at if is_pending else None,
        settled_at=None if is_pending else now,
        forget_at=_forget_at(settlement.state, now),
        is_lasting=settlement.is_lasting,
    )


def _settle(org: Tenant, words: _Words, digests: Sequence[bytes]) -> Iterable[bytes]:
    values = {
        "state": words.state,
        "last_error": words.error,
        "next_at": words.next_at,
        "settled_at": words.settled_at,
        "forget_at": words.forget_at,
        "is_lasting": words.is_lasting,
        "tries": words.tries,
        "lease": INBOX.c.lease + 1,  # what was settled cannot be settled again
    }
    where = (
        INBOX.c.vendor == words.vendor,
        among(INBOX.c.key_digest, digests),
        INBOX.c.lease == words.lease,
        IS_PENDING,
    )
    rows = org.update_returning(INBOX, values, *where, columns=("key_digest",))
    return [bytes(row["key_digest"]) for row in rows]


def _sorted(buckets: Iterable[int]) -> tuple[int, ...]:
    return tuple(sorted(set(buckets)))


def _waits(now: datetime) -> Condition:
    return and_(IS_PENDING, INBOX.c.next_at > now)


def _is(state: ItemState) -> Condition:
    """A literal, so that the partial index of that state is seen to fit."""
    return INBOX.c.state == literal_column(f"'{state.value}'", INBOX.c.state.type)


def _digests(ids: Iterable[str]) -> list[bytes]:
    """The ids as they are stored; what is no id of ours is nobody's."""
    return [bytes.fromhex(one) for one in ids if _ID.fullmatch(one)]


def _tells_of(org: Tenant, form_external_id: str) -> Condition:
    """Whether an item tells of a lead of that form: in the ledger stands its key in hexadecimal digits."""
    key = INBOX.c.key_digest
    digits = func.encode(key, "hex") if org.dialect_name == "postgresql" else func.lower(func.hex(key))
    return exists().where(
        LEAD_ENTRY.c.org_id == org.org_id,
        LEAD_ENTRY.c.item_id == digits,
        LEAD_ENTRY.c.item_id != literal_column("''"),
        # Of one delivery there is one entry, and of a form there are many: these are not to be looked up by.
        func.coalesce(LEAD_ENTRY.c.vendor, "") == INBOX.c.vendor,
        func.coalesce(LEAD_ENTRY.c.form_external_id, "") == clean(form_external_id),
    )


def _settled(row: RowMapping) -> SettledItem:
    return SettledItem(
        id=bytes(row["key_digest"]).hex(),
        vendor=row["vendor"],
        kind=row["kind"],
        state=row["state"],
        received_at=row["received_at"],
        settled_at=row["settled_at"],
        tries=row["tries"],
        error=row["last_error"],
    )


def _kept(row: RowMapping) -> KeptItem:
    return KeptItem(
        id=bytes(row["key_digest"]).hex(),
        vendor=row["vendor"],
        kind=row["kind"],
        state=row["state"],
        received_at=row["received_at"],
        settled_at=row["settled_at"],
        retry_at=row["next_at"],
        tries=row["tries"],
        error=row["last_error"],
    )


def _pending_of(org: Tenant, bucket: int) -> tuple[Condition, ...]:
    return (INBOX.c.org_id == org.org_id, INBOX.c.bucket == bucket, IS_PENDING)


def _is_due(now: datetime) -> Condition:
    return or_(INBOX.c.next_at.is_(None), INBOX.c.next_at <= now)


def _opened(org: Tenant, rows: Iterable[RowMapping], now: datetime) -> Iterator[InboxItem]:
    """The rows as items. One that does not open is dead: it must not stop its bucket for ever."""
    for row in rows:
        try:
            yield _item(org, row)
        except SealError:
            log.error("inbox_item_does_not_open", org=org.org_id, vendor=row["vendor"], kind=row["kind"])
            dead = {
                "state": ItemState.DEAD,
                "last_error": "sealed",
                "settled_at": now,
                "forget_at": _forget_at(ItemState.DEAD, now),
            }
            org.update(INBOX, dead, INBOX.c.seq == row["seq"])


def _item(org: Tenant, row: RowMapping) -> InboxItem:
    digest = bytes(row["key_digest"])
    opened = org.open(row["body_sealed"], *body_context(row["vendor"], digest))
    partition, body = unpack(opened)
    return InboxItem(
        id=digest.hex(),
        vendor=row["vendor"],
        kind=row["kind"],
        partition=partition,
        body=body,
        received_at=row["received_at"],
        tries=row["tries"],
        lease=row["lease"],
        heard_by=row["heard_by"],
    )


# How a change lies in its row ----------------------------------------------------------------


def body_context(vendor: str, key_digest: bytes) -> tuple[str, ...]:
    """What a sealed body is: the row of this vendor and business key."""
    return ("inbox", vendor, key_digest.hex(), "body")


def pack(partition: str, body: bytes) -> bytes:
    """The partition's name is sealed with the body: some vendors make it of a person's id."""
    name = partition.encode("utf-8", "surrogatepass")
    return len(name).to_bytes(4, "big") + name + body


def unpack(packed: bytes) -> tuple[str, bytes]:
    """What `pack` put together."""
    end = 4 + int.from_bytes(packed[:4], "big")
    return packed[4:end].decode("utf-8", "surrogatepass"), packed[end:]


# Over all orgs -------------------------------------------------------------------------------


def pending_groups(connection: Connection, now: datetime) -> Sequence[tuple[str, int]]:
    """Every (org, bucket) that has items due."""
    rows = connection.execute(
        select(INBOX.c.org_id, INBOX.c.bucket)
        .where(IS_PENDING, _is_due(now))
        .distinct()
        .order_by(INBOX.c.org_id, INBOX.c.bucket)
    )
    return [(row[0], row[1]) for row in rows]


def forget_settled(connection: Connection, now: datetime, limit: int) -> int:
    """Forget what is due of settled items, the oldest first; answers of how many."""
    due = (
        select(INBOX.c.seq, INBOX.c.is_lasting, and_(_is(ItemState.DONE), _HAS_BODY).label("has_body"))
        .where(INBOX.c.forget_at <= now)
        .order_by(INBOX.c.forget_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    rows = connection.execute(due).all()
    for is_lasting in (True, False):
        bodies = [row.seq for row in rows if row.has_body and row.is_lasting is is_lasting]
        next_at = None if is_lasting else now + (KEY_KEPT - BODY_KEPT)
        _change(connection, update(INBOX).values(body_sealed=b"", forget_at=next_at), bodies)
    _change(connection, delete(INBOX), [row.seq for row in rows if not row.has_body])
    return len(rows)


def _change(connection: Connection, statement: Update | Delete, numbers: Sequence[int]) -> None:
    if numbers:
        connection.execute(statement.where(INBOX.c.seq.in_(numbers)))


def pending_count(connection: Connection) -> int:
    """How many items are unprocessed."""
    return int(connection.execute(select(func.count()).select_from(INBOX).where(IS_PENDING)).scalar_one())


def oldest_pending_at(connection: Connection) -> datetime | None:
    """When the oldest unprocessed item was received."""
    oldest = select(func.min(INBOX.c.seq)).where(IS_PENDING).scalar_subquery()
    found: datetime | None = connection.execute(
        select(INBOX.c.received_at).where(INBOX.c.seq == oldest)
    ).scalar_one_or_none()
    return found
