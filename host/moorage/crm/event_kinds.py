"""What the CRM does with each kind of event: one line per kind says all of it."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import attrs

from moorage.crm import merge_activity, merge_messages
from moorage.crm import record_keys as records
from moorage.crm.merge import Merge
from moorage_ports.crm_records import LedgerKeys
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
    PersonLinked,
    PersonNamed,
    PostRemoved,
    PostSeen,
    PostShared,
    ReactionRemoved,
    ReactionSet,
    ThreadHandedOver,
)


@attrs.frozen
class EventKind:
    """How an event is merged, which records that looks at, and which one record it is about, if any.

    `Any`: the event is one of the union's; which one, the table's key says and no type can.
    """

    merge: Callable[[Merge, str, Any], None]
    note: Callable[[LedgerKeys, str, Any], None]
    thing: Callable[[str, Any], str]


EVENT_KINDS: Final[Mapping[type, EventKind]] = {
    CommentSeen: EventKind(merge_messages.comment_seen, records.note_comment_seen, records.comment_of),
    CommentHidden: EventKind(merge_messages.comment_hidden, records.note_comment, records.comment_of),
    CommentRemoved: EventKind(merge_messages.comment_removed, records.note_comment, records.comment_of),
    MessageSeen: EventKind(merge_messages.message_seen, records.note_message, records.message_of),
    MessageEdited: EventKind(merge_messages.message_edited, records.note_message, records.message_of),
    MessageRemoved: EventKind(merge_messages.message_removed, records.note_message, records.message_of),
    MessageDelivery: EventKind(merge_messages.message_delivery, records.note_message, records.message_of),
    DeliveryMark: EventKind(merge_messages.delivery_mark, records.note_mark, records.nothing_of),
    ThreadHandedOver: EventKind(merge_messages.thread_handed_over, records.note_mark, records.nothing_of),
    PostSeen: EventKind(merge_activity.post_seen, records.note_post, records.post_of),
    PostRemoved: EventKind(merge_activity.post_removed, records.note_post, records.post_of),
    ReactionSet: EventKind(merge_activity.reaction_set, records.note_reaction, records.reaction_of),
    ReactionRemoved: EventKind(merge_activity.reaction_removed, records.note_reaction, records.reaction_of),
    PostShared: EventKind(merge_activity.post_shared, records.note_shared, records.share_of),
    Mentioned: EventKind(merge_activity.mentioned, records.note_mention, records.mention_of),
    MentionRemoved: EventKind(merge_activity.mention_removed, records.note_mention, records.mention_of),
    ContactMoved: EventKind(merge_activity.contact_moved, records.note_moved, records.moment_of),
    PersonNamed: EventKind(merge_activity.person_named, records.note_named, records.nothing_of),
    PersonLinked: EventKind(merge_activity.person_linked, records.note_linked, records.nothing_of),
    ChannelNotice: EventKind(merge_activity.channel_notice, records.note_notice, records.nothing_of),
}


def merge_event(merge: Merge, vendor: str, event: CrmEvent) -> None:
    """Merge it into what was loaded."""
    EVENT_KINDS[type(event)].merge(merge, vendor, event)


def keys_of(events: Iterable[tuple[str, CrmEvent]]) -> LedgerKeys:
    """The ids of all records that merging `events` will look at, as far as the events tell."""
    keys = LedgerKeys()
    for vendor, event in events:
        EVENT_KINDS[type(event)].note(keys, vendor, event)
    return keys


def thing_of(vendor: str, event: CrmEvent) -> str:
    """The id of the one record that the event is about; "" if there is none."""
    return EVENT_KINDS[type(event)].thing(vendor, event)
