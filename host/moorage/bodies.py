"""What a request says: its body, read whole within a size and within a time, and its query."""

import asyncio
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

from litestar import Request

from moorage.codec import structure_query
from moorage.errors import RequestTimeoutError, TooLargeError, UnsupportedEncodingError
from moorage_ports.errors import InvalidRequestError, UnavailableError

T = TypeVar("T")

MOST_PARAMETERS: Final = 32
SMALL_BODY: Final = 64 * 1024
READ_DEADLINE: Final = 20.0  # seconds; servers in front of us cut earlier, uvicorn alone never does


class BodyBudget:
    """How many bytes of strangers' bodies may be in memory at once: nothing is proven before the end.

    Large ones leave a quarter to small ones: whoever sends large ones slowly must not shut out what is
    ordinary.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = 0

    def take(self, size: int, *, is_large: bool) -> None:
        """Raises UnavailableError if that is more than there is."""
        if self._held + size > (self._most - self._most // 4 if is_large else self._most):
            msg = "too much is being read just now"
            raise UnavailableError(msg)
        self._held += size

    def give(self, size: int) -> None:
        """Have it back."""
        self._held -= size


class BodyShare:
    """What one body takes of the budget, and whoever made it gives back.

    No context manager of `contextlib`: a generator per delivery costs a sixth of all that a delivery costs.
    """

    __slots__ = ("_budget", "size")

    def __init__(self, budget: BodyBudget) -> None:
        self._budget = budget
        self.size = 0

    def add(self, size: int) -> None:
        """Take more.

        Raises:
            UnavailableError: There is no more.
        """
        self._budget.take(size, is_large=self.size + size > SMALL_BODY)
        self.size += size

    def give_back(self) -> None:
        """The body is gone."""
        self._budget.give(self.size)
        self.size = 0


def refuse_encoded(request: Request[Any, Any, Any]) -> None:
    """Nothing here inflates what a stranger sends.

    Raises:
        UnsupportedEncodingError: The body is encoded.
    """
    for name, value in request.scope["headers"]:
        if name == b"content-encoding" and value.strip().lower() not in {b"", b"identity"}:
            msg = "the body must not be encoded"
            raise UnsupportedEncodingError(msg)


async def read_body(request: Request[Any, Any, Any], *, limit: int) -> bytes:
    """The body, however it is framed; `Content-Length` is believed only when it already says too much.

    Raises:
        UnsupportedEncodingError: It is encoded.
        TooLargeError: It is longer than `limit`.
        RequestTimeoutError: It did not arrive in time.
    """
    refuse_encoded(request)
    msg = f"the body is larger than {limit} bytes"
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and len(declared) < 20 and int(declared) > limit:
        raise TooLargeError(msg)
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(READ_DEADLINE):
            async for part in request.stream():
                size += len(part)
                if size > limit:
                    raise TooLargeError(msg)
                parts.append(part)
    except TimeoutError:
        late = "the body did not arrive in time"
        raise RequestTimeoutError(late) from None
    return b"".join(parts)


def query_of(request: Request[Any, Any, Any], kind: type[T]) -> T:
    """The query as a `kind`.

    Raises:
        InvalidRequestError: It does not fit.
    """
    query: bytes = request.scope["query_string"]
    try:
        pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=MOST_PARAMETERS)
    except ValueError:
        msg = "too many query parameters"
        raise InvalidRequestError(msg) from None
    return structure_query(pairs, kind)
