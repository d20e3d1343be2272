"""Fresh databases for tests, on the cluster of the run.

Making one is a copy of a migrated one; dropping one costs PostgreSQL a checkpoint, half a second. So those
that were given back are emptied and used again.
"""

import atexit
import itertools
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import asyncpg  # type: ignore[import-untyped]

from moorage_adapters.sqlmodel import migrate
from tests.support.postgres import Cluster

_numbers = itertools.count(1)
_sqlite_template: list[Path] = []

# Deleting a handful of rows is much faster than truncating thirty tables.
_EMPTY: Final = """
SET lock_timeout = '2s';
SET session_replication_role = replica;
DO $$
DECLARE name text;
BEGIN
    FOR name IN SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
        WHERE schemaname IN ('public', 'jobs') AND tablename <> 'alembic_version'
    LOOP
        EXECUTE 'DELETE FROM ' || name;
    END LOOP;
END $$;
"""


async def migrated_file(path: Path) -> str:
    """The URL of a SQLite file: as it stands, or a fresh one of the newest schema, made once per process."""
    if not path.exists():
        if not _sqlite_template:
            folder = Path(tempfile.mkdtemp(prefix="moorage-template-"))
            atexit.register(shutil.rmtree, folder, ignore_errors=True)
            await migrate.upgrade(f"sqlite:///{folder / 'made.db'}")
            _sqlite_template.append(folder / "made.db")
        shutil.copyfile(_sqlite_template[0], path)
        path.chmod(0o600)
    return f"sqlite:///{path}"


class Databases:
    """Databases on one cluster. Those of several test processes on one server have different names."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self._template = ""
        self._free: list[str] = []
        self._made: list[str] = []

    async def fresh(self) -> str:
        """The URL of a migrated database without a row."""
        if self._free:
            return self._free.pop()
        if not self._template:
            url = await self.empty()
            await migrate.upgrade(url)
            self._template = _name(url)
        return await self._create(self._template)

    async def empty(self) -> str:
        """The URL of a database without a table."""
        return await self._create("template0")

    async def give_back(self, url: str) -> None:
        """Empty a migrated database for the next test; one that cannot be emptied is not used again."""
        try:
            connection = await asyncpg.connect(url, timeout=5)
            try:
                await connection.execute(_EMPTY)
            finally:
                await connection.close()
        except asyncpg.PostgresError:
            return
        self._free.append(url)

    async def execute(self, *statements: str) -> None:
        """Run statements as the server's superuser."""
        connection = await asyncpg.connect(f"{self.cluster.url}/postgres")
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    async def terminate(self, url: str) -> None:
        """Cut every connection to this database."""
        theirs = f"datname = '{_name(url)}'"
        await self.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {theirs}")  # noqa: S608

    async def _create(self, template: str) -> str:
        name = f"moorage_test_{os.getpid()}_{next(_numbers)}"
        await self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        self._made.append(name)
        return f"{self.cluster.url}/{name}"

    async def aclose(self) -> None:
        """Drop them all, unless the whole server goes."""
        if self.cluster.data is None:
            await self.execute(*(f"DROP DATABASE {name} WITH (FORCE)" for name in reversed(self._made)))


def _name(url: str) -> str:
    return url.rpartition("/")[2]


@asynccontextmanager
async def fresh_database(databases: Databases) -> AsyncIterator[str]:
    """A database for the length of a block."""
    url = await databases.fresh()
    try:
        yield url
    finally:
        await databases.give_back(url)
