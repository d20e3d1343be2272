"""A sandbox in process: httpx on the one side, a host that only listens on the other."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.facebook.sandbox.driver import Driver, Host, opened


@pytest.fixture
def host() -> Host:
    return Host()


@pytest.fixture
def state_file(tmp_path: Path) -> Path:
    return tmp_path / "sandbox" / "state.db"


@pytest.fixture
async def sandbox(host: Host, state_file: Path) -> AsyncIterator[Driver]:
    async with opened(host, state_file) as driver:
        yield driver
