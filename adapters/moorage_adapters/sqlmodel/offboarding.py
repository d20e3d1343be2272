"""An org that leaves: everything that is its own is deleted, whatever table holds it."""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Delete,
    Table,
    delete,
    func,
    literal_column,
    select,
    text,
)

from moorage_adapters.sqlmodel.database import Database
from moorage_adapters.sqlmodel.keys import shred
from moorage_adapters.sqlmodel.metadata import metadata
from moorage_adapters.sqlmodel.privacy_tables import DELETION_REQUEST
from moorage_adapters.sqlmodel.row_security import JOBS_SCHEMA
from moorage_adapters.sqlmodel.tables import CHANNEL, ORG_KEY
from moorage_adapters.sqlmodel.types import clean

AT_ONCE: Final = 100  # rows of one transaction: deliveries must not wait behind a big clean-up
_JOBS: Final = "jobs"
_QUEUED: Final = f"FROM {JOBS_SCHEMA}.pgqueuer WHERE headers->>'org' = :org AND status = 'queued'"


def tables_of_orgs() -> tuple[Table, ...]:
    """Every table with rows of orgs, in the order in which those can be deleted; their keys come last.

    The channels first: from then on no delivery is the org's any more.
    """
    ordered = [table for table in reversed(metadata.sorted_tables) if "org_id" in table.c]
    return (CHANNEL, *(table for table in ordered if table not in (CHANNEL, ORG_KEY)))


class SqlOffboarding:
    """`moorage_ports.erasure.Offboarding`; each call is a transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def count(self, org_id: str) -> Mapping[str, int]:
        """How many rows of each table are its own."""

        def work(connection: Connection) -> dict[str, int]:
            found = {
                table.name: _count(connection, table, table.c.org_id == clean(org_id))
                for table in (*tables_of_orgs(), ORG_KEY)
            }
            is_theirs = DELETION_REQUEST.c.app_org_id == clean(org_id)
            found[DELETION_REQUEST.name] = _count(connection, DELETION_REQUEST, is_theirs)
            if connection.dialect.name == "postgresql":
                queued = text(f"SELECT count(*) {_QUEUED}")
                found[_JOBS] = int(connection.execute(queued, {"org": clean(org_id)}).scalar_one())
            return {name: number for name, number in found.items() if number}

        return await self._database.read_at_once(work)

    async def remove_some(self, org_id: str) -> Mapping[str, int]:
        """Delete up to a transaction's worth; answers how many of which table, nothing once all is gone."""
        return await self._database.write_at_once(lambda connection: _remove(connection, clean(org_id)))


def _count(connection: Connection, table: Table, *where: ColumnElement[bool]) -> int:
    statement = select(func.count()).select_from(table).where(*where)
    return int(connection.execute(statement).scalar_one())


def _remove(connection: Connection, org_id: str) -> dict[str, int]:
    """Rows of the first table that has any; its keys once there is nothing else."""
    for table in tables_of_orgs():
        gone = connection.execute(_some_of(connection, table, table.c.org_id == org_id)).rowcount
        if gone:
            return {table.name: gone}
    is_theirs = DELETION_REQUEST.c.app_org_id == org_id
    gone = connection.execute(_some_of(connection, DELETION_REQUEST, is_theirs)).rowcount
    if gone:
        return {DELETION_REQUEST.name: gone}
    if connection.dialect.name == "postgresql":
        gone = connection.execute(text(f"DELETE {_QUEUED}"), {"org": org_id}).rowcount
        if gone:
            return {_JOBS: gone}
    keys = shred(connection, org_id)
    return {ORG_KEY.name: keys} if keys else {}


def _some_of(connection: Connection, table: Table, *where: ColumnElement[bool]) -> Delete:
    """Up to `AT_ONCE` of the rows, found by where they lie: tables have keys of all kinds."""
    place: ColumnElement[Any] = literal_column("ctid" if connection.dialect.name == "postgresql" else "rowid")
    some = select(place).select_from(table).where(*where).limit(AT_ONCE)
    return delete(table).where(place.in_(some))
