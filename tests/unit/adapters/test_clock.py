"""Clocks: aware, in UTC, and the fixed one moves only when told to."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest

from moorage_adapters.clock import FixedClock, SystemClock
from tests.unit.adapters.conftest import NOON


def test_both_clocks_tell_aware_utc_times() -> None:
    elsewhere = FixedClock(datetime(2026, 11, 22, 14, 0, tzinfo=timezone(timedelta(hours=2))))
    assert elsewhere.now() == NOON
    assert elsewhere.now().tzinfo is UTC
    assert SystemClock().now().tzinfo is UTC


def test_a_fixed_clock_refuses_a_naive_time() -> None:
    with pytest.raises(ValueError, match="time zone"):
        FixedClock(datetime(2026, 11, 22))  # noqa: DTZ001


async def test_advancing_wakes_exactly_those_whose_time_has_come_in_order() -> None:
    clock = FixedClock(NOON)
    woken: list[int] = []

    async def sleeper(minutes: int) -> None:
        await clock.sleep(timedelta(minutes=minutes))
        woken.append(minutes)

    tasks = [asyncio.create_task(sleeper(minutes)) for minutes in (3, 1, 2, 10)]
    await asyncio.sleep(0)
    clock.advance(timedelta(minutes=3))
    await asyncio.wait(tasks[:3])
    assert woken == [1, 2, 3]
    assert not tasks[3].done()
    tasks[3].cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks[3]
    clock.advance(timedelta(hours=1))  # a cancelled sleeper is gone
    assert woken == [1, 2, 3]


async def test_sleeping_for_nothing_returns() -> None:
    await FixedClock(NOON).sleep(timedelta(0))
    await SystemClock().sleep(timedelta(milliseconds=1))
