"""Reading what Graph sends: JSON in, plain values out, whatever shape it came in.

Graph writes ids as numbers or strings, true as `true` or `"true"`, leaves lists out and nulls in. These
functions are total: what is not there or not readable is empty, never an exception.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal

import msgspec

# Decimals keep the digits that were sent; ints of msgspec are exact, as ids beyond 2**53 need.
_DECODER = msgspec.json.Decoder(float_hook=Decimal)
_ENCODER = msgspec.json.Encoder(decimal_format="number")
_SORTED = msgspec.json.Encoder(decimal_format="number", order="deterministic")

_ESCAPE = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a whole pair
    rb"|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"  # half of one
    rb"|\\.",
    re.DOTALL,
)
_ID = re.compile(r"(?!\.+\Z)[A-Za-z0-9_.:-]{1,255}")  # not `..`: ids stand in paths
_MAX_SECONDS = 253_402_300_799  # the last second that a datetime can hold

NOTHING: Mapping[str, object] = {}


class UnreadableError(ValueError):
    """These bytes are not JSON, or nest too deep."""


def decode(body: bytes) -> object:
    """The JSON value in `body`.

    Half a surrogate pair, which Graph sends when it cut a text in the middle of an emoji, becomes U+FFFD.

    Raises:
        UnreadableError: It is none.
    """
    try:
        return _DECODER.decode(body)
    except RecursionError as deep:
        msg = "nests too deep"
        raise UnreadableError(msg) from deep
    except (msgspec.DecodeError, UnicodeDecodeError, ArithmeticError):
        pass
    try:
        return _DECODER.decode(_ESCAPE.sub(_mend, body))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ArithmeticError) as unreadable:
        msg = "is not JSON"
        raise UnreadableError(msg) from unreadable


def _mend(escape: re.Match[bytes]) -> bytes:
    return rb"\ufffd" if escape.group(1) else escape.group(0)


def encode(value: object) -> bytes:
    """`value` as compact JSON.

    Raises:
        UnreadableError: It nests too deep.
    """
    return _encoded(_ENCODER, value)


def canonical(value: object) -> bytes:
    """`value` as JSON with sorted keys: the same bytes for the same value.

    Raises:
        UnreadableError: It nests too deep.
    """
    return _encoded(_SORTED, value)


def _encoded(encoder: msgspec.json.Encoder, value: object) -> bytes:
    try:
        return encoder.encode(value)
    except RecursionError as deep:
        msg = "nests too deep"
        raise UnreadableError(msg) from deep


def record(value: object) -> Mapping[str, object]:
    """`value` if it is an object, else an empty one."""
    return value if isinstance(value, dict) else NOTHING


def items(value: object) -> list[object]:
    """`value` if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def records(value: object) -> list[Mapping[str, object]]:
    """The objects in a list; everything else in it is left out."""
    return [item for item in items(value) if isinstance(item, dict)]


def text(value: object) -> str:
    """A string as it is, a number in digits, everything else empty."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or value is None:
        return ""
    if isinstance(value, int):
        return _digits(value)
    return str(value) if isinstance(value, Decimal) else ""


def _digits(number: int) -> str:
    try:
        return str(number)
    except ValueError:  # more digits than Python prints
        return ""


def node_id(value: object) -> str:
    """An id as a string; empty if there is none. Graph says 0 for "none", too."""
    found = value if isinstance(value, str) else text(value)
    return found if _ID.fullmatch(found) and found != "0" else ""


def truth(value: object) -> bool | None:
    """True, false, or not said; Graph also writes them as strings."""
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return {"true": True, "false": False}.get(value.lower())
    return None


def integer(value: object) -> int | None:
    """A whole number, also when it was sent as a string."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,18}", value):
        return int(value)
    return None


def moment(value: object) -> datetime | None:
    """A point in time: Unix seconds, or text such as `2015-02-28T08:49:14+0000`."""
    seconds = integer(value)
    if seconds is not None:
        return datetime.fromtimestamp(seconds, UTC) if 0 < seconds <= _MAX_SECONDS else None
    if not isinstance(value, str):
        return None
    try:
        parsed = datetime.fromisoformat(value)
        return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def expiry(value: object) -> datetime | None:
    """`expires_at` and its like, where 0 (or nothing) says: never."""
    return moment(value)
