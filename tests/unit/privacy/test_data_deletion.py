"""M2: a person has a vendor tell us to delete their data: answered with a code, done by a job."""

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest

from moorage.privacy import callbacks
from moorage.privacy.callbacks import EVERY, work_on_requests
from moorage.privacy.keeping import keep_to_retention
from moorage.services import Caller, Services
from moorage.workers import register_workers
from moorage_adapters.memory.things import Person
from moorage_adapters.memory.withdrawals import FRESH, notice
from moorage_adapters.memory.world import ADA, CAFE
from moorage_adapters.sqlmodel.metadata import metadata
from moorage_ports.erasure import DeletionRequest
from moorage_ports.integrations import IntegrationStatus
from moorage_ports.operations import Role
from moorage_ports.webhooks import VendorApp
from tests.support.asking import headers_of
from tests.support.crm import read
from tests.support.harbour import ADMIN, ORIGIN, Harbour, StillJobs, harbour
from tests.support.ownership import bring

PATH = "/connect/data-deletion/memory"
BO = Person(id="person-2", name="Bo Quay")
OTHER = Caller(org_id="org-b", user_id="user-2", role=Role.ADMIN)


@pytest.fixture
async def host(tmp_path: Path, database_url: str) -> AsyncIterator[Harbour]:
    """Ada connected two orgs, and wrote to the board that they share; so did Bo."""
    async with harbour(tmp_path, database_url=database_url) as made:
        made.world.people[BO.id] = BO
        for caller in (ADMIN, OTHER):
            await made.connect(caller)
            await made.select(CAFE.id, caller=caller)
        made.world.write_to(CAFE.id, "My name is in this", by=ADA)
        made.world.write_to(CAFE.id, "Mine stays", by=BO)
        await made.deliver_all()
        await made.work()
        yield made


@pytest.fixture
async def quick(tmp_path: Path) -> AsyncIterator[Harbour]:
    """A host that nobody connected, on the database that is made fastest."""
    async with harbour(tmp_path) as made:
        yield made


async def ask(
    host: Harbour,
    *,
    person: str = ADA.id,
    board: str = "",
    app: VendorApp | None = None,
    at: datetime | None = None,
    path: str = PATH,
) -> httpx.Response:
    """The vendor passes a person's wish on."""
    body = notice(app or host.world.app, at or host.clock.now(), person=person, board=board)
    return await host.http.post(path, content=body)


async def names(host: Harbour, org_id: str) -> set[str]:
    return {one["name"] for one in (await read(host, "/crm/contacts", org_id=org_id))["items"]}


async def secrets_kept(host: Harbour, org_id: str) -> int:
    table = metadata.tables["secret"]
    async with host.storage.database.read() as transaction:
        return await transaction.run(
            lambda connection: len(connection.execute(table.select().where(table.c.org_id == org_id)).all())
        )


async def status(host: Harbour, answer: httpx.Response, **headers: str) -> httpx.Response:
    """What the person sees who follows the address that they were given."""
    return await host.http.get(answer.json()["look_at"].removeprefix(ORIGIN), headers=headers)


async def test_t_deletion_contract_m2(host: Harbour) -> None:
    """M2: answered at once with where to look and a code; then everything of theirs is gone, in every org."""
    answer = await ask(host)

    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    code = told["ask_for"]
    assert code.isalnum()
    assert len(code) >= 32
    assert told["look_at"] == f"{ORIGIN}{PATH}/{code}"
    before = await status(host, answer)
    assert (before.status_code, before.json()["status"], before.json()["doneAt"]) == (200, "pending", None)
    assert await names(host, ADMIN.org_id) == {ADA.name, BO.name}

    host.clock.advance(timedelta(seconds=15))
    await work_on_requests(host.services)

    after = await status(host, answer)
    assert (after.json()["status"], after.json()["code"]) == ("done", code)
    for org_id in (ADMIN.org_id, OTHER.org_id):
        assert await names(host, org_id) == {BO.name}
        assert await secrets_kept(host, org_id) == 0
        assert (await host.integration(org_id)).status is IntegrationStatus.EXPIRED
        (noted,) = (await read(host, "/crm/privacy/erasures", org_id=org_id))["items"]
        assert noted["cause"] == "person"
    assert ADA.id.encode() not in await requests_as_stored(host)


async def requests_as_stored(host: Harbour) -> bytes:
    table = metadata.tables["deletion_request"]
    async with host.storage.database.read() as transaction:
        return repr(
            await transaction.run(lambda connection: connection.execute(table.select()).all())
        ).encode()


async def test_the_same_notice_is_the_same_request(host: Harbour) -> None:
    """The vendor may send it again, before and after it was done; a later wish is one of its own."""
    first, second = await ask(host), await ask(host)
    await work_on_requests(host.services)
    third = await ask(host)
    assert first.json() == second.json() == third.json()
    assert (await status(host, third)).json()["status"] == "done"

    host.clock.advance(timedelta(minutes=1))
    assert (await ask(host)).json() != first.json()


async def test_the_page_says_how_far_it_is_and_nothing_of_whom_it_is_about(host: Harbour) -> None:
    """Without signing in, in a browser, with our own stylesheet and nothing else."""
    answer = await ask(host)
    page = await status(host, answer, accept="text/html,application/xhtml+xml,*/*;q=0.8")

    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert answer.json()["ask_for"] in page.text
    assert "is being worked on" in page.text
    assert "set-cookie" not in page.headers
    for hidden in (ADA.id, ADA.name, ADMIN.org_id, CAFE.name):
        assert hidden not in page.text
    await work_on_requests(host.services)
    assert "was deleted" in (await status(host, answer, accept="text/html")).text


async def test_a_request_can_be_looked_up_for_a_year_after_it_was_done(quick: Harbour) -> None:
    """One that is not done yet for as long as it takes."""
    answer, late = await ask(quick), await ask(quick, person=BO.id)
    await quick.storage.deletion_requests.finish(answer.json()["ask_for"], at=quick.clock.now())

    for days, found in ((365, 200), (1, 404)):
        quick.clock.advance(timedelta(days=days))
        await keep_to_retention(quick.services)
        assert (await status(quick, answer)).status_code == found
    assert (await status(quick, late)).json()["status"] == "pending"


@pytest.mark.parametrize("accept", ["text/html", "application/json", ""])
async def test_a_code_that_nobody_was_given_finds_nothing(quick: Harbour, accept: str) -> None:
    for path in (f"{PATH}/{'a' * 32}", f"{PATH}/%3Cscript%3E", "/connect/data-deletion/nobody/abc"):
        answer = await quick.http.get(path, headers={"accept": accept})
        assert answer.status_code == 404
        assert "script>" not in answer.text.replace("</script>", "").replace("<script", "")


async def test_what_nobody_signed_freshly_is_refused(quick: Harbour) -> None:
    stranger = quick.world.register_app("a-stranger")
    late = quick.clock.now() - FRESH - timedelta(seconds=1)
    for answer in (
        await ask(quick, app=stranger),
        await ask(quick, at=late),
        await ask(quick, person="", board=CAFE.id),
        await quick.http.post(PATH),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "invalid_signature")
    unknown = await quick.http.post("/connect/data-deletion/nobody", content=b"x")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_vendor")
    assert (await quick.http.post(PATH, content=b"x" * 20_000)).status_code == 413


async def test_an_app_that_an_org_brought_deletes_in_that_org_alone_w7b(host: Harbour) -> None:
    """W7b: its owner can sign anything with it."""
    own = host.world.register_app("own-app")
    await bring(host, ADMIN.org_id, own)
    host.clock.advance(timedelta(minutes=1))
    await host.connect(ADMIN)
    await host.select(CAFE.id)

    answer = await ask(host, app=own, path=f"{PATH}?orgid={ADMIN.org_id}")
    assert answer.status_code == 200, answer.text
    await work_on_requests(host.services)

    assert await names(host, ADMIN.org_id) == {BO.name}
    assert await names(host, OTHER.org_id) == {ADA.name, BO.name}
    assert (await host.integration(OTHER.org_id)).status is IntegrationStatus.ACTIVE


async def test_what_cannot_be_done_now_is_done_the_next_time(
    host: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One org's rows are out of reach: the request stays, and the person is told that it does."""
    answer = await ask(host)
    unit_of_work = type(host.storage).unit_of_work

    def troubled(storage: object, org_id: str, **how: bool) -> object:
        if org_id == OTHER.org_id:
            msg = "this org's rows do not open"
            raise RuntimeError(msg)
        return unit_of_work(storage, org_id, **how)  # type: ignore[arg-type]

    with monkeypatch.context() as trouble:
        trouble.setattr(type(host.storage), "unit_of_work", troubled)
        await work_on_requests(host.services)
    assert (await status(host, answer)).json()["status"] == "pending"
    await work_on_requests(host.services)
    assert (await status(host, answer)).json()["status"] == "done"
    assert await names(host, OTHER.org_id) == {BO.name}


async def test_requests_that_cannot_be_done_hold_up_no_others(
    host: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than are read at once fail again and again; whoever asked after them is forgotten all the same."""
    monkeypatch.setattr(callbacks, "_AT_ONCE", 2)
    stuck = [await ask(host, person=f"stuck-{number}") for number in range(5)]
    host.clock.advance(timedelta(seconds=1))
    answer = await ask(host)
    fulfil = callbacks._fulfil

    async def troubled(services: Services, request: DeletionRequest) -> bool:
        if request.subject is not None and request.subject.reveal().startswith("stuck-"):
            msg = "this one cannot be done"
            raise RuntimeError(msg)
        return await fulfil(services, request)

    monkeypatch.setattr(callbacks, "_fulfil", troubled)
    await work_on_requests(host.services)

    assert (await status(host, answer)).json()["status"] == "done"
    assert {(await status(host, one)).json()["status"] for one in stuck} == {"pending"}


async def test_nobody_is_told_that_it_is_done_while_their_vendor_is_not_installed(quick: Harbour) -> None:
    """Nothing was deleted, so the request stays, with whom it is about."""
    answer = await ask(quick)
    vendors = attrs.evolve(quick.services.vendors, by_slug={})
    await work_on_requests(attrs.evolve(quick.services, vendors=vendors))
    assert (await status(quick, answer)).json()["status"] == "pending"

    await work_on_requests(quick.services)
    assert (await status(quick, answer)).json()["status"] == "done"


async def test_who_connects_again_after_asking_stays_connected(host: Harbour) -> None:
    """What was granted after the request was written is a new grant; what is known of them goes."""
    asked_at = host.clock.now()
    host.clock.advance(timedelta(minutes=5))
    await host.connect(ADMIN)
    await ask(host, at=asked_at)
    await work_on_requests(host.services)

    assert (await host.integration(ADMIN.org_id)).status is IntegrationStatus.ACTIVE
    assert (await host.integration(OTHER.org_id)).status is IntegrationStatus.EXPIRED
    assert await names(host, ADMIN.org_id) == {BO.name}


async def test_somebody_elses_change_keeps_no_token_of_who_left_m1(host: Harbour) -> None:
    """M1: between the notice and its arrival an administrator changed a name; that is no new grant."""
    left_at = host.clock.now()
    host.clock.advance(timedelta(minutes=5))
    renamed = await host.http.post(
        "/upstream/save-integration",
        json={"vendor": "memory", "name": "Our harbour"},
        headers=headers_of(host),
    )
    assert renamed.status_code == 200, renamed.text

    body = notice(host.world.app, left_at, person=ADA.id)
    assert (await host.http.post("/connect/deauthorize/memory", content=body)).status_code == 200

    assert (await host.integration(ADMIN.org_id)).status is IntegrationStatus.EXPIRED
    assert await secrets_kept(host, ADMIN.org_id) == 0


async def test_it_runs_by_itself_within_a_minute_m2(quick: Harbour) -> None:
    """G17: at most 60 seconds."""
    jobs = StillJobs()
    register_workers(attrs.evolve(quick.services, jobs=jobs))
    assert jobs.schedules["deletion requests"] == EVERY <= timedelta(seconds=30)
