"""`HttpxClient`: the one HTTP client, lent to plugins through `moorage_ports.http.HttpClient`.

What decides whether a write may be repeated is not the kind of exception but whether the first byte of the
request was about to be written: httpcore's trace says so. A kept-alive connection that the other side had
closed meanwhile therefore counts as "it may have arrived".
"""

import asyncio
import logging
import zlib
from collections.abc import Mapping
from types import TracebackType
from typing import Final

import attrs
import httpx

from moorage_adapters.fair import Seats
from moorage_ports.http import (
    AnswerTooLargeError,
    HttpAnswer,
    HttpError,
    HttpRequest,
    NeverSentError,
    NoAnswerError,
    TimedOutError,
)

MAX_ANSWER_BYTES: Final = 16 * 1024 * 1024
CLIENTS: Final = 8
IN_FLIGHT: Final = 10  # per client: httpx's pool gets slower with the square of the calls in flight
OF_ONE_LANE: Final = 8  # of these; several lanes share a client, and one may wait for answers for long
CONNECT_SECONDS: Final = 5.0
KEEP_ALIVE_SECONDS: Final = (
    15.0  # shorter than servers' own patience, so that few connections die in our hands
)

# Each of these writes URLs, headers or frames into its log at INFO or DEBUG.
TALKATIVE: Final = ("httpx", "httpcore", "hpack", "h2")


def quiet_loggers() -> None:
    """Have the HTTP libraries log warnings only: what they say below that holds URLs and headers."""
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)


@attrs.define
class _Progress:
    """How far one request has come."""

    is_sent: bool = False

    async def trace(self, event: str, _: Mapping[str, object]) -> None:
        """httpcore's hook: `http11.send_request_headers.started` comes before the first byte."""
        if event.endswith("send_request_headers.started"):
            self.is_sent = True


class HttpxClient:
    """`moorage_ports.http.HttpClient` over a few long-lived connection pools, one chosen by each lane.

    Lanes that share one take turns, and none of them has it for itself.
    """

    def __init__(
        self,
        *,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
        clients: int = CLIENTS,
        in_flight: int = IN_FLIGHT,
        of_one_lane: int = OF_ONE_LANE,
    ) -> None:
        quiet_loggers()
        self._max_answer_bytes = max_answer_bytes
        context = httpx.create_ssl_context(trust_env=False)
        self._clients = [
            httpx.AsyncClient(
                verify=context,
                http2=True,  # spoken where TLS negotiates it
                trust_env=False,
                follow_redirects=False,
                timeout=httpx.Timeout(None, connect=CONNECT_SECONDS),  # the deadline is for everything
                limits=httpx.Limits(
                    max_connections=in_flight,
                    max_keepalive_connections=in_flight,
                    keepalive_expiry=KEEP_ALIVE_SECONDS,
                ),
                headers={"user-agent": "Moorage", "accept-encoding": "identity"},
            )
            for _ in range(clients)
        ]
        self._seats = [Seats(in_flight, each=of_one_lane) for _ in range(clients)]

    async def __aenter__(self) -> "HttpxClient":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        failure: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection."""
        for client in self._clients:
            await client.aclose()

    async def send(self, request: HttpRequest) -> HttpAnswer:
        """Send once and read the whole answer.

        Raises:
            NeverSentError: Nothing left this machine.
            TimedOutError: It left and the answer did not arrive before `request.deadline`.
            NoAnswerError: It left and the connection broke before the answer was whole.
            AnswerTooLargeError: The answer was larger than the host allows.
        """
        number = zlib.crc32(request.lane.encode("utf-8", "surrogatepass")) % len(self._clients)
        progress, lost = _Progress(), NoAnswerError
        try:
            async with (
                asyncio.timeout(request.deadline.total_seconds()),
                self._seats[number].taken(request.lane),
            ):
                return await self._send(self._clients[number], request, progress)
        except HttpError:
            raise
        except TimeoutError:
            what, lost = "the deadline passed", TimedOutError
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as failure:
            what = type(failure).__name__
        except (ValueError, TypeError) as failure:  # what the libraries say to a request that is none
            what = type(failure).__name__
        # Outside of `except`: the library's exception knows the URL, and must not travel with ours.
        if progress.is_sent:
            msg = f"no whole answer came back: {what}"
            raise lost(msg)
        msg = f"the request did not leave: {what}"
        raise NeverSentError(msg)

    async def _send(self, client: httpx.AsyncClient, request: HttpRequest, progress: _Progress) -> HttpAnswer:
        built = client.build_request(
            request.method,
            request.url,
            headers=dict(request.headers),
            content=request.body or None,
            extensions={"trace": progress.trace},
        )
        answer = await client.send(built, stream=True)
        try:
            body = await self._read(answer)
        finally:
            await answer.aclose()
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return HttpAnswer(status=answer.status_code, headers=headers, body=body)

    async def _read(self, answer: httpx.Response) -> bytes:
        """The body, unpacked by ourselves: the library would unpack a bomb before we could count."""
        decoder = _decoder(answer.headers.get("content-encoding", ""))
        body = bytearray()
        async for chunk in answer.aiter_raw():
            body += decoder.decode(chunk, self._max_answer_bytes + 1 - len(body))
            if len(body) > self._max_answer_bytes:
                msg = f"the answer is larger than {self._max_answer_bytes} bytes"
                raise AnswerTooLargeError(msg)
        if not decoder.is_complete:
            msg = "no whole answer came back: its packing breaks off"
            raise NoAnswerError(msg)
        return bytes(body)


class _Identity:
    """A body as it is."""

    is_complete = True

    def decode(self, chunk: bytes, limit: int) -> bytes:
        """At most `limit` bytes of it."""
        return chunk[:limit]


class _Unzip:
    """A gzip or deflate body, although we asked for none; never more than asked for at a time."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # finds out which of the two it is
        self._has_begun = False

    @property
    def is_complete(self) -> bool:
        return self._zlib.eof or not self._has_begun

    def decode(self, chunk: bytes, limit: int) -> bytes:
        """At most `limit` bytes of what `chunk` unpacks to."""
        self._has_begun = True
        try:
            return self._zlib.decompress(chunk, limit)
        except zlib.error:
            msg = "no whole answer came back: its packing is broken"
            raise NoAnswerError(msg) from None


def _decoder(encoding: str) -> _Identity | _Unzip:
    name = encoding.strip().lower()
    if name in {"", "identity"}:
        return _Identity()
    if name in {"gzip", "deflate"}:
        return _Unzip()
    msg = "no answer that can be read: it is packed in a way that was not asked for"
    raise NoAnswerError(msg)
