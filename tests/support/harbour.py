"""A whole host for tests: real storage on a temporary SQLite file, the memory vendor, a clock that stands.

Nothing runs by itself: `work` does what the workers would do, so a test decides when.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import attrs
import httpx
from litestar import Litestar

from moorage.app import create_app
from moorage.apps import OrgApps
from moorage.inbox_worker import InboxWorker
from moorage.operations.handlers import HANDLERS
from moorage.operations.publishing import look_for_publication
from moorage.return_urls import return_target
from moorage.services import Caller, OperationCall, Services
from moorage.settings import JwtSettings, Settings
from moorage.vendors import Vendors, installed_vendors
from moorage.workers import register_workers
from moorage_adapters.cipher import Keyring
from moorage_adapters.clock import FixedClock, SystemClock
from moorage_adapters.jobs import EmbeddedJobs
from moorage_adapters.memory.plugin import MemorySettings, memory_plugin
from moorage_adapters.memory.things import Board, Note
from moorage_adapters.memory.world import MemoryWorld
from moorage_adapters.sqlmodel import migrate
from moorage_adapters.sqlmodel.governor import SqlGovernors
from moorage_adapters.sqlmodel.storage import SqlStorage
from moorage_ports.clock import Clock
from moorage_ports.crm import CrmLead
from moorage_ports.http import HttpAnswer, HttpRequest, NeverSentError
from moorage_ports.inbox import inbox_nudge
from moorage_ports.integrations import Integration
from moorage_ports.jobs import JobHandler, LookAgain, Nudge
from moorage_ports.operations import (
    BEGIN_CONNECT,
    COMPLETE_CONNECT,
    LIST_CHANNELS,
    PUBLISH,
    SELECT_CHANNELS,
    BeginConnect,
    ChannelList,
    CompleteConnect,
    ConnectBegun,
    IntegrationView,
    ListChannels,
    PublicationView,
    Role,
    SelectChannels,
    Selection,
)
from moorage_ports.plugin import Vendor
from moorage_ports.publisher import PublishPost
from moorage_ports.secret import Secret
from moorage_ports.webhooks import Delivery
from tests.support.databases import migrated_file

ORIGIN = "http://127.0.0.1:8080"
RETURN_URL = "https://admin.example/integrations?tab=1"
NOON = datetime(2030, 6, 1, 12, 0, tzinfo=UTC)
ADMIN = Caller(org_id="org-a", user_id="user-1", role=Role.ADMIN, email="boss@a.example")


class StillJobs:
    """Jobs that never run by themselves; a test looks at the storage instead."""

    def __init__(self) -> None:
        self.handlers: dict[str, JobHandler] = {}
        self.schedules: dict[str, timedelta] = {}

    def handle(self, queue: str, handler: JobHandler, *, concurrency: int = 4) -> None:
        self.handlers[queue] = handler

    def every(self, name: str, interval: timedelta, handler: object) -> None:
        self.schedules[name] = interval

    async def run(self) -> None: ...
    async def drain(self) -> None: ...
    async def pause(self, queue: str) -> None: ...
    async def resume(self, queue: str) -> None: ...


class NoWayOut:
    """An HTTP client on a machine without a network; the memory vendor needs none."""

    async def send(self, request: HttpRequest) -> HttpAnswer:
        raise NeverSentError

    async def check(self, url: str) -> None:
        """Nothing is refused that nobody reaches."""


@attrs.define
class Harbour:
    """A host and its vendor, and shortcuts for what a test does with them."""

    services: Services
    storage: SqlStorage
    world: MemoryWorld
    clock: FixedClock
    _opened: list[httpx.AsyncClient] = attrs.field(factory=list, init=False)

    @cached_property
    def app(self) -> Litestar:
        return create_app(self.services)

    @cached_property
    def http(self) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)  # type: ignore[arg-type]
        self._opened.append(httpx.AsyncClient(transport=transport, base_url=ORIGIN))
        return self._opened[-1]

    async def aclose(self) -> None:
        """Close what was opened; an app that nobody asked for is not made for that."""
        for client in self._opened:
            await client.aclose()

    @property
    def vendor(self) -> Vendor:
        return self.services.vendors.get("memory")

    def call(self, caller: Caller = ADMIN, *, dry_run: bool = False, subject_id: str = "") -> OperationCall:
        return OperationCall(
            services=self.services, caller=caller, vendor=self.vendor, dry_run=dry_run, subject_id=subject_id
        )

    async def begin(
        self, caller: Caller = ADMIN, *, complete: str = "callback", return_url: str = RETURN_URL
    ) -> ConnectBegun:
        request = BeginConnect(return_url=return_url, complete=complete)
        begun = await HANDLERS[BEGIN_CONNECT.name](self.call(caller), request)
        assert isinstance(begun, ConnectBegun)
        return begun

    async def come_back(self, url: str, **headers: str) -> httpx.Response:
        """What a browser does with the vendor's redirect."""
        return await self.http.get(url, headers=headers)

    async def connect(
        self, caller: Caller = ADMIN, *, scopes: Sequence[str] | None = None
    ) -> Mapping[str, str]:
        """Begin, consent, come back; answers what the return target is told."""
        begun = await self.begin(caller)
        answer = await self.come_back(self.world.consent(begun.auth_url, scopes=scopes))
        assert answer.status_code == 303, answer.text
        return told(answer)

    async def complete(self, ticket: str, caller: Caller = ADMIN) -> IntegrationView:
        view = await HANDLERS[COMPLETE_CONNECT.name](self.call(caller), CompleteConnect(ticket=ticket))
        assert isinstance(view, IntegrationView)
        return view

    async def channels(self, caller: Caller = ADMIN) -> ChannelList:
        found = await HANDLERS[LIST_CHANNELS.name](self.call(caller), ListChannels())
        assert isinstance(found, ChannelList)
        return found

    async def select(self, *channels: str, caller: Caller = ADMIN) -> Selection:
        selection = await HANDLERS[SELECT_CHANNELS.name](self.call(caller), SelectChannels(channels=channels))
        assert isinstance(selection, Selection)
        return selection

    async def publish(
        self,
        text: str = "Fresh scones",
        *,
        channel: str = "board-1",
        caller: Caller = ADMIN,
        subject_id: str = "",
    ) -> PublicationView:
        post = PublishPost(channel_external_id=channel, text=text)
        view = await HANDLERS[PUBLISH.name](self.call(caller, subject_id=subject_id), post)
        assert isinstance(view, PublicationView)
        return view

    def hang_notes(self, *boards: Board) -> None:
        """A note on each of these boards, for people to write below."""
        for board in boards:
            note = Note(
                id=f"note-{board.id}", board_id=board.id, text="Hi", link=None, images=(), pinned_at=NOON
            )
            self.world.notes[note.id] = note

    async def deliver(self, delivery: Delivery, *, query: str = "", path: str = "memory") -> httpx.Response:
        """Post a delivery to the webhook as the vendor sends it."""
        return await self.http.post(
            f"/connect/webhook/{path}{query}", content=delivery.body, headers=list(delivery.headers)
        )

    async def deliver_all(self) -> None:
        """Everything that lies in the vendor's outbox."""
        for delivery in self.world.outbox:
            assert (await self.deliver(delivery)).status_code == 200
        self.world.outbox.clear()

    async def work(self) -> None:
        """What the workers would do now, until nothing is due."""
        for _ in range(100):
            groups = await self.storage.backlog.pending_groups(self.clock.now())
            if not groups:
                return
            for org_id, bucket in groups:
                await InboxWorker(self.services).look(inbox_nudge(org_id, bucket))
        msg = "the inbox never becomes empty"
        raise AssertionError(msg)

    async def look_for(self, publication_id: str, org_id: str = ADMIN.org_id) -> LookAgain | None:
        nudge = Nudge(queue="publications", group=publication_id, org_id=org_id)
        return await look_for_publication(self.services, nudge)

    async def leads(self, org_id: str = ADMIN.org_id) -> tuple[CrmLead, ...]:
        async with self.storage.unit_of_work(org_id, reads_only=True) as uow:
            return (await uow.leads.page(page=1, page_size=200)).items

    async def integration(self, org_id: str = ADMIN.org_id) -> Integration:
        async with self.storage.unit_of_work(org_id, reads_only=True) as uow:
            found = await uow.integrations.of_vendor("memory")
        assert found is not None
        return found


def told(answer: httpx.Response) -> dict[str, str]:
    """The query that the return target got."""
    return dict(parse_qsl(urlsplit(answer.headers["location"]).query))


@asynccontextmanager
async def harbour(folder: Path, *plugins: object, database_url: str = "") -> AsyncIterator[Harbour]:
    """A host over `folder` (or another database); `plugins` besides the memory vendor."""
    clock = FixedClock(NOON)
    async with _assembled(folder, clock, *plugins, database_url=database_url) as (services, storage, world):
        host = Harbour(services, storage, world, clock)
        try:
            yield host
        finally:
            await host.aclose()


@asynccontextmanager
async def working_harbour(folder: Path) -> AsyncIterator[Harbour]:
    """The same on the machine's own clock, with its workers running."""
    async with _assembled(folder, SystemClock()) as (still, storage, world):
        jobs = EmbeddedJobs(storage, still.clock)
        services = attrs.evolve(still, jobs=jobs)
        register_workers(services)
        running = asyncio.create_task(jobs.run())
        host = Harbour(services, storage, world, FixedClock(NOON))
        try:
            yield host
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            await host.aclose()


@asynccontextmanager
async def _assembled(
    folder: Path, clock: Clock, *plugins: object, database_url: str = ""
) -> AsyncIterator[tuple[Services, SqlStorage, MemoryWorld]]:
    world = MemoryWorld(now=clock.now)
    vendors = installed_vendors(memory_plugin(world), *plugins, entries=())
    if database_url:
        await migrate.upgrade(database_url)
    url = database_url or await migrated_file(folder / "moorage.db")
    keyring_file = folder / "keyring.json"
    # Another host over the same folder is the next process of the first one.
    keyring = Keyring.load(keyring_file) if keyring_file.exists() else Keyring.create(keyring_file)
    storage = await SqlStorage.open(url, keyring, clock)
    settings = _settings(vendors, world, keyring_file)
    services = Services(
        settings=settings,
        storage=storage,
        jobs=StillJobs(),
        http=NoWayOut(),
        door=NoWayOut(),
        clock=clock,
        vendors=vendors,
        apps=OrgApps(settings, vendors, storage, clock),
        governors=SqlGovernors(storage.database, clock),
    )
    try:
        yield services, storage, world
    finally:
        await services.background.drain(timedelta())
        await storage.aclose()


def _settings(vendors: Vendors, world: MemoryWorld, keyring_file: Path) -> Settings:
    own = MemorySettings(
        app_id=world.app.app_id, app_secret=world.app.secret, verify_token=world.app.verify_token
    )
    return Settings(
        public_url=ORIGIN,
        keyring_file=keyring_file,
        jwt=JwtSettings(secret=Secret(secrets.token_urlsafe(48))),
        state_secret=Secret(secrets.token_urlsafe(48)),
        return_urls=(return_target("https://admin.example"),),
        vendors={vendor.slug: own for vendor in vendors},
    )
