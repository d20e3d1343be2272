"""Where a vendor sends the browser back to. It takes nothing from the address but a state and a code."""

from typing import Any, Final
from urllib.parse import parse_qsl

from litestar import MediaType, Request, Response, get
from litestar.handlers import BaseRouteHandler

from moorage.admin.sessions import session_from_request
from moorage.auth import PUBLIC
from moorage.operations.connecting import receive_return
from moorage.services import Services
from moorage_ports.errors import InvalidStateError

_MOST_PARAMETERS: Final = 32
# The address holds the code and the state: no later page may learn it, and no cache may keep it.
_DISCREET: Final = {"Referrer-Policy": "no-referrer", "Cache-Control": "no-store"}


def connect_handlers(services: Services) -> list[BaseRouteHandler]:
    """The route `/connect/oauth2callback/{vendor}`."""

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

    return [oauth2callback]


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
