"""What every `LeadLedger` promises: one entry per lead, which tells the truth and is not talked out of it."""

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

import attrs

from moorage_ports.inbox import HeardBy, ItemState, Settlement
from moorage_ports.lead_ledger import EntryFilter, LeadEntry, LeadOutcome, LeadTotals
from moorage_ports.storage import Storage
from moorage_ports.testing.contract import Contract
from moorage_ports.testing.holding import BOARD, SOON, VENDOR, arrival, change, hold, later
from moorage_ports.testing.lent import BEGINNING

NOW = BEGINNING + timedelta(minutes=1)
ENTRY = LeadEntry(
    vendor=VENDOR,
    external_id="lead-1",
    channel_external_id=BOARD,
    form_external_id="form-1",
    outcome=LeadOutcome.PENDING,
    arrived_at=BEGINNING,
    updated_at=BEGINNING,
)
STORED = attrs.evolve(ENTRY, outcome=LeadOutcome.STORED, stored_at=BEGINNING, lead_id="ours-1")
WHOLE = attrs.evolve(
    STORED,
    heard_by=HeardBy.BACKFILL,
    submitted_at=BEGINNING - timedelta(days=1),
    fetched_at=BEGINNING,
    mapped_at=BEGINNING,
    mapping_version=3,
    problems={"phone": "could not be read", "properties.größe": "is required"},
    tries=2,
    into="ours-0",
    is_test=True,
    attribution={"adId": "7"},
)


async def write(storage: Storage, *entries: LeadEntry, org_id: str = "acme") -> None:
    """Write them together."""
    async with storage.unit_of_work(org_id) as work:
        await work.lead_ledger.write(entries)


async def known(storage: Storage, *ids: str, org_id: str = "acme") -> Mapping[str, LeadEntry]:
    """What is known of these leads."""
    async with storage.unit_of_work(org_id, reads_only=True) as work:
        return await work.lead_ledger.of(VENDOR, ids or ("lead-1",))


class LeadLedgerContract(Contract):
    """Subclass as `Test<Adapter>`; provide `storage`, empty."""

    async def test_an_entry_comes_back_as_it_was_written(self, storage: Storage) -> None:
        """Whole, to its own org, by the vendor's id and by ours."""
        await write(storage, WHOLE)
        await write(storage)
        assert await known(storage, "lead-1", "lead-2") == {"lead-1": WHOLE}
        async with storage.unit_of_work("acme", reads_only=True) as work:
            assert await work.lead_ledger.of_lead("ours-1") == (WHOLE,)
            assert await work.lead_ledger.of_lead("") == ()
        assert await known(storage, org_id="globex") == {}
        async with storage.unit_of_work("globex", reads_only=True) as work:
            assert await work.lead_ledger.totals() == {}
            assert (await work.lead_ledger.page(EntryFilter(), page=1, page_size=9)).total == 0

    async def test_a_lead_tells_all_that_went_into_it(self, storage: Storage) -> None:
        """The oldest first: its own way, then those that were merged into it."""
        merged = attrs.evolve(
            STORED, external_id="lead-0", outcome=LeadOutcome.MERGED, arrived_at=BEGINNING + SOON
        )
        await write(storage, merged, STORED, attrs.evolve(STORED, external_id="lead-2", lead_id="ours-2"))
        async with storage.unit_of_work("acme", reads_only=True) as work:
            assert await work.lead_ledger.of_lead("ours-1") == (STORED, merged)
            both = await work.lead_ledger.of_lead("ours-2", "ours-1", "")
            assert {entry.external_id for entry in both} == {"lead-0", "lead-1", "lead-2"}

    async def test_a_later_word_replaces_all_but_the_first_arrival(self, storage: Storage) -> None:
        """Also where both are written at once: then the last one counts."""
        at = BEGINNING + timedelta(hours=1)
        await write(storage, attrs.evolve(ENTRY, error="unavailable", tries=1))
        await write(storage, attrs.evolve(STORED, arrived_at=at, updated_at=at, tries=2))
        assert await known(storage) == {"lead-1": attrs.evolve(STORED, updated_at=at, tries=2)}

        other, its_end = (attrs.evolve(one, external_id="lead-2") for one in (ENTRY, STORED))
        await write(storage, other, its_end)
        assert await known(storage, "lead-2") == {"lead-2": its_end}

    async def test_a_lead_that_is_in_the_crm_is_not_talked_out_of_it(self, storage: Storage) -> None:
        """Whatever a late try says; how it came in may be told better."""
        await write(storage, STORED)
        for late in (LeadOutcome.PENDING, LeadOutcome.PARKED, LeadOutcome.DEAD, LeadOutcome.EXPIRED):
            await write(storage, attrs.evolve(ENTRY, outcome=late, error="unavailable"))
        assert await known(storage) == {"lead-1": STORED}
        async with storage.unit_of_work("acme", reads_only=True) as work:
            settled = await work.lead_ledger.settled(VENDOR, ["lead-1", "other"])
        assert settled == {"lead-1": LeadOutcome.STORED}
        better = attrs.evolve(STORED, problems={"phone": "could not be read"})
        await write(storage, better)
        assert await known(storage) == {"lead-1": better}

    async def test_of_what_was_erased_stays_its_way_and_not_its_id(self, storage: Storage) -> None:
        """Found by its id all the same; one that was erased before, and heard of again, is one entry."""
        await hold(storage, "acme", BOARD)
        await storage.intake.keep(arrival(change("any")))  # so that the org has keys
        ids = ["lead-1", "lead-2", "lead-3"]
        entries = [attrs.evolve(WHOLE, external_id=one, is_test=False) for one in (*ids, "lead-4")]
        await write(storage, entries[0], entries[3])
        assert await self._erase(storage, ["lead-1"]) == 1
        await write(storage, *entries[:3])
        assert await self._erase(storage, [*ids, "lead-2", "nobody"]) == 3
        assert await self._erase(storage, ids) == 0

        found = await known(storage, *ids)
        assert set(found) == set(ids)
        assert len({one.external_id for one in found.values()}) == len(ids)
        for name, one in found.items():
            assert name not in one.external_id
            told = (one.outcome, one.lead_id, one.into, one.problems, one.arrived_at)
            assert told == (LeadOutcome.ERASED, "", "", {}, BEGINNING)
        async with storage.unit_of_work("acme", reads_only=True) as work:
            assert set(await work.lead_ledger.settled(VENDOR, ids)) == set(ids)
            everything = await work.lead_ledger.page(EntryFilter(), page=1, page_size=9)
        assert everything.total == 4

    async def test_totals_add_up_per_form_and_leave_tests_out(self, storage: Storage) -> None:
        """Of all forms, or of those that are asked for; problems are counted beside what became of it."""
        await hold(storage, "acme", BOARD)
        await storage.intake.keep(arrival(change("any")))  # of what is erased the id is hidden
        every = [attrs.evolve(ENTRY, external_id=outcome.value, outcome=outcome) for outcome in LeadOutcome]
        dead = attrs.evolve(ENTRY, external_id="a", outcome=LeadOutcome.DEAD)
        odd = attrs.evolve(STORED, external_id="b", form_external_id="form-2", problems={"email": "x"})
        test = attrs.evolve(STORED, external_id="c", is_test=True, problems={"email": "x"})
        await write(storage, *every, dead, odd, test)
        async with storage.unit_of_work("acme", reads_only=True) as work:
            found = await work.lead_ledger.totals()
            of_one = await work.lead_ledger.totals(vendor=VENDOR, form_external_ids=["form-2", "form-9"])
            assert await work.lead_ledger.totals(vendor="elsewhere") == {}

        one_each = dict.fromkeys((outcome.value for outcome in LeadOutcome), 1)
        assert of_one == {(VENDOR, "form-2"): LeadTotals(stored=1, with_problems=1)}
        first = LeadTotals(**one_each | {"dead": 2, "test": 1})
        assert found == {**of_one, (VENDOR, "form-1"): first}
        assert found[VENDOR, "form-1"].heard == len(LeadOutcome) + 1

    async def test_filters_narrow_the_page(self, storage: Storage) -> None:
        """The last arrived first, and how many there are beside the page."""
        at = [BEGINNING + SOON * number for number in range(4)]
        parked = attrs.evolve(ENTRY, external_id="lead-2", outcome=LeadOutcome.PARKED, error="missing_scope")
        found = attrs.evolve(
            ENTRY,
            external_id="lead-3",
            form_external_id="form-2",
            heard_by=HeardBy.RECONCILE,
            is_test=True,
            problems={"email": "is required"},
        )
        entries = [
            attrs.evolve(one, arrived_at=at[number])
            for number, one in enumerate((STORED, parked, found), start=1)
        ]
        await write(storage, *entries)
        cases: list[tuple[dict[str, Any], list[int]]] = [
            ({}, [3, 2, 1]),
            ({"form_external_id": "form-2"}, [3]),
            ({"outcome": LeadOutcome.PARKED}, [2]),
            ({"heard_by": HeardBy.RECONCILE}, [3]),
            ({"error": "missing_scope"}, [2]),
            ({"external_id": "lead-1", "vendor": VENDOR}, [1]),
            ({"lead_id": "ours-1"}, [1]),
            ({"is_test": True}, [3]),
            ({"is_test": False}, [2, 1]),
            ({"has_problems": True}, [3]),
            ({"has_problems": False}, [2, 1]),
            ({"since": at[2]}, [3, 2]),
            ({"until": at[2]}, [1]),
            ({"channel_external_id": "board-9"}, []),
            ({"external_id": "\ud800'"}, []),
        ]
        async with storage.unit_of_work("acme", reads_only=True) as work:
            for wanted, numbers in cases:
                where = EntryFilter(**wanted)
                page = await work.lead_ledger.page(where, page=1, page_size=9)
                assert [one.external_id for one in page.items] == [f"lead-{n}" for n in numbers], wanted
                first = await work.lead_ledger.page(where, page=1, page_size=1)
                assert (first.total, first.items) == (len(numbers), page.items[:1]), wanted

    async def test_an_entry_follows_its_delivery(self, storage: Storage) -> None:
        """It is found by it, counts those that came again, and is pending once that is begun anew."""
        await hold(storage, "acme", BOARD)
        delivery = arrival(change("lead-1"))
        await storage.intake.keep(delivery)
        await storage.intake.keep(later(change("lead-1"), SOON))
        await storage.intake.keep(attrs.evolve(delivery, heard_by=HeardBy.RECONCILE))  # nobody sent it again
        ((_, bucket),) = await storage.backlog.pending_groups(NOW)
        async with storage.unit_of_work("acme") as work:
            (item,) = await work.inbox.claim(bucket, limit=9, now=NOW)
            await work.inbox.settle([Settlement(item=item, state=ItemState.PARKED, error="x")], now=NOW)
            parked = attrs.evolve(ENTRY, outcome=LeadOutcome.PARKED, error="x", item_id=item.id)
            await work.lead_ledger.write([parked, attrs.evolve(STORED, external_id="lead-2")])
        parked = attrs.evolve(parked, doubles=1)
        assert await self._of_items(storage, [(VENDOR, item.id), (VENDOR, item.id)]) == (parked,)
        assert await self._of_items(storage, [(VENDOR, ""), (VENDOR, "00" * 16), ("other", item.id)]) == ()
        assert await self._of_items(storage, []) == ()
        assert await self._of_items(storage, [(VENDOR, item.id)], org_id="globex") == ()

        async with storage.unit_of_work("acme") as work:
            await work.inbox.unpark(VENDOR, now=NOW)
        assert (await known(storage))["lead-1"].outcome is LeadOutcome.PENDING

    async def _erase(self, storage: Storage, ids: Collection[str]) -> int:
        async with storage.unit_of_work("acme") as work:
            return await work.lead_ledger.erase(VENDOR, ids, at=NOW)

    async def _of_items(
        self, storage: Storage, items: Collection[tuple[str, str]], org_id: str = "acme"
    ) -> tuple[LeadEntry, ...]:
        async with storage.unit_of_work(org_id, reads_only=True) as work:
            return await work.lead_ledger.of_items(items)
