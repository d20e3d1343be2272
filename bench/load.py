"""A load generator that costs little: prepared bytes, keep-alive connections, no HTTP library.

It shares two cores with the server it measures, so it must not be what is measured: requests are built
and signed beforehand, answers are read only as far as their status and length.
"""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import cast

import attrs

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)


@attrs.frozen
class Result:
    """What one run measured. Latencies are in milliseconds."""

    answered: int
    seconds: float
    statuses: Counter[int]
    latencies: Sequence[float] = attrs.field(repr=False)

    @property
    def per_second(self) -> float:
        """Answers per second."""
        return self.answered / self.seconds

    def percentile(self, share: float) -> float:
        """The latency that `share` (0..1) of the answers did not exceed."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0

    @property
    def refused(self) -> int:
        """Answers other than 200."""
        return self.answered - self.statuses[200]


class _Connection(asyncio.Protocol):
    """One keep-alive connection, one request at a time."""

    def __init__(self) -> None:
        self.buffer = b""
        self.waiting: asyncio.Future[int] | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but ancestry

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, blank, body = self.buffer.partition(b"\r\n\r\n")
        if not blank:
            return
        length = _LENGTH.search(head + b"\r\n")
        if length is None or len(body) >= int(length[1]):
            self.buffer = b""
            if self.waiting is not None and not self.waiting.done():
                self.waiting.set_result(int(head[9:12]))

    def connection_lost(self, exc: Exception | None) -> None:
        if self.waiting is not None and not self.waiting.done():
            self.waiting.set_exception(exc or ConnectionResetError("the server closed the connection"))

    def send(self, request: bytes) -> asyncio.Future[int]:
        """Write one request; the future holds the answer's status."""
        assert self.transport is not None
        self.waiting = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self.waiting


async def _connect(host: str, port: int, count: int) -> list[_Connection]:
    loop = asyncio.get_running_loop()
    return [(await loop.create_connection(_Connection, host, port))[1] for _ in range(count)]


async def closed_loop(
    host: str, port: int, requests: Iterator[bytes], *, connections: int, seconds: float
) -> Result:
    """As fast as the server answers: each connection sends its next request when the last is answered."""
    opened = await _connect(host, port, connections)
    latencies: list[float] = []
    statuses: Counter[int] = Counter()
    started = time.perf_counter()
    until = started + seconds

    async def worker(connection: _Connection) -> None:
        for request in requests:
            sent = time.perf_counter()
            if sent >= until:
                return
            statuses[await connection.send(request)] += 1
            latencies.append((time.perf_counter() - sent) * 1000)

    await asyncio.gather(*map(worker, opened))
    elapsed = time.perf_counter() - started
    _close(opened)
    return Result(len(latencies), elapsed, statuses, latencies)


async def paced(host: str, port: int, requests: Iterator[bytes], *, rate: float, seconds: float) -> Result:
    """At a fixed rate, whatever the server does: a late answer counts from when it was due."""
    connections = await _connect(host, port, 64)
    idle: asyncio.Queue[_Connection] = asyncio.Queue()
    for connection in connections:
        idle.put_nowait(connection)
    latencies: list[float] = []
    statuses: Counter[int] = Counter()

    async def one(due: float, request: bytes) -> None:
        connection = await idle.get()
        try:
            statuses[await connection.send(request)] += 1
        finally:
            idle.put_nowait(connection)
        latencies.append((time.perf_counter() - due) * 1000)

    started = time.perf_counter()
    running: set[asyncio.Task[None]] = set()
    for number in range(int(rate * seconds)):
        due = started + number / rate
        if (ahead := due - time.perf_counter()) > 0:
            await asyncio.sleep(ahead)
        task = asyncio.create_task(one(due, next(requests)))
        running.add(task)
        task.add_done_callback(running.discard)
    await asyncio.gather(*running)
    elapsed = time.perf_counter() - started
    _close(connections)
    return Result(len(latencies), elapsed, statuses, latencies)


def _close(connections: Sequence[_Connection]) -> None:
    for connection in connections:
        if connection.transport is not None:
            connection.transport.close()
