"""One lead form in the admin UI: fetching what is missing, mapping past leads, who may do what."""

from datetime import timedelta

import attrs
import pytest

from moorage.leads.backfilling import Backfiller, backfill_nudge
from moorage.leads.remap_orders import Remapper, remap_nudge
from moorage_adapters.memory.world import NEWSLETTER
from moorage_ports.lead_orders import OrderState
from moorage_ports.operations import Role
from tests.support.harbour import ADMIN, Harbour
from tests.support.lead_pages import EDITOR, FORM, FORMS, Editor, below, hand_in, mapping, miss, saved
from tests.support.visitor import Browser, Page, browser_as

pytestmark = pytest.mark.usefixtures("connected")


# Fetching ------------------------------------------------------------------------------------


async def test_what_is_missing_is_fetched_and_its_progress_shown(host: Harbour, admin: Browser) -> None:
    host.world.fill_in(NEWSLETTER.id, {"email": ("lost@harbour.example",)})
    host.world.outbox.clear()
    assert below(await admin.submit(f"{FORM}/backfill", {})) == f"{FORM}#fetch"
    page = await admin.page(FORM)
    assert "Running" in page.text
    assert page.all("progress")
    async with host.storage.unit_of_work(ADMIN.org_id, reads_only=True) as uow:
        (order,) = await uow.backfills.running()
    await Backfiller(host.services).look(backfill_nudge(ADMIN.org_id, order.id))
    await host.work()
    assert [lead.email for lead in await host.leads()] == ["lost@harbour.example"]
    assert "1 lead read, 0 of them were here already" in (await admin.page(FORM)).text
    assert "just now" in (await admin.page(FORMS)).text


async def test_whole_days_are_fetched_both_included(host: Harbour, admin: Browser) -> None:
    await admin.submit(f"{FORM}/backfill", {"since": "2030-05-01", "until": "2030-05-03"})
    async with host.storage.unit_of_work(ADMIN.org_id, reads_only=True) as uow:
        (order,) = await uow.backfills.running()
    assert order.since is not None
    assert order.until is not None
    assert (order.since.isoformat(), order.until.isoformat()) == (
        "2030-05-01T00:00:00+00:00",
        "2030-05-04T00:00:00+00:00",
    )


async def test_days_that_make_no_stretch_are_refused_at_their_field(host: Harbour, admin: Browser) -> None:
    for since, until, field in (
        ("2030-05-03", "2030-05-01", "until"),
        ("yesterday", "", "since"),
        ("", "9999-12-31", "until"),
        ("2030-02-30", "", "since"),
        ("20300501", "", "since"),
    ):
        answer = await admin.submit(f"{FORM}/backfill", {"since": since, "until": until})
        assert answer.status_code == 422
        page = Page(answer.text)
        wrong = [each["name"] for each in page.all("input") if "aria-invalid" in each]
        assert wrong == [field]
        assert (page.field("since"), page.field("until")) == (since, until), "nothing has to be typed twice"
    async with host.storage.unit_of_work(ADMIN.org_id, reads_only=True) as uow:
        assert await uow.backfills.running() == ()


# Past leads ----------------------------------------------------------------------------------


async def test_past_leads_are_counted_then_mapped(host: Harbour, admin: Browser) -> None:
    await hand_in(host)
    assert "Past leads" not in (await admin.page(FORM)).text, "without a mapping there is nothing to do"
    await saved(host, {"target": "company", "constant": "Reed & Co"})
    assert below(await admin.submit(f"{FORM}/remap", {"do": "count"})) == f"{FORM}#past"
    await _remap(host)
    assert "1 of 1 lead looked at, 1 would change" in (await admin.page(FORM)).text
    assert [lead.company for lead in await host.leads()] == [""]
    host.clock.advance(timedelta(seconds=1))
    await admin.submit(f"{FORM}/remap", {"do": "map", "came_since": "2030-01-01"})
    await _remap(host)
    assert "1 of 1 lead looked at, 1 changed" in (await admin.page(FORM)).text
    assert [lead.company for lead in await host.leads()] == ["Reed & Co"]
    refused = await admin.submit(f"{FORM}/remap", {"do": "map", "came_since": "soon"})
    assert refused.status_code == 422
    assert Page(refused.text).field("came_since") == "soon"


async def _remap(host: Harbour) -> None:
    async with host.storage.unit_of_work(ADMIN.org_id, reads_only=True) as uow:
        order = await uow.remaps.newest("memory", NEWSLETTER.id)
    assert order is not None
    assert order.state is OrderState.RUNNING
    await Remapper(host.services).look(remap_nudge(ADMIN.org_id, order.id))


# Roles ---------------------------------------------------------------------------------------


async def test_a_viewer_sees_everything_and_changes_nothing(host: Harbour) -> None:
    await saved(host, {"target": "company", "constant": "Reed & Co"})
    await miss(host, 2, is_alarming=True)
    viewer = await browser_as(host, Role.VIEWER)
    pages = [await viewer.page(path) for path in (FORMS, FORM)]
    assert "Always “Reed & Co”" in pages[1].text
    for page in pages:
        assert [form["action"] for form in page.all("form")] == ["/admin/sign-out"]
        assert not [link for link in page.all("a") if link.get("href", "").startswith(EDITOR)]
    assert (await viewer.get(EDITOR)).status_code == 403
    for path in ("backfill", "mapping", "tests", "remap"):
        assert (await viewer.submit(f"{FORM}/{path}", {})).status_code == 403, path


async def test_an_agent_tries_out_tests_and_fetches_but_saves_nothing(host: Harbour) -> None:
    agent = await browser_as(host, Role.AGENT)
    editor = await Editor.opened(agent)
    assert "save" not in [each.get("value") for each in editor.page.all("button")]
    assert (await editor.press("preview")).status_code == 200
    assert (await editor.press("save")).status_code == 403
    assert (await mapping(host))["version"] == 0
    assert (await agent.submit(f"{FORM}/tests", {})).status_code == 303
    assert (await agent.submit(f"{FORM}/backfill", {})).status_code == 303
    assert (await agent.submit(f"{FORM}/remap", {})).status_code == 403


# What strangers write ------------------------------------------------------------------------


async def test_what_vendors_and_strangers_write_is_text_u1(host: Harbour, admin: Browser) -> None:
    """In names, questions, options and consents of forms, in mappings, and in answers that are previewed."""
    payload = """"><script>alert(1)</script>' onfocus='x' y={{7*7}}"""
    host.world.forms[NEWSLETTER.id] = attrs.evolve(
        NEWSLETTER,
        name=payload,
        asks={payload: payload, "roast": payload},
        choices={"roast": (payload,)},
        pledges={payload: payload},
    )
    await hand_in(host, **{payload: payload, "roast": payload})
    rule = {"target": f"properties.{payload}", "sources": [payload, "roast"], "separator": payload[:20]}
    choice = {"target": "company", "sources": ["roast"], "type": "choice", "choices": {payload: payload}}
    await saved(host, rule, {**choice, "default": payload})
    await miss(host, 1, is_alarming=True, name=payload)
    test = below(await admin.submit(f"{FORM}/tests", {}))
    editor = await Editor.opened(admin)
    answers = [await editor.press(button) for button in ("add", "preview")]
    answers += [await editor.press("save", r0__default=payload, r2__target="shoe", region=payload)]
    answers += [await admin.get(path) for path in (FORMS, FORM, EDITOR, test, "/admin")]

    for answer in answers:
        assert answer.status_code in {200, 422}
        page = Page(answer.text)
        assert payload in page.text or payload in str(page.tags), "it is shown, as text"
        assert len(page.all("script")) == 1
        assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
        assert "49" not in page.text
