"""The choke point: every statement about an org's rows is built here, and every one of them names the org."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar, cast

import attrs
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    RowMapping,
    Table,
    UnaryExpression,
    delete,
    func,
    select,
    update,
)

from moorage_adapters.sqlmodel.database import Transaction
from moorage_adapters.sqlmodel.dialects import insert_into as insert_into
from moorage_adapters.sqlmodel.keys import TransactionKeys
from moorage_adapters.sqlmodel.types import clean

T = TypeVar("T")
V = TypeVar("V", bound=attrs.AttrsInstance)

Condition: TypeAlias = ColumnElement[bool]
Order: TypeAlias = UnaryExpression[Any] | ColumnElement[Any]  # a column's type is its own business
Values: TypeAlias = Mapping[str, object]


class Tenant:
    """One org's rows on one connection. Synchronous; `OrgGate.run` hands it out."""

    def __init__(self, connection: Connection, org_id: str, keys: TransactionKeys) -> None:
        self.org_id = org_id
        self._connection = connection
        self._keys = keys

    def rows(
        self,
        table: Table,
        *where: Condition,
        order_by: Iterable[Order] = (),
        limit: int | None = None,
        offset: int | None = None,
        columns: Sequence[str] = (),
    ) -> Sequence[RowMapping]:
        """The org's rows that fit; of each these columns, or all."""
        wanted = select(*(table.c[name] for name in columns)) if columns else select(table)
        statement = wanted.where(table.c.org_id == self.org_id, *where).order_by(*order_by)
        return self._connection.execute(statement.limit(limit).offset(offset)).mappings().all()

    def one(self, table: Table, *where: Condition, for_update: bool = False) -> RowMapping | None:
        """The org's row that fits, if there is one; `for_update`: held until the transaction ends."""
        statement = select(table).where(table.c.org_id == self.org_id, *where)
        if for_update:  # nothing on SQLite, where nobody else writes meanwhile
            statement = statement.with_for_update()
        return self._connection.execute(statement).mappings().one_or_none()

    def count(self, table: Table, *where: Condition) -> int:
        """How many of the org's rows fit."""
        statement = select(func.count()).select_from(table).where(table.c.org_id == self.org_id, *where)
        return int(self._connection.execute(statement).scalar_one())

    def sums(self, table: Table, columns: Sequence[ColumnElement[Any]], *where: Condition) -> Sequence[Any]:
        """What the org's rows that fit come to: `columns` are aggregates."""
        statement = select(*columns).select_from(table).where(table.c.org_id == self.org_id, *where)
        return tuple(self._connection.execute(statement).one())

    def distinct(self, table: Table, column: str, *where: Condition) -> Sequence[Any]:
        """The different values of one column among the org's rows that fit."""
        statement = select(table.c[column]).where(table.c.org_id == self.org_id, *where).distinct()
        return self._connection.execute(statement).scalars().all()

    def ids(
        self,
        table: Table,
        *where: Condition,
        order_by: Iterable[Order] = (),
        limit: int | None = None,
        offset: int | None = None,
    ) -> Sequence[str]:
        """The ids of the org's rows that fit."""
        statement = select(table.c.id).where(table.c.org_id == self.org_id, *where).order_by(*order_by)
        return self._connection.execute(statement.limit(limit).offset(offset)).scalars().all()

    @property
    def dialect_name(self) -> str:
        """What SQLAlchemy calls the database."""
        return self._connection.dialect.name

    def fetch(self, statement: str, *parameters: object) -> Sequence[Row[Any]]:
        """The rows of a statement in the driver's own words. Its first parameter is the org."""
        return self._connection.exec_driver_sql(statement, (clean(self.org_id), *parameters)).all()

    def execute(self, statement: str, *parameters: object) -> None:
        """Do a statement in the driver's own words. Its first parameter is the org."""
        self._connection.exec_driver_sql(statement, (clean(self.org_id), *parameters))

    def insert(self, table: Table, values: Values) -> bool:
        """Insert; false if a row with one of its unique keys is there already."""
        statement = insert_into(self._connection, table).values(self._own(values)).on_conflict_do_nothing()
        return self._connection.execute(statement).rowcount == 1

    def upsert(self, table: Table, values: Values, key: Sequence[str]) -> None:
        """Insert, or replace the org's row with the same `key`."""
        own = self._own(values)
        statement = insert_into(self._connection, table).values(own)
        replaced = {name: statement.excluded[name] for name in own if name not in key}
        self._connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=replaced))

    def insert_all(self, table: Table, rows: Sequence[Values], column: str) -> Sequence[Any]:
        """Insert many; answers this column of those whose unique keys were new, in no order."""
        statement = insert_into(self._connection, table).on_conflict_do_nothing().returning(table.c[column])
        own = [self._own(values) for values in rows]
        return self._connection.execute(statement, own).scalars().all() if own else ()

    def upsert_all(
        self,
        table: Table,
        rows: Sequence[Values],
        key: Sequence[str],
        replaced: Callable[[Any], Mapping[str, Any]],
        where: Callable[[Any], Condition],
    ) -> None:
        """Insert many, or change the org's rows of the same `key` as the two say of what was to be inserted.

        `rows` have the same columns and are in the order of their keys: others may write the same ones.
        """
        statement = insert_into(self._connection, table)
        new = statement.excluded
        statement = statement.on_conflict_do_update(
            index_elements=list(key), set_=dict(replaced(new)), where=where(new)
        )
        self._connection.execute(statement, [self._own(values) for values in rows])

    def counts(
        self, table: Table, by: Sequence[ColumnElement[Any]], *where: Condition
    ) -> Sequence[RowMapping]:
        """How many of the org's rows that fit have each of the values of these columns, as `count`."""
        statement = select(*by, func.count().label("count")).where(table.c.org_id == self.org_id, *where)
        return self._connection.execute(statement.group_by(*by)).mappings().all()

    def update(self, table: Table, values: Values, *where: Condition) -> int:
        """Change the org's rows that fit; answers how many they were."""
        statement = update(table).where(table.c.org_id == self.org_id, *where).values(dict(values))
        return self._connection.execute(statement).rowcount

    def update_returning(
        self, table: Table, values: Values, *where: Condition, columns: Iterable[str] = ()
    ) -> Sequence[RowMapping]:
        """Change the org's rows that fit; answers these columns (or all) as they are now, in no order."""
        statement = update(table).where(table.c.org_id == self.org_id, *where).values(dict(values))
        answered = [table.c[name] for name in columns] or list(table.c)
        return self._connection.execute(statement.returning(*answered)).mappings().all()

    def delete(self, table: Table, *where: Condition) -> int:
        """Delete the org's rows that fit; answers how many they were."""
        statement = delete(table).where(table.c.org_id == self.org_id, *where)
        return self._connection.execute(statement).rowcount

    def seal(self, plaintext: bytes, *context: str) -> bytes:
        """Seal under the org's key; `context` says what the value is: table, record, field."""
        return self._keys.sealing(self._connection, self.org_id).seal(plaintext, *context)

    def open(self, sealed: bytes, *context: str) -> bytes:
        """The plaintext.

        Raises:
            SealError: It does not open as that.
        """
        return self._keys.open(self._connection, self.org_id, sealed, *context)

    def unlock(self) -> None:
        """Have the org's keys at hand.

        Raises:
            SealError: It has none, or they do not unwrap: then nothing of this org can be opened.
        """
        self._keys.opening(self._connection, self.org_id)

    def digest(self, label: str, value: str) -> bytes:
        """A hash under the org's own key, to store a new value under."""
        return self._keys.sealing(self._connection, self.org_id).digest(label, value)

    def known_digest(self, label: str, value: str) -> bytes:
        """The same hash, to look for a value that was stored under it; also where nothing may be written.

        Raises:
            SealError: The org has no keys: then nothing was ever stored under one.
        """
        return self._keys.opening(self._connection, self.org_id).digest(label, value)

    def _own(self, values: Values) -> dict[str, object]:
        return {**values, "org_id": self.org_id}


class OrgGate:
    """How stores reach their org's rows within one transaction."""

    def __init__(self, transaction: Transaction, org_id: str, keys: TransactionKeys) -> None:
        self.org_id = org_id
        self._transaction = transaction
        self._keys = keys

    async def run(self, work: Callable[[Tenant], T]) -> T:
        """Do `work` on the org's rows, in one step.

        Raises:
            UnavailableError: The database is out of reach, locked or full.
        """
        return await self._transaction.run(
            lambda connection: work(Tenant(connection, self.org_id, self._keys))
        )

    def before_commit(self, callback: Callable[[Connection], None]) -> None:
        """Have `callback` do its work as the last of this transaction's.

        Raises:
            ValueError: This transaction only reads.
        """
        if not self._transaction.writes:
            msg = "a unit of work that only reads commits nothing"
            raise ValueError(msg)
        self._transaction.before_commit.append(callback)

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Have `callback` called on the event loop once all of it is durable."""
        if callback not in self._transaction.after_commit:
            self._transaction.after_commit.append(callback)


def among(column: ColumnElement[T], values: Iterable[T]) -> ColumnElement[bool]:
    """Whether the column has one of these values: as many as the next power of two, the last one repeated.

    Drivers keep a few statements prepared, and a list of every length would be a statement of its own.
    """
    listed = list(values)
    missing = (1 << max(len(listed) - 1, 0).bit_length()) - len(listed)
    return column.in_([*listed, *listed[-1:] * missing])


def fields_of(value: attrs.AttrsInstance, *, without: Iterable[str] = ()) -> dict[str, object]:
    """The value's fields by name, as they are."""
    left_out = set(without)
    return {
        field.name: getattr(value, field.name)
        for field in attrs.fields(type(value))
        if field.name not in left_out
    }


def value_of(kind: type[V], row: RowMapping, **instead: object) -> V:
    """The attrs value of a row whose columns bear its fields' names; `instead` overrides or adds."""
    names = [field.name for field in attrs.fields(kind)]
    values = {name: instead[name] if name in instead else row[name] for name in names}
    return cast("Callable[..., V]", kind)(**values)
