"""`make chaos MINUTES=n`: load and accidents on both databases, then the history against the data.

`python -m tests.chaos --points N` kills N times at each named point instead (see `points`).
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import attrs
import uvloop

from tests.chaos.checker import RECOVERY, Verdict, settled, slow_recoveries, verdict
from tests.chaos.graph import graph_of_leads
from tests.chaos.load import OWNERS, Author, History, Sender, deliver_at
from tests.chaos.nemesis import Nemesis, small_disk
from tests.chaos.points import POINTS, RATE, PointOrders, kill_at, kill_while_publishing, line_of
from tests.support.databases import Databases
from tests.support.demo import free_port
from tests.support.hosting import HostPlan, HostProcess
from tests.support.postgres import Cluster, running_cluster

SENDERS = 16
BYTES_PER_CHANGE = 4_096  # a row of the inbox and what comes of it in the CRM, with room
LEAST_DISK = 1_024  # megabytes


@attrs.frozen(kw_only=True)
class Orders:
    """What was asked for."""

    minutes: float
    rate: float
    seed: int


async def run(
    database: str, orders: Orders, folder: Path, disk: Path | None, cluster: Cluster | None
) -> bool:
    """One database, from seeding to verdict; prints a line and answers whether everything held."""
    dice = random.Random(orders.seed)
    history = History()
    async with graph_of_leads(free_port()) as graph_url:
        url = f"{cluster.url}/postgres" if cluster else f"sqlite:///{(disk or folder) / 'moorage.sqlite3'}"
        plan = HostPlan(folder=folder, database_url=url, graph_url=graph_url)
        await plan.seed(OWNERS)
        async with _servers(plan, apart=cluster is not None) as servers:
            sender = Sender(servers[0].port, plan.app_secret, history)
            workers = [asyncio.create_task(sender.worker()) for _ in range(SENDERS)]
            nemesis = Nemesis(dice=dice, servers=servers, history=history, disk=disk, cluster=cluster)
            until = time.monotonic() + orders.minutes * 60
            await asyncio.gather(
                deliver_at(
                    orders.rate,
                    lambda: time.monotonic() >= until,
                    Author(dice, history),
                    sender,
                    dice,
                ),
                nemesis.rage(until),
            )
            for worker in workers:
                worker.cancel()
            storage = await plan.storage()
            await settled(storage, deadline=120)
            found = await verdict(storage, history)
            await storage.aclose()
    recoveries = [each.recovered_after for each in nemesis.incidents if each.name == "kill -9"]
    found.slow_recoveries = slow_recoveries(recoveries)
    _report(database, orders, history, nemesis, found)
    return found.holds


async def run_points(
    database: str, orders: PointOrders, only: Sequence[str] | None, folder: Path, cluster: Cluster | None
) -> bool:
    """One database, point after point, each on data of its own; answers whether everything held."""
    print(f"chaos {database}: seed {orders.seed}, {orders.kills} kills at each point, {RATE:.0f} changes/s")
    held, apart = True, cluster is not None
    databases = Databases(cluster) if cluster else None
    for point in only or (*POINTS, "P10"):
        place = folder / point
        place.mkdir()
        url = await databases.empty() if databases else f"sqlite:///{place / 'moorage.sqlite3'}"
        plan, started = HostPlan(folder=place, database_url=url), time.monotonic()
        if point == "P10":
            posts = await kill_while_publishing(orders, plan, apart=apart)
            held &= posts.holds
            print(posts.line(orders.kills, time.monotonic() - started), flush=True)
            continue
        found = await kill_at(point, orders, plan, apart=apart)
        held &= found.holds
        print(line_of(point, orders.kills, found, time.monotonic() - started), flush=True)
    return held


@asynccontextmanager
async def _servers(plan: HostPlan, *, apart: bool) -> AsyncIterator[list[HostProcess]]:
    """One process that does everything, or (many machines' size) one that takes in and two that work."""
    serve = ("serve", "--no-jobs") if apart else ("serve",)
    servers = [HostProcess(plan=plan, port=free_port(), arguments=serve)]
    if apart:
        servers += [HostProcess(plan=plan, port=free_port(), arguments=("worker",)) for _ in range(2)]
    try:
        for server in servers:
            await server.start()
        await servers[0].ready()
        yield servers
    finally:
        for server in servers:
            await server.kill()


def _report(database: str, orders: Orders, history: History, nemesis: Nemesis, found: Verdict) -> None:
    recoveries = [each.recovered_after for each in nemesis.incidents if each.name == "kill -9"]
    names = [incident.name for incident in nemesis.incidents]
    accidents = ", ".join(f"{names.count(name)} x {name}" for name in sorted(set(names)))
    worst = "none"
    if recoveries:
        came = [seconds for seconds in recoveries if seconds is not None]
        worst = f"{max(came):.2f} s" if len(came) == len(recoveries) else "never"
    print(
        f"chaos {database}: seed {orders.seed}, {orders.minutes:g} min, {orders.rate:.0f} changes/s\n"
        f"  {accidents}\n"
        f"  acknowledged {found.acknowledged} in {len(history.acks)} deliveries"
        f" ({history.tries} tries, refused {history.refusals})\n"
        f"  lost {found.lost}  doubled {found.doubled}  in a foreign org {found.foreign}"
        f"  leads {found.leads}: lost {found.leads_lost}, doubled {found.leads_doubled}"
        f"  messages: lost {found.messages_lost}, doubled {found.messages_doubled}"
        f"  miscounted {found.miscounted}"
        f"  left over {found.left_over}  dead {found.dead}\n"
        f"  slowest recovery after kill -9: {worst} (may take {RECOVERY:g} s)"
        f"  {'HOLDS' if found.holds else 'BROKEN'}",
        flush=True,
    )


def _megabytes(orders: Orders) -> int:
    """A disk that only the nemesis fills."""
    return LEAST_DISK + int(orders.minutes * 60 * orders.rate * BYTES_PER_CHANGE / 1_000_000)


def main() -> int:
    """Parse, run on both databases, answer 0 when everything held."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--rate", type=float, default=1000.0, help="changes per second")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--points", type=int, default=0, help="kills at each of P0 to P10, instead")
    parser.add_argument("--point", action="append", help="only at this one")
    parser.add_argument("--database", choices=("sqlite", "postgres"), action="append")
    given = parser.parse_args()
    seed = given.seed if given.seed is not None else random.SystemRandom().randrange(1_000_000)
    orders = Orders(minutes=given.minutes, rate=given.rate, seed=seed)
    held = True
    for database in given.database or ("sqlite", "postgres"):
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="moorage-chaos-")))
            is_sqlite = database == "sqlite"
            wants_disk = is_sqlite and not given.points
            disk = stack.enter_context(small_disk(folder, _megabytes(orders))) if wants_disk else None
            if wants_disk and disk is None:
                print("no small file system could be mounted here: the disk is never full in this run")
            cluster = None if is_sqlite else stack.enter_context(running_cluster(free_port()))
            if given.points:
                points = PointOrders(kills=given.points, seed=seed)
                held &= uvloop.run(run_points(database, points, given.point, folder, cluster))
            else:
                held &= uvloop.run(run(database, orders, folder, disk, cluster))
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
