"""Lead forms, leads and the webhooks about them."""

import hashlib
import hmac
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.unit.facebook.sandbox.driver import FORM, PAGE, Driver, Host, opened

ANSWERS = {"full_name": "Zoë Müller", "email": "zoe{n}@mail.example"}


def lead_ids(requests: list[Any]) -> list[str]:
    bodies = [msgspec.json.decode(request.content) for request in requests]
    return [change["value"]["leadgen_id"] for body in bodies for change in body["entry"][0]["changes"]]


async def test_a_lead_is_announced_signed_and_readable(sandbox: Driver) -> None:
    token = await sandbox.subscribe()
    made = await sandbox.control("leads", pageId=PAGE, formId=FORM, answers=ANSWERS)
    [request] = await sandbox.settled(1)
    body = request.content

    expected = hmac.new(sandbox.settings["app_secret"].encode(), body, hashlib.sha256).hexdigest()
    assert request.headers["x-hub-signature-256"] == f"sha256={expected}"
    assert request.headers["x-hub-signature"].startswith("sha1=")
    assert str(request.url) == "http://host.test/connect/webhook/facebook"
    assert lead_ids([request]) == [made["leads"][0]["id"]]

    lead = (await sandbox.graph("GET", made["leads"][0]["id"], token)).json()
    assert lead["field_data"] == [
        {"name": "full_name", "values": ["Zoë Müller"]},
        {"name": "email", "values": ["zoe1@mail.example"]},
    ]
    assert lead.keys() == {"id", "created_time", "field_data"}


async def test_nobody_hears_of_an_unsubscribed_page(sandbox: Driver) -> None:
    await sandbox.page_token()
    made = await sandbox.control("leads", formId=FORM, answers=ANSWERS)

    assert made["deliveries"] == []
    assert "not subscribed" in made["skipped"]


async def test_a_lead_hides_from_whoever_may_not_see_it(sandbox: Driver) -> None:
    made = await sandbox.control("leads", formId=FORM, answers=ANSWERS)
    lead_id = made["leads"][0]["id"]
    weak = await sandbox.user_token(("pages_show_list",))
    weak_page = await sandbox.page_token(token=weak)
    other_page = await sandbox.page_token("61558812340917265", token=weak)

    async def is_hidden(token: str) -> bool:
        error = (await sandbox.graph("GET", lead_id, token)).json().get("error", {})
        return (error.get("code"), error.get("error_subcode")) == (100, 33)

    assert await is_hidden(weak_page)
    assert await is_hidden(await sandbox.user_token())  # grants leads_retrieval to the page token, too
    assert await is_hidden(other_page)
    assert not await is_hidden(weak_page)


@pytest.mark.parametrize(("delivery", "count"), [("send", 5), ("double", 10), ("shuffle", 5), ("late", 5)])
async def test_deliveries_travel_as_told(sandbox: Driver, delivery: str, count: int) -> None:
    await sandbox.subscribe()
    made = await sandbox.control(
        "leads", formId=FORM, answers=ANSWERS, count=5, delivery=delivery, delaySeconds=0.05
    )
    got = lead_ids(await sandbox.settled(count))

    assert sorted(set(got)) == sorted(row["id"] for row in made["leads"])
    assert len(got) == count


async def test_a_lost_webhook_leaves_the_lead(sandbox: Driver) -> None:
    token = await sandbox.subscribe()
    await sandbox.control("leads", formId=FORM, answers=ANSWERS, delivery="lose")
    listed = await sandbox.graph("GET", f"{FORM}/leads", token)

    assert len(listed.json()["data"]) == 1
    assert (await sandbox.state())["webhooks"][0]["state"] == "lost"
    assert sandbox.host.got == []


async def test_several_changes_may_share_a_delivery(sandbox: Driver) -> None:
    await sandbox.subscribe()
    await sandbox.control("leads", formId=FORM, answers=ANSWERS, count=7, perDelivery=3)

    assert len(await sandbox.settled(3)) == 3
    assert len(lead_ids(sandbox.host.got)) == 7


async def test_a_refused_webhook_is_tried_again_and_every_answer_kept(sandbox: Driver) -> None:
    await sandbox.subscribe()
    sandbox.host.answers = [503, 500]
    await sandbox.control("leads", formId=FORM, answers=ANSWERS)
    await sandbox.settled(2)
    await sandbox.control("clock", advanceSeconds=60)
    await sandbox.settled(3)
    delivery = (await sandbox.state())["webhooks"][0]

    assert delivery["state"] == "delivered"
    assert [attempt["status"] for attempt in delivery["attempts"]] == [503, 500, 200]
    assert len({request.content for request in sandbox.host.got}) == 1


async def test_retries_end_after_thirty_six_hours(sandbox: Driver) -> None:
    await sandbox.subscribe()
    sandbox.host.answers = [503] * 50
    await sandbox.control("leads", formId=FORM, answers=ANSWERS)
    await sandbox.settled(1)
    await sandbox.control("clock", advanceSeconds=37 * 3_600)
    await sandbox.settled(2)

    assert (await sandbox.state())["webhooks"][0]["state"] == "given_up"


async def test_leads_are_filtered_by_time_and_paged(sandbox: Driver) -> None:
    token = await sandbox.page_token()
    now = int((await sandbox.state())["now"])
    for age in range(7):
        await sandbox.control("leads", formId=FORM, answers=ANSWERS, createdTime=now - age * 100)
    rule = [{"field": "time_created", "operator": "GREATER_THAN", "value": now - 350}]
    filtering = msgspec.json.encode(rule).decode()
    first = (await sandbox.graph("GET", f"{FORM}/leads", token, filtering=filtering, limit="3")).json()
    after = first["paging"]["cursors"]["after"]
    rest = (
        await sandbox.graph("GET", f"{FORM}/leads", token, filtering=filtering, limit="3", after=after)
    ).json()

    assert (len(first["data"]), len(rest["data"])) == (3, 1)
    assert first["data"][0]["created_time"] > rest["data"][0]["created_time"]
    assert "next" in first["paging"]
    assert "next" not in rest["paging"]


@pytest.mark.parametrize(
    "filtering", ["x", "[1]", '[{"field":"id","operator":"EQUAL","value":1}]', '[{"field":"time_created"}]']
)
async def test_other_filters_are_refused(sandbox: Driver, filtering: str) -> None:
    token = await sandbox.page_token()

    assert (await sandbox.graph("GET", f"{FORM}/leads", token, filtering=filtering)).status_code == 400


async def test_a_lead_is_gone_after_ninety_days(sandbox: Driver) -> None:
    made = await sandbox.control("leads", formId=FORM, answers=ANSWERS)
    await sandbox.control("clock", advanceSeconds=91 * 86_400)
    token = await sandbox.page_token()
    form = (await sandbox.graph("GET", FORM, token, fields="leads_count,expired_leads_count")).json()

    assert (form["leads_count"], form["expired_leads_count"]) == (1, 1)
    assert (await sandbox.graph("GET", made["leads"][0]["id"], token)).status_code == 400


async def test_an_ad_lead_carries_its_attribution(sandbox: Driver) -> None:
    token = await sandbox.subscribe()
    made = await sandbox.control(
        "leads",
        formId=FORM,
        answers=ANSWERS,
        id="10203040506070809",
        adId="23850000000000123",
        campaignName="Spring",
    )
    [request] = await sandbox.settled(1)
    value = msgspec.json.decode(request.content)["entry"][0]["changes"][0]["value"]
    fields = "ad_id,campaign_name,campaign_id,is_organic,platform,form_id"
    lead = (await sandbox.graph("GET", made["leads"][0]["id"], token, fields=fields)).json()

    assert value["adgroup_id"] == value["ad_id"] == "23850000000000123"
    assert lead == {
        "ad_id": "23850000000000123",
        "campaign_name": "Spring",
        "is_organic": False,
        "platform": "fb",
        "form_id": FORM,
        "id": "10203040506070809",
    }


async def test_forms_tell_their_questions(sandbox: Driver) -> None:
    page = (await sandbox.state())["pages"][2]["id"]
    token = await sandbox.page_token(page)
    rows = (await sandbox.graph("GET", f"{page}/leadgen_forms", token, fields="name,locale,questions")).json()
    keys = [question["key"] for question in rows["data"][0]["questions"]]

    assert "quel_créneau_préférez-vous_?" in keys
    assert rows["data"][0]["locale"] == "fr_FR"


async def test_a_test_lead_is_announced_too(sandbox: Driver) -> None:
    token = await sandbox.subscribe()
    made = await sandbox.graph("POST", f"{FORM}/test_leads", token)

    assert lead_ids(await sandbox.settled(1)) == [made.json()["id"]]


async def test_a_person_fills_in_the_form(sandbox: Driver) -> None:
    await sandbox.subscribe()
    path = f"/sandbox/forms/{FORM}"
    assert "Full name" in (await sandbox.client.get(path)).text
    wrong = await sandbox.client.post(path, data={"q0": "", "q1": "<b>no</b>"}, follow_redirects=False)
    right = await sandbox.client.post(
        path, data={"q0": "Ada", "q1": "ada@mail.example"}, follow_redirects=False
    )
    [request] = await sandbox.settled(1)
    thanks = await sandbox.client.get(right.headers["location"])

    assert wrong.status_code == 422
    assert "&lt;b&gt;no" in wrong.text
    assert "Please answer this question." in wrong.text
    assert right.status_code == 303
    assert lead_ids([request])[0] in thanks.text
    assert "delivered, 200" in thanks.text


async def test_nothing_is_forgotten_when_the_process_dies(host: Host, state_file: Path) -> None:
    """No goodbye: the first sandbox is never closed, the second one opens the same file."""
    host.answers = [503] * 3
    async with opened(host, state_file) as first:
        token = await first.subscribe()
        made = await first.control("leads", formId=FORM, answers=ANSWERS)
        post = (await first.graph("POST", f"{PAGE}/feed", token, message="kept")).json()["id"]
        await first.settled(1)
        host.answers = []
        async with opened(host, state_file) as second:
            await second.control("clock", advanceSeconds=60)
            await second.settled(2)
            assert second.settings == first.settings
            assert (await second.graph("GET", post, token)).json()["message"] == "kept"
            lead = await second.graph("GET", made["leads"][0]["id"], token)
            assert lead.status_code == 200
            assert (await second.state())["webhooks"][0]["attempts"][0]["status"] == 503


async def test_shares_of_the_webhooks_are_lost_and_doubled(sandbox: Driver) -> None:
    await sandbox.subscribe()
    made = await sandbox.control(
        "leads", formId=FORM, answers=ANSWERS, count=20, delivery={"lose": 0.3, "double": 0.2}
    )
    got = lead_ids(await sandbox.settled(18))

    assert len(made["leads"]) == 20
    assert (len(got), len(set(got))) == (18, 14), "6 are lost, 4 come twice"


async def test_shares_of_more_than_all_are_refused(sandbox: Driver) -> None:
    await sandbox.subscribe()
    wanted = {"formId": FORM, "answers": ANSWERS, "delivery": {"lose": 0.7, "double": 0.4}}
    answer = await sandbox.client.post("/_sandbox/leads", json=wanted)

    assert answer.status_code == 400


async def test_a_form_has_one_test_lead(sandbox: Driver) -> None:
    """A second one is refused until the first is deleted, and neither counts as a lead."""
    token = await sandbox.page_token()
    first = (await sandbox.graph("POST", f"{FORM}/test_leads", token)).json()["id"]
    refused = await sandbox.graph("POST", f"{FORM}/test_leads", token)
    listed = (await sandbox.graph("GET", f"{FORM}/test_leads", token)).json()["data"]
    form = (await sandbox.graph("GET", FORM, token, fields="leads_count")).json()
    assert (await sandbox.graph("DELETE", first, token)).json() == {"success": True}
    second = await sandbox.graph("POST", f"{FORM}/test_leads", token)

    assert refused.json()["error"]["code"] == 100
    assert [row["id"] for row in listed] == [first]
    assert form["leads_count"] == 0
    assert second.json()["id"] != first


async def test_a_test_lead_bears_the_answers_that_it_is_given(sandbox: Driver) -> None:
    token = await sandbox.page_token()
    data = msgspec.json.encode([{"name": "email", "values": ["a@b.example", "c@d.example"]}]).decode()
    made = (await sandbox.graph("POST", f"{FORM}/test_leads", token, field_data=data)).json()
    lead = (await sandbox.graph("GET", made["id"], token, fields="field_data")).json()
    answers = {row["name"]: row["values"] for row in lead["field_data"]}

    assert answers["email"] == ["a@b.example", "c@d.example"]
    assert answers["full_name"][0].startswith("<test lead: dummy data for ")


@pytest.mark.parametrize("data", ['[{"name":"shoe size","values":["44"]}]', "x", '{"email":"a"}'])
async def test_a_test_lead_answers_only_what_is_asked(sandbox: Driver, data: str) -> None:
    token = await sandbox.page_token()

    refused = await sandbox.graph("POST", f"{FORM}/test_leads", token, field_data=data)

    assert refused.json()["error"]["code"] == 100


async def test_a_form_asks_for_consent_and_a_lead_says_whether_it_was_given(sandbox: Driver) -> None:
    box = {"key": "news", "text": "You may write to me", "required": False}
    question = {"key": "size", "options": [{"key": "s", "value": "Small"}, "XL"]}
    form = {"id": FORM, "name": "Offers", "questions": [question], "checkboxes": [box]}
    await sandbox.control("pages", pages=[{"id": PAGE, "forms": [form]}])
    token = await sandbox.page_token()
    made = await sandbox.control(
        "leads", formId=FORM, answers={"size": "s"}, consents={"news": False}, delivery="lose"
    )
    fields = "questions,legal_content{custom_disclaimer}"
    read = (await sandbox.graph("GET", FORM, token, fields=fields)).json()
    lead_id = made["leads"][0]["id"]
    lead = (await sandbox.graph("GET", lead_id, token, fields="custom_disclaimer_responses")).json()

    assert read["questions"][0]["options"] == [{"key": "s", "value": "Small"}, {"key": "XL", "value": "XL"}]
    [checkbox] = read["legal_content"]["custom_disclaimer"]["checkboxes"]
    assert (checkbox["key"], checkbox["text"], checkbox["is_required"]) == ("news", box["text"], False)
    assert lead["custom_disclaimer_responses"] == [{"checkbox_key": "news", "is_checked": ""}]


@pytest.mark.parametrize("closed_to", ["app", "person"])
async def test_leads_access_manager_hides_leads_and_says_whom_it_keeps_out(
    sandbox: Driver, closed_to: str
) -> None:
    """With every permission granted: the lead is "not there", the form and its counts are."""
    token = await sandbox.page_token()
    made = await sandbox.control("leads", formId=FORM, answers=ANSWERS, delivery="lose")
    await sandbox.control("pages", pages=[{"id": PAGE, "leadsClosedTo": closed_to}])
    hidden = [
        (await sandbox.graph("GET", path, token)).json()["error"]
        for path in (made["leads"][0]["id"], f"{FORM}/leads")
    ]
    form = (await sandbox.graph("GET", FORM, token, fields="leads_count")).json()
    page = (await sandbox.graph("GET", PAGE, token, fields="has_lead_access")).json()

    assert [(error["code"], error["error_subcode"]) for error in hidden] == [(100, 33), (100, 33)]
    assert form["leads_count"] == 1
    assert page["has_lead_access"]["can_access_lead"] is False
    assert page["has_lead_access"]["app_has_leads_permission"] is (closed_to != "app")
    await sandbox.control("pages", pages=[{"id": PAGE, "leadsClosedTo": ""}])
    assert (await sandbox.graph("GET", made["leads"][0]["id"], token)).status_code == 200


async def test_a_person_ticks_boxes_below_the_form(sandbox: Driver) -> None:
    """One that has to be ticked is asked for again; one that need not be is a no."""
    must = {"key": "terms", "text": "I have read the <terms>"}
    may = {"key": "news", "text": "You may write to me", "required": False, "checkedByDefault": True}
    question = {"key": "email", "type": "EMAIL"}
    form = {"id": FORM, "questions": [question], "checkboxes": [must, may]}
    await sandbox.control("pages", pages=[{"id": PAGE, "forms": [form]}])
    path = f"/sandbox/forms/{FORM}"
    shown = (await sandbox.client.get(path)).text
    wrong = await sandbox.client.post(path, data={"q0": "ada@mail.example"}, follow_redirects=False)
    right = await sandbox.client.post(
        path, data={"q0": "ada@mail.example", "c0": "1"}, follow_redirects=False
    )
    (lead,) = (await sandbox.state())["leads"]

    assert "&lt;terms&gt;" in shown
    assert shown.count("checked") == 1
    assert (wrong.status_code, right.status_code) == (422, 303)
    assert "Please tick this box." in wrong.text
    assert lead["consents"] == [["terms", True], ["news", False]]
