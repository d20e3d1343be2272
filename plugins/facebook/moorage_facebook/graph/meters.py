"""Which of Graph's limits a call counts on, what an answer says about them, and which one turned it away.

Graph counts twice: calls of people and of the app itself against the app and the person ("platform limits"),
calls of Pages, Instagram accounts, ad accounts and WhatsApp accounts against each of those, per use case.
https://developers.facebook.com/docs/graph-api/overview/rate-limiting
"""

import hashlib
import hmac
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Final

from moorage_facebook.graph.call import GraphCall
from moorage_facebook.graph.error_table import Parks, find_row
from moorage_facebook.graph.usage import Usage, usage_from_headers
from moorage_facebook.graph.values import integer
from moorage_ports.errors import RateLimitError, VendorError
from moorage_ports.governor import Meter, MeterScope, Reading
from moorage_ports.secret import Secret

# Everything that this app sends: what Graph counts is finer, but a refusal of the app stops all of it.
APP: Final = Meter(scope=MeterScope.APP)
PLATFORM: Final = Meter(scope=MeterScope.APP, use_case="platform")
INSIGHTS_OF_APP: Final = Meter(scope=MeterScope.APP, use_case="ads_insights")

_OF_AD_ACCOUNTS: Final = frozenset({"ads_insights", "ads_management", "custom_audience"})
_PUBLISHING: Final = "publishing"
_LONGEST_OWNER: Final = 64


def meters_of(call: GraphCall, app_secret: Secret) -> tuple[Meter, ...]:
    """Everything that `call` counts on, widest first."""
    return tuple(_meters(call, app_secret))


def _meters(call: GraphCall, app_secret: Secret) -> Iterator[Meter]:
    yield APP
    if call.owner and call.use_case:
        yield _all_of(call)
        yield _use_case(call.use_case, call.owner)
        if call.use_case == INSIGHTS_OF_APP.use_case:
            yield INSIGHTS_OF_APP
    else:
        yield PLATFORM
        if call.token is not None:
            yield _person(call.token, app_secret)
        if call.owner:
            yield _use_case(PLATFORM.use_case, call.owner)
    if call.publishes and call.owner:
        yield _use_case(_PUBLISHING, call.owner)


def readings_of(
    call: GraphCall, headers: Mapping[str, str], error: VendorError | None, app_secret: Secret
) -> tuple[Reading, ...]:
    """What an answer says: its usage headers, and the limit that refused it if one did."""
    usages = usage_from_headers(headers)
    readings = [
        Reading(meter=meter, used=used, regain_after=wait) for meter, used, wait in _said(call, usages)
    ]
    if isinstance(error, RateLimitError):
        meter = _refusing(call, error, app_secret)
        readings.append(Reading(meter=meter, is_refused=True, regain_after=error.retry_after))
    return tuple(readings)


def _said(call: GraphCall, usages: tuple[Usage, ...]) -> Iterator[tuple[Meter, float, timedelta | None]]:
    for usage in usages:
        meter = _metered(call, usage)
        if meter is not None:
            yield meter, usage.percent / 100, usage.regain_after
    # A use case may be reported under another object (a business): it is this call's all the same.
    ours = [usage for usage in usages if usage.owner and usage.limit == call.use_case]
    owner = call.owner.removeprefix("act_")
    if owner and ours and all(usage.owner.removeprefix("act_") != owner for usage in ours):
        fullest = max(ours, key=lambda usage: usage.percent)
        longest = max((usage.regain_after for usage in ours if usage.regain_after), default=None)
        yield _use_case(call.use_case, owner), fullest.percent / 100, longest


def _metered(call: GraphCall, usage: Usage) -> Meter | None:
    """The meter of a reading; `None` if it does not say whose it is."""
    if usage.owner:
        return _use_case(usage.limit[:_LONGEST_OWNER], usage.owner[:_LONGEST_OWNER])
    if usage.limit == "app":
        return PLATFORM
    if usage.limit == "ads insights of the app":
        return INSIGHTS_OF_APP
    if not call.owner:
        return None
    if usage.limit == "page":
        return _use_case(PLATFORM.use_case, call.owner)
    if usage.limit == "ad account":
        return Meter(scope=MeterScope.AD_ACCOUNT, owner_id=call.owner.removeprefix("act_"))
    return _use_case("ads_insights", call.owner)


def _refusing(call: GraphCall, error: RateLimitError, app_secret: Secret) -> Meter:
    """The meter to leave alone for now: always one that `call` counts on, so that it is not sent again."""
    row = find_row(integer(error.vendor_code), integer(error.vendor_subcode))
    parks = Parks.APP if row is None or row.parks is Parks.NOBODY else row.parks
    if parks is Parks.APP or not (call.owner or call.token):
        return APP
    if parks is Parks.PUBLISHING and call.publishes and call.owner:
        return _use_case(_PUBLISHING, call.owner)
    if call.owner and call.use_case:
        is_ours = row is not None and (row.use_case == call.use_case or parks is Parks.PUBLISHING)
        # A refusal in the name of another use case: then we don't know what Graph counts here.
        return _use_case(call.use_case, call.owner) if is_ours else _all_of(call)
    if call.owner and parks is not Parks.PERSON:
        return _use_case(PLATFORM.use_case, call.owner)
    return _person(call.token, app_secret) if call.token is not None else APP


def _scope(use_case: str) -> MeterScope:
    return MeterScope.AD_ACCOUNT if use_case in _OF_AD_ACCOUNTS else MeterScope.CHANNEL


def _use_case(use_case: str, owner: str) -> Meter:
    return Meter(scope=_scope(use_case), owner_id=owner.removeprefix("act_"), use_case=use_case)


def _all_of(call: GraphCall) -> Meter:
    return Meter(scope=_scope(call.use_case), owner_id=call.owner.removeprefix("act_"))


def _person(token: Secret, app_secret: Secret) -> Meter:
    """Whoever this token stands for; named by a digest, which opens nothing."""
    digest = hmac.new(app_secret.reveal().encode(), b"meter\0" + token.reveal().encode(), hashlib.sha256)
    return Meter(scope=MeterScope.PERSON, owner_id=digest.hexdigest()[:24])
