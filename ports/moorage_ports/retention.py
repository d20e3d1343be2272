"""How long an org keeps what people told it, and what the job that sees to that removed."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final, Protocol

import attrs
from attrs.validators import ge, le

from moorage_ports.inbox import BODY_KEPT
from moorage_ports.values import is_aware

LEAD_DAYS: Final = 90  # unless an org says otherwise
WAITING_DAYS: Final = 90
MOST_DAYS: Final = 3650
MOST_DELIVERY_DAYS: Final = BODY_KEPT.days


def _are_days(_: object, __: object, days: int | None) -> None:
    if days is not None and not 1 <= days <= MOST_DAYS:
        msg = f"must be 1 to {MOST_DAYS} days, or none at all"
        raise ValueError(msg)


@attrs.frozen(kw_only=True)
class Retention:
    """What an org wants to keep for how many days; `None`: until somebody deletes it.

    `lead_days` count from when a lead came here. `person_days` from when a contact was last seen: they go
    with their conversations and activity, unless a lead of theirs is still here. `delivery_days` are how
    long what a vendor sent stays after it was worked on, `waiting_days` how long it may wait for that.
    """

    lead_days: int | None = attrs.field(default=LEAD_DAYS, validator=_are_days)
    person_days: int | None = attrs.field(default=None, validator=_are_days)
    delivery_days: int = attrs.field(default=MOST_DELIVERY_DAYS, validator=[ge(0), le(MOST_DELIVERY_DAYS)])
    waiting_days: int = attrs.field(default=WAITING_DAYS, validator=[ge(1), le(WAITING_DAYS)])
    changed_at: datetime | None = attrs.field(default=None, validator=is_aware)
    changed_by: str = ""

    def leads_before(self, now: datetime) -> datetime | None:
        """Leads that came at this moment or earlier go; `None`: none do."""
        return None if self.lead_days is None else now - timedelta(days=self.lead_days)

    def people_before(self, now: datetime) -> datetime | None:
        """Contacts who were last seen at this moment or earlier go; `None`: none do."""
        return None if self.person_days is None else now - timedelta(days=self.person_days)


@attrs.frozen(kw_only=True)
class RetentionCheck:
    """When the job last looked, and what it removed then: how many of each kind."""

    checked_at: datetime | None = attrs.field(default=None, validator=is_aware)
    removed: Mapping[str, int] = attrs.field(factory=dict)


class RetentionRules(Protocol):
    """One org's wishes, in a unit of work."""

    async def get(self) -> Retention:
        """What holds; the defaults, if the org never said."""
        ...

    async def save(self, retention: Retention) -> None:
        """Put this in place of it."""
        ...

    async def last_check(self) -> RetentionCheck:
        """What the job did last."""
        ...

    async def note_check(self, check: RetentionCheck) -> None:
        """The job has looked."""
        ...
