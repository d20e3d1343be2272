"""How the leads of one org got here: `moorage_ports.lead_ledger`."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import attrs
from sqlalchemy import ColumnElement, RowMapping, case, literal_column, not_, or_, tuple_

from moorage_adapters.sqlmodel.crm_people import Page
from moorage_adapters.sqlmodel.lead_ledger_tables import LEAD_ENTRY
from moorage_adapters.sqlmodel.tables import INBOX, INBOX_DOUBLE
from moorage_adapters.sqlmodel.tenant import Condition, OrgGate, Tenant, among, fields_of, value_of
from moorage_adapters.sqlmodel.types import clean
from moorage_ports.inbox import ItemState
from moorage_ports.lead_ledger import SETTLED, EntryFilter, LeadEntry, LeadOutcome, LeadTotals
from moorage_ports.listing import Listing
from moorage_ports.secret_store import SealError

_SETTLED: Final = sorted(SETTLED, key=lambda outcome: outcome.value)
_KEY: Final = ("org_id", "vendor", "external_id")
_AT_ONCE: Final = 400  # parameters of one statement
_ERASED_ID: Final = "erased:"  # before what stands for an id that is not to be known any more
_NEWEST: Final = (LEAD_ENTRY.c.arrived_at.desc(), LEAD_ENTRY.c.vendor, LEAD_ENTRY.c.external_id)
# Where a delivery stands that is not settled by what its entry tells: it was begun again meanwhile.
_UNDER_WAY: Final = {
    ItemState.PENDING: LeadOutcome.PENDING,
    ItemState.PARKED: LeadOutcome.PARKED,
    ItemState.DEAD: LeadOutcome.DEAD,
}


class SqlLeadLedger:
    """`moorage_ports.lead_ledger.LeadLedger` over one unit of work."""

    def __init__(self, gate: OrgGate) -> None:
        self._gate = gate

    async def write(self, entries: Sequence[LeadEntry]) -> None:
        """Insert or replace; a first arrival stays, and so does that a lead came into the CRM."""
        if not entries:
            return

        def work(org: Tenant) -> None:
            rows = {(row["vendor"], row["external_id"]): row for row in (_row(org, one) for one in entries)}
            in_order = [row for _, row in sorted(rows.items())]
            org.upsert_all(LEAD_ENTRY, in_order, _KEY, _replaced, _may_replace)

        await self._gate.run(work)

    async def erase(self, vendor: str, external_ids: Collection[str], *, at: datetime) -> int:
        """What stays of each is its way, under a hash of the org's in place of its id."""

        def work(org: Tenant) -> int:
            names = _names(org, vendor, external_ids)
            there = {row["external_id"] for row in _entries(org, vendor, names)}
            hashes = {one: _erased_id(org, vendor, one) for one in map(clean, external_ids) if one in there}
            # What was erased before, and heard of again, has its hash already.
            again = sorted(one for one, hashed in hashes.items() if hashed in there)
            first = sorted(hashes.keys() - again)
            return sum(
                remove(org, vendor, {one: hashes[one] for one in ids[start : start + _AT_ONCE]}, at)
                for remove, ids in ((_forget, again), (_hide, first))
                for start in range(0, len(ids), _AT_ONCE)
            )

        return await self._gate.run(work) if external_ids else 0

    async def settled(self, vendor: str, external_ids: Collection[str]) -> Mapping[str, LeadOutcome]:
        """Which of these leads came into the CRM, and how."""

        def work(org: Tenant) -> dict[str, LeadOutcome]:
            names = _names(org, vendor, external_ids)
            rows = _entries(org, vendor, names, LEAD_ENTRY.c.outcome.in_(SETTLED))
            return {names[row["external_id"]]: row["outcome"] for row in rows}

        return await self._gate.run(work)

    async def of(self, vendor: str, external_ids: Collection[str]) -> Mapping[str, LeadEntry]:
        """What is known of these leads, by the vendor's id."""

        def work(org: Tenant) -> dict[str, LeadEntry]:
            names = _names(org, vendor, external_ids)
            found = _told(org, _entries(org, vendor, names))
            return {names[entry.external_id]: entry for entry in found}

        return await self._gate.run(work)

    async def of_items(self, items: Collection[tuple[str, str]]) -> tuple[LeadEntry, ...]:
        """The leads that these kept changes tell of, as (vendor, the change's id); in no order."""
        wanted = {one for one in items if one[1]}
        ids = sorted({item_id for _, item_id in wanted})
        has_one = LEAD_ENTRY.c.item_id != literal_column("''")  # what the index is on

        def work(org: Tenant) -> tuple[LeadEntry, ...]:
            some = (ids[start : start + _AT_ONCE] for start in range(0, len(ids), _AT_ONCE))
            rows = [
                row for part in some for row in org.rows(LEAD_ENTRY, LEAD_ENTRY.c.item_id.in_(part), has_one)
            ]
            return _told(org, [row for row in rows if (row["vendor"], row["item_id"]) in wanted])

        return await self._gate.run(work)

    async def of_lead(self, *lead_ids: str) -> tuple[LeadEntry, ...]:
        """How leads of the CRM came about, the oldest first."""
        if not any(lead_ids):
            return ()
        where = (LEAD_ENTRY.c.lead_id.in_(lead_ids), LEAD_ENTRY.c.lead_id != literal_column("''"))
        order = (LEAD_ENTRY.c.arrived_at, LEAD_ENTRY.c.external_id)
        return await self._gate.run(lambda org: _told(org, org.rows(LEAD_ENTRY, *where, order_by=order)))

    async def page(self, where: EntryFilter, *, page: int, page_size: int) -> Listing[LeadEntry]:
        """Those that fit, the last arrived first."""
        asked = Page(page, page_size)
        conditions = _conditions(where)

        def work(org: Tenant) -> Listing[LeadEntry]:
            rows = org.rows(LEAD_ENTRY, *conditions, order_by=_NEWEST, limit=asked.size, offset=asked.offset)
            return asked.of(_told(org, rows), org.count(LEAD_ENTRY, *conditions))

        return await self._gate.run(work)

    async def totals(
        self, *, vendor: str = "", form_external_ids: Collection[str] = ()
    ) -> Mapping[tuple[str, str], LeadTotals]:
        """What the entries of each form add up to, by (vendor, form)."""
        where: list[Condition] = []
        if vendor:
            where.append(LEAD_ENTRY.c.vendor == vendor)
        if form_external_ids:
            where.append(LEAD_ENTRY.c.form_external_id.in_(list(map(clean, form_external_ids))))
        by = [
            LEAD_ENTRY.c[name]
            for name in ("vendor", "form_external_id", "outcome", "is_test", "has_problems")
        ]

        def work(org: Tenant) -> dict[tuple[str, str], LeadTotals]:
            found: dict[tuple[str, str], LeadTotals] = {}
            for row in org.counts(LEAD_ENTRY, by, *where):
                form = (row["vendor"], row["form_external_id"])
                names = ["test"] if row["is_test"] else [row["outcome"].value]
                if row["has_problems"] and not row["is_test"]:
                    names.append("with_problems")
                so_far = found.get(form, LeadTotals())
                more = {name: getattr(so_far, name) + row["count"] for name in names}
                found[form] = attrs.evolve(so_far, **more)
            return found

        return await self._gate.run(work)


def _row(org: Tenant, entry: LeadEntry) -> dict[str, Any]:
    """What is stored of an entry: of one that was erased not the vendor's id."""
    values = fields_of(entry, without=("doubles",))
    values["has_problems"] = bool(entry.problems)
    if entry.outcome is LeadOutcome.ERASED:
        values["external_id"] = _erased_id(org, entry.vendor, entry.external_id)
    return values


def _erased_id(org: Tenant, vendor: str, external_id: str) -> str:
    """What stands for the id of a lead that was erased; the same every time, and it tells nothing."""
    if external_id.startswith(_ERASED_ID):
        return external_id
    return _ERASED_ID + org.known_digest("erased lead", f"{vendor}/{clean(external_id)}").hex()


def _names(org: Tenant, vendor: str, external_ids: Collection[str]) -> dict[str, str]:
    """What entries of these leads may bear, and whose it is."""
    names = {clean(one): one for one in external_ids}
    try:
        return {**{_erased_id(org, vendor, one): one for one in external_ids}, **names}
    except SealError:
        return names  # the org has no keys, so none was erased


def _forget(org: Tenant, vendor: str, hashes: Mapping[str, str], _: datetime) -> int:
    return org.delete(LEAD_ENTRY, LEAD_ENTRY.c.vendor == vendor, LEAD_ENTRY.c.external_id.in_(list(hashes)))


def _hide(org: Tenant, vendor: str, hashes: Mapping[str, str], at: datetime) -> int:
    """All of them in one statement: the writer of SQLite is everybody's."""
    name = LEAD_ENTRY.c.external_id
    values = {
        "external_id": case(dict(hashes), value=name),
        "outcome": LeadOutcome.ERASED,
        "updated_at": at,
        "problems": {},
        "has_problems": False,
        **dict.fromkeys(("lead_id", "into", "error", "remedy"), ""),
    }
    return org.update(LEAD_ENTRY, values, LEAD_ENTRY.c.vendor == vendor, name.in_(list(hashes)))


def _replaced(excluded: Any) -> dict[str, ColumnElement[Any]]:
    """The columns that a later entry changes: all of them, but the first arrival stays."""
    changed = {name: excluded[name] for name in LEAD_ENTRY.c.keys() if name not in _KEY}  # noqa: SIM118
    arrived = LEAD_ENTRY.c.arrived_at
    changed["arrived_at"] = case((arrived < excluded.arrived_at, arrived), else_=excluded.arrived_at)
    return changed


def _may_replace(excluded: Any) -> Condition:
    """That a lead is in the CRM is not taken back by what is heard of it again."""
    return or_(not_(_is_settled(LEAD_ENTRY.c.outcome)), _is_settled(excluded.outcome))


def _is_settled(outcome: ColumnElement[LeadOutcome]) -> Condition:
    """In literals: a list of parameters cannot stand in a statement for many rows."""
    return or_(*(outcome == literal_column(f"'{one.value}'", outcome.type) for one in _SETTLED))


def _entries(
    org: Tenant, vendor: str, external_ids: Collection[str], *where: Condition
) -> Sequence[RowMapping]:
    wanted = sorted({clean(one) for one in external_ids})
    rows: list[RowMapping] = []
    for start in range(0, len(wanted), _AT_ONCE):
        some = among(LEAD_ENTRY.c.external_id, wanted[start : start + _AT_ONCE])
        rows += org.rows(LEAD_ENTRY, LEAD_ENTRY.c.vendor == vendor, some, *where)
    return rows


def _told(org: Tenant, rows: Iterable[RowMapping]) -> tuple[LeadEntry, ...]:
    """The rows as entries, with what their deliveries tell: how often they came, and where they stand."""
    found = list(rows)
    items = {(row["vendor"], bytes.fromhex(row["item_id"])) for row in found if row["item_id"]}
    doubles, states = _doubles(org, items), _states(org, items)
    return tuple(_entry(row, doubles, states) for row in found)


def _entry(
    row: RowMapping,
    doubles: Mapping[tuple[str, bytes], int],
    states: Mapping[tuple[str, bytes], ItemState],
) -> LeadEntry:
    key = (row["vendor"], bytes.fromhex(row["item_id"]))
    outcome = row["outcome"]
    if outcome in (LeadOutcome.PENDING, LeadOutcome.PARKED, LeadOutcome.DEAD):
        outcome = _UNDER_WAY.get(states.get(key, ItemState.DONE), outcome)
    return value_of(LeadEntry, row, doubles=doubles.get(key, 0), outcome=outcome)


def _doubles(org: Tenant, items: Collection[tuple[str, bytes]]) -> dict[tuple[str, bytes], int]:
    by = (INBOX_DOUBLE.c.vendor, INBOX_DOUBLE.c.key_digest)
    return {
        (row["vendor"], bytes(row["key_digest"])): row["count"]
        for some in _chunks(items)
        for row in org.counts(INBOX_DOUBLE, by, tuple_(*by).in_(some))
    }


def _states(org: Tenant, items: Collection[tuple[str, bytes]]) -> dict[tuple[str, bytes], ItemState]:
    key = (INBOX.c.vendor, INBOX.c.key_digest)
    by = (*key, INBOX.c.state)
    return {
        (row["vendor"], bytes(row["key_digest"])): row["state"]
        for some in _chunks(items)
        for row in org.counts(INBOX, by, tuple_(*key).in_(some))
    }


def _chunks(items: Collection[tuple[str, bytes]]) -> Iterable[list[tuple[str, bytes]]]:
    ordered = sorted(items)
    return (ordered[start : start + _AT_ONCE] for start in range(0, len(ordered), _AT_ONCE))


def _conditions(wanted: EntryFilter) -> list[Condition]:
    columns = ("vendor", "form_external_id", "channel_external_id", "error", "external_id", "lead_id")
    where: list[Condition] = [
        LEAD_ENTRY.c[name] == clean(getattr(wanted, name)) for name in columns if getattr(wanted, name)
    ]
    if wanted.outcome is not None:
        where.append(LEAD_ENTRY.c.outcome == wanted.outcome)
    if wanted.heard_by is not None:
        where.append(LEAD_ENTRY.c.heard_by == wanted.heard_by)
    flags = ((LEAD_ENTRY.c.is_test, wanted.is_test), (LEAD_ENTRY.c.has_problems, wanted.has_problems))
    where += [column == flag for column, flag in flags if flag is not None]
    return where + _between(LEAD_ENTRY.c.arrived_at, wanted.since, wanted.until)


def _between(
    column: ColumnElement[datetime], since: datetime | None, until: datetime | None
) -> list[Condition]:
    bounds = [] if since is None else [column >= since]
    return bounds if until is None else [*bounds, column < until]
