"""A receiver of messages here: verifies with the official library, and behaves as badly as it is told."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, Final

import attrs
import msgspec
import time_machine
from standardwebhooks import Webhook

from moorage_ports.secret import Secret
from tests.unit.adapters.test_http import Talk, answer, read_request, reset, serving

Behaviour = Callable[[asyncio.StreamWriter], Awaitable[None]]

_OK: Final = "204 No Content"


@attrs.frozen
class Received:
    """One request."""

    headers: Mapping[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def event(self) -> Any:
        return msgspec.json.decode(self.body)

    def verify(self, secret: Secret) -> Any:
        """What the official library makes of it at the moment that it names; raises what that raises."""
        at = datetime.fromtimestamp(int(self.headers["webhook-timestamp"]), UTC)
        with time_machine.travel(at, tick=False):
            return Webhook(secret.reveal()).verify(self.body, dict(self.headers))


@attrs.define
class Receiver:
    """What arrived, and what comes next: `behaviours` for the next requests, then `usual`."""

    url: str = ""
    received: list[Received] = attrs.field(factory=list)
    behaviours: list[Behaviour] = attrs.field(factory=list)
    usual: Behaviour | None = None
    at_once: Counter[str] = attrs.field(factory=Counter)
    most_at_once: Counter[str] = attrs.field(factory=Counter)

    @property
    def ids(self) -> list[str]:
        return [one.id for one in self.received]

    @property
    def subjects(self) -> list[str]:
        return [one.event["data"]["id"] for one in self.received]

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection: request after request."""
        while True:
            request = _received(await read_request(reader))
            self.received.append(request)
            self.at_once[request.id] += 1
            self.most_at_once[request.id] = max(self.most_at_once[request.id], self.at_once[request.id])
            behave = self.behaviours.pop(0) if self.behaviours else self.usual or says(_OK)
            try:
                await behave(writer)
                await writer.drain()
            finally:
                self.at_once[request.id] -= 1


def _received(raw: bytes) -> Received:
    head, _, body = raw.partition(b"\r\n\r\n")
    lines = [line.decode().partition(": ") for line in head.split(b"\r\n")[1:]]
    return Received({name.lower(): value for name, _, value in lines}, body)


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver, listening."""
    receiver = Receiver()
    talk: Talk = receiver.talk
    async with serving(talk) as server:
        receiver.url = f"http://127.0.0.1:{server.port}/hook"
        yield receiver


# How it may behave ----------------------------------------------------------------------------


def says(status: str, *headers: str, body: bytes = b"") -> Behaviour:
    """Answer with that status and these headers."""

    async def behave(writer: asyncio.StreamWriter) -> None:
        writer.write(answer(body, *headers, status=status))

    return behave


async def hangs(_: asyncio.StreamWriter) -> None:
    """Take it and say nothing."""
    await asyncio.sleep(60)


async def resets(writer: asyncio.StreamWriter) -> None:
    """Take it and cut the connection."""
    reset(writer)
    await asyncio.sleep(0)
    raise ConnectionResetError


async def trickles(writer: asyncio.StreamWriter) -> None:
    """Say something, never to the end."""
    for byte in b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 1000:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.01)


async def floods(writer: asyncio.StreamWriter) -> None:
    """Say yes, and then much more than anybody asked for."""
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(b"x" * 1_000_000)
        await writer.drain()
