"""The control routes and the faults."""

from typing import Any

import httpx
import pytest

from moorage_facebook.sandbox.seed import INSTAGRAM_ID, PHONE_NUMBER_ID
from tests.unit.facebook.sandbox.driver import FORM, PAGE, Driver


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("leads", {"formId": FORM, "colour": "red"}),
        ("leads", {"formId": "1"}),
        ("leads", {"formId": FORM, "pageId": "61558812340917265"}),
        ("leads", {"formId": FORM, "delivery": "carrier pigeon"}),
        ("leads", {"formId": FORM, "createdTime": "soon"}),
        ("leads", {"formId": FORM, "id": PAGE}),
        ("leads", {"formId": FORM, "id": "12", "count": 2}),
        ("consent", {"authUrl": "http://sandbox.test/", "decision": "grant"}),
        ("consent", {"authUrl": "http://[", "decision": "grant"}),
        ("faults", {"match": {"verb": "GET"}}),
        ("clock", {"advanceSeconds": -1}),
        ("clock", {}),
        ("clock", {"advanceSeconds": 9e9}),
        ("clock", {"advanceSeconds": 9e9, "x": 1}),
        ("pages", {"pages": []}),
        ("pages", {"pages": [{"id": FORM}]}),
        ("pages", {"pages": [{"id": "abc"}]}),
        ("apps", {"id": "abc"}),
        ("apps", {"id": PAGE}),
        ("apps", {"mode": "live"}),
        ("webhooks", {}),
        ("webhooks", {"raw": "x", "body": {}}),
        ("revoke", {"userId": "1"}),
        ("reset", {"hard": True}),
    ],
)
async def test_what_makes_no_sense_is_refused(sandbox: Driver, path: str, body: Any) -> None:
    if body == {"advanceSeconds": 9e9}:
        body = {"advanceSeconds": 9_999_999_999}
        await sandbox.control("clock", **body)
        await sandbox.control("clock", **body)
        await sandbox.control("clock", **body)
    answer = await sandbox.client.post(f"/_sandbox/{path}", json=body)

    assert answer.status_code == 400
    assert answer.json()["error"]["message"]


async def test_state_names_everything(sandbox: Driver) -> None:
    state = await sandbox.state()

    assert {
        "users",
        "pages",
        "posts",
        "comments",
        "forms",
        "leads",
        "messages",
        "campaigns",
        "subscriptions",
        "webhooks",
        "calls",
    } <= state.keys()
    only = (await sandbox.client.get("/_sandbox/state?only=leads,calls")).json()
    assert only.keys() == {"leads", "calls"}


async def test_a_fault_answers_as_graph_would(sandbox: Driver) -> None:
    token = await sandbox.page_token()
    headers = {"X-Business-Use-Case-Usage": "{}"}
    await sandbox.control(
        "faults", match={"method": "POST", "path": "/{page}/feed"}, times=1, code=80001, headers=headers
    )
    hit = await sandbox.graph("POST", f"{PAGE}/feed", token, message="m")
    again = await sandbox.graph("POST", f"{PAGE}/feed", token, message="m")

    assert (hit.status_code, hit.json()["error"]["code"]) == (400, 80001)
    assert hit.headers["x-business-use-case-usage"] == "{}"
    assert again.status_code == 200
    assert (await sandbox.state())["calls"]["POST /{page}/feed"] == 2


@pytest.mark.parametrize(
    "path", ["/{page}/feed", "/feed", f"/{PAGE}/feed", "/*/feed", "feed", "/v26.0/*/feed"]
)
async def test_faults_match_paths_in_many_ways(sandbox: Driver, path: str) -> None:
    token = await sandbox.page_token()
    await sandbox.control("faults", match={"path": path, "pageId": PAGE}, status=500, body="<html>oops")
    hit = await sandbox.graph("GET", f"{PAGE}/feed", token)
    missed = await sandbox.graph("GET", f"{PAGE}/photos", token)

    assert (hit.status_code, hit.text) == (500, "<html>oops")
    assert missed.status_code == 400
    assert (await sandbox.client.delete("/_sandbox/faults")).json() == {"dropped": 1}
    assert (await sandbox.graph("GET", f"{PAGE}/feed", token)).status_code == 200


@pytest.mark.parametrize(("drop", "posts"), [("before", 0), ("after", 1)])
async def test_a_cut_answer_did_or_did_not_do_it(sandbox: Driver, drop: str, posts: int) -> None:
    token = await sandbox.page_token()
    await sandbox.control("faults", match={"method": "POST"}, times=1, drop=drop)
    with pytest.raises((httpx.HTTPError, ConnectionResetError)):
        await sandbox.graph("POST", f"{PAGE}/feed", token, message="m")

    assert len((await sandbox.state())["posts"]) == posts


async def test_any_body_can_be_sent_signed_or_forged(sandbox: Driver) -> None:
    sandbox.host.answers = [200, 403, 200]
    good = await sandbox.control("webhooks", body={"object": "page", "entry": [], "x": "ä/"})
    forged = await sandbox.control("webhooks", raw="not json", signature="wrong")
    bare = await sandbox.control("webhooks", raw="", signature="none", url="http://host.test/other")

    assert good["attempts"][0]["status"] == 200
    assert sandbox.host.got[0].content == b'{"object":"page","entry":[],"x":"\\u00e4\\/"}'
    assert forged["state"] == "refused"
    assert bare["attempts"][0]["answer"] == "ok"
    assert "x-hub-signature-256" not in sandbox.host.got[2].headers


async def test_webhooks_go_nowhere_else(sandbox: Driver) -> None:
    for url in (
        "https://example.com/",
        "http://10.0.0.1/",
        "file:///etc/passwd",
        "http://127.0.0.1.evil.example/",
        "x",
    ):
        sent = await sandbox.control("webhooks", raw="{}", url=url)
        assert "not on this machine" in sent["attempts"][0]["error"]


async def test_pages_are_made_and_claimed(sandbox: Driver) -> None:
    token = await sandbox.user_token()
    question = {"key": "wie_geht's?", "options": ["gut", "schlecht"]}
    made = await sandbox.control(
        "pages",
        granted=True,
        pages=[
            {
                "id": "777777777777",
                "name": "Claimed",
                "forms": [{"id": "888888888888", "questions": [question]}],
            },
            {"id": PAGE, "name": "Renamed"},
            {"name": "No id", "forms": [{"name": "Ask"}]},
        ],
    )
    accounts = (await sandbox.graph("GET", "me/accounts", token, fields="name")).json()["data"]

    assert made["pages"][0]["id"] == PAGE
    assert {row["name"] for row in accounts} >= {"Claimed", "Renamed", "No id"}
    await sandbox.control("leads", formId="888888888888", answers={"wie_geht's?": "gut"})


async def test_revoking_tells_the_deauthorize_callback(sandbox: Driver) -> None:
    await sandbox.user_token()
    await sandbox.control("revoke")
    [request] = await sandbox.settled(1)

    assert request.url.path == "/connect/deauthorize/facebook"
    assert request.content.startswith(b"signed_request=")
    assert (await sandbox.state())["consents"][0]["removed"] is True


async def test_asking_for_deletion_tells_the_apps_data_deletion_callback(sandbox: Driver) -> None:
    """Also an app that was removed before: it may have the person's data still."""
    await sandbox.user_token()
    await sandbox.control("revoke", notify=False)
    await sandbox.control("data-deletion")
    [request] = await sandbox.settled(1)

    assert request.url.path == "/connect/data-deletion/facebook"
    assert request.content.startswith(b"signed_request=")
    assert (await sandbox.state())["consents"][0]["removed"] is True


async def test_reset_starts_over_with_the_same_secrets(sandbox: Driver) -> None:
    token = await sandbox.subscribe()
    await sandbox.control("leads", formId=FORM, answers={"full_name": "A"})
    await sandbox.control("reset")
    state = await sandbox.state()

    assert (state["leads"], state["subscriptions"], len(state["pages"])) == ([], [], 3)
    assert (await sandbox.graph("GET", "me", token)).json()["error"]["code"] == 190
    assert await sandbox.user_token()


async def test_pages_of_the_sandbox_are_locked_down(sandbox: Driver) -> None:
    for path in (
        "/",
        f"/sandbox/pages/{PAGE}",
        f"/sandbox/forms/{FORM}",
        f"/sandbox/instagram/{INSTAGRAM_ID}",
        f"/sandbox/messages/messenger/{PAGE}",
        f"/sandbox/messages/whatsapp/{PHONE_NUMBER_ID}",
        "/sandbox/webhooks",
        "/sandbox/nothing",
    ):
        shown = await sandbox.client.get(path)
        assert shown.headers["content-security-policy"].startswith("default-src 'none'")
        assert "<script" not in shown.text
        assert "http://" not in shown.text.replace("http://www.w3.org", "")


async def test_a_wall_shows_but_never_loads(sandbox: Driver) -> None:
    token = await sandbox.page_token()
    await sandbox.graph(
        "POST",
        f"{PAGE}/photos",
        token,
        url="https://cdn.example/<a>.jpg",
        caption="<script>alert(1)</script>",
    )
    shown = (await sandbox.client.get(f"/sandbox/pages/{PAGE}")).text

    assert "https://cdn.example/&lt;a&gt;.jpg" in shown
    assert "<img" not in shown
    assert "<script>" not in shown


async def test_the_front_page_has_buttons(sandbox: Driver) -> None:
    await sandbox.user_token()
    user_id = (await sandbox.state())["users"][0]["id"]
    before = (await sandbox.state())["now"]
    for form in ({"revoke": user_id}, {"days": "60"}, {"days": "x"}):
        answer = await sandbox.client.post("/sandbox/act", data=form, follow_redirects=False)
        assert answer.status_code == 303
    state = await sandbox.state()

    assert state["consents"][0]["removed"] is True
    assert state["now"] - before > 59 * 86_400


async def test_a_fault_strikes_in_its_share_of_the_cases(sandbox: Driver) -> None:
    await sandbox.control("faults", match={"path": f"/{PAGE}"}, status=500, share=0.5)
    token = await sandbox.page_token()

    statuses = [(await sandbox.graph("GET", PAGE, token)).status_code for _ in range(64)]

    assert set(statuses) == {200, 500}
