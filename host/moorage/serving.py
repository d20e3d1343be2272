"""Serves ASGI apps in this process until a signal, with work running beside them."""

import asyncio
import contextlib
import errno
import gc
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import attrs
import uvicorn
import uvloop
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from moorage.client_certificates import PEER
from moorage.services import Services
from moorage.settings import CannotStartError
from moorage_ports.plugin import AsgiApp, AsgiMessage

T = TypeVar("T")

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_SWITCH_SECONDS = 0.0003
_GARBAGE = 20_000  # objects made and not yet gone before the youngest are looked through
_GRACE = 10  # seconds for requests under way, and again for jobs


@attrs.frozen(kw_only=True)
class Site:
    """An app and the socket it is served on."""

    app: AsgiApp
    socket: socket.socket
    has_lifespan: bool = False
    trusted_proxies: tuple[str, ...] = ()
    notes_peers: bool = False  # whether the app asks who the socket is with (see `client_certificates`)


def run(action: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run to the end on the fast loop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(action())


def listening(host: str, port: int, *, chosen_by: str) -> socket.socket:
    """A listening socket; port 0 takes any free one. `chosen_by` names what says which port that is.

    Raises:
        CannotStartError: Somebody else has it, or it may not be had; says how to choose another.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as failure:
        is_taken = failure.errno == errno.EADDRINUSE
        why = "another program listens there" if is_taken else failure.strerror or str(failure)
        msg = f"Nothing can listen at {place_of(host, port)}: {why}. Choose another port with {chosen_by}."
        raise CannotStartError(msg) from failure


def place_of(host: str, port: int) -> str:
    """Where something listens, as one writes it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def port_of(listener: socket.socket) -> int:
    """The port it listens on."""
    port: int = listener.getsockname()[1]
    return port


def served_at(public_url: str, listener: socket.socket) -> str:
    """What a host says once it answers: by which URL it is called, and where it listens itself."""
    host = listener.getsockname()[0]
    return f"Moorage serves {public_url} and listens at {place_of(host, port_of(listener))}."


async def serve(*sites: Site, ready: Callable[[], None] | None = None) -> None:
    """Serve every site until SIGINT, SIGTERM, or one of them ends; `ready` is called once all answer."""
    servers = [_server(site) for site in sites]
    with _stopping(servers):
        tasks = [
            asyncio.create_task(server.serve(sockets=[site.socket]))
            for server, site in zip(servers, sites, strict=True)
        ]
        try:
            await _until_started(servers, tasks)
            tune_the_interpreter()
            if ready is not None:
                ready()
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for server in servers:
                server.should_exit = True
            results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result


async def until_told() -> None:
    """Return at SIGINT or SIGTERM."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, told.set)
    try:
        await told.wait()
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


@asynccontextmanager
async def working(services: Services) -> AsyncIterator[None]:
    """Run the jobs for as long as the block lasts.

    Should they break, the block is cancelled and the mistake raised: a process that takes deliveries in and
    works on none would look healthy.
    """
    block = asyncio.current_task()
    broke = False

    async def run() -> None:
        nonlocal broke
        try:
            await services.jobs.run()
        except asyncio.CancelledError:
            raise
        except BaseException:
            broke = True
            if block is not None:
                block.cancel()
            raise

    jobs = asyncio.create_task(run())
    try:
        yield
    except asyncio.CancelledError:
        if not broke:
            raise
    finally:
        if not jobs.done():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_GRACE):
                    await services.jobs.drain()
            jobs.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await jobs


def tune_the_interpreter() -> None:
    """Two habits of the interpreter cost a delivery more than its own work does (see the bench).

    What the start has built lives as long as the process: it is taken out of the garbage collector's rounds
    (https://docs.python.org/3/library/gc.html#gc.freeze). And the thread that commits gives the interpreter
    lock away at each step of a statement: it gets it back after this interval, not after five milliseconds.
    """
    gc.freeze()  # uncollected: looking through all of it takes longer than any delivery may wait
    gc.set_threshold(_GARBAGE, 20, 50)
    sys.setswitchinterval(_SWITCH_SECONDS)


def _server(site: Site) -> uvicorn.Server:
    config = uvicorn.Config(
        _noting_peers(site) if site.notes_peers else site.app,
        http="httptools",
        ws="none",
        lifespan="on" if site.has_lifespan else "off",
        log_config=None,
        access_log=False,  # it would print queries; the app writes its own lines
        server_header=False,
        proxy_headers=bool(site.trusted_proxies) and not site.notes_peers,
        forwarded_allow_ips=list(site.trusted_proxies),
        timeout_graceful_shutdown=_GRACE,
    )
    server = uvicorn.Server(config)
    # Signals are ours: with several servers in one process each would take them from the one before.
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign,assignment]
    return server


def _noting_peers(site: Site) -> AsgiApp:
    """The app, told who the socket is with before the proxies' word about that is taken."""
    inner = ProxyHeadersMiddleware(site.app, trusted_hosts=list(site.trusted_proxies))  # type: ignore[arg-type]

    async def noting(
        scope: AsgiMessage,
        receive: Callable[[], Awaitable[AsgiMessage]],
        send: Callable[[AsgiMessage], Awaitable[None]],
    ) -> None:
        client = scope.get("client")
        scope[PEER] = client[0] if client else ""
        await inner(scope, receive, send)  # type: ignore[arg-type]

    return noting


@contextlib.contextmanager
def _stopping(servers: list[uvicorn.Server]) -> Iterator[None]:
    """Let signals end the servers: the first politely, the second at once."""
    loop = asyncio.get_running_loop()

    def stop() -> None:
        for server in servers:
            server.force_exit = server.should_exit
            server.should_exit = True

    for number in _SIGNALS:
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


async def _until_started(servers: list[uvicorn.Server], tasks: list[asyncio.Task[None]]) -> None:
    while not all(server.started for server in servers):
        if any(task.done() for task in tasks) or any(server.should_exit for server in servers):
            return
        await asyncio.sleep(0.01)
