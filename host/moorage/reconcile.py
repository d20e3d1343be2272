"""What was lost on the way here: every selected channel is looked after, whatever its webhooks do.

A vendor that could not reach us for an hour may switch a channel's news off and say nothing; deliveries of
an outage do not all come again. So every quarter of an hour each channel is asked two things: whether its
news is still sent here, and which leads its forms have. Leads go into the inbox as the changes that their
deliveries would have been, under the same business key, so a delivery that comes after all is a duplicate.
Then the vendor's count of each form is compared with ours (`leads.form_counts`).
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final

import attrs
import structlog

from moorage.leads.feeding import Subject, feed, subject_of
from moorage.leads.form_counter import FormCounter
from moorage.leads.forms import remember_forms
from moorage.metrics import LEADS_RECOVERED, RESUBSCRIBED
from moorage.nudging import nudge_all
from moorage.operations.grants import note_subscribed, subscribe_channels
from moorage.operations.standing import act_on_vendor_error
from moorage.services import Services
from moorage.waits import asked_by
from moorage_ports.capabilities import Capability
from moorage_ports.checkpoints import LeadCheckpoint
from moorage_ports.errors import (
    InvalidRequestError,
    MissingScopeError,
    MoorageError,
    RateLimitError,
    RejectedError,
    VendorError,
    VendorNotFoundError,
)
from moorage_ports.inbox import HeardBy
from moorage_ports.jobs import LookAgain, Nudge
from moorage_ports.lead_source import Lead, LeadForm, LeadSource

log = structlog.get_logger(__name__)

QUEUE: Final = "reconcile"
EVERY: Final = timedelta(minutes=15)
CHANNELS_AT_ONCE: Final = 4
OVERLAP: Final = timedelta(hours=1)  # leads may show late at the vendor; reading one twice costs nothing
FIRST_READING: Final = timedelta(days=1)  # for channels that nobody noted the selection of
PAGES_A_LOOK: Final = 25  # then back to the end of the line: a big form must not keep others waiting


async def nudge_channels(services: Services) -> None:
    """Have every selected channel of every connected org looked after."""
    channels = await services.storage.backlog.listening_channels()
    nudges = (
        Nudge(queue=QUEUE, group=f"{org_id}:{vendor}:{external_id}", org_id=org_id)
        for org_id, vendor, external_id in channels
    )
    await nudge_all(services.storage, nudges)


@attrs.frozen
class Reconciler:
    """Looks after one channel at a time, as often as it is told to."""

    services: Services

    @property
    def counts(self) -> FormCounter:
        """What compares the vendor's counts with ours."""
        return FormCounter(self.services)

    async def look(self, nudge: Nudge) -> LookAgain | None:
        """Check the channel's subscription and read its leads; look again if there is more to read."""
        org_id, slug, external_id = nudge.group.split(":", 2)
        subject = await subject_of(self.services, org_id, slug, external_id)
        if subject is None:
            return None
        asked_at = self.services.clock.now()
        try:
            try:
                await self._listen(subject)
            except MissingScopeError as missing:  # leads can be read without hearing of them
                self._could_not(subject, missing)
            return None if await self._read_forms(subject, asked_at) else LookAgain()
        except RateLimitError as limit:
            return LookAgain(at=self.services.clock.now() + asked_by(limit))
        except VendorError as failure:
            self._could_not(subject, failure)
            await act_on_vendor_error(
                self.services,
                subject.org_id,
                subject.vendor.slug,
                failure,
                asked_at=asked_at,
                channel_external_id=subject.external_id,
            )
            return None  # the next quarter of an hour tries again

    # Is its news sent here? ------------------------------------------------------------------

    async def _listen(self, subject: Subject) -> None:
        """Have the channel's news sent here again, should it have stopped, and write down how that stands."""
        if subject.vendor.subscriptions is None:
            return
        is_heard = await subject.vendor.subscriptions(subject.context).is_subscribed(subject.external_id)
        channel, org_id = subject.channel, subject.org_id
        if is_heard:
            if not channel.subscribed:
                await note_subscribed(self.services, org_id, {channel.id: True}, [channel])
            return
        outcomes = await subscribe_channels(self.services, subject.vendor, org_id, [channel])
        outcome = "failed" if outcomes[channel.id] else "subscribed"
        RESUBSCRIBED.labels(subject.vendor.slug, outcome).inc()
        log.warning(
            "channel_was_not_heard", vendor=subject.vendor.slug, org=org_id, channel=channel.id, now=outcome
        )

    # Which leads are there? ------------------------------------------------------------------

    async def _read_forms(self, subject: Subject, started_at: datetime) -> bool:
        """Read what is new in every form; false when this look's pages are used up before."""
        if subject.vendor.lead_source is None or subject.vendor.webhooks is None:
            return True
        if not subject.vendor.suits(subject.channel.type, Capability.RECEIVE_LEADS):
            return True
        source = subject.vendor.lead_source(subject.context)
        async with self.services.storage.unit_of_work(subject.org_id, reads_only=True) as uow:
            noted = await uow.lead_checkpoints.of_channel(subject.vendor.slug, subject.external_id)
        checkpoints = {checkpoint.form_external_id: checkpoint for checkpoint in noted}
        first = checkpoints.get("")
        pages = PAGES_A_LOOK
        forms = await source.forms(subject.external_id)
        await self._remember(subject, forms)
        for form in forms:
            checkpoint = _begun(subject, form.external_id, checkpoints, started_at)
            if checkpoint is None:
                continue
            try:
                pages, listed = await self._read_form(subject, source, checkpoint, pages)
            except (VendorNotFoundError, RejectedError, InvalidRequestError) as refused:
                self._could_not(subject, refused)  # this form: the others may still be read
                await self._finish(subject, checkpoint)
                pages, listed = pages - 1, None
            if listed is not None:
                await self.counts.compare(subject, form, listed, first)
            if pages <= 0:
                return False
        return True

    async def _remember(self, subject: Subject, forms: Collection[LeadForm]) -> None:
        """Keep what the forms ask; of those that are gone at the vendor, nothing is missing any more."""
        slug, now = subject.vendor.slug, self.services.clock.now()
        async with self.services.storage.unit_of_work(subject.org_id) as uow:
            await remember_forms(uow, slug, subject.external_id, forms, now)
            await uow.form_checks.keep_only(slug, subject.external_id, [form.external_id for form in forms])

    async def _read_form(
        self, subject: Subject, source: LeadSource, checkpoint: LeadCheckpoint, pages: int
    ) -> tuple[int, frozenset[str] | None]:
        """Read on from the checkpoint and move it.

        Answers how many pages this look may still read, and which leads were listed if that was to the end.
        """
        seen = {checkpoint.cursor}
        listed: set[str] = set()
        while pages > 0:
            since = checkpoint.since - OVERLAP
            try:
                page = await source.leads_since(
                    subject.external_id, checkpoint.form_external_id, since, checkpoint.cursor
                )
            except (InvalidRequestError, RejectedError):
                if checkpoint.cursor is None:
                    raise
                await self._finish(subject, checkpoint)
                return pages - 1, None  # the vendor forgot where we were: from the beginning next time
            pages -= 1
            await self._feed(subject, page.items)
            listed.update(lead.external_id for lead in page.items)
            if page.next_cursor is None:
                done = attrs.evolve(checkpoint, since=checkpoint.began_at or checkpoint.since)
                await self._finish(subject, done)
                return pages, frozenset(listed)
            if page.next_cursor in seen:
                log.error("pages_of_leads_go_round", vendor=subject.vendor.slug, org=subject.org_id)
                await self._finish(subject, checkpoint)
                return pages, None
            seen.add(page.next_cursor)
            checkpoint = attrs.evolve(checkpoint, cursor=page.next_cursor)
            await self._note(subject, checkpoint)
        return pages, None

    async def _feed(self, subject: Subject, leads: tuple[Lead, ...]) -> None:
        """Put leads where their deliveries would have put them, and say so if there were none."""
        kept = await feed(self.services, subject, leads, heard_by=HeardBy.RECONCILE)
        if kept.stored:
            LEADS_RECOVERED.labels(subject.vendor.slug).inc(kept.stored)
            log.warning(
                "leads_recovered",
                vendor=subject.vendor.slug,
                org=subject.org_id,
                channel=subject.channel.id,
                count=kept.stored,
            )

    async def _finish(self, subject: Subject, checkpoint: LeadCheckpoint) -> None:
        """Enough of this form until the next quarter of an hour, whether or not it was read to its end."""
        checked_at = self.services.clock.now()
        await self._note(subject, attrs.evolve(checkpoint, checked_at=checked_at, cursor=None, began_at=None))

    async def _note(self, subject: Subject, checkpoint: LeadCheckpoint) -> None:
        async with self.services.storage.unit_of_work(subject.org_id) as uow:
            await uow.lead_checkpoints.save(checkpoint)

    def _could_not(self, subject: Subject, failure: MoorageError) -> None:
        log.warning(
            "not_reconciled",
            vendor=subject.vendor.slug,
            org=subject.org_id,
            channel=subject.channel.id,
            code=failure.code,
        )


def _begun(
    subject: Subject, form_id: str, noted: dict[str, LeadCheckpoint], started_at: datetime
) -> LeadCheckpoint | None:
    """Where to read a form from; `None` if that was done a moment ago: this look goes on."""
    checkpoint = noted.get(form_id)
    if checkpoint is None:
        first = noted.get("")
        checkpoint = LeadCheckpoint(
            vendor=subject.vendor.slug,
            channel_external_id=subject.external_id,
            form_external_id=form_id,
            since=first.since if first else started_at - FIRST_READING,
        )
    if checkpoint.cursor is not None:
        return checkpoint
    if checkpoint.checked_at is not None and checkpoint.checked_at > started_at - EVERY / 2:
        return None
    return attrs.evolve(checkpoint, began_at=started_at)
