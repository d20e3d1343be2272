"""Sealed copies of what people said, looked through and emptied: `moorage_ports.erasure`."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final, TypeVar

import msgspec
import structlog
from sqlalchemy import Connection, RowMapping, delete, func, select

from moorage_adapters.cipher import HOST, EnvelopeCipher
from moorage_adapters.sqlmodel.database import Database
from moorage_adapters.sqlmodel.inbox import KEY_LABEL, body_context, unpack
from moorage_adapters.sqlmodel.keys import TransactionKeys
from moorage_adapters.sqlmodel.publications import answer_context
from moorage_adapters.sqlmodel.tables import INBOX, IS_PARKED, IS_PENDING, QUARANTINE, REMEMBERED_CALL
from moorage_adapters.sqlmodel.tenant import OrgGate, Tenant
from moorage_ports.clock import Clock
from moorage_ports.erasure import WAITED_TOO_LONG, GivenUp, KeptCopy
from moorage_ports.inbox import BODY_KEPT, DEAD_KEPT, KEY_KEPT, ItemState
from moorage_ports.secret_store import SealError
from moorage_ports.webhooks import Change

log = structlog.get_logger(__name__)

T = TypeVar("T")

_AT_ONCE: Final = 400  # parameters of one statement
_HAS_BODY: Final = func.length(INBOX.c.body_sealed) > 0
# Nobody works on it any more, and a double is recognised for ever. The lease: whoever is at it is refused.
_ERASED: Final = {
    "state": ItemState.DONE,
    "body_sealed": b"",
    "next_at": None,
    "forget_at": None,
    "is_lasting": True,
    "last_error": "",
    "lease": INBOX.c.lease + 1,
}


class SqlKeptCopies:
    """`moorage_ports.erasure.KeptCopies` over one unit of work."""

    def __init__(self, gate: OrgGate) -> None:
        self._gate = gate

    async def deliveries(self, *, after: int, limit: int) -> tuple[KeptCopy, ...]:
        """Kept changes that have a body, whatever their state."""
        where = (INBOX.c.seq > after, _HAS_BODY)
        return await self._gate.run(
            lambda org: tuple(_opened(org, org.rows(INBOX, *where, order_by=(INBOX.c.seq,), limit=limit)))
        )

    async def erase_deliveries(self, vendor: str, ids: Collection[str]) -> int:
        """Empty these kept changes; answers how many."""
        digests = [bytes.fromhex(one) for one in ids]

        def work(org: Tenant) -> int:
            return sum(
                org.update(INBOX, _ERASED, INBOX.c.vendor == vendor, INBOX.c.key_digest.in_(some))
                for some in _pieces(digests)
            )

        return await self._gate.run(work)

    async def ids_of(self, business_keys: Collection[str]) -> tuple[str, ...]:
        """The ids that kept changes of these business keys have, or would have."""
        return await self._gate.run(
            lambda org: tuple(org.digest(KEY_LABEL, key).hex() for key in business_keys)
        )

    async def answers(self, *, after: int, limit: int) -> tuple[KeptCopy, ...]:
        """What calls under an idempotency key were answered; all of them are few, so `after` counts."""
        order = (REMEMBERED_CALL.c.operation, REMEMBERED_CALL.c.key_digest)

        def work(org: Tenant) -> tuple[KeptCopy, ...]:
            rows = org.rows(REMEMBERED_CALL, order_by=order, limit=limit, offset=after)
            return tuple(_answers(org, rows, after))

        return await self._gate.run(work)

    async def replace_answers(self, ids: Collection[str], *, status: int, response: bytes) -> int:
        """Have these calls answered this from now on; answers how many."""

        def work(org: Tenant) -> int:
            return sum(_replace(org, one, status, response) for one in ids)

        return await self._gate.run(work)

    async def shorten(self, settled_before: datetime, *, now: datetime, limit: int) -> int:
        """Forget the bodies of what was done at that moment or earlier; answers how many went."""
        due_by = settled_before + BODY_KEPT  # the index is on when they would go by themselves

        def work(org: Tenant) -> int:
            where = (INBOX.c.forget_at <= due_by, INBOX.c.state == ItemState.DONE, _HAS_BODY)
            rows = org.rows(INBOX, *where, order_by=(INBOX.c.forget_at,), limit=limit)
            for is_lasting, forget_at in ((True, None), (False, now + (KEY_KEPT - BODY_KEPT))):
                numbers = [row["seq"] for row in rows if row["is_lasting"] is is_lasting]
                for some in _pieces(numbers):
                    org.update(INBOX, {"body_sealed": b"", "forget_at": forget_at}, INBOX.c.seq.in_(some))
            return len(rows)

        return await self._gate.run(work)

    async def give_up_waiting(
        self, received_before: datetime, *, now: datetime, limit: int
    ) -> tuple[GivenUp, ...]:
        """Give up what came at that moment or earlier and still waits."""
        dead = {
            "state": ItemState.DEAD,
            "last_error": WAITED_TOO_LONG,
            "next_at": None,
            "settled_at": now,
            "forget_at": now + DEAD_KEPT,
            "lease": INBOX.c.lease + 1,
        }

        def work(org: Tenant) -> tuple[GivenUp, ...]:
            rows: list[RowMapping] = []
            for is_waiting in (IS_PARKED, IS_PENDING):  # each has an index of its own
                is_due = (is_waiting, INBOX.c.received_at <= received_before)
                rows += org.rows(INBOX, *is_due, order_by=(INBOX.c.seq,), limit=limit - len(rows))
            for some in _pieces([row["seq"] for row in rows]):
                org.update(INBOX, dead, INBOX.c.seq.in_(some))
            return tuple(GivenUp(id=bytes(row["key_digest"]).hex(), vendor=row["vendor"]) for row in rows)

        return await self._gate.run(work)


def _opened(org: Tenant, rows: Iterable[RowMapping]) -> Iterator[KeptCopy]:
    for row in rows:
        digest = bytes(row["key_digest"])
        try:
            partition, body = unpack(org.open(row["body_sealed"], *body_context(row["vendor"], digest)))
        except SealError:
            log.warning("inbox_item_does_not_open", org=org.org_id, vendor=row["vendor"], kind=row["kind"])
            continue
        yield KeptCopy(
            place=row["seq"],
            id=digest.hex(),
            vendor=row["vendor"],
            name=partition,
            body=body,
            received_at=row["received_at"],
            is_worked_on=row["state"] is not ItemState.DONE,
        )


def _answers(org: Tenant, rows: Iterable[RowMapping], after: int) -> Iterator[KeptCopy]:
    for place, row in enumerate(rows, start=after + 1):
        digest = bytes(row["key_digest"])
        try:
            body = org.open(row["response_sealed"], *answer_context(row["operation"], digest))
        except SealError:
            log.warning("answer_does_not_open", org=org.org_id, operation=row["operation"])
            body = b""
        key = f"{row['operation']} {digest.hex()}"
        yield KeptCopy(
            place=place,
            id=key,
            vendor="",
            name=row["subject_id"],
            body=body,
            received_at=row["created_at"],
        )


def _replace(org: Tenant, key: str, status: int, response: bytes) -> int:
    operation, _, digest_hex = key.rpartition(" ")
    digest = bytes.fromhex(digest_hex)
    sealed = org.seal(response, *answer_context(operation, digest))
    return org.update(
        REMEMBERED_CALL,
        {"status": status, "response_sealed": sealed},
        REMEMBERED_CALL.c.operation == operation,
        REMEMBERED_CALL.c.key_digest == digest,
    )


def _pieces(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), _AT_ONCE):
        yield items[start : start + _AT_ONCE]


class SqlAsideCopies:
    """`moorage_ports.erasure.AsideCopies`; each call is a transaction."""

    def __init__(self, database: Database, cipher: EnvelopeCipher, clock: Clock) -> None:
        self._database = database
        self._cipher = cipher
        self._clock = clock

    async def some(self, *, after: str, limit: int) -> tuple[KeptCopy, ...]:
        """The next ones behind this id."""
        keys = TransactionKeys(self._cipher, self._clock)

        def work(connection: Connection) -> tuple[KeptCopy, ...]:
            found = select(QUARANTINE).where(QUARANTINE.c.id > after).order_by(QUARANTINE.c.id).limit(limit)
            rows = connection.execute(found).mappings().all()
            return tuple(_aside(connection, keys, row, place) for place, row in enumerate(rows))

        return await self._database.read_at_once(work)

    async def erase(self, ids: Collection[str]) -> int:
        """Delete these; answers how many."""
        statement = delete(QUARANTINE).where(QUARANTINE.c.id.in_(list(ids)))
        return await self._database.write_at_once(lambda connection: connection.execute(statement).rowcount)


def _aside(connection: Connection, keys: TransactionKeys, row: RowMapping, place: int) -> KeptCopy:
    """One as it came, or the one change of it; nothing, if it does not open."""
    try:
        body = keys.open(connection, HOST, row["body_sealed"], "quarantine", row["id"], "body")
    except SealError:
        log.warning("quarantine_does_not_open", vendor=row["vendor"])
        body = b""
    name = ""
    try:
        change = msgspec.msgpack.decode(body, type=Change)
        name, body = change.business_key, change.body
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass  # a whole delivery
    return KeptCopy(
        place=place,
        id=row["id"],
        vendor=row["vendor"],
        name=name,
        body=body,
        received_at=row["received_at"],
    )
