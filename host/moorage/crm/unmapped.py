"""What came that nobody has mapped: counted per kind, with one item to look at. The drift report."""

from collections.abc import Sequence
from datetime import datetime

import attrs

from moorage_ports.crm_records import CrmRecords, Ledger, LedgerKeys, UnmappedRecord, record_id


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
