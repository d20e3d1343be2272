"""Leads into the CRM, within the transaction that marks their deliveries done.

A unit of work that writes has its org to itself: two workers with leads of one person come one after the
other, and the second one sees what the first one stored.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TypeAlias

import attrs

from moorage.handover.announcing import announce_lead
from moorage.leads.hearing import HeardLead, Placed
from moorage.leads.merging import merged, twin_of
from moorage.leads.people import contacts_of_leads, forgotten
from moorage_ports.crm import CrmLead
from moorage_ports.erasure import lead_mark
from moorage_ports.lead_ledger import LeadOutcome
from moorage_ports.outgoing import EventType
from moorage_ports.storage import UnitOfWork

Key: TypeAlias = tuple[str, str]  # (vendor, the vendor's id of the lead)


@attrs.define
class _Desk:
    """Leads being placed: what is there already, what is new, what changed, and where each went."""

    there: list[CrmLead]  # who may be the same person, oldest first
    now: datetime
    new: dict[str, CrmLead] = attrs.field(factory=dict)
    changed: dict[str, CrmLead] = attrs.field(factory=dict)
    placed: dict[Key, Placed] = attrs.field(factory=dict)

    def place(self, heard: HeardLead, lead: CrmLead) -> None:
        """Decide where one lead goes: beside the others, into an older one, or beside it with a pointer."""
        policy = heard.policy
        twin = None if policy is None or policy.then == "new" else twin_of(lead, policy, self.there)
        if twin is None or policy is None:
            self._add(heard, lead, Placed(outcome=LeadOutcome.STORED, lead_id=lead.id))
        elif policy.then == "link":
            into = twin.duplicate_of or twin.id
            linked = attrs.evolve(lead, duplicate_of=into)
            self._add(heard, linked, Placed(outcome=LeadOutcome.LINKED, lead_id=lead.id, into=into))
        else:
            self._replace(merged(twin, lead, self.now))
            self.placed[heard.key] = Placed(outcome=LeadOutcome.MERGED, lead_id=twin.id, into=twin.id)

    def _add(self, heard: HeardLead, lead: CrmLead, placed: Placed) -> None:
        self.there.append(lead)
        self.new[lead.id] = lead
        self.placed[heard.key] = placed

    def _replace(self, lead: CrmLead) -> None:
        self.there = [lead if one.id == lead.id else one for one in self.there]
        (self.new if lead.id in self.new else self.changed)[lead.id] = lead


async def store_leads(uow: UnitOfWork, heard: Sequence[HeardLead], now: datetime) -> Mapping[Key, Placed]:
    """Put every lead that was read where it belongs; answers where, but for those that were here before.

    What was erased does not come in again.
    """
    desk = await _placed(uow, heard, now)
    if desk.placed:
        await _write(uow, desk)
    return desk.placed


async def where_they_would_go(
    uow: UnitOfWork, heard: Sequence[HeardLead], now: datetime
) -> tuple[Mapping[Key, Placed], Mapping[str, str]]:
    """What `store_leads` would do, without doing it; and which of the leads that it names would be new ones.

    Those by our id, which is none before they are there, with the vendor's.
    """
    desk = await _placed(uow, heard, now)
    return desk.placed, {lead.id: lead.external_id for lead in desk.new.values()}


async def _placed(uow: UnitOfWork, heard: Sequence[HeardLead], now: datetime) -> _Desk:
    """The leads, each where it belongs; nothing is written."""
    fresh = await _fresh(uow, heard)
    if not fresh:
        return _Desk(there=[], now=now)
    marks = {lead_mark(*one.key): one.key for one in fresh}
    erased = {marks[mark] for mark in await uow.erasures.marked(list(marks))}
    late = await forgotten(uow, [one.lead for one in fresh if one.lead is not None])
    erased |= {one.key for one in fresh if one.lead is not None and one.lead.id in late}
    desk = _Desk(there=await _known(uow, fresh), now=now)
    desk.placed.update(dict.fromkeys(erased, Placed(outcome=LeadOutcome.ERASED)))
    for one in fresh:
        if one.lead is not None and one.key not in erased:
            desk.place(one, one.lead)
    return desk


async def _fresh(uow: UnitOfWork, heard: Sequence[HeardLead]) -> list[HeardLead]:
    """Those with a lead that is not in the CRM yet, each once: another worker may have been faster."""
    first: dict[Key, HeardLead] = {}
    for one in heard:
        if one.lead is not None:
            first.setdefault(one.key, one)
    for vendor in {vendor for vendor, _ in first}:
        ids = [external_id for slug, external_id in first if slug == vendor]
        for external_id in await uow.lead_ledger.settled(vendor, ids):
            first.pop((vendor, external_id), None)
    return list(first.values())


async def _known(uow: UnitOfWork, fresh: Sequence[HeardLead]) -> list[CrmLead]:
    """Leads of people who may be these, where a form's policy asks for them."""
    asking = [
        (one.lead, one.policy)
        for one in fresh
        if one.lead is not None and one.policy is not None and one.policy.then != "new"
    ]
    emails = {lead.email for lead, policy in asking if lead.email and "email" in policy.by}
    phones = {lead.phone for lead, policy in asking if lead.phone and "phone" in policy.by}
    if not (emails or phones):
        return []
    return list(await uow.leads.by_email_or_phone(emails=emails, phones=phones))


async def _write(uow: UnitOfWork, desk: _Desk) -> None:
    written = [*desk.new.values(), *desk.changed.values()]
    contacts = await contacts_of_leads(uow, written)

    def with_contact(lead: CrmLead) -> CrmLead:
        contact_id = lead.contact_id or contacts.get(lead.id)
        return lead if contact_id == lead.contact_id else attrs.evolve(lead, contact_id=contact_id)

    new = [with_contact(lead) for lead in desk.new.values()]
    added = await uow.leads.add_all(new)
    for lead in desk.changed.values():
        await uow.leads.update(with_contact(lead))
    await _tell(uow, EventType.LEAD_CREATED, [lead for lead in new if lead.id in added])
    await _tell(uow, EventType.LEAD_UPDATED, [with_contact(lead) for lead in desk.changed.values()])


async def _tell(uow: UnitOfWork, event_type: EventType, leads: Sequence[CrmLead]) -> None:
    """Have whoever listens told of them; one question where nobody does."""
    if leads and await uow.outgoing.listens(event_type):
        for lead in leads:
            await announce_lead(uow, event_type, lead)
