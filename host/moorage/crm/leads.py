"""Leads as the API shows them, and one page of them."""

from collections.abc import Mapping
from datetime import datetime

import attrs
from attrs.validators import ge, in_, le, max_len

from moorage.codec import camel
from moorage.crm.channel_book import channel_book
from moorage.services import Services
from moorage_ports.crm import LEAD_STATUSES, CrmLead, LeadFilter, LeadOrder, LeadPage
from moorage_ports.errors import NotFoundError
from moorage_ports.lead_source import Consent
from moorage_ports.storage import UnitOfWork
from moorage_ports.values import is_aware


@attrs.frozen(kw_only=True)
class WhichLeads:
    """Which leads, as people ask for them: those that match everything given."""

    search: str = attrs.field(default="", validator=max_len(200), repr=False)
    status: str = attrs.field(default="", validator=in_(("", *LEAD_STATUSES)))
    stage: str = attrs.field(default="", validator=max_len(64))
    assignee: str = attrs.field(default="", validator=max_len(128))
    source: str = attrs.field(default="", validator=max_len(64))
    form_id: str = attrs.field(default="", validator=max_len(128))
    campaign_id: str = attrs.field(default="", validator=max_len(128))
    channel_id: str = attrs.field(default="", validator=max_len(128))
    contact_id: str = attrs.field(default="", validator=max_len(64))
    is_test: bool | None = None
    since: datetime | None = attrs.field(default=None, validator=is_aware)
    until: datetime | None = attrs.field(default=None, validator=is_aware)

    def asked(self) -> tuple[str, ...]:
        """The names of what is given."""
        return tuple(
            field.name for field in attrs.fields(WhichLeads) if getattr(self, field.name) not in ("", None)
        )


@attrs.frozen(kw_only=True)
class LeadQuery(WhichLeads):
    """A page of leads (`p`, from 1; `ps` a page)."""

    p: int = attrs.field(default=1, validator=[ge(1), le(1_000_000)])
    ps: int = attrs.field(default=25, validator=[ge(1), le(500)])
    sort: str = attrs.field(default="newest", validator=in_(tuple(order.value for order in LeadOrder)))


@attrs.frozen(kw_only=True)
class ConsentView:
    """What a person was asked to agree to, and whether they did."""

    key: str
    text: str
    is_given: bool | None


@attrs.frozen(kw_only=True)
class LeadView:
    """A lead of the CRM, as an org sees it. `edited`: what a person here wrote, and no mapping changes."""

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
    assignee: str
    source: str
    channel_external_id: str
    form_id: str
    campaign_id: str
    campaign_name: str
    ad_set_id: str
    ad_set_name: str
    ad_id: str
    ad_name: str
    platform: str
    is_organic: bool | None
    is_test: bool
    contact_id: str | None
    duplicate_of: str | None
    properties: Mapping[str, tuple[str, ...]] = attrs.field(repr=False)
    consents: tuple[ConsentView, ...] = attrs.field(repr=False)
    mapping_version: int
    edited: tuple[str, ...]
    submitted_at: datetime | None = attrs.field(validator=is_aware)
    created_at: datetime = attrs.field(validator=is_aware)
    updated_at: datetime | None = attrs.field(validator=is_aware)


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
            where=await lead_filter(uow, query),
            order=LeadOrder(query.sort),
        )
    return lead_list(page)


def lead_list(page: LeadPage) -> LeadList:
    """One page as the API shows it."""
    return LeadList(
        items=tuple(map(lead_view, page.items)), total=page.total, page=page.page, page_size=page.page_size
    )


async def lead_filter(uow: UnitOfWork, query: WhichLeads) -> LeadFilter:
    """What is asked for, in the ids that leads bear: a contact's former ones, the vendor's of a channel."""
    channel = ""
    if query.channel_id:
        _, channel = (await channel_book(uow)).meant_by(query.channel_id)
    contacts = await contact_ids_of(uow, query.contact_id) if query.contact_id else ()
    return LeadFilter(
        search=query.search,
        status=query.status,
        stage=query.stage,
        assignee=query.assignee,
        source=query.source,
        form_id=query.form_id,
        campaign_id=query.campaign_id,
        channel_external_id=channel,
        contact_ids=contacts,
        is_test=query.is_test,
        since=query.since,
        until=query.until,
    )


async def contact_ids_of(uow: UnitOfWork, contact_id: str) -> tuple[str, ...]:
    """A contact by all ids that it ever had: leads bear the one it had when they came."""
    known = await uow.erasures.known_people([contact_id])
    return tuple(sorted(known.contact_ids | {contact_id}))


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
    ours = {
        field.name: getattr(lead, field.name)
        for field in attrs.fields(LeadView)
        if field.name not in {"consents", "edited"}
    }
    return LeadView(
        **ours,
        consents=tuple(map(_consent_view, lead.consents)),
        edited=tuple(map(camel, lead.edited)),  # fields by the names that the API has for them
    )


def _consent_view(consent: Consent) -> ConsentView:
    return ConsentView(key=consent.key, text=consent.text, is_given=consent.is_given)
