"""Long lists that people leaf through: which page, and the addresses of the others."""

import math
from collections.abc import Mapping, Sized
from typing import Final, Protocol
from urllib.parse import urlencode

import attrs

PAGE_SIZE: Final = 25
LONGEST_SEARCH: Final = 200
_LAST_PAGE: Final = 100_000


@attrs.frozen(kw_only=True)
class Leafing:
    """Where in a long list somebody is, and what they asked for (`asked`: the query without the page)."""

    page: int
    last: int
    total: int
    first_shown: int
    last_shown: int
    asked: Mapping[str, str]

    def href(self, page: int) -> str:
        """Another page of the same."""
        return "?" + urlencode({**self.asked, "p": str(page)})

    def but(self, **changed: str) -> str:
        """The first page of the same but for something; "" leaves that out."""
        asked = {name: value for name, value in {**self.asked, **changed}.items() if value}
        return "?" + urlencode(asked)


class Paged(Protocol):
    """One page of anything, as ports and the API answer it."""

    @property
    def items(self) -> Sized: ...
    @property
    def total(self) -> int: ...
    @property
    def page(self) -> int: ...
    @property
    def page_size(self) -> int: ...


def leafing(found: Paged, asked: Mapping[str, str]) -> Leafing:
    """How to leaf through what was found."""
    first = (found.page - 1) * found.page_size
    return Leafing(
        page=found.page,
        last=max(1, math.ceil(found.total / found.page_size)),
        total=found.total,
        first_shown=first + 1 if found.items else 0,
        last_shown=first + len(found.items),
        asked={name: value for name, value in asked.items() if value},
    )


def page_number(text: str) -> int:
    """The page that an address asks for; the first one for anything that is no number of a page."""
    is_number = text.isascii() and text.isdigit() and len(text) < 9
    return max(min(int(text), _LAST_PAGE), 1) if is_number else 1


def search_text(text: str) -> str:
    """What somebody searches for, within bounds."""
    return text.strip().replace("\0", "")[:LONGEST_SEARCH]
