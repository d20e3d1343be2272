"""Mappings of lead forms over HTTP: to read, to save, to try out, and to map past leads by."""

from typing import Any

from litestar import MediaType, Request, Response, get, post, put
from litestar.handlers import BaseRouteHandler

from moorage import codec, dispatch
from moorage.auth import caller_of, require_role
from moorage.bodies import query_of, read_body
from moorage.leads.mappings import (
    FormQuery,
    PreviewMapping,
    SaveMapping,
    current_mapping,
    list_versions,
    one_version,
    preview_mapping,
    save_mapping,
)
from moorage.leads.remap_orders import OrderRemap, newest_remap, one_remap, order_remap
from moorage.services import Services
from moorage_ports.operations import Role

_MAPPING = "/crm/lead-forms/{form_id:str}/mapping"
_REMAP = "/crm/lead-forms/{form_id:str}/remap"


def lead_form_handlers(services: Services) -> list[BaseRouteHandler]:
    """The routes below `/crm/lead-forms`."""
    return [*_reading(services), *_writing(services), *_remapping(services)]


def _reading(services: Services) -> list[BaseRouteHandler]:
    @get(_MAPPING, name="get_mapping")
    async def current(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Read the mapping by which the form's leads are mapped now."""
        query = query_of(request, FormQuery)
        return _json(await current_mapping(services, caller_of(request).org_id, _form(request), query))

    @get(f"{_MAPPING}/versions", name="list_mapping_versions")
    async def versions(request: Request[Any, Any, Any]) -> Response[bytes]:
        """List every version of the form's mapping, the newest first."""
        query = query_of(request, FormQuery)
        return _json(await list_versions(services, caller_of(request).org_id, _form(request), query))

    @get(f"{_MAPPING}/versions/{{number:str}}", name="get_mapping_version")
    async def version(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Read one version of the form's mapping."""
        query, number = query_of(request, FormQuery), request.path_params["number"]
        return _json(await one_version(services, caller_of(request).org_id, _form(request), number, query))

    return [current, versions, version]


def _writing(services: Services) -> list[BaseRouteHandler]:
    @put(_MAPPING, name="save_mapping", request_max_body_size=None)
    async def save(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Save the next version of the form's mapping: leads that come from now on are mapped by it."""
        caller, query = caller_of(request), query_of(request, FormQuery)
        require_role(caller, Role.ADMIN)
        asked = codec.decode(await read_body(request, limit=dispatch.MAX_BODY), SaveMapping)
        return _json(await save_mapping(services, caller, _form(request), query, asked))

    @post(f"{_MAPPING}/preview", name="preview_mapping", status_code=200, request_max_body_size=None)
    async def preview(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Show what a mapping would make of the form's newest leads. Nothing is saved."""
        caller, query = caller_of(request), query_of(request, FormQuery)
        require_role(caller, Role.AGENT)
        asked = codec.decode(await read_body(request, limit=dispatch.MAX_BODY), PreviewMapping)
        return _json(await preview_mapping(services, caller, _form(request), query, asked))

    return [save, preview]


def _remapping(services: Services) -> list[BaseRouteHandler]:
    @post(_REMAP, name="remap_leads", status_code=202, request_max_body_size=None)
    async def remap(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Map the form's past leads by its current mapping; answers at once, and goes on by itself."""
        caller, query = caller_of(request), query_of(request, FormQuery)
        require_role(caller, Role.ADMIN)
        asked = codec.decode(await read_body(request, limit=dispatch.MAX_BODY) or b"{}", OrderRemap)
        return _json(await order_remap(services, caller, _form(request), query, asked), 202)

    @get(_REMAP, name="get_newest_remap")
    async def newest(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Read how far the form's last re-mapping is."""
        query = query_of(request, FormQuery)
        return _json(await newest_remap(services, caller_of(request).org_id, _form(request), query))

    @get(f"{_REMAP}/{{remap_id:str}}", name="get_remap")
    async def one(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Read how far one re-mapping is."""
        query, remap_id = query_of(request, FormQuery), request.path_params["remap_id"]
        return _json(await one_remap(services, caller_of(request).org_id, _form(request), remap_id, query))

    return [remap, newest, one]


def _form(request: Request[Any, Any, Any]) -> str:
    form_id: str = request.path_params["form_id"]
    return form_id


def _json(value: object, status: int = 200) -> Response[bytes]:
    return Response(codec.encode(value), status_code=status, media_type=MediaType.JSON)
