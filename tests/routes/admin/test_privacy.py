"""Privacy in the admin UI: what is removed is said before it is, and only then removed."""

from datetime import timedelta

import pytest
from sqlalchemy import Engine, event

from moorage.codec import fields_of
from moorage.crm.lead_changes import LeadDraft, add_lead
from moorage.privacy.settings import SetRetention, get_retention
from moorage_ports.operations import Role
from tests.support.harbour import ADMIN, Harbour
from tests.support.visitor import Browser, Page, browser_as

PRIVACY = "/admin/operations/privacy"
DAYS = {"leadDays": "30", "personDays": "", "deliveryDays": "3", "waitingDays": "60"}


async def retention(host: Harbour) -> tuple[int | None, int | None, int, int]:
    kept = await get_retention(host.services, ADMIN.org_id)
    return kept.lead_days, kept.person_days, kept.delivery_days, kept.waiting_days


async def people(host: Harbour) -> None:
    for draft in (
        LeadDraft(first_name="Ines", email="ines@customer.example"),
        LeadDraft(first_name="Inés", email="INES@customer.example"),
        LeadDraft(first_name="Tomasz", email="tomasz@customer.example", phone="+49 30 901820"),
    ):
        await add_lead(host.services, ADMIN, draft)


async def names(host: Harbour) -> set[str]:
    return {lead.first_name for lead in await host.leads()}


async def test_shorter_days_say_what_they_remove_before_they_are_saved(host: Harbour) -> None:
    await people(host)
    host.clock.advance(timedelta(days=31))
    admin = await browser_as(host, Role.ADMIN)
    query = "&".join(f"{name}={value}" for name, value in DAYS.items())
    preview = await admin.page(f"{PRIVACY}/retention?{query}")
    assert "The next look would remove 3 leads" in preview.text
    assert "30 days now: 90 days" in preview.text
    assert await retention(host) == (90, None, 7, 90)

    sent = {each["name"]: each["value"] for each in preview.all("input")}
    answer = await admin.post(f"{PRIVACY}/retention", sent)
    assert answer.headers["location"] == f"{PRIVACY}?saved=1"
    assert await retention(host) == (30, None, 3, 60)
    page = await admin.page(answer.headers["location"])
    assert "Changed just now by you" in page.text
    assert "Due next 3 leads" in page.text
    assert "This is what holds already" in (await admin.page(f"{PRIVACY}/retention?{query}")).text


@pytest.mark.parametrize(
    ("name", "days"),
    [
        ("leadDays", "0"),
        ("leadDays", "-1"),
        ("personDays", "many"),
        ("deliveryDays", ""),
        ("waitingDays", "91"),
    ],
)
async def test_days_that_do_not_fit_are_refused_and_stay_in_the_form(
    host: Harbour, admin: Browser, name: str, days: str
) -> None:
    wrong = {**DAYS, name: days}
    query = "&".join(f"{each}={value}" for each, value in wrong.items())
    for answer in (
        await admin.get(f"{PRIVACY}/retention?{query}"),
        await admin.submit(f"{PRIVACY}/retention", wrong),
    ):
        page = Page(answer.text)
        assert answer.status_code == 422
        assert page.field(name) == days
        assert [each["name"] for each in page.all("input") if each.get("aria-invalid")] == [name]
    assert await retention(host) == (90, None, 7, 90)


def test_the_form_has_every_day_that_may_be_said() -> None:
    """What it leaves out would be a default again each time somebody saves it."""
    assert {*DAYS, "dryRun"} == {field.json for field in fields_of(SetRetention)}


def sent_by(page: Page) -> dict[str, str]:
    """What the page's own hidden fields say of whom."""
    return {each["name"]: each["value"] for each in page.all("input") if each.get("type") == "hidden"}


async def test_a_person_is_erased_after_what_that_touches_was_said(host: Harbour, admin: Browser) -> None:
    await people(host)
    answer = await admin.submit(f"{PRIVACY}/look", {"email": "ines@customer.example", "phone": ""})
    page = Page(answer.text)
    assert answer.status_code == 200
    for words in ("Nothing was erased yet", "1 contact", "2 leads", "Inés"):
        assert words in page.text
    assert "Tomasz" not in page.text

    unsure = await admin.submit(f"{PRIVACY}/erase", {"email": "ines@customer.example"})
    assert unsure.status_code == 422
    assert await names(host) == {"Ines", "Inés", "Tomasz"}
    erased = await admin.submit(f"{PRIVACY}/erase", {"email": "ines@customer.example", "sure": "1"})
    assert erased.headers["location"] == f"{PRIVACY}?erased=1"
    assert await names(host) == {"Tomasz"}
    noted = (await admin.page(erased.headers["location"])).text
    assert "Somebody here erased it 1 contact, 1 identity that they are known by, 2 leads you" in noted
    assert "customer.example" not in noted


async def test_one_lead_is_erased_and_what_has_the_same_address_stays(host: Harbour, admin: Browser) -> None:
    await people(host)
    lead = next(one for one in await host.leads() if one.first_name == "Ines")
    everything = await admin.page(f"{PRIVACY}/erase?lead={lead.id}")
    alone = Page((await admin.submit(f"{PRIVACY}/look", {"leadId": lead.id, "only": "1"})).text)

    assert "2 leads" in everything.text
    assert "1 lead" in alone.text
    assert "1 contact" not in alone.text
    await admin.post(f"{PRIVACY}/erase", {**sent_by(alone), "sure": "1"})
    assert await names(host) == {"Inés", "Tomasz"}
    gone = await admin.page(f"{PRIVACY}/erase?lead={lead.id}")
    assert "Nobody is known by that" in gone.text


async def test_nobody_or_two_are_nobody(host: Harbour, admin: Browser) -> None:
    await people(host)
    for said in ({}, {"email": "ines@customer.example", "phone": "+49 30 901820"}, {"phone": "12"}):
        assert (await admin.submit(f"{PRIVACY}/look", said)).status_code == 422
        assert (await admin.submit(f"{PRIVACY}/erase", {**said, "sure": "1"})).status_code == 422
    assert (await admin.get(f"{PRIVACY}/erase")).status_code == 422
    assert await names(host) == {"Ines", "Inés", "Tomasz"}


async def test_privacy_is_for_admins_only(host: Harbour) -> None:
    await people(host)
    agent = await browser_as(host, Role.AGENT)
    lead = (await host.leads())[0]
    for path in (PRIVACY, f"{PRIVACY}/retention?leadDays=1", f"{PRIVACY}/erase?lead={lead.id}"):
        assert (await agent.get(path)).status_code == 403
    for path in ("retention", "look", "erase"):
        sent = {**DAYS, "email": "ines@customer.example", "sure": "1"}
        assert (await agent.submit(f"{PRIVACY}/{path}", sent)).status_code == 403
    assert await names(host) == {"Ines", "Inés", "Tomasz"}
    assert await retention(host) == (90, None, 7, 90)


async def test_much_that_was_erased_costs_no_more_questions_than_little(
    host: Harbour, admin: Browser
) -> None:
    asked: list[str] = []

    def note(_: object, __: object, statement: str, *___: object) -> None:
        asked.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        costs = []
        for person in (1, 2, 3):
            draft = LeadDraft(first_name="Ines", email=f"ines{person}@customer.example")
            lead = await add_lead(host.services, ADMIN, draft)
            await admin.submit(f"{PRIVACY}/erase", {"leadId": lead.id, "sure": "1"})
            asked.clear()
            assert (await admin.page(PRIVACY)).text.count("Somebody here erased it") == person
            costs.append(len(asked))
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert 0 < costs[-1] <= costs[0]
