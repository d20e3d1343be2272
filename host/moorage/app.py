"""The web app: routes, the error table and what every answer carries. Names no adapter."""

import time
from collections.abc import Collection
from typing import Final

import structlog
from litestar import Litestar, Router, get
from litestar.config.cors import CORSConfig
from litestar.handlers import BaseRouteHandler
from litestar.response import Redirect
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from moorage.admin.router import admin_router
from moorage.auth import PUBLIC, TokenVerifier, caller_guard
from moorage.dispatch import Handlers
from moorage.errors import EXCEPTION_HANDLERS, request_id_of
from moorage.logging import REQUEST_ID
from moorage.openapi import openapi_config
from moorage.operations.handlers import HANDLERS
from moorage.routes.connect import connect_handlers
from moorage.routes.crm import crm_handlers
from moorage.routes.deliveries import delivery_handlers
from moorage.routes.export import export_handlers
from moorage.routes.health import health_handlers
from moorage.routes.privacy import privacy_handlers
from moorage.routes.sync import sync_handlers
from moorage.routes.upstream import upstream_handlers
from moorage.routes.webhook import webhook_handlers
from moorage.routes.webhooks_out import webhook_out_handlers
from moorage.services import Services
from moorage.settings import Settings

log = structlog.get_logger("moorage.access")

_SMALL_BODY: Final = 1_000_000
_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_HTTPS_ONLY: Final = ((b"strict-transport-security", b"max-age=31536000"),)


def create_app(services: Services, handlers: Handlers = HANDLERS) -> Litestar:
    """The host as an ASGI app over what is open already; opening and closing is bootstrap's."""
    settings = services.settings
    guard = caller_guard(TokenVerifier(settings.jwt, services.clock))
    routes: list[BaseRouteHandler] = [
        *upstream_handlers(services, handlers),
        *connect_handlers(services),
        *crm_handlers(services),
        *webhook_out_handlers(services),
        *export_handlers(services),
        *sync_handlers(services),
        *delivery_handlers(services),
        *privacy_handlers(services),
        *health_handlers(services),
    ]
    # Deliveries prove themselves. They are the one family outside the guard: the framework copies a handler
    # for each of its guards at every request, a tenth of what a delivery costs.
    deliveries = webhook_handlers(services)
    app = Litestar(
        route_handlers=[
            *deliveries,
            # Side by side, not one in the other: the framework copies a router into each that holds it.
            Router("/", route_handlers=[home, *routes], guards=[guard]),
            admin_router(services, guard),
        ],
        exception_handlers=EXCEPTION_HANDLERS,
        cors_config=_cors(settings),
        openapi_config=openapi_config(settings, services.vendors, guard),
        request_max_body_size=_SMALL_BODY,
        logging_config=None,  # `logging.py` configures every logger there is
        debug=False,
    )
    families = {_family(path) for handler in (*deliveries, *routes) for path in handler.paths}
    app.asgi_handler = _enveloped(_also_below_api(app.asgi_handler, families), settings)
    return app


def create_health_app(services: Services) -> Litestar:
    """What a worker answers: whether it lives, whether it is ready, what it counts. Nothing else."""
    settings = services.settings
    app = Litestar(
        route_handlers=health_handlers(services),
        guards=[caller_guard(TokenVerifier(settings.jwt, services.clock))],
        exception_handlers=EXCEPTION_HANDLERS,
        openapi_config=None,
        logging_config=None,
        debug=False,
    )
    app.asgi_handler = _enveloped(app.asgi_handler, settings)
    return app


@get("/", opt=PUBLIC, include_in_schema=False)
async def home() -> Redirect:
    """People who type the host's name want the admin UI."""
    return Redirect("/admin")


def _cors(settings: Settings) -> CORSConfig | None:
    """Only the origins of the settings; without any, no header at all."""
    if not settings.cors_origins:
        return None
    return CORSConfig(
        allow_origins=list(settings.cors_origins),
        allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
        allow_headers=["authorization", "content-type", "idempotency-key", "orgid"],
        expose_headers=["retry-after", "x-request-id"],
        max_age=600,
    )


def _also_below_api(serve: ASGIApp, families: Collection[str]) -> ASGIApp:
    """`serve`, and the same at /api/…: frontends proxy that path to us unchanged. The admin UI is not there.

    Cut off before anything is routed: to register everything twice takes a quarter of a second of the start.
    """

    async def serving(scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if path.startswith("/api/") and _family(path[len("/api") :]) in families:
            scope["path"] = path[len("/api") :]
        await serve(scope, receive, send)

    return serving


def _family(path: str) -> str:
    """What a path begins with: `crm` of `/crm/leads`."""
    return path.split("/", 2)[1]


def _enveloped(serve: ASGIApp, settings: Settings) -> ASGIApp:
    """`serve`, inside what every answer has, also those to requests that reach no route of ours.

    A request gets an id that its answer, its log lines and its problem document share.
    """
    is_https = settings.public_url.startswith("https://")
    always = (*_HEADERS, *_HTTPS_ONLY) if is_https else _HEADERS

    async def enveloped(scope: Scope, receive: Receive, send: Send) -> None:
        request_id = request_id_of(scope)
        named = (b"x-request-id", request_id.encode("ascii"))
        path, began = scope["path"], time.perf_counter()

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message["headers"])
                present = {name for name, _ in headers}
                headers.extend(pair for pair in (named, *always) if pair[0] not in present)
                message["headers"] = headers
                _log_access(scope, message["status"], path, time.perf_counter() - began)
            await send(message)

        token = REQUEST_ID.set(request_id)
        try:
            await serve(scope, receive, sending)
        finally:
            REQUEST_ID.reset(token)

    return enveloped


def _log_access(scope: Scope, status: int, path: str, seconds: float) -> None:
    """The path and nothing behind it: queries carry codes and states."""
    handler = scope.get("route_handler")  # none was found, when it is not there
    if status >= 400 or not getattr(handler, "opt", {}).get("quiet"):
        method = scope.get("method", "")
        log.info("request", method=method, path=path[:200], status=status, ms=round(seconds * 1000, 1))
