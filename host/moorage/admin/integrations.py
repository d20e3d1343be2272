"""Integrations: connect a vendor, pick its channels, connect again."""

from collections.abc import Iterable
from typing import Annotated, Final

import attrs
from litestar import get, post
from litestar.params import FromPath, QueryParameter

from moorage.admin import words
from moorage.admin.desk import FormHere, Visit, VisitHere
from moorage.admin.forms import MAX_FORM_BYTES
from moorage.admin.pages import Answer
from moorage.admin.standing import VendorStanding, all_standings, vendor_standing
from moorage.admin.words import Trouble
from moorage.auth import SESSION
from moorage.errors import status_of
from moorage_ports.errors import MoorageError
from moorage_ports.integrations import Channel
from moorage_ports.operations import (
    BEGIN_CONNECT,
    LIST_CHANNELS,
    SELECT_CHANNELS,
    BeginConnect,
    ChannelProblem,
    ChannelView,
    ListChannels,
    SelectChannels,
)

_OUTCOMES: Final = frozenset({"connected", "error"})


@attrs.frozen(kw_only=True)
class ChannelRow:
    """A channel as something to tick, or the reason why it can't be."""

    id: str
    external_id: str
    type: str
    name: str
    selected: bool
    selectable: bool
    subscribed: bool
    reason: str
    missing_scopes: tuple[str, ...]
    problem: ChannelProblem | None = None


@get("/integrations", opt=SESSION)
async def integrations_page(visit: VisitHere) -> Answer:
    """Every installed vendor and how the org stands with it."""
    async with visit.services.storage.unit_of_work(visit.org_id, reads_only=True) as uow:
        standings = await all_standings(uow, visit.services.vendors)
    context = {"title": "Integrations", "standings": standings, "broken": visit.services.vendors.broken}
    return visit.page("integrations.html", context)


@get("/integrations/{slug:str}", opt=SESSION)
async def integration_page(
    visit: VisitHere,
    slug: FromPath[str],
    integration: Annotated[str, QueryParameter(required=False)] = "",
    code: Annotated[str, QueryParameter(required=False)] = "",
    fresh: Annotated[str, QueryParameter(required=False)] = "",
    saved: Annotated[str, QueryParameter(required=False)] = "",
) -> Answer:
    """One vendor: its state, and its channels to pick from. `integration` and `code` are the callback's."""
    standing = await _standing(visit, slug)
    outcome = integration if integration in _OUTCOMES else ""
    failure = words.trouble_from_code(code) if outcome == "error" else None
    rows = _rows(standing.channels)
    if fresh and standing.is_live:
        try:
            listed = await visit.ask(standing.vendor, LIST_CHANNELS, ListChannels())
        except MoorageError as error:
            failure = words.trouble(error)
            standing = await _standing(visit, slug)  # the error may have ended the integration
        else:
            rows = _rows(listed.channels)
    return _page(visit, standing, rows, outcome=outcome, failure=failure, is_saved=bool(saved))


@post("/integrations/{slug:str}/connect", opt=SESSION, request_max_body_size=MAX_FORM_BYTES, status_code=200)
async def connect(visit: VisitHere, form: FormHere, slug: FromPath[str]) -> Answer:
    """Begin a connection that only this browser session can finish, and move on to the vendor."""
    standing = await _standing(visit, slug)
    back = f"{visit.services.settings.public_url}/admin/integrations/{standing.slug}"
    try:
        begun = await visit.ask(
            standing.vendor,
            BEGIN_CONNECT,
            BeginConnect(return_url=back, rerequest=bool(form.text("rerequest"))),
        )
    except MoorageError as error:
        return _failed(visit, standing, error)
    # Not a redirect: `form-action 'self'` is checked along redirects, too, and the vendor is elsewhere.
    context = {"title": f"To {standing.title}", "standing": standing, "auth_url": begun.auth_url}
    return visit.page("leaving.html", context)


@post("/integrations/{slug:str}/channels", opt=SESSION, request_max_body_size=MAX_FORM_BYTES, status_code=200)
async def pick_channels(visit: VisitHere, form: FormHere, slug: FromPath[str]) -> Answer:
    """Manage exactly the ticked channels."""
    standing = await _standing(visit, slug)
    try:
        selection = await visit.ask(
            standing.vendor, SELECT_CHANNELS, SelectChannels(channels=form.all("channel"))
        )
    except MoorageError as error:
        standing = await _standing(visit, slug)
        return _failed(visit, standing, error)
    if not selection.problems:
        return visit.redirect(f"/admin/integrations/{standing.slug}?saved=1")
    standing = await _standing(visit, slug)
    return _page(visit, standing, _rows(standing.channels, selection.problems))


async def _standing(visit: Visit, slug: str) -> VendorStanding:
    vendor = visit.services.vendors.get(slug)
    async with visit.services.storage.unit_of_work(visit.org_id, reads_only=True) as uow:
        return await vendor_standing(uow, vendor)


def _rows(
    channels: Iterable[Channel | ChannelView], problems: Iterable[ChannelProblem] = ()
) -> tuple[ChannelRow, ...]:
    by_id = {problem.id: problem for problem in problems}
    return tuple(
        ChannelRow(
            id=channel.id,
            external_id=channel.external_id,
            type=channel.type,
            name=channel.name,
            selected=channel.selected,
            selectable=channel.selectable,
            subscribed=channel.subscribed,
            reason=channel.reason or "",
            missing_scopes=channel.missing_scopes,
            problem=by_id.get(channel.id) or by_id.get(channel.external_id),
        )
        for channel in channels
    )


def _failed(visit: Visit, standing: VendorStanding, error: MoorageError) -> Answer:
    rows = _rows(standing.channels)
    return _page(visit, standing, rows, failure=words.trouble(error), status=status_of(error))


def _page(
    visit: Visit,
    standing: VendorStanding,
    rows: tuple[ChannelRow, ...],
    *,
    outcome: str = "",
    failure: Trouble | None = None,
    is_saved: bool = False,
    status: int = 200,
) -> Answer:
    context = {
        "title": standing.title,
        "standing": standing,
        "rows": sorted(rows, key=lambda row: (row.type, row.name.casefold())),
        "outcome": outcome,
        "failure": failure,
        "is_saved": is_saved,
        "ends_at": standing.ends_at(visit.desk.now()),
    }
    return visit.page("integration.html", context, status=status)
