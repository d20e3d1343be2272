"""The embedded CRM over HTTP: leads, listed and one by one."""

from typing import Any, Final
from urllib.parse import parse_qsl

from litestar import MediaType, Request, Response, get
from litestar.handlers import BaseRouteHandler

from moorage.auth import caller_of
from moorage.codec import encode, structure_query
from moorage.crm.leads import LeadQuery, get_lead, list_leads
from moorage.services import Services
from moorage_ports.errors import InvalidRequestError

_MOST_PARAMETERS: Final = 32


def crm_handlers(services: Services) -> list[BaseRouteHandler]:
    """The routes `/crm/leads/detail` and `/crm/leads/detail/{id}`."""

    @get("/crm/leads/detail", name="list_leads", summary="List leads, newest first.")
    async def leads(request: Request[Any, Any, Any]) -> Response[bytes]:
        query = structure_query(_parameters(request.scope["query_string"]), LeadQuery)
        found = await list_leads(services, caller_of(request).org_id, query)
        return Response(encode(found), media_type=MediaType.JSON)

    @get("/crm/leads/detail/{lead_id:str}", name="get_lead", summary="Read one lead.")
    async def lead(request: Request[Any, Any, Any]) -> Response[bytes]:
        found = await get_lead(services, caller_of(request).org_id, request.path_params["lead_id"])
        return Response(encode(found), media_type=MediaType.JSON)

    return [leads, lead]


def _parameters(query: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=_MOST_PARAMETERS)
    except ValueError:
        msg = "too many query parameters"
        raise InvalidRequestError(msg) from None
