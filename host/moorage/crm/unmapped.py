"""What came that nobody has mapped: counted per kind, with one item to look at. The drift report."""

from collections.abc import Sequence
from datetime import datetime

import attrs

from moorage.services import Services
from moorage_ports.crm_records import CrmRecords, Ledger, LedgerKeys, UnmappedRecord, record_id
from moorage_ports.values import is_aware


@attrs.frozen(kw_only=True)
class UnmappedItem:
    """One unmapped event of one item of the inbox, which keeps its body."""

    vendor: str
    kind: str
    item_id: str


async def count_unmapped(records: CrmRecords, items: Sequence[UnmappedItem], now: datetime) -> None:
    """Add them to what was counted of their kinds."""
    ids = {item: record_id("un", item.vendor, item.kind) for item in items}
    known = (await records.load(LedgerKeys(unmapped=set(ids.values())))).unmapped
    for item in items:
        record = known.setdefault(
            ids[item],
            UnmappedRecord(id=ids[item], vendor=item.vendor, kind=item.kind, first_at=now, last_at=now),
        )
        record.count += 1
        record.last_at = max(record.last_at, now)
        record.item_id = item.item_id
    await records.save(Ledger(unmapped=known))


@attrs.frozen(kw_only=True)
class UnmappedView:
    """A kind that nobody has mapped; `delivery_id` is the last one, to replay once somebody has."""

    vendor: str
    kind: str
    count: int
    first_at: datetime = attrs.field(validator=is_aware)
    last_at: datetime = attrs.field(validator=is_aware)
    delivery_id: str


@attrs.frozen(kw_only=True)
class UnmappedList:
    """All of them, the most frequent first."""

    items: tuple[UnmappedView, ...]


async def list_unmapped(services: Services, org_id: str) -> UnmappedList:
    """The drift report of an org."""
    async with services.storage.unit_of_work(org_id, reads_only=True) as uow:
        kinds = await uow.contacts.unmapped()
    return UnmappedList(
        items=tuple(
            UnmappedView(
                vendor=kind.vendor,
                kind=kind.kind,
                count=kind.count,
                first_at=kind.first_at,
                last_at=kind.last_at,
                delivery_id=kind.item_id,
            )
            for kind in kinds
        )
    )
