"""Is it alive, is it ready, how is it doing: for load balancers, orchestrators and Prometheus."""

from datetime import datetime
from math import nan

from litestar import Response, get
from litestar.handlers import BaseRouteHandler
from prometheus_client import generate_latest

from moorage.auth import PUBLIC, QUIET
from moorage.metrics import INBOX_OLDEST, INBOX_PENDING, LAST_HEARD, LEADS_MISSING, SILENCE
from moorage.services import Services
from moorage_ports.errors import UnavailableError


def health_handlers(services: Services) -> list[BaseRouteHandler]:
    """`/healthz`, `/readyz` and `/metrics`; the last needs a token unless the settings open it."""
    started_at = services.clock.now()

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
        """Counters and gauges; their labels name vendors and kinds, never orgs or people."""
        await _measure(services, started_at)
        return Response(generate_latest(), media_type="text/plain; version=1.0.0")

    return [healthz, readyz, metrics]


async def _measure(services: Services, started_at: datetime) -> None:
    """Bring the gauges up to date; what waits is unknown (NaN) while the database is away."""
    now = services.clock.now()
    for vendor in services.vendors:
        if vendor.webhooks is not None:
            heard_at = LAST_HEARD.get(vendor.slug, started_at)
            SILENCE.labels(vendor.slug).set((now - heard_at).total_seconds())
    try:
        pending = await services.storage.backlog.pending_count()
        oldest = await services.storage.backlog.oldest_pending_at()
        missing = await services.storage.backlog.missing_leads()
    except UnavailableError:
        INBOX_PENDING.set(nan)
        INBOX_OLDEST.set(nan)
        for vendor in services.vendors:
            LEADS_MISSING.labels(vendor.slug).set(nan)
        return
    for vendor in services.vendors:
        LEADS_MISSING.labels(vendor.slug).set(missing.get(vendor.slug, 0))
    INBOX_PENDING.set(pending)
    INBOX_OLDEST.set(max((now - oldest).total_seconds(), 0.0) if oldest else 0.0)
