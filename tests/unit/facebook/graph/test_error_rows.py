"""The error table against the list of Graph's codes that lies beside the checkout, where it does.

That list belongs to others and is not part of this project. Without it nothing is collected from it.
"""

import csv
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from moorage_facebook.graph.error_table import (
    BY_CODE,
    BY_SUBCODE,
    BY_SUBCODE_ALONE,
    RANGES,
    Parks,
    Row,
    find_row,
)
from moorage_ports.errors import RateLimitError, ReauthorizationError, VendorUnavailableError

LIST = Path(__file__).parents[5] / "shared" / "graph" / "errors.tsv"

# What may be sent again later, although no limit and no outage: a person or the host acts in between.
_AFTER_A_CHANGE = {(9004, 2207052), (100, 33)}


def listed() -> Iterator[tuple[int | None, int | None, str]]:
    """Every code and subcode of the list, with what it says about sending the call again."""
    if not LIST.is_file():
        return
    with LIST.open(newline="") as file:
        for line in csv.DictReader(file, delimiter="\t"):
            for code in _codes(line["code"]):
                subcodes: list[int | None] = [*_numbers(line["subcode"])]
                for subcode in subcodes or [None]:
                    is_subcode = line["subcode"].startswith("as subcode")
                    yield (
                        (None, code, line["retryable"]) if is_subcode else (code, subcode, line["retryable"])
                    )


def _codes(text: str) -> list[int | None]:
    lowest_and_highest = re.fullmatch(r"(\d+)-(\d+)", text)
    if lowest_and_highest:
        first, last = map(int, lowest_and_highest.groups())
        return [first, (first + last) // 2, last]
    return list(_numbers(text)) or [None]


def _numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"(?<![\d.])-?\d+", text)]


LISTED = sorted(set(listed()), key=str)


def test_the_list_is_read_whole_where_it_is() -> None:
    """Or no test below pretends to have seen it."""
    assert (len(LISTED) > 90) is LIST.is_file()


def row_of(code: int | None, subcode: int | None) -> Row:
    row = find_row(code, subcode)
    assert row is not None, "Graph's list knows it, the table does not"
    return row


if LISTED:

    @pytest.mark.parametrize(("code", "subcode", "retryable"), LISTED)
    def test_every_listed_error_has_a_row_of_its_own(
        code: int | None, subcode: int | None, retryable: str
    ) -> None:
        """Not one that it falls back on: the list says something about this very subcode."""
        if subcode is not None and (code, subcode) in BY_SUBCODE:
            return
        if subcode is not None:
            assert subcode in BY_SUBCODE_ALONE
            return
        assert code is not None
        assert code in BY_CODE or any(code in codes for codes, _ in RANGES)

    @pytest.mark.parametrize(("code", "subcode", "retryable"), LISTED)
    def test_what_may_be_sent_again_and_what_not_agrees(
        code: int | None, subcode: int | None, retryable: str
    ) -> None:
        row = row_of(code, subcode)
        is_worth_repeating = row.kind in {RateLimitError, VendorUnavailableError}

        if retryable.startswith("yes"):
            assert is_worth_repeating
        elif retryable.startswith("no") and (code, subcode) not in _AFTER_A_CHANGE:
            assert not is_worth_repeating

    @pytest.mark.parametrize("code", [code for code, _, __ in LISTED if code and 80000 <= code < 80100])
    def test_limits_of_use_cases_park_their_owner(code: int) -> None:
        assert row_of(code, None).parks is Parks.OWNER


def test_only_one_subcode_of_190_leaves_the_integration_alone() -> None:
    """A lost role ends one Page; every other subcode ends the grant. A closed window (10) ends nothing."""
    ends = {subcode: row for (code, subcode), row in BY_SUBCODE.items() if code == 190}

    assert all(row.kind is ReauthorizationError for row in ends.values())
    assert [subcode for subcode, row in ends.items() if row.hits.value == "channel"] == [492]
    assert not BY_SUBCODE[10, 2018065].disconnects
