"""What the memory vendor is made of: people, boards, notes, forms, and the permits it gives out."""

from collections.abc import Mapping
from datetime import datetime

import attrs

# What a person can allow an app to do.
READ_BOARDS = "read_boards"
WRITE_NOTES = "write_notes"
READ_FORMS = "read_forms"
SEND_NEWS = "send_news"
SEND_LETTERS = "send_letters"
SCOPES = (READ_BOARDS, WRITE_NOTES, READ_FORMS, SEND_NEWS, SEND_LETTERS)

LONGEST_NOTE = 500


@attrs.frozen(kw_only=True)
class Person:
    """Somebody with an account at the vendor."""

    id: str
    name: str


@attrs.frozen(kw_only=True)
class Board:
    """A board where notes hang. Its keepers may act for it; everybody else only reads."""

    id: str
    name: str
    keepers: frozenset[str]


@attrs.frozen(kw_only=True)
class Note:
    """Something that was pinned on a board."""

    id: str
    board_id: str
    text: str
    link: str | None
    images: tuple[str, ...]
    pinned_at: datetime


@attrs.frozen(kw_only=True)
class Form:
    """A form that hangs on a board: what it asks by key, what may be chosen, what it wants a yes to."""

    id: str
    board_id: str
    name: str
    asks: Mapping[str, str]
    choices: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict)
    pledges: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Slip:
    """A form that somebody filled in."""

    id: str
    form_id: str
    board_id: str
    answers: Mapping[str, tuple[str, ...]] = attrs.field(repr=False)
    handed_in_at: datetime
    agreed: Mapping[str, bool] = attrs.field(factory=dict)
    is_trial: bool = False


@attrs.frozen(kw_only=True)
class Permit:
    """What a token stands for: an app, a person (for a board's token, that board) and what was allowed."""

    app_id: str
    person_id: str
    board_id: str | None
    scopes: frozenset[str]
    expires_at: datetime
