"""Which app serves which org at a vendor: the one that the org brought, else the operator's for everybody.

A webhook asks on every delivery, so what is asked there lies in memory: the operator's apps for good, those
of orgs for as long as their revisions are known to be current. Every process looks at the revisions again
after at most five seconds; a change made in this process counts at once.
"""

import asyncio
import math
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

import attrs
import structlog

from moorage.settings import Settings
from moorage.vendors import Vendors
from moorage_ports.apps import OwnApp
from moorage_ports.clock import Clock
from moorage_ports.errors import MoorageError, NotConnectedError, UnavailableError
from moorage_ports.plugin import Vendor, VendorSettings
from moorage_ports.secret import Secret
from moorage_ports.secret_store import SealError, SecretRef, SecretStore
from moorage_ports.storage import Storage
from moorage_ports.webhooks import VendorApp

log = structlog.get_logger(__name__)

LOOK_AGAIN: Final = 2.0  # seconds after which the revisions are looked at again, while deliveries go on
TRUSTED_FOR: Final = 5.0  # and after which nothing goes on without a look
MOST_KEPT: Final = 1_000
_LIVE_SECRETS: Final = 2  # an org's app has as many, or is made to look as if it had


@attrs.frozen(kw_only=True)
class _Opened:
    """An org's app with its secrets, as one revision had it."""

    record: OwnApp
    org_id: str
    secret: Secret
    previous: Secret | None
    verify_token: Secret

    def app(self, now: datetime) -> VendorApp:
        """The app with the secrets that are live."""
        until = self.record.previous_secret_until
        is_live = self.previous is not None and until is not None and now < until
        return VendorApp(
            vendor=self.record.vendor,
            app_id=self.record.app_id,
            secrets=(self.secret, self.previous) if is_live and self.previous else (self.secret,),
            verify_token=self.verify_token,
            org_id=self.org_id,
        )


class OrgApps:
    """`moorage.services.VendorApps` over the settings and the storage."""

    def __init__(
        self,
        settings: Settings,
        vendors: Vendors,
        storage: Storage,
        clock: Clock,
        *,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = {vendor.slug: settings.vendors[vendor.slug] for vendor in vendors}
        self._operators = {
            slug: app for slug, own in self._settings.items() if (app := own.app()) is not None
        }
        self._shared = {slug: (app,) for slug, app in self._operators.items()}
        self._nobodys = {vendor.slug: _nobodys_app(vendor.slug) for vendor in vendors}
        self._storage = storage
        self._clock = clock
        self._seconds = seconds
        self._marks: Mapping[tuple[str, str], str] = {}
        self._marked_at = -math.inf
        self._changes = 0
        self._looking = asyncio.Lock()
        self._look: asyncio.Task[None] | None = None
        self._opened: OrderedDict[tuple[str, str], _Opened] = OrderedDict()

    def settings(self, vendor: Vendor) -> VendorSettings:
        """The vendor's settings as the operator gave them."""
        return self._settings[vendor.slug]

    async def for_org(self, vendor: Vendor, org_id: str) -> VendorApp:
        """The app to act with. Reads the storage: a call with yesterday's app would end the grant.

        Raises:
            NotConnectedError: Neither the org nor the operator has one.
            UnavailableError: The org's own does not open; the operator's never takes its place.
        """
        async with self._storage.unit_of_work(org_id, reads_only=True) as uow:
            record = await uow.own_apps.of_vendor(vendor.slug)
            if record is not None:
                opened = await self._open(record, org_id, uow.secrets(vendor.slug))
                return opened.app(self._clock.now())
        app = self._operators.get(vendor.slug)
        if app is None:
            msg = "no app is configured for this vendor"
            raise NotConnectedError(
                msg, remedy="Bring an app of your own, or ask the operator to configure one for this vendor."
            )
        return app

    async def signing(self, vendor: Vendor, org_id: str | None) -> tuple[VendorApp, ...]:
        """Every app whose signature a webhook may carry; empty if none is configured (fail closed).

        An address that names an org costs the same number of signatures whether the org exists, brought an
        app, or has been changing its secret: an app that nobody can sign for stands in.
        """
        shared = self._shared.get(vendor.slug, ())
        if org_id is None:
            return shared
        revision = (await self._current_marks()).get((vendor.slug, org_id))
        own = None if revision is None else await self._own(vendor.slug, org_id, revision)
        return (*shared, self._nobodys[vendor.slug] if own is None else self._padded(own))

    def forget(self, vendor: Vendor, org_id: str) -> None:
        """The org's app was changed in this process: whatever is remembered of it is old."""
        self._changes += 1
        self._marked_at = -math.inf
        self._opened.pop((vendor.slug, org_id), None)

    # Inside ----------------------------------------------------------------------------------

    async def _own(self, slug: str, org_id: str, revision: str) -> VendorApp | None:
        opened = self._opened.get((slug, org_id))
        if opened is None or opened.record.revision != revision:
            async with self._storage.unit_of_work(org_id, reads_only=True) as uow:
                record = await uow.own_apps.of_vendor(slug)
                if record is None:
                    return None
                try:
                    opened = await self._open(record, org_id, uow.secrets(slug))
                except UnavailableError:  # logged there; nobody can have signed with a secret that is gone
                    return None
        return opened.app(self._clock.now())

    async def _open(self, record: OwnApp, org_id: str, kept: SecretStore) -> _Opened:
        key = (record.vendor, org_id)
        opened = self._opened.get(key)
        if opened is not None and opened.record == record:
            self._opened.move_to_end(key)
            return opened
        try:
            secret = await kept.get(secret_ref(record.app_id))
            previous = await kept.get(previous_secret_ref(record.app_id))
            verify_token = await kept.get(verify_token_ref(record.app_id))
        except SealError:
            secret = previous = verify_token = None
        if secret is None or verify_token is None:
            log.error("own_app_does_not_open", vendor=record.vendor, org=org_id)
            msg = "the organisation's own app cannot be read"
            raise UnavailableError(msg, remedy="Save the app's credentials again.")
        opened = _Opened(
            record=record,
            org_id=org_id,
            secret=secret.value,
            previous=previous.value if previous else None,
            verify_token=verify_token.value,
        )
        self._opened[key] = opened
        self._opened.move_to_end(key)
        if len(self._opened) > MOST_KEPT:
            self._opened.popitem(last=False)
        return opened

    def _padded(self, app: VendorApp) -> VendorApp:
        missing = _LIVE_SECRETS - len(app.secrets)
        nobodys = self._nobodys[app.vendor].secrets
        return attrs.evolve(app, secrets=(*app.secrets, *nobodys[:missing])) if missing else app

    async def _current_marks(self) -> Mapping[tuple[str, str], str]:
        """The revisions, read five seconds ago at most. Usually a look in the background keeps them so."""
        age = self._seconds() - self._marked_at
        if age >= TRUSTED_FOR:
            await self._mark()
        elif age >= LOOK_AGAIN and (self._look is None or self._look.done()):
            self._look = asyncio.create_task(self._mark_quietly(), name="moorage-own-apps")
        return self._marks

    async def _mark(self) -> None:
        async with self._looking:
            if self._seconds() - self._marked_at < LOOK_AGAIN:
                return  # somebody else has looked while we waited
            while True:
                began, changes = self._seconds(), self._changes
                marks = await self._storage.own_app_marks()
                if changes == self._changes:  # else it may have been read before the change
                    self._marks, self._marked_at = marks, began
                    return

    async def _mark_quietly(self) -> None:
        try:
            await self._mark()
        except MoorageError as failure:
            log.warning("own_apps_not_looked_at", code=failure.code)


def _nobodys_app(slug: str) -> VendorApp:
    fresh = tuple(Secret(secrets.token_hex(16)) for _ in range(_LIVE_SECRETS))
    return VendorApp(
        vendor=slug, app_id="", secrets=fresh, verify_token=Secret(secrets.token_hex(16)), org_id=""
    )


# Where an org's app keeps its secrets ---------------------------------------------------------


def secret_ref(app_id: str) -> SecretRef:
    """The app secret."""
    return SecretRef(owner_type="own app", owner_id=app_id, field="secret")


def verify_token_ref(app_id: str) -> SecretRef:
    """What a subscription handshake must carry."""
    return SecretRef(owner_type="own app", owner_id=app_id, field="verify token")


def previous_secret_ref(app_id: str) -> SecretRef:
    """The secret before, while it is live: an owner of its own, so that it can be forgotten alone."""
    return SecretRef(owner_type="own app before", owner_id=app_id, field="secret")
