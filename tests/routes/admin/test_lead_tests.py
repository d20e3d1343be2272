"""Test leads in the admin UI: made by a button, followed step by step."""

import pytest

from moorage_adapters.memory.things import READ_FORMS
from tests.support.harbour import Harbour
from tests.support.lead_pages import FORM, LOOK, below
from tests.support.visitor import Browser, Page

pytestmark = pytest.mark.usefixtures("connected")


async def test_a_test_lead_is_followed_step_by_step(host: Harbour, admin: Browser) -> None:
    where = below(await admin.submit(f"{FORM}/tests", {"answer.full_name": "Trial Tim"}))
    page = await admin.page(where)
    assert any(each.get("data-live") == "test" for each in page.all("div"))
    assert "Made at the vendor Done" in page.text
    assert "It is a lead here Waits" in page.text
    await host.deliver_all()
    await host.work()
    page = Page((await admin.get(where, **LOOK)).text)
    assert "It is a lead here Done" in page.text
    assert "Waits" not in page.text
    (lead,) = await host.leads()
    assert lead.first_name == "Trial"
    assert any(link.get("href") == f"/admin/leads/{lead.id}" for link in page.all("a"))
    for path in ("/admin/leads", f"/admin/leads/{lead.id}"):
        assert "Test" in (await admin.page(path)).text.split()


async def test_a_step_that_fails_is_red_and_says_what_to_do(host: Harbour, admin: Browser) -> None:
    where = below(await admin.submit(f"{FORM}/tests", {}))
    host.world.drop_scope(READ_FORMS)
    await host.deliver_all()
    await host.work()
    page = await admin.page(where)
    assert "Its answers were fetched" in page.text
    assert any("bad" in each.get("class", "").split() for each in page.all("li"))
    assert "A permission is missing" in page.text
    assert "Connect again" in page.text


async def test_a_test_lead_that_cannot_be_ordered_says_why_on_the_page(host: Harbour, admin: Browser) -> None:
    await admin.page(FORM)
    answer = await admin.submit(f"{FORM}/tests", {"answer.shoe": "44"})
    assert answer.status_code == 422
    assert "The form asks: email, full_name, roast." in Page(answer.text).text
    host.world.go_down()
    answer = await admin.submit(f"{FORM}/tests", {})
    assert answer.status_code == 503
    assert "Out of reach just now" in Page(answer.text).text
