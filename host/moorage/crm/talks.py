"""Where a direct message is filed: one conversation per contact and channel, whatever the person is called.

A vendor may know one person by several ids, and tell so late. So the conversation bears the id of whichever
of these the contact goes by (see `Merge.join`); what was filed under another id moves there.
"""

from collections.abc import Collection

import attrs

from moorage.crm.merge import Merge, direct_id_of, is_later, latest
from moorage_ports.crm_records import ConversationRecord, IdentityRecord
from moorage_ports.events import (
    DeliveryMark,
    DeliveryState,
    MessageKind,
    MessageSeen,
    Person,
    ThreadHandedOver,
)


def talk_with(
    merge: Merge, vendor: str, event: MessageSeen | DeliveryMark | ThreadHandedOver
) -> tuple[ConversationRecord, str]:
    """The conversation of the event's person and channel, and the person's identity."""
    person, channel = event.person, event.channel_external_id
    identity_id = merge.person(vendor, person, event.at, is_exact=_is_theirs(event))
    own = direct_id_of(vendor, channel, person)
    first = merge.first_identity(merge.ledger.identities[identity_id].contact_id)
    key = own if first is None else _key(first, channel)
    talk = merge.conversation(key, vendor, event, kind="direct", surface=event.surface)
    talk.identity_id = max(talk.identity_id, identity_id)
    elsewhere = merge.ledger.conversations.get(own)
    if elsewhere is not None and own != key:
        move(merge, elsewhere, talk)
    return talk, identity_id


def _is_theirs(event: MessageSeen | DeliveryMark | ThreadHandedOver) -> bool:
    """Whether the person was there. That we wrote, or a machine of theirs took it, shows nobody."""
    if isinstance(event, MessageSeen):
        return not event.is_ours and event.kind is not MessageKind.NOTICE
    return isinstance(event, DeliveryMark) and event.state is DeliveryState.READ


def gather(merge: Merge, identities: Collection[IdentityRecord]) -> None:
    """Move what was said under any of these identities, of one contact by now, into one talk per channel."""
    own = {identity.id: identity for identity in identities}
    for talk in list(merge.ledger.conversations.values()):
        identity = own.get(talk.identity_id)
        first = merge.first_identity(identity.contact_id) if identity is not None else None
        if talk.kind != "direct" or first is None:
            continue
        key = _key(first, talk.channel_external_id)
        if key == talk.id:
            continue
        there = merge.ledger.conversations.get(key)
        if there is None:
            there = attrs.evolve(talk, id=key)
            merge.ledger.conversations[key] = there
            merge.emptied.discard(key)
        move(merge, talk, there)


def move(merge: Merge, provisional: ConversationRecord, other: ConversationRecord) -> None:
    """All of a conversation that turns out to be part of another: its messages, and what people decided."""
    for message in merge.ledger.messages.values():
        if message.conversation_id == provisional.id:
            message.conversation_id = other.id
            merge.changed.messages[message.id] = message
    _decide(provisional, other)
    if not (provisional.last_message_id or other.last_message_id):
        other.created_at = min(other.created_at, provisional.created_at)
        other.updated_at = max(other.updated_at, provisional.updated_at)
    other.post_external_id = max(other.post_external_id, provisional.post_external_id)
    if provisional.kind == "direct":
        _add_up(provisional, other)
    del merge.ledger.conversations[provisional.id]
    merge.changed.conversations.pop(provisional.id, None)
    merge.changed.conversations[other.id] = other
    merge.recounts.discard(provisional.id)
    merge.recounts.add(other.id)
    merge.emptied.add(provisional.id)


def _key(first: IdentityRecord, channel_external_id: str) -> str:
    person = Person(external_id=first.external_id, realm=first.realm)
    return direct_id_of(first.vendor, channel_external_id, person)


def _decide(provisional: ConversationRecord, other: ConversationRecord) -> None:
    decided_at = provisional.status_stamp
    if decided_at is not None and is_later(decided_at, provisional.status, other.status_stamp, other.status):
        other.status, other.status_stamp = provisional.status, decided_at
        other.snoozed_until, other.assignee = provisional.snoozed_until, provisional.assignee
        other.tags = provisional.tags
    if provisional.read_at is not None:
        other.read_at = latest(other.read_at, provisional.read_at)


def _add_up(provisional: ConversationRecord, other: ConversationRecord) -> None:
    """What a direct conversation knows besides its messages."""
    other.surface = max(other.surface, provisional.surface)
    other.identity_id = max(other.identity_id, provisional.identity_id)
    for name in ("reply_until", "delivered_up_to", "read_up_to"):
        moment = getattr(provisional, name)
        if moment is not None:
            setattr(other, name, latest(getattr(other, name), moment))
    stamp = provisional.owner_stamp
    if stamp is not None and is_later(stamp, provisional.owner, other.owner_stamp, other.owner):
        other.owner, other.owner_stamp = provisional.owner, stamp
