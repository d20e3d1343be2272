"""Lead forms in the admin UI: what is missing of each, fetching it, mapping them, and test leads."""

import asyncio
from datetime import timedelta
from typing import Any

import attrs
import httpx
import pytest
from sqlalchemy import Engine, event

from moorage.admin import lead_form_reading, lead_forms
from moorage.admin.accounts import create_account
from moorage.admin.lead_form_words import CHECKED_BEFORE
from moorage.leads.backfilling import Backfiller, backfill_nudge
from moorage.leads.mappings import FRESH, UNCHECKED
from moorage.leads.remap_orders import Remapper, remap_nudge
from moorage_adapters.memory.lead_source import MemoryLeadSource
from moorage_adapters.memory.things import READ_FORMS, Form
from moorage_adapters.memory.world import BOOKS, CAFE, NEWSLETTER
from moorage_ports.form_checks import FormCheck
from moorage_ports.lead_orders import OrderState
from moorage_ports.lead_source import LeadForm
from moorage_ports.operations import Role
from tests.support.crm import ask, read
from tests.support.harbour import ADMIN, Harbour
from tests.support.visitor import PASSWORD, Browser, Page, browser_as, browser_of

FORMS = "/admin/leads/forms"
FORM = f"{FORMS}/memory/{NEWSLETTER.id}"
EDITOR = f"{FORM}/mapping"
LOOK = {"x-moorage-live": "1"}


@pytest.fixture(autouse=True)
async def connected(host: Harbour) -> None:
    await host.connect()
    await host.select(CAFE.id)


async def hand_in(host: Harbour, **answers: str) -> None:
    filled = {"email": "ada@Harbour.example", "full_name": "Ada Reed", "roast": "dark roast", **answers}
    host.world.fill_in(NEWSLETTER.id, {key: (value,) for key, value in filled.items()})
    await host.deliver_all()
    await host.work()


async def miss(host: Harbour, gap: int, *, is_alarming: bool, name: str = NEWSLETTER.name) -> None:
    """What the reconciler writes down once leads stay away."""
    now = host.clock.now()
    check = FormCheck(
        vendor="memory",
        channel_external_id=CAFE.id,
        form_external_id=NEWSLETTER.id,
        name=name,
        theirs=gap,
        before=0,
        gap=gap,
        gap_since=now - timedelta(hours=2),
        alarmed_at=now if is_alarming else None,
        first_at=now - timedelta(days=3),
        checked_at=now,
    )
    async with host.storage.unit_of_work(ADMIN.org_id) as uow:
        await uow.form_checks.save(check)


def below(answer: httpx.Response) -> str:
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


# The list ------------------------------------------------------------------------------------


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
    ):
        answer = await admin.submit(f"{FORM}/backfill", {"since": since, "until": until})
        assert answer.status_code == 422
        page = Page(answer.text)
        wrong = [each["name"] for each in page.all("input") if "aria-invalid" in each]
        assert wrong == [field]
        assert (page.field("since"), page.field("until")) == (since, until), "nothing has to be typed twice"
    async with host.storage.unit_of_work(ADMIN.org_id, reads_only=True) as uow:
        assert await uow.backfills.running() == ()


# The editor ----------------------------------------------------------------------------------


async def saved(host: Harbour, *rules: dict[str, Any], on: int = 0, **more: Any) -> dict[str, Any]:
    body = {"basedOn": on, "rules": list(rules), **more}
    answer = await ask(host, f"/crm/lead-forms/{NEWSLETTER.id}/mapping", method="PUT", body=body)
    assert answer.status_code == 200, answer.text
    view: dict[str, Any] = answer.json()
    return view


async def mapping(host: Harbour) -> dict[str, Any]:
    view: dict[str, Any] = await read(host, f"/crm/lead-forms/{NEWSLETTER.id}/mapping")
    return view


@attrs.define
class Editor:
    """The editor's page as a browser without script has it: what stands in it is what is sent."""

    browser: Browser
    fields: dict[str, list[str]]
    page: Page

    @classmethod
    async def opened(cls, browser: Browser, query: str = "") -> "Editor":
        page = await browser.page(EDITOR + query)
        return cls(browser, page.form(EDITOR), page)

    async def press(self, button: str, **typed: str | list[str]) -> httpx.Response:
        """Fill something in and press a button; what comes back is the page from then on."""
        for name, value in typed.items():
            place = name.replace("__", ".")
            self.fields[place] = value if isinstance(value, list) else [value]
        answer = await self.browser.post(EDITOR, {**self.fields, "do": button})
        if answer.status_code != 303:
            self.page = Page(answer.text)
            self.fields = self.page.form(EDITOR)
        return answer

    @property
    def wrong(self) -> set[str]:
        """The fields that are said to be wrong."""
        tags = [*self.page.all("input"), *self.page.all("select")]
        return {each["name"] for each in tags if "aria-invalid" in each}


async def test_who_never_wrote_a_mapping_begins_with_what_happens_by_itself(
    host: Harbour, admin: Browser
) -> None:
    editor = await Editor.opened(admin)
    assert below(await editor.press("save")) == f"{FORM}?saved=1"
    view = await mapping(host)
    targets = [(rule["target"], rule["sources"], rule.get("part")) for rule in view["rules"]]
    assert targets == [
        ("email", ["email"], None),
        ("firstName", ["full_name"], "first"),
        ("lastName", ["full_name"], "last"),
    ]
    page = await admin.page(f"{FORM}?saved=1")
    assert "Version 1 is saved" in page.text
    assert "boss@a.example" in page.text


async def test_a_mapping_is_written_by_buttons_alone(host: Harbour, admin: Browser) -> None:
    editor = await Editor.opened(admin)
    await editor.press("remove:2")
    await editor.press("remove:1")
    await editor.press("add")
    await editor.press(
        "more:1", r1__target="property", r1__name="coffee", r1__source=["roast", ""], r1__type="choice"
    )
    assert "dark roast" in editor.fields["r1.answer"], "what can be chosen is there to be renamed"
    written = ["dark" if answer == "dark roast" else "" for answer in editor.fields["r1.answer"]]
    await editor.press("more:1", r1__written=written, r1__default="none", r1__required="1")
    await editor.press("add")
    await editor.press("add", r2__target="stage", r2__how="constant", r2__constant="tasting")
    await editor.press(
        "preview", r3__target="company", r3__source=["full_name", "consent:news"], r3__separator=", "
    )
    answer = await editor.press("save", by=["email", "phone"], then="link", region="de")

    assert below(answer) == f"{FORM}?saved=1"
    view = await mapping(host)
    assert view["rules"] == [
        {"target": "email", "sources": ["email"], "separator": " ", "type": "email"},
        {
            "target": "properties.coffee",
            "sources": ["roast"],
            "default": "none",
            "separator": " ",
            "type": "choice",
            "choices": {"dark roast": "dark"},
        },
        {"target": "stage", "constant": "tasting", "separator": " ", "type": "text"},
        {
            "target": "company",
            "sources": ["full_name", "consent:news"],
            "separator": ", ",
            "type": "text",
        },
    ]
    assert view["required"] == ["properties.coffee"]
    assert (view["dedupe"], view["region"]) == ({"by": ["email", "phone"], "then": "link"}, "DE")
    told = (await admin.page(FORM)).text
    assert "Joined by a comma." in told
    assert "Always “tasting”" in told
    assert "A lead with the same e-mail or phone as an earlier one is kept, and linked to that one." in told


MISTAKES: tuple[tuple[dict[str, Any], set[str], str], ...] = (
    ({"r0__source": ["e-mail"]}, {"r0.source"}, "Is no question of this form."),
    ({"r1__target": "email"}, {"r1.target", "r1.name"}, "Is filled by another rule already."),
    ({"r0__target": "property"}, {"r0.target", "r0.name"}, "Give the property a name."),
    ({"r0__target": "shoe"}, {"r0.target", "r0.name"}, "Must be properties.NAME or one of"),
    ({"r0__target": "status", "r0__default": "sold"}, {"r0.default"}, "Must be one of: new"),
    ({"r0__how": "constant"}, set(), "Needs a source, a constant or a default."),
    ({"r0__type": "shoe"}, {"r0.type"}, "Must be one of"),
    ({"r0__separator": "x" * 21}, {"r0.separator"}, "May have at most 20 characters"),
    (
        {"r0__answer": ["a", "a"], "r0__written": ["b", "c"], "r0__type": "choice"},
        {"r0.answer", "r0.written"},
        "This answer stands above already.",
    ),
    (
        {"r0__answer": ["a"], "r0__written": ["b"]},
        set(),
        "Go with the type choice.",
    ),
    ({"by": ["shoe"]}, set(), "Must be one of"),
    ({"then": "eat"}, {"then"}, "Must be one of: merge, link, new."),
    ({"region": "XX"}, {"region"}, "Must be a country in two capital letters"),
)


async def test_a_mistake_stands_at_its_field_and_nothing_typed_is_lost(host: Harbour, admin: Browser) -> None:
    for typed, wrong, says in MISTAKES:
        for button in ("save", "preview"):
            editor = await Editor.opened(admin)
            answer = await editor.press(button, **typed)
            assert answer.status_code == 422, answer.text
            assert editor.wrong == wrong, typed
            assert says in editor.page.text
            for name, value in typed.items():
                values = value if isinstance(value, list) else [value]
                shown = editor.fields.get(name.replace("__", "."), [])
                if values != ["shoe"] and name not in {"by", "then"}:  # which no browser lets anybody choose
                    assert set(values) <= set(shown), name
    assert (await mapping(host))["version"] == 0


async def test_whoever_was_quicker_is_shown_and_what_was_typed_stays(host: Harbour, admin: Browser) -> None:
    editor = await Editor.opened(admin)
    await saved(host, {"target": "company", "constant": "Theirs"}, region="FR")
    answer = await editor.press("save", region="at", r0__default="nobody@harbour.example")

    assert answer.status_code == 409
    assert "saved version 1 while you were writing" in editor.page.text
    assert "Always “Theirs”" in editor.page.text
    assert editor.fields["region"] == ["AT"]
    assert editor.fields["r0.default"] == ["nobody@harbour.example"]
    assert (await mapping(host))["version"] == 1
    assert below(await editor.press("save")) == f"{FORM}?saved=2"
    assert (await mapping(host))["region"] == "AT"


async def test_a_form_sent_twice_saves_one_version(host: Harbour, admin: Browser) -> None:
    editor = await Editor.opened(admin)
    first, second = await editor.press("save"), await editor.press("save")
    assert below(first) == below(second) == f"{FORM}?saved=1"
    assert (await mapping(host))["version"] == 1


async def test_a_preview_shows_real_leads_before_and_after_and_saves_nothing(
    host: Harbour, admin: Browser
) -> None:
    await hand_in(host)
    editor = await Editor.opened(admin)
    answer = await editor.press("preview", r0__type="number")
    assert answer.status_code == 200
    text = editor.page.text
    assert "Ada Reed" in text
    assert "E-mail could not be read as number, and is kept as it was given." in text
    await editor.press("preview", r0__type="email")
    assert "E-mail ada@Harbour.example ada@harbour.example" in editor.page.text
    assert (await mapping(host))["version"] == 0
    assert [lead.email for lead in await host.leads()] == ["ada@Harbour.example"]


async def test_return_in_a_field_changes_nothing(host: Harbour, admin: Browser) -> None:
    """A browser presses the form's first button then: it must not be one that removes or saves."""
    editor = await Editor.opened(admin)
    names = [each.get("value") for each in editor.page.all("button") if each.get("name") == "do"]
    assert names[0] == "preview"


async def test_an_older_version_is_read_and_brought_back(host: Harbour, admin: Browser) -> None:
    await saved(host, {"target": "company", "constant": "First"})
    await saved(host, {"target": "company", "constant": "Second"}, on=1)
    page = await admin.page(f"{FORM}?version=1")
    assert "Always “First”" in page.text
    assert "This is how it was." in page.text
    editor = await Editor.opened(admin, "?version=1")
    assert below(await editor.press("save")) == f"{FORM}?saved=3"
    assert [rule["constant"] for rule in (await mapping(host))["rules"]] == ["First"]
    assert (await admin.get(f"{FORM}?version=9")).status_code == 404


async def test_with_the_vendor_away_a_mapping_is_saved_and_says_what_nobody_checked(
    host: Harbour, admin: Browser
) -> None:
    """Nobody ever read this form: its questions are typed by their names."""
    host.world.go_down()
    await saved(host, {"target": "company", "constant": "Reed & Co"})
    editor = await Editor.opened(admin)
    assert "nobody checks them meanwhile" in editor.page.text
    where = below(await editor.press("save", r0__how="answers", r0__source=["roast"]))
    assert where == f"{FORM}?saved=2&checked=not"
    assert [rule["sources"] for rule in (await mapping(host))["rules"]] == [["roast"]]
    assert UNCHECKED in (await admin.page(where)).text


async def test_with_the_vendor_away_a_mapping_is_checked_by_what_was_asked_last(
    host: Harbour, admin: Browser
) -> None:
    await admin.page(FORM)
    host.clock.advance(FRESH + timedelta(minutes=1))
    host.world.go_down()
    later = await browser_as(host, Role.ADMIN)
    where = below(await (await Editor.opened(later)).press("save"))
    assert where == f"{FORM}?saved=1&checked=before"
    assert CHECKED_BEFORE in (await later.page(where)).text


async def test_a_mapping_that_a_browser_could_not_send_back_is_not_cut(host: Harbour, admin: Browser) -> None:
    rules = [
        {
            "target": f"properties.p{number}",
            "sources": ["roast"],
            "type": "choice",
            "choices": {f"{answer}": "x" for answer in range(20)},
        }
        for number in range(200)
    ]
    await saved(host, *rules)
    page = await admin.page(EDITOR)
    assert "does not fit on a page" in page.text
    assert page.form(EDITOR) == {}


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


# Test leads ----------------------------------------------------------------------------------


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
