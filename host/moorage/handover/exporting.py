"""All leads that fit, as CSV or JSON Lines, however many: read a page at a time, handed on before the next.

Each page is a short transaction of its own, so nobody waits behind an export; a lead that comes after it
began is not in it, one that changes meanwhile is as it was or as it is.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from datetime import datetime
from typing import Final, Literal

import attrs
import msgspec
import structlog

from moorage.codec import encode, to_plain
from moorage.crm.leads import WhichLeads, lead_filter, lead_view
from moorage.handover.csv_lines import csv_lines
from moorage.services import Services
from moorage_ports.crm import CrmLead, LeadFilter

log = structlog.get_logger(__name__)

PAGE: Final = 100  # leads of one transaction and of one piece; between two of these others have their turn
ExportFormat = Literal["csv", "jsonl"]
MEDIA_TYPES: Final[Mapping[ExportFormat, str]] = {
    "csv": "text/csv; header=present",
    "jsonl": "application/x-ndjson",
}

Cell = Callable[[CrmLead], object]

# Never reordered, never renamed; new ones come at the end.
COLUMNS: Final[Mapping[str, Cell]] = {
    "id": lambda lead: lead.id,
    "externalId": lambda lead: lead.external_id,
    "vendor": lambda lead: lead.vendor,
    "createdAt": lambda lead: lead.created_at,
    "updatedAt": lambda lead: lead.updated_at,
    "submittedAt": lambda lead: lead.submitted_at,
    "email": lambda lead: lead.email,
    "firstName": lambda lead: lead.first_name,
    "lastName": lambda lead: lead.last_name,
    "phone": lambda lead: lead.phone,
    "company": lambda lead: lead.company,
    "status": lambda lead: lead.status,
    "stage": lambda lead: lead.stage,
    "assignee": lambda lead: lead.assignee,
    "source": lambda lead: lead.source,
    "platform": lambda lead: lead.platform,
    "isOrganic": lambda lead: lead.is_organic,
    "isTest": lambda lead: lead.is_test,
    "channelExternalId": lambda lead: lead.channel_external_id,
    "formId": lambda lead: lead.form_id,
    "campaignId": lambda lead: lead.campaign_id,
    "campaignName": lambda lead: lead.campaign_name,
    "adSetId": lambda lead: lead.ad_set_id,
    "adSetName": lambda lead: lead.ad_set_name,
    "adId": lambda lead: lead.ad_id,
    "adName": lambda lead: lead.ad_name,
    "contactId": lambda lead: lead.contact_id,
    "duplicateOf": lambda lead: lead.duplicate_of,
    "mappingVersion": lambda lead: lead.mapping_version,
    "properties": lambda lead: lead.properties,
    "consents": lambda lead: lead.consents,
}


@attrs.frozen(kw_only=True)
class ExportQuery(WhichLeads):
    """Which leads, and as what."""

    format: ExportFormat = "csv"


async def export_leads(
    services: Services, org_id: str, query: ExportQuery, *, by: str
) -> AsyncIterator[bytes]:
    """The export, in pieces. Each is read when the one before it has been taken.

    Raises:
        UnavailableError: The database is out of reach. What came before is no whole export.
    """
    count, is_whole = 0, False
    try:
        where = await _wanted(services, org_id, query)
        async for leads in _pages(services, org_id, where):
            piece = _lines(query.format, leads)
            if query.format == "csv" and not count:
                piece = csv_lines([tuple(COLUMNS)]) + piece
            count += len(leads)
            yield piece
        if query.format == "csv" and not count:
            yield csv_lines([tuple(COLUMNS)])
        is_whole = True
    finally:
        log.info(
            "leads_exported",
            org=org_id,
            by=by,
            format=query.format,
            filters=query.asked(),  # not what is searched for: that may be somebody's name
            count=count,
            whole=is_whole,
        )


async def _wanted(services: Services, org_id: str, query: ExportQuery) -> LeadFilter:
    """The leads that fit and are there by now."""
    now = services.clock.now()
    async with services.storage.unit_of_work(org_id, reads_only=True) as uow:
        where = await lead_filter(uow, query)
    return attrs.evolve(where, until=min(where.until or now, now))


async def _pages(services: Services, org_id: str, where: LeadFilter) -> AsyncIterator[tuple[CrmLead, ...]]:
    after: tuple[datetime, str] | None = None
    while True:
        async with services.storage.unit_of_work(org_id, reads_only=True) as uow:
            leads = await uow.leads.behind(where, after=after, limit=PAGE)
        if leads:
            yield leads
        if len(leads) < PAGE:
            return
        after = (leads[-1].created_at, leads[-1].id)


def _lines(kind: ExportFormat, leads: Iterable[CrmLead]) -> bytes:
    if kind == "csv":
        return csv_lines([_cell(cell(lead)) for cell in COLUMNS.values()] for lead in leads)
    return b"".join(encode(lead_view(lead)) + b"\n" for lead in leads)


def _cell(value: object) -> str:
    """A value as text: what is not known is empty, moments and flags as in JSON, several values as JSON."""
    plain = to_plain(value)
    match plain:
        case None:
            return ""
        case str():
            return plain
        case bool():
            return "true" if plain else "false"
        case _:
            return msgspec.json.encode(plain).decode()
