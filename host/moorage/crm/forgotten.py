"""What was erased stays erased: late and repeated words about it are left out before they are merged.

An event is left out if the very thing it tells of was erased, or if it names somebody who was, and happened
before that. What somebody does after they were forgotten is new, and they are a new contact.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from moorage.crm.merge import identity_id_of, message_id_of, post_id_of
from moorage_ports.crm_records import CrmRecords, record_id
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
    ThreadHandedOver,
)


async def forgotten_among(records: CrmRecords, events: Sequence[tuple[str, CrmEvent]]) -> frozenset[int]:
    """The places of those `events` that are about what was erased."""
    things = [_thing(vendor, event) for vendor, event in events]
    people = [[identity_id_of(vendor, person) for person in _people(event)] for vendor, event in events]
    marks = await records.erased({key for key in (*things, *(one for each in people for one in each)) if key})
    if not marks:
        return frozenset()
    return frozenset(
        place
        for place, ((_, event), thing, persons) in enumerate(zip(events, things, people, strict=True))
        if thing in marks or _is_of_before(event, persons, marks)
    )


def is_about(vendor: str, event: CrmEvent, erased: Collection[str]) -> bool:
    """Whether it tells of one of these records, or of something that one of these identities did."""
    people = (identity_id_of(vendor, person) for person in _people(event))
    return _thing(vendor, event) in erased or any(one in erased for one in people)


def _is_of_before(event: CrmEvent, persons: Sequence[str], marks: Mapping[str, datetime]) -> bool:
    """Whether it is about somebody who was erased since."""
    erased = [marks[one] for one in persons if one in marks]
    if not erased:
        return False
    # How far our messages got is nothing that they did, however late it is told.
    return isinstance(event, DeliveryMark) or _happened_at(event) <= max(erased)


def _happened_at(event: CrmEvent) -> datetime:
    """When they did it; a sync reads it later."""
    if isinstance(event, CommentSeen | PostSeen) and event.created_at is not None:
        return event.created_at
    return event.at


def _people(event: CrmEvent) -> Sequence[Person]:
    if isinstance(event, PersonLinked):
        return event.persons
    who = getattr(event, "author", None) or getattr(event, "person", None)
    return (who,) if isinstance(who, Person) else ()


def _thing(vendor: str, event: CrmEvent) -> str:
    """The id of the one record that the event is about; "" if there is none."""
    return _THINGS[type(event)](vendor, event)


def _comment(vendor: str, event: CommentSeen | CommentHidden | CommentRemoved) -> str:
    return message_id_of(vendor, event.comment_external_id)


def _message(vendor: str, event: MessageSeen | MessageEdited | MessageRemoved | MessageDelivery) -> str:
    return message_id_of(vendor, event.message_external_id)


def _post(vendor: str, event: PostSeen | PostRemoved) -> str:
    return post_id_of(vendor, event.post_external_id)


def _reaction(vendor: str, event: ReactionSet | ReactionRemoved) -> str:
    person = event.person
    names = (event.target.value, event.target_external_id, person.realm, person.external_id)
    return record_id("ac", vendor, "reaction", *names)


def _share(vendor: str, event: PostShared) -> str:
    return record_id("ac", vendor, "share", event.share_external_id)


def _mention(vendor: str, event: Mentioned | MentionRemoved) -> str:
    return record_id("ac", vendor, "mention", event.mention_external_id)


def _moved(vendor: str, event: ContactMoved) -> str:
    return record_id("ac", vendor, event.moment.value, event.moment_external_id)


def _none(_: str, __: object) -> str:
    return ""


# A function's event is one of the union's: which one, the table's key says and no type can.
_THINGS: Final[Mapping[type, Callable[[str, Any], str]]] = {
    CommentSeen: _comment,
    CommentHidden: _comment,
    CommentRemoved: _comment,
    MessageSeen: _message,
    MessageEdited: _message,
    MessageRemoved: _message,
    MessageDelivery: _message,
    PostSeen: _post,
    PostRemoved: _post,
    ReactionSet: _reaction,
    ReactionRemoved: _reaction,
    PostShared: _share,
    Mentioned: _mention,
    MentionRemoved: _mention,
    ContactMoved: _moved,
    DeliveryMark: _none,
    ThreadHandedOver: _none,
    PersonLinked: _none,
    ChannelNotice: _none,
}
