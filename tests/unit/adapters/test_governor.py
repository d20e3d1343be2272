"""The pace of calls over one database: shared by processes, cheap, and no trouble when there is trouble."""

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import attrs
import pytest
from sqlalchemy import Connection, func, select

from moorage_adapters.clock import FixedClock
from moorage_adapters.sqlmodel.database import Database
from moorage_adapters.sqlmodel.governor import IDLE, SqlGovernor, SqlGovernors
from moorage_adapters.sqlmodel.storage import SqlStorage
from moorage_adapters.sqlmodel.tables import USAGE_METER
from moorage_ports.errors import Hits, RateLimitError, UnavailableError
from moorage_ports.governor import Meter, MeterScope, Reading
from tests.unit.adapters.conftest import Opener

T = TypeVar("T")

APP = Meter(scope=MeterScope.APP)
PAGE = Meter(scope=MeterScope.CHANNEL, owner_id="1", use_case="posts")
FIVE_MINUTES = timedelta(minutes=5)
REFUSED = Reading(meter=PAGE, is_refused=True, regain_after=FIVE_MINUTES)


@attrs.define
class Counting:
    """A database that counts what is asked of it."""

    inner: Database
    reads: int = 0
    writes: int = 0

    async def read_at_once(self, work: Callable[[Connection], T]) -> T:
        self.reads += 1
        return await self.inner.read_at_once(work)

    async def write_at_once(self, work: Callable[[Connection], T]) -> T:
        self.writes += 1
        return await self.inner.write_at_once(work)


@pytest.fixture
def database(storage: SqlStorage) -> Counting:
    return Counting(storage.database)


@pytest.fixture
def governor(database: Counting, clock: FixedClock) -> SqlGovernor:
    return of(database, clock)


def of(database: Counting | Database, clock: FixedClock, patience: float = 0.5) -> SqlGovernor:
    return SqlGovernors(database, clock, patience=patience).of("quay", "app-1")  # type: ignore[arg-type]


async def is_admitted(governor: SqlGovernor, *meters: Meter, org_id: str = "acme") -> bool:
    try:
        await governor.admit(meters, org_id=org_id)
    except RateLimitError:
        return False
    return True


async def rows(storage: SqlStorage) -> int:
    count = select(func.count()).select_from(USAGE_METER)
    return await storage.database.read_at_once(lambda connection: int(connection.execute(count).scalar_one()))


# Shared ---------------------------------------------------------------------------------------


async def test_what_one_process_hears_another_keeps_to(
    open_storage: Opener, tmp_path: Path, clock: FixedClock
) -> None:
    """Two storages on one file: the refusal of one is the other's pause, to the second."""
    first, second = [of((await open_storage(tmp_path / "one.db")).database, clock) for _ in range(2)]

    await first.report([REFUSED])

    with pytest.raises(RateLimitError) as limit:
        await second.admit([APP, PAGE], org_id="globex")
    assert limit.value.retry_after == FIVE_MINUTES
    assert (limit.value.hits, limit.value.vendor) == (Hits.CHANNEL, "quay")
    clock.advance(FIVE_MINUTES)
    assert await is_admitted(second, APP, PAGE)


async def test_of_two_first_readings_at_once_the_pause_stays(
    open_storage: Opener, tmp_path: Path, clock: FixedClock
) -> None:
    """Two processes hear of a meter that has no row yet: one of a pause, the other only that it is warm."""
    one, other = [of((await open_storage(tmp_path / "m.db")).database, clock) for _ in range(2)]
    third = of((await open_storage(tmp_path / "m.db")).database, clock)
    meters = [attrs.evolve(PAGE, owner_id=str(number)) for number in range(40)]

    for meter in meters:
        warm = [Reading(meter=each, used=0.6) for each in (APP, meter)]
        await asyncio.gather(one.report([attrs.evolve(REFUSED, meter=meter)]), other.report(warm))

    assert [meter.owner_id for meter in meters if await is_admitted(third, meter)] == []


async def test_guesses_grow_over_all_processes(
    open_storage: Opener, tmp_path: Path, clock: FixedClock
) -> None:
    """Whichever process is refused next, it is the second time."""
    path, unstated = tmp_path / "one.db", Reading(meter=PAGE, is_refused=True)
    waits = []
    for _ in range(3):
        wait = await of((await open_storage(path)).database, clock).report([unstated])
        assert wait is not None
        waits.append(wait)
        clock.advance(wait)

    assert waits == [timedelta(minutes=minutes) for minutes in (1, 2, 4)]


async def test_a_pause_survives_a_restart(open_storage: Opener, tmp_path: Path, clock: FixedClock) -> None:
    before = await open_storage(tmp_path / "one.db")
    await of(before.database, clock).report([REFUSED])
    await before.aclose()

    assert not await is_admitted(of((await open_storage(tmp_path / "one.db")).database, clock), PAGE)


# Cheap ----------------------------------------------------------------------------------------


async def test_a_call_costs_one_look_and_a_cold_answer_nothing(
    governor: SqlGovernor, database: Counting, storage: SqlStorage
) -> None:
    for used in (0.1, 0.2, 0.3, 0.49):
        await governor.admit([APP, PAGE], org_id="acme")
        await governor.report([Reading(meter=APP, used=used), Reading(meter=PAGE, used=used)])

    assert (database.reads, database.writes) == (4, 0)
    assert await rows(storage) == 0


async def test_a_warm_meter_is_written_in_steps(governor: SqlGovernor, database: Counting) -> None:
    """A hundred answers between 60 and 65 % are a few writes."""
    for step in range(100):
        await governor.report([Reading(meter=APP, used=0.60 + step * 0.0005)])

    assert 2 <= database.writes <= 4


async def test_a_parked_call_costs_the_database_nothing(governor: SqlGovernor, database: Counting) -> None:
    """A storm of refused work is not handed on."""
    await governor.report([REFUSED])
    reads = database.reads

    admitted = [await is_admitted(governor, APP, PAGE) for _ in range(200)]

    assert not any(admitted)
    assert (database.reads, database.writes) == (reads, 1)


async def test_idle_meters_are_forgotten(
    governor: SqlGovernor, clock: FixedClock, storage: SqlStorage
) -> None:
    """Among them the digests of tokens that nobody has any more; a pause is not idle."""
    await governor.report([Reading(meter=APP, used=0.6)])
    clock.advance(IDLE)
    await governor.report([REFUSED])
    clock.advance(timedelta(seconds=1))

    assert await governor.governors.forget_idle() == 1
    assert await rows(storage) == 1
    clock.advance(IDLE + timedelta(hours=1))
    assert await governor.governors.forget_idle() == 1


# Fair -----------------------------------------------------------------------------------------


async def test_a_hot_meter_spaces_calls_and_orgs_take_turns(
    governor: SqlGovernor, storage: SqlStorage, clock: FixedClock
) -> None:
    """One org's crowd is refused beyond everybody's patience; another's call is let through in its turn."""
    await governor.report([Reading(meter=APP, used=0.80)])  # a gap of 0.13 s
    begun = time.monotonic()
    crowd = [asyncio.create_task(is_admitted(governor, APP)) for _ in range(40)]
    await asyncio.sleep(0.05)

    assert await is_admitted(governor, APP, org_id="small")
    outcomes = await asyncio.gather(*crowd)

    admitted, took = sum(outcomes) + 1, time.monotonic() - begun
    assert admitted >= 3
    assert admitted <= took / 0.12 + 2, "a gap apart, however slow this machine is"
    assert not all(outcomes)


async def test_who_waited_is_not_let_through_into_a_pause(
    open_storage: Opener, tmp_path: Path, clock: FixedClock
) -> None:
    """The limit that another process met meanwhile holds for those in line, too."""
    ours, theirs = [of((await open_storage(tmp_path / "one.db")).database, clock) for _ in range(2)]
    await ours.report([Reading(meter=PAGE, used=0.85)])
    await ours.admit([PAGE], org_id="acme")
    waiting = asyncio.create_task(is_admitted(ours, PAGE))
    await asyncio.sleep(0.05)

    await theirs.report([REFUSED])

    assert not await waiting


async def test_a_line_that_is_too_long_names_a_moment(governor: SqlGovernor) -> None:
    await governor.report([Reading(meter=APP, used=0.99)])
    await governor.admit([APP], org_id="acme")

    with pytest.raises(RateLimitError) as limit:
        await governor.admit([APP], org_id="acme")

    assert limit.value.hits is Hits.INTEGRATION
    assert limit.value.retry_after is not None
    assert timedelta(seconds=1) <= limit.value.retry_after <= timedelta(seconds=3)


# Trouble --------------------------------------------------------------------------------------


class Gone:
    """A database that is out of reach, or worse."""

    def __init__(self, failure: Exception) -> None:
        self.failure = failure

    async def read_at_once(self, work: object) -> None:
        raise self.failure

    async def write_at_once(self, work: object) -> None:
        raise self.failure


@pytest.mark.parametrize("failure", [UnavailableError("gone"), TimeoutError()])
async def test_without_a_database_this_process_keeps_to_what_it_heard(
    failure: Exception, clock: FixedClock
) -> None:
    governor = SqlGovernors(Gone(failure), clock).of("quay", "app-1")  # type: ignore[arg-type]

    assert await governor.report([REFUSED]) == FIVE_MINUTES
    assert not await is_admitted(governor, PAGE)


async def test_without_a_database_calls_go_on(clock: FixedClock) -> None:
    """What pauses there are is not worth an outage."""
    governor = SqlGovernors(Gone(UnavailableError("gone")), clock).of("quay", "app-1")  # type: ignore[arg-type]

    assert await is_admitted(governor, APP, PAGE)


async def test_a_report_never_fails_the_call_that_it_is_about(clock: FixedClock) -> None:
    """A post that went out must not look as if it had not."""
    governor = SqlGovernors(Gone(RuntimeError("a bug")), clock).of("quay", "app-1")  # type: ignore[arg-type]

    assert await governor.report([REFUSED]) is None
    assert not await is_admitted(governor, PAGE)
