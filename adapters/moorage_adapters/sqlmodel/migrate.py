"""The schema's versions: bringing a database up to date, and asking where it stands.

`python -m moorage_adapters.sqlmodel.migrate "what changes"` drafts the next version from `metadata`.
"""

import asyncio
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from moorage_adapters.sqlmodel.metadata import metadata
from moorage_adapters.sqlmodel.postgres_connections import is_postgres, login_of, migrating_engine
from moorage_adapters.sqlmodel.postgres_errors import calling_postgres
from moorage_adapters.sqlmodel.revision import MIGRATIONS, current_revision, head
from moorage_adapters.sqlmodel.row_security import for_system, secure
from moorage_adapters.sqlmodel.sqlite import sqlite_path
from moorage_adapters.sqlmodel.sqlite_errors import mapping_errors
from moorage_adapters.sqlmodel.sqlite_lane import sqlite_engine

T = TypeVar("T")

_ONE_AT_A_TIME: Final = "pg_advisory_xact_lock(hashtextextended('moorage.migrate', 0))"


async def upgrade(url: str, *, app_url: str = "") -> str:
    """Bring the database that `url` names to the newest version, in one transaction; answers that version.

    On PostgreSQL `url` logs in as the tables' owner, and `app_url`, if it is given, as whom the host works.

    Raises:
        UnavailableError: It cannot be opened or written.
    """
    app_login = login_of(app_url) if app_url and is_postgres(url) else ""
    await _on(url, lambda connection: upgrade_on(connection, app_login))
    return head()


async def current(url: str) -> str | None:
    """The version that the database is at; `None`: it is empty.

    Raises:
        UnavailableError: It cannot be opened.
    """
    return await _on(url, current_revision)


async def check(url: str) -> list[str]:
    """In what the database differs from what this program expects; empty when all is well.

    Raises:
        UnavailableError: It cannot be opened.
    """
    return await _on(url, differences)


def upgrade_on(connection: Connection, app_login: str = "") -> None:
    """Bring one connection's database up to date, within the connection's own transaction."""
    command.upgrade(_config(connection), "head")
    if connection.dialect.name == "postgresql":
        secure(connection, app_login)


def differences(connection: Connection) -> list[str]:
    """In what this connection's tables differ from `metadata`."""
    options = {"compare_type": True, "render_as_batch": True, "include_name": is_declared}
    context = MigrationContext.configure(connection, opts=options)
    return [repr(difference) for difference in compare_metadata(context, metadata)]


def is_declared(name: str | None, kind: str, _: object) -> bool:
    """Whether `metadata` should know it: how a database searches for words is its own business."""
    return not (kind == "table" and name is not None and name.startswith("search_words"))


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


async def _on(url: str, work: Callable[[Connection], T]) -> T:
    if is_postgres(url):
        return await _on_postgres(url, work)
    return await asyncio.to_thread(_on_sqlite, url, work)


async def _on_postgres(url: str, work: Callable[[Connection], T]) -> T:
    engine = migrating_engine(url)
    try:
        with calling_postgres():
            async with engine.begin() as connection:
                await connection.exec_driver_sql(f"SELECT {for_system()}, {_ONE_AT_A_TIME}")
                return await connection.run_sync(work)
    finally:
        await engine.dispose()


def _on_sqlite(url: str, work: Callable[[Connection], T]) -> T:
    engine = sqlite_engine(sqlite_path(url), "BEGIN IMMEDIATE")
    try:
        with mapping_errors(), engine.begin() as connection:
            return work(connection)
    finally:
        engine.dispose()


def draft(message: str) -> None:
    """Write the next version's file from how `metadata` differs from the newest version."""
    with tempfile.TemporaryDirectory() as folder:
        engine = sqlite_engine(Path(folder) / "draft.db", "BEGIN IMMEDIATE")
        with engine.begin() as connection:
            upgrade_on(connection)
            number = f"{len(list((MIGRATIONS / 'versions').glob('[0-9]*.py'))) + 1:04}"
            command.revision(_config(connection), message=message, autogenerate=True, rev_id=number)
        engine.dispose()


if __name__ == "__main__":
    draft(" ".join(sys.argv[1:]))
