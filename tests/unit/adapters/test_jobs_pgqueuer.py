"""Jobs over pgqueuer beyond the promises of all jobs: races, killed workers, a fallen database."""

import asyncio
import itertools
import os
import random
import signal
import socket
import statistics
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta

import asyncpg  # type: ignore[import-untyped]
import attrs
import pytest

from moorage_adapters.cipher import Keyring
from moorage_adapters.clock import SystemClock
from moorage_adapters.jobs_pgqueuer import DEAD_AFTER, PgQueuerJobs
from moorage_adapters.pgqueuer_line import IN_FRONT, queue_settings
from moorage_adapters.sqlmodel import migrate
from moorage_adapters.sqlmodel.postgres import PostgresDatabase
from moorage_adapters.sqlmodel.storage import SqlStorage
from moorage_ports.jobs import LookAgain, Nudge
from tests.support.postgres import running_cluster

pytestmark = pytest.mark.postgres

QUEUE = "work"
Looks = Callable[[Nudge], Awaitable[LookAgain | None]]


@attrs.define
class Line:
    """A database with a line in it, and what tests do there."""

    url: str
    storage: SqlStorage

    def jobs(self, look: Looks | None = None, *, concurrency: int = 8) -> PgQueuerJobs:
        """A worker of its own."""
        assert isinstance(self.storage.database, PostgresDatabase)
        made = PgQueuerJobs(self.storage.database, self.url, SystemClock())
        if look is not None:
            made.handle(QUEUE, look, concurrency=concurrency)
        return made

    async def nudge(self, *groups: str, at: datetime | None = None, org_id: str = "acme") -> None:
        """Nudge groups in one transaction."""
        async with self.storage.unit_of_work(org_id) as uow:
            await uow.jobs.nudge(
                *(Nudge(queue=QUEUE, group=group, org_id=org_id, not_before=at) for group in groups)
            )

    async def fetch(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        """What a superuser sees."""
        connection = await asyncpg.connect(self.url)
        try:
            rows: list[asyncpg.Record] = await connection.fetch(query, *arguments)
            return rows
        finally:
            await connection.close()

    async def waiting(self) -> list[str]:
        """The keys in line or being looked at, schedules apart."""
        rows = await self.fetch(
            "SELECT dedupe_key FROM jobs.pgqueuer WHERE entrypoint NOT LIKE 'every %' ORDER BY id"
        )
        return [row["dedupe_key"] for row in rows]

    async def nothing_left(self) -> None:
        """Wait until the line is empty."""
        async with asyncio.timeout(10):
            while await self.waiting():  # noqa: ASYNC110 - what it waits for has no event
                await asyncio.sleep(0.02)


@asynccontextmanager
async def opened(url: str, keyring: Keyring) -> AsyncIterator[Line]:
    storage = await SqlStorage.open(url, keyring, SystemClock())
    try:
        yield Line(url, storage)
    finally:
        await storage.aclose()


@pytest.fixture
async def line(postgres_url: str, keyring: Keyring) -> AsyncIterator[Line]:
    async with opened(postgres_url, keyring) as made:
        yield made


@asynccontextmanager
async def running(*jobs: PgQueuerJobs) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(one.run()) for one in jobs]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError):
                await task


async def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what it waits for has no event
            await asyncio.sleep(0.002)


# Nothing is lost, nothing overlaps, nobody waits for others ----------------------------------


@pytest.mark.slow
async def test_of_ten_thousand_nudges_racing_with_ending_looks_of_two_workers_none_is_lost(
    line: Line,
) -> None:
    """Each nudge stands for work; when nothing is in line any more, all of the work must have been seen."""
    groups = [f"g{number}" for number in range(8)]
    told, seen = dict.fromkeys(groups, 0), dict.fromkeys(groups, 0)
    inside: set[str] = set()
    looks = 0

    async def look(one: Nudge) -> None:
        nonlocal looks
        assert one.group not in inside, "one look per group at a time, over all workers"
        inside.add(one.group)
        found = told[one.group]
        for _ in range(random.randrange(4)):
            await asyncio.sleep(0)
        seen[one.group] = max(seen[one.group], found)
        looks += 1
        inside.discard(one.group)

    async def nudger(number: int) -> None:
        for _ in range(1250):
            group = random.choice(groups)
            told[group] += 1
            await line.nudge(group, org_id=f"org-{number}")

    async with running(line.jobs(look), line.jobs(look)):
        await asyncio.gather(*(nudger(number) for number in range(8)))
        await until(lambda: seen == told)
        await line.nothing_left()
    assert looks > 100


async def test_an_org_with_a_long_backlog_does_not_delay_anothers_single_item(line: Line) -> None:
    waits: list[float] = []
    nudged: dict[str, float] = {}

    async def look(one: Nudge) -> LookAgain | None:
        if one.group == "backlog":
            await asyncio.sleep(0.02)
            return LookAgain()
        waits.append(time.monotonic() - nudged[one.group])
        return None

    await line.nudge("backlog")
    async with running(line.jobs(look, concurrency=1)):
        for number in range(20):
            nudged[f"single {number}"] = time.monotonic()
            await line.nudge(f"single {number}", org_id="globex")
            await asyncio.sleep(0.03)
        await until(lambda: len(waits) == 20)
    assert statistics.median(waits) < 0.3, "it waits for one look of the other, not for all of them"
    assert max(waits) < 2


async def test_a_nudge_is_seen_right_after_its_commit(line: Line) -> None:
    waits: list[float] = []
    begun = 0.0

    async def look(_: Nudge) -> None:
        waits.append(time.monotonic() - begun)

    async with running(line.jobs(look)):
        for number in range(30):
            await asyncio.sleep(0.01)
            begun = time.monotonic()
            await line.nudge(f"g{number}")
            await until(lambda: len(waits) == number + 1)  # noqa: B023
    assert statistics.median(waits) < 0.3, "a poll would take half a second; alone it takes 4 ms"


async def test_a_transaction_that_stays_open_after_nudging_holds_up_nobody_else(line: Line) -> None:
    """Neither other groups of the worker whose look it nudged, nor that look's heart; and it counts."""
    seen: list[str] = []
    go_on = asyncio.Event()

    async def look(one: Nudge) -> None:
        seen.append(one.group)
        if one.group == "nudged" and len(seen) == 1:
            await go_on.wait()

    async with running(line.jobs(look, concurrency=2)):
        await line.nudge("nudged")
        await until(lambda: seen == ["nudged"])
        slow = await asyncpg.connect(line.url)
        async with slow.transaction():
            await slow.execute(
                "UPDATE jobs.pgqueuer SET headers = jsonb_set(headers, '{nudges}', '2')"
                " WHERE dedupe_key = 'work:nudged'"
            )
            go_on.set()
            for number in range(10):
                begun = time.monotonic()
                await line.nudge(f"g{number}")
                await until(lambda: seen[-1] == f"g{number}")  # noqa: B023
                assert time.monotonic() - begun < 0.5
            await asyncio.sleep(DEAD_AFTER.total_seconds() + 0.5)
            assert seen.count("nudged") == 1
        await slow.close()
        await until(lambda: seen.count("nudged") == 2)
        await line.nothing_left()


async def test_a_look_that_was_taken_over_leaves_the_row_to_its_new_owner(line: Line) -> None:
    """Whoever stood still for too long must not end what another one does by now."""
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def look(_: Nudge) -> None:
        entered.set()
        await go_on.wait()

    jobs = line.jobs(look)
    async with running(jobs):
        await line.nudge("group")
        await asyncio.wait_for(entered.wait(), 5)
        await line.fetch(
            "UPDATE jobs.pgqueuer SET queue_manager_id = gen_random_uuid(), heartbeat = now() + '1h'"
        )
        go_on.set()
        await asyncio.wait_for(jobs.drain(), 5)
        assert await line.waiting() == ["work:group"]


# Waiting -------------------------------------------------------------------------------------


async def test_each_moment_that_was_asked_for_gets_its_look(line: Line) -> None:
    """A nudge for now does not swallow one for later, nor a later one the one before."""
    looks: list[datetime] = []

    async def look(_: Nudge) -> None:
        looks.append(datetime.now(UTC))

    begun = datetime.now(UTC)
    moments = [begun + timedelta(seconds=0.3 * number) for number in (1, 2, 3)]
    async with running(line.jobs(look)):
        for moment in reversed(moments):
            await line.nudge("group", at=moment)
        await line.nudge("group")
        await until(lambda: len(looks) == 4)
        await line.nothing_left()
    assert looks[0] < moments[0]
    for looked_at, moment in zip(looks[1:], moments, strict=True):
        assert moment <= looked_at < moment + timedelta(seconds=0.25)


async def test_a_group_that_keeps_failing_waits_longer_and_longer_even_if_it_is_nudged(line: Line) -> None:
    looks: list[float] = []

    async def look(_: Nudge) -> None:
        looks.append(time.monotonic())
        if len(looks) < 4:
            raise LookupError

    async with running(line.jobs(look)):
        await line.nudge("group")
        while len(looks) < 4:
            await line.nudge("group")
            await asyncio.sleep(0.02)
        await line.nothing_left()
    assert looks[1] - looks[0] >= 0.25
    assert looks[3] - looks[2] >= 1.0


# Schedules -----------------------------------------------------------------------------------


async def test_a_schedule_runs_once_per_interval_over_all_replicas(line: Line) -> None:
    ticks: list[float] = []

    async def tick() -> None:
        ticks.append(time.monotonic())
        if len(ticks) == 3:
            raise LookupError  # and goes on all the same

    replicas = [line.jobs() for _ in range(3)]
    for one in replicas:
        one.every("tick", timedelta(seconds=0.3), tick)
    async with running(*replicas):
        await until(lambda: len(ticks) == 6)
    gaps = [later - earlier for earlier, later in itertools.pairwise(ticks)]
    assert min(gaps) > 0.25
    assert max(gaps) < 0.6


async def test_a_schedule_remembers_across_a_restart_and_follows_a_shorter_interval(line: Line) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        ticks += 1

    for interval, expected in ((60, 1), (60, 1), (0.2, 2)):
        jobs = line.jobs()
        jobs.every("tick", timedelta(seconds=interval), tick)
        async with running(jobs):
            await asyncio.sleep(0.5)
        assert (ticks >= expected) if interval < 1 else (ticks == expected)


async def test_the_log_is_pruned(line: Line) -> None:
    """pgqueuer writes a line per claim and never deletes one."""
    await line.fetch(
        "INSERT INTO jobs.pgqueuer_log (created, job_id, status, priority, entrypoint)"
        " VALUES (now() - interval '2 hours', -1, 'picked', 0, 'work')"
    )
    async with running(line.jobs()), asyncio.timeout(5):
        while await line.fetch("SELECT FROM jobs.pgqueuer_log WHERE job_id = -1"):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


# Stopping, dying, falling over ---------------------------------------------------------------


async def test_a_worker_that_stops_hands_its_groups_over_at_once(line: Line) -> None:
    entered = asyncio.Event()

    async def hang(_: Nudge) -> None:
        entered.set()
        await asyncio.sleep(60)

    seen = asyncio.Event()

    async def look(_: Nudge) -> None:
        seen.set()

    async with running(line.jobs(hang)):
        await line.nudge("group")
        await asyncio.wait_for(entered.wait(), 5)
    async with running(line.jobs(look)):
        await asyncio.wait_for(seen.wait(), 1.5)


async def test_paused_is_paused_for_every_replica_and_resuming_wakes_them(line: Line) -> None:
    seen: list[str] = []

    async def look(one: Nudge) -> None:
        seen.append(one.group)

    async with running(line.jobs(look), line.jobs(look)):
        await line.jobs().pause(QUEUE)
        await line.jobs().pause(QUEUE)  # twice is no error
        await line.nudge("group")
        await asyncio.sleep(1.2)
        assert seen == []
        resumed_at = time.monotonic()
        await line.jobs().resume(QUEUE)
        await until(lambda: seen == ["group"])
        assert time.monotonic() - resumed_at < 0.5


@attrs.define
class WorkerProcess:
    """`tests.support.jobs_worker` as a process, and what it said."""

    process: asyncio.subprocess.Process
    said: list[str] = attrs.field(factory=list)

    @classmethod
    async def start(cls, url: str, seconds: float) -> "WorkerProcess":
        self = cls(
            await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "tests.support.jobs_worker",
                url,
                str(seconds),
                stdout=asyncio.subprocess.PIPE,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        )
        reading = asyncio.create_task(self._read())
        await until(lambda: "ready" in self.said or reading.done(), seconds=20)
        return self

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for text in self.process.stdout:
            self.said.append(text.decode().strip())

    def groups(self, what: str) -> list[str]:
        """The groups that it said this about."""
        return [text.removeprefix(what).strip() for text in self.said if text.startswith(what)]

    async def kill(self) -> None:
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGKILL)
        await self.process.wait()


@pytest.mark.slow
async def test_the_groups_of_a_killed_worker_are_taken_over_within_seconds(line: Line) -> None:
    """Two processes, one dies with `kill -9` in the middle of its looks."""
    doomed = await WorkerProcess.start(line.url, 60)
    try:
        await line.nudge(*(f"g{number}" for number in range(8)))
        await until(lambda: len(doomed.groups("begun")) == 8)
        heir = await WorkerProcess.start(line.url, 0.05)
        try:
            await asyncio.sleep(DEAD_AFTER.total_seconds() + 1.5)
            assert heir.groups("begun") == [], "nobody takes what a living worker works on"
            await doomed.kill()
            await until(lambda: len(heir.groups("done")) == 8, seconds=5)
            await line.nothing_left()
        finally:
            await heir.kill()
    finally:
        await doomed.kill()
    assert set(Counter(heir.groups("done")).values()) == {1}


@pytest.mark.slow
async def test_work_goes_on_when_the_database_has_fallen_over_and_come_back(keyring: Keyring) -> None:
    """What was being looked at is finished once, what waited is looked at, new nudges arrive."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with running_cluster(port) as cluster:
        if cluster.data is None:
            pytest.skip("this PostgreSQL is not ours to restart")
        url = f"{cluster.url}/postgres"
        await migrate.upgrade(url)
        async with opened(url, keyring) as line:
            await _fallen_over(line, cluster.restart_immediately)


async def _fallen_over(line: Line, restart: Callable[[], None]) -> None:
    begun: list[str] = []
    done: list[str] = []

    async def look(one: Nudge) -> None:
        assert begun.count(one.group) == done.count(one.group), "one look per group at a time"
        begun.append(one.group)
        await asyncio.sleep(2 if one.group.startswith("early") else 0)
        done.append(one.group)

    early = [f"early {number}" for number in range(4)]
    late = [f"late {number}" for number in range(50)]
    async with running(line.jobs(look, concurrency=4)):
        await line.nudge(*early)
        await until(lambda: len(begun) == 4)
        await line.nudge(*late)
        await asyncio.sleep(1)  # a claim that the crash forgets is a look more: let it reach the disk
        await asyncio.to_thread(restart)
        restarted_at = time.monotonic()
        await until(lambda: set(early + late) <= set(done), seconds=10)
        assert time.monotonic() - restarted_at < 5
        await line.nudge("new")
        await until(lambda: "new" in done)
        await line.nothing_left()
    assert sorted(done) == sorted([*early, *late, "new"]), "looks outlive the connection, and are released"


async def test_jobs_wait_for_a_database_that_is_not_there_yet(line: Line) -> None:
    seen = asyncio.Event()

    async def look(_: Nudge) -> None:
        seen.set()

    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        assert isinstance(line.storage.database, PostgresDatabase)
        jobs = PgQueuerJobs(
            line.storage.database, f"postgresql://x@127.0.0.1:{nobody.getsockname()[1]}/x", SystemClock()
        )
    jobs.handle(QUEUE, look)
    async with running(jobs):
        await asyncio.sleep(0.5)
        await asyncio.wait_for(jobs.drain(), 1)
    assert not seen.is_set()


# What lies in the tables ---------------------------------------------------------------------


async def test_a_row_holds_the_group_and_its_org_and_nothing_else(line: Line) -> None:
    await line.nudge("acme:3", at=datetime.now(UTC) + timedelta(hours=1))
    await line.nudge("acme:3")
    rows = await line.fetch("SELECT entrypoint, payload, headers FROM jobs.pgqueuer ORDER BY id")
    assert [row["entrypoint"] for row in rows] == ["later", "work"]
    for row in rows:
        assert row["payload"] == b"acme:3"
        assert row["headers"] == '{"org": "acme", "queue": "work", "nudges": 1}'


async def test_nudges_of_one_unit_of_work_are_one_row_per_group(line: Line) -> None:
    """Also if the same group is nudged again and again, in whatever order."""
    async with line.storage.unit_of_work("acme") as uow:
        for group in ("b", "a", "b", "a\0"):
            await uow.jobs.nudge(Nudge(queue=QUEUE, group=group, org_id="acme"))
    assert sorted(await line.waiting()) == sorted({"work:a", "work:b", *(await line.waiting())})
    assert len(await line.waiting()) == 3


async def test_two_units_of_work_that_nudge_in_opposite_order_do_not_deadlock(line: Line) -> None:
    async def nudge(org_id: str, *groups: str) -> None:
        for _ in range(50):
            async with line.storage.unit_of_work(org_id) as uow:
                for group in groups:
                    await uow.jobs.nudge(Nudge(queue=QUEUE, group=group, org_id=org_id))

    await asyncio.gather(nudge("acme", "a", "b", "c"), nudge("globex", "c", "b", "a"))
    assert sorted(await line.waiting()) == ["work:a", "work:b", "work:c"]


def test_the_environment_does_not_rename_the_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """pgqueuer reads variables with everyday names; ours are settled."""
    plain = queue_settings()
    for name in (
        "PGQUEUER_PREFIX",
        "PGQUEUER_SCHEMA",
        "QUEUE_TABLE",
        "CHANNEL",
        "FUNCTION",
        "TRIGGER",
        "DURABILITY",
    ):
        monkeypatch.setenv(name, "volatile")
    assert queue_settings() == plain


async def test_the_schema_is_what_the_installed_pgqueuer_expects(line: Line) -> None:
    """But for the trigger, which tells of new rows only."""
    from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
    from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment
    from pgqueuer.adapters.persistence.queries import Queries

    connection = await asyncpg.connect(line.url)
    settings = queue_settings()
    plan = await Queries(AsyncpgDriver(connection), QueryBuilderEnvironment(settings)).plan_upgrade()
    await connection.close()
    assert all("tg_pgqueuer_changed" in statement for statement in plan.statements), plan.statements


async def test_a_second_handler_or_schedule_of_one_name_is_a_mistake(line: Line) -> None:
    async def look(_: Nudge) -> None:
        """Nothing."""

    async def tick() -> None:
        """Nothing."""

    jobs = line.jobs(look)
    jobs.every("tick", timedelta(1), tick)
    with pytest.raises(ValueError, match="already"):
        jobs.handle(QUEUE, look)
    with pytest.raises(ValueError, match="already"):
        jobs.every("tick", timedelta(1), tick)
    with pytest.raises(ValueError, match="colon"):
        jobs.handle("a:b", look)


async def test_as_many_go_to_the_front_as_there_is_room_for_whatever_the_plan(line: Line) -> None:
    """What a planner finds cheap changes with its statistics; by a nested loop, all of an org once went."""
    await line.nudge(*(f"acme {n}" for n in range(15)))
    await line.nudge(*(f"initech {n}" for n in range(15)), org_id="initech")
    connection = await asyncpg.connect(line.url)
    try:
        for way in ("hashjoin", "mergejoin", "hashagg", "sort", "material", "bitmapscan", "incremental_sort"):
            await connection.execute(f"SET enable_{way} = off")
        assert await connection.execute(IN_FRONT, QUEUE, ["acme"], 2) == "UPDATE 2"
    finally:
        await connection.close()
