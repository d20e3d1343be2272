"""SQLite: one writer, a few readers, each on a thread of its own.

A step of a transaction is one hop to the connection's thread, where an async driver hops several times per
statement.
"""

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from contextvars import copy_context
from pathlib import Path
from typing import Any, Final, TypeVar

import structlog
from sqlalchemy import Connection
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from moorage_adapters.fair import FairQueue, Seats
from moorage_adapters.sqlmodel.database import (
    PATIENCE_SECONDS,
    Transaction,
    UnsafeDatabaseError,
    unavailable,
    unknown,
)
from moorage_adapters.sqlmodel.sqlite_errors import is_fatal, mapping_errors, sqlite_code
from moorage_adapters.sqlmodel.sqlite_lane import Lane, sqlite_engine
from moorage_ports.errors import UnavailableError

log = structlog.get_logger(__name__)

T = TypeVar("T")

READERS: Final = 4

# Whose turn it is ----------------------------------------------------------------------------


class Turns:
    """Who writes next: one at a time; the orgs take turns, and the intake alternates with all of them.

    An acknowledgement must not wait behind a line of workers, workers must not starve behind a stream of
    deliveries, and nobody must wait behind all that one org has to write.
    """

    def __init__(self) -> None:
        self._taken = False
        self._hot = FairQueue()
        self._line = FairQueue()
        self._hot_was_last = False

    async def take(self, org_id: str = "", *, hot: bool = False) -> None:
        """Return when it is this caller's turn.

        Raises:
            UnavailableError: That took too long.
        """
        if not self._taken:
            self._taken = True
            self._hot_was_last = hot
            return
        line = self._hot if hot else self._line
        turn = line.join(org_id)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await turn
        except BaseException as failure:
            if turn.done() and not turn.cancelled():
                self.give()  # it came just as the wait ended
            else:
                line.leave(org_id, turn)
            if isinstance(failure, TimeoutError):
                raise unavailable("busy") from None
            raise

    def give(self) -> None:
        """Pass the turn on."""
        lines = (self._line, self._hot) if self._hot_was_last else (self._hot, self._line)
        for line in lines:
            if line.call() is not None:
                self._hot_was_last = line is self._hot
                return
        self._taken = False


# Transactions --------------------------------------------------------------------------------


class SqliteTransaction:
    """`Transaction` on one lane."""

    def __init__(self, database: "SqliteDatabase", lane: Lane, *, writes: bool) -> None:
        self._database = database
        self._lane = lane
        self._failed = False
        self.writes = writes
        self.before_commit: list[Callable[[Connection], None]] = []
        self.after_commit: list[Callable[[], None]] = []

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Do `work` on the connection's thread.

        Raises:
            UnavailableError: The database is out of reach, locked or full; or an earlier step failed.
        """
        self.refuse_if_failed()
        # The thread finishes what it began even if nobody waits any more; what follows stands in line there.
        with self._database.mapping_errors(writes=self.writes):
            step = self._lane.submit(work)
            step.add_done_callback(self._ended)
            return await asyncio.shield(step)

    def _ended(self, step: "asyncio.Future[Any]") -> None:
        """Take note of how a step ended, whether or not somebody still waits for it."""
        failure = None if step.cancelled() else step.exception()
        if isinstance(failure, DBAPIError | sqlite3.Error):
            self._failed = True
        if self.writes:
            self._database.break_down_if_fatal(failure)

    def refuse_if_failed(self) -> None:
        """Raises UnavailableError after a failed statement.

        The database may have rolled back by itself (a full disk): what came next would be committed alone.
        """
        if self._failed:
            raise unavailable("unable to go on after a failed statement")


class _OnTheLane:
    """`Transaction` for work that is on the connection's thread already: no step leaves it."""

    def __init__(self, connection: Connection) -> None:
        self.writes = True
        self._connection = connection
        self._failed = False
        self.before_commit: list[Callable[[Connection], None]] = []
        self.after_commit: list[Callable[[], None]] = []

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Do `work` here and now. Whoever waits for the whole puts the database's errors into our words."""
        self.refuse_if_failed()
        try:
            return work(self._connection)
        except (DBAPIError, sqlite3.Error):
            self._failed = True
            raise

    def refuse_if_failed(self) -> None:
        """See `SqliteTransaction.refuse_if_failed`."""
        if self._failed:
            raise unavailable("unable to go on after a failed statement")


def _run_through(work: Awaitable[T]) -> T:
    """The result of what awaits nothing but a transaction on this thread.

    Raises:
        RuntimeError: It awaited something else.
    """
    steps = work.__await__()
    try:
        next(steps)
    except StopIteration as end:
        result: T = end.value
        return result
    steps.close()
    msg = "work that is done at once may await nothing but its unit of work"
    raise RuntimeError(msg)


class SqliteDatabase:
    """One SQLite file: one writer connection, `READERS` reading ones.

    `on_fatal` is called once when the disk broke a promise; after that nothing is written any more.
    """

    dialect_name: Final = "sqlite"

    def __init__(self, path: Path, on_fatal: Callable[[], None] | None = None) -> None:
        self.path = path
        self.is_broken = False
        self._is_closed = False
        self._on_fatal = on_fatal
        self._turns = Turns()
        self._executors = [
            ThreadPoolExecutor(1, thread_name_prefix=f"moorage-db-{number}") for number in range(READERS + 1)
        ]
        self._writer = Lane(sqlite_engine(path, "BEGIN IMMEDIATE"), self._executors[0])
        reading = sqlite_engine(path, "BEGIN", "PRAGMA query_only = ON")
        self._reader_lanes = [Lane(reading, executor) for executor in self._executors[1:]]
        self._readers: list[Lane] = []
        self._reading = Seats(READERS)

    @classmethod
    async def open(cls, path: Path, on_fatal: Callable[[], None] | None = None) -> "SqliteDatabase":
        """Open the file (made if there is none, for its owner only) and check every connection.

        Raises:
            UnsafeDatabaseError: A connection does not take a setting that durability depends on.
            UnavailableError: The file cannot be opened.
        """
        try:
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        except OSError:
            raise unavailable("out of reach") from None
        self = cls(path, on_fatal)
        with self.mapping_errors(writes=False):
            for lane in [self._writer, *self._reader_lanes]:
                await lane.connect()
        self._readers += self._reader_lanes
        return self

    @asynccontextmanager
    async def write(
        self, *, hot: bool = False, org_id: str | None = None
    ) -> AsyncIterator[SqliteTransaction]:
        """A writing transaction; `hot` is the intake's. `org_id` says whose turn it is, no more.

        Raises:
            UnavailableError: Nothing was written.
            CommitUnknownError: The disk failed while committing.
        """
        await self._take_turn(org_id, hot=hot)
        transaction = SqliteTransaction(self, self._writer, writes=True)
        try:
            yield transaction
            transaction.refuse_if_failed()
            for callback in transaction.before_commit:
                await transaction.run(callback)
            self.refuse_if_broken()
        except BaseException:
            self._end(self._writer, self._turns.give, commit=False)
            raise
        with self.mapping_errors(writes=True, commits=True):
            ended = self._end(self._writer, self._turns.give, commit=True, after=transaction.after_commit)
            await asyncio.shield(ended)

    async def write_at_once(self, work: Callable[[Connection], T], *, hot: bool = False) -> T:
        """A whole writing transaction in one hop, durable when this returns; `hot` is the intake's.

        Raises:
            UnavailableError: Nothing was written.
            CommitUnknownError: The disk failed.
        """
        return await self._whole(work, hot=hot)

    async def write_through(
        self, work: Callable[[Transaction], Awaitable[T]], *, org_id: str | None = None
    ) -> T:
        """A whole writing transaction in one hop, whose steps are `work`'s.

        Between two steps nobody waits for the event loop, which may be busy, while everybody else who wants
        to write waits.

        Raises:
            UnavailableError: Nothing was written.
            CommitUnknownError: The disk failed.
            RuntimeError: `work` awaited something else than the transaction; nothing was written.
        """
        after: list[Callable[[], None]] = []

        def whole(connection: Connection) -> T:
            transaction = _OnTheLane(connection)
            result = _run_through(work(transaction))
            transaction.refuse_if_failed()
            for callback in transaction.before_commit:
                callback(connection)
            after.extend(transaction.after_commit)
            return result

        context = copy_context()  # what log lines tell of whose work this is
        return await self._whole(lambda connection: context.run(whole, connection), after, org_id=org_id)

    async def _whole(
        self,
        work: Callable[[Connection], T],
        after: Sequence[Callable[[], None]] = (),
        *,
        hot: bool = False,
        org_id: str | None = None,
    ) -> T:
        """One turn, one hop, one transaction; `after` is called once it is durable."""
        await self._take_turn(org_id, hot=hot)

        def whole(connection: Connection) -> T:
            try:
                result = work(connection)
                if self.is_broken:
                    raise unavailable("broken")
                self._writer.commit()
            except BaseException:
                self._writer.rollback()
                raise
            return result

        def ended(future: "asyncio.Future[T]") -> None:
            failure = None if future.cancelled() else future.exception()
            self.break_down_if_fatal(failure)
            self._turns.give()
            if failure is None and not future.cancelled():
                for callback in after:
                    callback()

        done = self._writer.submit(whole)
        done.add_done_callback(ended)
        with self.mapping_errors(writes=True, commits=True):
            return await asyncio.shield(done)

    async def _take_turn(self, org_id: str | None, *, hot: bool) -> None:
        """Wait for a turn to write. Given back at once if the file was closed, or broke, meanwhile."""
        self.refuse_if_broken()
        await self._turns.take(org_id or "", hot=hot)
        try:
            self.refuse_if_broken()
        except UnavailableError:
            self._turns.give()
            raise

    async def read_at_once(self, work: Callable[[Connection], T]) -> T:
        """A whole reading transaction.

        Raises:
            UnavailableError: The database is out of reach, or all readers are busy for too long.
        """
        async with self.read() as transaction:
            return await transaction.run(work)

    @asynccontextmanager
    async def read(self, *, org_id: str | None = None) -> AsyncIterator[SqliteTransaction]:
        """A reading transaction: one moment of the database, whatever is written meanwhile.

        Raises:
            UnavailableError: The database is out of reach, or all readers are busy for too long.
        """
        if self._is_closed:
            raise unavailable("closed")
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._reading.take(org_id or "")
        except TimeoutError:
            raise unavailable("busy") from None
        lane = self._readers.pop()

        def give_back() -> None:
            self._readers.append(lane)
            self._reading.give(org_id or "")

        try:
            yield SqliteTransaction(self, lane, writes=False)
        finally:
            self._end(lane, give_back, commit=False)

    def _end(
        self,
        lane: Lane,
        give_back: Callable[[], None],
        *,
        commit: bool,
        after: list[Callable[[], None]] | None = None,
    ) -> "asyncio.Future[None]":
        """End the transaction; the lane is given back when that is done, even if nobody waits for it."""
        ended = lane.end(commit=commit)

        def done(future: "asyncio.Future[None]") -> None:
            failure = None if future.cancelled() else future.exception()
            if commit:
                self.break_down_if_fatal(failure)
            give_back()
            if failure is None and not future.cancelled():
                for callback in after or ():
                    callback()

        ended.add_done_callback(done)
        return ended

    @contextmanager
    def mapping_errors(self, *, writes: bool, commits: bool = False) -> Iterator[None]:
        """Turn what the database says into the port's words; a broken promise ends all writing.

        What a failed fsync left behind may be found whole when the file is opened again.
        """
        with mapping_errors():
            try:
                yield
            except (DBAPIError, sqlite3.Error) as failure:
                if writes:
                    self.break_down_if_fatal(failure)
                if commits and is_fatal(failure):
                    raise unknown("its disk failed") from failure
                raise

    def refuse_if_broken(self) -> None:
        """Raises UnavailableError once the disk broke a promise, or after closing."""
        if self._is_closed:
            raise unavailable("closed")
        if self.is_broken:
            raise unavailable("broken: its disk failed, the process must be restarted")

    def break_down_if_fatal(self, failure: BaseException | None) -> None:
        """Write nothing from now on if the disk broke a promise, and say so once."""
        if failure is None or self.is_broken or not is_fatal(failure):
            return
        self.is_broken = True
        log.critical("database_broken", error=type(failure).__name__, code=sqlite_code(failure))
        if self._on_fatal is not None:
            self._on_fatal()

    async def aclose(self) -> None:
        """Close every connection after what is under way. More than once is no error."""
        if self._is_closed:
            return
        self._is_closed = True
        for lane in [self._writer, *self._reader_lanes]:
            await lane.aclose()
        for executor in self._executors:
            executor.shutdown(wait=False)


def sqlite_path(url: str) -> Path:
    """The file that an URL like `sqlite:///data/moorage.db` names.

    Raises:
        UnsafeDatabaseError: It names no SQLite file; a database in memory would forget what it acknowledged.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database or parsed.database == ":memory:":
        msg = "the database URL must be sqlite:///PATH"
        raise UnsafeDatabaseError(msg)
    return Path(parsed.database)
