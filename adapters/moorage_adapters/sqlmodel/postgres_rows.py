"""The hot path's statements on PostgreSQL: three round trips per group of deliveries, whatever its size.

They go to the driver itself, which prepares each once per connection; `await_only` waits for it from within
SQLAlchemy's `run_sync`.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import asyncpg  # type: ignore[import-untyped]
from sqlalchemy import Connection
from sqlalchemy.util import await_only

from moorage_adapters.sqlmodel.inbox_lines import InboxLine, Key
from moorage_adapters.sqlmodel.pg_nudges import NUDGE, nudge_arguments
from moorage_ports.jobs import Nudge


class PostgresRows:
    """`inbox_lines.Rows` over asyncpg."""

    _OWNERS: Final = (
        "SELECT channel.external_id, channel.org_id, integration.app_id FROM channel JOIN integration"
        " ON integration.org_id = channel.org_id AND integration.id = channel.integration_id"
        " WHERE channel.vendor = $1 AND channel.external_id = ANY($2::text[]) AND channel.selected"
        " AND integration.status <> 'inactive'"
    )
    # Numbered in order of arrival, inserted in order of their keys: two intakes that were sent the same
    # deliveries wait for each other's rows then, and not each for the other's.
    _INSERT: Final = (
        "INSERT INTO inbox (seq, org_id, vendor, key_digest, partition_digest, bucket, kind, state,"
        " received_at, tries, lease, last_error, heard_by, body_sealed)"
        " SELECT seq, org_id, vendor, key_digest, partition_digest, bucket, kind, 'pending',"
        " received_at, 0, 0, '', heard_by, body_sealed FROM (SELECT nextval('inbox_seq_seq') AS seq, line.*"
        " FROM unnest($1::text[], $2::text[], $3::bytea[], $4::bytea[], $5::int[], $6::text[],"
        " $7::timestamptz[], $8::text[], $9::bytea[]) AS line (org_id, vendor, key_digest, partition_digest,"
        " bucket, kind, received_at, heard_by, body_sealed)) AS numbered ORDER BY org_id, vendor, key_digest"
        " ON CONFLICT (org_id, vendor, key_digest) DO NOTHING RETURNING org_id, vendor, key_digest"
    )

    _DOUBLES: Final = (
        "INSERT INTO inbox_double (org_id, vendor, key_digest, at)"
        " SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[], $4::timestamptz[])"
    )

    def __init__(self, connection: Connection, queue: str) -> None:
        raw = connection.connection.driver_connection
        if not isinstance(raw, asyncpg.Connection):
            msg = "these rows are PostgreSQL's"
            raise TypeError(msg)
        self._raw: asyncpg.Connection = raw
        self._queue = queue

    def owners(self, vendor: str, external_ids: Sequence[str]) -> Iterable[tuple[str, str, str]]:
        """See `Rows`."""
        found = self._fetch(self._OWNERS, vendor, list(external_ids))
        return [(row[0], row[1], row[2]) for row in found]

    def insert(self, lines: Sequence["InboxLine"]) -> Iterable["Key"]:
        """See `Rows`."""
        found = self._fetch(
            self._INSERT,
            [line.org_id for line in lines],
            [line.vendor for line in lines],
            [line.key_digest for line in lines],
            [line.partition_digest for line in lines],
            [line.bucket for line in lines],
            [line.kind for line in lines],
            [line.received_at for line in lines],
            [line.heard_by.value for line in lines],
            [line.body_sealed for line in lines],
        )
        return [(row[0], row[1], row[2]) for row in found]

    def note_doubles(self, lines: Sequence["InboxLine"]) -> None:
        """See `Rows`."""
        self._fetch(
            self._DOUBLES,
            [line.org_id for line in lines],
            [line.vendor for line in lines],
            [line.key_digest for line in lines],
            [line.received_at for line in lines],
        )

    def nudge(self, groups: Iterable[tuple[str, str]]) -> None:
        """See `Rows`."""
        nudges = [Nudge(queue=self._queue, group=group, org_id=org_id) for group, org_id in groups]
        if nudges:
            self._fetch(NUDGE, *nudge_arguments(nudges))

    def _fetch(self, statement: str, *arguments: Any) -> Sequence[asyncpg.Record]:
        found: Sequence[asyncpg.Record] = await_only(self._raw.fetch(statement, *arguments))
        return found
