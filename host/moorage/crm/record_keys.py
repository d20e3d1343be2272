"""Which records an event is about, by the ids that it tells."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from moorage.crm.merge import (
    contact_id_of,
    direct_id_of,
    identity_id_of,
    message_id_of,
    post_id_of,
    thread_id_of,
)
from moorage_ports.crm_records import LedgerKeys, attempt_record_id, record_id
from moorage_ports.events import (
    ChannelNotice,
    CommentHidden,
    CommentRemoved,
    CommentSeen,
    ContactMoved,
    CrmEvent,
    DeliveryMark,
    Mentioned,
    MentionRemoved,
    MessageDelivery,
    MessageEdited,
    MessageRemoved,
    MessageSeen,
    Person,
    PersonLinked,
    PostRemoved,
    PostSeen,
    PostShared,
    ReactionRemoved,
    ReactionSet,
    Target,
    ThreadHandedOver,
)


def keys_of(events: Iterable[tuple[str, CrmEvent]]) -> LedgerKeys:
    """The ids of all records that merging `events` will look at, as far as the events tell."""
    keys = LedgerKeys()
    for vendor, event in events:
        _NOTES[type(event)](keys, vendor, event)
    return keys


def _comment_seen(keys: LedgerKeys, vendor: str, event: CommentSeen) -> None:
    comment, parent = event.comment_external_id, event.parent_external_id
    keys.messages.add(message_id_of(vendor, comment))
    keys.conversations.add(thread_id_of(vendor, comment))
    keys.activities.add(record_id("ac", vendor, "comment", comment))
    if parent:
        keys.messages.add(message_id_of(vendor, parent))
        keys.conversations.add(thread_id_of(vendor, parent))
    if event.post_external_id:
        keys.posts.add(post_id_of(vendor, event.post_external_id))
    if event.author is not None:
        _person(keys, vendor, event.author)
    if event.reference:
        keys.messages.add(attempt_record_id(vendor, event.reference))


def _direct(keys: LedgerKeys, vendor: str, channel: str, person: Person) -> None:
    keys.conversations.add(direct_id_of(vendor, channel, person))
    _person(keys, vendor, person)


def _person(keys: LedgerKeys, vendor: str, person: Person) -> None:
    keys.identities.add(identity_id_of(vendor, person))
    keys.contacts.add(contact_id_of(vendor, person))


def _reaction(keys: LedgerKeys, vendor: str, event: ReactionSet | ReactionRemoved) -> None:
    person, target = event.person, event.target
    names = (target.value, event.target_external_id, person.realm, person.external_id)
    keys.activities.add(record_id("ac", vendor, "reaction", *names))
    _person(keys, vendor, person)
    if target is Target.MESSAGE:
        keys.messages.add(message_id_of(vendor, event.target_external_id))


def _comment(keys: LedgerKeys, vendor: str, event: CommentHidden | CommentRemoved) -> None:
    keys.messages.add(message_id_of(vendor, event.comment_external_id))
    keys.activities.add(record_id("ac", vendor, "comment", event.comment_external_id))


def _message(
    keys: LedgerKeys, vendor: str, event: MessageSeen | MessageEdited | MessageRemoved | MessageDelivery
) -> None:
    keys.messages.add(message_id_of(vendor, event.message_external_id))
    if isinstance(event, MessageSeen):
        _direct(keys, vendor, event.channel_external_id, event.person)
    if isinstance(event, MessageSeen | MessageDelivery) and event.reference:
        keys.messages.add(attempt_record_id(vendor, event.reference))


def _mark(keys: LedgerKeys, vendor: str, event: DeliveryMark | ThreadHandedOver) -> None:
    _direct(keys, vendor, event.channel_external_id, event.person)


def _post(keys: LedgerKeys, vendor: str, event: PostSeen | PostRemoved) -> None:
    keys.posts.add(post_id_of(vendor, event.post_external_id))
    if isinstance(event, PostSeen) and event.author is not None:
        _person(keys, vendor, event.author)


def _linked(keys: LedgerKeys, vendor: str, event: PersonLinked) -> None:
    for person in event.persons:
        _person(keys, vendor, person)


def _notice(keys: LedgerKeys, vendor: str, event: ChannelNotice) -> None:
    keys.notices.add(record_id("nt", vendor, event.kind, event.notice_external_id))


def _shared(keys: LedgerKeys, vendor: str, event: PostShared) -> None:
    keys.activities.add(record_id("ac", vendor, "share", event.share_external_id))
    keys.posts.add(post_id_of(vendor, event.post_external_id))
    if event.person is not None:
        _person(keys, vendor, event.person)


def _mention(keys: LedgerKeys, vendor: str, event: Mentioned | MentionRemoved) -> None:
    keys.activities.add(record_id("ac", vendor, "mention", event.mention_external_id))
    if isinstance(event, Mentioned) and event.person is not None:
        _person(keys, vendor, event.person)


def _moved(keys: LedgerKeys, vendor: str, event: ContactMoved) -> None:
    keys.activities.add(record_id("ac", vendor, event.moment.value, event.moment_external_id))
    _person(keys, vendor, event.person)


# A function's event is one of the union's: which one, the table's key says and no type can.
_NOTES: Final[Mapping[type, Callable[[LedgerKeys, str, Any], None]]] = {
    CommentSeen: _comment_seen,
    CommentHidden: _comment,
    CommentRemoved: _comment,
    MessageSeen: _message,
    MessageEdited: _message,
    MessageRemoved: _message,
    MessageDelivery: _message,
    DeliveryMark: _mark,
    ThreadHandedOver: _mark,
    PostSeen: _post,
    PostRemoved: _post,
    ReactionSet: _reaction,
    ReactionRemoved: _reaction,
    PersonLinked: _linked,
    ChannelNotice: _notice,
    PostShared: _shared,
    Mentioned: _mention,
    MentionRemoved: _mention,
    ContactMoved: _moved,
}
