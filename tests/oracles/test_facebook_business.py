"""The official SDK (facebook-business) finds its Graph in the sandbox.

The SDK warns about fields that Meta's own specification does not have and about values of the wrong type, and
warnings are errors here: so what these tests ask for exists.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs
import pytest
from facebook_business.adobjects.lead import Lead
from facebook_business.adobjects.leadgenform import LeadgenForm
from facebook_business.adobjects.page import Page
from facebook_business.adobjects.pagepost import PagePost
from facebook_business.adobjects.photo import Photo
from facebook_business.adobjects.user import User
from facebook_business.api import FacebookAdsApi
from facebook_business.exceptions import FacebookRequestError

from tests.oracles.official_sdk import official_sdk
from tests.oracles.sandbox import FORM, PAGE, SECOND_PAGE, USER, ServedSandbox

GRACE = {"full_name": ["Grace Müller ☕"], "email": ["grace@example.org"], "phone_number": ["+4930123456"]}


@attrs.frozen(kw_only=True)
class Sdk:
    """The SDK as a person and as that person's first Page."""

    sandbox: ServedSandbox
    person: FacebookAdsApi
    page_api: FacebookAdsApi

    @property
    def page(self) -> Page:
        return Page(PAGE, api=self.page_api)

    @property
    def form(self) -> LeadgenForm:
        return LeadgenForm(FORM, api=self.page_api)


@pytest.fixture
def sdk(sandbox: ServedSandbox) -> Iterator[Sdk]:
    user_token = sandbox.user_token()
    with (
        official_sdk(sandbox, user_token) as person,
        official_sdk(sandbox, sandbox.page_token(user_token)) as page,
    ):
        yield Sdk(sandbox=sandbox, person=person, page_api=page)


def test_me_is_the_person_who_allowed_the_app(sdk: Sdk) -> None:
    me = User("me", api=sdk.person).api_get(fields=[User.Field.id, User.Field.name, User.Field.email])

    assert (me[User.Field.id], me[User.Field.name]) == (USER, "Dana Demo")
    assert me[User.Field.email] == "dana.demo@mail.example"


def test_a_page_token_is_me_as_the_page(sdk: Sdk) -> None:
    assert User("me", api=sdk.page_api).api_get(fields=["id"])["id"] == PAGE


def test_accounts_hand_out_tokens_with_which_the_sdk_acts_as_the_page(sdk: Sdk) -> None:
    pages = {page["id"]: page for page in User("me", api=sdk.person).get_accounts()}

    assert {PAGE, SECOND_PAGE} <= pages.keys()
    assert "MANAGE" in pages[PAGE]["tasks"]
    assert pages[PAGE]["category_list"][0]["name"] == pages[PAGE]["category"]
    with official_sdk(sdk.sandbox, pages[SECOND_PAGE][Page.Field.access_token]) as api:
        assert Page("me", api=api).api_get(fields=["name"])["name"] == pages[SECOND_PAGE]["name"]


def test_the_cursor_walks_over_several_pages_of_answers_and_knows_the_total(sdk: Sdk) -> None:
    made = [sdk.page.create_feed(params={"message": f"number {number}"})["id"] for number in range(5)]

    feed = sdk.page.get_feed(fields=[PagePost.Field.message], params={"limit": 2})

    assert feed.total() == 5
    assert len(feed) == 2
    assert [post["id"] for post in feed] == made[::-1]


def test_paging_ends_after_a_last_page_that_is_full(sdk: Sdk) -> None:
    for number in range(4):
        sdk.page.create_feed(params={"message": f"number {number}"})

    assert len(list(sdk.page.get_posts(fields=["message"], params={"limit": 2}))) == 4


def test_an_empty_feed_is_a_cursor_without_anything(sdk: Sdk) -> None:
    feed = sdk.page.get_feed()

    assert list(feed) == []
    assert feed.total() == 0


def test_a_post_is_made_read_changed_and_taken_down(sdk: Sdk) -> None:
    post = PagePost(sdk.page.create_feed(params={"message": "Größe zählt nicht ☕"})["id"], api=sdk.page_api)

    read = post.api_get(
        fields=["message", "created_time", "permalink_url", "status_type", "is_published", "from"]
    )
    assert (read["message"], read["is_published"], read["from"]["id"]) == ("Größe zählt nicht ☕", True, PAGE)
    assert read["permalink_url"].startswith("http")

    post.api_update(params={"message": "changed"})
    assert post.api_get(fields=["message"])["message"] == "changed"

    post.api_delete()
    with pytest.raises(FacebookRequestError) as gone:
        post.api_get(fields=["message"])
    assert (gone.value.api_error_code(), gone.value.api_error_subcode()) == (100, 33)


def test_a_post_may_carry_a_link_or_wait_for_its_time(sdk: Sdk) -> None:
    linked = sdk.page.create_feed(params={"message": "look", "link": "https://shop.example/spring"})
    now = sdk.sandbox.seconds()
    waiting = sdk.page.create_feed(
        params={"message": "later", "published": False, "scheduled_publish_time": now + 3600}
    )

    attachments = list(PagePost(linked["id"], api=sdk.page_api).get_attachments())
    assert [found["unshimmed_url"] for found in attachments] == ["https://shop.example/spring"]
    assert [post["id"] for post in sdk.page.get_scheduled_posts()] == [waiting["id"]]
    assert waiting["id"] not in {post["id"] for post in sdk.page.get_feed()}


def test_photos_that_nobody_sees_become_one_post(sdk: Sdk) -> None:
    photos = [
        sdk.page.create_photo(params={"url": f"https://shop.example/{name}.jpg", "published": False})["id"]
        for name in ("one", "two")
    ]
    assert list(sdk.page.get_feed()) == []

    media = [{"media_fbid": photo} for photo in photos]
    post = sdk.page.create_feed(params={"message": "two of them", "attached_media": media})

    read = PagePost(post["id"], api=sdk.page_api)
    assert read.api_get(fields=["status_type"])["status_type"] == "added_photos"
    assert {part["target"]["id"] for part in read.get_attachments()} == set(photos)
    assert Photo(photos[0], api=sdk.page_api).api_get(fields=["page_story_id"])["page_story_id"] == post["id"]


def test_a_photo_from_disk_is_a_post_of_its_own(sdk: Sdk, tmp_path: Path) -> None:
    picture = tmp_path / "picture.jpg"
    picture.write_bytes(b"\xff\xd8\xff\xe0 not much of a picture \xff\xd9")

    with picture.open("rb") as source:
        answer = sdk.page_api.call(
            "POST", (PAGE, "photos"), params={"caption": "from disk"}, files={"source": source}
        )
    photo = answer.json()

    assert photo["post_id"].startswith(f"{PAGE}_")
    assert PagePost(photo["post_id"], api=sdk.page_api).api_get(fields=["message"])["message"] == "from disk"


def test_the_app_is_installed_on_the_page_and_taken_off(sdk: Sdk) -> None:
    sdk.page.create_subscribed_app(params={"subscribed_fields": ["leadgen", "feed"]})

    installed = list(sdk.page.get_subscribed_apps())
    assert [app["id"] for app in installed] == [sdk.sandbox.app_id]
    assert set(installed[0]["subscribed_fields"]) == {"leadgen", "feed"}

    sdk.page.delete_subscribed_apps()
    assert list(sdk.page.get_subscribed_apps()) == []


def test_forms_are_listed_with_their_questions_and_counts(sdk: Sdk) -> None:
    sdk.sandbox.fill_in(GRACE)
    fields = [LeadgenForm.Field.name, LeadgenForm.Field.questions, LeadgenForm.Field.leads_count, "status"]

    forms = {form["id"]: form for form in sdk.page.get_lead_gen_forms(fields=fields)}

    assert forms[FORM]["leads_count"] == 1
    assert [question["key"] for question in forms[FORM]["questions"]] == [
        "full_name",
        "email",
        "phone_number",
    ]
    assert forms[FORM]["status"] == "ACTIVE"


def test_one_lead_is_read_with_what_the_person_wrote(sdk: Sdk) -> None:
    (lead_id,) = sdk.sandbox.fill_in(GRACE, adId="120210000000000001", campaignId="120210000000000003")
    fields = ["field_data", "created_time", "form_id", "ad_id", "campaign_id", "is_organic", "platform"]

    lead = Lead(lead_id, api=sdk.page_api).api_get(fields=fields)

    assert {entry["name"]: entry["values"] for entry in lead["field_data"]} == GRACE
    assert (lead["form_id"], lead["ad_id"], lead["campaign_id"]) == (
        FORM,
        "120210000000000001",
        "120210000000000003",
    )
    assert lead["is_organic"] is False


def test_a_lead_from_no_ad_names_none(sdk: Sdk) -> None:
    (lead_id,) = sdk.sandbox.fill_in(GRACE)

    lead = Lead(lead_id, api=sdk.page_api).api_get(fields=["ad_id", "adset_id", "is_organic"])

    assert lead["is_organic"] is True
    assert "ad_id" not in lead


def test_leads_are_filtered_by_when_they_came(sdk: Sdk) -> None:
    sdk.sandbox.fill_in(GRACE, createdTime=1_700_000_000, id="501")
    now = sdk.sandbox.seconds()
    young = [sdk.sandbox.fill_in(GRACE, createdTime=now - age)[0] for age in (50, 40, 30)]
    rule = [{"field": "time_created", "operator": "GREATER_THAN", "value": now - 50}]

    leads = sdk.form.get_leads(fields=["created_time"], params={"filtering": rule, "limit": 1})

    assert [lead["id"] for lead in leads] == [young[2], young[1]]


def test_a_test_lead_can_be_made_and_found(sdk: Sdk) -> None:
    made = sdk.form.create_test_lead()

    assert made["id"] in {lead["id"] for lead in sdk.form.get_test_leads()}


def test_a_test_lead_bears_what_it_is_given_and_makes_room_when_it_is_deleted(sdk: Sdk) -> None:
    """One per form: another is refused until the first is gone."""
    data = [{"name": "email", "values": ["trial@mail.example"]}]
    first = sdk.form.create_test_lead(params={"field_data": data})
    lead = Lead(first["id"], api=sdk.page_api).api_get(fields=[Lead.Field.field_data, Lead.Field.form_id])
    with pytest.raises(FacebookRequestError) as refused:
        sdk.form.create_test_lead()
    Lead(first["id"], api=sdk.page_api).api_delete()
    second = sdk.form.create_test_lead()

    answers = {entry["name"]: entry["values"] for entry in lead["field_data"]}
    assert (answers["email"], lead["form_id"]) == (["trial@mail.example"], FORM)
    assert refused.value.api_error_code() == 100
    assert [lead["id"] for lead in sdk.form.get_test_leads()] == [second["id"]]
    assert list(sdk.form.get_leads()) == []


def test_a_form_tells_its_consents_and_a_lead_whether_they_were_given(sdk: Sdk) -> None:
    box = {"key": "news", "text": "You may write to me"}
    sdk.sandbox.control("pages", pages=[{"id": PAGE, "forms": [{"id": FORM, "checkboxes": [box]}]}])
    (lead_id,) = sdk.sandbox.fill_in(GRACE, consents={"news": True}, adName="Spring", campaignName="2030")

    form = sdk.form.api_get(fields=["legal_content", "expired_leads_count", "locale"])
    lead = Lead(lead_id, api=sdk.page_api).api_get(
        fields=[
            Lead.Field.custom_disclaimer_responses,
            Lead.Field.ad_name,
            Lead.Field.adset_name,
            Lead.Field.campaign_name,
        ]
    )

    (checkbox,) = form["legal_content"]["custom_disclaimer"]["checkboxes"]
    assert (checkbox["key"], checkbox["text"]) == (box["key"], box["text"])
    assert (form["expired_leads_count"], form["locale"]) == (0, "en_US")
    (response,) = lead["custom_disclaimer_responses"]
    assert (response["checkbox_key"], response["is_checked"]) == ("news", "1")
    assert (lead["ad_name"], lead["campaign_name"]) == ("Spring", "2030")


def test_a_page_tells_who_may_not_read_its_leads(sdk: Sdk) -> None:
    (lead_id,) = sdk.sandbox.fill_in(GRACE)
    sdk.sandbox.control("pages", pages=[{"id": PAGE, "leadsClosedTo": "person"}])

    access = sdk.page.api_get(fields=["has_lead_access"])["has_lead_access"]
    with pytest.raises(FacebookRequestError) as hidden:
        Lead(lead_id, api=sdk.page_api).api_get()

    assert (access["can_access_lead"], access["user_has_leads_permission"]) == (False, False)
    assert access["app_has_leads_permission"] is True
    assert (hidden.value.api_error_code(), hidden.value.api_error_subcode()) == (100, 33)


@pytest.mark.parametrize("app_secret", [None, "00000000000000000000000000000000"])
def test_calls_without_the_right_proof_are_refused(sdk: Sdk, app_secret: str | None) -> None:
    with (
        official_sdk(sdk.sandbox, sdk.sandbox.user_token(), app_secret=app_secret) as unproven,
        pytest.raises(FacebookRequestError) as refused,
    ):
        User("me", api=unproven).api_get()

    assert (refused.value.http_status(), refused.value.api_error_code()) == (400, 100)


def test_debug_token_describes_a_token_to_the_app(sdk: Sdk) -> None:
    token = sdk.page_api._session.access_token
    with official_sdk(sdk.sandbox, sdk.sandbox.app_token, app_secret=None) as app:
        data = app.call("GET", ("debug_token",), params={"input_token": token}).json()["data"]

    assert (data["app_id"], data["profile_id"], data["type"]) == (sdk.sandbox.app_id, PAGE, "PAGE")
    assert (data["is_valid"], data["expires_at"]) == (True, 0)
    assert "leads_retrieval" in data["scopes"]


def test_errors_arrive_with_code_subcode_status_and_usage(sdk: Sdk) -> None:
    with pytest.raises(FacebookRequestError) as refused:
        Lead("999999999999999", api=sdk.page_api).api_get()

    error = refused.value
    assert (error.http_status(), error.api_error_code(), error.api_error_subcode()) == (400, 100, 33)
    assert error.api_error_type() == "GraphMethodException"
    assert error.api_transient_error() is False
    assert error.body()["error"]["fbtrace_id"]
    assert "call_count" in error.http_headers()["X-App-Usage"]
    assert error.http_headers()["facebook-api-version"] == "v26.0"


@pytest.mark.parametrize(
    ("fault", "status", "subcode", "is_transient"),
    [
        ({"code": 190, "subcode": 463}, 401, 463, False),
        ({"code": 190, "subcode": 492}, 400, 492, False),
        ({"code": 4}, 400, None, True),
        ({"code": 80001}, 400, None, True),
        ({"code": 506}, 400, None, False),
    ],
)
def test_bad_weather_reaches_the_sdk_as_graph_sends_it(
    sdk: Sdk, fault: Mapping[str, object], status: int, subcode: int | None, is_transient: bool
) -> None:
    sdk.sandbox.control("faults", times=1, match={"path": "/feed"}, **fault)

    with pytest.raises(FacebookRequestError) as refused:
        sdk.page.create_feed(params={"message": "hello"})

    error = refused.value
    assert (error.api_error_code(), error.api_error_subcode()) == (fault["code"], subcode)
    assert (error.http_status(), error.api_transient_error()) == (status, is_transient)


def test_a_page_over_its_limit_says_when_to_come_back(sdk: Sdk) -> None:
    answer = sdk.page_api.call("GET", (PAGE, "feed"))

    usage = answer.headers()["X-Business-Use-Case-Usage"]
    assert PAGE in usage
    assert "estimated_time_to_regain_access" in usage


def test_graph_takes_a_slash_at_the_end_and_fields_as_a_json_array(sdk: Sdk) -> None:
    """The SDK ends the paths of nodes with a slash, and writes lists as JSON unless told otherwise."""
    answer = sdk.page_api.call("GET", (PAGE, ""), params={"fields": ["id", "name"]})

    assert answer.json() == {"id": PAGE, "name": "Harbour Street Shop"}


def test_a_person_who_declined_a_permission_is_missing_it(sandbox: ServedSandbox) -> None:
    token = sandbox.user_token(["pages_show_list", "pages_read_engagement"])
    with (
        official_sdk(sandbox, sandbox.page_token(token)) as api,
        pytest.raises(FacebookRequestError) as refused,
    ):
        Page(PAGE, api=api).create_feed(params={"message": "hello"})

    assert refused.value.api_error_code() == 200


def test_a_person_who_removes_the_app_ends_every_token(sdk: Sdk) -> None:
    User(USER, api=sdk.person).delete_permissions()

    for api in (sdk.person, sdk.page_api):
        with pytest.raises(FacebookRequestError) as ended:
            User("me", api=api).api_get()
        assert (ended.value.api_error_code(), ended.value.api_error_subcode()) == (190, 458)
