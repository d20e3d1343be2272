"""A host over either database, for leads on their way into the CRM."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.harbour import Harbour, harbour
from tests.unit.adapters.conftest import (
    clock,
    fresh_storage,
    keyring,
    migrated,
    open_storage,
    place,
    storage,
    storage_url,
    url_at,
)

__all__ = [
    "clock",
    "fresh_storage",
    "keyring",
    "migrated",
    "open_storage",
    "place",
    "storage",
    "storage_url",
    "url_at",
]


@pytest.fixture
async def host(tmp_path: Path, storage_url: str) -> AsyncIterator[Harbour]:
    async with harbour(tmp_path, database_url=storage_url) as made:
        await made.connect()
        await made.select("board-1")
        yield made
