"""Retention: the hourly job that removes what an org keeps no longer, and says what it did."""

from collections import Counter
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final

import attrs
import structlog

from moorage.privacy.erasing import AT_ONCE, Reason, erase_leads, erase_quietly, note
from moorage.privacy.people import Clue, Somebody, find
from moorage.services import Services
from moorage_ports.erasure import NOTES_KEPT, WAITED_TOO_LONG, Cause, IdleContact
from moorage_ports.errors import ConflictError, MoorageError
from moorage_ports.lead_ledger import SETTLED, LeadOutcome
from moorage_ports.retention import MOST_DELIVERY_DAYS, Retention, RetentionCheck
from moorage_ports.storage import UnitOfWork

log = structlog.get_logger(__name__)

EVERY: Final = timedelta(hours=1)
SESSIONS_KEPT: Final = timedelta(days=1)  # after they were last used: they ended long before
ORDERS_KEPT: Final = timedelta(days=90)  # backfills, re-mappings and test leads, once they are over
_REPLAY: Final = "Connect again or allow what was missing, then replay the delivery."
_REASON: Final = Reason(cause=Cause.RETENTION)


async def keep_to_retention(services: Services) -> None:
    """Have every org keep what it wants to keep, and nothing longer. One org's trouble is no other's."""
    people = 0
    for org_id in await services.storage.orgs():
        try:
            people += (await look_after(services, org_id))["contacts"]
        except MoorageError as failure:
            log.warning("retention_not_kept", org=org_id, reason=failure.code)
        except Exception:
            log.exception("retention_broke", org=org_id)
    if people:
        await services.storage.compact_search()
    now = services.clock.now()
    await services.storage.deletion_requests.forget_done(now - NOTES_KEPT)
    await services.storage.accounts.forget_sessions(now - SESSIONS_KEPT)


async def look_after(services: Services, org_id: str) -> Counter[str]:
    """Remove what one org does not keep any longer; answers how many of which kind.

    Raises:
        UnavailableError: The database went out of reach; what is left goes the next time.
    """
    now = services.clock.now()
    async with services.storage.unit_of_work(org_id, reads_only=True) as uow:
        retention = await uow.retention.get()
    removed: Counter[str] = Counter()
    removed["leads"] += await _forget_leads(services, org_id, retention.leads_before(now))
    removed.update(await _forget_people(services, org_id, retention.people_before(now)))
    removed["deliveries"] += await _forget_deliveries(services, org_id, retention, now)
    removed["waiting"] += await _give_up_waiting(services, org_id, retention, now)
    await _forget_orders(services, org_id, now)
    counts = Counter({kind: number for kind, number in removed.items() if number})
    if counts:
        await note(services, org_id, _REASON, counts)
    async with services.storage.unit_of_work(org_id) as uow:
        await uow.erasures.forget_noted(now - NOTES_KEPT)
        await uow.remembered_calls.forget_expired(now)
        await uow.retention.note_check(RetentionCheck(checked_at=now, removed=counts))
    return counts


async def _forget_leads(services: Services, org_id: str, before: datetime | None) -> int:
    removed = 0
    while before is not None:
        async with services.storage.unit_of_work(org_id, reads_only=True) as uow:
            leads = await uow.erasures.leads_before(before, limit=AT_ONCE)
        if not leads:
            break
        removed += await erase_leads(services, org_id, leads, _REASON)
    return removed


async def _forget_people(services: Services, org_id: str, before: datetime | None) -> Counter[str]:
    """Whoever was not seen for so long is forgotten as if they had asked for it; some at a time."""
    removed: Counter[str] = Counter()
    last: IdleContact | None = None
    while before is not None:
        async with services.storage.unit_of_work(org_id, reads_only=True) as uow:
            idle = await uow.erasures.idle_contacts(before, after=last, limit=AT_ONCE)
            people = [await _without_leads(uow, contact.id) for contact in idle]
        if not idle:
            break
        last = idle[-1]
        together = Somebody(
            contact_ids=frozenset(key for one in people for key in one.contact_ids),
            identities=tuple(identity for one in people for identity in one.identities),
        )
        if together:
            removed.update(await erase_quietly(services, org_id, together, _REASON))
    return removed


async def _without_leads(uow: UnitOfWork, contact_id: str) -> Somebody:
    """Who that is; nobody, if one of those who were joined to them has a lead: somebody works with it."""
    try:
        somebody = await find(uow, Clue(contact_ids=frozenset({contact_id}), is_alone=True))
    except ConflictError:
        return Somebody()
    return Somebody() if somebody.leads else somebody


async def _forget_deliveries(services: Services, org_id: str, retention: Retention, now: datetime) -> int:
    """Bodies go after their seven days by themselves; here where an org wants less."""
    removed = 0
    while retention.delivery_days < MOST_DELIVERY_DAYS:
        before = now - timedelta(days=retention.delivery_days)
        async with services.storage.unit_of_work(org_id) as uow:
            some = await uow.kept_copies.shorten(before, now=now, limit=AT_ONCE)
        removed += some
        if some < AT_ONCE:
            break
    return removed


async def _give_up_waiting(services: Services, org_id: str, retention: Retention, now: datetime) -> int:
    """What nobody worked on for so long is given up: it can be replayed for a while, then it is forgotten."""
    given_up = 0
    before = now - timedelta(days=retention.waiting_days)
    while True:
        async with services.storage.unit_of_work(org_id) as uow:
            some = await uow.kept_copies.give_up_waiting(before, now=now, limit=AT_ONCE)
            await _enter_as_given_up(uow, [(one.vendor, one.id) for one in some], now)
        given_up += len(some)
        if len(some) < AT_ONCE:
            return given_up


async def _enter_as_given_up(uow: UnitOfWork, items: Collection[tuple[str, str]], now: datetime) -> None:
    """The ledger says so, too, of those that announced leads."""
    if not items:
        return
    await uow.lead_ledger.write(
        [
            attrs.evolve(
                entry, outcome=LeadOutcome.DEAD, error=WAITED_TOO_LONG, remedy=_REPLAY, updated_at=now
            )
            for entry in await uow.lead_ledger.of_items(items)
            if entry.outcome not in SETTLED
        ]
    )


async def _forget_orders(services: Services, org_id: str, now: datetime) -> None:
    """What was ordered about leads and is over goes, but for each form's last backfill and re-mapping."""
    before, forgotten = now - ORDERS_KEPT, 0
    while True:
        async with services.storage.unit_of_work(org_id) as uow:
            gone = [
                await uow.backfills.forget_finished(before, limit=AT_ONCE),
                await uow.remaps.forget_finished(before, limit=AT_ONCE),
                await uow.lead_tests.forget(before, limit=AT_ONCE),
            ]
        forgotten += sum(gone)
        if max(gone) < AT_ONCE:
            break
    if forgotten:
        log.info("lead_orders_forgotten", org=org_id, count=forgotten)
