"""`Governor`: at what pace a vendor may be called, lent by the host and shared by all its processes.

A vendor counts calls on meters: of the whole app, of one channel, of one use case of it. Before a call a
plugin names the meters it counts on; after it, it reports what the answer said about them. The host slows
down before a limit, stops at one, and lets orgs take turns.
"""

import math
from collections.abc import Collection
from datetime import timedelta
from enum import Enum
from typing import Any, Protocol

import attrs
from attrs.validators import max_len


class MeterScope(Enum):
    """Whose calls a meter counts together."""

    APP = "app"  # everybody's who uses this app
    PERSON = "person"  # one grant's
    CHANNEL = "channel"
    AD_ACCOUNT = "ad_account"


@attrs.frozen(kw_only=True)
class Meter:
    """One thing that the vendor counts calls on.

    `owner_id` is the vendor's id of the channel or account, or a digest; never a token and nobody's name,
    because meters are kept in the clear. `use_case` is the vendor's word for what the calls are for; without
    one the meter stands for everything that its owner does.
    """

    scope: MeterScope
    owner_id: str = attrs.field(default="", validator=max_len(255))
    use_case: str = attrs.field(default="", validator=max_len(64))


def _is_share(_: object, attribute: "attrs.Attribute[Any]", value: float | None) -> None:
    if value is not None and not (math.isfinite(value) and value >= 0):
        msg = f"{attribute.name} must be a share of the limit, 0 or more"
        raise ValueError(msg)


def _is_no_past(_: object, attribute: "attrs.Attribute[Any]", value: timedelta | None) -> None:
    if value is not None and value < timedelta():
        msg = f"{attribute.name} must not lie in the past"
        raise ValueError(msg)


@attrs.frozen(kw_only=True)
class Reading:
    """What one answer said about one meter.

    `used` is the share of the limit, 1 at it (`None`: not said). `is_refused`: the call was turned away
    because of this meter. `regain_after`: when calls will get through again, if the vendor said so.
    """

    meter: Meter
    used: float | None = attrs.field(default=None, validator=_is_share)
    is_refused: bool = False
    regain_after: timedelta | None = attrs.field(default=None, validator=_is_no_past)


class Governor(Protocol):
    """The pace of one app at one vendor. Whatever one process learns, all of them keep to."""

    async def admit(self, meters: Collection[Meter], *, org_id: str, calls: int = 1) -> None:
        """Return when a call that counts on all of `meters` may be sent: at once, or after a short wait.

        One request may carry many `calls` that count alike: they are admitted together, and who comes next
        waits for longer.

        Raises:
            RateLimitError: A meter is parked, or too many wait before a hot one. Nothing was sent;
                `retry_after` says when it is worth asking again.
        """
        ...

    async def report(self, readings: Collection[Reading]) -> timedelta | None:
        """Take note of an answer. Never raises: what became of the call must not depend on it.

        A meter that refused, or that is used up, is parked: for `regain_after`, else for minutes, longer each
        time. Answers how long the longest of these meters is parked from now on, `None` if none is.
        """
        ...


class Governors(Protocol):
    """Every app's governor."""

    def of(self, vendor: str, app_id: str) -> Governor:
        """The governor of one app at one vendor."""
        ...

    async def forget_idle(self) -> int:
        """Drop what says nothing about the present any more; answers how many meters that were."""
        ...
