"""Kept changes as the API shows them: what was given up, what waits; and having them worked on again."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal

import attrs
from attrs.validators import deep_iterable, ge, in_, le, matches_re, max_len

from moorage.leads.rehearsing import ALREADY_THERE, WouldBecome, rehearse
from moorage.replay import AT_ONCE, ReplayOrder, find, replay, states_asked
from moorage.services import Caller, Services
from moorage_ports.errors import InvalidRequestError
from moorage_ports.inbox import ItemState, KeptItem, SettledItem, inbox_nudge
from moorage_ports.lead_ledger import LeadOutcome
from moorage_ports.storage import UnitOfWork
from moorage_ports.values import is_aware

SHOWN: Final = (ItemState.DEAD.value, ItemState.PARKED.value, ItemState.PENDING.value)
MOST_IDS: Final = 500
_NOTHING: Final = frozenset({ALREADY_THERE, LeadOutcome.ERASED.value})  # comes of these


@attrs.frozen(kw_only=True)
class DeliveryQuery:
    """Which kept changes: a page of those in one state, of one vendor or of all."""

    p: int = attrs.field(default=1, validator=[ge(1), le(1_000_000)])
    ps: int = attrs.field(default=25, validator=[ge(1), le(500)])
    state: str = attrs.field(default=ItemState.DEAD.value, validator=in_(SHOWN))
    vendor: str = attrs.field(default="", validator=max_len(64))


@attrs.frozen(kw_only=True)
class DeliveryView:
    """One kept change. What is in it stays sealed; `error` is the code of what went wrong last."""

    id: str
    vendor: str
    kind: str
    state: str
    received_at: datetime = attrs.field(validator=is_aware)
    settled_at: datetime | None = attrs.field(default=None, validator=is_aware)
    retry_at: datetime | None = attrs.field(default=None, validator=is_aware)
    tries: int
    error: str


@attrs.frozen(kw_only=True)
class DeliveryList:
    """One page of kept changes, the newest first."""

    items: tuple[DeliveryView, ...]
    total: int
    page: int
    page_size: int


@attrs.frozen(kw_only=True)
class ReplayRequest:
    """What to work on again: these changes, or all in one state, of one vendor or of all.

    `parked` tries those at once that wait for a person or for a later moment.
    """

    ids: tuple[str, ...] = attrs.field(
        default=(), validator=[max_len(MOST_IDS), deep_iterable(matches_re(r"[0-9a-f]{2,64}"))]
    )
    vendor: str = attrs.field(default="", validator=max_len(64))
    kind: str = attrs.field(default="", validator=max_len(128))
    error: str = attrs.field(default="", validator=max_len(64))  # the code of what went wrong last
    form_id: str = attrs.field(default="", validator=max_len(128))  # only leads of this form
    since: datetime | None = attrs.field(default=None, validator=is_aware)  # when they were received
    until: datetime | None = attrs.field(default=None, validator=is_aware)
    state: Literal["dead", "done", "parked"] | None = None
    dry_run: bool = False


@attrs.frozen(kw_only=True)
class WouldReplay:
    """A change that would be worked on again. `has_effect`: something may come of it.

    What is done had its effect and has none again, whatever is replayed. `lead`: what would become of the
    lead that it tells of, if it tells of one.
    """

    id: str
    vendor: str
    kind: str
    state: str
    error: str
    received_at: datetime = attrs.field(validator=is_aware)
    has_effect: bool
    lead: WouldBecome | None = None


@attrs.frozen(kw_only=True)
class Replayed:
    """How many changes are worked on again."""

    replayed: int


@attrs.frozen(kw_only=True)
class ReplayPlan:
    """What a replay would work on again: how many of what is parked, else each, the oldest first."""

    would_replay: int
    items: tuple[WouldReplay, ...] = ()
    has_more: bool = False  # than `would_replay`, which is as many as are listed
    leads: Mapping[str, int] = attrs.field(factory=dict)  # how many of each outcome


async def list_deliveries(services: Services, org_id: str, query: DeliveryQuery) -> DeliveryList:
    """One page of the org's kept changes."""
    state = ItemState(query.state)
    async with services.storage.unit_of_work(org_id, reads_only=True) as uow:
        page = await uow.inbox.kept(state, page=query.p, page_size=query.ps, vendor=query.vendor)
    return DeliveryList(
        items=tuple(map(_view, page.items)), total=page.total, page=page.page, page_size=page.page_size
    )


async def replay_deliveries(
    services: Services, caller: Caller, asked: ReplayRequest
) -> Replayed | ReplayPlan:
    """Have kept changes worked on again, as if they had just come. What had its effect has none again.

    A dry run changes nothing and says which they would be.

    Raises:
        InvalidRequestError: Ids are given of what is parked: that is tried together.
    """
    if asked.state == "parked":
        if asked.ids:
            msg = "what is parked is tried together"
            raise InvalidRequestError(msg, fields={"ids": "go with the states dead and done"})
        if asked.kind or asked.error or asked.form_id or asked.since or asked.until:
            msg = "what is parked waits for the vendor's grant, whatever kind it is"
            raise InvalidRequestError(msg, fields={"state": "parked goes with a vendor only"})
        return await _unpark(services, caller.org_id, asked.vendor, dry_run=asked.dry_run)
    order = ReplayOrder(
        org_id=caller.org_id,
        by=f"user:{caller.user_id}",
        states=states_asked(asked.state, asked.ids),
        ids=asked.ids,
        vendor=asked.vendor,
        kind=asked.kind,
        error=asked.error,
        form_id=asked.form_id,
        since=asked.since,
        until=asked.until,
    )
    return (
        await _would(services, order) if asked.dry_run else Replayed(replayed=await replay(services, order))
    )


async def _would(services: Services, order: ReplayOrder) -> ReplayPlan:
    """What the order names, untouched."""
    found = await find(services, order, limit=AT_ONCE + 1)
    leads = await rehearse(services, order.org_id, [(item.vendor, item.id) for item in found[:AT_ONCE]])
    items = tuple(_would_be(item, leads.get((item.vendor, item.id))) for item in found[:AT_ONCE])
    return ReplayPlan(
        would_replay=len(items),
        items=items,
        has_more=len(found) > AT_ONCE,
        leads=Counter(lead.outcome for lead in leads.values()),
    )


def _would_be(item: SettledItem, lead: WouldBecome | None) -> WouldReplay:
    return WouldReplay(
        id=item.id,
        vendor=item.vendor,
        kind=item.kind,
        state=item.state.value,
        error=item.error,
        received_at=item.received_at,
        has_effect=item.state is ItemState.DEAD and (lead is None or lead.outcome not in _NOTHING),
        lead=lead,
    )


async def _unpark(services: Services, org_id: str, vendor: str, *, dry_run: bool) -> Replayed | ReplayPlan:
    slugs = [vendor] if vendor else list(services.vendors.by_slug)
    now = services.clock.now()
    async with services.storage.unit_of_work(org_id) as uow:
        waiting = sum([await _count(uow, slug) for slug in slugs])
        if dry_run:
            return ReplayPlan(would_replay=waiting)
        buckets = {bucket for slug in slugs for bucket in await uow.inbox.unpark(slug, now=now)}
        await uow.jobs.nudge(*(inbox_nudge(org_id, bucket) for bucket in sorted(buckets)))
    return Replayed(replayed=waiting)


async def _count(uow: UnitOfWork, vendor: str) -> int:
    return (await uow.inbox.kept(ItemState.PARKED, page=1, page_size=1, vendor=vendor)).total


def _view(item: KeptItem) -> DeliveryView:
    return DeliveryView(
        id=item.id,
        vendor=item.vendor,
        kind=item.kind,
        state=item.state.value,
        received_at=item.received_at,
        settled_at=item.settled_at,
        retry_at=item.retry_at,
        tries=item.tries,
        error=item.error,
    )
