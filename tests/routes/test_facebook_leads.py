"""Leads of a Page by name, over a whole sandbox: the platform's own bodies, and what Graph makes of them."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from moorage.auth import issue_token
from moorage.dispatch import address, perform, request_from_body
from moorage.leads.backfilling import Backfiller, backfill_nudge
from moorage.operations.handlers import HANDLERS
from moorage_facebook.lead_source import GraphLeadSource
from moorage_ports.errors import InvalidRequestError, MissingScopeError
from moorage_ports.inbox import HeardBy
from moorage_ports.lead_ledger import LeadOutcome
from tests.contract.facebook_weather import FORM, PAGE
from tests.support.harbour import ADMIN
from tests.support.town import Town
from tests.support.town import town as town_in

ANSWERS = {"email": ["grace@mail.example"], "full_name": ["Grace Hopper"], "phone_number": ["+4930123456"]}


@pytest.fixture
async def town(tmp_path: Path) -> AsyncIterator[Town]:
    async with town_in(tmp_path) as made:
        yield made


async def ask(town: Town, operation: str, **body: object) -> Any:
    found = address(town.host.services, HANDLERS, ADMIN, provider="facebook-provider", operation=operation)
    answer = await perform(found, request_from_body(found.binding, msgspec.json.encode(body)))
    return msgspec.json.decode(answer.body)


def steps(view: Any) -> dict[str, str]:
    return {step["name"]: step["outcome"] for step in view["steps"]}


async def test_a_test_lead_goes_all_the_way_and_is_nobodys(town: Town) -> None:
    """Although every question is answered, so that nothing in it tells: we made it, so we know."""
    made = await ask(town, "create-test-lead", formId=FORM, answers=ANSWERS)
    await town.until_told(1)
    done = await ask(town, "get-test-lead", id=made["id"])
    again = await ask(town, "create-test-lead", formId=FORM, pageId=PAGE)
    await town.until_told(2)

    assert done["state"] == "done"
    assert set(steps(done).values()) == {"done"}
    leads = {lead.external_id: lead for lead in await town.host.leads()}
    assert {lead.is_test for lead in leads.values()} == {True}
    assert leads[done["leadId"]].phone == "+4930123456"
    assert (await ask(town, "get-test-lead", id=again["id"]))["state"] == "done"


async def test_a_test_lead_that_is_told_of_before_graph_answers_is_nobodys_either(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = GraphLeadSource.create_test_lead

    async def slow(self: GraphLeadSource, *names: str, **answers: Any) -> str:
        made = await create(self, *names, **answers)
        await town.until_told(1)
        return made

    monkeypatch.setattr(GraphLeadSource, "create_test_lead", slow)
    made = await ask(town, "create-test-lead", formId=FORM, answers=ANSWERS)

    (lead,) = await town.host.leads()
    assert lead.is_test
    assert (await ask(town, "get-test-lead", id=made["id"]))["state"] == "done"


async def test_a_test_lead_behind_leads_access_says_whom_to_let_in(town: Town) -> None:
    await town.control("pages", pages=[{"id": PAGE, "leadsClosedTo": "app"}])
    red = await ask(town, "create-test-lead", formId=FORM)

    assert red["state"] == "failed"
    assert "choose the Page, then CRMs" in red["steps"][0]["remedy"]


async def test_forms_and_leads_are_read_with_the_platforms_own_bodies(town: Town) -> None:
    row = await town.control("leads", formId=FORM, answers=ANSWERS, adName="Red", campaignName="Spring")
    lead_id = row["leads"][0]["id"]
    forms = (await ask(town, "list-lead-forms", pageId=PAGE))["forms"]
    form = await ask(town, "get-lead-form", formId=FORM)
    lead = await ask(town, "get-lead", leadId=lead_id)

    assert FORM in {each["id"] for each in forms}
    assert (form["channelId"], form["counts"]["theirs"], form["locale"]) == (PAGE, 1, "en_US")
    assert [question["meaning"] for question in form["questions"]][:3] == ["full_name", "email", "phone"]
    assert (lead["campaignName"], lead["adName"], lead["formId"]) == ("Spring", "Red", FORM)
    with pytest.raises(InvalidRequestError):
        await ask(town, "get-lead-form", formId="../me")


async def test_leads_of_months_are_backfilled_and_expired_ones_counted(town: Town) -> None:
    """From before the Page was connected; what is older than 90 days nobody can fetch."""
    now = int(town.host.clock.now().timestamp())
    for age in (100, 89, 60, 30):
        created = now - int(timedelta(days=age).total_seconds())
        body = {"formId": FORM, "answers": ANSWERS, "count": 40, "delivery": "lose", "createdTime": created}
        await town.control("leads", **body)
    until = town.host.clock.now() - timedelta(days=45)

    ordered = await ask(town, "backfill-leads", formId=FORM, pageId=PAGE, until=until.isoformat())
    again = await Backfiller(town.host.services).look(backfill_nudge(ADMIN.org_id, ordered["id"]))
    await town.host.work()
    done = await ask(town, "get-backfill", id=ordered["id"])
    form = await ask(town, "get-lead-form", formId=FORM)

    assert again is None
    assert (done["state"], done["fetched"], done["alreadyThere"]) == ("done", 80, 0)
    assert (form["counts"]["theirs"], form["counts"]["expired"], form["counts"]["ours"]) == (160, 40, 80)


async def test_a_backfill_that_leads_access_holds_up_waits_and_goes_on(town: Town) -> None:
    await town.control("leads", formId=FORM, answers=ANSWERS, count=3, delivery="lose")
    ordered = await ask(town, "backfill-leads", formId=FORM)
    await town.control("pages", pages=[{"id": PAGE, "leadsClosedTo": "person"}])
    nudge = backfill_nudge(ADMIN.org_id, ordered["id"])
    waits = await Backfiller(town.host.services).look(nudge)
    held = await ask(town, "get-backfill", id=ordered["id"])
    await town.control("pages", pages=[{"id": PAGE, "leadsClosedTo": ""}])
    await town.pass_time(timedelta(minutes=15))
    ended = await Backfiller(town.host.services).look(nudge)

    assert waits is not None
    assert waits.at is not None
    assert (held["state"], held["error"]) == ("running", MissingScopeError.code)
    assert "choose the Page, then People" in held["remedy"]
    assert ended is None
    assert (await ask(town, "get-backfill", id=ordered["id"]))["fetched"] == 3
    await town.host.work()
    assert len(await town.host.leads()) == 3


async def test_a_lead_behind_leads_access_waits_says_so_and_comes_once_somebody_lets_us_in(
    town: Town,
) -> None:
    await town.control("pages", pages=[{"id": PAGE, "leadsClosedTo": "person"}])
    row = await town.control("leads", formId=FORM, answers=ANSWERS)
    await town.until_told(1)
    (parked,) = await town.entries()
    await town.control("pages", pages=[{"id": PAGE, "leadsClosedTo": ""}])
    await town.pass_time(timedelta(minutes=15))
    await town.look()
    (stored,) = await town.entries()

    assert (parked.outcome, parked.error) == (LeadOutcome.PARKED, MissingScopeError.code)
    assert "choose the Page, then People" in parked.remedy
    assert (stored.outcome, stored.heard_by) == (LeadOutcome.STORED, HeardBy.WEBHOOK)
    assert [lead.external_id for lead in await town.host.leads()] == [row["leads"][0]["id"]]


async def test_what_only_reads_is_asked_for_by_get_and_what_runs_is_answered_with_202(town: Town) -> None:
    """Over HTTP, with the platform's headers."""
    token = issue_token(
        town.host.services.settings.jwt,
        org_id=ADMIN.org_id,
        user_id=ADMIN.user_id,
        role=ADMIN.role,
        now=town.host.clock.now(),
        lifetime=timedelta(hours=1),
    )
    headers = {"authorization": f"Bearer {token}", "orgid": ADMIN.org_id}
    call, http = "/upstream/call/facebook-provider", town.host.http

    forms = await http.get(f"{call}/list-lead-forms", params={"pageId": PAGE}, headers=headers)
    ordered = await http.post(f"{call}/backfill-leads", json={"formId": FORM}, headers=headers)
    progress = await http.get(f"{call}/get-backfill", params={"id": ordered.json()["id"]}, headers=headers)
    by_get = await http.get(f"{call}/backfill-leads", params={"formId": FORM}, headers=headers)
    made = await http.post(f"{call}/create-test-lead", json={"formId": FORM}, headers=headers)
    rehearsed = await http.post(
        "/upstream/test/facebook-provider/create-test-lead", json={"formId": FORM}, headers=headers
    )

    assert (forms.status_code, ordered.status_code, progress.status_code) == (200, 202, 200)
    assert (by_get.status_code, made.status_code, rehearsed.status_code) == (405, 202, 200)
    assert progress.json()["state"] == "running"
    assert rehearsed.json()["valid"]
    assert len([row for row in await town.state("leads") if row["isTest"]]) == 1, "a dry run makes none"
