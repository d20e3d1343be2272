"""The ledger: what became of every lead that was heard of, what stopped it, and having it tried again."""

from collections.abc import Mapping
from typing import Annotated, Final

import attrs
from litestar import get
from litestar.params import QueryParameter

from moorage.admin.desk import Visit, VisitHere
from moorage.admin.lead_words import (
    MEANINGS,
    OUTCOMES,
    REPLAYED,
    WAYS,
    by_key,
    entry_row,
    form_names,
)
from moorage.admin.leafing import PAGE_SIZE, leafing, page_number
from moorage.admin.pages import Answer
from moorage.admin.replaying import nothing_page, plan_page
from moorage.admin.standing import all_standings, channel_names
from moorage.auth import SESSION
from moorage.leads.ledger import FormTotals, LedgerQuery, list_entries, totals
from moorage.replay import AT_ONCE
from moorage_ports.operations import Role

_TESTS: Final[Mapping[str, bool | None]] = {"": None, "without": False, "only": True}


@attrs.frozen(kw_only=True)
class Asked:
    """Which entries the address asks for; what it says that means nothing is left out."""

    outcome: str = ""
    form: str = ""
    way: str = ""
    tests: str = ""
    trouble: str = ""

    @property
    def is_narrow(self) -> bool:
        """Whether more is asked for than what became of them."""
        return bool(self.form or self.way or self.tests or self.trouble)

    def query(self) -> dict[str, str]:
        """The same as an address says it."""
        return {
            "outcome": self.outcome,
            "form": self.form,
            "way": self.way,
            "tests": self.tests,
            "trouble": self.trouble,
        }

    def wanted(self, *, page: int = 1, page_size: int = PAGE_SIZE) -> LedgerQuery:
        """The same as the API asks for it."""
        return LedgerQuery(
            p=page,
            ps=page_size,
            form_id=self.form,
            outcome=self.outcome,
            heard_by=self.way,
            is_test=_TESTS[self.tests],
            has_problems=True if self.trouble else None,
        )


def _asked(outcome: str, form: str, way: str, tests: str, trouble: str) -> Asked:
    return Asked(
        outcome=outcome if outcome in OUTCOMES else "",
        form=form.strip().replace("\0", "")[:128],
        way=way if way in WAYS else "",
        tests=tests if tests in _TESTS else "",
        trouble="1" if trouble else "",
    )


@get("/leads/ledger", opt=SESSION)
async def ledger_page(
    visit: VisitHere,
    outcome: Annotated[str, QueryParameter(required=False)] = "",
    form_id: Annotated[str, QueryParameter(name="form", required=False)] = "",
    way: Annotated[str, QueryParameter(required=False)] = "",
    tests: Annotated[str, QueryParameter(required=False)] = "",
    trouble: Annotated[str, QueryParameter(required=False)] = "",
    replayed: Annotated[str, QueryParameter(required=False)] = "",
    p: Annotated[str, QueryParameter(required=False)] = "1",
) -> Answer:
    """What became of each lead, the last arrived first; the script asks for this page again."""
    asked, services = _asked(outcome, form_id, way, tests, trouble), visit.services
    found = await list_entries(services, visit.org_id, asked.wanted(page=page_number(p)))
    sums = (await totals(services, visit.org_id)).items
    async with services.storage.unit_of_work(visit.org_id, reads_only=True) as uow:
        standings = await all_standings(uow, services.vendors)
        forms = await form_names(uow, [(one.vendor, one.form_id) for one in sums])
    named = by_key(forms)
    channels, titles = channel_names(standings), services.vendors.titles
    context = {
        "title": "Ledger of leads",
        "asked": asked,
        "rows": [entry_row(one, named, channels, titles) for one in found.items],
        "pages": leafing(found, asked.query()),
        "outcomes": OUTCOMES,
        "meanings": MEANINGS,
        "ways": WAYS,
        "counts": {name: sum(getattr(one, name) for one in sums) for name in OUTCOMES},
        "forms": {one.id: one.name for one in reversed(forms)},
        "sums": [
            (named.get((one.vendor, one.form_id)) or f"Form {one.form_id}", one) for one in sums if _says(one)
        ],
        "can_replay": visit.may(Role.ADMIN) and asked.outcome in REPLAYED and bool(found.items),
        "replayed": page_number(replayed) if replayed and replayed != "0" else 0,
        "expired": [standing for standing in standings if standing.is_expired],
        "is_listening": any(standing.heard for standing in standings),
    }
    return visit.page("ledger.html", context)


def _says(sums: FormTotals) -> bool:
    return bool(sums.form_id) and bool(sums.heard or sums.test or sums.counted)


@get("/leads/ledger/replay", opt=SESSION)
async def replay_entries_page(
    visit: VisitHere,
    outcome: Annotated[str, QueryParameter(required=False)] = "",
    form_id: Annotated[str, QueryParameter(name="form", required=False)] = "",
    way: Annotated[str, QueryParameter(required=False)] = "",
    tests: Annotated[str, QueryParameter(required=False)] = "",
    trouble: Annotated[str, QueryParameter(required=False)] = "",
) -> Answer:
    """What a replay of the entries that fit would do, before the button that does it."""
    visit.caller(Role.ADMIN)
    asked = _asked(outcome if outcome in REPLAYED else "dead", form_id, way, tests, trouble)
    ids, total = await _deliveries_of(visit, asked)
    if not ids:
        return await nothing_page(visit, back="ledger")
    return await plan_page(
        visit, [("ids", id_) for id_ in ids], back="ledger", left_out=max(total - AT_ONCE, 0)
    )


async def _deliveries_of(visit: Visit, asked: Asked) -> tuple[tuple[str, ...], int]:
    """The deliveries of the entries that fit, as many as are replayed at once, and how many fit in all."""
    found = await list_entries(visit.services, visit.org_id, asked.wanted(page_size=AT_ONCE))
    return tuple(one.delivery_id for one in found.items if one.delivery_id), found.total
