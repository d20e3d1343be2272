"""Publishing: a durable record before anything else, one call, and looking instead of sending again.

The request waits for a while and then answers how far it came; the work goes on without it.
"""

import asyncio
from datetime import timedelta

from moorage.committing import certainly
from moorage.ids import new_id
from moorage.operations import publication_looks as looks
from moorage.operations import publication_steps as steps
from moorage.operations.publication_runs import QUEUE, Run, nudge, record
from moorage.operations.standing import act_on_vendor_error, postable_channel, usable_integration
from moorage.operations.views import publication_view
from moorage.services import OperationCall, Services, port
from moorage_ports.capabilities import Capability, Support
from moorage_ports.errors import (
    InvalidRequestError,
    NotFoundError,
    UnavailableError,
    UnsupportedError,
    VendorError,
)
from moorage_ports.jobs import LookAgain, Nudge
from moorage_ports.operations import GetPublication, PublicationStatus, PublicationView
from moorage_ports.publications import Publication
from moorage_ports.publisher import PublishPost

__all__ = ["BUDGET", "QUEUE", "get_publication", "look_for_publication", "nudge_unsettled", "publish"]

BUDGET = timedelta(seconds=15)  # after which the caller is answered, whatever is still going on
PREFLIGHT_BUDGET = timedelta(seconds=5)


async def publish(call: OperationCall, request: PublishPost) -> PublicationView:
    """Put a post in front of people, once.

    Raises:
        NotConnectedError: There is no integration.
        NotFoundError: The org has no such channel.
        InvalidRequestError: The channel is not selected, or the post is none that the vendor takes.
        UnsupportedError: The vendor keeps no drafts or posts for later.
        VendorError: The vendor said no; nothing was published, and the publication says `failed`.
        UnavailableError: The database is out of reach; nothing was published.
        CommitUnknownError: The database went away; if the publication is there, a job publishes it.
    """
    give_up_at = asyncio.get_running_loop().time() + BUDGET.total_seconds()
    services, vendor, org_id = call.services, call.vendor, call.caller.org_id
    if not request.is_visible_at_once and vendor.support(Capability.SCHEDULE_POSTS) is not Support.FULL:
        msg = "this vendor keeps no drafts and no posts for later"
        raise UnsupportedError(msg)
    async with services.storage.unit_of_work(org_id, reads_only=True) as uow:
        integration = await usable_integration(uow, vendor.slug)
        await postable_channel(uow, vendor, request.channel_external_id)
    if call.dry_run:
        notes = await _preflight(call, request)
        return PublicationView(id="", status=PublicationStatus.DRAFT, notes=notes, steps=())
    now = services.clock.now()
    written = Publication(
        id=call.subject_id or new_id(),
        integration_id=integration.id,
        vendor=vendor.slug,
        post=request,
        status=PublicationStatus.PENDING,
        created_by=call.caller.user_id,
        created_at=now,
        updated_at=now,
    )
    publication = await _keep(services, org_id, steps.preparing(written, now))
    if publication.status is not PublicationStatus.PENDING:
        return publication_view(publication)  # a job went on with it while the database did not answer
    run = Run(services=services, org_id=org_id, publication=publication, is_awaited=True)
    return publication_view(await _awaited(run, give_up_at))


async def _keep(services: Services, org_id: str, publication: Publication) -> Publication:
    """Write a new publication down, with a job that goes on with it should this process die.

    Raises:
        UnavailableError: It is not written.
        CommitUnknownError: If it is, that job publishes it.
    """

    async def write() -> Publication:
        async with services.storage.unit_of_work(org_id) as uow:
            stands = await uow.publications.get(publication.id)
            if stands is None:
                await uow.publications.save(publication)
                await uow.jobs.nudge(nudge(org_id, publication.id, steps.due_at(publication)))
        return stands or publication

    return await certainly(write)


async def _awaited(run: Run, give_up_at: float) -> Publication:
    """What the run came to, or how far it is when the time is up. The run itself is never cut off.

    Raises:
        MoorageError: Nothing was published.
    """
    name = f"publish {run.publication.id}"
    task = run.services.background.start(run.run(), name=name)
    try:
        await asyncio.wait({task}, timeout=give_up_at - asyncio.get_running_loop().time())
    finally:
        run.is_awaited = False  # from here on a job tries again what nobody hears about
    if not task.done():
        return run.publication
    ended = task.result()
    if ended.refusal is not None:
        raise ended.refusal
    return ended.publication


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


async def _preflight(call: OperationCall, post: PublishPost) -> tuple[str, ...]:
    """What the vendor will change about the post.

    Raises:
        InvalidRequestError: It would refuse the post.
    """
    services, org_id, slug = call.services, call.caller.org_id, call.vendor.slug
    asked_at = services.clock.now()
    try:
        async with asyncio.timeout(PREFLIGHT_BUDGET.total_seconds()):
            publisher = port(call.vendor.publisher, "publisher")(await services.context(call.vendor, org_id))
            preflight = await publisher.preflight(post)
    except TimeoutError:
        return ()  # it checks as far as it can; the vendor itself has the last word anyway
    except VendorError as failure:
        channel = post.channel_external_id
        await act_on_vendor_error(
            services, org_id, slug, failure, asked_at=asked_at, channel_external_id=channel
        )
        raise
    if preflight.problems:
        raise InvalidRequestError("; ".join(preflight.problems))
    return preflight.notes


# What jobs do -------------------------------------------------------------------------------------


async def look_for_publication(services: Services, asked: Nudge) -> LookAgain | None:
    """Go on with one publication that nobody works on: run it if nothing happened yet, else look for it."""
    org_id, now = asked.org_id, services.clock.now()
    async with services.storage.unit_of_work(org_id, reads_only=True) as uow:
        publication = await uow.publications.get(asked.group)
    if publication is None:
        return None
    if publication.status is PublicationStatus.SCHEDULED:
        return await looks.check(services, org_id, publication)
    if publication.status not in steps.UNSETTLED:
        return None
    if now < steps.due_at(publication):
        return LookAgain(at=steps.due_at(publication))
    if publication.status is PublicationStatus.PENDING:
        return await _run_again(services, org_id, publication)
    if publication.status is PublicationStatus.PUBLISHING:
        lost = steps.unconfirmed(publication, now, steps.INTERRUPTED)
        publication = await record(services, org_id, lost)
        return None if publication.status.is_final else LookAgain(at=steps.due_at(publication))
    return await looks.look(services, org_id, publication)


async def _run_again(services: Services, org_id: str, publication: Publication) -> LookAgain | None:
    """The process that had it is gone, or gave it back: nothing happened, so begin again."""
    try:
        async with services.storage.unit_of_work(org_id) as uow:
            stands = await uow.publications.get(publication.id)
            if stands != publication:
                return LookAgain()
            begun = steps.preparing(publication, services.clock.now())
            await uow.publications.save(begun)
    except UnavailableError:
        return LookAgain(at=services.clock.now() + steps.FIRST_WAIT)
    run = Run(services=services, org_id=org_id, publication=begun)
    ended = await run.run()
    if ended.publication.status.is_final:
        return None
    return LookAgain(at=run.retry_at or steps.due_at(ended.publication))


async def nudge_unsettled(services: Services) -> None:
    """Have every publication looked at that has waited too long; at the start, those of a dead process."""
    before = services.clock.now() - steps.SENDING
    for org_id, publication_id in await services.storage.backlog.unsettled_publications(before):
        async with services.storage.unit_of_work(org_id) as uow:
            await uow.jobs.nudge(nudge(org_id, publication_id, None))
