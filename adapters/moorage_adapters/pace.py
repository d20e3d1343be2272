"""How fast a vendor may be called: what readings of a meter come to, and the gate before a hot one. No I/O.

The gate counts time by the monotonic clock: whoever sets the wall clock must not stop calls or set them free.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from itertools import islice
from typing import Final

import attrs

from moorage_ports.governor import Reading

WORTH_KEEPING: Final = 0.5  # below this share of its limit nobody needs to know about a meter
NOTABLE: Final = 0.02  # a change smaller than this is not written
HOT: Final = 0.75  # from here on calls are spaced
RECOVERING: Final = 0.85  # how hot a meter counts just after a pause, whatever it says
RECOVERY: Final = timedelta(minutes=1)
REFRESHED: Final = timedelta(minutes=2)  # how old a hot reading may get in the database
STALE: Final = timedelta(minutes=10)  # nobody has called since: it says nothing any more

SHORTEST_GAP: Final = 0.05  # seconds between two calls of a meter that has just become hot
LONGEST_GAP: Final = 2.0  # at its limit
LONGEST_STRIDE: Final = 3.0  # after many calls in one request: nobody's patience ends because of one of those

FIRST_GUESS: Final = timedelta(minutes=1)  # how long to stay away when the vendor does not say
LONGEST_GUESS: Final = timedelta(hours=1)
FORGIVEN: Final = timedelta(hours=1)  # after this long without a refusal, guessing begins anew
LONGEST_PARK: Final = timedelta(days=2)


@attrs.frozen(kw_only=True)
class MeterState:
    """What is known of one meter. `strikes`: how often in a row calls were refused there."""

    used: float = 0.0
    parked_until: datetime | None = None
    strikes: int = 0
    observed_at: datetime


def parked_for(state: MeterState | None, now: datetime) -> timedelta:
    """How much longer no call may be made; zero if calls may. A clock that was set back parks nobody."""
    if state is None or state.parked_until is None:
        return timedelta()
    left = state.parked_until - now
    return left if timedelta() < left <= LONGEST_PARK else timedelta()


def observed(before: MeterState | None, reading: Reading, now: datetime) -> MeterState:
    """What a meter's state becomes by a reading."""
    before = before or MeterState(observed_at=now)
    used = before.used if reading.used is None else reading.used
    state = attrs.evolve(before, used=used, observed_at=now)
    is_at_limit = reading.is_refused or (reading.used is not None and reading.used >= 1)
    if not (is_at_limit or reading.regain_after):
        return state
    left = parked_for(before, now)
    if left and not reading.regain_after:
        return state  # calls that were under way when the pause began; no reason to make it longer
    strikes = before.strikes if left else _strikes(before, now)
    wait = min(reading.regain_after or _guess(strikes), LONGEST_PARK)
    return attrs.evolve(state, parked_until=now + max(wait, left), strikes=strikes)


def _strikes(before: MeterState, now: datetime) -> int:
    is_forgiven = before.parked_until is None or not timedelta() <= now - before.parked_until <= FORGIVEN
    return 1 if is_forgiven else before.strikes + 1


def _guess(strikes: int) -> timedelta:
    return min(FIRST_GUESS * (1 << min(strikes - 1, 10)), LONGEST_GUESS)


def merged(one: MeterState | None, other: MeterState | None) -> MeterState | None:
    """What two processes know together: the newer share, the longer pause."""
    if one is None or other is None:
        return one or other
    newer = one if one.observed_at >= other.observed_at else other
    pauses = [state.parked_until for state in (one, other) if state.parked_until is not None]
    return attrs.evolve(newer, parked_until=max(pauses, default=None))


def is_worth_writing(before: MeterState | None, after: MeterState) -> bool:
    """Whether other processes have to know: a pause, or a meter that is or was half used and has changed."""
    if before is None:
        return after.parked_until is not None or after.used >= WORTH_KEEPING
    if after.parked_until != before.parked_until:
        return True
    if max(before.used, after.used) < WORTH_KEEPING:
        return False
    is_old = after.used >= HOT and after.observed_at - before.observed_at >= REFRESHED
    return is_old or abs(after.used - before.used) >= NOTABLE


def gap(state: MeterState | None, now: datetime) -> float:
    """Seconds between two calls on this meter: none while it is cold, more the closer it is to its limit."""
    share = _share(state, now)
    if share < HOT:
        return 0.0
    closeness = min((share - HOT) / (1 - HOT), 1.0)
    return SHORTEST_GAP + (LONGEST_GAP - SHORTEST_GAP) * closeness**2


def _share(state: MeterState | None, now: datetime) -> float:
    if state is None:
        return 0.0
    since_pause = now - state.parked_until if state.parked_until is not None else None
    if since_pause is not None and timedelta() <= since_pause < RECOVERY:
        return max(state.used, RECOVERING)
    return state.used if now - state.observed_at < STALE else 0.0


class LineTooLongError(Exception):
    """Whoever joined now would wait for more than their patience: `wait` seconds."""

    def __init__(self, wait: float) -> None:
        super().__init__(f"about {wait:.1f} s")
        self.wait = wait


@attrs.frozen(eq=False)
class _Turn:
    """Somebody's place in a line, with as many calls as they make when it comes."""

    came: "asyncio.Future[None]"
    calls: int


class Gate:
    """Lets calls through one by one, a gap apart; the orgs that wait take turns.

    Many calls of one request pass together, and the gap after them is as long as theirs would have been.
    """

    def __init__(
        self,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._now = now
        self._sleep = sleep
        self._lines: dict[str, deque[_Turn]] = {}  # in the order of their turns
        self._gap = 0.0
        self._free_at = 0.0
        self._usher: asyncio.Task[None] | None = None

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits and nobody would have to."""
        return not self._lines and self._now() >= self._free_at

    async def pass_through(self, org_id: str, *, gap: float, patience: float, calls: int = 1) -> None:
        """Return when it is this request's turn.

        Raises:
            LineTooLongError: That would take longer than `patience` seconds; the line is as it was.
        """
        self._gap = gap
        if self.is_idle:
            self._free_at = self._now() + self._stride(calls)
            return
        wait = self._wait(org_id)
        if wait > patience:
            raise LineTooLongError(wait)
        turn = _Turn(asyncio.get_running_loop().create_future(), calls)
        self._lines.setdefault(org_id, deque()).append(turn)
        if self._usher is None or self._usher.done():
            self._usher = asyncio.create_task(self._usher_in())
        try:
            await turn.came
        finally:
            self._leave(org_id, turn)

    def _wait(self, org_id: str) -> float:
        """How long a newcomer of this org waits: everybody before them in the order of turns."""
        ahead = len(self._lines.get(org_id, ()))
        before = sum(
            self._stride(turn.calls)
            for org, line in self._lines.items()
            for turn in islice(line, ahead + (org != org_id))
        )
        return max(self._free_at - self._now(), 0.0) + before

    def _stride(self, calls: int) -> float:
        return min(self._gap * calls, max(LONGEST_STRIDE, self._gap))

    def _leave(self, org_id: str, turn: _Turn) -> None:
        """Whoever gave up does not take a turn."""
        line = self._lines.get(org_id)
        if line is not None and turn in line:
            line.remove(turn)
            if not line:
                del self._lines[org_id]

    async def _usher_in(self) -> None:
        while self._lines:
            await self._sleep(max(self._free_at - self._now(), 0.0))
            org_id = next(iter(self._lines), None)
            if org_id is None:
                return
            line = self._lines.pop(org_id)
            turn = line.popleft()
            if line:
                self._lines[org_id] = line  # at the end: the others come first
            if not turn.came.done():
                turn.came.set_result(None)
                self._free_at = self._now() + self._stride(turn.calls)
