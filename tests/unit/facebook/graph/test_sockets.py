"""The door to Graph over real sockets: never sent, refused or unknown, for writes and for reads.

The HTTP client's own tests say what it makes of a socket; here it is what a caller is told, and how often
the request was made.
"""

import asyncio
import socket
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import attrs
import pytest

from moorage_adapters.clock import SystemClock
from moorage_adapters.http import HttpxClient
from moorage_facebook.graph.batch import send_batch
from moorage_facebook.graph.call import PAGES, GraphCall
from moorage_facebook.graph.client import GraphClient
from moorage_facebook.settings import GraphSettings
from moorage_ports.errors import OutcomeUnknownError, RateLimitError, VendorError, VendorUnavailableError
from moorage_ports.testing.lent import FakeClock, FakeGovernor
from tests.unit.facebook.graph.support import APP, TOKEN

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

SOON = timedelta(seconds=0.6)
READ = GraphCall(path=("1",), token=TOKEN, owner="1", use_case=PAGES, deadline=SOON)
WRITE = GraphCall(method="POST", path=("1", "feed"), token=TOKEN, owner="1", use_case=PAGES, deadline=SOON)


async def fin(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Read the request, then close politely."""
    await reader.readuntil(b"\r\n\r\n")


async def fin_at_once(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
    """Accept and close."""


async def rst(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read the request, then reset the connection."""
    await reader.readuntil(b"\r\n\r\n")
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Read the request and never say anything."""
    await reader.read()


async def trickle(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say something forever, and never enough."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.05)


async def half_a_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Break off within the status line."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 20")


async def half_a_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Promise more than is sent."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"id": "1_2"')


async def half_a_chunk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Chunks without the last one: it might be whole JSON, and nobody can know."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nd\r\n{"id": "1_2"}\r\n')


def saying(status: str, body: bytes = b"", *headers: str) -> Talk:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", "connection: close", *headers]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)

    return talk


@attrs.define
class Graph:
    """What stands in for Graph, and who spoke to it."""

    client: GraphClient
    governor: FakeGovernor
    callers: list[object]

    @property
    def asked(self) -> int:
        return len(self.callers)


@asynccontextmanager
async def graph(talk: Talk) -> AsyncIterator[Graph]:
    callers: list[object] = []

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        callers.append(writer)
        try:
            await talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    listening = await asyncio.start_server(accepted, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    governor = FakeGovernor(FakeClock(), "facebook")
    async with HttpxClient() as http:
        client = GraphClient(
            http=http,
            clock=SystemClock(),
            app=APP,
            settings=GraphSettings(graph_url=f"http://127.0.0.1:{port}"),
            governor=governor,
            jitter=lambda: 0.01,
        )
        yield Graph(client, governor, callers)
        listening.close()


SILENCES = [fin, fin_at_once, rst, hang, trickle, half_a_head, half_a_body, half_a_chunk]


@pytest.mark.parametrize("talk", SILENCES)
async def test_a_write_that_may_have_arrived_is_unknown_and_made_once(talk: Talk) -> None:
    """From the first byte on nobody knows: not "failed", not "unavailable", and never again by itself."""
    async with graph(talk) as there:
        begun = time.monotonic()
        with pytest.raises(OutcomeUnknownError):
            await there.client.send(WRITE)

        assert there.asked == 1
        assert time.monotonic() - begun < 3


@pytest.mark.parametrize("talk", SILENCES)
async def test_a_read_is_made_again_and_then_given_up(talk: Talk) -> None:
    async with graph(talk) as there:
        with pytest.raises(VendorUnavailableError):
            await there.client.send(READ)

        assert there.asked == 3


@pytest.mark.parametrize("talk", SILENCES)
async def test_a_batch_that_was_cut_off_tells_reads_from_writes(talk: Talk) -> None:
    async with graph(talk) as there:
        read, write = await send_batch(there.client, [READ, WRITE])

        assert type(read) is VendorUnavailableError
        assert type(write) is OutcomeUnknownError


@pytest.mark.parametrize("call", [READ, WRITE])
async def test_where_nobody_listens_nothing_was_sent(call: GraphCall) -> None:
    """Only this may be repeated by whoever asked."""
    async with graph(fin) as there:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            settings = GraphSettings(graph_url=f"http://127.0.0.1:{taken.getsockname()[1]}")
            with pytest.raises(VendorUnavailableError):
                await attrs.evolve(there.client, settings=settings).send(call)

        assert there.asked == 0


@pytest.mark.parametrize(
    ("talk", "of_a_write", "of_a_read"),
    [
        (saying("400 Bad Request", b'{"error":{"code":80001}}'), RateLimitError, RateLimitError),
        (saying("429 Too Many Requests"), RateLimitError, RateLimitError),
        (saying("429 Too Many Requests", b"<html>", "retry-after: 30"), RateLimitError, RateLimitError),
        (saying("502 Bad Gateway", b"<html>"), OutcomeUnknownError, VendorUnavailableError),
        (saying("200 OK"), OutcomeUnknownError, VendorUnavailableError),
        (
            saying("302 Found", b"", "location: http://127.0.0.1:1/"),
            OutcomeUnknownError,
            VendorUnavailableError,
        ),
    ],
)
async def test_an_answer_is_refused_or_says_nothing(
    talk: Talk, of_a_write: type[VendorError], of_a_read: type[VendorError]
) -> None:
    """A refusal is a fact; a page of HTML is none."""
    async with graph(talk) as there:
        with pytest.raises(of_a_write):
            await there.client.send(WRITE)
    async with graph(talk) as there:
        with pytest.raises(of_a_read):
            await there.client.send(READ)


async def test_after_429_nothing_leaves_until_the_pause_is_over() -> None:
    """No Graph body, no code: a limit all the same, and the app keeps to it."""
    async with graph(saying("429 Too Many Requests", b"", "retry-after: 30")) as there:
        for _ in range(3):
            with pytest.raises(RateLimitError) as limit:
                await there.client.send(READ)
            assert limit.value.retry_after == timedelta(seconds=30)
        assert there.asked == 1

        there.governor.clock.advance(timedelta(seconds=30))
        with pytest.raises(RateLimitError):
            await there.client.send(WRITE)
        assert there.asked == 2
