"""`DirectMessages`: a channel writes to a person, where and as long as the vendor allows it."""

from datetime import datetime
from typing import Protocol

import attrs
from attrs.validators import min_len

from moorage_ports.events import Attachment, Person
from moorage_ports.values import is_aware


@attrs.frozen(kw_only=True)
class ReplyWindow:
    """Until when a channel may write to a person. `None`: it may not.

    `until` bounds what anybody may send (a program, too), `by_hand_until` what a person here wrote.
    """

    until: datetime | None = attrs.field(default=None, validator=is_aware)
    by_hand_until: datetime | None = attrs.field(default=None, validator=is_aware)


@attrs.frozen(kw_only=True)
class OutgoingMessage:
    """What a channel writes to a person. A text, attachments, or both."""

    channel_external_id: str = attrs.field(validator=min_len(1))
    person: Person
    surface: str = attrs.field(validator=min_len(1))
    text: str = attrs.field(default="", repr=False)
    attachments: tuple[Attachment, ...] = attrs.field(default=(), repr=False)
    reply_to_external_id: str = ""
    last_received_at: datetime | None = attrs.field(default=None, validator=is_aware)
    is_by_hand: bool = True  # a person wrote it, no program


@attrs.frozen(kw_only=True)
class SentMessage:
    """What the vendor took. A vendor that takes a text and a picture apart has several ids."""

    message_external_ids: tuple[str, ...] = attrs.field(validator=min_len(1))
    person: Person | None = None  # as the vendor names the receiver, where it says so


class DirectMessages(Protocol):
    """Sends messages as one of the org's channels."""

    def window(self, surface: str, last_received_at: datetime | None) -> ReplyWindow:
        """How long the vendor lets a channel write after a person's last message. Pure: no call is made."""
        ...

    async def send(self, message: OutgoingMessage) -> SentMessage:
        """Send it.

        Raises:
            InvalidRequestError: Nothing to send, or more than the vendor takes.
            RejectedError: The window is closed (before any call), or the vendor does not take it.
            ReauthorizationError: The channel's token is gone.
            MissingScopeError: The grant does not cover messages.
            RateLimitError: Too much just now; nothing was sent.
            OutcomeUnknownError: No answer came; it may have been sent.
        """
        ...

    async def reply_privately(
        self, channel_external_id: str, comment_external_id: str, text: str
    ) -> SentMessage:
        """Answer a comment by a direct message to its author; once per comment.

        Raises: As `send`; VendorNotFoundError: the comment is gone.
        """
        ...
