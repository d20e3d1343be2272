"""Deliveries signed as the vendor signs them; the sample bodies beside the project, when they are there."""

import hashlib
import hmac
from collections.abc import Iterable
from pathlib import Path

import httpx

from tests.support.demo import DemoFacts

SHARED = Path(__file__).parents[3] / "shared" / "graph"


def sample_bodies() -> tuple[Path, ...]:
    """Webhook bodies from the shared folder, or none where it is absent."""
    return tuple(sorted((SHARED / "webhooks").glob("*.json")))


def signature(body: bytes, secret: str) -> str:
    """`X-Hub-Signature-256` over exactly these bytes."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


async def deliver(
    http: httpx.AsyncClient,
    facts: DemoFacts,
    body: bytes,
    *,
    signed: str | None = None,
    query: str = "",
    extra: Iterable[tuple[str, str]] = (),
) -> httpx.Response:
    """Post one delivery to the host, signed with the demo app's secret unless `signed` says otherwise."""
    headers = [("content-type", "application/json")]
    headers.append(("x-hub-signature-256", signature(body, facts.app_secret) if signed is None else signed))
    headers += extra
    return await http.post(f"{facts.host}/connect/webhook/facebook{query}", content=body, headers=headers)
