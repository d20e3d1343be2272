"""What every `Publisher` promises."""

from datetime import timedelta

import attrs
import pytest

from moorage_ports.errors import (
    Hits,
    MissingScopeError,
    OutcomeUnknownError,
    RateLimitError,
    ReauthorizationError,
    RejectedError,
    VendorNotFoundError,
    VendorUnavailableError,
)
from moorage_ports.plugin import Vendor
from moorage_ports.publisher import Publisher, PublishPost
from moorage_ports.testing.connected import A_WHILE, NEVER_KEPT, Connected, VendorFixtures
from moorage_ports.testing.lent import FakeClock
from moorage_ports.testing.world import PublisherWorld, SchedulingWorld
from moorage_ports.token_vault import TokenVault
from moorage_ports.values import web_url

TEXT = "Fresh bread from seven, – and café au lait ☕"
LATER = timedelta(hours=1)


class _Publishing(VendorFixtures):
    """What the promises of publishing start from."""

    @pytest.fixture
    def publisher(self, vendor: Vendor, connected: Connected) -> Publisher:
        """The publisher of an org that one person connected."""
        assert vendor.publisher is not None
        return vendor.publisher(connected.context)

    @pytest.fixture
    def post(self, world: PublisherWorld) -> PublishPost:
        """A post that the vendor has no reason to refuse."""
        return PublishPost(channel_external_id=world.channel_external_id, text=TEXT)

    async def _times_seen(self, world: PublisherWorld) -> int:
        return sum(TEXT in text for text in await world.texts_on(world.channel_external_id))


class PublisherContract(_Publishing):
    """Subclass as `Test<Adapter>`; provide `vendor` and `world`; inherit the promises."""

    async def test_a_published_post_is_there_once(
        self, publisher: Publisher, world: PublisherWorld, post: PublishPost
    ) -> None:
        """`publish` sends once, and people can read it."""
        published = await publisher.publish(post)

        assert published.external_id
        assert published.permalink is None or web_url(published.permalink)
        assert await self._times_seen(world) == 1

    async def test_two_posts_have_two_ids(self, publisher: Publisher, post: PublishPost) -> None:
        """An external id names one post."""
        first, second = await publisher.publish(post), await publisher.publish(post)

        assert first.external_id != second.external_id

    async def test_preparing_shows_nothing_to_anybody(
        self, publisher: Publisher, world: PublisherWorld, post: PublishPost
    ) -> None:
        """`prepare` may be done again, and what it answers is what `publish` takes."""
        await publisher.prepare(post)
        parts = await publisher.prepare(post)

        assert await self._times_seen(world) == 0
        await publisher.publish(post, parts)
        assert await self._times_seen(world) == 1

    async def test_a_published_post_can_be_checked(self, publisher: Publisher, post: PublishPost) -> None:
        """`check` says that people see it, and where."""
        published = await publisher.publish(post)

        state = await publisher.check(post.channel_external_id, published.external_id)

        assert state.is_visible
        assert state.permalink is None or web_url(state.permalink)

    async def test_a_post_that_is_gone_is_not_found(self, publisher: Publisher, post: PublishPost) -> None:
        """`VendorNotFoundError`: somebody took it down."""
        published = await publisher.publish(post)
        await publisher.withdraw(post.channel_external_id, published.external_id)

        with pytest.raises(VendorNotFoundError):
            await publisher.check(post.channel_external_id, published.external_id)

    async def test_preflight_changes_nothing(
        self, publisher: Publisher, world: PublisherWorld, post: PublishPost
    ) -> None:
        """Looking ahead publishes nothing, and finds nothing wrong with a plain post."""
        ahead = await publisher.preflight(post)

        assert ahead.problems == ()
        assert await self._times_seen(world) == 0

    async def test_preflight_without_a_token_asks_for_reauthorization(
        self, publisher: Publisher, vault: TokenVault, post: PublishPost
    ) -> None:
        """What can't be published is said before it is tried."""
        await vault.forget_channel(post.channel_external_id)

        with pytest.raises(ReauthorizationError):
            await publisher.preflight(post)

    async def test_a_channel_without_a_token_hits_the_channel_only(
        self, publisher: Publisher, world: PublisherWorld
    ) -> None:
        """One channel that is gone says nothing about the others."""
        with pytest.raises(ReauthorizationError) as failure:
            await publisher.publish(PublishPost(channel_external_id=NEVER_KEPT, text=TEXT))

        assert failure.value.hits is Hits.CHANNEL

    async def test_revoked_grant_asks_for_reauthorization(
        self, publisher: Publisher, world: PublisherWorld, post: PublishPost, vendor: Vendor
    ) -> None:
        """`ReauthorizationError`: the grant is gone, nothing was published."""
        await world.revoke_grant()

        with pytest.raises(ReauthorizationError) as failure:
            await publisher.publish(post)

        assert failure.value.vendor == vendor.slug
        assert await self._times_seen(world) == 0

    async def test_missing_scope_is_told_apart_from_a_lost_grant(
        self, publisher: Publisher, world: PublisherWorld, post: PublishPost
    ) -> None:
        """`MissingScopeError`: connecting again without allowing more would not help."""
        await world.withdraw_scopes()

        with pytest.raises(MissingScopeError):
            await publisher.publish(post)

        assert await self._times_seen(world) == 0

    async def test_refused_content_is_the_authors_to_change(
        self, publisher: Publisher, world: PublisherWorld, post: PublishPost
    ) -> None:
        """`RejectedError`: the same request will be refused again."""
        await world.refuse_content()

        with pytest.raises(RejectedError):
            await publisher.publish(post)

        assert await self._times_seen(world) == 0

    async def test_rate_limit_published_nothing_and_passes(
        self, publisher: Publisher, world: PublisherWorld, post: PublishPost
    ) -> None:
        """`RateLimitError`: wait, then the same request goes through."""
        await world.limit(A_WHILE)

        with pytest.raises(RateLimitError) as failure:
            await publisher.publish(post)

        assert failure.value.retry_after is None or timedelta() <= failure.value.retry_after
        assert await self._times_seen(world) == 0

    async def test_unreachable_vendor_published_nothing(
        self, publisher: Publisher, world: PublisherWorld, post: PublishPost
    ) -> None:
        """`VendorUnavailableError`: it did not get through, and may be sent again."""
        await world.go_down()

        with pytest.raises(VendorUnavailableError):
            await publisher.publish(post)

        await world.clear_up()
        await publisher.publish(post)
        assert await self._times_seen(world) == 1

    async def test_lost_answer_is_never_reported_as_failure(
        self, publisher: Publisher, world: PublisherWorld, post: PublishPost
    ) -> None:
        """`OutcomeUnknownError`: the post may be there, so nobody may be told that it is not."""
        await world.drop_answers()

        with pytest.raises(OutcomeUnknownError):
            await publisher.publish(post)

    async def test_lost_answer_is_settled_by_looking(
        self, publisher: Publisher, world: PublisherWorld, post: PublishPost, clock: FakeClock
    ) -> None:
        """`find` sees what the lost answer would have said, and no second post comes of it."""
        since = clock.now() - A_WHILE
        await world.drop_answers()
        with pytest.raises(OutcomeUnknownError):
            await publisher.publish(post)
        await world.clear_up()

        found = await publisher.find(post, since=since)

        assert found is not None
        assert await self._times_seen(world) == 1

    async def test_find_names_the_post_that_publish_named(
        self, publisher: Publisher, post: PublishPost, clock: FakeClock
    ) -> None:
        """Both ways of learning the id agree."""
        published = await publisher.publish(post)

        found = await publisher.find(post, since=clock.now() - A_WHILE)

        assert found is not None
        assert found.external_id == published.external_id

    async def test_find_tells_twins_apart(
        self, publisher: Publisher, world: PublisherWorld, post: PublishPost, clock: FakeClock
    ) -> None:
        """A post that is accounted for answers for nothing else: a lost twin of it is found beside it."""
        since = clock.now() - A_WHILE
        first = (await publisher.publish(post)).external_id
        assert await publisher.find(post, since=since, known=frozenset({first})) is None
        await world.drop_answers()
        with pytest.raises(OutcomeUnknownError):
            await publisher.publish(post)
        await world.clear_up()

        twin = await publisher.find(post, since=since, known=frozenset({first}))

        assert twin is not None
        assert twin.external_id != first
        known = frozenset({first, twin.external_id})
        assert await publisher.find(post, since=since, known=known) is None

    async def test_find_tells_links_apart(
        self, publisher: Publisher, post: PublishPost, clock: FakeClock
    ) -> None:
        """The same words about something else are another post."""
        since = clock.now() - A_WHILE
        spring = attrs.evolve(post, link="https://shop.example/spring?a=1")
        autumn = attrs.evolve(post, link="https://shop.example/autumn?a=1")
        published = await publisher.publish(spring)

        assert await publisher.find(autumn, since=since) is None
        found = await publisher.find(spring, since=since)
        assert found is not None
        assert found.external_id == published.external_id

    async def test_find_does_not_take_another_post_for_it(
        self, publisher: Publisher, post: PublishPost, clock: FakeClock
    ) -> None:
        """A post that was never sent is not found, whatever else hangs there."""
        await publisher.publish(post)
        other = PublishPost(channel_external_id=post.channel_external_id, text=f"{TEXT} (and cake)")

        assert await publisher.find(other, since=clock.now() - A_WHILE) is None

    async def test_find_does_not_look_before_since(
        self, publisher: Publisher, post: PublishPost, clock: FakeClock
    ) -> None:
        """Last week's identical post is not this one."""
        await publisher.publish(post)

        assert await publisher.find(post, since=clock.now() + A_WHILE) is None

    async def test_withdrawn_post_is_gone(
        self, publisher: Publisher, world: PublisherWorld, post: PublishPost
    ) -> None:
        """`withdraw` takes it down; doing it again is no error."""
        published = await publisher.publish(post)

        await publisher.withdraw(post.channel_external_id, published.external_id)
        await publisher.withdraw(post.channel_external_id, published.external_id)

        assert await self._times_seen(world) == 0


class SchedulingContract(_Publishing):
    """For vendors that keep posts for later, and drafts; `world` has to be a `SchedulingWorld`."""

    async def test_a_post_for_later_is_seen_when_its_time_has_come(
        self, publisher: Publisher, world: SchedulingWorld, post: PublishPost, clock: FakeClock
    ) -> None:
        """Not before, and then without anybody doing anything."""
        planned = attrs.evolve(post, publish_at=clock.now() + LATER)
        kept = await publisher.publish(planned)

        assert await self._times_seen(world) == 0
        assert not (await publisher.check(post.channel_external_id, kept.external_id)).is_visible
        await world.pass_time(LATER + timedelta(minutes=1))
        assert await self._times_seen(world) == 1
        assert (await publisher.check(post.channel_external_id, kept.external_id)).is_visible

    @pytest.mark.parametrize("passes", [timedelta(), 2 * LATER], ids=["while it waits", "when it is out"])
    async def test_a_lost_answer_about_a_post_for_later_is_settled_by_looking(
        self,
        publisher: Publisher,
        world: SchedulingWorld,
        post: PublishPost,
        clock: FakeClock,
        passes: timedelta,
    ) -> None:
        """`find` knows it among what waits, and once it is out."""
        since = clock.now() - A_WHILE
        planned = attrs.evolve(post, publish_at=clock.now() + LATER)
        await world.drop_answers()
        with pytest.raises(OutcomeUnknownError):
            await publisher.publish(planned)
        await world.clear_up()
        await world.pass_time(passes)

        found = await publisher.find(planned, since=since)

        assert found is not None
        assert await publisher.find(planned, since=since, known=frozenset({found.external_id})) is None

    async def test_a_post_for_another_time_is_another_post(
        self, publisher: Publisher, post: PublishPost, clock: FakeClock
    ) -> None:
        """The same words, planned twice."""
        since = clock.now() - A_WHILE
        await publisher.publish(attrs.evolve(post, publish_at=clock.now() + LATER))

        other = attrs.evolve(post, publish_at=clock.now() + 2 * LATER)
        assert await publisher.find(other, since=since) is None

    async def test_a_draft_is_seen_by_nobody(
        self, publisher: Publisher, world: SchedulingWorld, post: PublishPost
    ) -> None:
        """The vendor keeps it, whatever time passes."""
        kept = await publisher.publish(attrs.evolve(post, is_draft=True))
        await world.pass_time(2 * LATER)

        assert kept.external_id
        assert not (await publisher.check(post.channel_external_id, kept.external_id)).is_visible
        assert await self._times_seen(world) == 0

    async def test_a_post_for_later_can_be_withdrawn(
        self, publisher: Publisher, world: SchedulingWorld, post: PublishPost, clock: FakeClock
    ) -> None:
        """Then it never comes out."""
        kept = await publisher.publish(attrs.evolve(post, publish_at=clock.now() + LATER))

        await publisher.withdraw(post.channel_external_id, kept.external_id)
        await world.pass_time(2 * LATER)

        assert await self._times_seen(world) == 0
