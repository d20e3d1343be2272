"""What an endpoint's answer means: for the message, for the endpoint, and for whoever has to do something."""

import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

import attrs

from moorage_ports.http import (
    AddressRefusedError,
    HttpAnswer,
    HttpError,
    NeverSentError,
    TimedOutError,
)
from moorage_ports.outgoing import Attempt, Endpoint, EndpointState, EventType, Handover, HandoverState

# The schedule that Standard Webhooks gives as an example: ten tries in three days.
RETRIES: Final = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
MOST_TRIES: Final = len(RETRIES) + 1
LONGEST_ASKED: Final = timedelta(hours=24)  # whoever asks for more is asked again after that
DISABLED_AFTER: Final = timedelta(days=5)  # of failures without a success between them
SUSPECT_AFTER: Final = 3  # failures in a row: from then on one message at a time looks whether it is back
FIRST_HOLD: Final = timedelta(seconds=5)
LONGEST_HOLD: Final = timedelta(minutes=5)

GONE: Final = "gone"
FAILING: Final = "failing"

_ONCE_FIXED: Final = "then replay what was given up"
REMEDIES: Final[Mapping[str, str]] = {
    "address_refused": "Give the endpoint a public https address on port 443, or ask the operator to open its"
    " network.",
    "unreachable": "Check the endpoint's name, that its server runs, and its certificate.",
    "timed_out": "Have the endpoint answer within 15 seconds: keep the message first, work on it afterwards.",
    "no_answer": "Find out why the endpoint's server closes connections.",
    "redirected": "Give the endpoint the address that it redirects to: redirects are not followed.",
    GONE: f"The endpoint said 410 Gone. If it is to be told again, set its state to active; {_ONCE_FIXED}.",
    FAILING: f"Nothing arrived for five days. Repair the endpoint, set its state to active; {_ONCE_FIXED}.",
    "rate_limited": "Nothing to do: it waits as long as the endpoint asked for.",
    "endpoint_failed": "See the endpoint's own log: it answered with an error of its own.",
    "rejected": "See the endpoint's own log for why it refuses the message; often the secret is an old one.",
    "internal": "Give the operator the message's id: the log says what broke here.",
    "endpoint_disabled": f"Set the endpoint's state to active, {_ONCE_FIXED}.",
}
_WAIT_IS_OVER: Final = "Have the endpoint take more messages at once: it went on asking us to wait."


def remedy_of(code: str) -> str:
    """What tells a person what to do; empty if nothing went wrong."""
    return REMEDIES.get(code, "")


def remedy_for(handover: Handover) -> str:
    """The same for one message, and whether it is tried again by itself."""
    code, state = handover.error, handover.state
    remedy = remedy_of(code)
    if not remedy or remedy.endswith(f"{_ONCE_FIXED}."):
        return remedy
    if state is not HandoverState.DEAD:
        return remedy if code == "rate_limited" else f"{remedy} It is tried again by itself."
    if code == "rate_limited":
        remedy = _WAIT_IS_OVER
    if handover.event_type is EventType.PING:
        return f"{remedy} Then test it again: a test message is tried once."
    return f"{remedy} Then replay the message: it was given up."


@attrs.frozen(kw_only=True)
class Told:
    """What one try came to: a status (0: none came), the code of what went wrong, and what was asked for."""

    status: int = 0
    error: str = ""
    retry_after: timedelta | None = None

    @property
    def is_delivered(self) -> bool:
        """Whether the endpoint has it."""
        return not self.error

    @property
    def is_gone(self) -> bool:
        """Whether the endpoint wants no more."""
        return self.error == GONE


def told_by(answer: HttpAnswer, now: datetime) -> Told:
    """What an answer means: 2xx is success, anything else is not."""
    status = answer.status
    if 200 <= status <= 299:
        return Told(status=status)
    if 300 <= status <= 399:
        return Told(status=status, error="redirected")
    if status == 410:
        return Told(status=status, error=GONE)
    asked = retry_after(answer.headers.get("retry-after", ""), now)
    if status == 429:
        return Told(status=status, error="rate_limited", retry_after=asked)
    error = "endpoint_failed" if status >= 500 else "rejected"
    return Told(status=status, error=error, retry_after=asked)


def told_by_failure(failure: HttpError) -> Told:
    """What no answer means."""
    match failure:
        case AddressRefusedError():
            return Told(error="address_refused")
        case NeverSentError():
            return Told(error="unreachable")
        case TimedOutError():
            return Told(error="timed_out")
        case _:
            return Told(error="no_answer")


def retry_after(value: str, now: datetime) -> timedelta | None:
    """How long to wait, from a Retry-After header in seconds or as a date; nonsense is none."""
    text = value.strip()
    if text.isascii() and text.isdecimal():
        return min(timedelta(seconds=int(text[:9])), LONGEST_ASKED)
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # a year or an hour of twenty digits overflows
        return None
    aware = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    return min(max(aware - now, timedelta()), LONGEST_ASKED)


def attempt_of(handover: Handover, told: Told, now: datetime) -> Attempt:
    """What becomes of a message after this try."""
    if told.is_delivered:
        return Attempt(handover=handover, state=HandoverState.DELIVERED, status=told.status)
    if told.is_gone or handover.tries >= MOST_TRIES:
        return Attempt(handover=handover, state=HandoverState.DEAD, status=told.status, error=told.error)
    scheduled = RETRIES[handover.tries - 1] * random.uniform(0.9, 1.1)  # noqa: S311 - spreads load
    wait = max(scheduled, told.retry_after or timedelta())
    return Attempt(
        handover=handover,
        state=HandoverState.PENDING,
        status=told.status,
        error=told.error,
        retry_at=now + wait,
    )


def health_after(endpoint: Endpoint, results: list[Told], now: datetime) -> Endpoint:
    """The endpoint after some tries. One success among them clears it; then only what it asked for holds."""
    if any(told.is_gone for told in results):
        return _disabled(endpoint, GONE, now)
    failures = [told for told in results if not told.is_delivered]
    asked = max((told.retry_after for told in failures if told.retry_after), default=None)
    held_until = None if asked is None else now + asked
    if len(failures) < len(results):
        return attrs.evolve(endpoint, failures=0, failing_since=None, held_until=held_until)
    if not failures:
        return endpoint
    since = endpoint.failing_since or now
    if now - since >= DISABLED_AFTER:
        return _disabled(endpoint, FAILING, now)
    count = endpoint.failures + len(failures)
    if count >= SUSPECT_AFTER:
        hold = min(FIRST_HOLD * (1 << min(count - SUSPECT_AFTER, 10)), LONGEST_HOLD)
        held_until = max(now + hold, held_until or now)
    return attrs.evolve(endpoint, failures=count, failing_since=since, held_until=held_until)


def _disabled(endpoint: Endpoint, reason: str, now: datetime) -> Endpoint:
    return attrs.evolve(
        endpoint, state=EndpointState.DISABLED, reason=reason, held_until=None, updated_at=now
    )


def enabled(endpoint: Endpoint) -> Endpoint:
    """The endpoint as if nothing had ever gone wrong with it."""
    return attrs.evolve(
        endpoint,
        state=EndpointState.ACTIVE,
        reason="",
        failures=0,
        failing_since=None,
        held_until=None,
    )
