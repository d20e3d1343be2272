"""The CRM's tables: a row is a record of `moorage_ports.crm_records`, its columns are the record's fields.

What is no field of a record (`sort_name`, `listed_at`, `…_key`) is made when the record is written. A `…_key`
stands for a vendor's id where that is looked up: what is indexed must be short (see `crm_codec.short`).
"""

from datetime import datetime
from typing import Final

from sqlalchemy import BigInteger, Double, Index, Text, UniqueConstraint, false, text, true
from sqlmodel import Field

from moorage_adapters.sqlmodel.crm_types import BYTEWISE, Attachments, Reactions, TextMap
from moorage_adapters.sqlmodel.schema import BIG_KEY, Base, core, partial
from moorage_adapters.sqlmodel.types import CleanText, EnumValue, Texts, UtcDateTime
from moorage_ports.events import DeliveryState, MessageKind, Severity

# Conditions of partial indexes: a statement has to say them in these words, not with parameters.
IS_CONTACT: Final = text("contact.merged_into = ''")
IS_NAMELESS: Final = text("contact_identity.name = '' AND contact_identity.handle = ''")
IS_LISTED: Final = text("conversation.last_message_id <> ''")
IS_PRESENT: Final = text("activity.is_present")
IS_POST: Final = text("post.removed_at IS NULL")
IS_SENT_FROM_HERE: Final = text("message.attempt_id <> ''")
IS_ATTEMPT: Final = text("message.external_id = ''")


# Long before anybody wrote: who is asked about for the first time is asked about at once.
_AT_ONCE: Final = text("'1970-01-01 00:00:00.000000'")


class ContactRow(Base, table=True):
    """A person to the org. One that was joined to another names it in `merged_into`."""

    __tablename__ = "contact"
    __table_args__ = (
        partial("ix_contact_heat", text("merged_into = ''"), "org_id", "heat", "id"),
        partial("ix_contact_seen", text("merged_into = ''"), "org_id", "last_seen_at", "id"),
        partial("ix_contact_name", text("merged_into = ''"), "org_id", "sort_name", "id"),
        partial("ix_contact_merged", text("merged_into <> ''"), "org_id", "merged_into"),
    )

    org_id: str = Field(primary_key=True, sa_type=Text)
    id: str = Field(primary_key=True, sa_type=CleanText)
    name: str = Field(sa_type=CleanText)
    name_stamp: datetime | None = Field(sa_type=UtcDateTime)
    heat: float = Field(sa_type=Double)
    first_seen_at: datetime = Field(sa_type=UtcDateTime)
    last_seen_at: datetime = Field(sa_type=UtcDateTime)
    is_exact: bool = Field(sa_column_kwargs={"server_default": true()})
    merged_into: str = Field(sa_type=CleanText)
    sort_name: str = Field(sa_type=BYTEWISE)


class IdentityRow(Base, table=True):
    """A person as one vendor knows them in one realm.

    `ask_at` is when the vendor is asked what they are called, if nobody has said that by then. No record
    has it: events write whole records, and know nothing of it.
    """

    __tablename__ = "contact_identity"
    __table_args__ = (
        Index("ix_contact_identity_contact", "org_id", "contact_id"),
        partial(
            "ix_contact_identity_nameless", text("name = '' AND handle = ''"), "org_id", "vendor", "ask_at"
        ),
    )

    org_id: str = Field(primary_key=True, sa_type=Text)
    id: str = Field(primary_key=True, sa_type=CleanText)
    vendor: str = Field(sa_type=CleanText)
    realm: str = Field(sa_type=CleanText)
    external_id: str = Field(sa_type=CleanText)
    name: str = Field(sa_type=CleanText)
    name_stamp: datetime | None = Field(sa_type=UtcDateTime)
    handle: str = Field(sa_type=CleanText)
    handle_stamp: datetime | None = Field(sa_type=UtcDateTime)
    contact_id: str = Field(sa_type=CleanText)
    ask_at: datetime = Field(sa_type=UtcDateTime, sa_column_kwargs={"server_default": _AT_ONCE})


class ConversationRow(Base, table=True):
    """A thread of comments, or the messages between a person and a channel."""

    __tablename__ = "conversation"
    __table_args__ = (
        partial("ix_conversation_newest", text("last_message_id <> ''"), "org_id", "updated_at", "id"),
        partial(
            "ix_conversation_status", text("last_message_id <> ''"), "org_id", "status", "updated_at", "id"
        ),
        partial("ix_conversation_assignee", text("assignee <> ''"), "org_id", "assignee", "updated_at"),
        partial("ix_conversation_unread", text("unread_count > 0"), "org_id", "updated_at"),
        Index("ix_conversation_identity", "org_id", "identity_id"),
    )

    org_id: str = Field(primary_key=True, sa_type=Text)
    id: str = Field(primary_key=True, sa_type=CleanText)
    vendor: str = Field(sa_type=CleanText)
    channel_external_id: str = Field(sa_type=CleanText)
    kind: str = Field(sa_type=CleanText)
    surface: str = Field(sa_type=CleanText)
    thread_external_id: str = Field(sa_type=CleanText)
    post_external_id: str = Field(sa_type=CleanText)
    identity_id: str = Field(sa_type=CleanText)
    status: str = Field(sa_type=CleanText)
    status_stamp: datetime | None = Field(sa_type=UtcDateTime)
    snoozed_until: datetime | None = Field(sa_type=UtcDateTime)
    assignee: str = Field(sa_type=CleanText)
    tags: tuple[str, ...] = Field(sa_type=Texts)
    read_at: datetime | None = Field(sa_type=UtcDateTime)
    last_message_id: str = Field(sa_type=CleanText)
    last_message_at: datetime | None = Field(sa_type=UtcDateTime)
    last_received_at: datetime | None = Field(sa_type=UtcDateTime)
    unread_count: int
    reply_until: datetime | None = Field(sa_type=UtcDateTime)
    delivered_up_to: datetime | None = Field(sa_type=UtcDateTime)
    read_up_to: datetime | None = Field(sa_type=UtcDateTime)
    owner: str = Field(sa_type=CleanText)
    owner_stamp: datetime | None = Field(sa_type=UtcDateTime)
    created_at: datetime = Field(sa_type=UtcDateTime)
    updated_at: datetime = Field(sa_type=UtcDateTime)


class MessageRow(Base, table=True):
    """A comment or a direct message."""

    __tablename__ = "message"
    __table_args__ = (
        Index("ix_message_conversation", "org_id", "conversation_id", "at", "id"),
        partial("ix_message_attempt", text("attempt_id <> ''"), "org_id", "attempt_id"),
        partial("ix_message_attempted", text("external_id = ''"), "org_id", "conversation_id"),
    )

    org_id: str = Field(primary_key=True, sa_type=Text)
    id: str = Field(primary_key=True, sa_type=CleanText)
    vendor: str = Field(sa_type=CleanText)
    channel_external_id: str = Field(sa_type=CleanText)
    external_id: str = Field(sa_type=CleanText)
    conversation_id: str = Field(sa_type=CleanText)
    parent_external_id: str = Field(sa_type=CleanText)
    is_known: bool
    is_ours: bool
    is_history: bool = Field(sa_column_kwargs={"server_default": false()})
    identity_id: str = Field(sa_type=CleanText)
    sent_by: str = Field(sa_type=CleanText)
    attempt_id: str = Field(sa_type=CleanText)
    kind: MessageKind = Field(sa_type=EnumValue(MessageKind))
    text: str = Field(sa_type=CleanText)
    attachments: tuple[object, ...] = Field(sa_type=Attachments)
    attachments_stamp: datetime | None = Field(sa_type=UtcDateTime)
    payload: str = Field(sa_type=CleanText)
    text_stamp: datetime | None = Field(sa_type=UtcDateTime)
    permalink: str = Field(sa_type=CleanText)
    reply_to_external_id: str = Field(sa_type=CleanText)
    at: datetime = Field(sa_type=UtcDateTime)
    is_exact: bool
    edited_at: datetime | None = Field(sa_type=UtcDateTime)
    removed_at: datetime | None = Field(sa_type=UtcDateTime)
    is_hidden: bool
    hidden_stamp: datetime | None = Field(sa_type=UtcDateTime)
    state: DeliveryState | None = Field(sa_type=EnumValue(DeliveryState))
    state_at: datetime | None = Field(sa_type=UtcDateTime)
    error_code: str = Field(sa_type=CleanText)
    error: str = Field(sa_type=CleanText)
    reactions: dict[str, tuple[str, str]] = Field(sa_type=Reactions)


class ActivityRow(Base, table=True):
    """What a person did."""

    __tablename__ = "activity"
    __table_args__ = (
        partial("ix_activity_newest", text("is_present"), "org_id", "at", "id"),
        partial("ix_activity_post", text("is_present"), "org_id", "post_key", "at", "id"),
        partial("ix_activity_identity", text("is_present"), "org_id", "identity_id", "at", "id"),
        partial("ix_activity_about", text("about_key <> ''"), "org_id", "about_key"),
    )

    org_id: str = Field(primary_key=True, sa_type=Text)
    id: str = Field(primary_key=True, sa_type=CleanText)
    vendor: str = Field(sa_type=CleanText)
    channel_external_id: str = Field(sa_type=CleanText)
    kind: str = Field(sa_type=CleanText)
    external_id: str = Field(sa_type=CleanText)
    target: str = Field(sa_type=CleanText)
    post_external_id: str = Field(sa_type=CleanText)
    identity_id: str = Field(sa_type=CleanText)
    reaction: str = Field(sa_type=CleanText)
    text: str = Field(sa_type=CleanText)
    stamp: datetime = Field(sa_type=UtcDateTime)
    is_present: bool
    at: datetime = Field(sa_type=UtcDateTime)
    is_exact: bool
    about_key: str = Field(sa_type=Text)  # of a comment: the message that it is
    post_key: str = Field(sa_type=Text)


class PostRow(Base, table=True):
    """A post on a channel. `listed_at` puts those in order, too, whose date nobody knows."""

    __tablename__ = "post"
    __table_args__ = (
        partial("ix_post_newest", text("removed_at IS NULL"), "org_id", "listed_at", "id"),
        Index("ix_post_external", "org_id", "external_key"),
    )

    org_id: str = Field(primary_key=True, sa_type=Text)
    id: str = Field(primary_key=True, sa_type=CleanText)
    vendor: str = Field(sa_type=CleanText)
    channel_external_id: str = Field(sa_type=CleanText)
    external_id: str = Field(sa_type=CleanText)
    identity_id: str = Field(sa_type=CleanText)
    text: str = Field(sa_type=CleanText)
    attachments: tuple[object, ...] = Field(sa_type=Attachments)
    permalink: str = Field(sa_type=CleanText)
    stamp: datetime | None = Field(sa_type=UtcDateTime)
    created_at: datetime | None = Field(sa_type=UtcDateTime)
    is_hidden: bool
    hidden_stamp: datetime | None = Field(sa_type=UtcDateTime)
    removed_at: datetime | None = Field(sa_type=UtcDateTime)
    shares: int = Field(sa_type=BigInteger)
    shares_stamp: datetime | None = Field(sa_type=UtcDateTime)
    external_key: str = Field(sa_type=Text)
    listed_at: datetime = Field(sa_type=UtcDateTime)


class NoticeRow(Base, table=True):
    """What a vendor told a channel's owner."""

    __tablename__ = "notice"
    __table_args__ = (Index("ix_notice_newest", "org_id", "at", "id"),)

    org_id: str = Field(primary_key=True, sa_type=Text)
    id: str = Field(primary_key=True, sa_type=CleanText)
    vendor: str = Field(sa_type=CleanText)
    channel_external_id: str = Field(sa_type=CleanText)
    kind: str = Field(sa_type=CleanText)
    severity: Severity = Field(sa_type=EnumValue(Severity))
    text: str = Field(sa_type=CleanText)
    details: dict[str, str] = Field(sa_type=TextMap)
    at: datetime = Field(sa_type=UtcDateTime)


class UnmappedRow(Base, table=True):
    """How often a kind came that nobody has mapped."""

    __tablename__ = "unmapped_kind"

    org_id: str = Field(primary_key=True, sa_type=Text)
    id: str = Field(primary_key=True, sa_type=CleanText)
    vendor: str = Field(sa_type=CleanText)
    kind: str = Field(sa_type=CleanText)
    count: int = Field(sa_type=BigInteger)
    first_at: datetime = Field(sa_type=UtcDateTime)
    last_at: datetime = Field(sa_type=UtcDateTime)
    item_id: str = Field(sa_type=CleanText)


class SearchEntryRow(Base, table=True):
    """The words of a record that people search for; see `crm_search`."""

    __tablename__ = "search_entry"
    __table_args__ = (UniqueConstraint("org_id", "id"), {"sqlite_autoincrement": True})

    no: int | None = Field(default=None, primary_key=True, sa_type=BIG_KEY)
    org_id: str = Field(sa_type=Text)
    id: str = Field(sa_type=CleanText)
    about_key: str = Field(sa_type=Text)  # of a message: what its activity is about
    words: str = Field(sa_type=Text)


CONTACT = core(ContactRow)
IDENTITY = core(IdentityRow)
CONVERSATION = core(ConversationRow)
MESSAGE = core(MessageRow)
ACTIVITY = core(ActivityRow)
POST = core(PostRow)
NOTICE = core(NoticeRow)
UNMAPPED = core(UnmappedRow)
SEARCH_ENTRY = core(SearchEntryRow)
