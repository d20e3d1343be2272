"""Publishing: a durable record before the call, one call, and looking instead of sending again.

`publishing` is written before the post leaves. Whatever happens then (an answer, an error, silence, the
end of this process) leaves a row that says how far it came; `unconfirmed` ones are looked for at the vendor.
"""

import asyncio
from datetime import datetime, timedelta

import attrs
import structlog

from moorage.ids import new_id
from moorage.metrics import PUBLICATIONS
from moorage.operations.standing import act_on_vendor_error, usable_channel, usable_integration
from moorage.operations.views import publication_view
from moorage.services import OperationCall, Services, port
from moorage_ports.errors import (
    InvalidRequestError,
    MoorageError,
    NotFoundError,
    OutcomeUnknownError,
    RateLimitError,
    UnavailableError,
    VendorError,
)
from moorage_ports.failpoints import fail_point
from moorage_ports.jobs import LookAgain, Nudge
from moorage_ports.operations import GetPublication, PublicationStatus, PublicationView, Step
from moorage_ports.publications import Publication
from moorage_ports.publisher import PublishedPost, Publisher, PublishPost

log = structlog.get_logger(__name__)

QUEUE = "publications"
BUDGET = timedelta(seconds=15)  # for the vendor's answer, so that the caller's does not take longer
PREFLIGHT_BUDGET = timedelta(seconds=5)
GIVEN_UP = timedelta(seconds=25)  # a `publishing` older than this has lost its process
CLOCK_SKEW = timedelta(minutes=2)  # the vendor's clock may be behind ours
FIRST_LOOK = timedelta(seconds=3)
LONGEST_WAIT = timedelta(minutes=5)
LOOKS = 9  # 3 s, 6 s, 12 s … 5 min: a quarter of an hour in all


async def publish(call: OperationCall, request: PublishPost) -> PublicationView:
    """Put a post in front of people, once.

    Raises:
        NotConnectedError: There is no integration.
        NotFoundError: The org has no such channel.
        InvalidRequestError: The channel is not selected, or the vendor would refuse the post.
        VendorError: The vendor said no; nothing was published, and the publication says `failed`.
    """
    services, vendor = call.services, call.vendor
    async with services.storage.unit_of_work(call.caller.org_id, reads_only=True) as uow:
        integration = await usable_integration(uow, vendor.slug)
        await usable_channel(uow, vendor.slug, request.channel_external_id)
    publisher = port(vendor.publisher, "publisher")(await services.context(vendor, call.caller.org_id))
    notes = await _preflight(call, publisher, request)
    if call.dry_run:
        return PublicationView(id="", status=PublicationStatus.DRAFT, notes=notes, steps=())
    now = services.clock.now()
    publication = Publication(
        id=call.subject_id or new_id(),
        integration_id=integration.id,
        vendor=vendor.slug,
        post=request,
        status=PublicationStatus.PUBLISHING,
        notes=notes,
        steps=(Step(name="publish", at=now, outcome="started"),),
        created_by=call.caller.user_id,
        created_at=now,
        updated_at=now,
    )
    async with services.storage.unit_of_work(call.caller.org_id) as uow:
        await uow.publications.save(publication)
        # Should this process die, somebody else will look.
        await uow.jobs.nudge(_nudge(call.caller.org_id, publication.id, now + GIVEN_UP))
    return publication_view(await _send(call, publisher, publication))


async def get_publication(call: OperationCall, request: GetPublication) -> PublicationView:
    """One of the org's publications with this vendor.

    Raises:
        NotFoundError: There is none of that id.
    """
    async with call.services.storage.unit_of_work(call.caller.org_id, reads_only=True) as uow:
        publication = await uow.publications.get(request.id)
    if publication is None or publication.vendor != call.vendor.slug:
        msg = "no such publication"
        raise NotFoundError(msg)
    return publication_view(publication)


async def _preflight(call: OperationCall, publisher: Publisher, post: PublishPost) -> tuple[str, ...]:
    """What the vendor will change about the post.

    Raises:
        InvalidRequestError: It would refuse the post.
    """
    asked_at = call.services.clock.now()
    try:
        async with asyncio.timeout(PREFLIGHT_BUDGET.total_seconds()):
            preflight = await publisher.preflight(post)
    except TimeoutError:
        return ()  # it checks as far as it can; the vendor itself has the last word anyway
    except VendorError as failure:
        await _act(call, failure, asked_at, post)
        raise
    if preflight.problems:
        raise InvalidRequestError("; ".join(preflight.problems))
    return preflight.notes


async def _send(call: OperationCall, publisher: Publisher, publication: Publication) -> Publication:
    """Call the vendor, once, and record what is known afterwards."""
    services, org_id = call.services, call.caller.org_id
    asked_at = services.clock.now()
    try:
        fail_point("P10-before")
        async with asyncio.timeout(BUDGET.total_seconds()):
            post = await publisher.publish(publication.post)
        fail_point("P10")
    except (OutcomeUnknownError, TimeoutError):
        return await _record(services, org_id, _unconfirmed(publication, services.clock.now(), "no answer"))
    except MoorageError as refusal:  # every other one says that nothing was published
        await _record(services, org_id, _failed(publication, services.clock.now(), refusal.code))
        if isinstance(refusal, VendorError):
            await _act(call, refusal, asked_at, publication.post)
        raise
    except Exception:
        # A plugin's own mistake may have happened before or after the post left: only looking tells.
        log.exception("publish_broke", vendor=publication.vendor, org=org_id, publication=publication.id)
        return await _record(services, org_id, _unconfirmed(publication, services.clock.now(), "broke"))
    return await _record(services, org_id, _published(publication, post, services.clock.now(), "publish"))


async def _record(services: Services, org_id: str, after: Publication) -> Publication:
    """Write down how it went; answers what is true now.

    The post is out (or not) whether or not we can write: an unreachable database must not make the caller
    send it again. The row then still says `publishing`, and whoever looks for it puts it right.
    """
    try:
        async with services.storage.unit_of_work(org_id) as uow:
            stands = await uow.publications.get(after.id)
            if stands is not None and stands.status.is_final:
                return stands
            await uow.publications.save(after)
            if not after.status.is_final:
                await uow.jobs.nudge(_nudge(org_id, after.id, after.updated_at + FIRST_LOOK))
    except UnavailableError:
        log.exception("publication_not_recorded", publication=after.id, status=after.status.value)
    PUBLICATIONS.labels(after.vendor, after.status.value).inc()
    return after


async def _act(call: OperationCall, failure: VendorError, asked_at: datetime, post: PublishPost) -> None:
    await act_on_vendor_error(
        call.services,
        call.caller.org_id,
        call.vendor.slug,
        failure,
        asked_at=asked_at,
        channel_external_id=post.channel_external_id,
    )


# Looking for what left us without an answer -------------------------------------------------------


async def look_for_publication(services: Services, nudge: Nudge) -> LookAgain | None:
    """Settle one publication whose outcome is unknown, by looking at the vendor; never by sending again."""
    org_id, now = nudge.org_id, services.clock.now()
    async with services.storage.unit_of_work(org_id, reads_only=True) as uow:
        publication = await uow.publications.get(nudge.group)
        latest = await uow.publications.latest(limit=200)
    if publication is None or publication.status not in _UNSETTLED:
        return None
    if publication.status is PublicationStatus.PUBLISHING:
        lost_at = publication.updated_at + GIVEN_UP
        if now < lost_at:
            return LookAgain(at=lost_at)
        publication = await _record(services, org_id, _unconfirmed(publication, now, "interrupted"))
    due = publication.updated_at + _wait(_looks(publication))
    if now < due:
        return LookAgain(at=due)
    taken = frozenset(each.external_id for each in latest if each.id != publication.id and each.external_id)
    return await _look(services, org_id, publication, taken)


async def _look(
    services: Services, org_id: str, publication: Publication, taken: frozenset[str]
) -> LookAgain | None:
    """One look. `taken` are posts that other publications made: ours is not among them."""
    vendor = services.vendors.get(publication.vendor)
    asked_at = services.clock.now()
    try:
        publisher = port(vendor.publisher, "publisher")(await services.context(vendor, org_id))
        async with asyncio.timeout(BUDGET.total_seconds()):
            post = await publisher.find(publication.post, since=publication.created_at - CLOCK_SKEW)
    except (MoorageError, TimeoutError) as failure:
        if isinstance(failure, VendorError):
            await act_on_vendor_error(
                services,
                org_id,
                publication.vendor,
                failure,
                asked_at=asked_at,
                channel_external_id=publication.post.channel_external_id,
            )
        return LookAgain(at=services.clock.now() + _patience(failure))
    now = services.clock.now()
    if post is not None and post.external_id not in taken:
        await _record(services, org_id, _published(publication, post, now, "look"))
        return None
    if _looks(publication) + 1 >= LOOKS:
        await _record(services, org_id, _failed(publication, now, "not_published"))
        return None
    after = _with_step(publication, "look", now, "not there yet")
    await _record(services, org_id, after)
    return LookAgain(at=now + _wait(_looks(after)))


async def nudge_unsettled(services: Services) -> None:
    """Have every publication looked at that has waited too long; at the start, those of a dead process."""
    before = services.clock.now() - GIVEN_UP
    for org_id, publication_id in await services.storage.backlog.unsettled_publications(before):
        async with services.storage.unit_of_work(org_id) as uow:
            await uow.jobs.nudge(_nudge(org_id, publication_id, None))


_UNSETTLED = frozenset({PublicationStatus.PUBLISHING, PublicationStatus.UNCONFIRMED})


def _looks(publication: Publication) -> int:
    return sum(step.name == "look" for step in publication.steps)


def _wait(looks: int) -> timedelta:
    return min(FIRST_LOOK * (1 << looks), LONGEST_WAIT)


def _patience(failure: Exception) -> timedelta:
    """How long a look that could not be made waits; it does not count as one."""
    asked = failure.retry_after if isinstance(failure, VendorError) else None
    if isinstance(failure, RateLimitError) and asked:
        return asked
    return timedelta(minutes=1)


def _nudge(org_id: str, publication_id: str, not_before: datetime | None) -> Nudge:
    return Nudge(queue=QUEUE, group=publication_id, org_id=org_id, not_before=not_before)


def _with_step(publication: Publication, name: str, now: datetime, outcome: str) -> Publication:
    step = Step(name=name, at=now, outcome=outcome)
    return attrs.evolve(publication, steps=(*publication.steps, step), updated_at=now)


def _published(publication: Publication, post: PublishedPost, now: datetime, name: str) -> Publication:
    return attrs.evolve(
        _with_step(publication, name, now, "published"),
        status=PublicationStatus.PUBLISHED,
        external_id=post.external_id,
        permalink=post.permalink,
        notes=tuple(dict.fromkeys((*publication.notes, *post.notes))),
    )


def _unconfirmed(publication: Publication, now: datetime, why: str) -> Publication:
    return attrs.evolve(_with_step(publication, "publish", now, why), status=PublicationStatus.UNCONFIRMED)


def _failed(publication: Publication, now: datetime, code: str) -> Publication:
    return attrs.evolve(
        _with_step(publication, "publish", now, code), status=PublicationStatus.FAILED, error_code=code
    )
