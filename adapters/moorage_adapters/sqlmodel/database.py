"""What every database offers to the stores: transactions, and errors in the port's words.

Stores hand synchronous work to `Transaction.run`; on which thread or driver it is done is the database's
business.
"""

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Final, Protocol, TypeVar

from sqlalchemy import Connection

from moorage_ports.errors import CommitUnknownError, UnavailableError

T = TypeVar("T")

PATIENCE_SECONDS: Final = 5.0  # how long anybody waits for a turn, a connection or a lock


class UnsafeDatabaseError(Exception):
    """The database cannot promise what an acknowledgement stands for; the host does not start on it."""


def unavailable(why: str) -> UnavailableError:
    """The error of the port."""
    return UnavailableError(f"the database is {why}; nothing was written")


def unknown(why: str) -> CommitUnknownError:
    """The error of the port for a COMMIT whose answer did not come."""
    return CommitUnknownError(f"the database went away while committing ({why}); look whether it is written")


class Transaction(Protocol):
    """Work on one connection, all of it true together or not at all."""

    writes: bool
    before_commit: list[Callable[[Connection], None]]  # done last, where `run` does its work
    after_commit: list[Callable[[], None]]  # called on the event loop, once it is durable

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Do `work` on the connection.

        Raises:
            UnavailableError: The database is out of reach, locked or full; or an earlier step failed.
        """
        ...


class Database(Protocol):
    """One database, open. Every method but `refuse_if_broken` and `aclose` raises UnavailableError.

    A transaction is one org's (`org_id`), or the host's own, which may see every org's rows.
    """

    @property
    def dialect_name(self) -> str:
        """What SQLAlchemy calls it."""
        ...

    def write(
        self, *, hot: bool = False, org_id: str | None = None
    ) -> AbstractAsyncContextManager[Transaction]:
        """A writing transaction: commits on leaving, rolls back on an exception. `hot` is the intake's."""
        ...

    def read(self, *, org_id: str | None = None) -> AbstractAsyncContextManager[Transaction]:
        """A reading transaction: one moment of the database, whatever is written meanwhile."""
        ...

    async def write_at_once(self, work: Callable[[Connection], T], *, hot: bool = False) -> T:
        """A whole writing transaction of the host's, durable when this returns; `hot` is the intake's."""
        ...

    async def write_through(
        self, work: Callable[[Transaction], Awaitable[T]], *, org_id: str | None = None
    ) -> T:
        """A whole writing transaction, durable when this returns. `work` awaits nothing but it."""
        ...

    async def read_at_once(self, work: Callable[[Connection], T]) -> T:
        """A whole reading transaction of the host's."""
        ...

    def refuse_if_broken(self) -> None:
        """Raises UnavailableError once the disk broke a promise, or after closing."""
        ...

    async def aclose(self) -> None:
        """Close every connection after what is under way. More than once is no error."""
        ...
