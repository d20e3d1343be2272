"""Outgoing webhooks over HTTP: who is told of leads, and what became of each message."""

from typing import Any, TypeVar

from litestar import MediaType, Request, Response, delete, get, patch, post
from litestar.handlers import BaseRouteHandler

from moorage import codec, dispatch
from moorage.auth import caller_of, require_role
from moorage.bodies import query_of, read_body
from moorage.handover.endpoints import (
    EndpointChange,
    HandoverQuery,
    HandoverReplay,
    NewEndpoint,
    Rotation,
    change_endpoint,
    create_endpoint,
    delete_endpoint,
    get_endpoint,
    list_endpoints,
    list_handovers,
    replay_handovers,
    rotate_secret,
    send_ping,
)
from moorage.services import Caller, Services
from moorage_ports.operations import Role

T = TypeVar("T")

_ONE = "/crm/webhooks/endpoints/{endpoint_id:str}"


def webhook_out_handlers(services: Services) -> list[BaseRouteHandler]:
    """The routes below `/crm/webhooks`, all of them for admins: a URL may be as good as a password."""
    return [*_endpoints(services), *_messages(services)]


def _endpoints(services: Services) -> list[BaseRouteHandler]:
    @get(
        "/crm/webhooks/endpoints", name="list_endpoints", summary="List the endpoints that are told of leads."
    )
    async def endpoints(request: Request[Any, Any, Any]) -> Response[bytes]:
        return _json(await list_endpoints(services, _admin(request).org_id))

    @post(
        "/crm/webhooks/endpoints",
        name="create_endpoint",
        summary="Tell an endpoint of leads; shows its secret, this once.",
        status_code=201,
        request_max_body_size=None,
    )
    async def create(request: Request[Any, Any, Any]) -> Response[bytes]:
        caller = _admin(request)
        return _json(await create_endpoint(services, caller, await _body(request, NewEndpoint)), 201)

    @get(_ONE, name="get_endpoint", summary="Read one endpoint.")
    async def endpoint(request: Request[Any, Any, Any]) -> Response[bytes]:
        return _json(await get_endpoint(services, _admin(request).org_id, _id(request)))

    @patch(_ONE, name="change_endpoint", summary="Change an endpoint.", request_max_body_size=None)
    async def change(request: Request[Any, Any, Any]) -> Response[bytes]:
        caller, asked = _admin(request), await _body(request, EndpointChange)
        return _json(await change_endpoint(services, caller, _id(request), asked))

    @delete(_ONE, name="delete_endpoint", summary="Delete an endpoint.", status_code=204)
    async def remove(request: Request[Any, Any, Any]) -> None:
        await delete_endpoint(services, _admin(request), _id(request))

    return [endpoints, create, endpoint, change, remove]


def _messages(services: Services) -> list[BaseRouteHandler]:
    @post(
        f"{_ONE}/rotate",
        name="rotate_endpoint_secret",
        summary="Sign with a new secret; shows it, this once.",
        status_code=200,
        request_max_body_size=None,
    )
    async def rotate(request: Request[Any, Any, Any]) -> Response[bytes]:
        caller, asked = _admin(request), await _body(request, Rotation)
        return _json(await rotate_secret(services, caller, _id(request), asked))

    @post(f"{_ONE}/test", name="test_endpoint", summary="Send a test message and wait.", status_code=200)
    async def test(request: Request[Any, Any, Any]) -> Response[bytes]:
        return _json(await send_ping(services, _admin(request), _id(request)))

    @get(f"{_ONE}/deliveries", name="list_handovers", summary="List an endpoint's messages, newest first.")
    async def deliveries(request: Request[Any, Any, Any]) -> Response[bytes]:
        caller, query = _admin(request), query_of(request, HandoverQuery)
        return _json(await list_handovers(services, caller.org_id, _id(request), query))

    @post(
        f"{_ONE}/replay",
        name="replay_handovers",
        summary="Send messages again.",
        status_code=202,
        request_max_body_size=None,
    )
    async def replay(request: Request[Any, Any, Any]) -> Response[bytes]:
        caller, asked = _admin(request), await _body(request, HandoverReplay)
        return _json(await replay_handovers(services, caller, _id(request), asked), 202)

    return [rotate, test, deliveries, replay]


def _admin(request: Request[Any, Any, Any]) -> Caller:
    caller = caller_of(request)
    require_role(caller, Role.ADMIN)
    return caller


async def _body(request: Request[Any, Any, Any], kind: type[T]) -> T:
    return codec.decode(await read_body(request, limit=dispatch.MAX_BODY), kind)


def _id(request: Request[Any, Any, Any]) -> str:
    return str(request.path_params["endpoint_id"])


def _json(value: object, status: int = 200) -> Response[bytes]:
    return Response(codec.encode(value), media_type=MediaType.JSON, status_code=status)
