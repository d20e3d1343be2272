"""Whoever governs the pace of calls keeps the same promises: the database's, and the kit's."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from moorage_adapters.clock import FixedClock
from moorage_adapters.sqlmodel.database import Database
from moorage_adapters.sqlmodel.governor import SqlGovernors
from moorage_adapters.sqlmodel.postgres import PostgresDatabase
from moorage_adapters.sqlmodel.sqlite import SqliteDatabase
from moorage_ports.governor import Governor
from moorage_ports.testing.governor import GovernorContract
from moorage_ports.testing.lent import BEGINNING, FakeClock, FakeGovernor
from tests.support.databases import Databases, fresh_database, migrated_file


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
    """A database of either kind, for the governors of one process."""

    @pytest.fixture
    def clock(self) -> FixedClock:
        return FixedClock(BEGINNING)

    @pytest.fixture
    async def database(
        self, database_kind: str, tmp_path: Path, request: pytest.FixtureRequest
    ) -> AsyncIterator[Database]:
        async with AsyncExitStack() as stack:
            opened: Database
            if database_kind == "postgres":
                databases: Databases = request.getfixturevalue("databases")
                opened = await PostgresDatabase.open(
                    await stack.enter_async_context(fresh_database(databases))
                )
            else:
                await migrated_file(tmp_path / "moorage.sqlite")
                opened = await SqliteDatabase.open(tmp_path / "moorage.sqlite")
            yield opened
            await opened.aclose()

    @pytest.fixture
    def governors(self, database: Database, clock: FixedClock) -> SqlGovernors:
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
        self, governors: SqlGovernors, database: Database, clock: FixedClock
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
