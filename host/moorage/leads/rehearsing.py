"""What would become of leads if their deliveries were worked on again now: found out, and nothing changed.

The ledger says which lead a kept change tells of, so that what is in it stays sealed. What is not in the CRM
is read at the vendor as it would be, mapped, and placed as it would be placed.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final, TypeAlias

import attrs
import structlog

from moorage.leads.fetching import Announced, Fetching
from moorage.leads.hearing import HeardLead, Placed
from moorage.leads.storing import where_they_would_go
from moorage.services import Services
from moorage_ports.errors import MoorageError, VendorUnavailableError
from moorage_ports.events import LeadArrived
from moorage_ports.lead_ledger import SETTLED, LeadEntry, LeadOutcome

log = structlog.get_logger(__name__)

ALREADY_THERE: Final = "already_there"
NOT_READ: Final = "not_read"
PATIENCE: Final = timedelta(seconds=25)  # whoever asked waits for it

Item: TypeAlias = tuple[str, str]  # (vendor, the kept change's id)


@attrs.frozen(kw_only=True)
class WouldBecome:
    """What would become of one lead.

    `outcome`: `stored`, `linked`, `merged` or `erased` as in the ledger, `already_there`, or `not_read`: then
    `error` and `remedy` say why. `lead_id` is the CRM's, if it has it; `into` the older lead that it would go
    into or be linked to, `into_external_id` the vendor's id of that one where it would come in by the same
    replay.
    """

    external_id: str
    form_id: str
    outcome: str
    lead_id: str | None = None
    into: str | None = None
    into_external_id: str = ""
    error: str = ""
    remedy: str = ""


async def rehearse(services: Services, org_id: str, items: Sequence[Item]) -> Mapping[Item, WouldBecome]:
    """What would become of the leads that these kept changes tell of if they were worked on in this order.

    By change; those that tell of no lead are left out.

    Raises:
        UnavailableError: The database is out of reach.
    """
    async with services.storage.unit_of_work(org_id, reads_only=True) as uow:
        entries = await uow.lead_ledger.of_items(items)
    place = {item: number for number, item in enumerate(items)}
    entries = tuple(sorted(entries, key=lambda entry: place[_item(entry)]))
    found = {_item(entry): _known(entry) for entry in entries if entry.outcome in SETTLED}
    wanted = [entry for entry in entries if entry.outcome not in SETTLED]
    if wanted:
        heard = await _read(services, org_id, wanted)
        found |= await _placed(services, org_id, wanted, heard)
    return found


async def _read(
    services: Services, org_id: str, entries: Sequence[LeadEntry]
) -> dict[Item, HeardLead | MoorageError]:
    """The leads as they are at their vendors, or why they cannot be read."""
    heard: dict[Item, HeardLead | MoorageError] = {}
    announced: dict[Item, Announced] = {}
    for entry in entries:
        vendor = services.vendors.by_slug.get(entry.vendor)
        if vendor is None:
            heard[_item(entry)] = MoorageError("this vendor is not installed any more")
        else:
            announced[_item(entry)] = Announced(vendor, _event(entry), tries=1)
    until = asyncio.get_running_loop().time() + PATIENCE.total_seconds()
    async with Fetching(services, org_id, is_rehearsal=True) as fetching:
        await fetching.begin(announced.values())
        for item, one in announced.items():
            heard[item] = await _result(fetching, one, until)
    return heard


async def _result(fetching: Fetching, one: Announced, until: float) -> HeardLead | MoorageError:
    try:
        async with asyncio.timeout_at(until):
            return await fetching.result(one)
    except TimeoutError:
        return VendorUnavailableError("no answer in time", vendor=one.vendor.slug)
    except MoorageError as failure:
        return failure
    except Exception:
        log.exception("lead_not_rehearsed", vendor=one.vendor.slug)
        return MoorageError("reading it broke")


async def _placed(
    services: Services,
    org_id: str,
    entries: Sequence[LeadEntry],
    heard: Mapping[Item, HeardLead | MoorageError],
) -> dict[Item, WouldBecome]:
    """Where each would go."""
    leads = [one for one in heard.values() if isinstance(one, HeardLead)]
    # One that writes has its org to itself: nobody stores what is being placed. It writes no lead.
    async with services.storage.unit_of_work(org_id) as uow:
        places, new = await where_they_would_go(uow, leads, services.clock.now())
    return {_item(entry): _would(entry, heard[_item(entry)], places, new) for entry in entries}


def _would(
    entry: LeadEntry,
    heard: HeardLead | MoorageError,
    places: Mapping[tuple[str, str], Placed],
    new: Mapping[str, str],
) -> WouldBecome:
    if isinstance(heard, MoorageError):
        return WouldBecome(
            external_id=entry.external_id,
            form_id=entry.form_external_id,
            outcome=NOT_READ,
            error=heard.code,
            remedy=heard.remedy,
        )
    form_id = (heard.lead.form_id if heard.lead else "") or entry.form_external_id
    place = places.get(heard.key)
    if place is None:  # it came in while this was found out
        return WouldBecome(external_id=entry.external_id, form_id=form_id, outcome=ALREADY_THERE)
    return WouldBecome(
        external_id=entry.external_id,
        form_id=form_id,
        outcome=place.outcome.value,
        into=place.into if place.into and place.into not in new else None,
        into_external_id=new.get(place.into, ""),
    )


def _known(entry: LeadEntry) -> WouldBecome:
    """One that is in the CRM, or was."""
    is_erased = entry.outcome is LeadOutcome.ERASED
    return WouldBecome(
        external_id=entry.external_id,
        form_id=entry.form_external_id,
        outcome=entry.outcome.value if is_erased else ALREADY_THERE,
        lead_id=entry.lead_id or None,
    )


def _event(entry: LeadEntry) -> LeadArrived:
    return LeadArrived(
        lead_external_id=entry.external_id,
        channel_external_id=entry.channel_external_id,
        form_external_id=entry.form_external_id,
        occurred_at=entry.submitted_at,
    )


def _item(entry: LeadEntry) -> Item:
    return (entry.vendor, entry.item_id)
