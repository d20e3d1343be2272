"""Looking at the vendor: for posts that left us without an answer, and for those that were to come out later.

Never by sending again. A post on the channel answers for one publication only.
"""

import asyncio
from datetime import datetime, timedelta
from typing import Final

import attrs
import structlog

from moorage.metrics import PUBLICATIONS
from moorage.operations import publication_steps as steps
from moorage.operations.publication_runs import act_on_failure, record
from moorage.services import Services, port
from moorage_ports.errors import MoorageError, RateLimitError, VendorError, VendorNotFoundError
from moorage_ports.jobs import LookAgain
from moorage_ports.operations import PublicationStatus
from moorage_ports.publications import Publication
from moorage_ports.publisher import PublishedPost, Publisher
from moorage_ports.storage import UnitOfWork

log = structlog.get_logger(__name__)

CLOCK_SKEW: Final = timedelta(minutes=2)  # the vendor's clock may be behind ours
_LOOKING: Final = timedelta(seconds=30)
_LONGEST_PLAN: Final = timedelta(days=92)  # how long before it comes out a post may have been planned
_ALIVE: Final = timedelta(hours=12)  # so often what is scheduled is touched, and the sweep leaves it alone


async def look(services: Services, org_id: str, publication: Publication) -> LookAgain | None:
    """One look for a post whose answer was lost."""
    async with services.storage.unit_of_work(org_id, reads_only=True) as uow:
        known = await _known(uow, publication)
        if await _twin_is_under_way(uow, publication, services.clock.now()):
            # Whose post it is that we would find, nobody could tell yet.
            return LookAgain(at=services.clock.now() + steps.FIRST_WAIT)
    asked_at = services.clock.now()
    try:
        async with asyncio.timeout(_LOOKING.total_seconds()):
            publisher = await _publisher(services, org_id, publication)
            since = publication.created_at - CLOCK_SKEW
            post = await publisher.find(publication.post, since=since, known=known)
    except (MoorageError, TimeoutError) as failure:
        if isinstance(failure, VendorError):
            await act_on_failure(services, org_id, publication, failure, asked_at)
        return LookAgain(at=services.clock.now() + _patience(failure))
    if post is not None:
        return await _claim(services, org_id, publication, post)
    now = services.clock.now()
    after = steps.with_step(publication, steps.LOOK, now, "not_there_yet")
    if steps.count(after, steps.LOOK) >= steps.LOOKS:
        after = steps.failed(publication, now, "not_published", step=steps.LOOK)
    return _again(await record(services, org_id, after))


async def check(services: Services, org_id: str, publication: Publication) -> LookAgain | None:
    """See whether what was scheduled came out."""
    now, due = services.clock.now(), steps.due_at(publication)
    if now < due:
        if now - publication.updated_at > _ALIVE:
            await record(services, org_id, attrs.evolve(publication, updated_at=now))
        return LookAgain(at=due)
    channel, external_id = publication.post.channel_external_id, publication.external_id or ""
    try:
        async with asyncio.timeout(_LOOKING.total_seconds()):
            publisher = await _publisher(services, org_id, publication)
            state = await publisher.check(channel, external_id)
    except VendorNotFoundError:
        return _again(await record(services, org_id, steps.taken_down(publication, services.clock.now())))
    except (MoorageError, TimeoutError) as failure:
        if isinstance(failure, VendorError):
            await act_on_failure(services, org_id, publication, failure, now)
        return LookAgain(at=services.clock.now() + _patience(failure))
    now = services.clock.now()
    if state.is_visible:
        after = steps.came_out(publication, state, now)
    elif steps.count(publication, steps.CHECK) + 1 >= steps.LOOKS:
        after = steps.failed(publication, now, "not_published", step=steps.CHECK)
    else:
        after = steps.with_step(publication, steps.CHECK, now, "not_there_yet")
    return _again(await record(services, org_id, after))


async def _publisher(services: Services, org_id: str, publication: Publication) -> Publisher:
    vendor = services.vendors.get(publication.vendor)
    return port(vendor.publisher, "publisher")(await services.context(vendor, org_id))


async def _known(uow: UnitOfWork, publication: Publication) -> frozenset[str]:
    """Posts on the channel that other publications account for."""
    since = publication.created_at - CLOCK_SKEW
    if publication.post.publish_at is not None:
        since -= _LONGEST_PLAN  # one planned long ago may stand beside it
    channel = publication.post.channel_external_id
    return await uow.publications.known_posts(publication.vendor, channel, since=since)


async def _twin_is_under_way(uow: UnitOfWork, publication: Publication, now: datetime) -> bool:
    """Whether the same post is being published right now, so that its id is not written down yet."""
    return any(
        other.id != publication.id
        and other.status is PublicationStatus.PUBLISHING
        and (other.vendor, other.post) == (publication.vendor, publication.post)
        and now < steps.due_at(other)
        for other in await uow.publications.unsettled(before=now + CLOCK_SKEW)
    )


async def _claim(
    services: Services, org_id: str, publication: Publication, post: PublishedPost
) -> LookAgain | None:
    """It is there; unless another publication took it for its own while we looked."""
    async with services.storage.unit_of_work(org_id) as uow:
        stands = await uow.publications.get(publication.id)
        if stands is None or stands.status is not PublicationStatus.UNCONFIRMED:
            return None
        now = services.clock.now()
        is_anothers = post.external_id in await _known(uow, publication)
        if is_anothers or await _twin_is_under_way(uow, publication, now):
            return LookAgain(at=now + steps.FIRST_WAIT)
        found = steps.arrived(stands, post, now, steps.LOOK)
        await uow.publications.save(found)
    PUBLICATIONS.labels(found.vendor, found.status.value).inc()
    return _again(found)


def _again(publication: Publication) -> LookAgain | None:
    return None if publication.status.is_final else LookAgain(at=steps.due_at(publication))


def _patience(failure: Exception) -> timedelta:
    """How long a look that could not be made waits; it does not count as one."""
    asked = failure.retry_after if isinstance(failure, VendorError) else None
    if isinstance(failure, RateLimitError) and asked:
        return asked
    return timedelta(minutes=1)
