"""How a connection to PostgreSQL is made, and what it has to prove before it is used."""

from typing import Any, Final

import asyncpg  # type: ignore[import-untyped]
from sqlalchemy import Dialect, Engine
from sqlalchemy.dialects.postgresql.asyncpg import AsyncpgString
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool
from sqlalchemy.types import String

from moorage_adapters.sqlmodel.database import PATIENCE_SECONDS, UnsafeDatabaseError
from moorage_adapters.sqlmodel.row_security import APP_ROLE
from moorage_adapters.sqlmodel.types import clean

COMMAND_SECONDS: Final = 20.0  # a server that answers nothing at all for so long is gone
OLDEST: Final = 140_000  # PostgreSQL 14

SESSION: Final = {
    "application_name": "moorage",
    "timezone": "UTC",
    "client_encoding": "UTF8",
    "standard_conforming_strings": "on",
    "statement_timeout": "10s",
    "lock_timeout": f"{PATIENCE_SECONDS:.0f}s",
    "idle_in_transaction_session_timeout": "15s",  # a stopped process must not hold locks for ever
    "jit": "off",  # costs more than any statement here
}

# Without these an acknowledged commit can be lost: https://www.postgresql.org/docs/current/wal-reliability.html
DURABLE: Final = {
    "fsync": {"on"},
    "synchronous_commit": {"on", "remote_apply"},
    "full_page_writes": {"on"},
    "server_encoding": {"UTF8"},
}

_ROLE = f"""
SELECT
    (SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = current_user) AS is_unbound,
    (SELECT count(*) > 0 FROM pg_roles WHERE rolname = '{APP_ROLE}') AS has_role,
    to_regclass('inbox') IS NOT NULL AS has_tables,
    current_setting('server_version_num')::int AS version
"""  # noqa: S608 - a constant
_MAY_BECOME = f"""
SELECT pg_has_role(current_user, '{APP_ROLE}', $1)
    AND (to_regclass('inbox') IS NULL OR has_table_privilege('{APP_ROLE}', 'inbox', 'INSERT'))
"""


def postgres_dsn(url: str) -> str:
    """The URL as the driver takes it: `postgresql://USER:PASSWORD@HOST/DATABASE`, libpq's options welcome.

    Raises:
        UnsafeDatabaseError: It is no URL of PostgreSQL's.
    """
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.partition("+")[0] not in {"postgresql", "postgres"}:
        msg = "the database URL must be postgresql://USER:PASSWORD@HOST/DATABASE"
        raise UnsafeDatabaseError(msg)
    return f"postgresql://{rest}"


def is_postgres(url: str) -> bool:
    """Whether the URL names a PostgreSQL database."""
    return url.partition("://")[0].partition("+")[0] in {"postgresql", "postgres"}


def login_of(url: str) -> str:
    """Who the URL logs in as; "" if it does not say."""
    return make_url(postgres_dsn(url)).username or ""


class Connecting:
    """Makes connections to one database, each checked before it is used."""

    def __init__(self, url: str) -> None:
        self._dsn = postgres_dsn(url)
        self._settings = dict(SESSION)
        self.role: str | None = None

    async def connect(self) -> asyncpg.Connection:
        """A connection that is durable and bound by row-level security.

        Raises:
            UnsafeDatabaseError: It is not durable.
            OSError, TimeoutError, asyncpg.PostgresError: It cannot be made.
        """
        connection = await self._open()
        try:
            if self.role is not None:
                await connection.execute(f"SET ROLE {self.role}")
            await refuse_unless_durable(connection)
        except BaseException:
            connection.terminate()
            raise
        return connection

    async def choose_role(self) -> None:
        """Find out as whom to work: the app's role if this login may take it on, else as the login.

        Raises:
            UnsafeDatabaseError: The settings are not durable, the server is too old, or row-level security
                would not bind this login.
            OSError, TimeoutError, asyncpg.PostgresError: There is no connection.
        """
        connection = await self._open()
        try:
            await refuse_unless_durable(connection)
            found = await connection.fetchrow(_ROLE)
            assert found is not None  # noqa: S101 - a SELECT without FROM has one row
            if found["version"] < OLDEST:
                msg = "PostgreSQL 14 or newer is needed"
                raise UnsafeDatabaseError(msg)
            kind = "SET" if found["version"] >= 160_000 else "MEMBER"
            if found["has_role"] and await connection.fetchval(_MAY_BECOME, kind):
                self.role = APP_ROLE
            elif found["is_unbound"] and found["has_tables"]:
                msg = (
                    f"row-level security does not bind this login, and there is no role {APP_ROLE} that it"
                    " may take on: run `moorage migrate` as this login, or use one that is no superuser"
                )
                raise UnsafeDatabaseError(msg)
        finally:
            await connection.close(timeout=PATIENCE_SECONDS)

    async def _open(self) -> asyncpg.Connection:
        return await asyncpg.connect(
            self._dsn,
            timeout=PATIENCE_SECONDS,
            command_timeout=COMMAND_SECONDS,
            server_settings=self._settings,
        )


def migrating_engine(url: str) -> AsyncEngine:
    """An engine for one transaction of the tables' owner: a statement may take long, waiting for a lock not.

    What waits for a table's lock holds up everybody who comes after it.
    """
    dsn = postgres_dsn(url)
    settings = SESSION | {"statement_timeout": "0", "idle_in_transaction_session_timeout": "0"}

    async def connect() -> asyncpg.Connection:
        return await asyncpg.connect(dsn, timeout=PATIENCE_SECONDS, server_settings=settings)

    return create_async_engine(
        "postgresql+asyncpg://", async_creator=connect, poolclass=NullPool, hide_parameters=True
    )


async def refuse_unless_durable(connection: asyncpg.Connection) -> None:
    """Raises UnsafeDatabaseError unless the connection's settings are those that an answer 200 stands for."""
    wanted = ", ".join(f"current_setting('{name}') AS {name}" for name in DURABLE)
    found = await connection.fetchrow(f"SELECT {wanted}")
    for name, allowed in DURABLE.items():
        if found is None or found[name] not in allowed:
            has = None if found is None else found[name]
            msg = f"PostgreSQL's {name} is {has!r} and must be {' or '.join(sorted(allowed))}"
            raise UnsafeDatabaseError(msg)


# Text ----------------------------------------------------------------------------------------


class _CleanString(AsyncpgString):
    """Text as PostgreSQL takes it: it refuses NUL and surrogates, and whoever sends them gets a 500."""

    def bind_processor(self, dialect: Dialect) -> Any:
        """See `types.clean`."""

        def process(value: Any) -> Any:
            return clean(value) if isinstance(value, str) else value

        return process


def take_clean_text(engine: Engine) -> None:
    """Clean every text parameter of this engine's statements."""
    engine.dialect.colspecs = {**engine.dialect.colspecs, String: _CleanString}
