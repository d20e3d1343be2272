"""The embedded CRM's leads of one org."""

from sqlalchemy import RowMapping

from moorage_adapters.sqlmodel.marks import marks_of
from moorage_adapters.sqlmodel.tables import LEAD
from moorage_adapters.sqlmodel.tenant import Condition, OrgGate, Tenant, fields_of, value_of
from moorage_adapters.sqlmodel.types import clean
from moorage_ports.crm import CrmLead, LeadPage
from moorage_ports.erasure import lead_mark

MAX_SEARCH_CHARACTERS = 200  # more is never typed, and SQLite refuses very long patterns
MAX_PAGE_SIZE = 500


class SqlLeads:
    """`moorage_ports.crm.Leads` over one unit of work."""

    def __init__(self, gate: OrgGate) -> None:
        self._gate = gate

    async def add(self, lead: CrmLead) -> bool:
        """Insert; false (and nothing changed) if the org has this vendor's lead already, or erased it."""
        values = {**fields_of(lead), "search_text": _search_text(lead)}
        mark = lead_mark(lead.vendor, lead.external_id)
        return await self._gate.run(lambda org: not marks_of(org, [mark]) and org.insert(LEAD, values))

    async def get(self, lead_id: str) -> CrmLead | None:
        """One lead by our id."""
        return await self._gate.run(lambda org: _maybe(org.one(LEAD, LEAD.c.id == lead_id)))

    async def by_external_id(self, vendor: str, external_id: str) -> CrmLead | None:
        """One lead by the vendor's id."""
        return await self._gate.run(
            lambda org: _maybe(org.one(LEAD, LEAD.c.vendor == vendor, LEAD.c.external_id == external_id))
        )

    async def page(
        self, *, page: int, page_size: int, search: str = "", status: str = "", form_id: str = ""
    ) -> LeadPage:
        """Newest first; `search` matches names, e-mail, phone and company literally, whatever the case."""
        where = _conditions(search, status, form_id)
        size = min(max(page_size, 1), MAX_PAGE_SIZE)
        number = max(page, 1)

        def work(org: Tenant) -> LeadPage:
            rows = org.rows(
                LEAD,
                *where,
                order_by=(LEAD.c.created_at.desc(), LEAD.c.id.desc()),
                limit=size,
                offset=(number - 1) * size,
            )
            return LeadPage(
                items=tuple(value_of(CrmLead, row) for row in rows),
                total=org.count(LEAD, *where),
                page=number,
                page_size=size,
            )

        return await self._gate.run(work)


def _maybe(row: RowMapping | None) -> CrmLead | None:
    return None if row is None else value_of(CrmLead, row)


def _search_text(lead: CrmLead) -> str:
    """What a search looks through: one line per field, and the name as people write it."""
    name = f"{lead.first_name} {lead.last_name}".strip()
    return "\n".join(clean(text).casefold() for text in (name, lead.email, lead.phone, lead.company))


def _conditions(search: str, status: str, form_id: str) -> list[Condition]:
    where: list[Condition] = []
    term = clean(search[:MAX_SEARCH_CHARACTERS]).casefold().strip()
    if term:
        where.append(LEAD.c.search_text.contains(term, autoescape=True))
    if status:
        where.append(LEAD.c.status == status)
    if form_id:
        where.append(LEAD.c.form_id == form_id)
    return where
