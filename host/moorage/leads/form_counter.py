"""Comparing counts, form by form, whenever a form was read to its end; and what follows from a gap."""

from collections.abc import Collection
from datetime import timedelta
from typing import Final

import attrs
import structlog

from moorage.leads.feeding import Subject
from moorage.leads.form_counts import first_check, next_check, wants_rereading
from moorage.services import Services
from moorage_ports.checkpoints import LeadCheckpoint
from moorage_ports.form_checks import FormCheck
from moorage_ports.lead_ledger import LeadTotals
from moorage_ports.lead_source import LeadForm
from moorage_ports.storage import UnitOfWork

log = structlog.get_logger(__name__)

SOONEST: Final = timedelta(minutes=5)  # what is compared twice has to have had time to change


async def leads_heard_of(uow: UnitOfWork, vendor: str, form_external_id: str) -> LeadTotals:
    """What the leads of a form come to that were ever heard of here."""
    totals = await uow.lead_ledger.totals(vendor=vendor, form_external_ids=(form_external_id,))
    return totals.get((vendor, form_external_id), LeadTotals())


async def _ours(uow: UnitOfWork, vendor: str, form_external_id: str, listed: Collection[str]) -> int:
    """How many leads of a form are known here, tests among them, whatever became of them.

    `listed` were read just now: those that nobody has worked on yet are not in the ledger.
    """
    heard = await leads_heard_of(uow, vendor, form_external_id)
    entered = await uow.lead_ledger.of(vendor, listed) if listed else {}
    return heard.heard + heard.test + len(set(listed) - set(entered))


@attrs.frozen
class FormCounter:
    """Compares one form at a time."""

    services: Services

    async def compare(
        self, subject: Subject, form: LeadForm, listed: Collection[str], first: LeadCheckpoint | None
    ) -> None:
        """Write down what the form's counts say. A gap that is there again has the form read anew.

        `listed` are the leads that the form was just found to have; `first` says since when the org listens.
        """
        slug, now = subject.vendor.slug, self.services.clock.now()
        listens_since = first.since if first else None
        async with self.services.storage.unit_of_work(subject.org_id) as uow:
            before = await uow.form_checks.get(slug, subject.external_id, form.external_id)
            if before is not None and now - before.checked_at < SOONEST:
                return
            ours = await _ours(uow, slug, form.external_id, listed)
            if before is None or before.listens_since != listens_since:
                check = first_check(slug, form, ours, listens_since=listens_since, now=now)
            else:
                check = next_check(before, form, ours, now=now)
            await uow.form_checks.save(check)
            if listens_since is not None and wants_rereading(before, check):
                await uow.lead_checkpoints.save(_from_the_beginning(check, first))
        self._tell(subject, before, check)

    def _tell(self, subject: Subject, before: FormCheck | None, check: FormCheck) -> None:
        """Say once that leads are missing, and once that they are not any more."""
        was_alarming = before is not None and before.is_alarming
        about = {"vendor": check.vendor, "org": subject.org_id, "channel": subject.channel.id}
        if check.is_alarming and not was_alarming:
            log.error("leads_missing", **about, form=check.form_external_id, missing=check.gap)
        if was_alarming and not check.is_alarming:
            log.info("leads_complete", **about, form=check.form_external_id)


def _from_the_beginning(check: FormCheck, first: LeadCheckpoint | None) -> LeadCheckpoint:
    """A checkpoint that has all leads since the org listens read again, at the next look."""
    return LeadCheckpoint(
        vendor=check.vendor,
        channel_external_id=check.channel_external_id,
        form_external_id=check.form_external_id,
        since=first.since if first else check.checked_at,
    )
