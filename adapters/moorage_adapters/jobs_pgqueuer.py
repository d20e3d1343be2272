"""`PgQueuerJobs`: the jobs of many processes, over pgqueuer.

pgqueuer says whose turn it is and takes over what a dead process held. The looks themselves run here, as
tasks of their own: they outlive a lost connection, and are released when the database is back.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final, Protocol, TypeVar
from uuid import uuid4

import asyncpg  # type: ignore[import-untyped]
import attrs
import structlog
from pgqueuer.core.qm import QueueManager
from pgqueuer.domain.errors import FailingListenerError
from pgqueuer.domain.models import Job
from pgqueuer.domain.types import QueueManagerId
from sqlalchemy import Connection

from moorage_adapters.jobs import Shares, backoff
from moorage_adapters.pgqueuer_line import CHANNEL, PAUSE, PRUNE, RESUME, Driver, End, Line, connect, news
from moorage_adapters.sqlmodel.pg_nudges import LATER, put_pg_nudges
from moorage_adapters.sqlmodel.postgres_connections import postgres_dsn
from moorage_ports.clock import Clock
from moorage_ports.jobs import JobHandler, Nudge

log = structlog.get_logger(__name__)

T = TypeVar("T")

DEAD_AFTER: Final = timedelta(seconds=3)  # a worker that has not said for so long that it lives
BEAT_SECONDS: Final = 0.75
POLL: Final = timedelta(seconds=1)  # for what no notification tells: hearts that stopped, resumed queues
RETRY_SECONDS: Final = 0.01  # until a row that is being nudged may be free
PRUNE_EVERY: Final = timedelta(minutes=10)
ENSURE_SECONDS: Final = 30.0
TIMERS_AT_ONCE: Final = 4
GOODBYE_SECONDS: Final = 2.0
LONGEST_PAUSE: Final = 2.0  # seconds, between attempts to reach the database
_SCHEDULE: Final = "every "
_AT_ONCE: Final = timedelta(0)
_LOST: Final = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, FailingListenerError)


class Writes(Protocol):
    """The part of the host's database that is needed here."""

    @property
    def role(self) -> str | None:
        """The role that its connections take on; `None`: they stay who they are."""
        ...

    async def write_at_once(self, work: Callable[[Connection], T]) -> T:
        """Do `work` in a transaction of its own.

        Raises:
            UnavailableError: Nothing was written.
        """
        ...


@attrs.define
class _Queue:
    """A line, and what to do with who is next. A schedule is a line of one that always comes back."""

    handler: JobHandler
    concurrency: int
    interval: timedelta | None = None
    taken: int = 0
    shares: Shares = attrs.field(
        default=attrs.Factory(lambda self: Shares(self.concurrency), takes_self=True)
    )


@attrs.define
class _Look:
    """A look under way, or ended and not yet released."""

    job_id: int
    queue: str
    nudge: Nudge
    nudges: int
    failures: int
    task: "asyncio.Task[None] | None" = None


class PgQueuerJobs:
    """`moorage_ports.jobs.Jobs` for any number of processes on one PostgreSQL.

    `database` is the host's; `url` leads to the same one, for a connection that claims and listens.
    """

    def __init__(self, database: Writes, url: str, clock: Clock) -> None:
        self._database = database
        self._dsn = postgres_dsn(url)
        self._clock = clock
        self._worker = uuid4()
        self._queues: dict[str, _Queue] = {}
        self._looks: dict[int, _Look] = {}
        self._ended: dict[int, End] = {}
        self._news = asyncio.Event()  # for the keeper: something ended
        self._released = asyncio.Event()
        self._driver: Driver | None = None
        self._is_draining = False
        self.handle(LATER, self._come_forward, concurrency=TIMERS_AT_ONCE)
        self.every("job log", PRUNE_EVERY, self._prune)

    def handle(self, queue: str, handler: JobHandler, *, concurrency: int = 4) -> None:
        """Register what a queue's nudges call, at most `concurrency` groups at once in each process."""
        if queue in self._queues:
            msg = f"the queue {queue!r} has a handler already"
            raise ValueError(msg)
        if ":" in queue:
            msg = f"a queue's name holds no colon: {queue!r}"
            raise ValueError(msg)
        self._queues[queue] = _Queue(handler, concurrency)

    def every(self, name: str, interval: timedelta, handler: Callable[[], Awaitable[None]]) -> None:
        """Register a schedule: once per interval over all replicas, first at once. Before `run`."""
        queue = _SCHEDULE + name
        if queue in self._queues:
            msg = f"there is a schedule {name!r} already"
            raise ValueError(msg)

        async def tick(_: Nudge) -> None:
            await handler()

        self._queues[queue] = _Queue(tick, 1, interval)

    async def run(self) -> None:
        """Work until cancelled; with another connection whenever one is lost."""
        self._is_draining = False
        failures = 0
        try:
            while True:
                began = time.monotonic()
                try:
                    await self._work()
                except _LOST as failure:
                    log.warning("jobs_lost_database", error=type(failure).__name__)
                except Exception as failure:
                    # Jobs that silently stop are worse than jobs that complain every second.
                    log.exception("jobs_broke", error=type(failure).__name__)
                lasted = time.monotonic() - began > DEAD_AFTER.total_seconds()
                failures = 0 if lasted else failures + 1
                await asyncio.sleep(min(0.1 * 2**failures, LONGEST_PAUSE))
        finally:
            await self._cancel_looks()
            self._forget_all()

    async def drain(self) -> None:
        """Take nothing new, wait for what runs."""
        self._is_draining = True
        while self._looks:
            self._released.clear()
            await self._released.wait()

    async def pause(self, queue: str) -> None:
        """Start no more looks of this queue, on any replica, until resumed; looks under way go on.

        Raises:
            UnavailableError: The database is out of reach; it is not paused.
        """
        await self._database.write_at_once(
            lambda connection: connection.exec_driver_sql(PAUSE, (queue,)).rowcount
        )

    async def resume(self, queue: str) -> None:
        """Go on.

        Raises:
            UnavailableError: The database is out of reach; it is still paused.
        """
        await self._database.write_at_once(
            lambda connection: connection.exec_driver_sql(RESUME, (queue, news())).rowcount
        )

    # What the line asks ------------------------------------------------------------------------

    def free(self) -> Mapping[str, int]:
        """How many more looks each queue may begin now."""
        if self._is_draining:
            return {}
        rooms = {name: queue.concurrency - queue.taken for name, queue in self._queues.items()}
        return {name: room for name, room in rooms.items() if room > 0}

    def standing_back(self) -> Mapping[str, Collection[str]]:
        """The orgs, by queue, that get another look only if nobody else waits."""
        found = {name: queue.shares.standing_back() for name, queue in self._queues.items()}
        return {name: orgs for name, orgs in found.items() if orgs}

    def take(self, jobs: Sequence[Job]) -> list[Job]:
        """Reserve places for what was claimed; answers what is not under way here already."""
        fresh = [job for job in jobs if job.id not in self._looks]
        for job in fresh:
            look = self._looks[job.id] = _look_of(job)
            queue = self._queues[job.entrypoint]
            queue.taken += 1
            if queue.interval is None:
                queue.shares.begun(look.nudge.org_id)
        return fresh

    # One connection ----------------------------------------------------------------------------

    async def _work(self) -> None:
        """Claim, look and release over one connection until it is lost."""
        connection = await connect(self._dsn, self._database.role)
        try:
            driver = Driver(connection)
            line = Line(driver, self, self._worker)
            try:
                await _first_to_end(self._claim(line), self._keep(line, driver))
            except asyncio.CancelledError:
                with suppress(Exception):
                    async with asyncio.timeout(GOODBYE_SECONDS):
                        await self._leave(line)
                raise
            finally:
                self._forget_unbegun()
        finally:
            with suppress(Exception):
                await connection.close(timeout=GOODBYE_SECONDS)

    async def _claim(self, line: Line) -> None:
        """Have pgqueuer claim whose turn it is, and begin a look at each."""
        manager = QueueManager(line, CHANNEL)
        manager.queue_manager_id = QueueManagerId(self._worker)
        manager.min_dequeue_poll_interval = timedelta(seconds=RETRY_SECONDS)
        for name in self._queues:
            manager.entrypoint(name)(self._begin)
        await manager.run(
            dequeue_timeout=POLL,
            heartbeat_timeout=DEAD_AFTER,
            shutdown_on_listener_failure=True,
            log_aggregation_interval=timedelta(0),
        )

    async def _keep(self, line: Line, driver: Driver) -> None:
        """Release what ended, say that the rest lives, and see to it that schedules stand in line."""
        intervals = {name: q.interval for name, q in self._queues.items() if q.interval is not None}
        beaten_at = ensured_at = 0.0
        while True:
            now = time.monotonic()
            if now - ensured_at >= ENSURE_SECONDS:
                await line.ensure_schedules(intervals)
                ensured_at = now
            if now - beaten_at >= BEAT_SECONDS:
                if self._looks:
                    await line.beat(list(self._looks))
                beaten_at = now
            await self._release(line, driver)
            with suppress(TimeoutError):
                async with asyncio.timeout(RETRY_SECONDS if self._ended else BEAT_SECONDS):
                    await self._news.wait()
            self._news.clear()

    async def _release(self, line: Line, driver: Driver) -> None:
        """Give back the rows of looks that ended, and their places."""
        ends = list(self._ended.values())
        if not ends:
            return
        ended = await line.end(ends)
        for end in ends:
            if end.job_id in ended.held:
                continue  # somebody is nudging it: try again when they have committed
            del self._ended[end.job_id]
            queue = self._queues[self._looks.pop(end.job_id).queue]
            if end.job_id in ended.back or queue.taken >= queue.concurrency:
                driver.ring()
            queue.taken -= 1
        self._released.set()

    async def _leave(self, line: Line) -> None:
        """Stop every look and put the rows back, so that others need not wait for our heart to stop."""
        await self._cancel_looks()
        if self._ended:
            await line.end(list(self._ended.values()))
        await line.hand_back()

    def _forget_unbegun(self) -> None:
        """Free the places of claims that no look came of; their rows are claimed again soon."""
        for look in [look for look in self._looks.values() if look.task is None]:
            if look.job_id not in self._ended:
                del self._looks[look.job_id]
                self._queues[look.queue].taken -= 1
        self._released.set()

    # Looks -------------------------------------------------------------------------------------

    async def _begin(self, job: Job) -> None:
        """Begin a look and return at once: it outlives the connection that the claim came from."""
        look = self._looks[job.id]
        if self._is_draining:
            self._end(look, delay=_AT_ONCE)  # claimed as the drain began: back in line
            return
        look.task = asyncio.create_task(self._look(look))

    async def _look(self, look: _Look) -> None:
        """Call the handler; whatever it raises, the group is looked at again, later."""
        queue = self._queues[look.queue]
        began = time.monotonic()
        again, has_failed = None, False
        try:
            again = await queue.handler(look.nudge)
        except Exception as failure:
            has_failed = True
            log.exception(
                "job_failed", queue=look.queue, group=look.nudge.group, error=type(failure).__name__
            )
        if queue.interval is not None:
            self._end(look, delay=max(queue.interval - timedelta(seconds=time.monotonic() - began), _AT_ONCE))
        elif has_failed:
            self._end(look, delay=backoff(look.failures), failures=look.failures + 1)
        elif again is None:
            self._end(look)
        elif again.at is None or again.at <= self._clock.now():
            self._end(look, delay=_AT_ONCE)
        else:
            self._end(look, later_at=again.at)

    def _end(
        self,
        look: _Look,
        *,
        delay: timedelta | None = None,
        failures: int = 0,
        later_at: datetime | None = None,
    ) -> None:
        self._ended[look.job_id] = End(
            job_id=look.job_id, nudges=look.nudges, delay=delay, failures=failures, later_at=later_at
        )
        self._news.set()

    async def _cancel_looks(self) -> None:
        tasks = [look.task for look in self._looks.values() if look.task is not None and not look.task.done()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _forget_all(self) -> None:
        self._looks.clear()
        self._ended.clear()
        for queue in self._queues.values():
            queue.taken = 0
        self._released.set()

    # Lines of our own --------------------------------------------------------------------------

    async def _come_forward(self, nudge: Nudge) -> None:
        """The moment of a nudge has come: it stands in line like any other from now on."""
        await self._database.write_at_once(lambda connection: put_pg_nudges(connection, [nudge]))

    async def _prune(self) -> None:
        await self._database.write_at_once(lambda connection: connection.exec_driver_sql(PRUNE).rowcount)


def _look_of(job: Job) -> _Look:
    headers = job.headers or {}
    nudge = Nudge(
        queue=str(headers["queue"]), group=(job.payload or b"").decode(), org_id=str(headers["org"])
    )
    return _Look(job.id, job.entrypoint, nudge, int(str(headers["nudges"])), job.attempts)


async def _first_to_end(*works: Coroutine[None, None, None]) -> None:
    """Do several things until one of them ends, then none of them; raises what it raised."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in ended:
        task.result()
