"""A café to write to, at a vendor that names people by an id only."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.harbour import Harbour, harbour
from tests.support.naming import open_cafe


@pytest.fixture
async def host(tmp_path: Path, database_url: str) -> AsyncIterator[Harbour]:
    async with harbour(tmp_path, database_url=database_url) as made:
        await open_cafe(made)
        yield made


@pytest.fixture
async def quick(tmp_path: Path) -> AsyncIterator[Harbour]:
    """The same, where it makes no difference which database there is."""
    async with harbour(tmp_path) as made:
        await open_cafe(made)
        yield made
