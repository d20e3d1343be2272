"""Deliveries in Meta's shapes, made for these tests, and the people, places and moments in them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

FIXTURES = Path(__file__).parents[2] / "fixtures" / "facebook"

PAGE: Final = "6103920011774455"
ACCOUNT: Final = "17841400000000042"  # on Instagram
BUSINESS: Final = "104400110022"  # a WhatsApp business account
NUMBER: Final = "109900770011"  # one of its numbers

DAY: Final = timedelta(days=1)
RECEIVED_AT: Final = datetime(2030, 1, 2, tzinfo=UTC)
_BEGAN_AT: Final = datetime(2030, 1, 1, 1, tzinfo=UTC)


def fixture(name: str) -> bytes:
    """The bytes of one delivery: `<event>__<variant>`."""
    return (FIXTURES / f"{name}.json").read_bytes()


def at(seconds: float) -> datetime:
    """So long after the first moment that the fixtures tell of."""
    return _BEGAN_AT + timedelta(seconds=seconds)


def after(moment: datetime) -> datetime:
    """Right after: what is changed was there before."""
    return moment + timedelta(microseconds=1)
