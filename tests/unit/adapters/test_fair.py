"""Turns and seats: nobody is forgotten, nobody has more than their share, and a crowd is one of many."""

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage_adapters.fair import FairQueue, Seats

ORGS = "abc"


async def settle() -> None:
    """Let everybody who can go on do so."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_orgs_take_turns_and_within_one_it_is_first_come_first_served() -> None:
    queue = FairQueue()
    turns = [(org_id, queue.join(org_id)) for org_id in "aaaabbc"]
    order = []
    while (called := queue.call()) is not None:
        [now] = [number for number, (_, turn) in enumerate(turns) if turn.done() and number not in order]
        assert turns[now][0] == called
        order.append(now)
    assert order == [0, 4, 6, 1, 5, 2, 3]


async def test_whoever_may_not_is_passed_over_and_keeps_their_place() -> None:
    queue = FairQueue()
    first, second = queue.join("a"), queue.join("b")
    assert queue.call(lambda org_id: org_id == "b") == "b"
    assert (first.done(), second.done()) == (False, True)
    assert queue.call(lambda org_id: org_id == "b") is None
    assert queue.call() == "a"


async def test_who_gave_up_takes_no_turn() -> None:
    queue = FairQueue()
    gone, cancelled, there = queue.join("a"), queue.join("a"), queue.join("b")
    queue.leave("a", gone)
    queue.leave("a", gone)
    cancelled.cancel()
    assert queue.call() == "b"
    assert there.done()
    assert queue.call() is None


async def test_one_orgs_crowd_leaves_seats_to_others_and_a_newcomer_is_next() -> None:
    seats = Seats(4, each=3)
    crowd = [asyncio.create_task(seats.take("a")) for _ in range(50)]
    await settle()
    assert sum(task.done() for task in crowd) == 3
    await seats.take("b")
    newcomers = [asyncio.create_task(seats.take(org_id)) for org_id in "cb"]
    await settle()
    assert not any(task.done() for task in newcomers)
    for _ in range(3):
        seats.give("a")
    await settle()
    assert all(task.done() for task in newcomers)
    assert sum(task.done() for task in crowd) == 3 + 1, "each of them had a turn"
    for task in crowd:
        task.cancel()


_CALLS = st.lists(
    st.tuples(st.sampled_from(ORGS), st.integers(0, 3), st.integers(0, 3), st.booleans()), max_size=25
)


@given(calls=_CALLS, most=st.integers(1, 4), each=st.integers(1, 4))
async def test_never_more_than_there_are_and_nobody_is_forgotten_however_they_are_cancelled(
    calls: list[tuple[str, int, int, bool]], most: int, each: int
) -> None:
    seats, inside = Seats(most, each=each), Counter[str]()

    async def call(org_id: str, before: int, within: int) -> None:
        for _ in range(before):
            await asyncio.sleep(0)
        async with seats.taken(org_id):
            inside[org_id] += 1
            assert inside.total() <= most
            assert inside[org_id] <= each
            try:
                for _ in range(within):
                    await asyncio.sleep(0)
            finally:
                inside[org_id] -= 1

    tasks = [asyncio.create_task(call(*one[:3])) for one in calls]
    await asyncio.sleep(0)
    for task, (*_, is_cancelled) in zip(tasks, calls, strict=True):
        if is_cancelled:
            task.cancel()
    async with asyncio.timeout(2):
        results = await asyncio.gather(*tasks, return_exceptions=True)
        for org_id in ORGS:  # all seats are free again
            for _ in range(min(most, each)):
                await seats.take(org_id)
            for _ in range(min(most, each)):
                seats.give(org_id)
    for result, (*_, is_cancelled) in zip(results, calls, strict=True):
        assert result is None or (is_cancelled and isinstance(result, asyncio.CancelledError))


async def test_a_block_that_fails_gives_its_seat_back() -> None:
    seats = Seats(1)
    with pytest.raises(RuntimeError):
        async with seats.taken("a"):
            raise RuntimeError
    async with asyncio.timeout(1), seats.taken("b"):
        pass
