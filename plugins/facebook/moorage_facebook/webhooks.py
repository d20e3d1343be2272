"""Meta's webhooks: the handshake, the signature, and how a delivery comes apart.

https://developers.facebook.com/docs/graph-api/webhooks/getting-started
"""

import hashlib
import hmac
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from moorage_facebook.change_keys import ChangeContext, change_from
from moorage_facebook.graph.values import (
    UnreadableError,
    decode,
    items,
    record,
    text,
)
from moorage_facebook.translate.happening import Happening
from moorage_facebook.translate.table import row_of
from moorage_ports.errors import MalformedError, SignatureError
from moorage_ports.events import Event, Unmapped
from moorage_ports.lead_source import Lead
from moorage_ports.secret import Secret
from moorage_ports.webhooks import Change, Delivery, VendorApp

SIGNATURE_HEADER: Final = "x-hub-signature-256"
_CHALLENGE = re.compile(r"[0-9]{1,20}")
_NO_SECRET = b"compared against so that an unknown app costs the same time"

# Lists inside a WhatsApp change whose items happened one by one.
_HAPPENINGS: Final = (
    *("messages", "statuses", "message_echoes", "calls", "groups"),
    *("user_preferences", "user_id_update"),
)


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
            changes = tuple(
                change_from(context, happening)
                for context, happened in _contexts(decode(body))
                for happening in _one_by_one(context, happened)
            )
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
        happening, source = happening_of(kept, received_at)
        row = row_of(happening, source)
        events = row.translate(happening) if row is not None else ()
        return events or (Unmapped(kind=text(kept.get("kind")) or "unknown", raw=kept),)

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


def _contexts(delivery: object) -> Iterator[tuple[ChangeContext, object]]:
    """Every change of every entry; also of a delivery that stands in a list, as Meta's own samples do."""
    for envelope in items(delivery) or [delivery]:
        topic = text(record(envelope).get("object"))
        entry = record(envelope).get("entry")
        for part in _listed(entry):
            yield from _changes_of(topic, part)


def _changes_of(topic: str, entry: object) -> Iterator[tuple[ChangeContext, object]]:
    if not isinstance(entry, dict):
        yield ChangeContext(topic=topic, entry={}, source="entry"), entry
        return
    head = {name: entry[name] for name in ("id", "time", "uid") if name in entry}
    found = False
    for source in ("changes", "messaging", "standby"):
        for change in _listed(entry.get(source)):
            found = True
            yield ChangeContext(topic=topic, entry=head, source=source), change
    for field in items(entry.get("changed_fields")):
        # The app is subscribed without values: only the names of what changed arrive.
        found = True
        yield ChangeContext(topic=topic, entry=head, source="changed_fields"), {"field": field}
    if not found:
        yield ChangeContext(topic=topic, entry=head, source="entry"), dict(entry)


def _listed(value: object) -> list[object]:
    """A list as it is, nothing as an empty one, a thing that should have been in a list as a list of it."""
    if isinstance(value, list):
        return value
    return [] if value is None else [value]


def _one_by_one(context: ChangeContext, change: object) -> Iterator[object]:
    """WhatsApp puts several messages or statuses into one change, and may mix them anew on the next try.

    Each becomes a change of its own, with the contacts and metadata of the whole.
    """
    value = record(record(change).get("value"))
    happenings = [(name, item) for name in _HAPPENINGS for item in items(value.get(name))]
    if context.source != "changes" or len(happenings) < 2:
        yield change
        return
    shared = {name: part for name, part in value.items() if name not in _HAPPENINGS}
    for name, item in happenings:
        yield {**record(change), "value": {**shared, name: [item]}}


def happening_of(kept: Mapping[str, object], received_at: datetime) -> tuple[Happening, str]:
    """What `split` kept, and which list of the entry it stood in.

    The dashboard's test button sends messages among the changes, with the message as the value.
    """
    topic, source = text(kept.get("object")), text(kept.get("source"))
    change = record(kept.get("change"))
    value = record(change.get("value"))
    if source == "changes" and topic in {"page", "instagram"} and "sender" in value and "recipient" in value:
        change, source = value, "messaging"
    return Happening(topic, source, record(kept.get("entry")), change, received_at), source


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
