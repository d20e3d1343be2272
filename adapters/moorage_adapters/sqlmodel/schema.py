"""What every table is declared with."""

from typing import Final, cast

from sqlalchemy import BigInteger, Index, Integer, MetaData, Table, TextClause
from sqlalchemy.orm import registry
from sqlmodel import SQLModel

# SQLite numbers rows by itself only for INTEGER
BIG_KEY: Final = BigInteger().with_variant(Integer, "sqlite")

_NAMES: Final = {  # every constraint has a name, so that a later migration can drop it on every database
    "pk": "pk_%(table_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(referred_table_name)s",
}


class Base(SQLModel, registry=registry(metadata=MetaData(naming_convention=_NAMES))):
    """The tables' own registry: whatever else uses SQLModel in this process is not ours to migrate."""


def core(row: type[Base]) -> Table:
    """The Core table of a declared row."""
    return cast("Table", row.__table__)  # type: ignore[attr-defined]


def partial(name: str, where: TextClause, *columns: str) -> Index:
    """An index on some rows only."""
    return Index(name, *columns, sqlite_where=where, postgresql_where=where)
