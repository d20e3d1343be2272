"""A keyring, a clock that stands still, and storage on a fresh SQLite file."""

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from moorage_adapters.cipher import Keyring
from moorage_adapters.clock import FixedClock
from moorage_adapters.sqlmodel import migrate
from moorage_adapters.sqlmodel.storage import SqlStorage

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)

Opener = Callable[[Path], Awaitable[SqlStorage]]


@pytest.fixture(scope="session")
def keyring(tmp_path_factory: pytest.TempPathFactory) -> Keyring:
    return Keyring.create(tmp_path_factory.mktemp("keys") / "keyring.json")


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NOON)


@pytest.fixture
async def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database of the newest schema, made once per run and process."""
    template = tmp_path_factory.getbasetemp() / "template.db"
    if not template.exists():
        made = tmp_path_factory.mktemp("template") / "made.db"
        await migrate.upgrade(f"sqlite:///{made}")
        shutil.copyfile(made, template)
    return template


@pytest.fixture
async def open_storage(migrated: Path, keyring: Keyring, clock: FixedClock) -> AsyncIterator[Opener]:
    """Opens storage on a file (an empty database is put there first); closed at the end."""
    opened: list[SqlStorage] = []

    async def open_at(path: Path) -> SqlStorage:
        if not path.exists():
            shutil.copyfile(migrated, path)
        opened.append(await SqlStorage.open(f"sqlite:///{path}", keyring, clock))
        return opened[-1]

    yield open_at
    for storage in opened:
        await storage.aclose()


@pytest.fixture
async def storage(open_storage: Opener, tmp_path: Path) -> SqlStorage:
    return await open_storage(tmp_path / "moorage.db")
