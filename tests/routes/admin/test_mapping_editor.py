"""The editor of a form's mapping in the admin UI: by buttons alone, and nothing typed is lost."""

from datetime import timedelta
from typing import Any

import pytest

from moorage.admin.lead_form_words import CHECKED_BEFORE
from moorage.leads.mappings import FRESH, UNCHECKED
from moorage_ports.operations import Role
from tests.support.harbour import Harbour
from tests.support.lead_pages import EDITOR, FORM, LOOK, Editor, below, hand_in, mapping, saved
from tests.support.visitor import Browser, Page, browser_as

pytestmark = pytest.mark.usefixtures("connected")


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
    assert "2 versions" in page.text
    look = Page((await admin.get(FORM, **LOOK)).text)
    assert "2 versions" not in look.text, "a look leaves them alone: they are not read"
    assert [part["data-live"] for part in look.all("section") + look.all("div") if "data-live" in part] == [
        "counts",
        "remap",
    ]
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
