"""A merge under way: the records it looks at, which of them changed, and the rules they share.

Whatever the order in which events arrive, and however often, the records end the same. So every field is
one of three: a register (the later stamp wins, ties by value), a bound (the smallest, the largest, "ever"),
or it follows from other records (a conversation's counts from its messages). Where the last cannot be
brought forward step by step, the conversation is noted in `recounts` and counted anew.
"""

from datetime import UTC, datetime
from typing import Final, Protocol, TypeVar

import attrs

from moorage.crm.scoring import HEAT_EPOCH, MESSAGE, heat_of
from moorage_ports.crm_records import (
    ActivityRecord,
    ContactRecord,
    ConversationRecord,
    IdentityRecord,
    Ledger,
    MessageRecord,
    MessageTotals,
    PostRecord,
    record_id,
)
from moorage_ports.events import Attachment, MessageKind, Person

V = TypeVar("V", str, bool, int, tuple[str, str])

NEVER: Final = datetime(1, 1, 1, tzinfo=UTC)  # the stamp of what nobody has said anything of
MAX_TEXT: Final = 65_536  # characters; more is cut off, and nobody reads it here


class Stamped(Protocol):
    """What every event has."""

    @property
    def channel_external_id(self) -> str: ...
    @property
    def at(self) -> datetime: ...


def contact_id_of(vendor: str, person: Person) -> str:
    """The contact that a person is until somebody proves that they are another, too."""
    return record_id("ct", vendor, person.realm, person.external_id)


def identity_id_of(vendor: str, person: Person) -> str:
    """The identity of a person."""
    return record_id("pi", vendor, person.realm, person.external_id)


def message_id_of(vendor: str, external_id: str) -> str:
    """The record of a comment or a message."""
    return record_id("ms", vendor, external_id)


def thread_id_of(vendor: str, comment_external_id: str) -> str:
    """The conversation below a top-level comment."""
    return record_id("cv", vendor, "comment", comment_external_id)


def direct_id_of(vendor: str, channel_external_id: str, person: Person) -> str:
    """The conversation between a person and a channel."""
    return record_id("cv", vendor, "direct", channel_external_id, person.realm, person.external_id)


def post_id_of(vendor: str, post_external_id: str) -> str:
    """The record of a post."""
    return record_id("po", vendor, post_external_id)


def is_later(stamp: datetime, value: V, than: datetime | None, old: V) -> bool:
    """Whether a register takes `value` of `stamp` in place of `old` of `than`. The same for every order."""
    if than is None or stamp > than:
        return True
    return stamp == than and value > old


def plain(attachments: tuple[Attachment, ...]) -> str:
    """What tells two lists of attachments apart, whole."""
    return repr([attrs.astuple(attachment) for attachment in attachments]) if attachments else ""


def earliest(one: datetime | None, other: datetime) -> datetime:
    """The earlier moment."""
    return other if one is None else min(one, other)


def latest(one: datetime | None, other: datetime) -> datetime:
    """The later moment."""
    return other if one is None else max(one, other)


def is_theirs(message: MessageRecord) -> bool:
    """Whether the person wrote it. What the vendor itself says in a conversation is nobody's word."""
    return not message.is_ours and message.kind is not MessageKind.NOTICE


def is_unread(message: MessageRecord, conversation: ConversationRecord) -> bool:
    """Whether somebody here should still look at it."""
    return (
        message.is_known
        and is_theirs(message)
        and message.removed_at is None
        and not message.is_history
        and (conversation.read_at is None or message.at > conversation.read_at)
    )


@attrs.define
class Merge:
    """Records as loaded, and what changed in them."""

    ledger: Ledger
    changed: Ledger = attrs.field(factory=Ledger)
    recounts: set[str] = attrs.field(factory=set)  # conversations
    emptied: set[str] = attrs.field(factory=set)  # conversations that turned out to be part of another
    settled: set[str] = attrs.field(factory=set)  # attempts that became a message (see `attempts`)
    _firsts: dict[str, IdentityRecord] = attrs.field(factory=dict)  # by the contact that each was at first

    # People ----------------------------------------------------------------------------------

    def person(
        self,
        vendor: str,
        person: Person,
        at: datetime,
        seen_at: datetime | None = None,
        *,
        is_exact: bool = True,
    ) -> str:
        """The identity of whoever did something at `seen_at`; what they are called is known as of `at`."""
        key = identity_id_of(vendor, person)
        identity = self.ledger.identities.get(key)
        if identity is None:
            identity = IdentityRecord(
                id=key,
                vendor=vendor,
                realm=person.realm,
                external_id=person.external_id,
                contact_id=contact_id_of(vendor, person),
            )
            self.ledger.identities[key] = self.changed.identities[key] = identity
        moment = seen_at or at
        contact = self.contact(identity.contact_id, moment, is_exact=is_exact)
        self.name(identity, contact, person, at)
        if _see(contact, moment, moment, is_exact=is_exact):
            self.changed.contacts[contact.id] = contact
        return key

    def name(self, identity: IdentityRecord, contact: ContactRecord, person: Person, at: datetime) -> None:
        """What a person is called, known as of `at`; that they were seen then it does not say."""
        if person.name and is_later(at, person.name, identity.name_stamp, identity.name):
            identity.name, identity.name_stamp = person.name, at
            self.changed.identities[identity.id] = identity
        if person.handle and is_later(at, person.handle, identity.handle_stamp, identity.handle):
            identity.handle, identity.handle_stamp = person.handle, at
            self.changed.identities[identity.id] = identity
        if person.name and is_later(at, person.name, contact.name_stamp, contact.name):
            contact.name, contact.name_stamp = person.name, at
            self.changed.contacts[contact.id] = contact

    def contact(self, contact_id: str, seen_at: datetime, *, is_exact: bool = True) -> ContactRecord:
        """The contact of that id, made if there is none."""
        contact = self.ledger.contacts.get(contact_id)
        if contact is None:
            contact = ContactRecord(
                id=contact_id, first_seen_at=seen_at, last_seen_at=seen_at, is_exact=is_exact
            )
            self.ledger.contacts[contact_id] = self.changed.contacts[contact_id] = contact
        return contact

    def first_identity(self, contact_id: str) -> IdentityRecord | None:
        """Whom a contact goes by: the identity that was this contact before any was joined to it."""
        if contact_id not in self._firsts:
            self._firsts = {
                record_id("ct", one.vendor, one.realm, one.external_id): one
                for one in self.ledger.identities.values()
            }
        return self._firsts.get(contact_id)

    def add_heat(self, identity_id: str, heat: float) -> None:
        """What a person did (or took back) warms (or cools) the contact they are."""
        identity = self.ledger.identities.get(identity_id)
        if identity is None or not heat:
            return
        contact = self.ledger.contacts.get(identity.contact_id)
        if contact is not None:
            contact.heat += heat
            self.changed.contacts[contact.id] = contact

    def join(self, identities: list[IdentityRecord]) -> None:
        """Make one contact of those that these identities are; `identities` holds all of each of them."""
        winner = self.ledger.contacts[min(identity.contact_id for identity in identities)]
        self.changed.contacts[winner.id] = winner
        for identity in identities:
            loser = self.ledger.contacts.get(identity.contact_id)
            if loser is not None and loser is not winner:
                _absorb(winner, loser)
                self.changed.contacts[loser.id] = loser
            if identity.contact_id != winner.id:
                identity.contact_id = winner.id
                self.changed.identities[identity.id] = identity
            self._point_to(winner, record_id("ct", identity.vendor, identity.realm, identity.external_id))

    def _point_to(self, winner: ContactRecord, contact_id: str) -> None:
        """Whoever asks for a contact that an identity once was finds the one it is now."""
        if contact_id == winner.id:
            return
        former = self.contact(contact_id, HEAT_EPOCH)
        if former.merged_into != winner.id:
            former.merged_into = winner.id
            self.changed.contacts[contact_id] = former

    # Messages and conversations --------------------------------------------------------------

    def message(self, vendor: str, event: Stamped, external_id: str) -> MessageRecord:
        """The record of a message; a stub if this is the first we hear of it."""
        key = message_id_of(vendor, external_id)
        message = self.ledger.messages.get(key)
        if message is None:
            message = MessageRecord(
                id=key,
                vendor=vendor,
                channel_external_id=event.channel_external_id,
                external_id=external_id,
                at=event.at,
            )
            self.ledger.messages[key] = message
        self.changed.messages[key] = message
        return message

    def conversation(
        self, key: str, vendor: str, event: Stamped, *, kind: str, surface: str
    ) -> ConversationRecord:
        """The conversation of that id, made if there is none."""
        conversation = self.ledger.conversations.get(key)
        if conversation is None:
            conversation = ConversationRecord(
                id=key,
                vendor=vendor,
                channel_external_id=event.channel_external_id,
                kind=kind,
                surface=surface,
                created_at=event.at,
                updated_at=event.at,
            )
            self.ledger.conversations[key] = conversation
            self.emptied.discard(key)
        elif surface > conversation.surface:
            conversation.surface = surface
        self.changed.conversations[key] = conversation
        return conversation

    def touch_quiet(self, conversation: ConversationRecord, at: datetime) -> None:
        """Something came that is no message: dates a conversation only as long as it has none."""
        if not conversation.last_message_id:
            conversation.created_at = min(conversation.created_at, at)
            conversation.updated_at = max(conversation.updated_at, at)

    def count(self, message: MessageRecord, before: "Before") -> None:
        """Bring its conversation's counts forward from how the message was `before`."""
        conversation = self.ledger.conversations.get(message.conversation_id)
        if conversation is None or not message.is_known:
            return
        self.changed.conversations[conversation.id] = conversation
        if before.is_counted and (before.at != message.at or before.conversation_id != conversation.id):
            self.recounts.update({before.conversation_id, conversation.id})
            return
        if before.is_counted and before.is_theirs != is_theirs(message):
            self.recounts.add(conversation.id)
            return
        was_unread = before.is_counted and before.was_unread
        conversation.unread_count += is_unread(message, conversation) - was_unread
        _include(conversation, message)

    def recount(self, conversation: ConversationRecord, totals: MessageTotals | None) -> None:
        """All that follows from a conversation's messages, from all of them (`None`: it has none)."""
        conversation.last_message_id, conversation.last_message_at = "", None
        conversation.last_received_at, conversation.unread_count = None, 0
        if totals is not None:
            conversation.created_at, conversation.updated_at = totals.first_at, totals.changed_at
            conversation.last_message_id, conversation.last_message_at = totals.last_id, totals.last_at
            conversation.last_received_at = totals.received_at
            conversation.unread_count = totals.unread
            if totals.received_exactly_at is not None:
                _reopen(conversation, totals.received_exactly_at)
        self.changed.conversations[conversation.id] = conversation

    # Activity --------------------------------------------------------------------------------

    def activity(
        self, vendor: str, event: Stamped, kind: str, *names: str, external_id: str
    ) -> ActivityRecord:
        """The record of something done, made (absent, with an inexact moment) if there is none."""
        key = record_id("ac", vendor, kind, *names)
        activity = self.ledger.activities.get(key)
        if activity is None:
            activity = ActivityRecord(
                id=key,
                vendor=vendor,
                channel_external_id=event.channel_external_id,
                kind=kind,
                external_id=external_id,
                stamp=NEVER,
                is_present=False,
                at=event.at,
                is_exact=False,
            )
            self.ledger.activities[key] = activity
        self.changed.activities[key] = activity
        return activity

    def warm(self, activity: ActivityRecord, before: tuple[str, float]) -> None:
        """Set the contact's heat right after `activity` changed from what `heat_of_activity` said before."""
        after = heat_of_activity(activity)
        if before != after:
            self.add_heat(before[0], -before[1])
            self.add_heat(*after)

    def post(self, vendor: str, event: Stamped, post_external_id: str) -> PostRecord:
        """The record of a post; a stub if this is the first we hear of it."""
        key = post_id_of(vendor, post_external_id)
        post = self.ledger.posts.get(key)
        if post is None:
            post = PostRecord(
                id=key,
                vendor=vendor,
                channel_external_id=event.channel_external_id,
                external_id=post_external_id,
            )
            self.ledger.posts[key] = self.changed.posts[key] = post
        return post


@attrs.frozen
class Before:
    """What of a message its conversation has counted already."""

    is_counted: bool
    is_theirs: bool
    at: datetime
    conversation_id: str
    was_unread: bool
    heat: float

    @classmethod
    def of(cls, message: MessageRecord, merge: Merge) -> "Before":
        """As it stands now."""
        conversation = merge.ledger.conversations.get(message.conversation_id)
        is_counted = message.is_known and conversation is not None
        return cls(
            is_counted=is_counted,
            is_theirs=is_theirs(message),
            at=message.at,
            conversation_id=message.conversation_id,
            was_unread=conversation is not None and is_unread(message, conversation),
            heat=heat_of_message(message),
        )


def heat_of_message(message: MessageRecord) -> float:
    """What a direct message adds to its author's heat."""
    counts = message.is_known and is_theirs(message) and message.identity_id and message.removed_at is None
    return heat_of(MESSAGE, message.at) if counts else 0.0


def heat_of_activity(activity: ActivityRecord) -> tuple[str, float]:
    """Whose heat an activity adds to, and how much."""
    heat = heat_of(activity.kind, activity.at) if activity.is_present and activity.identity_id else 0.0
    return (activity.identity_id, heat)


def _include(conversation: ConversationRecord, message: MessageRecord) -> None:
    """What a known message says about its conversation, however often it is said."""
    moments = [moment for moment in (message.edited_at, message.removed_at) if moment is not None]
    if not conversation.last_message_id:
        conversation.created_at, conversation.updated_at = message.at, max([message.at, *moments])
    else:
        conversation.created_at = min(conversation.created_at, message.at)
        conversation.updated_at = max([conversation.updated_at, message.at, *moments])
    last = (conversation.last_message_at or message.at, conversation.last_message_id)
    if not conversation.last_message_id or (message.at, message.id) > last:
        conversation.last_message_id, conversation.last_message_at = message.id, message.at
    if not is_theirs(message):
        return
    conversation.last_received_at = latest(conversation.last_received_at, message.at)
    if message.is_exact:
        _reopen(conversation, message.at)


def _reopen(conversation: ConversationRecord, written_at: datetime) -> None:
    """Somebody who writes after it was closed or snoozed opens it again."""
    closed_at = conversation.status_stamp
    if conversation.status != "open" and closed_at is not None and written_at > closed_at:
        conversation.status, conversation.snoozed_until = "open", None


def _see(contact: ContactRecord, first: datetime, last: datetime, *, is_exact: bool) -> bool:
    """They were seen from `first` to `last`; false if that says nothing new.

    What is exact beats what is not. Of what is not, the earliest counts: a sync finds the same thing again
    and again, and nobody came by because of that.
    """
    before = (contact.first_seen_at, contact.last_seen_at, contact.is_exact)
    if is_exact and not contact.is_exact:
        contact.first_seen_at, contact.last_seen_at, contact.is_exact = first, last, True
    elif is_exact:
        contact.first_seen_at = min(contact.first_seen_at, first)
        contact.last_seen_at = max(contact.last_seen_at, last)
    elif not contact.is_exact:
        contact.first_seen_at = contact.last_seen_at = min(contact.first_seen_at, first)
    return before != (contact.first_seen_at, contact.last_seen_at, contact.is_exact)


def _absorb(winner: ContactRecord, loser: ContactRecord) -> None:
    """Two contacts are one: the winner gets what was known of both, the loser keeps nothing but its id."""
    if loser.name_stamp is not None and is_later(
        loser.name_stamp, loser.name, winner.name_stamp, winner.name
    ):
        winner.name, winner.name_stamp = loser.name, loser.name_stamp
    if not loser.merged_into:
        _see(winner, loser.first_seen_at, loser.last_seen_at, is_exact=loser.is_exact)
    winner.heat += loser.heat
    loser.name, loser.name_stamp, loser.heat = "", None, 0.0
    loser.first_seen_at, loser.last_seen_at, loser.is_exact = HEAT_EPOCH, HEAT_EPOCH, True
    loser.merged_into = winner.id
