"""One kept change, and the few things that every translator asks of it.

All of it is total: what is not there, or is not what it should be, is empty. All of it is bounded, too: what
comes out is never longer than somebody could mean, however long what came in.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from itertools import islice
from typing import Final, TypeAlias

import attrs

from moorage_facebook.change_keys import happening_in
from moorage_facebook.graph.values import (
    UnreadableError,
    canonical,
    integer,
    items,
    moment,
    node_id,
    record,
    text,
    truth,
)
from moorage_ports.events import Attachment, AttachmentType, ChannelNotice, Event, Person, Severity

REPLY_WINDOW: Final = timedelta(hours=24)
"""How long a business may answer freely after a person's message, on all three surfaces.

https://developers.facebook.com/docs/messenger-platform/policy/policy-overview
"""
MOST_ATTACHMENTS: Final = 50
_MOMENT: Final = timedelta(microseconds=1)
# What is said to be before or after is nonsense, and nobody could count on from there.
_FIRST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST: Final = datetime(9000, 1, 1, tzinfo=UTC)
_MOST_DIGITS: Final = 18
_MILLISECONDS: Final = 10**11  # as seconds this would be the year 5138: larger numbers are milliseconds

_NO_ID = re.compile(r"[\x00-\x1f\x7f]")
_MOST_ID: Final = 512
_MOST_NAME: Final = 300
_MOST_TEXT: Final = 65_536
_MOST_ADDRESS: Final = 4_096
_MOST_DETAILS: Final = 40
_MOST_LISTED: Final = 20
_MOST_DETAIL: Final = 1_000


Events: TypeAlias = tuple[Event, ...] | None
"""What a translator answers. `None`: the change says too little. Empty: it is understood, nothing follows."""

VERBS: Final[Mapping[str, str]] = {
    "": "add",
    "added": "add",
    "edit": "edited",
    "update": "edited",
    "updated": "edited",
    "delete": "remove",
    "deleted": "remove",
    "removed": "remove",
}
"""Meta has several words for one thing; the table of kinds knows the one on the right."""

# The table's fields for what is no change of a field.
_PLACES: Final = frozenset({"messaging", "standby", "changed_fields", "entry"})


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
    def told(self) -> Mapping[str, object]:
        """The one message, status, call … of WhatsApp's lists, which `split` took apart; else empty."""
        return self._listed[1]

    @cached_property
    def list_name(self) -> str:
        """Which of WhatsApp's lists it stood in; empty where there is none."""
        return self._listed[0]

    @cached_property
    def _listed(self) -> tuple[str, Mapping[str, object]]:
        return happening_in(self.value)

    # The key of its row in the table

    @cached_property
    def field(self) -> str:
        """The field that changed; for messages and the like, the list of the entry that they stand in."""
        return self.source if self.source in _PLACES else text(self.change.get("field"))

    @cached_property
    def item(self) -> str:
        """What of it: the wall's `item`, or the type of a WhatsApp message, a status or errors among them."""
        if self.list_name == "statuses":
            return "status"
        if self.list_name == "history" and not items(self.told.get("threads")) and "errors" in self.told:
            return "errors"
        if not self.told and "errors" in self.value:
            return "errors"
        return text(self.told.get("type")) or text(self.value.get("item"))

    @cached_property
    def verb(self) -> str:
        """What was done: `add`, `edited`, `remove`, or Meta's own word for the rest; a status is one, too."""
        if self.list_name == "statuses":
            return text(self.told.get("status"))
        verb = text(self.value.get("verb")) or text(self.change.get("verb"))
        if self.list_name == "state_sync":
            verb = text(self.told.get("action"))
        return VERBS.get(verb.lower(), verb.lower())

    # Where and when

    @cached_property
    def channel(self) -> str:
        """The Page, account or number that it happened on; "0" if the dashboard's test button names none."""
        number = loose_id(record(self.value.get("metadata")).get("phone_number_id"))
        named = number or loose_id(self.entry.get("id")) or node_id(self.value.get("page_id"))
        if named or self.field not in {"messaging", "standby"}:
            return named or "0"
        is_echo = truth(record(self.change.get("message")).get("is_echo"))
        return loose_id(record(self.change.get("sender" if is_echo else "recipient")).get("id")) or "0"

    @cached_property
    def sent_at(self) -> datetime:
        """When Meta sent it; when it was received, where that is not said."""
        return when(self.entry.get("time")) or self.received_at

    @cached_property
    def at(self) -> datetime:
        """When it happened, by its own word."""
        for part in (self.told, self.value, self.change):
            for name in ("created_time", "timestamp"):
                at = when(part.get(name))
                if at is not None:
                    return at
        return self.sent_at

    @cached_property
    def changed_at(self) -> datetime:
        """When a thing was changed: some changes still bear the moment at which the thing was made."""
        return max(self.at, self.sent_at) if when(self.entry.get("time")) else self.at

    @cached_property
    def fingerprint(self) -> str:
        """What tells it from another of its kind, where it has no id of its own."""
        parts = (self.list_name, self.told) if self.told else self.change
        try:
            raw = canonical([self.topic, self.field, text(self.entry.get("id")), parts])
        except UnreadableError:
            raw = repr((self.topic, self.at)).encode(errors="replace")
        return hashlib.blake2b(raw, digest_size=12).hexdigest()


def after(at: datetime) -> datetime:
    """Right after `at`: Meta's moments are seconds, and what is changed was there before."""
    return at + _MOMENT


def when(value: object) -> datetime | None:
    """A point in time: Unix seconds or milliseconds, as number or text, or ISO 8601."""
    if isinstance(value, Decimal):
        value = int(value) if value.is_finite() and value.adjusted() < _MOST_DIGITS else None
    number = integer(value)
    if number is not None and number >= _MILLISECONDS:
        seconds = moment(number // 1000)
        found = seconds + timedelta(milliseconds=number % 1000) if seconds is not None else None
    else:
        found = moment(value)
    return found if found is not None and _FIRST <= found < _LAST else None


def loose_id(value: object) -> str:
    """An id of any alphabet (message ids are base64); empty if there is none, or too much of it."""
    found = text(value)
    return found if 0 < len(found) <= _MOST_ID and found != "0" and not _NO_ID.search(found) else ""


def name_of(value: object) -> str:
    """What somebody or something is called, no longer than a name."""
    return text(value)[:_MOST_NAME]


def prose(value: object) -> str:
    """What somebody wrote, no longer than anybody reads."""
    return text(value)[:_MOST_TEXT]


def address(value: object) -> str:
    """A web address; whatever else stands in its place would be a link to click on."""
    found = text(value)
    return found if found.startswith(("https://", "http://")) and len(found) <= _MOST_ADDRESS else ""


def first_text(told: Mapping[str, object], *names: str) -> str:
    """The first of these fields that says something."""
    return next(filter(None, (prose(told.get(name)) for name in names)), "")


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


def joined(values: Iterable[object], between: str = ", ") -> str:
    """What these say, those that say something, one after the other."""
    return between.join(filter(None, map(name_of, islice(values, _MOST_LISTED))))


def flat(value: object) -> dict[str, str]:
    """What an object says in words and numbers, one level deep; `a.b` for what stands in an inner object."""
    details: dict[str, str] = {}
    for name, part in _leaves(record(value)):
        listed = [one for item in items(part)[:_MOST_LISTED] for one in (record(item).values() or [item])]
        words = text(part) or joined(listed)
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
        text=told[:_MOST_DETAIL],
        details=flat(happening.value) if details is None else details,
    )
