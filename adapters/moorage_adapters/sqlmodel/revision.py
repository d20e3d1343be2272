"""Which version of the schema a database is at, and which one this program knows.

Asked at every start, and by whoever asks whether the host is ready. The tool that migrates is not needed for
it, and takes a tenth of a second to import.
"""

from pathlib import Path
from typing import Final

from sqlalchemy import Connection, inspect, text

MIGRATIONS: Final = Path(__file__).with_name("migrations")


def head() -> str:
    """The newest version that this program knows; its files are numbered in order."""
    return max(path.name[:4] for path in (MIGRATIONS / "versions").glob("[0-9][0-9][0-9][0-9]_*.py"))


def current_revision(connection: Connection) -> str | None:
    """The version that this connection's database is at; `None`: it is empty."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
