"""Ordering a backfill, and seeing how it goes. What carries it out is `moorage.leads.backfilling`."""

from moorage.ids import new_id
from moorage.leads.backfilling import backfill_nudge
from moorage.leads.form_counter import leads_heard_of
from moorage.operations.lead_channels import lead_channels
from moorage.operations.lead_views import backfill_view
from moorage.services import OperationCall
from moorage_ports.errors import NotFoundError
from moorage_ports.lead_operations import BackfillLeads, BackfillView, GetBackfill
from moorage_ports.lead_orders import Backfill
from moorage_ports.storage import UnitOfWork


async def backfill_leads(call: OperationCall, request: BackfillLeads) -> BackfillView:
    """Order it, unless one of the same stretch runs; answers at once how it stands.

    Raises:
        UnsupportedError, NotConnectedError, NotFoundError, InvalidRequestError: See `lead_channels`.
        VendorError: The form cannot be read.
    """
    found = await lead_channels(call, request.channel, form_id=request.form)
    channel, form = await found.form(request.form)
    wanted = Backfill(
        id=new_id(),
        vendor=call.vendor.slug,
        channel_external_id=channel.external_id,
        form_external_id=form.external_id,
        since=request.since,
        until=request.until,
        ordered_at=call.services.clock.now(),
    )
    async with call.services.storage.unit_of_work(call.caller.org_id, reads_only=call.dry_run) as uow:
        backfill = next((each for each in await uow.backfills.running() if _is_same(each, wanted)), None)
        if backfill is None:
            backfill = wanted
            if not call.dry_run:
                await uow.backfills.save(backfill)
        if not call.dry_run:
            await uow.jobs.nudge(backfill_nudge(uow.org_id, backfill.id))
        return await _view(uow, backfill)


async def get_backfill(call: OperationCall, request: GetBackfill) -> BackfillView:
    """One backfill as far as it has come.

    Raises:
        NotFoundError: The org ordered none of that id.
    """
    async with call.services.storage.unit_of_work(call.caller.org_id, reads_only=True) as uow:
        backfill = await uow.backfills.get(request.id)
        if backfill is None or backfill.vendor != call.vendor.slug:
            msg = "the organisation ordered no such backfill"
            raise NotFoundError(msg)
        return await _view(uow, backfill)


async def _view(uow: UnitOfWork, backfill: Backfill) -> BackfillView:
    check = await uow.form_checks.get(
        backfill.vendor, backfill.channel_external_id, backfill.form_external_id
    )
    totals = await leads_heard_of(uow, backfill.vendor, backfill.form_external_id)
    return backfill_view(backfill, totals, check)


def _is_same(one: Backfill, other: Backfill) -> bool:
    names = ("vendor", "channel_external_id", "form_external_id", "since", "until")
    return all(getattr(one, name) == getattr(other, name) for name in names)
