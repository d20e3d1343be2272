"""Where a vendor sends browsers back to, and where it says that somebody left or wants to be forgotten."""

from contextlib import suppress
from typing import Any, Final
from urllib.parse import parse_qsl

from litestar import MediaType, Request, Response, get, post
from litestar.handlers import BaseRouteHandler

from moorage.admin.pages import Renderer, templates
from moorage.admin.sessions import session_from_request
from moorage.auth import PUBLIC
from moorage.bodies import read_body
from moorage.codec import encode
from moorage.operations.connecting import receive_return
from moorage.operations.withdrawing import withdraw
from moorage.privacy.callbacks import deletion_status, request_deletion
from moorage.routes.webhook import narrowing_org
from moorage.services import Services
from moorage_ports.errors import InvalidStateError, NotFoundError

_MOST_PARAMETERS: Final = 32
_LONGEST_NOTICE: Final = 16_384
# The address holds the code and the state: no later page may learn it, and no cache may keep it.
_DISCREET: Final = {"Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}


def connect_handlers(services: Services) -> list[BaseRouteHandler]:
    """The routes of consent: coming back from it, taking it away, and having everything deleted."""

    @get(
        "/connect/oauth2callback/{vendor:str}",
        opt=PUBLIC,
        name="oauth2callback",
        status_code=303,
        response_headers=_DISCREET,
        include_in_schema=False,
        summary="Where a vendor sends the browser back to.",
    )
    async def oauth2callback(request: Request[Any, Any, Any]) -> Response[bytes]:
        query = single_parameters(request.scope["query_string"])
        session = await session_from_request(request, services)
        location = await receive_return(
            services,
            request.path_params["vendor"],
            query,
            session_id=session.id if session else "",
        )
        headers = {"Location": location, **_DISCREET}
        return Response(b"", status_code=303, headers=headers, media_type=MediaType.TEXT)

    @post(
        "/connect/deauthorize/{vendor:str}",
        opt=PUBLIC,
        name="deauthorize",
        status_code=200,
        include_in_schema=False,
        summary="Where a vendor says, signed, that somebody took the app away.",
    )
    async def deauthorize(request: Request[Any, Any, Any]) -> dict[str, str]:
        body = await read_body(request, limit=_LONGEST_NOTICE)
        org_id = narrowing_org(request.scope["query_string"])
        await withdraw(services, request.path_params["vendor"], body, org_id)
        return {}

    return [oauth2callback, deauthorize, *_deletion_handlers(services)]


def _deletion_handlers(services: Services) -> list[BaseRouteHandler]:
    renderer = Renderer(templates(), is_https=services.settings.public_url.startswith("https://"))

    @post(
        "/connect/data-deletion/{vendor:str}",
        opt=PUBLIC,
        name="request_deletion",
        status_code=200,
        include_in_schema=False,
        summary="Where a vendor says, signed, that somebody wants their data deleted.",
    )
    async def ask(request: Request[Any, Any, Any]) -> Response[bytes]:
        body = await read_body(request, limit=_LONGEST_NOTICE)
        org_id = narrowing_org(request.scope["query_string"])
        answer = await request_deletion(services, request.path_params["vendor"], body, org_id)
        return Response(encode(answer), status_code=200, media_type=MediaType.JSON)

    @get(
        "/connect/data-deletion/{vendor:str}/{code:str}",
        opt=PUBLIC,
        name="deletion_status",
        include_in_schema=False,
        summary="Where the person sees how far that is.",
    )
    async def status(request: Request[Any, Any, Any]) -> Response[bytes]:
        vendor, code = request.path_params["vendor"], request.path_params["code"]
        if not _wants_page(request):
            return Response(encode(await deletion_status(services, vendor, code)), media_type=MediaType.JSON)
        found = None
        with suppress(NotFoundError):
            found = await deletion_status(services, vendor, code)
        page_status = 200 if found else 404
        now = services.clock.now()
        return renderer.page("deletion.html", {"found": found}, now=now, status=page_status)

    return [ask, status]


def _wants_page(request: Request[Any, Any, Any]) -> bool:
    """Whether a browser asks: a page if it names one, and JSON not before it."""
    named = [part.partition(";")[0].strip().lower() for part in request.headers.get("accept", "").split(",")]
    kinds = [kind for kind in named if kind in {"text/html", "application/json"}]
    return bool(kinds) and kinds[0] == "text/html"


def single_parameters(query: bytes) -> dict[str, str]:
    """The query's parameters, each of which may come once.

    Raises:
        InvalidStateError: One comes twice, so that two readers could disagree about it; or too many come.
    """
    try:
        pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=_MOST_PARAMETERS)
    except ValueError:
        pairs = []
    named = dict(pairs)
    if len(named) != len(pairs) or not pairs:
        msg = "the return address is garbled"
        raise InvalidStateError(msg)
    return named
