"""Two hours without us: whatever the vendor lost or sent twice meanwhile, nobody has to do anything."""

from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from moorage.leads.form_counts import WATCHED
from moorage.reconcile import EVERY
from moorage_ports.inbox import HeardBy
from moorage_ports.lead_ledger import LeadOutcome
from tests.contract.facebook_weather import FORM
from tests.support.harbour import ADMIN
from tests.support.town import Town
from tests.support.town import town as town_in

LEADS = 500
STEPS = 8  # of a quarter of an hour each
LOST, DOUBLED = 0.3, 0.2


@pytest.fixture
async def town(tmp_path: Path, database_url: str) -> AsyncIterator[Town]:
    async with town_in(tmp_path, database_url=database_url) as made:
        yield made


async def test_two_hours_of_outage_lose_no_lead_and_double_none(town: Town) -> None:
    """500 people fill in the form; 30 % of their webhooks are never sent and 20 % come twice."""
    await town.look()
    await town.pass_time(WATCHED)
    await town.look()
    town.cable.far = None
    made: list[str] = []
    for step in range(STEPS):
        count = LEADS // STEPS + (step < LEADS % STEPS)
        answers = {"email": [f"{step}-{{n}}@mail.example"], "full_name": ["Grace Hopper"]}
        told = {"lose": LOST, "double": DOUBLED, "shuffle": True}
        row = await town.control("leads", formId=FORM, answers=answers, count=count, delivery=told)
        made += [str(lead["id"]) for lead in row["leads"]]
        await town.pass_time(timedelta(hours=2) / STEPS)
    assert (len(set(made)), town.cable.taken) == (LEADS, 0)

    town.come_up()
    sent = [row for row in await town.state("webhooks") if row["state"] == "queued"]
    assert 0.85 * LEADS < len(sent) < 0.95 * LEADS
    await town.look()
    await town.control("clock", advanceSeconds=3_600)  # what the vendor still has comes, too
    await town.until_told(len(sent))
    for _ in range(2):
        await town.pass_time(EVERY)
        await town.look()

    await _explains_all(town, made)


async def _explains_all(town: Town, made: list[str]) -> None:
    async with town.host.storage.unit_of_work(ADMIN.org_id, reads_only=True) as uow:
        page = await uow.leads.page(page=1, page_size=1)
        totals = (await uow.lead_ledger.totals(vendor="facebook"))["facebook", FORM]
        (check,) = [each for each in await uow.form_checks.all() if each.form_external_id == FORM]
    entries = {entry.external_id: entry for entry in await town.entries()}

    assert page.total == LEADS
    assert set(entries) == set(made)
    assert totals.stored == totals.heard == LEADS
    for entry in entries.values():
        assert entry.outcome is LeadOutcome.STORED
        assert entry.fetched_at
        assert entry.mapped_at
        assert entry.stored_at
        assert entry.lead_id
    heard = Counter(entry.heard_by for entry in entries.values())
    assert set(heard) <= {HeardBy.WEBHOOK, HeardBy.RECONCILE}
    assert heard[HeardBy.RECONCILE] >= round(LEADS * LOST) - STEPS
    assert sum(entry.doubles for entry in entries.values()) >= round(LEADS * DOUBLED) - STEPS
    assert (check.theirs, check.ours, check.gap) == (LEADS, LEADS, 0)
    assert not check.is_alarming
    assert await town.host.storage.backlog.missing_leads() == {}
