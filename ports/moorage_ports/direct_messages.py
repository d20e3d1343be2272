"""`DirectMessages`: a channel writes to a person, where and as long as the vendor allows it."""

from datetime import datetime
from typing import Protocol

import attrs
from attrs.validators import min_len

from moorage_ports.events import Attachment, MessageSeen, Person
from moorage_ports.values import is_aware


@attrs.frozen(kw_only=True)
class ReplyWindow:
    """Until when a channel may write to a person. `None`: it may not.

    `until` bounds what anybody may send (a program, too), `by_hand_until` what a person here wrote. Where
    waiting does not help, `remedy` says what does.
    """

    until: datetime | None = attrs.field(default=None, validator=is_aware)
    by_hand_until: datetime | None = attrs.field(default=None, validator=is_aware)
    remedy: str = ""

    def ends_at(self, *, is_by_hand: bool) -> datetime | None:
        """When it closes for a person's own words, or for a program's; `None`: it is not open at all."""
        ends = [self.until, self.by_hand_until] if is_by_hand else [self.until]
        return max((end for end in ends if end is not None), default=None)

    def is_open(self, now: datetime, *, is_by_hand: bool) -> bool:
        """Whether something may be sent at `now`."""
        ends = self.ends_at(is_by_hand=is_by_hand)
        return ends is not None and now < ends


@attrs.frozen(kw_only=True)
class OutgoingMessage:
    """What a channel writes to a person. A text, attachments, or both.

    `reference` is the sender's own name for it: a vendor that lets it travel along gives it back with what
    it later says of this message (see `MessageSeen.reference`).
    """

    channel_external_id: str = attrs.field(validator=min_len(1))
    person: Person
    surface: str = attrs.field(validator=min_len(1))
    text: str = attrs.field(default="", repr=False)
    attachments: tuple[Attachment, ...] = attrs.field(default=(), repr=False)
    reply_to_external_id: str = ""
    last_received_at: datetime | None = attrs.field(default=None, validator=is_aware)
    is_by_hand: bool = True  # a person wrote it, no program
    reference: str = ""


@attrs.frozen(kw_only=True)
class PrivateReply:
    """A direct message to whoever wrote a comment; the vendor knows who that is."""

    channel_external_id: str = attrs.field(validator=min_len(1))
    comment_external_id: str = attrs.field(validator=min_len(1))
    text: str = attrs.field(repr=False)
    commented_at: datetime | None = attrs.field(default=None, validator=is_aware)  # if that is known
    reference: str = ""


class DirectMessages(Protocol):
    """Sends messages as one of the org's channels."""

    def window(self, surface: str, last_received_at: datetime | None) -> ReplyWindow:
        """How long the vendor lets a channel write after a person's last message. Pure: no call is made.

        With the surface and the moment of a comment: how long it may be answered by `reply_privately`,
        which always counts as by hand.
        """
        ...

    def parts(self, message: OutgoingMessage) -> tuple[OutgoingMessage, ...]:
        """The messages that the vendor makes of it, in order: some take a text and a picture apart. Pure.

        Raises:
            InvalidRequestError: Nothing to send, or more than the vendor takes.
        """
        ...

    async def send(self, message: OutgoingMessage) -> MessageSeen:
        """Send it (one of `parts`), once; answers the message as the vendor has it from now on.

        Raises:
            InvalidRequestError: Nothing to send, more than the vendor takes, or more than one part.
            RejectedError: The window is closed (before any call), or the vendor does not take it.
            ReauthorizationError: The channel's token is gone.
            MissingScopeError: The grant does not cover messages.
            RateLimitError: Too much just now; nothing was sent.
            OutcomeUnknownError: No answer came; it may have been sent.
        """
        ...

    async def reply_privately(self, reply: PrivateReply) -> MessageSeen:
        """Answer a comment by a direct message to its author; once per comment.

        Raises:
            InvalidRequestError, ReauthorizationError, MissingScopeError, RateLimitError: As `send`.
            OutcomeUnknownError: As `send`.
            RejectedError: The window is closed (before any call), or it was answered so before.
            VendorNotFoundError: The comment is gone (some vendors have only one word for all refusals).
        """
        ...
