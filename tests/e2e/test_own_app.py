"""An org with an app of its own, against a running host and a sandbox that knows several apps."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.demo import DemoClient, demo_client, running_demo

pytestmark = pytest.mark.e2e

ANSWERS = {"full_name": "Grace Müller", "email": "grace@example.org", "phone_number": "+4930123456"}


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[DemoClient]:
    async with running_demo(tmp_path / "data") as (_, facts), demo_client(facts) as client:
        yield client


async def register(client: DemoClient, **body: object) -> dict[str, str]:
    """An app in the sandbox, whose dashboard names the host's address for the org."""
    facts = client.facts
    callback = f"{facts.host}/connect/webhook/facebook?orgid={facts.org}"
    answer = await client.control("apps", {"name": "Acme CRM", "callbackUrl": callback, **body})
    app: dict[str, str] = answer.json()
    return app


async def save(client: DemoClient, body: Mapping[str, object]) -> httpx.Response:
    facts = client.facts
    return await client.http.post(
        f"{facts.host}/upstream/save-integration",
        json={"vendor": "facebook", **body},
        headers={"orgid": facts.org, "authorization": f"Bearer {facts.token}"},
    )


async def saved(client: DemoClient, app: Mapping[str, str]) -> dict[str, Any]:
    config = {"appId": app["id"], "appSecret": app["secret"], "verifyToken": app["verifyToken"]}
    answer = await save(client, {"config": config})
    assert answer.status_code == 200, answer.text
    card: dict[str, Any] = answer.json()
    return card


async def fill_in(client: DemoClient) -> None:
    page = client.facts.pages[0]
    answer = await client.control(
        "leads", {"pageId": page.id, "formId": page.forms[0].id, "answers": ANSWERS}
    )
    assert answer.status_code == 200, answer.text


async def sent_by(client: DemoClient, app_id: str) -> list[int]:
    """The answers that this app's deliveries got."""
    state: Any = await client.state()
    return [
        attempt["status"]
        for delivery in state["webhooks"]
        if delivery.get("appId", delivery.get("app_id")) == app_id
        for attempt in delivery["attempts"]
    ]


async def test_an_org_moves_to_its_own_app_and_renews_its_secret(client: DemoClient) -> None:
    """Connected through the operator's app, then through its own, then with a new secret: leads go on."""
    await client.connect()
    await fill_in(client)
    await client.wait_for_leads(1, deadline=10)

    app = await register(client)
    card = await saved(client, app)
    assert (card["status"], card["app"]["kind"]) == ("pending", "own")
    refused = await client.call("post-to-page", {"pageId": client.facts.pages[0].id, "message": "hello"})
    assert (refused.status_code, refused.json()["code"]) == (412, "not_connected")

    await fill_in(client)  # the operator's app hears it: kept until somebody has connected
    await client.connect()
    await client.wait_for_leads(2, deadline=10)
    await fill_in(client)
    await client.wait_for_leads(3, deadline=10)

    reset = await register(client, id=app["id"], secret="0f1e2d3c4b5a69788796a5b4c3d2e1f0")
    assert (await saved(client, reset))["status"] == "active"
    await fill_in(client)
    await client.wait_for_leads(4, deadline=10)
    assert await sent_by(client, app["id"]) == [200, 200]
    posted = await client.call("post-to-page", {"pageId": client.facts.pages[0].id, "message": "hello"})
    assert posted.status_code == 200, posted.text


async def test_a_wrong_secret_is_refused_by_the_vendor(client: DemoClient) -> None:
    app = await register(client)

    answer = await save(
        client,
        {"config": {"appId": app["id"], "appSecret": "0" * 31 + "1", "verifyToken": app["verifyToken"]}},
    )

    assert (answer.status_code, answer.json()["code"]) == (422, "vendor_rejected")
    assert "remedy" in answer.json()
