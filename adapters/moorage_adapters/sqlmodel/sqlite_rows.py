"""The hot path's statements on SQLite."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from typing import Final, TypeVar

import msgspec
from sqlalchemy import Connection

from moorage_adapters.sqlmodel.inbox_lines import InboxLine, Key
from moorage_adapters.sqlmodel.nudges import next_place
from moorage_adapters.sqlmodel.types import sqlite_moment
from moorage_ports.inbox import INBOX_QUEUE

ROWS_PER_STATEMENT: Final = 64


class SqliteRows:
    """`Rows` over sqlite3's cursor.

    Each step of a statement gives the interpreter lock away, and getting it back from a busy event loop takes
    longer than the step. So there are few steps: many rows per statement, and lists as one JSON value.
    """

    _OWNERS: Final = (
        "SELECT json_group_array(json_array(channel.external_id, channel.org_id, integration.app_id))"
        " FROM json_each(?) AS wanted"
        " CROSS JOIN channel ON channel.vendor = ? AND channel.external_id = wanted.value"
        " CROSS JOIN integration ON integration.org_id = channel.org_id"
        " AND integration.id = channel.integration_id"
        " WHERE channel.selected AND integration.status <> 'inactive'"
    )
    _INSERT: Final = (
        "INSERT INTO inbox (org_id, vendor, key_digest, partition_digest, bucket, kind, state, received_at,"
        " tries, lease, last_error, heard_by, body_sealed) VALUES {} ON CONFLICT DO NOTHING"
    )
    _LINE: Final = "(?, ?, ?, ?, ?, ?, 'pending', ?, 0, 0, '', ?, ?)"
    _DOUBLE: Final = "INSERT INTO inbox_double (org_id, vendor, key_digest, at) VALUES {}"
    _CAME_AGAIN: Final = "(?, ?, ?, ?)"
    _LATEST: Final = "SELECT org_id, vendor, key_digest FROM inbox ORDER BY seq DESC LIMIT ?"
    _NUDGE: Final = (
        "INSERT INTO job (queue, group_key, org_id, version, place, failures) VALUES {}"
        " ON CONFLICT (queue, group_key) DO UPDATE SET version = version + 1"
    )
    _PLACE: Final = f"('{INBOX_QUEUE}', ?, ?, 1, ?, 0)"

    def __init__(self, connection: Connection) -> None:
        raw = connection.connection.driver_connection
        if not isinstance(raw, sqlite3.Connection):
            msg = "these rows are SQLite's"
            raise TypeError(msg)
        self._cursor = raw.cursor()

    def owners(self, vendor: str, external_ids: Sequence[str]) -> Iterable[tuple[str, str, str]]:
        """See `Rows`; any number of ids is one parameter."""
        wanted = msgspec.json.encode(external_ids).decode()
        (found,) = self._cursor.execute(self._OWNERS, (wanted, vendor)).fetchone()
        return msgspec.json.decode(found, type=list[tuple[str, str, str]])

    def insert(self, lines: Sequence[InboxLine]) -> Iterable[Key]:
        """See `Rows`. Nobody else writes meanwhile, so what is new is what has the highest numbers."""
        inserted = 0
        for some in _chunks(lines):
            values = [value for line in some for value in _values(line)]
            statement = _many(self._INSERT, self._LINE, len(some))
            inserted += self._cursor.execute(statement, values).rowcount
        if inserted == len(lines):
            return [line.key for line in lines]
        return self._cursor.execute(self._LATEST, (inserted,)).fetchall()

    def note_doubles(self, lines: Sequence[InboxLine]) -> None:
        """See `Rows`."""
        for some in _chunks(lines):
            values = [value for line in some for value in (*line.key, sqlite_moment(line.received_at))]
            self._cursor.execute(_many(self._DOUBLE, self._CAME_AGAIN, len(some)), values)

    def nudge(self, groups: Iterable[tuple[str, str]]) -> None:
        """See `Rows`."""
        for some in _chunks(sorted(groups)):
            values = [value for group, org_id in some for value in (group, org_id, next_place())]
            self._cursor.execute(_many(self._NUDGE, self._PLACE, len(some)), values)


T = TypeVar("T")


def _chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """At most as many items as one statement takes; the statements of each size are prepared once."""
    return (items[start : start + ROWS_PER_STATEMENT] for start in range(0, len(items), ROWS_PER_STATEMENT))


@cache
def _many(statement: str, row: str, count: int) -> str:
    return statement.format(", ".join([row] * count))


def _values(line: InboxLine) -> tuple[object, ...]:
    return (
        line.org_id,
        line.vendor,
        line.key_digest,
        line.partition_digest,
        line.bucket,
        line.kind,
        sqlite_moment(line.received_at),
        line.heard_by.value,
        line.body_sealed,
    )
