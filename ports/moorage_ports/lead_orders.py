"""What was ordered about leads, and how it goes: backfills, mapping past leads anew, leads that are tests.

An order is a row: whoever placed it asks for it by its id, and a process that dies leaves it where it was.
"""

from collections.abc import Collection, Mapping
from datetime import datetime
from enum import Enum
from typing import Protocol

import attrs
from attrs.validators import min_len

from moorage_ports.values import is_aware


class OrderState(Enum):
    """Whether more will happen by itself."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@attrs.frozen(kw_only=True)
class Backfill:
    """Read a form's leads of a stretch of time, and put what is missing where deliveries would have.

    `since` and `until`: as ordered; `None`: as far as the vendor goes. `cursor` is where it goes on.
    `fetched` leads were read, `known` of them were here already. `error` and `remedy` say what it waits for
    or ended with.
    """

    id: str = attrs.field(validator=min_len(1))
    vendor: str = attrs.field(validator=min_len(1))
    channel_external_id: str = attrs.field(validator=min_len(1))
    form_external_id: str = attrs.field(validator=min_len(1))
    since: datetime | None = attrs.field(default=None, validator=is_aware)
    until: datetime | None = attrs.field(default=None, validator=is_aware)
    state: OrderState = OrderState.RUNNING
    cursor: str | None = None
    fetched: int = 0
    known: int = 0
    error: str = ""
    remedy: str = ""
    retry_at: datetime | None = attrs.field(default=None, validator=is_aware)
    ordered_at: datetime = attrs.field(validator=is_aware)
    finished_at: datetime | None = attrs.field(default=None, validator=is_aware)


class Backfills(Protocol):
    """The org's backfills, in a unit of work."""

    async def get(self, backfill_id: str) -> Backfill | None:
        """One by our id."""
        ...

    async def newest(self, vendor: str, form_external_ids: Collection[str]) -> Mapping[str, Backfill]:
        """The newest of each of these forms that has one, by the form's id."""
        ...

    async def running(self) -> tuple[Backfill, ...]:
        """Those that are not over."""
        ...

    async def save(self, backfill: Backfill) -> None:
        """Insert or replace."""
        ...

    async def forget_finished(self, before: datetime, *, limit: int) -> int:
        """Delete those that were over at that moment, but for each form's newest; answers how many went."""
        ...


@attrs.frozen(kw_only=True)
class Remap:
    """Map a form's past leads anew: all, or those that came at `since` or later. A dry run changes none.

    `version` of the form's mapping is what they are mapped by; one that is saved meanwhile has all of it
    begin anew. `last_lead_id` is where it goes on. Of `total` leads `seen` were gone through: `changed` of
    them are mapped otherwise now (or would be), of `without_answers` there is nothing to map.
    """

    id: str = attrs.field(validator=min_len(1))
    vendor: str = attrs.field(validator=min_len(1))
    form_external_id: str = attrs.field(validator=min_len(1))
    since: datetime | None = attrs.field(default=None, validator=is_aware)
    dry_run: bool = False
    version: int
    state: OrderState = OrderState.RUNNING
    last_lead_id: str = ""
    total: int = 0
    seen: int = 0
    changed: int = 0
    without_answers: int = 0
    error: str = ""
    remedy: str = ""
    ordered_by: str = ""
    ordered_at: datetime = attrs.field(validator=is_aware)
    finished_at: datetime | None = attrs.field(default=None, validator=is_aware)


class Remaps(Protocol):
    """The org's re-mappings, in a unit of work."""

    async def get(self, remap_id: str) -> Remap | None:
        """One by our id."""
        ...

    async def newest(self, vendor: str, form_external_id: str) -> Remap | None:
        """The one of this form that was ordered last."""
        ...

    async def save(self, remap: Remap) -> None:
        """Insert or replace."""
        ...

    async def forget_finished(self, before: datetime, *, limit: int) -> int:
        """Delete those that were over at that moment, but for each form's newest; answers how many went."""
        ...


@attrs.frozen(kw_only=True)
class LeadTest:
    """A test lead that was ordered. `lead_external_id` is empty where the vendor did not say, or did not yet.

    What happened to the lead after that is told by the ledger; here is only how the ordering went.
    """

    id: str = attrs.field(validator=min_len(1))
    vendor: str = attrs.field(validator=min_len(1))
    channel_external_id: str = attrs.field(validator=min_len(1))
    form_external_id: str = attrs.field(validator=min_len(1))
    lead_external_id: str = ""
    state: OrderState = OrderState.RUNNING
    error: str = ""
    remedy: str = ""
    ordered_at: datetime = attrs.field(validator=is_aware)
    created_at: datetime | None = attrs.field(default=None, validator=is_aware)


class LeadTests(Protocol):
    """The org's test leads, in a unit of work."""

    async def get(self, test_id: str) -> LeadTest | None:
        """One by our id."""
        ...

    async def made(self, vendor: str, lead_external_ids: tuple[str, ...]) -> frozenset[str]:
        """Which of these leads are tests that were ordered here."""
        ...

    async def save(self, test: LeadTest) -> None:
        """Insert or replace."""
        ...

    async def forget(self, before: datetime, *, limit: int) -> int:
        """Delete those that were ordered at that moment or earlier; answers how many went."""
        ...
