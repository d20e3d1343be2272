"""The embedded CRM's side of a lead."""

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

import attrs

from moorage_ports.values import is_aware


@attrs.frozen(kw_only=True)
class CrmLead:
    """A lead as sales people know it. `properties` holds every answer that no column took."""

    id: str
    external_id: str
    vendor: str
    channel_external_id: str
    email: str = attrs.field(default="", repr=False)
    first_name: str = attrs.field(default="", repr=False)
    last_name: str = attrs.field(default="", repr=False)
    phone: str = attrs.field(default="", repr=False)
    company: str = attrs.field(default="", repr=False)
    status: str = "new"
    stage: str = "new"
    source: str
    form_id: str = ""
    campaign_id: str = ""
    ad_set_id: str = ""
    ad_id: str = ""
    platform: str = ""
    is_organic: bool | None = None
    contact_id: str | None = None
    properties: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict, repr=False)
    submitted_at: datetime | None = attrs.field(default=None, validator=is_aware)
    created_at: datetime = attrs.field(validator=is_aware)


@attrs.frozen(kw_only=True)
class LeadPage:
    """One page of a list, newest first; `page` counts from 1."""

    items: tuple[CrmLead, ...]
    total: int
    page: int
    page_size: int


class Leads(Protocol):
    """The org's leads, in a unit of work."""

    async def add(self, lead: CrmLead) -> bool:
        """Insert; false (and nothing changed) if the org has this vendor's lead already, or erased it."""
        ...

    async def get(self, lead_id: str) -> CrmLead | None:
        """One lead by our id."""
        ...

    async def by_external_id(self, vendor: str, external_id: str) -> CrmLead | None:
        """One lead by the vendor's id."""
        ...

    async def page(
        self, *, page: int, page_size: int, search: str = "", status: str = "", form_id: str = ""
    ) -> LeadPage:
        """Newest first; `search` matches names, e-mail, phone and company literally, whatever the case."""
        ...
