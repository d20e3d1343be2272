"""U4: what a CSV reader reads back is what was written, and no spreadsheet takes a cell for a formula."""

import csv
import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from moorage.handover.csv_lines import FORMULA_STARTS, csv_lines, guarded, unguarded

# What a person may type, with more of what matters here than chance would bring.
CELLS = st.text(
    st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from("=+-@\t\r\n\0＝＋－＠'\",;"))
)


def read_back(raw: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(raw.decode(), newline=""), strict=True))


@given(st.lists(st.lists(CELLS, min_size=2, max_size=4), max_size=5))
@example([["=cmd|' /C calc'!A0", "'=1"], ["\r\n", '"'], ["''+1", "'"]])
def test_t_csv_injection_a_reader_gets_the_values_and_no_cell_is_a_formula(rows: list[list[str]]) -> None:
    raw = csv_lines(rows)
    read = read_back(raw)
    assert [[unguarded(cell) for cell in row] for row in read] == rows
    assert not any(cell.startswith(FORMULA_STARTS) for row in read for cell in row)
    assert raw.endswith(b"\r\n") == bool(rows)


@given(CELLS)
def test_only_what_begins_as_a_formula_is_touched(cell: str) -> None:
    if not cell.startswith((*FORMULA_STARTS, "'")):
        assert guarded(cell) == cell
    assert unguarded(guarded(cell)) == cell


@pytest.mark.parametrize("start", FORMULA_STARTS)
def test_every_start_of_a_formula_is_guarded(start: str) -> None:
    assert guarded(f"{start}1+1") == f"'{start}1+1"
    assert guarded(f"1{start}1") == f"1{start}1"


def test_lines_are_as_the_rfc_has_them() -> None:
    assert csv_lines([["a", 'say "hi"', "x,y"], ["", "two\r\nlines", "ü"]]) == (
        b'a,"say ""hi""","x,y"\r\n,"two\r\nlines",\xc3\xbc\r\n'
    )
