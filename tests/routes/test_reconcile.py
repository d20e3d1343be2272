"""W19: what was lost on the way here is found: leads without deliveries, news that was switched off."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from pathlib import Path

import attrs
import pytest
from sqlalchemy import text

from moorage import reconcile
from moorage.inbox_worker import MOST_TRIES, NOT_FOUND_RETRIES
from moorage.reconcile import EVERY, OVERLAP, PAGES_A_LOOK, Reconciler, nudge_channels
from moorage.workers import register_workers
from moorage_adapters.memory.things import READ_FORMS, SEND_NEWS, Form, Slip
from moorage_adapters.memory.world import BOOKS, CAFE, NEWSLETTER, SLIPS_PER_PAGE
from moorage_ports.checkpoints import LeadCheckpoint
from moorage_ports.errors import RejectedError, VendorNotFoundError
from moorage_ports.integrations import IntegrationStatus
from moorage_ports.jobs import LookAgain, Nudge
from moorage_ports.lead_source import Lead
from tests.support.harbour import ADMIN, Harbour, StillJobs, harbour


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Harbour]:
    async with harbour(tmp_path) as made:
        await made.connect()
        await made.select(CAFE.id)
        yield made


def fill_in(host: Harbour, count: int = 1, *, form: str = NEWSLETTER.id) -> list[Slip]:
    """People fill in forms; whatever the vendor sends about it gets lost."""
    slips = [host.world.fill_in(form, {"email": (f"{n}@harbour.example",)}) for n in range(count)]
    host.world.outbox.clear()
    return slips


def nudge_for(board_id: str = CAFE.id, org_id: str = ADMIN.org_id) -> Nudge:
    return Nudge(queue=reconcile.QUEUE, group=f"{org_id}:memory:{board_id}", org_id=org_id)


async def look(host: Harbour, board_id: str = CAFE.id, *, org_id: str = ADMIN.org_id) -> LookAgain | None:
    """Look after a board until there is no more to do for now."""
    again: LookAgain | None = LookAgain()
    for _ in range(100):
        again = await Reconciler(host.services).look(nudge_for(board_id, org_id))
        if again is None or again.at is not None:
            break
    await host.work()
    return again


async def lead_ids(host: Harbour, org_id: str = ADMIN.org_id) -> list[str]:
    return sorted(lead.external_id for lead in await host.leads(org_id))


def ids(slips: Sequence[Slip]) -> list[str]:
    return sorted(slip.id for slip in slips)


async def is_heard(host: Harbour, board_id: str = CAFE.id) -> bool:
    """What we believe about a board's news."""
    async with host.storage.unit_of_work(ADMIN.org_id, reads_only=True) as uow:
        channel = await uow.integrations.channel("memory", board_id)
    assert channel is not None
    return channel.subscribed


# Two hours without us ----------------------------------------------------------------------------


async def test_after_two_hours_of_outage_every_lead_is_there_once_w19(host: Harbour) -> None:
    """W19: the vendor gave up and switched the news off; the next look finds all of it."""
    before = fill_in(host, 3)
    await look(host)
    lost = []
    for _ in range(8):
        host.clock.advance(timedelta(minutes=15))
        lost += fill_in(host, 5)
    host.world.sending.discard(CAFE.id)

    await look(host)

    assert await lead_ids(host) == ids(before + lost)
    assert CAFE.id in host.world.sending, "its news comes again"
    assert await is_heard(host)
    late = host.world.delivery_of(*lost)
    assert (await host.deliver(late)).status_code == 200
    await host.work()
    assert await lead_ids(host) == ids(before + lost), "a delivery that comes after all is known"


async def test_what_came_by_webhook_is_not_there_twice_w19(host: Harbour) -> None:
    slip = host.world.fill_in(NEWSLETTER.id, {"email": ("ada@harbour.example",)})
    await host.deliver_all()
    await look(host)
    await look(host)

    assert await lead_ids(host) == [slip.id]
    async with host.storage.database.read() as transaction:
        rows = await transaction.run(
            lambda connection: connection.execute(text("SELECT count(*) FROM inbox")).scalar_one()
        )
    assert rows == 1


async def test_a_lead_that_shows_late_at_the_vendor_is_still_found(host: Harbour) -> None:
    """Vendors list what they took in a while ago only now: each look reads back behind the last one."""
    await look(host)
    host.clock.advance(EVERY)
    await look(host)
    hidden = fill_in(host)[0]
    at = host.clock.now() - EVERY - OVERLAP / 2
    host.world.slips[hidden.id] = attrs.evolve(hidden, handed_in_at=at)
    host.clock.advance(EVERY)
    await look(host)

    assert await lead_ids(host) == [hidden.id]


async def test_leads_from_before_the_selection_are_not_the_orgs_w19(host: Harbour) -> None:
    """Nobody asked for them: that is what a backfill is for."""
    host.world.forms["form-2"] = Form(id="form-2", board_id=BOOKS.id, name="Club", asks={"email": "Mail"})
    fill_in(host, form="form-2")
    host.clock.advance(OVERLAP + timedelta(minutes=1))
    await host.select(CAFE.id, BOOKS.id)
    host.clock.advance(timedelta(days=3))
    fresh = fill_in(host, form="form-2")
    await look(host, BOOKS.id)

    assert await lead_ids(host) == ids(fresh)


async def test_a_board_that_was_given_up_and_taken_up_again_begins_anew(host: Harbour) -> None:
    await look(host)
    await host.select()
    host.clock.advance(OVERLAP + timedelta(hours=1))
    fill_in(host)
    host.clock.advance(OVERLAP + timedelta(hours=1))
    await host.select(CAFE.id)
    await look(host)

    assert await lead_ids(host) == [], "what came meanwhile was not for this org"


async def test_each_org_finds_its_own_w19(host: Harbour) -> None:
    """Two orgs share a board: one's look feeds nobody else."""
    other = attrs.evolve(ADMIN, org_id="org-b", user_id="user-2")
    await host.connect(other)
    await host.select(CAFE.id, caller=other)
    slips = fill_in(host, 2)
    await look(host)
    assert (await lead_ids(host), await lead_ids(host, "org-b")) == (ids(slips), [])

    await look(host, org_id="org-b")
    assert await lead_ids(host, "org-b") == ids(slips)


# Long lists ----------------------------------------------------------------------------------------


async def test_a_long_list_is_read_in_bounded_looks_w19(host: Harbour) -> None:
    """The worker goes to the back of the line after some pages, and goes on where it was."""
    slips = fill_in(host, SLIPS_PER_PAGE * PAGES_A_LOOK * 2 + 1)
    host.clock.advance(timedelta(minutes=1))
    reconciler = Reconciler(host.services)
    assert await reconciler.look(nudge_for()) == LookAgain()
    await host.work()
    assert len(await lead_ids(host)) == SLIPS_PER_PAGE * PAGES_A_LOOK

    assert await reconciler.look(nudge_for()) == LookAgain()
    assert await reconciler.look(nudge_for()) is None
    await host.work()
    assert await lead_ids(host) == ids(slips)
    calls = host.world.calls
    assert await reconciler.look(nudge_for()) is None
    assert host.world.calls - calls == 2, "the subscription and the list of forms: those were just read"


async def test_a_vendor_that_forgot_the_cursor_is_asked_from_the_beginning(host: Harbour) -> None:
    slips = fill_in(host, 3)
    async with host.storage.unit_of_work(ADMIN.org_id) as uow:
        await uow.lead_checkpoints.save(
            LeadCheckpoint(
                vendor="memory",
                channel_external_id=CAFE.id,
                form_external_id=NEWSLETTER.id,
                since=host.clock.now(),
                cursor="forgotten",
                began_at=host.clock.now(),
            )
        )
    await look(host)
    assert await lead_ids(host) == []
    host.clock.advance(EVERY)
    await look(host)
    assert await lead_ids(host) == ids(slips)


# Weather -------------------------------------------------------------------------------------------


async def test_a_limit_is_waited_out_w19(host: Harbour) -> None:
    fill_in(host)
    host.world.limit(timedelta(minutes=7))
    again = await look(host)

    assert again is not None
    assert again.at is not None
    assert again.at >= host.clock.now() + timedelta(minutes=7)
    assert (await host.integration()).status is IntegrationStatus.ACTIVE


async def test_a_vendor_out_of_reach_costs_nothing_but_time(host: Harbour) -> None:
    slips = fill_in(host)
    host.world.go_down()
    assert await look(host) is None
    assert await is_heard(host), "not knowing is not the same as knowing it stopped"

    host.world.clear_up()
    host.clock.advance(EVERY)
    await look(host)
    assert await lead_ids(host) == ids(slips)


async def test_a_subscription_that_cannot_come_back_is_written_down_and_leads_come_anyway_w19(
    host: Harbour,
) -> None:
    """The channel says that it is not heard; its leads are still read."""
    slips = fill_in(host)
    host.world.sending.discard(CAFE.id)
    host.world.drop_scope(SEND_NEWS)
    await look(host)
    assert await lead_ids(host) == ids(slips)


async def test_a_refused_subscription_marks_the_channel_as_not_heard_w19(host: Harbour) -> None:
    host.world.sending.discard(CAFE.id)
    deaf = _with_subscriptions(host, _Deaf())
    await look(deaf)
    assert not await is_heard(host)

    await look(host)
    assert await is_heard(host)


async def test_a_lost_grant_expires_the_integration_and_its_leads_come_after_the_next_consent(
    host: Harbour,
) -> None:
    await look(host)
    host.world.revoke_grant()
    slips = fill_in(host)
    await look(host)
    assert (await host.integration()).status is IntegrationStatus.EXPIRED
    calls = host.world.calls
    await look(host)
    assert host.world.calls == calls, "nobody asks with a dead grant"

    host.clock.advance(timedelta(days=2))
    await host.connect()
    await look(host)
    assert await lead_ids(host) == ids(slips)


async def test_without_the_scope_for_leads_the_subscription_is_still_looked_after(host: Harbour) -> None:
    host.world.drop_scope(READ_FORMS)
    host.world.sending.discard(CAFE.id)
    assert await look(host) is None
    assert CAFE.id in host.world.sending


async def test_a_form_that_is_gone_does_not_hide_the_others(host: Harbour) -> None:
    host.world.forms["form-0"] = Form(id="form-0", board_id=CAFE.id, name="Old", asks={"email": "Mail"})
    slips = fill_in(host)
    vanishing = _with_forms_gone(host, "form-0")
    await look(vanishing)
    assert await lead_ids(host) == ids(slips)


# Given up, and back ------------------------------------------------------------------------------


async def states(host: Harbour) -> list[tuple[str, int]]:
    async with host.storage.database.read() as transaction:
        return await transaction.run(
            lambda connection: [
                (row[0], row[1])
                for row in connection.execute(text("SELECT state, tries FROM inbox ORDER BY seq"))
            ]
        )


async def test_a_dead_lead_that_can_be_read_again_is_revived_w19(host: Harbour) -> None:
    """W19: we gave it up when nobody could read it; now the vendor lists it."""
    slip = host.world.fill_in(NEWSLETTER.id, {"email": ("ada@harbour.example",)})
    del host.world.slips[slip.id]
    await host.deliver_all()
    while (await states(host))[0][0] == "pending":
        await host.work()
        host.clock.advance(timedelta(days=1))
    assert (await states(host))[0][0] == "dead"

    host.world.slips[slip.id] = attrs.evolve(slip, handed_in_at=host.clock.now())
    await look(host)
    assert await lead_ids(host) == [slip.id]
    assert await states(host) == [("done", 1)], "all its tries are before it again"


async def test_a_lead_that_is_listed_and_never_to_be_read_stays_given_up(host: Harbour) -> None:
    """Each look that lists it lets it begin anew: those are the looks of an hour, and no more."""
    fill_in(host)
    refusing = _with_no_lead_to_be_read(host)
    begun = 0
    for _ in range(int(OVERLAP / EVERY) * 2 + 1):
        await look(refusing)
        ((state, tries),) = await states(host)
        begun += tries == 1
        assert state == "pending"
        host.clock.advance(EVERY)
    assert 1 < begun <= OVERLAP / EVERY + 2, "the next ones read on behind it"

    for _ in range(len(NOT_FOUND_RETRIES)):
        host.clock.advance(timedelta(days=1, hours=3))
        await refusing.work()
    assert await states(host) == [("dead", MOST_TRIES)]
    await look(refusing)
    assert await states(host) == [("dead", MOST_TRIES)]


async def test_others_that_come_in_let_none_begin_anew_that_is_listed_no_more(host: Harbour) -> None:
    """Nobody may read any lead: each is given up in its time, however many follow."""
    fill_in(host)
    refusing = _with_no_lead_to_be_read(host)
    await look(refusing)
    for _ in range(MOST_TRIES):
        host.clock.advance(timedelta(days=1, hours=3))
        fill_in(host)
        await look(refusing)
        for _ in range(3):
            host.clock.advance(EVERY / 3)
            await refusing.work()
        await look(refusing)  # lists the last one again, which waits by now, and begins anew
    assert (await states(host))[0] == ("dead", MOST_TRIES)


async def test_when_a_channels_leads_can_be_read_again_all_that_is_parked_is_tried_w19(host: Harbour) -> None:
    """A permission that was repaired at the vendor, without a new consent here."""
    host.world.drop_scope(READ_FORMS)
    slips = [host.world.fill_in(NEWSLETTER.id, {"email": (f"{n}@harbour.example",)}) for n in range(5)]
    await host.deliver_all()
    await look(host)
    assert await states(host) == [("parked", 1)] * 5

    host.clock.advance(timedelta(days=2))
    await look(host)
    assert await states(host) == [("parked", 1)] * 5, "not yet"
    host.world.restore_scope(READ_FORMS)
    await look(host)
    assert await lead_ids(host) == ids(slips)


async def test_what_was_read_before_is_not_worked_on_again_at_every_look(host: Harbour) -> None:
    fill_in(host, 3)
    await look(host)
    calls = host.world.calls
    host.clock.advance(EVERY)
    await look(host)

    assert await states(host) == [("done", 1)] * 3
    assert host.world.calls - calls < 5, "the forms and their pages, no lead"


# Who is looked after -------------------------------------------------------------------------------


async def nudged(host: Harbour) -> list[str]:
    async with host.storage.database.read() as transaction:
        return await transaction.run(
            lambda connection: [
                row[0]
                for row in connection.execute(
                    text("SELECT group_key FROM job WHERE queue = 'reconcile' ORDER BY group_key")
                )
            ]
        )


async def test_every_selected_channel_of_every_connected_org_is_nudged_w19(host: Harbour) -> None:
    other = attrs.evolve(ADMIN, org_id="org-b", user_id="user-2")
    third = attrs.evolve(ADMIN, org_id="org-c", user_id="user-3")
    for caller in (other, third):
        await host.connect(caller)
        await host.select(CAFE.id, BOOKS.id, caller=caller)
    async with host.storage.unit_of_work("org-c") as uow:
        integration = await uow.integrations.of_vendor("memory")
        assert integration is not None
        await uow.integrations.save(attrs.evolve(integration, status=IntegrationStatus.EXPIRED))
    await nudge_channels(host.services)

    assert await nudged(host) == [
        f"org-a:memory:{CAFE.id}",
        f"org-b:memory:{CAFE.id}",
        f"org-b:memory:{BOOKS.id}",
    ]


async def test_what_is_no_longer_selected_is_left_alone(host: Harbour) -> None:
    """The nudge may be older than the choice."""
    await host.select()
    calls = host.world.calls
    assert await Reconciler(host.services).look(nudge_for()) is None
    assert await Reconciler(host.services).look(nudge_for(org_id="org-z")) is None
    assert host.world.calls == calls


async def test_it_runs_by_itself_every_quarter_of_an_hour_w19(host: Harbour) -> None:
    jobs = StillJobs()
    register_workers(attrs.evolve(host.services, jobs=jobs))
    assert jobs.schedules["reconciliation"] == timedelta(minutes=15)
    assert reconcile.QUEUE in jobs.handlers


# Helpers -------------------------------------------------------------------------------------------


class _Deaf:
    """A vendor that accepts a subscription from nobody."""

    async def subscribe(self, channel_external_id: str) -> None:
        msg = "no"
        raise RejectedError(msg, vendor="memory")

    async def unsubscribe(self, channel_external_id: str) -> None: ...

    async def heard_with(self, channel_external_id: str) -> tuple[str, ...]:
        return ()

    async def is_subscribed(self, channel_external_id: str) -> bool:
        return False


def _with_vendor(host: Harbour, **changes: object) -> Harbour:
    vendor = attrs.evolve(host.vendor, **changes)  # type: ignore[arg-type]
    vendors = attrs.evolve(host.services.vendors, by_slug={vendor.slug: vendor})
    services = attrs.evolve(host.services, vendors=vendors)
    return Harbour(services, host.storage, host.world, host.clock)


def _with_subscriptions(host: Harbour, subscriptions: _Deaf) -> Harbour:
    return _with_vendor(host, subscriptions=lambda context: subscriptions)


def _with_no_lead_to_be_read(host: Harbour) -> Harbour:
    """Leads are listed, and not there when one asks for them by their ids."""
    build = host.vendor.lead_source
    assert build is not None

    def refusing(context: object) -> object:
        source = build(context)  # type: ignore[arg-type]

        class Refusing:
            forms = source.forms
            leads_since = source.leads_since

            async def lead(self, channel: str, lead: str) -> Lead:
                raise VendorNotFoundError("no such lead", vendor="memory")

            async def leads(self, channel: str, wanted: Sequence[str]) -> dict[str, Lead | Exception]:
                return dict.fromkeys(wanted, VendorNotFoundError("no such lead", vendor="memory"))

        return Refusing()

    return _with_vendor(host, lead_source=refusing)


def _with_forms_gone(host: Harbour, form_id: str) -> Harbour:
    """The form is still listed, and gone when it is read."""
    build = host.vendor.lead_source
    assert build is not None

    def gone(context: object) -> object:
        source = build(context)  # type: ignore[arg-type]
        read = source.leads_since

        class Gone:
            forms = source.forms
            lead = source.lead

            async def leads_since(self, channel: str, form: str, *rest: object) -> object:
                if form == form_id:
                    host.world.forms.pop(form, None)
                return await read(channel, form, *rest)  # type: ignore[arg-type]

        return Gone()

    return _with_vendor(host, lead_source=gone)
