"""What Graph sends is read leniently and exactly: every digit, every text, never an exception."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage_facebook.graph.values import (
    UnreadableError,
    canonical,
    decode,
    encode,
    integer,
    moment,
    node_id,
    text,
    truth,
)


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (rb'"\ud83d\ude00"', "😀"),
        (rb'"\ud83d"', "\ufffd"),
        (rb'"\ude00\ud83d"', "\ufffd\ufffd"),
        (rb'"\ud83d\ud83d\ude00"', "\ufffd😀"),
        (rb'"\\ud83d \ud83d"', "\\ud83d \ufffd"),
        (rb'"a\u0000b"', "a\x00b"),
        (b"10206266332119368", 10206266332119368),
        (b"9" * 40, int("9" * 40)),
    ],
)
def test_texts_and_numbers_arrive_whole(raw: bytes, value: object) -> None:
    """Half a pair is mended; a backslash before it is a backslash."""
    assert decode(raw) == value


@given(number=st.decimals(allow_nan=False, allow_infinity=False, places=12))
def test_decimals_go_through_unchanged(number: object) -> None:
    """An amount that was kept is the amount that was sent."""
    raw = str(number).encode()

    assert decode(encode(decode(raw))) == decode(raw)


@given(raw=st.binary(max_size=100))
def test_any_bytes_are_json_or_unreadable(raw: bytes) -> None:
    try:
        decode(raw)
    except UnreadableError:
        return


@given(value=st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=6))
def test_the_same_value_has_the_same_bytes(value: dict[str, object]) -> None:
    """Whatever order its keys came in."""
    turned = dict(reversed(value.items()))

    assert canonical(decode(json.dumps(value).encode())) == canonical(decode(json.dumps(turned).encode()))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1485964825, datetime(2017, 2, 1, 16, 0, 25, tzinfo=UTC)),
        ("1485964825", datetime(2017, 2, 1, 16, 0, 25, tzinfo=UTC)),
        ("2015-02-28T08:49:14+0000", datetime(2015, 2, 28, 8, 49, 14, tzinfo=UTC)),
        ("2015-02-28T10:49:14+02:00", datetime(2015, 2, 28, 8, 49, 14, tzinfo=UTC)),
        ("2015-02-28T08:49:14", datetime(2015, 2, 28, 8, 49, 14, tzinfo=UTC)),
        (0, None),
        ("0", None),
        (None, None),
        ("never", None),
        (10**18, None),
        (True, None),
        ([], None),
    ],
)
def test_moments_are_aware_or_not_there(value: object, expected: datetime | None) -> None:
    assert moment(value) == expected


anything = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.lists(st.none())
)


@given(value=anything)
def test_readers_are_total(value: object) -> None:
    for read in (text, node_id, truth, integer, moment):
        read(value)


def test_numbers_too_long_to_print_are_no_text() -> None:
    """Python refuses to print more than 4300 digits; a stranger must not find out."""
    assert text(10**5000) == node_id(10**5000) == ""


@pytest.mark.parametrize("dots", [".", "..", "...."])
def test_dots_alone_are_no_id(dots: str) -> None:
    """An id becomes a segment of a path, where they would lead elsewhere."""
    assert node_id(dots) == ""
    assert node_id(f"t{dots}1") == f"t{dots}1"
