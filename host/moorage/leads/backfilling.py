"""Carrying out backfills: a form's leads of a stretch of time, read a few pages at a look.

The order's row says how far it is, and is written after each page: whatever dies, the next look reads the
last page again, and leads that are known change nothing. What the vendor does not want now is waited for.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import attrs
import structlog

from moorage.leads.feeding import Subject, feed, subject_of
from moorage.nudging import nudge_all
from moorage.operations.standing import act_on_vendor_error
from moorage.services import Services
from moorage.waits import asked_by
from moorage_ports.errors import (
    InvalidRequestError,
    MoorageError,
    NotConnectedError,
    RateLimitError,
    RejectedError,
    VendorError,
    VendorNotFoundError,
    VendorUnavailableError,
)
from moorage_ports.failpoints import fail_point
from moorage_ports.inbox import HeardBy
from moorage_ports.jobs import LookAgain, Nudge
from moorage_ports.lead_ledger import SETTLED
from moorage_ports.lead_orders import Backfill, OrderState
from moorage_ports.lead_source import Lead, LeadSource
from moorage_ports.paging import Page
from moorage_ports.storage import UnitOfWork

log = structlog.get_logger(__name__)

QUEUE: Final = "backfills"
AT_ONCE: Final = 2
PAGES_A_LOOK: Final = 10
SWEEP_EVERY: Final = timedelta(minutes=1)
OUT_OF_REACH: Final = timedelta(minutes=1)
FOR_A_PERSON: Final = timedelta(minutes=15)  # somebody has to connect again, or give access
GIVE_UP_AFTER: Final = timedelta(days=30)  # whoever ordered it will not come back for it
EVER: Final = datetime(2004, 1, 1, tzinfo=UTC)  # before there were forms to fill in


def backfill_nudge(org_id: str, backfill_id: str) -> Nudge:
    """Look at one backfill."""
    return Nudge(queue=QUEUE, group=f"{org_id}:{backfill_id}", org_id=org_id)


async def nudge_backfills(services: Services) -> None:
    """Have every backfill looked at that is not over and not told to wait: a lost nudge costs a minute."""
    due = await services.storage.backlog.backfills_due(services.clock.now())
    await nudge_all(services.storage, (backfill_nudge(org_id, backfill_id) for org_id, backfill_id in due))


@attrs.frozen
class Backfiller:
    """Works on one backfill at a time."""

    services: Services

    async def look(self, nudge: Nudge) -> LookAgain | None:
        """Read on; look again while there is more, or when the vendor wants to be left alone for a while."""
        org_id, _, backfill_id = nudge.group.rpartition(":")
        async with self.services.storage.unit_of_work(org_id, reads_only=True) as uow:
            backfill = await uow.backfills.get(backfill_id)
        if backfill is None or backfill.state is not OrderState.RUNNING:
            return None
        subject = await subject_of(self.services, org_id, backfill.vendor, backfill.channel_external_id)
        if subject is None or subject.vendor.lead_source is None:
            msg = "the channel is not connected, not selected or not usable now"
            return await self._wait(org_id, backfill, NotConnectedError(msg), FOR_A_PERSON)
        asked_at = self.services.clock.now()
        try:
            return await self._read(subject, subject.vendor.lead_source(subject.context), backfill)
        except MoorageError as failure:
            return await self._failed(subject, backfill.id, failure, asked_at)

    async def _read(self, subject: Subject, source: LeadSource, backfill: Backfill) -> LookAgain | None:
        seen = {backfill.cursor}
        for _ in range(PAGES_A_LOOK):
            page = await source.leads_since(
                subject.external_id,
                backfill.form_external_id,
                backfill.since or EVER,
                backfill.cursor,
                backfill.until,
            )
            await feed(self.services, subject, _within(page, backfill), heard_by=HeardBy.BACKFILL)
            fail_point("B1")
            if page.next_cursor is not None and page.next_cursor in seen:
                log.error("pages_of_leads_go_round", vendor=subject.vendor.slug, org=subject.org_id)
                page = Page(items=page.items)
            seen.add(page.next_cursor)
            backfill = await self._note(subject.org_id, backfill, page)
            if backfill.state is OrderState.DONE:
                return None
        return LookAgain()

    async def _note(self, org_id: str, backfill: Backfill, page: Page[Lead]) -> Backfill:
        """Write down that a page was read."""
        ids = [lead.external_id for lead in _within(page, backfill)]
        is_over = page.next_cursor is None
        async with self.services.storage.unit_of_work(org_id) as uow:
            known = await _here_before(uow, backfill, ids)
            backfill = attrs.evolve(
                backfill,
                cursor=page.next_cursor,
                fetched=backfill.fetched + len(ids),
                known=backfill.known + known,
                state=OrderState.DONE if is_over else OrderState.RUNNING,
                finished_at=self.services.clock.now() if is_over else None,
                error="",
                remedy="",
                retry_at=None,
            )
            await uow.backfills.save(backfill)
        return backfill

    async def _failed(
        self, subject: Subject, backfill_id: str, failure: MoorageError, asked_at: datetime
    ) -> LookAgain | None:
        """What an error means for the order: wait, begin anew, or give up."""
        async with self.services.storage.unit_of_work(subject.org_id, reads_only=True) as uow:
            backfill = await uow.backfills.get(backfill_id)
        if backfill is None:
            return None
        org_id = subject.org_id
        if isinstance(failure, RateLimitError):
            return await self._wait(org_id, backfill, failure, asked_by(failure))
        if isinstance(failure, VendorUnavailableError) or not isinstance(
            failure, VendorError | InvalidRequestError
        ):
            return await self._wait(org_id, backfill, failure, OUT_OF_REACH)
        if isinstance(failure, InvalidRequestError | RejectedError) and backfill.cursor is not None:
            anew = attrs.evolve(backfill, cursor=None, fetched=0, known=0)  # the vendor forgot where we were
            return await self._wait(org_id, anew, failure, OUT_OF_REACH)
        if isinstance(failure, InvalidRequestError | RejectedError | VendorNotFoundError):
            await self._give_up(org_id, backfill, failure)
            return None
        await act_on_vendor_error(
            self.services,
            org_id,
            subject.vendor.slug,
            failure,
            asked_at=asked_at,
            channel_external_id=subject.external_id,
        )
        return await self._wait(org_id, backfill, failure, FOR_A_PERSON)

    async def _wait(
        self, org_id: str, backfill: Backfill, failure: MoorageError, wait: timedelta
    ) -> LookAgain | None:
        now = self.services.clock.now()
        if now - backfill.ordered_at > GIVE_UP_AFTER:
            await self._give_up(org_id, backfill, failure)
            return None
        retry_at = now + wait
        await self._save(
            org_id,
            attrs.evolve(backfill, error=failure.code, remedy=failure.remedy, retry_at=retry_at),
        )
        return LookAgain(at=retry_at)

    async def _give_up(self, org_id: str, backfill: Backfill, failure: MoorageError) -> None:
        log.warning("backfill_failed", vendor=backfill.vendor, org=org_id, code=failure.code)
        await self._save(
            org_id,
            attrs.evolve(
                backfill,
                state=OrderState.FAILED,
                error=failure.code,
                remedy=failure.remedy,
                retry_at=None,
                finished_at=self.services.clock.now(),
            ),
        )

    async def _save(self, org_id: str, backfill: Backfill) -> None:
        async with self.services.storage.unit_of_work(org_id) as uow:
            await uow.backfills.save(backfill)


async def _here_before(uow: UnitOfWork, backfill: Backfill, lead_ids: Sequence[str]) -> int:
    """How many of these leads came into the CRM before the order, also as a part of an older lead.

    Those that the backfill itself brought are none of them, however often their page is read.
    """
    entries = (await uow.lead_ledger.of(backfill.vendor, lead_ids)).values() if lead_ids else ()
    settled = (entry for entry in entries if entry.outcome in SETTLED)
    return sum((entry.stored_at or entry.arrived_at) < backfill.ordered_at for entry in settled)


def _within(page: Page[Lead], backfill: Backfill) -> tuple[Lead, ...]:
    """The page's leads of the stretch that was ordered; some vendors count in whole seconds."""
    until = backfill.until
    if until is None:
        return page.items
    return tuple(lead for lead in page.items if lead.submitted_at is None or lead.submitted_at < until)
