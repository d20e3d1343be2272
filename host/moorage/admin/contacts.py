"""Contacts: who people are, how engaged they are, by what, and what they wrote."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Final

import attrs
from litestar import get
from litestar.params import FromPath, QueryParameter

from moorage.admin.desk import VisitHere
from moorage.admin.inbox import NAMELESS, talk_row
from moorage.admin.lead_words import status_badge
from moorage.admin.leafing import PAGE_SIZE, leafing, page_number, search_text
from moorage.admin.pages import Answer
from moorage.admin.standing import all_standings, channel_names
from moorage.auth import SESSION
from moorage.crm.contacts import SIGNALS, SORTS, name_of
from moorage.crm.leads import contact_ids_of
from moorage.crm.merge import message_id_of
from moorage.crm.scoring import HALF_LIFE, heat_of, score
from moorage.leads.people import OWN
from moorage.vendors import Vendors
from moorage_ports.contacts import Activity, ActivityFilter, Contact
from moorage_ports.conversations import ConversationFilter
from moorage_ports.crm import LeadFilter
from moorage_ports.errors import NotFoundError
from moorage_ports.storage import UnitOfWork

TALKS: Final = 10
LEADS: Final = 10


@attrs.frozen(kw_only=True)
class Known:
    """What one vendor knows somebody as."""

    vendor_title: str
    name: str
    handle: str
    external_id: str  # empty of what leads say: there it is a hash


@attrs.frozen(kw_only=True)
class ContactRow:
    """A contact as a list shows it; `warmth` is 0 to 100, beside the warmest of the page."""

    id: str
    name: str
    known: tuple[Known, ...]
    score: float
    warmth: float
    seen_at: datetime


@attrs.frozen(kw_only=True)
class Signal:
    """One thing that somebody did. `conversation_id` is where it can be read, if it can."""

    kind: str
    reaction: str
    text: str
    points: float
    channel: str
    conversation_id: str
    at: datetime


@get("/contacts", opt=SESSION)
async def contacts_page(
    visit: VisitHere,
    q: Annotated[str, QueryParameter(required=False)] = "",
    sort: Annotated[str, QueryParameter(required=False)] = "score",
    p: Annotated[str, QueryParameter(required=False)] = "1",
) -> Answer:
    """The org's contacts, the most engaged first."""
    search, by = search_text(q), sort if sort in SORTS else "score"
    async with visit.services.storage.unit_of_work(visit.org_id, reads_only=True) as uow:
        found = await uow.contacts.page(page=page_number(p), page_size=PAGE_SIZE, search=search, by=SORTS[by])
        standings = await all_standings(uow, visit.services.vendors)
    now = visit.desk.now()
    context = {
        "title": "Contacts",
        "rows": _rows(found.items, visit.services.vendors, now),
        "pages": leafing(found, {"q": search, "sort": "" if by == "score" else by}),
        "search": search,
        "sort": by,
        "standings": standings,
        "is_connected": any(standing.is_live for standing in standings),
        "expired": [standing for standing in standings if standing.is_expired],
    }
    return visit.page("contacts.html", context)


@get("/contacts/{contact_id:str}", opt=SESSION)
async def contact_page(visit: VisitHere, contact_id: FromPath[str]) -> Answer:
    """One person: what they are known as, what they did, what was said."""
    now = visit.desk.now()
    async with visit.services.storage.unit_of_work(visit.org_id, reads_only=True) as uow:
        found = await uow.contacts.get(contact_id)
        if found is None:
            msg = "this organisation has no such contact"
            raise NotFoundError(msg)
        standings = await all_standings(uow, visit.services.vendors)
        names = channel_names(standings)
        of_them = ActivityFilter(contact_id=found.record.id)
        done = await uow.contacts.activity(of_them, page=1, page_size=SIGNALS)
        signals = [await _signal(uow, one, names, now) for one in done.items]
        wanted = ConversationFilter(contact_id=found.record.id)
        talks = await uow.conversations.page(wanted, page=1, page_size=TALKS, now=now)
        where = LeadFilter(contact_ids=await contact_ids_of(uow, found.record.id))
        leads = await uow.leads.page(page=1, page_size=LEADS, where=where)
    emails = await visit.services.storage.accounts.emails(visit.org_id)
    context = {
        "title": name_of(found) or NAMELESS,
        "contact": found.record,
        "known": _known(found, visit.services.vendors),
        "score": score(found.record.heat, now),
        "half_life": HALF_LIFE.days,
        "signals": signals,
        "signal_total": done.total,
        "talks": [talk_row(one, visit, names, emails) for one in talks.items],
        "talk_total": talks.total,
        "leads": leads.items,
        "lead_total": leads.total,
        "status_badge": status_badge,
        "channel_names": names,
    }
    return visit.page("contact.html", context)


def _rows(contacts: tuple[Contact, ...], vendors: Vendors, now: datetime) -> list[ContactRow]:
    scores = [score(contact.record.heat, now) for contact in contacts]
    most = max(scores, default=0.0) or 1.0
    return [
        ContactRow(
            id=contact.record.id,
            name=name_of(contact) or NAMELESS,
            known=_known(contact, vendors),
            score=points,
            warmth=100 * points / most,
            seen_at=contact.record.last_seen_at,
        )
        for contact, points in zip(contacts, scores, strict=True)
    ]


def _known(contact: Contact, vendors: Vendors) -> tuple[Known, ...]:
    def title(slug: str) -> str:
        if slug == OWN:
            return "Leads"
        card = vendors.by_slug.get(slug)
        return card.title if card else slug

    return tuple(
        Known(
            vendor_title=title(one.vendor),
            name=one.name,
            handle=one.handle,
            external_id="" if one.vendor == OWN else one.external_id,
        )
        for one in contact.identities
    )


async def _signal(
    uow: UnitOfWork, activity: Activity, names: Mapping[tuple[str, str], str], now: datetime
) -> Signal:
    record, conversation_id = activity.record, ""
    if record.kind == "comment":
        message = await uow.conversations.message(message_id_of(record.vendor, record.external_id))
        conversation_id = message.record.conversation_id if message else ""
    return Signal(
        kind=record.kind,
        reaction=record.reaction,
        text=" ".join(record.text.split()),
        points=score(heat_of(record.kind, record.at), now),
        channel=names.get((record.vendor, record.channel_external_id), ""),
        conversation_id=conversation_id,
        at=record.at,
    )
