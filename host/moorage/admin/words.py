"""Words for people: how long ago, how many, what a code means, how a status looks."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

import attrs

from moorage_ports.errors import MoorageError, VendorError
from moorage_ports.events import DeliveryState
from moorage_ports.integrations import IntegrationStatus
from moorage_ports.operations import PublicationStatus, Step

_MINUTE, _HOUR, _DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def exact(at: datetime) -> str:
    """A moment in full, in UTC; the page's script rewrites it for the viewer's own zone."""
    return f"{at.astimezone(UTC):%a %d %b %Y, %H:%M:%S} UTC"


def relative(at: datetime, now: datetime) -> str:
    """A moment as people say it: "4 min ago", "in 3 days"; the date once that says more."""
    away = abs(at - now)
    if away < _MINUTE:
        return "just now"
    if away < _HOUR:
        amount = f"{away // _MINUTE} min"
    elif away < _DAY:
        amount = f"{away // _HOUR} h"
    elif away < 14 * _DAY:
        amount = count(away // _DAY, "day")
    else:
        return f"{at.astimezone(UTC):%d %b %Y}".lstrip("0")
    return f"in {amount}" if at > now else f"{amount} ago"


def count(number: int, one: str, many: str = "") -> str:
    """A number with its noun."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def shortened(value: str) -> str:
    """An e-mail address or a phone number in a list: enough to recognise, not enough to copy (BAR U6)."""
    name, at, domain = value.rpartition("@")
    if at:
        return f"{name[:1]}•••@{domain}"
    return f"{value[:4]} ••• {value[-2:]}" if len(value) > 8 else value and "•••"


def sentence(text: str) -> str:
    """`text` as a sentence of its own: a capital first, a full stop last."""
    text = text.strip()
    if not text:
        return ""
    return text[:1].upper() + text[1:] + ("" if text[-1] in ".!?…" else ".")


# What went wrong -----------------------------------------------------------------------------

TITLES: Final[Mapping[str, str]] = {
    "access_denied": "The permission was not given",
    "conflict": "Something else was quicker",
    "declined": "The permission was not given",
    "forbidden": "That is not yours to do",
    "idempotency_mismatch": "This form was sent before, with something else in it",
    "invalid_code": "The vendor did not take the sign-in",
    "invalid_request": "Something in the form does not fit",
    "invalid_state": "That link was used already, or has run out",
    "missing_scope": "A permission is missing",
    "not_connected": "Not connected yet",
    "not_found": "There is nothing here",
    "not_published": "It never appeared",
    "outcome_unknown": "Nobody knows yet whether it happened",
    "rate_limited": "Too much at once",
    "reconnect_required": "The connection has ended",
    "return_url_not_allowed": "The way back is not allowed",
    "unavailable": "Out of reach just now",
    "unsupported": "This vendor cannot do that",
    "vendor_error": "The vendor answered with an error",
    "vendor_rejected": "The vendor said no",
}

_REMEDIES: Final[Mapping[str, str]] = {
    "access_denied": "Connect again and allow what is asked for; which channels to share is up to you.",
    "declined": "Connect again and allow what is asked for; which channels to share is up to you.",
    "invalid_code": "Connect again; the code from last time was used, or has run out.",
    "reconnect_required": "Connect again.",
    "not_published": "We looked for a quarter of an hour and it is not there: it is safe to write it again.",
    "missing_scope": "Connect again and leave every permission switched on.",
}


@attrs.frozen(kw_only=True)
class Trouble:
    """Something that did not work, as a page tells it: what, why, and the one thing to do."""

    title: str
    detail: str = ""
    remedy: str = ""
    code: str = ""
    trace_id: str = ""
    fields: Mapping[str, str] = attrs.field(factory=dict)


def trouble(error: MoorageError) -> Trouble:
    """An error in words."""
    trace_id = error.trace_id if isinstance(error, VendorError) else ""
    return Trouble(
        title=TITLES.get(error.code, "That did not work"),
        detail=sentence(str(error)),
        remedy=error.remedy,
        code=error.code,
        trace_id=trace_id,
        fields=getattr(error, "fields", {}),
    )


def trouble_from_code(code: str, title: str = "") -> Trouble:
    """The same from a code alone; one that we do not know says nothing of itself (it came in a URL)."""
    known = code if code in TITLES else ""
    return Trouble(
        title=title or TITLES.get(code, "That did not work"),
        remedy=_REMEDIES.get(code) or _default_remedies().get(code, "Try again."),
        code=known,
    )


def _default_remedies() -> dict[str, str]:
    return {kind.code: kind.default_remedy for kind in _kinds(MoorageError) if kind.default_remedy}


def _kinds(kind: type[MoorageError]) -> Iterator[type[MoorageError]]:
    for child in kind.__subclasses__():
        yield from _kinds(child)
        yield child  # after its own children: of two with one code the general one's words stay


_STEPS: Final[Mapping[tuple[str, str], str]] = {
    ("prepare", "started"): "Begun",
    ("prepare", "interrupted"): "The host stopped before anything was sent",
    ("prepare", "timed_out"): "The vendor took too long to take it in; nothing was published",
    ("publish", "started"): "Sent",
    ("publish", "published"): "Published",
    ("publish", "draft"): "Kept there as a draft",
    ("publish", "scheduled"): "Kept there until its time comes",
    ("publish", "timed_out"): "No answer came back in time",
    ("publish", "no_answer"): "The connection broke before an answer came",
    ("publish", "broke"): "Something broke on the way",
    ("publish", "interrupted"): "The host stopped before an answer came",
    ("look", "published"): "Found on the channel",
    ("look", "scheduled"): "Found among what waits there",
    ("look", "not_there_yet"): "Looked for it: not there yet",
    ("look", "not_published"): "Looked for it a last time: it is not there",
    ("check", "published"): "Its time came, and it is out",
    ("check", "not_there_yet"): "Its time came, and it is not out yet",
    ("check", "withdrawn"): "Somebody took it down at the vendor",
}


def step_words(step: Step) -> str:
    """One thing that was done for a publication; an outcome may also be an error's code."""
    outcome = TITLES.get(step.outcome) or step.outcome.replace("_", " ").capitalize()
    return _STEPS.get((step.name, step.outcome), outcome)


# What people did -----------------------------------------------------------------------------

_DEEDS: Final[Mapping[str, str]] = {
    "comment": "Commented",
    "reaction": "Reacted",
    "share": "Shared a post",
    "mention": "Named the channel",
    "referral": "Came by an ad or a link",
    "opt_in": "Allowed messages",
    "opt_out": "Forbade messages",
    "account_linked": "Linked an account",
    "account_unlinked": "Unlinked an account",
    "purchase": "Bought something",
    "call": "Called",
}


def deed(kind: str) -> str:
    """What a kind of activity is, as a sentence begins."""
    return _DEEDS.get(kind) or kind.replace("_", " ").capitalize()


# How a status looks --------------------------------------------------------------------------


@attrs.frozen
class Badge:
    """A status in a word and a tone (`good`, `wait`, `bad`, `calm`)."""

    text: str
    tone: str


PUBLICATIONS: Final[Mapping[PublicationStatus, Badge]] = {
    PublicationStatus.DRAFT: Badge("Draft", "calm"),
    PublicationStatus.SCHEDULED: Badge("Scheduled", "calm"),
    PublicationStatus.PENDING: Badge("Waiting", "wait"),
    PublicationStatus.PUBLISHING: Badge("Publishing", "wait"),
    PublicationStatus.PUBLISHED: Badge("Published", "good"),
    PublicationStatus.FAILED: Badge("Failed", "bad"),
    PublicationStatus.UNCONFIRMED: Badge("Unconfirmed", "wait"),
    PublicationStatus.WITHDRAWN: Badge("Withdrawn", "calm"),
}

CONVERSATIONS: Final[Mapping[str, Badge]] = {
    "open": Badge("Open", "accent"),
    "pending": Badge("Waiting", "wait"),
    "snoozed": Badge("Snoozed", "calm"),
    "closed": Badge("Closed", "calm"),
}

DELIVERIES: Final[Mapping[DeliveryState, Badge]] = {
    DeliveryState.PENDING: Badge("On its way", "wait"),
    DeliveryState.UNKNOWN: Badge("Not known yet", "wait"),
    DeliveryState.SENT: Badge("Sent", "calm"),
    DeliveryState.FAILED: Badge("Not sent", "bad"),
    DeliveryState.DELIVERED: Badge("Delivered", "calm"),
    DeliveryState.READ: Badge("Read", "good"),
}

INTEGRATIONS: Final[Mapping[IntegrationStatus, Badge]] = {
    IntegrationStatus.ACTIVE: Badge("Connected", "good"),
    IntegrationStatus.PENDING: Badge("Not finished", "wait"),
    IntegrationStatus.EXPIRED: Badge("Reconnect", "bad"),
    IntegrationStatus.INACTIVE: Badge("Switched off", "calm"),
}
NOT_CONNECTED: Final = Badge("Not connected", "calm")
