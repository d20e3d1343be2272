"""What every `Directory` promises."""

import pytest

from moorage_ports.directory import Directory
from moorage_ports.errors import ReauthorizationError, VendorUnavailableError
from moorage_ports.plugin import Vendor, VendorContext
from moorage_ports.testing.connected import Connected, VendorFixtures, connect
from moorage_ports.testing.world import World
from moorage_ports.token_vault import TokenVault


class DirectoryContract(VendorFixtures):
    """Subclass as `Test<Adapter>`; provide `vendor` and `world`; inherit the promises."""

    @pytest.fixture
    def directory(self, vendor: Vendor, connected: Connected) -> Directory:
        """The directory of an org that one person connected."""
        assert vendor.directory is not None
        return vendor.directory(connected.context)

    async def test_a_channel_that_may_be_chosen_is_offered(self, directory: Directory, world: World) -> None:
        """What the person may connect is there to choose, with a name that people know."""
        offers = {offer.external_id: offer for offer in await directory.channels()}

        assert offers[world.channel_external_id].selectable
        assert offers[world.channel_external_id].name

    async def test_what_can_not_be_chosen_says_why(self, directory: Directory) -> None:
        """A reason stands exactly where something stands in the way."""
        for offer in await directory.channels():
            assert bool(offer.reason) is not offer.selectable

    async def test_a_channel_of_two_grants_is_offered_once(
        self, vendor: Vendor, world: World, connected: Connected
    ) -> None:
        """However many people connected it."""
        assert vendor.directory is not None
        twice = await connect(vendor, world, connected.context)

        ids = [offer.external_id for offer in await vendor.directory(twice.context).channels()]

        assert world.channel_external_id in ids
        assert len(ids) == len(set(ids))

    async def test_a_business_narrows_the_list(self, directory: Directory) -> None:
        """Nothing appears under a business that is not there without it."""
        everything = {offer.external_id for offer in await directory.channels()}

        narrowed = {offer.external_id for offer in await directory.channels("no-such-business")}

        assert narrowed < everything

    async def test_nobody_connected_asks_for_authorization(
        self, vendor: Vendor, context: VendorContext
    ) -> None:
        """`ReauthorizationError`: there is no grant that could be asked."""
        assert vendor.directory is not None

        with pytest.raises(ReauthorizationError):
            await vendor.directory(context).channels()

    async def test_revoked_grant_asks_for_reauthorization(self, directory: Directory, world: World) -> None:
        """`ReauthorizationError`: an empty list would look like an org without channels."""
        await world.revoke_grant()

        with pytest.raises(ReauthorizationError):
            await directory.channels()

    async def test_a_grant_that_ended_does_not_hide_the_others(
        self, vendor: Vendor, vault: TokenVault, world: World, connected: Connected
    ) -> None:
        """What the remaining people may choose is still offered."""
        assert vendor.directory is not None
        twice = await connect(vendor, world, connected.context)
        await vault.forget(connected.grant_id)

        offers = await vendor.directory(twice.context).channels()

        assert world.channel_external_id in {offer.external_id for offer in offers}

    async def test_a_forgotten_grant_is_no_longer_asked(
        self, directory: Directory, vault: TokenVault, connected: Connected
    ) -> None:
        """What the vault forgot, the directory does not know."""
        await vault.forget(connected.grant_id)

        with pytest.raises(ReauthorizationError):
            await directory.channels()

    async def test_unreachable_vendor_is_not_an_empty_list(self, directory: Directory, world: World) -> None:
        """`VendorUnavailableError`: whoever compares lists must not take this for a loss."""
        await world.go_down()

        with pytest.raises(VendorUnavailableError):
            await directory.channels()
