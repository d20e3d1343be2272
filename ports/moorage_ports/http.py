"""The one way out: an HTTP client that the host lends to plugins, and requests and answers as values.

A plugin builds an `HttpRequest`, gets an `HttpAnswer` (whatever its status), or one of three facts:
`NeverSentError`, `NoAnswerError`, `AnswerTooLargeError`. No library's exception crosses this port.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Protocol

import attrs

DEFAULT_DEADLINE = timedelta(seconds=15)


@attrs.frozen(kw_only=True)
class HttpRequest:
    """One request, whole. `headers` and `body` may hold secrets, so they are never printed."""

    method: str
    url: str = attrs.field(repr=False)
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    body: bytes = attrs.field(default=b"", repr=False)
    deadline: timedelta = DEFAULT_DEADLINE  # for everything: connect, send, wait, read
    lane: str = ""  # requests of one lane (an org) share a connection pool and wait for each other


@attrs.frozen(kw_only=True)
class HttpAnswer:
    """What came back, read whole, at most as large as the host allows. Header names are lower case."""

    status: int
    headers: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    body: bytes = attrs.field(default=b"", repr=False)


class HttpError(Exception):
    """No answer to hand over; which of the three facts it is decides whether a write may be repeated."""


class NeverSentError(HttpError):
    """The request did not leave us: it is safe to send it again."""


class AddressRefusedError(NeverSentError):
    """The URL leads to where nobody may have us call: nothing left this machine, and nothing ever will."""


class NoAnswerError(HttpError):
    """The request, or part of it, left us and no whole answer came back in time."""


class TimedOutError(NoAnswerError):
    """It left us, and `deadline` passed before a whole answer was there."""


class AnswerTooLargeError(NoAnswerError):
    """The answer exceeds the byte cap; the vendor did act on the request."""


class HttpClient(Protocol):
    """Sends requests; follows no redirect, reads no proxy from the environment, logs no URL."""

    async def send(self, request: HttpRequest) -> HttpAnswer:
        """Send once and read the whole answer.

        Raises:
            NeverSentError: Nothing left this machine.
            TimedOutError: It left and the answer did not arrive before `request.deadline`.
            NoAnswerError: It left and the connection broke before the answer was whole.
            AnswerTooLargeError: The answer was larger than the host allows.
        """
        ...
