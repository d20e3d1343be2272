"""Publishing: once, whatever happens between the record and the answer."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import ClassVar, cast

import attrs
import pytest

from moorage.operations import publication_steps, publishing
from moorage.operations.handlers import HANDLERS
from moorage.services import Caller
from moorage_adapters.memory.things import WRITE_NOTES
from moorage_adapters.memory.world import BOOKS, CAFE
from moorage_adapters.sqlmodel.storage import SqlStorage
from moorage_ports.capabilities import Capability, Support
from moorage_ports.errors import (
    InvalidRequestError,
    MissingScopeError,
    NotConnectedError,
    NotFoundError,
    RateLimitError,
    ReauthorizationError,
    RejectedError,
    UnavailableError,
    UnsupportedError,
    VendorUnavailableError,
)
from moorage_ports.integrations import IntegrationStatus
from moorage_ports.jobs import LookAgain
from moorage_ports.operations import (
    GET_PUBLICATION,
    PUBLISH,
    GetPublication,
    PublicationStatus,
    PublicationView,
    Role,
)
from moorage_ports.plugin import VendorContext
from moorage_ports.publications import Publication
from moorage_ports.publisher import PostState, Preflight, PublishedPost, Publisher, PublishPost
from moorage_ports.storage import Storage, UnitOfWork
from tests.support.harbour import ADMIN, NOON, Harbour, harbour

S = PublicationStatus
A_LEASE = publication_steps.PREPARING + publication_steps.LEASE_MARGIN + timedelta(seconds=1)


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Harbour]:
    _PreparesSlowly.has_begun, _PreparesSlowly.may_go_on = asyncio.Event(), asyncio.Event()
    _SendsThenHangs.has_sent = asyncio.Event()
    async with harbour(tmp_path) as made:
        await made.connect()
        await made.select(CAFE.id)
        yield made


async def latest(host: Harbour) -> Publication:
    async with host.storage.unit_of_work(ADMIN.org_id, reads_only=True) as uow:
        (newest, *_) = await uow.publications.latest(limit=1)
    return newest


async def read(host: Harbour, publication_id: str) -> PublicationStatus:
    view = await HANDLERS[GET_PUBLICATION.name](host.call(), GetPublication(id=publication_id))
    return S(view.status)


async def test_a_post_is_published_once_and_its_steps_can_be_read(host: Harbour) -> None:
    view = await host.publish("Fresh scones")

    assert (view.status, view.external_id) == (S.PUBLISHED, "note-1")
    assert [(step.name, step.outcome) for step in view.steps] == [
        ("prepare", "started"),
        ("publish", "started"),
        ("publish", "published"),
    ]
    assert view.permalink
    assert [note.text for note in host.world.notes.values()] == ["Fresh scones"]
    assert await read(host, view.id) is S.PUBLISHED


async def test_the_id_that_dispatch_chose_is_the_publications(host: Harbour) -> None:
    assert (await host.publish(subject_id="chosen")).id == "chosen"


@pytest.mark.parametrize(
    ("channel", "error"),
    [("board-99", NotFoundError), (BOOKS.id, InvalidRequestError)],
)
async def test_only_the_orgs_selected_channels_can_be_posted_on(
    host: Harbour, channel: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        await host.publish(channel=channel)
    assert host.world.notes == {}


async def test_another_org_can_neither_post_nor_read(host: Harbour) -> None:
    stranger = Caller(org_id="org-b", user_id="u", role=Role.ADMIN)
    view = await host.publish()

    with pytest.raises(NotConnectedError):
        await host.publish(caller=stranger)
    with pytest.raises(NotFoundError):
        await HANDLERS[GET_PUBLICATION.name](host.call(stranger), GetPublication(id=view.id))


async def test_a_dry_run_says_what_would_happen_and_leaves_no_trace(host: Harbour) -> None:
    post = PublishPost(channel_external_id=CAFE.id, text="Fresh scones")
    view = await HANDLERS[PUBLISH.name](host.call(dry_run=True), post)

    assert view.status is S.DRAFT
    assert host.world.notes == {}
    async with host.storage.unit_of_work(ADMIN.org_id, reads_only=True) as uow:
        assert await uow.publications.latest(limit=1) == ()


@pytest.mark.parametrize(
    ("weather", "error"),
    [
        (lambda host: host.world.refuse_notes(), RejectedError),
        (lambda host: host.world.drop_scope(WRITE_NOTES), MissingScopeError),
        (lambda host: host.world.limit(timedelta(minutes=1)), RateLimitError),
        (lambda host: host.world.go_down(), VendorUnavailableError),
    ],
)
async def test_a_refusal_is_told_as_what_it_is_and_nothing_is_published(
    host: Harbour, weather: Callable[[Harbour], None], error: type[Exception]
) -> None:
    weather(host)
    with pytest.raises(error):
        await host.publish()

    assert host.world.notes == {}
    assert (await host.integration()).status is IntegrationStatus.ACTIVE


async def test_a_refusal_after_the_record_leaves_it_failed_with_its_code(host: Harbour) -> None:
    host.world.refuse_notes()
    with pytest.raises(RejectedError):
        await host.publish()

    publication = await latest(host)
    assert (publication.status, publication.error_code) == (S.FAILED, "vendor_rejected")


async def test_a_lost_grant_expires_the_integration_v10(host: Harbour) -> None:
    host.world.revoke_grant()
    with pytest.raises(ReauthorizationError):
        await host.publish()
    assert (await host.integration()).status is IntegrationStatus.EXPIRED
    calls = host.world.calls

    with pytest.raises(ReauthorizationError):
        await host.publish()
    assert host.world.calls == calls, "an expired integration asks the vendor nothing"


async def test_a_lost_channel_ends_only_that_channel_v10(host: Harbour) -> None:
    await host.select(CAFE.id, BOOKS.id)
    host.world.take_board(CAFE.id)
    with pytest.raises(ReauthorizationError):
        await host.publish()

    assert (await host.integration()).status is IntegrationStatus.ACTIVE
    assert (await host.publish(channel=BOOKS.id)).status is S.PUBLISHED


# Outcomes that nobody knows -----------------------------------------------------------------------


async def test_a_lost_answer_is_looked_for_and_never_sent_again(host: Harbour) -> None:
    slow = _with_publisher(host, _LosesAnswers)
    view = await slow.publish()
    assert view.status is S.UNCONFIRMED
    assert len(host.world.notes) == 1

    host.clock.advance(timedelta(seconds=4))
    assert await host.look_for(view.id) is None
    assert await read(host, view.id) is S.PUBLISHED
    assert len(host.world.notes) == 1


async def test_what_never_arrived_is_failed_after_looking_and_never_sent(host: Harbour) -> None:
    view = await _with_publisher(host, _NeverArrives).publish()
    assert view.status is S.UNCONFIRMED
    looks = 0
    while True:
        again = await host.look_for(view.id)
        if again is None:
            break
        looks += 1
        assert again.at is not None
        host.clock.advance(max(again.at - host.clock.now(), timedelta()))
        assert looks < 50

    publication = await latest(host)
    assert (publication.status, publication.error_code) == (S.FAILED, "not_published")
    assert host.world.notes == {}


async def test_a_look_before_its_time_waits(host: Harbour) -> None:
    view = await _with_publisher(host, _NeverArrives).publish()
    calls = host.world.calls

    assert isinstance(await host.look_for(view.id), LookAgain)
    assert host.world.calls == calls


async def test_a_vendor_that_does_not_answer_in_time_leaves_it_unconfirmed(
    host: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publication_steps, "SENDING", timedelta(milliseconds=50))
    view = await _with_publisher(host, _Hangs).publish()

    assert view.status is S.UNCONFIRMED
    assert (view.steps[-1].name, view.steps[-1].outcome) == ("publish", "timed_out")


async def test_a_plugin_that_breaks_leaves_it_unconfirmed(host: Harbour) -> None:
    """Whether it broke before or after the post left, only looking tells."""
    view = await _with_publisher(host, _Breaks).publish()

    assert view.status is S.UNCONFIRMED


async def test_a_process_that_died_in_between_leaves_a_row_that_is_looked_for_10(host: Harbour) -> None:
    """P10: after the restart the post is found, or failed; it is not sent a second time."""
    asked = asyncio.ensure_future(_with_publisher(host, _SendsThenHangs).publish())
    await _SendsThenHangs.has_sent.wait()
    await _die(host, asked)
    publication = await latest(host)
    assert publication.status is S.PUBLISHING
    assert isinstance(await host.look_for(publication.id), LookAgain), "it may still be at it"

    host.clock.advance(A_LEASE)
    backlog = await host.storage.backlog.unsettled_publications(host.clock.now() - publication_steps.SENDING)
    assert list(backlog) == [(ADMIN.org_id, publication.id)]
    await publishing.nudge_unsettled(host.services)
    await host.look_for(publication.id)
    host.clock.advance(timedelta(seconds=4))
    await host.look_for(publication.id)

    assert await read(host, publication.id) is S.PUBLISHED
    assert len(host.world.notes) == 1


async def test_a_post_that_another_publication_made_is_not_taken_for_ours(host: Harbour) -> None:
    await host.publish("Twice the same")
    lost = await _with_publisher(host, _NeverArrives).publish("Twice the same")
    host.clock.advance(timedelta(seconds=4))

    assert isinstance(await host.look_for(lost.id), LookAgain)
    assert await read(host, lost.id) is S.UNCONFIRMED


async def test_a_lost_twin_of_a_post_is_found_beside_it_a9(host: Harbour) -> None:
    """A9: the earlier one is accounted for; reporting the later one as failed would bring a third."""
    first = await host.publish("Twice the same")
    lost = await _with_publisher(host, _LosesAnswers).publish("Twice the same")
    host.clock.advance(timedelta(seconds=4))

    assert await host.look_for(lost.id) is None
    found = await HANDLERS[GET_PUBLICATION.name](host.call(), GetPublication(id=lost.id))
    assert found.status is S.PUBLISHED
    assert found.external_id not in {None, first.external_id}


async def test_of_two_lost_twins_each_finds_one_post(host: Harbour) -> None:
    lost = [await _with_publisher(host, _LosesAnswers).publish("Twice the same") for _ in range(2)]
    host.clock.advance(timedelta(seconds=4))

    for view in lost:
        assert await host.look_for(view.id) is None
    async with host.storage.unit_of_work(ADMIN.org_id, reads_only=True) as uow:
        found = await uow.publications.latest(limit=2)
    assert {publication.external_id for publication in found} == set(host.world.notes)


async def test_a_twin_that_is_being_published_is_waited_for(host: Harbour) -> None:
    """Its id is not written down yet: the post that we would find may be its."""
    lost = await _with_publisher(host, _NeverArrives).publish("Twice the same")
    asked = asyncio.ensure_future(_with_publisher(host, _SendsThenHangs).publish("Twice the same"))
    await _SendsThenHangs.has_sent.wait()
    host.clock.advance(timedelta(seconds=4))

    assert isinstance(await host.look_for(lost.id), LookAgain)
    assert await read(host, lost.id) is S.UNCONFIRMED
    await _die(host, asked)


# What takes longer than a caller waits ------------------------------------------------------------


async def test_the_caller_is_answered_in_time_and_the_post_is_published_all_the_same(
    host: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slow is not lost: nothing is cut off, and nothing is looked for that was never sent."""
    monkeypatch.setattr(publishing, "BUDGET", timedelta(milliseconds=50))
    view = await _with_publisher(host, _PreparesSlowly).publish()
    assert view.status is S.PENDING
    assert host.world.notes == {}

    _PreparesSlowly.may_go_on.set()
    await _end_of_runs(host)
    assert await read(host, view.id) is S.PUBLISHED
    assert len(host.world.notes) == 1


async def test_an_id_that_we_have_outlasts_a_slow_permalink(
    host: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "BUDGET", timedelta(milliseconds=200))
    view = await _with_publisher(host, _ChecksForever).publish()

    assert (view.status, view.external_id, view.permalink) == (S.PUBLISHED, "note-1", None)
    assert await read(host, view.id) is S.PUBLISHED


async def test_a_process_that_died_while_preparing_leaves_a_post_that_is_run_again_10(host: Harbour) -> None:
    """P10: nothing was sent, so nothing has to be looked for; once the lease is over a job begins again."""
    asked = asyncio.ensure_future(_with_publisher(host, _PreparesSlowly).publish())
    await _PreparesSlowly.has_begun.wait()
    await _die(host, asked)
    publication = await latest(host)
    assert publication.status is S.PENDING
    assert isinstance(await host.look_for(publication.id), LookAgain), "it may still be at it"

    host.clock.advance(A_LEASE)
    backlog = await host.storage.backlog.unsettled_publications(host.clock.now() - publication_steps.SENDING)
    assert list(backlog) == [(ADMIN.org_id, publication.id)]
    assert await host.look_for(publication.id) is None
    assert await read(host, publication.id) is S.PUBLISHED
    assert len(host.world.notes) == 1


async def test_a_run_that_somebody_else_took_over_does_not_send(host: Harbour) -> None:
    """A process that was stopped and wakes again must not publish what another one published."""
    asked = asyncio.ensure_future(_with_publisher(host, _PreparesSlowly).publish())
    await _PreparesSlowly.has_begun.wait()
    publication = await latest(host)
    host.clock.advance(A_LEASE)
    assert await host.look_for(publication.id) is None

    _PreparesSlowly.may_go_on.set()
    assert (await asked).status is S.PUBLISHED
    assert len(host.world.notes) == 1


async def test_a_limit_that_nobody_waits_to_hear_of_is_waited_out(
    host: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The caller was told that it goes on, so it does."""
    monkeypatch.setattr(publishing, "BUDGET", timedelta(milliseconds=50))
    view = await _with_publisher(host, _PreparesSlowly).publish()
    host.world.limit(timedelta(minutes=2))
    _PreparesSlowly.may_go_on.set()
    await _end_of_runs(host)
    publication = await latest(host)
    assert (publication.status, publication.steps[-1].outcome) == (S.PENDING, "rate_limited")

    host.world.clear_up()
    host.clock.advance(timedelta(minutes=2))
    assert await host.look_for(view.id) is None
    assert await read(host, view.id) is S.PUBLISHED


async def test_what_keeps_failing_fails_in_the_end_with_the_last_reason(
    host: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "BUDGET", timedelta(milliseconds=50))
    view = await _with_publisher(host, _PreparesSlowly).publish()
    host.world.go_down()
    _PreparesSlowly.may_go_on.set()
    await _end_of_runs(host)
    for _ in range(100):
        again = await host.look_for(view.id)
        if again is None:
            break
        assert again.at is not None
        host.clock.advance(max(again.at - host.clock.now(), timedelta()))

    publication = await latest(host)
    assert (publication.status, publication.error_code) == (S.FAILED, "unavailable")
    assert host.clock.now() - publication.created_at < timedelta(hours=2)


async def test_a_post_that_cannot_be_begun_because_of_us_is_not_told_as_failed(host: Harbour) -> None:
    """The row says `pending`: a job will publish it, so a caller who heard "failed" would post twice."""
    flaky = _FlakyStorage(host.storage)
    services = attrs.evolve(host.services, storage=cast("Storage", flaky))
    around = Harbour(services, host.storage, host.world, host.clock)
    view = await _with_publisher(around, _PreparesAsTheDatabaseGoes).publish()
    assert view.status is S.PENDING
    assert host.world.notes == {}

    host.clock.advance(A_LEASE)
    assert await host.look_for(view.id) is None
    assert len(host.world.notes) == 1


async def test_a_stopping_process_sends_what_it_sends_and_begins_nothing(host: Harbour) -> None:
    """Drained: the one that prepares is given back, for the next process, at once."""
    asked = asyncio.ensure_future(_with_publisher(host, _PreparesSlowly).publish())
    await _PreparesSlowly.has_begun.wait()
    draining = asyncio.ensure_future(host.services.background.drain())
    await asyncio.sleep(0.01)
    _PreparesSlowly.may_go_on.set()
    await draining
    assert (await asked).status is S.PENDING
    assert host.world.notes == {}

    host.services.background.is_draining = False  # the next process
    assert await host.look_for((await latest(host)).id) is None
    assert len(host.world.notes) == 1


async def test_a_plugin_that_breaks_before_it_sends_published_nothing(host: Harbour) -> None:
    with pytest.raises(ZeroDivisionError):
        await _with_publisher(host, _BreaksBefore).publish()

    publication = await latest(host)
    assert (publication.status, publication.error_code) == (S.FAILED, "internal")


# Drafts and posts for later -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "post",
    [
        PublishPost(channel_external_id=CAFE.id, text="Never", is_draft=True),
        PublishPost(channel_external_id=CAFE.id, text="Later", publish_at=NOON + timedelta(hours=1)),
    ],
)
async def test_a_vendor_without_drafts_is_not_asked_for_one(host: Harbour, post: PublishPost) -> None:
    """It would publish at once what was to be kept."""
    with pytest.raises(UnsupportedError):
        await HANDLERS[PUBLISH.name](host.call(), post)

    assert host.world.notes == {}


async def _planned(host: Harbour) -> Publication:
    post = PublishPost(channel_external_id=CAFE.id, text="Later", publish_at=NOON + timedelta(hours=1))
    await HANDLERS[PUBLISH.name](host.call(), post)
    return await latest(host)


async def test_a_post_for_later_is_scheduled_and_published_once_people_see_it(host: Harbour) -> None:
    later = _with_publisher(host, _KeepsForLater)
    publication = await _planned(later)
    assert (publication.status, publication.external_id) == (S.SCHEDULED, "note-1")
    assert await later.look_for(publication.id) == LookAgain(at=NOON + timedelta(hours=1, seconds=30))

    host.clock.advance(timedelta(hours=1, minutes=1))
    assert await later.look_for(publication.id) is None
    published = await latest(host)
    assert (published.status, published.steps[-1].name) == (S.PUBLISHED, "check")
    assert published.permalink


async def test_a_post_for_later_that_somebody_removed_is_withdrawn(host: Harbour) -> None:
    later = _with_publisher(host, _KeepsForLater)
    publication = await _planned(later)
    host.world.notes.clear()
    host.clock.advance(timedelta(hours=1, minutes=1))

    assert await later.look_for(publication.id) is None
    assert await read(host, publication.id) is S.WITHDRAWN


async def test_a_post_for_later_that_never_comes_out_fails_in_the_end(host: Harbour) -> None:
    later = _with_publisher(host, _KeepsForGood)
    publication = await _planned(later)
    for _ in range(50):
        again = await later.look_for(publication.id)
        if again is None:
            break
        assert again.at is not None
        host.clock.advance(max(again.at - host.clock.now(), timedelta()))

    assert (await latest(host)).error_code == "not_published"


async def test_a_nudge_for_a_post_for_later_that_was_lost_is_made_up_for(host: Harbour) -> None:
    """The sweep finds it a day later; one that is looked after is left alone."""
    later = _with_publisher(host, _KeepsForLater)
    post = PublishPost(channel_external_id=CAFE.id, text="Later", publish_at=NOON + timedelta(days=9))
    view = await HANDLERS[PUBLISH.name](later.call(), post)
    backlog = host.storage.backlog
    assert list(await backlog.unsettled_publications(NOON + timedelta(hours=23))) == []

    host.clock.advance(timedelta(days=1, hours=1))
    assert list(await backlog.unsettled_publications(host.clock.now())) == [(ADMIN.org_id, view.id)]
    await later.look_for(view.id)
    assert list(await backlog.unsettled_publications(host.clock.now())) == []


async def test_a_draft_is_final(host: Harbour) -> None:
    post = PublishPost(channel_external_id=CAFE.id, text="Never", is_draft=True)
    view = await HANDLERS[PUBLISH.name](_with_publisher(host, _KeepsForLater).call(), post)

    assert view.status is S.DRAFT
    assert view.status.is_final


async def test_a_vendor_that_is_down_while_we_look_costs_time_and_no_verdict(host: Harbour) -> None:
    view = await _with_publisher(host, _LosesAnswers).publish()
    host.world.go_down()
    for _ in range(30):
        host.clock.advance(timedelta(minutes=5))
        assert isinstance(await host.look_for(view.id), LookAgain)
    host.world.clear_up()
    host.clock.advance(timedelta(minutes=5))
    await host.look_for(view.id)

    assert await read(host, view.id) is S.PUBLISHED


async def test_a_settled_publication_is_left_alone(host: Harbour) -> None:
    view = await host.publish()
    calls = host.world.calls

    assert await host.look_for(view.id) is None
    assert await host.look_for("nobody") is None
    assert host.world.calls == calls


async def test_a_published_post_that_cannot_be_recorded_is_not_told_as_unsent(host: Harbour) -> None:
    """A 503 would make the caller send it again; the row is put right by looking."""
    flaky = _FlakyStorage(host.storage)
    services = attrs.evolve(host.services, storage=cast("Storage", flaky))
    unlucky = _with_publisher(Harbour(services, host.storage, host.world, host.clock), _LosesDatabase)
    view = await unlucky.publish()
    assert (view.status, view.external_id) == (S.PUBLISHED, "note-1")
    assert await read(host, view.id) is S.PUBLISHING

    host.clock.advance(A_LEASE)
    await host.look_for(view.id)
    host.clock.advance(timedelta(seconds=4))
    await host.look_for(view.id)
    assert await read(host, view.id) is S.PUBLISHED
    assert len(host.world.notes) == 1


async def _die(host: Harbour, asked: "asyncio.Future[PublicationView]") -> None:
    """What a kill does to requests and runs."""
    asked.cancel()
    await host.services.background.drain(timedelta())
    await asyncio.gather(asked, return_exceptions=True)
    host.services.background.is_draining = False  # the next process


async def _end_of_runs(host: Harbour) -> None:
    await asyncio.gather(*host.services.background._tasks)


# Publishers that misbehave ------------------------------------------------------------------------


def _with_publisher(host: Harbour, kind: "type[_Around]") -> Harbour:
    """The same host, but its plugin publishes through `kind`."""
    build = host.vendor.publisher
    assert build is not None

    def publisher(context: VendorContext) -> Publisher:
        return kind(build(context), host)

    capabilities = {**host.vendor.capabilities}
    if issubclass(kind, _KeepsForLater | _KeepsForGood):
        capabilities[Capability.SCHEDULE_POSTS] = Support.FULL
    vendor = attrs.evolve(host.vendor, publisher=publisher, capabilities=capabilities)
    vendors = attrs.evolve(host.services.vendors, by_slug={vendor.slug: vendor})
    return Harbour(attrs.evolve(host.services, vendors=vendors), host.storage, host.world, host.clock)


class _Around:
    """A publisher around the vendor's own."""

    def __init__(self, inner: Publisher, host: Harbour) -> None:
        self.inner = inner
        self.host = host

    async def preflight(self, post: PublishPost) -> Preflight:
        return await self.inner.preflight(post)

    async def prepare(self, post: PublishPost) -> tuple[str, ...]:
        return await self.inner.prepare(post)

    async def publish(self, post: PublishPost, parts: tuple[str, ...] = ()) -> PublishedPost:
        return await self.inner.publish(post, parts)

    async def check(self, channel_external_id: str, external_id: str) -> PostState:
        return await self.inner.check(channel_external_id, external_id)

    async def find(
        self, post: PublishPost, *, since: datetime, known: frozenset[str] = frozenset()
    ) -> PublishedPost | None:
        return await self.inner.find(post, since=since, known=known)

    async def withdraw(self, channel_external_id: str, external_id: str) -> None:
        await self.inner.withdraw(channel_external_id, external_id)


class _LosesAnswers(_Around):
    async def publish(self, post: PublishPost, parts: tuple[str, ...] = ()) -> PublishedPost:
        self.host.world.drop_answers()
        try:
            return await self.inner.publish(post)
        finally:
            self.host.world.clear_up()


class _NeverArrives(_Around):
    async def publish(self, post: PublishPost, parts: tuple[str, ...] = ()) -> PublishedPost:
        raise TimeoutError


class _Hangs(_Around):
    async def publish(self, post: PublishPost, parts: tuple[str, ...] = ()) -> PublishedPost:
        await asyncio.sleep(3600)
        return await self.inner.publish(post)


class _SendsThenHangs(_Around):
    has_sent: ClassVar[asyncio.Event]

    async def publish(self, post: PublishPost, parts: tuple[str, ...] = ()) -> PublishedPost:
        await self.inner.publish(post)
        self.has_sent.set()
        await asyncio.sleep(3600)
        raise AssertionError


class _PreparesSlowly(_Around):
    has_begun: ClassVar[asyncio.Event]
    may_go_on: ClassVar[asyncio.Event]

    async def prepare(self, post: PublishPost) -> tuple[str, ...]:
        self.has_begun.set()
        await self.may_go_on.wait()
        return await self.inner.prepare(post)


class _ChecksForever(_Around):
    async def publish(self, post: PublishPost, parts: tuple[str, ...] = ()) -> PublishedPost:
        return attrs.evolve(await self.inner.publish(post, parts), permalink=None)

    async def check(self, channel_external_id: str, external_id: str) -> PostState:
        await asyncio.sleep(3600)
        return await self.inner.check(channel_external_id, external_id)


class _BreaksBefore(_Around):
    async def prepare(self, post: PublishPost) -> tuple[str, ...]:
        raise ZeroDivisionError


class _KeepsForLater(_Around):
    """The vendor shows nothing before its time."""

    async def check(self, channel_external_id: str, external_id: str) -> PostState:
        state = await self.inner.check(channel_external_id, external_id)
        is_out = self.host.clock.now() >= NOON + timedelta(hours=1)
        return attrs.evolve(state, is_visible=is_out)


class _KeepsForGood(_Around):
    async def check(self, channel_external_id: str, external_id: str) -> PostState:
        return PostState(is_visible=False)


class _PreparesAsTheDatabaseGoes(_Around):
    async def prepare(self, post: PublishPost) -> tuple[str, ...]:
        parts = await self.inner.prepare(post)
        cast("_FlakyStorage", self.host.services.storage).is_out_of_reach = True
        return parts


class _Breaks(_Around):
    async def publish(self, post: PublishPost, parts: tuple[str, ...] = ()) -> PublishedPost:
        raise ZeroDivisionError


class _FlakyStorage:
    """The host's storage, which can go out of reach."""

    def __init__(self, inner: SqlStorage) -> None:
        self._inner = inner
        self.is_out_of_reach = False

    @asynccontextmanager
    async def unit_of_work(self, org_id: str, *, reads_only: bool = False) -> AsyncIterator[UnitOfWork]:
        if self.is_out_of_reach:
            msg = "out of reach"
            raise UnavailableError(msg)
        async with self._inner.unit_of_work(org_id, reads_only=reads_only) as uow:
            yield uow

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)


class _LosesDatabase(_Around):
    async def publish(self, post: PublishPost, parts: tuple[str, ...] = ()) -> PublishedPost:
        published = await self.inner.publish(post)
        cast("_FlakyStorage", self.host.services.storage).is_out_of_reach = True
        return published
