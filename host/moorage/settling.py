"""Settles inbox rows: the effect and the mark that it happened, in one transaction, many rows at a time.

Outcomes that are ready together are written together: a batch of rows that need no network costs one
commit, and a row whose vendor is slow holds nobody up but its own partition.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Final

import attrs
import structlog

from moorage.crm.apply import apply_events
from moorage.crm.unmapped import UnmappedItem, count_unmapped
from moorage.metrics import INBOX_OUTCOMES, LEADS_STORED, UNMAPPED_EVENTS
from moorage.services import Services
from moorage_ports.crm import CrmLead
from moorage_ports.errors import UnavailableError
from moorage_ports.events import CrmEvent, Unmapped
from moorage_ports.failpoints import fail_point
from moorage_ports.inbox import InboxItem, ItemState, Settlement
from moorage_ports.integrations import Integration, IntegrationStatus
from moorage_ports.storage import UnitOfWork

log = structlog.get_logger(__name__)

MOST_AT_ONCE: Final = 128  # rows per transaction: an acknowledgement may have to wait behind it


class LeaseLostError(Exception):
    """Another worker has the row by now: whatever this one found out must not be written."""


@attrs.frozen(kw_only=True)
class Outcome:
    """What became of one row, and what comes of it: leads, and what the CRM is changed by."""

    state: ItemState
    error: str = ""
    retry_at: datetime | None = None
    leads: tuple[CrmLead, ...] = ()
    events: tuple[CrmEvent, ...] = ()
    unmapped: tuple[Unmapped, ...] = ()
    is_lasting: bool = False  # a double must be recognised however late it comes
    parked_since: datetime | None = None  # when the call began that found what only a person can change

    @property
    def has_effect(self) -> bool:
        """Whether anything is written but what became of the row."""
        return bool(self.leads or self.events or self.unmapped)


@attrs.define
class _Waiting:
    """An outcome whose worker waits until it is written."""

    item: InboxItem
    outcome: Outcome
    written: "asyncio.Future[datetime | None]"


@attrs.frozen
class _Mark:
    """What was written for one row."""

    state: ItemState
    retry_at: datetime | None
    leads_added: int


@attrs.define
class Settler:
    """Writes the outcomes of one org's rows for the length of one look.

    `given_up_on` says what becomes of a row whose effect cannot be written.
    """

    services: Services
    org_id: str
    given_up_on: Callable[[InboxItem, Exception], Outcome]
    _waiting: list[_Waiting] = attrs.field(factory=list, init=False)
    _writer: asyncio.Task[None] | None = attrs.field(default=None, init=False)
    _held: dict[str, datetime] = attrs.field(factory=dict, init=False)  # partitions of which a row waits

    async def settle(self, outcomes: Sequence[tuple[InboxItem, Outcome]]) -> datetime | None:
        """Write what became of a partition's rows, in order; answers when the last is due again, if it is.

        Raises:
            LeaseLostError: A row is somebody else's by now; nothing of that one was written.
            UnavailableError: The database is out of reach; nothing was written.
        """
        waiting = [
            _Waiting(item, outcome, asyncio.get_running_loop().create_future()) for item, outcome in outcomes
        ]
        self._waiting += waiting
        if self._writer is None:
            self._writer = asyncio.create_task(self._write_all(), name="moorage-settling")
        written = await asyncio.gather(*(one.written for one in waiting), return_exceptions=True)
        for result in written:
            if isinstance(result, BaseException):
                raise result
        return written[-1] if written and not isinstance(written[-1], BaseException) else None

    async def _write_all(self) -> None:
        """Write group after group until nobody waits."""
        try:
            await asyncio.sleep(0)  # whatever is ready in this turn of the loop joins the first group
            while self._waiting:
                group, self._waiting = self._waiting[:MOST_AT_ONCE], self._waiting[MOST_AT_ONCE:]
                await self._write(group)
        finally:
            self._writer = None
            _fail(self._waiting, UnavailableError("the outcome was not written"))  # only if cancelled
            self._waiting.clear()

    async def _write(self, group: Sequence[_Waiting]) -> None:
        """One transaction for the group; everybody in it hears what became of theirs."""
        for waiting in group:
            if waiting.item.partition in self._held:  # its predecessor could not be written
                retry_at = self._held[waiting.item.partition]
                waiting.outcome = Outcome(state=ItemState.PENDING, retry_at=retry_at)
        try:
            async with self.services.storage.unit_of_work(self.org_id) as uow:
                marks = await self._mark(uow, group)
        except (UnavailableError, asyncio.CancelledError) as failure:
            _fail(group, UnavailableError("the outcome was not written"))
            if isinstance(failure, asyncio.CancelledError):
                raise
            return
        except Exception as failure:  # noqa: BLE001 - whatever it is, it is one row's, not the look's
            if len(group) == 1:
                await self._give_up_on(group[0], failure)
                return
            for waiting in group:  # one of them is bad: each alone, so that no other suffers for it
                await self._write([waiting])
            return
        for waiting, mark in zip(group, marks, strict=True):
            _tell(waiting, mark)

    async def _give_up_on(self, waiting: _Waiting, failure: Exception) -> None:
        """Write that its effect cannot be written: without that it would stand there for ever."""
        if not waiting.outcome.has_effect:
            _fail([waiting], failure)
            return
        item = waiting.item
        log.error(
            "inbox_effect_broke",
            item=item.id,
            org=self.org_id,
            vendor=item.vendor,
            kind=item.kind,
            exc_info=failure,
        )
        waiting.outcome = self.given_up_on(item, failure)
        await self._write([waiting])
        if waiting.outcome.retry_at is not None:
            self._held[item.partition] = waiting.outcome.retry_at

    async def _mark(self, uow: UnitOfWork, group: Sequence[_Waiting]) -> list[_Mark | None]:
        """The marks first, then the effects; `None` for a row that is somebody else's by now: it has none."""
        now = self.services.clock.now()
        settlements = [await self._settlement(uow, waiting, now) for waiting in group]
        is_ours = await uow.inbox.settle(settlements, now=now)
        marks: list[_Mark | None] = []
        ours: list[_Waiting] = []
        for waiting, settlement, is_settled in zip(group, settlements, is_ours, strict=True):
            if not is_settled:
                marks.append(None)
                continue
            ours.append(waiting)
            added = [await uow.leads.add(lead) for lead in waiting.outcome.leads]
            marks.append(_Mark(settlement.state, settlement.retry_at, sum(added)))
        await _apply(uow, ours, now)
        fail_point("P9")
        return marks

    async def _settlement(self, uow: UnitOfWork, waiting: _Waiting, now: datetime) -> Settlement:
        """What to record; not that it is parked, if the person it waits for has come meanwhile."""
        item, outcome = waiting.item, waiting.outcome
        state, retry_at = outcome.state, outcome.retry_at
        if outcome.parked_since is not None:
            integration = await uow.integrations.of_vendor(item.vendor)
            if integration is not None and _came_back(integration, outcome.parked_since):
                state, retry_at = ItemState.PENDING, now
        return Settlement(
            item=item, state=state, error=outcome.error, retry_at=retry_at, is_lasting=outcome.is_lasting
        )


async def _apply(uow: UnitOfWork, group: Sequence[_Waiting], now: datetime) -> None:
    """What the rows say, merged into the CRM in one go."""
    events = [(waiting.item.vendor, event) for waiting in group for event in waiting.outcome.events]
    if events:
        await apply_events(uow.crm_records, events)
    unmapped = [
        UnmappedItem(vendor=waiting.item.vendor, kind=event.kind, item_id=waiting.item.id)
        for waiting in group
        for event in waiting.outcome.unmapped
    ]
    if unmapped:
        await count_unmapped(uow.crm_records, unmapped, now)


def _fail(group: Iterable[_Waiting], failure: Exception) -> None:
    for waiting in group:
        if not waiting.written.done():
            waiting.written.set_exception(failure)


def _tell(waiting: _Waiting, mark: _Mark | None) -> None:
    if waiting.written.done():
        return
    if mark is None:
        waiting.written.set_exception(LeaseLostError())
        return
    vendor = waiting.item.vendor
    if waiting.outcome.error or mark.state is ItemState.DONE:
        INBOX_OUTCOMES.labels(vendor, mark.state.value).inc()
    UNMAPPED_EVENTS.labels(vendor).inc(len(waiting.outcome.unmapped))
    LEADS_STORED.labels(vendor).inc(mark.leads_added)
    waiting.written.set_result(mark.retry_at)


def _came_back(integration: Integration, since: datetime) -> bool:
    """Whether somebody connected again after `since`: then nobody would come to unpark what is parked now."""
    return integration.status is IntegrationStatus.ACTIVE and integration.updated_at > since
