"""How records become rows and rows records, and the few statements that do it, in the driver's own words.

The hot path of every webhook and sync. What SQLAlchemy does per value (look up a type, call its processor)
costs more than the databases' work, so types are asked once per column; statements are the same text every
time, whatever the number of rows, so that drivers keep them prepared.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from hashlib import blake2b
from operator import attrgetter
from typing import Any, Final, Generic, TypeVar

import attrs
from sqlalchemy import Boolean, Dialect, Double, Integer, Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.types import TypeEngine

from moorage_adapters.sqlmodel.types import CleanText, EnumValue, UtcDateTime, clean, sqlite_moment, to_json

R = TypeVar("R", bound=attrs.AttrsInstance)

Convert = Callable[[Any], Any]  # a column's value to what the driver takes, or back

MAX_KEY: Final = 64
_SIZES: Final = (64, 16, 4, 1)  # rows of one statement on SQLite: a few statements serve every number

_IS_IN: Final = {
    "sqlite": "org_id = ? AND {} IN (SELECT value FROM json_each(?))",
    "postgresql": "org_id = $1 AND {} = ANY($2::text[])",
}
_DIALECTS: Final[Mapping[str, Dialect]] = {
    "sqlite": sqlite.dialect(),
    "postgresql": postgresql.dialect(),  # type: ignore[no-untyped-call]
}


def short(*external: str) -> str:
    """What stands for vendors' ids in an index: themselves if they are short, as they nearly always are."""
    key = "/".join(map(clean, external))
    if len(key) <= MAX_KEY:
        return key
    return blake2b(key.encode(), digest_size=24).hexdigest()


class Codec(Generic[R]):
    """One kind of record and its table.

    `made` are the columns that are no fields, each from its record; `besides` fills itself.
    """

    def __init__(
        self,
        table: Table,
        kind: type[R],
        made: Mapping[str, Callable[[R], object]] | None = None,
        *,
        besides: str = "org_id",
    ) -> None:
        self.table = table
        self._kind: Callable[..., R] = kind
        self.fields = tuple(field.name for field in attrs.fields(kind))
        self._made = dict(made or {})
        self.columns = (*self.fields, *self._made)
        if {*self.columns, besides, "org_id"} != set(table.c.keys()):
            msg = f"{table.name} and {kind.__name__} differ"
            raise TypeError(msg)
        self._values: Callable[[R], tuple[Any, ...]] = attrgetter(*self.fields)
        self._texts = [at for at, name in enumerate(self.fields) if isinstance(table.c[name].type, CleanText)]
        self._writers = {name: self._converters(name, writing=True) for name in _DIALECTS}
        self._readers = {name: self._converters(name, writing=False) for name in _DIALECTS}

    def _converters(self, dialect_name: str, *, writing: bool) -> list[tuple[int, Convert]]:
        """By position, for the columns whose values do not go as they are. Text is seen to per row."""
        columns = self.columns if writing else self.fields
        found = []
        for at, name in enumerate(columns):
            kind = self.table.c[name].type
            convert = (_writer if writing else _reader)(kind, dialect_name)
            if convert is not None:
                found.append((at, convert))
        return found

    def row(self, record: R, dialect_name: str) -> list[Any]:
        """The record's values in the order of `columns`, as the driver takes them."""
        values = list(self._values(record))
        self._clean(values)
        values.extend(make(record) for make in self._made.values())
        for at, convert in self._writers[dialect_name]:
            if values[at] is not None:
                values[at] = convert(values[at])
        return values

    def _clean(self, values: list[Any]) -> None:
        """One look at all texts together: hardly ever is there anything to clean."""
        together = "".join([values[at] for at in self._texts])
        if "\0" not in together:
            if together.isascii():
                return
            try:
                together.encode()
            except UnicodeEncodeError:
                pass  # a lone surrogate somewhere
            else:
                return
        for at in self._texts:
            values[at] = clean(values[at])

    def record(self, row: Sequence[Any], dialect_name: str) -> R:
        """The record of a row whose values are in the order of `fields`."""
        values = list(row)
        for at, convert in self._readers[dialect_name]:
            if values[at] is not None:
                values[at] = convert(values[at])
        return self._kind(**dict(zip(self.fields, values, strict=True)))

    def wanted(self, values: Iterable[str], dialect_name: str) -> object:
        """A list of texts as one parameter."""
        cleaned = [clean(value) for value in values]
        return cleaned if dialect_name == "postgresql" else to_json(cleaned)

    # Statements: the first parameter is the org --------------------------------------------------

    @cache  # noqa: B019 - codecs live as long as the program
    def select(self, dialect_name: str, by: str = "id") -> str:
        """The rows whose column `by` has one of the values of a list, which is the second parameter."""
        columns = ", ".join(_quoted(name) for name in self.fields)
        if dialect_name == "postgresql":
            # One look-up per value, whatever the planner thinks: it knows nothing of a table that is being
            # filled, and keeps the plan that it made when the table was empty.
            where = f"WHERE org_id = $1 AND {by} = wanted.value OFFSET 0"
            one = f"SELECT {columns} FROM {self.table.name} {where}"  # noqa: S608
            wanted = "unnest($2::text[]) AS wanted (value)"
            return f"SELECT found.* FROM {wanted} CROSS JOIN LATERAL ({one}) AS found"  # noqa: S608
        return f"SELECT {columns} FROM {self.table.name} WHERE {_IS_IN[dialect_name].format(by)}"  # noqa: S608

    @cache  # noqa: B019 - codecs live as long as the program
    def delete(self, dialect_name: str) -> str:
        """Delete the rows with the ids of a list, which is the second parameter."""
        return f"DELETE FROM {self.table.name} WHERE {_IS_IN[dialect_name].format('id')}"  # noqa: S608

    @cache  # noqa: B019 - codecs live as long as the program
    def upsert(self, dialect_name: str, rows: int = 1) -> str:
        """Insert or replace; on PostgreSQL the other parameters are lists, one per column."""
        names = [_quoted(name) for name in self.columns]
        if dialect_name == "postgresql":
            lists = [
                f"${at}::{_array_of(self.table.c[name].type)}"
                for at, name in enumerate(self.columns, start=2)
            ]
            given = f"SELECT $1::text, * FROM unnest({', '.join(lists)})"  # noqa: S608 - names of ours
        else:
            lines = (range(2 + row * len(names), 2 + (row + 1) * len(names)) for row in range(rows))
            given = f"VALUES {', '.join(f'(?1, {_numbered(line)})' for line in lines)}"
        changes = ", ".join(f"{name} = excluded.{name}" for name in names if name != _quoted("id"))
        return (
            f"INSERT INTO {self.table.name} (org_id, {', '.join(names)}) {given}"
            f" ON CONFLICT (org_id, id) DO UPDATE SET {changes}"
        )

    def upserts(self, records: Iterable[R], dialect_name: str) -> Iterable[tuple[str, list[Any]]]:
        """The statements that save these records, each with its parameters after the org."""
        rows = [self.row(record, dialect_name) for record in records]
        if dialect_name == "postgresql":
            if rows:
                yield self.upsert(dialect_name), [list(column) for column in zip(*rows, strict=True)]
            return
        start = 0
        for size in _SIZES:
            while len(rows) - start >= size:
                some = rows[start : start + size]
                yield self.upsert(dialect_name, size), [value for row in some for value in row]
                start += size


def _numbered(places: Iterable[int]) -> str:
    return ", ".join(f"?{place}" for place in places)


def _array_of(kind: TypeEngine[Any]) -> str:
    """What PostgreSQL calls a list of a column's values."""
    of_numbers = {Boolean: "boolean[]", Double: "float8[]", Integer: "bigint[]", UtcDateTime: "timestamptz[]"}
    return next((name for base, name in of_numbers.items() if isinstance(kind, base)), "text[]")


def _quoted(name: str) -> str:
    return f'"{name}"'


def _writer(kind: TypeEngine[Any], dialect_name: str) -> Convert | None:
    """What a value that is not `None` has to become for the driver; `None`: it goes as it is."""
    if isinstance(kind, UtcDateTime):
        return sqlite_moment if dialect_name == "sqlite" else None
    if isinstance(kind, EnumValue):
        return attrgetter("value")
    if isinstance(kind, CleanText) or not hasattr(kind, "process_bind_param"):
        return None
    dialect = _DIALECTS[dialect_name]
    bind: Callable[[Any, Dialect], Any] = kind.process_bind_param
    return lambda value: bind(value, dialect)


def _reader(kind: TypeEngine[Any], dialect_name: str) -> Convert | None:
    """The way back."""
    if isinstance(kind, UtcDateTime):
        return _from_sqlite if dialect_name == "sqlite" else _from_postgres
    if isinstance(kind, EnumValue):
        return {str(member.value): member for member in kind.kind}.__getitem__
    if isinstance(kind, Boolean):
        return bool if dialect_name == "sqlite" else None
    if isinstance(kind, CleanText) or not hasattr(kind, "process_result_value"):
        return None
    dialect = _DIALECTS[dialect_name]
    result: Callable[[Any, Dialect], Any] = kind.process_result_value
    return lambda value: result(value, dialect)


def _from_sqlite(moment: str) -> datetime:
    return datetime.fromisoformat(moment).replace(tzinfo=UTC)


def _from_postgres(moment: datetime) -> datetime:
    """The first and the last moment of all are infinities to the driver, which come back without a zone."""
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
