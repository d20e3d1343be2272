"""The ledger: one entry per lead, which tells the truth and is not talked out of it."""

from datetime import timedelta
from typing import Any

import attrs
import pytest

from moorage_adapters.sqlmodel.keeping import BUCKETS
from moorage_adapters.sqlmodel.storage import SqlStorage, SqlUnitOfWork
from moorage_ports.inbox import Arrival, HeardBy, InboxItem, ItemState, Settlement
from moorage_ports.lead_ledger import EntryFilter, LeadEntry, LeadOutcome, LeadTotals
from tests.unit.adapters.conftest import NOON
from tests.unit.adapters.things import VENDOR, arrival, change, connect

DONE: dict[str, Any] = {"outcome": LeadOutcome.STORED, "stored_at": NOON, "lead_id": "ours-1"}


def entry(number: int = 1, **changes: Any) -> LeadEntry:
    fields: dict[str, Any] = {
        "vendor": VENDOR,
        "external_id": f"lead-{number}",
        "channel_external_id": "page-1",
        "form_external_id": "form-1",
        "outcome": LeadOutcome.PENDING,
        "arrived_at": NOON,
        "updated_at": NOON,
    }
    return LeadEntry(**(fields | changes))


async def test_an_entry_comes_back_as_it_was_written(storage: SqlStorage) -> None:
    whole = entry(
        **DONE,
        heard_by=HeardBy.BACKFILL,
        submitted_at=NOON - timedelta(days=1),
        fetched_at=NOON,
        mapped_at=NOON,
        mapping_version=3,
        problems={"phone": "could not be read", "properties.größe": "is required"},
        tries=2,
        error="",
        into="ours-0",
        is_test=True,
        attribution={"adId": "7"},
    )
    async with storage.unit_of_work("a") as uow:
        await uow.lead_ledger.write([whole])
        await uow.lead_ledger.write([])
    async with storage.unit_of_work("a", reads_only=True) as uow:
        assert await uow.lead_ledger.of(VENDOR, ["lead-1", "lead-2"]) == {"lead-1": whole}
        assert await uow.lead_ledger.of_lead("ours-1") == (whole,)
        assert await uow.lead_ledger.of_lead("") == ()
    async with storage.unit_of_work("b", reads_only=True) as uow:
        assert await uow.lead_ledger.of(VENDOR, ["lead-1"]) == {}
        assert await uow.lead_ledger.totals() == {}


async def test_a_later_word_replaces_all_but_the_first_arrival(storage: SqlStorage) -> None:
    later = NOON + timedelta(hours=1)
    async with storage.unit_of_work("a") as uow:
        await uow.lead_ledger.write([entry(error="unavailable", tries=1)])
        await uow.lead_ledger.write([entry(**DONE, arrived_at=later, updated_at=later, tries=2)])
        (found,) = (await uow.lead_ledger.of(VENDOR, ["lead-1"])).values()
    assert (found.outcome, found.arrived_at, found.updated_at) == (LeadOutcome.STORED, NOON, later)
    assert (found.error, found.tries) == ("", 2)


@pytest.mark.parametrize("late", [LeadOutcome.PENDING, LeadOutcome.PARKED, LeadOutcome.DEAD])
async def test_a_lead_that_is_in_the_crm_is_not_talked_out_of_it(
    storage: SqlStorage, late: LeadOutcome
) -> None:
    async with storage.unit_of_work("a") as uow:
        await uow.lead_ledger.write([entry(**DONE)])
        await uow.lead_ledger.write([entry(outcome=late, error="unavailable")])
        assert await uow.lead_ledger.settled(VENDOR, ["lead-1", "other"]) == {"lead-1": LeadOutcome.STORED}
        (found,) = (await uow.lead_ledger.of(VENDOR, ["lead-1"])).values()
    assert (found.outcome, found.error) == (LeadOutcome.STORED, "")


async def test_two_entries_of_one_lead_in_one_write_are_one(storage: SqlStorage) -> None:
    async with storage.unit_of_work("a") as uow:
        await uow.lead_ledger.write([entry(), entry(2), entry(**DONE)])
        page = await uow.lead_ledger.page(EntryFilter(), page=1, page_size=9)
    assert {one.external_id: one.outcome for one in page.items} == {
        "lead-1": LeadOutcome.STORED,
        "lead-2": LeadOutcome.PENDING,
    }


async def test_many_are_erased_at_once_each_under_a_hash_of_its_own(storage: SqlStorage) -> None:
    """Also one that was erased before and heard of again: there is one entry of it, as before."""
    ids = ["lead-1", "lead-2", "lead-3"]
    async with storage.unit_of_work("a") as uow:
        await uow.erasures.mark(ids, at=NOON)  # as whoever erases does first: so the org has keys
        await uow.lead_ledger.write([entry(number, **DONE) for number in (1, 4)])
        await uow.lead_ledger.erase(VENDOR, ["lead-1"], at=NOON)
        await uow.lead_ledger.write([entry(number) for number in (1, 2, 3)])
        assert await uow.lead_ledger.erase(VENDOR, [*ids, "lead-2", "nobody"], at=NOON) == 3
        assert await uow.lead_ledger.erase(VENDOR, ids, at=NOON) == 0
    async with storage.unit_of_work("a", reads_only=True) as uow:
        found = await uow.lead_ledger.of(VENDOR, ids)
        everything = await uow.lead_ledger.page(EntryFilter(), page=1, page_size=10)
    assert set(found) == set(ids)
    assert len({one.external_id for one in found.values()}) == len(ids)
    for one in found.values():
        assert (one.outcome, one.lead_id, one.external_id[:7]) == (LeadOutcome.ERASED, "", "erased:")
    assert (everything.total, [one.external_id for one in everything.items if one.lead_id]) == (4, ["lead-4"])


async def test_totals_add_up_per_form_and_leave_tests_out(storage: SqlStorage) -> None:
    outcomes = list(LeadOutcome)
    entries = [entry(number, outcome=outcome) for number, outcome in enumerate(outcomes)]
    entries += [entry(90, outcome=LeadOutcome.DEAD), entry(91, **DONE, is_test=True)]
    entries += [entry(92, **DONE, form_external_id="form-2", problems={"email": "is required"})]
    entries += [entry(93, **DONE, is_test=True, problems={"email": "is required"})]
    await connect(storage, "a", "page-1")
    await storage.intake.keep(arrival(change()))  # the org has keys: of what is erased the id is hidden
    async with storage.unit_of_work("a") as uow:
        await uow.lead_ledger.write(entries)
        found = await uow.lead_ledger.totals()
        of_one = await uow.lead_ledger.totals(vendor=VENDOR, form_external_ids=["form-2"])
    assert found == {
        (VENDOR, "form-1"): LeadTotals(
            stored=1, merged=1, linked=1, parked=1, dead=2, expired=1, erased=1, pending=1, test=2
        ),
        (VENDOR, "form-2"): LeadTotals(stored=1, with_problems=1),
    }
    assert found[VENDOR, "form-1"].heard == len(outcomes) + 1
    assert set(of_one) == {(VENDOR, "form-2")}


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (EntryFilter(), [3, 2, 1]),
        (EntryFilter(form_external_id="form-2"), [3]),
        (EntryFilter(outcome=LeadOutcome.PARKED), [2]),
        (EntryFilter(heard_by=HeardBy.RECONCILE), [3]),
        (EntryFilter(error="missing_scope"), [2]),
        (EntryFilter(external_id="lead-1", vendor=VENDOR), [1]),
        (EntryFilter(lead_id="ours-1"), [1]),
        (EntryFilter(is_test=True), [3]),
        (EntryFilter(since=NOON + timedelta(seconds=2)), [3, 2]),
        (EntryFilter(until=NOON + timedelta(seconds=2)), [1]),
        (EntryFilter(channel_external_id="page-9"), []),
        (EntryFilter(external_id="\ud800'"), []),
    ],
)
async def test_filters_narrow_the_page(storage: SqlStorage, wanted: EntryFilter, found: list[int]) -> None:
    at = [NOON + timedelta(seconds=number) for number in range(4)]
    async with storage.unit_of_work("a") as uow:
        await uow.lead_ledger.write(
            [
                entry(1, **DONE, arrived_at=at[1]),
                entry(2, outcome=LeadOutcome.PARKED, error="missing_scope", arrived_at=at[2]),
                entry(
                    3,
                    form_external_id="form-2",
                    heard_by=HeardBy.RECONCILE,
                    is_test=True,
                    arrived_at=at[3],
                ),
            ]
        )
        page = await uow.lead_ledger.page(wanted, page=1, page_size=9)
        first = await uow.lead_ledger.page(wanted, page=1, page_size=1)
    assert [one.external_id for one in page.items] == [f"lead-{number}" for number in found]
    assert (page.total, first.items) == (len(found), page.items[:1])


async def test_a_double_is_counted_and_changes_nothing(storage: SqlStorage) -> None:
    """Only what a vendor sent again: what was looked for here came once, or never."""
    await connect(storage, "a", "page-1")
    one = arrival(change("lead-1"))
    await storage.intake.keep(one)
    await storage.intake.keep(one)
    await storage.intake.keep(arrival(change("lead-1"), change("lead-1"), at=NOON + timedelta(hours=1)))
    again = arrival(change("lead-1"))
    for heard_by in (HeardBy.RECONCILE, HeardBy.BACKFILL, HeardBy.TEST):
        kept = await storage.intake.keep(_heard_by(again, heard_by))
        assert (kept.stored, kept.duplicates) == (0, 1)
    async with storage.unit_of_work("a") as uow:
        (item,) = await _claim(uow)
        assert (item.heard_by, item.tries, item.received_at) == (HeardBy.WEBHOOK, 1, NOON)
        await uow.lead_ledger.write([entry(item_id=item.id)])
        (found,) = (await uow.lead_ledger.of(VENDOR, ["lead-1"])).values()
    assert found.doubles == 3


async def test_how_a_change_was_heard_of_is_the_first_way(storage: SqlStorage) -> None:
    await connect(storage, "a", "page-1")
    await storage.intake.keep(_heard_by(arrival(change("lead-1")), HeardBy.RECONCILE))
    await storage.intake.keep(arrival(change("lead-1")))
    async with storage.unit_of_work("a") as uow:
        (item,) = await _claim(uow)
        await uow.lead_ledger.write([entry(item_id=item.id, heard_by=item.heard_by)])
        (found,) = (await uow.lead_ledger.of(VENDOR, ["lead-1"])).values()
    assert (found.heard_by, found.doubles) == (HeardBy.RECONCILE, 1), "the delivery came after all"


async def test_what_was_begun_again_is_pending_whatever_was_said_of_it(storage: SqlStorage) -> None:
    await connect(storage, "a", "page-1")
    await storage.intake.keep(arrival(change("lead-1")))
    async with storage.unit_of_work("a") as uow:
        (item,) = await _claim(uow)
        await uow.inbox.settle([Settlement(item=item, state=ItemState.PARKED, error="x")], now=NOON)
        await uow.lead_ledger.write([entry(outcome=LeadOutcome.PARKED, item_id=item.id)])
        (parked,) = (await uow.lead_ledger.of(VENDOR, ["lead-1"])).values()
        await uow.inbox.unpark(VENDOR, now=NOON)
        (begun,) = (await uow.lead_ledger.of(VENDOR, ["lead-1"])).values()
    assert (parked.outcome, begun.outcome) == (LeadOutcome.PARKED, LeadOutcome.PENDING)


async def test_notes_of_doubles_go_after_ninety_days(storage: SqlStorage) -> None:
    await connect(storage, "a", "page-1")
    for _ in range(3):
        await storage.intake.keep(arrival(change("lead-1")))
    await storage.intake.forget_settled(NOON + timedelta(days=91))
    async with storage.unit_of_work("a") as uow:
        (item,) = await _claim(uow)
        await uow.lead_ledger.write([entry(item_id=item.id)])
        (found,) = (await uow.lead_ledger.of(VENDOR, ["lead-1"])).values()
    assert found.doubles == 0


def _heard_by(one: Arrival, heard_by: HeardBy) -> Arrival:
    return attrs.evolve(one, heard_by=heard_by)


async def _claim(uow: SqlUnitOfWork) -> tuple[InboxItem, ...]:
    """What lies in whichever bucket."""
    for bucket in range(BUCKETS):
        items = await uow.inbox.claim(bucket, limit=9, now=NOON + timedelta(hours=2))
        if items:
            return items
    return ()
