"""How control routes read and answer."""

import msgspec
from litestar import MediaType, Request, Response
from litestar.datastructures import State
from litestar.di import NamedDependency

from moorage_facebook.sandbox import bodies
from moorage_facebook.sandbox.given import UnworkableError
from moorage_facebook.sandbox.jsontext import Json
from moorage_facebook.sandbox.state import World
from moorage_facebook.sandbox.webhooks import WebhookSender

TheWorld = NamedDependency[World]
TheSender = NamedDependency[WebhookSender]
Incoming = Request[None, None, State]


async def read_body(request: Incoming, kind: type[bodies.B]) -> bodies.B:
    """The body, checked; an empty one counts as `{}`.

    Raises:
        UnworkableError: It is no JSON, or not this shape.
    """
    raw = await request.body() or b"{}"
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise UnworkableError(str(error)) from error


def answer(value: Json, status: int = 200) -> Response[bytes]:
    """JSON."""
    return Response(msgspec.json.encode(value), status_code=status, media_type=MediaType.JSON)


def refuse(_: Incoming, problem: Exception) -> Response[bytes]:
    """400, and why."""
    return answer({"error": {"message": str(problem)}}, status=400)
