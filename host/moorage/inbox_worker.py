"""From the inbox to the CRM: what happens to a delivery after it was acknowledged.

The truth is in the inbox rows. A nudge makes a worker look at one group (an org's bucket): it claims a few
rows, fetches what they only announce, and writes the effect together with the row's outcome. A sweep nudges
every group that has rows due, so a lost nudge costs seconds and nothing else.
"""

import asyncio
import random
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import attrs
import structlog

from moorage.leads.fetching import Announced, Fetching
from moorage.nudging import nudge_all
from moorage.services import Services
from moorage.settling import LeaseLostError, Outcome, Settler
from moorage.waits import FIRST_RETRY, doubled
from moorage_ports.errors import (
    MissingScopeError,
    MoorageError,
    NotConnectedError,
    OutcomeUnknownError,
    RateLimitError,
    ReauthorizationError,
    UnavailableError,
    VendorError,
    VendorNotFoundError,
    VendorUnavailableError,
)
from moorage_ports.events import CrmEvent, GrantChanged, LeadArrived, Unmapped
from moorage_ports.failpoints import fail_point
from moorage_ports.inbox import InboxItem, ItemState, inbox_nudge
from moorage_ports.integrations import Integration, IntegrationStatus
from moorage_ports.jobs import LookAgain, Nudge
from moorage_ports.storage import UnitOfWork

log = structlog.get_logger(__name__)

BATCH: Final = 256  # what a look costs beside its rows is paid less often; settled in smaller pieces
GROUPS_AT_ONCE: Final = 16
READ_AT_A_STRETCH: Final = 32
SETTLE_WITHIN: Final = 0.25  # seconds
MOST_TRIES: Final = 8
# "Not found" is also what some vendors say to those whom a person still has to let in: 3 days for that.
NOT_FOUND_RETRIES: Final = (
    FIRST_RETRY,
    timedelta(minutes=2),
    timedelta(minutes=30),
    timedelta(hours=4),
    timedelta(hours=20),
    timedelta(hours=24),
    timedelta(hours=24),
)
SWEEP_EVERY: Final = timedelta(seconds=5)
# The vendor is the trouble, not the item: wait as long as it takes.
_WEATHER: Final = (RateLimitError, VendorUnavailableError, UnavailableError, OutcomeUnknownError)
# Only a person can end these, by connecting (again): no number of tries would.
_FOR_A_PERSON: Final = (ReauthorizationError, MissingScopeError, NotConnectedError)


async def sweep(services: Services) -> None:
    """Nudge every group that has rows due: after a crash, after a wait, or because a nudge was lost."""
    groups = await services.storage.backlog.pending_groups(services.clock.now())
    await nudge_all(services.storage, (inbox_nudge(org_id, bucket) for org_id, bucket in groups))


@attrs.frozen
class _Standing:
    """How the org stood with its vendors when a look began. Who connects after that finds nothing parked."""

    at: datetime
    statuses: Mapping[str, IntegrationStatus]

    def parks(self, vendor: str) -> bool:
        """Whether what is said of the vendor's channels waits until somebody connects (again)."""
        return self.statuses.get(vendor) is not IntegrationStatus.ACTIVE

    def reason(self, vendor: str) -> str:
        """The code of why."""
        is_over = self.statuses.get(vendor, IntegrationStatus.INACTIVE) is IntegrationStatus.INACTIVE
        return NotConnectedError.code if is_over else ReauthorizationError.code


@attrs.frozen
class InboxWorker:
    """Works on one group at a time, as often as it is told to look."""

    services: Services

    async def look(self, nudge: Nudge) -> LookAgain | None:
        """Work on the oldest rows of a group; look again while there are more, or when one has to wait."""
        org_id, _, bucket = nudge.group.rpartition(":")
        now = self.services.clock.now()

        async def claim(uow: UnitOfWork) -> tuple[Sequence[InboxItem], Sequence[Integration]]:
            items = await uow.inbox.claim(int(bucket), limit=BATCH, now=now)
            return items, await uow.integrations.all() if items else ()

        items, integrations = await self.services.storage.at_once(org_id, claim)
        standing = _Standing(at=now, statuses={one.vendor: one.status for one in integrations})
        if not items:
            return None
        fail_point("P8")
        settler = Settler(self.services, org_id, partial(self._retry_or_bury, "internal"))
        read = await self._read_all(org_id, items)
        partitions: dict[str, list[InboxItem]] = {}
        for item in items:
            partitions.setdefault(item.partition, []).append(item)
        async with Fetching(self.services, org_id) as fetching:
            await fetching.begin(one for found in read.values() for one in found.announced)
            look = Look(settler, standing, fetching, read)
            ends = await asyncio.gather(
                *(self._work_in_order(look, partition) for partition in partitions.values()),
                return_exceptions=True,  # nobody is left working when this look is over
            )
        retries = [_unless_failed(end) for end in ends]
        if len(items) == BATCH:
            return LookAgain()
        waiting = [retry_at for retry_at in retries if retry_at is not None]
        return LookAgain(at=min(waiting)) if waiting else None

    async def _work_in_order(self, look: "Look", items: Iterable[InboxItem]) -> datetime | None:
        """One partition's rows, each after the one before; when to come back if one has to wait.

        They are settled together, unless they take long: then what is done is settled before the others.
        """
        loop, settler = asyncio.get_running_loop(), look.settler
        done: list[tuple[InboxItem, Outcome]] = []
        retry_at: datetime | None = None
        settle_by = loop.time() + SETTLE_WITHIN
        try:
            for item in items:
                if retry_at is not None:
                    # Its predecessor waits, so it does too; given back without having been tried.
                    done.append((item, Outcome(state=ItemState.PENDING, retry_at=retry_at)))
                    continue
                outcome = await self._outcome(look, item)
                done.append((item, outcome))
                retry_at = outcome.retry_at
                if loop.time() > settle_by:
                    retry_at = await settler.settle(done)
                    done, settle_by = [], loop.time() + SETTLE_WITHIN
            return await settler.settle(done) if done else retry_at
        except (LeaseLostError, UnavailableError) as lost:
            # The rows stand as they stood; their lease runs out and they are claimed again.
            reason = type(lost).__name__
            log.warning("inbox_item_not_settled", org=settler.org_id, reason=reason)
            return self.services.clock.now() + FIRST_RETRY

    async def _outcome(self, look: "Look", item: InboxItem) -> Outcome:
        """What is to become of a row. Never raises: one bad row must not stop the others."""
        read, standing = look.read[item.id], look.standing
        try:
            outcome = await self._understand(look, read)
        except Exception as failure:  # noqa: BLE001 - it says what becomes of the row
            outcome = self._unless_now(look, item, failure)
            return attrs.evolve(outcome, heard=tuple(one.heard for one in read.announced))
        if outcome.events and standing.parks(item.vendor):
            return Outcome(
                state=ItemState.PARKED, error=standing.reason(item.vendor), parked_since=standing.at
            )
        return outcome

    def _unless_now(self, look: "Look", item: InboxItem, failure: Exception) -> Outcome:
        """What becomes of a row that cannot be worked on now."""
        if isinstance(failure, _FOR_A_PERSON):
            return Outcome(
                state=ItemState.PARKED,
                error=failure.code,
                remedy=failure.remedy,
                parked_since=look.standing.at,
            )
        if isinstance(failure, _WEATHER):
            retry_at = self.services.clock.now() + _wait(item.tries, failure)
            return Outcome(
                state=ItemState.PENDING, error=failure.code, remedy=failure.remedy, retry_at=retry_at
            )
        if isinstance(failure, MoorageError):
            return self._retry_or_bury(failure.code, item, failure)
        org_id = look.settler.org_id
        log.error(
            "inbox_item_broke",
            item=item.id,
            org=org_id,
            vendor=item.vendor,
            kind=item.kind,
            exc_info=failure,
        )
        return self._retry_or_bury("internal", item, failure)

    def _retry_or_bury(self, code: str, item: InboxItem, failure: Exception) -> Outcome:
        remedy = failure.remedy if isinstance(failure, MoorageError) else ""
        if item.tries >= MOST_TRIES:
            log.error("inbox_item_dead", item=item.id, vendor=item.vendor, kind=item.kind, code=code)
            return Outcome(state=ItemState.DEAD, error=code, remedy=remedy)
        retry_at = self.services.clock.now() + _wait(item.tries, failure)
        return Outcome(state=ItemState.PENDING, error=code, remedy=remedy, retry_at=retry_at)

    async def _read_all(self, org_id: str, items: Sequence[InboxItem]) -> dict[str, "Read"]:
        """Translate the rows, a few at a stretch: an acknowledgement may be waiting for its turn."""
        read: dict[str, Read] = {}
        for number, item in enumerate(items, start=1):
            read[item.id] = self._read(org_id, item)
            if number % READ_AT_A_STRETCH == 0:
                await asyncio.sleep(0)
        return read

    def _read(self, org_id: str, item: InboxItem) -> "Read":
        """Translate a row. What goes wrong with that is told when its turn comes."""
        try:
            vendor = self.services.vendors.get(item.vendor)
            if vendor.webhooks is None:
                return Read(is_foreign=True)
            read = Read()
            for event in vendor.webhooks.events(item.body, item.received_at):
                match event:
                    case LeadArrived():
                        read.announced.append(Announced(vendor, event, item.tries))
                    case GrantChanged():
                        log.info(
                            "grant_changed", org=org_id, vendor=vendor.slug, withdrawn=event.is_withdrawn
                        )
                    case Unmapped():
                        read.unmapped.append(event)
                    case _:
                        read.events.append(event)
        except Exception as failure:  # noqa: BLE001 - a plugin's mistake; its row's, and no other's
            return Read(failure=failure)
        return read

    async def _understand(self, look: "Look", read: "Read") -> Outcome:
        """What comes of a row, with what it announces. No transaction is open meanwhile."""
        if read.failure is not None:
            raise read.failure
        if read.is_foreign:
            return Outcome(state=ItemState.DEAD, error="unsupported")
        return Outcome(
            state=ItemState.DONE,
            heard=tuple([await look.fetching.result(one) for one in read.announced]),
            events=tuple(read.events),
            unmapped=tuple(read.unmapped),
            is_lasting=bool(read.announced),
        )


@attrs.define
class Read:
    """What a row says, or what went wrong with finding out; `is_foreign`: nobody here reads such rows."""

    events: list[CrmEvent] = attrs.field(factory=list)
    unmapped: list[Unmapped] = attrs.field(factory=list)
    announced: list[Announced] = attrs.field(factory=list)
    failure: Exception | None = None
    is_foreign: bool = False


@attrs.frozen
class Look:
    """What the partitions of one look share."""

    settler: Settler
    standing: _Standing
    fetching: Fetching
    read: Mapping[str, Read]


def _unless_failed(end: datetime | BaseException | None) -> datetime | None:
    if isinstance(end, BaseException):
        raise end
    return end


def _wait(tries: int, failure: Exception) -> timedelta:
    """What the vendor asks for, else longer from try to try; spread, so that not all come back at once."""
    if isinstance(failure, VendorNotFoundError):
        place = min(max(tries, 1), len(NOT_FOUND_RETRIES)) - 1
        return NOT_FOUND_RETRIES[place] * random.uniform(0.9, 1.1)  # noqa: S311 - as below
    asked = failure.retry_after if isinstance(failure, VendorError) else None
    return asked + doubled(tries) * 0.1 if asked else doubled(tries)
