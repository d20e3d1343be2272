"""The user's own document, run: its calls in a real browser against a running demo."""

from pathlib import Path

import httpx
import msgspec
import pytest
from playwright.async_api import Page, Request, Route

from tests.support.browser import browsing
from tests.support.demo import DemoClient, DemoFacts, demo_client, running_demo

pytestmark = pytest.mark.e2e

FRONTEND = "https://admin.example"
SALE = "Spring sale starts now! 20% off everything."

CONNECT = """async ({ORG_ID, jwt}) => {
  const { authUrl } = await fetch('/api/upstream/call/facebook-provider/get-auth-url', {
    method: 'POST',
    headers: { orgid: ORG_ID, Authorization: `Bearer ${jwt}` },
    body: JSON.stringify({
      scopes: [
        'pages_manage_posts', 'pages_read_engagement', 'pages_manage_engagement', 'pages_show_list',
        'business_management', 'ads_management', 'leads_retrieval', 'instagram_basic',
        'instagram_content_publish',
      ],
      returnUrl: 'https://admin.example/integrations',
    }),
  }).then(r => r.json());
  window.location = authUrl;
}"""

POST = """async ({ORG_ID, jwt}) => {
  const answer = await fetch('/api/upstream/call/facebook-provider/post-to-page', {
    method: 'POST',
    headers: { orgid: ORG_ID, Authorization: `Bearer ${jwt}` },
    body: JSON.stringify({
      pageId: '1234567890',
      message: 'Spring sale starts now! 20% off everything.',
      link: 'https://shop.example/spring',
      image: 'https://cdn.shop.example/spring-sale.jpg',
    }),
  });
  return { status: answer.status, body: await answer.json() };
}"""


class _Frontend:
    """`https://admin.example`: a page of its own, and an `/api` that leads to the host."""

    def __init__(self, facts: DemoFacts, http: httpx.AsyncClient) -> None:
        self.facts = facts
        self.http = http

    async def __call__(self, route: Route, request: Request) -> None:
        path = request.url.removeprefix(FRONTEND)
        if not path.startswith("/api/"):
            await route.fulfill(
                status=200, content_type="text/html", body="<!doctype html><title>Admin</title>"
            )
            return
        headers = {k: v for k, v in (await request.all_headers()).items() if not k.startswith(":")}
        for hop_by_hop in ("host", "content-length", "accept-encoding"):
            headers.pop(hop_by_hop, None)
        answer = await self.http.request(
            request.method, self.facts.host + path, headers=headers, content=request.post_data_buffer or b""
        )
        await route.fulfill(status=answer.status_code, headers=dict(answer.headers), body=answer.content)


async def _consent_as_a_person(page: Page) -> None:
    """Read the dialog, leave everything ticked, continue."""
    await page.wait_for_url("**/dialog/oauth**")
    await page.get_by_role("button", name="Continue").first.click()


async def _fill_in_the_form(page: Page, facts: DemoFacts, form_id: str) -> None:
    """Find the form from the sandbox's front page and submit it."""
    await page.goto(facts.sandbox)
    await page.locator(f"a[href*='{form_id}']").first.click()
    await page.get_by_label("Full name").fill("Ines Müller")
    await page.get_by_label("Email").fill("ines@customer.example")
    for field in await page.locator("form input[required]:not([type=hidden])").all():
        kind = await field.get_attribute("type")
        if kind not in {"radio", "checkbox"} and not await field.input_value():
            await field.fill("+49 30 901820" if kind == "tel" else "Moor & Söhne")
    for choice in await page.locator("form fieldset").all():
        await choice.locator("input").first.check()
    for select in await page.locator("form select").all():
        await select.select_option(index=1)
    await page.locator("form button[type=submit], form button:not([type])").first.click()


async def _lead_within(client: DemoClient, seconds: float) -> dict[str, object]:
    (lead,) = await client.wait_for_leads(1, deadline=seconds)
    return lead


async def test_the_documents_own_calls_lead_from_consent_to_a_lead(tmp_path: Path) -> None:
    """Auth URL, consent, back connected, pick a page, the sale's post on the wall, a lead within 2 s."""
    async with (
        running_demo(tmp_path / "data") as (_, facts),
        demo_client(facts) as client,
        browsing() as browser,
    ):
        who = {"ORG_ID": facts.org, "jwt": facts.token}
        page = await browser.new_page()
        await browser.route(f"{FRONTEND}/**", _Frontend(facts, client.http))

        await page.goto(f"{FRONTEND}/integrations")
        await page.evaluate(CONNECT, who)
        await _consent_as_a_person(page)
        await page.wait_for_url(f"{FRONTEND}/integrations?integration=connected")

        chosen = await client.call("select-channels", {"channels": ["1234567890"]})
        assert chosen.status_code == 200, chosen.text

        answer = await page.evaluate(POST, who)
        assert answer["status"] == 200, answer
        assert answer["body"]["status"] == "published"

        post = next(
            p for p in _objects(await client.state(), "posts") if p["id"] == answer["body"]["externalId"]
        )
        assert SALE in str(post["message"])
        assert "https://shop.example/spring" in str(post["message"]), "the link stands at the end of the text"

        form = next(p for p in facts.pages if p.id == "1234567890").forms[0]
        await _fill_in_the_form(page, facts, form.id)
        lead = await _lead_within(client, 2.0)
        assert lead["email"] == "ines@customer.example"
        assert (lead["firstName"], lead["lastName"]) == ("Ines", "Müller")


def _objects(state: dict[str, object], key: str) -> list[dict[str, object]]:
    return msgspec.convert(state[key], list[dict[str, object]])
