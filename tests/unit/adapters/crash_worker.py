"""A process that takes deliveries in and may be killed at any moment.

`python -m tests.unit.adapters.crash_worker DATABASE KEYRING FIRST COUNT AT_ONCE` writes one line for each
delivery that it acknowledges, at the moment it does, and "refused …" for those it does not.
"""

import asyncio
import os
import sys
from pathlib import Path

from moorage_adapters.cipher import Keyring
from moorage_adapters.clock import SystemClock
from moorage_adapters.sqlmodel.storage import SqlStorage
from moorage_ports.errors import UnavailableError
from tests.unit.adapters.things import arrival, change

FATAL = 70


def say(line: str) -> None:
    """One unbuffered write, so that a system call trace shows it in its place."""
    os.write(1, f"{line}\n".encode())


async def main(database: str, keyring: str, first: str, count: str, at_once: str) -> None:
    """Take in deliveries FIRST … FIRST+COUNT-1, AT_ONCE at a time."""
    storage = await SqlStorage.open(
        f"sqlite:///{database}", Keyring.load(Path(keyring)), SystemClock(), on_fatal=lambda: os._exit(FATAL)
    )
    numbers = iter(range(int(first), int(first) + int(count)))

    async def sender() -> None:
        for number in numbers:
            try:
                await storage.intake.keep(arrival(change(f"key-{number}", body=b"x" * 1000)))
            except UnavailableError:
                say(f"refused {number}")
            else:
                say(f"ack {number}")

    say("ready")
    await asyncio.gather(*(sender() for _ in range(int(at_once))))
    await storage.aclose()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
