"""Nudges on PostgreSQL: rows of pgqueuer's table, written in the caller's transaction.

A row is a group in line, or one that somebody looks at: its dedupe key stays taken meanwhile, and a nudge
that meets it counts up the row's `nudges`. Who looks compares that count at the end of the look. Such a nudge
holds the row until its own transaction ends, so it has to be the last statement there, in one order of keys.

A look that must wait for its moment is a row of the queue `later`, which becomes a nudge when that comes: so
a nudge for now and one for later never swallow each other.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final, TypeAlias

import attrs
from sqlalchemy import Connection

from moorage_adapters.sqlmodel.types import clean
from moorage_ports.jobs import Nudge

LATER: Final = "later"

# The conflict names pgqueuer's unique index: keys of rows that are queued or being looked at.
# Never DO NOTHING: the look that stands there may begin before the caller's transaction is visible to it.
NUDGE: Final = """
INSERT INTO jobs.pgqueuer AS job (priority, entrypoint, dedupe_key, payload, headers, execute_after, status)
SELECT 0, entrypoint, key, convert_to(group_key, 'UTF8'),
    jsonb_build_object('org', org_id, 'queue', queue, 'nudges', 1), coalesce(at, now()), 'queued'
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[])
    AS wanted (key, entrypoint, queue, group_key, org_id, at)
ORDER BY key COLLATE "C"
ON CONFLICT (dedupe_key) WHERE ((status = ANY (ARRAY['queued'::jobs.pgqueuer_status,
    'picked'::jobs.pgqueuer_status])) AND (dedupe_key IS NOT NULL))
DO UPDATE SET headers = jsonb_set(job.headers, '{nudges}', to_jsonb((job.headers->>'nudges')::bigint + 1))
"""

NudgeArguments: TypeAlias = tuple[
    list[str], list[str], list[str], list[str], list[str], list[datetime | None]
]


def nudge_arguments(nudges: Iterable[Nudge]) -> NudgeArguments:
    """The parameters of `NUDGE`; each key once, because one statement cannot meet a row twice."""
    cleaned = [attrs.evolve(nudge, group=clean(nudge.group), org_id=clean(nudge.org_id)) for nudge in nudges]
    wanted = {key_of(nudge): nudge for nudge in cleaned}
    return (
        list(wanted),
        [nudge.queue if nudge.not_before is None else LATER for nudge in wanted.values()],
        [nudge.queue for nudge in wanted.values()],
        [nudge.group for nudge in wanted.values()],
        [nudge.org_id for nudge in wanted.values()],
        [nudge.not_before for nudge in wanted.values()],
    )


def key_of(nudge: Nudge) -> str:
    """What a nudge is deduplicated by: its group, or its group at a moment."""
    key = f"{nudge.queue}:{nudge.group}"
    return key if nudge.not_before is None else later_key(key, nudge.not_before)


def later_key(key: str, at: datetime) -> str:
    """The key of a wait until `at`."""
    return f"{LATER}:{key}@{at.astimezone(UTC).isoformat()}"


def put_pg_nudges(connection: Connection, nudges: Iterable[Nudge]) -> None:
    """Write the nudges through SQLAlchemy's connection, which sees to it that a transaction is open."""
    arguments = nudge_arguments(nudges)
    if arguments[0]:
        connection.exec_driver_sql(NUDGE, arguments)
