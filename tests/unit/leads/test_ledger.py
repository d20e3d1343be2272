"""How an entry follows its delivery; what the ledger promises is in `moorage_ports.testing.lead_ledger`."""

from datetime import timedelta
from typing import Any

import attrs

from moorage_adapters.sqlmodel.keeping import BUCKETS
from moorage_adapters.sqlmodel.storage import SqlStorage, SqlUnitOfWork
from moorage_ports.inbox import Arrival, HeardBy, InboxItem
from moorage_ports.lead_ledger import LeadEntry, LeadOutcome
from tests.unit.adapters.conftest import NOON
from tests.unit.adapters.things import VENDOR, arrival, change, connect


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
