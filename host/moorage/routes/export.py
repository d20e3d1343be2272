"""Leads as a file."""

from collections.abc import AsyncIterator, Mapping
from typing import Any

from litestar import Request, get
from litestar.handlers import BaseRouteHandler
from litestar.response import Stream

from moorage.auth import caller_of, require_role
from moorage.bodies import query_of
from moorage.handover.exporting import MEDIA_TYPES, ExportQuery, export_leads
from moorage.services import Caller, Services
from moorage_ports.operations import Role


def export_handlers(services: Services) -> list[BaseRouteHandler]:
    """`/crm/leads/export`."""

    @get("/crm/leads/export", name="export_leads", summary="All leads that fit, as CSV or JSON Lines.")
    async def export(request: Request[Any, Any, Any]) -> Stream:
        return await export_answer(services, caller_of(request), query_of(request, ExportQuery))

    return [export]


async def export_answer(
    services: Services, caller: Caller, query: ExportQuery, headers: Mapping[str, str] | None = None
) -> Stream:
    """The leads that fit as a file to save, with these headers besides its own.

    Raises:
        ForbiddenError: Who reads leads one by one may not take all of them along.
    """
    require_role(caller, Role.AGENT)
    pieces = export_leads(services, caller.org_id, query, by=f"user:{caller.user_id}")
    # Read before the answer begins: what fails now is still told as a problem.
    first = await anext(pieces, b"")
    stamp = f"{services.clock.now():%Y%m%d-%H%M%S}"
    return Stream(
        _all(first, pieces),
        media_type=MEDIA_TYPES[query.format],
        headers={
            **{name.lower(): value for name, value in (headers or {}).items()},
            "content-disposition": f'attachment; filename="leads-{stamp}.{query.format}"',
            "cache-control": "no-store",
            "x-accel-buffering": "no",
        },
    )


async def _all(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece
