"""Which app serves which org at a vendor: for now, the one that the operator registered, for everybody."""

from moorage.settings import Settings
from moorage.vendors import Vendors
from moorage_ports.errors import NotConnectedError
from moorage_ports.plugin import Vendor, VendorSettings
from moorage_ports.webhooks import VendorApp


class OperatorApps:
    """The operator's apps, read from the settings once: a webhook asks for them on every delivery."""

    def __init__(self, settings: Settings, vendors: Vendors) -> None:
        self._settings = {vendor.slug: settings.vendors[vendor.slug] for vendor in vendors}
        self._apps = {slug: app for slug, own in self._settings.items() if (app := own.app()) is not None}
        self._signing = {slug: (app,) for slug, app in self._apps.items()}

    def settings(self, vendor: Vendor) -> VendorSettings:
        """The vendor's settings as the operator gave them."""
        return self._settings[vendor.slug]

    async def for_org(self, vendor: Vendor, org_id: str) -> VendorApp:
        """The app to act with.

        Raises:
            NotConnectedError: The operator configured none.
        """
        app = self._apps.get(vendor.slug)
        if app is None:
            msg = "no app is configured for this vendor"
            raise NotConnectedError(msg, remedy="Ask the operator to configure an app for this vendor.")
        return app

    async def signing(self, vendor: Vendor, org_id: str | None) -> tuple[VendorApp, ...]:
        """Every app whose signature a webhook may carry; empty if none is configured (fail closed)."""
        return self._signing.get(vendor.slug, ())
