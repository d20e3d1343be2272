"""What readings come to, and the gate before a hot meter: gaps, turns and patience, with time on demand."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage_adapters.pace import (
    FORGIVEN,
    HOT,
    LONGEST_GAP,
    LONGEST_GUESS,
    LONGEST_PARK,
    LONGEST_STRIDE,
    RECOVERY,
    SHORTEST_GAP,
    STALE,
    Gate,
    LineTooLongError,
    MeterState,
    gap,
    is_worth_writing,
    merged,
    observed,
    parked_for,
)
from moorage_ports.governor import Meter, MeterScope, Reading
from tests.unit.adapters.conftest import NOON

METER = Meter(scope=MeterScope.CHANNEL, owner_id="1")
MINUTE = timedelta(minutes=1)
REFUSED = Reading(meter=METER, is_refused=True)


def seen(used: float) -> Reading:
    return Reading(meter=METER, used=used)


def at(used: float) -> MeterState:
    return MeterState(used=used, observed_at=NOON)


# Pauses ---------------------------------------------------------------------------------------


def test_guesses_double_up_to_an_hour_and_are_forgiven() -> None:
    """A vendor that says nothing is asked less and less often; after a good hour it starts anew."""
    state, now, waits = None, NOON, []
    for _ in range(9):
        state = observed(state, REFUSED, now)
        waits.append(parked_for(state, now))
        now += waits[-1]

    assert waits[:4] == [MINUTE, 2 * MINUTE, 4 * MINUTE, 8 * MINUTE]
    assert waits[-1] == LONGEST_GUESS
    now += FORGIVEN + timedelta(seconds=1)
    assert parked_for(observed(state, REFUSED, now), now) == MINUTE


def test_calls_that_were_under_way_do_not_make_a_pause_longer() -> None:
    """Fifty answers of one burst are one refusal."""
    state = observed(None, REFUSED, NOON)
    for second in range(50):
        state = observed(state, REFUSED, NOON + timedelta(seconds=second))

    assert (state.strikes, state.parked_until) == (1, NOON + MINUTE)


def test_a_stated_wait_ends_somewhere() -> None:
    state = observed(None, Reading(meter=METER, regain_after=timedelta(days=900)), NOON)

    assert parked_for(state, NOON) == LONGEST_PARK


def test_a_clock_that_was_set_back_parks_nobody_for_years() -> None:
    state = observed(None, REFUSED, NOON)

    assert parked_for(state, NOON - timedelta(days=365)) == timedelta()


@given(
    readings=st.lists(
        st.tuples(
            st.none() | st.floats(min_value=0, allow_nan=False, allow_infinity=False),
            st.booleans(),
            st.none() | st.timedeltas(min_value=timedelta(), max_value=timedelta(days=3)),
            st.timedeltas(min_value=timedelta(), max_value=timedelta(hours=3)),
        ),
        max_size=12,
    )
)
def test_a_pause_never_becomes_shorter_and_never_endless(
    readings: Sequence[tuple[float | None, bool, timedelta | None, timedelta]],
) -> None:
    state, now = None, NOON
    for used, is_refused, wait, later in readings:
        left = parked_for(state, now)
        reading = Reading(meter=METER, used=used, is_refused=is_refused, regain_after=wait)
        state = observed(state, reading, now)
        assert left <= parked_for(state, now) <= LONGEST_PARK
        if is_refused:
            assert parked_for(state, now) > timedelta() or wait == timedelta()
        now += later


# What is written ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "after", "is_worth"),
    [
        (None, at(0.49), False),
        (None, at(0.5), True),
        (at(0.2), at(0.4), False),
        (at(0.4), at(0.6), True),
        (at(0.6), at(0.61), False),
        (at(0.6), at(0.62), True),
        (at(0.9), at(0.1), True),
        (at(0.1), observed(at(0.1), REFUSED, NOON), True),
        (at(0.9), attrs.evolve(at(0.9), observed_at=NOON + 3 * MINUTE), True),
        (at(0.6), attrs.evolve(at(0.6), observed_at=NOON + 3 * MINUTE), False),
    ],
)
def test_only_what_others_have_to_know_is_written(
    before: MeterState | None, after: MeterState, is_worth: bool
) -> None:
    """From half the limit on, in steps of two points; a hot meter also when its reading grows old."""
    assert is_worth_writing(before, after) is is_worth


def test_two_processes_know_the_newer_share_and_the_longer_pause() -> None:
    parked = observed(at(0.9), REFUSED, NOON)
    newer = MeterState(used=0.3, observed_at=NOON + MINUTE)

    for both in (merged(parked, newer), merged(newer, parked)):
        assert both is not None
        assert (both.used, both.parked_until) == (0.3, parked.parked_until)
    assert merged(None, None) is None
    assert merged(None, newer) == merged(newer, None) == newer


# Gaps -----------------------------------------------------------------------------------------


def test_gaps_grow_towards_the_limit() -> None:
    """None while it is cold; from three quarters on more and more."""
    shares = [HOT, 0.8, 0.85, 0.9, 0.95, 0.999]
    gaps = [gap(at(share), NOON) for share in shares]

    assert gap(None, NOON) == gap(at(0.74), NOON) == 0
    assert gaps[0] == SHORTEST_GAP
    assert gaps == sorted(set(gaps))
    assert gaps[-1] <= LONGEST_GAP == gap(at(5.0), NOON)


def test_a_reading_that_grew_old_slows_nobody() -> None:
    assert gap(at(0.99), NOON + STALE) == 0


def test_after_a_pause_calls_begin_slowly() -> None:
    """Everybody waited for that moment."""
    state = observed(None, REFUSED, NOON)

    assert gap(state, NOON + MINUTE) > 0
    assert gap(state, NOON + MINUTE + RECOVERY) == 0


# The gate -------------------------------------------------------------------------------------


@attrs.define
class Time:
    """Monotonic time that passes while somebody sleeps, after everybody else had their turn."""

    now: float = 0.0

    async def sleep(self, seconds: float) -> None:
        for _ in range(5):
            await asyncio.sleep(0)
        self.now += seconds


@attrs.define(slots=False)
class Harness:
    """A gate, and who came through it when."""

    time: Time = attrs.field(factory=Time)
    passed: list[tuple[str, float]] = attrs.field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.gate = Gate(lambda: self.time.now, self.time.sleep)

    async def call(
        self, org_id: str, *, every: float = 1.0, patience: float = 1_000.0, calls: int = 1
    ) -> None:
        await self.gate.pass_through(org_id, gap=every, patience=patience, calls=calls)
        self.passed.append((org_id, self.time.now))


async def test_calls_pass_a_gap_apart() -> None:
    there = Harness()

    await asyncio.gather(*(there.call("a") for _ in range(5)))

    assert [moment for _, moment in there.passed] == [0, 1, 2, 3, 4]
    assert not there.gate.is_idle
    there.time.now += 1
    assert there.gate.is_idle


async def test_orgs_take_turns() -> None:
    """A hundred calls of one org are one call ahead of another's first, not a hundred."""
    there = Harness()

    await asyncio.gather(*(there.call("big") for _ in range(100)), there.call("small"), there.call("small"))

    order = [org_id for org_id, _ in there.passed]
    assert order.index("small") <= 2
    assert "small" in order[order.index("small") + 1 :][:2]
    assert len(order) == 102


async def test_who_would_wait_too_long_is_told_at_once_and_takes_no_place() -> None:
    there = Harness()
    waiting = [asyncio.create_task(there.call("a", patience=3)) for _ in range(10)]
    await asyncio.sleep(0)

    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    refused = [outcome for outcome in outcomes if isinstance(outcome, LineTooLongError)]

    assert [moment for _, moment in there.passed] == [0, 1, 2, 3]
    assert len(refused) == 6
    assert all(3 < line.wait <= 10 for line in refused)


async def test_somebody_elses_line_is_no_reason_to_refuse() -> None:
    """Patience is about the wait, and with turns a newcomer's is short."""
    there = Harness()
    crowd = [asyncio.create_task(there.call("big")) for _ in range(50)]
    await asyncio.sleep(0)

    await there.call("small", patience=2.5)

    for task in crowd:
        task.cancel()


async def test_who_gave_up_takes_no_turn() -> None:
    there = Harness()
    tasks = [asyncio.create_task(there.call(org_id)) for org_id in ("a", "b", "a", "c")]
    await asyncio.sleep(0)
    tasks[1].cancel()
    tasks[2].cancel()

    await asyncio.gather(*tasks, return_exceptions=True)

    assert there.passed == [("a", 0), ("c", 1)]


async def test_a_gate_that_everybody_left_opens_again() -> None:
    there = Harness()
    await there.call("a")
    lost = asyncio.create_task(there.call("a"))
    await asyncio.sleep(0)
    lost.cancel()
    await asyncio.gather(lost, return_exceptions=True)
    there.time.now += 5

    await there.call("b")
    await asyncio.gather(there.call("b"), there.call("c"))

    assert [org_id for org_id, _ in there.passed] == ["a", "b", "b", "c"]


async def test_many_calls_of_one_request_pass_together_and_the_next_waits_longer() -> None:
    there = Harness()

    await asyncio.gather(
        *(there.call(org_id, every=0.1, calls=calls) for org_id, calls in [("a", 5), ("a", 1), ("b", 50)]),
        there.call("c", every=0.1),
    )

    assert there.passed == [
        ("a", 0),
        ("a", pytest.approx(0.5)),
        ("b", pytest.approx(0.6)),
        ("c", pytest.approx(0.6 + LONGEST_STRIDE)),
    ]


async def test_a_wait_is_told_by_the_calls_that_come_before() -> None:
    there = Harness()
    crowd = [asyncio.create_task(there.call("big", calls=calls)) for calls in (1, 3, 3)]
    await asyncio.sleep(0)

    with pytest.raises(LineTooLongError, match=r"about 4\.0 s"):
        await there.call("small", patience=3.9)

    for task in crowd:
        task.cancel()
