"""Whoever governs the pace of calls keeps the same promises: the database's, and the kit's."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from moorage_adapters.clock import FixedClock
from moorage_adapters.sqlmodel import migrate
from moorage_adapters.sqlmodel.engine import SqliteDatabase
from moorage_adapters.sqlmodel.governor import SqlGovernors
from moorage_ports.governor import Governor
from moorage_ports.testing.governor import GovernorContract
from moorage_ports.testing.lent import BEGINNING, FakeClock, FakeGovernor


class TestFakeGovernor(GovernorContract):
    @pytest.fixture
    def clock(self) -> FakeClock:
        return FakeClock()

    @pytest.fixture
    def governor_of(self, clock: FakeClock) -> Callable[[str, str], Governor]:
        governors: dict[tuple[str, str], FakeGovernor] = {}
        return lambda vendor, app_id: governors.setdefault((vendor, app_id), FakeGovernor(clock, vendor))

    @pytest.fixture
    def governor(self, governor_of: Callable[[str, str], Governor]) -> Governor:
        return governor_of("quay", "app-1")


class OnSql:
    """A database for the governors of one process."""

    @pytest.fixture
    def clock(self) -> FixedClock:
        return FixedClock(BEGINNING)

    @pytest.fixture
    async def database(self, tmp_path: Path) -> AsyncIterator[SqliteDatabase]:
        path = tmp_path / "moorage.sqlite"
        await migrate.upgrade(f"sqlite:///{path}")
        opened = await SqliteDatabase.open(path)
        yield opened
        await opened.aclose()

    @pytest.fixture
    def governors(self, database: SqliteDatabase, clock: FixedClock) -> SqlGovernors:
        return SqlGovernors(database, clock)

    @pytest.fixture
    def governor_of(self, governors: SqlGovernors) -> Callable[[str, str], Governor]:
        return governors.of

    @pytest.fixture
    def governor(self, governors: SqlGovernors) -> Governor:
        return governors.of("quay", "app-1")


class TestSqlGovernor(OnSql, GovernorContract): ...


class TestSqlGovernorsOfTwoProcesses(OnSql, GovernorContract):
    """What one process hears, the other keeps to: reports go to one, questions to the other."""

    @pytest.fixture
    def governor_of(
        self, governors: SqlGovernors, database: SqliteDatabase, clock: FixedClock
    ) -> Callable[[str, str], Governor]:
        other = SqlGovernors(database, clock)
        return lambda vendor, app_id: Split(governors.of(vendor, app_id), other.of(vendor, app_id))

    @pytest.fixture
    def governor(self, governor_of: Callable[[str, str], Governor]) -> Governor:
        return governor_of("quay", "app-1")


class Split:
    """Two governors in two processes, seen as one."""

    def __init__(self, hears: Governor, answers: Governor) -> None:
        self.report = hears.report
        self.admit = answers.admit
