"""A process that does jobs and may be killed at any moment.

`python -m tests.support.jobs_worker URL SECONDS` looks at every group of the queue `work` for SECONDS, and
prints `begun GROUP` and `done GROUP` at the moment it does; `ready` when it has begun to listen.
"""

import asyncio
import os
import sys

from moorage_adapters.clock import SystemClock
from moorage_adapters.jobs_pgqueuer import PgQueuerJobs
from moorage_adapters.sqlmodel.postgres import PostgresDatabase
from moorage_ports.jobs import Nudge


def say(line: str) -> None:
    """One unbuffered write: what was said before a kill has been said."""
    os.write(1, f"{line}\n".encode())


async def main(url: str, seconds: str) -> None:
    """Work until killed."""

    async def look(nudge: Nudge) -> None:
        say(f"begun {nudge.group}")
        await asyncio.sleep(float(seconds))
        say(f"done {nudge.group}")

    jobs = PgQueuerJobs(await PostgresDatabase.open(url), url, SystemClock())
    jobs.handle("work", look, concurrency=8)
    say("ready")
    await jobs.run()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
