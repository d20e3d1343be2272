"""How each vendor stands with the org, read for pages: card, integration, channels, what to do next."""

from datetime import datetime, timedelta
from typing import Final

import attrs

from moorage.admin import words
from moorage.admin.words import Badge
from moorage.vendors import Vendors, binding_of
from moorage_ports.capabilities import Capability, Support
from moorage_ports.integrations import Channel, Integration, IntegrationStatus
from moorage_ports.operations import BEGIN_CONNECT, PUBLISH
from moorage_ports.plugin import Vendor
from moorage_ports.storage import UnitOfWork

SOON: Final = timedelta(days=14)


@attrs.frozen(kw_only=True)
class Can:
    """One thing a vendor is good for, and how far."""

    title: str
    support: Support


@attrs.frozen(kw_only=True)
class VendorStanding:
    """One installed vendor, as this org stands with it."""

    vendor: Vendor
    integration: Integration | None
    channels: tuple[Channel, ...]
    own_app_id: str = ""  # of the app that the org brought, if it did

    @property
    def slug(self) -> str:
        """The vendor's one word, for paths."""
        return self.vendor.slug

    @property
    def title(self) -> str:
        """The vendor's name as its card says it."""
        return self.vendor.title

    @property
    def icon(self) -> str:
        """One or two letters or an emoji; the name's first letter when the card has none."""
        return self.vendor.icon or self.vendor.title[:1]

    @property
    def badge(self) -> Badge:
        """The status in a word."""
        return (
            words.NOT_CONNECTED if self.integration is None else words.INTEGRATIONS[self.integration.status]
        )

    @property
    def is_live(self) -> bool:
        """Whether it can be used now."""
        return self.integration is not None and self.integration.status is IntegrationStatus.ACTIVE

    @property
    def is_expired(self) -> bool:
        """Whether somebody has to connect again before anything works."""
        return self.integration is not None and self.integration.status is IntegrationStatus.EXPIRED

    @property
    def has_moved(self) -> bool:
        """Whether it has been connected, with another app than the one that serves the org now."""
        is_pending = self.integration is not None and self.integration.status is IntegrationStatus.PENDING
        return is_pending and bool(self.channels)

    @property
    def can_connect(self) -> bool:
        """Whether the vendor has a way to connect."""
        return binding_of(self.vendor, BEGIN_CONNECT) is not None

    @property
    def selected(self) -> tuple[Channel, ...]:
        """The channels that the org manages."""
        return tuple(channel for channel in self.channels if channel.selected)

    @property
    def silent(self) -> tuple[Channel, ...]:
        """Managed channels whose news does not arrive."""
        return tuple(channel for channel in self.selected if not channel.subscribed)

    @property
    def heard(self) -> tuple[Channel, ...]:
        """Managed channels whose news arrives."""
        return tuple(channel for channel in self.selected if channel.subscribed) if self.is_live else ()

    @property
    def writable(self) -> tuple[Channel, ...]:
        """The channels that a post can go to now."""
        if not self.is_live or binding_of(self.vendor, PUBLISH) is None:
            return ()
        return tuple(
            channel
            for channel in self.selected
            if channel.selectable and self.vendor.suits(channel.type, Capability.PUBLISH_POSTS)
        )

    @property
    def capabilities(self) -> tuple[Can, ...]:
        """What the vendor says it can do, the finished things first; what it is silent about is left out."""
        order = list(Support)
        known = [Can(title=each.value, support=support) for each, support in self.vendor.capabilities.items()]
        return tuple(sorted(known, key=lambda can: (order.index(can.support), can.title)))

    def ends_at(self, now: datetime) -> datetime | None:
        """When the grant will end, if that is soon enough to say so."""
        if self.integration is None or not self.is_live:
            return None
        ends = (self.integration.expires_at, self.integration.data_access_expires_at)
        known = [at for at in ends if at is not None]
        return min(known) if known and min(known) - now <= SOON else None


async def vendor_standing(uow: UnitOfWork, vendor: Vendor) -> VendorStanding:
    """One vendor's."""
    integration = await uow.integrations.of_vendor(vendor.slug)
    channels = () if integration is None else await uow.integrations.channels(integration.id)
    own = await uow.own_apps.of_vendor(vendor.slug)
    return VendorStanding(
        vendor=vendor, integration=integration, channels=channels, own_app_id=own.app_id if own else ""
    )


async def all_standings(uow: UnitOfWork, vendors: Vendors) -> tuple[VendorStanding, ...]:
    """Every installed vendor's, the connected ones first."""
    found = [await vendor_standing(uow, vendor) for vendor in vendors]
    return tuple(sorted(found, key=lambda standing: (standing.integration is None, standing.title)))


def channel_names(standings: tuple[VendorStanding, ...]) -> dict[tuple[str, str], str]:
    """(vendor, external id) -> the channel's name, for lists that know only ids."""
    return {
        (channel.vendor, channel.external_id): channel.name
        for standing in standings
        for channel in standing.channels
    }
