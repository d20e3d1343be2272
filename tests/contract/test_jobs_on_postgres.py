"""The jobs of many processes keep the promises of all jobs."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from moorage_adapters.cipher import Keyring
from moorage_adapters.clock import SystemClock
from moorage_adapters.jobs_pgqueuer import PgQueuerJobs
from moorage_adapters.sqlmodel.postgres import PostgresDatabase
from moorage_adapters.sqlmodel.storage import SqlStorage
from moorage_ports.jobs import Jobs
from moorage_ports.storage import Storage
from moorage_ports.testing.jobs import JobsContract

pytestmark = pytest.mark.postgres


@pytest.fixture
async def sql(tmp_path: Path, postgres_url: str) -> AsyncIterator[SqlStorage]:
    opened = await SqlStorage.open(postgres_url, Keyring.create(tmp_path / "keyring.json"), SystemClock())
    yield opened
    await opened.aclose()


@pytest.fixture
def storage(sql: SqlStorage) -> Storage:
    return sql


class TestPgQueuerJobs(JobsContract):
    @pytest.fixture
    def another_jobs(self, sql: SqlStorage, postgres_url: str) -> Callable[[], Jobs]:
        assert isinstance(sql.database, PostgresDatabase)
        database = sql.database
        return lambda: PgQueuerJobs(database, postgres_url, SystemClock())

    @pytest.fixture
    def jobs(self, another_jobs: Callable[[], Jobs]) -> Jobs:
        return another_jobs()
