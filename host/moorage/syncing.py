"""Activity sync: what people did on a channel is read in pieces and merged into the CRM, by schedule.

The truth is the channel's `SyncState`: a nudge makes a worker look at one channel, which reads a piece (no
transaction is open meanwhile), merges it in short units of work, and notes the checkpoint with the last of
them. Killed anywhere, the next look reads that piece again, which changes nothing. While one piece is merged
the next is read.
"""

import asyncio
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import attrs
import structlog

from moorage.crm.apply import apply_events
from moorage.metrics import SYNCED
from moorage.nudging import nudge_all
from moorage.operations.standing import act_on_vendor_error, is_wanted
from moorage.services import Services
from moorage.waits import FIRST_RETRY, asked_by, doubled
from moorage_ports.activity_sync import ActivityPiece, ActivitySync, SyncState
from moorage_ports.capabilities import Capability
from moorage_ports.errors import (
    MoorageError,
    NotConnectedError,
    OutcomeUnknownError,
    RateLimitError,
    ReauthorizationError,
    RejectedError,
    UnavailableError,
    VendorError,
    VendorUnavailableError,
)
from moorage_ports.events import CrmEvent
from moorage_ports.failpoints import fail_point
from moorage_ports.integrations import Integration
from moorage_ports.jobs import LookAgain, Nudge
from moorage_ports.plugin import Vendor
from moorage_ports.storage import UnitOfWork

log = structlog.get_logger(__name__)

QUEUE: Final = "sync"
CHANNELS_AT_ONCE: Final = 4
SLICE: Final = 250  # events per unit of work: an acknowledgement may have to wait behind it
PIECES_A_LOOK: Final = 20  # then back to the end of the line: a big channel must not keep others waiting
PIECE_DEADLINE: Final = timedelta(minutes=3)
# The vendor (or our database) is the trouble: tried again by itself, for as long as it takes.
_WEATHER: Final = (RateLimitError, VendorUnavailableError, UnavailableError, OutcomeUnknownError)


class OvertakenError(Exception):
    """Somebody else moved the checkpoint, or began anew: what this look has read is old."""


def sync_nudge(org_id: str, vendor: str, channel_external_id: str, at: datetime | None = None) -> Nudge:
    """Look at one channel's sync."""
    group = f"{org_id}:{vendor}:{channel_external_id}"
    return Nudge(queue=QUEUE, group=group, org_id=org_id, not_before=at)


def may_sync(vendor: Vendor, integration: Integration | None) -> bool:
    """Whether the vendor can be asked for activity, and the org wants it to be."""
    return vendor.activity_sync is not None and is_wanted(vendor, Capability.SYNC_ACTIVITY, integration)


async def nudge_channels(services: Services) -> None:
    """Have every selected channel of every connected org looked at; who is not due is left alone then."""
    reads = {slug for slug, vendor in services.vendors.by_slug.items() if vendor.activity_sync is not None}
    channels = await services.storage.backlog.listening_channels()
    nudges = (sync_nudge(org_id, slug, each) for org_id, slug, each in channels if slug in reads)
    await nudge_all(services.storage, nudges)


@attrs.frozen
class Syncer:
    """Syncs one channel at a time, as often as it is told to."""

    services: Services

    async def look(self, nudge: Nudge) -> LookAgain | None:
        """Read on where the channel's sync stands; look again if there is more, or later after trouble."""
        org_id, slug, external_id = nudge.group.split(":", 2)
        vendor = self.services.vendors.by_slug.get(slug)
        if vendor is None:
            return None
        begun = await self._begun(org_id, vendor, external_id)
        if not isinstance(begun, SyncState):
            return begun
        look = _Look(services=self.services, org_id=org_id, vendor=vendor, state=begun)
        return await look.run()

    async def _begun(self, org_id: str, vendor: Vendor, external_id: str) -> SyncState | LookAgain | None:
        """The channel's state with a run under way; anything else if there is nothing to do now."""
        now = self.services.clock.now()
        async with self.services.storage.unit_of_work(org_id) as uow:
            channel = await uow.integrations.channel(vendor.slug, external_id)
            if channel is None or not (channel.selected and channel.selectable):
                return None
            if not vendor.suits(channel.type, Capability.SYNC_ACTIVITY):
                return None
            if not may_sync(vendor, await uow.integrations.of_vendor(vendor.slug)):
                return None
            state = await uow.sync_states.get(vendor.slug, external_id)
            state = state or SyncState(vendor=vendor.slug, channel_external_id=external_id)
            whole = await uow.sync_states.get(vendor.slug, "")
            if state.is_paused or (whole is not None and whole.is_paused):
                return None
            if state.retry_at is not None and state.retry_at > now:
                return LookAgain(at=state.retry_at)
            if not state.is_running and not self._is_due(state, now):
                return None
            if state.is_running and state.started_at is not None:
                return state
            state = begun_anew(state, now)
            await uow.sync_states.save(state)
        return state

    def _is_due(self, state: SyncState, now: datetime) -> bool:
        """Half the interval: sweeps do not come to the second."""
        last = max(filter(None, (state.finished_at, state.started_at)), default=None)
        return last is None or last + self.services.settings.sync_every / 2 <= now


def begun_anew(state: SyncState, now: datetime) -> SyncState:
    """The state of a run that begins now."""
    return attrs.evolve(state, is_running=True, started_at=now, items=0, calls=0, progress=0.0)


@attrs.define(kw_only=True)
class _Look:
    """One look at one channel: some pieces of its run."""

    services: Services
    org_id: str
    vendor: Vendor
    state: SyncState

    async def run(self) -> LookAgain | None:
        """Read and merge pieces until the run or this look is over."""
        asked_at = self.services.clock.now()
        try:
            return await self._pieces()
        except OvertakenError:
            return LookAgain()
        except MoorageError as failure:
            return await self._failed(failure, asked_at)
        except Exception as failure:
            log.exception("sync_broke", **self._named())
            return await self._failed(failure, asked_at)

    async def _pieces(self) -> LookAgain | None:
        port = await self._port()
        reading = asyncio.ensure_future(self._read(port, self.state))
        try:
            for number in range(1, PIECES_A_LOOK + 1):
                piece = await reading
                fail_point("S1")
                ahead = attrs.evolve(self.state, checkpoint=piece.checkpoint)
                if not piece.is_complete and number < PIECES_A_LOOK:
                    reading = asyncio.ensure_future(self._read(port, ahead))
                await self._merge(piece)
                if piece.is_complete or self.state.is_paused:
                    return None
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        return LookAgain()

    async def _port(self) -> ActivitySync:
        factory = self.vendor.activity_sync
        if factory is None:
            msg = "this vendor's activity cannot be read"
            raise NotConnectedError(msg)
        return factory(await self.services.context(self.vendor, self.org_id))

    async def _read(self, port: ActivitySync, state: SyncState) -> ActivityPiece:
        try:
            async with asyncio.timeout(PIECE_DEADLINE.total_seconds()):
                return await port.activity(
                    state.channel_external_id, checkpoint=state.checkpoint, since=state.since
                )
        except TimeoutError:
            msg = "the vendor took too long"
            raise VendorUnavailableError(msg, vendor=self.vendor.slug, symptom="timed_out") from None

    async def _merge(self, piece: ActivityPiece) -> None:
        """Write what a piece says, and with the last of it where the next begins.

        Raises:
            OvertakenError: Another look was here meanwhile.
            UnavailableError: The database is out of reach.
        """
        slices = list(_slices(piece.events))
        for number, events in enumerate(slices, start=1):
            whole = piece if number == len(slices) else None
            after = await self.services.storage.at_once(
                self.org_id, partial(self._merge_slice, events=events, whole=whole)
            )
            self.state = after or self.state
            fail_point("S2")
            await asyncio.sleep(0)  # whoever waits to write comes first
        SYNCED.labels(self.vendor.slug).inc(piece.items)

    async def _merge_slice(
        self, uow: UnitOfWork, events: Sequence[CrmEvent], whole: ActivityPiece | None
    ) -> SyncState | None:
        """Some of a piece; where the next begins after the last of it, when it is `whole`."""
        stands = await uow.sync_states.get(self.state.vendor, self.state.channel_external_id)
        if stands is None or not stands.is_running or stands.checkpoint != self.state.checkpoint:
            raise OvertakenError
        if events:
            await apply_events(uow.crm_records, [(self.vendor.slug, event) for event in events])
        if whole is None:
            return None
        after = self._after(stands, whole)
        await uow.sync_states.save(after)
        return after

    def _after(self, stands: SyncState, piece: ActivityPiece) -> SyncState:
        now = self.services.clock.now()
        return attrs.evolve(
            stands,
            checkpoint=piece.checkpoint,
            items=stands.items + piece.items,
            calls=stands.calls + piece.calls,
            progress=1.0 if piece.is_complete else piece.progress,
            is_running=not piece.is_complete,
            finished_at=now if piece.is_complete else stands.finished_at,
            last_error="",
            last_remedy="",
            retry_at=None,
            tries=0,
        )

    # Trouble ---------------------------------------------------------------------------------

    async def _failed(self, failure: Exception, asked_at: datetime) -> LookAgain | None:
        """Note what went wrong, and when it is worth trying again."""
        code = failure.code if isinstance(failure, MoorageError) else "internal"
        log.warning("not_synced", code=code, **self._named())
        if isinstance(failure, VendorError):
            await act_on_vendor_error(
                self.services,
                self.org_id,
                self.vendor.slug,
                failure,
                asked_at=asked_at,
                channel_external_id=self.state.channel_external_id,
            )
        try:
            return await self._note(failure, code)
        except UnavailableError:
            return LookAgain(at=self.services.clock.now() + FIRST_RETRY)

    async def _note(self, failure: Exception, code: str) -> LookAgain | None:
        async with self.services.storage.unit_of_work(self.org_id) as uow:
            stands = await uow.sync_states.get(self.state.vendor, self.state.channel_external_id)
            if stands is None or stands.checkpoint != self.state.checkpoint or not stands.is_running:
                return LookAgain()
            remedy = failure.remedy if isinstance(failure, MoorageError) else ""
            noted = attrs.evolve(stands, last_error=code, last_remedy=remedy, tries=stands.tries + 1)
            noted = _next(noted, failure, self.services.clock.now())
            await uow.sync_states.save(noted)
        return LookAgain(at=noted.retry_at) if noted.retry_at is not None else None

    def _named(self) -> dict[str, str]:
        return {"vendor": self.vendor.slug, "org": self.org_id, "channel": self.state.channel_external_id}


def _slices(events: Sequence[CrmEvent]) -> Iterator[Sequence[CrmEvent]]:
    """At least one, so that the checkpoint is noted also where nothing happened."""
    for start in range(0, max(len(events), 1), SLICE):
        yield events[start : start + SLICE]


def _next(state: SyncState, failure: Exception, now: datetime) -> SyncState:
    """How it goes on. What only a person can change waits for the next turn that finds it changed."""
    if isinstance(failure, ReauthorizationError | NotConnectedError):
        return attrs.evolve(state, retry_at=None)
    if isinstance(failure, RejectedError) and state.checkpoint:
        # The vendor does not know where we were: from the beginning, soon.
        return attrs.evolve(state, checkpoint="", retry_at=now + _wait(state.tries, failure))
    if isinstance(failure, _WEATHER) or not isinstance(failure, MoorageError):
        return attrs.evolve(state, retry_at=now + _wait(state.tries, failure))
    return attrs.evolve(state, is_running=False, retry_at=None)


def _wait(tries: int, failure: Exception) -> timedelta:
    return asked_by(failure) if isinstance(failure, RateLimitError) else doubled(tries)
