"""The SQL adapter keeps the promises of everything that the host stores, on either database."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from moorage_adapters.cipher import Keyring
from moorage_adapters.clock import SystemClock
from moorage_adapters.jobs import EmbeddedJobs
from moorage_adapters.sqlmodel.storage import SqlStorage
from moorage_ports.jobs import Jobs
from moorage_ports.storage import Storage
from moorage_ports.testing.checkpoints import LeadCheckpointsContract
from moorage_ports.testing.inbox import InboxContract
from moorage_ports.testing.intake import IntakeContract
from moorage_ports.testing.jobs import JobsContract
from moorage_ports.testing.lead_forms import LeadFormsContract
from moorage_ports.testing.lead_ledger import LeadLedgerContract
from moorage_ports.testing.secret_store import OpenStore, SecretStoreContract
from tests.support.databases import migrated_file


@pytest.fixture
def url(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if database_kind == "postgres":
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite:///{tmp_path / 'moorage.sqlite'}"


@pytest.fixture
async def sql(url: str, tmp_path: Path) -> AsyncIterator[SqlStorage]:
    if url.startswith("sqlite:"):
        await migrated_file(tmp_path / "moorage.sqlite")
    opened = await SqlStorage.open(url, Keyring.create(tmp_path / "keyring.json"), SystemClock())
    yield opened
    await opened.aclose()


@pytest.fixture
def storage(sql: SqlStorage) -> Storage:
    return sql


class TestSqlSecretStore(SecretStoreContract):
    @pytest.fixture
    def open_store(self, sql: SqlStorage) -> OpenStore:
        return sql.secrets


class TestSqlIntake(IntakeContract): ...


class TestSqlInbox(InboxContract): ...


class TestSqlLeadCheckpoints(LeadCheckpointsContract): ...


class TestSqlLeadForms(LeadFormsContract): ...


class TestSqlLeadLedger(LeadLedgerContract): ...


class TestEmbeddedJobs(JobsContract):
    @pytest.fixture
    def database_kind(self) -> str:
        """Those of one process live in SQLite; those of many have `test_jobs_on_postgres`."""
        return "sqlite"

    @pytest.fixture
    def another_jobs(self, sql: SqlStorage) -> Callable[[], Jobs]:
        return lambda: EmbeddedJobs(sql, SystemClock())

    @pytest.fixture
    def jobs(self, another_jobs: Callable[[], Jobs]) -> Jobs:
        return another_jobs()
