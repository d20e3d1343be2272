"""The README's steps, clicked by somebody who has read nothing else; its picture comes from here."""

import re
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.support.browser import browsing
from tests.support.demo import DemoFacts, DemoProcess, running_demo

pytestmark = pytest.mark.e2e

PICTURE = Path(__file__).parents[2] / "docs" / "images" / "leads.png"
PEOPLE = (
    ("Ines Müller", "ines@customer.example", "+49 30 901820"),
    ("Tomás Herrera", "tomas@customer.example", "+34 91 123 45 67"),
    ("Aroha Ngata", "aroha@customer.example", "+64 9 302 0700"),
)


def _login(demo: DemoProcess) -> tuple[str, str]:
    """The one login that the demo printed."""
    printed = demo.log.read_text()
    email = re.search(r"Sign in as\s+(\S+)", printed)
    password = re.search(r"with password\s+(\S+)", printed)
    assert email, printed
    assert password, printed
    return email[1], password[1]


async def _sign_in(page: Page, demo: DemoProcess, facts: DemoFacts) -> None:
    email, password = _login(demo)
    await page.goto(facts.host)
    await page.get_by_label("E-mail").fill(email)
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Sign in").click()


async def _connect(page: Page) -> None:
    await page.get_by_role("link", name="Integrations", exact=True).click()
    await page.get_by_role("button", name=re.compile("^Connect")).click()
    await page.get_by_role("button", name="Continue").first.click()
    await expect(page.get_by_text("is connected.")).to_be_visible()
    for box in await page.locator("form.channels input[type=checkbox]:enabled").all():
        await box.check()
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("Saved.")).to_be_visible()


async def _write_a_post(page: Page) -> None:
    await page.get_by_role("link", name="Posts", exact=True).click()
    await page.get_by_label("Channel").select_option(index=1)
    await page.get_by_label("Text").fill("We are open all weekend.")
    await page.get_by_role("button", name="Publish").click()
    await expect(page.get_by_text("Published").first).to_be_visible()


async def _submit_the_form(page: Page, facts: DemoFacts, name: str, email: str, phone: str) -> None:
    await page.goto(facts.sandbox)
    await page.get_by_role("link", name=facts.pages[0].forms[0].name).first.click()
    await page.get_by_label("Full name").fill(name)
    await page.get_by_label("Email").fill(email)
    await page.get_by_label("Phone number").fill(phone)
    await page.locator("form button").last.click()


async def test_whoever_follows_the_readme_gets_to_a_lead(tmp_path: Path) -> None:
    """Sign in, connect, pick, post, submit a form: the lead is listed by name, without reloading anything."""
    async with running_demo(tmp_path / "data") as (demo, facts), browsing(height=720) as browser:
        page = await browser.new_page()
        await _sign_in(page, demo, facts)
        await _connect(page)
        await _write_a_post(page)
        await page.get_by_role("link", name="Leads", exact=True).click()
        other = await browser.new_page()
        for name, email, phone in PEOPLE:
            await _submit_the_form(other, facts, name, email, phone)
        for name, _, _ in PEOPLE:
            await expect(page.get_by_text(name)).to_be_visible(timeout=5_000)
        taken = await page.screenshot()
        assert len(taken) > 10_000, "an empty picture"
        (tmp_path / PICTURE.name).write_bytes(taken)
        if not PICTURE.exists():  # delete it to have it made anew
            PICTURE.write_bytes(taken)
