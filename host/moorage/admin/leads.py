"""Leads: who filled in a form, and one person's answers."""

from typing import Annotated

import structlog
from litestar import get
from litestar.params import FromPath, QueryParameter

from moorage.admin.desk import VisitHere
from moorage.admin.leafing import PAGE_SIZE, leafing, page_number, search_text
from moorage.admin.pages import Answer
from moorage.admin.standing import all_standings, channel_names
from moorage.auth import SESSION
from moorage_ports.crm import CrmLead
from moorage_ports.errors import NotFoundError

log = structlog.get_logger(__name__)


@get("/leads", opt=SESSION)
async def leads_page(
    visit: VisitHere,
    q: Annotated[str, QueryParameter(required=False)] = "",
    p: Annotated[str, QueryParameter(required=False)] = "1",
) -> Answer:
    """The org's leads, newest first. The script asks for this page again to see what came."""
    search = search_text(q)
    async with visit.services.storage.unit_of_work(visit.org_id, reads_only=True) as uow:
        found = await uow.leads.page(page=page_number(p), page_size=PAGE_SIZE, search=search)
        standings = await all_standings(uow, visit.services.vendors)
    context = {
        "title": "Leads",
        "leads": found.items,
        "pages": leafing(found, {"q": search}),
        "search": search,
        "standings": standings,
        "is_listening": any(standing.heard for standing in standings),
        "is_connected": any(standing.is_live for standing in standings),
        "expired": [standing for standing in standings if standing.is_expired],
        "channel_names": channel_names(standings),
    }
    return visit.page("leads.html", context)


@get("/leads/{lead_id:str}", opt=SESSION)
async def lead_page(visit: VisitHere, lead_id: FromPath[str]) -> Answer:
    """One lead, in full: lists shorten e-mail and phone, opening a record shows them (and is logged)."""
    async with visit.services.storage.unit_of_work(visit.org_id, reads_only=True) as uow:
        lead = await uow.leads.get(lead_id)
        standings = await all_standings(uow, visit.services.vendors)
    if lead is None:
        msg = "this organisation has no such lead"
        raise NotFoundError(msg)
    log.info("lead_opened", lead=lead.id, org=visit.org_id, account=visit.session.account_id)
    card = visit.services.vendors.by_slug.get(lead.vendor)
    context = {
        "title": name_of(lead),
        "lead": lead,
        "vendor_title": card.title if card else lead.vendor,
        "channel_names": channel_names(standings),
    }
    return visit.page("lead.html", context)


def name_of(lead: CrmLead) -> str:
    """How to call somebody; a lead without a name still is one."""
    return " ".join(part for part in (lead.first_name, lead.last_name) if part) or "Somebody without a name"
