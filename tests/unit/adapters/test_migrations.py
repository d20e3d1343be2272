"""Migrations: they lead to exactly the tables that the program declares, and leave rows alone."""

import pkgutil
import subprocess
import sys
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.script import ScriptDirectory

import moorage_adapters.sqlmodel
from moorage_adapters.cipher import Keyring
from moorage_adapters.clock import FixedClock
from moorage_adapters.sqlmodel import migrate
from moorage_adapters.sqlmodel.metadata import metadata
from moorage_adapters.sqlmodel.revision import head
from moorage_adapters.sqlmodel.sqlite_lane import sqlite_engine
from moorage_adapters.sqlmodel.storage import SqlStorage
from moorage_adapters.sqlmodel.tables import INBOX
from moorage_ports.errors import UnavailableError
from moorage_ports.inbox import DEAD_KEPT, ItemState
from tests.unit.adapters.things import connect, lead


async def test_the_newest_version_has_the_declared_tables_and_nothing_else(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'm.db'}"
    assert await migrate.current(url) is None
    assert await migrate.check(url) != [], "an empty database differs"
    assert await migrate.upgrade(url) == head()
    assert await migrate.current(url) == head()
    assert await migrate.check(url) == []


async def test_upgrading_again_changes_nothing(tmp_path: Path, keyring: Keyring, clock: FixedClock) -> None:
    url = f"sqlite:///{tmp_path / 'm.db'}"
    await migrate.upgrade(url)
    storage = await SqlStorage.open(url, keyring, clock)
    await connect(storage, "a", "page-1")
    async with storage.unit_of_work("a") as uow:
        await uow.leads.add(lead())
    await storage.aclose()
    await migrate.upgrade(url)
    again = await SqlStorage.open(url, keyring, clock)
    async with again.unit_of_work("a", reads_only=True) as uow:
        assert await uow.leads.get("lead-1") == lead()
    await again.aclose()


def test_every_version_can_be_taken_back_and_made_again(tmp_path: Path) -> None:
    engine = sqlite_engine(tmp_path / "m.db", "BEGIN IMMEDIATE")
    with engine.begin() as connection:
        migrate.upgrade_on(connection)
        command.downgrade(migrate._config(connection), "base")
        assert set(sa.inspect(connection).get_table_names()) == {"alembic_version"}
        migrate.upgrade_on(connection)
        assert migrate.differences(connection) == []
    engine.dispose()


@pytest.fixture
def database_url(tmp_path: Path, database_kind: str, request: pytest.FixtureRequest) -> str:
    """Of a fresh database of either kind."""
    if database_kind == "postgres":
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite:///{tmp_path / 'm.db'}"


async def test_what_was_settled_before_anything_was_forgotten_is_forgotten_too(
    database_url: str,
) -> None:
    """What is done at once, its key excepted; what was given up 90 days after that."""
    await migrate.upgrade(database_url)
    settled = datetime(2030, 6, 1, 12, 0, tzinfo=UTC)

    def upgraded(connection: sa.Connection) -> list[tuple[datetime | None, bool]]:
        connection.execute(
            sa.insert(INBOX), [_row(n, state, settled) for n, state in enumerate(ItemState, start=1)]
        )
        command.downgrade(migrate._config(connection), "0009")
        migrate.upgrade_on(connection)
        found = connection.execute(sa.select(INBOX.c.forget_at, INBOX.c.is_lasting).order_by(INBOX.c.seq))
        return [(row[0], row[1]) for row in found]

    pending, parked, done, dead = await migrate._on(database_url, upgraded)
    assert pending == parked == (None, False)
    assert (done, dead) == ((settled, True), (settled + DEAD_KEPT, False))


def _row(number: int, state: ItemState, settled: datetime) -> dict[str, object]:
    is_settled = state in {ItemState.DONE, ItemState.DEAD}
    return {
        "seq": number,
        "org_id": "a",
        "vendor": "memory",
        "key_digest": bytes([number]) * 16,
        "partition_digest": bytes(16),
        "bucket": 0,
        "kind": "slip",
        "state": state,
        "received_at": settled,
        "settled_at": settled if is_settled else None,
        "tries": 1,
        "lease": 1,
        "last_error": "",
        "is_lasting": False,
        "body_sealed": b"x",
    }


def test_an_upgrade_that_fails_half_way_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = sqlite_engine(tmp_path / "m.db", "BEGIN IMMEDIATE")

    def upgrade_and_fail() -> None:
        with engine.begin() as connection:
            migrate.upgrade_on(connection)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        upgrade_and_fail()
    with engine.connect() as connection:
        assert sa.inspect(connection).get_table_names() == []
    engine.dispose()


async def test_a_database_that_cannot_be_opened_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError):
        await migrate.upgrade(f"sqlite:///{tmp_path / 'no folder' / 'm.db'}")


def test_every_tables_rows_belong_to_an_org_or_are_known_not_to() -> None:
    """A new table must either begin its key with the org or be put on this list on purpose."""
    over_all_orgs = {
        "account": "a sign-in does not know its org yet",
        "connect_attempt": "a callback does not know its org yet",
        "deletion_request": "a person asks a vendor's app, which orgs of ours it concerns is found out",
        "inbox": "numbered over all orgs, unique within one",
        "inbox_double": "numbered over all orgs, as the inbox",
        "job": "the line of all orgs",
        "job_pause": "of no org",
        "job_schedule": "of no org",
        "job_timer": "the line of all orgs",
        "quarantine": "nobody's",
        "search_entry": "numbered over all orgs for the index of words, unique within one",
        "session": "a cookie does not tell its org",
        "usage_meter": "a vendor counts the calls of all orgs that use one app together",
    }
    for name, table in metadata.tables.items():
        if name not in over_all_orgs:
            assert next(iter(table.primary_key.columns)).name == "org_id", name
    assert set(over_all_orgs) < set(metadata.tables)


def test_the_metadata_is_whole_whoever_imports_it_and_whatever_else_they_do_not() -> None:
    """What it lacked would be neither migrated nor guarded."""
    for module in pkgutil.iter_modules(moorage_adapters.sqlmodel.__path__):
        import_module(f"moorage_adapters.sqlmodel.{module.name}")
    alone = "from moorage_adapters.sqlmodel.metadata import metadata; print(*metadata.tables)"
    said = subprocess.run([sys.executable, "-c", alone], check=True, capture_output=True, text=True).stdout
    assert set(said.split()) == set(metadata.tables)


def test_the_newest_version_is_the_one_that_the_migrations_end_with() -> None:
    """It is told by the files' numbers, without the tool that migrates."""
    assert head() == ScriptDirectory.from_config(migrate._config()).get_current_head()
