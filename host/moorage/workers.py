"""What the host does by itself: which job does what, and how often. Each is written where its subject is."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog

from moorage import inbox_worker, naming, reconcile, syncing
from moorage.handover import delivering
from moorage.leads import backfilling, remap_orders
from moorage.operations import connecting, outgoing, publishing
from moorage.operations.saving import forget_old_secrets
from moorage.privacy import callbacks, keeping
from moorage.services import Services
from moorage_ports.inbox import INBOX_QUEUE
from moorage_ports.jobs import LookAgain, Nudge
from moorage_ports.outgoing import OUTGOING_QUEUE

log = structlog.get_logger(__name__)


def register_workers(services: Services) -> None:
    """Tell the jobs what the host does by itself. Before `Jobs.run`."""
    jobs = services.jobs

    async def settle_publication(nudge: Nudge) -> LookAgain | None:
        return await publishing.look_for_publication(services, nudge)

    async def shred_ticket(nudge: Nudge) -> None:
        await connecting.shred_ticket(services, nudge)

    async def forget_attempts() -> None:
        await services.storage.connect_attempts.forget_expired(services.clock.now())

    async def forget_meters() -> None:
        await services.governors.forget_idle()

    jobs.handle(INBOX_QUEUE, inbox_worker.InboxWorker(services).look, concurrency=inbox_worker.GROUPS_AT_ONCE)
    jobs.handle(publishing.QUEUE, settle_publication)
    jobs.handle(connecting.TICKETS, shred_ticket)
    jobs.handle(reconcile.QUEUE, reconcile.Reconciler(services).look, concurrency=reconcile.CHANNELS_AT_ONCE)
    jobs.handle(OUTGOING_QUEUE, delivering.Deliverer(services).look, concurrency=delivering.ENDPOINTS_AT_ONCE)
    jobs.handle(backfilling.QUEUE, backfilling.Backfiller(services).look, concurrency=backfilling.AT_ONCE)
    jobs.handle(remap_orders.QUEUE, remap_orders.Remapper(services).look, concurrency=remap_orders.AT_ONCE)
    jobs.handle(syncing.QUEUE, syncing.Syncer(services).look, concurrency=syncing.CHANNELS_AT_ONCE)
    jobs.handle(naming.QUEUE, naming.Namer(services).look, concurrency=naming.ORGS_AT_ONCE)
    jobs.every("inbox sweep", inbox_worker.SWEEP_EVERY, _bound(inbox_worker.sweep, services))
    jobs.every("outgoing sweep", delivering.SWEEP_EVERY, _bound(delivering.sweep, services))
    jobs.every("outgoing forgotten", timedelta(hours=1), _bound(forget_handovers, services))
    jobs.every("publication sweep", timedelta(minutes=1), _bound(publishing.nudge_unsettled, services))
    jobs.every("message sweep", timedelta(minutes=1), _bound(outgoing.give_up_on_lost, services))
    jobs.every("connect attempts", timedelta(hours=1), forget_attempts)
    jobs.every("usage meters", timedelta(hours=1), forget_meters)
    jobs.every("secrets before", timedelta(hours=1), _bound(forget_old_secrets, services))
    jobs.every("quarantine", timedelta(hours=1), _bound(forget_expired, services))
    jobs.every("settled deliveries", timedelta(hours=1), _bound(forget_settled, services))
    jobs.every("deletion requests", callbacks.EVERY, _bound(callbacks.work_on_requests, services))
    jobs.every("retention", keeping.EVERY, _bound(keeping.keep_to_retention, services))
    jobs.every("reconciliation", reconcile.EVERY, _bound(reconcile.nudge_channels, services))
    jobs.every("backfills", backfilling.SWEEP_EVERY, _bound(backfilling.nudge_backfills, services))
    jobs.every("remaps", remap_orders.SWEEP_EVERY, _bound(remap_orders.nudge_remaps, services))
    jobs.every("names", naming.SWEEP_EVERY, _bound(naming.sweep, services))
    jobs.every("activity sync", services.settings.sync_every, _bound(syncing.nudge_channels, services))


def _bound(
    action: Callable[[Services], Awaitable[None]], services: Services
) -> Callable[[], Awaitable[None]]:
    async def run() -> None:
        await action(services)

    return run


async def forget_expired(services: Services) -> None:
    """Delete what nobody owned, or nobody could read, once it was kept aside for its days."""
    forgotten = await services.storage.intake.forget_expired(services.clock.now())
    if forgotten:
        log.info("quarantine_forgotten", count=forgotten)


async def forget_settled(services: Services) -> None:
    """Forget bodies a week after they were worked on, then keys, then what was given up long ago."""
    forgotten = await services.storage.intake.forget_settled(services.clock.now())
    if forgotten:
        log.info("settled_forgotten", count=forgotten)


async def forget_handovers(services: Services) -> None:
    """Forget what orgs were told a week after it arrived, and 30 days after it was given up."""
    forgotten = await services.storage.handovers.forget_expired(services.clock.now())
    if forgotten:
        log.info("handovers_forgotten", count=forgotten)
