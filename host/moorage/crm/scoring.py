"""How engaged a contact is: what they did, each thing worth half as much after every half-life.

A sum of such terms need not be rewritten as time passes. Counted from one fixed moment, each term is
`weight * 2 ** (elapsed / half-life)`; their sum, `heat`, orders contacts the same way at any time, and
divided by `2 ** (now / half-life)` it is the score that people see.
"""

import math
from datetime import UTC, datetime, timedelta
from typing import Final

HEAT_EPOCH: Final = datetime(2025, 1, 1, tzinfo=UTC)
HALF_LIFE: Final = timedelta(days=14)
# A vendor's clock may say anything: past this many half-lives (some 19 years) the sum would swallow others.
_MOST_HALVES: Final = 500.0
MOST: Final = 9_999.0  # the highest score that is shown

MESSAGE: Final = "message"
WEIGHTS: Final = {
    MESSAGE: 3.0,
    "comment": 4.0,
    "share": 5.0,
    "mention": 4.0,
    "reaction": 1.0,
    "referral": 2.0,
    "opt_in": 3.0,
    "account_linked": 2.0,
    "purchase": 8.0,
    "call": 4.0,
}
"""What each kind is worth on the day it happens; a kind that is not here is worth nothing."""


def heat_of(kind: str, at: datetime) -> float:
    """What one thing of `kind` adds to a contact's heat."""
    weight = WEIGHTS.get(kind)
    return weight * math.pow(2.0, _halves(at)) if weight else 0.0


def score(heat: float, now: datetime) -> float:
    """The engagement score at `now`: a fresh comment is worth 4, one of two weeks ago 2.

    What a vendor dates into the future is worth more than anything can be: then it is the most there is.
    """
    return min(round(max(heat, 0.0) / math.pow(2.0, _halves(now)), 2), MOST)


def _halves(at: datetime) -> float:
    halves: float = (at - HEAT_EPOCH) / HALF_LIFE
    return min(max(halves, -_MOST_HALVES), _MOST_HALVES)
