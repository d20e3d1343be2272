"""M4: what is kept for a while goes when its days are over, no earlier; and the job proves that it does."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest

from moorage.admin.sessions import open_session
from moorage.privacy import keeping
from moorage.privacy.erasing import AT_ONCE
from moorage.privacy.keeping import keep_to_retention
from moorage.privacy.people import Somebody
from moorage.workers import forget_settled, register_workers
from moorage_adapters.memory.things import Person
from moorage_adapters.memory.world import ADA, CAFE, NEWSLETTER
from moorage_adapters.sqlmodel.erasure import SqlErasures
from moorage_ports.accounts import Account
from moorage_ports.crm import CrmLead
from moorage_ports.crm_records import ContactRecord, Ledger
from moorage_ports.erasure import NOTES_KEPT, IdleContact
from moorage_ports.errors import UnavailableError
from moorage_ports.inbox import DEAD_KEPT
from moorage_ports.lead_ledger import LeadOutcome
from moorage_ports.lead_orders import Backfill, LeadTest, OrderState
from moorage_ports.operations import Role
from moorage_ports.outgoing import Endpoint, EventType, SigningSecret
from moorage_ports.publications import RememberedCall
from moorage_ports.retention import Retention
from moorage_ports.secret import Secret
from moorage_ports.storage import UnitOfWork
from moorage_ports.webhooks import Delivery
from tests.support.crm import ask, read
from tests.support.harbour import ADMIN, Harbour, StillJobs, harbour

BO = Person(id="person-2", name="Bo Quay")
RETENTION = "/crm/settings/retention"
DAY = timedelta(days=1)


@pytest.fixture
async def host(tmp_path: Path, database_url: str) -> AsyncIterator[Harbour]:
    """A host that is connected, and has the café's board chosen."""
    async with harbour(tmp_path, database_url=database_url) as made:
        made.world.people[BO.id] = BO
        await made.connect()
        await made.select(CAFE.id)
        yield made


@pytest.fixture
async def quick(tmp_path: Path) -> AsyncIterator[Harbour]:
    """A host that nobody connected, on the database that is made fastest."""
    async with harbour(tmp_path) as made:
        yield made


async def hear(host: Harbour) -> list[Delivery]:
    told = list(host.world.outbox)
    await host.deliver_all()
    await host.work()
    return told


async def set_(host: Harbour, **days: object) -> dict[str, Any]:
    """Say for how long to keep what."""
    answer = await ask(host, RETENTION, method="PUT", body=days)
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


async def last_removed(host: Harbour) -> dict[str, int]:
    removed: dict[str, int] = (await read(host, RETENTION))["lastCheck"]["removed"]
    return removed


async def names(host: Harbour) -> set[str]:
    return {one["name"] for one in (await read(host, "/crm/contacts"))["items"]}


async def test_t_retention_of_leads_m4(host: Harbour) -> None:
    """M4: 90 days, unless the org says otherwise; the contact that was made of it goes as well."""
    host.world.fill_in(NEWSLETTER.id, {"full_name": ("Ada Reed",), "email": ("ada@harbour.example",)})
    announced = await hear(host)
    await keep_to_retention(host.services)
    host.clock.advance(89 * DAY)
    await keep_to_retention(host.services)
    assert len(await host.leads()) == 1
    assert await names(host) == {"Ada Reed"}
    assert (await read(host, RETENTION))["due"] == {"leads": 0, "people": 0}

    host.clock.advance(DAY)
    assert (await read(host, RETENTION))["due"]["leads"] == 1
    await keep_to_retention(host.services)

    assert await host.leads() == ()
    assert await names(host) == set()
    assert await last_removed(host) == {"leads": 1}
    (noted,) = (await read(host, "/crm/privacy/erasures"))["items"]
    assert (noted["cause"], noted["by"], noted["removed"]) == ("retention", "", {"leads": 1})
    for delivery in announced:  # the vendor has it still, and says so
        await host.deliver(delivery)
    await host.work()
    assert await host.leads() == ()


async def test_a_lead_is_kept_where_somebody_said_so(host: Harbour) -> None:
    host.world.fill_in(NEWSLETTER.id, {"email": ("ada@harbour.example",)})
    await hear(host)
    assert (await set_(host, leadDays=None))["leadDays"] is None

    host.clock.advance(3_000 * DAY)
    await keep_to_retention(host.services)
    assert len(await host.leads()) == 1

    before = await read(host, "/crm/settings/retention")
    assert before["changedAt"]
    asked = await set_(host, leadDays=2_999, dryRun=True)
    assert asked["due"]["leads"] == 1
    assert [asked[name] == before[name] for name in ("changedAt", "changedBy")] == [True, True]
    await keep_to_retention(host.services)
    assert len(await host.leads()) == 1, "that was only asked"
    await set_(host, leadDays=2_999)
    await keep_to_retention(host.services)
    assert await host.leads() == ()


async def test_many_leads_go_in_many_small_steps(host: Harbour) -> None:
    """Of all orgs, and whoever listens is told of each; one that keeps them is left alone."""
    now = host.clock.now()
    for org_id in (ADMIN.org_id, "org-b"):
        async with host.storage.unit_of_work(org_id) as uow:
            await uow.leads.add_all([_lead(str(number), host) for number in range(AT_ONCE * 2 + 3)])
            await uow.outgoing.save_endpoint(
                Endpoint(
                    id="ep-1",
                    url="https://crm.example/hook",
                    secrets=(SigningSecret(value=Secret("not a secret of anybody's")),),
                    created_at=now,
                    updated_at=now,
                )
            )
    async with host.storage.unit_of_work("org-b") as uow:
        await uow.retention.save(Retention(lead_days=None))

    host.clock.advance(90 * DAY)
    await keep_to_retention(host.services)

    assert await host.leads() == ()
    assert len(await host.leads("org-b")) == AT_ONCE * 2 + 3
    async with host.storage.unit_of_work(ADMIN.org_id) as uow:
        told = await uow.outgoing.claim(
            "ep-1", limit=1000, now=host.clock.now(), lease_until=host.clock.now()
        )
    assert len(told) == AT_ONCE * 2 + 3
    assert {one.handover.event_type for one in told} == {EventType.LEAD_DELETED}
    assert all(b'"reason":"retention"' in one.payload for one in told)


def _lead(number: str, host: Harbour) -> CrmLead:
    return CrmLead(
        id=f"lead-{number}",
        external_id=f"slip-9{number}",
        vendor="memory",
        channel_external_id=CAFE.id,
        email=f"{number}@harbour.example",
        source="memory",
        form_id=NEWSLETTER.id,
        created_at=host.clock.now(),
    )


@pytest.mark.parametrize(("kept", "days"), [(1, 1), (0, 0), (7, 7)])
async def test_t_retention_of_deliveries_may_be_less_m4(host: Harbour, kept: int, days: int) -> None:
    """M4: at most 7 days after it was worked on; that it was here is known all the same."""
    host.world.write_to(CAFE.id, "hello")
    told = await hear(host)
    await set_(host, deliveryDays=kept)

    async def bodies() -> int:
        async with host.storage.unit_of_work(ADMIN.org_id, reads_only=True) as uow:
            return len(await uow.kept_copies.deliveries(after=0, limit=10))

    if days:
        host.clock.advance(days * DAY - timedelta(minutes=1))
        await keep_to_retention(host.services)
        assert await bodies() == 1
        host.clock.advance(timedelta(minutes=1))
    await keep_to_retention(host.services)
    await forget_settled(host.services)

    assert await bodies() == 0
    await host.deliver(told[0])
    await host.work()
    assert await bodies() == 0
    host.clock.advance((30 - days) * DAY)
    await forget_settled(host.services)
    async with host.storage.unit_of_work(ADMIN.org_id, reads_only=True) as uow:
        assert (await uow.contacts.page(page=1, page_size=5)).total == 1


async def test_what_nobody_works_on_is_given_up_and_then_forgotten_m4(host: Harbour) -> None:
    """M4: somebody left, and nobody came back: what waited for them must not stay for ever."""
    host.world.revoke_grant()
    slip = host.world.fill_in(NEWSLETTER.id, {"email": ("ada@harbour.example",)})
    await host.deliver(host.world.delivery_of(slip))
    await host.work()
    assert (await read(host, "/upstream/deliveries", state="parked"))["total"] == 1

    host.clock.advance(89 * DAY)
    await keep_to_retention(host.services)
    assert (await read(host, "/upstream/deliveries", state="parked"))["total"] == 1
    host.clock.advance(DAY)
    await keep_to_retention(host.services)

    (dead,) = (await read(host, "/upstream/deliveries", state="dead"))["items"]
    assert dead["error"] == "waited_too_long"
    assert await last_removed(host) == {"waiting": 1}
    async with host.storage.unit_of_work(ADMIN.org_id, reads_only=True) as uow:
        (entry,) = (await uow.lead_ledger.of("memory", [slip.id])).values()
        totals = (await uow.lead_ledger.totals())["memory", NEWSLETTER.id]
    assert (entry.outcome, entry.error) == (LeadOutcome.DEAD, "waited_too_long")
    assert (totals.dead, totals.parked) == (1, 0)
    host.clock.advance(DEAD_KEPT)
    await forget_settled(host.services)
    assert (await read(host, "/upstream/deliveries", state="dead"))["total"] == 0


async def test_who_stays_is_not_read_again_for_every_few_who_go(
    quick: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some are joined with somebody who has a lead, so they stay: they were read once more in every step."""
    asked: list[int] = []
    whole = SqlErasures.idle_contacts

    async def watched(self: SqlErasures, before: datetime, **how: Any) -> tuple[IdleContact, ...]:
        found = await whole(self, before, **how)
        asked.append(len(found))
        return found

    async def somebody(uow: UnitOfWork, contact_id: str) -> Somebody:
        stays = int(contact_id[1:]) % 2 == 0
        return Somebody() if stays else Somebody(contact_ids=frozenset({contact_id}))

    monkeypatch.setattr(SqlErasures, "idle_contacts", watched)
    monkeypatch.setattr(keeping, "_without_leads", somebody)
    count = 4 * AT_ONCE
    contacts = {
        f"c{number:03}": ContactRecord(
            id=f"c{number:03}", first_seen_at=quick.clock.now(), last_seen_at=quick.clock.now()
        )
        for number in range(count)
    }
    async with quick.storage.unit_of_work(ADMIN.org_id) as uow:
        await uow.crm_records.save(Ledger(contacts=contacts))
        await uow.retention.save(Retention(person_days=365))
        await uow.erasures.mark(["x"], at=quick.clock.now())  # so that the org has keys
    quick.clock.advance(366 * DAY)
    await keep_to_retention(quick.services)

    assert asked == [AT_ONCE] * 4 + [0]
    async with quick.storage.unit_of_work(ADMIN.org_id, reads_only=True) as uow:
        left = await uow.contacts.page(page=1, page_size=count)
    assert left.total == count // 2


async def test_orders_about_leads_go_after_90_days_but_the_last_of_a_form(host: Harbour) -> None:
    over: dict[str, Any] = {"state": OrderState.DONE, "finished_at": host.clock.now()}
    ours: dict[str, Any] = {"vendor": "memory", "form_external_id": NEWSLETTER.id}
    async with host.storage.unit_of_work(ADMIN.org_id) as uow:
        for number in range(AT_ONCE + 2):
            at = host.clock.now() + timedelta(seconds=number)
            on: dict[str, Any] = {**ours, "channel_external_id": CAFE.id, "ordered_at": at}
            await uow.backfills.save(Backfill(id=f"b{number:02}", **on, **over))
            await uow.lead_tests.save(LeadTest(id=f"t{number:02}", **on))
    host.clock.advance(89 * DAY)
    await keep_to_retention(host.services)
    assert (await backfills(host), await tests(host)) == (AT_ONCE + 2, AT_ONCE + 2)

    host.clock.advance(DAY + timedelta(minutes=1))
    await keep_to_retention(host.services)
    assert (await backfills(host), await tests(host)) == (1, 0)
    async with host.storage.unit_of_work(ADMIN.org_id, reads_only=True) as uow:
        assert set(await uow.backfills.newest("memory", [NEWSLETTER.id])) == {NEWSLETTER.id}


async def backfills(host: Harbour) -> int:
    async with host.storage.unit_of_work(ADMIN.org_id, reads_only=True) as uow:
        return len([n for n in range(AT_ONCE + 2) if await uow.backfills.get(f"b{n:02}")])


async def tests(host: Harbour) -> int:
    async with host.storage.unit_of_work(ADMIN.org_id, reads_only=True) as uow:
        return len([n for n in range(AT_ONCE + 2) if await uow.lead_tests.get(f"t{n:02}")])


async def test_people_go_where_an_org_says_so_but_not_who_has_a_lead(host: Harbour) -> None:
    """With their conversation; they are kept unless somebody says otherwise."""
    host.world.write_to(CAFE.id, "from Ada", by=ADA)
    host.world.write_to(CAFE.id, "from Bo", by=BO)
    await hear(host)
    async with host.storage.unit_of_work(ADMIN.org_id) as uow:
        ada = (await uow.contacts.page(page=1, page_size=5, search="Ada")).items[0].record.id
        await uow.leads.add(attrs.evolve(_lead("1", host), contact_id=ada))
        await uow.retention.save(Retention(lead_days=None))
    host.clock.advance(365 * DAY)
    await keep_to_retention(host.services)
    assert await names(host) == {ADA.name, BO.name}

    shown = await set_(host, leadDays=None, personDays=365)
    assert shown["due"] == {"leads": 0, "people": 1}
    await keep_to_retention(host.services)

    assert await names(host) == {ADA.name}
    talks = (await read(host, "/crm/inbox/conversations"))["items"]
    assert [one["lastMessage"]["text"] for one in talks] == ["from Ada"]
    removed = await last_removed(host)
    assert (removed["contacts"], removed["messages"], removed["conversations"]) == (1, 1, 1)


async def test_the_job_says_when_it_looked_and_forgets_what_it_said_after_a_year(host: Harbour) -> None:
    host.world.fill_in(NEWSLETTER.id, {"email": ("ada@harbour.example",)})
    await hear(host)
    assert (await read(host, RETENTION))["lastCheck"] == {"checkedAt": None, "removed": {}}
    host.clock.advance(90 * DAY)
    await keep_to_retention(host.services)
    looked_at = host.clock.now()

    check = (await read(host, RETENTION))["lastCheck"]
    assert check["checkedAt"].startswith(looked_at.strftime("%Y-%m-%dT%H:%M:%S"))
    host.clock.advance(timedelta(hours=1))
    await keep_to_retention(host.services)
    assert await last_removed(host) == {}
    assert (await read(host, "/crm/privacy/erasures"))["total"] == 1
    host.clock.advance(NOTES_KEPT)
    await keep_to_retention(host.services)
    assert (await read(host, "/crm/privacy/erasures"))["total"] == 0


async def test_answers_and_sessions_go_though_nobody_comes_back_m4(quick: Harbour) -> None:
    """An answer under a key is kept for 7 days, a session for one, also where nobody ever calls again."""
    call = RememberedCall(body_hash="x", subject_id="s1")
    now = quick.clock.now()
    async with quick.storage.unit_of_work(ADMIN.org_id) as uow:
        await uow.remembered_calls.begin("memory/write", "k", call, now=now)
    account = Account(
        id="a1", org_id=ADMIN.org_id, email="boss@a.example", password_hash="x", role=Role.ADMIN
    )
    await quick.storage.accounts.save(account)
    session, _ = await open_session(quick.services, account)

    async def left() -> tuple[int, bool]:
        async with quick.storage.unit_of_work(ADMIN.org_id, reads_only=True) as uow:
            answers = await uow.kept_copies.answers(after=0, limit=10)
        return len(answers), await quick.storage.accounts.session(session.token_hash) is not None

    for days, kept in ((0, (1, True)), (1, (1, True)), (1, (1, False)), (5, (0, False))):
        quick.clock.advance(days * DAY)
        await keep_to_retention(quick.services)
        assert await left() == kept


async def test_one_orgs_trouble_is_no_others(quick: Harbour, monkeypatch: pytest.MonkeyPatch) -> None:
    for org_id in ("org-0", ADMIN.org_id, "org-z"):
        async with quick.storage.unit_of_work(org_id) as uow:
            await uow.leads.add(_lead("1", quick))
    quick.clock.advance(90 * DAY)
    unit_of_work = type(quick.storage).unit_of_work
    troubles: list[Exception] = [UnavailableError("busy"), RuntimeError("a bug")]

    def troubled(storage: object, org_id: str, **how: bool) -> object:
        if org_id == "org-0":
            raise troubles[0]
        return unit_of_work(storage, org_id, **how)  # type: ignore[arg-type]

    for trouble in list(troubles):
        troubles[:] = [trouble]
        with monkeypatch.context() as patched:
            patched.setattr(type(quick.storage), "unit_of_work", troubled)
            await keep_to_retention(quick.services)
        assert [len(await quick.leads(org_id)) for org_id in ("org-0", ADMIN.org_id, "org-z")] == [1, 0, 0]
    await keep_to_retention(quick.services)
    assert await quick.leads("org-0") == ()


async def test_it_is_an_administrators_to_say(quick: Harbour) -> None:
    assert (await ask(quick, RETENTION, role=Role.AGENT)).status_code == 403
    for role in (Role.VIEWER, Role.AGENT):
        answer = await ask(quick, RETENTION, method="PUT", body={"leadDays": 1}, role=role)
        assert answer.status_code == 403
    shown = await set_(quick, leadDays=30, waitingDays=10)
    assert (shown["leadDays"], shown["personDays"], shown["deliveryDays"]) == (30, None, 7)
    assert (shown["waitingDays"], shown["changedBy"]) == (10, ADMIN.user_id)
    assert await read(quick, RETENTION) == shown
    assert (await read(quick, RETENTION, org_id="org-b"))["leadDays"] == 90


@pytest.mark.parametrize(
    "body",
    [
        {"leadDays": 0},
        {"leadDays": 3651},
        {"leadDays": "keep"},
        {"personDays": -1},
        {"deliveryDays": 8},
        {"deliveryDays": None},
        {"waitingDays": 91},
        {"leads": 30},
    ],
)
async def test_days_that_do_not_hold_are_refused(quick: Harbour, body: dict[str, object]) -> None:
    answer = await ask(quick, RETENTION, method="PUT", body=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert (await read(quick, RETENTION))["changedAt"] is None


async def test_it_runs_by_itself_m4(quick: Harbour) -> None:
    jobs = StillJobs()
    register_workers(attrs.evolve(quick.services, jobs=jobs))
    assert jobs.schedules["retention"] <= timedelta(hours=1)
