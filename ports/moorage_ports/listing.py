"""One page of a list that people leaf through."""

from typing import Generic, TypeVar

import attrs

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class Listing(Generic[T]):
    """One page of a list; `page` counts from 1, `total` is over all pages."""

    items: tuple[T, ...]
    total: int
    page: int
    page_size: int
