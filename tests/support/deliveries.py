"""Deliveries signed as the vendor signs them; the sample bodies beside the project, when they are there."""

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator, Iterable
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
    pieces: int = 1,
) -> httpx.Response:
    """Post one delivery to the host, signed with the demo app's secret unless `signed` says otherwise.

    In more than one piece, its body arrives bit by bit.
    """
    headers = [("content-type", "application/json")]
    headers.append(("x-hub-signature-256", signature(body, facts.app_secret) if signed is None else signed))
    headers += extra
    content = body if pieces == 1 else _bit_by_bit(body, pieces)
    return await http.post(f"{facts.host}/connect/webhook/facebook{query}", content=content, headers=headers)


async def _bit_by_bit(body: bytes, pieces: int) -> AsyncIterator[bytes]:
    size = -(-len(body) // pieces)
    for start in range(0, len(body), size):
        yield body[start : start + size]
        await asyncio.sleep(0.05)
