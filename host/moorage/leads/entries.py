"""What the ledger keeps of a lead when its delivery is settled."""

from datetime import datetime, timedelta
from typing import Final

import attrs

from moorage.leads.hearing import HeardLead, Placed
from moorage_ports.crm import CrmLead
from moorage_ports.errors import VendorNotFoundError
from moorage_ports.inbox import InboxItem, ItemState
from moorage_ports.lead_ledger import LeadEntry, LeadOutcome

# Vendors delete leads after so long: one that is older and not to be found is not hidden, it is gone.
KEPT_BY_VENDORS: Final = timedelta(days=90)
_OUTCOMES: Final = {
    ItemState.PENDING: LeadOutcome.PENDING,
    ItemState.PARKED: LeadOutcome.PARKED,
    ItemState.DEAD: LeadOutcome.DEAD,
}


@attrs.frozen(kw_only=True)
class Told:
    """What is said of a delivery when it is settled: where it stands, why, and what a person can do."""

    state: ItemState
    error: str = ""
    remedy: str = ""


def entry_of(
    item: InboxItem, heard: HeardLead, told: Told, placed: Placed | None, now: datetime
) -> LeadEntry | None:
    """The lead's entry; `None` where there is nothing to say: it has one already, or was not tried."""
    if told.state is ItemState.DONE:
        return None if placed is None else _stored(_begun(item, heard, now), placed, now)
    if told.state is ItemState.PENDING and not told.error:
        return None  # given back without a try, or to be tried at once
    outcome = _OUTCOMES[told.state]
    if outcome is LeadOutcome.DEAD and _is_expired(heard, told, now):
        outcome = LeadOutcome.EXPIRED
    return attrs.evolve(_begun(item, heard, now), outcome=outcome, error=told.error, remedy=told.remedy)


def _begun(item: InboxItem, heard: HeardLead, now: datetime) -> LeadEntry:
    """As far as it came."""
    event, lead = heard.event, heard.lead
    return LeadEntry(
        vendor=heard.vendor,
        external_id=event.lead_external_id,
        channel_external_id=event.channel_external_id,
        form_external_id=(lead.form_id if lead else "") or event.form_external_id,
        heard_by=item.heard_by,
        outcome=LeadOutcome.PENDING,
        arrived_at=item.received_at,
        submitted_at=(lead.submitted_at if lead else None) or event.occurred_at,
        fetched_at=heard.fetched_at,
        mapped_at=heard.mapped_at,
        updated_at=now,
        mapping_version=lead.mapping_version if lead else None,
        problems=heard.problems,
        tries=item.tries,
        is_test=lead.is_test if lead else False,
        attribution=_attribution(lead) if lead else {},
        item_id=item.id,
    )


def _stored(entry: LeadEntry, placed: Placed, now: datetime) -> LeadEntry:
    return attrs.evolve(
        entry, outcome=placed.outcome, stored_at=now, lead_id=placed.lead_id, into=placed.into
    )


def _attribution(lead: CrmLead) -> dict[str, str]:
    """What it came by, in the vendor's ids: a merged lead keeps only the older one's."""
    named = {
        "campaignId": lead.campaign_id,
        "adSetId": lead.ad_set_id,
        "adId": lead.ad_id,
        "platform": lead.platform,
    }
    return {name: value for name, value in named.items() if value}


def _is_expired(heard: HeardLead, told: Told, now: datetime) -> bool:
    at = heard.event.occurred_at
    return told.error == VendorNotFoundError.code and at is not None and now - at > KEPT_BY_VENDORS
