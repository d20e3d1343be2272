"""What the operations that answer people take and answer: comments and direct messages."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal

import attrs
from attrs.validators import max_len, min_len

from moorage_ports.events import DeliveryState, MessageKind
from moorage_ports.operations import Effect, Operation, Role
from moorage_ports.values import is_aware, is_web_url

_LONGEST_ID: Final = 512
_LONGEST_TEXT: Final = 65_536


@attrs.frozen(kw_only=True)
class ReplyToComment:
    """Answer a comment where everybody reads it, or the comment that a conversation began with.

    Ids are ours or, of a comment, the vendor's; `channel_id` is needed for comments that are not known here.
    """

    text: str = attrs.field(validator=[min_len(1), max_len(_LONGEST_TEXT)], repr=False)
    comment_id: str = attrs.field(default="", validator=max_len(_LONGEST_ID))
    conversation_id: str = attrs.field(default="", validator=max_len(_LONGEST_ID))
    channel_id: str = attrs.field(default="", validator=max_len(_LONGEST_ID))


@attrs.frozen(kw_only=True)
class HideComment:
    """Hide a comment from everybody but its author, or show it again."""

    comment_id: str = attrs.field(validator=[min_len(1), max_len(_LONGEST_ID)])
    hidden: bool = True
    channel_id: str = attrs.field(default="", validator=max_len(_LONGEST_ID))


@attrs.frozen(kw_only=True)
class ReplyPrivately:
    """Answer a comment by a direct message to its author."""

    text: str = attrs.field(validator=[min_len(1), max_len(_LONGEST_TEXT)], repr=False)
    comment_id: str = attrs.field(validator=[min_len(1), max_len(_LONGEST_ID)])
    channel_id: str = attrs.field(default="", validator=max_len(_LONGEST_ID))


@attrs.frozen(kw_only=True)
class MessageAttachment:
    """A file that is fetched from where it lies."""

    type: Literal["image", "video", "audio", "file"]
    url: str = attrs.field(validator=is_web_url, repr=False)
    title: str = attrs.field(default="", validator=max_len(240), repr=False)


@attrs.frozen(kw_only=True)
class SendMessage:
    """Write to the person of a direct conversation; `by_hand`: a person wrote it, which nobody assumes."""

    conversation_id: str = attrs.field(validator=[min_len(1), max_len(_LONGEST_ID)])
    text: str = attrs.field(default="", validator=max_len(_LONGEST_TEXT), repr=False)
    attachments: tuple[MessageAttachment, ...] = attrs.field(default=(), validator=max_len(10), repr=False)
    by_hand: bool = False
    reply_to_message_id: str = attrs.field(default="", validator=max_len(_LONGEST_ID))


@attrs.frozen(kw_only=True)
class AuthorView:
    """Who wrote a message: a contact, or the channel."""

    name: str = attrs.field(repr=False)
    contact_id: str | None = None


@attrs.frozen(kw_only=True)
class AttachmentView:
    """What is attached, by the vendor's address, which may have run out by now."""

    type: str
    url: str = attrs.field(repr=False)
    title: str = attrs.field(default="", repr=False)
    mime_type: str = ""
    details: Mapping[str, str] = attrs.field(factory=dict, repr=False)


@attrs.frozen(kw_only=True)
class ReactionView:
    """How somebody reacted to a message; "" as `contact_id`: the channel itself, or nobody that is known."""

    reaction: str
    contact_id: str = ""
    at: datetime = attrs.field(validator=is_aware)


@attrs.frozen(kw_only=True)
class MessagePart:
    """One of the messages that something was sent as."""

    id: str
    state: DeliveryState
    error_code: str | None = None


@attrs.frozen(kw_only=True)
class MessageView:
    """A message as an org sees it; `parts` are all that the vendor made of it, if it took it apart.

    Of a message that was removed there is no content. `parent_message_id` is the comment that a comment
    answers, `reply_to_message_id` the message that a message quotes; both may be of things not known here.
    """

    id: str
    external_id: str | None  # None: the vendor has not said (yet) under which id it has it
    conversation_id: str
    direction: Literal["in", "out"]
    author: AuthorView
    text: str = attrs.field(repr=False)
    attachments: tuple[AttachmentView, ...] = attrs.field(repr=False)
    state: DeliveryState | None  # of ours only
    kind: MessageKind | None = None  # None: an ordinary text
    payload: str = attrs.field(default="", repr=False)
    permalink: str = ""
    parent_message_id: str | None = None
    reply_to_message_id: str | None = None
    reactions: tuple[ReactionView, ...] = ()
    sent_by: str | None = None  # who of the org wrote it here
    error_code: str | None = None
    error: str | None = None
    hidden: bool = False
    at: datetime = attrs.field(validator=is_aware)
    edited_at: datetime | None = attrs.field(default=None, validator=is_aware)
    removed_at: datetime | None = attrs.field(default=None, validator=is_aware)
    parts: tuple[MessagePart, ...] = ()


REPLY_TO_COMMENT = Operation(
    name="reply_to_comment",
    request=ReplyToComment,
    result=MessageView,
    effect=Effect.PUBLISHES,
    role=Role.AGENT,
    summary="Answer a comment publicly.",
)
HIDE_COMMENT = Operation(
    name="hide_comment",
    request=HideComment,
    result=MessageView,
    effect=Effect.CONFIGURES,
    role=Role.AGENT,
    summary="Hide a comment from others, or show it again.",
)
REPLY_PRIVATELY = Operation(
    name="reply_privately",
    request=ReplyPrivately,
    result=MessageView,
    effect=Effect.PUBLISHES,
    role=Role.AGENT,
    summary="Answer a comment by a direct message.",
)
SEND_MESSAGE = Operation(
    name="send_message",
    request=SendMessage,
    result=MessageView,
    effect=Effect.PUBLISHES,
    role=Role.AGENT,
    summary="Write to the person of a conversation, within the vendor's reply window.",
)
