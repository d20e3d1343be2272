"""Requests per second and p99 of the webhook route, beside a bare app that only checks the HMAC."""

import asyncio
import hashlib
import hmac
import itertools
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

import attrs
import uvloop

from bench.host import ORG, PAGE_ID, Measured, baseline, host
from bench.load import Result, closed_loop, paced
from tests.support.demo import free_port
from tests.support.hosting import HostPlan
from tests.support.postgres import running_cluster

CONNECTIONS = (
    64  # enough that the bare app and the durable one both run flat out: a commit takes milliseconds
)
ROUNDS = 3
SIZES = {1: 4.0, 10: 3.0, 100: 2.0}  # changes per delivery -> seconds per run
COUNTS = {1: 160_000, 10: 60_000, 100: 8_000}  # requests prepared per run

_numbers = itertools.count(1_000_000_000_000_000)


def delivery(changes: int) -> bytes:
    """A leadgen delivery as Graph sends it, every lead a new one."""
    parts = (
        f'{{"field":"leadgen","value":{{"form_id":"98765432109876","leadgen_id":"{next(_numbers)}",'
        f'"created_time":1764000000,"page_id":"{PAGE_ID}","ad_id":"23850000000000001"}}}}'
        for _ in range(changes)
    )
    entry = f'{{"id":"{PAGE_ID}","time":1764000001,"changes":[{",".join(parts)}]}}'
    return f'{{"object":"page","entry":[{entry}]}}'.encode()


def prepared(secret: str, changes: int, count: int) -> list[bytes]:
    """Whole signed requests, so that nothing is computed while the clock runs."""
    requests = []
    for _ in range(count):
        body = delivery(changes)
        digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        head = (
            f"POST /connect/webhook/facebook HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
            f"X-Hub-Signature-256: sha256={digest}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        requests.append(head.encode() + body)
    return requests


@attrs.define
class Figures:
    """What one server did for one size of delivery, over all rounds."""

    per_second: list[float] = attrs.field(factory=list)
    busy_p99: list[float] = attrs.field(factory=list)
    half_p99: list[float] = attrs.field(factory=list)
    refused: int = 0


def _measure(server: Measured, changes: int, figures: Figures, *, anew: bool) -> None:
    """One round: as fast as it goes, then at half that rate, where latency means something."""
    written = prepared(server.secret, changes, COUNTS[changes])
    requests = iter(written) if anew else itertools.cycle(written)  # the bare app remembers nothing
    busy = uvloop.run(_fast(server, requests, SIZES[changes]))
    half = uvloop.run(
        paced("127.0.0.1", server.port, requests, rate=busy.per_second / 2, seconds=SIZES[changes])
    )
    figures.per_second.append(busy.per_second)
    figures.busy_p99.append(busy.percentile(0.99))
    figures.half_p99.append(half.percentile(0.99))
    figures.refused += busy.refused + half.refused


async def _fast(server: Measured, requests: Iterator[bytes], seconds: float) -> Result:
    await closed_loop("127.0.0.1", server.port, requests, connections=CONNECTIONS, seconds=0.5)
    return await closed_loop("127.0.0.1", server.port, requests, connections=CONNECTIONS, seconds=seconds)


@contextmanager
def _databases(folder: Path) -> Iterator[dict[str, str]]:
    """A fresh database of each kind that this machine has."""
    with ExitStack() as stack:
        cluster = stack.enter_context(running_cluster(free_port()))
        yield {
            "sqlite": f"sqlite:///{folder / 'bench.sqlite3'}",
            "postgres": f"{cluster.url}/postgres",
        }


def _print(database: str, changes: int, bare: Figures, real: Figures) -> None:
    ratio = median(real.per_second) / median(bare.per_second)
    print(
        f"webhook {database:<8} {changes:>3} changes  "
        f"bare {median(bare.per_second):>7.0f}/s p99 {median(bare.half_p99):>5.1f} ms  "
        f"real {median(real.per_second):>7.0f}/s p99 {median(real.half_p99):>5.1f} ms "
        f"(flat out {median(real.busy_p99):.1f} ms)  "
        f"{median(real.per_second) * changes:>7.0f} changes/s  refused {real.refused}  ratio {ratio:.2f}",
        flush=True,
    )


def compare(names: tuple[str, ...] = ("sqlite", "postgres")) -> None:
    """Print one line per database and size; p99 is at half the maximum rate."""
    with tempfile.TemporaryDirectory(prefix="moorage-bench-") as folder, _databases(Path(folder)) as urls:
        for name in names:
            data = Path(folder) / name
            data.mkdir()
            plan = HostPlan(folder=data, database_url=urls[name])
            asyncio.run(plan.seed({ORG: [PAGE_ID]}))
            for changes in SIZES:
                bare, real = Figures(), Figures()
                for _ in range(ROUNDS):  # interleaved: a noisy neighbour hits both alike
                    with baseline(free_port()) as server:
                        _measure(server, changes, bare, anew=False)
                    with host(free_port(), plan) as server:
                        _measure(server, changes, real, anew=True)
                _print(name, changes, bare, real)


if __name__ == "__main__":
    compare(tuple(sys.argv[1:]) or ("sqlite", "postgres"))
