"""Reading forms and leads as they stand at the vendor, beside what is known of them here."""

from collections.abc import Collection, Mapping

import attrs

from moorage.leads.forms import remember_forms
from moorage.operations.lead_channels import lead_channels
from moorage.operations.lead_views import form_view, lead_view
from moorage.services import OperationCall
from moorage_ports.form_checks import FormCheck
from moorage_ports.integrations import Channel
from moorage_ports.lead_ledger import LeadTotals
from moorage_ports.lead_operations import (
    GetLead,
    GetLeadForm,
    LeadFormList,
    LeadFormView,
    LeadView,
    ListLeadForms,
)
from moorage_ports.lead_orders import Backfill
from moorage_ports.lead_source import Lead, LeadForm
from moorage_ports.storage import UnitOfWork


async def list_lead_forms(call: OperationCall, request: ListLeadForms) -> LeadFormList:
    """The forms of one channel; what they ask is kept.

    Raises:
        UnsupportedError, NotConnectedError, NotFoundError, InvalidRequestError: See `lead_channels`.
        VendorError: What the vendor said.
    """
    found = await lead_channels(call, request.channel)
    (channel,) = found.channels
    forms = await found.ask(channel, lambda: found.source.forms(channel.external_id))
    now = call.services.clock.now()
    async with call.services.storage.unit_of_work(call.caller.org_id, reads_only=call.dry_run) as uow:
        if not call.dry_run:
            await remember_forms(uow, call.vendor.slug, channel.external_id, forms, now)
        return LeadFormList(forms=await _forms_known(uow, call.vendor.slug, forms))


async def get_lead_form(call: OperationCall, request: GetLeadForm) -> LeadFormView:
    """One form, wherever it hangs.

    Raises:
        UnsupportedError, NotConnectedError, NotFoundError, InvalidRequestError: See `lead_channels`.
        VendorError: What the vendor said.
    """
    found = await lead_channels(call, request.channel, form_id=request.form)
    _, form = await found.form(request.form)
    async with call.services.storage.unit_of_work(call.caller.org_id, reads_only=True) as uow:
        (known,) = await _forms_known(uow, call.vendor.slug, (form,))
    return known


async def forms_remembered(
    uow: UnitOfWork, vendor: str, channels: Collection[str]
) -> tuple[LeadFormView, ...]:
    """The forms that these channels had when they were last read. The vendor is not asked."""
    known = [
        each.form
        for each in await uow.lead_forms.all()
        if each.vendor == vendor and each.form.channel_external_id in channels
    ]
    return await _forms_known(uow, vendor, known)


async def form_remembered(uow: UnitOfWork, vendor: str, form_id: str) -> LeadFormView | None:
    """One form as it was last read, if it ever was. The vendor is not asked."""
    known = await uow.lead_forms.get(vendor, form_id)
    return (await _forms_known(uow, vendor, (known.form,)))[0] if known else None


async def _forms_known(uow: UnitOfWork, vendor: str, forms: Collection[LeadForm]) -> tuple[LeadFormView, ...]:
    known = await _known_of(uow, vendor, [form.external_id for form in forms])
    return tuple(form_view(form, *known.of(form.channel_external_id, form.external_id)) for form in forms)


@attrs.frozen
class _Known:
    """What is known here of some forms of a vendor."""

    vendor: str
    totals: Mapping[tuple[str, str], LeadTotals]
    backfills: Mapping[str, Backfill]
    checks: Mapping[tuple[str, str], FormCheck]

    def of(self, channel: str, form: str) -> tuple[LeadTotals, Backfill | None, FormCheck | None]:
        """Of one form."""
        totals = self.totals.get((self.vendor, form), LeadTotals())
        return totals, self.backfills.get(form), self.checks.get((channel, form))


async def _known_of(uow: UnitOfWork, vendor: str, ids: Collection[str]) -> _Known:
    """Three questions, however many forms."""
    if not ids:
        return _Known(vendor, {}, {}, {})
    return _Known(
        vendor,
        totals=await uow.lead_ledger.totals(vendor=vendor, form_external_ids=ids),
        backfills=await uow.backfills.newest(vendor, ids),
        checks={
            (check.channel_external_id, check.form_external_id): check
            for check in await uow.form_checks.all()
            if check.vendor == vendor
        },
    )


async def get_lead(call: OperationCall, request: GetLead) -> LeadView:
    """One lead as it stands at the vendor.

    Raises:
        UnsupportedError, NotConnectedError, NotFoundError, InvalidRequestError: See `lead_channels`.
        VendorError: What the vendor said.
    """
    slug, org_id, storage = call.vendor.slug, call.caller.org_id, call.services.storage
    async with storage.unit_of_work(org_id, reads_only=True) as uow:
        known = await uow.leads.by_external_id(slug, request.lead)
        ours = None if known else await uow.leads.get(request.lead)
        known = known or (ours if ours and ours.vendor == slug else None)
    lead_id = known.external_id if known else request.lead
    found = await lead_channels(call, request.channel or (known.channel_external_id if known else ""))

    async def read(channel: Channel) -> Lead:
        return await found.source.lead(channel.external_id, lead_id)

    _, lead = await found.first(read)
    return lead_view(lead, known)
