"""Who a lead is: the contact behind an e-mail address or a phone number.

Both are identities in a namespace of the CRM's own, known by a keyed hash: the address itself stands with the
lead alone. The same address is the same person. A phone number that came with an address in one form is that
person's, unless it is somebody's already who has another address: people share phones, and two of them must
never become one. So contacts are never joined here, only found or made.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import attrs

from moorage.crm.merge import Merge, contact_id_of, identity_id_of
from moorage_ports.crm import CrmLead
from moorage_ports.crm_records import CrmRecords, IdentityRecord, LedgerKeys
from moorage_ports.events import Person
from moorage_ports.storage import UnitOfWork

OWN: Final = "crm"  # stands where a vendor's name does
EMAIL: Final = "email"
PHONE: Final = "phone"


@attrs.frozen
class _Who:
    """A lead as people are known by; `None` where it says nothing of the kind."""

    lead: CrmLead
    email: Person | None
    phone: Person | None

    @property
    def persons(self) -> tuple[Person, ...]:
        """What it is known by, what says more first."""
        return tuple(one for one in (self.email, self.phone) if one is not None)

    @property
    def at(self) -> datetime:
        """When they said so."""
        return self.lead.submitted_at or self.lead.created_at


async def contacts_of_leads(uow: UnitOfWork, leads: Sequence[CrmLead]) -> Mapping[str, str]:
    """The contact of each lead that says whose it is, by the lead's id, made if there is none.

    Tests are nobody's.
    """
    known = [who for who in await _known_by(uow, leads) if who.persons]
    if not known:
        return {}
    records = uow.crm_records
    keys = {identity_id_of(OWN, person) for who in known for person in who.persons}
    merge = Merge(ledger=await records.load(LedgerKeys(identities=keys)))
    erased = await records.erased(keys)
    with_email = await _with_email(records, merge)
    contacts: dict[str, str] = {}
    for who in known:
        if not _is_forgotten(who, erased):
            contacts[who.lead.id] = _place(merge, who, with_email)
    await records.save(merge.changed)
    return contacts


async def forgotten(uow: UnitOfWork, leads: Sequence[CrmLead]) -> frozenset[str]:
    """Our ids of those that somebody sent before they were erased, by their address or number."""
    known = [who for who in await _known_by(uow, leads) if who.persons]
    keys = {identity_id_of(OWN, person) for who in known for person in who.persons}
    erased = await uow.crm_records.erased(keys) if keys else {}
    return frozenset(who.lead.id for who in known if _is_forgotten(who, erased))


def _is_forgotten(who: _Who, erased: Mapping[str, datetime]) -> bool:
    """Whether this is a late word of somebody who was erased since."""
    keys = (identity_id_of(OWN, person) for person in who.persons)
    return any(who.at <= erased[key] for key in keys if key in erased)


async def _known_by(uow: UnitOfWork, leads: Sequence[CrmLead]) -> list[_Who]:
    ours = [lead for lead in leads if not lead.is_test]
    wanted = {(kind, value) for lead in ours for kind, value in _said(lead) if value}
    prints = await uow.leads.fingerprints(wanted) if wanted else {}
    return [_who(lead, prints) for lead in ours]


def _who(lead: CrmLead, prints: Mapping[tuple[str, str], str]) -> _Who:
    name = f"{lead.first_name} {lead.last_name}".strip()
    persons = {
        kind: Person(external_id=found, realm=kind, name=name)
        for kind, value in _said(lead)
        if (found := prints.get((kind, value)))
    }
    return _Who(lead, persons.get(EMAIL), persons.get(PHONE))


def _said(lead: CrmLead) -> tuple[tuple[str, str], ...]:
    return ((EMAIL, lead.email), (PHONE, lead.phone))


async def _with_email(records: CrmRecords, merge: Merge) -> set[str]:
    """The contacts among those loaded that have an address."""
    contacts = {one.contact_id for one in merge.ledger.identities.values()}
    everything = await records.identities_of(contacts) if contacts else ()
    return {one.contact_id for one in everything if (one.vendor, one.realm) == (OWN, EMAIL)}


def _place(merge: Merge, who: _Who, with_email: set[str]) -> str:
    """The contact of a lead. What it is known by is that contact's from now on, if it was nobody's."""
    contact_id = _contact_id(merge, who, with_email)
    for person in who.persons:
        key = identity_id_of(OWN, person)
        if key not in merge.ledger.identities:
            merge.ledger.identities[key] = merge.changed.identities[key] = IdentityRecord(
                id=key,
                vendor=OWN,
                realm=person.realm,
                external_id=person.external_id,
                contact_id=contact_id,
            )
        if merge.ledger.identities[key].contact_id == contact_id:
            merge.person(OWN, person, who.at)
    if who.email is not None:
        with_email.add(contact_id)
    return contact_id


def _contact_id(merge: Merge, who: _Who, with_email: set[str]) -> str:
    by_email, by_phone = (
        None if person is None else merge.ledger.identities.get(identity_id_of(OWN, person))
        for person in (who.email, who.phone)
    )
    if by_email is not None:
        return by_email.contact_id
    if by_phone is not None and (who.email is None or by_phone.contact_id not in with_email):
        return by_phone.contact_id
    return contact_id_of(OWN, who.persons[0])
