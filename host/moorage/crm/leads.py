"""Leads as the API shows them, and one page of them."""

from collections.abc import Mapping
from datetime import datetime

import attrs
from attrs.validators import ge, le, max_len

from moorage.services import Services
from moorage_ports.crm import CrmLead
from moorage_ports.errors import NotFoundError
from moorage_ports.values import is_aware


@attrs.frozen(kw_only=True)
class LeadQuery:
    """Which leads: a page (`p`, from 1; `ps` a page) of those that match everything given."""

    p: int = attrs.field(default=1, validator=[ge(1), le(1_000_000)])
    ps: int = attrs.field(default=25, validator=[ge(1), le(500)])
    search: str = attrs.field(default="", validator=max_len(200))
    status: str = attrs.field(default="", validator=max_len(64))
    form_id: str = attrs.field(default="", validator=max_len(128))


@attrs.frozen(kw_only=True)
class LeadView:
    """A lead of the CRM, as an org sees it."""

    id: str
    external_id: str
    vendor: str
    email: str = attrs.field(repr=False)
    first_name: str = attrs.field(repr=False)
    last_name: str = attrs.field(repr=False)
    phone: str = attrs.field(repr=False)
    company: str = attrs.field(repr=False)
    status: str
    stage: str
    source: str
    form_id: str
    campaign_id: str
    ad_set_id: str
    ad_id: str
    platform: str
    is_organic: bool | None
    contact_id: str | None
    properties: Mapping[str, tuple[str, ...]] = attrs.field(repr=False)
    submitted_at: datetime | None = attrs.field(validator=is_aware)
    created_at: datetime = attrs.field(validator=is_aware)


@attrs.frozen(kw_only=True)
class LeadList:
    """One page of leads, newest first."""

    items: tuple[LeadView, ...]
    total: int
    page: int
    page_size: int


async def list_leads(services: Services, org_id: str, query: LeadQuery) -> LeadList:
    """One page of the org's leads."""
    async with services.storage.unit_of_work(org_id, reads_only=True) as uow:
        page = await uow.leads.page(
            page=query.p,
            page_size=query.ps,
            search=query.search,
            status=query.status,
            form_id=query.form_id,
        )
    return LeadList(
        items=tuple(lead_view(lead) for lead in page.items),
        total=page.total,
        page=page.page,
        page_size=page.page_size,
    )


async def get_lead(services: Services, org_id: str, lead_id: str) -> LeadView:
    """One of the org's leads, by our id.

    Raises:
        NotFoundError: It has none of that id.
    """
    async with services.storage.unit_of_work(org_id, reads_only=True) as uow:
        lead = await uow.leads.get(lead_id)
    if lead is None:
        msg = "no such lead"
        raise NotFoundError(msg)
    return lead_view(lead)


def lead_view(lead: CrmLead) -> LeadView:
    """A lead's row."""
    return LeadView(
        id=lead.id,
        external_id=lead.external_id,
        vendor=lead.vendor,
        email=lead.email,
        first_name=lead.first_name,
        last_name=lead.last_name,
        phone=lead.phone,
        company=lead.company,
        status=lead.status,
        stage=lead.stage,
        source=lead.source,
        form_id=lead.form_id,
        campaign_id=lead.campaign_id,
        ad_set_id=lead.ad_set_id,
        ad_id=lead.ad_id,
        platform=lead.platform,
        is_organic=lead.is_organic,
        contact_id=lead.contact_id,
        properties=lead.properties,
        submitted_at=lead.submitted_at,
        created_at=lead.created_at,
    )
