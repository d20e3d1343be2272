"""The universal API: call a vendor's operation, rehearse it, see what is installed and what is connected."""

from typing import Any

import attrs
import msgspec
from attrs.validators import max_len, min_len
from litestar import Request, Response, get, post
from litestar.handlers import BaseRouteHandler
from litestar.params import FromPath

from moorage import catalogue, codec, dispatch
from moorage.auth import caller_of, require_role
from moorage.bodies import read_body
from moorage.cards import detailed_card, integration_card
from moorage.dispatch import Addressed, Answer, Handlers
from moorage.errors import PROBLEM_JSON, MethodNotAllowedError
from moorage.operations.saving import SaveIntegration, save_integration
from moorage.operations.shutdown import shut_down
from moorage.operations.standing import known_integration
from moorage.services import Services
from moorage.vendors import Vendors
from moorage_ports.operations import Effect, Role

_JSON = "application/json"


@attrs.frozen(kw_only=True)
class GetIntegration:
    """One integration, by our id."""

    id: str = attrs.field(validator=[min_len(1), max_len(64)])


def upstream_handlers(services: Services, handlers: Handlers) -> list[BaseRouteHandler]:
    """The routes below `/upstream`."""
    return [*_calls(services, handlers), *_installed(services.vendors), *_connected(services)]


def _calls(services: Services, handlers: Handlers) -> list[BaseRouteHandler]:
    # Not in the schema: `openapi.py` lists every operation under its own name instead.
    def addressed(request: Request[Any, Any, Any], provider: str, operation: str) -> Addressed:
        caller = caller_of(request)
        return dispatch.address(services, handlers, caller, provider=provider, operation=operation)

    @post(
        "/upstream/call/{provider:str}/{operation:str}", request_max_body_size=None, include_in_schema=False
    )
    async def call(
        request: Request[Any, Any, Any], provider: FromPath[str], operation: FromPath[str]
    ) -> Response[bytes]:
        """Call an operation of a vendor."""
        asked = addressed(request, provider, operation)
        key = dispatch.idempotency_key(request.scope["headers"])
        body = dispatch.request_from_body(asked.binding, await read_body(request, limit=dispatch.MAX_BODY))
        return _response(await dispatch.perform(asked, body, key=key))

    @get("/upstream/call/{provider:str}/{operation:str}", include_in_schema=False)
    async def read(
        request: Request[Any, Any, Any], provider: FromPath[str], operation: FromPath[str]
    ) -> Response[bytes]:
        """Call an operation that only reads."""
        asked = addressed(request, provider, operation)
        if asked.effect is not Effect.READS:
            msg = "this operation changes something"
            raise MethodNotAllowedError(msg, allow="POST")
        pairs = request.query_params.multi_items()
        return _response(await dispatch.perform(asked, dispatch.request_from_query(asked.binding, pairs)))

    @post(
        "/upstream/test/{provider:str}/{operation:str}", request_max_body_size=None, include_in_schema=False
    )
    async def rehearse(
        request: Request[Any, Any, Any], provider: FromPath[str], operation: FromPath[str]
    ) -> Response[bytes]:
        """Check a call without making it."""
        asked = addressed(request, provider, operation)
        body = dispatch.request_from_body(asked.binding, await read_body(request, limit=dispatch.MAX_BODY))
        return _response(await dispatch.rehearse(asked, body))

    return [call, read, rehearse]


def _installed(vendors: Vendors) -> list[BaseRouteHandler]:
    @get("/upstream/integration-types", media_type=_JSON)
    async def integration_types() -> Response[bytes]:
        """Everything that is installed, with operations, JSON Schemas and capabilities."""
        return _json(catalogue.all_types(vendors))

    @get("/upstream/integration-types/{kind:str}", media_type=_JSON)
    async def integration_type(kind: FromPath[str]) -> Response[bytes]:
        """One type, or one vendor."""
        return _json(catalogue.one_type(vendors, kind))

    return [integration_types, integration_type]


def _connected(services: Services) -> list[BaseRouteHandler]:
    @get("/upstream/active", media_type=_JSON)
    async def active(request: Request[Any, Any, Any]) -> Response[bytes]:
        """The org's integrations."""
        return await _all_of(services, caller_of(request).org_id, None)

    @get("/upstream/active/{kind:str}", media_type=_JSON)
    async def active_of(request: Request[Any, Any, Any], kind: FromPath[str]) -> Response[bytes]:
        """The org's integrations of one type or vendor."""
        slugs = catalogue.named(services.vendors, kind)
        return await _all_of(services, caller_of(request).org_id, slugs)

    @get("/upstream/active/detail", media_type=_JSON)
    async def details(request: Request[Any, Any, Any]) -> Response[bytes]:
        """The org's integrations with what it decided about them."""
        return await _all_details(services, caller_of(request).org_id)

    @get("/upstream/active/detail/{integration_id:str}", media_type=_JSON)
    async def detail(request: Request[Any, Any, Any], integration_id: FromPath[str]) -> Response[bytes]:
        """One integration."""
        return await _detail(services, caller_of(request).org_id, integration_id)

    @post("/upstream/get-integration", status_code=200, request_max_body_size=None)
    async def get_integration(request: Request[Any, Any, Any]) -> Response[bytes]:
        """One integration, named in the body."""
        wanted = codec.decode(await read_body(request, limit=dispatch.MAX_BODY), GetIntegration)
        return await _detail(services, caller_of(request).org_id, wanted.id)

    @post("/upstream/save-integration", status_code=200, request_max_body_size=None)
    async def save(request: Request[Any, Any, Any]) -> Response[bytes]:
        """Bring an app of one's own, or change what the org decided about an integration."""
        caller = caller_of(request)
        require_role(caller, Role.ADMIN)
        asked = codec.decode(await read_body(request, limit=dispatch.MAX_BODY), SaveIntegration)
        integration = await save_integration(services, caller, asked)
        return await _detail(services, caller.org_id, integration.id)

    @post("/upstream/shutdown/{integration_id:str}", status_code=200)
    async def shutdown(request: Request[Any, Any, Any], integration_id: FromPath[str]) -> Response[bytes]:
        """Deactivate an integration: nothing is sent or taken in for it until somebody connects again."""
        caller = caller_of(request)
        require_role(caller, Role.ADMIN)
        integration = await shut_down(services, caller.org_id, integration_id)
        shut_at = codec.to_plain(integration.updated_at)
        return _json({"id": integration.id, "status": integration.status.value, "shutdownAt": shut_at})

    return [active, active_of, details, detail, get_integration, save, shutdown]


async def _all_of(services: Services, org_id: str, slugs: frozenset[str] | None) -> Response[bytes]:
    async with services.storage.unit_of_work(org_id, reads_only=True) as uow:
        chosen = [each for each in await uow.integrations.all() if slugs is None or each.vendor in slugs]
        cards = [await integration_card(services, uow, each) for each in chosen]
    return _json({"integrations": cards})


async def _all_details(services: Services, org_id: str) -> Response[bytes]:
    async with services.storage.unit_of_work(org_id, reads_only=True) as uow:
        cards = [await detailed_card(services, uow, each) for each in await uow.integrations.all()]
    return _json({"integrations": cards})


async def _detail(services: Services, org_id: str, integration_id: str) -> Response[bytes]:
    async with services.storage.unit_of_work(org_id, reads_only=True) as uow:
        return _json(await detailed_card(services, uow, await known_integration(uow, integration_id)))


def _json(value: object) -> Response[bytes]:
    return Response(msgspec.json.encode(value), media_type=_JSON)


def _response(answer: Answer) -> Response[bytes]:
    """A remembered answer may be a problem document."""
    media_type = _JSON if answer.status < 400 else PROBLEM_JSON
    return Response(answer.body, status_code=answer.status, media_type=media_type)
