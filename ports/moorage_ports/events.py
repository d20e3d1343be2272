"""Neutral events: what a webhook or a sync says happened, in words of no vendor.

A plugin translates a `Change` into events with pure functions; the host applies them. What nobody
mapped becomes `Unmapped`, keeps `raw`, and is counted, never refused.

Deliveries come late, twice and in any order, so every event can be applied at any time: it says what was
true of one thing (a comment, a reaction, a message) at one moment, `at`, and the later moment wins.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import TypeAlias

import attrs
from attrs.validators import min_len

from moorage_ports.values import is_aware


@attrs.frozen(kw_only=True)
class Person:
    """Somebody, as a vendor knows them. The id means something only within its `realm`.

    `realm` is the channel's id where ids are scoped to a channel, else the vendor's word for the id space.
    """

    external_id: str = attrs.field(validator=min_len(1))
    realm: str = attrs.field(validator=min_len(1))
    name: str = attrs.field(default="", repr=False)
    handle: str = attrs.field(default="", repr=False)


class AttachmentType(Enum):
    """What is attached to a comment or a message."""

    IMAGE = "image"
    VIDEO = "video"
    AUDIO = "audio"
    FILE = "file"
    STICKER = "sticker"
    LOCATION = "location"
    CONTACT = "contact"
    LINK = "link"
    STORY = "story"
    ORDER = "order"
    TEMPLATE = "template"
    OTHER = "other"


@attrs.frozen(kw_only=True)
class Attachment:
    """One thing attached. `url` may expire within days; `external_id` is what to fetch it anew by.

    `details` hold what only this type has (coordinates, a phone number, a product), flat, as text.
    """

    type: AttachmentType
    url: str = attrs.field(default="", repr=False)
    external_id: str = ""
    title: str = attrs.field(default="", repr=False)
    mime_type: str = ""
    details: Mapping[str, str] = attrs.field(factory=dict, repr=False)


# Posts and what people do about them -------------------------------------------------------------


@attrs.frozen(kw_only=True)
class PostSeen:
    """A post on a channel, as it stood at `at`: it was added, edited, or read by a sync."""

    channel_external_id: str = attrs.field(validator=min_len(1))
    post_external_id: str = attrs.field(validator=min_len(1))
    at: datetime = attrs.field(validator=is_aware)
    created_at: datetime | None = attrs.field(default=None, validator=is_aware)
    author: Person | None = None  # None: the channel itself
    text: str = attrs.field(default="", repr=False)
    attachments: tuple[Attachment, ...] = attrs.field(default=(), repr=False)
    permalink: str = ""
    is_hidden: bool | None = None  # None: this says nothing about it
    shares: int | None = None  # how often it was shared, where the vendor says a number


@attrs.frozen(kw_only=True)
class PostRemoved:
    """A post is gone for good."""

    channel_external_id: str = attrs.field(validator=min_len(1))
    post_external_id: str = attrs.field(validator=min_len(1))
    at: datetime = attrs.field(validator=is_aware)


@attrs.frozen(kw_only=True)
class CommentSeen:
    """A comment as it stood at `at`: it was added, edited, or read by a sync.

    `parent_external_id` is the comment it answers, empty if it stands below the post itself. `author` is
    `None` if the channel wrote it, or if the vendor does not name the person (`is_ours` tells which).
    """

    channel_external_id: str = attrs.field(validator=min_len(1))
    comment_external_id: str = attrs.field(validator=min_len(1))
    at: datetime = attrs.field(validator=is_aware)
    surface: str = attrs.field(validator=min_len(1))  # where, in the vendor's word
    post_external_id: str = ""
    parent_external_id: str = ""
    author: Person | None = None
    is_ours: bool = False
    created_at: datetime | None = attrs.field(default=None, validator=is_aware)
    is_edit: bool = False
    text: str = attrs.field(default="", repr=False)
    attachments: tuple[Attachment, ...] = attrs.field(default=(), repr=False)
    permalink: str = ""
    is_hidden: bool | None = None  # None: this says nothing about it
    reference: str = ""  # as `MessageSeen.reference`


@attrs.frozen(kw_only=True)
class CommentHidden:
    """The channel hid a comment from others, or shows it again."""

    channel_external_id: str = attrs.field(validator=min_len(1))
    comment_external_id: str = attrs.field(validator=min_len(1))
    at: datetime = attrs.field(validator=is_aware)
    is_hidden: bool = True


@attrs.frozen(kw_only=True)
class CommentRemoved:
    """A comment is gone for good; its text may not be shown any more."""

    channel_external_id: str = attrs.field(validator=min_len(1))
    comment_external_id: str = attrs.field(validator=min_len(1))
    at: datetime = attrs.field(validator=is_aware)


class Target(Enum):
    """What a reaction is about."""

    POST = "post"
    COMMENT = "comment"
    MESSAGE = "message"


@attrs.frozen(kw_only=True)
class ReactionSet:
    """A person reacted, or changed how: one per person and target. `reaction` is a word or an emoji.

    `is_exact`: `at` is when it happened; else it is when a sync found it there.
    """

    channel_external_id: str = attrs.field(validator=min_len(1))
    target: Target
    target_external_id: str = attrs.field(validator=min_len(1))
    person: Person
    reaction: str = attrs.field(validator=min_len(1))
    at: datetime = attrs.field(validator=is_aware)
    is_exact: bool = True
    post_external_id: str = ""


@attrs.frozen(kw_only=True)
class ReactionRemoved:
    """A person took their reaction back."""

    channel_external_id: str = attrs.field(validator=min_len(1))
    target: Target
    target_external_id: str = attrs.field(validator=min_len(1))
    person: Person
    at: datetime = attrs.field(validator=is_aware)
    post_external_id: str = ""


@attrs.frozen(kw_only=True)
class PostShared:
    """Somebody shared a post. Most vendors name the person only sometimes."""

    channel_external_id: str = attrs.field(validator=min_len(1))
    post_external_id: str = attrs.field(validator=min_len(1))
    share_external_id: str = attrs.field(validator=min_len(1))
    at: datetime = attrs.field(validator=is_aware)
    person: Person | None = None
    text: str = attrs.field(default="", repr=False)


@attrs.frozen(kw_only=True)
class Mentioned:
    """Somebody named the channel, in a post, a comment or a story of theirs, or reviewed it."""

    channel_external_id: str = attrs.field(validator=min_len(1))
    mention_external_id: str = attrs.field(validator=min_len(1))
    at: datetime = attrs.field(validator=is_aware)
    surface: str = attrs.field(validator=min_len(1))
    person: Person | None = None
    text: str = attrs.field(default="", repr=False)
    post_external_id: str = ""
    permalink: str = ""


@attrs.frozen(kw_only=True)
class MentionRemoved:
    """The mention is gone."""

    channel_external_id: str = attrs.field(validator=min_len(1))
    mention_external_id: str = attrs.field(validator=min_len(1))
    at: datetime = attrs.field(validator=is_aware)


# Messages ----------------------------------------------------------------------------------------


class MessageKind(Enum):
    """How a message came about."""

    TEXT = "text"  # typed, with or without attachments
    CHOICE = "choice"  # a quick reply, a button or a list entry was chosen; `payload` says which
    REFERRAL = "referral"  # an ad or a link brought the person here
    NOTICE = "notice"  # the vendor's own words in the thread
    UNSUPPORTED = "unsupported"  # the vendor does not hand it over


@attrs.frozen(kw_only=True)
class MessageSeen:
    """A message between a person and a channel. `is_ours`: the channel sent it, from here or elsewhere.

    `is_history`: it is told with much else that was said before, not because it has just come. Nobody has to
    look at it. If it is told as news as well, it is news.

    `reference` is what we called it when it was sent from here, if the vendor gives that back: proof of
    what became of it, whatever happened to the answer.
    """

    channel_external_id: str = attrs.field(validator=min_len(1))
    message_external_id: str = attrs.field(validator=min_len(1))
    person: Person
    at: datetime = attrs.field(validator=is_aware)
    surface: str = attrs.field(validator=min_len(1))
    is_ours: bool = False
    is_history: bool = False
    kind: MessageKind = MessageKind.TEXT
    text: str = attrs.field(default="", repr=False)
    attachments: tuple[Attachment, ...] = attrs.field(default=(), repr=False)
    payload: str = attrs.field(default="", repr=False)
    reply_to_external_id: str = ""
    reply_until: datetime | None = attrs.field(default=None, validator=is_aware)
    """Until when the vendor lets the channel answer freely, counted from this message."""
    reference: str = ""


@attrs.frozen(kw_only=True)
class MessageEdited:
    """The sender changed the text."""

    channel_external_id: str = attrs.field(validator=min_len(1))
    message_external_id: str = attrs.field(validator=min_len(1))
    at: datetime = attrs.field(validator=is_aware)
    text: str = attrs.field(default="", repr=False)


@attrs.frozen(kw_only=True)
class MessageRemoved:
    """The sender took it back: its content may not be shown any more."""

    channel_external_id: str = attrs.field(validator=min_len(1))
    message_external_id: str = attrs.field(validator=min_len(1))
    at: datetime = attrs.field(validator=is_aware)


class DeliveryState(Enum):
    """How far one of our messages got. They only go forward, in this order."""

    PENDING = "pending"
    UNKNOWN = "unknown"  # it left us, no answer came; never sent again to find out
    SENT = "sent"
    FAILED = "failed"
    DELIVERED = "delivered"
    READ = "read"


@attrs.frozen(kw_only=True)
class MessageDelivery:
    """How far one of our messages got."""

    channel_external_id: str = attrs.field(validator=min_len(1))
    message_external_id: str = attrs.field(validator=min_len(1))
    state: DeliveryState
    at: datetime = attrs.field(validator=is_aware)
    error_code: str = ""
    error: str = attrs.field(default="", repr=False)
    reference: str = ""  # as `MessageSeen.reference`


@attrs.frozen(kw_only=True)
class DeliveryMark:
    """All that we sent a person up to `up_to` got so far (`DELIVERED` or `READ`)."""

    channel_external_id: str = attrs.field(validator=min_len(1))
    person: Person
    surface: str = attrs.field(validator=min_len(1))
    state: DeliveryState
    up_to: datetime = attrs.field(validator=is_aware)

    @property
    def at(self) -> datetime:
        """The moment it speaks of."""
        return self.up_to


class ContactMoment(Enum):
    """What a person did that is no message and still says something about them."""

    REFERRAL = "referral"
    OPT_IN = "opt_in"
    OPT_OUT = "opt_out"
    ACCOUNT_LINKED = "account_linked"
    ACCOUNT_UNLINKED = "account_unlinked"
    PURCHASE = "purchase"
    CALL = "call"


@attrs.frozen(kw_only=True)
class ContactMoved:
    """A person came by an ad or a link, allowed or forbade messages, linked an account, bought, called."""

    channel_external_id: str = attrs.field(validator=min_len(1))
    person: Person
    moment: ContactMoment
    moment_external_id: str = attrs.field(validator=min_len(1))  # what tells it from another of its kind
    at: datetime = attrs.field(validator=is_aware)
    surface: str = attrs.field(validator=min_len(1))
    text: str = attrs.field(default="", repr=False)  # the reference, the topic
    ad_external_id: str = ""


@attrs.frozen(kw_only=True)
class ThreadHandedOver:
    """Who answers a person now: we (`owner` empty), or another program with the channel."""

    channel_external_id: str = attrs.field(validator=min_len(1))
    person: Person
    surface: str = attrs.field(validator=min_len(1))
    at: datetime = attrs.field(validator=is_aware)
    owner: str = ""


@attrs.frozen(kw_only=True)
class PersonNamed:
    """What somebody is called as of `at`, told by itself: nobody did anything."""

    channel_external_id: str = attrs.field(validator=min_len(1))
    person: Person
    at: datetime = attrs.field(validator=is_aware)


@attrs.frozen(kw_only=True)
class PersonLinked:
    """The vendor itself says that these are one person: the only proof on which contacts are joined."""

    channel_external_id: str = attrs.field(validator=min_len(1))
    persons: tuple[Person, ...] = attrs.field(validator=min_len(2))
    at: datetime = attrs.field(validator=is_aware)


# The channel, the account, the grant -------------------------------------------------------------


class Severity(Enum):
    """Whether somebody has to act."""

    INFO = "info"
    WARNING = "warning"
    PROBLEM = "problem"


@attrs.frozen(kw_only=True)
class ChannelNotice:
    """The vendor tells the channel's owner something: a review, a limit, a template, an ad with issues.

    `kind` and `details` are the vendor's own words, flat; `notice_external_id` tells two of a kind apart.
    """

    channel_external_id: str = attrs.field(validator=min_len(1))
    kind: str = attrs.field(validator=min_len(1))
    notice_external_id: str = attrs.field(validator=min_len(1))
    at: datetime = attrs.field(validator=is_aware)
    severity: Severity = Severity.INFO
    text: str = attrs.field(default="", repr=False)
    details: Mapping[str, str] = attrs.field(factory=dict, repr=False)


@attrs.frozen(kw_only=True)
class GrantChanged:
    """The person who connected changed what they allow; what, is for the vendor to be asked.

    Says nothing of that person but which scopes: their own data has no place in the CRM.
    """

    channel_external_id: str = ""
    scopes: tuple[str, ...] = ()
    is_withdrawn: bool = False
    at: datetime = attrs.field(validator=is_aware)


@attrs.frozen(kw_only=True)
class LeadArrived:
    """Somebody submitted a lead form. A notification only: answers are fetched through `LeadSource`."""

    lead_external_id: str = attrs.field(validator=min_len(1))
    channel_external_id: str = attrs.field(validator=min_len(1))
    form_external_id: str = ""
    ad_external_id: str = ""
    occurred_at: datetime | None = attrs.field(default=None, validator=is_aware)


@attrs.frozen(kw_only=True)
class Unmapped:
    """Something happened that no translator knows; `kind` is the vendor's own name for it."""

    kind: str
    raw: Mapping[str, object] = attrs.field(repr=False)


CrmEvent: TypeAlias = (
    PostSeen
    | PostRemoved
    | CommentSeen
    | CommentHidden
    | CommentRemoved
    | ReactionSet
    | ReactionRemoved
    | PostShared
    | Mentioned
    | MentionRemoved
    | MessageSeen
    | MessageEdited
    | MessageRemoved
    | MessageDelivery
    | DeliveryMark
    | ContactMoved
    | ThreadHandedOver
    | PersonNamed
    | PersonLinked
    | ChannelNotice
)
"""What the CRM is changed by, without anybody being asked."""

Event: TypeAlias = CrmEvent | GrantChanged | LeadArrived | Unmapped
