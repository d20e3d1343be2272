"""Cursor paging as Graph does it: `data`, `paging.cursors`, and a `next` link that carries the access token.

https://developers.facebook.com/docs/graph-api/results
"""

import base64
import binascii
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Generic, TypeVar
from urllib.parse import urlencode

import attrs

from moorage_facebook.sandbox.entities import Node
from moorage_facebook.sandbox.errors import invalid, too_much
from moorage_facebook.sandbox.fields import Field
from moorage_facebook.sandbox.jsontext import Json
from moorage_facebook.sandbox.params import is_true
from moorage_facebook.sandbox.wire import Call, render_all

_DEFAULT_LIMIT = 25
_MAX_LIMIT = 100
_KEPT = (  # what the next page is asked with, too
    "fields",
    "filtering",
    "since",
    "until",
    "summary",
    "filter",
    "order",
    "type",
    "platform",
)
MOST_EXPANDED = 5_000
"""How many nodes the lists inside one list may ask for: posts times comments, say, by their limits.

Graph publishes no figure. It refuses by what a query would cost before it runs it, so limits count here too,
not what there is; people report refusals from a few thousand nested nodes on.
"""

EMPTY: Mapping[str, Json] = {}

N = TypeVar("N", bound=Node)


def _no_time(_: object) -> int:
    return 0


async def connection(
    call: Call,
    rows: Sequence[N],
    at: Callable[[N], int] = _no_time,
    *,
    rising: bool = False,
    summary: Mapping[str, Json] = EMPTY,
) -> Json:
    """One page of `rows`, in the order in which Graph lists them (newest first if `at` is given).

    Raises:
        GraphError: 100 for a limit or a cursor that is none, 1 for more than Graph would collect at once.
    """
    limit = _limit(call)
    fields = call.fields()
    if rows and _expanded(call, rows[0], fields, limit) > MOST_EXPANDED:
        raise too_much()
    position = _Positions(rows, at, rising)
    start, end = _window(call, position, len(rows), limit)
    shown = rows[start:end]
    answer: dict[str, Json] = {"data": await render_all(call, shown, fields)}
    if shown:
        before, after = _cursor(shown[0], at), _cursor(shown[-1], at)
        paging: dict[str, Json] = {"cursors": {"before": before, "after": after}}
        if end < len(rows):
            paging["next"] = _link(call, limit, "after", after)
        if start > 0:
            paging["previous"] = _link(call, limit, "before", before)
        answer["paging"] = paging
    if _wants_summary(call):
        answer["summary"] = {"total_count": len(rows), **_more_summary(call, summary)}
    return answer


def _expanded(call: Call, row: Node, fields: Sequence[Field], times: int) -> int:
    """How many nodes the lists inside ask for; what is a field of its own as well is not counted."""
    asked, shape = 0, call.directory.shape(row)
    for field in fields:
        if shape is not None and shape.has(field.name):
            continue
        if call.directory.reader(row, field.name) is not None:
            inner = times * read_limit(field.arguments.get("limit", ""))
            asked += inner
            asked += inner * sum(_inside(deeper) for deeper in field.sub)
    return asked


def _inside(field: Field) -> int:
    """Of a list within a list: only those that carry a limit are known to be lists."""
    if "limit" not in field.arguments:
        return 0
    limit = read_limit(field.arguments["limit"])
    return limit + limit * sum(_inside(deeper) for deeper in field.sub)


def newest_first(rows: Iterable[N], at: Callable[[N], int]) -> list[N]:
    """As Graph lists most things; of one moment, what came last is first."""
    found = list(rows)[::-1]
    found.sort(key=at, reverse=True)
    return found


def plain(call: Call, values: Sequence[Json]) -> Json:
    """A list that never needs a second page."""
    return {"data": list(values[: _limit(call)])}


def _limit(call: Call) -> int:
    return read_limit(call.param("limit"))


def read_limit(text: str) -> int:
    """How many rows are wanted; 25 when nobody says, never more than 100.

    Raises:
        GraphError: 100, when it is no number.
    """
    if not text:
        return _DEFAULT_LIMIT
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise invalid("Param limit must be a non-negative integer")
    return min(int(text), _MAX_LIMIT)


def _window(call: Call, position: "_Positions[N]", size: int, limit: int) -> tuple[int, int]:
    if call.param("after"):
        start = position.of(call.param("after"), inclusive=False)
        return start, min(start + limit, size)
    if call.param("before"):
        end = position.of(call.param("before"), inclusive=True)
        return max(0, end - limit), end
    return 0, min(limit, size)


@attrs.frozen
class _Positions(Generic[N]):
    """Where cursors point in a list, also when their rows were deleted in the meantime."""

    rows: Sequence[N]
    at: Callable[[N], int]
    rising: bool

    def of(self, cursor: str, *, inclusive: bool) -> int:
        """The row's own index, or (not `inclusive`) the one after it."""
        moment, row_id = _read_cursor(cursor)
        for index, row in enumerate(self.rows):
            if row.id == row_id:
                return index if inclusive else index + 1
        behind = (index for index, row in enumerate(self.rows) if self._is_past(self.at(row), moment))
        return next(behind, len(self.rows))

    def _is_past(self, moment: int, cursor: int) -> bool:
        return moment > cursor if self.rising else moment < cursor


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
    return bool(_summary_words(call)) or is_true(call.param("summary"))


def _more_summary(call: Call, summary: Mapping[str, Json]) -> Mapping[str, Json]:
    """What an edge says besides the total: all of it, or what was named."""
    if is_true(call.param("summary")):
        return summary
    wanted = _summary_words(call)
    return {name: value for name, value in summary.items() if name in wanted}


def _summary_words(call: Call) -> frozenset[str]:
    text = call.param("summary").replace("[", "").replace("]", "").replace('"', "")
    return frozenset(word.strip() for word in text.split(",")) & _SUMMARY_WORDS


_SUMMARY_WORDS = frozenset(
    {"total_count", "viewer_reaction", "order", "can_comment", "can_like", "has_liked"}
)
