"""Cursor paging as Graph does it: `data`, `paging.cursors`, and a `next` link that carries the access token.

https://developers.facebook.com/docs/graph-api/results
"""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import TypeVar
from urllib.parse import urlencode

from moorage_facebook.sandbox.entities import Node
from moorage_facebook.sandbox.errors import invalid
from moorage_facebook.sandbox.jsontext import Json
from moorage_facebook.sandbox.params import is_true
from moorage_facebook.sandbox.wire import Call, render

_DEFAULT_LIMIT = 25
_MAX_LIMIT = 100
_KEPT = ("fields", "filtering", "since", "until", "summary")  # what the next page is asked with, too

N = TypeVar("N", bound=Node)


def _no_time(_: object) -> int:
    return 0


async def connection(call: Call, rows: Sequence[N], at: Callable[[N], int] = _no_time) -> Json:
    """One page of `rows`, which are in the order in which Graph lists them (newest first if `at` is given).

    Raises:
        GraphError: 100 for a limit or a cursor that is none.
    """
    limit = _limit(call)
    start, end = _window(call, rows, at, limit)
    shown = rows[start:end]
    fields = call.fields()
    answer: dict[str, Json] = {"data": [await render(call, row, fields) for row in shown]}
    if shown:
        before, after = _cursor(shown[0], at), _cursor(shown[-1], at)
        paging: dict[str, Json] = {"cursors": {"before": before, "after": after}}
        if end < len(rows):
            paging["next"] = _link(call, limit, "after", after)
        if start > 0:
            paging["previous"] = _link(call, limit, "before", before)
        answer["paging"] = paging
    if _wants_summary(call):
        answer["summary"] = {"total_count": len(rows)}
    return answer


def plain(call: Call, values: Sequence[Json]) -> Json:
    """A list that never needs a second page."""
    return {"data": list(values[: _limit(call)])}


def _limit(call: Call) -> int:
    text = call.param("limit")
    if not text:
        return _DEFAULT_LIMIT
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise invalid("Param limit must be a non-negative integer")
    return min(int(text), _MAX_LIMIT)


def _window(call: Call, rows: Sequence[N], at: Callable[[N], int], limit: int) -> tuple[int, int]:
    if call.param("after"):
        start = _position(call.param("after"), rows, at, inclusive=False)
        return start, min(start + limit, len(rows))
    if call.param("before"):
        end = _position(call.param("before"), rows, at, inclusive=True)
        return max(0, end - limit), end
    return 0, min(limit, len(rows))


def _position(cursor: str, rows: Sequence[N], at: Callable[[N], int], *, inclusive: bool) -> int:
    """Where a cursor points, also when its row was deleted in the meantime."""
    moment, row_id = _read_cursor(cursor)
    for index, row in enumerate(rows):
        if row.id == row_id:
            return index if inclusive else index + 1
    return next((index for index, row in enumerate(rows) if at(row) < moment), len(rows))


def _cursor(row: N, at: Callable[[N], int]) -> str:
    return base64.urlsafe_b64encode(f"{at(row)}:{row.id}".encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> tuple[int, str]:
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        moment, _, row_id = base64.urlsafe_b64decode(padded).decode("utf-8").partition(":")
        return int(moment[:20]), row_id
    except (ValueError, binascii.Error) as error:
        raise invalid("Invalid cursors values") from error


def _link(call: Call, limit: int, side: str, cursor: str) -> str:
    kept = {name: call.params[name] for name in _KEPT if call.params.get(name)}
    query = {"access_token": call.who.token.id, **kept, "limit": str(limit), side: cursor}
    return f"{call.world.plan.base_url.rstrip('/')}/{call.version}/{'/'.join(call.path)}?{urlencode(query)}"


def _wants_summary(call: Call) -> bool:
    summary = call.param("summary")
    return is_true(summary) or "total_count" in summary
