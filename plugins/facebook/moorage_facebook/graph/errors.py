"""From Graph's answer to the port's error: chosen by code and subcode, never by text, never raising."""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Final

import attrs

from moorage_facebook.graph.error_table import Row, find_row
from moorage_facebook.graph.usage import longest_wait, usage_from_headers
from moorage_facebook.graph.values import UnreadableError, decode, integer, items, record, text, truth
from moorage_facebook.settings import VENDOR
from moorage_ports.errors import (
    Hits,
    OutcomeUnknownError,
    RateLimitError,
    RejectedError,
    VendorError,
    VendorUnavailableError,
)

# Anything long without a blank could be a token or an id: Graph quotes both in its messages. A permission's
# name is neither: words in small letters, and the one thing that a person has to know.
_TOKENISH = re.compile(r"[A-Za-z0-9|_\-.%]{20,}")
_PERMISSION = re.compile(r"[a-z]{2,20}(?:_[a-z]{2,20}){1,5}\.?")
_TRACE_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028-\u202e\u2066-\u2069]+")
_MAX_PROSE: Final = 300
_MAX_FIELDS: Final = 20
_MAX_WAIT = timedelta(days=2)


@attrs.frozen(kw_only=True)
class GraphError:
    """The error object of an answer, read leniently. `advice` is Graph's text for the person, cleaned."""

    code: int | None
    subcode: int | None
    is_transient: bool | None
    trace_id: str
    advice: str
    fields: Mapping[str, str]

    def __str__(self) -> str:
        code = "no code" if self.code is None else f"code {self.code}"
        known = code if self.subcode is None else f"{code}, subcode {self.subcode}"
        return f"Facebook refused the call ({known}){': ' + self.advice if self.advice else ''}"


def read_graph_error(body: object) -> GraphError | None:
    """The error in an answer's body, if there is one."""
    error = record(body).get("error")
    if not isinstance(error, dict):
        return None
    return GraphError(
        code=integer(error.get("code")),
        subcode=integer(error.get("error_subcode")),
        is_transient=truth(error.get("is_transient")),
        trace_id=_trace_id(text(error.get("fbtrace_id"))),
        advice=_advice(error),
        fields=_blamed_fields(error),
    )


def error_from_graph(status: int, body: object, headers: Mapping[str, str], *, writes: bool) -> VendorError:
    """The error to raise for an answer that is none we can use.

    `writes` says whether the call may have changed something: then a failure that tells us nothing becomes
    `OutcomeUnknownError`. A limit's `retry_after` is what Graph or the table says, else `None`. Total over
    any status, body and headers.
    """
    error = read_graph_error(body)
    wait = _stated_wait(headers)
    if error is None:
        return _unexplained(status, wait, writes=writes)
    row = find_row(error.code, error.subcode)
    kind = _kind(error, row, status, writes=writes)
    row_wait = row.retry_after if row else None
    return kind(
        str(error),
        vendor=VENDOR,
        vendor_code="" if error.code is None else str(error.code),
        vendor_subcode="" if error.subcode is None else str(error.subcode),
        trace_id=error.trace_id,
        hits=row.hits if row else Hits.CALL,
        retry_after=(wait or row_wait) if issubclass(kind, RateLimitError) else None,
        fields=error.fields,
        remedy=row.remedy if row and kind in {row.kind, row.on_write} else "",
        symptom=_symptom(kind, status),
    )


def _symptom(kind: type[VendorError], status: int) -> str:
    """How a failure showed whose kind leaves open what happened."""
    is_vague = issubclass(kind, OutcomeUnknownError | VendorUnavailableError)
    return f"vendor_answered_{status}" if is_vague else ""


def _kind(error: GraphError, row: Row | None, status: int, *, writes: bool) -> type[VendorError]:
    lost: type[VendorError] = OutcomeUnknownError if writes else VendorUnavailableError
    if status == 429 and (row is None or row.kind is VendorUnavailableError):
        return RateLimitError
    if row is None:
        return lost if status >= 500 or error.is_transient else RejectedError
    if error.code == 1 and error.is_transient is False and (not writes or _is_judged(error, status)):
        # "Unknown error", yet sure that it will stay: Graph's way to refuse what has no code of its own.
        return RejectedError
    return row.on_write if writes and row.on_write else row.kind


def _is_judged(error: GraphError, status: int) -> bool:
    """Whether Graph looked at a write and turned it down: it names a reason, and did not break over it.

    Without both, "unknown error" may come after the write was made.
    """
    return error.subcode is not None and status < 500


def _unexplained(status: int, wait: timedelta | None, *, writes: bool) -> VendorError:
    """No error object: a proxy, a broken answer, or an edge server that sends everybody away."""
    if status == 429:
        msg = "Facebook asks for fewer calls (HTTP 429)"
        return RateLimitError(msg, vendor=VENDOR, hits=Hits.INTEGRATION, retry_after=wait)
    msg = f"Facebook answered in a way we don't know (HTTP {status})"
    kind: type[VendorError] = OutcomeUnknownError if writes else VendorUnavailableError
    return kind(msg, vendor=VENDOR, symptom=_symptom(kind, status))


def _stated_wait(headers: Mapping[str, str]) -> timedelta | None:
    seconds = integer(headers.get("retry-after", "").strip())
    if seconds is not None and seconds > 0:
        return min(timedelta(seconds=min(seconds, 10**7)), _MAX_WAIT)
    return longest_wait(usage_from_headers(headers))


def _advice(error: Mapping[str, object]) -> str:
    """Graph's words for the person; where it has none, its words for the developer."""
    title = _clean(text(error.get("error_user_title")))
    message = _clean(text(error.get("error_user_msg")))
    told = ": ".join(part for part in (title, message) if part)
    return (told or _clean(text(error.get("message"))))[:_MAX_PROSE]


def _clean(prose: str) -> str:
    return _TOKENISH.sub(_unless_permission, _UNPRINTABLE.sub(" ", prose[:2_000])).strip()


def _unless_permission(found: re.Match[str]) -> str:
    return found.group() if _PERMISSION.fullmatch(found.group()) else "…"


def _trace_id(given: str) -> str:
    """What their support asks for. Whatever else stands there is dropped: it is shown as it is."""
    return given if _TRACE_ID.fullmatch(given) else ""


def _blamed_fields(error: Mapping[str, object]) -> Mapping[str, str]:
    """`error_data.blame_field_specs`: lists of path parts; `error_data` also comes as JSON in a string."""
    data = error.get("error_data")
    if isinstance(data, str):
        try:
            data = decode(data.encode("utf-8", "replace"))
        except UnreadableError:
            data = None
    specs = items(record(data).get("blame_field_specs"))[:_MAX_FIELDS]
    names = [".".join(filter(None, map(_clean, map(text, items(spec))))) for spec in specs]
    return {name[:100]: "Facebook objects to this field." for name in names if name}
