"""Where an integration and its channels stand: may they be used, and what an error says about that."""

from datetime import datetime

import attrs
import structlog

from moorage.services import Services
from moorage_ports.capabilities import Capability, Support
from moorage_ports.errors import (
    Hits,
    InvalidRequestError,
    MissingScopeError,
    NotConnectedError,
    NotFoundError,
    ReauthorizationError,
    VendorError,
)
from moorage_ports.integrations import Channel, Integration, IntegrationStatus
from moorage_ports.plugin import Vendor
from moorage_ports.storage import UnitOfWork

log = structlog.get_logger(__name__)

BROKEN = "The vendor no longer lets this organisation act here; connect again to bring it back."


async def known_integration(uow: UnitOfWork, integration_id: str) -> Integration:
    """One of the org's integrations, by our id.

    Raises:
        NotFoundError: It has none of that id.
    """
    integration = await uow.integrations.get(integration_id)
    if integration is None:
        msg = "the organisation has no such integration"
        raise NotFoundError(msg)
    return integration


async def usable_integration(uow: UnitOfWork, vendor: str) -> Integration:
    """The org's integration, if it can be used now.

    Raises:
        NotConnectedError: There is none, it was switched off, or it waits for somebody to connect it.
        ReauthorizationError: Its grant is gone.
    """
    integration = await uow.integrations.of_vendor(vendor)
    if integration is None or integration.status in {IntegrationStatus.INACTIVE, IntegrationStatus.PENDING}:
        msg = "the organisation is not connected to this vendor"
        raise NotConnectedError(msg)
    if integration.status is IntegrationStatus.EXPIRED:
        msg = "the grant is gone"
        raise ReauthorizationError(msg, vendor=vendor, hits=Hits.INTEGRATION)
    return integration


def is_wanted(vendor: Vendor, capability: Capability, integration: Integration | None) -> bool:
    """Whether the vendor does this whole, the org is connected, and wants it done."""
    if vendor.support(capability) is not Support.FULL or integration is None:
        return False
    wanted = integration.capabilities
    return integration.status is IntegrationStatus.ACTIVE and (not wanted or capability in wanted)


async def usable_channel(uow: UnitOfWork, vendor: str, external_id: str) -> Channel:
    """One of the org's channels that is selected and can be acted as.

    Raises:
        NotFoundError: No grant of the org covers such a channel.
        InvalidRequestError: It was not selected.
        MissingScopeError: The grant lacks what acting as this channel needs.
        ReauthorizationError: This channel's token is gone.
    """
    channel = await uow.integrations.channel(vendor, external_id)
    if channel is None:
        raise _no_such_channel()
    if not channel.selected:
        msg = "this channel is not selected"
        raise InvalidRequestError(msg, remedy="Select the channel first, then send the request again.")
    check_selectable(channel, vendor)
    return channel


def check_selectable(channel: Channel, vendor: str) -> None:
    """Whether it can be acted as.

    Raises:
        MissingScopeError: The grant lacks what acting as this channel needs.
        ReauthorizationError: This channel's token is gone.
    """
    if channel.selectable:
        return
    kind = MissingScopeError if channel.missing_scopes else ReauthorizationError
    raise kind(channel.reason or BROKEN, vendor=vendor, hits=Hits.CHANNEL, remedy=channel.reason)


async def postable_channel(uow: UnitOfWork, vendor: Vendor, external_id: str) -> Channel:
    """The same, of a type that takes posts: any other is none of the channels meant.

    Raises:
        NotFoundError, InvalidRequestError, MissingScopeError, ReauthorizationError: As above.
    """
    channel = await uow.integrations.channel(vendor.slug, external_id)
    if channel is not None and not vendor.suits(channel.type, Capability.PUBLISH_POSTS):
        raise _no_such_channel()
    return await usable_channel(uow, vendor.slug, external_id)


def _no_such_channel() -> NotFoundError:
    msg = "the organisation has no such channel"
    return NotFoundError(msg, remedy="List the channels; connect again if it should be among them.")


async def act_on_vendor_error(
    services: Services,
    org_id: str,
    vendor: str,
    error: VendorError,
    *,
    asked_at: datetime,
    channel_external_id: str | None = None,
) -> None:
    """Record what `error` says about the integration or the channel: the one place that does.

    Only a lost grant says anything lasting. `asked_at` is when the failed call began: an integration that
    was connected again since then is left alone, the error is about the grant it had before.
    """
    if not isinstance(error, ReauthorizationError) or error.hits is Hits.CALL:
        return
    async with services.storage.unit_of_work(org_id) as uow:
        integration = await uow.integrations.of_vendor(vendor)
        if integration is None or integration.status is not IntegrationStatus.ACTIVE:
            return
        if integration.updated_at > asked_at:
            return
        broken = await _broken_channels(uow, integration, error, channel_external_id)
        await uow.integrations.save_channels([_break(channel, error) for channel in broken])
        is_all_gone = channel_external_id is None or not await _grants_left(uow, integration)
        if error.hits is Hits.INTEGRATION and is_all_gone:
            expired = attrs.evolve(
                integration, status=IntegrationStatus.EXPIRED, updated_at=services.clock.now()
            )
            await uow.integrations.save(expired)
            log.warning("integration_expired", vendor=vendor, org=org_id, vendor_code=error.vendor_code)


async def _broken_channels(
    uow: UnitOfWork, integration: Integration, error: ReauthorizationError, external_id: str | None
) -> tuple[Channel, ...]:
    """The channels that the error ends: one, or all of one person's grant when several people connected.

    A lone grant's channels are left as they are: the integration itself expires, and they come back
    with it.
    """
    if external_id is None:
        return ()
    channels = await uow.integrations.channels(integration.id)
    asked = next((channel for channel in channels if channel.external_id == external_id), None)
    if asked is None:
        return ()
    if error.hits is Hits.CHANNEL:
        return (asked,)
    if len(await uow.integrations.grants(integration.id)) < 2:
        return ()
    return tuple(channel for channel in channels if channel.grant_id == asked.grant_id)


async def _grants_left(uow: UnitOfWork, integration: Integration) -> bool:
    """Whether another person's grant still carries some channel."""
    grants = await uow.integrations.grants(integration.id)
    channels = await uow.integrations.channels(integration.id)
    return len(grants) > 1 and any(channel.selectable for channel in channels)


def _break(channel: Channel, error: VendorError) -> Channel:
    """The channel as it stands now; the way out is kept, so that not only the first caller hears of it."""
    remedy = error.remedy if error.remedy != error.default_remedy else BROKEN
    return attrs.evolve(channel, selectable=False, subscribed=False, reason=remedy)
