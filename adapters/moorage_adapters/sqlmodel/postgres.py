"""PostgreSQL: a pool of connections for everybody, and one of its own for the intake.

Transactions are begun and ended here, on the driver's connection (SQLAlchemy's is in autocommit): BEGIN, the
org that row-level security is to let through (`row_security`) and the org's lock are one round trip.

Of one org's writing transactions one runs at a time, over all processes: so what stores read and then write
holds here as it does on SQLite, which has one writer for all orgs. Those of one process wait for each other
before they take a connection, and the orgs take turns at those: one org's crowd must not hold all of them.
The intake and the host's own transactions
do not take that lock; their statements are right alone.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from typing import Any, Final, TypeVar

import asyncpg  # type: ignore[import-untyped]
import structlog
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from moorage_adapters.fair import Seats
from moorage_adapters.sqlmodel.database import PATIENCE_SECONDS, Transaction, unavailable, unknown
from moorage_adapters.sqlmodel.postgres_connections import Connecting, take_clean_text
from moorage_adapters.sqlmodel.postgres_errors import (
    DATABASE_ERRORS,
    calling_postgres,
    is_unavailable,
    out_of_reach,
    sqlstate_of,
)
from moorage_adapters.sqlmodel.row_security import for_org, for_system
from moorage_adapters.sqlmodel.types import clean
from moorage_ports.errors import CommitUnknownError, UnavailableError

log = structlog.get_logger(__name__)

T = TypeVar("T")

POOL: Final = 10  # per process; `max_connections` has to hold all processes' pools and intakes

_DISCARD: Final = "DISCARD PLANS"
_PLANS_KEPT: Final = (5.0, 300.0)  # seconds: at first, and doubled each time up to

_WRITE: Final = "BEGIN ISOLATION LEVEL READ COMMITTED"
_READ: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


def _beginning(org_id: str | None, *, writes: bool) -> str:
    """BEGIN, whose rows, and the org's lock, for one round trip."""
    begin = _WRITE if writes else _READ
    if org_id is None:
        return f"{begin}; SELECT {for_system()}"
    org = clean(org_id)
    lock = f", pg_advisory_xact_lock({_lock_key(org)})" if writes else ""
    return f"{begin}; SELECT {for_org(org)}{lock}"


def _lock_key(org_id: str) -> str:
    quoted = org_id.replace("'", "''")
    return f"hashtextextended('moorage.org:{quoted}', 0)"


class PostgresTransaction:
    """`Transaction` on one of the pool's connections."""

    def __init__(self, connection: AsyncConnection, leave: Callable[[], None], *, writes: bool) -> None:
        self._connection = connection
        self._leave = leave
        self._raw = driver_connection(connection)
        self._failed = False
        self._step: asyncio.Future[Any] | None = None
        self.writes = writes
        self.before_commit: list[Callable[[Connection], None]] = []
        self.after_commit: list[Callable[[], None]] = []

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Do `work` on the connection.

        Raises:
            UnavailableError: The database is out of reach, locked or full; or an earlier step failed.
        """
        # What was begun is finished even if nobody waits any more: a connection that is cut off in the middle
        # of a statement is lost.
        step = asyncio.ensure_future(self.do(work))
        self._step = step
        return await asyncio.shield(step)

    async def do(self, work: Callable[[Connection], T]) -> T:
        """The same for somebody whom nobody cancels."""
        self.refuse_if_failed()
        with self._calling():
            return await self._connection.run_sync(work)

    @contextmanager
    def _calling(self) -> Iterator[None]:
        with calling_postgres():
            try:
                yield
            except DATABASE_ERRORS as failure:
                self._failed = True
                if self._raw.is_closed() and not is_unavailable(failure):
                    raise out_of_reach(failure) from None
                raise

    def refuse_if_failed(self) -> None:
        """Raises UnavailableError after a failed statement: PostgreSQL takes no other in the transaction."""
        if self._failed:
            raise unavailable("unable to go on after a failed statement")

    async def commit(self) -> None:
        """Make it durable and give the connection back.

        Raises:
            UnavailableError: Nothing was written.
            CommitUnknownError: The answer was lost; it is durable, or it will never be.
        """
        try:
            for last in self.before_commit:
                await self.do(last)
            said = await self._commit()
            if said != "COMMIT":  # of a failed transaction PostgreSQL makes a ROLLBACK, without an error
                raise unavailable("unable to commit")
        except BaseException:
            await self.rollback()
            raise
        try:
            await self._connection.close()
        finally:
            self._leave()
        for callback in self.after_commit:
            callback()

    async def _commit(self) -> str:
        """Tell the server; answers what it says that it did."""
        self.refuse_if_failed()
        lost: CommitUnknownError | None = None
        with calling_postgres():
            try:
                return str(await self._raw.execute("COMMIT"))
            except DATABASE_ERRORS as failure:
                self._failed = True
                if not self._raw.is_closed() and sqlstate_of(failure):
                    raise  # the server itself says that it undid it
                lost = unknown(sqlstate_of(failure) or type(failure).__name__)
        raise lost  # out here, so that it has no context that would show a value

    async def rollback(self) -> None:
        """Undo it and give the connection back."""
        if self._step is not None:
            await asyncio.wait([self._step])
        try:
            await give_back(self._connection, self._raw)
        finally:
            self._leave()


def driver_connection(connection: AsyncConnection) -> asyncpg.Connection:
    """asyncpg's own connection under SQLAlchemy's."""
    sync = connection.sync_connection
    raw = None if sync is None else sync.connection.driver_connection
    if not isinstance(raw, asyncpg.Connection):
        msg = "this is no connection of asyncpg's"
        raise TypeError(msg)
    return raw


async def give_back(connection: AsyncConnection, raw: asyncpg.Connection) -> None:
    """Return the connection to its pool, in no transaction; one that cannot do that is thrown away."""
    try:
        if not raw.is_closed():
            await raw.execute("ROLLBACK", timeout=PATIENCE_SECONDS)
            await connection.close()
            return
    except DATABASE_ERRORS as failure:
        log.warning("connection_not_rolled_back", error=type(failure).__name__)
    raw.terminate()
    await connection.invalidate()
    await connection.close()


class PostgresDatabase:
    """`Database` over asyncpg. Make it with `open`."""

    dialect_name: Final = "postgresql"
    is_broken: Final = False  # PostgreSQL itself stops when its disk breaks a promise

    def __init__(self, connecting: Connecting) -> None:
        self._connecting = connecting
        self._pool = _engine(connecting, POOL)
        self._hot = _engine(connecting, 1)
        self._seats = Seats(POOL)
        self._writers = Seats(each=1)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._is_closed = False

    @classmethod
    async def open(cls, url: str) -> "PostgresDatabase":
        """Open the database, and check that it keeps what it acknowledges and who it lets see what.

        Raises:
            UnsafeDatabaseError: A setting that durability depends on is off; or row-level security does not
                bind the role.
            UnavailableError: It is out of reach.
        """
        connecting = Connecting(url)
        with calling_postgres(unsafe_is_unavailable=False):
            await connecting.choose_role()
        return cls(connecting)

    @property
    def role(self) -> str | None:
        """The role that connections take on after they logged in; `None`: they stay who they are."""
        return self._connecting.role

    @asynccontextmanager
    async def write(
        self, *, hot: bool = False, org_id: str | None = None
    ) -> AsyncIterator[PostgresTransaction]:
        """A writing transaction; `hot` is the intake's.

        Raises:
            UnavailableError: Nothing was written.
            CommitUnknownError: The connection was lost while committing.
        """
        transaction = await self._begun(self._hot if hot else self._pool, org_id, writes=True)
        try:
            yield transaction
            transaction.refuse_if_failed()
        except BaseException:
            await asyncio.shield(self._spawn(transaction.rollback()))
            raise
        await asyncio.shield(self._spawn(transaction.commit()))

    @asynccontextmanager
    async def read(self, *, org_id: str | None = None) -> AsyncIterator[PostgresTransaction]:
        """A reading transaction: one moment of the database, whatever is written meanwhile.

        Raises:
            UnavailableError: The database is out of reach, or all connections are busy for too long.
        """
        transaction = await self._begun(self._pool, org_id, writes=False)
        try:
            yield transaction
        finally:
            await asyncio.shield(self._spawn(transaction.rollback()))

    async def write_at_once(self, work: Callable[[Connection], T], *, hot: bool = False) -> T:
        """A whole writing transaction of the host's, durable when this returns; `hot` is the intake's.

        Raises:
            UnavailableError: Nothing was written.
            CommitUnknownError: The connection was lost while committing.
        """

        async def whole() -> T:
            transaction = await self._begin(self._hot if hot else self._pool, None, writes=True)
            try:
                result = await transaction.do(work)
            except BaseException:
                await transaction.rollback()
                raise
            await transaction.commit()
            return result

        return await asyncio.shield(self._spawn(whole()))

    async def write_through(
        self, work: Callable[[Transaction], Awaitable[T]], *, org_id: str | None = None
    ) -> T:
        """A whole writing transaction, durable when this returns. `work` awaits nothing but it.

        Raises:
            UnavailableError: Nothing was written.
            CommitUnknownError: The connection was lost while committing.
        """

        async def whole() -> T:
            async with self.write(org_id=org_id) as transaction:
                return await work(transaction)

        return await asyncio.shield(self._spawn(whole()))

    async def read_at_once(self, work: Callable[[Connection], T]) -> T:
        """A whole reading transaction of the host's.

        Raises:
            UnavailableError: The database is out of reach, or all connections are busy for too long.
        """

        async def whole() -> T:
            transaction = await self._begin(self._pool, None, writes=False)
            try:
                return await transaction.do(work)
            finally:
                await transaction.rollback()

        return await asyncio.shield(self._spawn(whole()))

    async def _begun(self, engine: AsyncEngine, org_id: str | None, *, writes: bool) -> PostgresTransaction:
        """See `_begin`; if nobody waits any more when it has begun, it is ended."""
        beginning = self._spawn(self._begin(engine, org_id, writes=writes))
        try:
            return await asyncio.shield(beginning)
        except asyncio.CancelledError:
            self._spawn(_abandon(beginning))
            raise

    async def _begin(self, engine: AsyncEngine, org_id: str | None, *, writes: bool) -> PostgresTransaction:
        """A transaction on a connection that answers: dead ones are found here, before anything was done."""
        self.refuse_if_broken()
        begin = _beginning(org_id, writes=writes)
        leave = await self._admitted(engine, org_id, writes=writes)
        try:
            with calling_postgres():
                for _ in range(POOL):
                    connection = await engine.connect()
                    if await _begins(connection, begin):
                        return PostgresTransaction(connection, leave, writes=writes)
            raise unavailable("out of reach")
        except BaseException:
            leave()
            raise

    async def _admitted(self, engine: AsyncEngine, org_id: str | None, *, writes: bool) -> Callable[[], None]:
        """Wait for this org's turn, first at writing, then at a connection; answers what ends it.

        Raises:
            UnavailableError: That took too long.
        """
        if engine is self._hot:
            return _nothing
        leaving = ExitStack()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                if writes and org_id is not None:
                    await self._writers.take(org_id)
                    leaving.callback(self._writers.give, org_id)
                await self._seats.take(org_id or "")
                leaving.callback(self._seats.give, org_id or "")
        except BaseException as failure:
            leaving.close()
            if isinstance(failure, TimeoutError):
                raise unavailable("busy") from None
            raise
        return leaving.close

    def _spawn(self, work: Coroutine[Any, Any, T]) -> "asyncio.Task[T]":
        """Have `work` done to its end, whether or not somebody waits for it."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # told to whoever waits; if nobody does, it is no news to asyncio either

    def refuse_if_broken(self) -> None:
        """Raises UnavailableError after closing."""
        if self._is_closed:
            raise unavailable("closed")

    async def aclose(self) -> None:
        """Close every connection after what is under way. More than once is no error."""
        self._is_closed = True
        while self._tasks:
            await asyncio.wait(self._tasks)
        await self._pool.dispose()
        await self._hot.dispose()


def _nothing() -> None:
    """The intake has a connection of its own: nobody waits for it to leave."""


async def _begins(connection: AsyncConnection, begin: str) -> bool:
    """Begin on this connection; false (and it is gone) if it was dead."""
    raw = driver_connection(connection)
    try:
        await raw.execute(f"{begin}; {_DISCARD}" if _wants_new_plans(connection) else begin)
    except DATABASE_ERRORS as failure:
        was_dead = raw.is_closed() or isinstance(failure, asyncpg.InternalClientError)
        await give_back(connection, raw)
        if was_dead:
            return False
        raise
    return True


def _wants_new_plans(connection: AsyncConnection) -> bool:
    """Whether it is time to plan this connection's statements anew.

    PostgreSQL keeps the plans of prepared statements until statistics are taken, which it does once a minute.
    Of an empty table they read any index; while it is filled they would read all that an org has, each time.
    https://www.postgresql.org/docs/current/sql-discard.html
    """
    sync = connection.sync_connection
    if sync is None:
        return False
    now, kept = time.monotonic(), sync.info  # which lives as long as the driver's connection
    at, after = kept.setdefault("moorage_plans", (now + _PLANS_KEPT[0], _PLANS_KEPT[0]))
    if now < at:
        return False
    after = min(2 * after, _PLANS_KEPT[1])
    kept["moorage_plans"] = (now + after, after)
    return True


async def _abandon(beginning: "asyncio.Task[PostgresTransaction]") -> None:
    with suppress(UnavailableError):
        await (await beginning).rollback()


def _engine(connecting: Connecting, size: int) -> AsyncEngine:
    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=connecting.connect,
        isolation_level="AUTOCOMMIT",
        pool_size=size,
        max_overflow=0,
        pool_timeout=PATIENCE_SECONDS,
        pool_use_lifo=True,
        pool_reset_on_return=None,  # `give_back` did
        hide_parameters=True,
        echo=False,
    )
    take_clean_text(engine.sync_engine)
    return engine
