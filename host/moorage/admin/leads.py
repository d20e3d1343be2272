"""Leads: who filled in a form, narrowed down as people ask for it, on a page or as a file."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Final, cast
from urllib.parse import urlencode

import attrs
from litestar import Request, get
from litestar.params import QueryParameter
from litestar.response import Stream

from moorage.admin.desk import LIVE_HEADER, VisitHere
from moorage.admin.forms import day_of
from moorage.admin.lead_words import form_names, status_badge
from moorage.admin.leafing import PAGE_SIZE, leafing, page_number, search_text
from moorage.admin.pages import Answer
from moorage.admin.proof import EXPORT, needs_proof
from moorage.admin.standing import all_standings, channel_names
from moorage.auth import SESSION
from moorage.crm.leads import lead_filter
from moorage.handover.exporting import MEDIA_TYPES, ExportFormat, ExportQuery
from moorage.routes.export import export_answer
from moorage_ports.crm import LEAD_STATUSES
from moorage_ports.operations import Role

_TESTS: Final[Mapping[str, bool | None]] = {"": None, "without": False, "only": True}


@attrs.frozen(kw_only=True)
class Asked:
    """Which leads the address asks for; what it says that means nothing is left out."""

    search: str = attrs.field(default="", repr=False)
    status: str = ""
    form: str = ""
    tests: str = ""
    since: str = ""  # days, both of them included
    until: str = ""

    @property
    def is_narrow(self) -> bool:
        """Whether more is asked for than a search."""
        return bool(self.status or self.form or self.tests or self.since or self.until)

    def query(self) -> dict[str, str]:
        """The same as an address says it."""
        return {
            "q": self.search,
            "status": self.status,
            "form": self.form,
            "tests": self.tests,
            "since": self.since,
            "until": self.until,
        }

    def href(self, file_type: ExportFormat) -> str:
        """Where the same leads are a file."""
        asked = {name: value for name, value in self.query().items() if value}
        return "/admin/leads/export?" + urlencode({"format": file_type, **asked})

    def wanted(self, file_type: ExportFormat = "csv") -> ExportQuery:
        """The same as the API asks for it."""
        since, until = day_of(self.since), day_of(self.until)
        return ExportQuery(
            search=self.search,
            status=self.status,
            form_id=self.form,
            is_test=_TESTS[self.tests],
            since=since,
            until=until + timedelta(days=1) if until else None,
            format=file_type,
        )


def _asked(q: str, status: str, form: str, tests: str, since: str, until: str) -> Asked:
    return Asked(
        search=search_text(q),
        status=status if status in LEAD_STATUSES else "",
        form=form.strip().replace("\0", "")[:128],
        tests=tests if tests in _TESTS else "",
        since=since if day_of(since) else "",
        until=until if day_of(until) else "",
    )


@get("/leads", opt=SESSION)
async def leads_page(
    request: Request[Any, Any, Any],
    visit: VisitHere,
    q: Annotated[str, QueryParameter(required=False)] = "",
    status: Annotated[str, QueryParameter(required=False)] = "",
    form_id: Annotated[str, QueryParameter(name="form", required=False)] = "",
    tests: Annotated[str, QueryParameter(required=False)] = "",
    since: Annotated[str, QueryParameter(required=False)] = "",
    until: Annotated[str, QueryParameter(required=False)] = "",
    take: Annotated[str, QueryParameter(required=False)] = "",
    p: Annotated[str, QueryParameter(required=False)] = "1",
) -> Answer:
    """The org's leads, newest first. The script asks for this page again to see what came."""
    asked = _asked(q, status, form_id, tests, since, until)
    async with visit.services.storage.unit_of_work(visit.org_id, reads_only=True) as uow:
        where = await lead_filter(uow, asked.wanted())
        found = await uow.leads.page(page=page_number(p), page_size=PAGE_SIZE, where=where)
        standings = await all_standings(uow, visit.services.vendors)
        forms = await form_names(uow, [("", asked.form)])
        # They stand above what a look replaces, and adding up reads the whole ledger.
        sums = () if LIVE_HEADER in request.headers else (await uow.lead_ledger.totals()).values()
    context = {
        "title": "Leads",
        "leads": found.items,
        "pages": leafing(found, asked.query()),
        "asked": asked,
        "file_type": _file_type(take),
        "search": asked.search,
        "statuses": {one: status_badge(one).text for one in LEAD_STATUSES},
        "forms": {one.id: one.name for one in reversed(forms)},
        "status_badge": status_badge,
        "parked": sum(one.parked for one in sums),
        "dead": sum(one.dead for one in sums),
        "standings": standings,
        "is_listening": any(standing.heard for standing in standings),
        "is_connected": any(standing.is_live for standing in standings),
        "expired": [standing for standing in standings if standing.is_expired],
        "channel_names": channel_names(standings),
    }
    return visit.page("leads.html", context)


@get("/leads/export", opt=SESSION)
async def export_leads_file(
    visit: VisitHere,
    q: Annotated[str, QueryParameter(required=False)] = "",
    status: Annotated[str, QueryParameter(required=False)] = "",
    form_id: Annotated[str, QueryParameter(name="form", required=False)] = "",
    tests: Annotated[str, QueryParameter(required=False)] = "",
    since: Annotated[str, QueryParameter(required=False)] = "",
    until: Annotated[str, QueryParameter(required=False)] = "",
    file_type: Annotated[str, QueryParameter(name="format", required=False)] = "csv",
) -> Stream:
    """The same leads as a file, however many: the API's export."""
    caller, kind = visit.caller(Role.AGENT), _file_type(file_type) or "csv"
    asked = _asked(q, status, form_id, tests, since, until)
    needs_proof(visit, EXPORT, "/admin/leads?" + urlencode({**asked.query(), "take": kind}))
    return await export_answer(visit.services, caller, asked.wanted(kind), visit.desk.renderer.headers(""))


def _file_type(text: str) -> ExportFormat | None:
    return cast("ExportFormat", text) if text in MEDIA_TYPES else None
