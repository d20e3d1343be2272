"""The wall clock, and one that stands still until a test moves it."""

import asyncio
from datetime import UTC, datetime, timedelta


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """The present moment, in UTC."""
        return datetime.now(UTC)

    async def sleep(self, duration: timedelta) -> None:
        """Return after `duration`."""
        await asyncio.sleep(max(0.0, duration.total_seconds()))


class FixedClock:
    """A clock that moves only when told to: `advance` wakes whoever slept for as long as that."""

    def __init__(self, now: datetime) -> None:
        if now.tzinfo is None:
            msg = "a clock needs a time zone"
            raise ValueError(msg)
        self._now = now.astimezone(UTC)
        self._sleepers: list[tuple[datetime, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        """The moment it stands at, in UTC."""
        return self._now

    async def sleep(self, duration: timedelta) -> None:
        """Return once the clock was advanced by `duration`; nothing or less only yields."""
        if duration <= timedelta():
            await asyncio.sleep(0)
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        sleeper = (self._now + duration, woken)
        self._sleepers.append(sleeper)
        try:
            await woken
        finally:
            if sleeper in self._sleepers:
                self._sleepers.remove(sleeper)

    def advance(self, duration: timedelta) -> None:
        """Let `duration` pass; sleepers whose time has come wake in the order of their times."""
        self._now += duration
        due = sorted((s for s in self._sleepers if s[0] <= self._now), key=lambda sleeper: sleeper[0])
        for sleeper in due:
            self._sleepers.remove(sleeper)
            if not sleeper[1].done():
                sleeper[1].set_result(None)
