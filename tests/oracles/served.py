"""An ASGI app on a real loopback port: what a library that opens sockets of its own can be pointed at."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn

from moorage_ports.plugin import AsgiApp

_PATIENCE = 15.0


@contextmanager
def bound_port() -> Iterator[tuple[socket.socket, str]]:
    """A listening socket on a free port, and the address it makes."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        yield listener, f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextmanager
def served(build: Callable[[str], AsgiApp]) -> Iterator[str]:
    """Serve what `build` makes of its own address, in a thread; yields the address."""
    with bound_port() as (listener, address), _running(build(address), listener):
        yield address


@contextmanager
def _running(app: AsgiApp, listener: socket.socket) -> Iterator[None]:
    config = uvicorn.Config(
        app, lifespan="on", ws="none", log_config=None, access_log=False, timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        _wait_until(lambda: server.started or not thread.is_alive())
        assert server.started, "the server did not come up"
        yield
    finally:
        server.should_exit = True
        thread.join(_PATIENCE)
        assert not thread.is_alive(), "the server did not go down"


def _wait_until(is_so: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + _PATIENCE
    while not is_so() and time.monotonic() < give_up_at:
        time.sleep(0.005)
