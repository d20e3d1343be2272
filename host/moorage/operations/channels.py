"""Channels: what the grants cover, and which of it the org manages."""

import asyncio
from collections.abc import Collection, Iterable, Sequence

import attrs
import structlog

from moorage.operations.grants import note_subscribed, subscribe_channels, sync_on, unpark
from moorage.operations.standing import BROKEN, act_on_vendor_error, usable_integration
from moorage.operations.views import channel_view
from moorage.services import OperationCall, Services, port
from moorage_ports.capabilities import Capability
from moorage_ports.directory import ChannelOffer
from moorage_ports.errors import InvalidRequestError, MoorageError, ReauthorizationError
from moorage_ports.integrations import Channel
from moorage_ports.operations import (
    ChannelList,
    ChannelProblem,
    ChannelView,
    ListChannels,
    SelectChannels,
    Selection,
)
from moorage_ports.plugin import Vendor
from moorage_ports.subscriptions import Subscriptions

log = structlog.get_logger(__name__)

UNSUBSCRIBE_AT_ONCE = 5

NOT_GRANTED = "Not among the channels that were allowed; connect again to include it."
NOT_LISTED = "The vendor no longer lists this channel for those who connected."


async def list_channels(call: OperationCall, request: ListChannels) -> ChannelList:
    """The org's channels as they are kept, and what the vendor says about them now.

    Raises:
        NotConnectedError: There is no integration.
        ReauthorizationError: Its grant is gone.
    """
    services, org_id, vendor = call.services, call.caller.org_id, call.vendor
    async with services.storage.unit_of_work(org_id, reads_only=True) as uow:
        integration = await usable_integration(uow, vendor.slug)
        rows = await uow.integrations.channels(integration.id)
        grants = await uow.integrations.grants(integration.id)
    context = await services.context(vendor, org_id)
    directory = port(vendor.directory, "directory")(
        attrs.evolve(context, grant_ids=tuple(grant.id for grant in grants))
    )
    asked_at = services.clock.now()
    try:
        offers = await directory.channels(request.business_id)
    except ReauthorizationError as gone:
        await act_on_vendor_error(services, org_id, vendor.slug, gone, asked_at=asked_at)
        raise
    return ChannelList(channels=merged_views(vendor.slug, rows, offers, is_whole=request.business_id is None))


def merged_views(
    vendor: str, rows: Iterable[Channel], offers: Iterable[ChannelOffer], *, is_whole: bool
) -> tuple[ChannelView, ...]:
    """What is kept and what the vendor lists, as one list. Pure.

    `is_whole`: the vendor was asked for everything, so that a channel it does not list is gone.
    """
    offered = {offer.external_id: offer for offer in offers}
    views = [
        _view(row, offered.pop(row.external_id, None))
        for row in rows
        if is_whole or row.external_id in offered
    ]
    return (*views, *(_unknown(vendor, offer) for offer in offered.values()))


def _view(row: Channel, offer: ChannelOffer | None) -> ChannelView:
    """What is kept says whether we hold a token; the vendor says whether it would still do."""
    view = channel_view(row)
    if offer is None:
        return attrs.evolve(view, selectable=False, reason=view.reason or NOT_LISTED)
    view = attrs.evolve(view, name=offer.name, type=offer.type, missing_scopes=offer.missing_scopes)
    if offer.selectable:
        return view
    return attrs.evolve(view, selectable=False, reason=offer.reason or view.reason or BROKEN)


def _unknown(vendor: str, offer: ChannelOffer) -> ChannelView:
    """A channel that came after the consent: there is no token for it, so it can only be pointed out."""
    return ChannelView(
        id=offer.external_id,
        external_id=offer.external_id,
        vendor=vendor,
        type=offer.type,
        name=offer.name,
        selected=False,
        selectable=False,
        reason=offer.reason or NOT_GRANTED,
        missing_scopes=offer.missing_scopes,
    )


@attrs.frozen(kw_only=True)
class _Choice:
    """What a request to select means for the rows as they stand."""

    selected: tuple[Channel, ...]
    added: tuple[Channel, ...]  # to be subscribed: new ones, and those whose news does not come yet
    removed: tuple[Channel, ...]
    problems: tuple[ChannelProblem, ...]


async def select_channels(call: OperationCall, request: SelectChannels) -> Selection:
    """Replace the set of channels that the org manages; then have their news sent here, and no others'.

    What was chosen is kept also when the vendor refuses a subscription: the problems say so.

    Raises:
        NotConnectedError: There is no integration.
        ReauthorizationError: Its grant is gone.
        InvalidRequestError: One of the ids is no channel of the org.
    """
    services, org_id, vendor = call.services, call.caller.org_id, call.vendor
    async with services.storage.unit_of_work(org_id, reads_only=call.dry_run) as uow:
        integration = await usable_integration(uow, vendor.slug)
        choice = choose(await uow.integrations.channels(integration.id), request.channels)
        if not call.dry_run:
            chosen = [attrs.evolve(row, selected=True) for row in choice.selected if not row.selected]
            left = [attrs.evolve(row, selected=False) for row in choice.removed]
            await uow.integrations.save_channels([*chosen, *left])
            for row in chosen:
                if vendor.suits(row.type, Capability.RECEIVE_LEADS):
                    # From now on its leads are the org's, heard of or not.
                    await uow.lead_checkpoints.begin(vendor.slug, row.external_id, services.clock.now())
            await sync_on(uow, vendor, chosen)
            await unpark(uow, vendor, services.clock.now())
    if call.dry_run:
        return _selection(choice, {}, ())
    outcomes = await subscribe_channels(services, vendor, org_id, choice.added)
    problems = [_problem(row, outcomes.get(row.id)) for row in choice.added]
    await stop_news(services, vendor, org_id, integration.app_id, choice.removed)
    return _selection(choice, outcomes, [problem for problem in problems if problem])


def choose(rows: Sequence[Channel], wanted: Sequence[str]) -> _Choice:
    """Read `wanted` (our ids or the vendor's) against the org's rows. Pure.

    A channel that can't be acted as is not newly selected; one that was selected before stays so, because
    its news waits for the next connection.

    Raises:
        InvalidRequestError: An id is no channel of the org.
    """
    by_id = {row.external_id: row for row in rows} | {row.id: row for row in rows}
    unknown = {
        f"channels[{number}]": "no channel of this organisation"
        for number, channel_id in enumerate(wanted)
        if channel_id not in by_id
    }
    if unknown:
        msg = "some of these are no channels of this organisation"
        raise InvalidRequestError(msg, fields=unknown)
    asked = {by_id[channel_id].id: by_id[channel_id] for channel_id in wanted}
    selected = tuple(row for row in asked.values() if row.selectable or row.selected)
    return _Choice(
        selected=selected,
        added=tuple(row for row in selected if row.selectable and not (row.selected and row.subscribed)),
        removed=tuple(row for row in rows if row.selected and row.id not in asked),
        problems=tuple(_unselectable(row) for row in asked.values() if not row.selectable),
    )


def _unselectable(row: Channel) -> ChannelProblem:
    return ChannelProblem(
        id=row.id,
        code="missing_scope" if row.missing_scopes else "reconnect_required",
        detail=row.reason or BROKEN,
        remedy="Connect again and allow what is missing.",
    )


def _problem(row: Channel, failure: MoorageError | None) -> ChannelProblem | None:
    if failure is None:
        return None
    return ChannelProblem(id=row.id, code=failure.code, detail=str(failure), remedy=failure.remedy)


def _selection(
    choice: _Choice, outcomes: dict[str, MoorageError | None], failed: Collection[ChannelProblem]
) -> Selection:
    selected = tuple(row.id for row in choice.selected)
    subscribed = {row.id for row in choice.selected if row.subscribed and row.selectable}
    subscribed |= {channel_id for channel_id, failure in outcomes.items() if failure is None}
    subscribed -= {problem.id for problem in failed}
    return Selection(
        selected=selected,
        subscribed=tuple(channel_id for channel_id in selected if channel_id in subscribed),
        problems=(*choice.problems, *failed),
    )


async def stop_news(
    services: Services, vendor: Vendor, org_id: str, app_id: str, removed: Sequence[Channel]
) -> None:
    """Unsubscribe those of an org's channels that no org with this app has selected any more.

    One whose subscription brings the news of another that is selected stays subscribed, too.
    Whatever stands in the way is no error: news of a channel that nobody owns is kept aside on arrival.
    """
    if vendor.subscriptions is None or not removed:
        return
    try:
        subscriptions = vendor.subscriptions(await services.context(vendor, org_id))
    except MoorageError as failure:  # the app is gone that could have asked
        log.warning("not_unsubscribed", vendor=vendor.slug, org=org_id, code=failure.code)
    else:
        gate = asyncio.Semaphore(UNSUBSCRIBE_AT_ONCE)

        async def stop(row: Channel) -> None:
            async with gate:
                await _stop(services, subscriptions, org_id, app_id, row)

        await asyncio.gather(*map(stop, removed))
    await note_subscribed(services, org_id, {row.id: False for row in removed}, removed)


async def _stop(
    services: Services, subscriptions: Subscriptions, org_id: str, app_id: str, row: Channel
) -> None:
    try:
        if await _held(services, app_id, row.vendor, (row.external_id,)):
            return
        ids = (row.external_id, *await subscriptions.heard_with(row.external_id))
        if await _held(services, app_id, row.vendor, ids):
            return
        await subscriptions.unsubscribe(row.external_id)
        for external_id in await _held(services, app_id, row.vendor, ids):
            # Somebody selected it while we switched it off: their news must not stop.
            await subscriptions.subscribe(external_id)
    except MoorageError as failure:
        log.warning("not_unsubscribed", vendor=row.vendor, org=org_id, code=failure.code)


async def _held(services: Services, app_id: str, vendor: str, ids: Sequence[str]) -> list[str]:
    """Those of these channels that some org has selected."""
    holders = await services.storage.channel_holders(vendor, app_id, ids)
    return [external_id for external_id in ids if holders.get(external_id)]
