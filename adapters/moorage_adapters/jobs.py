"""`EmbeddedJobs`: the jobs of one process, in the same database as everything else.

A group in line is a row of `job`; it stays there while somebody looks at it and goes when the look is done
and nobody nudged meanwhile (the row's version tells). So there is no mark of who works on what that could
outlive its worker: after a crash every row is simply in line.
"""

import asyncio
import random
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import attrs
import structlog
from sqlalchemy import Connection, Row, delete, func, or_, select, update

from moorage_adapters.sqlmodel.nudges import next_place, put_nudges
from moorage_adapters.sqlmodel.storage import SqlStorage
from moorage_adapters.sqlmodel.tables import JOB, JOB_PAUSE, JOB_SCHEDULE, JOB_TIMER
from moorage_adapters.sqlmodel.tenant import insert_into
from moorage_ports.clock import Clock
from moorage_ports.errors import UnavailableError
from moorage_ports.jobs import JobHandler, LookAgain, Nudge

log = structlog.get_logger(__name__)

POLL_SECONDS: Final = 1.0  # for nudges of other processes; our own ring a bell
FIRST_BACKOFF: Final = timedelta(milliseconds=500)
LONGEST_BACKOFF: Final = timedelta(minutes=1)


class Shares:
    """Who of the orgs had enough of a queue's last looks, and stands back while others wait."""

    def __init__(self, concurrency: int) -> None:
        self._share = max(1, concurrency // 4)
        self._last: deque[str] = deque(maxlen=4 * concurrency)

    def begun(self, org_id: str) -> None:
        """A look at something of this org begins."""
        self._last.append(org_id)

    def standing_back(self) -> frozenset[str]:
        """These orgs."""
        return frozenset(org_id for org_id, looks in Counter(self._last).items() if looks >= self._share)


@attrs.frozen
class _Queue:
    handler: JobHandler
    concurrency: int
    shares: Shares


@attrs.define
class _Schedule:
    name: str
    interval: timedelta
    handler: Callable[[], Awaitable[None]]
    next_at: datetime | None = None  # as the database had it last
    task: "asyncio.Task[None] | None" = None

    def is_due(self, now: datetime) -> bool:
        """Whether it should run, as far as we know; a clock that was set back must not silence it."""
        if self.task is not None and not self.task.done():
            return False
        return self.next_at is None or self.next_at <= now or self.next_at > now + self.interval


@attrs.frozen
class _Look:
    """One look under way: at `nudge`'s group, begun when the row was at `version`."""

    nudge: Nudge
    version: int
    failures: int

    @property
    def key(self) -> tuple[str, str]:
        return (self.nudge.queue, self.nudge.group)


@attrs.frozen
class _Looked:
    """What came of a look."""

    look: _Look
    again: LookAgain | None = None
    has_failed: bool = False


@attrs.frozen
class _Turn:
    """What one visit to the database found."""

    looks: Sequence[_Look]
    schedules: Sequence[_Schedule]
    next_at: datetime | None  # when something that waits will be due


class EmbeddedJobs:
    """`moorage_ports.jobs.Jobs` for a host of one process."""

    def __init__(self, storage: SqlStorage, clock: Clock) -> None:
        self._database = storage.database
        self._bell = storage.bell
        self._clock = clock
        self._queues: dict[str, _Queue] = {}
        self._schedules: dict[str, _Schedule] = {}
        self._running: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._looked: list[_Looked] = []
        self._wake = asyncio.Event()
        self._turn_lock = asyncio.Lock()
        self._is_draining = False

    def handle(self, queue: str, handler: JobHandler, *, concurrency: int = 4) -> None:
        """Register what a queue's nudges call, at most `concurrency` groups at once. Before `run`."""
        if queue in self._queues:
            msg = f"the queue {queue!r} has a handler already"
            raise ValueError(msg)
        self._queues[queue] = _Queue(handler, concurrency, Shares(concurrency))

    def every(self, name: str, interval: timedelta, handler: Callable[[], Awaitable[None]]) -> None:
        """Register a schedule: once per interval over all replicas, first at once. Before `run`."""
        if name in self._schedules:
            msg = f"there is a schedule {name!r} already"
            raise ValueError(msg)
        self._schedules[name] = _Schedule(name, interval, handler)

    async def run(self) -> None:
        """Work until cancelled."""
        self._is_draining = False
        self._bell.listen(self._wake.set)
        try:
            while True:
                self._wake.clear()
                await self._wait(await self._visit())
        finally:
            self._bell.unlisten(self._wake.set)
            await self._cancel(self._tasks())

    async def drain(self) -> None:
        """Take nothing new, wait for what runs."""
        self._is_draining = True
        while tasks := self._tasks():
            await asyncio.wait(tasks)
        await self._visit()

    async def pause(self, queue: str) -> None:
        """Start no more looks of this queue until resumed; looks under way go on.

        Raises:
            UnavailableError: The database is out of reach; it is not paused.
        """
        await self._database.write_at_once(
            lambda connection: (
                connection.execute(
                    insert_into(connection, JOB_PAUSE).values(queue=queue).on_conflict_do_nothing()
                ).rowcount
            )
        )

    async def resume(self, queue: str) -> None:
        """Go on.

        Raises:
            UnavailableError: The database is out of reach; it is still paused.
        """
        statement = delete(JOB_PAUSE).where(JOB_PAUSE.c.queue == queue)
        await self._database.write_at_once(lambda connection: connection.execute(statement).rowcount)
        self._wake.set()

    # The runner ------------------------------------------------------------------------------

    def _tasks(self) -> list["asyncio.Task[None]"]:
        scheduled = [schedule.task for schedule in self._schedules.values() if schedule.task is not None]
        return [task for task in (*self._running.values(), *scheduled) if not task.done()]

    async def _cancel(self, tasks: Iterable["asyncio.Task[None]"]) -> None:
        cancelled = list(tasks)
        for task in cancelled:
            task.cancel()
        if cancelled:
            await asyncio.wait(cancelled)
        self._running.clear()

    async def _visit(self) -> datetime | None:
        """Record what was done, start what is due; answers when something will be due next."""
        async with self._turn_lock:
            looked, self._looked = self._looked, []
            try:
                turn = await self._turn(looked)
            except UnavailableError:
                self._looked = [*looked, *self._looked]
                log.warning("jobs_cannot_reach_database")
                return None
            except Exception as failure:
                # Jobs that silently stop are worse than jobs that complain every second.
                self._looked = [*looked, *self._looked]
                log.exception("jobs_broke", error=type(failure).__name__)
                return None
            except BaseException:
                self._looked = [*looked, *self._looked]
                raise
            for one in looked:
                self._running.pop(one.look.key, None)
            for look in turn.looks:
                self._running[look.key] = asyncio.create_task(self._look(look))
                self._queues[look.nudge.queue].shares.begun(look.nudge.org_id)
            for schedule in turn.schedules:
                schedule.task = asyncio.create_task(self._tick(schedule))
            return turn.next_at

    async def _turn(self, looked: Sequence[_Looked]) -> _Turn:
        now = self._clock.now()
        schedules = [] if self._is_draining else [s for s in self._schedules.values() if s.is_due(now)]
        done = {one.look.key for one in looked}
        busy = {key for key in self._running if key not in done}

        def read(connection: Connection) -> _Turn | None:
            if has_due_timers(connection, now):
                return None
            return self._pick(connection, busy, now)

        def write(connection: Connection) -> _Turn:
            for one in looked:
                record(connection, one, now)
            fire_timers(connection, now)
            due = [schedule for schedule in schedules if claim_schedule(connection, schedule, now)]
            return attrs.evolve(self._pick(connection, busy, now), schedules=due)

        if not looked and not schedules:
            turn = await self._database.read_at_once(read)
            if turn is not None:
                return turn
        return await self._database.write_at_once(write)

    def _pick(self, connection: Connection, busy: set[tuple[str, str]], now: datetime) -> _Turn:
        """The groups whose turn it is: the first in line of each queue, as many as its free places."""
        looks: list[_Look] = []
        paused = {row[0] for row in connection.execute(select(JOB_PAUSE.c.queue))}
        for name, queue in self._queues.items():
            taken = {group for busy_queue, group in busy if busy_queue == name}
            free = 0 if self._is_draining or name in paused else queue.concurrency - len(taken)
            if free > 0:
                back = queue.shares.standing_back()
                rows = in_turn(connection, name, limit=free + len(taken), now=now, back=back)
                looks += [_look(row) for row in rows if row.group_key not in taken][:free]
        waits = [at for at in (next_timer_at(connection), next_retry_at(connection, now)) if at is not None]
        waits += [s.next_at for s in self._schedules.values() if s.next_at is not None]
        return _Turn(looks, (), min(waits, default=None))

    async def _wait(self, until: datetime | None) -> None:
        """Return when the bell rings, when a look ended, when `until` has come, or after a while."""
        wakers: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._wake.wait())]
        if until is not None:
            pause = max(until - self._clock.now(), timedelta(milliseconds=1))
            wakers.append(asyncio.ensure_future(self._clock.sleep(pause)))
        try:
            await asyncio.wait(wakers, timeout=POLL_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for waker in wakers:
                waker.cancel()

    async def _look(self, look: _Look) -> None:
        """Call the handler; whatever it raises, the group is looked at again, later."""
        try:
            again = await self._queues[look.nudge.queue].handler(look.nudge)
            self._looked.append(_Looked(look, again))
        except Exception as failure:
            log.exception(
                "job_failed", queue=look.nudge.queue, group=look.nudge.group, error=type(failure).__name__
            )
            self._looked.append(_Looked(look, has_failed=True))
        self._wake.set()

    async def _tick(self, schedule: _Schedule) -> None:
        try:
            await schedule.handler()
        except Exception as failure:
            log.exception("schedule_failed", schedule=schedule.name, error=type(failure).__name__)
        self._wake.set()


# On the database's thread --------------------------------------------------------------------


def _look(row: Row[tuple[object, ...]]) -> _Look:
    nudge = Nudge(queue=row.queue, group=row.group_key, org_id=row.org_id)
    return _Look(nudge, row.version, row.failures)


def first_in_line(
    connection: Connection, queue: str, *, limit: int, now: datetime, without: Collection[str] = ()
) -> Sequence[Row[tuple[object, ...]]]:
    """The first groups in a queue's line that need not wait for a retry, and are not of these orgs."""
    due = select(JOB).where(JOB.c.queue == queue, or_(JOB.c.due_at.is_(None), JOB.c.due_at <= now))
    if without:
        due = due.where(JOB.c.org_id.not_in(without))
    return connection.execute(due.order_by(JOB.c.place).limit(limit)).all()


def in_turn(
    connection: Connection, queue: str, *, limit: int, now: datetime, back: Collection[str]
) -> Sequence[Row[tuple[object, ...]]]:
    """Who is next: the first in line, those of orgs that stand back after all others."""
    rows = first_in_line(connection, queue, limit=limit, now=now)
    if not any(row.org_id in back for row in rows):
        return rows
    others = first_in_line(connection, queue, limit=limit, now=now, without=back)
    return [*others, *(row for row in rows if row.org_id in back)]


def next_timer_at(connection: Connection) -> datetime | None:
    """When the next timer fires."""
    moment: datetime | None = connection.execute(select(func.min(JOB_TIMER.c.at))).scalar()
    return moment


def next_retry_at(connection: Connection, now: datetime) -> datetime | None:
    """When the next failed look is tried again."""
    moment: datetime | None = connection.execute(
        select(func.min(JOB.c.due_at)).where(JOB.c.due_at > now)
    ).scalar()
    return moment


def has_due_timers(connection: Connection, now: datetime) -> bool:
    """Whether a timer should fire."""
    first = next_timer_at(connection)
    return first is not None and first <= now


def fire_timers(connection: Connection, now: datetime) -> None:
    """Turn timers whose time has come into nudges."""
    due = connection.execute(delete(JOB_TIMER).where(JOB_TIMER.c.at <= now).returning(JOB_TIMER)).all()
    groups = {(row.queue, row.group_key): row.org_id for row in due}
    put_nudges(
        connection,
        [Nudge(queue=queue, group=group, org_id=org_id) for (queue, group), org_id in groups.items()],
    )


def record(connection: Connection, looked: _Looked, now: datetime) -> None:
    """Take the group out of the line, unless it was nudged meanwhile or wants to be looked at again."""
    look, again = looked.look, looked.again
    this = (JOB.c.queue == look.nudge.queue, JOB.c.group_key == look.nudge.group)
    if looked.has_failed:
        retry_at = now + backoff(look.failures)
        back = {"place": next_place(), "failures": look.failures + 1, "due_at": retry_at}
        connection.execute(update(JOB).where(*this).values(back))
        return
    if again is not None and again.at is not None and again.at > now:
        put_nudges(connection, [attrs.evolve(look.nudge, not_before=again.at)])
        again = None
    if again is None:
        gone = connection.execute(delete(JOB).where(*this, JOB.c.version == look.version)).rowcount
        if gone:
            return
    back = {"place": next_place(), "failures": 0, "due_at": None}
    connection.execute(update(JOB).where(*this).values(back))


def backoff(failures: int) -> timedelta:
    """Longer from failure to failure, and never the same for two groups."""
    longest = min(FIRST_BACKOFF * (1 << min(failures, 20)), LONGEST_BACKOFF)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing


def claim_schedule(connection: Connection, schedule: _Schedule, now: datetime) -> bool:
    """Whether this run of the schedule is ours; of several replicas one gets it."""
    following = now + schedule.interval
    connection.execute(
        insert_into(connection, JOB_SCHEDULE).values(name=schedule.name, next_at=now).on_conflict_do_nothing()
    )
    is_ours = connection.execute(
        update(JOB_SCHEDULE)
        .where(
            JOB_SCHEDULE.c.name == schedule.name,
            or_(JOB_SCHEDULE.c.next_at <= now, JOB_SCHEDULE.c.next_at > following),
        )
        .values(next_at=following)
    ).rowcount
    statement = select(JOB_SCHEDULE.c.next_at).where(JOB_SCHEDULE.c.name == schedule.name)
    schedule.next_at = connection.execute(statement).scalar_one()
    return is_ours == 1
