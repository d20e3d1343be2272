"""What goes wrong: kills, stops, a full disk, a database that falls over; each choice from the seed."""

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import time
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import attrs

from tests.chaos.load import History
from tests.support.hosting import HostProcess
from tests.support.postgres import Cluster

LOAD_AFTER_STRIKE = 6.0  # seconds


@attrs.define
class Incident:
    """One thing that went wrong, and how long until the next acknowledgement after it (seconds)."""

    name: str
    at: float
    over_at: float = 0.0
    recovered_after: float | None = None


@attrs.define(kw_only=True)
class Nemesis:
    """Strikes every few seconds until told to stop."""

    dice: random.Random
    servers: Sequence[HostProcess]
    history: History
    disk: Path | None = None  # a small file system of its own, when we may have one
    cluster: Cluster | None = None
    incidents: list[Incident] = attrs.field(factory=list)

    def strikes(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """What is possible on this machine with this database."""
        possible: dict[str, Callable[[], Awaitable[None]]] = {"kill -9": self.kill, "SIGSTOP": self.stop}
        if self.disk is not None:
            possible["full disk"] = self.fill_disk
        if self.cluster is not None and self.cluster.data is not None:
            possible["database restart"] = self.restart_database
        return possible

    async def rage(self, until: float, *, every: tuple[float, float] = (5.0, 12.0)) -> None:
        """Strike, wait for the next acknowledgement, wait a little, strike again."""
        names = sorted(self.strikes())
        while True:
            await asyncio.sleep(self.dice.uniform(*every))
            if time.monotonic() > until - LOAD_AFTER_STRIKE:
                return  # the load must go on after a strike: without it nobody hears of the recovery
            incident = Incident(self.dice.choice(["kill -9", *names]), time.monotonic())
            self.incidents.append(incident)
            await self.strikes()[incident.name]()
            incident.over_at = incident.over_at or time.monotonic()
            incident.recovered_after = await self._next_ack(incident.over_at)

    async def _next_ack(self, since: float, *, patience: float = 30.0) -> float | None:
        while time.monotonic() < since + patience:
            later = bisect_right(self.history.acks, since)
            if later < len(self.history.acks):
                return self.history.acks[later] - since
            await asyncio.sleep(0.01)
        return None

    async def kill(self) -> None:
        """kill -9 of any process; started again at once, as a supervisor would."""
        victim = self.dice.choice(self.servers)
        await victim.kill()
        self.incidents[-1].over_at = time.monotonic()
        await victim.start()

    async def stop(self) -> None:
        """SIGSTOP for a while: the machine swapped, the hypervisor slept."""
        victim = self.dice.choice(self.servers)
        victim.signal(signal.SIGSTOP)
        await asyncio.sleep(self.dice.uniform(1.0, 4.0))
        self.incidents[-1].over_at = time.monotonic()
        victim.signal(signal.SIGCONT)

    async def restart_database(self) -> None:
        """PostgreSQL falls over and recovers from its log."""
        assert self.cluster is not None
        await asyncio.to_thread(self.cluster.restart_immediately)
        self.incidents[-1].over_at = time.monotonic()

    async def fill_disk(self) -> None:
        """Not a byte left, for a few seconds."""
        assert self.disk is not None
        ballast = self.disk / "ballast"
        await asyncio.to_thread(_fill, ballast)
        await asyncio.sleep(self.dice.uniform(1.0, 3.0))
        self.incidents[-1].over_at = time.monotonic()
        ballast.unlink()


def _fill(path: Path) -> None:
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as ballast:
        while True:
            ballast.write(b"\0" * 65_536)


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path | None]:
    """A file system of that size below `folder`; `None` where we may not mount one."""
    if os.geteuid() != 0:
        yield None
        return
    place = folder / "disk"
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(place)], check=False
    )
    if made.returncode != 0:
        yield None
        return
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=False)
