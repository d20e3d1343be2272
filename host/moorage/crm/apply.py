"""From neutral events to the CRM's records: load what they touch, merge, save what changed.

One unit of work, a few statements for any number of events. Every permutation of the same events, cut into
any batches, with any of them doubled, ends in the same records (see `merge`).
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import attrs

from moorage.crm import attempts
from moorage.crm.event_kinds import keys_of, merge_event
from moorage.crm.forgotten import forget_among
from moorage.crm.merge import Merge, direct_id_of, identity_id_of, thread_id_of
from moorage_ports.crm_records import CrmRecords, IdentityRecord, Ledger, LedgerKeys, record_id
from moorage_ports.events import (
    CommentSeen,
    CrmEvent,
    DeliveryMark,
    MessageSeen,
    Person,
    PersonLinked,
    ThreadHandedOver,
)

_KINDS: Final = ("identities", "contacts", "conversations", "messages", "activities", "posts", "notices")


@attrs.frozen(kw_only=True)
class Applied:
    """How many records of each kind a merge wrote, and the places of events about what was erased."""

    written: Mapping[str, int]
    left_out: frozenset[int] = frozenset()


async def apply_events(records: CrmRecords, events: Sequence[tuple[str, CrmEvent]]) -> Applied:
    """Merge `events`, each with its vendor, into the org's records, but for what was erased.

    Raises:
        UnavailableError: The database is out of reach; nothing of it was written.
    """
    left_out = await forget_among(records, events)
    events = [pair for place, pair in enumerate(events) if place not in left_out]
    merge = await _loaded(records, events)
    for vendor, event in events:
        merge_event(merge, vendor, event)
    await attempts.settle(records, merge, events)
    await attempts.write(records, merge)
    if merge.emptied:
        await records.remove_conversations(merge.emptied)
    written = Counter({kind: len(getattr(merge.changed, kind)) for kind in _KINDS})
    return Applied(written=written, left_out=left_out)


# What a merge looks at ---------------------------------------------------------------------------


async def _loaded(records: CrmRecords, events: Sequence[tuple[str, CrmEvent]]) -> Merge:
    """Everything that these events can touch; most need one load, a few one or two more."""
    keys = keys_of(events)
    merge = Merge(ledger=await records.load(keys))
    ledger = merge.ledger
    linked = {
        identity_id_of(vendor, person)
        for vendor, event in events
        if isinstance(event, PersonLinked)
        for person in event.persons
    }
    if linked:
        await _load_linked(records, ledger, linked)
    moving = await _load_talks(records, ledger, events)
    moving += [
        thread
        for vendor, event in events
        if isinstance(event, CommentSeen) and event.parent_external_id
        for thread in (thread_id_of(vendor, event.comment_external_id),)
        if thread in ledger.conversations
    ]
    if moving:
        for message in await records.messages_of(moving):
            ledger.messages.setdefault(message.id, message)
    await _load_around(records, ledger, keys)
    return merge


async def _load_around(records: CrmRecords, ledger: Ledger, keys: LedgerKeys) -> None:
    """Conversations and people of the messages that only their ids were known of."""
    more = LedgerKeys()
    known = keys.conversations | ledger.conversations.keys()
    for message in ledger.messages.values():
        if message.conversation_id and message.conversation_id not in known:
            more.conversations.add(message.conversation_id)
        if message.identity_id and message.identity_id not in ledger.identities:
            more.identities.add(message.identity_id)
    for activity in ledger.activities.values():
        if activity.identity_id and activity.identity_id not in ledger.identities:
            more.identities.add(activity.identity_id)
    if more.conversations or more.identities:
        _add(ledger, await records.load(more))
    missing = LedgerKeys(
        identities={
            conversation.identity_id
            for conversation in ledger.conversations.values()
            if conversation.identity_id and conversation.identity_id not in ledger.identities
        }
    )
    if missing.identities and more.conversations:
        _add(ledger, await records.load(missing))


async def _load_linked(records: CrmRecords, ledger: Ledger, linked: Iterable[str]) -> None:
    """All identities of whoever is about to be joined, and the contacts that these once were."""
    contacts = {ledger.identities[key].contact_id for key in linked if key in ledger.identities}
    more = LedgerKeys()
    for identity in await records.identities_of(contacts) if contacts else ():
        ledger.identities.setdefault(identity.id, identity)
        more.contacts.add(record_id("ct", identity.vendor, identity.realm, identity.external_id))
    more.contacts -= set(ledger.contacts)
    if more.contacts:
        _add(ledger, await records.load(more))


async def _load_talks(
    records: CrmRecords, ledger: Ledger, events: Sequence[tuple[str, CrmEvent]]
) -> list[str]:
    """Where people write who are known by several ids, and what was said to each id of who is one by now.

    Answers the conversations whose messages may move.
    """
    talking = [
        (event.channel_external_id, ledger.identities[key])
        for vendor, event in events
        if isinstance(event, MessageSeen | DeliveryMark | ThreadHandedOver)
        for key in (identity_id_of(vendor, event.person),)
        if key in ledger.identities
    ]
    joined = [(channel, one) for channel, one in talking if one.contact_id != _first_contact(one)]
    if joined:
        await _load_linked(records, ledger, {one.id for _, one in joined})
        firsts = {_first_contact(one): one for one in ledger.identities.values()}
        pairs = [(channel, firsts[one.contact_id]) for channel, one in joined if one.contact_id in firsts]
        talks = {_talk_id(channel, first) for channel, first in pairs} - ledger.conversations.keys()
        _add(ledger, await records.load(LedgerKeys(conversations=talks)))
    moving = [
        key for channel, one in joined for key in (_talk_id(channel, one),) if key in ledger.conversations
    ]
    joining = _joining(ledger, events)
    if joining:
        for talk in await records.talks_of(joining):
            ledger.conversations.setdefault(talk.id, talk)
            moving.append(talk.id)
    return moving


def _joining(ledger: Ledger, events: Sequence[tuple[str, CrmEvent]]) -> set[str]:
    """The known identities of contacts that become one."""
    contacts: set[str] = set()
    for vendor, event in events:
        if isinstance(event, PersonLinked):
            known = [ledger.identities.get(identity_id_of(vendor, person)) for person in event.persons]
            theirs = {one.contact_id for one in known if one is not None}
            if None in known or len(theirs) > 1:
                contacts |= theirs
    return {one.id for one in ledger.identities.values() if one.contact_id in contacts}


def _first_contact(identity: IdentityRecord) -> str:
    return record_id("ct", identity.vendor, identity.realm, identity.external_id)


def _talk_id(channel_external_id: str, identity: IdentityRecord) -> str:
    person = Person(external_id=identity.external_id, realm=identity.realm)
    return direct_id_of(identity.vendor, channel_external_id, person)


def _add(ledger: Ledger, found: Ledger) -> None:
    """What was loaded later; what is there already stays: it may have changed."""
    for kind in _KINDS:
        there: dict[str, object] = getattr(ledger, kind)
        for key, record in getattr(found, kind).items():
            there.setdefault(key, record)
