"""A host in this process that listens to Facebook: real settings, real storage, the routes without a socket.

Nothing runs by itself: `work` does what the workers would do.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cached_property
from pathlib import Path
from typing import Final, TypeVar

import attrs
import httpx
from litestar import Litestar
from sqlalchemy import Connection, text

from moorage.app import create_app
from moorage.bootstrap import assembled
from moorage.inbox_worker import InboxWorker
from moorage.services import Services
from moorage.settings import load_settings
from moorage.vendors import installed_vendors
from moorage_adapters.sqlmodel.storage import SqlStorage
from moorage_facebook import plugin
from moorage_ports.inbox import inbox_nudge
from tests.support.deliveries import signature
from tests.support.hosting import HostPlan

T = TypeVar("T")

ORIGIN: Final = "http://127.0.0.1:8080"
_LONGEST: Final = 10_000  # looks at a group, after which an inbox that never becomes empty is a bug
RECORDS: Final = (
    *("contact", "contact_identity", "conversation", "message", "activity"),
    *("post", "notice", "unmapped_kind", "search_entry"),
)


@attrs.define
class ListeningHost:
    """The host, and what a test does with it."""

    services: Services
    app_secret: str

    @cached_property
    def app(self) -> Litestar:
        return create_app(self.services)

    @cached_property
    def http(self) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)  # type: ignore[arg-type]
        return httpx.AsyncClient(transport=transport, base_url=ORIGIN)

    async def deliver(self, body: bytes) -> httpx.Response:
        """Post a delivery, signed as Meta signs."""
        headers = {
            "content-type": "application/json",
            "x-hub-signature-256": signature(body, self.app_secret),
        }
        return await self.http.post("/connect/webhook/facebook", content=body, headers=headers)

    async def work(self) -> None:
        """What the workers would do now, until nothing is due."""
        backlog = self.services.storage.backlog
        for _ in range(_LONGEST):
            groups = await backlog.pending_groups(self.services.clock.now())
            if not groups:
                return
            for org_id, bucket in groups:
                await InboxWorker(self.services).look(inbox_nudge(org_id, bucket))
        msg = "the inbox never becomes empty"
        raise AssertionError(msg)

    async def count(self, *tables: str) -> dict[str, int]:
        """How many rows these tables have."""
        return await self._read(lambda connection: {name: _count(connection, name) for name in tables})

    async def states(self) -> dict[tuple[str, str], int]:
        """The inbox's rows by state and error."""
        statement = "SELECT state, last_error, count(*) FROM inbox GROUP BY 1, 2"
        return await self._read(
            lambda connection: {
                (str(state), str(error)): int(count)
                for state, error, count in connection.execute(text(statement))
            }
        )

    async def _read(self, reading: Callable[[Connection], T]) -> T:
        storage = self.services.storage
        assert isinstance(storage, SqlStorage)
        return await storage.database.read_at_once(reading)


def _count(connection: Connection, table: str) -> int:
    return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())  # noqa: S608


@asynccontextmanager
async def listening_host(
    folder: Path,
    channels: Mapping[str, Sequence[str]],
    *,
    database_url: str = "",
    graph_url: str = "http://127.0.0.1:9",
) -> AsyncIterator[ListeningHost]:
    """A host over `folder` (or another database) whose orgs own these channels."""
    plan = HostPlan(
        folder=folder,
        database_url=database_url or f"sqlite:///{folder}/moorage.db",
        graph_url=graph_url,
    )
    await plan.seed(channels)
    vendors = installed_vendors(plugin, entries=())
    settings = load_settings(vendors, environ=plan.environment(8080))
    async with assembled(settings, vendors) as services:
        host = ListeningHost(services, plan.app_secret)
        try:
            yield host
        finally:
            await host.http.aclose()


def owner_keys(bodies: Iterable[bytes]) -> tuple[str, ...]:
    """Every channel that these deliveries are about."""
    webhooks = plugin.moorage_vendor().webhooks
    assert webhooks is not None
    found = (key for body in bodies for change in webhooks.split(body) for key in change.owner_keys[:1])
    return tuple(dict.fromkeys(found))
