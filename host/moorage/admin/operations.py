"""Operations: what vendors sent and nobody could work on yet, and why."""

from collections.abc import Mapping
from typing import Annotated, Final

from litestar import get
from litestar.params import QueryParameter

from moorage.admin.desk import VisitHere
from moorage.admin.lead_words import stopped_by
from moorage.admin.leafing import PAGE_SIZE, leafing, page_number
from moorage.admin.pages import Answer
from moorage.admin.standing import all_standings
from moorage.auth import SESSION
from moorage.deliveries import DeliveryQuery, list_deliveries
from moorage_ports.inbox import ItemState
from moorage_ports.operations import Role

STATES: Final[Mapping[str, str]] = {
    ItemState.DEAD.value: "Given up",
    ItemState.PARKED.value: "Parked",
    ItemState.PENDING.value: "On their way",
}


@get("/operations", opt=SESSION)
async def operations_page(
    visit: VisitHere,
    which: Annotated[str, QueryParameter(name="state", required=False)] = "",
    replayed: Annotated[str, QueryParameter(required=False)] = "",
    p: Annotated[str, QueryParameter(required=False)] = "1",
) -> Answer:
    """Kept deliveries of one state, the newest first."""
    visit.caller(Role.ADMIN)
    chosen = which if which in STATES else ItemState.DEAD.value
    query = DeliveryQuery(p=page_number(p), ps=PAGE_SIZE, state=chosen)
    found = await list_deliveries(visit.services, visit.org_id, query)
    async with visit.services.storage.unit_of_work(visit.org_id, reads_only=True) as uow:
        standings = await all_standings(uow, visit.services.vendors)
        counts = {name: (await uow.inbox.kept(ItemState(name), page=1, page_size=1)).total for name in STATES}
    context = {
        "title": "Deliveries",
        "state": chosen,
        "states": STATES,
        "counts": counts,
        "rows": found.items,
        "pages": leafing(found, {"state": "" if chosen == ItemState.DEAD.value else chosen}),
        "titles": visit.services.vendors.titles,
        "trouble": stopped_by,
        "replayed": page_number(replayed) if replayed and replayed != "0" else 0,
        "expired": [standing for standing in standings if standing.is_expired],
    }
    return visit.page("operations.html", context)
