"""What can go wrong at the memory vendor, in the vendor's own words; `door` turns these into the ports'."""

from datetime import timedelta
from enum import Enum

import attrs


class Trouble(Enum):
    """Why the vendor did not do it (or did, and could not say so)."""

    CLOSED = "closed"  # nothing happened: nobody is there
    SILENCE = "silence"  # it happened, or not: the answer got lost
    TOO_MUCH = "too_much"  # nothing happened: come back later
    PERMIT_GONE = "permit_gone"  # the token is unknown, expired or withdrawn
    BOARD_TAKEN = "board_taken"  # this board's token ended, the person's did not
    NOT_ALLOWED = "not_allowed"  # the permit does not cover this
    NOT_WANTED = "not_wanted"  # the vendor read it and said no
    NO_SUCH_THING = "no_such_thing"


class TroubleError(Exception):
    """The vendor's only exception."""

    def __init__(self, trouble: Trouble, *, wait: timedelta | None = None) -> None:
        super().__init__(trouble.value)
        self.trouble = trouble
        self.wait = wait


@attrs.define(kw_only=True)
class Weather:
    """Switches for bad days; all off means that every call is answered."""

    is_closed: bool = False
    loses_answers: bool = False
    wait: timedelta | None = None
    refuses_notes: bool = False
