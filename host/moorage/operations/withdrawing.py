"""Somebody took the app away at the vendor: their tokens are shredded at once, in every org that had them."""

from datetime import timedelta
from typing import Final

import attrs
import structlog

from moorage.operations.standing import BROKEN
from moorage.services import Services, port
from moorage_ports.errors import UnavailableError, UnknownVendorError
from moorage_ports.integrations import Channel, Integration, IntegrationStatus
from moorage_ports.plugin import Vendor, VendorContext
from moorage_ports.storage import UnitOfWork
from moorage_ports.token_vault import TokenVault
from moorage_ports.withdrawals import Withdrawal

log = structlog.get_logger(__name__)

_SAME_MOMENT: Final = timedelta(seconds=2)  # vendors write whole seconds


async def withdraw(services: Services, vendor_slug: str, body: bytes, org_id: str | None) -> None:
    """Read a vendor's notice and do what it says.

    Everything else of the integration is kept: it expires, and comes back when somebody connects again.

    Raises:
        UnknownVendorError: No such vendor is installed, or it sends no such notices.
        SignatureError: Nobody who holds an app's secret signed it freshly; nothing was changed.
        UnavailableError: It was not done in every org; whoever sends it again harms nothing.
    """
    vendor = services.vendors.get(vendor_slug)
    if vendor.withdrawals is None:
        msg = "this vendor sends no such notices"
        raise UnknownVendorError(msg)
    apps = await services.apps.signing(vendor, org_id)
    notice = vendor.withdrawals.read(body, apps, now=services.clock.now())
    is_done = True
    for holder, grant_id in await _holders(services, vendor, notice):
        try:
            await _withdraw_from(services, vendor, notice, holder, grant_id)
        except Exception:
            # One org's trouble must not leave the others with tokens of somebody who left.
            log.exception("not_withdrawn", vendor=vendor.slug, org=holder)
            is_done = False
    if not is_done:
        msg = "the withdrawal could not be written down for every organisation"
        raise UnavailableError(msg)


async def _holders(services: Services, vendor: Vendor, notice: Withdrawal) -> list[tuple[str, str]]:
    """Each org that the notice is about, with the grant that ended; without one where a channel left."""
    app, external_id = notice.app, notice.channel_external_id
    if notice.subject is None:
        found = await services.storage.channel_holders(vendor.slug, app.app_id, [external_id])
        holders = [(org_id, "") for org_id in found.get(external_id, frozenset())]
    else:
        index = await services.storage.blind_index(f"subject:{vendor.slug}", notice.subject)
        holders = list(await services.storage.grants_of(vendor.slug, app.app_id, index))
    # Whoever brought an app can sign anything with it: it speaks for that org alone.
    return [each for each in holders if app.org_id in {None, each[0]}]


async def _withdraw_from(
    services: Services, vendor: Vendor, notice: Withdrawal, org_id: str, grant_id: str
) -> None:
    async with services.storage.unit_of_work(org_id) as uow:
        integration = await _still_standing(uow, vendor, notice)
        if integration is None:
            return
        vault = _vault(services, vendor, notice, uow)
        channels = await uow.integrations.channels(integration.id)
        if grant_id:
            left = [channel for channel in channels if channel.grant_id == grant_id]
            await vault.forget(grant_id)
            await uow.integrations.remove_grant(grant_id)
        else:
            left = [channel for channel in channels if channel.external_id == notice.channel_external_id]
        for channel in left:
            await vault.forget_channel(channel.external_id)
        await uow.integrations.save_channels([_lost(channel) for channel in left])
        if grant_id and not any(channel.selectable for channel in channels if channel not in left):
            await _expire(services, uow, integration)
    log.warning("withdrawn", vendor=vendor.slug, org=org_id, is_grant=bool(grant_id), channels=len(left))


async def _still_standing(uow: UnitOfWork, vendor: Vendor, notice: Withdrawal) -> Integration | None:
    """The integration that the notice is about; not one that was connected again after it was written.

    Only an active one can have been: a call that failed before the notice came has changed it, too.
    """
    integration = await uow.integrations.of_vendor(vendor.slug)
    if integration is None or integration.app_id != notice.app.app_id:
        return None
    is_newer = integration.updated_at > notice.issued_at + _SAME_MOMENT
    return None if is_newer and integration.status is IntegrationStatus.ACTIVE else integration


def _vault(services: Services, vendor: Vendor, notice: Withdrawal, uow: UnitOfWork) -> TokenVault:
    """The vault within the transaction, also where the org has no app any more."""
    context = VendorContext(
        org_id=uow.org_id,
        app=notice.app,
        settings=services.apps.settings(vendor),
        http=services.http,
        clock=services.clock,
        secrets=uow.secrets(vendor.slug),
        governor=services.governors.of(vendor.slug, notice.app.app_id),
    )
    return port(vendor.token_vault, "token vault")(context)


def _lost(channel: Channel) -> Channel:
    return attrs.evolve(channel, selectable=False, subscribed=False, reason=BROKEN)


async def _expire(services: Services, uow: UnitOfWork, integration: Integration) -> None:
    if integration.status is IntegrationStatus.ACTIVE:
        now = services.clock.now()
        await uow.integrations.save(
            attrs.evolve(integration, status=IntegrationStatus.EXPIRED, updated_at=now)
        )
