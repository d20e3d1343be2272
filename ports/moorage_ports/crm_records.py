"""The CRM's records as the host merges events into them: load, merge, save, in one unit of work.

Every id but a vendor's is made from what it names (see `record_id`), so that whoever sees a thing first,
a webhook or a sync, here or in another process, makes the same record of it. A `..._stamp` is the moment
whose word a field holds: an older moment never overwrites a newer one.
"""

import hashlib
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Protocol

import attrs

from moorage_ports.events import Attachment, DeliveryState, MessageKind, Severity


def record_id(prefix: str, *names: str) -> str:
    """The id of what `names` name; the same in every process and for every order of arrival."""
    digest = hashlib.blake2b(digest_size=15)
    for name in names:
        raw = name.encode("utf-8", "surrogatepass")
        digest.update(len(raw).to_bytes(4, "big") + raw)
    return f"{prefix}_{digest.hexdigest()}"


def attempt_record_id(vendor: str, attempt_id: str) -> str:
    """The id of the message record that stands for something sent from here, until its own id is known."""
    return record_id("ms", vendor, "attempt", attempt_id)


@attrs.define(kw_only=True)
class IdentityRecord:
    """A person as one vendor knows them in one realm; `contact_id` is who that is to the org."""

    id: str
    vendor: str
    realm: str
    external_id: str
    name: str = attrs.field(default="", repr=False)
    name_stamp: datetime | None = None
    handle: str = attrs.field(default="", repr=False)
    handle_stamp: datetime | None = None
    contact_id: str


@attrs.define(kw_only=True)
class ContactRecord:
    """A person to the org. One that was joined to another is that one from then on (`merged_into`).

    `heat` is the engagement score as if all of it were read at `HEAT_EPOCH` (see `moorage.crm.scoring`): it
    grows with what a person does, halves by itself with time, and orders contacts without being rewritten.
    """

    id: str
    name: str = attrs.field(default="", repr=False)
    name_stamp: datetime | None = None
    heat: float = 0.0
    first_seen_at: datetime
    last_seen_at: datetime
    is_exact: bool = True  # they were seen then; else that is when a sync first found something of theirs
    merged_into: str = ""


@attrs.define(kw_only=True)
class ConversationRecord:
    """A thread of comments below one top-level comment, or the messages between a person and a channel."""

    id: str
    vendor: str
    channel_external_id: str
    kind: str  # `comment` or `direct`
    surface: str
    thread_external_id: str = ""  # the top-level comment's id; empty for messages
    post_external_id: str = ""
    identity_id: str = ""  # the person: who began the thread, or who writes
    # What people here decided; `status_stamp` is when they last changed any of it.
    status: str = "open"  # open, pending, closed, snoozed
    status_stamp: datetime | None = None
    snoozed_until: datetime | None = None
    assignee: str = ""
    tags: tuple[str, ...] = ()
    read_at: datetime | None = None  # up to when somebody here has read
    # What follows from the messages; a conversation without one is not listed.
    last_message_id: str = ""
    last_message_at: datetime | None = None
    last_received_at: datetime | None = None
    unread_count: int = 0
    reply_until: datetime | None = None
    delivered_up_to: datetime | None = None
    read_up_to: datetime | None = None
    owner: str = ""  # another program that answers this person at the moment
    owner_stamp: datetime | None = None
    created_at: datetime
    updated_at: datetime


@attrs.define(kw_only=True)
class MessageRecord:
    """A comment or a direct message. One that is only heard of (an edit came first) is not `is_known`.

    One that was sent from here bears its `attempt_id`. Until the vendor says under which id it has it, its
    `external_id` is empty: it is an attempt (see `attempt_record_id`), and gives way to the message.
    """

    id: str
    vendor: str
    channel_external_id: str
    external_id: str
    conversation_id: str = ""  # empty while nobody knows
    parent_external_id: str = ""
    is_known: bool = False
    is_ours: bool = False
    is_history: bool = False  # nobody has told of it but a history: it was never news here
    identity_id: str = ""
    sent_by: str = ""  # the member of the org who wrote it here
    attempt_id: str = ""
    kind: MessageKind = MessageKind.TEXT
    text: str = attrs.field(default="", repr=False)
    attachments: tuple[Attachment, ...] = attrs.field(default=(), repr=False)
    attachments_stamp: datetime | None = None
    payload: str = attrs.field(default="", repr=False)
    text_stamp: datetime | None = None
    permalink: str = ""
    reply_to_external_id: str = ""
    at: datetime
    is_exact: bool = False  # `at` is when it was written; else the best that was heard
    edited_at: datetime | None = None
    removed_at: datetime | None = None
    is_hidden: bool = False
    hidden_stamp: datetime | None = None
    state: DeliveryState | None = None  # of ours only
    state_at: datetime | None = None
    error_code: str = ""
    error: str = attrs.field(default="", repr=False)
    # Identity id -> (reaction, moment in ISO form); an empty reaction was taken back.
    reactions: Mapping[str, tuple[str, str]] = attrs.field(factory=dict)


@attrs.define(kw_only=True)
class ActivityRecord:
    """What a person did. Kinds: comment, reaction, share, mention, and those of `ContactMoment`."""

    id: str
    vendor: str
    channel_external_id: str
    kind: str
    external_id: str = ""  # the comment's, the share's, what a reaction is about
    target: str = ""  # of a reaction: post, comment, message
    post_external_id: str = ""
    identity_id: str = ""
    reaction: str = ""
    text: str = attrs.field(default="", repr=False)
    stamp: datetime  # of `reaction`, `text` and whether it is there at all
    is_present: bool = True
    at: datetime
    is_exact: bool = True


@attrs.define(kw_only=True)
class PostRecord:
    """A post on a channel that people comment on, whoever published it."""

    id: str
    vendor: str
    channel_external_id: str
    external_id: str
    identity_id: str = ""
    text: str = attrs.field(default="", repr=False)
    attachments: tuple[Attachment, ...] = attrs.field(default=(), repr=False)
    permalink: str = ""
    stamp: datetime | None = None
    created_at: datetime | None = None
    is_hidden: bool = False
    hidden_stamp: datetime | None = None
    removed_at: datetime | None = None
    shares: int = 0
    shares_stamp: datetime | None = None


@attrs.define(kw_only=True)
class NoticeRecord:
    """What the vendor told the channel's owner."""

    id: str
    vendor: str
    channel_external_id: str
    kind: str
    severity: Severity
    text: str = attrs.field(default="", repr=False)
    details: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    at: datetime


@attrs.define(kw_only=True)
class UnmappedRecord:
    """How often a kind came that nobody has mapped; one item of the inbox to look at."""

    id: str
    vendor: str
    kind: str
    count: int = 0
    first_at: datetime
    last_at: datetime
    item_id: str = ""


@attrs.define
class Ledger:
    """Records by id. What was loaded, what a merge added, and in the end what is saved."""

    identities: dict[str, IdentityRecord] = attrs.field(factory=dict)
    contacts: dict[str, ContactRecord] = attrs.field(factory=dict)
    conversations: dict[str, ConversationRecord] = attrs.field(factory=dict)
    messages: dict[str, MessageRecord] = attrs.field(factory=dict)
    activities: dict[str, ActivityRecord] = attrs.field(factory=dict)
    posts: dict[str, PostRecord] = attrs.field(factory=dict)
    notices: dict[str, NoticeRecord] = attrs.field(factory=dict)
    unmapped: dict[str, UnmappedRecord] = attrs.field(factory=dict)


@attrs.define
class LedgerKeys:
    """Which records a merge needs, by id."""

    identities: set[str] = attrs.field(factory=set)
    contacts: set[str] = attrs.field(factory=set)
    conversations: set[str] = attrs.field(factory=set)
    messages: set[str] = attrs.field(factory=set)
    activities: set[str] = attrs.field(factory=set)
    posts: set[str] = attrs.field(factory=set)
    notices: set[str] = attrs.field(factory=set)
    unmapped: set[str] = attrs.field(factory=set)


@attrs.frozen(kw_only=True)
class MessageTotals:
    """What the known messages of a conversation come to. `changed_at`: written, edited or removed last."""

    first_at: datetime
    changed_at: datetime
    last_id: str
    last_at: datetime
    received_at: datetime | None = None  # the other side's last one
    received_exactly_at: datetime | None = None  # the last one whose moment is exact
    unread: int = 0


class CrmRecords(Protocol):
    """The org's CRM records, in a unit of work that writes."""

    async def load(self, keys: LedgerKeys) -> Ledger:
        """The records with these ids that exist.

        From the first load on, the org's records are this unit of work's alone until it ends: what is
        merged into them cannot be overtaken. The identities' contacts come with them.
        """
        ...

    async def messages_of(self, conversation_ids: Collection[str]) -> tuple[MessageRecord, ...]:
        """All messages of these conversations, oldest first. After `load` only."""
        ...

    async def totals_of(self, read_at: Mapping[str, datetime | None]) -> Mapping[str, MessageTotals]:
        """What all known messages of these conversations come to, as they are saved.

        Unread is what the other side wrote since the moment given for a conversation, and did not remove. One
        without a known message is left out. A notice (`MessageKind`) counts as nobody's. After `load` only.
        """
        ...

    async def attempts_in(self, conversation_ids: Collection[str]) -> tuple[MessageRecord, ...]:
        """The attempts in these conversations that are no messages yet, oldest first. After `load` only."""
        ...

    async def identities_of(self, contact_ids: Collection[str]) -> tuple[IdentityRecord, ...]:
        """All identities of these contacts. After `load` only."""
        ...

    async def talks_of(self, identity_ids: Collection[str]) -> tuple[ConversationRecord, ...]:
        """All direct conversations with these identities. After `load` only."""
        ...

    async def save(self, ledger: Ledger) -> None:
        """Insert or replace every record of `ledger`."""
        ...

    async def remove_conversations(self, conversation_ids: Collection[str]) -> None:
        """Delete conversations that have no message any more (what was their thread is part of another)."""
        ...

    async def remove_messages(self, message_ids: Collection[str]) -> None:
        """Delete messages, and the words they are found by. After `load` only."""
        ...

    async def remove_activities(self, activity_ids: Collection[str]) -> None:
        """Delete activities, and the words they are found by. After `load` only."""
        ...

    async def remove_posts(self, post_ids: Collection[str]) -> None:
        """Delete posts. After `load` only."""
        ...

    async def remove_people(self, contact_ids: Collection[str], identity_ids: Collection[str]) -> None:
        """Delete contacts and identities, and the names they are found by. After `load` only."""
        ...

    async def erased(self, keys: Collection[str]) -> Mapping[str, datetime]:
        """Which records of these ids were erased, and when: they are not to be made again."""
        ...

    async def mark_erased(self, keys: Collection[str], *, at: datetime) -> None:
        """Records of these ids are not to be made again, either; a mark that is there already stays."""
        ...
