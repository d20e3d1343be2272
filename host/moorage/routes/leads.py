"""Leads over HTTP: to read, to write down, to change and to delete; and how each of them got here."""

from typing import Any

from litestar import HttpMethod, MediaType, Request, Response, delete, get, post, route
from litestar.handlers import BaseRouteHandler

from moorage import codec, dispatch
from moorage.auth import caller_of, require_role
from moorage.bodies import query_of, read_body
from moorage.crm.lead_changes import LeadChange, LeadDraft, add_lead, change_lead, delete_lead
from moorage.crm.leads import LeadQuery, get_lead, list_leads
from moorage.leads.ledger import LedgerQuery, list_entries, totals, trace_of
from moorage.services import Services
from moorage_ports.operations import Role

_ALL = "/crm/leads/detail"
_ONE = "/crm/leads/detail/{lead_id:str}"


def lead_handlers(services: Services) -> list[BaseRouteHandler]:
    """The routes below `/crm/leads`, but for those of forms and of export."""
    return [*_reading(services), *_changing(services), *_ledger(services)]


def _reading(services: Services) -> list[BaseRouteHandler]:
    @get(_ALL, name="list_leads", summary="List leads, newest first.")
    async def leads(request: Request[Any, Any, Any]) -> Response[bytes]:
        query = query_of(request, LeadQuery)
        return _json(await list_leads(services, caller_of(request).org_id, query))

    @get(_ONE, name="get_lead", summary="Read one lead.")
    async def lead(request: Request[Any, Any, Any]) -> Response[bytes]:
        found = await get_lead(services, caller_of(request).org_id, request.path_params["lead_id"])
        return _json(found)

    return [leads, lead]


def _changing(services: Services) -> list[BaseRouteHandler]:
    @post(_ALL, name="add_lead", status_code=201, request_max_body_size=None)
    async def add(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Write down a lead that came by no form."""
        caller = caller_of(request)
        require_role(caller, Role.AGENT)
        draft = codec.decode(await read_body(request, limit=dispatch.MAX_BODY), LeadDraft)
        return _json(await add_lead(services, caller, draft), 201)

    @route(
        _ONE,
        http_method=[HttpMethod.PATCH, HttpMethod.PUT],
        name="change_lead",
        status_code=200,
        request_max_body_size=None,
    )
    async def change(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Change a lead's status, stage, assignee, or what is written of the person."""
        caller = caller_of(request)
        require_role(caller, Role.AGENT)
        asked = codec.decode(await read_body(request, limit=dispatch.MAX_BODY), LeadChange)
        return _json(await change_lead(services, caller, request.path_params["lead_id"], asked))

    @delete(_ONE, name="delete_lead", status_code=204)
    async def remove(request: Request[Any, Any, Any]) -> None:
        """Delete a lead with all that was told of it."""
        caller = caller_of(request)
        require_role(caller, Role.ADMIN)
        await delete_lead(services, caller, request.path_params["lead_id"])

    return [add, change, remove]


def _ledger(services: Services) -> list[BaseRouteHandler]:
    @get("/crm/leads/ledger", name="list_ledger")
    async def ledger(request: Request[Any, Any, Any]) -> Response[bytes]:
        """List how leads got here and where they are stuck, the last arrived first."""
        query = query_of(request, LedgerQuery)
        return _json(await list_entries(services, caller_of(request).org_id, query))

    @get("/crm/leads/ledger/forms", name="lead_totals")
    async def forms(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Add up the leads of each form by what became of them."""
        return _json(await totals(services, caller_of(request).org_id))

    @get(f"{_ONE}/trace", name="trace_lead")
    async def trace(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Read how one lead got here, step by step."""
        key = request.path_params["lead_id"]
        return _json(await trace_of(services, caller_of(request).org_id, key))

    return [ledger, forms, trace]


def _json(value: object, status: int = 200) -> Response[bytes]:
    return Response(codec.encode(value), status_code=status, media_type=MediaType.JSON)
