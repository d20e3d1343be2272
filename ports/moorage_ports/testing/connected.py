"""The common start of most promises: a vendor, what it is lent, and one person's grant kept in its vault."""

from datetime import timedelta
from typing import Final
from uuid import uuid4

import attrs
import pytest

from moorage_ports.authorizer import AuthorizationRequest, Authorizer, Consented, RedeemedGrant
from moorage_ports.capabilities import Support
from moorage_ports.http import HttpClient
from moorage_ports.plugin import Vendor, VendorContext, VendorSettings
from moorage_ports.secret import Secret
from moorage_ports.testing.contract import Contract
from moorage_ports.testing.lent import FakeClock, FakeGovernor, FakeHttp, FakeSecretStore
from moorage_ports.testing.world import World
from moorage_ports.token_vault import TokenVault

REDIRECT_URI: Final = "https://host.example/connect/oauth2callback"
A_WHILE: Final = timedelta(minutes=7)
NEVER_KEPT: Final = "9999999999"


@attrs.frozen(kw_only=True)
class Connected:
    """A grant that stands, under which name it is kept, and what is lent from then on."""

    grant_id: str
    grant: RedeemedGrant = attrs.field(repr=False)
    context: VendorContext = attrs.field(repr=False)


def request_for(authorizer: Authorizer, vendor: Vendor) -> AuthorizationRequest:
    """A visit to the consent page that asks for all the vendor fully supports."""
    wanted = [capability for capability, support in vendor.capabilities.items() if support is Support.FULL]
    plan = authorizer.plan_scopes(None, wanted)
    return AuthorizationRequest(state=f"state-{uuid4().hex}", redirect_uri=REDIRECT_URI, scopes=plan.scopes)


async def consented(authorizer: Authorizer, vendor: Vendor, world: World) -> Secret:
    """The code that a person's yes brings."""
    url = authorizer.authorization_url(request_for(authorizer, vendor))
    said = authorizer.read_return(await world.consent(url))
    assert isinstance(said, Consented), "the person said yes, and read_return did not understand it"
    return said.code


async def connect(vendor: Vendor, world: World, context: VendorContext) -> Connected:
    """Connect as the host does: consent, redeem, keep."""
    assert vendor.authorizer is not None
    assert vendor.token_vault is not None
    authorizer = vendor.authorizer(context)
    grant = await authorizer.redeem(await consented(authorizer, vendor, world), REDIRECT_URI)
    grant_id = f"grant-{uuid4().hex}"
    await vendor.token_vault(context).keep(grant_id, grant)
    lent = attrs.evolve(context, grant_ids=(*context.grant_ids, grant_id))
    return Connected(grant_id=grant_id, grant=grant, context=lent)


class VendorFixtures(Contract):
    """Provide `vendor` and `world`; override `http` and `settings` if your vendor is reached through them."""

    @pytest.fixture
    def clock(self) -> FakeClock:
        """Time that stands still."""
        return FakeClock()

    @pytest.fixture
    def http(self) -> HttpClient:
        """No network."""
        return FakeHttp()

    @pytest.fixture
    def settings(self, vendor: Vendor) -> VendorSettings:
        """The vendor's settings, all at their defaults."""
        return vendor.settings()

    @pytest.fixture
    def secrets(self) -> FakeSecretStore:
        """Where the vendor's vault keeps what it keeps."""
        return FakeSecretStore()

    @pytest.fixture
    def governor(self, clock: FakeClock, vendor: Vendor) -> FakeGovernor:
        """Who says at what pace the vendor may be called."""
        return FakeGovernor(clock, vendor.slug)

    @pytest.fixture
    def context(
        self,
        world: World,
        settings: VendorSettings,
        http: HttpClient,
        clock: FakeClock,
        secrets: FakeSecretStore,
        governor: FakeGovernor,
    ) -> VendorContext:
        """What the host lends for one org."""
        return VendorContext(
            org_id="acme",
            app=world.app,
            settings=settings,
            http=http,
            clock=clock,
            secrets=secrets,
            governor=governor,
        )

    @pytest.fixture
    async def connected(self, vendor: Vendor, world: World, context: VendorContext) -> Connected:
        """One person has connected."""
        return await connect(vendor, world, context)

    @pytest.fixture
    def vault(self, vendor: Vendor, context: VendorContext) -> TokenVault:
        """The vendor's vault over the same secrets."""
        assert vendor.token_vault is not None
        return vendor.token_vault(context)
