"""A3: PostgreSQL shows an org its own rows only, whatever the statement; what the app's role may not do."""

import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg  # type: ignore[import-untyped]
import pytest
import sqlalchemy as sa

from moorage_adapters.cipher import Keyring
from moorage_adapters.clock import FixedClock
from moorage_adapters.sqlmodel import migrate
from moorage_adapters.sqlmodel.crm_search import org_key
from moorage_adapters.sqlmodel.database import UnsafeDatabaseError
from moorage_adapters.sqlmodel.postgres import PostgresDatabase
from moorage_adapters.sqlmodel.row_security import APP_ROLE, JOB_TABLES
from moorage_adapters.sqlmodel.storage import SqlStorage
from moorage_adapters.sqlmodel.tables import LEAD
from moorage_ports.activity_sync import SyncState
from moorage_ports.inbox import Kept, Unreadable
from moorage_ports.secret import Secret
from moorage_ports.secret_store import SecretRef
from tests.support.databases import Databases
from tests.unit.adapters.conftest import NOON
from tests.unit.adapters.crm_things import FULL, keep
from tests.unit.adapters.things import APP, VENDOR, arrival, change, connect, lead

pytestmark = pytest.mark.postgres

ALL, COUNT, DELETE = "SELECT * FROM {}", "SELECT count(*) FROM {}", "DELETE FROM {}"
INSERT = "INSERT INTO {} ({}) VALUES ({})"
NOBODYS = JOB_TABLES | {"alembic_version"}
TABLES = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
COLUMNS = """
SELECT attname, format_type(atttypid, NULL) FROM pg_attribute
WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped
"""
VALUES = {  # of a row that no store made; text is whose row it is
    "bigint": "2000000000 + ascii('{}')",
    "boolean": "true",
    "bytea": "'{}'::bytea",
    "double precision": "0",
    "integer": "1",
    "timestamp with time zone": "now()",
    "tsvector": "'{}'::tsvector",
}


@pytest.fixture
def database_kind() -> str:
    """Only PostgreSQL guards rows by itself."""
    return "postgres"


@pytest.fixture
async def seeded(storage: SqlStorage, storage_url: str) -> SqlStorage:
    """Two orgs with something in every table."""
    for org_id in ("a", "b"):
        await connect(storage, org_id, f"page-{org_id}")
        await storage.intake.keep(arrival(change("1", f"page-{org_id}")))
        await storage.secrets(org_id, VENDOR).put(
            SecretRef(owner_type="channel", owner_id="1", field="token"), Secret("x")
        )
        async with storage.unit_of_work(org_id) as uow:
            await uow.leads.add(lead(1))
            await uow.sync_states.save(SyncState(vendor=VENDOR, channel_external_id="page-1"))
        await keep(storage, org_id, *FULL)
    await storage.intake.keep_aside(
        Unreadable(vendor=VENDOR, app_id=APP, received_at=NOON, body=b"?", reason="unreadable")
    )
    superuser = await asyncpg.connect(storage_url)
    await superuser.execute("SET session_replication_role = replica")  # no triggers, no foreign keys
    for table in await _tables(storage_url):
        if await superuser.fetchval(COUNT.format(table)) == 0:
            for org_id in ("a", "b"):
                await _fill(superuser, table, org_id)
    await superuser.close()
    return storage


async def _tables(url: str) -> list[str]:
    """What has to be guarded: whatever the database has, not what the program remembers to have made."""
    superuser = await asyncpg.connect(url)
    found = {row["relname"] for row in await superuser.fetch(TABLES)}
    await superuser.close()
    assert found > NOBODYS
    return sorted(found - NOBODYS)


async def _fill(superuser: asyncpg.Connection, table: str, org_id: str) -> None:
    """Put a row of the org into a table, whatever its columns mean."""
    columns = await superuser.fetch(COLUMNS, table)
    values = (VALUES.get(kind, "'{}'").format(org_id) for _, kind in columns)
    names = ", ".join(f'"{name}"' for name, _ in columns)
    await superuser.execute(INSERT.format(table, names, ", ".join(values)))


@asynccontextmanager
async def _as_app(url: str, **settings: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection of the app's role that says nothing of itself but `settings`."""
    connection = await asyncpg.connect(url)
    await connection.execute(f"SET ROLE {APP_ROLE}")
    for name, value in settings.items():
        await connection.execute("SELECT set_config($1, $2, false)", f"moorage.{name}", value)
    try:
        yield connection
    finally:
        await connection.close()


async def test_t_rls_who_does_not_say_whose_it_is_sees_nothing(seeded: SqlStorage, storage_url: str) -> None:
    superuser = await asyncpg.connect(storage_url)
    async with _as_app(storage_url) as app:
        for table in await _tables(storage_url):
            assert await superuser.fetchval(COUNT.format(table)) > 0, table
            assert await app.fetch(ALL.format(table)) == [], table
            assert await app.execute(DELETE.format(table)) == "DELETE 0", table
    await superuser.close()


@pytest.mark.parametrize("org_id", ["", "A", "a ", "a' OR 'a'='a", "system"])
async def test_another_org_sees_nothing_either(seeded: SqlStorage, storage_url: str, org_id: str) -> None:
    async with _as_app(storage_url, org=org_id) as app:
        for table in await _tables(storage_url):
            assert await app.fetch(ALL.format(table)) == [], table
            assert await app.execute(DELETE.format(table)) == "DELETE 0", table
    async with seeded.unit_of_work(org_id) as uow:
        assert await uow.integrations.all() == ()


async def test_a_search_finds_words_of_its_own_org_only_whatever_is_searched_for(
    seeded: SqlStorage, storage_url: str
) -> None:
    """The search is part of the policy: it must not become a way round it."""
    finds, own = "SELECT count(*) FROM search_numbers($1)", "SELECT count(*) FROM search_entry"
    async with _as_app(storage_url, org="a") as app:
        entries = await app.fetchval(own)
        assert entries > 2
        assert await app.fetchval(finds, f"'{org_key('b')}':*") == 0
        for query in (f"'{org_key('a')}':*", f"'{org_key('a')}':* | '{org_key('b')}':*", "!'x'", ""):
            assert await app.fetchval(finds, query) == entries, query
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
            await app.execute("UPDATE search_words SET org_id = 'b'")
    async with _as_app(storage_url, search="!x") as app:
        assert await app.fetch("SELECT * FROM search_words") == []


async def test_words_go_with_their_entry_whoever_deletes_it(seeded: SqlStorage, storage_url: str) -> None:
    """The host's own door sees entries and no words; nothing may be left behind for that."""
    async with _as_app(storage_url, door="system") as app:
        assert await app.fetch("SELECT * FROM search_words") == []
        assert await app.execute("DELETE FROM search_entry WHERE org_id = 'a'") != "DELETE 0"
    superuser = await asyncpg.connect(storage_url)
    left = await superuser.fetch("SELECT DISTINCT org_id FROM search_words")
    await superuser.close()
    assert [row["org_id"] for row in left] == ["b"]


async def test_an_org_sees_and_changes_its_own_rows_only(seeded: SqlStorage, storage_url: str) -> None:
    async with _as_app(storage_url, org="a") as app:
        for table in await _tables(storage_url):
            is_an_orgs = "org_id" in {name for name, _ in await app.fetch(COLUMNS, table)}
            seen = {row["org_id"] if is_an_orgs else "" for row in await app.fetch(ALL.format(table))}
            assert seen == ({"a"} if is_an_orgs else set()), table
        assert await app.execute("UPDATE lead SET company = 'x'") == "UPDATE 1"
        assert await app.execute("DELETE FROM secret") == "DELETE 1"
        insert = "INSERT INTO org_key SELECT 'b', 9, 'k', '', 0, now()"
        for statement in ("UPDATE lead SET org_id = 'b'", insert):
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="row-level security"):
                await app.execute(statement)
    async with seeded.unit_of_work("b") as uow:
        found = await uow.leads.get("lead-1")
    assert found is not None
    assert found.company == ""


async def test_a_statement_that_forgot_its_org_finds_only_the_transactions_own(seeded: SqlStorage) -> None:
    """What the choke point would have to miss for a leak, the database does not show."""

    def owners(connection: sa.Connection) -> list[str]:
        return list(connection.execute(sa.select(LEAD.c.org_id)).scalars())

    database = seeded.database
    async with database.read(org_id="a") as transaction:
        assert await transaction.run(owners) == ["a"]
    async with database.write(org_id="b") as transaction:
        gone = sa.delete(LEAD)
        assert await transaction.run(lambda connection: connection.execute(gone).rowcount) == 1
    async with database.read() as transaction:
        assert await transaction.run(owners) == ["a"]


async def test_a_connection_forgets_whose_it_was(seeded: SqlStorage) -> None:
    """Connections go from org to org; what was said holds for one transaction."""
    for _ in range(30):
        async with seeded.database.write(org_id="a") as transaction:
            await transaction.run(lambda connection: connection.execute(sa.select(LEAD)).all())
    assert isinstance(seeded.database, PostgresDatabase)
    async with seeded.database._pool.connect() as connection:
        assert (await connection.execute(sa.select(LEAD))).all() == []


async def test_a_policy_that_changed_is_made_anew(seeded: SqlStorage, storage_url: str) -> None:
    superuser = await asyncpg.connect(storage_url)
    await superuser.execute(
        "DROP POLICY moorage_org ON lead; CREATE POLICY moorage_org ON lead USING (true);"
        " ALTER TABLE secret DISABLE ROW LEVEL SECURITY"
    )
    await migrate.upgrade(storage_url)
    async with _as_app(storage_url) as app:
        assert await app.fetch("SELECT * FROM lead UNION ALL SELECT * FROM lead") == []
        assert await app.fetch("SELECT * FROM secret") == []
    await superuser.close()


async def test_every_table_is_guarded_and_binds_its_owner_too(seeded: SqlStorage, storage_url: str) -> None:
    superuser = await asyncpg.connect(storage_url)
    guarded = await superuser.fetch(
        "SELECT relname FROM pg_class JOIN pg_policy ON polrelid = pg_class.oid"
        " WHERE relrowsecurity AND relforcerowsecurity"
    )
    await superuser.close()
    assert sorted(row["relname"] for row in guarded) == await _tables(storage_url)


async def test_a_table_that_is_not_known_here_is_not_granted(databases: Databases, storage_url: str) -> None:
    superuser = await asyncpg.connect(storage_url)
    await superuser.execute("CREATE TABLE somebody_elses (x int)")
    await migrate.upgrade(storage_url)
    async with _as_app(storage_url) as app:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await app.fetch("SELECT * FROM somebody_elses")
    await superuser.execute("DROP TABLE somebody_elses")
    await superuser.close()


@pytest.mark.parametrize(
    "statement",
    [
        "TRUNCATE lead",
        "DROP TABLE lead",
        "ALTER TABLE lead DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE lead NO FORCE ROW LEVEL SECURITY",
        "DROP POLICY moorage_org ON lead",
        "CREATE TABLE mine (x int)",
        "CREATE SCHEMA mine",
        "UPDATE alembic_version SET version_num = 'x'",
        "SET SESSION AUTHORIZATION moorage_owner",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "SELECT pg_read_file('/etc/passwd')",
    ],
)
async def test_the_apps_role_reads_and_writes_rows_and_nothing_else(
    databases: Databases, storage_url: str, statement: str
) -> None:
    async with _login(databases, storage_url) as (login, url):
        await migrate.upgrade(storage_url, app_url=url)
        await databases.execute(f"GRANT {APP_ROLE} TO {login}")
        for role in (APP_ROLE, "NONE"):
            app = await asyncpg.connect(url)
            await app.execute(f"SET ROLE {role}")
            with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.InvalidSchemaNameError)):
                await app.execute(statement)
            await app.close()


# Who works as whom ---------------------------------------------------------------------------


@asynccontextmanager
async def _login(databases: Databases, url: str, rights: str = "") -> AsyncIterator[tuple[str, str]]:
    """A fresh login that is no superuser, and the URL for it."""
    name = f"login_{secrets.token_hex(4)}"
    await databases.execute(f"CREATE ROLE {name} LOGIN {rights}")
    try:
        yield name, re.sub(r"//[^@]*@", f"//{name}@", url)
    finally:
        for database in (url, f"{databases.cluster.url}/postgres"):
            connection = await asyncpg.connect(database)
            await connection.execute(f"REASSIGN OWNED BY {name} TO CURRENT_USER; DROP OWNED BY {name}")
            await connection.close()
        await databases.execute(f"DROP ROLE {name}")


async def _works(storage: SqlStorage) -> None:
    await storage.ping()
    await connect(storage, "a", "page-1")
    assert await storage.intake.keep(arrival(change())) == Kept(stored=1)
    async with storage.unit_of_work("b", reads_only=True) as uow:
        assert await uow.integrations.all() == ()


async def test_a_superusers_url_works_as_the_apps_role(storage: SqlStorage) -> None:
    assert isinstance(storage.database, PostgresDatabase)
    assert storage.database.role == APP_ROLE
    who = sa.text("SELECT current_user")
    for hot in (False, True):
        found = await storage.database.write_at_once(lambda c: c.execute(who).scalar(), hot=hot)
        assert found == APP_ROLE


async def test_a_superuser_that_has_no_other_role_to_take_on_is_refused(
    databases: Databases, storage_url: str, keyring: Keyring, clock: FixedClock
) -> None:
    superuser = await asyncpg.connect(storage_url)
    await superuser.execute(f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {APP_ROLE}")
    with pytest.raises(UnsafeDatabaseError, match="row-level security"):
        await SqlStorage.open(storage_url, keyring, clock)
    await superuser.close()
    await migrate.upgrade(storage_url)
    await (await SqlStorage.open(storage_url, keyring, clock)).aclose()


async def test_two_logins_one_migrates_and_the_other_works(
    databases: Databases, storage_url: str, keyring: Keyring, clock: FixedClock
) -> None:
    async with _login(databases, storage_url) as (login, url):
        connection = await asyncpg.connect(url)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("SELECT 1 FROM lead")
        await connection.close()
        await migrate.upgrade(storage_url, app_url=url)
        storage = await SqlStorage.open(url, keyring, clock)
        assert isinstance(storage.database, PostgresDatabase)
        assert storage.database.role is None, f"{login} works as itself"
        await _works(storage)
        connection = await asyncpg.connect(url)
        assert await connection.fetch("SELECT * FROM channel") == []
        await connection.close()
        await storage.aclose()


async def test_one_login_that_owns_the_tables_is_bound_as_well(
    databases: Databases, keyring: Keyring, clock: FixedClock
) -> None:
    """Managed servers give one login, without the right to make roles."""
    empty = await databases.empty()
    async with _login(databases, empty) as (login, url):
        await databases.execute(f"ALTER DATABASE {empty.rpartition('/')[2]} OWNER TO {login}")
        owner = await asyncpg.connect(empty)
        await owner.execute(f"ALTER SCHEMA public OWNER TO {login}")
        await owner.close()
        await migrate.upgrade(url)
        assert await migrate.check(url) == []
        storage = await SqlStorage.open(url, keyring, clock)
        await _works(storage)
        connection = await asyncpg.connect(url)
        assert await connection.fetch("SELECT * FROM channel") == []
        await connection.close()
        await storage.aclose()


async def test_a_login_that_may_make_roles_makes_the_apps_and_works_as_it(
    databases: Databases, keyring: Keyring, clock: FixedClock
) -> None:
    empty = await databases.empty()
    async with _login(databases, empty, "SUPERUSER") as (_, url):
        await migrate.upgrade(url)
        storage = await SqlStorage.open(url, keyring, clock)
        assert isinstance(storage.database, PostgresDatabase)
        assert storage.database.role == APP_ROLE
        await _works(storage)
        await storage.aclose()
