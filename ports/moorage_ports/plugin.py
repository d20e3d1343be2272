"""How a vendor joins: the hook, the calling card, and what the host lends.

A plugin is a distribution with an entry point in the group `moorage.vendors` naming a module that
implements `moorage_vendor`. Registration does no I/O; ports are built per call from a `VendorContext`.
"""

import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import attrs
import pluggy
from attrs.validators import matches_re

from moorage_ports.activity_sync import ActivitySync
from moorage_ports.apps import AppCredentials
from moorage_ports.authorizer import Authorizer
from moorage_ports.capabilities import Capability, Support
from moorage_ports.clock import Clock
from moorage_ports.direct_messages import DirectMessages
from moorage_ports.directory import Directory
from moorage_ports.governor import Governor
from moorage_ports.http import HttpClient
from moorage_ports.lead_source import LeadSource
from moorage_ports.operations import Binding
from moorage_ports.profiles import Profiles
from moorage_ports.publisher import Publisher
from moorage_ports.secret_store import SecretStore
from moorage_ports.subscriptions import Subscriptions
from moorage_ports.token_vault import TokenVault
from moorage_ports.webhooks import VendorApp, WebhookSource
from moorage_ports.withdrawals import Withdrawals

PROJECT = "moorage"
ENTRY_POINT_GROUP = "moorage.vendors"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

# ASGI's own signature (https://asgi.readthedocs.io/en/latest/specs/main.html): messages are open maps.
AsgiMessage: TypeAlias = MutableMapping[str, Any]
AsgiApp: TypeAlias = Callable[
    [AsgiMessage, Callable[[], Awaitable[AsgiMessage]], Callable[[AsgiMessage], Awaitable[None]]],
    Awaitable[None],
]


class VendorSettings(Protocol):
    """A plugin's own settings: an attrs class whose fields the host fills from `MOORAGE_<SLUG>_<FIELD>`."""

    def app(self) -> VendorApp | None:
        """The app that the host's operator registered with the vendor, if the settings name one."""
        ...


@attrs.frozen(kw_only=True)
class VendorContext:
    """What the host lends a vendor's ports for one org: a plugin opens no database, reads no environment."""

    org_id: str
    app: VendorApp
    settings: VendorSettings
    http: HttpClient
    clock: Clock
    secrets: SecretStore
    governor: Governor  # asked before every call to the vendor, told after it
    # The org's grants with this vendor, oldest first: what a directory asks with.
    grant_ids: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class SandboxPlan:
    """Where a sandbox will be served, which host it talks to, and where it may keep its state."""

    base_url: str
    host_url: str
    state_file: Path | None = None


@attrs.frozen(kw_only=True)
class Sandbox:
    """A stand-in for the vendor: an ASGI app, the settings that lead to it, and facts for scripts."""

    app: AsgiApp
    settings: Mapping[str, str]
    facts: Mapping[str, object]


@attrs.frozen(kw_only=True)
class Vendor:
    """A vendor's calling card: who it is and how to build its side of each port.

    A port that is `None` is one the vendor does not have; operations that need it answer `unsupported`.
    """

    slug: str = attrs.field(validator=matches_re(r"[a-z][a-z0-9]{1,30}"))  # one word, the same everywhere
    title: str
    categories: tuple[str, ...] = ()
    icon: str = ""  # one or two letters or an emoji; templates draw it, no file is loaded
    settings: type[VendorSettings]
    own_app: type[AppCredentials] | None = None  # what an org fills in to bring an app; None: it can't
    operations: tuple[Binding, ...] = ()
    capabilities: Mapping[Capability, Support] = attrs.field(factory=dict)
    # What channels of a type are good for; of a type that is not named: for all that the vendor is.
    channel_capabilities: Mapping[str, frozenset[Capability]] = attrs.field(factory=dict)
    authorizer: Callable[[VendorContext], Authorizer] | None = None
    token_vault: Callable[[VendorContext], TokenVault] | None = None
    directory: Callable[[VendorContext], Directory] | None = None
    subscriptions: Callable[[VendorContext], Subscriptions] | None = None
    publisher: Callable[[VendorContext], Publisher] | None = None
    lead_source: Callable[[VendorContext], LeadSource] | None = None
    activity_sync: Callable[[VendorContext], ActivitySync] | None = None
    direct_messages: Callable[[VendorContext], DirectMessages] | None = None
    profiles: Callable[[VendorContext], Profiles] | None = None
    webhooks: WebhookSource | None = None
    withdrawals: Withdrawals | None = None
    token_shapes: tuple[re.Pattern[str], ...] = ()  # what its tokens look like: logs leave that out
    webhook_client_name: str = ""  # the common name of the certificate that deliveries come with, if any
    sandbox: Callable[[SandboxPlan], Sandbox] | None = None

    def support(self, capability: Capability) -> Support:
        """How far this vendor goes with `capability`; silence is `UNKNOWN`."""
        return self.capabilities.get(capability, Support.UNKNOWN)

    def suits(self, channel_type: str, capability: Capability) -> bool:
        """Whether a channel of this type may be asked for `capability` at all."""
        return capability in self.channel_capabilities.get(channel_type, {capability})


class VendorHooks:
    """The hooks of a vendor plugin."""

    @hookspec
    def moorage_vendor(self) -> Vendor:  # type: ignore[empty-body]
        """Return the vendor this plugin brings. Called once, at start-up, without I/O."""
