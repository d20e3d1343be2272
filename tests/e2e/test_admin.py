"""The admin UI in a real browser, against a running demo: its whole journey, with script and without."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import msgspec
import pytest
from playwright.async_api import BrowserContext, Page, Route, expect

from tests.support.browser import browsing
from tests.support.demo import DemoClient, DemoFacts, demo_client, running_demo

pytestmark = pytest.mark.e2e

SALE = "Spring sale starts now! 20% off everything."
LONG_WORD = "Donaudampfschifffahrtselektrizitaetenhauptbetriebswerk"
FOCUS = "getComputedStyle(document.activeElement).outlineStyle"
PAGES = (
    "",
    "/inbox",
    "/inbox?kind=comment",
    "/contacts",
    "/leads",
    "/leads/forms",
    "/leads/ledger",
    "/posts",
    "/integrations",
    "/integrations/facebook",
    "/operations",
    "/operations/handover",
    "/operations/privacy",
)

# What a page under attack would do, noticed before any of its own scripts runs.
WATCH = """
window.__broken = [];
for (const name of ["alert", "confirm", "prompt"]) window[name] = () => window.__broken.push(name);
addEventListener("securitypolicyviolation", (e) => __broken.push(`${e.violatedDirective} ${e.blockedURI}`));
"""
ATTACKS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' autofocus onfocus='alert(1)",
    "</textarea></title></option><svg/onload=alert(1)>",
    "<style>*{background:url(https://evil.example)}</style>",
    "<iframe srcdoc='<script>parent.alert(1)</script>'>",
    "javascript:alert(1)",
    "{{7*7}}${7*7}",
)


class _Login(msgspec.Struct, frozen=True):
    email: str
    password: str


class _Facts(msgspec.Struct, frozen=True):
    login: _Login


@attrs.define
class Visit:
    """A running demo and a browser that signed in to it."""

    facts: DemoFacts
    client: DemoClient
    browser: BrowserContext
    page: Page
    login: _Login

    async def go(self, path: str) -> None:
        await self.page.goto(f"{self.facts.host}/admin{path}")

    async def until(self, path: str, text: str) -> None:
        """Look at a page until it says something: without script nothing comes by itself."""
        for _ in range(40):
            await self.go(path)
            if await self.page.get_by_text(text).first.is_visible():
                return
            await asyncio.sleep(0.2)
        raise AssertionError(text)

    async def first(self, path: str, begins: str) -> str:
        """Where the first link of a page leads that begins so."""
        await self.go(path)
        link = await self.page.locator(f"a[href^='/admin{begins}']").first.get_attribute("href")
        assert link is not None
        return link.removeprefix("/admin")

    @property
    def form(self) -> str:
        """The page of the first lead form."""
        return f"/leads/forms/facebook/{self.facts.pages[0].forms[0].id}"

    async def shot(self, name: str) -> None:
        """A picture for people, when somebody asks for them."""
        folder = os.environ.get("MOORAGE_TEST_SHOTS")
        if folder:
            await self.page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


@asynccontextmanager
async def signed_in(
    folder: Path, *, width: int = 1280, dark: bool = False, scripts: bool = True
) -> AsyncIterator[Visit]:
    async with (
        running_demo(folder / "data") as (demo, facts),
        demo_client(facts) as client,
        browsing(width=width, dark=dark) as browser,
    ):
        login = msgspec.json.decode((demo.data / "demo.json").read_bytes(), type=_Facts).login
        context = browser
        if not scripts:
            assert browser.browser is not None
            context = await browser.browser.new_context(java_script_enabled=False)
        page = await context.new_page()
        visit = Visit(facts, client, context, page, login)
        await visit.go("")
        await page.get_by_label("E-mail").fill(login.email)
        await page.get_by_label("Password").fill(login.password)
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("heading", name="Overview")).to_be_visible()
        yield visit


async def connect(visit: Visit) -> None:
    """From the button over the vendor's dialog back to the channels."""
    await visit.go("/integrations")
    await visit.page.get_by_role("button", name="Connect").first.click()
    await visit.page.wait_for_url("**/dialog/oauth**")
    await visit.page.get_by_role("button", name="Continue").first.click()
    await expect(visit.page.get_by_text("is connected. Now tick the channels")).to_be_visible()


async def pick(visit: Visit, name: str) -> None:
    await visit.page.get_by_role("checkbox", name=name).first.check()  # its number bears the name, too
    await visit.page.get_by_role("button", name="Save the choice").click()
    await expect(visit.page.get_by_text("1 channel managed; their news arrives here.")).to_be_visible()


async def post(visit: Visit, text: str) -> None:
    await visit.go("/posts")
    await visit.page.get_by_label("Text").fill(text)
    await visit.page.get_by_role("button", name="Publish now").click()
    await expect(visit.page.get_by_text("Published just now")).to_be_visible(timeout=20_000)


async def submit_lead(visit: Visit, **answers: str) -> None:
    page = visit.facts.pages[0]
    sent = await visit.client.control(
        "leads", {"pageId": page.id, "formId": page.forms[0].id, "answers": answers}
    )
    assert sent.status_code == 200, sent.text


async def say(visit: Visit, text: str, person: str = "Ines Müller") -> None:
    """Somebody comments on the newest post."""
    sent = await visit.client.control(
        "comments", {"pageId": visit.facts.pages[0].id, "person": person, "text": text}
    )
    assert sent.status_code == 200, sent.text


# What the buttons of two forms that only ask say once those are on their way; the first one's answer is slow.
ASK = """() => ["Looking…", ""].map((busy) => {
  const form = document.createElement("form"), button = document.createElement("button");
  if (busy) button.dataset.busy = busy;
  button.textContent = "Show";
  form.append(button);
  document.body.append(form);
  form.dispatchEvent(new Event("submit", { bubbles: true, cancelable: true }));
  form.remove();
  return button.textContent;
})"""


async def test_the_whole_journey(tmp_path: Path) -> None:
    """Sign in, connect, pick, post; a lead and a comment appear while one looks, and one answers."""
    async with signed_in(tmp_path) as visit:
        page, channel = visit.page, visit.facts.pages[0].name
        await expect(page.get_by_text("Nothing is moored here yet")).to_be_visible()
        await visit.shot("overview-empty")
        await connect(visit)
        await visit.shot("connected")
        await pick(visit, channel)

        await post(visit, SALE)
        await visit.shot("post")
        posts = msgspec.convert((await visit.client.state())["posts"], list[dict[str, object]])
        assert SALE in [each["message"] for each in posts]

        await visit.go("/leads")
        await expect(page.get_by_text("Listening for the first lead")).to_be_visible()
        await submit_lead(visit, full_name="Ines Müller", email="ines@customer.example")
        await expect(page.get_by_role("link", name="Ines Müller")).to_be_visible(timeout=8_000)
        await visit.shot("leads-live")
        assert await page.evaluate(ASK) == ["Looking…", "Show"]
        await page.get_by_role("link", name="Ines Müller").click()
        await expect(page.get_by_text("ines@customer.example")).to_be_visible()
        await visit.shot("lead")
        await visit.go(visit.form)
        await page.get_by_role("button", name="Make a test lead").click()
        await expect(page.get_by_text("leads of this form come in")).to_be_visible(timeout=15_000)  # live
        await visit.shot("test-lead")
        await visit.go("")
        await expect(page.get_by_text("Everything is connected and nothing waits for you.")).to_be_visible()
        await visit.shot("overview")

        await visit.go("/inbox")
        await expect(page.get_by_text("Nothing is open")).to_be_visible()
        await say(visit, "Is it still there in size M?")
        await expect(page.get_by_role("link", name="Is it still there")).to_be_visible(timeout=8_000)
        await visit.shot("inbox-live")
        await page.get_by_role("link", name="Is it still there").click()
        await expect(page.get_by_role("heading", name="Ines Müller")).to_be_visible()
        await visit.go("/inbox")  # having looked is having read
        await expect(page.get_by_text("1 conversation", exact=True)).to_be_visible()
        await page.get_by_role("link", name="Is it still there").click()
        await page.get_by_label("Your reply").fill("Two left. Shall we keep one?")
        await page.get_by_role("button", name="Reply").click()
        await expect(page.get_by_role("listitem").get_by_text("Two left.")).to_be_visible()
        await say(visit, "Oh yes", person="Tomasz Nowak")
        await page.get_by_label("Tags").fill("raincoat")
        await page.get_by_role("button", name="Save").click()
        await page.get_by_role("button", name="Close").click()
        await expect(page.get_by_role("button", name="Open again")).to_be_visible()
        await visit.shot("conversation")
        await page.get_by_role("link", name="Ines Müller").click()
        await expect(page.get_by_text("Commented")).to_be_visible()
        await visit.go("/inbox?status=closed")
        await expect(page.get_by_text("raincoat")).to_be_visible()

        await page.get_by_role("button", name="Sign out").click()
        await visit.go("/leads")
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


async def operate(visit: Visit) -> None:
    """From a lead's page: change it, find it in the ledger, hand leads over, and forget the person."""
    page = visit.page
    await page.get_by_label("Status").select_option("qualified")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("Saved.")).to_be_visible()
    await visit.go("/leads/ledger?outcome=stored")
    await page.get_by_text("Step by step").first.click()
    await expect(page.get_by_text("Stored in the CRM")).to_be_visible()
    await page.get_by_role("link", name="Operations").click()
    await page.get_by_role("link", name="Hand-over").click()
    await page.get_by_label("Address").fill("http://127.0.0.1:9/hooks")
    await page.get_by_role("button", name="Add").click()
    await expect(page.get_by_text("Copy it now: it is not shown again")).to_be_visible()
    await page.get_by_role("link", name="I have it").click()
    await page.get_by_role("button", name="Send a test").click()
    await expect(page.get_by_text("The test message did not arrive")).to_be_visible()
    await page.get_by_role("link", name="Hand-over").click()
    await page.get_by_role("link", name="Privacy").click()
    await page.get_by_label("E-mail address").fill("ines@customer.example")
    await page.get_by_role("button", name="See what there is").click()
    await page.get_by_label("I know that this cannot be undone").check()
    await page.get_by_role("button", name="Erase all of this").click()
    await expect(page.get_by_text("Somebody here erased it")).to_be_visible()


async def test_the_whole_journey_without_script(tmp_path: Path) -> None:
    async with signed_in(tmp_path, scripts=False) as visit:
        await connect(visit)
        await pick(visit, visit.facts.pages[0].name)
        await post(visit, SALE)
        await submit_lead(visit, full_name="Ines Müller", email="ines@customer.example")
        await visit.client.wait_for_leads(1, deadline=5)
        await say(visit, "Is it still there?")
        await visit.until("/inbox", "Is it still there?")
        await visit.page.get_by_role("link", name="Is it still there?").click()
        await visit.page.get_by_role("button", name="Mark as read").click()
        await expect(visit.page.get_by_role("button", name="Mark as unread")).to_be_visible()
        await visit.page.get_by_label("Your reply").fill("Two left.")
        await visit.page.get_by_role("button", name="Reply").click()
        await expect(visit.page.get_by_role("listitem").get_by_text("Two left.")).to_be_visible()
        await visit.go("/leads")
        await visit.page.get_by_role("link", name="Ines Müller").click()
        await expect(visit.page.get_by_text("ines@customer.example")).to_be_visible()
        await operate(visit)
        await visit.page.get_by_role("button", name="Sign out").click()
        await expect(visit.page.get_by_role("heading", name="Sign in")).to_be_visible()


async def test_what_strangers_write_never_runs_u1(tmp_path: Path) -> None:
    """U1: attacks in every field of a lead and in posts; nothing runs, nothing even has to be stopped."""
    async with signed_in(tmp_path) as visit:
        await visit.page.add_init_script(WATCH)
        await connect(visit)
        await pick(visit, visit.facts.pages[0].name)
        for number, attack in enumerate(ATTACKS):
            await submit_lead(visit, full_name=attack, email=f"a{number}@x.example", company_name=attack)
        leads = await visit.client.wait_for_leads(len(ATTACKS), deadline=10)
        for attack in ATTACKS[:3]:
            await post(visit, attack)
        for attack in ATTACKS:
            await say(visit, attack, person=attack)
        await visit.until("/inbox", ATTACKS[-1])
        broken: list[str] = []
        said = [await visit.first("/inbox", "/inbox/cv_"), await visit.first("/contacts", "/contacts/ct_")]
        for path in [*PAGES, *said, visit.form, *(f"/leads/{lead['id']}" for lead in leads)]:
            await visit.go(path)
            broken += await visit.page.evaluate("window.__broken")
        await visit.go(f"{visit.form}/mapping")
        await visit.page.get_by_role("button", name="Preview").last.click()
        await expect(visit.page.get_by_role("heading", name="newest leads")).to_be_visible()
        broken += await visit.page.evaluate("window.__broken")
        await visit.go("/leads")
        await submit_lead(visit, full_name=ATTACKS[1], email="live@x.example")
        await expect(visit.page.get_by_text("l•••@x.example")).to_be_visible(timeout=8_000)
        broken += await visit.page.evaluate("window.__broken")

        assert broken == []


async def test_another_site_can_neither_post_a_form_nor_frame_a_page_u3(tmp_path: Path) -> None:
    async with signed_in(tmp_path) as visit:
        host = visit.facts.host

        async def evil(route: Route) -> None:
            body = (
                f"<iframe src='{host}/admin'></iframe>"
                f"<form method=post action='{host}/admin/sign-out'><button>Win</button></form>"
            )
            await route.fulfill(status=200, content_type="text/html", body=body)

        await visit.browser.route("http://evil.example/**", evil)
        await visit.page.goto("http://evil.example/")
        framed = visit.page.frames[-1]
        assert "Overview" not in await framed.content()
        async with visit.page.expect_navigation() as navigation:
            await visit.page.get_by_role("button", name="Win").click()
        answer = await navigation.value
        assert answer is not None
        assert answer.status == 303 or answer.url.endswith("/admin/sign-in") or answer.status == 403
        await visit.go("")
        await expect(visit.page.get_by_role("heading", name="Overview")).to_be_visible()


@pytest.mark.parametrize(("width", "dark"), [(320, False), (768, True), (920, False), (1280, True)])
async def test_no_page_is_wider_than_its_screen(tmp_path: Path, width: int, *, dark: bool) -> None:
    """At every width everything is reachable without scrolling sideways, and focus can be seen."""
    async with signed_in(tmp_path, width=width, dark=dark) as visit:
        await connect(visit)
        await pick(visit, visit.facts.pages[0].name)
        await post(visit, f"{LONG_WORD} " * 3)
        address = f"{LONG_WORD}@{'x' * 60}.example"
        await submit_lead(visit, full_name=f"{LONG_WORD} von {LONG_WORD}", email=address)
        (lead,) = await visit.client.wait_for_leads(1, deadline=5)
        await say(visit, f"{LONG_WORD} {'x' * 300}", person=f"{LONG_WORD} von {LONG_WORD}")
        await visit.until("/inbox", LONG_WORD)
        said = [await visit.first("/inbox", "/inbox/cv_"), await visit.first("/contacts", "/contacts/ct_")]
        for path in [*PAGES, *said, f"/leads/{lead['id']}", visit.form, f"{visit.form}/mapping"]:
            await visit.go(path)
            await visit.shot(f"{path.strip('/').replace('/', '-') or 'overview'}-{width}")
            assert await visit.page.evaluate("document.documentElement.scrollWidth") <= width, path
            await visit.page.keyboard.press("Tab")
            assert await visit.page.evaluate(FOCUS) == "solid", path
