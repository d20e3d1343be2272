"""Iterating pages ends: with the last page, or with an error that says why not."""

import pytest

from moorage_ports.paging import Page, PagingLoopError, iterate


async def test_every_item_of_every_page_in_order() -> None:
    """An empty page in the middle is no end."""
    pages = {
        None: Page(items=(1, 2), next_cursor="a"),
        "a": Page[int](items=(), next_cursor="b"),
        "b": Page(items=(3,)),
    }

    async def fetch(cursor: str | None) -> Page[int]:
        return pages[cursor]

    assert [item async for item in iterate(fetch)] == [1, 2, 3]


async def test_a_cursor_that_comes_twice_stops_the_walk() -> None:
    async def fetch(_: str | None) -> Page[int]:
        return Page(items=(1,), next_cursor="again")

    with pytest.raises(PagingLoopError):
        _ = [item async for item in iterate(fetch)]


async def test_a_list_that_never_ends_is_cut() -> None:
    async def fetch(cursor: str | None) -> Page[int]:
        return Page(items=(), next_cursor=f"{int(cursor or 0) + 1}")

    with pytest.raises(PagingLoopError):
        _ = [item async for item in iterate(fetch, max_pages=50)]
