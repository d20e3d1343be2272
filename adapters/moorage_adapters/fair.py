"""Who is next where many wait: the orgs take turns, so that a crowd of one org's is no crowd to another."""

import asyncio
import math
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager


class FairQueue:
    """Who waits, by org: within an org in order of arrival."""

    def __init__(self) -> None:
        self._lines: dict[str, deque[asyncio.Future[None]]] = {}  # in the order of their turns

    def join(self, org_id: str) -> "asyncio.Future[None]":
        """What is done when it is this caller's turn."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lines.setdefault(org_id, deque()).append(turn)
        return turn

    def leave(self, org_id: str, turn: "asyncio.Future[None]") -> None:
        """Whoever gave up takes no turn."""
        line = self._lines.get(org_id)
        if line is not None and turn in line:
            line.remove(turn)
            if not line:
                del self._lines[org_id]

    def call(self, may: Callable[[str], bool] = lambda _: True) -> str | None:
        """Tell the next one, of an org that may, that it is their turn; answers whose, `None` if nobody's."""
        for org_id in self._lines:
            if may(org_id):
                break
        else:
            return None
        line = self._lines.pop(org_id)
        turn = line.popleft()
        if line:
            self._lines[org_id] = line  # at the end: the others come first
        if turn.done():
            return self.call(may)  # cancelled just now, and not yet gone
        turn.set_result(None)
        return org_id


class Seats:
    """So many at a time, and of one org at most `each`."""

    def __init__(self, seats: float = math.inf, *, each: float = math.inf) -> None:
        self._free = seats
        self._each = each
        self._taken: Counter[str] = Counter()
        self._waiting = FairQueue()

    @asynccontextmanager
    async def taken(self, org_id: str) -> AsyncIterator[None]:
        """Have a seat for the length of a block."""
        await self.take(org_id)
        try:
            yield
        finally:
            self.give(org_id)

    async def take(self, org_id: str) -> None:
        """Return when there is a seat; whoever took one gives it back."""
        if self._free and self._may(org_id):  # then nobody waits who could have it
            self._seat(org_id)
            return
        turn = self._waiting.join(org_id)
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                self.give(org_id)  # it came just as the wait ended
            else:
                self._waiting.leave(org_id, turn)
            raise

    def give(self, org_id: str) -> None:
        """Give a seat back, to whoever is next."""
        self._free += 1
        self._taken[org_id] -= 1
        if not self._taken[org_id]:
            del self._taken[org_id]
        while self._free and (called := self._waiting.call(self._may)) is not None:
            self._seat(called)

    def _may(self, org_id: str) -> bool:
        return self._taken[org_id] < self._each

    def _seat(self, org_id: str) -> None:
        self._free -= 1
        self._taken[org_id] += 1
