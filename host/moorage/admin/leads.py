"""Leads: who filled in a form, and one person's answers."""

import math
from typing import Annotated, Final
from urllib.parse import urlencode

import attrs
import structlog
from litestar import get
from litestar.params import FromPath, QueryParameter

from moorage.admin.desk import VisitHere
from moorage.admin.pages import Answer
from moorage.admin.standing import all_standings, channel_names
from moorage.auth import SESSION
from moorage_ports.crm import CrmLead, LeadPage
from moorage_ports.errors import NotFoundError

log = structlog.get_logger(__name__)

PAGE_SIZE: Final = 25
_SEARCH: Final = 200
_LAST_PAGE: Final = 100_000


@attrs.frozen(kw_only=True)
class Pages:
    """Where in a long list somebody is."""

    page: int
    last: int
    total: int
    first_shown: int
    last_shown: int
    search: str

    def href(self, page: int) -> str:
        """Another page of the same search."""
        asked = {"q": self.search} if self.search else {}
        return "?" + urlencode({**asked, "p": str(page)})


@get("/leads", opt=SESSION)
async def leads_page(
    visit: VisitHere,
    q: Annotated[str, QueryParameter(required=False)] = "",
    p: Annotated[str, QueryParameter(required=False)] = "1",
) -> Answer:
    """The org's leads, newest first. The script asks for this page again to see what came."""
    search = q.strip().replace("\0", "")[:_SEARCH]
    number = min(int(p), _LAST_PAGE) if p.isascii() and p.isdigit() and len(p) < 9 else 1
    async with visit.services.storage.unit_of_work(visit.org_id, reads_only=True) as uow:
        found = await uow.leads.page(page=max(number, 1), page_size=PAGE_SIZE, search=search)
        standings = await all_standings(uow, visit.services.vendors)
    context = {
        "title": "Leads",
        "leads": found.items,
        "pages": _pages(found, search),
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


def _pages(found: LeadPage, search: str) -> Pages:
    first = (found.page - 1) * found.page_size
    return Pages(
        page=found.page,
        last=max(1, math.ceil(found.total / found.page_size)),
        total=found.total,
        first_shown=first + 1 if found.items else 0,
        last_shown=first + len(found.items),
        search=search,
    )
