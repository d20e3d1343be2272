"""What is known of somebody, and what was erased: `moorage_ports.erasure`."""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, FromClause, RowMapping, and_, exists, func, not_, or_, select, tuple_

from moorage_adapters.sqlmodel.crm_people import Page
from moorage_adapters.sqlmodel.crm_records import CONTACTS, IDENTITIES, contacts_of, records_by
from moorage_adapters.sqlmodel.crm_tables import (
    ACTIVITY,
    CONTACT,
    CONVERSATION,
    IDENTITY,
    IS_CONTACT,
    MESSAGE,
    POST,
)
from moorage_adapters.sqlmodel.marks import marks_of, put_marks
from moorage_adapters.sqlmodel.privacy_tables import ERASURE
from moorage_adapters.sqlmodel.tables import LEAD
from moorage_adapters.sqlmodel.tenant import Condition, OrgGate, Tenant, fields_of, value_of
from moorage_adapters.sqlmodel.types import clean, to_json
from moorage_ports.erasure import Erasure, IdleContact, KnownPeople, LeadTrace, TraceCounts, Traces
from moorage_ports.listing import Listing


class SqlErasures:
    """`moorage_ports.erasure.Erasures` over one unit of work."""

    def __init__(self, gate: OrgGate) -> None:
        self._gate = gate

    async def mark(self, keys: Collection[str], *, at: datetime) -> None:
        """These were erased; a mark that is there already stays as it is."""
        if keys:
            await self._gate.run(lambda org: put_marks(org, keys, at))

    async def marked(self, keys: Collection[str]) -> Mapping[str, datetime]:
        """Which of these were erased, and when."""
        return await self._gate.run(lambda org: marks_of(org, keys)) if keys else {}

    async def known_people(self, contact_ids: Collection[str]) -> KnownPeople:
        """Who these contacts are."""
        return await self._gate.run(lambda org: _known(org, contact_ids)) if contact_ids else KnownPeople()

    async def contacts_like(self, external_ids: Collection[str], *, vendor: str = "") -> tuple[str, ...]:
        """The contacts with an identity of one of these ids."""
        where: list[Condition] = [IDENTITY.c.external_id.in_(list(external_ids))]
        if vendor:
            where.append(IDENTITY.c.vendor == vendor)

        def work(org: Tenant) -> tuple[str, ...]:
            return tuple(sorted(org.distinct(IDENTITY, "contact_id", *where)))

        return await self._gate.run(work) if external_ids else ()

    async def leads_like(
        self,
        *,
        lead_ids: Collection[str] = (),
        contact_ids: Collection[str] = (),
        emails: Collection[str] = (),
        phones: Collection[str] = (),
        limit: int,
    ) -> tuple[LeadTrace, ...]:
        """Leads with any of these: e-mail addresses whatever their case, phone numbers by their digits."""
        numbers = {digits_of(phone) for phone in phones} - {""}
        like = [
            LEAD.c.id.in_(list(lead_ids)) if lead_ids else None,
            LEAD.c.contact_id.in_(list(contact_ids)) if contact_ids else None,
            *(_has_email(email) for email in emails if email.strip()),
            _digits(LEAD.c.phone).in_(sorted(numbers)) if numbers else None,
        ]
        given = [one for one in like if one is not None]
        order = (LEAD.c.created_at, LEAD.c.id)

        def work(org: Tenant) -> tuple[LeadTrace, ...]:
            return tuple(map(_lead, org.rows(LEAD, or_(*given), order_by=order, limit=limit)))

        return await self._gate.run(work) if given else ()

    async def leads_before(self, before: datetime, *, limit: int) -> tuple[LeadTrace, ...]:
        """Leads that came at `before` or earlier, the oldest first."""
        order = (LEAD.c.created_at, LEAD.c.id)
        return await self._gate.run(
            lambda org: tuple(
                map(_lead, org.rows(LEAD, LEAD.c.created_at <= before, order_by=order, limit=limit))
            )
        )

    async def count_leads_before(self, before: datetime) -> int:
        """How many those are."""
        return await self._gate.run(lambda org: org.count(LEAD, LEAD.c.created_at <= before))

    async def traces(self, identity_ids: Collection[str], *, limit: int) -> Traces:
        """What the CRM has of whoever these identities are, about `limit` of each kind."""
        people = list(identity_ids)

        def work(org: Tenant) -> Traces:
            messages = _messages(org, people, limit)
            return Traces(
                messages=frozenset(messages),
                activities=frozenset(org.ids(ACTIVITY, ACTIVITY.c.identity_id.in_(people), limit=limit)),
                posts=frozenset(org.ids(POST, POST.c.identity_id.in_(people), limit=limit)),
                conversations=frozenset(
                    () if messages else org.ids(CONVERSATION, _is_with(people), limit=limit)
                ),
            )

        return await self._gate.run(work) if people else Traces()

    async def trace_counts(self, identity_ids: Collection[str]) -> TraceCounts:
        """How much an erasure would remove: all that `traces` names in turn, and what goes with it."""
        people = list(identity_ids)

        def work(org: Tenant) -> TraceCounts:
            return TraceCounts(
                messages=org.count(MESSAGE, _goes(org, MESSAGE, people)),
                activities=org.count(ACTIVITY, _is_done_or_said_by(org, people)),
                posts=org.count(POST, POST.c.identity_id.in_(people)),
                conversations=org.count(CONVERSATION, _is_left_empty(org, people)),
            )

        return await self._gate.run(work) if people else TraceCounts()

    async def idle_contacts(
        self, before: datetime, *, after: IdleContact | None = None, limit: int
    ) -> tuple[IdleContact, ...]:
        """Contacts who were last seen at `before` or earlier, without a lead; the longest unseen first."""
        seen_at, contact_id = CONTACT.c.last_seen_at, CONTACT.c.id
        where = [*_are_idle(before)]
        if after is not None:
            # The first half is what an index can begin at.
            where += [
                seen_at >= after.last_seen_at,
                or_(seen_at > after.last_seen_at, contact_id > after.id),
            ]

        def work(org: Tenant) -> tuple[IdleContact, ...]:
            rows = org.rows(CONTACT, *where, order_by=(seen_at, contact_id), limit=limit)
            return tuple(value_of(IdleContact, row) for row in rows)

        return await self._gate.run(work)

    async def count_idle_contacts(self, before: datetime) -> int:
        """How many those are."""
        return await self._gate.run(lambda org: org.count(CONTACT, *_are_idle(before)))

    async def note(self, erasure: Erasure) -> None:
        """Keep that it happened."""
        values = fields_of(erasure, without=("removed",))
        values["removed_json"] = to_json(dict(erasure.removed))
        await self._gate.run(lambda org: org.insert(ERASURE, values))

    async def noted(self, *, page: int, page_size: int) -> Listing[Erasure]:
        """What happened, the newest first."""
        asked = Page(page, page_size)
        newest = (ERASURE.c.at.desc(), ERASURE.c.id.desc())

        def work(org: Tenant) -> Listing[Erasure]:
            rows = org.rows(ERASURE, order_by=newest, limit=asked.size, offset=asked.offset)
            return asked.of(map(_erasure, rows), org.count(ERASURE))

        return await self._gate.run(work)

    async def forget_noted(self, before: datetime) -> int:
        """Delete what was noted earlier; answers how many."""
        return await self._gate.run(lambda org: org.delete(ERASURE, ERASURE.c.at < before))


def _are_idle(before: datetime) -> tuple[ColumnElement[bool], ...]:
    has_lead = exists().where(LEAD.c.org_id == CONTACT.c.org_id, LEAD.c.contact_id == CONTACT.c.id)
    return (and_(IS_CONTACT, CONTACT.c.last_seen_at <= before), ~has_lead)


def digits_of(phone: str) -> str:
    """A phone number without what people write between its digits."""
    return "".join(character for character in phone if character in "0123456789")


def _digits(column: ColumnElement[str]) -> ColumnElement[str]:
    """The same in SQL, for what people write."""
    for character in "+ -()./\u00a0":
        column = func.replace(column, character, "")
    return column


def _has_email(email: str) -> ColumnElement[bool]:
    """A whole line of what a search looks through, which is folded as databases do not fold."""
    line = clean(email).strip().casefold()
    return LEAD.c.search_text.contains(f"\n{line}\n", autoescape=True)


def _lead(row: RowMapping) -> LeadTrace:
    return value_of(LeadTrace, row, contact_id=row["contact_id"] or "")


def _known(org: Tenant, contact_ids: Iterable[str]) -> KnownPeople:
    """Whoever they are by now, and all who were joined to those."""
    known: set[str] = set()
    newest = set(contacts_of(org, contact_ids))
    while newest:
        known |= newest
        newest = {contact.id for contact in records_by(org, CONTACTS, newest, "merged_into")} - known
    identities = records_by(org, IDENTITIES, known, "contact_id")
    return KnownPeople(
        contact_ids=frozenset(known), identities=tuple(sorted(identities, key=lambda one: one.id))
    )


def _is_with(people: list[str]) -> ColumnElement[bool]:
    """Conversations with them, and threads that they began."""
    return CONVERSATION.c.identity_id.in_(people)


def _is_said_with(message: FromClause, people: list[str]) -> ColumnElement[bool]:
    """What they wrote, and whatever was said in conversations with them."""
    talks = select(CONVERSATION.c.id).where(
        CONVERSATION.c.org_id == message.c.org_id, _is_with(people), CONVERSATION.c.kind == "direct"
    )
    return or_(message.c.identity_id.in_(people), message.c.conversation_id.in_(talks))


def _goes(org: Tenant, message: FromClause, people: list[str]) -> ColumnElement[bool]:
    """The same, and what the org answered to their comments."""
    said = MESSAGE.alias()
    answered = select(said.c.conversation_id, said.c.external_id).where(
        said.c.org_id == org.org_id, said.c.external_id != "", _is_said_with(said, people)
    )
    is_answer = tuple_(message.c.conversation_id, message.c.parent_external_id).in_(answered)
    return or_(_is_said_with(message, people), and_(message.c.is_ours, is_answer))


def _is_done_or_said_by(org: Tenant, people: list[str]) -> ColumnElement[bool]:
    """What they did, and comments that go as messages."""
    gone = MESSAGE.alias()
    comments = select(gone.c.vendor, gone.c.external_id).where(
        gone.c.org_id == org.org_id, gone.c.external_id != "", _goes(org, gone, people)
    )
    is_comment = tuple_(ACTIVITY.c.vendor, ACTIVITY.c.external_id).in_(comments)
    return or_(ACTIVITY.c.identity_id.in_(people), and_(ACTIVITY.c.kind == "comment", is_comment))


def _is_left_empty(org: Tenant, people: list[str]) -> ColumnElement[bool]:
    """Conversations of theirs in which nobody else said anything, or tried to."""
    gone, stays = MESSAGE.alias(), MESSAGE.alias()
    touched = select(gone.c.conversation_id).where(gone.c.org_id == org.org_id, _goes(org, gone, people))
    is_kept = exists().where(
        stays.c.org_id == CONVERSATION.c.org_id,
        stays.c.conversation_id == CONVERSATION.c.id,
        or_(stays.c.is_known, stays.c.external_id == ""),
        not_(_goes(org, stays, people)),
    )
    return and_(or_(_is_with(people), CONVERSATION.c.id.in_(touched)), not_(is_kept))


def _messages(org: Tenant, people: list[str], limit: int) -> set[str]:
    """Some messages by them or with them, and what the org answered to these comments."""
    rows = org.rows(MESSAGE, _is_said_with(MESSAGE, people), order_by=(MESSAGE.c.id,), limit=limit)
    answered = [row["external_id"] for row in rows if row["external_id"]]
    threads = list({row["conversation_id"] for row in rows if row["conversation_id"]})
    answers: Iterable[Any] = ()
    if answered and threads:
        is_answer = and_(MESSAGE.c.is_ours, MESSAGE.c.parent_external_id.in_(answered))
        answers = org.ids(MESSAGE, MESSAGE.c.conversation_id.in_(threads), is_answer)
    return {row["id"] for row in rows} | set(answers)


def _erasure(row: RowMapping) -> Erasure:
    return value_of(Erasure, row, removed=msgspec.json.decode(row["removed_json"], type=dict[str, int]))
