"""What those who listen are told of a lead. Called in the transaction that made it true."""

from typing import cast

from moorage.codec import to_plain
from moorage.crm.leads import lead_view
from moorage_ports.crm import CrmLead
from moorage_ports.outgoing import EventType
from moorage_ports.storage import UnitOfWork


async def announce_lead(uow: UnitOfWork, event_type: EventType, lead: CrmLead) -> int:
    """Tell of a lead as the API shows it; answers how many endpoints are told."""
    if not await uow.outgoing.listens(event_type):
        return 0
    shown = cast("dict[str, object]", to_plain(lead_view(lead)))
    return await uow.outgoing.announce(event_type, lead.id, shown)


async def announce_deleted(uow: UnitOfWork, lead: CrmLead, *, reason: str = "request") -> int:
    """Tell that a lead is no more, and why, by its ids alone; answers how many endpoints are told.

    What was still to be told of it is never told: it holds what was deleted.
    """
    await uow.outgoing.forget_about([lead.id])
    gone = {"id": lead.id, "externalId": lead.external_id, "vendor": lead.vendor, "reason": reason}
    return await uow.outgoing.announce(EventType.LEAD_DELETED, lead.id, gone)
