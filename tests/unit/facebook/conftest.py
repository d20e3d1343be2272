"""Somebody has connected the sandbox's Pages; the plugin's ports for that org."""

from collections.abc import AsyncIterator

import attrs
import pytest

from moorage_facebook import plugin
from moorage_facebook.authorizer import GraphAuthorizer, authorizer
from moorage_facebook.lead_source import GraphLeadSource, lead_source
from moorage_facebook.publisher import GraphPublisher, publisher
from moorage_facebook.sandbox.app import build_sandbox
from moorage_facebook.settings import GraphSettings
from moorage_facebook.subscriptions import GraphSubscriptions, subscriptions
from moorage_ports.plugin import SandboxPlan, VendorContext
from moorage_ports.secret import Secret
from moorage_ports.testing.connected import Connected, connect
from moorage_ports.testing.lent import FakeClock, FakeGovernor, FakeSecretStore
from tests.contract.facebook_weather import SANDBOX, FacebookWeather
from tests.fakes.asgi_http import AsgiHttp, asgi_http


@attrs.frozen(kw_only=True)
class Org:
    """One org whose person has connected."""

    connected: Connected
    secrets: FakeSecretStore
    world: FacebookWeather

    @property
    def context(self) -> VendorContext:
        return self.connected.context

    @property
    def authorizer(self) -> GraphAuthorizer:
        return authorizer(self.context)

    @property
    def publisher(self) -> GraphPublisher:
        return publisher(self.context)

    @property
    def leads(self) -> GraphLeadSource:
        return lead_source(self.context)

    @property
    def subscriptions(self) -> GraphSubscriptions:
        return subscriptions(self.context)


@pytest.fixture
async def graph_http() -> AsyncIterator[tuple[AsgiHttp, GraphSettings]]:
    built = build_sandbox(SandboxPlan(base_url=SANDBOX, host_url="https://host.example"))
    settings = GraphSettings(
        app_id=built.settings["app_id"],
        app_secret=Secret(built.settings["app_secret"]),
        verify_token=Secret(built.settings["verify_token"]),
        graph_url=SANDBOX,
        dialog_url=SANDBOX,
    )
    async with asgi_http(built.app) as http:
        yield http, settings


@pytest.fixture
async def org(graph_http: tuple[AsgiHttp, GraphSettings]) -> Org:
    http, settings = graph_http
    app = settings.app()
    assert app is not None
    clock, secrets = FakeClock(), FakeSecretStore()
    world = FacebookWeather(http=http, clock=clock, app=app)
    await world.start_clock()
    context = VendorContext(
        org_id="acme",
        app=app,
        settings=settings,
        http=http,
        clock=clock,
        secrets=secrets,
        governor=FakeGovernor(clock),
    )
    connected = await connect(plugin.moorage_vendor(), world, context)
    return Org(connected=connected, secrets=secrets, world=world)
