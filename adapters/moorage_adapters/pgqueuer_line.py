"""The line of groups as pgqueuer keeps it: its tables' names, who is next, and what becomes of a row.

pgqueuer claims (SKIP LOCKED, in order, also from workers whose heart stopped) and listens. Ending a look is
ours: pgqueuer deletes a finished row by its id, late and whoever owns it by then; here a row goes only if it
is still this worker's and nobody nudged meanwhile. No statement here waits for a lock: one connection serves
a whole worker.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol
from uuid import UUID

import asyncpg  # type: ignore[import-untyped]
import attrs
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment, QueryQueueBuilder, QuerySchedulerBuilder
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.adapters.persistence.query_helpers import cell
from pgqueuer.domain.models import Job, TableChangedEvent, TracebackRecord
from pgqueuer.domain.settings import DBSettings, Durability
from pgqueuer.domain.types import JOB_STATUS, Channel, QueueEntrypoint, QueueManagerId
from pgqueuer.ports.driver import NotifyCallback
from pgqueuer.ports.repository import EntrypointExecutionParameter

CHANNEL: Final = Channel("moorage_jobs")
COMMAND_TIMEOUT: Final = 10.0  # seconds; a connection that answers nothing is given up
SESSION: Final = {
    "application_name": "moorage jobs",
    # A claim or a release that a crash forgets costs one look; what nudges stand for is committed elsewhere.
    "synchronous_commit": "off",
    "idle_in_transaction_session_timeout": "10s",
    "jit": "off",
}


def queue_settings() -> DBSettings:
    """pgqueuer's names, all of them said: what is not said it reads from the environment."""
    return DBSettings(
        prefix="",
        db_schema="jobs",
        channel=CHANNEL,
        function="fn_pgqueuer_changed",
        statistics_table="pgqueuer_statistics",
        queue_status_type="pgqueuer_status",
        queue_table="pgqueuer",
        queue_table_log="pgqueuer_log",
        trigger="tg_pgqueuer_changed",
        schedules_table="pgqueuer_schedules",
        durability=Durability.balanced,  # a crash may empty the log
        widen_id=False,
    )


async def connect(dsn: str, role: str | None) -> asyncpg.Connection:
    """A connection for claiming and listening, as `role` if there is one to take on.

    Raises:
        OSError, asyncpg.PostgresError: The database is out of reach.
    """
    settings = SESSION if role is None else {**SESSION, "role": role}
    return await asyncpg.connect(
        dsn, timeout=COMMAND_TIMEOUT, command_timeout=COMMAND_TIMEOUT, server_settings=settings
    )


# Statements ----------------------------------------------------------------------------------

# Releases looks that ended: a row goes, unless it was nudged meanwhile or has to stay. A row that is being
# nudged right now is left out, not waited for; its count tells after that transaction has ended.
END: Final = """
WITH ended AS (
    SELECT * FROM unnest($2::bigint[], $3::bigint[], $4::interval[], $5::int[])
        AS ended (id, nudges, delay, failures)
), mine AS MATERIALIZED (
    SELECT ended.id, ended.delay, ended.failures,
        ended.delay IS NOT NULL OR (job.headers->>'nudges')::bigint <> ended.nudges AS stays
    FROM ended JOIN jobs.pgqueuer AS job ON job.id = ended.id
    WHERE job.status = 'picked' AND job.queue_manager_id = $1
    FOR UPDATE OF job SKIP LOCKED
), back AS (
    UPDATE jobs.pgqueuer AS job
    SET id = nextval(pg_get_serial_sequence('jobs.pgqueuer', 'id')), priority = 0, status = 'queued',
        queue_manager_id = NULL, updated = now(), attempts = mine.failures,
        execute_after = clock_timestamp() + coalesce(mine.delay, interval '0')
    FROM mine WHERE job.id = mine.id AND mine.stays
), gone AS (
    DELETE FROM jobs.pgqueuer AS job USING mine WHERE job.id = mine.id AND NOT mine.stays
)
SELECT id, stays FROM mine
"""
# Asks for a look at a later moment; for the time until the row itself goes, both are there.
WAIT: Final = """
INSERT INTO jobs.pgqueuer (priority, entrypoint, dedupe_key, payload, headers, execute_after, status)
SELECT 0, 'later', 'later:' || job.dedupe_key || '@' || wanted.at, job.payload,
    job.headers || jsonb_build_object('nudges', 1), wanted.at, 'queued'
FROM unnest($2::bigint[], $3::timestamptz[]) AS wanted (id, at) JOIN jobs.pgqueuer AS job USING (id)
WHERE job.status = 'picked' AND job.queue_manager_id = $1
ON CONFLICT (dedupe_key) WHERE ((status = ANY (ARRAY['queued'::jobs.pgqueuer_status,
    'picked'::jobs.pgqueuer_status])) AND (dedupe_key IS NOT NULL)) DO NOTHING
"""
HELD: Final = """
SELECT id FROM jobs.pgqueuer
WHERE id = ANY($2::bigint[]) AND status = 'picked' AND queue_manager_id = $1
"""
# The first that are not of these orgs go to the front: pgqueuer claims by priority, then in order. Found once
# (MATERIALIZED): as `IN (SELECT ... LIMIT)`, some plans look again for each row, and all of an org's go.
IN_FRONT: Final = """
WITH first AS MATERIALIZED (
    SELECT id FROM jobs.pgqueuer
    WHERE entrypoint = $1 AND status = 'queued' AND execute_after < now()
        AND headers->>'org' <> ALL($2::text[])
    ORDER BY priority DESC, id LIMIT $3 FOR UPDATE SKIP LOCKED
)
UPDATE jobs.pgqueuer AS job SET priority = 1 FROM first WHERE job.id = first.id AND job.priority = 0
"""
BEAT: Final = """
UPDATE jobs.pgqueuer SET heartbeat = now() WHERE id IN (
    SELECT id FROM jobs.pgqueuer
    WHERE id = ANY($2::bigint[]) AND status = 'picked' AND queue_manager_id = $1
    FOR UPDATE SKIP LOCKED
)"""
HAND_BACK: Final = """
UPDATE jobs.pgqueuer SET status = 'queued', queue_manager_id = NULL, updated = now() WHERE id IN (
    SELECT id FROM jobs.pgqueuer WHERE status = 'picked' AND queue_manager_id = $1 FOR UPDATE SKIP LOCKED
)"""
# A schedule is a line of one that always comes back. One that waits longer than its interval does so since
# the interval was longer or the clock later.
ENSURE_SCHEDULES: Final = """
INSERT INTO jobs.pgqueuer AS job (priority, entrypoint, dedupe_key, payload, headers, execute_after, status)
SELECT 0, name, name, ''::bytea, jsonb_build_object('org', '', 'queue', name, 'nudges', 1), now(), 'queued'
FROM unnest($1::text[]) AS schedule (name)
ORDER BY name COLLATE "C"
ON CONFLICT (dedupe_key) WHERE ((status = ANY (ARRAY['queued'::jobs.pgqueuer_status,
    'picked'::jobs.pgqueuer_status])) AND (dedupe_key IS NOT NULL))
DO UPDATE SET execute_after = now()
WHERE job.status = 'queued'
    AND job.execute_after > now() + ($2::interval[])[array_position($1, job.entrypoint)]
"""
PAUSE: Final = "INSERT INTO jobs.paused (queue) VALUES ($1) ON CONFLICT DO NOTHING"
RESUME: Final = "WITH gone AS (DELETE FROM jobs.paused WHERE queue = $1) SELECT pg_notify('moorage_jobs', $2)"
# pgqueuer writes an entry per claim and deletes none.
PRUNE: Final = "DELETE FROM jobs.pgqueuer_log WHERE created < now() - interval '1 hour'"


def news() -> str:
    """What pgqueuer's trigger tells when a row has come."""
    event = TableChangedEvent(
        channel=CHANNEL,
        operation="insert",
        sent_at=datetime.now(UTC),
        table="pgqueuer",
        type="table_changed_event",
    )
    return event.model_dump_json()


@attrs.frozen(kw_only=True)
class End:
    """How a look ended.

    The row stays in line if it is to come back after `delay`, or if it was nudged since it had `nudges`.
    `later_at` asks for one more look at that moment.
    """

    job_id: int
    nudges: int
    delay: timedelta | None = None
    failures: int = 0
    later_at: datetime | None = None


@attrs.frozen(kw_only=True)
class Ended:
    """What came of releasing rows: those that stand in line again, and those that are still ours.

    What is in neither is gone, or somebody else's by now.
    """

    back: frozenset[int]
    held: frozenset[int]


class Driver(AsyncpgDriver):
    """One connection whose notifications are passed on once until somebody looks at the line again.

    Otherwise a thousand nudges would be a thousand searches, most of them in vain.
    """

    def __init__(self, connection: asyncpg.Connection) -> None:
        super().__init__(connection)
        self._callback: NotifyCallback | None = None
        self._has_rung = False

    async def add_listener(self, channel: str, callback: NotifyCallback) -> None:
        """Listen on `channel`."""
        self._callback = callback
        await super().add_listener(channel, self._hear)

    def ring(self) -> None:
        """Have the line searched as if a row had come."""
        self._hear(news())

    def attend(self) -> None:
        """The line is being searched: whatever rings from now on is news again."""
        self._has_rung = False

    def _hear(self, payload: str | bytes | bytearray) -> None:
        text = payload if isinstance(payload, str) else payload.decode()
        if "table_changed_event" in text:
            if self._has_rung:
                return
            self._has_rung = True
        if self._callback is not None:
            self._callback(text)


class Places(Protocol):
    """What a worker has room for."""

    def free(self) -> Mapping[str, int]:
        """How many more looks each queue may begin now; queues without room are left out."""
        ...

    def standing_back(self) -> Mapping[str, Collection[str]]:
        """The orgs, by queue, that get another look only if nobody else waits."""
        ...

    def take(self, jobs: Sequence[Job]) -> list[Job]:
        """Reserve places for what was claimed; answers what is not under way here already."""
        ...


class Line(Queries):
    """pgqueuer's queries, asking only for what this worker has room for."""

    def __init__(self, driver: Driver, places: Places, worker: UUID) -> None:
        settings = queue_settings()
        super().__init__(
            driver,
            qbe=QueryBuilderEnvironment(settings),
            qbq=QueryQueueBuilder(settings),
            qbs=QuerySchedulerBuilder(settings),
        )
        self._bell = driver
        self._places = places
        self._worker = worker

    # What pgqueuer's manager asks --------------------------------------------------------------

    async def dequeue(
        self,
        batch_size: int,
        entrypoints: dict[QueueEntrypoint, EntrypointExecutionParameter],
        queue_manager_id: QueueManagerId,
        global_concurrency_limit: int | None,
        heartbeat_timeout: timedelta,
    ) -> list[Job]:
        """Claim the first in every line that has room, as many as there is room for.

        pgqueuer takes one number for all lines, so lines with equal room are asked for together. Its own
        limits hold over all workers: with them a second worker would add nothing.
        """
        self._bell.attend()
        free = await self._open(list(entrypoints))
        for queue, orgs in self._places.standing_back().items():
            name = QueueEntrypoint(queue)
            if name in free:
                await self.driver.execute(IN_FRONT, name, list(orgs), free[name])
        jobs: list[Job] = []
        for room in sorted(set(free.values())):
            jobs += await super().dequeue(
                batch_size=room,
                entrypoints={name: entrypoints[name] for name in free if free[name] == room},
                queue_manager_id=queue_manager_id,
                global_concurrency_limit=None,
                heartbeat_timeout=heartbeat_timeout,
            )
        return self._places.take(jobs)

    async def eligible_queued_work(self, entrypoints: list[QueueEntrypoint]) -> int:
        """Whether something could be claimed now; a full or paused queue is no reason to ask again soon."""
        return await super().eligible_queued_work(list(await self._open(entrypoints)))

    async def next_deferred_eta(self, entrypoints: list[QueueEntrypoint]) -> timedelta | None:
        """When the next row comes due that there is room for."""
        return await super().next_deferred_eta(list(await self._open(entrypoints)))

    async def queued_work(self, entrypoints: list[QueueEntrypoint]) -> int:
        """Whether a row waits that there is room for."""
        return await super().queued_work(list(await self._open(entrypoints)))

    async def log_jobs(self, job_status: list[tuple[Job, JOB_STATUS, TracebackRecord | None]]) -> None:
        """Nothing: for pgqueuer a job is done when its look has begun; `end` releases the row."""

    async def _open(self, queues: list[QueueEntrypoint]) -> dict[QueueEntrypoint, int]:
        free = self._places.free()
        wanted = {name: free[name] for name in queues if name in free}
        if wanted:
            for row in await self.driver.fetch("SELECT queue FROM jobs.paused"):
                wanted.pop(QueueEntrypoint(str(row["queue"])), None)
        return wanted

    # What becomes of a row ---------------------------------------------------------------------

    async def end(self, ends: Sequence[End]) -> Ended:
        """Release these rows, as far as nobody is nudging them right now."""
        waits = [one for one in ends if one.later_at is not None]
        if waits:  # before the rows go: what is cut off in between is asked for twice, never lost
            await self.driver.execute(
                WAIT, self._worker, [one.job_id for one in waits], [one.later_at for one in waits]
            )
        rows = await self.driver.fetch(
            END,
            self._worker,
            [one.job_id for one in ends],
            [one.nudges for one in ends],
            [one.delay for one in ends],
            [one.failures for one in ends],
        )
        back = frozenset(cell(row, "id", int) for row in rows if row["stays"])
        left = {one.job_id for one in ends}.difference(row["id"] for row in rows)
        held = await self.driver.fetch(HELD, self._worker, list(left)) if left else ()
        return Ended(back=back, held=frozenset(cell(row, "id", int) for row in held))

    async def beat(self, job_ids: Sequence[int]) -> None:
        """Say that these looks are alive. A row that is being nudged is left for the next beat."""
        await self.driver.execute(BEAT, self._worker, list(job_ids))

    async def hand_back(self) -> None:
        """Put everything that this worker still holds back to where it stood in line, and say so."""
        await self.driver.execute(HAND_BACK, self._worker)
        await self.driver.notify(CHANNEL, news())

    async def ensure_schedules(self, intervals: Mapping[str, timedelta]) -> None:
        """See to it that each schedule stands in line, and no further away than its interval."""
        await self.driver.execute(ENSURE_SCHEDULES, list(intervals), list(intervals.values()))
