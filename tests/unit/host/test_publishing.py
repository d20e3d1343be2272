"""Publishing: once, whatever happens between the record and the answer."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import ClassVar, cast

import attrs
import pytest

from moorage.operations import publishing
from moorage.operations.handlers import HANDLERS
from moorage.services import Caller
from moorage_adapters.memory.things import WRITE_NOTES
from moorage_adapters.memory.world import BOOKS, CAFE
from moorage_adapters.sqlmodel.storage import SqlStorage
from moorage_ports.errors import (
    InvalidRequestError,
    MissingScopeError,
    NotConnectedError,
    NotFoundError,
    RateLimitError,
    ReauthorizationError,
    RejectedError,
    UnavailableError,
    VendorUnavailableError,
)
from moorage_ports.integrations import IntegrationStatus
from moorage_ports.jobs import LookAgain
from moorage_ports.operations import GET_PUBLICATION, PUBLISH, GetPublication, PublicationStatus, Role
from moorage_ports.plugin import VendorContext
from moorage_ports.publications import Publication
from moorage_ports.publisher import Preflight, PublishedPost, Publisher, PublishPost
from moorage_ports.storage import Storage, UnitOfWork
from tests.support.harbour import ADMIN, Harbour, harbour

S = PublicationStatus


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Harbour]:
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
    assert [step.name for step in view.steps] == ["publish", "publish"]
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
    monkeypatch.setattr(publishing, "BUDGET", timedelta(milliseconds=50))
    view = await _with_publisher(host, _Hangs).publish()

    assert view.status is S.UNCONFIRMED


async def test_a_plugin_that_breaks_leaves_it_unconfirmed(host: Harbour) -> None:
    """Whether it broke before or after the post left, only looking tells."""
    view = await _with_publisher(host, _Breaks).publish()

    assert view.status is S.UNCONFIRMED


async def test_a_process_that_died_in_between_leaves_a_row_that_is_looked_for_10(host: Harbour) -> None:
    """P10: after the restart the post is found, or failed; it is not sent a second time."""
    died = asyncio.ensure_future(_with_publisher(host, _SendsThenHangs).publish())
    await _SendsThenHangs.has_sent.wait()
    died.cancel()
    await asyncio.gather(died, return_exceptions=True)
    publication = await latest(host)
    assert publication.status is S.PUBLISHING
    assert isinstance(await host.look_for(publication.id), LookAgain), "it may still be at it"

    host.clock.advance(publishing.GIVEN_UP + timedelta(seconds=1))
    backlog = await host.storage.backlog.unsettled_publications(host.clock.now() - publishing.GIVEN_UP)
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

    host.clock.advance(publishing.GIVEN_UP + timedelta(seconds=1))
    await host.look_for(view.id)
    host.clock.advance(timedelta(seconds=4))
    await host.look_for(view.id)
    assert await read(host, view.id) is S.PUBLISHED
    assert len(host.world.notes) == 1


# Publishers that misbehave ------------------------------------------------------------------------


def _with_publisher(host: Harbour, kind: "type[_Around]") -> Harbour:
    """The same host, but its plugin publishes through `kind`."""
    build = host.vendor.publisher
    assert build is not None

    def publisher(context: VendorContext) -> Publisher:
        return kind(build(context), host)

    vendor = attrs.evolve(host.vendor, publisher=publisher)
    vendors = attrs.evolve(host.services.vendors, by_slug={vendor.slug: vendor})
    return Harbour(attrs.evolve(host.services, vendors=vendors), host.storage, host.world, host.clock)


class _Around:
    """A publisher around the vendor's own."""

    def __init__(self, inner: Publisher, host: Harbour) -> None:
        self.inner = inner
        self.host = host

    async def preflight(self, post: PublishPost) -> Preflight:
        return await self.inner.preflight(post)

    async def publish(self, post: PublishPost) -> PublishedPost:
        return await self.inner.publish(post)

    async def find(self, post: PublishPost, *, since: datetime) -> PublishedPost | None:
        return await self.inner.find(post, since=since)

    async def withdraw(self, channel_external_id: str, external_id: str) -> None:
        await self.inner.withdraw(channel_external_id, external_id)


class _LosesAnswers(_Around):
    async def publish(self, post: PublishPost) -> PublishedPost:
        self.host.world.drop_answers()
        try:
            return await self.inner.publish(post)
        finally:
            self.host.world.clear_up()


class _NeverArrives(_Around):
    async def publish(self, post: PublishPost) -> PublishedPost:
        raise TimeoutError


class _Hangs(_Around):
    async def publish(self, post: PublishPost) -> PublishedPost:
        await asyncio.sleep(3600)
        return await self.inner.publish(post)


class _SendsThenHangs(_Around):
    has_sent: ClassVar[asyncio.Event] = asyncio.Event()

    async def publish(self, post: PublishPost) -> PublishedPost:
        await self.inner.publish(post)
        self.has_sent.set()
        await asyncio.sleep(3600)
        raise AssertionError


class _Breaks(_Around):
    async def publish(self, post: PublishPost) -> PublishedPost:
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
    async def publish(self, post: PublishPost) -> PublishedPost:
        published = await self.inner.publish(post)
        cast("_FlakyStorage", self.host.services.storage).is_out_of_reach = True
        return published
