"""The embedded jobs beyond the promises of all jobs: ten thousand races, fairness, back-off, clocks."""

import asyncio
import itertools
import random
import statistics
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from moorage_adapters.clock import FixedClock, SystemClock
from moorage_adapters.jobs import FIRST_BACKOFF, LONGEST_BACKOFF, EmbeddedJobs, backoff
from moorage_adapters.sqlmodel.storage import SqlStorage
from moorage_adapters.sqlmodel.tables import JOB, JOB_TIMER
from moorage_ports.errors import UnavailableError
from moorage_ports.inbox import ItemState, Settlement
from moorage_ports.jobs import LookAgain, Nudge
from tests.unit.adapters.conftest import NOON, Opener
from tests.unit.adapters.things import arrival, change, connect


@pytest.fixture
def database_kind() -> str:
    """Only the jobs of one process live in SQLite; pgqueuer's have tests of their own."""
    return "sqlite"


QUEUE = "work"


@asynccontextmanager
async def running(*jobs: EmbeddedJobs) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(one.run()) for one in jobs]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def nudge(storage: SqlStorage, group: str, *, at: datetime | None = None, queue: str = QUEUE) -> None:
    async with storage.unit_of_work("a") as uow:
        await uow.jobs.nudge(Nudge(queue=queue, group=group, org_id="a", not_before=at))


async def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what it waits for has no event
            await asyncio.sleep(0.002)


async def _left(storage: SqlStorage) -> int:
    def work(connection: sa.Connection) -> int:
        return sum(
            int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())
            for table in (JOB, JOB_TIMER)
        )

    return await storage.database.read_at_once(work)


async def _nothing_left(storage: SqlStorage) -> None:
    async with asyncio.timeout(10):
        while await _left(storage):  # noqa: ASYNC110 - what it waits for has no event
            await asyncio.sleep(0.02)


@pytest.mark.slow
async def test_of_ten_thousand_nudges_racing_with_ending_looks_none_is_lost(storage: SqlStorage) -> None:
    """Each nudge stands for work; when nothing is in line any more, all of the work must have been seen."""
    groups = [f"g{number}" for number in range(8)]
    told, seen = dict.fromkeys(groups, 0), dict.fromkeys(groups, 0)
    inside: set[str] = set()
    looks = 0

    async def look(one: Nudge) -> None:
        nonlocal looks
        assert one.group not in inside, "one look per group at a time"
        inside.add(one.group)
        found = told[one.group]
        for _ in range(random.randrange(4)):
            await asyncio.sleep(0)
        seen[one.group] = max(seen[one.group], found)
        looks += 1
        inside.discard(one.group)

    async def nudger(count: int) -> None:
        for _ in range(count):
            group = random.choice(groups)
            told[group] += 1
            await nudge(storage, group)

    jobs = EmbeddedJobs(storage, SystemClock())
    jobs.handle(QUEUE, look, concurrency=8)
    async with running(jobs):
        await asyncio.gather(*(nudger(625) for _ in range(16)))
        await until(lambda: seen == told, seconds=60)
        await _nothing_left(storage)
    assert looks > 100


async def test_an_org_with_a_long_backlog_does_not_delay_anothers_single_item(storage: SqlStorage) -> None:
    waits: list[float] = []
    nudged: dict[str, float] = {}

    async def look(one: Nudge) -> LookAgain | None:
        if one.group == "backlog":
            await asyncio.sleep(0.02)
            return LookAgain()
        waits.append(time.monotonic() - nudged[one.group])
        return None

    jobs = EmbeddedJobs(storage, SystemClock())
    jobs.handle(QUEUE, look, concurrency=1)
    await nudge(storage, "backlog")
    async with running(jobs):
        for number in range(20):
            nudged[f"single {number}"] = time.monotonic()
            await nudge(storage, f"single {number}")
            await asyncio.sleep(0.03)
        await until(lambda: len(waits) == 20)
    assert statistics.median(waits) < 0.5
    assert max(waits) < 1


async def test_a_nudge_is_seen_right_after_its_commit(storage: SqlStorage) -> None:
    waits: list[float] = []
    begun = 0.0

    async def look(_: Nudge) -> None:
        waits.append(time.monotonic() - begun)

    jobs = EmbeddedJobs(storage, SystemClock())
    jobs.handle(QUEUE, look)
    async with running(jobs):
        for number in range(30):
            await asyncio.sleep(0.01)
            begun = time.monotonic()
            await nudge(storage, f"g{number}")
            await until(lambda: len(waits) == number + 1)  # noqa: B023
    assert statistics.median(waits) < 0.25, "a poll would take half a second"


async def test_a_nudge_of_another_process_is_found_within_the_poll(
    storage: SqlStorage, open_storage: Opener, place: Path
) -> None:
    seen: list[str] = []

    async def look(one: Nudge) -> None:
        seen.append(one.group)

    other = await open_storage(place)  # its bell is not ours
    jobs = EmbeddedJobs(storage, SystemClock())
    jobs.handle(QUEUE, look)
    async with running(jobs):
        await asyncio.sleep(0.05)
        await nudge(other, "from afar")
        await until(lambda: seen == ["from afar"], seconds=3)


async def test_delays_follow_the_clock_and_each_delayed_nudge_gets_its_look(
    storage: SqlStorage, clock: FixedClock
) -> None:
    looks: list[datetime] = []

    async def look(_: Nudge) -> None:
        looks.append(clock.now())

    jobs = EmbeddedJobs(storage, clock)
    jobs.handle(QUEUE, look)
    for minutes in (10, 20, 30):
        await nudge(storage, "g", at=NOON + timedelta(minutes=minutes))
    async with running(jobs):
        await nudge(storage, "g")
        await until(lambda: len(looks) == 1)
        for number in range(2, 5):
            clock.advance(timedelta(minutes=10))
            await until(lambda: len(looks) == number)  # noqa: B023
        await _nothing_left(storage)
    assert looks == [NOON + timedelta(minutes=minutes) for minutes in (0, 10, 20, 30)]


async def test_a_group_that_keeps_failing_waits_longer_and_longer_and_recovers(
    storage: SqlStorage, clock: FixedClock
) -> None:
    looks: list[datetime] = []

    async def look(_: Nudge) -> None:
        looks.append(clock.now())
        if len(looks) < 5:
            raise LookupError

    jobs = EmbeddedJobs(storage, clock)
    jobs.handle(QUEUE, look)
    async with running(jobs):
        await nudge(storage, "g")
        async with asyncio.timeout(20):
            while len(looks) < 5:
                await asyncio.sleep(0.01)
                clock.advance(timedelta(milliseconds=100))
        await _nothing_left(storage)
    gaps = [later - earlier for earlier, later in itertools.pairwise(looks)]
    assert gaps[0] >= FIRST_BACKOFF / 2
    assert gaps[-1] >= 4 * FIRST_BACKOFF


def test_the_backoff_grows_and_is_bounded() -> None:
    for failures in range(200):
        wait = backoff(failures)
        assert FIRST_BACKOFF / 2 <= wait <= LONGEST_BACKOFF
    assert backoff(50) >= LONGEST_BACKOFF / 2


async def test_a_schedule_runs_once_per_interval_over_all_replicas_and_catches_up_once(
    storage: SqlStorage, clock: FixedClock
) -> None:
    runs: list[datetime] = []

    async def tick() -> None:
        runs.append(clock.now())

    replicas = [EmbeddedJobs(storage, clock) for _ in range(3)]
    for one in replicas:
        one.every("tick", timedelta(minutes=1), tick)
    async with running(*replicas):
        await until(lambda: len(runs) == 1)
        for number in range(2, 6):
            clock.advance(timedelta(minutes=1))
            await until(lambda: len(runs) == number)  # noqa: B023
            await asyncio.sleep(0.05)
            assert len(runs) == number
        clock.advance(timedelta(hours=3))
        await until(lambda: len(runs) == 6)
        await asyncio.sleep(0.1)
        assert len(runs) == 6, "what was missed is not run a hundred times"
        clock.advance(timedelta(minutes=1))
        await until(lambda: len(runs) == 7)


async def test_a_schedule_remembers_across_a_restart_and_survives_a_clock_set_back(
    storage: SqlStorage, clock: FixedClock
) -> None:
    runs = 0

    async def tick() -> None:
        nonlocal runs
        runs += 1

    for expected, passed in ((1, 0), (1, 30), (2, 30), (3, -3000)):
        clock.advance(timedelta(seconds=passed))
        jobs = EmbeddedJobs(storage, clock)
        jobs.every("tick", timedelta(minutes=1), tick)
        async with running(jobs):
            await asyncio.sleep(0.1)
        assert runs == expected


async def test_a_failing_or_slow_schedule_stops_nothing(storage: SqlStorage, clock: FixedClock) -> None:
    failed = slow = 0

    async def fail() -> None:
        nonlocal failed
        failed += 1
        raise LookupError

    async def hang() -> None:
        nonlocal slow
        slow += 1
        await asyncio.sleep(60)

    jobs = EmbeddedJobs(storage, clock)
    jobs.every("fails", timedelta(minutes=1), fail)
    jobs.every("hangs", timedelta(minutes=1), hang)
    async with running(jobs):
        for expected in (1, 2, 3):
            await until(lambda: failed == expected)  # noqa: B023
            clock.advance(timedelta(minutes=1))
    assert slow == 1, "it does not overlap with itself"


async def test_paused_means_paused_for_every_replica_and_after_a_restart(storage: SqlStorage) -> None:
    seen: list[str] = []

    async def look(one: Nudge) -> None:
        seen.append(one.group)

    first = EmbeddedJobs(storage, SystemClock())
    await first.pause(QUEUE)
    await first.pause(QUEUE)  # twice is no error
    await nudge(storage, "g")
    second = EmbeddedJobs(storage, SystemClock())
    second.handle(QUEUE, look)
    async with running(second):
        await asyncio.sleep(0.1)
        assert seen == []
        await second.resume(QUEUE)
        await until(lambda: seen == ["g"])


async def test_the_runner_outlives_a_database_that_is_out_of_reach(
    storage: SqlStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    async def look(one: Nudge) -> None:
        seen.append(one.group)

    jobs = EmbeddedJobs(storage, SystemClock())
    jobs.handle(QUEUE, look)
    plain = storage.database.write_at_once
    failures = 3

    async def failing(work: Callable[[sa.Connection], object], *, hot: bool = False) -> object:
        nonlocal failures
        if failures:
            failures -= 1
            raise UnavailableError("down")
        return await plain(work, hot=hot)

    monkeypatch.setattr(storage.database, "write_at_once", failing)
    async with running(jobs):
        await nudge(storage, "g")
        await until(lambda: seen == ["g"])
        await _nothing_left(storage)
    assert seen == ["g"], "what was done is recorded once the database is back, not done again"


async def test_a_nudge_for_another_org_is_refused(storage: SqlStorage) -> None:
    with pytest.raises(ValueError, match="own org"):
        async with storage.unit_of_work("a") as uow:
            await uow.jobs.nudge(Nudge(queue=QUEUE, group="b:1", org_id="b"))


async def test_a_second_handler_or_schedule_of_one_name_is_a_mistake(storage: SqlStorage) -> None:
    async def look(_: Nudge) -> None:
        """Nothing."""

    async def tick() -> None:
        """Nothing."""

    jobs = EmbeddedJobs(storage, SystemClock())
    jobs.handle(QUEUE, look)
    jobs.every("tick", timedelta(1), tick)
    with pytest.raises(ValueError, match="already"):
        jobs.handle(QUEUE, look)
    with pytest.raises(ValueError, match="already"):
        jobs.every("tick", timedelta(1), tick)


@pytest.mark.slow
async def test_deliveries_that_keep_coming_while_workers_work_are_all_done_in_order(
    storage: SqlStorage,
) -> None:
    """Intake, nudges and claims together: every partition in order, nothing twice, nothing left."""
    await connect(storage, "a", "page-1")
    clock = SystemClock()
    done: dict[str, list[int]] = {}

    async def look(one: Nudge) -> LookAgain | None:
        bucket = int(one.group.rpartition(":")[2])
        async with storage.unit_of_work("a") as uow:
            items = await uow.inbox.claim(bucket, limit=16, now=clock.now())
        async with storage.unit_of_work("a") as uow:
            settlements = [Settlement(item=item, state=ItemState.DONE) for item in items]
            assert all(await uow.inbox.settle(settlements, now=clock.now()))
        for item in items:
            done.setdefault(item.partition, []).append(int(item.body))
        return LookAgain() if len(items) == 16 else None

    jobs = EmbeddedJobs(storage, clock)
    jobs.handle("inbox", look)

    async def send(partition: str) -> None:
        for number in range(100):
            one = change(f"{partition}/{number}", partition=partition, body=str(number).encode())
            await storage.intake.keep(arrival(one, at=clock.now()))

    async with running(jobs):
        await asyncio.gather(*(send(f"p{number}") for number in range(20)))
        await until(lambda: sum(map(len, done.values())) == 2000, seconds=30)
    assert all(numbers == list(range(100)) for numbers in done.values())
    assert await storage.backlog.oldest_pending_at() is None
