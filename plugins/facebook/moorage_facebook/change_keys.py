"""What a webhook change is called, whose it is, and what makes it the same one when it comes twice."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final, Literal

import attrs

from moorage_facebook.graph.values import canonical, encode, node_id, record, records, text
from moorage_ports.webhooks import Change

Source = Literal["changes", "messaging", "standby", "changed_fields", "entry"]
"""Which list of the entry it stood in; `entry`: none, the entry itself is all there is."""

_NOT_IN_A_KIND = re.compile(r"[^A-Za-z0-9_-]+")
_MAX_KIND: Final = 100
_MAX_WORD: Final = 40

# What a messaging event carries besides these is what happened.
_MESSAGING_FRAME: Final = frozenset({"sender", "recipient", "timestamp", "prior_message", "hop_context"})

# Fields that date a happening itself. `entry.time` only says when Meta sent it, so a second delivery differs.
_OWN_TIMES: Final = ("created_time", "timestamp", "update_time", "time")


@attrs.frozen(kw_only=True)
class ChangeContext:
    """Where in a delivery a change stood.

    `topic` is the delivery's `object` (`page`, `instagram` …), `entry` the head of its entry: id, time, uid.
    """

    topic: str
    entry: Mapping[str, object]
    source: Source


def change_from(context: ChangeContext, happened: object) -> Change:
    """The `Change` to keep. Total over any JSON.

    Keys hold no text of people, and message ids only hashed (WhatsApp's contain the phone number).

    Raises:
        UnreadableError: It nests too deep to be written again.
    """
    change = record(happened)
    value = record(change.get("value"))
    kind = _kind(context, change, value)
    body = encode(
        {
            "kind": kind,
            "object": context.topic,
            "entry": context.entry,
            "source": context.source,
            "change": happened,
        }
    )
    return Change(
        kind=kind,
        owner_keys=_owner_keys(context, change, value),
        business_key=_business_key(context, happened, value),
        partition=_partition(context, change, value),
        body=body,
    )


def _kind(context: ChangeContext, change: Mapping[str, object], value: Mapping[str, object]) -> str:
    """Meta's own words, joined: `page.feed.comment.add`, `page.messaging.read`, `instagram.comments`."""
    if context.source in {"messaging", "standby"}:
        words = [context.topic, context.source, _happening(change)]
    elif context.source == "entry":
        words = [context.topic, "entry"]
    else:
        words = [context.topic, *(text(part) for part in (change.get("field"), value.get("item")))]
        words.append(text(value.get("verb")) or text(change.get("verb")))
        words += [name for name in ("statuses", "message_echoes") if value.get(name)]
    return ".".join(filter(None, map(_tidy, words)))[:_MAX_KIND] or "unknown"


# Meta has some two hundred words; on the way to the acknowledgement microseconds count.
@lru_cache(maxsize=512)
def _tidy(word: str) -> str:
    return _NOT_IN_A_KIND.sub("", word[:_MAX_WORD])


def _happening(event: Mapping[str, object]) -> str:
    """What a messaging event is about: its one key that is not part of the frame."""
    return next((name for name in event if name not in _MESSAGING_FRAME), "")


def _owner_keys(
    context: ChangeContext, change: Mapping[str, object], value: Mapping[str, object]
) -> tuple[str, ...]:
    """Ids of channels that this may belong to. The dashboard's test button sends an entry id of 0."""
    entry_id = node_id(context.entry.get("id"))
    candidates = [
        entry_id,
        node_id(value.get("page_id")),
        node_id(record(value.get("metadata")).get("phone_number_id")),
        node_id(record(value.get("waba_info")).get("waba_id")),
    ]
    if not entry_id and context.source in {"messaging", "standby"}:
        # An echo is about what the Page itself sent.
        is_echo = bool(record(change.get("message")).get("is_echo"))
        candidates.append(node_id(record(change.get("sender" if is_echo else "recipient")).get("id")))
    return tuple(dict.fromkeys(key for key in candidates if key))


def _business_key(context: ChangeContext, happened: object, value: Mapping[str, object]) -> str:
    """Names the happening: the same however often and in whatever company it is delivered."""
    change = record(happened)
    named = (
        _message_key(context, change)
        if context.source in {"messaging", "standby"}
        else _lead_key(change, value) or _whatsapp_key(value) or _comment_key(context, change, value)
    )
    return named or _content_key(context, happened, change, value)


def _lead_key(change: Mapping[str, object], value: Mapping[str, object]) -> str:
    lead_id = node_id(value.get("leadgen_id"))
    return ":".join(["leadgen", *_words(lead_id)]) if lead_id and change.get("field") == "leadgen" else ""


def _message_key(context: ChangeContext, event: Mapping[str, object]) -> str:
    """One message of one inbox; taking it back has the same id and is another happening."""
    message = record(event.get("message"))
    message_id = text(message.get("mid"))
    if not message_id:
        return ""
    suffix = ":deleted" if message.get("is_deleted") is True else ""
    return f"message:{_hash(text(context.entry.get('id')), message_id)}{suffix}"


def _whatsapp_key(value: Mapping[str, object]) -> str:
    for name in ("messages", "message_echoes"):
        happenings = records(value.get(name))
        if len(happenings) == 1 and text(happenings[0].get("id")):
            return f"message:{_hash(_phone_number(value), text(happenings[0].get('id')))}"
    statuses = records(value.get("statuses"))
    if len(statuses) != 1 or not text(statuses[0].get("id")):
        return ""
    status = statuses[0]
    named = [text(status.get(name)) for name in ("id", "status", "recipient_id")]
    return f"status:{_hash(_phone_number(value), *named)}"


def _comment_key(context: ChangeContext, change: Mapping[str, object], value: Mapping[str, object]) -> str:
    """A comment is added or removed once; it can be edited or hidden again and again, under the same time."""
    comment_id = node_id(value.get("comment_id"))
    field, verb = text(change.get("field")), text(value.get("verb")) or "add"
    if context.topic == "instagram" and field in {"comments", "live_comments"}:
        comment_id = node_id(value.get("id"))
    elif value.get("item") != "comment":
        return ""
    if not comment_id:
        return ""
    times = [text(value.get("created_time"))]
    if verb not in {"add", "remove"}:
        times.append(text(context.entry.get("time")))
    return ":".join(["comment", *_words(field, comment_id, verb, *times)])


def _content_key(
    context: ChangeContext, happened: object, change: Mapping[str, object], value: Mapping[str, object]
) -> str:
    """For everything without an id of its own: what it says, and when, where it does not say so itself."""
    is_dated = any(part.get(name) for part in (change, value) for name in _OWN_TIMES)
    parts = [context.topic, node_id(context.entry.get("id")), context.source, happened]
    if not is_dated:
        parts.append(context.entry.get("time"))
    return f"content:{hashlib.sha256(canonical(parts)).hexdigest()}"


def _partition(context: ChangeContext, change: Mapping[str, object], value: Mapping[str, object]) -> str:
    """What has to be applied in order: one conversation, one post, one lead."""
    lead_id = node_id(value.get("leadgen_id"))
    if lead_id:
        return ":".join(["lead", *_words(lead_id)])
    if context.source in {"messaging", "standby"}:
        people = sorted(text(record(change.get(side)).get("id")) for side in ("sender", "recipient"))
        return f"conversation:{_hash(text(context.entry.get('id')), *people)}"
    if value.get("messaging_product") == "whatsapp":
        return f"conversation:{_hash(_phone_number(value), _whatsapp_person(value))}"
    posts = (node_id(value.get(name)) for name in ("post_id", "parent_id", "media_id", "id"))
    post = next(filter(None, posts), "")
    media_id = node_id(record(value.get("media")).get("id"))
    words = _words(context.topic, text(context.entry.get("id")), media_id or post)
    return ":".join(["about", *words])


def _whatsapp_person(value: Mapping[str, object]) -> str:
    """Who is on the other side. A business-scoped user id may stand where the number was."""
    sides: Sequence[tuple[str, tuple[str, ...]]] = (
        ("messages", ("from", "from_user_id")),
        ("statuses", ("recipient_id", "recipient_user_id")),
        ("message_echoes", ("to", "to_user_id")),
        ("contacts", ("wa_id", "user_id")),
    )
    for name, fields in sides:
        for happening in records(value.get(name))[:1]:
            person = next((text(happening.get(field)) for field in fields if text(happening.get(field))), "")
            if person:
                return person
    return ""


def _phone_number(value: Mapping[str, object]) -> str:
    return text(record(value.get("metadata")).get("phone_number_id"))


def _words(*words: str) -> list[str]:
    """Words for a key: what is no plain word or id (a stranger's text, say) goes in hashed."""
    return [word if not word or (node_id(word) and len(word) <= _MAX_WORD) else _hash(word) for word in words]


def _hash(*parts: str) -> str:
    """Parts with their lengths, so that no two lists of them look alike."""
    joined = b"".join(len(raw).to_bytes(4, "big") + raw for raw in (part.encode() for part in parts))
    return hashlib.blake2b(joined, digest_size=16).hexdigest()
