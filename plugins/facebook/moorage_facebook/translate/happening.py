"""One kept change, and the few things that every translator asks of it. All of it is total."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Final

import attrs

from moorage_facebook.graph.values import (
    UnreadableError,
    canonical,
    integer,
    items,
    moment,
    node_id,
    record,
    text,
)
from moorage_ports.events import Attachment, AttachmentType, ChannelNotice, Event, Person, Severity

REPLY_WINDOW: Final = timedelta(hours=24)
"""How long a business may answer freely after a person's message, on all three surfaces.

https://developers.facebook.com/docs/messenger-platform/policy/policy-overview
"""
_MOMENT: Final = timedelta(microseconds=1)
_LAST: Final = datetime(9000, 1, 1, tzinfo=UTC)  # later is nonsense, and cannot be counted on from
_MILLISECONDS: Final = 10**11  # as seconds this would be the year 5138: larger numbers are milliseconds

_NO_ID = re.compile(r"[\x00-\x1f\x7f]")
_MOST_ID: Final = 512
_MOST_NAME: Final = 300
_MOST_ADDRESS: Final = 4_096
_MOST_DETAILS: Final = 40
_MOST_DETAIL: Final = 1_000


@attrs.define(slots=False)
class Happening:
    """A change with the entry it stood in. `source` is the list that held it, `value` its inner object."""

    topic: str
    source: str
    entry: Mapping[str, object]
    change: Mapping[str, object]
    received_at: datetime

    @cached_property
    def value(self) -> Mapping[str, object]:
        """The `value` of a change; empty where there is none."""
        return record(self.change.get("value"))

    @cached_property
    def field(self) -> str:
        """The field that a change is of; empty for messages."""
        return text(self.change.get("field"))

    @cached_property
    def verb(self) -> str:
        """What was done: `add`, `edited`, `remove`, or Meta's own word for the rest."""
        verb = text(self.value.get("verb")) or text(self.change.get("verb"))
        return VERBS.get(verb, verb)

    @cached_property
    def channel(self) -> str:
        """The Page, account or number that it happened on; "0" for the dashboard's test button."""
        number = loose_id(record(self.value.get("metadata")).get("phone_number_id"))
        return number or loose_id(self.entry.get("id")) or node_id(self.value.get("page_id")) or "0"

    @cached_property
    def sent_at(self) -> datetime:
        """When Meta sent it; when it was received, where that is not said."""
        return when(self.entry.get("time")) or self.received_at

    @cached_property
    def at(self) -> datetime:
        """When it happened, by its own word."""
        for name in ("created_time", "timestamp"):
            told = when(self.value.get(name)) or when(self.change.get(name))
            if told is not None:
                return told
        return self.sent_at

    @cached_property
    def changed_at(self) -> datetime:
        """When a thing was changed: some changes still bear the moment at which the thing was made."""
        return max(self.at, self.sent_at) if when(self.entry.get("time")) else self.at

    @cached_property
    def fingerprint(self) -> str:
        """What tells it from another of its kind, where it has no id of its own."""
        try:
            raw = canonical([self.topic, self.entry.get("id"), self.change])
        except UnreadableError:
            raw = repr((self.topic, self.at)).encode(errors="replace")
        return hashlib.blake2b(raw, digest_size=12).hexdigest()


VERBS: Final[Mapping[str, str]] = {
    "": "add",
    "edit": "edited",
    "update": "edited",
    "delete": "remove",
    "deleted": "remove",
}
"""Meta has several words for one thing; the table of kinds knows the one on the right."""


def after(at: datetime) -> datetime:
    """Right after `at`: Meta's moments are seconds, and what is changed was there before."""
    return at + _MOMENT


def when(value: object) -> datetime | None:
    """A point in time: Unix seconds or milliseconds, as number or text, or ISO 8601."""
    number = integer(value)
    if number is not None and number >= _MILLISECONDS:
        seconds = moment(number // 1000)
        found = seconds + timedelta(milliseconds=number % 1000) if seconds is not None else None
    else:
        found = moment(value)
    return found if found is not None and found < _LAST else None


def loose_id(value: object) -> str:
    """An id of any alphabet (message ids are base64); empty if there is none, or too much of it."""
    found = text(value)
    return found if 0 < len(found) <= _MOST_ID and found != "0" and not _NO_ID.search(found) else ""


def name_of(value: object) -> str:
    """What somebody is called, no longer than a name."""
    return text(value)[:_MOST_NAME]


def address(value: object) -> str:
    """A web address; whatever else stands in its place would be a link to click on."""
    found = text(value)
    return found if found.startswith(("https://", "http://")) and len(found) <= _MOST_ADDRESS else ""


def first_text(told: Mapping[str, object], *names: str) -> str:
    """The first of these fields that says something."""
    return next(filter(None, (text(told.get(name)) for name in names)), "")


def first_id(told: Mapping[str, object], *names: str) -> str:
    """The first of these fields that is an id."""
    return next(filter(None, (loose_id(told.get(name)) for name in names)), "")


def person_of(value: object, realm: str) -> Person | None:
    """`{id, name, username}` as a person; `None` without an id."""
    told = record(value)
    found = loose_id(told.get("id"))
    if not found:
        return None
    return Person(
        external_id=found, realm=realm, name=name_of(told.get("name")), handle=name_of(told.get("username"))
    )


def attached(kind: AttachmentType, url: object, *, external_id: str = "") -> Attachment:
    """One attachment by its address."""
    return Attachment(type=kind, url=address(url), external_id=external_id)


def said(**details: str) -> dict[str, str]:
    """The details that say something."""
    return {name: words[:_MOST_DETAIL] for name, words in details.items() if words}


def flat(value: object) -> dict[str, str]:
    """What an object says in words and numbers, one level deep; `a.b` for what stands in an inner object."""
    details: dict[str, str] = {}
    for name, part in _leaves(record(value)):
        words = text(part) or ", ".join(filter(None, map(text, items(part))))
        if words and len(details) < _MOST_DETAILS:
            details[name[:_MOST_NAME]] = words[:_MOST_DETAIL]
    return details


def _leaves(told: Mapping[str, object]) -> Iterator[tuple[str, object]]:
    for name, part in told.items():
        inner = record(part)
        yield from ((f"{name}.{key}", item) for key, item in inner.items())
        if not inner:
            yield name, part


def notice(
    happening: Happening,
    kind: str,
    *,
    severity: Severity = Severity.INFO,
    told: str = "",
    details: Mapping[str, str] | None = None,
) -> ChannelNotice:
    """Something that the channel's owner is told."""
    return ChannelNotice(
        channel_external_id=happening.channel,
        kind=kind[:_MOST_NAME],
        notice_external_id=happening.fingerprint,
        at=happening.at,
        severity=severity,
        text=told,
        details=flat(happening.value) if details is None else details,
    )


Events = tuple[Event, ...]
"""What a translator answers; nothing at all where a change says too little."""
