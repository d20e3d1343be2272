"""Batches as the official SDK builds them: some calls succeed, some fail, some get no answer at all."""

from collections.abc import Iterator
from typing import Any

import attrs
import pytest
from facebook_business.adobjects.lead import Lead
from facebook_business.adobjects.page import Page
from facebook_business.api import FacebookAdsApi, FacebookResponse

from tests.oracles.official_sdk import official_sdk
from tests.oracles.sandbox import PAGE, ServedSandbox


@attrs.define
class Outcomes:
    """What the batch's callbacks were told, in their order."""

    done: list[Any] = attrs.field(factory=list)
    failed: list[tuple[int, int]] = attrs.field(factory=list)

    def succeed(self, answer: FacebookResponse) -> None:
        self.done.append(answer.json())

    def fail(self, answer: FacebookResponse) -> None:
        error = answer.error()
        self.failed.append((error.http_status(), error.api_error_code()))


@pytest.fixture
def api(sandbox: ServedSandbox) -> Iterator[FacebookAdsApi]:
    with official_sdk(sandbox, sandbox.page_token(sandbox.user_token())) as api:
        yield api


@pytest.fixture
def outcomes() -> Outcomes:
    return Outcomes()


def test_one_call_that_fails_takes_no_other_with_it(api: FacebookAdsApi, outcomes: Outcomes) -> None:
    batch = api.new_batch()
    told = {"success": outcomes.succeed, "failure": outcomes.fail}
    Page(PAGE, api=api).api_get(fields=["name"], batch=batch, **told)
    Lead("999999999999999", api=api).api_get(batch=batch, **told)
    Page(PAGE, api=api).create_feed(params={"message": "größer & besser = ☕"}, batch=batch, **told)

    assert batch.execute() is None, "every call was answered"

    assert outcomes.done[0] == {"id": PAGE, "name": "Harbour Street Shop"}
    assert outcomes.done[1]["id"].startswith(f"{PAGE}_")
    assert outcomes.failed == [(400, 100)]
    assert [post["message"] for post in Page(PAGE, api=api).get_feed(fields=["message"])] == [
        "größer & besser = ☕"
    ]


def test_answers_come_in_the_order_of_the_calls(api: FacebookAdsApi, outcomes: Outcomes) -> None:
    batch = api.new_batch()
    for number in range(50):
        batch.add(
            "GET", (PAGE, "feed"), params={"limit": number + 1, "fields": "id"}, success=outcomes.succeed
        )
    for number in range(0, 50, 10):
        batch._batch[number] = {"method": "GET", "relative_url": f"{PAGE}?fields=id"}

    batch.execute()

    assert [number for number, answer in enumerate(outcomes.done) if "id" in answer] == [0, 10, 20, 30, 40]


def test_more_than_fifty_calls_are_refused_as_a_whole(api: FacebookAdsApi) -> None:
    batch = api.new_batch()
    for _ in range(51):
        batch.add("GET", (PAGE,))

    answer = api._session.requests.post(
        f"{api._session.GRAPH}/v26.0/", data={"batch": str(batch._batch).replace("'", '"')}
    )

    assert answer.json()["error"]["code"] == 100


def test_each_answer_has_its_own_usage(api: FacebookAdsApi) -> None:
    seen: list[dict[str, str]] = []
    batch = api.new_batch()
    batch.add(
        "GET",
        (PAGE,),
        success=lambda answer: seen.append({row["name"].lower(): row["value"] for row in answer.headers()}),
    )

    batch.execute()

    assert {"x-app-usage", "x-business-use-case-usage", "facebook-api-version"} <= seen[0].keys()


def test_calls_of_a_batch_are_counted_one_by_one(sandbox: ServedSandbox, api: FacebookAdsApi) -> None:
    batch = api.new_batch()
    for _ in range(3):
        batch.add("GET", (PAGE, "feed"))
    batch.execute()

    answer = sandbox.client.get("/_sandbox/state", params={"only": "calls"}).json()
    assert answer["calls"]["GET /{page}/feed"] == 3


def test_calls_without_an_answer_come_back_to_be_tried_again(
    sandbox: ServedSandbox, api: FacebookAdsApi, outcomes: Outcomes
) -> None:
    """Graph runs out of time in the middle of a batch: the calls it did not get to are null."""
    sandbox.control("faults", times=1, match={"path": "/photos"}, drop="before")
    sandbox.control("faults", times=1, match={"path": "/leadgen_forms"}, code=80005)
    batch = api.new_batch()
    for edge in ("feed", "photos", "leadgen_forms"):
        page = {"url": "https://shop.example/a.jpg"} if edge == "photos" else None
        method = "POST" if page else "GET"
        batch.add(method, (PAGE, edge), params=page, success=outcomes.succeed, failure=outcomes.fail)

    left = batch.execute()

    assert (len(outcomes.done), outcomes.failed) == (1, [(400, 80005)])
    assert len(left) == 1
    assert left.execute() is None
    assert "post_id" in outcomes.done[1]
