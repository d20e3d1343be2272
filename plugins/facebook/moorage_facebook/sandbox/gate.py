"""The outermost door: counts calls, applies faults, writes changes down before anyone hears of them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias
from urllib.parse import parse_qsl

import attrs

from moorage_facebook.sandbox.entities import Fault
from moorage_facebook.sandbox.faults import FaultAnswer, fault_answer, page_id_of, take_fault
from moorage_facebook.sandbox.state import World
from moorage_facebook.sandbox.tables import count_call, split_version
from moorage_ports.plugin import AsgiApp, AsgiMessage

_OWN = frozenset({"_sandbox", "sandbox", "favicon.ico"})

Receive: TypeAlias = Callable[[], Awaitable[AsgiMessage]]
Send: TypeAlias = Callable[[AsgiMessage], Awaitable[None]]


@attrs.frozen
class Gate:
    """An ASGI app around the real one."""

    world: World
    inner: AsgiApp

    async def __call__(self, scope: AsgiMessage, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.inner(scope, receive, send)
            return
        fault = self._arrived(scope) if is_graph(scope) or is_dialog(scope) else None
        if is_graph(scope) and self.world.latency():
            await asyncio.sleep(self.world.latency())
        if fault is None:
            await self._serve(scope, receive, send)
            return
        self.world.flush()
        await asyncio.sleep(fault.delay_ms / 1000)
        await self._misbehave(fault, scope, receive, send)

    def _arrived(self, scope: AsgiMessage) -> Fault | None:
        method, path = str(scope["method"]), str(scope["path"])
        _, parts = split_version(path)
        count_call(self.world, method, parts)
        return take_fault(self.world, method, path, self._page_id(scope, parts))

    async def _serve(self, scope: AsgiMessage, receive: Receive, send: Send) -> None:
        """Flush before the first byte of the answer: what was answered is never forgotten."""

        async def flushing(message: AsgiMessage) -> None:
            if message["type"] == "http.response.start":
                self.world.flush()
            await send(message)

        try:
            await self.inner(scope, receive, flushing)
        finally:
            self.world.flush()

    async def _misbehave(self, fault: Fault, scope: AsgiMessage, receive: Receive, send: Send) -> None:
        if fault.drop == "after":

            async def nowhere(_: AsgiMessage) -> None:
                return

            await self._serve(scope, receive, nowhere)
        if fault.drop:
            await _cut(send)
            return
        answer = fault_answer(fault)
        if answer is None:
            await self._serve(scope, receive, send)
            return
        await _say(answer, send)

    def _page_id(self, scope: AsgiMessage, parts: tuple[str, ...]) -> str:
        headers = {bytes(name).lower(): bytes(value) for name, value in scope["headers"]}
        given = headers.get(b"authorization", b"").decode("latin-1").partition(" ")[2].strip()
        query = bytes(scope.get("query_string", b"")).decode("latin-1")
        return page_id_of(self.world, parts, given or dict(parse_qsl(query[:8192])).get("access_token", ""))


def is_graph(scope: AsgiMessage) -> bool:
    """Everything is Graph but the sandbox's own pages, its control routes and the front page."""
    path, query = str(scope["path"]), bytes(scope.get("query_string", b""))
    first = path.strip("/").partition("/")[0]
    if first:
        return first not in _OWN and not is_dialog(scope)
    return scope["method"] != "GET" or b"ids=" in query


def is_dialog(scope: AsgiMessage) -> bool:
    """The consent dialog: a page, but one at Meta's own address."""
    return split_version(str(scope["path"]))[1] == ("dialog", "oauth")


async def _say(answer: FaultAnswer, send: Send) -> None:
    headers = [(_octets(name.lower()), _octets(value)) for name, value in answer.headers.items()]
    headers.append((b"content-length", str(len(answer.body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


def _octets(text: str) -> bytes:
    return text.encode("latin-1", "replace").replace(b"\r", b"").replace(b"\n", b"")


async def _cut(send: Send) -> None:
    """Close the socket without a byte. Servers hand no socket to ASGI apps, so uvicorn's is borrowed.

    Where there is none (in-process tests) the caller sees the connection break all the same.
    """
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is None:
        raise ConnectionResetError("the sandbox was told to cut this connection")
    transport.abort()
    await asyncio.sleep(0.05)  # until the server has noticed; else it would complain about a missing answer
