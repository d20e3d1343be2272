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
    vendor, notice = await read_notice(services, vendor_slug, body, org_id)
    await carry_out(services, vendor, notice)


async def read_notice(
    services: Services, vendor_slug: str, body: bytes, org_id: str | None
) -> tuple[Vendor, Withdrawal]:
    """What a vendor says, once it is proven that it does.

    Raises:
        UnknownVendorError: No such vendor is installed, or it sends no such notices.
        SignatureError: Nobody who holds an app's secret signed it freshly.
    """
    vendor = services.vendors.get(vendor_slug)
    if vendor.withdrawals is None:
        msg = "this vendor sends no such notices"
        raise UnknownVendorError(msg)
    apps = await services.apps.signing(vendor, org_id)
    return vendor, vendor.withdrawals.read(body, apps, now=services.clock.now())


async def carry_out(services: Services, vendor: Vendor, notice: Withdrawal) -> None:
    """Do what a notice says, in every org that it is about.

    Raises:
        UnavailableError: It was not done in every org; whoever does it again harms nothing.
    """
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
        integration = await uow.integrations.of_vendor(vendor.slug)
        if integration is None or integration.app_id != notice.app.app_id:
            return
        if await _is_newer(uow, integration, notice, grant_id):
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


async def _is_newer(uow: UnitOfWork, integration: Integration, notice: Withdrawal, grant_id: str) -> bool:
    """Whether what the notice ends was granted, or granted anew, after it was written.

    Of a person their own consent counts: whatever else was changed meanwhile keeps no token of theirs. Of a
    channel only an active integration can have been connected anew: a call that failed before the notice came
    has changed it, too.
    """
    known_since = notice.issued_at + _SAME_MOMENT
    if grant_id:
        grants = {grant.id: grant for grant in await uow.integrations.grants(integration.id)}
        grant = grants.get(grant_id)
        return grant is None or (grant.renewed_at or grant.created_at) > known_since
    return integration.status is IntegrationStatus.ACTIVE and integration.updated_at > known_since


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
