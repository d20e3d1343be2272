"""`Jobs`: nudges for work whose truth lies in domain tables.

A nudge says "look at group G of queue Q". At most one look per group is queued or running, so a group is
worked on by one worker at a time and a big org stands in line like everybody else. Losing a nudge costs
time, never work: a sweep nudges every group that has waited too long.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Protocol, TypeAlias

import attrs
from attrs.validators import min_len

from moorage_ports.values import is_aware


@attrs.frozen(kw_only=True)
class Nudge:
    """Look at `group` of `queue`, now or not before `not_before`."""

    queue: str = attrs.field(validator=min_len(1))
    group: str
    org_id: str
    not_before: datetime | None = attrs.field(default=None, validator=is_aware)


@attrs.frozen(kw_only=True)
class LookAgain:
    """A handler's wish to be called again for the same group: at the back of the line, or not before `at`."""

    at: datetime | None = attrs.field(default=None, validator=is_aware)


JobHandler: TypeAlias = Callable[[Nudge], Awaitable[LookAgain | None]]


class Nudges(Protocol):
    """The enqueueing side, inside a unit of work: nudges become visible when it commits, or never."""

    async def nudge(self, *nudges: Nudge) -> None:
        """Queue a look at each group; one that is queued stays where it is, one that runs runs again.

        One that waits for a later moment comes forward to the earlier of the two.
        """
        ...


class Jobs(Protocol):
    """The running side."""

    def handle(self, queue: str, handler: JobHandler, *, concurrency: int = 4) -> None:
        """Register what a queue's nudges call, at most `concurrency` groups at once. Before `run`.

        An org that had its share of the last looks is looked at again after others that wait: a long line of
        one org's is no long wait for another.
        """
        ...

    def every(self, name: str, interval: timedelta, handler: Callable[[], Awaitable[None]]) -> None:
        """Register a schedule: once per interval over all replicas. Before `run`."""
        ...

    async def run(self) -> None:
        """Work until cancelled. Starting is recovery: what a dead process left running is looked at again."""
        ...

    async def drain(self) -> None:
        """Take nothing new, wait for what runs."""
        ...

    async def pause(self, queue: str) -> None:
        """Start no more looks of this queue, on any replica, until resumed."""
        ...

    async def resume(self, queue: str) -> None:
        """Go on."""
        ...
