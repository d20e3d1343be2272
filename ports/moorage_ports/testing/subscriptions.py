"""What every `Subscriptions` promises."""

import pytest

from moorage_ports.errors import (
    Hits,
    MissingScopeError,
    RateLimitError,
    ReauthorizationError,
    VendorUnavailableError,
)
from moorage_ports.plugin import Vendor
from moorage_ports.subscriptions import Subscriptions
from moorage_ports.testing.connected import A_WHILE, NEVER_KEPT, Connected, VendorFixtures
from moorage_ports.testing.world import World


class SubscriptionsContract(VendorFixtures):
    """Subclass as `Test<Adapter>`; provide `vendor` and `world`; inherit the promises."""

    @pytest.fixture
    def subscriptions(self, vendor: Vendor, connected: Connected) -> Subscriptions:
        """The subscriptions of an org that one person connected."""
        assert vendor.subscriptions is not None
        return vendor.subscriptions(connected.context)

    async def test_a_subscription_is_read_back(self, subscriptions: Subscriptions, world: World) -> None:
        """What was switched on is on; again is no error."""
        await subscriptions.subscribe(world.channel_external_id)
        await subscriptions.subscribe(world.channel_external_id)

        assert await subscriptions.is_subscribed(world.channel_external_id)

    async def test_an_ended_subscription_is_off(self, subscriptions: Subscriptions, world: World) -> None:
        """What was switched off is off; again is no error."""
        await subscriptions.subscribe(world.channel_external_id)

        await subscriptions.unsubscribe(world.channel_external_id)
        await subscriptions.unsubscribe(world.channel_external_id)

        assert not await subscriptions.is_subscribed(world.channel_external_id)

    async def test_what_is_heard_along_with_a_channel_are_others(
        self, subscriptions: Subscriptions, world: World
    ) -> None:
        """Each once: the channel itself goes without saying."""
        others = await subscriptions.heard_with(world.channel_external_id)

        assert world.channel_external_id not in others
        assert len(set(others)) == len(others)

    async def test_a_channel_without_a_token_hits_the_channel_only(
        self, subscriptions: Subscriptions
    ) -> None:
        """`ReauthorizationError` for one channel says nothing about the others."""
        with pytest.raises(ReauthorizationError) as failure:
            await subscriptions.subscribe(NEVER_KEPT)

        assert failure.value.hits is Hits.CHANNEL

    async def test_revoked_grant_asks_for_reauthorization(
        self, subscriptions: Subscriptions, world: World
    ) -> None:
        """`ReauthorizationError`: no news will come until somebody connects again."""
        await world.revoke_grant()

        with pytest.raises(ReauthorizationError):
            await subscriptions.subscribe(world.channel_external_id)

    async def test_missing_scope_is_told_apart_from_a_lost_grant(
        self, subscriptions: Subscriptions, world: World
    ) -> None:
        """`MissingScopeError`: the grant stands, but does not allow it."""
        await world.withdraw_scopes()

        with pytest.raises(MissingScopeError):
            await subscriptions.subscribe(world.channel_external_id)

    async def test_rate_limit_asks_for_patience(self, subscriptions: Subscriptions, world: World) -> None:
        """`RateLimitError`: the same request goes through later."""
        await world.limit(A_WHILE)

        with pytest.raises(RateLimitError):
            await subscriptions.subscribe(world.channel_external_id)

    async def test_unreachable_vendor_is_not_an_ended_subscription(
        self, subscriptions: Subscriptions, world: World
    ) -> None:
        """`VendorUnavailableError`: not knowing is not `False`."""
        await subscriptions.subscribe(world.channel_external_id)
        await world.go_down()

        with pytest.raises(VendorUnavailableError):
            await subscriptions.is_subscribed(world.channel_external_id)
