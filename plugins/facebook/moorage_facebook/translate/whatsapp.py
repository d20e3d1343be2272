"""WhatsApp: messages of every type, their statuses, calls, and who is who.

https://developers.facebook.com/docs/whatsapp/cloud-api/webhooks/components
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Final

import attrs

from moorage_facebook.graph.values import record, records, text
from moorage_facebook.translate.happening import REPLY_WINDOW, Happening, loose_id, notice, when
from moorage_ports.events import (
    Attachment,
    AttachmentType,
    ContactMoment,
    ContactMoved,
    DeliveryState,
    Event,
    MessageDelivery,
    MessageEdited,
    MessageKind,
    MessageRemoved,
    MessageSeen,
    Person,
    PersonLinked,
    ReactionRemoved,
    ReactionSet,
    Severity,
    Target,
)

SURFACE: Final = "whatsapp"
NUMBERS: Final = "whatsapp"  # the realm of phone numbers
USERS: Final = "whatsapp-user"  # the realm of ids that hide the number

_STATES: Final = {
    "sent": DeliveryState.SENT,
    "delivered": DeliveryState.DELIVERED,
    "read": DeliveryState.READ,
    "played": DeliveryState.READ,  # a voice message that was listened to
    "failed": DeliveryState.FAILED,
}
_MEDIA: Final = {
    "image": AttachmentType.IMAGE,
    "audio": AttachmentType.AUDIO,
    "video": AttachmentType.VIDEO,
    "document": AttachmentType.FILE,
    "sticker": AttachmentType.STICKER,
}


@attrs.frozen
class _Content:
    """What a message says, whatever its type."""

    kind: MessageKind = MessageKind.TEXT
    text: str = ""
    payload: str = ""
    attachments: tuple[Attachment, ...] = ()


def messages(happening: Happening) -> tuple[Event, ...]:
    """`messages`, which also carries statuses and, from the business's own phone, echoes."""
    return tuple(_all(happening))


def _all(happening: Happening) -> Iterator[Event]:
    value = happening.value
    for told in records(value.get("messages")):
        yield from _message(happening, told, is_ours=False)
    for name in ("message_echoes", "smb_message_echoes"):
        for told in records(value.get(name)):
            yield from _message(happening, told, is_ours=True)
    for told in records(value.get("statuses")):
        yield from _status(happening, told)
    for told in records(value.get("errors")):
        severity = Severity.PROBLEM
        yield notice(happening, "whatsapp.error", severity=severity, told=_error_of(told)[1])


# Messages ----------------------------------------------------------------------------------------


def _message(happening: Happening, told: Mapping[str, object], *, is_ours: bool) -> Iterator[Event]:
    known = _persons(happening, told, "to" if is_ours else "from")
    message_id = loose_id(told.get("id"))
    if not known or not message_id:
        return
    at, kind = when(told.get("timestamp")) or happening.sent_at, text(told.get("type"))
    if len(known) > 1:
        yield PersonLinked(channel_external_id=happening.channel, persons=known, at=at)
    about = _ABOUT.get(kind)
    if about is not None:
        yield from about(happening, told, known[0], at, is_ours)
        return
    content = _CONTENTS.get(kind, _unsupported)(told)
    yield MessageSeen(
        channel_external_id=happening.channel,
        message_external_id=message_id,
        person=known[0],
        at=at,
        surface=SURFACE,
        is_ours=is_ours,
        kind=content.kind,
        text=content.text,
        attachments=content.attachments,
        payload=content.payload,
        reply_to_external_id=loose_id(record(told.get("context")).get("id")),
        reply_until=None if is_ours else at + REPLY_WINDOW,
    )
    if kind == "system":
        yield from _renumbered(happening, told, known[0], at)
    yield from _referred(happening, told, known[0], at, message_id)


def _text(told: Mapping[str, object]) -> _Content:
    return _Content(text=text(record(told.get("text")).get("body")))


def _media(told: Mapping[str, object]) -> _Content:
    name = text(told.get("type"))
    part = record(told.get(name))
    attachment = Attachment(
        type=_MEDIA[name],
        url=text(part.get("url")),
        external_id=loose_id(part.get("id")),
        title=text(part.get("filename")),
        mime_type=text(part.get("mime_type")),
    )
    return _Content(text=text(part.get("caption")), attachments=(attachment,))


def _location(told: Mapping[str, object]) -> _Content:
    place = record(told.get("location"))
    details = {name: text(place.get(name)) for name in ("latitude", "longitude", "address")}
    attachment = Attachment(
        type=AttachmentType.LOCATION,
        url=text(place.get("url")),
        title=text(place.get("name")) or details["address"],
        details={name: part for name, part in details.items() if part},
    )
    return _Content(attachments=(attachment,))


def _contacts(told: Mapping[str, object]) -> _Content:
    return _Content(attachments=tuple(map(_card, records(told.get("contacts")))))


def _card(told: Mapping[str, object]) -> Attachment:
    phones = [text(one.get("phone")) or text(one.get("wa_id")) for one in records(told.get("phones"))]
    emails = [text(one.get("email")) for one in records(told.get("emails"))]
    details = {
        "phones": ", ".join(filter(None, phones)),
        "emails": ", ".join(filter(None, emails)),
        "company": text(record(told.get("org")).get("company")),
        "vcard": text(told.get("vcard")),
    }
    return Attachment(
        type=AttachmentType.CONTACT,
        title=text(record(told.get("name")).get("formatted_name")),
        details={name: part for name, part in details.items() if part},
    )


def _button(told: Mapping[str, object]) -> _Content:
    pressed = record(told.get("button"))
    return _Content(MessageKind.CHOICE, text(pressed.get("text")), text(pressed.get("payload")))


def _interactive(told: Mapping[str, object]) -> _Content:
    """A button, a list entry, a filled-in flow, an answer to being called."""
    answer = record(told.get("interactive"))
    chosen = record(answer.get(text(answer.get("type"))))
    words = next(filter(None, (text(chosen.get(name)) for name in ("title", "body", "response"))), "")
    payload = text(chosen.get("id")) or text(chosen.get("response_json")) or text(chosen.get("response"))
    return _Content(MessageKind.CHOICE, words, payload)


def _order(told: Mapping[str, object]) -> _Content:
    order = record(told.get("order"))
    lines = [
        " ".join(filter(None, map(text, (one.get("quantity"), "x", one.get("product_retailer_id")))))
        for one in records(order.get("product_items"))
    ]
    prices = [
        f"{text(one.get('item_price'))} {text(one.get('currency'))}"
        for one in records(order.get("product_items"))
    ]
    details = {
        "catalog": text(order.get("catalog_id")),
        "items": ", ".join(lines),
        "prices": ", ".join(prices),
    }
    attachment = Attachment(
        type=AttachmentType.ORDER, details={name: part for name, part in details.items() if part}
    )
    return _Content(text=text(order.get("text")), attachments=(attachment,))


def _system(told: Mapping[str, object]) -> _Content:
    return _Content(MessageKind.NOTICE, text(record(told.get("system")).get("body")))


def _unsupported(told: Mapping[str, object]) -> _Content:
    """A poll, an event, a view-once picture: Meta says that it came, not what it is."""
    errors = records(told.get("errors"))
    return _Content(MessageKind.UNSUPPORTED, _error_of(errors[0])[1] if errors else "")


_CONTENTS: Final[Mapping[str, Callable[[Mapping[str, object]], _Content]]] = {
    "text": _text,
    **dict.fromkeys(_MEDIA, _media),
    "location": _location,
    "contacts": _contacts,
    "button": _button,
    "interactive": _interactive,
    "order": _order,
    "system": _system,
    "unsupported": _unsupported,
    "unknown": _unsupported,
}


# What is said about other messages ---------------------------------------------------------------


def _reaction(
    happening: Happening, told: Mapping[str, object], person: Person, at: datetime, is_ours: bool
) -> Iterator[Event]:
    """An empty emoji takes the reaction back."""
    reaction = record(told.get("reaction"))
    message_id, emoji = loose_id(reaction.get("message_id")), text(reaction.get("emoji"))
    channel = Person(external_id=happening.channel, realm=NUMBERS)
    who = channel if is_ours else person
    if not message_id:
        return
    if not emoji:
        yield ReactionRemoved(
            channel_external_id=happening.channel,
            target=Target.MESSAGE,
            target_external_id=message_id,
            person=who,
            at=at,
        )
        return
    yield ReactionSet(
        channel_external_id=happening.channel,
        target=Target.MESSAGE,
        target_external_id=message_id,
        person=who,
        reaction=emoji,
        at=at,
    )


def _edit(
    happening: Happening, told: Mapping[str, object], person: Person, at: datetime, is_ours: bool
) -> Iterator[Event]:
    edit = record(told.get("edit"))
    message_id, new = loose_id(edit.get("original_message_id")), record(edit.get("message"))
    if message_id:
        content = _CONTENTS.get(text(new.get("type")), _text)(new)
        yield MessageEdited(
            channel_external_id=happening.channel,
            message_external_id=message_id,
            at=at,
            text=content.text,
        )


def _revoke(
    happening: Happening, told: Mapping[str, object], person: Person, at: datetime, is_ours: bool
) -> Iterator[Event]:
    message_id = loose_id(record(told.get("revoke")).get("original_message_id"))
    if message_id:
        yield MessageRemoved(channel_external_id=happening.channel, message_external_id=message_id, at=at)


_About = Callable[[Happening, Mapping[str, object], Person, datetime, bool], Iterator[Event]]
_ABOUT: Final[Mapping[str, _About]] = {"reaction": _reaction, "edit": _edit, "revoke": _revoke}


def _status(happening: Happening, told: Mapping[str, object]) -> Iterator[Event]:
    message_id, status = loose_id(told.get("id")), text(told.get("status"))
    at = when(told.get("timestamp")) or happening.sent_at
    if message_id and status == "deleted":
        yield MessageRemoved(channel_external_id=happening.channel, message_external_id=message_id, at=at)
    if not message_id or status not in _STATES:
        return
    errors = records(told.get("errors"))
    code, words = _error_of(errors[0]) if errors else ("", "")
    yield MessageDelivery(
        channel_external_id=happening.channel,
        message_external_id=message_id,
        state=_STATES[status],
        at=at,
        error_code=code,
        error=words,
    )


def _error_of(told: Mapping[str, object]) -> tuple[str, str]:
    """Code and words; the details say most, where there are any."""
    details = text(record(told.get("error_data")).get("details")) or text(told.get("details"))
    return text(told.get("code")), details or text(told.get("message")) or text(told.get("title"))


# Who is who --------------------------------------------------------------------------------------


def _persons(happening: Happening, told: Mapping[str, object], side: str) -> tuple[Person, ...]:
    """The other side by number and by user id, as far as the change says both; the number first.

    A contact of the change is the sender unless it names another number.
    """
    number, user = loose_id(told.get(side)), loose_id(told.get(f"{side}_user_id"))
    name = handle = ""
    for contact in records(happening.value.get("contacts")):
        its_number = loose_id(contact.get("wa_id"))
        if number and its_number and number != its_number:
            continue
        profile = record(contact.get("profile"))
        name, handle = text(profile.get("name")), text(profile.get("username"))
        number, user = number or its_number, user or loose_id(contact.get("user_id"))
        break
    found = ((number, NUMBERS), (user, USERS))
    return tuple(
        Person(external_id=person_id, realm=realm, name=name, handle=handle)
        for person_id, realm in found
        if person_id
    )


def _renumbered(
    happening: Happening, told: Mapping[str, object], person: Person, at: datetime
) -> Iterator[Event]:
    """WhatsApp itself says that a person has another number now."""
    new = loose_id(record(told.get("system")).get("wa_id"))
    new = new or loose_id(record(told.get("system")).get("new_wa_id"))
    if new and new != person.external_id:
        same = Person(external_id=new, realm=NUMBERS)
        yield PersonLinked(channel_external_id=happening.channel, persons=(person, same), at=at)


def _referred(
    happening: Happening, told: Mapping[str, object], person: Person, at: datetime, message_id: str
) -> Iterator[Event]:
    """The message came from an ad that leads into the chat."""
    referral = record(told.get("referral"))
    if referral:
        yield ContactMoved(
            channel_external_id=happening.channel,
            person=person,
            moment=ContactMoment.REFERRAL,
            moment_external_id=message_id,
            at=at,
            surface=SURFACE,
            text=text(referral.get("headline")) or text(referral.get("source_url")),
            ad_external_id=loose_id(referral.get("source_id")),
        )


def user_id_updated(happening: Happening) -> tuple[Event, ...]:
    """A person's user id was replaced by another."""
    return tuple(_updated_ids(happening))


def _updated_ids(happening: Happening) -> Iterator[Event]:
    for told in records(happening.value.get("user_id_update")):
        ids = record(told.get("user_id"))
        number = loose_id(told.get("wa_id"))
        persons = [Person(external_id=number, realm=NUMBERS)] if number else []
        for name in ("previous", "current"):
            user = loose_id(ids.get(name))
            persons += [Person(external_id=user, realm=USERS)] if user else []
        if len(persons) > 1:
            at = when(told.get("timestamp")) or happening.sent_at
            yield PersonLinked(channel_external_id=happening.channel, persons=tuple(persons), at=at)


# Calls and preferences ---------------------------------------------------------------------------


def calls(happening: Happening) -> tuple[Event, ...]:
    """A call began or ended, or how far ours got."""
    return tuple(_calls(happening))


def _calls(happening: Happening) -> Iterator[Event]:
    for told in (*records(happening.value.get("calls")), *records(happening.value.get("statuses"))):
        by_us = text(told.get("direction")) == "BUSINESS_INITIATED" or "recipient_id" in told
        side = "recipient_id" if "recipient_id" in told else "to" if by_us else "from"
        known = _persons(happening, {**told, "from_user_id": told.get("from_user_id")}, side)
        call_id = loose_id(told.get("id"))
        if not known or not call_id:
            continue
        yield ContactMoved(
            channel_external_id=happening.channel,
            person=known[0],
            moment=ContactMoment.CALL,
            moment_external_id=call_id,
            at=when(told.get("timestamp")) or happening.sent_at,
            surface=SURFACE,
            text=text(told.get("status")) or text(told.get("event")),
        )


def preferences(happening: Happening) -> tuple[Event, ...]:
    """A person wants marketing messages, or no more of them."""
    return tuple(_preferences(happening))


def _preferences(happening: Happening) -> Iterator[Event]:
    for told in records(happening.value.get("user_preferences")):
        number, user = loose_id(told.get("wa_id")), loose_id(told.get("user_id"))
        if not number and not user:
            continue
        person = Person(external_id=number or user, realm=NUMBERS if number else USERS)
        stopped = text(told.get("value")) in {"stop", "opt_out"}
        yield ContactMoved(
            channel_external_id=happening.channel,
            person=person,
            moment=ContactMoment.OPT_OUT if stopped else ContactMoment.OPT_IN,
            moment_external_id=loose_id(told.get("signup_id")) or happening.fingerprint,
            at=when(told.get("timestamp")) or happening.sent_at,
            surface=SURFACE,
            text=text(told.get("category")),
        )
