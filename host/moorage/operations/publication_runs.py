"""One run of a publication: prepare, note that the one call begins, make it, write down what is known.

A run belongs to a process, not to the request that began it. Before the note nothing happened that people
can see, so a run that ends there is begun again; after it, silence means `unconfirmed`.
"""

import asyncio
from datetime import datetime, timedelta
from typing import Final

import attrs
import structlog

from moorage.committing import certainly
from moorage.metrics import PUBLICATIONS
from moorage.operations import publication_steps as steps
from moorage.operations.standing import act_on_vendor_error, postable_channel, usable_integration
from moorage.services import Services, port
from moorage_ports.errors import (
    MoorageError,
    OutcomeUnknownError,
    UnavailableError,
    VendorError,
    VendorUnavailableError,
)
from moorage_ports.failpoints import fail_point
from moorage_ports.jobs import Nudge
from moorage_ports.operations import PublicationStatus
from moorage_ports.publications import Publication
from moorage_ports.publisher import PublishedPost, Publisher

log = structlog.get_logger(__name__)

QUEUE: Final = "publications"
_CHECKING: Final = timedelta(seconds=5)


@attrs.frozen(kw_only=True)
class Ended:
    """How far a run came; `refusal` says why nothing was published, if so."""

    publication: Publication
    refusal: Exception | None = None


@attrs.define(kw_only=True)
class Run:
    """A run under way. `is_awaited`: somebody waits who can be told of a refusal, and try again himself."""

    services: Services
    org_id: str
    publication: Publication
    is_awaited: bool = False
    retry_at: datetime | None = None  # when a run that was given back is due

    async def run(self) -> Ended:
        """Go as far as it goes now."""
        asked_at = self.services.clock.now()
        try:
            publisher, parts = await self._prepare()
        except Exception as refusal:  # noqa: BLE001 - a plugin's own mistake published nothing here either
            return await self._refused(refusal, asked_at)
        fail_point("P10-prepared")
        if self.services.background.is_draining:
            return await self._give_back(steps.INTERRUPTED, self.services.clock.now())
        try:
            if not await self._step(steps.sending(self.publication, self.services.clock.now())):
                return Ended(publication=self.publication)  # somebody else went on with it
        except UnavailableError:
            # The row still says that nothing happened, so a job will begin again: the caller must not.
            log.warning("publication_not_begun", publication=self.publication.id)
            return Ended(publication=self.publication)
        return await self._send(publisher, parts)

    async def _prepare(self) -> tuple[Publisher, tuple[str, ...]]:
        """All that comes before the one call, and may be done again."""
        vendor, post = self.services.vendors.get(self.publication.vendor), self.publication.post
        async with self.services.storage.unit_of_work(self.org_id, reads_only=True) as uow:
            await usable_integration(uow, vendor.slug)
            await postable_channel(uow, vendor, post.channel_external_id)
        publisher = port(vendor.publisher, "publisher")(await self.services.context(vendor, self.org_id))
        try:
            async with asyncio.timeout(steps.PREPARING.total_seconds()):
                return publisher, await publisher.prepare(post)
        except TimeoutError as late:
            msg = "the vendor took too long; nothing was published"
            raise VendorUnavailableError(msg, vendor=vendor.slug, symptom="timed_out") from late

    async def _send(self, publisher: Publisher, parts: tuple[str, ...]) -> Ended:
        """The one call."""
        asked_at = self.services.clock.now()
        try:
            fail_point("P10-before")
            async with asyncio.timeout(steps.SENDING.total_seconds()):
                post = await publisher.publish(self.publication.post, parts)
            fail_point("P10")
        except OutcomeUnknownError as lost:
            return await self._lost(steps.outcome_of(lost))
        except TimeoutError:
            return await self._lost("timed_out")
        except MoorageError as refusal:  # every other one says that nothing was published
            return await self._refused(refusal, asked_at)
        except Exception:
            # A plugin's own mistake may have happened before or after the post left: only looking tells.
            log.exception("publish_broke", vendor=self.publication.vendor, publication=self.publication.id)
            return await self._lost(steps.BROKE)
        return await self._arrived(publisher, post)

    async def _arrived(self, publisher: Publisher, post: PublishedPost) -> Ended:
        """Write the id down before anything else is asked; where people see it comes when it comes."""
        now = self.services.clock.now()
        after = steps.arrived(self.publication, post, now, steps.PUBLISH)
        self.publication = await record(self.services, self.org_id, after)
        if self.publication.status is PublicationStatus.PUBLISHED and self.publication.permalink is None:
            self.publication = await self._with_permalink(publisher, self.publication)
        return Ended(publication=self.publication)

    async def _with_permalink(self, publisher: Publisher, publication: Publication) -> Publication:
        """The post stands already, so no trouble here may look like a failure."""
        channel, external_id = publication.post.channel_external_id, publication.external_id or ""
        try:
            async with asyncio.timeout(_CHECKING.total_seconds()):
                permalink = (await publisher.check(channel, external_id)).permalink
            if permalink is None:
                return publication
            async with self.services.storage.unit_of_work(self.org_id) as uow:
                stands = await uow.publications.get(publication.id) or publication
                seen = attrs.evolve(stands, permalink=permalink)
                await uow.publications.save(seen)
        except (MoorageError, TimeoutError) as failure:
            log.info("permalink_not_known", publication=publication.id, reason=type(failure).__name__)
            return publication
        return seen

    async def _lost(self, outcome: str) -> Ended:
        after = steps.unconfirmed(self.publication, self.services.clock.now(), outcome)
        self.publication = await record(self.services, self.org_id, after)
        return Ended(publication=self.publication)

    async def _refused(self, refusal: Exception, asked_at: datetime) -> Ended:
        """Nothing was published: try again later, or it failed and whoever waits is told."""
        now = self.services.clock.now()
        if isinstance(refusal, VendorError):
            await act_on_failure(self.services, self.org_id, self.publication, refusal, asked_at)
        outcome = steps.outcome_of(refusal)
        is_young = now - self.publication.created_at < steps.RETRIED_FOR
        if steps.passes(refusal) and is_young and not self.is_awaited:
            return await self._give_back(outcome, now + self._patience(refusal))
        code = refusal.code if isinstance(refusal, MoorageError) else MoorageError.code
        if outcome == steps.BROKE and not self.is_awaited:  # else the caller's 500 is logged
            log.error("prepare_broke", publication=self.publication.id, exc_info=refusal)
        step = steps.current_step(self.publication)
        try:
            is_noted = await self._step(steps.failed(self.publication, now, code, step=step, outcome=outcome))
        except UnavailableError:
            # As it stands a job would begin again, unless the one call was noted: then it only looks.
            is_noted = self.publication.status is PublicationStatus.PUBLISHING
        return Ended(publication=self.publication, refusal=refusal if is_noted else None)

    def _patience(self, refusal: Exception) -> timedelta:
        """What the vendor asks for, and longer from run to run."""
        asked = refusal.retry_after if isinstance(refusal, VendorError) else None
        runs = steps.count(self.publication, steps.PREPARE, steps.STARTED)
        return max(asked or timedelta(), steps.longer(runs - 1))

    async def _give_back(self, outcome: str, due_at: datetime) -> Ended:
        self.retry_at = due_at
        after = steps.given_back(self.publication, self.services.clock.now(), outcome)
        try:
            await self._step(after, due_at=due_at)
        except UnavailableError:
            log.warning("publication_not_given_back", publication=after.id)  # its lease runs out
        return Ended(publication=self.publication)

    async def _step(self, after: Publication, *, due_at: datetime | None = None) -> bool:
        """Go on to `after`, unless somebody else went on meanwhile; then `publication` is what they made.

        Raises:
            UnavailableError: Not written.
        """
        expected = [self.publication.steps]

        async def write() -> tuple[bool, Publication | None]:
            async with self.services.storage.unit_of_work(self.org_id) as uow:
                stands = await uow.publications.get(after.id)
                is_ours = stands is not None and stands.steps in expected
                expected.append(after.steps)  # should this be called again
                if is_ours:
                    await uow.publications.save(after)
                    if not after.status.is_final:
                        await uow.jobs.nudge(nudge(self.org_id, after.id, due_at or steps.due_at(after)))
            return is_ours, stands

        is_ours, stands = await certainly(write)
        if is_ours and after.status is not self.publication.status:
            PUBLICATIONS.labels(after.vendor, after.status.value).inc()
        self.publication = after if is_ours else stands or self.publication
        return is_ours


async def act_on_failure(
    services: Services, org_id: str, publication: Publication, failure: VendorError, asked_at: datetime
) -> None:
    """Record what a failure says about the integration or the channel; best effort."""
    try:
        await act_on_vendor_error(
            services,
            org_id,
            publication.vendor,
            failure,
            asked_at=asked_at,
            channel_external_id=publication.post.channel_external_id,
        )
    except UnavailableError:
        log.warning("standing_not_recorded", vendor=publication.vendor, org=org_id)


async def record(services: Services, org_id: str, after: Publication) -> Publication:
    """Write down what is known about a post that left us; answers what is true now.

    The post is out (or not) whether or not we can write: an unreachable database must not make anybody
    send it again. The row then still says `publishing`, and whoever looks for it puts it right.
    """

    async def write() -> Publication | None:
        async with services.storage.unit_of_work(org_id) as uow:
            stands = await uow.publications.get(after.id)
            if stands is None or not stands.status.is_final:
                await uow.publications.save(after)
                if not after.status.is_final:
                    await uow.jobs.nudge(nudge(org_id, after.id, steps.due_at(after)))
        return stands

    try:
        stands = await certainly(write)
        if stands is not None and stands.status.is_final:
            return stands
        if stands is None or stands.status is not after.status:
            PUBLICATIONS.labels(after.vendor, after.status.value).inc()
    except UnavailableError:
        log.exception("publication_not_recorded", publication=after.id, status=after.status.value)
    return after


def nudge(org_id: str, publication_id: str, not_before: datetime | None) -> Nudge:
    """Look at this publication."""
    return Nudge(queue=QUEUE, group=publication_id, org_id=org_id, not_before=not_before)
