"""Leads in the admin UI: narrowed down, taken along, explained, and changed by hand."""

from datetime import timedelta

import attrs
import httpx

from moorage.crm.lead_changes import LeadChange, change_lead
from moorage.leads.ledger import trace_of
from moorage_adapters.memory.world import CAFE, NEWSLETTER
from moorage_ports.crm import CrmLead
from moorage_ports.form_checks import FormCheck
from moorage_ports.lead_source import Consent
from moorage_ports.operations import Role
from tests.support.harbour import ADMIN, NOON, Harbour
from tests.support.visitor import Browser, Page, browser_as

LEAD = CrmLead(
    id="lead-1",
    external_id="x-1",
    vendor="memory",
    channel_external_id=CAFE.id,
    email="ines@customer.example",
    first_name="Ines",
    last_name="Müller",
    source="memory",
    form_id=NEWSLETTER.id,
    campaign_id="c-1",
    campaign_name="Spring campaign",
    ad_set_id="s-1",
    ad_set_name="Neighbours",
    ad_id="a-1",
    is_organic=False,
    mapping_version=3,
    consents=(
        Consent(key="mail", text="You may write to me", is_given=True),
        Consent(key="call", text="You may call me", is_given=False),
        Consent(key="share", text="You may share this", is_given=None),
    ),
    properties={"your_shop_(e.g._shop.example)": ("inesandsons.example",)},
    created_at=NOON - timedelta(hours=1),
)
FORM = FormCheck(
    vendor="memory",
    channel_external_id=CAFE.id,
    form_external_id=NEWSLETTER.id,
    name="The newsletter",
    first_at=NOON,
    checked_at=NOON,
)


async def add(host: Harbour, *leads: CrmLead) -> None:
    async with host.storage.unit_of_work(ADMIN.org_id) as uow:
        await uow.form_checks.save(FORM)
        for lead in leads:
            assert await uow.leads.add(lead)


async def some(host: Harbour) -> None:
    await add(
        host,
        LEAD,
        attrs.evolve(LEAD, id="lead-2", external_id="x-2", first_name="Tomasz", status="lost"),
        attrs.evolve(LEAD, id="lead-3", external_id="x-3", first_name="Aoife", form_id="other"),
        attrs.evolve(LEAD, id="lead-4", external_id="x-4", first_name="Trial", is_test=True),
        attrs.evolve(
            LEAD, id="lead-5", external_id="x-5", first_name="Søren", created_at=NOON - timedelta(days=40)
        ),
    )


def shown(page: Page) -> set[str]:
    return {each["data-key"] for each in page.all("tr") if "data-key" in each}


EVERY = {"lead-1", "lead-2", "lead-3", "lead-4", "lead-5"}
NARROWED: list[tuple[str, set[str]]] = [
    ("", EVERY),
    ("status=lost", {"lead-2"}),
    (f"form={NEWSLETTER.id}&status=new&tests=without", {"lead-1", "lead-5"}),
    ("tests=only", {"lead-4"}),
    ("since=2030-06-01&until=2030-06-01&form=other", {"lead-3"}),
    ("until=2030-05-31", {"lead-5"}),
    ("q=aoife", {"lead-3"}),
    ("status=what&tests=ever&since=soon&until=0001-01-01", EVERY),
    ("status=converted", set()),
]


def files(page: Page) -> list[str]:
    """Where the page has the leads as files."""
    hrefs = [each["href"] for each in page.all("a")]
    return [href for href in hrefs if href.startswith("/admin/leads/export?")]


async def test_leads_are_narrowed_down_and_taken_along_as_they_are_shown(
    host: Harbour, admin: Browser
) -> None:
    await some(host)
    for query, expected in NARROWED:
        page = await admin.page(f"/admin/leads?{query}")
        assert shown(page) == expected, query
        assert ("No lead fits" in page.text) == (not expected)
        for href in files(page):
            file = (await admin.get(href)).text
            assert {lead_id for lead_id in EVERY if lead_id in file} == expected, href
            assert len(file.strip().splitlines()) == len(expected) + ("csv" in href)


def check_file(answer: httpx.Response) -> None:
    assert answer.status_code == 200
    assert answer.headers["content-disposition"].startswith('attachment; filename="leads-')
    assert answer.headers.get_list("cache-control") == ["no-store"]
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_file_of_leads_is_one_to_save_and_not_for_who_only_reads(
    host: Harbour, admin: Browser
) -> None:
    await some(host)
    csv = await admin.get("/admin/leads/export?format=csv&status=lost")
    lines = await admin.get("/admin/leads/export?format=jsonl")
    viewer = await browser_as(host, Role.VIEWER)
    agent = await browser_as(host, Role.AGENT)

    check_file(csv)
    check_file(lines)
    assert "Tomasz" in csv.text
    assert "Ines" not in csv.text
    assert lines.headers["content-type"].startswith("application/x-ndjson")
    assert (await viewer.get("/admin/leads/export?format=csv")).status_code == 403
    assert files(await agent.page("/admin/leads"))
    assert not files(await viewer.page("/admin/leads"))
    assert (await agent.get("/admin/leads/export?format=what")).headers["content-type"].startswith("text/csv")


async def test_a_leads_page_says_in_words_where_it_came_from_and_how(host: Harbour, admin: Browser) -> None:
    await host.connect()
    await host.select(CAFE.id)
    host.world.fill_in(NEWSLETTER.id, {"email": ("ada@harbour.example",), "full_name": ("Ada Reed",)})
    await host.deliver_all()
    await host.work()
    (older,) = await host.leads()
    await add(host, attrs.evolve(LEAD, duplicate_of=older.id, contact_id=older.contact_id))
    page = await admin.page("/admin/leads/lead-1")
    came = await admin.page(f"/admin/leads/{older.id}")

    for words in (
        "Spring campaign",
        "Neighbours",
        "The newsletter",
        "An ad",
        "Version 3 of the form’s mapping",
        "Your shop (e.g. shop.example) inesandsons.example",
    ):
        assert words in page.text
    for words in ("You may write to me Given", "You may call me Not given", "You may share this Not said"):
        assert words in page.text
    assert {f"/admin/leads/{older.id}", f"/admin/contacts/{older.contact_id}"} <= {
        each.get("href") for each in page.all("a")
    }
    assert "Ada Reed" in page.text
    assert (await trace_of(host.services, ADMIN.org_id, older.id)).items
    assert "Arrived The vendor sent word of it" in came.text
    for words in ("Fetched from the vendor", "Mapped By what the questions ask for", "Stored in the CRM"):
        assert words in came.text
    assert f"/admin/leads/{older.id}" in {
        each.get("href") for each in (await admin.page(f"/admin/contacts/{older.contact_id}")).all("a")
    }


def written(page: Page) -> dict[str, str]:
    """What the page's form would send untouched."""
    fields = {each["name"]: each.get("value", "") for each in page.all("input") if "name" in each}
    chosen = {name.removeprefix("was-"): value for name, value in fields.items() if name.startswith("was-")}
    return {**chosen, **fields}


async def test_a_change_by_hand_takes_nobody_elses_back(host: Harbour, admin: Browser) -> None:
    """The form sends every field; what it showed and nobody touched is no change."""
    await add(host, LEAD)
    form = written(await admin.page("/admin/leads/lead-1"))
    await change_lead(host.services, ADMIN, "lead-1", LeadChange(company="Harbour Ltd", stage="offer"))
    answer = await admin.post("/admin/leads/lead-1", {**form, "status": "qualified", "firstName": "Inés"})
    (lead,) = await host.leads()

    assert answer.headers["location"] == "/admin/leads/lead-1?saved=1"
    assert (lead.status, lead.stage, lead.first_name) == ("qualified", "offer", "Inés")
    assert (lead.company, lead.email) == ("Harbour Ltd", LEAD.email)
    assert set(lead.edited) == {"company", "first_name"}
    assert "Saved." in (await admin.page("/admin/leads/lead-1?saved=1")).text


async def test_what_does_not_fit_a_lead_comes_back_with_what_is_wrong(host: Harbour, admin: Browser) -> None:
    await add(host, LEAD)
    form = written(await admin.page("/admin/leads/lead-1"))
    answer = await admin.post("/admin/leads/lead-1", {**form, "phone": "9" * 65, "stage": "offer"})
    page = Page(answer.text)

    assert answer.status_code == 422
    assert page.field("phone") == "9" * 65
    assert page.field("stage") == "offer"
    assert "phone" in {each["name"] for each in page.all("input") if each.get("aria-invalid")}
    assert await host.leads() == (LEAD,)


async def test_who_only_reads_sees_a_lead_and_cannot_change_it(host: Harbour) -> None:
    await add(host, LEAD)
    viewer = await browser_as(host, Role.VIEWER)
    page = await viewer.page("/admin/leads/lead-1")

    assert "ines@customer.example" in page.text
    assert "/admin/leads/lead-1" not in {each.get("action") for each in page.all("form")}
    assert not [each for each in page.all("a") if "/erase" in each.get("href", "")]
    assert (await viewer.submit("/admin/leads/lead-1", {"status": "lost"})).status_code == 403
    assert await host.leads() == (LEAD,)
