"""Meta's webhooks: the handshake, the signature, and how a delivery comes apart.

https://developers.facebook.com/docs/graph-api/webhooks/getting-started
"""

import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from moorage_facebook.change_keys import LISTS, ChangeContext, Source, change_from, has_lists, talk_in
from moorage_facebook.graph.values import (
    UnreadableError,
    decode,
    encode,
    items,
    record,
    records,
    text,
)
from moorage_facebook.history_pieces import pieces_of
from moorage_facebook.translate.happening import Happening
from moorage_facebook.translate.table import row_of
from moorage_ports.errors import MalformedError, SignatureError
from moorage_ports.events import Event, Unmapped
from moorage_ports.lead_source import Lead
from moorage_ports.secret import Secret
from moorage_ports.webhooks import MOST_CHANGES, Change, Delivery, TooManyChangesError, VendorApp

SIGNATURE_HEADER: Final = "x-hub-signature-256"
_CHALLENGE = re.compile(r"[0-9]{1,20}")
_NO_SECRET = b"compared against so that an unknown app costs the same time"

# What every part of a delivery takes along must stay small, or a large one would grow with the square.
_MOST_HEAD: Final = 255
_MOST_SHARED: Final = 2_048
_NUMBER_NAMES: Final = ("phone_number_id", "display_phone_number")

_HEAD: Final = ("id", "time", "uid")
_SOURCES: Final[tuple[Source, ...]] = ("changes", "messaging", "standby")


class GraphWebhooks:
    """A `WebhookSource` for everything that Meta's apps are sent: Pages, Instagram, WhatsApp, users."""

    def answer_handshake(self, query: Mapping[str, str], apps: Sequence[VendorApp]) -> str:
        """The challenge, if the verify token is one of ours and the challenge is nothing but digits."""
        given = _bytes(query.get("hub.verify_token", ""))
        matches = [_same(given, app.verify_token) for app in apps]
        challenge = query.get("hub.challenge", "")
        if not any(matches) or query.get("hub.mode") != "subscribe" or not _CHALLENGE.fullmatch(challenge):
            msg = "this handshake does not carry our verify token and a plain number"
            raise SignatureError(msg)
        return challenge

    def verify(self, delivery: Delivery, apps: Sequence[VendorApp]) -> VendorApp:
        """The app that signed these bytes. SHA-1 (`X-Hub-Signature`) is not looked at."""
        values = delivery.header_values(SIGNATURE_HEADER)
        given = _bytes(values[0]) if len(values) == 1 else b""
        signers: list[VendorApp] = []
        tried = 0
        for app in apps:
            for secret in app.secrets:
                tried += 1
                is_match = hmac.compare_digest(_signature(_key(secret), delivery.body), given)
                if is_match and secret:
                    signers.append(app)
        if not tried:
            _signature(_NO_SECRET, delivery.body)
        if not signers:
            msg = "nobody who holds an app secret signed these bytes"
            raise SignatureError(msg)
        return signers[0]

    def split(self, body: bytes) -> tuple[Change, ...]:
        """One `Change` per thing that happened, each with what is needed to read it alone."""
        try:
            changes = _changes_in(decode(body))
        except UnreadableError as unreadable:
            msg = f"this delivery {unreadable}"
            raise MalformedError(msg) from unreadable
        if not changes:
            msg = "this delivery has no entries"
            raise MalformedError(msg)
        return changes

    def events(self, change: bytes, received_at: datetime) -> tuple[Event, ...]:
        """What one change means: its row of the table says by which translator, see `translate.table`."""
        try:
            kept = record(decode(change))
        except UnreadableError:
            return (Unmapped(kind="unreadable", raw={}),)
        happening = happening_of(kept, received_at)
        row = row_of(happening)
        events = row.translate(happening) if row is not None else None
        if events is not None and row is not None and not row.is_guess:
            return events
        return (*(events or ()), Unmapped(kind=text(kept.get("kind")) or "unknown", raw=kept))

    def lead_change(self, lead: Lead) -> Change:
        """`leadgen`, as it would have come: ids and a time, no answers."""
        page_id = lead.channel_external_id
        at = int(lead.submitted_at.timestamp()) if lead.submitted_at else 0
        value = {
            "leadgen_id": lead.external_id,
            "page_id": page_id,
            "form_id": lead.form_external_id,
            "ad_id": lead.ad_external_id,
            "adgroup_id": lead.ad_set_external_id,
            "created_time": at,
        }
        context = ChangeContext(topic="page", entry={"id": page_id, "time": at}, source="changes")
        return change_from(context, {"field": "leadgen", "value": {k: v for k, v in value.items() if v}})


def _changes_in(delivery: object) -> tuple[Change, ...]:
    """Every change; counted as they are made, because a few bytes are enough for one."""
    changes: list[Change] = []
    for context, happened in _contexts(delivery):
        for happening in _one_by_one(context, happened):
            if len(changes) == MOST_CHANGES:
                msg = "this delivery has more changes than Meta sends"
                raise TooManyChangesError(msg)
            changes.append(change_from(context, happening))
    return tuple(changes)


def _contexts(delivery: object) -> Iterator[tuple[ChangeContext, object]]:
    """Every change of every entry; also of a delivery that stands in a list, as Meta's own samples do."""
    for envelope in items(delivery) or [delivery]:
        topic = text(record(envelope).get("object"))[:_MOST_HEAD]
        entry = record(envelope).get("entry")
        for part in _listed(entry):
            yield from _changes_of(topic, part)


def _changes_of(topic: str, entry: object) -> Iterator[tuple[ChangeContext, object]]:
    if not isinstance(entry, dict):
        yield ChangeContext(topic=topic, entry={}, source="entry"), entry
        return
    head = {name: entry[name] for name in _HEAD if name in entry and _is_short(entry[name])}
    told: list[tuple[Source, object]] = [
        (source, change) for source in _SOURCES if source in entry for change in _listed(entry[source])
    ]
    # The app is subscribed without values: only the names of what changed arrive.
    told += [("changed_fields", {"field": field}) for field in _listed(entry.get("changed_fields"))]
    if not told and "field" in entry:
        # So Meta shows Instagram's comments: the entry itself is the change.
        told = [("changes", {name: entry[name] for name in ("field", "value", "verb") if name in entry})]
    for source, change in told or [("entry", dict(entry))]:
        yield ChangeContext(topic=topic, entry=head, source=source), change


def _listed(value: object) -> list[object]:
    """A list as it is, nothing as an empty one, a thing that should have been in a list as a list of it."""
    if isinstance(value, list):
        return value
    return [] if value is None else [value]


def _one_by_one(context: ChangeContext, change: object) -> Iterator[object]:
    """WhatsApp puts several messages or statuses into one change, and may mix them anew on the next try.

    Each becomes a change of its own, with its contacts and the number that it is about. What the whole says
    besides goes with the first, and with the others if it is small.
    """
    value = record(record(change).get("value"))
    if context.source != "changes" or not has_lists(value):
        yield change
        return
    happenings = [(name, item) for name in LISTS for item in _apart(name, value)]
    if len(happenings) < 2:
        yield change
        return
    whole = {name: part for name, part in value.items() if name not in LISTS}
    rest = {name: part for name, part in whole.items() if name != "contacts"}
    shared = rest if _is_small(rest) else _whose(rest)
    contacts = list(filter(_is_small, records(whole.get("contacts"))))
    by_id = {text(one.get(name)): one for one in contacts for name in ("wa_id", "user_id")}
    for number, (name, item) in enumerate(happenings):
        if number == 0:
            yield {**record(change), "value": {**whole, name: [item]}}
            continue
        theirs = contacts if len(contacts) == 1 else _named_in(item, by_id)
        field = text(record(change).get("field"))[:_MOST_HEAD]
        yield {"field": field, "value": {**shared, "contacts": theirs, name: [item]}}


def _apart(name: str, value: Mapping[str, object]) -> Iterator[object]:
    for item in items(value.get(name)):
        yield from pieces_of(item) if name == "history" else [item]


def _whose(value: Mapping[str, object]) -> Mapping[str, object]:
    """By what a part is told to belong to a number: without, it would be nobody's, however small it is."""
    told = record(value.get("metadata"))
    metadata = {name: told[name] for name in _NUMBER_NAMES if _is_short(told.get(name))}
    product = value.get("messaging_product")
    return (
        {"messaging_product": product, "metadata": metadata} if _is_short(product) else {"metadata": metadata}
    )


def _is_short(word: object) -> bool:
    return 0 < len(text(word)) <= _MOST_HEAD


def _is_small(part: Mapping[str, object]) -> bool:
    return len(encode(part)) <= _MOST_SHARED


def _named_in(happening: object, by_id: Mapping[str, Mapping[str, object]]) -> list[object]:
    told = record(happening)
    threads = (thread.get("id") for thread in records(told.get("threads")))
    names = filter(None, map(text, (*told.values(), *threads)))
    return [*{id(by_id[name]): by_id[name] for name in names if name in by_id}.values()]


def happening_of(kept: Mapping[str, object], received_at: datetime) -> Happening:
    """What `split` kept, with messages that stand among the changes put where they belong."""
    topic, source, change = text(kept.get("object")), text(kept.get("source")), record(kept.get("change"))
    talk = talk_in(topic, source, change)
    if talk and source == "changes":
        source = "standby" if change.get("field") == "standby" else "messaging"
    return Happening(topic, source, record(kept.get("entry")), talk or change, received_at)


def _signature(key: bytes, body: bytes) -> bytes:
    return b"sha256=" + hmac.digest(key, body, "sha256").hex().encode("ascii")


def _key(secret: Secret) -> bytes:
    return _bytes(secret.reveal())


def _same(given: bytes, token: Secret) -> bool:
    """Constant time; an empty token of ours matches nothing."""
    return hmac.compare_digest(hashlib.sha256(given).digest(), hashlib.sha256(_key(token)).digest()) and bool(
        token
    )


def _bytes(value: str) -> bytes:
    """Any string as bytes: headers and queries hold what strangers put there."""
    return value.encode("utf-8", "surrogatepass")
