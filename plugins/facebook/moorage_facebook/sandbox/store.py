"""Tables of entities in memory, written through to one small SQLite file.

Only rows that changed are written, so a large history costs nothing per request. `synchronous=OFF`: the
file survives the death of the process (kill -9), which is what a sandbox must promise, not the death of
the machine.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import msgspec

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entity (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    body BLOB NOT NULL,
    UNIQUE (kind, id)
)
"""
_PUT = """
INSERT INTO entity (kind, id, body) VALUES (?, ?, ?) ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body
"""


class Entity(Protocol):
    """Anything with an id of its own."""

    @property
    def id(self) -> str: ...


Row = TypeVar("Row", bound=Entity)


class Table(Generic[Row]):
    """Rows of one kind by id, in the order in which they came, and by the groups that `groups` names."""

    def __init__(
        self, kind: str, row_type: type[Row], groups: Callable[[Row], tuple[str, ...]] = lambda _: ()
    ) -> None:
        self.kind = kind
        self._type = row_type
        self._groups_of = groups
        self._rows: dict[str, Row] = {}
        self._groups: dict[str, dict[str, None]] = {}
        self._dirty: dict[str, None] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Row]:
        return iter(list(self._rows.values()))

    def __contains__(self, row_id: object) -> bool:
        return row_id in self._rows

    def get(self, row_id: str) -> Row | None:
        return self._rows.get(row_id)

    def of(self, group: str) -> list[Row]:
        """The rows of one group, oldest first."""
        return [self._rows[row_id] for row_id in self._groups.get(group, ())]

    def count(self, group: str) -> int:
        """How many rows a group has."""
        return len(self._groups.get(group, ()))

    def put(self, row: Row) -> Row:
        """Add or replace; answers the row, so that it can be made and put in one line."""
        self._hold(row)
        self._dirty[row.id] = None
        return row

    def drop(self, row_id: str) -> None:
        row = self._rows.pop(row_id, None)
        if row is None:
            return
        for group in self._groups_of(row):
            self._groups[group].pop(row_id, None)
        self._dirty[row_id] = None

    def clear(self) -> None:
        for row_id in list(self._rows):
            self.drop(row_id)

    def changes(self) -> list[tuple[str, bytes | None]]:
        """What must be written; a missing body means that the row is gone. Forgets it at once."""
        rows = self._rows
        dirty = [
            (row_id, msgspec.json.encode(rows[row_id]) if row_id in rows else None) for row_id in self._dirty
        ]
        self._dirty.clear()
        return dirty

    def load(self, bodies: Iterable[bytes]) -> None:
        decoder = msgspec.json.Decoder(self._type)
        for body in bodies:
            self._hold(decoder.decode(body))

    def _hold(self, row: Row) -> None:
        self._rows[row.id] = row
        for group in self._groups_of(row):
            self._groups.setdefault(group, {})[row.id] = None


class StateFile:
    """The SQLite file behind the tables; without a path it lives in memory and dies with the process."""

    def __init__(self, path: Path | None) -> None:
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(path or ":memory:", isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=OFF")
        self._connection.execute(_SCHEMA)
        self._keep = path is not None

    def read(self, kind: str) -> Iterator[bytes]:
        for (body,) in self._connection.execute(
            "SELECT body FROM entity WHERE kind = ? ORDER BY seq", (kind,)
        ):
            yield bytes(body)

    def write(self, changes: Iterable[tuple[str, list[tuple[str, bytes | None]]]]) -> None:
        """Write all changes in one transaction."""
        pending = [(kind, rows) for kind, rows in changes if rows]
        if not pending or not self._keep:
            return
        self._connection.execute("BEGIN IMMEDIATE")
        for kind, rows in pending:
            gone = [(kind, row_id) for row_id, body in rows if body is None]
            kept = [(kind, row_id, body) for row_id, body in rows if body is not None]
            self._connection.executemany("DELETE FROM entity WHERE kind = ? AND id = ?", gone)
            self._connection.executemany(_PUT, kept)
        self._connection.execute("COMMIT")

    def close(self) -> None:
        self._connection.close()
