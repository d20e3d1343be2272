"""A host whose café has talked with people, for those who are to be forgotten."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from moorage_adapters.memory.world import BOOKS, CAFE
from tests.support.harbour import Harbour, harbour
from tests.unit.privacy.planting import BEN, GONE


@pytest.fixture
async def host(tmp_path: Path, database_url: str) -> AsyncIterator[Harbour]:
    """The café's board is chosen, and a note hangs there."""
    async with _town(tmp_path, database_url) as made:
        yield made


@pytest.fixture
async def quick(tmp_path: Path) -> AsyncIterator[Harbour]:
    """The same, where it makes no difference which database there is."""
    async with _town(tmp_path, "") as made:
        yield made


@asynccontextmanager
async def _town(folder: Path, url: str) -> AsyncIterator[Harbour]:
    async with harbour(folder, database_url=url) as made:
        made.world.people |= {GONE.id: GONE, BEN.id: BEN}
        made.hang_notes(CAFE, BOOKS)
        await made.connect()
        await made.select(CAFE.id)
        yield made
