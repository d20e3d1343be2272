"""A gap between the vendor's count and ours is closed where it can be, and told where it cannot."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import attrs
import pytest
from structlog.testing import capture_logs

from moorage.leads.form_counts import REREAD_EVERY, WATCHED
from moorage.leads.ledger import totals
from moorage.reconcile import EVERY, OVERLAP, QUEUE, Reconciler
from moorage_adapters.memory.things import Slip
from moorage_adapters.memory.world import CAFE, NEWSLETTER
from moorage_ports.form_checks import FormCheck
from moorage_ports.jobs import Nudge
from tests.support.harbour import ADMIN, Harbour, harbour


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Harbour]:
    """An org that has listened to a board for more than a day."""
    async with harbour(tmp_path) as made:
        await made.connect()
        await made.select(CAFE.id)
        await look(made)
        made.clock.advance(WATCHED)
        await look(made)
        yield made


async def look(host: Harbour, times: int = 1) -> FormCheck:
    """A quarter of an hour goes by and the board is looked after, `times` times; what the counts say then."""
    for _ in range(times):
        host.clock.advance(EVERY)
        nudge = Nudge(queue=QUEUE, group=f"{ADMIN.org_id}:memory:{CAFE.id}", org_id=ADMIN.org_id)
        while await Reconciler(host.services).look(nudge) is not None:
            pass
        await host.work()
    async with host.storage.unit_of_work(ADMIN.org_id, reads_only=True) as uow:
        check = await uow.form_checks.get("memory", CAFE.id, NEWSLETTER.id)
    assert check is not None
    return check


def fill_in(host: Harbour, **changed: object) -> Slip:
    """Somebody fills in the form, and the vendor tells nobody."""
    slip = host.world.fill_in(NEWSLETTER.id, {"email": ("ada@harbour.example",)})
    host.world.outbox.clear()
    host.world.slips[slip.id] = attrs.evolve(slip, **changed)  # type: ignore[arg-type]
    return slip


async def test_leads_that_are_found_by_looking_are_no_gap(host: Harbour) -> None:
    fill_in(host)
    fill_in(host)

    check = await look(host, 3)

    assert (check.theirs, check.ours, check.gap, check.before) == (2, 2, 0, 0)


async def test_a_lead_that_no_look_would_see_is_fetched_once_the_count_tells_of_it(host: Harbour) -> None:
    """The vendor lists it hours late, under the moment at which it was submitted: before what is read."""
    at = host.clock.now() - OVERLAP - timedelta(hours=3)
    late = fill_in(host, handed_in_at=at)

    gap = await look(host)
    closed = await look(host, 3)

    assert gap.gap == 1
    assert (closed.gap, closed.alarmed_at) == (0, None)
    assert [lead.external_id for lead in await host.leads()] == [late.id]


async def test_leads_that_cannot_be_had_are_told_once_and_until_they_are_there(host: Harbour) -> None:
    """The vendor counts them and lists them nowhere."""
    slips = [fill_in(host) for _ in range(2)]
    for slip in slips:
        host.world.shred(slip.id)

    with capture_logs() as logs:
        alarming = await look(host, 6)
    told = [line for line in logs if line["event"] == "leads_missing"]
    assert alarming.is_alarming
    assert alarming.gap == 2
    assert [(line["log_level"], line["missing"]) for line in told] == [("error", 2)]
    assert await host.storage.backlog.missing_leads() == {"memory": 2}
    (row,) = (await totals(host.services, ADMIN.org_id)).items
    assert row.counted is not None
    assert (row.heard, row.counted.theirs, row.counted.missing, row.counted.alarming) == (0, 2, 2, True)
    assert row.counted.missing_since == alarming.gap_since

    host.world.slips |= host.world.shredded
    host.world.shredded.clear()
    host.clock.advance(REREAD_EVERY)
    with capture_logs() as logs:
        closed = await look(host, 3)
    assert not closed.is_alarming
    assert closed.gap == 0
    assert [line["event"] for line in logs if line["event"] == "leads_complete"] == ["leads_complete"]
    assert await host.storage.backlog.missing_leads() == {}


async def test_a_test_lead_is_no_gap_although_the_vendor_counts_it(host: Harbour) -> None:
    source = host.vendor.lead_source
    assert source is not None
    leads = source(await host.services.context(host.vendor, ADMIN.org_id))
    await leads.create_test_lead(CAFE.id, NEWSLETTER.id)
    await host.deliver_all()
    await host.work()

    check = await look(host, 6)

    assert (check.theirs, check.is_alarming) == (1, False)


async def test_leads_from_before_are_no_gap_and_stay_so_when_they_are_backfilled(tmp_path: Path) -> None:
    async with harbour(tmp_path) as host:
        for _ in range(3):
            host.world.fill_in(NEWSLETTER.id, {"email": ("old@harbour.example",)})
        host.clock.advance(timedelta(days=3))
        await host.connect()
        await host.select(CAFE.id)
        await look(host)
        host.clock.advance(WATCHED)
        check = await look(host, 3)

    assert (check.theirs, check.ours, check.before, check.gap) == (3, 0, 3, 0)


async def test_a_board_that_is_taken_up_again_is_watched_anew(host: Harbour) -> None:
    await host.select()
    fill_in(host)
    host.clock.advance(OVERLAP * 2)
    await host.select(CAFE.id)

    check = await look(host, 4)

    assert (check.theirs, check.ours, check.gap) == (1, 0, 0)


async def test_a_form_that_is_compared_twice_in_a_moment_is_compared_once(host: Harbour) -> None:
    before = await look(host)
    host.clock.advance(timedelta(minutes=1))
    nudge = Nudge(queue=QUEUE, group=f"{ADMIN.org_id}:memory:{CAFE.id}", org_id=ADMIN.org_id)
    await Reconciler(host.services).look(nudge)

    async with host.storage.unit_of_work(ADMIN.org_id, reads_only=True) as uow:
        assert await uow.form_checks.get("memory", CAFE.id, NEWSLETTER.id) == before


async def test_a_form_that_is_gone_misses_nothing_any_more(host: Harbour) -> None:
    for slip in [fill_in(host) for _ in range(2)]:
        host.world.shred(slip.id)
    assert (await look(host, 4)).is_alarming
    del host.world.forms[NEWSLETTER.id]

    await Reconciler(host.services).look(
        Nudge(queue=QUEUE, group=f"{ADMIN.org_id}:memory:{CAFE.id}", org_id=ADMIN.org_id)
    )

    async with host.storage.unit_of_work(ADMIN.org_id, reads_only=True) as uow:
        assert await uow.form_checks.all() == ()
    assert await host.storage.backlog.missing_leads() == {}


async def test_a_board_that_nobody_listens_to_any_more_misses_nothing(host: Harbour) -> None:
    for slip in [fill_in(host) for _ in range(2)]:
        host.world.shred(slip.id)
    await look(host, 4)
    assert await host.storage.backlog.missing_leads() == {"memory": 2}

    await host.select()

    assert await host.storage.backlog.missing_leads() == {}
