"""A lead that was announced, and what was found out about it before anything is written."""

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

import attrs

from moorage_ports.crm import CrmLead
from moorage_ports.events import LeadArrived
from moorage_ports.lead_ledger import LeadOutcome


class Policy(Protocol):
    """What a form's mapping says about leads of a person who is known: how they are found, and what then."""

    @property
    def by(self) -> tuple[str, ...]: ...
    @property
    def then(self) -> str: ...


@attrs.frozen(kw_only=True)
class HeardLead:
    """A lead that a delivery announced.

    `lead` is `None` where it was not read (yet), or was in the CRM before: `settled` says how. Without a
    `policy`, every lead of the vendor's is a lead of its own. `problems` are what mapping it had.
    """

    vendor: str
    event: LeadArrived
    lead: CrmLead | None = None
    policy: Policy | None = None
    problems: Mapping[str, str] = attrs.field(factory=dict)
    settled: LeadOutcome | None = None
    fetched_at: datetime | None = None
    mapped_at: datetime | None = None

    @property
    def key(self) -> tuple[str, str]:
        """What it is one of a kind by."""
        return (self.vendor, self.event.lead_external_id)


@attrs.frozen(kw_only=True)
class Placed:
    """Where a lead ended: as `lead_id` of its own, or in an older one; `into` is the older one."""

    outcome: LeadOutcome
    lead_id: str = ""
    into: str = ""
