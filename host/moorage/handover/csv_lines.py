"""CSV as RFC 4180 has it, and safe to open: no cell begins as a formula does.

https://www.rfc-editor.org/rfc/rfc4180 · https://owasp.org/www-community/attacks/CSV_Injection
"""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Final

# What spreadsheets take for the beginning of a formula, and what some skip in front of one.
FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\0", "＝", "＋", "－", "＠")
GUARD: Final = "'"


def guarded(cell: str) -> str:
    """The cell with an apostrophe in front, if it begins as a formula does (or as one that was guarded)."""
    return GUARD + cell if cell.lstrip(GUARD).startswith(FORMULA_STARTS) else cell


def unguarded(cell: str) -> str:
    """The cell as it was before `guarded`."""
    is_guarded = cell.startswith(GUARD) and cell.lstrip(GUARD).startswith(FORMULA_STARTS)
    return cell[len(GUARD) :] if is_guarded else cell


def csv_lines(rows: Iterable[Sequence[str]]) -> bytes:
    """These rows, each ended by CRLF; cells are quoted where they have to be."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerows([guarded(cell) for cell in row] for row in rows)
    return text.getvalue().encode()
