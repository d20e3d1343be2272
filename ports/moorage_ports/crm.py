"""The embedded CRM's side of a lead."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import Final, Protocol

import attrs

from moorage_ports.lead_source import Answer, Consent
from moorage_ports.values import is_aware

NEW: Final = "new"
# What sales people may say of a lead; `stage` is a word of the org's own.
LEAD_STATUSES: Final = (
    NEW,
    "contacted",
    "qualified",
    "nurturing",
    "converted",
    "disqualified",
    "lost",
)


@attrs.frozen(kw_only=True)
class CrmLead:
    """A lead as sales people know it. `properties` holds every answer that no column took.

    `answers` and `consents` are what the vendor told, untouched: what a lead is mapped from again.
    `mapping_version` says by which version of its form's mapping it was mapped; 0 is the default mapping.
    `edited` names the fields that a person changed by hand: nobody else overwrites those.
    `duplicate_of` is the lead that this one repeats, where the form's policy is to link. A lead that was made
    by hand has no `vendor`, and its own id for an `external_id`.
    """

    id: str
    external_id: str
    vendor: str
    channel_external_id: str
    email: str = attrs.field(default="", repr=False)
    first_name: str = attrs.field(default="", repr=False)
    last_name: str = attrs.field(default="", repr=False)
    phone: str = attrs.field(default="", repr=False)
    company: str = attrs.field(default="", repr=False)
    status: str = NEW
    stage: str = NEW
    assignee: str = ""
    source: str
    form_id: str = ""
    campaign_id: str = ""
    campaign_name: str = ""
    ad_set_id: str = ""
    ad_set_name: str = ""
    ad_id: str = ""
    ad_name: str = ""
    platform: str = ""
    is_organic: bool | None = None
    is_test: bool = False
    contact_id: str | None = None
    duplicate_of: str | None = None
    properties: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict, repr=False)
    answers: tuple[Answer, ...] = attrs.field(default=(), repr=False)
    consents: tuple[Consent, ...] = attrs.field(default=(), repr=False)
    mapping_version: int = 0
    edited: tuple[str, ...] = ()
    submitted_at: datetime | None = attrs.field(default=None, validator=is_aware)
    created_at: datetime = attrs.field(validator=is_aware)
    updated_at: datetime | None = attrs.field(default=None, validator=is_aware)


@attrs.frozen(kw_only=True)
class LeadPage:
    """One page of a list, newest first; `page` counts from 1."""

    items: tuple[CrmLead, ...]
    total: int
    page: int
    page_size: int


class LeadOrder(Enum):
    """What a list of leads is sorted by."""

    NEWEST = "newest"
    OLDEST = "oldest"
    CHANGED = "changed"


@attrs.frozen(kw_only=True)
class LeadFilter:
    """Which leads: all that match everything given.

    `search` matches names, e-mail, phone and company literally, whatever the case; `since` and `until` bound
    when they came here.
    """

    search: str = ""
    status: str = ""
    stage: str = ""
    assignee: str = ""
    source: str = ""
    form_id: str = ""
    campaign_id: str = ""
    channel_external_id: str = ""
    contact_ids: tuple[str, ...] = ()
    is_test: bool | None = None
    since: datetime | None = attrs.field(default=None, validator=is_aware)
    until: datetime | None = attrs.field(default=None, validator=is_aware)


class Leads(Protocol):
    """The org's leads, in a unit of work."""

    async def add(self, lead: CrmLead) -> bool:
        """Insert; false (and nothing changed) if the org has this vendor's lead already, or erased it."""
        ...

    async def add_all(self, leads: Sequence[CrmLead]) -> frozenset[str]:
        """Insert many at once; answers our ids of those that were neither there already nor erased."""
        ...

    async def update(self, lead: CrmLead) -> bool:
        """Put this in place of the lead with its id; false (and nothing changed) if it is gone."""
        ...

    async def delete(self, lead_ids: Collection[str]) -> int:
        """Delete these; answers how many there were. Their traces in the ledger stay."""
        ...

    async def get(self, lead_id: str) -> CrmLead | None:
        """One lead by our id."""
        ...

    async def by_external_id(self, vendor: str, external_id: str) -> CrmLead | None:
        """One lead by the vendor's id."""
        ...

    async def by_email_or_phone(
        self, *, emails: Collection[str] = (), phones: Collection[str] = ()
    ) -> tuple[CrmLead, ...]:
        """Leads with one of these, the oldest first: e-mail whatever its case, phone numbers by their digits.

        Test leads are nobody's and not among them. For a unit of work that writes.
        """
        ...

    async def of_form(self, vendor: str, form_id: str, after_id: str, limit: int) -> tuple[CrmLead, ...]:
        """A form's leads in the order of their ids, behind `after_id`: to go through all of them."""
        ...

    async def behind(
        self, where: LeadFilter, *, after: tuple[datetime, str] | None, limit: int
    ) -> tuple[CrmLead, ...]:
        """Those that fit, the oldest first, behind this moment and id: to go through all of them."""
        ...

    async def page(
        self,
        *,
        page: int,
        page_size: int,
        where: LeadFilter | None = None,
        order: LeadOrder = LeadOrder.NEWEST,
    ) -> LeadPage:
        """Those that fit."""
        ...

    async def fingerprints(self, wanted: Collection[tuple[str, str]]) -> Mapping[tuple[str, str], str]:
        """What e-mail addresses and phone numbers are found by: keyed hashes, of this org alone.

        Each by its kind (`email`, `phone`) and as it was given; what is no such thing is left out. A hash
        tells nothing. For a unit of work that writes.
        """
        ...


def email_key(email: str) -> str:
    """An e-mail address as two of them are compared; empty if it is none."""
    key = email.strip().casefold()
    return key if "@" in key and not any(map(str.isspace, key)) else ""


def phone_key(phone: str) -> str:
    """A phone number as two of them are compared: its digits with its country; empty if it says none.

    Without a country the same digits are different people's numbers.
    """
    text = phone.strip()
    digits = "".join(sign for sign in text if sign in "0123456789")
    return f"+{digits}" if text.startswith("+") and 5 < len(digits) < 16 else ""
