"""The people an org deals with, and what they do: `moorage_ports.contacts`."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, UnaryExpression, and_, or_, select

from moorage_adapters.sqlmodel.crm_codec import short
from moorage_adapters.sqlmodel.crm_people import (
    NOBODY,
    Page,
    among,
    final,
    has_contact_name,
    has_name,
    identities_of,
    matches,
    people_of,
)
from moorage_adapters.sqlmodel.crm_records import (
    ACTIVITIES,
    CONTACTS,
    IDENTITIES,
    NOTICES,
    POSTS,
    UNMAPPED_KINDS,
    contacts_of,
    records_by,
)
from moorage_adapters.sqlmodel.crm_tables import (
    ACTIVITY,
    CONTACT,
    IDENTITY,
    IS_CONTACT,
    IS_POST,
    IS_PRESENT,
    NOTICE,
    POST,
    SEARCH_ENTRY,
    UNMAPPED,
)
from moorage_adapters.sqlmodel.tenant import Condition, OrgGate, Tenant
from moorage_ports.contacts import Activity, ActivityFilter, Contact
from moorage_ports.crm_records import NoticeRecord, PostRecord, UnmappedRecord
from moorage_ports.listing import Listing

_MOST_KINDS: Final = 1_000  # an org has a handful; whoever makes up thousands need not see them all
_ORDERS: Final[dict[str, tuple[ColumnElement[Any] | UnaryExpression[Any], ...]]] = {
    "heat": (CONTACT.c.heat.desc(), CONTACT.c.id.desc()),
    "seen": (CONTACT.c.last_seen_at.desc(), CONTACT.c.id.desc()),
    "name": (CONTACT.c.sort_name, CONTACT.c.id),
}


class SqlContacts:
    """`moorage_ports.contacts.Contacts` over one unit of work."""

    def __init__(self, gate: OrgGate) -> None:
        self._gate = gate

    async def page(
        self, *, page: int, page_size: int, search: str = "", vendor: str = "", by: str = "heat"
    ) -> Listing[Contact]:
        """The most engaged first (`heat`), the last seen (`seen`), or by `name`, those without one last."""
        asked = Page(page, page_size)

        def work(org: Tenant) -> Listing[Contact]:
            where = _contacts_where(org, search, vendor)
            ids = org.ids(CONTACT, *where, order_by=_ORDERS[by], limit=asked.size, offset=asked.offset)
            return asked.of(_contacts(org, ids), org.count(CONTACT, *where))

        return await self._gate.run(work)

    async def get(self, contact_id: str) -> Contact | None:
        """One by our id; by the id of one that was joined to another, that other."""

        def work(org: Tenant) -> Contact | None:
            record = final(contacts_of(org, [contact_id]), contact_id)
            if record is None:
                return None
            identities = records_by(org, IDENTITIES, identities_of(org, record.id))
            return Contact(record=record, identities=tuple(sorted(identities, key=lambda one: one.id)))

        return await self._gate.run(work)

    async def activity(self, wanted: ActivityFilter, *, page: int, page_size: int) -> Listing[Activity]:
        """What is (still) there, the newest first."""
        asked = Page(page, page_size)

        def work(org: Tenant) -> Listing[Activity]:
            where = _activity_where(org, wanted)
            ids = org.ids(
                ACTIVITY,
                *where,
                order_by=(ACTIVITY.c.at.desc(), ACTIVITY.c.id.desc()),
                limit=asked.size,
                offset=asked.offset,
            )
            return asked.of(_activities(org, ids), org.count(ACTIVITY, *where))

        return await self._gate.run(work)

    async def posts(self, *, page: int, page_size: int, channel_external_id: str = "") -> Listing[PostRecord]:
        """The channels' posts that are not removed, the newest first."""
        asked = Page(page, page_size)
        where: list[Condition] = [IS_POST]  # type: ignore[list-item]
        if channel_external_id:
            where.append(POST.c.channel_external_id == channel_external_id)

        def work(org: Tenant) -> Listing[PostRecord]:
            newest = (POST.c.listed_at.desc(), POST.c.id.desc())
            ids = org.ids(POST, *where, order_by=newest, limit=asked.size, offset=asked.offset)
            by_id = {post.id: post for post in records_by(org, POSTS, ids)}
            return asked.of((by_id[key] for key in ids), org.count(POST, *where))

        return await self._gate.run(work)

    async def notices(self, *, page: int, page_size: int) -> Listing[NoticeRecord]:
        """What vendors told the owner of a channel, the newest first."""
        asked = Page(page, page_size)

        def work(org: Tenant) -> Listing[NoticeRecord]:
            newest = (NOTICE.c.at.desc(), NOTICE.c.id.desc())
            ids = org.ids(NOTICE, order_by=newest, limit=asked.size, offset=asked.offset)
            by_id = {notice.id: notice for notice in records_by(org, NOTICES, ids)}
            return asked.of((by_id[key] for key in ids), org.count(NOTICE))

        return await self._gate.run(work)

    async def unmapped(self) -> tuple[UnmappedRecord, ...]:
        """The kinds that nobody has mapped, the most frequent first."""

        def work(org: Tenant) -> tuple[UnmappedRecord, ...]:
            most = (UNMAPPED.c.count.desc(), UNMAPPED.c.last_at.desc(), UNMAPPED.c.id)
            ids = org.ids(UNMAPPED, order_by=most, limit=_MOST_KINDS)
            by_id = {kind.id: kind for kind in records_by(org, UNMAPPED_KINDS, ids)}
            return tuple(by_id[key] for key in ids)

        return await self._gate.run(work)


# Which -------------------------------------------------------------------------------------------


def _contacts_where(org: Tenant, search: str, vendor: str) -> list[Condition]:
    where: list[Condition] = [IS_CONTACT]  # type: ignore[list-item]
    if vendor:
        known_there = select(IDENTITY.c.contact_id).where(
            IDENTITY.c.org_id == org.org_id, IDENTITY.c.vendor == vendor
        )
        where.append(CONTACT.c.id.in_(known_there))
    found = matches(org, search)
    if found is not None:
        where.append(has_contact_name(org, found))
    return where


def _activity_where(org: Tenant, wanted: ActivityFilter) -> list[Condition]:
    where: list[Condition] = [IS_PRESENT]  # type: ignore[list-item]
    for name in ("kind", "vendor", "channel_external_id"):
        value: str = getattr(wanted, name)
        if value:
            where.append(ACTIVITY.c[name] == value)
    if wanted.post_external_id:
        where.append(ACTIVITY.c.post_key == short(wanted.post_external_id))
    if wanted.contact_id:
        where.append(ACTIVITY.c.identity_id.in_(identities_of(org, wanted.contact_id)))
    if wanted.since is not None:
        where.append(ACTIVITY.c.at >= wanted.since)
    if wanted.until is not None:
        where.append(ACTIVITY.c.at < wanted.until)
    found = matches(org, wanted.search)
    if found is not None:
        comments = select(SEARCH_ENTRY.c.about_key).where(
            SEARCH_ENTRY.c.org_id == org.org_id, among(org, SEARCH_ENTRY.c.id, select(found.c.id))
        )
        said = and_(ACTIVITY.c.about_key != "", ACTIVITY.c.about_key.in_(comments))
        named = has_name(org, ACTIVITY.c.identity_id, found)
        where.append(or_(ACTIVITY.c.id.in_(select(found.c.id)), said, named))
    return where


# As they are shown ---------------------------------------------------------------------------


def _contacts(org: Tenant, ids: Sequence[str]) -> list[Contact]:
    by_id = {contact.id: contact for contact in records_by(org, CONTACTS, ids)}
    identities = sorted(records_by(org, IDENTITIES, ids, "contact_id"), key=lambda one: one.id)
    return [
        Contact(record=by_id[key], identities=tuple(one for one in identities if one.contact_id == key))
        for key in ids
    ]


def _activities(org: Tenant, ids: Sequence[str]) -> list[Activity]:
    by_id = {activity.id: activity for activity in records_by(org, ACTIVITIES, ids)}
    people = people_of(org, {activity.identity_id for activity in by_id.values()})
    shown = []
    for key in ids:
        person = people.get(by_id[key].identity_id, NOBODY)
        shown.append(Activity(record=by_id[key], contact_id=person.contact_id, contact_name=person.name))
    return shown
