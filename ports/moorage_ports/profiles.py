"""`Profiles`: what somebody is called whom a vendor's deliveries name by an id only; and who those are."""

from collections.abc import Collection
from datetime import datetime
from typing import Protocol

import attrs
from attrs.validators import min_len

from moorage_ports.events import Person


class Profiles(Protocol):
    """Tells who wrote to one of the org's channels, as far as the vendor tells it. A vendor may have none."""

    async def person(self, channel_external_id: str, person: Person) -> Person | None:
        """The same person with a name, a handle or both. `None`: there is none to be had.

        That is an answer and no failure: they hide it, they never wrote to this channel, they are gone, or
        the vendor names the people of such channels in its deliveries. No more is asked for than that.

        Raises:
            ReauthorizationError: The channel's token is gone.
            MissingScopeError: The grant does not cover it.
            RateLimitError: Too much just now.
            RejectedError: The vendor refuses to say, for another reason.
            VendorUnavailableError: No answer came; it may be asked again.
        """
        ...


@attrs.frozen(kw_only=True)
class Stranger:
    """Somebody whom nobody has named: no name, no handle.

    `channel_external_id` is where they wrote last; empty if they never wrote to a channel.
    """

    identity_id: str = attrs.field(validator=min_len(1))
    person: Person
    channel_external_id: str = ""


class Strangers(Protocol):
    """The org's people without a name, in a unit of work that writes; each is asked about in time.

    Somebody new is one at once, without anybody saying so; whoever gets a name is none any more.
    """

    async def claim(self, vendor: str, *, now: datetime, until: datetime, limit: int) -> tuple[Stranger, ...]:
        """Some of those whose time has come; nobody else gets them before `until`."""
        ...

    async def ask_again(self, identity_ids: Collection[str], *, at: datetime) -> None:
        """Have these wait until `at`."""
        ...

    async def leave_be(self, vendor: str, channel_external_id: str, *, until: datetime) -> None:
        """Have everybody wait at least until then who wrote to this channel: it cannot be asked with now."""
        ...
