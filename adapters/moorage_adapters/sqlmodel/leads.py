"""The embedded CRM's leads of one org."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import RowMapping, or_

from moorage_adapters.sqlmodel.lead_answers import open_answers, seal_answers
from moorage_adapters.sqlmodel.marks import marks_of
from moorage_adapters.sqlmodel.tables import IS_UNDIGESTED, LEAD
from moorage_adapters.sqlmodel.tenant import Condition, OrgGate, Tenant, fields_of, value_of
from moorage_adapters.sqlmodel.types import clean
from moorage_ports.crm import CrmLead, LeadFilter, LeadOrder, LeadPage, email_key, phone_key
from moorage_ports.erasure import lead_mark

MAX_SEARCH_CHARACTERS = 200  # more is never typed, and SQLite refuses very long patterns
MAX_PAGE_SIZE = 500
_MAX_PAGE = 1_000_000_000  # an offset has to fit into 64 bits
_AT_ONCE: Final = 400  # parameters of one statement
_DIGEST_AT_ONCE: Final = 1000  # leads from before there were digests, per look for duplicates
_KEYS: Final[Mapping[str, Callable[[str], str]]] = {"email": email_key, "phone": phone_key}
_ORDERS: Final = {
    LeadOrder.NEWEST: (LEAD.c.created_at.desc(), LEAD.c.id.desc()),
    LeadOrder.OLDEST: (LEAD.c.created_at, LEAD.c.id),
    LeadOrder.CHANGED: (LEAD.c.updated_at.desc().nulls_last(), LEAD.c.created_at.desc(), LEAD.c.id.desc()),
}


class SqlLeads:
    """`moorage_ports.crm.Leads` over one unit of work."""

    def __init__(self, gate: OrgGate) -> None:
        self._gate = gate

    async def add(self, lead: CrmLead) -> bool:
        """Insert; false (and nothing changed) if the org has this vendor's lead already, or erased it."""
        return lead.id in await self.add_all([lead])

    async def add_all(self, leads: Sequence[CrmLead]) -> frozenset[str]:
        """Insert many at once; answers our ids of those that were neither there already nor erased."""

        def work(org: Tenant) -> frozenset[str]:
            marks = {lead_mark(lead.vendor, lead.external_id): lead for lead in leads}
            erased = marks_of(org, marks)
            kept = [lead for lead in leads if lead_mark(lead.vendor, lead.external_id) not in erased]
            return frozenset(org.insert_all(LEAD, [_values(org, lead) for lead in kept], "id"))

        return await self._gate.run(work) if leads else frozenset()

    async def update(self, lead: CrmLead) -> bool:
        """Put this in place of the lead with its id; false (and nothing changed) if it is gone."""
        return await self._gate.run(
            lambda org: org.update(LEAD, _values(org, lead), LEAD.c.id == lead.id) == 1
        )

    async def delete(self, lead_ids: Collection[str]) -> int:
        """Delete these; answers how many there were."""
        ids = sorted(set(lead_ids))
        return await self._gate.run(
            lambda org: sum(org.delete(LEAD, LEAD.c.id.in_(some)) for some in _chunks(ids))
        )

    async def get(self, lead_id: str) -> CrmLead | None:
        """One lead by our id."""
        return await self._gate.run(lambda org: _maybe(org, LEAD.c.id == lead_id))

    async def by_external_id(self, vendor: str, external_id: str) -> CrmLead | None:
        """One lead by the vendor's id."""
        return await self._gate.run(
            lambda org: _maybe(org, LEAD.c.vendor == vendor, LEAD.c.external_id == external_id)
        )

    async def by_email_or_phone(
        self, *, emails: Collection[str] = (), phones: Collection[str] = ()
    ) -> tuple[CrmLead, ...]:
        """Leads with one of these, the oldest first; test leads are nobody's."""

        def work(org: Tenant) -> tuple[CrmLead, ...]:
            _digest_old_ones(org)
            like: list[Condition] = []
            for kind, column, values in (
                ("email", LEAD.c.email_digest, emails),
                ("phone", LEAD.c.phone_digest, phones),
            ):
                digests = sorted({digest for value in values if (digest := _digest(org, kind, value))})
                like += [column.in_(some) for some in _chunks(digests)]
            found = {row["id"]: row for one in like for row in org.rows(LEAD, one, LEAD.c.is_test.is_(False))}
            ordered = sorted(found.values(), key=lambda row: (row["created_at"], row["id"]))
            return tuple(_lead(org, row) for row in ordered)

        return await self._gate.run(work)

    async def of_form(self, vendor: str, form_id: str, after_id: str, limit: int) -> tuple[CrmLead, ...]:
        """A form's leads in the order of their ids, behind `after_id`."""
        where = (LEAD.c.vendor == vendor, LEAD.c.form_id == form_id, LEAD.c.id > after_id)

        def work(org: Tenant) -> tuple[CrmLead, ...]:
            rows = org.rows(LEAD, *where, order_by=(LEAD.c.id,), limit=limit)
            return tuple(_lead(org, row) for row in rows)

        return await self._gate.run(work)

    async def behind(
        self, where: LeadFilter, *, after: tuple[datetime, str] | None, limit: int
    ) -> tuple[CrmLead, ...]:
        """Those that fit, the oldest first, behind this moment and id."""
        conditions = _conditions(where)
        if after is not None:
            at, lead_id = after
            # The first half is what an index can begin at.
            conditions += [LEAD.c.created_at >= at, or_(LEAD.c.created_at > at, LEAD.c.id > lead_id)]

        def work(org: Tenant) -> tuple[CrmLead, ...]:
            rows = org.rows(LEAD, *conditions, order_by=_ORDERS[LeadOrder.OLDEST], limit=limit)
            return tuple(_lead(org, row) for row in rows)

        return await self._gate.run(work)

    async def page(
        self,
        *,
        page: int,
        page_size: int,
        where: LeadFilter | None = None,
        order: LeadOrder = LeadOrder.NEWEST,
    ) -> LeadPage:
        """Those that fit."""
        conditions = _conditions(where or LeadFilter())
        size = min(max(page_size, 1), MAX_PAGE_SIZE)
        number = min(max(page, 1), _MAX_PAGE)

        def work(org: Tenant) -> LeadPage:
            rows = org.rows(
                LEAD, *conditions, order_by=_ORDERS[order], limit=size, offset=(number - 1) * size
            )
            return LeadPage(
                items=tuple(_lead(org, row) for row in rows),
                total=org.count(LEAD, *conditions),
                page=number,
                page_size=size,
            )

        return await self._gate.run(work)

    async def fingerprints(self, wanted: Collection[tuple[str, str]]) -> Mapping[tuple[str, str], str]:
        """What e-mail addresses and phone numbers are found by; what is no such thing is left out."""

        def work(org: Tenant) -> dict[tuple[str, str], str]:
            found = ((one, _digest(org, *one)) for one in sorted(set(wanted)))
            return {one: digest.hex() for one, digest in found if digest is not None}

        return await self._gate.run(work)


def _values(org: Tenant, lead: CrmLead) -> dict[str, object]:
    """The lead's row."""
    return {
        **fields_of(lead, without=("answers", "consents")),
        "search_text": _search_text(lead),
        "answers_sealed": seal_answers(org, lead),
        "email_digest": _digest(org, "email", lead.email),
        "phone_digest": _digest(org, "phone", lead.phone),
        "is_digested": True,
    }


def _maybe(org: Tenant, *where: Condition) -> CrmLead | None:
    row = org.one(LEAD, *where)
    return None if row is None else _lead(org, row)


def _lead(org: Tenant, row: RowMapping) -> CrmLead:
    answers, consents = open_answers(org, row["id"], row["answers_sealed"])
    return value_of(CrmLead, row, answers=answers, consents=consents)


def _digest(org: Tenant, kind: str, value: str) -> bytes | None:
    """What finds an e-mail address or a phone number: indexes hold no personal data."""
    key = _KEYS[kind](clean(value))
    return org.digest(f"lead {kind}", key) if key else None


def _digest_old_ones(org: Tenant) -> None:
    """Have leads found that are from before there were digests. There are none, soon."""
    for row in org.rows(LEAD, IS_UNDIGESTED, order_by=(LEAD.c.id,), limit=_DIGEST_AT_ONCE):
        values = {
            "email_digest": _digest(org, "email", row["email"]),
            "phone_digest": _digest(org, "phone", row["phone"]),
            "is_digested": True,
        }
        org.update(LEAD, values, LEAD.c.id == row["id"])


def _chunks(items: Sequence[str] | Sequence[bytes]) -> Iterable[Sequence[str] | Sequence[bytes]]:
    return (items[start : start + _AT_ONCE] for start in range(0, len(items), _AT_ONCE))


def _search_text(lead: CrmLead) -> str:
    """What a search looks through: one line per field, and the name as people write it."""
    name = f"{lead.first_name} {lead.last_name}".strip()
    return "\n".join(clean(text).casefold() for text in (name, lead.email, lead.phone, lead.company))


def _conditions(wanted: LeadFilter) -> list[Condition]:
    where: list[Condition] = []
    term = clean(wanted.search[:MAX_SEARCH_CHARACTERS]).casefold().strip()
    if term:
        where.append(LEAD.c.search_text.contains(term, autoescape=True))
    for name in (
        "status",
        "stage",
        "assignee",
        "source",
        "form_id",
        "campaign_id",
        "channel_external_id",
    ):
        value = clean(getattr(wanted, name))
        if value:
            where.append(LEAD.c[name] == value)
    if wanted.contact_ids:
        where.append(LEAD.c.contact_id.in_(list(map(clean, wanted.contact_ids))))
    if wanted.is_test is not None:
        where.append(LEAD.c.is_test.is_(wanted.is_test))
    if wanted.since is not None:
        where.append(LEAD.c.created_at >= wanted.since)
    if wanted.until is not None:
        where.append(LEAD.c.created_at < wanted.until)
    return where
