"""Names: whoever writes and is named by an id only, the vendor is asked about, once.

The truth is with each person: when they are to be asked about (see `Strangers`). A sweep finds whose time has
come, and a look asks about a few of them: it claims them, asks (no transaction is open meanwhile), and writes
all answers in one unit of work. Killed in between, they are asked about again when the claim is over. What
applies events knows nothing of it, and never waits for it.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import attrs
import structlog

from moorage.crm.merge import Merge
from moorage.nudging import nudge_all
from moorage.operations.standing import act_on_vendor_error, is_wanted
from moorage.services import Services, port
from moorage.waits import SHORTEST_WAIT, asked_by
from moorage_ports.capabilities import Capability
from moorage_ports.crm_records import ContactRecord, Ledger, LedgerKeys
from moorage_ports.errors import (
    Hits,
    MoorageError,
    NotConnectedError,
    OutcomeUnknownError,
    RateLimitError,
    ReauthorizationError,
    RejectedError,
    UnavailableError,
    VendorError,
    VendorNotFoundError,
    VendorUnavailableError,
)
from moorage_ports.events import Person
from moorage_ports.integrations import Integration, IntegrationStatus
from moorage_ports.jobs import LookAgain, Nudge
from moorage_ports.plugin import Vendor
from moorage_ports.profiles import Profiles, Stranger
from moorage_ports.storage import UnitOfWork

log = structlog.get_logger(__name__)

QUEUE: Final = "names"
ORGS_AT_ONCE: Final = 2
SWEEP_EVERY: Final = timedelta(seconds=10)
# Names are in nobody's way: not of what is delivered, and not of the limits that answers need.
PEOPLE_A_LOOK: Final = 10
CALLS_AT_ONCE: Final = 2  # of one org
PAUSE: Final = timedelta(seconds=5)  # between two looks at an org
CALL_DEADLINE: Final = timedelta(seconds=30)
CLAIM: Final = timedelta(minutes=10)  # longer than a look can take

# When somebody is asked about again.
NAMELESS: Final = timedelta(days=30)  # there was no name to be had
REFUSED: Final = timedelta(days=1)  # the vendor would not answer about this person
NOT_ALLOWED: Final = timedelta(hours=6)  # a person has to change something first
NOT_NOW: Final = timedelta(hours=1)  # they never wrote, or their channel is not in use
UNAVAILABLE: Final = timedelta(minutes=5)

_ABOUT_ONE: Final = (RejectedError, VendorNotFoundError)
_WEATHER: Final = (VendorUnavailableError, UnavailableError, OutcomeUnknownError, TimeoutError)
ENOUGH_WEATHER: Final = 2  # one person may be the trouble; of two it is the channel


def naming_nudge(org_id: str, vendor: str) -> Nudge:
    """Look at an org's people without a name at one vendor."""
    return Nudge(queue=QUEUE, group=f"{org_id}:{vendor}", org_id=org_id)


def may_name(vendor: Vendor, integration: Integration | None) -> bool:
    """Whether the vendor can be asked who writes, and the org wants to be written to."""
    return vendor.profiles is not None and is_wanted(vendor, Capability.DIRECT_MESSAGES, integration)


async def sweep(services: Services) -> None:
    """Have every org looked at that has people without a name whose time has come."""
    tell = [slug for slug, vendor in services.vendors.by_slug.items() if vendor.profiles is not None]
    due = await services.storage.backlog.strangers_due(tell, services.clock.now()) if tell else ()
    await nudge_all(services.storage, (naming_nudge(org_id, slug) for org_id, slug in due))


@attrs.frozen
class Namer:
    """Names some people of one org at a time, as often as it is told to."""

    services: Services

    async def look(self, nudge: Nudge) -> LookAgain | None:
        """Ask about those whose time has come; look again if there may be more of them."""
        org_id, _, slug = nudge.group.rpartition(":")
        vendor = self.services.vendors.by_slug.get(slug)
        if vendor is None or vendor.profiles is None:
            return None
        try:
            return await _Look(self.services, org_id, vendor).run()
        except UnavailableError:
            return LookAgain(at=self.services.clock.now() + UNAVAILABLE)


@attrs.define
class _Look:
    """One look at one org's people."""

    services: Services
    org_id: str
    vendor: Vendor
    names: dict[str, Person] = attrs.field(factory=dict, init=False)  # by identity
    waits: dict[str, timedelta] = attrs.field(factory=dict, init=False)  # of whom to ask about again, by both
    closed: dict[str, timedelta] = attrs.field(factory=dict, init=False)  # channels to be left alone
    weather: Counter[str] = attrs.field(factory=Counter, init=False)  # failures, by channel

    async def run(self) -> LookAgain | None:
        """Claim, ask, write.

        Raises:
            UnavailableError: The database is out of reach; whoever was claimed waits until the claim is over.
        """
        asked_at = self.services.clock.now()
        claimed, strangers = await self._claimed(asked_at)
        if strangers:
            await self._ask_all(strangers, asked_at)
            await self._write(asked_at)
        # After trouble the next sweep is soon enough.
        is_more = claimed == PEOPLE_A_LOOK and not self.closed
        return LookAgain(at=self.services.clock.now() + PAUSE) if is_more else None

    async def _claimed(self, now: datetime) -> tuple[int, Sequence[Stranger]]:
        """How many had waited, and whom of them to ask about: who wrote to a channel that is in use."""
        async with self.services.storage.unit_of_work(self.org_id) as uow:
            integration = await uow.integrations.of_vendor(self.vendor.slug)
            if integration is None or integration.status is not IntegrationStatus.ACTIVE:
                return 0, ()  # they are found again once somebody has connected
            claimed = await uow.strangers.claim(
                self.vendor.slug, now=now, until=now + CLAIM, limit=PEOPLE_A_LOOK
            )
            if not claimed:
                return 0, ()
            keys = {one.identity_id for one in claimed}
            ledger = await uow.crm_records.load(LedgerKeys(identities=set(keys)))
            named = {key for key in keys if _is_named(ledger, key)}
            in_use = await self._channels_in_use(uow, integration)
            there = keys - named - await _being_erased(uow, ledger, keys)
            strangers = [
                one for one in claimed if one.identity_id in there and one.channel_external_id in in_use
            ]
            others = keys - named - {one.identity_id for one in strangers}
            await uow.strangers.ask_again(named, at=now + NAMELESS)
            await uow.strangers.ask_again(others, at=now + NOT_NOW)
        return len(claimed), strangers

    async def _channels_in_use(self, uow: UnitOfWork, integration: Integration) -> frozenset[str]:
        if not may_name(self.vendor, integration):
            return frozenset()
        return frozenset(
            channel.external_id
            for channel in await uow.integrations.channels(integration.id)
            if channel.selected
            and channel.selectable
            and self.vendor.suits(channel.type, Capability.DIRECT_MESSAGES)
        )

    # Asking ----------------------------------------------------------------------------------

    async def _ask_all(self, strangers: Sequence[Stranger], asked_at: datetime) -> None:
        """Ask about each, a few at a time. No transaction is open meanwhile."""
        build = port(self.vendor.profiles, "profiles")
        try:
            profiles = build(await self.services.context(self.vendor, self.org_id))
        except NotConnectedError as failure:  # nobody configured an app
            log.warning("nobody_named", code=failure.code, org=self.org_id, vendor=self.vendor.slug)
            self.waits.update((one.identity_id, NOT_ALLOWED) for one in strangers)
            return
        turns = asyncio.Semaphore(CALLS_AT_ONCE)

        async def in_turn(stranger: Stranger) -> None:
            async with turns:
                await self._ask(profiles, stranger, asked_at)

        await asyncio.gather(*map(in_turn, strangers))

    async def _ask(self, profiles: Profiles, stranger: Stranger, asked_at: datetime) -> None:
        """Ask about one. Never raises: others are asked about at the same time."""
        key, channel = stranger.identity_id, stranger.channel_external_id
        if channel in self.closed:
            self.waits[key] = self.closed[channel]
            return
        try:
            async with asyncio.timeout(CALL_DEADLINE.total_seconds()):
                told = await profiles.person(channel, stranger.person)
        except Exception as failure:  # noqa: BLE001 - it says when to ask again
            self.waits[key] = await self._failed(failure, channel, asked_at)
            return
        if told is not None and (told.name or told.handle):
            self.names[key] = told
        else:
            self.waits[key] = NAMELESS

    async def _failed(self, failure: Exception, channel: str, asked_at: datetime) -> timedelta:
        """How long the one waits who was asked about; whether the others of the channel are, is noted."""
        code = failure.code if isinstance(failure, MoorageError) else type(failure).__name__
        log.warning("not_named", code=code, org=self.org_id, vendor=self.vendor.slug, channel=channel)
        wait = _wait_after(failure)
        if isinstance(failure, _ABOUT_ONE):
            return wait
        if isinstance(failure, _WEATHER):
            self.weather[channel] += 1
            if self.weather[channel] < ENOUGH_WEATHER:
                return wait
        elif not isinstance(failure, MoorageError):
            log.error("naming_broke", org=self.org_id, vendor=self.vendor.slug, exc_info=failure)
            return wait
        self.closed[channel] = wait
        if isinstance(failure, VendorError):
            await self._act_on(failure, channel, asked_at)
        return wait

    async def _act_on(self, failure: VendorError, channel: str, asked_at: datetime) -> None:
        """Record what a failure says about the channel or the integration; the next one says it again."""
        with contextlib.suppress(UnavailableError):
            await act_on_vendor_error(
                self.services,
                self.org_id,
                self.vendor.slug,
                failure,
                asked_at=asked_at,
                channel_external_id=channel,
            )

    # Writing ---------------------------------------------------------------------------------

    async def _write(self, asked_at: datetime) -> None:
        """The names as of the moment of asking, and when the others are asked about again.

        Whoever was erased meanwhile is not there any more, and is not made anew.
        """
        now = self.services.clock.now()
        async with self.services.storage.unit_of_work(self.org_id) as uow:
            named = await _name(uow, self.names, asked_at)
            for wait in set(self.waits.values()):
                waiting = [key for key, its_wait in self.waits.items() if its_wait == wait]
                await uow.strangers.ask_again(waiting, at=now + wait)
            for channel, wait in self.closed.items():
                await uow.strangers.leave_be(self.vendor.slug, channel, until=now + wait)
        log.info(
            "people_named",
            org=self.org_id,
            vendor=self.vendor.slug,
            named=named,
            asked=len(self.names) + len(self.waits),
        )


def _contact_of(ledger: Ledger, identity_id: str) -> ContactRecord | None:
    identity = ledger.identities.get(identity_id)
    return ledger.contacts.get(identity.contact_id) if identity is not None else None


def _is_named(ledger: Ledger, identity_id: str) -> bool:
    """Whether they have a name all the same: they are somebody who is known by another id, too."""
    contact = _contact_of(ledger, identity_id)
    return contact is not None and bool(contact.name)


async def _being_erased(uow: UnitOfWork, ledger: Ledger, identity_ids: Collection[str]) -> frozenset[str]:
    """Those of whom an erasure has not got to the last record yet. Who wrote after theirs is somebody new."""
    marks = await uow.crm_records.erased(identity_ids)
    found = ((key, erased_at, _contact_of(ledger, key)) for key, erased_at in marks.items())
    return frozenset(
        key for key, erased_at, contact in found if contact is None or contact.last_seen_at <= erased_at
    )


async def _name(uow: UnitOfWork, names: Mapping[str, Person], asked_at: datetime) -> int:
    """Write what these people are called, by the rules by which an event says it; answers of how many."""
    if not names:
        return 0
    ledger = await uow.crm_records.load(LedgerKeys(identities=set(names)))
    marks = await uow.crm_records.erased(names)
    merge = Merge(ledger=ledger)
    for key, person in names.items():
        identity, contact = ledger.identities.get(key), _contact_of(ledger, key)
        if identity is None or contact is None or (key in marks and marks[key] >= asked_at):
            continue
        merge.name(identity, contact, person, asked_at)
    await uow.crm_records.save(merge.changed)
    return len(merge.changed.identities)


def _wait_after(failure: Exception) -> timedelta:
    """When it makes sense to ask again."""
    if isinstance(failure, RateLimitError):
        return asked_by(failure)
    if isinstance(failure, _WEATHER):
        return UNAVAILABLE
    if isinstance(failure, ReauthorizationError) and failure.hits is not Hits.CALL:
        return SHORTEST_WAIT  # what it hits is left alone until somebody has connected again
    if isinstance(failure, MoorageError) and not isinstance(failure, _ABOUT_ONE):
        return NOT_ALLOWED
    return REFUSED
