"""Kept changes over HTTP: what was given up or waits, replaying it, and the kinds that nobody has mapped."""

from typing import Any

from litestar import MediaType, Request, Response, get, post
from litestar.handlers import BaseRouteHandler

from moorage import codec, dispatch
from moorage.auth import caller_of, require_role
from moorage.bodies import query_of, read_body
from moorage.crm.unmapped import list_unmapped
from moorage.deliveries import DeliveryQuery, ReplayRequest, list_deliveries, replay_deliveries
from moorage.services import Services
from moorage_ports.operations import Role


def delivery_handlers(services: Services) -> list[BaseRouteHandler]:
    """The routes below `/upstream/deliveries`, and `/upstream/unmapped`."""

    @get("/upstream/deliveries", name="list_deliveries")
    async def deliveries(request: Request[Any, Any, Any]) -> Response[bytes]:
        """List kept changes that were given up, are parked or wait."""
        caller = caller_of(request)
        require_role(caller, Role.ADMIN)
        return _json(await list_deliveries(services, caller.org_id, query_of(request, DeliveryQuery)))

    @post(
        "/upstream/deliveries/replay", name="replay_deliveries", status_code=202, request_max_body_size=None
    )
    async def replay(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Work on kept changes again, as if they had just come; `dryRun` says which those would be."""
        caller = caller_of(request)
        require_role(caller, Role.ADMIN)
        asked = codec.decode(await read_body(request, limit=dispatch.MAX_BODY), ReplayRequest)
        status = 200 if asked.dry_run else 202
        return _json(await replay_deliveries(services, caller, asked), status)

    @get("/upstream/unmapped", name="list_unmapped")
    async def unmapped(request: Request[Any, Any, Any]) -> Response[bytes]:
        """List the kinds of news that nobody has mapped, the most frequent first."""
        return _json(await list_unmapped(services, caller_of(request).org_id))

    return [deliveries, replay, unmapped]


def _json(value: object, status: int = 200) -> Response[bytes]:
    return Response(codec.encode(value), status_code=status, media_type=MediaType.JSON)
