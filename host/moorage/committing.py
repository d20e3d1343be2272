"""Writing something down and knowing whether it is, also when the database goes away in the middle."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from moorage_ports.errors import CommitUnknownError, UnavailableError

log = structlog.get_logger(__name__)

T = TypeVar("T")


async def certainly(write: Callable[[], Awaitable[T]]) -> T:
    """What `write` answers; it is called once more if nobody knows whether it was written.

    `write` is one unit of work that does nothing where its first call was written, and answers the same. The
    second one waits for what becomes of the first: an org's writing units of work come one after the other.

    Raises:
        UnavailableError: Nothing was written.
        CommitUnknownError: The database does not say, and cannot be asked.
    """
    try:
        return await write()
    except CommitUnknownError as first:
        log.warning("commit_unknown")
        try:
            return await write()
        except UnavailableError:
            raise first from None
