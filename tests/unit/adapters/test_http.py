"""The HTTP client against real sockets: what counts as never sent, what as no answer, and what is never said.

"Never sent" makes a caller repeat a write: where a server could tell, it says that nothing arrived.
"""

import asyncio
import gzip
import logging
import socket
import struct
import time
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import attrs
import pytest

from moorage_adapters.http import CLIENTS, IN_FLIGHT, OF_ONE_LANE, TALKATIVE, HttpxClient
from moorage_ports.http import (
    AnswerTooLargeError,
    HttpAnswer,
    HttpError,
    HttpRequest,
    NeverSentError,
    NoAnswerError,
    TimedOutError,
)

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

SECRET = "canary-token"
# Two lanes that go through the same client
SHARED = [lane for lane in map(str, range(100)) if zlib.crc32(lane.encode()) % CLIENTS == 0][:2]


@attrs.define
class Server:
    """A server that behaves as it is told, and remembers what arrived."""

    port: int = 0
    requests: list[bytes] = attrs.field(factory=list)
    open_at_once: int = 0
    most_at_once: int = 0
    connections: int = 0

    def request(self, path: str = "/", **changes: object) -> HttpRequest:
        """A write to this server, with secrets in every place they can be in."""
        fields: dict[str, object] = {
            "method": "POST",
            "url": f"http://127.0.0.1:{self.port}{path}?token={SECRET}",
            "headers": {"authorization": f"Bearer {SECRET}"},
            "body": SECRET.encode(),
            "deadline": timedelta(seconds=5),
        }
        return HttpRequest(**(fields | changes))  # type: ignore[arg-type]


@asynccontextmanager
async def serving(talk: Talk) -> AsyncIterator[Server]:
    """Serve `talk` for every connection."""
    server = Server()

    async def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        server.open_at_once += 1
        server.most_at_once = max(server.most_at_once, server.open_at_once)
        try:
            await talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            server.open_at_once -= 1
            writer.close()

    listening = await asyncio.start_server(accepted, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()


@pytest.fixture
async def client() -> AsyncIterator[HttpxClient]:
    async with HttpxClient(max_answer_bytes=100_000) as made:
        yield made


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """One whole request off the wire."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        (
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length")
        ),
        0,
    )
    return head + await reader.readexactly(length)


def answer(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST instead of FIN."""
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def failure(client: HttpxClient, request: HttpRequest) -> HttpError:
    """What sending raises; it must not tell what is secret, in any way an exception is shown."""
    with pytest.raises(HttpError) as raised:
        await client.send(request)
    shown = ""
    link: BaseException | None = raised.value
    while link is not None:
        shown += f"{link!s} {link!r} {vars(link)!r}"
        link = link.__cause__ or link.__context__
    assert SECRET not in shown
    assert "127.0.0.1" not in shown
    return raised.value


# Answers -------------------------------------------------------------------------------------


async def test_an_answer_is_handed_over_whole_whatever_its_status(client: HttpxClient) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.requests.append(await read_request(reader))
        writer.write(answer(b'{"a":1}', "X-Usage: 1", "x-usage: 2", status="429 Too Many"))

    async with serving(talk) as server:
        got = await client.send(server.request("/path"))
    assert (got.status, got.body, got.headers["x-usage"]) == (429, b'{"a":1}', "1, 2")
    (sent,) = server.requests
    assert sent.startswith(f"POST /path?token={SECRET} HTTP/1.1\r\n".encode())
    assert b"accept-encoding: identity\r\n" in sent.lower()
    assert sent.endswith(f"\r\n\r\n{SECRET}".encode())


async def test_s1_no_redirect_is_followed_and_no_proxy_of_the_environment_used(
    client: HttpxClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(answer(b"", "location: http://127.0.0.1:1/", status="302 Found"))

    async with serving(talk) as server, HttpxClient() as fresh:
        assert (await fresh.send(server.request())).status == 302


async def test_a_connection_is_kept_and_used_again(client: HttpxClient) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            server.requests.append(await read_request(reader))
            writer.write(answer(b"{}"))

    async with serving(talk) as server:
        for _ in range(5):
            await client.send(server.request())
    assert (server.connections, len(server.requests)) == (1, 5)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_packed_answer_that_nobody_asked_for_is_unpacked(client: HttpxClient, encoding: str) -> None:
    packed = gzip.compress(b"{}" * 10) if encoding == "gzip" else zlib.compress(b"{}" * 10)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(answer(packed, f"content-encoding: {encoding}"))

    async with serving(talk) as server:
        assert (await client.send(server.request())).body == b"{}" * 10


# Never sent ----------------------------------------------------------------------------------


async def test_a_refused_connection_was_never_sent(client: HttpxClient) -> None:
    unused = socket.socket()
    unused.bind(("127.0.0.1", 0))
    assert type(await failure(client, Server(port=unused.getsockname()[1]).request())) is NeverSentError
    unused.close()


async def test_a_name_that_does_not_resolve_was_never_sent(client: HttpxClient) -> None:
    request = HttpRequest(method="POST", url=f"http://does-not-exist.invalid/?token={SECRET}")
    assert type(await failure(client, request)) is NeverSentError


@pytest.mark.parametrize("url", ["", "nonsense", "ftp://127.0.0.1/", "http://", "http://[::1", "http://\0/"])
async def test_what_is_no_request_was_never_sent(client: HttpxClient, url: str) -> None:
    assert type(await failure(client, HttpRequest(method="POST", url=url))) is NeverSentError


async def test_waiting_for_a_free_place_until_the_deadline_was_never_sent() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.requests.append(await read_request(reader))
        await asyncio.sleep(1)
        writer.write(answer(b"{}"))

    async with serving(talk) as server, HttpxClient(clients=1, in_flight=2) as client:
        first = [asyncio.create_task(client.send(server.request())) for _ in range(2)]
        await asyncio.sleep(0.1)
        late = await failure(client, server.request(deadline=timedelta(milliseconds=200)))
        assert type(late) is NeverSentError
        assert len(server.requests) == 2
        await asyncio.wait(first)


async def test_a_connection_that_is_not_accepted_until_the_deadline_was_never_sent(
    client: HttpxClient,
) -> None:
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(0)
    port = listening.getsockname()[1]
    fillers = []
    for _ in range(4):  # the backlog is full: further SYNs go unanswered
        filler = socket.socket()
        filler.setblocking(False)
        filler.connect_ex(("127.0.0.1", port))
        fillers.append(filler)
    late = await failure(client, Server(port=port).request(deadline=timedelta(milliseconds=400)))
    assert type(late) is NeverSentError
    for one in (*fillers, listening):
        one.close()


async def test_a_tls_handshake_that_fails_was_never_sent(client: HttpxClient) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.requests.append(await reader.read(10_000))
        writer.write(b"this is no TLS")

    async with serving(talk) as server:
        request = server.request(url=f"https://127.0.0.1:{server.port}/?token={SECRET}")
        assert type(await failure(client, request)) is NeverSentError
    assert all(SECRET.encode() not in one for one in server.requests)


# No answer -----------------------------------------------------------------------------------


async def _close_before_reading(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def _reset_before_reading(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    reset(writer)


async def _close_after_reading(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await read_request(reader)


async def _reset_after_reading(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    reset(writer)


async def _half_a_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-le")
    await writer.drain()


async def _half_a_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(answer(b"{}" * 100)[:-50])
    await writer.drain()


async def _half_a_body_then_reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _half_a_body(reader, writer)
    await asyncio.sleep(0.05)
    reset(writer)


async def _chunk_without_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n")
    await writer.drain()


async def _not_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")


async def _endless_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 100_000)


async def _half_a_gzip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(answer(gzip.compress(b"{}" * 1000)[:-10], "content-encoding: gzip"))


async def _no_gzip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(answer(b"this is not gzip", "content-encoding: gzip"))


async def _unknown_packing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(answer(b"??", "content-encoding: br"))


@pytest.mark.parametrize(
    "talk",
    [
        _close_before_reading,
        _reset_before_reading,
        _close_after_reading,
        _reset_after_reading,
        _half_a_head,
        _half_a_body,
        _half_a_body_then_reset,
        _chunk_without_end,
        _not_http,
        _endless_head,
        _half_a_gzip,
        _no_gzip,
        _unknown_packing,
    ],
)
async def test_once_a_byte_may_have_left_there_was_no_answer(client: HttpxClient, talk: Talk) -> None:
    async with serving(talk) as server:
        assert type(await failure(client, server.request())) is NoAnswerError


async def test_a_kept_connection_that_dies_under_the_next_request_is_not_called_never_sent(
    client: HttpxClient,
) -> None:
    """It may have been read: a server can close right after it took a request in."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(answer(b"{}"))
        server.requests.append(await read_request(reader))
        reset(writer)

    async with serving(talk) as server:
        await client.send(server.request())
        assert type(await failure(client, server.request())) is NoAnswerError
        assert len(server.requests) == 1


async def _hang_after_reading(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await read_request(reader)
    await asyncio.sleep(30)


async def _trickle_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    for byte in answer(b"{}" * 1000):
        writer.write(bytes([byte]))
        await asyncio.sleep(0.05)


async def _trickle_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
    for _ in range(1000):
        writer.write(b"x")
        await asyncio.sleep(0.05)


async def _never_read(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    await asyncio.sleep(30)


@pytest.mark.parametrize("talk", [_hang_after_reading, _trickle_head, _trickle_body, _never_read])
async def test_s2_the_deadline_is_for_everything(client: HttpxClient, talk: Talk) -> None:
    async with serving(talk) as server:
        begun = time.monotonic()
        body = bytes(20_000_000) if talk is _never_read else b"x"
        request = server.request(body=body, deadline=timedelta(milliseconds=400))
        assert type(await failure(client, request)) is TimedOutError
        assert time.monotonic() - begun < 1.5


async def _endless_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(bytes(65536))
        await writer.drain()


async def _gzip_bomb(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(answer(gzip.compress(bytes(50_000_000), 6), "content-encoding: gzip"))


@pytest.mark.parametrize("talk", [_endless_body, _gzip_bomb])
async def test_s2_an_answer_larger_than_allowed_is_cut_off(client: HttpxClient, talk: Talk) -> None:
    async with serving(talk) as server:
        begun = time.monotonic()
        assert (
            type(await failure(client, server.request(deadline=timedelta(seconds=20)))) is AnswerTooLargeError
        )
        assert time.monotonic() - begun < 10


async def test_s2_an_answer_of_exactly_the_allowed_size_passes(client: HttpxClient) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(answer(bytes(server.open_at_once + 99_999)))

    async with serving(talk) as server:
        assert len((await client.send(server.request())).body) == 100_000


# Many at once --------------------------------------------------------------------------------


async def test_a_client_has_ten_calls_in_flight_and_every_call_gets_its_own_answer(
    client: HttpxClient,
) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            request = await read_request(reader)
            await asyncio.sleep(0.01)
            writer.write(answer(request.rsplit(b"\r\n", 1)[1]))

    async with serving(talk) as server:
        answers = await asyncio.gather(
            *(client.send(server.request(lane=SHARED[n % 2], body=str(n).encode())) for n in range(100))
        )
    assert [one.body for one in answers] == [str(n).encode() for n in range(100)]
    assert server.most_at_once == IN_FLIGHT


async def test_a7_a_crowd_in_one_lane_leaves_room_for_another_of_the_same_client(client: HttpxClient) -> None:
    """Also while none of its calls is answered."""
    crowded, other = SHARED

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await read_request(reader)
        if b"slow" in request:
            await asyncio.sleep(20)
        writer.write(answer(b"{}"))

    async with serving(talk) as server:
        slow = [
            asyncio.create_task(client.send(server.request(lane=crowded, body=b"slow"))) for _ in range(80)
        ]
        await asyncio.sleep(0.1)
        async with asyncio.timeout(1):
            for _ in range(3):
                await client.send(server.request(lane=other))
        assert server.most_at_once == OF_ONE_LANE + 1
        for task in slow:
            task.cancel()
        await asyncio.wait(slow)


async def test_a_slow_lane_does_not_hold_up_another(client: HttpxClient) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await read_request(reader)
        if b"slow" in request:
            await asyncio.sleep(20)
        writer.write(answer(b"{}"))

    async with serving(talk) as server:
        slow = [asyncio.create_task(client.send(server.request(lane="a", body=b"slow"))) for _ in range(30)]
        await asyncio.sleep(0.1)
        async with asyncio.timeout(1):
            await client.send(server.request(lane="b"))  # "a" and "b" hash to different clients
        for task in slow:
            task.cancel()
        await asyncio.wait(slow)


async def test_cancelled_calls_leave_the_pool_usable(client: HttpxClient) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            await asyncio.sleep(0.005)
            writer.write(answer(b"{}" * 500))

    async with serving(talk) as server:
        for number in range(150):
            task = asyncio.create_task(client.send(server.request(lane="org")))
            await asyncio.sleep(0.0002 * (number % 40))
            task.cancel()
        answers: list[HttpAnswer] = []
        async with asyncio.timeout(5):
            answers += await asyncio.gather(*(client.send(server.request(lane="org")) for _ in range(30)))
    assert {one.body for one in answers} == {b"{}" * 500}


# Silence -------------------------------------------------------------------------------------


async def test_l2_nothing_of_a_request_reaches_any_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)  # the root logger: the libraries' own are pinned
    async with HttpxClient() as client:

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await read_request(reader)
            writer.write(answer(b"{}"))

        async with serving(talk) as server:
            await client.send(server.request())
            await failure(client, Server(port=1).request())
    assert SECRET not in caplog.text
    for name in (*TALKATIVE, "httpcore.http11", "httpcore.connection", "hpack.hpack"):
        assert logging.getLogger(name).getEffectiveLevel() >= logging.WARNING
