"""A connection to a SQLite file, and the one thread that uses it."""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path
from typing import Final, TypeVar

import structlog
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from moorage_adapters.sqlmodel.database import PATIENCE_SECONDS, UnsafeDatabaseError, unavailable

log = structlog.get_logger(__name__)

T = TypeVar("T")

PRAGMAS: Final = {
    # What a connection is set to, and what reading the pragma must answer then.
    "journal_mode": ("WAL", "wal"),
    "synchronous": ("FULL", 2),
    "busy_timeout": ("5000", 5000),
    "foreign_keys": ("ON", 1),
}


class Lane:
    """One connection and the one thread that uses it: work is done in the order in which it was handed in."""

    def __init__(self, engine: Engine, executor: Executor) -> None:
        self._engine = engine
        self._executor = executor
        self._connection: Connection | None = None

    def connect(self) -> "asyncio.Future[Connection]":
        """Connect, and begin nothing."""
        return asyncio.get_running_loop().run_in_executor(self._executor, self._connect)

    def submit(self, work: Callable[[Connection], T]) -> "asyncio.Future[T]":
        """Do `work` on the connection in the lane's transaction, soon; begins one if there is none."""
        return asyncio.get_running_loop().run_in_executor(self._executor, self._do, work)

    def _connect(self) -> Connection:
        if self._connection is None:
            self._connection = self._engine.connect()
        return self._connection

    def _do(self, work: Callable[[Connection], T]) -> T:
        connection = self._connect()
        if not connection.in_transaction():
            try:
                connection.begin()
            except BaseException:
                # SQLAlchemy believes for ever after that this connection is just beginning: every later
                # statement would be its own transaction, and a crash between two would leave half a truth.
                self._throw_away()
                raise
        return work(connection)

    def commit(self) -> None:
        """End the transaction; on this lane's thread. Rolls back and raises if that fails.

        Raises:
            UnavailableError: The database has rolled it back by itself, or never began it.
        """
        if self._connection is None or not self._connection.in_transaction():
            return
        try:
            if not _raw(self._connection).in_transaction:  # SQLite ended it by itself (a full disk)
                raise unavailable("without the transaction that was to be committed")
            self._connection.commit()
        except BaseException:
            self.rollback()
            raise

    def rollback(self) -> None:
        """Undo the transaction; on this lane's thread. A connection that cannot even do that is replaced."""
        if self._connection is None:
            return
        try:
            self._connection.rollback()
            raw = _raw(self._connection)
            if raw.in_transaction:  # SQLAlchemy does not know of it
                raw.rollback()
        except Exception:  # noqa: BLE001 - whatever it is, this connection is not used again
            self._throw_away()

    def _throw_away(self) -> None:
        """Never use this connection again; the next step makes another one."""
        broken, self._connection = self._connection, None
        if broken is None:
            return
        try:
            broken.invalidate()
            broken.close()
        except Exception as failure:  # noqa: BLE001 - it is thrown away
            log.warning("connection_not_closed", error=type(failure).__name__)

    def end(self, *, commit: bool) -> "asyncio.Future[None]":
        """Commit or roll back after everything that was handed in before."""
        return asyncio.get_running_loop().run_in_executor(
            self._executor, self.commit if commit else self.rollback
        )

    async def aclose(self) -> None:
        """Close the connection."""

        def close() -> None:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

        await asyncio.get_running_loop().run_in_executor(self._executor, close)


def _raw(connection: Connection) -> sqlite3.Connection:
    """The driver's connection, which knows what SQLite itself is in the middle of."""
    raw = connection.connection.driver_connection
    if not isinstance(raw, sqlite3.Connection):
        msg = "this lane is SQLite's"
        raise TypeError(msg)
    return raw


def sqlite_engine(path: Path, begin: str, *more: str) -> Engine:
    """An engine whose connections are set up and checked, and begin transactions with `begin`."""
    engine = create_engine(
        f"sqlite:///{path}",
        poolclass=NullPool,
        hide_parameters=True,
        echo=False,
        connect_args={
            "check_same_thread": False,
            "timeout": PATIENCE_SECONDS,
            "isolation_level": None,  # Python's driver must not begin transactions of its own
            "cached_statements": 512,
        },
    )

    def set_up(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
        for name, (setting, expected) in PRAGMAS.items():
            connection.execute(f"PRAGMA {name} = {setting}")
            found = connection.execute(f"PRAGMA {name}").fetchone()[0]
            if found != expected:
                msg = f"SQLite's {name} is {found!r} and must be {expected!r}"
                raise UnsafeDatabaseError(msg)
        for statement in more:
            connection.execute(statement)

    def begin_transaction(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    event.listen(engine, "connect", set_up)
    event.listen(engine, "begin", begin_transaction)
    return engine
