"""How close to Graph's limits we are, as its answers say. Lenient: a header we can't read says nothing.

https://developers.facebook.com/docs/graph-api/overview/rate-limiting
"""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from decimal import Decimal

import attrs

from moorage_facebook.graph.values import UnreadableError, decode, items, record, records, text

_MAX_HEADER = 65_536
_MAX_WAIT = timedelta(days=2)

# One object of percentages each; the fourth has a list of them per business, page or ad account.
_APP_HEADERS = {"x-app-usage": "app", "x-page-usage": "page"}
_BUSINESS_HEADER = "x-business-use-case-usage"
_AD_ACCOUNT_HEADER = "x-ad-account-usage"
_INSIGHTS_HEADER = "x-fb-ads-insights-throttle"


@attrs.frozen(kw_only=True)
class Usage:
    """One reading. `percent` is the highest of what was reported; at 100 calls are refused.

    `limit` says which limit it is (`app`, `page`, `ad account`, or a business use case such as `leadgen`),
    `owner` whose it is (empty: not said), `regain_after` when calls will get through again.
    """

    limit: str
    owner: str = ""
    percent: float
    regain_after: timedelta | None = None


def usage_from_headers(headers: Mapping[str, str]) -> tuple[Usage, ...]:
    """Every reading in an answer's headers (names in lower case). Never raises."""
    return tuple(_readings(headers))


def longest_wait(readings: tuple[Usage, ...]) -> timedelta | None:
    """How long to stay away, if an answer said so."""
    waits = [reading.regain_after for reading in readings if reading.regain_after]
    return max(waits, default=None)


def _readings(headers: Mapping[str, str]) -> Iterator[Usage]:
    for name, limit in _APP_HEADERS.items():
        usage = _header(headers, name)
        if usage:
            yield Usage(limit=limit, percent=_highest(usage, "call_count", "total_time", "total_cputime"))
    yield from _business_readings(_header(headers, _BUSINESS_HEADER))
    account = _header(headers, _AD_ACCOUNT_HEADER)
    if account:
        percent = _highest(account, "acc_id_util_pct")
        # `reset_time_duration` runs all the time: it is a wait only for those who are at the limit.
        reset = _wait(account.get("reset_time_duration"), 1) if percent >= 100 else None
        yield Usage(limit="ad account", percent=percent, regain_after=reset)
    insights = _header(headers, _INSIGHTS_HEADER)
    if insights:
        yield Usage(limit="ads insights of the app", percent=_highest(insights, "app_id_util_pct"))
        yield Usage(limit="ads insights", percent=_highest(insights, "acc_id_util_pct"))


def _business_readings(usage: Mapping[str, object]) -> Iterator[Usage]:
    for owner, entries in usage.items():
        for entry in records(entries if items(entries) else [entries]):
            yield Usage(
                limit=text(entry.get("type")) or "business use case",
                owner=owner,
                percent=_highest(entry, "call_count", "total_time", "total_cputime"),
                regain_after=_wait(entry.get("estimated_time_to_regain_access"), 60),
            )


def _header(headers: Mapping[str, str], name: str) -> Mapping[str, object]:
    value = headers.get(name, "")
    if not value or len(value) > _MAX_HEADER:
        return {}
    try:
        return record(decode(value.encode("utf-8", "replace")))
    except UnreadableError:
        return {}


def _highest(usage: Mapping[str, object], *names: str) -> float:
    return max((_number(usage.get(name)) for name in names), default=0.0)


def _number(value: object) -> float:
    if isinstance(value, bool):
        return 0.0
    try:
        number = float(value) if isinstance(value, (int, str, Decimal)) else 0.0
    except (ValueError, OverflowError):
        return 0.0
    return number if 0 <= number < 1e9 else 0.0


def _wait(value: object, seconds_per_unit: int) -> timedelta | None:
    seconds = _number(value) * seconds_per_unit
    return min(timedelta(seconds=seconds), _MAX_WAIT) if seconds else None
