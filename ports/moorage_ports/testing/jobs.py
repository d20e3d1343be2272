"""What every `Jobs` promises: a nudge may cost time, never work, and nobody stands in front of everybody."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Final

import attrs
import pytest

from moorage_ports.jobs import Jobs, LookAgain, Nudge
from moorage_ports.storage import Storage
from moorage_ports.testing.contract import Contract

QUEUE: Final = "inbox"
PATIENCE: Final = 10.0  # seconds; far more than anything here takes
A_MOMENT: Final = 0.3
RACED: Final = 300


@attrs.define
class Recorder:
    """A handler that remembers what it was called for, and how many at once."""

    work: Callable[[Nudge], Awaitable[LookAgain | None]] | None = None
    seen: list[str] = attrs.field(factory=list)
    running: dict[str, int] = attrs.field(factory=dict)
    overlaps: int = 0

    async def __call__(self, nudge: Nudge) -> LookAgain | None:
        """Work on a group."""
        self.overlaps += bool(self.running.get(nudge.group))
        self.running[nudge.group] = self.running.get(nudge.group, 0) + 1
        self.seen.append(nudge.group)
        try:
            return await self.work(nudge) if self.work else None
        finally:
            self.running[nudge.group] -= 1


async def nudge(
    storage: Storage,
    *groups: str,
    org_id: str = "acme",
    queue: str = QUEUE,
    not_before: datetime | None = None,
) -> None:
    """Nudge groups in one unit of work."""
    async with storage.unit_of_work(org_id) as work:
        await work.jobs.nudge(
            *(Nudge(queue=queue, group=group, org_id=org_id, not_before=not_before) for group in groups)
        )


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something to become true.

    Raises:
        TimeoutError: It did not, for long.
    """
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - what it waits for has no event
            await asyncio.sleep(0.005)


@asynccontextmanager
async def at_work(jobs: Jobs) -> AsyncIterator[None]:
    """Have jobs done meanwhile."""
    running = asyncio.create_task(jobs.run())
    try:
        yield
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


class JobsContract(Contract):
    """Subclass as `Test<Adapter>`; provide `storage`, `jobs` and `another_jobs`, which makes more of them.

    The storage is empty, the jobs over it do not run yet, and their clock is the real one.
    """

    async def test_a_nudge_leads_to_a_look(self, storage: Storage, jobs: Jobs) -> None:
        """Also one that was there before anybody worked: starting is recovery."""
        handler = Recorder()
        jobs.handle(QUEUE, handler)
        await nudge(storage, "before")

        async with at_work(jobs):
            await nudge(storage, "after")
            await until(lambda: sorted(handler.seen) == ["after", "before"])

    async def test_a_nudge_belongs_to_its_transaction(self, storage: Storage, jobs: Jobs) -> None:
        """Rolled back, it was never there; and nobody looks before the commit."""
        handler = Recorder()
        jobs.handle(QUEUE, handler)

        async with at_work(jobs):
            with suppress(LookupError):
                async with storage.unit_of_work("acme") as work:
                    await work.jobs.nudge(Nudge(queue=QUEUE, group="never", org_id="acme"))
                    raise LookupError
            async with storage.unit_of_work("acme") as work:
                await work.jobs.nudge(Nudge(queue=QUEUE, group="late", org_id="acme"))
                await asyncio.sleep(A_MOMENT)
                assert handler.seen == []
            await until(lambda: handler.seen == ["late"])

    async def test_nudges_that_wait_are_one(self, storage: Storage, jobs: Jobs) -> None:
        """A thousand changes of one group are one look, not a thousand."""
        handler = Recorder()
        jobs.handle(QUEUE, handler)
        for _ in range(10):
            await nudge(storage, "group")

        async with at_work(jobs):
            await nudge(storage, "last")
            await until(lambda: "last" in handler.seen)

        assert handler.seen.count("group") == 1

    async def test_a_nudge_while_it_runs_makes_it_run_again(self, storage: Storage, jobs: Jobs) -> None:
        """The look that is under way may be past the new work already."""
        entered, go_on = asyncio.Event(), asyncio.Event()

        async def wait(_: Nudge) -> None:
            entered.set()
            await go_on.wait()

        handler = Recorder(wait)
        jobs.handle(QUEUE, handler)
        async with at_work(jobs):
            await nudge(storage, "group")
            await asyncio.wait_for(entered.wait(), PATIENCE)
            await nudge(storage, "group")
            go_on.set()
            await until(lambda: len(handler.seen) == 2)

        assert handler.overlaps == 0

    async def test_no_wake_up_is_lost(self, storage: Storage, jobs: Jobs) -> None:
        """However a nudge races with the end of the look before it, what it is about gets looked at."""
        told = looked_at = 0

        async def look(_: Nudge) -> None:
            nonlocal looked_at
            seen = told
            await asyncio.sleep(0)
            looked_at = max(looked_at, seen)

        handler = Recorder(look)
        jobs.handle(QUEUE, handler)
        async with at_work(jobs):
            for number in range(1, RACED + 1):
                told = number
                await nudge(storage, "group")
                if number % 7 == 0:
                    await asyncio.sleep(0.001 * (number % 3))
            await until(lambda: looked_at == RACED)

        assert handler.overlaps == 0

    async def test_a_group_is_one_workers_at_a_time(self, storage: Storage, jobs: Jobs) -> None:
        """Different groups run side by side, up to the limit."""
        most = 0

        async def work(_: Nudge) -> None:
            nonlocal most
            most = max(most, sum(handler.running.values()))
            await asyncio.sleep(0.02)

        handler = Recorder(work)
        jobs.handle(QUEUE, handler, concurrency=3)
        async with at_work(jobs):
            for _ in range(5):
                await nudge(storage, *(f"g{n}" for n in range(6)))
                await asyncio.sleep(0.01)
            await until(
                lambda: {f"g{n}" for n in range(6)} <= set(handler.seen) and not any(handler.running.values())
            )

        assert handler.overlaps == 0
        assert 1 < most <= 3

    async def test_a_delayed_nudge_waits(self, storage: Storage, jobs: Jobs) -> None:
        """And comes forward when a nudge for now arrives."""
        handler = Recorder()
        jobs.handle(QUEUE, handler)
        async with at_work(jobs):
            begun = datetime.now(UTC)
            await nudge(storage, "soon", not_before=begun + timedelta(seconds=A_MOMENT))
            await nudge(storage, "much later", not_before=begun + timedelta(hours=1))
            await until(lambda: handler.seen == ["soon"])
            assert datetime.now(UTC) >= begun + timedelta(seconds=A_MOMENT)

            await nudge(storage, "much later")
            await until(lambda: handler.seen == ["soon", "much later"])

    async def test_who_looks_again_goes_to_the_back_of_the_line(self, storage: Storage, jobs: Jobs) -> None:
        """An org with ten thousand items does not delay another's one."""
        rounds = 20

        async def work(one: Nudge) -> LookAgain | None:
            return LookAgain() if one.group == "big" and handler.seen.count("big") < rounds else None

        handler = Recorder(work)
        jobs.handle(QUEUE, handler, concurrency=1)
        await nudge(storage, "big")
        await nudge(storage, "small", org_id="globex")
        async with at_work(jobs):
            await until(lambda: handler.seen.count("big") == rounds)

        assert "small" in handler.seen[:3]

    async def test_an_orgs_long_line_does_not_delay_another(self, storage: Storage, jobs: Jobs) -> None:
        """What becomes free goes to an org that has nothing, also while several have long lines."""

        async def work(_: Nudge) -> None:
            await asyncio.sleep(0.02)

        handler = Recorder(work)
        jobs.handle(QUEUE, handler, concurrency=2)
        for org_id in ("acme", "initech"):
            await nudge(storage, *(f"{org_id} {n}" for n in range(15)), org_id=org_id)
        async with at_work(jobs):
            await until(lambda: len(handler.seen) > 2)
            await nudge(storage, "small", org_id="globex")
            before = len(handler.seen)
            await until(lambda: "small" in handler.seen)
            assert handler.seen.index("small") <= before + 4
            await until(lambda: len(handler.seen) == 31)

        assert handler.overlaps == 0

    async def test_looking_again_later_waits(self, storage: Storage, jobs: Jobs) -> None:
        """A handler names its own moment."""
        times: list[datetime] = []

        async def work(_: Nudge) -> LookAgain | None:
            times.append(datetime.now(UTC))
            return LookAgain(at=times[0] + timedelta(seconds=A_MOMENT)) if len(times) == 1 else None

        jobs.handle(QUEUE, Recorder(work))
        async with at_work(jobs):
            await nudge(storage, "group")
            await until(lambda: len(times) == 2)

        assert times[1] - times[0] >= timedelta(seconds=A_MOMENT)

    async def test_a_handler_that_fails_is_called_again(self, storage: Storage, jobs: Jobs) -> None:
        """And keeps nobody else from being looked at."""

        async def work(one: Nudge) -> None:
            if one.group == "bad" and handler.seen.count("bad") == 1:
                msg = "this handler fails once"
                raise LookupError(msg)

        handler = Recorder(work)
        jobs.handle(QUEUE, handler, concurrency=1)
        async with at_work(jobs):
            await nudge(storage, "bad")
            await nudge(storage, "good")
            await until(lambda: "good" in handler.seen and handler.seen.count("bad") == 2)

    async def test_a_paused_queue_rests_and_goes_on(self, storage: Storage, jobs: Jobs) -> None:
        """Others do not rest with it, and nothing is lost meanwhile."""
        resting, busy = Recorder(), Recorder()
        jobs.handle("resting", resting)
        jobs.handle("busy", busy)
        async with at_work(jobs):
            await jobs.pause("resting")
            await nudge(storage, "a", queue="resting")
            await nudge(storage, "b", queue="busy")
            await until(lambda: busy.seen == ["b"])
            await asyncio.sleep(A_MOMENT)
            assert resting.seen == []

            await jobs.resume("resting")
            await until(lambda: resting.seen == ["a"])

    async def test_draining_finishes_what_runs(self, storage: Storage, jobs: Jobs) -> None:
        """And takes nothing new."""
        entered, finished = asyncio.Event(), asyncio.Event()

        async def work(_: Nudge) -> None:
            entered.set()
            await asyncio.sleep(A_MOMENT)
            finished.set()

        handler = Recorder(work)
        jobs.handle(QUEUE, handler, concurrency=1)
        async with at_work(jobs):
            await nudge(storage, "running")
            await asyncio.wait_for(entered.wait(), PATIENCE)
            await nudge(storage, "waiting")
            await asyncio.wait_for(jobs.drain(), PATIENCE)

            assert finished.is_set()
            await asyncio.sleep(A_MOMENT)
            assert handler.seen == ["running"]

    async def test_what_a_stopped_worker_ran_is_looked_at_again(
        self, storage: Storage, jobs: Jobs, another_jobs: Callable[[], Jobs]
    ) -> None:
        """Cancelled in the middle: the next one takes over."""
        entered = asyncio.Event()

        async def work(_: Nudge) -> None:
            entered.set()
            await asyncio.sleep(PATIENCE)

        jobs.handle(QUEUE, Recorder(work))
        async with at_work(jobs):
            await nudge(storage, "group")
            await asyncio.wait_for(entered.wait(), PATIENCE)
        heir, handler = another_jobs(), Recorder()
        heir.handle(QUEUE, handler)

        async with at_work(heir):
            await until(lambda: handler.seen == ["group"])

    async def test_a_schedule_comes_round(self, jobs: Jobs) -> None:
        """Once per interval, not more often."""
        times: list[float] = []

        async def tick() -> None:
            times.append(asyncio.get_running_loop().time())

        jobs.every("tick", timedelta(seconds=A_MOMENT), tick)
        async with at_work(jobs):
            await until(lambda: len(times) >= 3)

        assert times[2] - times[0] >= A_MOMENT

    @pytest.mark.parametrize("group", ["acme:3", "ünïcødé", "a b", "x" * 200])
    async def test_groups_may_be_called_anything(self, storage: Storage, jobs: Jobs, group: str) -> None:
        """A group is whatever its queue makes of it."""
        handler = Recorder()
        jobs.handle(QUEUE, handler)

        async with at_work(jobs):
            await nudge(storage, group)
            await until(lambda: handler.seen == [group])
