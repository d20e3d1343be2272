"""What every `Authorizer` promises."""

import re
from collections.abc import Mapping

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage_ports.authorizer import Authorizer, Consented, Refused
from moorage_ports.capabilities import Support
from moorage_ports.errors import (
    InvalidCodeError,
    InvalidRequestError,
    OutcomeUnknownError,
    ReauthorizationError,
    RejectedError,
    VendorUnavailableError,
)
from moorage_ports.plugin import Vendor, VendorContext
from moorage_ports.secret import Secret
from moorage_ports.testing.connected import (
    NEVER_KEPT,
    REDIRECT_URI,
    Connected,
    VendorFixtures,
    consented,
    request_for,
)
from moorage_ports.testing.inputs import inherited, return_queries
from moorage_ports.testing.lent import FakeClock
from moorage_ports.testing.world import World
from moorage_ports.values import web_url

A_CODE = re.compile(r"[a-z0-9_]{1,64}")


class AuthorizerContract(VendorFixtures):
    """Subclass as `Test<Adapter>`; provide `vendor` and `world`; inherit the promises."""

    @pytest.fixture
    def authorizer(self, vendor: Vendor, context: VendorContext) -> Authorizer:
        """The authorizer of one org."""
        assert vendor.authorizer is not None
        return vendor.authorizer(context)

    # The app

    async def test_an_app_is_proven_by_its_secret(
        self, authorizer: Authorizer, context: VendorContext
    ) -> None:
        """The vendor names the app itself: its id is not taken from whoever claims to own it."""
        assert (await authorizer.prove_app()).app_id == context.app.app_id

    async def test_a_wrong_secret_proves_nothing(self, vendor: Vendor, context: VendorContext) -> None:
        """`RejectedError`: else anybody could take deliveries in anybody's name."""
        assert vendor.authorizer is not None
        guessed = attrs.evolve(context.app, secrets=(Secret("0123456789abcdef" * 2),))

        with pytest.raises(RejectedError):
            await vendor.authorizer(attrs.evolve(context, app=guessed)).prove_app()

    async def test_unreachable_vendor_is_no_wrong_secret(self, authorizer: Authorizer, world: World) -> None:
        """`VendorUnavailableError`: nobody goes and resets a secret because the vendor had a bad day."""
        await world.go_down()

        with pytest.raises(VendorUnavailableError):
            await authorizer.prove_app()

    # Asking

    def test_capabilities_bring_the_scopes_they_need(self, authorizer: Authorizer, vendor: Vendor) -> None:
        """What was left out is added, and reported; what was asked for is not called added."""
        wanted = [
            capability for capability, support in vendor.capabilities.items() if support is Support.FULL
        ]

        silent = authorizer.plan_scopes(None, wanted)
        outspoken = authorizer.plan_scopes(silent.scopes, wanted)

        assert silent.scopes == silent.added
        assert len(set(silent.scopes)) == len(silent.scopes)
        assert (outspoken.scopes, outspoken.added) == (silent.scopes, ())

    def test_an_unknown_scope_is_refused(self, authorizer: Authorizer) -> None:
        """`InvalidRequestError`, before a person is sent to a page that would only confuse them."""
        with pytest.raises(InvalidRequestError):
            authorizer.plan_scopes(["no_such_scope_anywhere"], [])

    def test_the_address_is_one_and_holds_no_secret(
        self, authorizer: Authorizer, vendor: Vendor, world: World
    ) -> None:
        """It passes through browsers, proxies and histories."""
        url = authorizer.authorization_url(request_for(authorizer, vendor))

        assert web_url(url)
        assert world.app.secret.reveal() not in url

    async def test_the_state_comes_back(self, authorizer: Authorizer, vendor: Vendor, world: World) -> None:
        """The host knows its own visitor by it."""
        request = request_for(authorizer, vendor)

        query = await world.consent(authorizer.authorization_url(request))

        assert query["state"] == request.state

    # What came back

    async def test_yes_and_no_are_understood(
        self, authorizer: Authorizer, vendor: Vendor, world: World
    ) -> None:
        """A person's no is an answer, not a failure."""
        url = authorizer.authorization_url(request_for(authorizer, vendor))

        yes = authorizer.read_return(await world.consent(url))
        no = authorizer.read_return(await world.decline(url))

        assert isinstance(yes, Consented)
        assert isinstance(no, Refused)
        assert A_CODE.fullmatch(no.reason)

    @inherited
    @given(query=return_queries | st.dictionaries(st.text(), st.text()))
    def test_any_query_is_read_as_a_yes_or_a_no(
        self, authorizer: Authorizer, query: Mapping[str, str]
    ) -> None:
        """Anybody can call the return address with anything; a refusal is a short code, never their prose."""
        said = authorizer.read_return(query)

        assert isinstance(said, Consented) or A_CODE.fullmatch(said.reason)

    # Redeeming

    async def test_a_code_becomes_a_grant(
        self, authorizer: Authorizer, vendor: Vendor, world: World, clock: FakeClock
    ) -> None:
        """With all that was allowed, and a token for the channel that may be chosen."""
        request = request_for(authorizer, vendor)

        grant = await authorizer.redeem(await consented(authorizer, vendor, world), REDIRECT_URI)

        assert set(grant.granted_scopes) == set(request.scopes)
        assert grant.expires_at is None or grant.expires_at > clock.now()
        tokens = {channel.offer.external_id: channel.token for channel in grant.channels}
        assert tokens[world.channel_external_id]

    async def test_a_grant_is_not_printed(self, authorizer: Authorizer, vendor: Vendor, world: World) -> None:
        """Neither its tokens nor the person."""
        grant = await authorizer.redeem(await consented(authorizer, vendor, world), REDIRECT_URI)

        printed = repr(grant)
        private = [grant.token.reveal(), grant.subject.reveal(), *grant.profile.values()]
        private += [channel.token.reveal() for channel in grant.channels if channel.token]
        assert not any(value in printed for value in private if value)

    async def test_a_declined_scope_is_not_granted(
        self, authorizer: Authorizer, vendor: Vendor, world: World
    ) -> None:
        """People may say yes to some of it: what was left out is known from the first day."""
        request = request_for(authorizer, vendor)
        left_out = request.scopes[-1]
        said = authorizer.read_return(
            await world.consent(authorizer.authorization_url(request), without=[left_out])
        )
        assert isinstance(said, Consented)

        grant = await authorizer.redeem(said.code, REDIRECT_URI)

        assert left_out not in grant.granted_scopes

    async def test_a_code_is_good_once(self, authorizer: Authorizer, vendor: Vendor, world: World) -> None:
        """`InvalidCodeError`: used up."""
        code = await consented(authorizer, vendor, world)
        await authorizer.redeem(code, REDIRECT_URI)

        with pytest.raises(InvalidCodeError):
            await authorizer.redeem(code, REDIRECT_URI)

    async def test_a_made_up_code_is_worth_nothing(self, authorizer: Authorizer) -> None:
        """`InvalidCodeError`: whoever guesses gets no grant."""
        with pytest.raises(InvalidCodeError):
            await authorizer.redeem(Secret("made-up"), REDIRECT_URI)

    async def test_a_code_belongs_to_its_return_address(
        self, authorizer: Authorizer, vendor: Vendor, world: World
    ) -> None:
        """`InvalidCodeError`: a code caught elsewhere is not ours (RFC 6749, 4.1.3)."""
        code = await consented(authorizer, vendor, world)

        with pytest.raises(InvalidCodeError):
            await authorizer.redeem(code, f"{REDIRECT_URI}/elsewhere")

    async def test_unreachable_vendor_leaves_the_code_good(
        self, authorizer: Authorizer, vendor: Vendor, world: World
    ) -> None:
        """`VendorUnavailableError`: the same code may be tried again."""
        code = await consented(authorizer, vendor, world)
        await world.go_down()
        with pytest.raises(VendorUnavailableError):
            await authorizer.redeem(code, REDIRECT_URI)
        await world.clear_up()

        assert (await authorizer.redeem(code, REDIRECT_URI)).token

    async def test_lost_answer_leaves_the_code_in_doubt(
        self, authorizer: Authorizer, vendor: Vendor, world: World
    ) -> None:
        """`OutcomeUnknownError`: the code may be spent."""
        code = await consented(authorizer, vendor, world)
        await world.drop_answers()

        with pytest.raises(OutcomeUnknownError):
            await authorizer.redeem(code, REDIRECT_URI)

    # Afterwards

    async def test_a_standing_grant_is_valid(self, authorizer: Authorizer, connected: Connected) -> None:
        """Inspecting says what redeeming said."""
        state = await authorizer.inspect(connected.grant_id)

        assert state.is_valid
        assert set(state.granted_scopes) == set(connected.grant.granted_scopes)

    async def test_a_removed_app_shows(
        self, authorizer: Authorizer, world: World, connected: Connected
    ) -> None:
        """A grant that ended is a state, not an error: the daily look must be able to say so."""
        await world.revoke_grant()

        assert not (await authorizer.inspect(connected.grant_id)).is_valid

    async def test_inspecting_what_was_never_kept_asks_for_authorization(
        self, authorizer: Authorizer
    ) -> None:
        """`ReauthorizationError`."""
        with pytest.raises(ReauthorizationError):
            await authorizer.inspect(NEVER_KEPT)

    async def test_unreachable_vendor_is_not_an_ended_grant(
        self, authorizer: Authorizer, world: World, connected: Connected
    ) -> None:
        """`VendorUnavailableError`: nobody is disconnected because the vendor had a bad day."""
        await world.go_down()

        with pytest.raises(VendorUnavailableError):
            await authorizer.inspect(connected.grant_id)

    async def test_a_revoked_grant_is_over(self, authorizer: Authorizer, connected: Connected) -> None:
        """At the vendor, not only with us; again is no error."""
        await authorizer.revoke(connected.grant_id)
        await authorizer.revoke(connected.grant_id)

        assert not (await authorizer.inspect(connected.grant_id)).is_valid
