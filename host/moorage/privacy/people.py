"""Who is to be forgotten: from one thing that somebody knows of them to everything that is kept."""

from collections.abc import Collection
from typing import Final

import attrs

from moorage.crm.reading import international
from moorage_ports.crm_records import IdentityRecord
from moorage_ports.erasure import LeadTrace
from moorage_ports.errors import ConflictError
from moorage_ports.storage import UnitOfWork

MOST_LEADS: Final = 500  # of one person; more are no person's
_ROUNDS: Final = 8


@attrs.frozen(kw_only=True)
class Clue:
    """What is known of them; each may be empty. `vendor` narrows down whose `external_ids` those are.

    With `is_alone` what was found is all: nothing else of whoever has the same address or number, and where
    leads were asked for, not the contact behind them.
    """

    contact_ids: frozenset[str] = frozenset()
    lead_ids: frozenset[str] = frozenset()
    emails: frozenset[str] = attrs.field(default=frozenset(), repr=False)
    phones: frozenset[str] = attrs.field(default=frozenset(), repr=False)
    external_ids: frozenset[str] = attrs.field(default=frozenset(), repr=False)
    vendor: str = ""
    is_alone: bool = False


@attrs.frozen(kw_only=True)
class Somebody:
    """Everything that they are known by: their contacts, their identities, their leads."""

    contact_ids: frozenset[str] = frozenset()
    identities: tuple[IdentityRecord, ...] = ()
    leads: tuple[LeadTrace, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.contact_ids or self.identities or self.leads)

    @property
    def identity_ids(self) -> frozenset[str]:
        """The ids of their identities."""
        return frozenset(one.id for one in self.identities)

    @property
    def lead_ids(self) -> frozenset[str]:
        """The ids of their leads."""
        return frozenset(lead.id for lead in self.leads)

    @property
    def names(self) -> frozenset[str]:
        """What sealed copies may call them: ids, ours and theirs, addresses and numbers."""
        return frozenset(
            name
            for name in (
                *self.contact_ids,
                *(part for one in self.identities for part in (one.id, one.external_id)),
                *(
                    part
                    for lead in self.leads
                    for part in (lead.id, lead.external_id, lead.email.casefold(), lead.phone)
                ),
            )
            if name
        )


async def find(uow: UnitOfWork, clue: Clue) -> Somebody:
    """Everything of whoever `clue` is about.

    Their leads lead to their contacts, those to other leads, and addresses and numbers on leads to leads with
    the same. Looks through the org's records: in a unit of work that only reads.

    Raises:
        ConflictError: That are more leads than a person has: it is not one person's address or number.
    """
    if clue.is_alone and not clue.contact_ids:
        return Somebody(leads=await _leads(uow, clue.lead_ids, (), clue.emails, clue.phones))
    contact_ids = set(clue.contact_ids)
    emails, phones = set(clue.emails), set(clue.phones)
    external_ids = clue.external_ids | _as_ids(phones)
    contact_ids |= set(await uow.erasures.contacts_like(external_ids, vendor=clue.vendor))
    leads: dict[str, LeadTrace] = {}
    people = await uow.erasures.known_people(contact_ids)
    for _ in range(_ROUNDS):
        known = (len(leads), len(people.contact_ids))
        found = await _leads(uow, clue.lead_ids, people.contact_ids | contact_ids, emails, phones)
        leads.update((lead.id, lead) for lead in found)
        contact_ids |= {lead.contact_id for lead in found if lead.contact_id}
        people = await uow.erasures.known_people(contact_ids)
        if not clue.is_alone:
            emails |= {lead.email for lead in found if lead.email.strip()}
            phones |= {lead.phone for lead in found if lead.phone.strip()}
        if known == (len(leads), len(people.contact_ids)):
            break
    return Somebody(
        contact_ids=people.contact_ids,
        identities=people.identities,
        leads=tuple(sorted(leads.values(), key=lambda lead: lead.id)),
    )


async def _leads(
    uow: UnitOfWork,
    lead_ids: Collection[str],
    contact_ids: Collection[str],
    emails: Collection[str],
    phones: Collection[str],
) -> tuple[LeadTrace, ...]:
    found = await uow.erasures.leads_like(
        lead_ids=lead_ids, contact_ids=contact_ids, emails=emails, phones=phones, limit=MOST_LEADS + 1
    )
    if len(found) > MOST_LEADS:
        msg = f"more than {MOST_LEADS} leads would go: that is no single person's address or number"
        raise ConflictError(msg)
    return found


def _as_ids(phones: Collection[str]) -> frozenset[str]:
    """Numbers as vendors write them where a number is a person's id: with their country, digits only."""
    whole = (international(phone.strip()) for phone in phones)
    return frozenset("".join(filter(str.isdigit, number)) for number in whole if number.startswith("+")) - {
        ""
    }
