"""Lists that arrive in pages: one page and the cursor of the next."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Generic, TypeVar

import attrs

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class Page(Generic[T]):
    """Some of the items; `next_cursor` is opaque, `None` at the end. An empty page may have a next."""

    items: tuple[T, ...]
    next_cursor: str | None = None


class PagingLoopError(Exception):
    """The same cursor came twice: the list would never end."""


async def iterate(
    fetch: Callable[[str | None], Awaitable[Page[T]]], *, max_pages: int = 10_000
) -> AsyncIterator[T]:
    """Every item of every page, in order.

    Raises:
        PagingLoopError: A cursor repeated, or `max_pages` were read.
    """
    seen: set[str] = set()
    cursor: str | None = None
    for _ in range(max_pages):
        page = await fetch(cursor)
        for item in page.items:
            yield item
        cursor = page.next_cursor
        if cursor is None:
            return
        if cursor in seen:
            raise PagingLoopError
        seen.add(cursor)
    raise PagingLoopError
