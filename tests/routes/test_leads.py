"""From a signed delivery to a lead in the CRM, in every kind of weather."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast

import attrs
import pytest
from sqlalchemy import text

from moorage.auth import issue_token
from moorage.inbox_worker import MOST_TRIES, InboxWorker, sweep
from moorage.services import Services
from moorage_adapters.memory.things import READ_BOARDS, READ_FORMS, SEND_NEWS, WRITE_NOTES, Form, Slip
from moorage_adapters.memory.world import BOOKS, CAFE, NEWSLETTER
from moorage_ports.errors import MissingScopeError
from moorage_ports.events import Event
from moorage_ports.inbox import inbox_nudge
from moorage_ports.integrations import IntegrationStatus
from moorage_ports.lead_source import Lead
from moorage_ports.operations import Role
from moorage_ports.plugin import Vendor, VendorContext
from moorage_ports.webhooks import WebhookSource
from tests.support.harbour import ADMIN, Harbour, harbour

ANSWERS = {"email": ("ada@harbour.example",), "full_name": ("Ada Reed",), "roast": ("dark", "light")}


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Harbour]:
    async with harbour(tmp_path) as made:
        await made.connect()
        await made.select(CAFE.id)
        yield made


async def states(host: Harbour) -> list[tuple[str, int, str]]:
    """State, tries and last error of every inbox row, oldest first."""
    async with host.storage.database.read() as transaction:
        return await transaction.run(
            lambda connection: [
                (row[0], row[1], row[2])
                for row in connection.execute(text("SELECT state, tries, last_error FROM inbox ORDER BY seq"))
            ]
        )


async def hand_in(host: Harbour, **answers: str) -> Slip:
    given = {name: (value,) for name, value in answers.items()} if answers else ANSWERS
    slip = host.world.fill_in(NEWSLETTER.id, given)
    await host.deliver_all()
    return slip


async def test_a_delivery_becomes_a_lead(host: Harbour) -> None:
    slip = await hand_in(host)
    await host.work()

    (lead,) = await host.leads()
    assert (lead.external_id, lead.email) == (slip.id, "ada@harbour.example")
    assert (lead.first_name, lead.last_name) == ("Ada", "Reed")
    assert lead.properties == {"roast": ("dark", "light")}
    assert (lead.form_id, lead.channel_external_id, lead.source) == (NEWSLETTER.id, CAFE.id, "memory")
    assert await states(host) == [("done", 1, "")]


async def test_the_same_happening_delivered_again_and_again_has_one_effect_w5(host: Harbour) -> None:
    slip = await hand_in(host)
    for _ in range(3):
        assert (await host.deliver(host.world.delivery_of(slip, slip))).status_code == 200
        await host.work()

    assert len(await host.leads()) == 1
    assert len(await states(host)) == 1


async def test_a_lead_that_the_crm_has_already_is_not_fetched_again(host: Harbour) -> None:
    await hand_in(host)
    await host.work()
    async with host.storage.database.write() as transaction:
        await transaction.run(
            lambda connection: connection.execute(text("UPDATE inbox SET state = 'pending'"))
        )
    calls = host.world.calls
    await host.work()

    assert host.world.calls == calls
    assert len(await host.leads()) == 1


async def test_the_acknowledgement_waits_for_no_vendor_w11(host: Harbour) -> None:
    """W11: with the vendor out of reach deliveries are kept as ever; leads come when it is back."""
    host.world.go_down()
    await hand_in(host)
    await host.work()
    assert await host.leads() == ()

    host.world.clear_up()
    host.clock.advance(timedelta(minutes=1))
    await host.work()
    assert len(await host.leads()) == 1


async def test_an_outage_of_days_buries_nothing(host: Harbour) -> None:
    host.world.go_down()
    await hand_in(host)
    for _ in range(3 * MOST_TRIES):
        await host.work()
        host.clock.advance(timedelta(hours=3))
    host.world.clear_up()
    await host.work()

    assert len(await host.leads()) == 1


async def test_a_limit_is_waited_out_as_long_as_the_vendor_asks(host: Harbour) -> None:
    host.world.limit(timedelta(minutes=30))
    await hand_in(host)
    await host.work()
    calls = host.world.calls

    host.clock.advance(timedelta(minutes=29))
    await host.work()
    assert host.world.calls == calls, "not before its time"
    host.world.clear_up()
    host.clock.advance(timedelta(minutes=3))
    await host.work()
    assert len(await host.leads()) == 1


async def test_a_lost_grant_parks_and_a_reconnection_goes_on_by_itself_v10(host: Harbour) -> None:
    """V10: expired and parked, no storm of calls; after connecting again what waited is worked on."""
    host.world.revoke_grant()
    await hand_in(host)
    await host.work()
    await hand_in(host, email="second@harbour.example")
    calls = host.world.calls
    await host.work()

    assert (await host.integration()).status is IntegrationStatus.EXPIRED
    assert [state for state, _, _ in await states(host)] == ["parked", "parked"]
    assert host.world.calls == calls, "an expired integration is not tried again and again"

    host.clock.advance(timedelta(hours=1))
    assert (await host.connect())["integration"] == "connected"
    await host.work()
    assert len(await host.leads()) == 2
    assert (await host.integration()).status is IntegrationStatus.ACTIVE


async def test_a_lost_channel_ends_that_channel_and_not_the_integration_v10(host: Harbour) -> None:
    await host.select(CAFE.id, BOOKS.id)
    host.world.forms["form-2"] = Form(id="form-2", board_id=BOOKS.id, name="Club", asks={"email": "Mail"})
    host.world.take_board(CAFE.id)
    await hand_in(host)
    host.world.fill_in("form-2", {"email": ("reader@books.example",)})
    await host.deliver_all()
    await host.work()

    assert (await host.integration()).status is IntegrationStatus.ACTIVE
    assert [lead.email for lead in await host.leads()] == ["reader@books.example"]
    assert sorted(state for state, _, _ in await states(host)) == ["done", "parked"]
    views = {view.external_id: view for view in (await host.channels()).channels}
    assert not views[CAFE.id].selectable
    assert views[BOOKS.id].selectable


async def test_a_missing_scope_waits_for_who_allows_it_however_long_that_takes_w5(host: Harbour) -> None:
    """W5: no number of tries gives a permission; the next consent does, and the lead comes by itself."""
    host.world.drop_scope(READ_FORMS)
    slip = await hand_in(host)
    for _ in range(30):
        await host.work()
        host.clock.advance(timedelta(days=1))
    assert await states(host) == [("parked", 1, "missing_scope")]
    assert await host.leads() == ()

    await host.connect()
    await host.work()
    assert [lead.external_id for lead in await host.leads()] == [slip.id]


async def test_a_scope_that_stays_away_costs_one_try_per_consent(host: Harbour) -> None:
    host.world.drop_scope(READ_FORMS)
    await hand_in(host)
    await host.work()
    for _ in range(3):
        host.clock.advance(timedelta(hours=1))
        await host.connect(scopes=[READ_BOARDS, WRITE_NOTES, SEND_NEWS])
        await host.work()
        assert await states(host) == [("parked", 1, "missing_scope")]


async def test_choosing_channels_wakes_what_waited(host: Harbour) -> None:
    """A permission may be repaired at the vendor without a new consent; choosing tries it out."""
    host.world.drop_scope(READ_FORMS)
    await hand_in(host)
    await host.work()
    assert [state for state, _, _ in await states(host)] == ["parked"]

    host.world.restore_scope(READ_FORMS)
    await host.select(CAFE.id, BOOKS.id)
    await host.work()
    assert len(await host.leads()) == 1


async def test_a_consent_while_a_worker_finds_a_scope_missing_is_not_lost(host: Harbour) -> None:
    """The worker parks a moment after the consent unparked everything: nobody would come again."""
    host.world.drop_scope(READ_FORMS)
    await hand_in(host)
    (group,) = await host.storage.backlog.pending_groups(host.clock.now())
    slow = _with_vendor(
        host, attrs.evolve(host.vendor, lead_source=lambda context: _Meanwhile(host, context))
    )
    await InboxWorker(slow.services).look(inbox_nudge(*group))
    await host.work()

    assert len(await host.leads()) == 1


async def test_a_vanished_lead_is_looked_for_over_three_days_and_then_buried_w14(host: Harbour) -> None:
    slip = host.world.fill_in(NEWSLETTER.id, ANSWERS)
    del host.world.slips[slip.id]
    await host.deliver_all()
    began_at = host.clock.now()
    while (await states(host))[0][0] == "pending":
        await host.work()
        host.clock.advance(timedelta(hours=1))

    assert await states(host) == [("dead", MOST_TRIES, "not_found")]
    assert timedelta(days=2.5) < host.clock.now() - began_at < timedelta(days=4)


async def test_a_lead_that_shows_after_two_days_is_taken_w14(host: Harbour) -> None:
    """Some vendors say "not found" to those whom a person still has to let in."""
    slip = host.world.fill_in(NEWSLETTER.id, ANSWERS)
    del host.world.slips[slip.id]
    await host.deliver_all()
    for _ in range(48):
        await host.work()
        host.clock.advance(timedelta(hours=1))
    host.world.slips[slip.id] = slip
    host.clock.advance(timedelta(days=1))
    await host.work()

    assert [lead.external_id for lead in await host.leads()] == [slip.id]


async def test_connecting_again_ends_the_wait_for_what_was_not_found(host: Harbour) -> None:
    slip = host.world.fill_in(NEWSLETTER.id, ANSWERS)
    del host.world.slips[slip.id]
    await host.deliver_all()
    for _ in range(3):
        host.clock.advance(timedelta(hours=1))
        await host.work()
    host.world.slips[slip.id] = slip
    await host.work()
    assert await host.leads() == (), "its next try is hours away"

    await host.connect()
    await host.work()
    assert len(await host.leads()) == 1


async def test_a_poisonous_change_stops_no_other_w14(host: Harbour) -> None:
    """W14: one that always breaks the translator is buried after 8 tries; the others go through at once."""
    slips = [host.world.fill_in(NEWSLETTER.id, {"email": (f"{n}@harbour.example",)}) for n in range(5)]
    poisoned = _with_webhooks(host, _Poisoned(_source(host), slips[2].id.encode()))
    await host.deliver_all()
    await poisoned.work()
    assert len(await host.leads()) == 4

    for _ in range(2 * MOST_TRIES):
        poisoned.clock.advance(timedelta(hours=1))
        await poisoned.work()
    assert min(await states(host)) == ("dead", MOST_TRIES, "internal")
    assert len(await host.leads()) == 4


async def test_news_that_nobody_translates_is_done_with(host: Harbour) -> None:
    unmapped = _with_webhooks(host, _Mute(_source(host)))
    await hand_in(host)
    await unmapped.work()

    assert await states(host) == [("done", 1, "")]
    assert await host.leads() == ()


async def test_who_lost_the_lease_writes_nothing_d6(host: Harbour) -> None:
    """D6: a worker that stood still while another took over finds its result refused."""
    await hand_in(host)
    (group,) = await host.storage.backlog.pending_groups(host.clock.now())
    slow = _with_webhooks(host, _TakenOver(_source(host), host, group))
    await InboxWorker(slow.services).look(inbox_nudge(*group))

    assert await host.leads() == (), "the first worker's effect went with its refused mark"
    await host.work()
    assert len(await host.leads()) == 1


async def test_workers_that_race_for_one_group_have_one_effect_d4(host: Harbour) -> None:
    for number in range(10):
        host.world.fill_in(NEWSLETTER.id, {"email": (f"{number}@harbour.example",)})
    await host.deliver_all()
    groups = await host.storage.backlog.pending_groups(host.clock.now())
    await asyncio.gather(
        *(
            InboxWorker(host.services).look(inbox_nudge(org, bucket))
            for org, bucket in groups
            for _ in range(4)
        )
    )
    await host.work()

    assert len(await host.leads()) == 10
    assert {state for state, _, _ in await states(host)} == {"done"}


async def test_a_disconnected_orgs_rows_wait_until_it_connects_again(host: Harbour) -> None:
    """They were acknowledged, so they are not dropped; nobody fetches them meanwhile."""
    await hand_in(host)
    async with host.storage.unit_of_work(ADMIN.org_id) as uow:
        integration = await uow.integrations.of_vendor("memory")
        assert integration is not None
        await uow.integrations.save(attrs.evolve(integration, status=IntegrationStatus.INACTIVE))
    calls = host.world.calls
    await host.work()
    assert host.world.calls == calls
    assert await states(host) == [("parked", 1, "not_connected")]

    host.clock.advance(timedelta(days=9))
    await host.connect()
    await host.work()
    assert len(await host.leads()) == 1


async def test_the_sweep_nudges_every_group_that_has_work(host: Harbour) -> None:
    await hand_in(host)
    async with host.storage.database.write() as transaction:  # its own nudge is lost
        await transaction.run(lambda connection: connection.execute(text("DELETE FROM job")).close())
    await sweep(host.services)

    async with host.storage.database.read() as transaction:
        queues = await transaction.run(
            lambda connection: [row[0] for row in connection.execute(text("SELECT queue FROM job"))]
        )
    assert queues == ["inbox"]


# The CRM's routes ------------------------------------------------------------------------------


def _headers(host: Harbour, org_id: str = "org-a") -> dict[str, str]:
    token = issue_token(
        host.services.settings.jwt,
        org_id=org_id,
        user_id="user-1",
        role=Role.VIEWER,
        now=host.clock.now(),
        lifetime=timedelta(minutes=10),
    )
    return {"Authorization": f"Bearer {token}", "orgid": org_id}


async def test_leads_are_listed_newest_first_page_by_page(host: Harbour) -> None:
    for number in range(5):
        await hand_in(host, email=f"n{number}@harbour.example", full_name=f"Ada {number}%")
        await host.work()
        host.clock.advance(timedelta(minutes=1))

    answer = await host.http.get("/crm/leads/detail", params={"p": 2, "ps": 2}, headers=_headers(host))
    page = answer.json()
    assert (page["total"], page["page"], page["pageSize"]) == (5, 2, 2)
    assert [lead["email"] for lead in page["items"]] == ["n2@harbour.example", "n1@harbour.example"]

    found = await host.http.get("/api/crm/leads/detail", params={"search": "3%"}, headers=_headers(host))
    assert [lead["lastName"] for lead in found.json()["items"]] == ["3%"]
    none = await host.http.get("/crm/leads/detail", params={"formId": "form-9"}, headers=_headers(host))
    assert none.json()["items"] == []


async def test_one_lead_is_read_by_our_id_and_only_by_its_org(host: Harbour) -> None:
    slip = await hand_in(host)
    await host.work()
    (lead,) = await host.leads()

    answer = await host.http.get(f"/crm/leads/detail/{lead.id}", headers=_headers(host))
    assert answer.status_code == 200
    body = answer.json()
    assert (body["id"], body["externalId"], body["formId"]) == (lead.id, slip.id, NEWSLETTER.id)
    assert body["properties"] == {"roast": ["dark", "light"]}

    foreign = await host.http.get(f"/crm/leads/detail/{lead.id}", headers=_headers(host, "org-b"))
    assert (foreign.status_code, foreign.json()["code"]) == (404, "not_found")
    assert (await host.http.get(f"/crm/leads/detail/{lead.id}")).status_code == 401


@pytest.mark.parametrize(
    "query", ["p=0", "ps=0", "ps=100000", "p=x", "p=1&p=2", "nope=1", "search=" + "x" * 201]
)
async def test_a_list_query_that_does_not_fit_is_refused(host: Harbour, query: str) -> None:
    answer = await host.http.get(f"/crm/leads/detail?{query}", headers=_headers(host))

    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


# Helpers -----------------------------------------------------------------------------------------


def _source(host: Harbour) -> WebhookSource:
    source = host.vendor.webhooks
    assert source is not None
    return source


def _with_webhooks(host: Harbour, source: "_Source") -> Harbour:
    """The same host, but its plugin translates with `source`."""
    return _with_vendor(host, attrs.evolve(host.vendor, webhooks=cast("WebhookSource", source)))


def _with_vendor(host: Harbour, vendor: Vendor) -> Harbour:
    vendors = attrs.evolve(host.services.vendors, by_slug={vendor.slug: vendor})
    services: Services = attrs.evolve(host.services, vendors=vendors)
    return Harbour(services, host.storage, host.world, host.clock)


class _Source:
    """A translator around another one."""

    def __init__(self, inner: WebhookSource) -> None:
        self.inner = inner

    def events(self, change: bytes, received_at: datetime) -> tuple[Event, ...]:
        return self.inner.events(change, received_at)


class _Poisoned(_Source):
    """Breaks at one change, always."""

    def __init__(self, inner: WebhookSource, poison: bytes) -> None:
        super().__init__(inner)
        self.poison = poison

    def events(self, change: bytes, received_at: datetime) -> tuple[Event, ...]:
        if self.poison in change:
            raise ZeroDivisionError
        return super().events(change, received_at)


class _Mute(_Source):
    """Finds nothing to say about anything."""

    def events(self, change: bytes, received_at: datetime) -> tuple[Event, ...]:
        return ()


class _Meanwhile:
    """A lead source whose caller hears of a missing scope after somebody has connected again."""

    def __init__(self, host: Harbour, context: VendorContext) -> None:
        assert host.vendor.lead_source is not None
        self.host = host
        self.inner = host.vendor.lead_source(context)
        self.forms = self.inner.forms
        self.form = self.inner.form
        self.leads = self.inner.leads
        self.leads_since = self.inner.leads_since
        self.create_test_lead = self.inner.create_test_lead

    async def lead(self, channel_external_id: str, lead_external_id: str) -> Lead:
        try:
            return await self.inner.lead(channel_external_id, lead_external_id)
        except MissingScopeError:
            self.host.clock.advance(timedelta(seconds=1))
            await self.host.connect()
            raise


class _TakenOver(_Source):
    """While this one translates, another worker claims the group."""

    def __init__(self, inner: WebhookSource, host: Harbour, group: tuple[str, int]) -> None:
        super().__init__(inner)
        self.host = host
        self.group = group
        self.claim: asyncio.Task[None] | None = None

    def events(self, change: bytes, received_at: datetime) -> tuple[Event, ...]:
        self.claim = asyncio.ensure_future(self._claim())
        return super().events(change, received_at)

    async def _claim(self) -> None:
        org_id, bucket = self.group
        async with self.host.storage.unit_of_work(org_id) as uow:
            await uow.inbox.claim(bucket, limit=100, now=self.host.clock.now())
