"""Is it alive, is it ready, how is it doing: for load balancers, orchestrators and Prometheus."""

from litestar import Response, get
from litestar.handlers import BaseRouteHandler
from prometheus_client import generate_latest

from moorage.auth import PUBLIC, QUIET
from moorage.services import Services


def health_handlers(services: Services) -> list[BaseRouteHandler]:
    """`/healthz`, `/readyz` and `/metrics`; the last needs a token unless the settings open it."""

    @get("/healthz", opt={**PUBLIC, **QUIET}, media_type="text/plain")
    async def healthz() -> str:
        """The process answers."""
        return "ok"

    @get("/readyz", opt={**PUBLIC, **QUIET}, media_type="text/plain")
    async def readyz() -> str:
        """The database answers and its schema is current; else 503, and traffic should go elsewhere."""
        await services.storage.ping()
        return "ready"

    @get("/metrics", opt={**PUBLIC, **QUIET} if services.settings.open_metrics else QUIET)
    async def metrics() -> Response[bytes]:
        """Counters; their labels name vendors and kinds, never orgs or people."""
        return Response(generate_latest(), media_type="text/plain; version=1.0.0")

    return [healthz, readyz, metrics]
