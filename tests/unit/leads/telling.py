"""Leads as deliveries tell of them, settled as the worker settles them."""

from collections.abc import Mapping
from typing import Any

import attrs

from moorage.leads.entries import Told, entry_of
from moorage.leads.hearing import HeardLead, Placed
from moorage.leads.storing import store_leads
from moorage_adapters.sqlmodel.storage import SqlStorage
from moorage_ports.crm import CrmLead
from moorage_ports.events import LeadArrived
from moorage_ports.inbox import InboxItem, ItemState
from moorage_ports.lead_ledger import LeadEntry
from moorage_ports.lead_mapping import DedupePolicy
from tests.unit.adapters.conftest import NOON
from tests.unit.adapters.things import VENDOR, lead

ORG = "a"
BOTH = DedupePolicy(by=("email", "phone"), then="merge")
LINK = attrs.evolve(BOTH, then="link")
NEW = attrs.evolve(BOTH, then="new")


def item_of(number: int = 1, **changes: Any) -> InboxItem:
    fields: dict[str, Any] = {
        "id": f"{number:04x}",
        "vendor": VENDOR,
        "kind": "lead",
        "partition": "p",
        "body": b"",
        "received_at": NOON,
        "tries": 1,
        "lease": 1,
    }
    return InboxItem(**(fields | changes))


def heard(number: int, policy: DedupePolicy | None = BOTH, **said: Any) -> HeardLead:
    """That the vendor's lead of this number was read, and what it says."""
    one = lead(number, **said)
    event = LeadArrived(
        lead_external_id=one.external_id,
        channel_external_id=one.channel_external_id,
        form_external_id="form-1",
        occurred_at=NOON,
    )
    return HeardLead(vendor=one.vendor, event=event, lead=one, policy=policy, fetched_at=NOON, mapped_at=NOON)


async def settle(storage: SqlStorage, *told: HeardLead) -> dict[int, Placed]:
    """One transaction: the leads into the CRM, their entries into the ledger; answers by their numbers."""
    async with storage.unit_of_work(ORG) as uow:
        placed = await store_leads(uow, told, NOON)
        entries = [_entry(one, placed) for one in told]
        await uow.lead_ledger.write([entry for entry in entries if entry is not None])
    return {int(external_id.rpartition("-")[2]): where for (_, external_id), where in placed.items()}


def _entry(one: HeardLead, placed: Mapping[tuple[str, str], Placed]) -> LeadEntry | None:
    return entry_of(item_of(), one, Told(state=ItemState.DONE), placed.get(one.key), NOON)


async def leads_of(storage: SqlStorage) -> dict[str, CrmLead]:
    """All of them, by their ids."""
    async with storage.unit_of_work(ORG, reads_only=True) as uow:
        return {one.id: one for one in (await uow.leads.page(page=1, page_size=500)).items}


async def ways_of(storage: SqlStorage, lead_id: str) -> list[str]:
    """The vendor's leads that this one came of."""
    async with storage.unit_of_work(ORG, reads_only=True) as uow:
        return sorted(entry.external_id for entry in await uow.lead_ledger.of_lead(lead_id))
