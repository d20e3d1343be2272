"""What PostgreSQL and its driver say, in the port's words, and without a value in it.

`DETAIL: Key (email)=(…)` and the driver's own `invalid input for query argument $1: '…'` show what was
stored; so no error of theirs goes further than here, neither as itself nor as a cause.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import asyncpg  # type: ignore[import-untyped]
import structlog
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as NoConnectionFreeError

from moorage_adapters.sqlmodel.database import UnsafeDatabaseError, unavailable
from moorage_ports.errors import UnavailableError

log = structlog.get_logger(__name__)

DATABASE_ERRORS: Final = (
    DBAPIError,
    NoConnectionFreeError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_TRY_AGAIN_CLASSES: Final = (
    "08",  # connection
    "28",  # invalid authorization: a password that is being changed
    "53",  # disk full, out of memory, too many connections
    "57P",  # shutting down, crashed, starting up, database dropped
    "58",  # I/O
    "XX",  # corrupted: nothing that this program did
)
_TRY_AGAIN: Final = {
    "25006",  # read-only: a standby, or one that was just promoted elsewhere
    "25P02",  # in a failed transaction
    "25P03",  # idle in transaction for too long
    "3D000",  # no such database
    "40001",  # serialization failure
    "40P01",  # deadlock
    "55P03",  # lock not available
    "57014",  # statement timeout
}


class QuietError(Exception):
    """What remains of a driver's error: its kind, and the names in it."""

    def __init__(self, original: BaseException | None) -> None:
        cause = getattr(original, "__cause__", None) or original
        self.sqlstate = sqlstate_of(cause)
        names = (getattr(cause, name, None) for name in ("table_name", "column_name", "constraint_name"))
        known = " ".join(str(name) for name in names if name)
        super().__init__(f"{type(cause).__name__} {self.sqlstate} {known}".strip())


def sqlstate_of(failure: BaseException | None) -> str:
    """PostgreSQL's code of an error, "" if it has none."""
    original = failure.orig if isinstance(failure, DBAPIError) else failure
    return str(getattr(original, "sqlstate", None) or "")


def is_unavailable(failure: BaseException) -> bool:
    """Whether the database was out of reach, locked, full or broken, rather than misused."""
    if isinstance(failure, OSError | TimeoutError | NoConnectionFreeError | asyncpg.InternalClientError):
        return True  # the last one: the driver lost its place when the server said goodbye just then
    if isinstance(failure, DBAPIError) and failure.connection_invalidated:
        return True
    state = sqlstate_of(failure)
    return state.startswith(_TRY_AGAIN_CLASSES) or state in _TRY_AGAIN


def out_of_reach(failure: BaseException) -> UnavailableError:
    """The port's error for one that `is_unavailable`."""
    original = failure.orig if isinstance(failure, DBAPIError) else failure
    what = sqlstate_of(failure) or type(original).__name__
    return unavailable(f"out of reach, locked or full ({what})")


def quiet(failure: BaseException) -> DBAPIError:
    """The same error without a value in it."""
    if isinstance(failure, DBAPIError):
        return type(failure)(failure.statement, None, QuietError(failure.orig), hide_parameters=True)
    return DBAPIError("a statement of the hot path", None, QuietError(failure), hide_parameters=True)


@contextmanager
def calling_postgres(*, unsafe_is_unavailable: bool = True) -> Iterator[None]:
    """Turn what the database says into the port's words.

    A connection that turns out to be unsafe after the host has started refuses work, as one that is out of
    reach does.
    """
    told: Exception
    try:
        yield
        return
    except DATABASE_ERRORS as failure:
        told = out_of_reach(failure) if is_unavailable(failure) else quiet(failure)
    except UnsafeDatabaseError as unsafe:
        if not unsafe_is_unavailable:
            raise
        log.critical("database_unsafe", why=str(unsafe))
        told = unavailable("unsafe")
    raise told  # out here, so that it has no context that would show what it hides
