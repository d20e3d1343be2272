"""Having kept deliveries worked on again: first what that would do, then the button that does it."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import attrs
from litestar import Request, get, post

from moorage import codec
from moorage.admin import words
from moorage.admin.desk import FormHere, Visit, VisitHere
from moorage.admin.forms import MAX_FORM_BYTES
from moorage.admin.pages import Answer
from moorage.admin.sessions import caller_of
from moorage.auth import SESSION, require_role
from moorage.deliveries import MOST_IDS, Replayed, ReplayPlan, ReplayRequest, replay_deliveries
from moorage_ports.errors import InvalidRequestError
from moorage_ports.operations import Role

BACK: Final[Mapping[str, tuple[str, str]]] = {
    "ledger": ("/admin/leads/ledger", "Ledger"),
    "deliveries": ("/admin/operations", "Deliveries"),
}
_ASKED: Final = frozenset({"ids", "vendor", "kind", "error", "state"})


@get("/operations/replay", opt=SESSION)
async def replay_page(request: Request[Any, Any, Any], visit: VisitHere) -> Answer:
    """What the replay that the address asks for would do. Changes nothing."""
    require_role(caller_of(visit.session), Role.ADMIN)
    pairs = list(request.query_params.multi_items())
    back = next((text for name, text in pairs if name == "back"), "")
    return await plan_page(visit, _asked(pairs), back=back)


@post("/operations/replay", opt=SESSION, request_max_body_size=MAX_FORM_BYTES, status_code=200)
async def do_replay(visit: VisitHere, form: FormHere) -> Answer:
    """Work on exactly that again."""
    caller = caller_of(visit.session)
    require_role(caller, Role.ADMIN)
    pairs = [(name, text) for name in form.fields for text in form.all(name)]
    done = await replay_deliveries(visit.services, caller, _asked(pairs))
    path, _ = BACK.get(form.text("back"), BACK["deliveries"])
    return visit.redirect(f"{path}?replayed={done.replayed if isinstance(done, Replayed) else 0}")


def _asked(pairs: Iterable[tuple[str, str]]) -> ReplayRequest:
    """The same as the API takes it.

    Raises:
        InvalidRequestError: It does not fit, or names nothing at all: everything is never meant by that.
    """
    said = [(name, text) for name, text in pairs if name in _ASKED and text]
    if not said:
        msg = "nothing was chosen to be replayed"
        raise InvalidRequestError(msg)
    return codec.structure_query(said, ReplayRequest)


async def plan_page(visit: Visit, asked: ReplayRequest | None, *, back: str, left_out: int = 0) -> Answer:
    """What would be worked on again, each by itself, and the button; `None`: there is nothing.

    `left_out` of what fits are more than are replayed at once.
    """
    plan: Replayed | ReplayPlan = ReplayPlan(would_replay=0)
    if asked is not None:
        caller = caller_of(visit.session)
        plan = await replay_deliveries(visit.services, caller, attrs.evolve(asked, dry_run=True))
    path, place = BACK.get(back, BACK["deliveries"])
    context = {
        "title": "Replay",
        "plan": plan,
        "asked": asked,
        "back": back if back in BACK else "deliveries",
        "back_path": path,
        "back_title": place,
        "left_out": left_out,
        "most": MOST_IDS,
        "titles": {vendor.slug: vendor.title for vendor in visit.services.vendors},
        "why": lambda code: words.trouble_from_code(code).title,
    }
    return visit.page("replay.html", context)
