"""What every `TokenVault` promises."""

import asyncio

import attrs
import pytest

from moorage_ports.errors import Hits, ReauthorizationError
from moorage_ports.plugin import Vendor, VendorContext
from moorage_ports.secret import Secret
from moorage_ports.testing.connected import NEVER_KEPT, Connected, VendorFixtures, connect
from moorage_ports.testing.lent import FakeSecretStore
from moorage_ports.testing.world import World
from moorage_ports.token_vault import TokenVault


class TokenVaultContract(VendorFixtures):
    """Subclass as `Test<Adapter>`; provide `vendor` and `world`; inherit the promises."""

    async def test_a_kept_grant_comes_back(self, vault: TokenVault, connected: Connected) -> None:
        """The person's token, and the token of each channel that came with one."""
        assert await vault.grant_token(connected.grant_id) == connected.grant.token
        for channel in connected.grant.channels:
            if channel.token is not None:
                assert await vault.channel_token(channel.offer.external_id) == channel.token

    async def test_the_channel_that_may_be_chosen_has_a_token(
        self, vault: TokenVault, world: World, connected: Connected
    ) -> None:
        """Otherwise nobody could act as it."""
        assert await vault.channel_token(world.channel_external_id)

    async def test_what_was_never_kept_asks_for_authorization(self, vault: TokenVault) -> None:
        """`ReauthorizationError`, and what it hits: one channel, or the whole integration."""
        with pytest.raises(ReauthorizationError) as channel:
            await vault.channel_token(NEVER_KEPT)
        with pytest.raises(ReauthorizationError) as grant:
            await vault.grant_token(NEVER_KEPT)

        assert channel.value.hits is Hits.CHANNEL
        assert grant.value.hits is Hits.INTEGRATION

    async def test_keeping_again_replaces(self, vault: TokenVault, connected: Connected) -> None:
        """A renewed grant is handed out from then on."""
        renewed = attrs.evolve(connected.grant, token=Secret("renewed"))

        await vault.keep(connected.grant_id, renewed)

        assert await vault.grant_token(connected.grant_id) == Secret("renewed")

    async def test_a_forgotten_channel_takes_nothing_with_it(
        self, vault: TokenVault, world: World, connected: Connected
    ) -> None:
        """Its token is gone, the grant is not; forgetting again is no error."""
        await vault.forget_channel(world.channel_external_id)
        await vault.forget_channel(world.channel_external_id)

        with pytest.raises(ReauthorizationError):
            await vault.channel_token(world.channel_external_id)
        assert await vault.grant_token(connected.grant_id) == connected.grant.token

    async def test_a_forgotten_grant_leaves_channels_to_other_grants(
        self, vault: TokenVault, world: World, connected: Connected
    ) -> None:
        """A channel may be covered twice: it is forgotten by name, not along with one of its grants."""
        await vault.forget(connected.grant_id)
        await vault.forget(connected.grant_id)

        with pytest.raises(ReauthorizationError):
            await vault.grant_token(connected.grant_id)
        assert await vault.channel_token(world.channel_external_id)

    async def test_two_grants_kept_at_once_are_both_kept(
        self, vault: TokenVault, vendor: Vendor, world: World, context: VendorContext
    ) -> None:
        """Two people may connect in the same second."""
        grants = [(await connect(vendor, world, context)).grant for _ in range(2)]

        await asyncio.gather(*(vault.keep(f"at-once-{n}", grant) for n, grant in enumerate(grants)))

        for number, grant in enumerate(grants):
            assert await vault.grant_token(f"at-once-{number}") == grant.token

    async def test_nothing_crosses_the_network(
        self, vault: TokenVault, world: World, connected: Connected
    ) -> None:
        """The vault works while the vendor does not."""
        await world.go_down()

        await vault.keep("another", connected.grant)

        assert await vault.grant_token("another") == connected.grant.token
        assert await vault.channel_token(world.channel_external_id)

    async def test_the_person_is_only_inside_what_is_sealed(
        self, connected: Connected, secrets: FakeSecretStore
    ) -> None:
        """Names of secrets are stored in the clear: neither token nor person may stand in them."""
        names = " ".join(f"{ref.owner_type} {ref.owner_id} {ref.field}" for ref in secrets.kept)

        for private in (connected.grant.subject.reveal(), connected.grant.token.reveal()):
            assert private not in names
