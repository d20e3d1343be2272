"""Forgetting over HTTP: what is kept for how long, and having a person forgotten. For administrators."""

from typing import Any

from litestar import MediaType, Request, Response, get, post, put
from litestar.handlers import BaseRouteHandler

from moorage import codec, dispatch
from moorage.auth import caller_of, require_role
from moorage.bodies import query_of, read_body
from moorage.privacy.requests import ErasePerson, ErasureQuery, erase_person, list_erasures
from moorage.privacy.settings import SetRetention, get_retention, set_retention
from moorage.services import Caller, Services
from moorage_ports.operations import Role

_RETENTION = "/crm/settings/retention"


def privacy_handlers(services: Services) -> list[BaseRouteHandler]:
    """The routes of retention and of erasing people."""

    @get(_RETENTION, name="get_retention")
    async def retention(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Read for how long what is kept, and what the last look removed."""
        return _json(await get_retention(services, _admin(request).org_id))

    @put(_RETENTION, name="set_retention", request_max_body_size=None)
    async def change(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Say for how long to keep what."""
        caller = _admin(request)
        asked = codec.decode(await read_body(request, limit=dispatch.MAX_BODY), SetRetention)
        return _json(await set_retention(services, caller, asked))

    @post("/crm/privacy/erase", name="erase_person", status_code=200, request_max_body_size=None)
    async def erase(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Say what is kept of a person, or delete it."""
        caller = _admin(request)
        asked = codec.decode(await read_body(request, limit=dispatch.MAX_BODY), ErasePerson)
        return _json(await erase_person(services, caller, asked))

    @get("/crm/privacy/erasures", name="list_erasures")
    async def erasures(request: Request[Any, Any, Any]) -> Response[bytes]:
        """List what was deleted and why, newest first."""
        query = query_of(request, ErasureQuery)
        return _json(await list_erasures(services, _admin(request).org_id, query))

    return [retention, change, erase, erasures]


def _admin(request: Request[Any, Any, Any]) -> Caller:
    caller = caller_of(request)
    require_role(caller, Role.ADMIN)
    return caller


def _json(value: object) -> Response[bytes]:
    return Response(codec.encode(value), media_type=MediaType.JSON)
