"""Having kept deliveries worked on again: first what that would do, then the button that does it."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from litestar import Request, get, post

from moorage import codec
from moorage.admin.desk import FormHere, Visit, VisitHere
from moorage.admin.forms import MAX_FORM_BYTES
from moorage.admin.lead_words import form_names, stopped_by
from moorage.admin.pages import Answer
from moorage.admin.proof import REPLAY, needs_proof
from moorage.admin.sessions import caller_of
from moorage.auth import SESSION
from moorage.deliveries import Replayed, ReplayPlan, ReplayRequest, replay_deliveries
from moorage.leads.rehearsing import ALREADY_THERE, NOT_READ
from moorage_ports.errors import InvalidRequestError
from moorage_ports.lead_ledger import LeadOutcome
from moorage_ports.operations import Role

BACK: Final[Mapping[str, tuple[str, str]]] = {
    "ledger": ("/admin/leads/ledger", "Ledger"),
    "deliveries": ("/admin/operations", "Deliveries"),
}
_ASKED: Final = frozenset(field.json for field in codec.fields_of(ReplayRequest)) - {"dryRun"}

# What would become of a lead: (how many of them, what is said of each).
FATES: Final[Mapping[str, tuple[str, str]]] = {
    LeadOutcome.STORED.value: ("{} would be stored", "A lead of its own"),
    LeadOutcome.LINKED.value: ("{} would be stored and linked", "A lead of its own, linked to"),
    LeadOutcome.MERGED.value: ("{} would go into older ones", "It goes into"),
    LeadOutcome.ERASED.value: ("{} were erased here", "Nothing: it was erased here"),
    ALREADY_THERE: ("{} are in the CRM already", "Nothing: it is in the CRM already"),
    NOT_READ: ("{} can still not be read", "It can still not be read"),
}


@get("/operations/replay", opt=SESSION)
async def replay_page(request: Request[Any, Any, Any], visit: VisitHere) -> Answer:
    """What the replay that the address asks for would do. Changes nothing."""
    visit.caller(Role.ADMIN)
    pairs = list(request.query_params.multi_items())
    back = next((text for name, text in pairs if name == "back"), "")
    return await plan_page(visit, pairs, back=back)


@post("/operations/replay", opt=SESSION, request_max_body_size=MAX_FORM_BYTES, status_code=200)
async def do_replay(visit: VisitHere, form: FormHere) -> Answer:
    """Work on exactly that again."""
    caller = visit.caller(Role.ADMIN)
    needs_proof(visit, REPLAY, form.text("page"))
    pairs = [(name, text) for name in form.fields for text in form.all(name)]
    asked = codec.structure_query(_said(pairs), ReplayRequest)
    done = await replay_deliveries(visit.services, caller, asked)
    path, _ = BACK.get(form.text("back"), BACK["deliveries"])
    return visit.redirect(f"{path}?replayed={done.replayed if isinstance(done, Replayed) else 0}")


def _said(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """What of it says what to replay.

    Raises:
        InvalidRequestError: Nothing does: everything is never meant by that.
    """
    said = [(name, text) for name, text in pairs if name in _ASKED and text]
    if not said:
        msg = "nothing was chosen to be replayed"
        raise InvalidRequestError(msg)
    return said


async def plan_page(
    visit: Visit, pairs: Iterable[tuple[str, str]], *, back: str, left_out: int = 0
) -> Answer:
    """What would be worked on again, each by itself with what would come of it, and the button.

    `left_out` of what fits are more than are replayed at once.
    """
    said, caller = _said(pairs), caller_of(visit.session)
    asked = codec.structure_query([*said, ("dryRun", "true")], ReplayRequest)
    plan = await replay_deliveries(visit.services, caller, asked)
    return await _plan_page(visit, plan, said, back, left_out)


async def nothing_page(visit: Visit, *, back: str) -> Answer:
    """That there is nothing to replay."""
    return await _plan_page(visit, ReplayPlan(would_replay=0), [], back, 0)


async def _plan_page(
    visit: Visit, plan: Replayed | ReplayPlan, said: list[tuple[str, str]], back: str, left_out: int
) -> Answer:
    path, place = BACK.get(back, BACK["deliveries"])
    async with visit.services.storage.unit_of_work(visit.org_id, reads_only=True) as uow:
        forms = {one.id: one.name for one in await form_names(uow)}
    context = {
        "title": "Replay",
        "plan": plan,
        "said": said,
        "is_parked": ("state", "parked") in said,
        "fates": FATES,
        "back": back if back in BACK else "deliveries",
        "page": f"{visit.path}?{visit.query}",
        "back_path": path,
        "back_title": place,
        "left_out": left_out,
        "titles": visit.services.vendors.titles,
        "trouble": stopped_by,
        "forms": forms,
    }
    return visit.page("replay.html", context)
