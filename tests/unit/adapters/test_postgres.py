"""PostgreSQL: what it must promise before the host starts on it, and what becomes of work when it falls."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg  # type: ignore[import-untyped]
import pytest
import sqlalchemy as sa

from moorage_adapters.cipher import Keyring
from moorage_adapters.clock import FixedClock
from moorage_adapters.sqlmodel import migrate, postgres, postgres_connections
from moorage_adapters.sqlmodel.database import UnsafeDatabaseError
from moorage_adapters.sqlmodel.keeping import BUCKETS, bucket_of
from moorage_adapters.sqlmodel.postgres import POOL, PostgresDatabase
from moorage_adapters.sqlmodel.postgres_connections import DURABLE, login_of, postgres_dsn
from moorage_adapters.sqlmodel.postgres_errors import is_unavailable, out_of_reach, quiet
from moorage_adapters.sqlmodel.storage import SqlStorage
from moorage_ports.crm import LeadFilter
from moorage_ports.crm_records import LedgerKeys
from moorage_ports.errors import CommitUnknownError, UnavailableError
from moorage_ports.inbox import ItemState, Kept, Settlement
from moorage_ports.secret import Secret
from moorage_ports.secret_store import SecretRef
from tests.support.databases import Databases
from tests.unit.adapters.conftest import NOON, Opener
from tests.unit.adapters.crm_things import conversation, keep
from tests.unit.adapters.things import VENDOR, arrival, change, connect, lead

pytestmark = pytest.mark.postgres


@pytest.fixture
def database_kind() -> str:
    """Only PostgreSQL's own engine is tested here."""
    return "postgres"


@pytest.fixture
async def superuser(storage_url: str) -> AsyncIterator[asyncpg.Connection]:
    """Somebody who may look at everything and break anything."""
    connection = await asyncpg.connect(storage_url)
    yield connection
    await connection.close()


def _name(url: str) -> str:
    return url.rpartition("/")[2]


# What it must promise ------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["off", "local", "remote_write"])
async def test_d2_a_database_that_acknowledges_before_it_is_durable_is_refused(
    databases: Databases, storage_url: str, keyring: Keyring, clock: FixedClock, value: str
) -> None:
    name = _name(storage_url)
    await databases.execute(f"ALTER DATABASE {name} SET synchronous_commit = {value}")
    try:
        with pytest.raises(UnsafeDatabaseError, match=f"synchronous_commit is '{value}'"):
            await SqlStorage.open(storage_url, keyring, clock)
    finally:
        await databases.execute(f"ALTER DATABASE {name} RESET synchronous_commit")


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes"])
async def test_d2_a_server_that_does_not_sync_is_refused(
    databases: Databases, storage_url: str, keyring: Keyring, clock: FixedClock, setting: str
) -> None:
    if databases.cluster.data is None:
        pytest.skip("somebody else's server: its settings are not ours to change")

    await databases.execute(f"ALTER SYSTEM SET {setting} = off", "SELECT pg_reload_conf()")
    try:
        await asyncio.sleep(0.3)  # the server reads its configuration in its own time
        with pytest.raises(UnsafeDatabaseError, match=f"{setting} is 'off' and must be on"):
            await SqlStorage.open(storage_url, keyring, clock)
    finally:
        await databases.execute(f"ALTER SYSTEM RESET {setting}", "SELECT pg_reload_conf()")
        await asyncio.sleep(0.3)


async def test_d2_a_connection_that_became_unsafe_later_refuses_work(
    databases: Databases, storage: SqlStorage, storage_url: str
) -> None:
    await connect(storage, "a", "page-1")
    await databases.execute(f"ALTER DATABASE {_name(storage_url)} SET synchronous_commit = off")
    try:
        await databases.terminate(storage_url)
        with pytest.raises(UnavailableError):
            await storage.intake.keep(arrival(change()))
        with pytest.raises(UnavailableError, match="unsafe"):
            await storage.ping()
    finally:
        await databases.execute(f"ALTER DATABASE {_name(storage_url)} RESET synchronous_commit")
    assert await storage.intake.keep(arrival(change())) == Kept(stored=1)


async def test_w3_every_connection_waits_for_the_disk_and_for_nothing_else_too_long(
    storage: SqlStorage,
) -> None:
    names = [*DURABLE, "lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"]

    def settings(connection: sa.Connection) -> dict[str, object]:
        return {name: connection.exec_driver_sql(f"SHOW {name}").scalar() for name in names}

    for hot in (False, True):
        found = await storage.database.write_at_once(settings, hot=hot)
        assert all(found[name] in allowed for name, allowed in DURABLE.items()), found
        assert (found["lock_timeout"], found["statement_timeout"]) == ("5s", "10s")
        assert found["idle_in_transaction_session_timeout"] == "15s"


@pytest.mark.parametrize("url", ["sqlite:///x", "postgresql", "mysql://x/y", ""])
def test_an_url_of_something_else_is_refused(url: str) -> None:
    with pytest.raises(UnsafeDatabaseError, match="postgresql://"):
        postgres_dsn(url)


def test_urls_may_name_the_driver_and_take_libpqs_options() -> None:
    dsn = postgres_dsn("postgresql+asyncpg://app:pw@db.example:5433/moorage?sslmode=verify-full")
    assert dsn == "postgresql://app:pw@db.example:5433/moorage?sslmode=verify-full"
    assert login_of(dsn) == "app"
    assert postgres_dsn("postgres://h/d") == "postgresql://h/d"


async def test_a_server_that_is_not_there_is_unavailable(keyring: Keyring, clock: FixedClock) -> None:
    with pytest.raises(UnavailableError):
        await SqlStorage.open("postgresql://nobody@127.0.0.1:1/none", keyring, clock)
    with pytest.raises(UnavailableError):
        await migrate.current("postgresql://nobody@127.0.0.1:1/none")


async def test_a_database_that_is_not_there_is_unavailable(
    storage_url: str, keyring: Keyring, clock: FixedClock
) -> None:
    with pytest.raises(UnavailableError, match="3D000"):
        await SqlStorage.open(f"{storage_url}_not", keyring, clock)


# When it falls -------------------------------------------------------------------------------


async def _kept_bodies(storage: SqlStorage) -> set[bytes]:
    found: set[bytes] = set()
    async with storage.unit_of_work("a") as uow:
        for bucket in range(BUCKETS):
            found |= {item.body for item in await uow.inbox.claim(bucket, limit=9999, now=NOON)}
    return found


async def test_w3_w4_what_was_acknowledged_survives_the_servers_crash_and_the_host_goes_on_alone(
    databases: Databases, storage: SqlStorage
) -> None:
    """`-m immediate` is what a power cut leaves: recovery from the log, no goodbye to anybody."""
    if databases.cluster.data is None:
        pytest.skip("somebody else's server: not ours to stop")
    await connect(storage, "a", "page-1")
    acknowledged: list[int] = []
    refused: list[int] = []
    is_over = asyncio.Event()

    async def sender(first: int) -> None:
        for number in range(first, 1_000_000, 8):
            pair = [change(f"{number}{half}", body=f"{number}{half}".encode()) for half in "ab"]
            try:
                await storage.intake.keep(arrival(*pair))
                acknowledged.append(number)
            except UnavailableError:
                refused.append(number)
                await asyncio.sleep(0.02)
            if is_over.is_set():
                return

    senders = [asyncio.create_task(sender(first)) for first in range(8)]
    for _ in range(2):
        await asyncio.sleep(0.3)
        await asyncio.to_thread(databases.cluster.restart_immediately)
    before = len(acknowledged)
    await asyncio.sleep(0.3)
    is_over.set()
    await asyncio.gather(*senders)
    assert refused, "the fall was felt"
    assert len(acknowledged) > before, "and got over without a restart of the host"
    kept = await _kept_bodies(storage)
    assert {f"{n}{half}".encode() for n in acknowledged for half in "ab"} <= kept
    halves = [body[:-1] for body in kept]
    assert all(halves.count(number) == 2 for number in set(halves)), "never half a delivery"


async def test_a_restart_between_two_units_of_work_is_not_felt(
    databases: Databases, storage: SqlStorage, storage_url: str
) -> None:
    """A dead connection is found when a transaction begins, before anything was done on it."""

    async def add(number: int) -> None:
        async with storage.unit_of_work(f"org-{number}") as uow:
            await uow.leads.add(lead(number))
            await asyncio.sleep(0.05)

    await asyncio.gather(*(add(number) for number in range(10)))  # ten connections
    await databases.terminate(storage_url)
    for number in range(10, 30):
        await add(number)
    await storage.ping()


async def test_a_connection_whose_driver_lost_its_place_is_replaced(
    storage: SqlStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """asyncpg may trip over the server's goodbye when a statement is sent in the same moment."""
    execute = asyncpg.Connection.execute
    begun: list[asyncpg.Connection] = []

    async def trip(self: asyncpg.Connection, query: str, *values: Any, **more: Any) -> str:
        if query.startswith("BEGIN"):
            begun.append(self)
        if self is begun[0]:
            raise asyncpg.InternalClientError("got result for unknown protocol state 0")
        return str(await execute(self, query, *values, **more))

    await storage.ping()
    monkeypatch.setattr(asyncpg.Connection, "execute", trip)
    await storage.ping()
    assert len(begun) == 2
    assert begun[0].is_closed()


async def test_w4_a_connection_cut_off_in_the_middle_leaves_nothing(
    databases: Databases, storage: SqlStorage, storage_url: str
) -> None:
    async def cut_off() -> None:
        async with storage.unit_of_work("a") as uow:
            await uow.leads.add(lead(1))
            await databases.terminate(storage_url)
            await uow.leads.add(lead(2))

    with pytest.raises(UnavailableError):
        await cut_off()

    async def cut_off_at_the_end() -> None:
        async with storage.unit_of_work("a") as uow:
            await uow.leads.add(lead(1))
            await databases.terminate(storage_url)

    with pytest.raises(UnavailableError):
        await cut_off_at_the_end()
    async with storage.unit_of_work("a") as uow:
        assert (await uow.leads.page(page=1, page_size=9)).total == 0


@pytest.mark.parametrize("is_written", [True, False])
async def test_w4_a_commit_whose_answer_is_lost_is_told_as_unknown(
    storage: SqlStorage, monkeypatch: pytest.MonkeyPatch, is_written: bool
) -> None:
    """The connection dies after the server committed, or before the word reached it: here they look alike."""
    execute = asyncpg.Connection.execute

    async def lose(self: asyncpg.Connection, query: str, *values: Any, **more: Any) -> str:
        if query != "COMMIT":
            return str(await execute(self, query, *values, **more))
        if is_written:
            await execute(self, query)
        self.terminate()
        raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")

    with monkeypatch.context() as patched:
        patched.setattr(asyncpg.Connection, "execute", lose)
        with pytest.raises(CommitUnknownError):
            async with storage.unit_of_work("a") as uow:
                await uow.leads.add(lead(1))
    async with storage.unit_of_work("a") as uow:
        assert (await uow.leads.page(page=1, page_size=9)).total == is_written


async def test_w4_a_commit_that_the_server_refuses_wrote_nothing(
    storage: SqlStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    execute = asyncpg.Connection.execute

    async def refuse(self: asyncpg.Connection, query: str, *values: Any, **more: Any) -> str:
        if query == "COMMIT":
            await execute(self, "ROLLBACK")
            raise asyncpg.SerializationError("could not serialize access")
        return str(await execute(self, query, *values, **more))

    with monkeypatch.context() as patched:
        patched.setattr(asyncpg.Connection, "execute", refuse)
        with pytest.raises(UnavailableError, match="40001") as told:
            async with storage.unit_of_work("a") as uow:
                await uow.leads.add(lead(1))
    assert not isinstance(told.value, CommitUnknownError)


async def test_a7_a_crowd_of_one_orgs_writers_leaves_connections_to_others(storage: SqlStorage) -> None:
    """They wait for each other, not each of them on a connection for the org's lock."""
    await connect(storage, "a", "page-1")
    written = asyncio.Event()

    async def write() -> None:
        async with storage.unit_of_work("a") as uow:
            await uow.integrations.all()
            written.set()

    async with storage.unit_of_work("a") as slow:
        await slow.integrations.all()
        crowd = [asyncio.create_task(write()) for _ in range(3 * POOL)]
        await asyncio.sleep(0.05)
        async with asyncio.timeout(2):
            await asyncio.gather(*(connect(storage, f"other {n}", f"page-{n}") for n in range(POOL)))
        assert not written.is_set()
    await asyncio.gather(*crowd)


async def test_a7_orgs_take_turns_at_connections(storage: SqlStorage) -> None:
    """A newcomer reads when one of the crowd has read, not when all have."""
    order: list[str] = []

    async def read(org_id: str) -> None:
        async with storage.unit_of_work(org_id, reads_only=True) as uow:
            await uow.integrations.all()
        order.append(org_id)

    await asyncio.gather(*(read(org_id) for org_id in ["a"] * 10 * POOL + ["b"]))
    assert order.index("b") < 4 * POOL


async def test_w4_a_lock_of_somebody_else_means_unavailable_then_recovery(
    storage_url: str, keyring: Keyring, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(postgres_connections.SESSION, "lock_timeout", "200ms")
    storage = await SqlStorage.open(storage_url, keyring, clock)
    await connect(storage, "a", "page-1")
    other = await asyncpg.connect(storage_url)
    await other.execute("BEGIN; LOCK TABLE inbox, lead IN EXCLUSIVE MODE")
    with pytest.raises(UnavailableError):
        await storage.intake.keep(arrival(change()))
    with pytest.raises(UnavailableError, match="55P03"):
        async with storage.unit_of_work("a") as uow:
            await uow.leads.add(lead())
    async with storage.unit_of_work("a", reads_only=True) as uow:
        assert await uow.leads.get("lead-1") is None, "reading goes on"
    await other.execute("ROLLBACK")
    await other.close()
    assert await storage.intake.keep(arrival(change())) == Kept(stored=1)
    await storage.aclose()


async def test_d6_a_process_that_stands_still_in_a_transaction_loses_it_and_holds_nobody_up(
    storage_url: str, keyring: Keyring, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(postgres_connections.SESSION, "idle_in_transaction_session_timeout", "300ms")
    stopped = await SqlStorage.open(storage_url, keyring, clock)
    monkeypatch.undo()
    alive = await SqlStorage.open(storage_url, keyring, clock)

    async def stand_still() -> None:
        async with stopped.unit_of_work("a") as uow:
            await uow.leads.add(lead(1))
            async with asyncio.timeout(4), alive.unit_of_work("a") as other:  # waits for the org's lock
                await other.leads.add(lead(2))

    with pytest.raises(UnavailableError):
        await stand_still()
    async with alive.unit_of_work("a") as uow:
        found = await uow.leads.page(page=1, page_size=9)
    assert [one.id for one in found.items] == ["lead-2"]
    for storage in (stopped, alive):
        await storage.aclose()


async def test_when_all_connections_are_taken_the_next_one_waits_its_time_and_gives_up(
    storage: SqlStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(storage.database, PostgresDatabase)
    pool = storage.database._pool.sync_engine.pool
    monkeypatch.setattr(pool, "_timeout", 0.2)
    release = asyncio.Event()

    async def hold(number: int) -> None:
        async with storage.unit_of_work(f"org-{number}"):
            await release.wait()

    holders = [asyncio.create_task(hold(number)) for number in range(10)]
    await asyncio.sleep(0.3)
    with pytest.raises(UnavailableError):
        await storage.ping()
    await connect_and_keep(storage)
    release.set()
    await asyncio.gather(*holders)
    await storage.ping()


async def connect_and_keep(storage: SqlStorage) -> None:
    """The intake has a connection of its own, whatever the workers hold."""
    assert await storage.intake.keep(arrival(change("k", "nobody"))) == Kept(orphaned=1)


# Next to each other --------------------------------------------------------------------------


async def test_orgs_do_not_wait_for_each_other_and_one_org_is_written_by_one(storage: SqlStorage) -> None:
    async with storage.unit_of_work("a") as first:
        await first.leads.add(lead(1))
        async with asyncio.timeout(1), storage.unit_of_work("b") as other:
            await other.leads.add(lead(1))
        second = asyncio.create_task(_add(storage, "a", 2))
        await asyncio.sleep(0.1)
        assert not second.done()
    async with asyncio.timeout(1):
        assert await second


async def _add(storage: SqlStorage, org_id: str, number: int) -> bool:
    async with storage.unit_of_work(org_id) as uow:
        return await uow.leads.add(lead(number))


async def test_d5_each_row_is_settled_by_one_of_many_claimers(open_storage: Opener, place: Path) -> None:
    """W5: two hosts, four workers each."""
    hosts = [await open_storage(place) for _ in range(2)]
    await connect(hosts[0], "a", "page-1")
    await hosts[0].intake.keep(
        arrival(*(change(f"{n}", partition=f"p{n % 7}", body=f"{n}".encode()) for n in range(200)))
    )
    settled: list[bytes] = []

    async def work(storage: SqlStorage, bucket: int) -> None:
        while True:
            async with storage.unit_of_work("a") as uow:
                items = await uow.inbox.claim(bucket, limit=3, now=NOON)
            if not items:
                return
            for item in items:
                async with storage.unit_of_work("a") as uow:
                    if all(await uow.inbox.settle([Settlement(item=item, state=ItemState.DONE)], now=NOON)):
                        settled.append(item.body)

    await asyncio.gather(*(work(host, bucket) for host in hosts for bucket in range(BUCKETS)))
    assert sorted(settled) == sorted(f"{n}".encode() for n in range(200))


async def test_d5_a_claim_goes_past_rows_that_somebody_holds(
    storage: SqlStorage, superuser: asyncpg.Connection
) -> None:
    await connect(storage, "a", "page-1")
    for number in range(3):
        await storage.intake.keep(arrival(change(f"{number}", partition="p", body=f"{number}".encode())))
    held = superuser.transaction()
    await held.start()
    await superuser.execute("SELECT 1 FROM inbox ORDER BY seq LIMIT 1 FOR UPDATE")
    async with asyncio.timeout(1), storage.unit_of_work("a") as uow:
        items = await uow.inbox.claim(bucket_of("p"), limit=9, now=NOON)
    assert [item.body for item in items] == [b"1", b"2"]
    await held.rollback()


async def test_w5_two_intakes_that_are_sent_the_same_in_any_order_do_not_deadlock(
    open_storage: Opener, place: Path
) -> None:
    hosts = [await open_storage(place) for _ in range(2)]
    await connect(hosts[0], "a", "page-1")
    for round_number in range(20):
        changes = [change(f"{round_number}-{n}", body=b"x") for n in range(100)]
        kept = await asyncio.gather(
            hosts[0].intake.keep(arrival(*changes)), hosts[1].intake.keep(arrival(*reversed(changes)))
        )
        assert sum(one.stored for one in kept) == 100
        assert sum(one.duplicates for one in kept) == 100


async def test_rows_are_numbered_in_order_of_arrival(storage: SqlStorage) -> None:
    """Whatever the order of their keys' digests."""
    await connect(storage, "a", "page-1")
    await storage.intake.keep(arrival(*(change(f"{n}", body=f"{n:03}".encode()) for n in range(100))))
    async with storage.unit_of_work("a") as uow:
        items = await uow.inbox.claim(bucket_of("p"), limit=999, now=NOON)
    assert [item.body for item in items] == [f"{n:03}".encode() for n in range(100)]


async def test_v4_two_processes_that_make_an_orgs_first_key_at_once_agree(
    open_storage: Opener, place: Path
) -> None:
    hosts = [await open_storage(place) for _ in range(2)]
    await connect(hosts[0], "a", "page-1")
    refs = [SecretRef(owner_type="channel", owner_id=f"{n}", field="token") for n in range(2)]
    for number in range(20):
        org_id = f"org-{number}"
        await asyncio.gather(
            *(
                host.secrets(org_id, VENDOR).put(ref, Secret("x"))
                for host, ref in zip(hosts, refs, strict=True)
            )
        )
        await asyncio.gather(*(host.blind_index("x", Secret("y")) for host in hosts))
        for host in hosts:
            host.cipher.forget()
            for ref in refs:
                assert await host.secrets(org_id, VENDOR).get(ref) is not None


async def test_the_hot_paths_use_their_indexes(storage: SqlStorage, superuser: asyncpg.Connection) -> None:
    """Row-level security must not cost an index: its condition is checked on the rows that were found."""
    await connect(storage, "a", *(f"page-{n}" for n in range(50)))
    await storage.intake.keep(arrival(*(change(f"{n}", f"page-{n % 50}") for n in range(3000))))
    async with storage.unit_of_work("a") as uow:
        for number in range(200):
            await uow.leads.add(lead(number))
    await superuser.execute("ANALYZE")
    statements: list[tuple[str, Any]] = []
    assert isinstance(storage.database, PostgresDatabase)
    engine = storage.database._pool.sync_engine
    sa.event.listen(engine, "before_cursor_execute", lambda *event: statements.append((event[2], event[3])))
    async with storage.unit_of_work("a") as uow:
        await uow.inbox.claim(bucket_of("p"), limit=9, now=NOON)
        await uow.leads.page(page=1, page_size=20)
    await storage.backlog.oldest_pending_at()
    await superuser.execute("SET ROLE moorage_app; SELECT set_config('moorage.org', 'a', false)")
    for some in ("UPDATE inbox", "FROM lead", "min(inbox.seq)"):
        (statement, values), *_ = [one for one in statements if some in one[0]]
        rows = await superuser.fetch(f"EXPLAIN {statement}", *values)
        plan = "\n".join(row[0] for row in rows)
        assert "Index" in plan, plan
        assert "Seq Scan" not in plan, plan


async def test_what_was_planned_over_an_empty_table_is_planned_anew_while_it_fills(
    storage: SqlStorage, superuser: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody takes statistics meanwhile: the plan of a prepared statement would stay for a minute."""
    await superuser.execute("TRUNCATE conversation CASCADE")  # nothing is known of what other tests had there
    monkeypatch.setattr(postgres, "_PLANS_KEPT", (0.0, 0.0))
    wanted = LedgerKeys(conversations={conversation(number).id for number in range(64)})
    for _ in range(7):  # by then the server has made a plan for good
        async with storage.unit_of_work("a") as uow:
            await uow.crm_records.load(wanted)
    for start in range(0, 3000, 500):
        await keep(storage, "a", *map(conversation, range(start, start + 500)))
    async with storage.unit_of_work("a") as uow:
        await uow.crm_records.load(wanted)

    def plan(connection: sa.Connection) -> str:
        mine = (
            "SELECT name FROM pg_prepared_statements WHERE statement LIKE 'SELECT fo%%FROM conversation %%'"
        )
        name = connection.exec_driver_sql(mine).scalar_one()
        rows = connection.exec_driver_sql(f"EXPLAIN EXECUTE \"{name}\" ('a', ARRAY{list('x' * 64)})").all()
        return "\n".join(row[0] for row in rows)

    async with storage.database.write(org_id="a") as transaction:
        assert "using pk_conversation on" in await transaction.run(plan)


# Text and errors -----------------------------------------------------------------------------


@pytest.mark.parametrize("odd", ["a\0b", "\ud800", "\0"])
async def test_f57_text_that_postgresql_refuses_is_nobodys_and_no_failure(
    storage: SqlStorage, odd: str
) -> None:
    async with storage.unit_of_work("a") as uow:
        assert await uow.integrations.get(odd) is None
        assert await uow.integrations.of_vendor(odd) is None
        assert await uow.leads.by_external_id(VENDOR, odd) is None
        by_odd = LeadFilter(search=odd, status=odd, form_id=odd)
        assert (await uow.leads.page(page=1, page_size=9, where=by_odd)).total == 0
        assert await uow.publications.get(odd) is None
        assert await uow.leads.add(lead(external_id=odd, form_id=odd))
    assert await storage.channel_holders(odd, odd, [odd]) == {odd: frozenset()}
    assert await storage.accounts.session(odd) is None
    async with storage.unit_of_work(odd) as uow:
        assert await uow.integrations.all() == ()


def _server_error(sqlstate: str, detail: str = "") -> asyncpg.PostgresError:
    return asyncpg.PostgresError.new({"C": sqlstate, "M": "so", "D": detail})


_GONE = ("08006", "08003", "57P01", "57P02", "57P03", "25006", "25P03", "28P01", "3D000")
_FULL = ("53100", "53200", "53300")
_LOCKED = ("57014", "55P03", "40001", "40P01")
_BROKEN = ("58030", "XX001")


@pytest.mark.parametrize(
    "sqlstate",
    [*_GONE, *_FULL, *_LOCKED, *_BROKEN],
)
def test_w4_out_of_reach_full_locked_and_corrupted_mean_try_again(sqlstate: str) -> None:
    failure = _server_error(sqlstate)
    assert is_unavailable(failure)
    assert sqlstate in str(out_of_reach(failure))


@pytest.mark.parametrize("sqlstate", ["23505", "23502", "22021", "42P01", "42501", "42601"])
def test_misuse_is_not_called_unavailable(sqlstate: str) -> None:
    assert not is_unavailable(_server_error(sqlstate))


def test_l5_what_goes_on_of_an_error_is_its_kind() -> None:
    told = quiet(_server_error("23505", "Key (email)=(canary@customer.example) already exists."))
    assert "canary" not in str(told) + repr(told) + str(told.orig)
    assert "23505" in str(told)
