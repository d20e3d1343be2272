"""A chunk of leads on its way here, in bad weather: each lead has its own fate, and the ledger tells it."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import attrs
import pytest

from moorage.inbox_worker import MOST_TRIES
from moorage.leads import fetching
from moorage.leads.entries import KEPT_BY_VENDORS
from moorage.replay import ReplayOrder, replay
from moorage_adapters.memory.things import Slip
from moorage_adapters.memory.world import CAFE, NEWSLETTER
from moorage_adapters.sqlmodel.keeping import bucket_of
from moorage_ports.errors import (
    Hits,
    MissingScopeError,
    RateLimitError,
    ReauthorizationError,
    VendorError,
)
from moorage_ports.inbox import Arrival, HeardBy
from moorage_ports.integrations import IntegrationStatus
from moorage_ports.lead_ledger import LeadEntry, LeadOutcome
from moorage_ports.lead_source import Lead, LeadSource
from moorage_ports.plugin import VendorContext
from tests.support.harbour import ADMIN, Harbour, harbour

REMEDY = "Have the board's owner let the app read its forms."
Found = Mapping[str, Lead | VendorError]


@attrs.define
class Weather:
    """What becomes of the answer to a call; and which calls there were, each with the leads asked for."""

    said: Callable[[Found], Found] = lambda found: found
    hangs_at: str = ""
    calls: list[tuple[str, ...]] = attrs.field(factory=list)


class Watched:
    """The memory vendor's lead source, under this weather."""

    def __init__(self, inner: LeadSource, weather: Weather) -> None:
        self._inner = inner
        self._weather = weather
        self.forms = inner.forms
        self.form = inner.form
        self.leads_since = inner.leads_since
        self.create_test_lead = inner.create_test_lead

    async def lead(self, channel_external_id: str, lead_external_id: str) -> Lead:
        found = (await self.leads(channel_external_id, [lead_external_id]))[lead_external_id]
        if isinstance(found, VendorError):
            raise found
        return found

    async def leads(self, channel_external_id: str, lead_external_ids: Sequence[str]) -> Found:
        self._weather.calls.append(tuple(lead_external_ids))
        if self._weather.hangs_at in lead_external_ids:
            await asyncio.Event().wait()
        return self._weather.said(await self._inner.leads(channel_external_id, lead_external_ids))


@pytest.fixture
def weather() -> Weather:
    return Weather()


@pytest.fixture
async def host(tmp_path: Path, weather: Weather) -> AsyncIterator[Harbour]:
    """On SQLite alone: what the two databases may do differently is below this."""
    async with harbour(tmp_path) as made:
        inner = made.vendor.lead_source
        assert inner is not None

        def watched(context: VendorContext) -> Watched:
            assert inner is not None
            return Watched(inner(context), weather)

        vendor = attrs.evolve(made.vendor, lead_source=watched)
        vendors = attrs.evolve(made.services.vendors, by_slug={vendor.slug: vendor})
        made.services = attrs.evolve(made.services, vendors=vendors)
        await made.connect()
        await made.select(CAFE.id)
        yield made


async def arrive(
    host: Harbour, count: int, *, partition: str = "", age: timedelta = timedelta()
) -> list[Slip]:
    """So many leads are announced to one group, in order; each apart, or all of one partition."""
    slips = [host.world.fill_in(NEWSLETTER.id, {"email": (f"{n}@harbour.example",)}) for n in range(count)]
    source = host.vendor.webhooks
    assert source is not None
    told = [change for delivery in host.world.outbox for change in source.split(delivery.body)]
    host.world.outbox.clear()
    apart = (name for name in map(str, itertools.count()) if bucket_of(name) == 0)
    changes = [attrs.evolve(one, partition=partition or next(apart)) for one in told]
    for place, change in enumerate(changes):
        at = host.clock.now() - age + place * timedelta(milliseconds=1)
        app_id = host.world.app.app_id
        await host.storage.intake.keep(
            Arrival(vendor="memory", app_id=app_id, received_at=at, changes=(change,))
        )
    return slips


async def work(host: Harbour, after: timedelta = timedelta()) -> None:
    host.clock.advance(after)
    await host.work()


async def ledger(host: Harbour, slips: Sequence[Slip]) -> list[LeadEntry]:
    """The entry of each."""
    async with host.storage.unit_of_work(ADMIN.org_id, reads_only=True) as uow:
        found = await uow.lead_ledger.of("memory", [slip.id for slip in slips])
    return [found[slip.id] for slip in slips]


async def outcomes(host: Harbour, slips: Sequence[Slip]) -> list[LeadOutcome]:
    return [entry.outcome for entry in await ledger(host, slips)]


async def test_leads_that_came_together_are_read_together_and_each_once(
    host: Harbour, weather: Weather
) -> None:
    slips = await arrive(host, fetching.CHUNK + 10)
    await work(host)

    assert set(await outcomes(host, slips)) == {LeadOutcome.STORED}
    assert sorted(map(len, weather.calls)) == [10, fetching.CHUNK]
    assert sorted(itertools.chain(*weather.calls)) == sorted(slip.id for slip in slips)


async def test_one_that_cannot_be_read_costs_no_other(host: Harbour) -> None:
    slips = await arrive(host, 5)
    del host.world.slips[slips[2].id]
    await work(host)

    kinds = [LeadOutcome.STORED] * 5
    kinds[2] = LeadOutcome.PENDING
    entries = await ledger(host, slips)
    assert [entry.outcome for entry in entries] == kinds
    assert (entries[2].error, entries[2].tries) == ("not_found", 1)
    assert entries[2].remedy, "a person is told what to look at"


async def test_one_that_hangs_holds_up_fewer_each_time_and_in_the_end_nobody(
    host: Harbour, weather: Weather, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "CALL_DEADLINE", timedelta(milliseconds=250))
    slips = await arrive(host, 13)
    weather.hangs_at = slips[0].id
    for _ in range(fetching.ALONE_EVERY):
        await work(host, timedelta(hours=1))

    assert await outcomes(host, slips) == [LeadOutcome.PENDING] + [LeadOutcome.STORED] * 12
    assert [len(call) for call in weather.calls if slips[0].id in call] == [13, 10, 10, 1]


async def test_a_grant_that_goes_in_the_middle_parks_the_rest_and_loses_nobody(
    host: Harbour, weather: Weather
) -> None:
    slips = await arrive(host, 6)
    gone = ReauthorizationError("the permit is gone", vendor="memory", hits=Hits.INTEGRATION)
    weather.said = lambda found: {
        key: gone if place >= 3 else one for place, (key, one) in enumerate(found.items())
    }
    await work(host)

    assert await outcomes(host, slips) == [LeadOutcome.STORED] * 3 + [LeadOutcome.PARKED] * 3
    assert (await host.integration()).status is IntegrationStatus.EXPIRED
    parked = (await ledger(host, slips))[-1]
    assert (parked.error, parked.remedy) == ("reconnect_required", gone.remedy)

    weather.said = lambda found: found
    host.clock.advance(timedelta(hours=1))
    await host.connect()
    await work(host)
    assert set(await outcomes(host, slips)) == {LeadOutcome.STORED}
    assert sorted(itertools.chain(*weather.calls)) == sorted(slip.id for slip in (*slips, *slips[3:])), (
        "nobody was read again who was here"
    )


async def test_a_limit_that_strikes_in_the_middle_is_waited_out_by_the_rest(
    host: Harbour, weather: Weather
) -> None:
    slips = await arrive(host, 6)
    limit = RateLimitError("come back later", vendor="memory", retry_after=timedelta(minutes=30))
    weather.said = lambda found: {
        key: limit if place % 2 else one for place, (key, one) in enumerate(found.items())
    }
    await work(host)
    assert await outcomes(host, slips) == [LeadOutcome.STORED, LeadOutcome.PENDING] * 3

    weather.said = lambda found: found
    await work(host, timedelta(minutes=29))
    assert len(weather.calls) == 1, "not before its time"
    await work(host, timedelta(minutes=2))
    assert set(await outcomes(host, slips)) == {LeadOutcome.STORED}


async def test_what_is_behind_one_that_waits_in_its_partition_waits_untried(
    host: Harbour, weather: Weather
) -> None:
    slips = await arrive(host, 4, partition="in order")
    hidden = host.world.slips.pop(slips[1].id)
    await work(host)
    async with host.storage.unit_of_work(ADMIN.org_id, reads_only=True) as uow:
        known = await uow.lead_ledger.of("memory", [slip.id for slip in slips])
    assert {key: entry.outcome for key, entry in known.items()} == {
        slips[0].id: LeadOutcome.STORED,
        slips[1].id: LeadOutcome.PENDING,
    }

    host.world.slips[hidden.id] = hidden
    await work(host, timedelta(minutes=1))
    entries = await ledger(host, slips)
    assert [entry.outcome for entry in entries] == [LeadOutcome.STORED] * 4
    assert [entry.tries for entry in entries] == [1, 2, 1, 1]


async def test_what_only_a_person_can_change_is_parked_with_what_is_missing(
    host: Harbour, weather: Weather
) -> None:
    slips = await arrive(host, 2)
    refused = MissingScopeError("the board's owner says no", vendor="memory", remedy=REMEDY)
    weather.said = lambda found: dict.fromkeys(found, refused)
    await work(host)

    assert [(one.outcome, one.error, one.remedy) for one in await ledger(host, slips)] == [
        (LeadOutcome.PARKED, "missing_scope", REMEDY)
    ] * 2


@pytest.mark.parametrize(
    ("age", "outcome"),
    [(timedelta(), LeadOutcome.DEAD), (KEPT_BY_VENDORS, LeadOutcome.EXPIRED)],
)
async def test_what_is_never_found_is_given_up_and_says_so(
    host: Harbour, age: timedelta, outcome: LeadOutcome
) -> None:
    """One so old that no vendor keeps it is nobody's fault; any other can be replayed."""
    slips = await arrive(host, 1)
    host.world.slips.clear()
    host.clock.advance(age)
    await host.connect()
    for _ in range(MOST_TRIES):
        await work(host, timedelta(days=2))

    (entry,) = await ledger(host, slips)
    assert (entry.outcome, entry.error, entry.tries) == (outcome, "not_found", MOST_TRIES)
    host.world.slips[slips[0].id] = slips[0]
    assert await replay(host.services, ReplayOrder(org_id=ADMIN.org_id, by="test")) == 1
    await work(host)
    assert await outcomes(host, slips) == [LeadOutcome.STORED]


async def test_a_double_is_counted_and_read_only_once(host: Harbour, weather: Weather) -> None:
    slip = host.world.fill_in(NEWSLETTER.id, {"email": ("ada@harbour.example",)})
    await host.deliver_all()
    await work(host)
    for _ in range(2):
        await host.deliver(host.world.delivery_of(slip))
    await work(host)

    (entry,) = await ledger(host, [slip])
    assert (entry.outcome, entry.doubles, entry.heard_by) == (LeadOutcome.STORED, 2, HeardBy.WEBHOOK)
    assert len(weather.calls) == 1
