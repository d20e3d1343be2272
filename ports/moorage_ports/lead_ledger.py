"""The ledger of leads: how each one got here, step by step, and what became of it.

An entry is about a lead of a vendor's and bears its id, never what a person wrote. It is written together
with the outcome that it tells, and stays when the lead in the CRM is gone.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from enum import Enum
from typing import Final, Protocol

import attrs
from attrs.validators import min_len

from moorage_ports.inbox import HeardBy
from moorage_ports.listing import Listing
from moorage_ports.values import is_aware


class LeadOutcome(Enum):
    """What became of a lead that was heard of."""

    PENDING = "pending"  # will be tried (again)
    PARKED = "parked"  # waits until a person does what the remedy says
    STORED = "stored"  # a lead of the CRM of its own
    MERGED = "merged"  # what it said went into an older lead of the same person
    LINKED = "linked"  # of its own, and says which older lead it repeats
    DEAD = "dead"  # given up; can be replayed
    EXPIRED = "expired"  # the vendor has it no more: nobody can read it
    ERASED = "erased"  # the org had it erased, so it did not come in again


# The lead is in the CRM, or was, and whatever is heard of it again changes nothing.
SETTLED: Final = frozenset({LeadOutcome.STORED, LeadOutcome.MERGED, LeadOutcome.LINKED, LeadOutcome.ERASED})


@attrs.frozen(kw_only=True)
class LeadEntry:
    """One lead's way: when it arrived, was fetched, mapped and settled (each once that happened).

    `lead_id` is the lead of the CRM that it is or went into; `into` the older one that it repeats.
    `attribution` are the vendor's ids of the ads that it came by. `error` and `remedy` are of the last try:
    a code, and what a person can do. `problems` are what mapping it had, by what a rule was to fill: they
    quote nobody. `item_id` is the delivery's, `doubles` how many came after the first.
    """

    vendor: str
    external_id: str = attrs.field(validator=min_len(1))
    channel_external_id: str = ""
    form_external_id: str = ""
    heard_by: HeardBy = HeardBy.WEBHOOK
    outcome: LeadOutcome
    arrived_at: datetime = attrs.field(validator=is_aware)
    submitted_at: datetime | None = attrs.field(default=None, validator=is_aware)
    fetched_at: datetime | None = attrs.field(default=None, validator=is_aware)
    mapped_at: datetime | None = attrs.field(default=None, validator=is_aware)
    stored_at: datetime | None = attrs.field(default=None, validator=is_aware)
    updated_at: datetime = attrs.field(validator=is_aware)
    mapping_version: int | None = None
    problems: Mapping[str, str] = attrs.field(factory=dict)
    tries: int = 0
    error: str = ""
    remedy: str = ""
    lead_id: str = ""
    into: str = ""
    is_test: bool = False
    attribution: Mapping[str, str] = attrs.field(factory=dict)
    item_id: str = ""
    doubles: int = 0


@attrs.frozen(kw_only=True)
class LeadTotals:
    """What a form's entries add up to. `test` are the test leads, which are in no other number.

    `with_problems` of all that were heard of had some when they were mapped.
    """

    stored: int = 0
    merged: int = 0
    linked: int = 0
    parked: int = 0
    dead: int = 0
    expired: int = 0
    erased: int = 0
    pending: int = 0
    test: int = 0
    with_problems: int = 0

    @property
    def heard(self) -> int:
        """All that was heard of, test leads excepted."""
        settled = self.stored + self.merged + self.linked + self.erased
        return settled + self.parked + self.dead + self.expired + self.pending


@attrs.frozen(kw_only=True)
class EntryFilter:
    """Which entries: all that match everything given. `since` and `until` bound when they arrived."""

    vendor: str = ""
    form_external_id: str = ""
    channel_external_id: str = ""
    outcome: LeadOutcome | None = None
    heard_by: HeardBy | None = None
    error: str = ""
    external_id: str = ""
    lead_id: str = ""
    is_test: bool | None = None
    has_problems: bool | None = None
    since: datetime | None = attrs.field(default=None, validator=is_aware)
    until: datetime | None = attrs.field(default=None, validator=is_aware)


class LeadLedger(Protocol):
    """The org's ledger, in a unit of work."""

    async def write(self, entries: Sequence[LeadEntry]) -> None:
        """Insert, or replace what is known of the same leads; a first moment of arrival stays.

        An entry whose lead is in the CRM (or was) is not replaced by one that says otherwise.
        """
        ...

    async def settled(self, vendor: str, external_ids: Collection[str]) -> Mapping[str, LeadOutcome]:
        """Which of these leads came into the CRM, and how: those that are not to come in again."""
        ...

    async def erase(self, vendor: str, external_ids: Collection[str], *, at: datetime) -> int:
        """These leads were erased: of each stays its way, under a hash of the org's in place of its id.

        Found by its id all the same, so that nothing takes it for a lead that is missing. Answers how many.
        """
        ...

    async def of(self, vendor: str, external_ids: Collection[str]) -> Mapping[str, LeadEntry]:
        """What is known of these leads, by the vendor's id."""
        ...

    async def of_items(self, items: Collection[tuple[str, str]]) -> tuple[LeadEntry, ...]:
        """The leads that these kept changes tell of, as (vendor, the change's id); in no order."""
        ...

    async def of_lead(self, *lead_ids: str) -> tuple[LeadEntry, ...]:
        """How these came about, the oldest first: the entry of each lead, and what was merged into it."""
        ...

    async def page(self, where: EntryFilter, *, page: int, page_size: int) -> Listing[LeadEntry]:
        """Those that fit, the last arrived first."""
        ...

    async def totals(
        self, *, vendor: str = "", form_external_ids: Collection[str] = ()
    ) -> Mapping[tuple[str, str], LeadTotals]:
        """What the entries of each form add up to, by (vendor, form); of these forms, if any are given."""
        ...
