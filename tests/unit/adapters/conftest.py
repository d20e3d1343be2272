"""A keyring, a clock that stands still, and storage on a fresh database of either kind."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from moorage_adapters.cipher import Keyring
from moorage_adapters.clock import FixedClock
from moorage_adapters.sqlmodel.storage import SqlStorage
from tests.support.databases import Databases, fresh_database, migrated_file

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

Opener = Callable[[Path], Awaitable[SqlStorage]]
Urls = Callable[[Path], Awaitable[str]]
Fresh = Callable[[], AbstractAsyncContextManager[SqlStorage]]


@pytest.fixture(scope="session")
def keyring(tmp_path_factory: pytest.TempPathFactory) -> Keyring:
    return Keyring.create(tmp_path_factory.mktemp("keys") / "keyring.json")


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NOON)


@pytest.fixture
async def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty SQLite database of the newest schema."""
    path = tmp_path_factory.mktemp("migrated") / "m.db"
    await migrated_file(path)
    return path


def _databases(database_kind: str, request: pytest.FixtureRequest) -> Databases | None:
    """Those on PostgreSQL, whose server is started only if it is needed."""
    return request.getfixturevalue("databases") if database_kind == "postgres" else None


@pytest.fixture
async def url_at(database_kind: str, request: pytest.FixtureRequest) -> AsyncIterator[Urls]:
    """The URL of the database that belongs to a path: empty and migrated when it is first asked for.

    On SQLite it is that file; on PostgreSQL the path is just a name.
    """
    databases = _databases(database_kind, request)
    urls: dict[Path, str] = {}
    async with AsyncExitStack() as stack:

        async def url_at(path: Path) -> str:
            if databases is None:
                return await migrated_file(path)
            if path not in urls:
                urls[path] = await stack.enter_async_context(fresh_database(databases))
            return urls[path]

        yield url_at


@pytest.fixture
async def open_storage(url_at: Urls, keyring: Keyring, clock: FixedClock) -> AsyncIterator[Opener]:
    """Opens storage on the database that belongs to a path; closed at the end."""
    opened: list[SqlStorage] = []

    async def open_at(path: Path) -> SqlStorage:
        opened.append(await SqlStorage.open(await url_at(path), keyring, clock))
        return opened[-1]

    yield open_at
    for storage in opened:
        await storage.aclose()


@pytest.fixture
def fresh_storage(
    database_kind: str,
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    keyring: Keyring,
    clock: FixedClock,
) -> Fresh:
    """Storage on an empty database, as often as it is asked for: for tests of many examples."""
    databases = _databases(database_kind, request)

    @asynccontextmanager
    async def fresh() -> AsyncIterator[SqlStorage]:
        async with AsyncExitStack() as stack:
            if databases is not None:
                url = await stack.enter_async_context(fresh_database(databases))
            else:
                url = await migrated_file(tmp_path_factory.mktemp("fresh") / "m.db")
            storage = await SqlStorage.open(url, keyring, clock)
            stack.push_async_callback(storage.aclose)
            yield storage

    return fresh


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where the database of `storage` is."""
    return tmp_path / "moorage.db"


@pytest.fixture
async def storage_url(url_at: Urls, place: Path) -> str:
    return await url_at(place)


@pytest.fixture
async def storage(open_storage: Opener, place: Path) -> SqlStorage:
    return await open_storage(place)
