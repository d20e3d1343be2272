"""What people here do with leads: write one down, change one, delete one."""

from datetime import datetime
from typing import Final

import attrs
import structlog
from attrs.validators import in_, max_len, optional

from moorage.crm.leads import LeadView, lead_view
from moorage.crm.reading import international
from moorage.handover.announcing import announce_lead
from moorage.ids import new_id
from moorage.leads.people import contacts_of_leads
from moorage.privacy.erasing import Reason, erase_leads, note
from moorage.services import Caller, Services
from moorage_ports.crm import LEAD_STATUSES, NEW, CrmLead
from moorage_ports.erasure import Cause
from moorage_ports.errors import InvalidRequestError, NotFoundError
from moorage_ports.inbox import HeardBy
from moorage_ports.lead_ledger import LeadEntry, LeadOutcome
from moorage_ports.outgoing import EventType
from moorage_ports.storage import UnitOfWork

log = structlog.get_logger(__name__)

BY_HAND: Final = "manual"
MOST_TEXT: Final = 512
# What a form's mapping fills, too: once a person wrote it, no mapping does.
_MAPPED: Final = ("email", "first_name", "last_name", "phone", "company")
_OURS: Final = ("status", "stage", "assignee")


def _text(most: int = MOST_TEXT) -> str | None:
    value: str | None = attrs.field(default=None, validator=optional(max_len(most)), repr=False)
    return value


@attrs.frozen(kw_only=True)
class LeadChange:
    """What to change of a lead; what is left out stays as it is."""

    status: str | None = attrs.field(default=None, validator=optional(in_(LEAD_STATUSES)))
    stage: str | None = attrs.field(default=None, validator=optional(max_len(64)))
    assignee: str | None = attrs.field(default=None, validator=optional(max_len(128)))
    email: str | None = _text(320)
    first_name: str | None = _text()
    last_name: str | None = _text()
    phone: str | None = _text(64)
    company: str | None = _text()


@attrs.frozen(kw_only=True)
class LeadDraft:
    """A lead that somebody writes down. It says at least how to reach them, or who they are."""

    email: str = attrs.field(default="", validator=max_len(320), repr=False)
    first_name: str = attrs.field(default="", validator=max_len(MOST_TEXT), repr=False)
    last_name: str = attrs.field(default="", validator=max_len(MOST_TEXT), repr=False)
    phone: str = attrs.field(default="", validator=max_len(64), repr=False)
    company: str = attrs.field(default="", validator=max_len(MOST_TEXT), repr=False)
    status: str = attrs.field(default=NEW, validator=in_(LEAD_STATUSES))
    stage: str = attrs.field(default=NEW, validator=max_len(64))
    assignee: str = attrs.field(default="", validator=max_len(128))
    source: str = attrs.field(default=BY_HAND, validator=max_len(64))


async def change_lead(services: Services, caller: Caller, lead_id: str, change: LeadChange) -> LeadView:
    """Change one of the org's leads; what is as asked already is no change.

    Raises:
        NotFoundError: The org has no such lead.
    """
    async with services.storage.unit_of_work(caller.org_id) as uow:
        lead = await uow.leads.get(lead_id)
        if lead is None:
            msg = "no such lead"
            raise NotFoundError(msg)
        changed = _changed(lead, change, services.clock.now())
        if changed is not lead:
            changed = await _with_contact(uow, changed)
            await uow.leads.update(changed)
            await announce_lead(uow, EventType.LEAD_UPDATED, changed)
    log.info("lead_changed", org=caller.org_id, lead=lead_id, by=caller.user_id)
    return lead_view(changed)


async def add_lead(services: Services, caller: Caller, draft: LeadDraft) -> LeadView:
    """Keep a lead that somebody wrote down, and that it came by hand.

    Raises:
        InvalidRequestError: It says nothing of anybody.
    """
    if not any(getattr(draft, name).strip() for name in _MAPPED):
        msg = "the lead says nothing of anybody"
        raise InvalidRequestError(msg, fields={"email": "or a phone number or a name has to be given"})
    now, lead_id = services.clock.now(), new_id()
    given = {name: _given(name, getattr(draft, name)) for name in _MAPPED}
    lead = CrmLead(
        id=lead_id,
        external_id=lead_id,
        vendor="",
        channel_external_id="",
        email=given["email"],
        first_name=given["first_name"],
        last_name=given["last_name"],
        phone=given["phone"],
        company=given["company"],
        status=draft.status,
        stage=draft.stage,
        assignee=draft.assignee,
        source=draft.source or BY_HAND,
        edited=tuple(name for name in _MAPPED if given[name]),
        created_at=now,
    )
    async with services.storage.unit_of_work(caller.org_id) as uow:
        lead = await _with_contact(uow, lead)
        await uow.leads.add(lead)
        await uow.lead_ledger.write([_entry(lead, now)])
        await announce_lead(uow, EventType.LEAD_CREATED, lead)
    log.info("lead_written_down", org=caller.org_id, lead=lead_id, by=caller.user_id)
    return lead_view(lead)


async def delete_lead(services: Services, caller: Caller, lead_id: str) -> None:
    """Delete a lead with all that was told of it; it does not come in again.

    Raises:
        NotFoundError: The org has no such lead.
    """
    async with services.storage.unit_of_work(caller.org_id, reads_only=True) as uow:
        found = await uow.erasures.leads_like(lead_ids=[lead_id], limit=1)
    if not found:
        msg = "no such lead"
        raise NotFoundError(msg)
    reason = Reason(cause=Cause.REQUEST, by=caller.user_id)
    removed = await erase_leads(services, caller.org_id, found, reason)
    await note(services, caller.org_id, reason, {"leads": removed})


def _changed(lead: CrmLead, change: LeadChange, now: datetime) -> CrmLead:
    asked = {
        name: _given(name, value)
        for name in (*_OURS, *_MAPPED)
        if (value := getattr(change, name)) is not None
    }
    different = {name: value for name, value in asked.items() if value != getattr(lead, name)}
    if not different:
        return lead
    edited = tuple(dict.fromkeys((*lead.edited, *(name for name in different if name in _MAPPED))))
    return attrs.evolve(lead, **different, edited=edited, updated_at=now)  # type: ignore[arg-type]


def _given(name: str, value: str) -> str:
    text = value.strip()
    return international(text) if name == "phone" else text


async def _with_contact(uow: UnitOfWork, lead: CrmLead) -> CrmLead:
    """The lead with its contact, should it say by now whose it is."""
    if lead.contact_id is not None:
        return lead
    contacts = await contacts_of_leads(uow, [lead])
    return attrs.evolve(lead, contact_id=contacts.get(lead.id))


def _entry(lead: CrmLead, now: datetime) -> LeadEntry:
    return LeadEntry(
        vendor=lead.vendor,
        external_id=lead.external_id,
        heard_by=HeardBy.HAND,
        outcome=LeadOutcome.STORED,
        arrived_at=now,
        stored_at=now,
        updated_at=now,
        lead_id=lead.id,
    )
