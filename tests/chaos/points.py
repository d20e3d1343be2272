"""kill -9 at one named point again and again, under load; then the history against the data.

The points are those of the intake and the worker (P0 to P9), and P10: the one call that publishes.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Final, cast

import attrs
import httpx

from moorage.auth import issue_token
from moorage.settings import JwtSettings
from moorage_ports.operations import Role
from moorage_ports.secret import Secret
from tests.chaos.checker import Verdict, settled, verdict
from tests.chaos.graph import graph_of_leads
from tests.chaos.load import OWNERS, Author, History, Sender, deliver_at
from tests.oracles.sandbox import PAGE, ServedSandbox, served_sandbox
from tests.support.demo import DemoClient, DemoFacts, DemoPage, free_port
from tests.support.hosting import HostPlan, HostProcess

POINTS: Final = ("P0", "P1", "P2", "P3", "P4", "P5", "P6", "P7", "P8", "P9")
WORKERS_POINTS: Final = ("P8", "P9")  # reached by whoever works, which may be a process of its own
SENDERS: Final = 8
RATE: Final = 150.0  # changes per second
LATEST: Final = 25  # the point kills when it is reached for the 1st to this time
PATIENCE: Final = 30.0  # seconds until a point is reached
CALLERS: Final = 4  # posts under way at once
SETTLED_WITHIN: Final = 120.0  # seconds until every publication says what became of it


class NotReachedError(AssertionError):
    """The process lived on: the load does not lead there, and nothing would be proven."""


@attrs.frozen(kw_only=True)
class PointOrders:
    """How often at each point, and with which dice."""

    kills: int
    seed: int


async def kill_at(point: str, orders: PointOrders, plan: HostPlan, *, apart: bool) -> Verdict:
    """Kill `orders.kills` times at `point` under load, finish the load, and judge. The data is empty."""
    dice = random.Random(f"{orders.seed} {point}")
    history = History()
    async with graph_of_leads(free_port()) as plan.graph_url, _hosts(plan, apart=apart) as hosts:
        await plan.seed(OWNERS)
        victim = hosts[-1] if point in WORKERS_POINTS else hosts[0]
        for other in hosts:
            if other is not victim:
                await other.start()
        sender = Sender(hosts[0].port, plan.app_secret, history, torn=0.2)
        senders = [asyncio.create_task(sender.worker()) for _ in range(SENDERS)]
        is_over = asyncio.Event()
        load = asyncio.create_task(deliver_at(RATE, is_over.is_set, Author(dice, history), sender, dice))
        try:
            for _ in range(orders.kills):
                await _killed(victim, {"MOORAGE_FAIL_POINT": f"{point}:{dice.randint(1, LATEST)}"})
            await victim.start()
            is_over.set()
            await load
            storage = await plan.storage()
            try:
                await settled(storage, deadline=60)
                return await verdict(storage, history)
            finally:
                await storage.aclose()
        finally:
            for task in (load, *senders):
                task.cancel()
            await asyncio.gather(load, *senders, return_exceptions=True)


async def _killed(victim: HostProcess, environment: Mapping[str, str]) -> None:
    """Start it and wait until it has killed itself.

    Raises:
        NotReachedError: It did not, or it ended in another way.
    """
    await victim.start(environment)
    assert victim.process is not None
    try:
        code = await asyncio.wait_for(victim.process.wait(), PATIENCE)
    except TimeoutError:
        code = 0
    if code != -9:
        log = (victim.plan.folder / "host.log").read_text()[-2000:]
        msg = f"{environment}: ended with {code}\n{log}"
        raise NotReachedError(msg)


@asynccontextmanager
async def _hosts(plan: HostPlan, *, apart: bool) -> AsyncIterator[Sequence[HostProcess]]:
    """Whoever takes in and whoever works, not started: one process, or two that die one at a time."""
    serve = ("serve", "--no-jobs") if apart else ("serve",)
    hosts = [HostProcess(plan=plan, port=free_port(), arguments=serve)]
    if apart:
        hosts.append(HostProcess(plan=plan, port=free_port(), arguments=("worker",)))
    try:
        yield hosts
    finally:
        for host in hosts:
            await host.kill()


def line_of(point: str, kills: int, found: Verdict, seconds: float) -> str:
    """One point's result."""
    lost = found.lost + found.leads_lost + found.messages_lost
    doubled = found.doubled + found.leads_doubled + found.messages_doubled
    return (
        f"  {point:<4} {kills} kills  acked {found.acknowledged}  lost {lost}  doubled {doubled}"
        f"  foreign {found.foreign}  miscounted {found.miscounted}"
        f"  left over {found.left_over + found.dead}  leads {found.leads}"
        f"  {seconds:.0f} s  {'HOLDS' if found.holds else 'BROKEN'}"
    )


# The call that publishes -------------------------------------------------------------------------


@attrs.define
class Published:
    """What became of the posts of a run. `unconfirmed` ones are not out, and nobody sends them again."""

    asked: int = 0
    published: int = 0
    unconfirmed: int = 0
    lost: int = 0  # we say published and nobody can read it, or the other way round
    doubled: int = 0

    @property
    def holds(self) -> bool:
        """Whether each post was put in front of people once at most, and we say so when it was."""
        return not (self.lost or self.doubled) and self.asked == self.published + self.unconfirmed

    def line(self, kills: int, seconds: float) -> str:
        """As `line_of` for the other points."""
        return (
            f"  P10  {kills} kills  asked {self.asked}  published {self.published}"
            f"  unconfirmed {self.unconfirmed}  lost {self.lost}  doubled {self.doubled}"
            f"  {seconds:.0f} s  {'HOLDS' if self.holds else 'BROKEN'}"
        )


async def kill_while_publishing(orders: PointOrders, plan: HostPlan, *, apart: bool) -> Published:
    """Kill after the publishing call left and before its answer is written down, with several under way."""
    dice = random.Random(f"{orders.seed} P10")
    with served_sandbox() as sandbox:
        environment = _environment(sandbox)
        await plan.seed({})
        async with _hosts(plan, apart=apart) as hosts, httpx.AsyncClient(trust_env=False, timeout=30) as http:
            for worker in hosts[1:]:
                await worker.start(environment)
            client = DemoClient(_facts(plan, hosts[0], sandbox), http)
            await _started(hosts[0], environment)
            await client.connect()
            await hosts[0].kill()
            texts: list[str] = []
            for kill in range(orders.kills):
                point = {"MOORAGE_FAIL_POINT": f"P10:{dice.randint(1, CALLERS)}"}
                await _started(hosts[0], {**environment, **point})
                fresh = [f"Post {kill}-{number}" for number in range(CALLERS)]
                texts += fresh
                await asyncio.gather(*(_publish(client, text) for text in fresh))
                await _dead(hosts[0])
            await _started(hosts[0], environment)
            return await _judged(client, texts)


def _environment(sandbox: ServedSandbox) -> dict[str, str]:
    """What leads the host to the sandbox."""
    settings = {f"MOORAGE_FACEBOOK_{name.upper()}": value for name, value in sandbox.settings.items()}
    return {**settings, "MOORAGE_RETURN_URLS": "https://admin.example"}


def _facts(plan: HostPlan, host: HostProcess, sandbox: ServedSandbox) -> DemoFacts:
    """As the demo writes them for scripts."""
    token = issue_token(
        JwtSettings(secret=Secret(plan.jwt_secret)),
        org_id="org-a",
        user_id="chaos",
        role=Role.ADMIN,
        now=datetime.now(UTC),
        lifetime=timedelta(hours=1),
    )
    return DemoFacts(
        host=f"http://127.0.0.1:{host.port}",
        sandbox=sandbox.url,
        org="org-a",
        token=token,
        app_id=sandbox.app_id,
        app_secret=sandbox.app_secret,
        verify_token=sandbox.settings["verify_token"],
        pages=(DemoPage(id=PAGE, name="the page"),),
    )


async def _started(host: HostProcess, environment: Mapping[str, str]) -> None:
    await host.start(environment)
    await host.ready()


async def _dead(host: HostProcess) -> None:
    """Wait until it has killed itself."""
    assert host.process is not None
    code = await asyncio.wait_for(host.process.wait(), PATIENCE)
    if code != -9:
        raise NotReachedError(f"ended with {code}")


async def _publish(client: DemoClient, text: str) -> str:
    """The status of a post, asked for under its own key; empty if nobody answered."""
    try:
        body = {"pageId": PAGE, "message": text}
        answer = await client.call("post-to-page", body, **{"Idempotency-Key": text.replace(" ", "-")})
    except httpx.TransportError:
        return ""
    return str(answer.json().get("status", answer.status_code))


async def _judged(client: DemoClient, texts: Sequence[str]) -> Published:
    """Repeat every call under its key until each says what became of its post; then count posts."""
    until = time.monotonic() + SETTLED_WITHIN
    statuses = dict.fromkeys(texts, "")
    posts = await _posts(client)
    while time.monotonic() < until and any(
        _is_open(posts[text], status) for text, status in statuses.items()
    ):
        for text in texts:
            if statuses[text] != "published":
                statuses[text] = await _publish(client, text)
        posts = await _posts(client)
        await asyncio.sleep(1)
    found = Published(asked=len(texts))
    for text, status in statuses.items():
        found.published += status == "published"
        found.unconfirmed += status == "unconfirmed"
        found.lost += (status == "published") != (posts[text] > 0)
        found.doubled += posts[text] > 1
    return found


def _is_open(posts: int, status: str) -> bool:
    """Whether there is more to find out: what is out must be known, what is not may stay unconfirmed."""
    return status != "published" and (posts > 0 or status != "unconfirmed")


async def _posts(client: DemoClient) -> Counter[str]:
    """How often each text can be read."""
    state = await client.state()
    return Counter(str(post.get("message")) for post in cast("list[dict[str, object]]", state["posts"]))
