"""What was erased stays erased: late and repeated words about it are left out before they are merged.

An event is left out if the very thing it tells of was erased, or if it names somebody who was, and happened
before that. Then the thing itself counts as erased from now on: what changes it names nobody, and may come in
any order. What somebody does after they were forgotten is new, and they are a new contact.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from moorage.crm.event_kinds import thing_of
from moorage.crm.merge import identity_id_of
from moorage_ports.crm_records import CrmRecords, LedgerKeys
from moorage_ports.events import (
    CommentSeen,
    CrmEvent,
    DeliveryMark,
    MessageSeen,
    Person,
    PersonLinked,
    PersonNamed,
    PostSeen,
)


async def forget_among(records: CrmRecords, events: Sequence[tuple[str, CrmEvent]]) -> frozenset[int]:
    """The places of those `events` that are about what was erased, and nothing more of what they tell."""
    things = [thing_of(vendor, event) for vendor, event in events]
    people = [[identity_id_of(vendor, person) for person in _people(event)] for vendor, event in events]
    marks = await records.erased({key for key in (*things, *(one for each in people for one in each)) if key})
    if not marks:
        return frozenset()
    old = {
        place
        for place, ((_, event), thing, persons) in enumerate(zip(events, things, people, strict=True))
        if thing in marks or _is_of_before(event, persons, marks)
    }
    said = {things[place] for place in old if isinstance(events[place][1], MessageSeen | CommentSeen)}
    gone = await _forget(records, said - marks.keys(), at=max(marks.values()))
    return frozenset(old | {place for place, thing in enumerate(things) if thing in gone})


async def _forget(records: CrmRecords, messages: set[str], *, at: datetime) -> set[str]:
    """Mark messages that are told of too late, and drop what was heard of them before; answers which."""
    if not messages:
        return set()
    there = (await records.load(LedgerKeys(messages=messages))).messages
    await records.remove_messages([key for key, message in there.items() if not message.is_known])
    gone = {key for key in messages if key not in there or not there[key].is_known}
    await records.mark_erased(gone, at=at)
    return gone


def is_about(vendor: str, event: CrmEvent, erased: Collection[str]) -> bool:
    """Whether it tells of one of these records, or of something that one of these identities did."""
    people = (identity_id_of(vendor, person) for person in _people(event))
    return thing_of(vendor, event) in erased or any(one in erased for one in people)


def _is_of_before(event: CrmEvent, persons: Sequence[str], marks: Mapping[str, datetime]) -> bool:
    """Whether it is about somebody who was erased since."""
    erased = [marks[one] for one in persons if one in marks]
    if not erased:
        return False
    # How far our messages got, or what we call them, is nothing that they did, however late it is told.
    return isinstance(event, DeliveryMark | PersonNamed) or _happened_at(event) <= max(erased)


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
