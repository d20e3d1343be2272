"""How pages are made: one set of templates, strict headers, no script, nothing loaded from elsewhere."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import MediaType, Request, Response
from litestar.datastructures import State

from moorage_facebook.sandbox.entities import Delivery
from moorage_facebook.sandbox.params import read_sent

Incoming = Request[None, None, State]

HERE = Path(__file__).parent
_TEMPLATES = Environment(
    loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)
_CSP = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'"
HEADERS = {
    "content-security-policy": f"{_CSP}; form-action 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


def show(
    template: str,
    *,
    status: int = 200,
    leaves: bool = False,
    more: Mapping[str, object] | None = None,
    **values: object,
) -> Response[str]:
    """A page; one that `leaves` may send its form on to another origin (the app the person came from)."""
    html = _TEMPLATES.get_template(template).render(**values, **(more or {}))
    target = "'self' http: https:" if leaves else "'self'"
    headers = {**HEADERS, "content-security-policy": f"{_CSP}; form-action {target}"}
    return Response(html, status_code=status, media_type="text/html; charset=utf-8", headers=headers)


def redirect(url: str) -> Response[str]:
    """Post, redirect, get."""
    return Response("", status_code=303, headers={**HEADERS, "location": url}, media_type=MediaType.HTML)


async def form_sent(request: Incoming) -> Mapping[str, str]:
    """What a form sent."""
    body = await request.body()
    return read_sent("", request.headers.get("content-type", ""), body).params


def when(unix: float) -> str:
    """`22 Nov 2026, 14:05 UTC`."""
    return datetime.fromtimestamp(unix, UTC).strftime("%-d %b %Y, %H:%M UTC")


def clock(unix: float) -> str:
    """`14:05:09`, for things of one moment."""
    return datetime.fromtimestamp(unix, UTC).strftime("%H:%M:%S")


def outcome(delivery: Delivery) -> str:
    """One word and, if there was one, the last answer."""
    words = {
        "queued": "waiting",
        "delivered": "delivered",
        "lost": "lost on purpose",
        "refused": "refused",
        "given_up": "given up",
    }
    last = delivery.attempts[-1] if delivery.attempts else None
    if last is None:
        return words[delivery.state]
    return f"{words[delivery.state]}, {last.status or last.error}"


_TEMPLATES.filters |= {"when": when, "clock": clock, "outcome": outcome}
