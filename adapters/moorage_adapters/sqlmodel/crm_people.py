"""Whom identities are to the org: the contacts behind them, also after these were joined."""

from collections.abc import Iterable, Mapping
from typing import Any

import attrs
from sqlalchemy import CTE, ColumnElement, Select, any_, func, or_, select

from moorage_adapters.sqlmodel.crm_records import CONTACTS, IDENTITIES, contacts_of, records_by
from moorage_adapters.sqlmodel.crm_search import found
from moorage_adapters.sqlmodel.crm_tables import CONTACT, IDENTITY
from moorage_adapters.sqlmodel.tenant import Tenant
from moorage_ports.crm_records import ContactRecord
from moorage_ports.listing import Listing, T

MAX_PAGE_SIZE = 500
_MAX_PAGE = 1_000_000_000  # an offset has to fit into 64 bits


@attrs.frozen
class Somebody:
    """A contact's id, and what to call them: "" if nobody said."""

    contact_id: str = ""
    name: str = attrs.field(default="", repr=False)


NOBODY = Somebody()


def final(contacts: Mapping[str, ContactRecord], contact_id: str) -> ContactRecord | None:
    """The contact that this one is by now."""
    contact = contacts.get(contact_id)
    seen = {contact_id}
    while contact is not None and contact.merged_into and contact.merged_into not in seen:
        seen.add(contact.merged_into)
        contact = contacts.get(contact.merged_into)
    return contact


def people_of(org: Tenant, identity_ids: Iterable[str]) -> dict[str, Somebody]:
    """Who these identities are, by their ids."""
    identities = records_by(org, IDENTITIES, {key for key in identity_ids if key})
    contacts = contacts_of(org, {identity.contact_id for identity in identities})
    people = {}
    for identity in identities:
        contact = final(contacts, identity.contact_id)
        name = (contact.name if contact else "") or identity.name or identity.handle
        people[identity.id] = Somebody(contact.id if contact else identity.contact_id, name)
    return people


def identities_of(org: Tenant, contact_id: str) -> list[str]:
    """The ids of all identities of a contact, or of the one that it was joined to."""
    contact = final(contacts_of(org, [contact_id]), contact_id)
    if contact is None:
        return []
    known, newest = {contact.id}, {contact.id}
    while newest:
        former = records_by(org, CONTACTS, newest, "merged_into")
        newest = {one.id for one in former} - known
        known |= newest
    return sorted(identity.id for identity in records_by(org, IDENTITIES, known, "contact_id"))


def matches(org: Tenant, search: str) -> CTE | None:
    """The records that a search finds; `None`: nothing is searched for."""
    return found(org.dialect_name, org.org_id, search).cte("found") if search.strip() else None


def among(org: Tenant, column: ColumnElement[str], wanted: Select[Any]) -> ColumnElement[bool]:
    """Whether `column` has one of the values that `wanted` selects; not for one branch of an `OR`.

    On PostgreSQL they are a list that is made first, and each is looked up: the planner takes a table for
    empty until it was analysed, and would go through all that was found once for every row.
    """
    if org.dialect_name == "postgresql":
        return column == any_(func.array(wanted.scalar_subquery()))
    return column.in_(wanted)


def has_name(org: Tenant, column: ColumnElement[str], found_ids: CTE) -> ColumnElement[bool]:
    """Whether `column` holds an identity of a contact that the search found, by any of its names."""
    named: Select[Any] = select(IDENTITY.c.contact_id).where(
        IDENTITY.c.org_id == org.org_id, among(org, IDENTITY.c.id, select(found_ids.c.id))
    )
    of_them = or_(IDENTITY.c.contact_id.in_(named), IDENTITY.c.contact_id.in_(select(found_ids.c.id)))
    return column.in_(select(IDENTITY.c.id).where(IDENTITY.c.org_id == org.org_id, of_them))


def has_contact_name(org: Tenant, found_ids: CTE) -> ColumnElement[bool]:
    """Whether a contact is one that the search found, by any of its names."""
    named: Select[Any] = select(IDENTITY.c.contact_id).where(
        IDENTITY.c.org_id == org.org_id, among(org, IDENTITY.c.id, select(found_ids.c.id))
    )
    return or_(CONTACT.c.id.in_(named), CONTACT.c.id.in_(select(found_ids.c.id)))


def _in_reach(number: int) -> int:
    return min(max(number, 1), _MAX_PAGE)


def _bounded(size: int) -> int:
    return min(max(size, 1), MAX_PAGE_SIZE)


@attrs.frozen
class Page:
    """Which page is asked for, within bounds."""

    number: int = attrs.field(converter=_in_reach)
    size: int = attrs.field(converter=_bounded)

    @property
    def offset(self) -> int:
        """How many rows are before it."""
        return (self.number - 1) * self.size

    def of(self, items: Iterable[T], total: int) -> Listing[T]:
        """The page with these items."""
        return Listing(items=tuple(items), total=total, page=self.number, page_size=self.size)
