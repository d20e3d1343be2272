"""python-facebook-api, a library of its own making, gets along with the sandbox as it does with Graph."""

from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from pyfacebook import FacebookApi, FacebookError, IGBusinessApi
from pyfacebook.utils.constant import POST_PUBLIC_FIELDS

from moorage_facebook.sandbox.seed import BUSINESS_ID
from tests.oracles.sandbox import PAGE, REDIRECT_URI, SECOND_PAGE, USER, VERSION, ServedSandbox

SCOPES = ["email", "pages_show_list", "pages_read_engagement", "pages_manage_posts", "business_management"]


def library(sandbox: ServedSandbox, token: str | None = None) -> FacebookApi:
    """The library, told by its own options where Graph and the dialog are."""
    return FacebookApi(
        app_id=sandbox.app_id,
        app_secret=sandbox.app_secret,
        access_token=token,
        oauth_flow=token is None,
        version=VERSION,
        base_url=f"{sandbox.url}/",
        authorization_url=f"{sandbox.url}/dialog/oauth",
        access_token_url=f"{sandbox.url}/oauth/access_token",
        redirect_uri=REDIRECT_URI,
        scope=SCOPES,
        state="some state",
        timeout=10,
    )


@pytest.fixture(autouse=True)
def plain_http(monkeypatch: pytest.MonkeyPatch) -> None:
    """OAuth libraries refuse plain HTTP, on loopback too."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")


@pytest.fixture
def person(sandbox: ServedSandbox) -> Iterator[FacebookApi]:
    api = library(sandbox, sandbox.user_token())
    with api.session:
        yield api


@pytest.fixture
def page(sandbox: ServedSandbox, person: FacebookApi) -> Iterator[FacebookApi]:
    api = library(sandbox, sandbox.page_token(person.access_token))
    with api.session:
        yield api


def test_the_whole_oauth_flow_runs_from_the_dialog_to_a_long_lived_token(sandbox: ServedSandbox) -> None:
    api = library(sandbox)
    with api.session:
        dialog_url, state = api.get_authorization_url()
        back = sandbox.consent(dialog_url)
        token = api.exchange_user_access_token(response=back)
        long_lived = api.exchange_long_lived_user_access_token()
        me = api.user.get_info(user_id="me", fields="id,name,email")

    assert parse_qs(urlsplit(back).query)["state"] == [state]
    assert token["token_type"] == "bearer"
    assert token["expires_in"] < long_lived["expires_in"]
    assert (me.id, me.email) == (USER, "dana.demo@mail.example")


def test_a_code_works_once(sandbox: ServedSandbox) -> None:
    api = library(sandbox)
    with api.session:
        back = sandbox.consent(api.get_authorization_url()[0])
        api.exchange_user_access_token(response=back)
        code = parse_qs(urlsplit(back).query)["code"][0]
        again = api.session.post(
            f"{sandbox.url}/oauth/access_token",
            auth=(sandbox.app_id, sandbox.app_secret),
            data={"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT_URI},
        )

    assert again.status_code == 400
    assert (again.json()["error"]["code"], again.json()["error"]["error_subcode"]) == (100, 36009)


def test_the_app_gets_its_own_token_and_inspects_others(sandbox: ServedSandbox, person: FacebookApi) -> None:
    app_token = person.get_app_token()["access_token"]

    data = person.debug_token(input_token=person.access_token, access_token=app_token)["data"]

    assert app_token == sandbox.app_token
    assert (data["app_id"], data["user_id"], data["type"]) == (sandbox.app_id, USER, "USER")
    assert data["is_valid"] is True
    assert {row["scope"]: row.get("target_ids") for row in data["granular_scopes"]}["pages_show_list"] == [
        PAGE,
        SECOND_PAGE,
        *(page["id"] for page in sandbox.state("pages")[2:]),
    ]


def test_a_string_that_is_no_token_is_described_as_that(person: FacebookApi) -> None:
    app_token = person.get_app_token()["access_token"]

    data = person.debug_token(input_token="no token at all", access_token=app_token)["data"]

    assert data["is_valid"] is False
    assert data["error"]["code"] == 190


def test_the_person_lists_pages_and_businesses(person: FacebookApi) -> None:
    pages = person.user.get_accounts(user_id="me", fields="id,name,category,tasks", limit=1, count=None)
    businesses = person.user.get_businesses(user_id="me")

    assert {PAGE, SECOND_PAGE} <= {page.id for page in pages.data}
    assert BUSINESS_ID in {business.id for business in businesses.data}


def test_pages_accounts_hold_long_lived_page_tokens(sandbox: ServedSandbox, person: FacebookApi) -> None:
    accounts = person.exchange_long_lived_page_access_token("me", access_token=person.access_token)
    token = next(row["access_token"] for row in accounts["data"] if row["id"] == PAGE)

    data = person.debug_token(input_token=token, access_token=sandbox.app_token)["data"]
    assert (data["type"], data["expires_at"]) == ("PAGE", 0)


def test_everything_that_a_client_asks_for_by_default_is_known(
    sandbox: ServedSandbox, person: FacebookApi, page: FacebookApi
) -> None:
    """Fields that Graph has and the sandbox does not hold are left out, as Graph leaves out empty ones."""
    assert person.user.get_info(user_id="me").id == USER
    assert person.business.get_info(business_id=BUSINESS_ID).name == "Demo Group"
    assert page.page.get_info(page_id=PAGE).name == "Harbour Street Shop"
    with library(sandbox, sandbox.app_token).session as session:
        app = library(sandbox, sandbox.app_token)
        app.session = session
        assert app.application.get_info().id == sandbox.app_id


def test_several_pages_are_read_in_one_call(person: FacebookApi) -> None:
    pages = person.page.get_batch(ids=[PAGE, SECOND_PAGE], fields="id,name")

    assert {page_id: page.id for page_id, page in pages.items()} == {PAGE: PAGE, SECOND_PAGE: SECOND_PAGE}


def test_the_feed_is_read_to_its_end_by_following_the_next_link(page: FacebookApi) -> None:
    made = [
        page.post_object(PAGE, connection="feed", data={"message": f"number {number}"})["id"]
        for number in range(7)
    ]

    feed = page.page.get_feed(object_id=PAGE, fields=POST_PUBLIC_FIELDS, limit=3, count=None)

    assert [post.id for post in feed.data] == made[::-1]
    assert feed.data[0].message == "number 6"
    assert feed.data[0].permalink_url


def test_the_feed_is_cut_by_time_over_all_its_pages(sandbox: ServedSandbox, page: FacebookApi) -> None:
    ids = []
    for number in range(6):
        ids.append(page.post_object(PAGE, connection="feed", data={"message": f"number {number}"})["id"])
        sandbox.control("clock", advanceSeconds=100)
    now = sandbox.seconds()

    late = page.page.get_posts(object_id=PAGE, fields="id", since=str(now - 350), limit=1, count=None)
    early = page.page.get_published_posts(object_id=PAGE, fields="id", until=str(now - 350), count=None)

    assert [post.id for post in late.data] == [ids[5], ids[4], ids[3]]
    assert [post.id for post in early.data] == [ids[2], ids[1], ids[0]]


def test_comments_are_read_written_changed_and_deleted(sandbox: ServedSandbox, page: FacebookApi) -> None:
    post_id = page.post_object(PAGE, connection="feed", data={"message": "Hello"})["id"]
    sandbox.control("comments", postId=post_id, text="number {n}", count=25, person="Omar Haddad")
    first = str(sandbox.state("comments")[0]["id"])
    made = page.comment.create(object_id=first, message="Thank you", fields="id,message")

    found = page.post.get_comments(
        object_id=post_id,
        fields="id,message,from,parent",
        filter_type="stream",
        summary=True,
        limit=10,
        count=None,
    )
    assert page.comment.update(comment_id=first, is_hidden=True)["success"]
    read = page.comment.get_info(comment_id=first)
    hidden = page.comment.get_info(comment_id=first, fields="id,is_private,can_hide,attachment")

    assert len(found.data) == 26
    assert found.summary is not None
    assert (found.summary.total_count, found.summary.order) == (26, "chronological")
    assert {row._from["name"] for row in found.data if row._from} == {"Omar Haddad", "Harbour Street Shop"}
    assert [row.id for row in found.data if row.parent] == [made.id]
    assert (read.message, read.comment_count, hidden.can_hide) == ("number 1", 1, True)
    assert page.comment.delete(comment_id=first)["success"]
    with pytest.raises(FacebookError):
        page.comment.get_info(comment_id=made.id)


def test_conversations_and_their_messages_are_read(sandbox: ServedSandbox, page: FacebookApi) -> None:
    sandbox.control("messages", text="Do you open on Sunday?", person="Mei Chen")
    (message,) = sandbox.state("messages")
    conversation = page.conversation.get_info(conversation_id=str(message["threadId"]))
    people = page.conversation.get_info(
        conversation_id=str(message["threadId"]), fields="participants,can_reply"
    )
    read = page.message.get_info(message_id=str(message["id"]))

    assert (conversation.snippet, conversation.message_count, conversation.unread_count) == (
        "Do you open on Sunday?",
        1,
        1,
    )
    assert people.can_reply
    assert people.participants is not None
    assert [one.name for one in people.participants.data or ()] == ["Mei Chen", "Harbour Street Shop"]
    assert read._from is not None
    assert read._from["name"] == "Mei Chen"


def test_instagram_is_read_as_its_own_client_reads_it(sandbox: ServedSandbox, page: FacebookApi) -> None:
    sandbox.control("bulk", channel="instagram", posts=2, commentsPerPost=30)
    account_id = str(sandbox.state("instagramAccounts")[0]["id"])
    api = IGBusinessApi(
        app_id=sandbox.app_id,
        app_secret=sandbox.app_secret,
        access_token=page.access_token,
        version=VERSION,
        base_url=f"{sandbox.url}/",
        timeout=10,
        instagram_business_id=account_id,
    )
    with api.session:
        account = api.user.get_info()
        media = api.user.get_media(fields="id,caption,comments_count", count=None)
        comments = api.media.get_comments(media_id=media.data[0].id, limit=10, count=None)
        threaded = next(row["parentId"] for row in sandbox.state("instagramComments") if row["parentId"])
        replies = api.comment.get_replies(comment_id=str(threaded))
        assert api.media.get_info(media_id=media.data[0].id).media_type == "IMAGE"

    assert (account.username, account.media_count) == ("harbour.street.shop", 4)
    assert sorted(row.comments_count for row in media.data) == [0, 0, 30, 30]
    assert len({row.id for row in comments.data}) == 24
    assert [row.text for row in replies.data]


def test_a_post_is_changed_and_deleted(page: FacebookApi) -> None:
    post_id = page.post_object(PAGE, connection="feed", data={"message": "first"})["id"]

    assert page.post_object(post_id, data={"message": "second"}) == {"success": True}
    assert page.post.get_info(post_id=post_id, fields="id,message").message == "second"
    assert page.delete_object(post_id) == {"success": True}
    with pytest.raises(FacebookError) as gone:
        page.post.get_info(post_id=post_id, fields="id")
    assert gone.value.code == 100


def test_errors_carry_code_subcode_and_trace(sandbox: ServedSandbox, page: FacebookApi) -> None:
    sandbox.control("faults", times=1, code=190, subcode=460)

    with pytest.raises(FacebookError) as refused:
        page.page.get_info(page_id=PAGE)

    error = refused.value
    assert (error.code, error.error_subcode, error.type) == (190, 460, "OAuthException")
    assert error.fbtrace_id


def test_usage_headers_are_read(page: FacebookApi) -> None:
    page.page.get_info(page_id=PAGE, fields="id")

    assert page.rate_limit.get_limit().max_percent() < 100
    usage = page.rate_limit.get_limit(object_id=PAGE, rate_limit_type="pages")
    assert (usage.type, usage.estimated_time_to_regain_access) == ("pages", 0)


def test_a_call_without_the_proof_is_refused(sandbox: ServedSandbox, person: FacebookApi) -> None:
    """`exchange_page_access_token` sends none, and the app requires it."""
    with pytest.raises(FacebookError) as refused:
        person.exchange_page_access_token(page_id=PAGE)

    assert refused.value.code == 100
