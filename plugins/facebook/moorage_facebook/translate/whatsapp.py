"""WhatsApp: messages of every type, how far ours got, calls, and who is who.

`split` took the lists of a change apart, so each of these reads one thing: `Happening.told`.

https://developers.facebook.com/docs/whatsapp/cloud-api/webhooks/components
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

import attrs

from moorage_facebook.graph.values import items, record, records, text
from moorage_facebook.translate.happening import (
    REPLY_WINDOW,
    Events,
    Happening,
    after,
    first_id,
    first_text,
    loose_id,
    name_of,
    notice,
    prose,
    said,
    when,
)
from moorage_facebook.translate.whatsapp_content import content_of
from moorage_ports.events import (
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
    PersonNamed,
    ReactionRemoved,
    ReactionSet,
    Severity,
    Target,
)

SURFACE: Final = "whatsapp"
GROUP_SURFACE: Final = "whatsapp-group"  # read only: what is written there reaches everybody in it
NUMBERS: Final = "whatsapp"  # the realm of phone numbers
USERS: Final = "whatsapp-user"  # the realm of ids that hide the number
GROUPS: Final = "whatsapp-group"  # the realm of groups

STATES: Final = {
    "sent": DeliveryState.SENT,
    "delivered": DeliveryState.DELIVERED,
    "read": DeliveryState.READ,
    "played": DeliveryState.READ,  # a voice message that was listened to
    "failed": DeliveryState.FAILED,
}
_ANSWERED: Final = frozenset({"ACCEPTED", "COMPLETED"})
_STOPPED: Final = frozenset({"stop", "opt_out", "unsubscribe"})
_MOST_CONTACTS: Final = 1_000
NO_DIGIT: Final = re.compile(r"\D")
_OF_A_GROUP: Final = "@g.us"  # what the id of a group ends with


@attrs.frozen
class Chat:
    """A message between a person and one of the org's numbers. The person may be known by several ids.

    One in a `group` is read by all of it: it belongs to no conversation of its author's.
    """

    happening: Happening
    known: tuple[Person, ...]
    is_ours: bool
    group: Person | None = None

    @property
    def person(self) -> Person:
        """The person by the number, where it is said."""
        return self.known[0]

    @property
    def author(self) -> Person:
        """Who wrote it."""
        channel = Person(external_id=self.happening.channel, realm=NUMBERS)
        return channel if self.is_ours else self.person

    @property
    def links(self) -> tuple[PersonLinked, ...]:
        """Number and user id in one message are one person."""
        return (_linked(self.happening, *self.known),) if len(self.known) > 1 else ()


def chat_of(happening: Happening) -> Chat | None:
    """Who writes to whom; `None` if nobody is named.

    What the business sends from its phone comes as an echo, or in its own number's name.
    """
    sender = loose_id(happening.told.get("from"))
    others = {loose_id(contact.get("wa_id")) for contact in records(happening.value.get("contacts"))}
    is_own = sender in own_numbers(happening) and sender not in others
    is_ours = is_own or happening.list_name == "message_echoes"
    group = _group_of(happening)
    known = () if group and is_ours else _persons(happening, "to" if is_ours else "from")
    known = known or ((group,) if group else ())
    return Chat(happening, known, is_ours=is_ours, group=group) if known else None


def _group_of(happening: Happening) -> Person | None:
    """The group that it was written in; what the business writes there may name it as the addressee."""
    told = happening.told
    group_id, addressee = loose_id(told.get("group_id")), loose_id(told.get("to"))
    found = group_id or (addressee if addressee.endswith(_OF_A_GROUP) else "")
    return Person(external_id=found, realm=GROUPS) if found else None


# Messages ----------------------------------------------------------------------------------------


def message(happening: Happening) -> Events:
    """A message of either side.

    One in a group stands in the group's conversation, and opens no window to write to its author alone.
    """
    told, chat = happening.told, chat_of(happening)
    message_id = loose_id(told.get("id"))
    if chat is None or not message_id:
        return None
    content = content_of(told)
    opens = not chat.is_ours and chat.group is None and content.kind is not MessageKind.NOTICE
    seen = MessageSeen(
        channel_external_id=happening.channel,
        message_external_id=message_id,
        person=chat.group or chat.person,
        at=happening.at,
        surface=SURFACE if chat.group is None else GROUP_SURFACE,
        is_ours=chat.is_ours,
        kind=content.kind,
        text=content.text,
        attachments=content.attachments,
        payload=content.payload,
        reply_to_external_id=loose_id(record(told.get("context")).get("id")),
        reply_until=happening.at + REPLY_WINDOW if opens else None,
    )
    return (*chat.links, seen, *_referred(chat, message_id))


def renumbered(happening: Happening) -> Events:
    """WhatsApp itself says something, most of all that a person has another number, or user id, now."""
    events, chat = message(happening), chat_of(happening)
    if events is None or chat is None:
        return None
    told = record(happening.told.get("system"))
    new = ((first_id(told, "wa_id", "new_wa_id"), NUMBERS), (first_id(told, "user_id", "new_user_id"), USERS))
    others = [Person(external_id=found, realm=realm) for found, realm in new if found]
    links = (_linked(happening, chat.person, other) for other in others if other not in chat.known)
    return (*events, *links)


def reaction(happening: Happening) -> Events:
    """An emoji on a message; an empty one takes it back."""
    told, chat = record(happening.told.get("reaction")), chat_of(happening)
    message_id, emoji = loose_id(told.get("message_id")), name_of(told.get("emoji"))
    if chat is None or not message_id:
        return None
    if emoji:
        return (
            *chat.links,
            ReactionSet(
                channel_external_id=happening.channel,
                target=Target.MESSAGE,
                target_external_id=message_id,
                person=chat.author,
                reaction=emoji,
                at=happening.at,
            ),
        )
    return (
        *chat.links,
        ReactionRemoved(
            channel_external_id=happening.channel,
            target=Target.MESSAGE,
            target_external_id=message_id,
            person=chat.author,
            at=happening.at,
        ),
    )


def edited(happening: Happening) -> Events:
    """The text, or the caption, of a message was changed."""
    told = record(happening.told.get("edit"))
    message_id, new = loose_id(told.get("original_message_id")), record(told.get("message"))
    if not message_id:
        return None
    return (
        MessageEdited(
            channel_external_id=happening.channel,
            message_external_id=message_id,
            at=after(happening.at),
            text=content_of(new).text,
        ),
    )


def revoked(happening: Happening) -> Events:
    """A message was taken back."""
    message_id = loose_id(record(happening.told.get("revoke")).get("original_message_id"))
    return _removed(happening, message_id)


def status_deleted(happening: Happening) -> Events:
    """One of ours was deleted."""
    return _removed(happening, loose_id(happening.told.get("id")))


def status(happening: Happening) -> Events:
    """How far one of ours got. `read` may come without `delivered` before it."""
    told, state = happening.told, STATES.get(happening.verb)
    message_id = loose_id(told.get("id"))
    if state is None or not message_id:
        return None
    code, words = error_of(told.get("errors"))
    return (
        MessageDelivery(
            channel_external_id=happening.channel,
            message_external_id=message_id,
            state=state,
            at=happening.at,
            error_code=code,
            error=words,
            reference=loose_id(told.get("biz_opaque_callback_data")),
        ),
    )


def failed(happening: Happening) -> Events:
    """WhatsApp has trouble with the number itself; no message is named."""
    code, words = error_of(happening.value.get("errors"))
    if not code and not words:
        return None
    return (
        notice(happening, "whatsapp.error", severity=Severity.PROBLEM, told=words, details=said(code=code)),
    )


def _removed(happening: Happening, message_id: str) -> Events:
    if not message_id:
        return None
    return (
        MessageRemoved(
            channel_external_id=happening.channel, message_external_id=message_id, at=happening.at
        ),
    )


def error_of(errors: object) -> tuple[str, str]:
    """Code and words of the first error; the details say most, where there are any."""
    told = next(iter(records(errors)), {})
    details = prose(record(told.get("error_data")).get("details"))
    return name_of(told.get("code")), details or first_text(told, "details", "message", "title")


def _referred(chat: Chat, message_id: str) -> Iterator[ContactMoved]:
    """The message came from an ad that leads into the chat."""
    referral = record(chat.happening.told.get("referral"))
    if referral and not chat.is_ours:
        yield ContactMoved(
            channel_external_id=chat.happening.channel,
            person=chat.person,
            moment=ContactMoment.REFERRAL,
            moment_external_id=message_id,
            at=chat.happening.at,
            surface=SURFACE,
            text=first_text(referral, "headline", "source_url"),
            ad_external_id=loose_id(referral.get("source_id")),
        )


# Who is who --------------------------------------------------------------------------------------


def own_numbers(happening: Happening) -> frozenset[str]:
    """The number that a change is about, by its id and as it is displayed."""
    told = record(happening.value.get("metadata"))
    return frozenset(
        {loose_id(told.get(name)) for name in ("phone_number_id", "display_phone_number")} - {""}
    )


def _persons(happening: Happening, side: str) -> tuple[Person, ...]:
    """The other side by number and by user id, as far as the change says both; the number first."""
    told = happening.told
    number, user = loose_id(told.get(side)), first_id(told, f"{side}_user_id")
    if number in own_numbers(happening):
        number = ""
    contact = _contact_of(happening, number, user)
    profile = record(contact.get("profile"))
    number, user = number or loose_id(contact.get("wa_id")), user or loose_id(contact.get("user_id"))
    return tuple(
        Person(
            external_id=found,
            realm=realm,
            name=name_of(profile.get("name")),
            handle=name_of(profile.get("username")).removeprefix("@"),
        )
        for found, realm in ((number, NUMBERS), (user, USERS))
        if found
    )


def _contact_of(happening: Happening, number: str, user: str) -> Mapping[str, object]:
    """The contact of the change that is this person: one id is the same, and none differs.

    Where one side names nobody, a contact that is alone is meant. Anything less would be no proof that a
    number and a user id are one person.
    """
    contacts = records(items(happening.value.get("contacts"))[:_MOST_CONTACTS])
    for contact in contacts:
        theirs = (loose_id(contact.get("wa_id")), loose_id(contact.get("user_id")))
        same = [one == other for one, other in zip((number, user), theirs, strict=True) if one and other]
        is_meant = len(contacts) == 1 and not ((number or user) and any(theirs))
        if all(same) and (same or is_meant):
            return contact
    return {}


def _linked(happening: Happening, *persons: Person) -> PersonLinked:
    return PersonLinked(channel_external_id=happening.channel, persons=persons, at=happening.at)


def user_id_updated(happening: Happening) -> Events:
    """A person's user id was replaced by another."""
    told = happening.told
    ids, number = record(told.get("user_id")), loose_id(told.get("wa_id"))
    users = filter(None, (loose_id(ids.get(name)) for name in ("previous", "current")))
    persons = [Person(external_id=number, realm=NUMBERS)] if number else []
    persons += [Person(external_id=user, realm=USERS) for user in users]
    return (_linked(happening, *persons),) if len(persons) > 1 else None


def saved(happening: Happening) -> Events:
    """Somebody in the address book of the business's phone; taken out of it, they stay who they are here.

    https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/smb_app_state_sync
    """
    contact = record(happening.told.get("contact"))
    number = NO_DIGIT.sub("", loose_id(contact.get("phone_number")))
    found, realm = (number, NUMBERS) if number else (first_id(contact, "user_id"), USERS)
    name = name_of(first_text(contact, "full_name", "first_name"))
    handle = name_of(contact.get("username")).removeprefix("@")
    if not found:
        return None
    if happening.verb == "remove" or not (name or handle):
        return ()
    return (
        PersonNamed(
            channel_external_id=happening.channel,
            person=Person(external_id=found, realm=realm, name=name, handle=handle),
            at=when(record(happening.told.get("metadata")).get("timestamp")) or happening.at,
        ),
    )


# Calls and preferences ---------------------------------------------------------------------------


def called(happening: Happening) -> Events:
    """A person called, or took a call of ours. That ours rang says nothing about them."""
    told = happening.told
    by_us = text(told.get("direction")) == "BUSINESS_INITIATED" or happening.list_name == "statuses"
    side = "recipient_id" if happening.list_name == "statuses" else "to" if by_us else "from"
    known, call_id = _persons(happening, side), loose_id(told.get("id"))
    if not known or not call_id:
        return None
    outcome = name_of(told.get("status"))
    if by_us and outcome.upper() not in _ANSWERED:
        return ()
    return _moved(happening, known, ContactMoment.CALL, call_id, words=outcome or name_of(told.get("event")))


def preferred(happening: Happening) -> Events:
    """A person wants marketing messages, or no more of them."""
    told = happening.told
    pairs = ((loose_id(told.get("wa_id")), NUMBERS), (loose_id(told.get("user_id")), USERS))
    known = tuple(Person(external_id=found, realm=realm) for found, realm in pairs if found)
    if not known:
        return None
    stopped = text(told.get("value")).lower() in _STOPPED
    return _moved(
        happening,
        known,
        ContactMoment.OPT_OUT if stopped else ContactMoment.OPT_IN,
        loose_id(told.get("signup_id")) or happening.fingerprint,
        words=name_of(told.get("category")),
    )


def _moved(
    happening: Happening, known: tuple[Person, ...], moment: ContactMoment, moment_id: str, *, words: str
) -> tuple[Event, ...]:
    moved = ContactMoved(
        channel_external_id=happening.channel,
        person=known[0],
        moment=moment,
        moment_external_id=moment_id,
        at=happening.at,
        surface=SURFACE,
        text=words,
    )
    return (moved, _linked(happening, *known)) if len(known) > 1 else (moved,)
