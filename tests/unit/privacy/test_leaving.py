"""An organisation leaves: whatever table has rows of it, they go; its keys go; others' rows stay."""

import io
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Boolean, Column, Connection, Integer, LargeBinary, Table, func, select
from sqlalchemy.types import Double

from moorage import commands, org_commands
from moorage.privacy.leaving import forget_org
from moorage_adapters.cipher import Keyring
from moorage_adapters.clock import SystemClock
from moorage_adapters.sqlmodel import migrate
from moorage_adapters.sqlmodel.crm_types import Attachments, Reactions, TextMap
from moorage_adapters.sqlmodel.metadata import metadata
from moorage_adapters.sqlmodel.offboarding import AT_ONCE, tables_of_orgs
from moorage_adapters.sqlmodel.storage import SqlStorage
from moorage_adapters.sqlmodel.tables import INBOX, ORG_KEY
from moorage_adapters.sqlmodel.types import EnumValue, TextLists, Texts, UtcDateTime
from moorage_ports.secret import Secret
from moorage_ports.secret_store import SealError, SecretRef
from moorage_ports.testing.holding import arrival, change, hold

NOW = datetime(2030, 6, 1, 12, 0, tzinfo=UTC)
LEAVES, STAYS = "leaves", "stays"
REF = SecretRef(owner_type="grant", owner_id="g1", field="token")
OF_ORGS = tuple(table for table in metadata.sorted_tables if "org_id" in table.c)


@pytest.fixture
def url(database_kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if database_kind == "postgres":
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite:///{tmp_path / 'm.sqlite3'}"


@pytest.fixture
async def storage(url: str, tmp_path: Path) -> AsyncIterator[SqlStorage]:
    await migrate.upgrade(url)
    opened = await SqlStorage.open(url, Keyring.create(tmp_path / "keyring.json"), SystemClock())
    yield opened
    await opened.aclose()


def a_row(table: Table, org_id: str) -> Mapping[str, object]:
    """A row that the table takes: what it means does not matter."""
    return {column.name: _value(column, org_id) for column in table.c if not _is_numbered(column)}


def _is_numbered(column: Column[Any]) -> bool:
    return column.primary_key and isinstance(column.type, Integer) and len(column.table.primary_key) == 1


def _value(column: Column[Any], org_id: str) -> object:
    kind = column.type
    if column.name == "org_id":
        return org_id
    if isinstance(kind, UtcDateTime):
        return NOW
    if isinstance(kind, EnumValue):
        return next(iter(kind.kind.__members__.values()))
    if isinstance(kind, Boolean):
        return False
    if isinstance(kind, Integer | Double):
        return 1
    if isinstance(kind, LargeBinary):
        return org_id.encode().ljust(16)
    if isinstance(kind, Texts | Attachments):
        return ()
    if isinstance(kind, TextLists | TextMap | Reactions):
        return {}
    return f"of {org_id}"  # the same in every table: so it points at what is there


async def fill(storage: SqlStorage, org_id: str) -> None:
    """One row of the org in every table that has rows of orgs, and keys."""
    await storage.secrets(org_id, "memory").put(REF, Secret("a value of theirs"))

    def work(connection: Connection) -> None:
        for table in OF_ORGS:
            if table.name not in {"org_key", "secret"}:
                connection.execute(table.insert().values(dict(a_row(table, org_id))))

    async with storage.database.write(org_id=org_id) as transaction:
        await transaction.run(work)


async def rows_of(storage: SqlStorage, org_id: str) -> dict[str, int]:
    def work(connection: Connection) -> dict[str, int]:
        return {
            table.name: connection.execute(
                select(func.count()).select_from(table).where(table.c.org_id == org_id)
            ).scalar_one()
            for table in OF_ORGS
        }

    return await storage.database.read_at_once(work)


async def test_every_table_gives_up_its_rows_and_nobody_elses(storage: SqlStorage) -> None:
    """Also a table that nobody has thought of yet: whatever has an `org_id` is among them."""
    for org_id in (LEAVES, STAYS):
        await fill(storage, org_id)
    before = await rows_of(storage, STAYS)
    assert all((await rows_of(storage, LEAVES)).values()), "every table has a row to lose"
    counted = await storage.offboarding.count(LEAVES)

    removed = await forget_org(storage, LEAVES)

    assert set((await rows_of(storage, LEAVES)).values()) == {0}
    assert await rows_of(storage, STAYS) == before
    assert removed == counted
    assert await storage.offboarding.count(LEAVES) == {}


def test_the_channels_go_first_and_the_keys_last() -> None:
    """Nothing more comes in while the rest goes, and what is left of an interrupted run still opens."""
    names = [table.name for table in tables_of_orgs()]
    assert names[0] == "channel"
    assert "org_key" not in names
    assert set(names) | {"org_key"} == {table.name for table in OF_ORGS}


async def test_many_rows_go_in_many_small_steps(storage: SqlStorage) -> None:
    """Deliveries do not wait behind a big clean-up; and what was interrupted goes on."""
    await hold(storage, LEAVES, "board-1")
    for number in range(AT_ONCE * 2 + 5):
        await storage.intake.keep(arrival(change(str(number))))
    steps = []
    while some := await storage.offboarding.remove_some(LEAVES):
        steps.append(some)
    assert max(sum(some.values()) for some in steps) <= AT_ONCE
    assert sum(some.get(INBOX.name, 0) for some in steps) == AT_ONCE * 2 + 5
    assert list(steps[-1]) == [ORG_KEY.name]


async def test_what_it_sealed_does_not_open_any_more_not_even_from_a_copy(
    storage: SqlStorage, tmp_path: Path
) -> None:
    """V6: sealed values of a backup whose `org_key` is the one of today are noise, keyring or not."""
    await hold(storage, LEAVES, "board-1")
    await storage.intake.keep(arrival(change("one")))
    await storage.secrets(LEAVES, "memory").put(REF, Secret("a value of theirs"))
    kept = await storage.database.read_at_once(
        lambda connection: {
            table: [dict(row) for row in connection.execute(select(table)).mappings()]
            for table in (INBOX, metadata.tables["secret"])
        }
    )
    assert await storage.secrets(LEAVES, "memory").get(REF) is not None

    await forget_org(storage, LEAVES)

    def restore(connection: Connection) -> None:
        for table, rows in kept.items():
            connection.execute(table.insert(), rows)

    await storage.database.write_at_once(restore)
    with pytest.raises(SealError):
        await storage.secrets(LEAVES, "memory").get(REF)
    async with storage.unit_of_work(LEAVES, reads_only=True) as uow:
        assert await uow.kept_copies.deliveries(after=0, limit=10) == ()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Settings of a host on an empty database."""
    path = tmp_path / "moorage.toml"
    path.write_text(
        'public_url = "http://127.0.0.1:8080"\n'
        f'keyring_file = "{tmp_path / "keyring.json"}"\ndatabase_url = "sqlite:///{tmp_path / "m.sqlite3"}"\n'
        'state_secret = "Zt2Ls8Rw5Yb1Nc4Hd6GpUaEeTq3Xo9Ik2Vz7"\n'
        '[jwt]\nsecret = "k9f3Jx0vQm7Zt2Ls8Rw5Yb1Nc4Hd6GpUaEe"\n'
    )
    assert commands.create_keys(tmp_path / "keyring.json") == 0
    assert commands.migrate(config=path) == 0
    return path


def test_the_command_says_what_there_is_and_asks(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncio

    async def seed() -> None:
        keyring = Keyring.load(tmp_path / "keyring.json")
        opened = await SqlStorage.open(f"sqlite:///{tmp_path / 'm.sqlite3'}", keyring, SystemClock())
        await hold(opened, LEAVES, "board-1")
        await opened.aclose()

    asyncio.run(seed())
    assert org_commands.forget_org(LEAVES, dry_run=True, config=config) == 0
    assert "Would be deleted:" in capsys.readouterr().out
    monkeypatch.setattr("sys.stdin", io.StringIO("no\n"))
    assert org_commands.forget_org(LEAVES, config=config) == 1
    assert "Nothing was deleted." in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{LEAVES}\n"))
    assert org_commands.forget_org(LEAVES, config=config) == 0
    assert "Deleted: " in capsys.readouterr().out
    assert org_commands.forget_org(LEAVES, yes=True, config=config) == 0
    assert f"There is nothing of {LEAVES} here." in capsys.readouterr().out
    assert org_commands.forget_org("not/an org", config=config) == 1


async def test_an_org_that_never_was_is_no_error(storage: SqlStorage) -> None:
    assert await forget_org(storage, "nobody") == {}
