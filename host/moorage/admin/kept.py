"""Kept deliveries: have those worked on again that were given up, from the page that says so."""

from litestar import post

from moorage.admin.desk import FormHere, VisitHere
from moorage.admin.forms import MAX_FORM_BYTES
from moorage.admin.pages import Answer
from moorage.admin.proof import REPLAY, needs_proof
from moorage.auth import SESSION
from moorage.deliveries import ReplayRequest, replay_deliveries
from moorage_ports.operations import Role


@post("/deliveries/replay", opt=SESSION, request_max_body_size=MAX_FORM_BYTES, status_code=200)
async def replay_given_up(visit: VisitHere, form: FormHere) -> Answer:
    """Work on everything again that was given up. What had its effect has none a second time."""
    caller = visit.caller(Role.ADMIN)
    needs_proof(visit, REPLAY, "/admin")
    await replay_deliveries(visit.services, caller, ReplayRequest(state="dead"))
    return visit.redirect("/admin")
