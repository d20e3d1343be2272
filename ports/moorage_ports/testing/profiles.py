"""What every `Profiles` promises."""

import logging

import pytest

from moorage_ports.errors import (
    Hits,
    MissingScopeError,
    RateLimitError,
    ReauthorizationError,
    VendorUnavailableError,
)
from moorage_ports.events import Person
from moorage_ports.plugin import Vendor
from moorage_ports.profiles import Profiles
from moorage_ports.testing.connected import A_WHILE, NEVER_KEPT, Connected, VendorFixtures
from moorage_ports.testing.world import ProfilesWorld


class ProfilesContract(VendorFixtures):
    """Subclass as `Test<Adapter>`; provide `vendor` and `world`; inherit the promises."""

    @pytest.fixture
    def profiles(self, vendor: Vendor, connected: Connected) -> Profiles:
        """Who writes to an org whose channels one person connected."""
        assert vendor.profiles is not None
        return vendor.profiles(connected.context)

    async def test_who_wrote_has_a_name(self, profiles: Profiles, world: ProfilesWorld) -> None:
        """It is the same person, under the same id; nobody who asks twice hears something else."""
        writer = await world.write("Do you open on Sunday?")

        told = await profiles.person(world.channel_external_id, writer)

        assert told is not None
        assert (told.external_id, told.realm) == (writer.external_id, writer.realm)
        assert told.name == await world.name_of_writer()
        assert await profiles.person(world.channel_external_id, writer) == told

    async def test_nobody_hears_of_being_looked_up(self, profiles: Profiles, world: ProfilesWorld) -> None:
        """Asking writes nothing to anybody."""
        writer = await world.write("Do you open on Sunday?")

        await profiles.person(world.channel_external_id, writer)

        assert await world.messages_got() == []

    async def test_who_hides_has_none(self, profiles: Profiles, world: ProfilesWorld) -> None:
        """An answer, and no failure: whoever hears one tries again and again."""
        writer = await world.write("Do you open on Sunday?")
        await world.hide_writer()

        assert await profiles.person(world.channel_external_id, writer) is None

    async def test_a_stranger_has_none(self, profiles: Profiles, world: ProfilesWorld) -> None:
        """Nor has somebody whom the vendor does not know (any more)."""
        realm = (await world.write("Hello")).realm

        stranger = Person(external_id=NEVER_KEPT, realm=realm)

        assert await profiles.person(world.channel_external_id, stranger) is None

    async def test_what_people_are_called_stands_in_no_log(
        self, profiles: Profiles, world: ProfilesWorld, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Nor in how a person is printed."""
        caplog.set_level(logging.DEBUG)

        told = await profiles.person(world.channel_external_id, await world.write("Hello"))

        name = await world.name_of_writer()
        assert name
        for said in (repr(told), *(entry.getMessage() for entry in caplog.records)):
            assert name not in said

    # Weather -----------------------------------------------------------------------------------

    async def test_without_an_answer_it_may_be_asked_again(
        self, profiles: Profiles, world: ProfilesWorld
    ) -> None:
        """`VendorUnavailableError`, whether the question or the answer got lost; never "has no name"."""
        writer = await world.write("Hello")
        await world.go_down()
        with pytest.raises(VendorUnavailableError):
            await profiles.person(world.channel_external_id, writer)
        await world.clear_up()
        await world.drop_answers()
        with pytest.raises(VendorUnavailableError):
            await profiles.person(world.channel_external_id, writer)
        await world.clear_up()

        assert await profiles.person(world.channel_external_id, writer) is not None

    async def test_a_channel_without_a_token_hits_the_channel_only(
        self, profiles: Profiles, world: ProfilesWorld
    ) -> None:
        """`ReauthorizationError` for one channel says nothing about the others."""
        writer = await world.write("Hello")
        somebody = Person(external_id=writer.external_id, realm=_realm_of(world, writer))

        with pytest.raises(ReauthorizationError) as failure:
            await profiles.person(NEVER_KEPT, somebody)
        assert failure.value.hits is Hits.CHANNEL

    async def test_a_revoked_grant_asks_for_reauthorization(
        self, profiles: Profiles, world: ProfilesWorld
    ) -> None:
        """`ReauthorizationError`, and not "has no name": that would be believed for weeks."""
        writer = await world.write("Hello")
        await world.revoke_grant()

        with pytest.raises(ReauthorizationError):
            await profiles.person(world.channel_external_id, writer)

    async def test_a_missing_scope_is_told_apart_from_a_lost_grant(
        self, profiles: Profiles, world: ProfilesWorld
    ) -> None:
        """`MissingScopeError`: the grant stands, but was given without this."""
        writer = await world.write("Hello")
        await world.withdraw_scopes()

        with pytest.raises(MissingScopeError) as failure:
            await profiles.person(world.channel_external_id, writer)
        assert failure.value.remedy

    async def test_a_rate_limit_asks_for_patience(self, profiles: Profiles, world: ProfilesWorld) -> None:
        """`RateLimitError`, with how long."""
        writer = await world.write("Hello")
        await world.limit(A_WHILE)

        with pytest.raises(RateLimitError) as failure:
            await profiles.person(world.channel_external_id, writer)
        assert failure.value.retry_after == A_WHILE


def _realm_of(world: ProfilesWorld, writer: Person) -> str:
    """Ids that mean something on one channel only are looked up as that channel's."""
    return NEVER_KEPT if writer.realm == world.channel_external_id else writer.realm
