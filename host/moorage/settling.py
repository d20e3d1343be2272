"""Settles inbox rows: the effect and the mark that it happened, in one transaction, many rows at a time.

Outcomes that are ready together are written together: a batch of rows that need no network costs one
commit, and a row whose vendor is slow holds nobody up but its own partition.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Final

import attrs
import structlog

from moorage.crm.apply import apply_events
from moorage.crm.unmapped import UnmappedItem, count_unmapped
from moorage.leads.entries import Told, entry_of
from moorage.leads.hearing import HeardLead
from moorage.leads.storing import store_leads
from moorage.metrics import INBOX_OUTCOMES, LEADS_STORED, UNMAPPED_EVENTS
from moorage.services import Services
from moorage_ports.errors import UnavailableError
from moorage_ports.events import CrmEvent, Unmapped
from moorage_ports.failpoints import fail_point
from moorage_ports.inbox import InboxItem, ItemState, Settlement
from moorage_ports.integrations import Integration, IntegrationStatus
from moorage_ports.lead_ledger import LeadEntry, LeadOutcome
from moorage_ports.storage import UnitOfWork

log = structlog.get_logger(__name__)

ADDED: Final = frozenset({LeadOutcome.STORED, LeadOutcome.LINKED})
MOST_AT_ONCE: Final = 128  # rows per transaction: an acknowledgement may have to wait behind it


class LeaseLostError(Exception):
    """Another worker has the row by now: whatever this one found out must not be written."""


@attrs.frozen(kw_only=True)
class Outcome:
    """What became of one row, and what comes of it: leads, and what the CRM is changed by.

    `heard` are the leads that it announced, also those that could not be read: the ledger tells of each.
    `remedy` is what a person can do about `error`.
    """

    state: ItemState
    error: str = ""
    remedy: str = ""
    retry_at: datetime | None = None
    heard: tuple[HeardLead, ...] = ()
    events: tuple[CrmEvent, ...] = ()
    unmapped: tuple[Unmapped, ...] = ()
    is_lasting: bool = False  # a double must be recognised however late it comes
    parked_since: datetime | None = None  # when the call began that found what only a person can change

    @property
    def has_effect(self) -> bool:
        """Whether anything is written but what became of the row, and what the ledger tells of it."""
        return bool(self.events or self.unmapped or any(one.lead is not None for one in self.heard))


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
            marks = await self.services.storage.at_once(self.org_id, lambda uow: self._mark(uow, group))
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
        outcome, item = waiting.outcome, waiting.item
        if not (outcome.has_effect or outcome.heard):
            _fail([waiting], failure)
            return
        log.error(
            "inbox_effect_broke",
            item=item.id,
            org=self.org_id,
            vendor=item.vendor,
            kind=item.kind,
            exc_info=failure,
        )
        # What is told of its leads is written all the same, unless that is what cannot be.
        heard = tuple(attrs.evolve(one, lead=None) for one in outcome.heard) if outcome.has_effect else ()
        waiting.outcome = attrs.evolve(self.given_up_on(item, failure), heard=heard)
        await self._write([waiting])
        if waiting.outcome.retry_at is not None:
            self._held[item.partition] = waiting.outcome.retry_at

    async def _mark(self, uow: UnitOfWork, group: Sequence[_Waiting]) -> list[_Mark | None]:
        """The marks first, then the effects; `None` for a row that is somebody else's by now: it has none."""
        now = self.services.clock.now()
        has_parked = any(waiting.outcome.parked_since is not None for waiting in group)
        standing = {one.vendor: one for one in await uow.integrations.all()} if has_parked else {}
        settlements = [_settlement(waiting, standing.get(waiting.item.vendor), now) for waiting in group]
        is_ours = await uow.inbox.settle(settlements, now=now)
        ours = [
            (waiting, settlement)
            for waiting, settlement, is_settled in zip(group, settlements, is_ours, strict=True)
            if is_settled
        ]
        added = await _account(uow, ours, now)
        await _apply(uow, [waiting for waiting, _ in ours], now)
        fail_point("P9")
        return [
            _Mark(settlement.state, settlement.retry_at, added[settlement.item.id]) if is_settled else None
            for settlement, is_settled in zip(settlements, is_ours, strict=True)
        ]


def _settlement(waiting: _Waiting, integration: Integration | None, now: datetime) -> Settlement:
    """What to record; not that it is parked, if the person it waits for has come meanwhile."""
    item, outcome = waiting.item, waiting.outcome
    state, retry_at = outcome.state, outcome.retry_at
    if outcome.parked_since is not None and integration and _came_back(integration, outcome.parked_since):
        state, retry_at = ItemState.PENDING, now
    return Settlement(
        item=item, state=state, error=outcome.error, retry_at=retry_at, is_lasting=outcome.is_lasting
    )


async def _account(
    uow: UnitOfWork, group: Sequence[tuple[_Waiting, Settlement]], now: datetime
) -> Counter[str]:
    """The leads of these rows into the CRM, and all of them into the ledger; answers what each row added.

    One transaction: no row is done whose lead is in neither.
    """
    done = [
        heard
        for waiting, settlement in group
        if settlement.state is ItemState.DONE
        for heard in waiting.outcome.heard
    ]
    placed = dict(await store_leads(uow, done, now)) if done else {}
    added: Counter[str] = Counter()
    entries: list[LeadEntry] = []
    erased: list[InboxItem] = []
    for waiting, settlement in group:
        told = Told(state=settlement.state, error=settlement.error, remedy=waiting.outcome.remedy)
        for heard in waiting.outcome.heard:
            is_done = settlement.state is ItemState.DONE
            here = placed.pop(heard.key, None) if is_done and heard.lead is not None else None
            entry = entry_of(waiting.item, heard, told, here, now)
            entries += [entry] if entry is not None else []
            added[waiting.item.id] += here is not None and here.outcome in ADDED
            erased += [waiting.item] if here is not None and here.outcome is LeadOutcome.ERASED else []
    await uow.lead_ledger.write(entries)
    await _forget(uow, erased)
    return added


async def _apply(uow: UnitOfWork, group: Sequence[_Waiting], now: datetime) -> None:
    """What the rows say, merged into the CRM in one go."""
    told = [(waiting.item, event) for waiting in group for event in waiting.outcome.events]
    if told:
        applied = await apply_events(uow.crm_records, [(item.vendor, event) for item, event in told])
        if applied.left_out:
            kept = {item.id for place, (item, _) in enumerate(told) if place not in applied.left_out}
            await _forget(uow, [item for item, _ in told if item.id not in kept])
    unmapped = [
        UnmappedItem(vendor=waiting.item.vendor, kind=event.kind, item_id=waiting.item.id)
        for waiting in group
        for event in waiting.outcome.unmapped
    ]
    if unmapped:
        await count_unmapped(uow.crm_records, unmapped, now)


async def _forget(uow: UnitOfWork, items: Iterable[InboxItem]) -> None:
    """All that these say is about what was erased: what they said must not stay, either."""
    by_vendor: dict[str, set[str]] = {}
    for item in items:
        by_vendor.setdefault(item.vendor, set()).add(item.id)
    for vendor, ids in by_vendor.items():
        await uow.kept_copies.erase_deliveries(vendor, ids)


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
