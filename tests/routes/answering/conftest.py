"""Hosts in which somebody has just written."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.answering import answering_host
from tests.support.harbour import Harbour


@pytest.fixture
async def host(tmp_path: Path, database_url: str) -> AsyncIterator[Harbour]:
    """Org A manages the café's board, on which a note hangs; Ada has just written to it."""
    async with answering_host(tmp_path, database_url) as made:
        yield made


@pytest.fixture
async def quick(tmp_path: Path) -> AsyncIterator[Harbour]:
    """The same, where it makes no difference which database there is."""
    async with answering_host(tmp_path, "") as made:
        yield made
