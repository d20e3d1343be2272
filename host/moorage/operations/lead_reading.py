"""Reading forms and leads as they stand at the vendor, beside what is known of them here."""

from moorage.form_counter import leads_heard_of
from moorage.operations.lead_channels import lead_channels
from moorage.operations.lead_views import form_view, lead_view
from moorage.services import OperationCall
from moorage_ports.integrations import Channel
from moorage_ports.lead_operations import (
    GetLead,
    GetLeadForm,
    LeadFormList,
    LeadFormView,
    LeadView,
    ListLeadForms,
)
from moorage_ports.lead_source import Lead, LeadForm
from moorage_ports.storage import UnitOfWork


async def list_lead_forms(call: OperationCall, request: ListLeadForms) -> LeadFormList:
    """The forms of one channel.

    Raises:
        UnsupportedError, NotConnectedError, NotFoundError, InvalidRequestError: See `lead_channels`.
        VendorError: What the vendor said.
    """
    found = await lead_channels(call, request.channel)
    (channel,) = found.channels
    forms = await found.ask(channel, lambda: found.source.forms(channel.external_id))
    async with call.services.storage.unit_of_work(call.caller.org_id, reads_only=True) as uow:
        return LeadFormList(forms=tuple([await form_known(uow, call.vendor.slug, form) for form in forms]))


async def get_lead_form(call: OperationCall, request: GetLeadForm) -> LeadFormView:
    """One form, wherever it hangs.

    Raises:
        UnsupportedError, NotConnectedError, NotFoundError, InvalidRequestError: See `lead_channels`.
        VendorError: What the vendor said.
    """
    found = await lead_channels(call, request.channel, form_id=request.form)
    _, form = await found.form(request.form)
    async with call.services.storage.unit_of_work(call.caller.org_id, reads_only=True) as uow:
        return await form_known(uow, call.vendor.slug, form)


async def form_known(uow: UnitOfWork, vendor: str, form: LeadForm) -> LeadFormView:
    """A form with what is known of it here."""
    totals = await leads_heard_of(uow, vendor, form.external_id)
    check = await uow.form_checks.get(vendor, form.channel_external_id, form.external_id)
    backfill = await uow.backfills.newest(vendor, form.external_id)
    return form_view(form, totals, backfill, check)


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
