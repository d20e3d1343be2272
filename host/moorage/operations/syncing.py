"""Asking for a sync, holding it back, and seeing how it goes."""

from collections.abc import Collection, Iterable, Sequence

import attrs

from moorage.operations.standing import check_selectable, usable_integration
from moorage.operations.views import channel_view
from moorage.services import OperationCall, Services, port
from moorage.syncing import may_sync, sync_nudge
from moorage_ports.activity_sync import SyncState
from moorage_ports.capabilities import Capability
from moorage_ports.errors import InvalidRequestError, NotFoundError, UnsupportedError
from moorage_ports.integrations import Channel
from moorage_ports.operations import SyncActivity, SyncReport, SyncView
from moorage_ports.plugin import Vendor
from moorage_ports.storage import UnitOfWork


@attrs.frozen(kw_only=True)
class _Line:
    """A channel and the state of its sync. `is_read`: the integration lets it be read now."""

    channel: Channel
    state: SyncState
    is_read: bool


async def sync_activity(call: OperationCall, request: SyncActivity) -> SyncReport:
    """Have the org's channels synced now; answers at once how each of them stands.

    Raises:
        UnsupportedError: The vendor's activity cannot be read, or the org does not want it to be.
        NotConnectedError, ReauthorizationError: The integration cannot be used now.
        InvalidRequestError: An id is no selected channel of the org.
        MissingScopeError, ReauthorizationError: A channel that was named cannot be read now.
    """
    services, vendor, org_id = call.services, call.vendor, call.caller.org_id
    port(vendor.activity_sync, "activity to read")
    async with services.storage.unit_of_work(org_id, reads_only=call.dry_run) as uow:
        integration = await usable_integration(uow, vendor.slug)
        if not may_sync(vendor, integration):
            msg = "activity of this vendor is not wanted by the organisation"
            raise UnsupportedError(msg, remedy="Add `sync activity` to the integration's capabilities.")
        lines = _chosen(await _lines(uow, (vendor,)), request.channels)
        is_held = await _is_held(uow, vendor.slug)
        if not call.dry_run:
            lines = [await _begin(uow, line, request, is_held=is_held) for line in lines]
    return SyncReport(channels=tuple(_view(line, is_held=is_held) for line in lines))


async def _begin(uow: UnitOfWork, line: _Line, request: SyncActivity, *, is_held: bool) -> _Line:
    """Note that a run is wanted, and have it looked at; one that is paused stays so."""
    state = line.state
    if is_held or state.is_paused:
        return line
    if request.force:
        state = attrs.evolve(state, checkpoint="", since=request.since, is_running=False)
    elif not state.checkpoint and request.since is not None:
        state = attrs.evolve(state, since=request.since)
    if not state.is_running:
        state = attrs.evolve(state, is_running=True, started_at=None, items=0, calls=0, progress=0.0)
    state = attrs.evolve(state, retry_at=None)
    await uow.sync_states.save(state)
    await uow.jobs.nudge(sync_nudge(uow.org_id, state.vendor, state.channel_external_id))
    return attrs.evolve(line, state=state)


async def sync_status(services: Services, org_id: str) -> tuple[SyncView, ...]:
    """How each selected channel that can be synced stands."""
    vendors = [vendor for vendor in services.vendors if vendor.activity_sync is not None]
    async with services.storage.unit_of_work(org_id, reads_only=True) as uow:
        lines = await _lines(uow, vendors)
        held = {vendor.slug for vendor in vendors if await _is_held(uow, vendor.slug)}
    return tuple(_view(line, is_held=line.channel.vendor in held) for line in lines)


async def hold_syncs(services: Services, org_id: str, name: str, *, is_paused: bool) -> tuple[SyncView, ...]:
    """Pause, or go on with, what `name` says: a vendor's syncs, or one channel's (our id or the vendor's).

    Raises:
        NotFoundError: It is neither.
    """
    vendors = [vendor for vendor in services.vendors if vendor.activity_sync is not None]
    is_whole = any(vendor.slug == name for vendor in vendors)
    async with services.storage.unit_of_work(org_id) as uow:
        lines = [line for line in await _lines(uow, vendors) if _is_named(line, name)]
        if not (lines or is_whole):
            msg = "no vendor and no selected channel is called that"
            raise NotFoundError(msg, remedy="See GET /sync/status for the names.")
        if is_whole:
            whole = await uow.sync_states.get(name, "") or SyncState(vendor=name, channel_external_id="")
            await uow.sync_states.save(attrs.evolve(whole, is_paused=is_paused))
        else:
            lines = [
                attrs.evolve(line, state=attrs.evolve(line.state, is_paused=is_paused)) for line in lines
            ]
            for line in lines:
                await uow.sync_states.save(line.state)
        if not is_paused:
            await uow.jobs.nudge(
                *(sync_nudge(org_id, line.channel.vendor, line.channel.external_id) for line in lines)
            )
        held = {line.channel.vendor for line in lines if await _is_held(uow, line.channel.vendor)}
    return tuple(_view(line, is_held=line.channel.vendor in held) for line in lines)


def _is_named(line: _Line, name: str) -> bool:
    return name in {line.channel.vendor, line.channel.id, line.channel.external_id}


async def _is_held(uow: UnitOfWork, vendor: str) -> bool:
    whole = await uow.sync_states.get(vendor, "")
    return whole is not None and whole.is_paused


async def _lines(uow: UnitOfWork, vendors: Iterable[Vendor]) -> list[_Line]:
    """The selected channels of these vendors whose activity can be read, by name, with their states."""
    states = {(state.vendor, state.channel_external_id): state for state in await uow.sync_states.all()}
    lines: list[_Line] = []
    for vendor in vendors:
        integration = await uow.integrations.of_vendor(vendor.slug)
        is_read = may_sync(vendor, integration)
        for channel in await uow.integrations.channels(integration.id) if integration else ():
            if channel.selected and vendor.suits(channel.type, Capability.SYNC_ACTIVITY):
                known = states.get((vendor.slug, channel.external_id))
                fresh = SyncState(vendor=vendor.slug, channel_external_id=channel.external_id)
                lines.append(_Line(channel=channel, state=known or fresh, is_read=is_read))
    return lines


def _chosen(lines: Sequence[_Line], wanted: Collection[str]) -> list[_Line]:
    """The lines of these channels (our ids or the vendor's); all of them if none is named.

    Raises:
        InvalidRequestError: An id names none of them.
        MissingScopeError, ReauthorizationError: One of these cannot be read now: it would never begin.
    """
    if not wanted:
        return [line for line in lines if line.channel.selectable]
    found: dict[str, _Line] = {}
    unknown: dict[str, str] = {}
    for number, name in enumerate(wanted):
        line = next((line for line in lines if name in {line.channel.id, line.channel.external_id}), None)
        if line is None:
            unknown[f"channels[{number}]"] = "no selected channel of this organisation"
        else:
            found[line.channel.id] = line
    if unknown:
        msg = "some of these are no selected channels of this organisation"
        raise InvalidRequestError(msg, fields=unknown)
    for line in found.values():
        check_selectable(line.channel, line.channel.vendor)
    return list(found.values())


def _view(line: _Line, *, is_held: bool) -> SyncView:
    state = line.state
    return SyncView(
        channel=channel_view(line.channel),
        # What cannot be read now goes on once it is mended.
        running=state.is_running and line.is_read and line.channel.selectable,
        paused=is_held or state.is_paused,
        items=state.items,
        calls=state.calls,
        progress=round(state.progress, 3),
        started_at=state.started_at,
        last_success_at=state.finished_at,
        last_error=state.last_error or None,
        remedy=state.last_remedy or None,
        retry_at=state.retry_at,
    )
