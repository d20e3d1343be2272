"""50,000 bodies that nobody would send: is each of them answered, kept, and worked on without breaking?

`python -m bench.mutants [--count 50000] [--seed 1] [--database sqlite]`. Sends mutants of our own deliveries,
signed, through the webhook route of a whole host in this process, lets its workers work, and prints what was
answered, what lies in the inbox and aside, and what of it the CRM has. Ends with 1 if anything is wrong.
"""

import argparse
import asyncio
import time
from collections import Counter
from pathlib import Path

import attrs

from bench.databases import KINDS, databases
from moorage.logging import configure_logging
from tests.chaos.graph import graph_of_leads
from tests.support.demo import free_port
from tests.support.listening import RECORDS, ListeningHost, listening_host, owner_keys
from tests.support.mutants import Expected, Mutator
from tests.unit.facebook.fixtures import FIXTURES

AT_ONCE = 64
PIECE = 2_000  # deliveries between two rounds of work


@attrs.define
class Run:
    """What was sent and what was answered."""

    host: ListeningHost
    expected: Expected
    answers: Counter[int] = attrs.field(factory=Counter)

    async def send(self, bodies: list[bytes]) -> None:
        """All of them, some at once; then the workers' turn."""
        for start in range(0, len(bodies), AT_ONCE):
            piece = bodies[start : start + AT_ONCE]
            for answer in await asyncio.gather(*map(self.host.deliver, piece)):
                self.answers[answer.status_code] += 1
            for body in piece:
                self.expected.add(body)
        await self.host.work()

    async def problems(self) -> list[str]:
        """Everything that is not as it should be."""
        found = [f"{count} were answered {status}" for status, count in self.answers.items() if status != 200]
        rows = await self.host.count("inbox", "quarantine")
        if rows != self.expected.rows:
            found.append(f"kept {rows}, but there should be {self.expected.rows}")
        # Leads that a mutant names are looked for, and are not there.
        states = await self.host.states()
        found += [
            f"{count} rows are {state}: {error}"
            for (state, error), count in states.items()
            if state == "dead" or error == "internal"
        ]
        return found


async def run(database: str, url: str, folder: Path, count: int, seed: int) -> bool:
    """One database; prints what came of it and answers whether all was well."""
    bodies = [path.read_bytes() for path in sorted(FIXTURES.glob("*.json"))]
    channels = owner_keys(bodies)
    mutants = Mutator.of(bodies, seed).bodies_for_ever()
    began = time.monotonic()
    async with (
        graph_of_leads(free_port()) as graph_url,
        listening_host(folder, {"org": channels}, database_url=url, graph_url=graph_url) as host,
    ):
        sending = Run(host, Expected(frozenset(channels)))
        for start in range(0, count, PIECE):
            await sending.send([next(mutants) for _ in range(min(PIECE, count - start))])
        problems = await sending.problems()
        kept, records = await host.count("inbox", "quarantine"), await host.count(*RECORDS)
        states = await host.states()
    print(f"{database}: {count} mutants of {len(bodies)} bodies in {time.monotonic() - began:.0f} s")
    print(f"  answered   {dict(sending.answers)}")
    print(f"  kept       {kept}, of them {len(sending.expected.unreadable)} unreadable")
    print(f"  inbox      { {'/'.join(filter(None, state)): number for state, number in states.items()} }")
    print(f"  in the CRM {records}")
    for problem in problems:
        print(f"  WRONG: {problem}")
    return not problems


def main() -> int:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--database", choices=KINDS, action="append")
    asked = parser.parse_args()
    configure_logging("ERROR")
    is_well = True
    for name, url, folder in databases(asked.database):
        is_well &= asyncio.run(run(name, url, folder, asked.count, asked.seed))
    return 0 if is_well else 1


if __name__ == "__main__":
    raise SystemExit(main())
