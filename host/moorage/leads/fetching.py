"""Leads that deliveries announced, read at the vendor: many per call, a few calls at once.

A look translates all of its rows first and has whatever they announce fetched together. Each lead has an
outcome of its own: one that cannot be read costs no other.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import Final, TypeAlias

import attrs
import structlog

from moorage.ids import new_id
from moorage.leads.hearing import HeardLead
from moorage.leads.mapping import Mapper
from moorage.operations.standing import act_on_vendor_error
from moorage.services import Services, port
from moorage_ports.errors import (
    MoorageError,
    NotConnectedError,
    ReauthorizationError,
    VendorError,
)
from moorage_ports.events import LeadArrived
from moorage_ports.integrations import Integration, IntegrationStatus
from moorage_ports.lead_ledger import LeadOutcome
from moorage_ports.lead_source import Lead
from moorage_ports.plugin import Vendor

log = structlog.get_logger(__name__)

CHUNK: Final = 50  # leads per call
AGAIN_CHUNK: Final = 10  # of those that were tried before: one that hangs holds up fewer
ALONE_EVERY: Final = 4  # and every so many tries alone: then it holds up nobody
CALLS_AT_ONCE: Final = 8  # per group
CALL_DEADLINE: Final = timedelta(seconds=45)  # one that hangs must not hold up its group

Key: TypeAlias = tuple[str, str]  # (vendor, the vendor's id of the lead)
_Fetched: TypeAlias = HeardLead | Exception


@attrs.frozen
class Announced:
    """A lead to fetch; `tries` counts the looks at its row, this one included."""

    vendor: Vendor
    event: LeadArrived
    tries: int

    @property
    def key(self) -> Key:
        """What it is one of a kind by."""
        return (self.vendor.slug, self.event.lead_external_id)

    @property
    def heard(self) -> HeardLead:
        """That it was heard of, and nothing more."""
        return HeardLead(vendor=self.vendor.slug, event=self.event)


@attrs.define
class Fetching:
    """The leads of one look on their way here. Whoever leaves it leaves nothing running behind.

    A rehearsal draws no conclusions from the vendor's errors.
    """

    services: Services
    org_id: str
    is_rehearsal: bool = False
    _found: dict[Key, "asyncio.Future[_Fetched]"] = attrs.field(factory=dict, init=False)
    _calls: list["asyncio.Task[None]"] = attrs.field(factory=list, init=False)
    _tests: set[Key] = attrs.field(factory=set, init=False)  # made here to try things out
    _gate: asyncio.Semaphore = attrs.field(factory=lambda: asyncio.Semaphore(CALLS_AT_ONCE), init=False)

    async def __aenter__(self) -> "Fetching":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for call in self._calls:
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)

    async def begin(self, announced: Iterable[Announced]) -> None:
        """Have these fetched, but for those that the ledger has in the CRM. Nobody is waited for.

        Raises:
            UnavailableError: The database is out of reach; nothing was asked.
        """
        first: dict[Key, Announced] = {}
        for one in announced:
            first.setdefault(one.key, one)
        if not first:
            return
        loop = asyncio.get_running_loop()
        self._found = {key: loop.create_future() for key in first}
        wanted = [one for one in await self._unsettled(first.values()) if not self._found[one.key].done()]
        for vendor, channel, some in _chunked(wanted):
            call = self._fetch(vendor, channel, some)
            self._calls.append(asyncio.create_task(call, name="moorage-leads"))

    async def result(self, one: Announced) -> HeardLead:
        """What became of it.

        Raises:
            MoorageError: It cannot be read (now); see `LeadSource`.
            NotConnectedError, ReauthorizationError: The org has to connect (again) first.
        """
        found = await self._found[one.key]
        if isinstance(found, Exception):
            raise found
        return found

    async def _unsettled(self, announced: Iterable[Announced]) -> list[Announced]:
        """Those that are still to be fetched; of the others it is known by now what became of them."""
        by_vendor: dict[str, list[Announced]] = {}
        for one in announced:
            by_vendor.setdefault(one.vendor.slug, []).append(one)
        wanted: list[Announced] = []
        async with self.services.storage.unit_of_work(self.org_id, reads_only=True) as uow:
            for slug, some in by_vendor.items():
                ids = [one.event.lead_external_id for one in some]
                settled = await uow.lead_ledger.settled(slug, ids)
                self._tests.update((slug, made) for made in await uow.lead_tests.made(slug, tuple(ids)))
                wanted += self._still_wanted(some, settled, await uow.integrations.of_vendor(slug))
        return wanted

    def _still_wanted(
        self,
        announced: Sequence[Announced],
        settled: Mapping[str, LeadOutcome],
        integration: Integration | None,
    ) -> list[Announced]:
        refusal = _refusal(integration)
        wanted = []
        for one in announced:
            outcome = settled.get(one.event.lead_external_id)
            if outcome is not None:
                self._tell(one, attrs.evolve(one.heard, settled=outcome))
            elif refusal is not None:
                self._tell(one, refusal(one.vendor.slug))
            else:
                wanted.append(one)
        return wanted

    async def _fetch(self, vendor: Vendor, channel: str, some: Sequence[Announced]) -> None:
        """One call, and everybody who waits for something of it hears what came."""
        async with self._gate:
            asked_at = self.services.clock.now()
            found: Mapping[str, Lead | Exception]
            try:
                async with asyncio.timeout(CALL_DEADLINE.total_seconds()):
                    found = await self._ask(vendor, channel, some)
                if not self.is_rehearsal:
                    await self._act_on(vendor, channel, found.values(), asked_at)
                heard = await self._mapped(vendor, some, found)
            except Exception as failure:  # noqa: BLE001 - whatever it is, each of them is told
                heard = dict.fromkeys((one.key for one in some), failure)
        for one in some:
            self._tell(one, heard[one.key])

    async def _ask(
        self, vendor: Vendor, channel: str, some: Sequence[Announced]
    ) -> Mapping[str, Lead | Exception]:
        source = port(vendor.lead_source, "lead source")(await self.services.context(vendor, self.org_id))
        ids = [one.event.lead_external_id for one in some]
        try:
            if len(ids) == 1:
                return {ids[0]: await source.lead(channel, ids[0])}
            return await source.leads(channel, ids)
        except VendorError as failure:
            return dict.fromkeys(ids, failure)

    async def _act_on(
        self, vendor: Vendor, channel: str, found: Iterable[Lead | Exception], asked_at: datetime
    ) -> None:
        """What the vendor's errors say about the channel or the integration, each kind once."""
        errors = {(type(one), one.hits): one for one in found if isinstance(one, VendorError)}
        for error in errors.values():
            await act_on_vendor_error(
                self.services,
                self.org_id,
                vendor.slug,
                error,
                asked_at=asked_at,
                channel_external_id=channel,
            )

    async def _mapped(
        self, vendor: Vendor, some: Sequence[Announced], found: Mapping[str, Lead | Exception]
    ) -> dict[Key, _Fetched]:
        """The leads as the CRM will have them."""
        fetched_at = self.services.clock.now()
        leads = [lead for lead in found.values() if isinstance(lead, Lead)]
        mapper = await Mapper.of(self.services, self.org_id, vendor.slug, leads)
        heard: dict[Key, _Fetched] = {}
        for one in some:
            lead = found.get(one.event.lead_external_id)
            if isinstance(lead, Lead):
                lead = attrs.evolve(lead, is_test=True) if one.key in self._tests else lead
                heard[one.key] = mapper.heard(one.heard, lead, lead_id=new_id(), fetched_at=fetched_at)
            else:
                heard[one.key] = lead or MoorageError("the vendor's plugin said nothing of a lead")
        return heard

    def _tell(self, one: Announced, found: _Fetched) -> None:
        waiting = self._found[one.key]
        if not waiting.done():
            waiting.set_result(found)


def _refusal(integration: Integration | None) -> Callable[[str], Exception] | None:
    """Why nothing can be asked of the vendor, if that is so."""
    if integration is None or integration.status is IntegrationStatus.INACTIVE:
        return lambda _: NotConnectedError("the organisation is no longer connected")
    if integration.status is not IntegrationStatus.ACTIVE:
        return lambda slug: ReauthorizationError("the grant is gone, or was another app's", vendor=slug)
    return None


def _size(tries: int) -> int:
    """How many leads may share a call with one that is tried for this time."""
    if tries <= 1:
        return CHUNK
    return 1 if tries % ALONE_EVERY == 0 else AGAIN_CHUNK


def _chunked(wanted: Iterable[Announced]) -> Iterable[tuple[Vendor, str, Sequence[Announced]]]:
    """Those of one channel together, as many as may share a call."""
    alike: dict[tuple[str, str, int], list[Announced]] = {}
    for one in wanted:
        key = (one.vendor.slug, one.event.channel_external_id, _size(one.tries))
        alike.setdefault(key, []).append(one)
    for (_, channel, size), some in alike.items():
        for start in range(0, len(some), size):
            yield some[0].vendor, channel, some[start : start + size]
