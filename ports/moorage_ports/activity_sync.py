"""`ActivitySync`: what people did on a channel's posts, read in pieces, and the channel's answers to it."""

from datetime import datetime
from typing import Final, Protocol

import attrs
from attrs.validators import ge, max_len, min_len

from moorage_ports.events import CommentSeen, CrmEvent
from moorage_ports.values import is_aware

MAX_CHECKPOINT_CHARACTERS: Final = 65_536


@attrs.frozen(kw_only=True)
class ActivityPiece:
    """A piece of a channel's activity, and where the next piece begins.

    `checkpoint` is the vendor's own text: whoever asks with it goes on after this piece, in this process or
    another. `is_complete`: nothing newer is left; asked with the checkpoint later, only what changed comes.
    """

    events: tuple[CrmEvent, ...] = attrs.field(repr=False)
    items: int = attrs.field(validator=ge(0))  # comments and reactions read, also those seen before
    calls: int = attrs.field(default=0, validator=ge(0))
    checkpoint: str = attrs.field(validator=max_len(MAX_CHECKPOINT_CHARACTERS))
    is_complete: bool
    progress: float = 0.0  # how much of this run is done, 0 to 1, as far as one can tell


class ActivitySync(Protocol):
    """Reads comments and reactions of the org's channels, and answers comments."""

    async def activity(
        self, channel_external_id: str, *, checkpoint: str = "", since: datetime | None = None
    ) -> ActivityPiece:
        """The next piece after `checkpoint`; an empty one begins with what happened after `since` (or ever).

        A run reads a little of what the run before it has read (the overlap), so that what was written while
        it ran is not missed.

        Raises:
            ReauthorizationError: The channel's token is gone.
            MissingScopeError: The grant does not cover reading engagement.
            RateLimitError: Too much just now; ask again with the same checkpoint.
            RejectedError: The checkpoint is none of this vendor's.
        """
        ...

    async def reply(self, channel_external_id: str, comment_external_id: str, text: str) -> CommentSeen:
        """Answer a comment publicly, as the channel; the new comment, as it stands there now.

        Raises:
            ReauthorizationError, MissingScopeError, RateLimitError: As above.
            VendorNotFoundError: The comment is gone.
            RejectedError: The vendor does not take this text, or the comment cannot be answered.
            OutcomeUnknownError: No answer came; the reply may be there.
        """
        ...

    async def hide(self, channel_external_id: str, comment_external_id: str, *, is_hidden: bool) -> None:
        """Hide a comment from others, or show it again. Harmless to repeat.

        Raises:
            ReauthorizationError, MissingScopeError, RateLimitError: As above.
            VendorNotFoundError: The comment is gone.
            RejectedError: The vendor does not let this comment be hidden.
        """
        ...


@attrs.frozen(kw_only=True)
class SyncState:
    """How far a channel's activity is known, and how the run under way (or the last one) goes.

    An empty `channel_external_id` stands for the vendor as a whole: only `is_paused` means something then.
    """

    vendor: str = attrs.field(validator=min_len(1))
    channel_external_id: str
    checkpoint: str = ""
    since: datetime | None = attrs.field(default=None, validator=is_aware)  # where an empty one begins
    is_running: bool = False  # a run has begun, or was asked for, and has not ended
    is_paused: bool = False
    started_at: datetime | None = attrs.field(default=None, validator=is_aware)
    finished_at: datetime | None = attrs.field(default=None, validator=is_aware)  # the last that succeeded
    items: int = 0  # read by the run under way, else by the last one
    calls: int = 0
    progress: float = 0.0
    last_error: str = ""  # the error's code; empty when the last piece was read
    last_remedy: str = ""
    retry_at: datetime | None = attrs.field(default=None, validator=is_aware)
    tries: int = 0  # failures in a row


class SyncStates(Protocol):
    """The org's sync states, in a unit of work."""

    async def get(self, vendor: str, channel_external_id: str) -> SyncState | None:
        """One channel's."""
        ...

    async def all(self) -> tuple[SyncState, ...]:
        """Every channel's that was ever synced, and all that was ever paused."""
        ...

    async def save(self, state: SyncState) -> None:
        """Insert or replace (one per channel)."""
        ...
