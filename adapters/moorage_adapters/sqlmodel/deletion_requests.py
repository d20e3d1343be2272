"""People's requests to be forgotten, as their vendor passed them on, over all orgs."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, delete, literal, select, tuple_, update

from moorage_adapters.cipher import HOST, EnvelopeCipher
from moorage_adapters.sqlmodel.database import Database
from moorage_adapters.sqlmodel.dialects import insert_into
from moorage_adapters.sqlmodel.keys import TransactionKeys
from moorage_adapters.sqlmodel.privacy_tables import DELETION_REQUEST
from moorage_adapters.sqlmodel.tenant import fields_of, value_of
from moorage_adapters.sqlmodel.types import UtcDateTime
from moorage_ports.clock import Clock
from moorage_ports.erasure import DeletionRequest, RequestState
from moorage_ports.secret import Secret
from moorage_ports.secret_store import SealError

_NOBODY = b""


class SqlDeletionRequests:
    """`moorage_ports.erasure.DeletionRequests`; each call is a transaction."""

    def __init__(self, database: Database, cipher: EnvelopeCipher, clock: Clock) -> None:
        self._database = database
        self._cipher = cipher
        self._clock = clock

    async def add(self, request: DeletionRequest) -> DeletionRequest:
        """Keep it, durably; answers it, or the one that has its code already."""
        keys = TransactionKeys(self._cipher, self._clock)

        def work(connection: Connection) -> DeletionRequest:
            subject = _NOBODY
            if request.subject is not None:
                host = keys.sealing(connection, HOST)
                subject = host.seal(request.subject.reveal().encode(), *_context(request.code))
            values = {**fields_of(request, without=("subject",)), "subject_sealed": subject}
            statement = insert_into(connection, DELETION_REQUEST).values(values).on_conflict_do_nothing()
            if connection.execute(statement).rowcount == 1:
                return request
            row = connection.execute(_of(request.code)).mappings().one()
            return value_of(DeletionRequest, row, subject=None)

        kept = await self._database.write_at_once(work)
        keys.publish()
        return kept

    async def get(self, vendor: str, code: str) -> DeletionRequest | None:
        """One by its code; without saying whom it is about."""

        def work(connection: Connection) -> DeletionRequest | None:
            found = _of(code).where(DELETION_REQUEST.c.vendor == vendor)
            row = connection.execute(found).mappings().one_or_none()
            return None if row is None else value_of(DeletionRequest, row, subject=None)

        return await self._database.read_at_once(work)

    async def pending(
        self, *, after: DeletionRequest | None = None, limit: int
    ) -> tuple[DeletionRequest, ...]:
        """The oldest that are not done, and came behind `after`."""
        keys = TransactionKeys(self._cipher, self._clock)
        oldest = (
            select(DELETION_REQUEST)
            .where(DELETION_REQUEST.c.state == RequestState.PENDING)
            .order_by(DELETION_REQUEST.c.received_at, DELETION_REQUEST.c.code)
            .limit(limit)
        )
        if after is not None:
            place = tuple_(DELETION_REQUEST.c.received_at, DELETION_REQUEST.c.code)
            oldest = oldest.where(place > tuple_(literal(after.received_at, UtcDateTime()), after.code))

        def work(connection: Connection) -> tuple[DeletionRequest, ...]:
            return tuple(
                _opened(connection, keys, row) for row in connection.execute(oldest).mappings().all()
            )

        return await self._database.read_at_once(work)

    async def finish(self, code: str, *, at: datetime) -> None:
        """It is done: from here on nobody can tell whom it was about."""
        done = {"state": RequestState.DONE, "done_at": at, "subject_sealed": _NOBODY}
        statement = update(DELETION_REQUEST).where(DELETION_REQUEST.c.code == code).values(done)
        await self._database.write_at_once(lambda connection: connection.execute(statement).rowcount)

    async def forget_done(self, before: datetime) -> int:
        """Delete those that were done earlier; answers how many."""
        is_old = (DELETION_REQUEST.c.state == RequestState.DONE, DELETION_REQUEST.c.done_at < before)
        statement = delete(DELETION_REQUEST).where(*is_old)
        return await self._database.write_at_once(lambda connection: connection.execute(statement).rowcount)


def _of(code: str) -> Select[Any]:
    return select(DELETION_REQUEST).where(DELETION_REQUEST.c.code == code)


def _opened(connection: Connection, keys: TransactionKeys, row: RowMapping) -> DeletionRequest:
    """With whom it is about; `None` for one that does not open: then nobody can do anything about it."""
    sealed = row["subject_sealed"]
    try:
        opened = keys.open(connection, HOST, sealed, *_context(row["code"])) if sealed else _NOBODY
    except SealError:
        opened = _NOBODY
    return value_of(DeletionRequest, row, subject=Secret(opened.decode()) if opened else None)


def _context(code: str) -> tuple[str, ...]:
    return ("deletion_request", code, "subject")
