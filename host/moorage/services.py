"""What bootstrap built and routes, operations and workers share; and one call in its context."""

from collections.abc import Callable
from typing import Protocol, TypeVar

import attrs

from moorage.background import Background
from moorage.call_counts import CallCounter
from moorage.settings import Settings
from moorage.vendors import Vendors
from moorage_ports.clock import Clock
from moorage_ports.errors import UnsupportedError
from moorage_ports.governor import Governors
from moorage_ports.http import HttpClient
from moorage_ports.jobs import Jobs
from moorage_ports.operations import Role
from moorage_ports.outgoing import Door
from moorage_ports.plugin import Vendor, VendorContext, VendorSettings
from moorage_ports.secret_store import SecretStore
from moorage_ports.storage import Storage
from moorage_ports.webhooks import VendorApp

P = TypeVar("P")
Q = TypeVar("Q", contravariant=True)
A = TypeVar("A", covariant=True)


@attrs.frozen(kw_only=True)
class Caller:
    """Who asks, as their JWT or session proves; `org_id` is the one org this request is about."""

    org_id: str
    user_id: str
    role: Role
    email: str = attrs.field(default="", repr=False)
    session_id: str = ""  # admin UI only


class VendorApps(Protocol):
    """Which app serves which org at a vendor: the host's own, or one that the org brought."""

    def settings(self, vendor: Vendor) -> VendorSettings:
        """The vendor's settings as the operator gave them."""
        ...

    async def for_org(self, vendor: Vendor, org_id: str) -> VendorApp:
        """The app to act with.

        Raises:
            NotConnectedError: There is none: neither the operator nor the org configured one.
        """
        ...

    async def signing(self, vendor: Vendor, org_id: str | None) -> tuple[VendorApp, ...]:
        """Every app whose signature a webhook may carry; empty if none is configured (fail closed).

        The operator's, and if the webhook's address names an org, that org's own.
        """
        ...

    def forget(self, vendor: Vendor, org_id: str) -> None:
        """The org's app was changed in this process: whatever is remembered of it is old."""
        ...


@attrs.frozen(kw_only=True)
class Services:
    """The host, assembled."""

    settings: Settings
    storage: Storage
    jobs: Jobs
    http: HttpClient
    door: Door  # to addresses that orgs gave us; `http` is for the vendors' own
    clock: Clock
    vendors: Vendors
    apps: VendorApps
    governors: Governors
    calls: CallCounter = attrs.field(factory=CallCounter)
    background: Background = attrs.field(factory=Background)

    async def context(self, vendor: Vendor, org_id: str, secrets: SecretStore | None = None) -> VendorContext:
        """What `vendor` is lent for one org; `secrets` of a unit of work, when inside one."""
        app = await self.apps.for_org(vendor, org_id)
        return VendorContext(
            org_id=org_id,
            app=app,
            settings=self.apps.settings(vendor),
            http=self.http,
            clock=self.clock,
            secrets=secrets or self.storage.secrets(org_id, vendor.slug),
            governor=self.governors.of(vendor.slug, app.app_id),
        )


@attrs.frozen(kw_only=True)
class OperationCall:
    """One call of an operation, authenticated and addressed."""

    services: Services
    caller: Caller
    vendor: Vendor
    subject_id: str = ""  # the id that what this call makes has to bear, when dispatch remembers the call
    dry_run: bool = False


class OperationHandler(Protocol[Q, A]):
    """Does what a neutral operation says, over the vendor's ports and the host's storage."""

    async def __call__(self, call: OperationCall, request: Q) -> A: ...


def port(factory: Callable[[VendorContext], P] | None, what: str) -> Callable[[VendorContext], P]:
    """The vendor's factory of one port.

    Raises:
        UnsupportedError: The vendor does not have it.
    """
    if factory is None:
        msg = f"this vendor has no {what}"
        raise UnsupportedError(msg)
    return factory
