"""S3, S4: what the door sends, and what it makes of whatever answers, over real sockets."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from moorage_adapters.safe_http import Rules, SafeDoor, _host
from moorage_ports.http import (
    HttpError,
    HttpRequest,
    NeverSentError,
    NoAnswerError,
    TimedOutError,
)
from tests.support.certificates import Authority
from tests.unit.adapters.test_http import Talk, answer, read_request, reset, serving
from tests.unit.adapters.test_safe_http import LOOPBACK, NOBODY, post, resolving


@pytest.fixture
async def door() -> AsyncIterator[SafeDoor]:
    made = SafeDoor(LOOPBACK)
    yield made
    await made.aclose()


async def failure(door: SafeDoor, request: HttpRequest) -> HttpError:
    with pytest.raises(HttpError) as raised:
        await door.send(request)
    assert "hook-key" not in f"{raised.value!r} {raised.value.__cause__!r} {raised.value.__context__!r}"
    return raised.value


def at(port: int) -> str:
    return f"http://127.0.0.1:{port}/hook?hook-key=1"


async def test_a_request_arrives_whole_and_its_answers_body_stays_outside(door: SafeDoor) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            server.requests.append(await read_request(reader))
            writer.write(answer(b"secrets", "Retry-After: 7", status="503 Busy"))

    async with serving(talk) as server:
        request = post(at(server.port), headers={"webhook-id": "msg_1"})
        await door.send(request)
        got = await door.send(request)
    assert (got.status, got.headers["retry-after"], got.body) == (503, "7", b"")
    assert server.connections == 1, "a connection is used again"
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /hook?hook-key=1 HTTP/1.1\r\n")
    assert f"host: 127.0.0.1:{server.port}".encode() in head.lower()
    assert b"webhook-id: msg_1" in head.lower()
    assert body == b"{}"


async def test_no_redirect_is_followed_and_no_proxy_of_the_environment_used(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(answer(b"", f"location: http://127.0.0.1:{server.port}/", status="307 Elsewhere"))

    async with serving(talk) as server:
        assert (await SafeDoor(LOOPBACK).send(post(at(server.port)))).status == 307
    assert server.connections == 1


async def _hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


async def _trickle_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    for byte in b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 1000:
        writer.write(bytes([byte]))
        await asyncio.sleep(0.02)


async def _reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    reset(writer)


async def _nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(b"SSH-2.0-OpenSSH_9.2\r\n" * 10)


async def _finish(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await read_request(reader)


@pytest.mark.parametrize(
    ("talk", "kind"),
    [
        (_hang, TimedOutError),
        (_trickle_head, TimedOutError),
        (_reset, NoAnswerError),
        (_nonsense, NoAnswerError),
        (_finish, NoAnswerError),
    ],
)
async def test_a_receiver_that_does_not_answer_costs_its_deadline_at_most(
    door: SafeDoor, talk: Talk, kind: type[HttpError]
) -> None:
    async with serving(talk) as server:
        async with asyncio.timeout(3):
            failed = await failure(door, post(at(server.port), deadline=timedelta(seconds=0.2)))
    assert type(failed) is kind


async def _trickle_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.05)


async def _huge_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_request(reader)
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(b"x" * 1_000_000)
        await writer.drain()


@pytest.mark.parametrize(("talk", "seconds"), [(_trickle_body, 0.1), (_huge_body, 60)])
async def test_who_answered_has_answered_however_long_a_body_follows(
    door: SafeDoor, talk: Talk, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one that comes slowly not for long, of one that comes fast not much."""
    monkeypatch.setattr("moorage_adapters.safe_http.BODY_SECONDS", seconds)
    async with serving(talk) as server:
        async with asyncio.timeout(3):
            assert (await door.send(post(at(server.port)))).status == 200


def test_the_host_header_is_as_the_url_has_it() -> None:
    for url, host in (
        ("https://[2606:4700::1111]/", "[2606:4700::1111]"),
        ("https://[2606:4700::1111]:443/", "[2606:4700::1111]:443"),
        ("https://CRM.example/", "crm.example"),
        ("https://crm.example:443/", "crm.example:443"),
    ):
        assert _host(Rules().url(url)) == host


async def test_a_closed_port_was_never_sent(door: SafeDoor) -> None:
    async with serving(_hang) as server:
        port = server.port
    assert type(await failure(door, post(at(port)))) is NeverSentError


@settings(max_examples=40, deadline=None)
@given(
    st.one_of(st.binary(max_size=200), st.binary(max_size=60).map(lambda tail: b"HTTP/1.1 200 OK\r\n" + tail))
)
@example(b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n")
@example(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n")
@example(b"HTTP/1.1 101 Switching\r\n\r\n")
@example(b"HTTP/1.1 999 X\r\n\r\n")
@example(b"HTTP/1.1 100 Continue\r\n\r\n" * 50)
def test_whatever_a_server_says_is_an_answer_or_one_of_our_failures(said: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(said)
        await writer.drain()

    async def ask() -> None:
        door = SafeDoor(LOOPBACK, tls=NOBODY)
        async with serving(talk) as server:
            try:
                answer = await door.send(post(at(server.port), deadline=timedelta(seconds=2)))
            except HttpError:
                pass
            else:
                assert 100 <= answer.status <= 999
        await door.aclose()

    asyncio.run(ask())


# TLS ------------------------------------------------------------------------------------------


@asynccontextmanager
async def serving_tls(authority: Authority, name: str, seen: list[str]) -> AsyncIterator[int]:
    """A server with a certificate for `name`, that notes which name it was asked for, and the Host."""
    context = authority.server_context(name)

    def asked(_: ssl.SSLSocket | ssl.SSLObject, server_name: str | None, __: ssl.SSLContext) -> None:
        seen.append(server_name or "")

    context.sni_callback = asked

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await read_request(reader)
        seen.append(request.lower().partition(b"host: ")[2].partition(b"\r\n")[0].decode())
        writer.write(answer(b""))
        writer.close()

    listening = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=context)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()


async def test_the_checked_address_is_called_under_the_urls_own_name(tmp_path: Path) -> None:
    """SNI, certificate and Host are the name's; the socket is the address's."""
    authority, seen = Authority(tmp_path), list[str]()
    tls = authority.client_context()
    async with serving_tls(authority, "crm.example", seen) as port:
        door = SafeDoor(LOOPBACK, resolving=resolving(["127.0.0.1"]), tls=tls)
        assert (await door.send(post(f"https://crm.example:{port}/"))).status == 200
        assert seen == ["crm.example", f"crm.example:{port}"]
        await door.aclose()
        other = SafeDoor(LOOPBACK, resolving=resolving(["127.0.0.1"]), tls=tls)
        with pytest.raises(NeverSentError):
            await other.send(post(f"https://other.example:{port}/"))
        await other.aclose()
