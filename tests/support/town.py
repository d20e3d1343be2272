"""A town for tests: a host and a whole Facebook sandbox in one process, whose clocks go together."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import attrs
import httpx

from moorage.apps import OrgApps
from moorage.operations.handlers import HANDLERS
from moorage.reconcile import QUEUE, Reconciler
from moorage.services import OperationCall
from moorage_facebook import plugin as facebook_plugin
from moorage_facebook.sandbox.app import build_sandbox
from moorage_facebook.settings import GraphSettings
from moorage_ports.jobs import Nudge
from moorage_ports.lead_ledger import EntryFilter, LeadEntry
from moorage_ports.operations import (
    BEGIN_CONNECT,
    SELECT_CHANNELS,
    BeginConnect,
    ConnectBegun,
    SelectChannels,
    Selection,
)
from moorage_ports.plugin import AsgiApp, Sandbox, SandboxPlan
from moorage_ports.secret import Secret
from tests.contract.facebook_weather import PAGE, SANDBOX
from tests.fakes.asgi_http import AsgiHttp, asgi_http
from tests.support.harbour import ADMIN, ORIGIN, RETURN_URL, Harbour, harbour


class Cable(httpx.AsyncBaseTransport):
    """The way from the sandbox to the host. Unplugged, the vendor finds nobody."""

    def __init__(self) -> None:
        self.far: httpx.ASGITransport | None = None
        self.taken = 0
        self.news = asyncio.Event()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.far is None:
            msg = "nobody is there"
            raise httpx.ConnectError(msg)
        answer = await self.far.handle_async_request(request)
        self.taken += request.method == "POST" and answer.status_code == 200
        self.news.set()
        return answer


@attrs.define(kw_only=True)
class Town:
    """A host and a sandbox whose clocks go together."""

    host: Harbour
    http: AsgiHttp
    cable: Cable

    async def control(self, path: str, **body: object) -> Any:
        answer = await self.http.client.post(f"{SANDBOX}/_sandbox/{path}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def state(self, part: str) -> list[Mapping[str, Any]]:
        answer = await self.http.client.get(f"{SANDBOX}/_sandbox/state", params={"only": part})
        rows: list[Mapping[str, Any]] = answer.json()[part]
        return rows

    async def pass_time(self, duration: timedelta) -> None:
        self.host.clock.advance(duration)
        await self.control("clock", advanceSeconds=duration.total_seconds())

    def come_up(self) -> None:
        self.cable.far = httpx.ASGITransport(app=cast("Any", self.host.app))

    async def connect(self) -> None:
        """Somebody connects the Page and selects it; the Page's leads are told from now on."""
        call = self.call()
        begun = await HANDLERS[BEGIN_CONNECT.name](call, BeginConnect(return_url=RETURN_URL))
        assert isinstance(begun, ConnectBegun)
        consent = await self.control("consent", authUrl=begun.auth_url, decision="grant")
        assert (await self.host.come_back(consent["redirect"])).status_code == 303
        selection = await HANDLERS[SELECT_CHANNELS.name](call, SelectChannels(channels=(PAGE,)))
        assert isinstance(selection, Selection)
        assert selection.subscribed == selection.selected
        assert not selection.problems

    def call(self) -> OperationCall:
        vendor = self.host.services.vendors.get("facebook")
        return OperationCall(services=self.host.services, caller=ADMIN, vendor=vendor)

    async def look(self) -> None:
        """What the schedule does every quarter of an hour, and the workers after it."""
        for org_id, vendor, external_id in await self.host.storage.backlog.listening_channels():
            nudge = Nudge(queue=QUEUE, group=f"{org_id}:{vendor}:{external_id}", org_id=org_id)
            while (again := await Reconciler(self.host.services).look(nudge)) is not None:
                assert again.at is None, "nothing is in the way"
        await self.host.work()

    async def until_told(self, wanted: int) -> None:
        """Wait until the host has taken so many deliveries."""
        async with asyncio.timeout(30):
            while self.cable.taken < wanted:
                self.cable.news.clear()
                await self.cable.news.wait()
        await self.host.work()

    async def entries(self) -> list[LeadEntry]:
        found: list[LeadEntry] = []
        async with self.host.storage.unit_of_work(ADMIN.org_id, reads_only=True) as uow:
            for page in range(1, 20):
                listing = await uow.lead_ledger.page(EntryFilter(vendor="facebook"), page=page, page_size=100)
                found += listing.items
        return found


@asynccontextmanager
async def living(app: AsgiApp) -> AsyncIterator[None]:
    """Run an app's lifespan on this loop, as a server would."""
    inbox: asyncio.Queue[Mapping[str, object]] = asyncio.Queue()
    outbox: asyncio.Queue[Mapping[str, object]] = asyncio.Queue()
    scope: Any = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
    task = asyncio.create_task(cast("Any", app)(scope, inbox.get, outbox.put))
    await inbox.put({"type": "lifespan.startup"})
    assert (await outbox.get())["type"] == "lifespan.startup.complete"
    try:
        yield
    finally:
        await inbox.put({"type": "lifespan.shutdown"})
        await task


@asynccontextmanager
async def town(folder: Path, *, database_url: str = "") -> AsyncIterator[Town]:
    """A town in which somebody has connected the Page."""
    cable = Cable()
    sandbox = build_sandbox(SandboxPlan(base_url=SANDBOX, host_url=ORIGIN), cable)
    async with (
        harbour(folder, facebook_plugin, database_url=database_url) as host,
        asgi_http(sandbox.app) as http,
        living(sandbox.app),
    ):
        _introduce(host, sandbox, http)
        made = Town(host=host, http=http, cable=cable)
        made.come_up()
        await made.control("clock", advanceSeconds=(host.clock.now() - datetime.now(UTC)).total_seconds())
        await made.connect()
        yield made


def _introduce(host: Harbour, sandbox: Sandbox, http: AsgiHttp) -> None:
    """Have the host know the sandbox's app, and reach it."""
    given = sandbox.settings
    app = GraphSettings(
        app_id=given["app_id"],
        app_secret=Secret(given["app_secret"]),
        verify_token=Secret(given["verify_token"]),
        graph_url=given["graph_url"],
        dialog_url=given["dialog_url"],
    )
    services = host.services
    settings = attrs.evolve(services.settings, vendors={**services.settings.vendors, "facebook": app})
    apps = OrgApps(settings, services.vendors, host.storage, host.clock)
    host.services = attrs.evolve(services, settings=settings, apps=apps, http=http)
