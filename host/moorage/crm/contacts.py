"""Contacts as the API shows them: who they are, how engaged they are, by what."""

from datetime import datetime
from typing import Final

import attrs
from attrs.validators import ge, in_, le, max_len

from moorage.crm.activity import ActivityView, activity_view
from moorage.crm.channel_book import ChannelBook, channel_book
from moorage.crm.leads import LeadView, contact_ids_of, lead_view
from moorage.crm.scoring import score
from moorage.services import Services
from moorage_ports.contacts import ActivityFilter, Contact
from moorage_ports.crm import LeadFilter
from moorage_ports.crm_records import IdentityRecord
from moorage_ports.errors import NotFoundError
from moorage_ports.values import is_aware

SORTS: Final = {"score": "heat", "lastSeen": "seen", "name": "name"}
LEADS: Final = 25  # likewise; all of them are at /crm/leads/detail
SIGNALS: Final = 25  # of a contact, shown with it; all of them are at /crm/social/activity


@attrs.frozen(kw_only=True)
class ContactQuery:
    """Which contacts: a page (`p`, from 1; `ps` a page), and in which order."""

    p: int = attrs.field(default=1, validator=[ge(1), le(1_000_000)])
    ps: int = attrs.field(default=25, validator=[ge(1), le(500)])
    search: str = attrs.field(default="", validator=max_len(200), repr=False)
    vendor: str = attrs.field(default="", validator=max_len(64))
    sort: str = attrs.field(default="score", validator=in_(tuple(SORTS)))


@attrs.frozen(kw_only=True)
class IdentityView:
    """What one vendor knows a person as. `channel_id`: the id is good for this channel only."""

    vendor: str
    external_id: str
    name: str = attrs.field(repr=False)
    handle: str = attrs.field(repr=False)
    channel_id: str | None = None


@attrs.frozen(kw_only=True)
class ContactView:
    """A person to the org. `score` says how engaged they are at this moment; it halves in two weeks."""

    id: str
    name: str = attrs.field(repr=False)
    score: float
    identities: tuple[IdentityView, ...]
    first_seen_at: datetime = attrs.field(validator=is_aware)
    last_seen_at: datetime = attrs.field(validator=is_aware)


@attrs.frozen(kw_only=True)
class ContactList:
    """One page of contacts."""

    items: tuple[ContactView, ...]
    total: int
    page: int
    page_size: int


@attrs.frozen(kw_only=True)
class ContactDetail(ContactView):
    """One contact with the newest of what they did (`signals`) and of their leads, and how many there are."""

    signals: tuple[ActivityView, ...]
    signal_total: int
    leads: tuple[LeadView, ...]
    lead_total: int


async def list_contacts(services: Services, org_id: str, query: ContactQuery) -> ContactList:
    """One page of the org's contacts."""
    async with services.storage.unit_of_work(org_id, reads_only=True) as uow:
        book = await channel_book(uow)
        page = await uow.contacts.page(
            page=query.p,
            page_size=query.ps,
            search=query.search,
            vendor=query.vendor,
            by=SORTS[query.sort],
        )
    now = services.clock.now()
    return ContactList(
        items=tuple(contact_view(one, book, now) for one in page.items),
        total=page.total,
        page=page.page,
        page_size=page.page_size,
    )


async def get_contact(services: Services, org_id: str, contact_id: str) -> ContactDetail:
    """One of the org's contacts, by our id, also by that of one that turned out to be the same person.

    Raises:
        NotFoundError: It has none of that id.
    """
    async with services.storage.unit_of_work(org_id, reads_only=True) as uow:
        found = await uow.contacts.get(contact_id)
        if found is None:
            msg = "no such contact"
            raise NotFoundError(msg)
        book = await channel_book(uow)
        wanted = ActivityFilter(contact_id=found.record.id)
        done = await uow.contacts.activity(wanted, page=1, page_size=SIGNALS)
        theirs = LeadFilter(contact_ids=await contact_ids_of(uow, found.record.id))
        leads = await uow.leads.page(page=1, page_size=LEADS, where=theirs)
    now = services.clock.now()
    seen = contact_view(found, book, now)
    return ContactDetail(
        id=seen.id,
        name=seen.name,
        score=seen.score,
        identities=seen.identities,
        first_seen_at=seen.first_seen_at,
        last_seen_at=seen.last_seen_at,
        signals=tuple(activity_view(one, book, now) for one in done.items),
        signal_total=done.total,
        leads=tuple(map(lead_view, leads.items)),
        lead_total=leads.total,
    )


def contact_view(contact: Contact, book: ChannelBook, now: datetime) -> ContactView:
    """A contact as it stands at `now`."""
    record = contact.record
    return ContactView(
        id=record.id,
        name=name_of(contact),
        score=score(record.heat, now),
        identities=tuple(_identity_view(one, book) for one in contact.identities),
        first_seen_at=record.first_seen_at,
        last_seen_at=record.last_seen_at,
    )


def name_of(contact: Contact) -> str:
    """What to call them: by a name, else by a handle; "" if nobody said."""
    known = (*(one.name for one in contact.identities), *(one.handle for one in contact.identities))
    return contact.record.name or next(filter(None, known), "")


def _identity_view(identity: IdentityRecord, book: ChannelBook) -> IdentityView:
    return IdentityView(
        vendor=identity.vendor,
        external_id=identity.external_id,
        name=identity.name,
        handle=identity.handle,
        channel_id=book.id_of(identity.vendor, identity.realm),
    )
