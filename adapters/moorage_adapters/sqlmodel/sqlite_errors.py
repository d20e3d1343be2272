"""What SQLite says when something goes wrong, in the port's words."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy.exc import DBAPIError

from moorage_adapters.sqlmodel.database import unavailable

_TRY_AGAIN: Final = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_INTERRUPT,
}
_BROKEN: Final = {sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_FULL_IN_DISGUISE: Final = {  # a full disk stopped the shared memory file: heals like SQLITE_FULL
    sqlite3.SQLITE_IOERR_SHMSIZE,
    sqlite3.SQLITE_IOERR_SHMMAP,
    sqlite3.SQLITE_IOERR_SHMOPEN,
    sqlite3.SQLITE_IOERR_NOMEM,
}


def sqlite_code(error: BaseException) -> int:
    """SQLite's extended error code, 0 if the error is not one of SQLite's."""
    original = error.orig if isinstance(error, DBAPIError) else error
    code = getattr(original, "sqlite_errorcode", 0) if isinstance(original, sqlite3.Error) else 0
    return code if isinstance(code, int) else 0


def is_fatal(error: BaseException) -> bool:
    """Whether the disk broke a promise: nothing after this may be acknowledged.

    After a failed fsync the kernel may have dropped the pages and report success next time, so it is never
    tried again (https://www.postgresql.org/docs/current/runtime-config-error-handling.html, data_sync_retry).
    """
    code = sqlite_code(error)
    return code & 0xFF in _BROKEN and code not in _FULL_IN_DISGUISE


def is_unavailable(error: BaseException) -> bool:
    """Whether the database was out of reach, locked, full or broken, rather than misused."""
    code = sqlite_code(error)
    return code & 0xFF in _TRY_AGAIN | _BROKEN or code == sqlite3.SQLITE_READONLY_DBMOVED


@contextmanager
def mapping_errors() -> Iterator[None]:
    """Turn what the database says into the port's words."""
    try:
        yield
    except (DBAPIError, sqlite3.Error) as failure:
        if is_unavailable(failure):
            raise unavailable("out of reach, locked or full") from failure
        raise
