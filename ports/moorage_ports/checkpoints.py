"""How far each form's leads are known, so that what was lost on the way here is found and fetched."""

from datetime import datetime
from typing import Protocol

import attrs
from attrs.validators import min_len

from moorage_ports.values import is_aware


@attrs.frozen(kw_only=True)
class LeadCheckpoint:
    """One form's leads are known up to `since`; `checked_at` says when that was last looked at.

    While a long reading is under way, `cursor` is where it goes on and `began_at` when it began: that is
    what `since` becomes once it is done. A channel as a whole has a checkpoint, too, without a form: where
    the first reading of each of its forms begins.
    """

    vendor: str = attrs.field(validator=min_len(1))
    channel_external_id: str = attrs.field(validator=min_len(1))
    form_external_id: str = ""
    since: datetime = attrs.field(validator=is_aware)
    checked_at: datetime | None = attrs.field(default=None, validator=is_aware)
    cursor: str | None = None
    began_at: datetime | None = attrs.field(default=None, validator=is_aware)


class LeadCheckpoints(Protocol):
    """The org's checkpoints, in a unit of work."""

    async def begin(self, vendor: str, channel_external_id: str, since: datetime) -> None:
        """The org listens to this channel from `since` on; what was noted about it before is forgotten."""
        ...

    async def of_channel(self, vendor: str, channel_external_id: str) -> tuple[LeadCheckpoint, ...]:
        """The channel's checkpoints: its own and one per form that was read."""
        ...

    async def save(self, checkpoint: LeadCheckpoint) -> None:
        """Insert or replace (one per channel and form)."""
        ...
