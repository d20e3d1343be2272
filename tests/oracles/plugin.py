"""The plugin's ports over a real HTTP client, for one org whose person has connected to a served sandbox."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from urllib.parse import parse_qsl, urlsplit

import attrs

from moorage_adapters.clock import SystemClock
from moorage_adapters.http import HttpxClient
from moorage_facebook.activity_sync import GraphActivitySync, activity_sync
from moorage_facebook.authorizer import GraphAuthorizer, authorizer
from moorage_facebook.direct_messages import GraphDirectMessages, direct_messages
from moorage_facebook.directory import GraphDirectory, directory
from moorage_facebook.lead_source import GraphLeadSource, lead_source
from moorage_facebook.profiles import GraphProfiles, profiles
from moorage_facebook.publisher import GraphPublisher, publisher
from moorage_facebook.scopes import plan_scopes
from moorage_facebook.subscriptions import GraphSubscriptions, subscriptions
from moorage_facebook.token_vault import GraphTokenVault, token_vault
from moorage_ports.authorizer import AuthorizationRequest, Consented
from moorage_ports.capabilities import Capability
from moorage_ports.http import HttpClient
from moorage_ports.plugin import VendorContext
from moorage_ports.testing.lent import FakeClock, FakeGovernor, FakeSecretStore
from tests.oracles.sandbox import REDIRECT_URI, ServedSandbox

GRANT = "grant-1"
CAPABILITIES = (
    Capability.PUBLISH_POSTS,
    Capability.RECEIVE_LEADS,
    Capability.SYNC_ACTIVITY,
    Capability.ANSWER_COMMENTS,
    Capability.DIRECT_MESSAGES,
    Capability.MANAGE_BUSINESSES,
)


@attrs.frozen(kw_only=True)
class ConnectedPlugin:
    """Every port of the plugin, sharing one context."""

    authorizer: GraphAuthorizer
    directory: GraphDirectory
    publisher: GraphPublisher
    subscriptions: GraphSubscriptions
    lead_source: GraphLeadSource
    activity_sync: GraphActivitySync
    direct_messages: GraphDirectMessages
    profiles: GraphProfiles
    token_vault: GraphTokenVault


def ports(sandbox: ServedSandbox, http: HttpClient) -> ConnectedPlugin:
    """The ports as the host builds them."""
    settings = sandbox.graph_settings()
    app = settings.app()
    assert app is not None
    context = VendorContext(
        org_id="acme",
        app=app,
        settings=settings,
        http=http,
        clock=SystemClock(),
        secrets=FakeSecretStore(),
        governor=FakeGovernor(FakeClock()),
        grant_ids=(GRANT,),
    )
    return ConnectedPlugin(
        authorizer=authorizer(context),
        directory=directory(context),
        publisher=publisher(context),
        subscriptions=subscriptions(context),
        lead_source=lead_source(context),
        activity_sync=activity_sync(context),
        direct_messages=direct_messages(context),
        profiles=profiles(context),
        token_vault=token_vault(context),
    )


async def connect(plugin: ConnectedPlugin, sandbox: ServedSandbox, *, without: Sequence[str] = ()) -> None:
    """A person says yes to everything but `without`; the grant is kept."""
    plan = plan_scopes(("email",), CAPABILITIES)
    scopes = tuple(scope for scope in plan.scopes if scope not in without)
    asked = AuthorizationRequest(state="state", redirect_uri=REDIRECT_URI, scopes=scopes)
    back = sandbox.consent(plugin.authorizer.authorization_url(asked))
    said = plugin.authorizer.read_return(dict(parse_qsl(urlsplit(back).query)))
    assert isinstance(said, Consented)
    await plugin.token_vault.keep(GRANT, await plugin.authorizer.redeem(said.code, REDIRECT_URI))


@asynccontextmanager
async def http_client() -> AsyncIterator[HttpxClient]:
    """The client that the host lends, on one pool."""
    async with HttpxClient(clients=1) as client:
        yield client
