"""What a consent changes: the integration, its grant, its channels and their tokens, in one transaction.

The network comes before (the code is exchanged) and after (channels are subscribed), never inside.
"""

import asyncio
from collections.abc import Collection, Iterable
from datetime import datetime

import attrs
import structlog

from moorage.ids import new_id
from moorage.operations.standing import BROKEN, act_on_vendor_error
from moorage.operations.views import integration_view
from moorage.services import Services, port
from moorage.syncing import sync_nudge
from moorage_ports.authorizer import ChannelGrant, RedeemedGrant
from moorage_ports.errors import InvalidStateError, MoorageError, VendorError
from moorage_ports.inbox import inbox_nudge
from moorage_ports.integrations import Channel, ConnectAttempt, GrantRecord, Integration, IntegrationStatus
from moorage_ports.operations import IntegrationView
from moorage_ports.plugin import Vendor, VendorContext
from moorage_ports.secret import Secret
from moorage_ports.storage import UnitOfWork
from moorage_ports.token_vault import TokenVault

log = structlog.get_logger(__name__)

SUBSCRIBE_AT_ONCE = 5
CANNOT_ACT = "The vendor gave no token to act as this channel; connect again to get one."


@attrs.frozen(kw_only=True)
class _Merge:
    """An org's channels after a consent: what to write, and what the person will want to be told."""

    channels: tuple[Channel, ...]
    gained: tuple[str, ...]
    lost: tuple[str, ...]


async def connect_grant(
    services: Services, vendor: Vendor, attempt: ConnectAttempt, code: Secret
) -> IntegrationView:
    """Exchange the code, keep what it was worth, and have the selected channels send their news again.

    Raises:
        InvalidStateError: The org has another app now than when it began.
        ReauthorizationError: The vendor does not take the code.
        VendorUnavailableError: The vendor is out of reach.
        OutcomeUnknownError: No answer to the exchange.
    """
    context = await services.context(vendor, attempt.org_id)
    if context.app.app_id != attempt.app_id:
        msg = "the connection was begun with another app"
        raise InvalidStateError(msg)
    grant = await port(vendor.authorizer, "sign-in")(context).redeem(code, attempt.redirect_uri)
    subject_index = await services.storage.blind_index(f"subject:{vendor.slug}", grant.subject)
    await _leave_app(services, vendor, context)
    async with services.storage.unit_of_work(attempt.org_id) as uow:
        integration, merge = await _keep(uow, vendor, context, attempt, grant, subject_index)
    await subscribe_channels(
        services, vendor, attempt.org_id, [channel for channel in merge.channels if channel.selected]
    )
    log.info(
        "connected",
        vendor=vendor.slug,
        org=attempt.org_id,
        integration=integration.id,
        channels=len(merge.channels),
        gained=len(merge.gained),
        lost=len(merge.lost),
    )
    async with services.storage.unit_of_work(attempt.org_id, reads_only=True) as uow:
        stands = await uow.integrations.get(integration.id) or integration
        channels = await uow.integrations.channels(integration.id)
    return integration_view(stands, channels, gained=merge.gained, lost=merge.lost)


async def _leave_app(services: Services, vendor: Vendor, context: VendorContext) -> None:
    """Stop the news that the operator's app brings, if the org has been connected with it and leaves it.

    Its tokens are replaced next, so this is the last moment. What can't be stopped belongs to nobody from
    then on and is kept aside. (An app that the org brought and took away again is its own to silence.)
    """
    async with services.storage.unit_of_work(context.org_id, reads_only=True) as uow:
        before = await uow.integrations.of_vendor(vendor.slug)
        rows = await uow.integrations.channels(before.id) if before else ()
    shared = services.apps.settings(vendor).app()
    if before is None or shared is None or before.app_id != shared.app_id or vendor.subscriptions is None:
        return
    if context.app.app_id == shared.app_id:
        return
    old = attrs.evolve(context, app=shared, governor=services.governors.of(vendor.slug, shared.app_id))
    subscriptions = vendor.subscriptions(old)
    for row in rows:
        if not row.subscribed:
            continue
        try:
            ids = (row.external_id, *await subscriptions.heard_with(row.external_id))
            holders = await services.storage.channel_holders(vendor.slug, shared.app_id, ids)
            if any(held - {context.org_id} for held in holders.values()):
                continue
            await subscriptions.unsubscribe(row.external_id)
        except MoorageError as failure:
            log.warning("not_unsubscribed", vendor=vendor.slug, org=context.org_id, code=failure.code)


async def _keep(
    uow: UnitOfWork,
    vendor: Vendor,
    context: VendorContext,
    attempt: ConnectAttempt,
    redeemed: RedeemedGrant,
    subject_index: str,
) -> tuple[Integration, _Merge]:
    """Write everything that the consent changed. Nothing here crosses the network."""
    now = context.clock.now()
    before = await uow.integrations.of_vendor(vendor.slug)
    integration_id = before.id if before else new_id()
    grants = await uow.integrations.grants(integration_id) if before else ()
    rows = await uow.integrations.channels(integration_id) if before else ()
    vault = port(vendor.token_vault, "token vault")(attrs.evolve(context, secrets=uow.secrets(vendor.slug)))
    is_first = not grants
    known = next((grant for grant in grants if grant.subject_index == subject_index), None)
    grant = GrantRecord(
        id=known.id if known else new_id(),
        integration_id=integration_id,
        subject_index=subject_index,
        connected_by=attempt.user_id,
        scopes=redeemed.granted_scopes,
        expires_at=redeemed.expires_at,
        data_access_expires_at=redeemed.data_access_expires_at,
        created_at=known.created_at if known else now,
        renewed_at=now if known else None,
    )
    others = tuple(each for each in grants if each.id != grant.id)
    if before is not None and before.app_id != attempt.app_id:
        # What others granted was granted to another app: it is worth nothing, and all hangs on this grant.
        await _forget_grants(uow, vault, others)
        rows, others = tuple(attrs.evolve(row, grant_id=grant.id, subscribed=False) for row in rows), ()
    integration = _integration(integration_id, before, attempt, redeemed, (grant, *others), now)
    moved = before is not None and before.app_id != attempt.app_id
    merge = merge_channels(
        integration,
        grant.id,
        rows,
        redeemed.channels,
        is_first=is_first,
        unread_types=() if moved else redeemed.unread_types,
    )
    await uow.integrations.save(integration)
    await uow.integrations.save_grant(grant)
    await uow.integrations.save_channels(merge.channels)
    await _keep_tokens(vault, grant.id, redeemed, merge)
    await unpark(uow, vendor, now)
    await sync_on(uow, vendor, merge.channels)
    return integration, merge


async def unpark(uow: UnitOfWork, vendor: Vendor, now: datetime) -> None:
    """Have everything worked on that has waited for a person to connect or to allow something."""
    buckets = await uow.inbox.unpark(vendor.slug, now=now)
    await uow.jobs.nudge(*(inbox_nudge(uow.org_id, bucket) for bucket in buckets))


async def sync_on(uow: UnitOfWork, vendor: Vendor, channels: Iterable[Channel]) -> None:
    """Have what is selected and usable of these read now: the next turn may be a quarter of an hour away."""
    if vendor.activity_sync is not None:
        usable = (row.external_id for row in channels if row.selected and row.selectable)
        await uow.jobs.nudge(*(sync_nudge(uow.org_id, vendor.slug, external_id) for external_id in usable))


async def _forget_grants(uow: UnitOfWork, vault: TokenVault, grants: Iterable[GrantRecord]) -> None:
    for grant in grants:
        await vault.forget(grant.id)
        await uow.integrations.remove_grant(grant.id)


async def _keep_tokens(vault: TokenVault, grant_id: str, redeemed: RedeemedGrant, merge: _Merge) -> None:
    """Seal the grant; of its channels only those that this grant carries now, and forget the lost ones'."""
    carried = {channel.external_id for channel in merge.channels if channel.grant_id == grant_id}
    ours = tuple(each for each in redeemed.channels if each.offer.external_id in carried)
    await vault.keep(grant_id, attrs.evolve(redeemed, channels=ours))
    for external_id in merge.lost:
        await vault.forget_channel(external_id)


def _integration(
    integration_id: str,
    before: Integration | None,
    attempt: ConnectAttempt,
    redeemed: RedeemedGrant,
    grants: tuple[GrantRecord, ...],
    now: datetime,
) -> Integration:
    """The integration's row: the same id as before, active, with what was granted and what was not."""
    emails = before.notify_emails if before else ()
    blank = before or Integration(
        id=integration_id,
        vendor=attempt.vendor,
        status=IntegrationStatus.PENDING,
        app_id=attempt.app_id,
        created_at=now,
        updated_at=now,
    )
    return attrs.evolve(
        blank,
        status=IntegrationStatus.ACTIVE,
        app_id=attempt.app_id,
        granted_scopes=redeemed.granted_scopes,
        missing_scopes=tuple(scope for scope in attempt.scopes if scope not in redeemed.granted_scopes),
        notify_emails=emails or ((attempt.email,) if attempt.email else ()),
        expires_at=_earliest(grant.expires_at for grant in grants),
        data_access_expires_at=_earliest(grant.data_access_expires_at for grant in grants),
        updated_at=now,
    )


def _earliest(times: Iterable[datetime | None]) -> datetime | None:
    return min((time for time in times if time is not None), default=None)


def merge_channels(
    integration: Integration,
    grant_id: str,
    rows: tuple[Channel, ...],
    granted: tuple[ChannelGrant, ...],
    *,
    is_first: bool,
    unread_types: Collection[str] = (),
) -> _Merge:
    """The org's channels after a consent. Pure.

    What was selected stays selected, also what this person's grant no longer covers: its news still
    belongs to the org and waits. A channel that works through another person's grant is not taken over by
    a grant that could not act as it. What the vendor could not list just now (`unread_types`) is as it was.
    """
    by_external_id = {row.external_id: row for row in rows}
    merged: dict[str, Channel] = {}
    gained: list[str] = []
    for each in granted:
        row = by_external_id.get(each.offer.external_id)
        usable = each.offer.selectable and each.token is not None
        if row is not None and row.grant_id != grant_id and row.selectable and not usable:
            merged[row.external_id] = row
            continue
        channel = _channel(integration, grant_id, row, each, is_selectable=usable)
        merged[channel.external_id] = channel
        if channel.selectable and not is_first and (row is None or not row.selectable):
            gained.append(channel.external_id)
    gone = [
        row
        for row in rows
        if row.external_id not in merged and row.grant_id == grant_id and row.type not in unread_types
    ]
    lost = {
        row.external_id: attrs.evolve(row, selectable=False, subscribed=False, reason=BROKEN) for row in gone
    }
    untouched = {
        row.external_id: row for row in rows if row.external_id not in merged and row.external_id not in lost
    }
    return _Merge(
        channels=(*merged.values(), *lost.values(), *untouched.values()),
        gained=tuple(gained),
        lost=tuple(row.external_id for row in gone if row.selectable),
    )


def _channel(
    integration: Integration,
    grant_id: str,
    row: Channel | None,
    granted: ChannelGrant,
    *,
    is_selectable: bool,
) -> Channel:
    offer = granted.offer
    reason = "" if is_selectable else offer.reason or CANNOT_ACT
    return Channel(
        id=row.id if row else new_id(),
        integration_id=integration.id,
        grant_id=grant_id,
        vendor=integration.vendor,
        external_id=offer.external_id,
        type=offer.type,
        name=offer.name,
        selected=row.selected if row else False,
        subscribed=row.subscribed if row and is_selectable else False,
        selectable=is_selectable,
        reason=reason,
        missing_scopes=offer.missing_scopes,
    )


async def subscribe_channels(
    services: Services, vendor: Vendor, org_id: str, channels: Iterable[Channel]
) -> dict[str, MoorageError | None]:
    """Have each usable channel's news sent here, and write down which of them do.

    Answers, by our id, `None` or the error that stood in the way; channels that can't be acted as are left
    out. Empty for a vendor without subscriptions.
    """
    usable = [channel for channel in channels if channel.selectable]
    if vendor.subscriptions is None or not usable:
        return {}
    subscriptions = vendor.subscriptions(await services.context(vendor, org_id))
    gate = asyncio.Semaphore(SUBSCRIBE_AT_ONCE)

    async def subscribe(channel: Channel) -> MoorageError | None:
        async with gate:
            asked_at = services.clock.now()
            try:
                await subscriptions.subscribe(channel.external_id)
            except MoorageError as failure:
                log.warning("not_subscribed", vendor=vendor.slug, org=org_id, code=failure.code)
                if isinstance(failure, VendorError):
                    await act_on_vendor_error(
                        services,
                        org_id,
                        vendor.slug,
                        failure,
                        asked_at=asked_at,
                        channel_external_id=channel.external_id,
                    )
                return failure
            return None

    outcomes = dict(
        zip([channel.id for channel in usable], await asyncio.gather(*map(subscribe, usable)), strict=True)
    )
    await note_subscribed(services, org_id, {key: error is None for key, error in outcomes.items()}, usable)
    return outcomes


async def note_subscribed(
    services: Services, org_id: str, subscribed: dict[str, bool], channels: Iterable[Channel]
) -> None:
    """Write down which channels send their news; everything else about them is left as it stands now."""
    integration_ids = {channel.integration_id for channel in channels}
    async with services.storage.unit_of_work(org_id) as uow:
        for integration_id in integration_ids:
            rows = await uow.integrations.channels(integration_id)
            await uow.integrations.save_channels(
                [
                    attrs.evolve(row, subscribed=subscribed[row.id])
                    for row in rows
                    if row.id in subscribed and row.subscribed != subscribed[row.id]
                ]
            )
