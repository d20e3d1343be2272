"""The list of lead forms in the admin UI: which there are, what is missing of each, what a look costs."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import Engine, event

from moorage.admin import lead_form_reading, lead_forms
from moorage.admin.accounts import create_account
from moorage_adapters.memory.lead_source import MemoryLeadSource
from moorage_adapters.memory.things import Form
from moorage_adapters.memory.world import BOOKS, CAFE, NEWSLETTER
from moorage_ports.lead_source import LeadForm
from moorage_ports.operations import Role
from tests.support.harbour import Harbour
from tests.support.lead_pages import FORM, FORMS, LOOK, hand_in, miss, saved
from tests.support.visitor import PASSWORD, Browser, Page, browser_of

pytestmark = pytest.mark.usefixtures("connected")


async def test_every_form_stands_with_both_counts_and_its_mapping(host: Harbour, admin: Browser) -> None:
    await hand_in(host)
    page = await admin.page(FORMS)
    assert "1 form " in page.text
    assert "Newsletter Harbour Café" in page.text
    assert "At Memory: 1 Here: 1" in page.text.replace(host.vendor.title, "Memory")
    assert "Never by hand" in page.text
    assert "By meaning" in page.text
    await saved(host, {"target": "email", "sources": ["email"]})
    assert "Version 1" in (await admin.page(FORMS)).text


async def test_many_forms_are_leafed_through_and_a_gap_stands_on_every_page(
    host: Harbour, admin: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lead_forms, "FORMS_SHOWN", 2)
    for number in range(4):
        form = Form(id=f"club-{number}", board_id=CAFE.id, name=f"Club {number}", asks={"email": "Mail"})
        host.world.forms[form.id] = form
    await miss(host, 3, is_alarming=True)
    seen = []
    for number in (1, 2, 3):
        page = await admin.page(f"{FORMS}?p={number}")
        assert "5 forms" in page.text
        assert "3 leads of Newsletter" in page.text
        seen.append([row["data-key"].removeprefix("memory:") for row in page.all("tr") if "data-key" in row])
    assert seen == [[NEWSLETTER.id, "club-0"], ["club-1", "club-2"], ["club-3"]]
    assert "This page is past the end" in (await admin.page(f"{FORMS}?p=4")).text


async def test_a_gap_stands_on_top_with_what_to_do(host: Harbour, admin: Browser) -> None:
    await miss(host, 3, is_alarming=False)
    page = await admin.page(FORMS)
    assert "3 leads of Newsletter, noticed 2 h ago" in page.text
    assert "Everything is read again by itself" in page.text
    await miss(host, 3, is_alarming=True)
    page = await admin.page(FORMS)
    assert "have somebody connect who may" in page.text
    assert "3 missing" in page.text
    assert any(form["action"] == f"{FORM}/backfill" for form in page.all("form"))


async def test_an_alarm_waits_for_somebody_on_the_overview(host: Harbour, admin: Browser) -> None:
    await miss(host, 3, is_alarming=False)
    assert "Newsletter" not in (await admin.page("/admin")).text, "it may still close by itself"
    await miss(host, 3, is_alarming=True)
    page = await admin.page("/admin")
    assert "3 leads of Newsletter are missing" in page.text
    assert any(link.get("href") == FORM for link in page.all("a"))


async def test_a_look_for_news_never_asks_the_vendor(host: Harbour, admin: Browser) -> None:
    for path in (FORMS, FORM):
        await admin.page(path)
    host.world.go_down()
    for path in (FORMS, FORM):
        look = Page((await admin.get(path, **LOOK)).text)
        assert "Newsletter" in look.text
        assert "could not be read" not in look.text


async def test_forms_that_cannot_be_read_are_shown_as_they_were(host: Harbour, admin: Browser) -> None:
    assert "Light or dark roast?" in (await admin.page(FORM)).text
    host.world.go_down()
    page = await admin.page(FORMS)
    assert "The forms of Harbour Café could not be read just now" in page.text
    assert any(link.get("href") == FORM for link in page.all("a"))
    host.world.go_down()
    page = await admin.page(FORM)
    assert "The form could not be read" in page.text
    assert "Light or dark roast?" in page.text


async def test_all_channels_together_are_waited_for_no_longer_than_one(
    host: Harbour, admin: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A vendor that hangs costs a page one deadline, not one for each few of its channels."""
    await host.select(CAFE.id, BOOKS.id)
    await admin.page(FORMS)
    asked: list[str] = []

    async def hangs(_: MemoryLeadSource, channel_external_id: str) -> tuple[LeadForm, ...]:
        asked.append(channel_external_id)
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(MemoryLeadSource, "forms", hangs)
    monkeypatch.setattr(lead_form_reading, "_DEADLINE", timedelta(milliseconds=50))
    monkeypatch.setattr(lead_form_reading, "_AT_ONCE", 1)
    page = await admin.page(FORMS)
    assert len(asked) == 1, "there was no time left for the other"
    for board in (CAFE, BOOKS):
        assert f"The forms of {board.name} could not be read just now" in page.text
    assert any(link.get("href") == FORM for link in page.all("a"))


async def test_a_look_at_many_channels_costs_no_more_questions_than_at_one(
    host: Harbour, admin: Browser
) -> None:
    """A page that is left open asks every two seconds."""
    host.world.forms["club"] = Form(id="club", board_id=BOOKS.id, name="Club", asks={"email": "Mail"})
    asked: list[str] = []

    def note(_: object, __: object, statement: str, *___: object) -> None:
        asked.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        await admin.page(FORMS)
        asked.clear()
        await admin.get(FORMS, **LOOK)
        of_one = len(asked)
        await host.select(CAFE.id, BOOKS.id)
        await admin.page(FORMS)
        asked.clear()
        assert BOOKS.name in (await admin.get(FORMS, **LOOK)).text
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert 0 < len(asked) <= of_one


async def test_nothing_chosen_and_nothing_connected_are_told_apart(host: Harbour, admin: Browser) -> None:
    await host.select()
    assert "No channel with forms is chosen yet" in (await admin.page(FORMS)).text
    email = "boss@b.example"
    await create_account(host.storage, org_id="org-b", email=email, password=PASSWORD, role=Role.ADMIN)
    other = browser_of(host)
    await other.sign_in(email)
    assert "No forms yet" in (await other.page(FORMS)).text
    assert (await other.get(FORM)).status_code == 404, "another org's form is none of theirs"


async def test_a_form_that_is_none_of_the_orgs_is_not_there(admin: Browser) -> None:
    never = [f"{FORMS}/{slug}/{NEWSLETTER.id}" for slug in ("nobody", "x" * 100)] + [
        f"{FORMS}/memory/nothing"
    ]
    for path in (*never, f"{FORMS}/memory/%00", f"{FORMS}/memory/{'x' * 200}"):
        for answer in (await admin.get(path), await admin.get(f"{path}/mapping")):
            assert answer.status_code == 404, path
        for deed in ("backfill", "mapping", "remap", "tests"):
            assert (await admin.submit(f"{path}/{deed}", {})).status_code == 404, (path, deed)
    for test in ("nothing", "%00", "x" * 200):
        assert (await admin.get(f"{FORM}/tests/{test}")).status_code == 404, test
    many = {f"answer.{number}": "x" for number in range(300)}
    assert (await admin.submit(f"{FORM}/tests", many)).status_code == 422
