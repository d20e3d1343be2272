"""`SafeDoor`: requests to addresses that somebody else chose. Nothing else calls a host that is no constant.

A name is resolved once, all its addresses are looked at, and one of those is connected to: what it resolves
to a moment later does not matter. The TLS name and the Host header stay the URL's.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit

import attrs
import httpcore
import httpx

from moorage_adapters.denied_networks import Address, Network, address_of, is_denied, is_within
from moorage_adapters.http import KEEP_ALIVE_SECONDS, quiet_loggers
from moorage_ports.http import (
    AddressRefusedError,
    HttpAnswer,
    HttpError,
    HttpRequest,
    NeverSentError,
    NoAnswerError,
    TimedOutError,
)
from moorage_ports.values import web_url

HTTPS_PORT: Final = 443
CONNECT_SECONDS: Final = 5.0
RESOLVE_SECONDS: Final = 5.0
RESOLVING: Final = 32  # names at once
MAX_BODY_BYTES: Final = 64 * 1024
BODY_SECONDS: Final = 1.0  # the status is the answer; nobody waits long for what comes behind it
IN_FLIGHT: Final = 512  # waiting for a connection counts as waiting for the answer

_THIS_MACHINE: Final = frozenset({"127.0.0.1", "::1", "localhost"})

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


class SystemResolver:
    """Every address of a host, as the system says. It also reads what only looks like a name: `0x7f.1`.

    On threads of its own: whoever has a name server that never answers must not use up those that all others
    resolve on.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(RESOLVING, thread_name_prefix="door")

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        """Its addresses.

        Raises:
            OSError: It has none.
            UnicodeError: It cannot be a name.
        """
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self._threads, _addresses_of, host, port)
        return [str(address[0]) for *_, address in found]

    def close(self) -> None:
        """Wait for no name server any more."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _addresses_of(host: str, port: int) -> Sequence[tuple[Any, ...]]:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


@attrs.frozen(kw_only=True)
class Rules:
    """What may be called. `opened` are networks that the operator opened: there any port is right.

    Without TLS nothing is sent but to this machine, if that is opened.
    """

    opened: Collection[Network] = ()
    port: int = HTTPS_PORT

    def url(self, url: str) -> SplitResult:
        """The URL's parts.

        Raises:
            AddressRefusedError: It is none that may be called, wherever it leads.
        """
        if not web_url(url) or "#" in url:
            raise _refused("is none that every program reads alike")
        parts = urlsplit(url)
        if parts.scheme != "https" and not (self._opens_this_machine() and parts.hostname in _THIS_MACHINE):
            raise _refused("is not https")
        return parts

    def addresses(self, found: Iterable[str], port: int) -> tuple[Address, ...]:
        """The addresses of one host: all of them may be called, or none is.

        Raises:
            AddressRefusedError: One of them may not be.
        """
        addresses = tuple(map(_address, found))
        if addresses and all(is_within(one, self.opened) for one in addresses):
            return addresses
        if any(is_denied(one) for one in addresses):
            raise _refused("leads to this machine, into a private network or to reserved addresses")
        if port != self.port:
            raise _refused(f"names another port than {self.port}")
        return addresses

    def _opens_this_machine(self) -> bool:
        return any(network.is_loopback for network in self.opened)


class _Pinned(httpcore.AsyncNetworkBackend):
    """Connects to nothing but addresses that the rules let through."""

    def __init__(self, rules: Rules, resolving: Resolve, network: httpcore.AsyncNetworkBackend) -> None:
        self._rules = rules
        self._resolve = resolving
        self._network = network

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Resolve, look at every address, and connect to the first of them that answers.

        Raises:
            AddressRefusedError: One of them may not be called.
            NeverSentError: There is none, or none answers.
        """
        for address in await self.looked_at(host, port):
            with suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                return await self._network.connect_tcp(
                    str(address), port, timeout, local_address, socket_options
                )
        msg = "nobody listens at any of its addresses"
        raise NeverSentError(msg)

    async def looked_at(self, host: str, port: int) -> tuple[Address, ...]:
        """The host's addresses, all of which may be called.

        Raises:
            AddressRefusedError: One of them may not be.
            NeverSentError: It does not resolve.
        """
        try:
            async with asyncio.timeout(RESOLVE_SECONDS):
                found = await self._resolve(host, port)
        except (OSError, UnicodeError):  # a TimeoutError is an OSError; a label too long is a UnicodeError
            found = ()
        if not found:
            msg = "its name does not resolve"
            raise NeverSentError(msg)
        return self._rules.addresses(found, port)


class SafeDoor:
    """`moorage_ports.outgoing.Door` over httpcore, whose sockets it opens itself."""

    def __init__(
        self,
        rules: Rules | None = None,
        *,
        resolving: Resolve | None = None,
        network: httpcore.AsyncNetworkBackend | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        quiet_loggers()
        self._rules = rules or Rules()
        self._system = SystemResolver()
        self._pinned = _Pinned(self._rules, resolving or self._system, network or httpcore.AnyIOBackend())
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls or httpx.create_ssl_context(trust_env=False),
            max_connections=IN_FLIGHT,
            max_keepalive_connections=IN_FLIGHT // 8,
            keepalive_expiry=KEEP_ALIVE_SECONDS,
            network_backend=self._pinned,
        )

    async def aclose(self) -> None:
        """Close every connection."""
        await self._pool.aclose()
        self._system.close()

    async def check(self, url: str) -> None:
        """Refuse early what `send` would refuse. A name that does not resolve (yet) is no reason.

        Raises:
            AddressRefusedError: The URL, or an address of its host, is not to be called from here.
        """
        parts = self._rules.url(url)
        try:
            await self._pinned.looked_at(parts.hostname or "", _port(parts))
        except AddressRefusedError:
            raise
        except NeverSentError:
            return

    async def send(self, request: HttpRequest) -> HttpAnswer:
        """Send once. The answer's head is handed over; its body is read a little and dropped.

        Raises:
            AddressRefusedError: The URL, or an address of its host, is not to be called from here.
            NeverSentError: Nothing left this machine.
            TimedOutError: It left and no answer began before `request.deadline`.
            NoAnswerError: It left and the connection broke before an answer began.
        """
        parts = self._rules.url(request.url)
        lost: type[HttpError] = NoAnswerError
        try:
            async with AsyncExitStack() as stack:
                async with asyncio.timeout(request.deadline.total_seconds()):
                    streamed = self._pool.stream(
                        request.method,
                        _target(parts),
                        headers=[("Host", _host(parts)), *request.headers.items()],
                        content=request.body,
                        extensions={"timeout": {"connect": CONNECT_SECONDS}},
                    )
                    answer = await stack.enter_async_context(streamed)
                await _drain(answer)
                return _head(answer)
        except HttpError:
            raise
        except TimeoutError:
            what, lost = "the deadline passed", TimedOutError
        except (httpcore.ConnectError, httpcore.ConnectTimeout, httpcore.UnsupportedProtocol) as failure:
            what, lost = type(failure).__name__, NeverSentError
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as failure:
            what = type(failure).__name__
        # Outside of `except`: the library's exception must not travel with ours.
        raise lost(what)


async def _drain(answer: httpcore.Response) -> None:
    """Read to the end what is short, so that the connection can be used again; give up on the rest."""
    size = 0
    with suppress(TimeoutError, httpcore.NetworkError, httpcore.ProtocolError):
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in answer.aiter_stream():
                size += len(chunk)
                if size > MAX_BODY_BYTES:
                    return


def _head(answer: httpcore.Response) -> HttpAnswer:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in answer.headers}
    return HttpAnswer(status=answer.status, headers=headers)


def _port(parts: SplitResult) -> int:
    return parts.port or (HTTPS_PORT if parts.scheme == "https" else 80)


def _host(parts: SplitResult) -> str:
    """The Host header; the library's own would write an IPv6 address without its brackets."""
    name = parts.hostname or ""
    bracketed = f"[{name}]" if ":" in name else name
    return bracketed if parts.port is None else f"{bracketed}:{parts.port}"


def _target(parts: SplitResult) -> httpcore.URL:
    path = parts.path or "/"
    return httpcore.URL(
        scheme=parts.scheme,
        host=parts.hostname or "",
        port=_port(parts),
        target=f"{path}?{parts.query}" if parts.query else path,
    )


def _address(text: str) -> Address:
    try:
        return address_of(text)
    except ValueError:
        raise _refused("leads to what is no address") from None


def _refused(why: str) -> AddressRefusedError:
    return AddressRefusedError(f"the URL {why}")
