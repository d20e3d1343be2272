"""What a webhook change is called, whose it is, and what makes it the same one when it comes twice."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final, Literal

import attrs

from moorage_facebook.graph.values import (
    NOTHING,
    canonical,
    encode,
    items,
    node_id,
    record,
    records,
    text,
    truth,
)
from moorage_ports.webhooks import Change

Source = Literal["changes", "messaging", "standby", "changed_fields", "entry"]
"""Which list of the entry it stood in; `entry`: none, the entry itself is all there is."""

_NOT_IN_A_KIND = re.compile(r"[^A-Za-z0-9_-]+")
_MAX_KIND: Final = 100
_MAX_WORD: Final = 40

# What a messaging event carries besides what happened.
_FRAME: Final = frozenset({"sender", "recipient", "timestamp", "prior_message", "hop_context"})

LISTS: Final = (
    *("messages", "message_echoes", "statuses", "calls", "groups"),
    *("user_preferences", "user_id_update", "history", "state_sync"),
)
"""Lists inside a WhatsApp change whose items happened one by one."""
_LIST_NAMES: Final = frozenset(LISTS)

# Fields that date a happening itself. `entry.time` only says when Meta sent it, so a second delivery differs.
_OWN_TIMES: Final = ("created_time", "timestamp", "update_time", "time")

# Fields of what happens once and is named by its ids; Instagram gives it no time of its own.
_ONCE: Final = frozenset({"mentions", "story_mentions", "story_insights"})

# Verbs of what happens once; whatever else is done to a thing may be done again.
_FIRST_VERBS: Final = frozenset({"", "add", "added", "remove", "removed", "delete", "deleted"})

# One message reaches one person once with each status; in a group that is each participant.
_STATUS_NAMES: Final = (
    *("id", "status", "type", "recipient_id", "recipient_user_id"),
    *("recipient_participant_id", "recipient_participant_user_id"),
)

_ABOUT_PERSONS: Final = frozenset({"user", "permissions"})
_MOST_TARGETS: Final = 100


@attrs.frozen(kw_only=True)
class ChangeContext:
    """Where in a delivery a change stood.

    `topic` is the delivery's `object` (`page`, `instagram` …), `entry` the head of its entry: id, time, uid.
    """

    topic: str
    entry: Mapping[str, object]
    source: Source


def has_lists(value: Mapping[str, object]) -> bool:
    """Whether any of WhatsApp's lists is there: of nearly all changes none is, and this is quickly told."""
    return not _LIST_NAMES.isdisjoint(value)


def happening_in(value: Mapping[str, object]) -> tuple[str, Mapping[str, object]]:
    """The name of the first of WhatsApp's lists that holds anything, and the first thing in it."""
    if not has_lists(value):
        return "", NOTHING
    found = ((name, records(value.get(name))[:1]) for name in LISTS if name in value)
    return next(((name, listed[0]) for name, listed in found if listed), ("", NOTHING))


def talk_in(topic: str, source: str, change: Mapping[str, object]) -> Mapping[str, object]:
    """The messaging event in a change. Test buttons, and Instagram's own login, put it into `value`."""
    if source in {"messaging", "standby"}:
        return change
    if source != "changes" or topic not in {"page", "instagram"}:
        return NOTHING
    value = record(change.get("value"))
    return value if "sender" in value or "recipient" in value else NOTHING


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
    """Meta's own words, joined: `page.feed.comment.add`, `page.messaging.read`, `….statuses.sent`."""
    if context.source in {"messaging", "standby"}:
        words = [context.topic, context.source, _happening(change)]
    elif context.source == "entry":
        words = [context.topic, "entry"]
    else:
        words = [context.topic, text(change.get("field")), text(value.get("item"))]
        words.append(text(value.get("verb")) or text(change.get("verb")))
        name, told = happening_in(value)
        if name:
            words += [name if name in {"statuses", "message_echoes"} else ""]
            words += [text(told.get("status" if name == "statuses" else "type"))]
    return ".".join(filter(None, map(_tidy, words)))[:_MAX_KIND] or "unknown"


# Meta has some two hundred words; on the way to the acknowledgement microseconds count.
@lru_cache(maxsize=512)
def _tidy(word: str) -> str:
    return _NOT_IN_A_KIND.sub("", word[:_MAX_WORD])


def _happening(event: Mapping[str, object]) -> str:
    """What a messaging event is about: its one key that is not part of the frame."""
    return next((name for name in event if name not in _FRAME), "")


def _owner_keys(
    context: ChangeContext, change: Mapping[str, object], value: Mapping[str, object]
) -> tuple[str, ...]:
    """Ids of channels that this may belong to. The dashboard's test button sends an entry id of 0.

    `user` and `permissions` stand under a person's id, which is no channel: what they say of that person is
    nobody's to keep. A permission that was given for some channels only belongs to those; taking the app
    away comes as the deauthorize callback, which finds every organisation by itself.
    """
    if context.topic in _ABOUT_PERSONS:
        targets = map(node_id, items(value.get("target_ids"))[:_MOST_TARGETS])
        return tuple(dict.fromkeys(filter(None, targets)))
    entry_id = node_id(context.entry.get("id"))
    candidates = [
        entry_id,
        node_id(value.get("page_id")),
        node_id(record(value.get("metadata")).get("phone_number_id")),
        node_id(record(value.get("waba_info")).get("waba_id")),
    ]
    if context.topic == "ad_account" and entry_id:
        # The account is `7` here and `act_7` wherever else Graph names it.
        candidates.append(entry_id.removeprefix("act_") if entry_id.startswith("act_") else f"act_{entry_id}")
    talk = talk_in(context.topic, context.source, change)
    if talk and not entry_id:
        # An echo is about what the Page itself sent.
        is_echo = truth(record(talk.get("message")).get("is_echo")) is True
        candidates.append(node_id(record(talk.get("sender" if is_echo else "recipient")).get("id")))
    return tuple(dict.fromkeys(key for key in candidates if key))


def _business_key(context: ChangeContext, happened: object, value: Mapping[str, object]) -> str:
    """Names the happening: the same however often and in whatever company it is delivered."""
    change = record(happened)
    talk = talk_in(context.topic, context.source, change)
    named = (
        _message_key(context, talk)
        if talk
        else _lead_key(change, value)
        or _whatsapp_key(change, value)
        or _listed_key(context, change, value)
        or _comment_key(context, change, value)
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
    suffix = ":deleted" if truth(message.get("is_deleted")) else ""
    return f"message:{_hash(text(context.entry.get('id')), message_id)}{suffix}"


def _whatsapp_key(change: Mapping[str, object], value: Mapping[str, object]) -> str:
    """One message, or one step of a message's way to one person.

    What came as `unsupported` may come again under its id as what it is, so the type is part of the name.
    What a history tells of may come as news as well, which is more.
    """
    prefix = "history" if change.get("field") == "history" else "message"
    for name in ("messages", "message_echoes"):
        happenings = records(value.get(name))
        if len(happenings) == 1 and text(happenings[0].get("id")):
            named = [text(happenings[0].get(part)) for part in ("id", "type")]
            return f"{prefix}:{_hash(_phone_number(value), *named)}"
    statuses = records(value.get("statuses"))
    if len(statuses) != 1 or not text(statuses[0].get("id")):
        return ""
    return f"status:{_hash(_phone_number(value), *(text(statuses[0].get(part)) for part in _STATUS_NAMES))}"


def _listed_key(context: ChangeContext, change: Mapping[str, object], value: Mapping[str, object]) -> str:
    """A call, a preference, a group: what it says of itself. Contacts of others come along, or do not."""
    name, told = happening_in(value)
    if not told:
        return ""
    channel = [text(context.entry.get("id")), _phone_number(value)]
    parts: list[object] = [context.topic, *channel, text(change.get("field")), name, told]
    if not (_is_dated(told) or items(told.get("threads"))):  # a history's messages are dated each
        parts.append(context.entry.get("time"))
    return f"content:{hashlib.sha256(canonical(parts)).hexdigest()}"


def _comment_key(context: ChangeContext, change: Mapping[str, object], value: Mapping[str, object]) -> str:
    """A comment is added or removed once; it can be edited or hidden again and again, under the same time.

    A mention or a review may be a comment, too: the field and the channel tell them from the comment itself.
    """
    comment_id = node_id(value.get("comment_id"))
    field, verb = text(change.get("field")), text(value.get("verb")) or "add"
    if context.topic == "instagram" and field in {"comments", "live_comments"}:
        comment_id = node_id(value.get("id"))
    elif value.get("item") != "comment":
        return ""
    if not comment_id:
        return ""
    times = [text(value.get("created_time"))]
    if verb not in _FIRST_VERBS:
        times.append(text(context.entry.get("time")))
        times.append(_hash(text(value.get("message"))))
    channel = text(context.entry.get("id"))
    return ":".join(["comment", *_words(channel, field, comment_id, verb, *times)])


def _content_key(
    context: ChangeContext, happened: object, change: Mapping[str, object], value: Mapping[str, object]
) -> str:
    """For everything without an id of its own: what it says, and when.

    When: by its own word, if there is one. What can be changed back and forth (a post edited, hidden and
    shown again, a reaction) may bear the moment of its making each time: there the entry's time counts, too.
    """
    is_first = text(value.get("verb")) in _FIRST_VERBS and text(change.get("verb")) in _FIRST_VERBS
    is_once = context.topic == "instagram" and text(change.get("field")) in _ONCE
    parts = [context.topic, node_id(context.entry.get("id")), context.source, happened]
    if not is_once and not (is_first and (_is_dated(change) or _is_dated(value))):
        parts.append(context.entry.get("time"))
    return f"content:{hashlib.sha256(canonical(parts)).hexdigest()}"


def _is_dated(told: Mapping[str, object]) -> bool:
    """Whether it says when. A mark does so by the moment up to which it speaks."""
    return any(told.get(name) for name in _OWN_TIMES) or any(
        record(told.get(name)).get(moment)
        for name, moment in (("delivery", "watermark"), ("read", "watermark"), ("metadata", "timestamp"))
    )


def _partition(context: ChangeContext, change: Mapping[str, object], value: Mapping[str, object]) -> str:
    """What has to be applied in order: one conversation, one post, one lead."""
    lead_id = node_id(value.get("leadgen_id"))
    if lead_id:
        return ":".join(["lead", *_words(lead_id)])
    talk = talk_in(context.topic, context.source, change)
    if talk:
        people = sorted(_side(talk, side) for side in ("sender", "recipient"))
        return f"conversation:{_hash(text(context.entry.get('id')), *people)}"
    if value.get("messaging_product") == "whatsapp":
        return f"conversation:{_hash(_phone_number(value), _whatsapp_person(value))}"
    posts = (node_id(value.get(name)) for name in ("post_id", "parent_id", "media_id", "id"))
    post = next(filter(None, posts), "")
    media_id = node_id(record(value.get("media")).get("id"))
    words = _words(context.topic, text(context.entry.get("id")), media_id or post)
    return ":".join(["about", *words])


def _side(talk: Mapping[str, object], side: str) -> str:
    """Who stands there; the chat and checkbox plugins know only a reference of the page's own."""
    who = record(talk.get(side))
    return text(who.get("id")) or text(who.get("user_ref"))


def _whatsapp_person(value: Mapping[str, object]) -> str:
    """Who is on the other side, a group as a whole. A business-scoped user id may stand for the number."""
    sides: Sequence[tuple[str, tuple[str, ...]]] = (
        ("messages", ("group_id", "from", "from_user_id")),
        ("statuses", ("recipient_id", "recipient_user_id")),
        ("message_echoes", ("group_id", "to", "to_user_id")),
        ("user_id_update", ("wa_id",)),
        ("user_preferences", ("wa_id", "user_id")),
        ("contacts", ("wa_id", "user_id")),
        ("calls", ("from", "from_user_id")),
    )
    for name, fields in sides:
        for happening in records(value.get(name))[:1]:
            told = (text(happening.get(field)) for field in fields)
            person = next((who for who in told if who and who != _phone_number(value)), "")
            if person:
                return person
    return _person_within(value)


def _person_within(value: Mapping[str, object]) -> str:
    """Whom a piece of a history, or of the phone's address book, is about."""
    for chunk in records(value.get("history"))[:1]:
        return next((text(thread.get("id")) for thread in records(chunk.get("threads"))), "")
    for entry in records(value.get("state_sync"))[:1]:
        contact = record(entry.get("contact"))
        return text(contact.get("phone_number")) or text(contact.get("user_id"))
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
