"""A storm: one account at its limit, work piling up for it, and everybody else as if nothing were.

The whole host over a Graph that answers 80004 with five minutes; who was called is counted at Graph.
"""

import asyncio
import secrets
import statistics
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import attrs
import httpx
import msgspec
import pytest

from moorage.app import create_app
from moorage.apps import OrgApps
from moorage.auth import issue_token
from moorage.intake import Intaker
from moorage.return_urls import return_target
from moorage.services import Services
from moorage.settings import JwtSettings, Settings
from moorage.vendors import installed_vendors
from moorage_adapters.cipher import Keyring
from moorage_adapters.clock import FixedClock
from moorage_adapters.sqlmodel import migrate
from moorage_adapters.sqlmodel.governor import SqlGovernors
from moorage_adapters.sqlmodel.storage import SqlStorage
from moorage_facebook import plugin
from moorage_facebook.sandbox.app import build_sandbox
from moorage_facebook.settings import GraphSettings
from moorage_ports.jobs import Nudge
from moorage_ports.operations import Role
from moorage_ports.plugin import SandboxPlan
from moorage_ports.secret import Secret
from moorage_ports.testing.lent import FakeClock
from tests.contract.facebook_weather import (
    ANSWERS,
    FORM,
    PAGE,
    SANDBOX,
    SECOND_PAGE,
    FacebookSender,
    FacebookWeather,
)
from tests.fakes.asgi_http import AsgiHttp, asgi_http
from tests.support.harbour import NOON, ORIGIN, StillJobs

FIVE_MINUTES = timedelta(minutes=5)
CALL = "/upstream/call/facebook-provider"
ACME, GLOBEX = "acme", "globex"


@attrs.define
class Storm:
    """A host whose vendor is the sandbox, and two orgs that have connected a Page each."""

    services: Services
    storage: SqlStorage
    clock: FixedClock
    graph: FacebookWeather
    http: httpx.AsyncClient

    async def ask(self, org_id: str, operation: str, **body: object) -> httpx.Response:
        token = issue_token(
            self.services.settings.jwt,
            org_id=org_id,
            user_id="user-1",
            role=Role.ADMIN,
            now=self.clock.now(),
            lifetime=FIVE_MINUTES,
        )
        headers = {"authorization": f"Bearer {token}", "orgid": org_id}
        return await self.http.post(f"{CALL}/{operation}", json=body, headers=headers)

    async def connect(self, org_id: str, page: str) -> None:
        begun = (await self.ask(org_id, "get-auth-url", returnUrl=f"{ORIGIN}/done")).json()
        consented = await self.graph.control("consent", authUrl=begun["authUrl"], decision="grant")
        back = await self.http.get(str(consented["redirect"]))
        assert dict(parse_qsl(urlsplit(back.headers["location"]).query))["integration"] == "connected"
        chosen = await self.ask(org_id, "select-channels", channels=[page])
        assert chosen.json()["subscribed"], chosen.text

    async def post(self, org_id: str, page: str, message: str) -> httpx.Response:
        return await self.ask(org_id, "post-to-page", pageId=page, message=message)

    async def calls(self) -> int:
        """How often anything at all was called, by Graph's own count."""
        answer = await self.graph.http.client.get(f"{SANDBOX}/_sandbox/state", params={"only": "calls"})
        return sum(msgspec.json.decode(answer.content, type=dict[str, dict[str, int]])["calls"].values())

    async def fill(self, *pages: str, **usage: object) -> None:
        """These Pages are at their limit: every call is answered 80004."""
        at_limit = {"type": "ads_management", "call_count": 100, "total_time": 30} | usage
        for page in pages:
            header = msgspec.json.encode({page: [at_limit]}).decode()
            await self.graph.control(
                "faults",
                match={"pageId": page},
                code=80004,
                subcode=2446079,
                headers={"X-Business-Use-Case-Usage": header},
            )

    async def lead_arrives(self) -> str:
        """Somebody fills in a form of the Page; the delivery comes, the workers have not looked yet."""
        made = await self.graph.control("leads", pageId=PAGE, formId=FORM, answers=ANSWERS, delivery="lose")
        leads = made["leads"]
        assert isinstance(leads, list)
        lead_id = str(leads[0]["id"] if isinstance(leads[0], dict) else leads[0])
        sender = FacebookSender(self.graph.app)
        announced = attrs.evolve(sender.some_leads()[0], lead_external_id=lead_id, channel_external_id=PAGE)
        delivery = sender.signed(sender.delivery_body([announced]), self.graph.app.secret)
        answer = await self.http.post(
            "/connect/webhook/facebook", content=delivery.body, headers=list(delivery.headers)
        )
        assert answer.status_code == 200
        return lead_id

    async def work(self) -> None:
        """What the workers would do with what is due now."""
        for org_id, bucket in await self.storage.backlog.pending_groups(self.clock.now()):
            await Intaker(self.services).look(Nudge(queue="inbox", group=f"{org_id}:{bucket}", org_id=org_id))

    async def leads(self, org_id: str = ACME) -> Sequence[str]:
        async with self.storage.unit_of_work(org_id, reads_only=True) as uow:
            return [lead.external_id for lead in (await uow.leads.page(page=1, page_size=50)).items]

    async def pass_time(self, duration: timedelta) -> None:
        self.clock.advance(duration)
        await self.graph.control("clock", advanceSeconds=duration.total_seconds())


@asynccontextmanager
async def assembled(folder: Path, http: AsgiHttp, settings: GraphSettings) -> AsyncIterator[Storm]:
    clock = FixedClock(NOON)
    vendors = installed_vendors(plugin, entries=())
    url = f"sqlite:///{folder}/moorage.db"
    await migrate.upgrade(url)
    keyring_file = folder / "keyring.json"
    storage = await SqlStorage.open(url, Keyring.create(keyring_file), clock)
    host_settings = Settings(
        public_url=ORIGIN,
        keyring_file=keyring_file,
        jwt=JwtSettings(secret=Secret(secrets.token_urlsafe(48))),
        state_secret=Secret(secrets.token_urlsafe(48)),
        return_urls=(return_target(ORIGIN),),
        vendors={"facebook": settings},
    )
    services = Services(
        settings=host_settings,
        storage=storage,
        jobs=StillJobs(),
        http=http,
        clock=clock,
        vendors=vendors,
        apps=OrgApps(host_settings, vendors, storage, clock),
        governors=SqlGovernors(storage.database, clock),
    )
    app = settings.app()
    assert app is not None
    graph = FacebookWeather(http=http, clock=FakeClock(), app=app)
    await graph.control("clock", advanceSeconds=(NOON - datetime.now(UTC)).total_seconds())
    transport = httpx.ASGITransport(app=create_app(services), raise_app_exceptions=False)  # type: ignore[arg-type]
    try:
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
            yield Storm(services, storage, clock, graph, client)
    finally:
        await storage.aclose()


@pytest.fixture
async def storm(tmp_path: Path) -> AsyncIterator[Storm]:
    built = build_sandbox(SandboxPlan(base_url=SANDBOX, host_url=ORIGIN))
    settings = GraphSettings(
        app_id=built.settings["app_id"],
        app_secret=Secret(built.settings["app_secret"]),
        verify_token=Secret(built.settings["verify_token"]),
        graph_url=SANDBOX,
        dialog_url=SANDBOX,
    )
    async with asgi_http(built.app) as http, assembled(tmp_path, http, settings) as made:
        await made.connect(ACME, PAGE)
        await made.connect(GLOBEX, SECOND_PAGE)
        yield made


def problem(answer: httpx.Response) -> Mapping[str, object]:
    """The problem document of a limit, checked against its header."""
    assert answer.status_code == 429, answer.text
    document: dict[str, object] = answer.json()
    assert document["code"] == "rate_limited"
    assert answer.headers["retry-after"] == str(document["retryAfter"])
    return document


async def test_a_parked_account_is_not_called_and_its_callers_are_told_when(storm: Storm) -> None:
    """80004 and five minutes: one call, then none, whoever asks for whatever; after that it goes on."""
    await storm.fill(PAGE, estimated_time_to_regain_access=5)
    assert problem(await storm.post(ACME, PAGE, "one too many"))["retryAfter"] == 300
    lead_id = await storm.lead_arrives()
    calls = await storm.calls()

    await storm.work()
    answers = await asyncio.gather(*(storm.post(ACME, PAGE, f"storm {n}") for n in range(50)))
    assert {problem(answer)["retryAfter"] for answer in answers} == {300}
    await storm.pass_time(FIVE_MINUTES - timedelta(seconds=1))
    await storm.work()
    assert problem(await storm.post(ACME, PAGE, "still"))["retryAfter"] == 1

    assert await storm.calls() == calls, "calls made during the pause"
    assert await storm.leads() == []
    await storm.graph.clear_up()
    await storm.pass_time(timedelta(seconds=2))
    assert (await storm.post(ACME, PAGE, "after the storm")).status_code == 200
    await storm.pass_time(timedelta(minutes=1))
    await storm.work()
    assert await storm.leads() == [lead_id]
    texts = await storm.graph.texts_on(PAGE)
    assert "after the storm" in texts
    assert not any(text.startswith("storm") for text in texts), "nothing that was refused went out later"


async def test_a_lead_of_a_parked_page_waits_as_long_as_the_page(storm: Storm) -> None:
    """The item is due when the pause is over, not before and not much later."""
    await storm.fill(PAGE, estimated_time_to_regain_access=5)
    lead_id = await storm.lead_arrives()
    await storm.work()
    calls = await storm.calls()

    for _ in range(4):
        await storm.pass_time(timedelta(minutes=1))
        await storm.work()
    assert await storm.calls() == calls
    await storm.graph.clear_up()
    await storm.pass_time(timedelta(seconds=90))
    await storm.work()

    assert await storm.leads() == [lead_id]


async def test_without_a_graph_body_429_stops_the_app(storm: Storm) -> None:
    """An edge server means everybody who uses the app."""
    await storm.graph.control("faults", status=429, body="", headers={"Retry-After": "40"}, times=1)

    assert problem(await storm.post(ACME, PAGE, "one"))["retryAfter"] == 40
    calls = await storm.calls()
    assert problem(await storm.post(GLOBEX, SECOND_PAGE, "two"))["retryAfter"] == 40
    assert await storm.calls() == calls

    await storm.pass_time(timedelta(seconds=41))
    assert (await storm.post(GLOBEX, SECOND_PAGE, "two")).status_code == 200


async def posting(storm: Storm, name: str, *, count: int) -> Sequence[float]:
    """How long each of some posts of the other org took."""
    took = []
    for number in range(count):
        begun = time.perf_counter()
        answer = await storm.post(GLOBEX, SECOND_PAGE, f"{name} {number}")
        took.append(time.perf_counter() - begun)
        assert answer.status_code == 200, answer.text
    return took


def p99(took: Sequence[float]) -> float:
    return statistics.quantiles(took, n=100)[98]


async def test_another_org_does_not_notice(storm: Storm) -> None:
    """While one org's callers try on and on, another's posts all go out; how fast, is printed."""
    count = 40
    await storm.graph.control("faults", match={"pageId": SECOND_PAGE}, delayMs=20)
    alone = await posting(storm, "alone", count=count)
    await storm.fill(PAGE, estimated_time_to_regain_access=5)
    problem(await storm.post(ACME, PAGE, "one too many"))
    stop = asyncio.Event()
    refused = 0

    async def try_on() -> None:
        nonlocal refused
        while not stop.is_set():
            problem(await storm.post(ACME, PAGE, "again"))
            refused += 1
            await asyncio.sleep(0.05)

    crowd = [asyncio.create_task(try_on()) for _ in range(3)]
    before = len(storm.graph.http.sent)
    beside = await posting(storm, "beside", count=count)
    stop.set()
    await asyncio.gather(*crowd)

    during = storm.graph.http.sent[before:]
    assert not any(f"/{PAGE}" in request.url for request in during), "calls to the parked Page"
    texts = await storm.graph.texts_on(SECOND_PAGE)
    assert all(f"beside {number}" in texts for number in range(count))
    assert refused > 0
    ratio, medians = p99(beside) / p99(alone), statistics.median(beside) / statistics.median(alone)
    print(
        f"p99 alone {p99(alone) * 1000:.0f} ms, beside a storm {p99(beside) * 1000:.0f} ms: {ratio:.2f} times"
    )
    print(f"medians {medians:.2f} times")
