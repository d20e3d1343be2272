"""Replay: kept changes go through the pipeline again, as if they had just come.

Idempotent, because the pipeline is: what had its effect has none a second time. For what was given up
(`dead`) once its cause is gone, and for what was done by a version of us that did not understand it yet.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Final, Literal

import attrs
import structlog

from moorage.services import Services
from moorage_ports.inbox import ItemState, SettledItem, inbox_nudge
from moorage_ports.storage import UnitOfWork

log = structlog.get_logger(__name__)

AT_ONCE: Final = 200  # a transaction's worth: deliveries must not wait behind a big replay


@attrs.frozen(kw_only=True)
class ReplayOrder:
    """Whose changes to replay: those of `ids`, those in one of `states`, or both; and who wants it."""

    org_id: str
    by: str
    states: Collection[ItemState] = (ItemState.DEAD,)
    ids: Collection[str] = ()
    vendor: str = ""  # of this one only, if it is given; `kind` and `error` (a code) likewise
    kind: str = ""
    error: str = ""
    form_id: str = ""  # only what tells of a lead of this form
    since: datetime | None = None  # when they were received
    until: datetime | None = None


def states_asked(state: Literal["dead", "done"] | None, ids: Collection[str]) -> tuple[ItemState, ...]:
    """The states that somebody means who names one, or ids, or nothing: then it is what was given up."""
    if state is not None:
        return (ItemState(state),)
    return (ItemState.DEAD, ItemState.DONE) if ids else (ItemState.DEAD,)


async def find(services: Services, order: ReplayOrder, *, limit: int = AT_ONCE) -> tuple[SettledItem, ...]:
    """The oldest changes that the order names. Changes nothing."""
    async with services.storage.unit_of_work(order.org_id, reads_only=True) as uow:
        return await _oldest(uow, order, services.clock.now(), limit)


async def replay(services: Services, order: ReplayOrder) -> int:
    """Have everything that the order names worked on again; answers how many changes that are.

    What is settled anew meanwhile is not replayed a second time.
    """
    began_at, replayed = services.clock.now(), 0
    while True:
        async with services.storage.unit_of_work(order.org_id) as uow:
            items = await _oldest(uow, order, began_at, AT_ONCE)
            if not items:
                break
            buckets = await uow.inbox.replay(items, now=services.clock.now())
            await uow.jobs.nudge(*(inbox_nudge(order.org_id, bucket) for bucket in buckets))
        replayed += len(items)
        log.info(
            "replayed", org=order.org_id, by=order.by, count=len(items), items=[item.id for item in items]
        )
    return replayed


async def _oldest(
    uow: UnitOfWork, order: ReplayOrder, before: datetime, limit: int
) -> tuple[SettledItem, ...]:
    return await uow.inbox.settled(
        states=order.states,
        before=before,
        ids=order.ids,
        vendor=order.vendor,
        kind=order.kind,
        error=order.error,
        form_external_id=order.form_id,
        since=order.since,
        until=order.until,
        limit=limit,
    )
