"""What time it is: a port, so that two hours can pass in a test."""

from datetime import datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """The wall clock, in UTC; expiry, schedules and event times are read from here."""

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""
        ...

    async def sleep(self, duration: timedelta) -> None:
        """Return after `duration` has passed on this clock."""
        ...
