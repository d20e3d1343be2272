"""Connections, turns and transactions: settings that durability hangs on, and errors in the port's words."""

import asyncio
import gc
import multiprocessing
import sqlite3
import threading
import time
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from moorage_adapters.cipher import Keyring
from moorage_adapters.clock import FixedClock
from moorage_adapters.sqlmodel import migrate, sqlite, sqlite_lane
from moorage_adapters.sqlmodel.database import UnsafeDatabaseError
from moorage_adapters.sqlmodel.sqlite import READERS, SqliteDatabase, Turns, sqlite_path
from moorage_adapters.sqlmodel.sqlite_errors import is_fatal, is_unavailable
from moorage_adapters.sqlmodel.storage import SqlStorage
from moorage_adapters.sqlmodel.tenant import Tenant
from moorage_ports.errors import CommitUnknownError, UnavailableError
from moorage_ports.secret import Secret
from moorage_ports.secret_store import SecretRef
from moorage_ports.storage import UnitOfWork
from tests.unit.adapters.conftest import Opener
from tests.unit.adapters.things import VENDOR, arrival, change, connect, lead


@pytest.fixture
def database_kind() -> str:
    """Only SQLite's own engine is tested here."""
    return "sqlite"


def _path(storage: SqlStorage) -> Path:
    assert isinstance(storage.database, SqliteDatabase)
    return storage.database.path


def _pragmas(connection: sa.Connection) -> dict[str, object]:
    names = ("journal_mode", "synchronous", "busy_timeout", "foreign_keys", "query_only")
    return {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in names}


async def test_d1_every_connection_is_set_up_for_durability(storage: SqlStorage) -> None:
    sound = {"journal_mode": "wal", "synchronous": 2, "busy_timeout": 5000, "foreign_keys": 1}
    async with storage.database.write() as writing:
        assert await writing.run(_pragmas) == {**sound, "query_only": 0}
    for _ in range(READERS):
        async with storage.database.read() as reading:
            assert await reading.run(_pragmas) == {**sound, "query_only": 1}


async def test_d1_a_database_that_does_not_take_a_setting_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sqlite_lane.PRAGMAS, "journal_mode", ("MEMORY", "wal"))
    with pytest.raises(UnsafeDatabaseError, match="journal_mode"):
        await SqliteDatabase.open(tmp_path / "m.db")


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "postgresql://x/y", "sqlite:///"])
def test_d1_a_database_that_forgets_is_refused(url: str) -> None:
    with pytest.raises(UnsafeDatabaseError):
        sqlite_path(url)


async def test_d1_a_write_transaction_holds_the_lock_from_its_first_statement(storage: SqlStorage) -> None:
    """No deferred transaction is ever upgraded: that fails at once, whatever the timeout."""
    async with storage.unit_of_work("a") as uow:
        await uow.leads.get("x")  # reads only, so far
        other = sqlite3.connect(_path(storage), timeout=0, isolation_level=None)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        other.close()
        assert await uow.leads.add(lead())


async def test_only_its_owner_may_read_the_database(tmp_path: Path) -> None:
    database = await SqliteDatabase.open(tmp_path / "m.db")
    await database.write_at_once(lambda connection: connection.exec_driver_sql("CREATE TABLE t (x)").close())
    assert len(list(tmp_path.iterdir())) == 3, "with its journal and its index"
    for path in tmp_path.iterdir():
        assert path.stat().st_mode & 0o077 == 0
    await database.aclose()


# Errors --------------------------------------------------------------------------------------


def _error(code: int) -> sqlite3.OperationalError:
    failure = sqlite3.OperationalError("so")
    failure.sqlite_errorcode = code
    return failure


@pytest.mark.parametrize(
    ("code", "unavailable", "fatal"),
    [
        (sqlite3.SQLITE_BUSY, True, False),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, True, False),
        (sqlite3.SQLITE_LOCKED, True, False),
        (sqlite3.SQLITE_FULL, True, False),
        (sqlite3.SQLITE_CANTOPEN, True, False),
        (sqlite3.SQLITE_IOERR_SHMSIZE, True, False),
        (sqlite3.SQLITE_IOERR_FSYNC, True, True),
        (sqlite3.SQLITE_IOERR_WRITE, True, True),
        (sqlite3.SQLITE_IOERR_READ, True, True),
        (sqlite3.SQLITE_CORRUPT, True, True),
        (sqlite3.SQLITE_NOTADB, True, True),
        (sqlite3.SQLITE_CONSTRAINT_UNIQUE, False, False),
        (sqlite3.SQLITE_ERROR, False, False),
        (sqlite3.SQLITE_READONLY, False, False),
    ],
)
def test_w4_what_the_disk_says_is_told_apart(code: int, unavailable: bool, fatal: bool) -> None:
    assert (is_unavailable(_error(code)), is_fatal(_error(code))) == (unavailable, fatal)


def test_what_is_not_the_databases_is_neither() -> None:
    assert not is_unavailable(ValueError())
    assert not is_fatal(sqlite3.ProgrammingError("closed"))


async def test_w4_a_full_disk_refuses_keeps_nothing_half_and_heals(storage: SqlStorage) -> None:
    await connect(storage, "a", "page-1")

    def limit(pages: int | None) -> object:
        def work(connection: sa.Connection) -> object:
            used = connection.exec_driver_sql("PRAGMA page_count").scalar()
            assert isinstance(used, int)
            return connection.exec_driver_sql(f"PRAGMA max_page_count = {pages or used}").scalar()

        return storage.database.write_at_once(work)

    await limit(None)  # type: ignore[misc]
    big = [change(f"k{number}", body=bytes(20_000)) for number in range(3)]
    for _ in range(3):
        with pytest.raises(UnavailableError):
            await storage.intake.keep(arrival(change("small"), *big))
    assert isinstance(storage.database, SqliteDatabase)
    assert not storage.database.is_broken
    await limit(1_000_000)  # type: ignore[misc]
    kept = await storage.intake.keep(arrival(change("small"), *big))
    assert (kept.stored, kept.duplicates) == (4, 0), "nothing of the refused deliveries had stayed"


@pytest.fixture
async def impatient(storage: SqlStorage, monkeypatch: pytest.MonkeyPatch) -> SqlStorage:
    """A storage that waits 50 ms for another process's lock, on this connection and on every later one."""
    await storage.database.write_at_once(lambda c: c.exec_driver_sql("PRAGMA busy_timeout = 50").close())
    monkeypatch.setitem(sqlite_lane.PRAGMAS, "busy_timeout", ("50", 50))
    return storage


async def test_w4_another_processes_lock_means_unavailable_then_recovery(impatient: SqlStorage) -> None:
    storage = impatient
    await connect(storage, "a", "page-1")
    other = sqlite3.connect(_path(storage), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    begun = time.monotonic()
    with pytest.raises(UnavailableError):
        await storage.intake.keep(arrival(change()))
    with pytest.raises(UnavailableError):
        async with storage.unit_of_work("a") as uow:
            await uow.leads.add(lead())
    assert time.monotonic() - begun < 2
    async with storage.unit_of_work("a", reads_only=True) as uow:
        assert await uow.leads.get("lead-1") is None, "reading goes on"
    other.execute("ROLLBACK")
    other.close()
    assert (await storage.intake.keep(arrival(change()))).stored == 1


async def test_d1_a_transaction_that_could_not_begin_leaves_the_next_ones_whole(
    impatient: SqlStorage,
) -> None:
    """Half of what a later transaction did would stay, if its statements were committed one by one."""
    storage = impatient
    await connect(storage, "a", "page-1")
    other = sqlite3.connect(_path(storage), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(UnavailableError):
        async with storage.unit_of_work("a") as uow:
            await uow.leads.add(lead())
    other.execute("ROLLBACK")

    async def write_and_break() -> None:
        async with storage.unit_of_work("a") as uow:
            await uow.leads.add(lead())
            seen = other.execute("SELECT count(*) FROM lead").fetchone()
            assert seen == (0,), "what a transaction writes is nobody's before it ends"
            msg = "in the middle"
            raise RuntimeError(msg)

    for _ in range(2):
        with pytest.raises(RuntimeError, match="in the middle"):
            await write_and_break()
    async with storage.unit_of_work("a", reads_only=True) as uow:
        assert await uow.leads.get("lead-1") is None
    other.close()


async def test_d1_what_the_database_rolled_back_by_itself_is_not_said_to_be_committed(
    storage: SqlStorage,
) -> None:
    def roll_back(org: Tenant) -> None:
        raw = org._connection.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)
        raw.rollback()

    await connect(storage, "a", "page-1")

    async def add() -> None:
        async with storage.unit_of_work("a") as uow:
            await uow.leads.add(lead())
            await uow._gate.run(roll_back)

    with pytest.raises(UnavailableError):
        await add()
    async with storage.unit_of_work("a") as uow:
        assert await uow.leads.get("lead-1") is None
        await uow.leads.add(lead())
    async with storage.unit_of_work("a", reads_only=True) as uow:
        assert await uow.leads.get("lead-1") is not None


async def test_w4_nobody_waits_for_ever_for_a_turn(
    storage: SqlStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "PATIENCE_SECONDS", 0.05)
    async with storage.unit_of_work("a"):
        with pytest.raises(UnavailableError):
            await storage.intake.keep(arrival(change()))
        with pytest.raises(UnavailableError):
            async with storage.unit_of_work("b"):
                pass
    await storage.intake.keep(arrival(change()))


async def test_w4_after_a_broken_promise_nothing_is_acknowledged_any_more(
    migrated: Path, tmp_path: Path, keyring: Keyring, clock: FixedClock
) -> None:
    path = tmp_path / "m.db"
    path.write_bytes(migrated.read_bytes())
    told: list[str] = []
    storage = await SqlStorage.open(
        f"sqlite:///{path}", keyring, clock, on_fatal=lambda: told.append("fatal")
    )
    await connect(storage, "a", "page-1")

    def break_promise(_: sa.Connection) -> None:
        raise _error(sqlite3.SQLITE_IOERR_FSYNC)

    for _ in range(2):
        with pytest.raises(UnavailableError):
            await storage.database.write_at_once(break_promise)
    assert told == ["fatal"], "told once"
    with pytest.raises(UnavailableError):
        await storage.intake.keep(arrival(change()))
    with pytest.raises(UnavailableError):
        await storage.ping()
    with pytest.raises(UnavailableError):
        async with storage.unit_of_work("a"):
            pass
    await storage.aclose()


async def test_w4_a_disk_that_fails_while_committing_leaves_open_what_is_written(storage: SqlStorage) -> None:
    """Who opens the file next may find the commit whole: so nobody may say that it did not happen."""
    assert isinstance(storage.database, SqliteDatabase)

    def fail(_: sa.Connection) -> None:
        raise _error(sqlite3.SQLITE_IOERR_FSYNC)

    sa.event.listen(storage.database._writer._engine, "commit", fail)
    with pytest.raises(CommitUnknownError):
        async with storage.unit_of_work("a") as uow:
            await uow.leads.add(lead(1))
    assert storage.database.is_broken


@pytest.mark.parametrize("in_a_transaction", [False, True])
async def test_w4_a_broken_promise_is_noticed_though_nobody_waits_any_more(
    tmp_path: Path, in_a_transaction: bool
) -> None:
    """The request ran out of time, or its client hung up, while the disk was failing."""
    path = tmp_path / "m.db"
    await migrate.upgrade(f"sqlite:///{path}")
    told: list[str] = []
    database = await SqliteDatabase.open(path, on_fatal=lambda: told.append("fatal"))
    unheard: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unheard.append(context))
    has_begun, may_fail = threading.Event(), threading.Event()

    def fails(_: sa.Connection) -> None:
        has_begun.set()
        may_fail.wait(5)
        raise _error(sqlite3.SQLITE_IOERR_FSYNC)

    async def write() -> None:
        if in_a_transaction:
            async with database.write() as transaction:
                await transaction.run(fails)
        else:
            await database.write_at_once(fails)

    writing = asyncio.create_task(write())
    await asyncio.to_thread(has_begun.wait, 5)
    writing.cancel()
    await asyncio.wait([writing])
    may_fail.set()
    with pytest.raises(UnavailableError):
        await database.write_at_once(lambda connection: connection.exec_driver_sql("SELECT 1"))
    del writing
    gc.collect()

    assert database.is_broken
    assert told == ["fatal"]
    assert unheard == []
    await database.aclose()


async def test_a_file_that_is_no_database_is_refused(
    tmp_path: Path, keyring: Keyring, clock: FixedClock
) -> None:
    (tmp_path / "m.db").write_bytes(b"this is no database, however long one looks at it" * 100)
    with pytest.raises(UnavailableError):
        await SqlStorage.open(f"sqlite:///{tmp_path / 'm.db'}", keyring, clock)
    with pytest.raises(UnavailableError):
        await SqlStorage.open(f"sqlite:///{tmp_path / 'no folder' / 'm.db'}", keyring, clock)


async def test_ping_wants_a_current_schema(tmp_path: Path, keyring: Keyring, clock: FixedClock) -> None:
    url = f"sqlite:///{tmp_path / 'm.db'}"
    storage = await SqlStorage.open(url, keyring, clock)
    with pytest.raises(UnavailableError, match="migrate"):
        await storage.ping()
    await migrate.upgrade(url)
    await storage.ping()
    await storage.aclose()
    with pytest.raises(UnavailableError):
        await storage.ping()
    await storage.aclose()


async def test_work_at_once_may_wait_for_nothing_else(storage: SqlStorage) -> None:
    """On the writer's thread there is no event loop, and everybody else who wants to write waits."""

    async def dawdle(uow: UnitOfWork) -> None:
        await uow.leads.add(lead())
        await asyncio.sleep(0)

    async def find(uow: UnitOfWork) -> bool:
        return await uow.leads.get("lead-1") is not None

    with pytest.raises(RuntimeError, match="nothing but its unit of work"):
        await storage.at_once("a", dawdle)
    assert not await storage.at_once("a", find), "and nothing of it was kept"


# Turns ---------------------------------------------------------------------------------------


async def test_the_intake_alternates_with_the_line() -> None:
    turns, order = Turns(), []

    async def one(name: str, *, hot: bool) -> None:
        await turns.take(hot=hot)
        order.append(name)
        await asyncio.sleep(0)
        turns.give()

    await turns.take()
    tasks = [asyncio.create_task(one(f"w{n}", hot=False)) for n in range(3)]
    await asyncio.sleep(0)
    tasks += [asyncio.create_task(one(f"i{n}", hot=True)) for n in range(3)]
    await asyncio.sleep(0)
    turns.give()
    await asyncio.wait(tasks)
    assert order == ["i0", "w0", "i1", "w1", "i2", "w2"]


async def test_a7_orgs_take_turns_at_writing_however_much_one_has_to_write() -> None:
    turns, order = Turns(), []

    async def one(org_id: str) -> None:
        await turns.take(org_id)
        order.append(org_id)
        await asyncio.sleep(0)
        turns.give()

    await turns.take("a")
    async with asyncio.TaskGroup() as tasks:
        for org_id in "aaaab":
            tasks.create_task(one(org_id))
        await asyncio.sleep(0)
        turns.give()
    assert order == ["a", "b", "a", "a", "a"]


@given(
    st.lists(
        st.tuples(st.booleans(), st.integers(0, 3), st.integers(0, 3), st.booleans()), min_size=1, max_size=20
    )
)
async def test_one_at_a_time_and_nobody_is_forgotten_however_they_are_cancelled(
    callers: list[tuple[bool, int, int, bool]],
) -> None:
    turns, inside, served = Turns(), 0, 0

    async def call(hot: bool, before: int, within: int) -> None:
        nonlocal inside, served
        for _ in range(before):
            await asyncio.sleep(0)
        await turns.take(hot=hot)
        try:
            inside += 1
            assert inside == 1
            for _ in range(within):
                await asyncio.sleep(0)
            served += 1
        finally:
            inside -= 1
            turns.give()

    tasks = [asyncio.create_task(call(hot, before, within)) for hot, before, within, _ in callers]
    for _ in range(3):
        await asyncio.sleep(0)
    for task, (*_, is_cancelled) in zip(tasks, callers, strict=True):
        if is_cancelled:
            task.cancel()
    async with asyncio.timeout(2):
        done = await asyncio.gather(*tasks, return_exceptions=True)
    assert not [one for one in done if isinstance(one, Exception)]
    async with asyncio.timeout(1):
        await turns.take()
    assert served >= sum(not cancelled for *_, cancelled in callers)


# Two processes -------------------------------------------------------------------------------


def _put_many(path: str, keyring: Keyring, number: int) -> None:
    async def work() -> None:
        from datetime import UTC, datetime

        storage = await SqlStorage.open(f"sqlite:///{path}", keyring, FixedClock(datetime.now(UTC)))
        for count in range(50):
            ref = SecretRef(owner_type="t", owner_id=f"{number}-{count}", field="f")
            await storage.secrets("shared", VENDOR).put(ref, Secret(f"{number}-{count}"))
        await storage.aclose()

    asyncio.run(work())


@pytest.mark.slow
async def test_processes_that_meet_a_new_org_at_once_agree_on_its_keys(
    open_storage: Opener, tmp_path: Path, keyring: Keyring
) -> None:
    storage = await open_storage(tmp_path / "m.db")
    context = multiprocessing.get_context("fork")
    processes = [
        context.Process(target=_put_many, args=(str(tmp_path / "m.db"), keyring, number))
        for number in range(4)
    ]
    for process in processes:
        process.start()
    for process in processes:
        await asyncio.to_thread(process.join, 60)
    assert [process.exitcode for process in processes] == [0] * 4
    for number in range(4):
        for count in range(50):
            ref = SecretRef(owner_type="t", owner_id=f"{number}-{count}", field="f")
            found = await storage.secrets("shared", VENDOR).get(ref)
            assert found is not None
            assert found.value.reveal() == f"{number}-{count}"


async def test_whoever_is_in_line_when_the_file_is_closed_is_told_so_and_holds_up_nobody(
    tmp_path: Path,
) -> None:
    database = await SqliteDatabase.open(tmp_path / "closed.db")
    is_held = threading.Event()
    first = asyncio.create_task(database.write_at_once(lambda _: is_held.wait(5)))
    await asyncio.sleep(0)
    waiting = [asyncio.create_task(database.write_at_once(lambda _: None)) for _ in range(2)]
    await asyncio.sleep(0)
    closing = asyncio.create_task(database.aclose())
    await asyncio.sleep(0)

    is_held.set()
    await asyncio.gather(first, closing)

    async with asyncio.timeout(1):
        told = await asyncio.gather(*waiting, return_exceptions=True)
    assert [str(one) for one in told] == ["the database is closed; nothing was written"] * 2
