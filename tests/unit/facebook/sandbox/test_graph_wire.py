"""Accounts, Pages, posts, photos and subscriptions over Graph's wire format."""

import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from tests.unit.facebook.sandbox.driver import PAGE, Driver

JPEG = b"\xff\xd8\xff\xe0 not much of a picture"


def error_of(answer: Any) -> tuple[int, int | None]:
    error = answer.json()["error"]
    return error["code"], error.get("error_subcode")


async def test_accounts_carry_page_tokens_and_tasks(sandbox: Driver) -> None:
    answer = await sandbox.graph("GET", "me/accounts", await sandbox.user_token())
    first = answer.json()["data"][0]

    assert {"access_token", "category", "category_list", "name", "id", "tasks"} == first.keys()
    assert "CREATE_CONTENT" in first["tasks"]
    assert (await sandbox.graph("GET", "me", first["access_token"])).json()["id"] == first["id"]


async def test_the_next_link_carries_the_token_and_leads_on(sandbox: Driver) -> None:
    token = await sandbox.user_token()
    seen: list[str] = []
    answer = (await sandbox.graph("GET", "me/accounts", token, limit="2", fields="id")).json()
    while True:
        seen += [row["id"] for row in answer["data"]]
        if "next" not in answer["paging"]:
            break
        query = parse_qs(urlsplit(answer["paging"]["next"]).query)
        assert query["access_token"] == [token]
        after = query["after"][0]
        answer = (
            await sandbox.graph("GET", "me/accounts", token, limit="2", fields="id", after=after)
        ).json()

    assert len(seen) == len(set(seen)) == 3


async def test_without_the_permission_the_list_is_empty(sandbox: Driver) -> None:
    token = await sandbox.user_token(("email",))

    assert (await sandbox.graph("GET", "me/accounts", token)).json() == {"data": []}


async def test_fields_expand_into_edges(sandbox: Driver) -> None:
    token = await sandbox.user_token()
    answer = await sandbox.graph("GET", "me", token, fields="name,email,accounts.limit(1){id,name}")

    assert answer.json()["name"] == "Dana Demo"
    assert answer.json()["accounts"]["data"] == [{"name": "Harbour Street Shop", "id": PAGE}]


async def test_the_address_needs_its_own_permission(sandbox: Driver) -> None:
    token = await sandbox.user_token(("pages_show_list",))

    assert "email" not in (await sandbox.graph("GET", "me", token, fields="name,email")).json()


async def test_an_unknown_field_is_refused(sandbox: Driver) -> None:
    assert error_of(await sandbox.graph("GET", "me", await sandbox.user_token(), fields="colour")) == (
        100,
        None,
    )


@pytest.mark.parametrize("fields", ["a{", "a,,b", "a}", "a.limit", "a.limit(", "{}", "a b"])
async def test_broken_fields_are_a_syntax_error(sandbox: Driver, fields: str) -> None:
    assert error_of(await sandbox.graph("GET", "me", await sandbox.user_token(), fields=fields)) == (
        2500,
        None,
    )


async def test_a_post_is_published_read_edited_and_deleted(sandbox: Driver) -> None:
    token = await sandbox.page_token()
    made = await sandbox.graph(
        "POST", f"{PAGE}/feed", token, message="Grüße 😀 / hello", link="https://shop.example/a"
    )
    post_id = made.json()["id"]
    assert post_id.startswith(f"{PAGE}_")
    assert made.headers["facebook-api-version"] == "v26.0"

    fields = "message,created_time,permalink_url,is_published,from"
    read = (await sandbox.graph("GET", post_id, token, fields=fields)).json()
    assert read["message"] == "Grüße 😀 / hello"
    assert read["created_time"].endswith("+0000")
    assert read["from"] == {"name": "Harbour Street Shop", "id": PAGE}
    assert (await sandbox.client.get(read["permalink_url"])).status_code == 200

    assert (await sandbox.graph("POST", post_id, token, message="new")).json() == {"success": True}
    listed = (await sandbox.graph("GET", f"{PAGE}/feed", token, fields="id,message")).json()["data"]
    assert listed == [{"id": post_id, "message": "new"}]

    assert (await sandbox.graph("DELETE", post_id, token)).json() == {"success": True}
    assert error_of(await sandbox.graph("GET", post_id, token)) == (100, 33)


async def test_json_and_multipart_bodies_are_read_as_forms_are(sandbox: Driver) -> None:
    token = await sandbox.page_token()
    headers = {"Authorization": f"OAuth {token}"}
    proof = sandbox.proof(token)
    as_json = await sandbox.client.post(
        f"/v26.0/{PAGE}/feed/",
        json={"message": "j", "published": True, "appsecret_proof": proof},
        headers=headers,
    )
    as_parts = await sandbox.client.post(
        f"/{PAGE}/photos",
        data={"caption": "from a file", "access_token": token, "appsecret_proof": proof},
        files={"source": ("a.jpg", JPEG, "image/jpeg")},
    )

    assert as_json.status_code == as_parts.status_code == 200
    photo = (await sandbox.state())["photos"][0]
    assert (photo["byteCount"], photo["caption"]) == (len(JPEG), "from a file")


async def test_a_proof_may_sign_the_time(sandbox: Driver) -> None:
    token = await sandbox.user_token()
    for age, status in ((0, 200), (400, 400)):
        stamp = str(int(time.time()) - age)
        params = {"appsecret_proof": sandbox.proof(f"{token}|{stamp}"), "appsecret_time": stamp}
        answer = await sandbox.client.get("/v26.0/me", params={**params, "access_token": token})
        assert answer.status_code == status


@pytest.mark.parametrize("proof", ["", "0" * 64, "ünsinn"])
async def test_calls_without_a_good_proof_are_refused(sandbox: Driver, proof: str) -> None:
    params = {"access_token": await sandbox.user_token(), "appsecret_proof": proof}

    assert error_of(await sandbox.client.get("/me", params=params)) == (100, None)


async def test_photos_unpublished_then_attached(sandbox: Driver) -> None:
    token = await sandbox.page_token()
    ids = []
    for number in range(3):
        url = f"https://cdn.example/{number}.jpg"
        made = await sandbox.graph("POST", f"{PAGE}/photos", token, url=url, published="false")
        assert made.json().keys() == {"id"}
        ids.append(made.json()["id"])
    media = msgspec.json.encode([{"media_fbid": photo_id} for photo_id in ids]).decode()
    post = (await sandbox.graph("POST", f"{PAGE}/feed", token, message="three", attached_media=media)).json()
    read = (await sandbox.graph("GET", post["id"], token, fields="attachments")).json()

    assert [row["media"]["image"]["src"] for row in read["attachments"]["data"]][
        2
    ] == "https://cdn.example/2.jpg"
    assert error_of(await sandbox.graph("POST", f"{PAGE}/feed", token, attached_media=media)) == (100, None)


async def test_a_photo_post_answers_both_ids(sandbox: Driver) -> None:
    token = await sandbox.page_token()
    made = await sandbox.graph("POST", f"{PAGE}/photos", token, url="https://cdn.example/a.jpg", caption="c")

    assert made.json().keys() == {"id", "post_id"}


async def test_a_scheduled_post_goes_live_when_its_time_comes(sandbox: Driver) -> None:
    token = await sandbox.page_token()
    at = int(time.time()) + 3_600
    made = await sandbox.graph(
        "POST", f"{PAGE}/feed", token, message="later", published="false", scheduled_publish_time=str(at)
    )
    waiting = await sandbox.graph("GET", f"{PAGE}/scheduled_posts", token)
    before = await sandbox.graph("GET", f"{PAGE}/published_posts", token)
    await sandbox.control("clock", advanceSeconds=3_601)
    after = await sandbox.graph("GET", f"{PAGE}/published_posts", token)

    assert [row["id"] for row in waiting.json()["data"]] == [made.json()["id"]]
    assert before.json()["data"] == []
    assert [row["id"] for row in after.json()["data"]] == [made.json()["id"]]


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({}, 100),
        ({"message": "  "}, 100),
        ({"link": "javascript:alert(1)"}, 1500),
        ({"message": "m", "scheduled_publish_time": "1"}, 100),
        ({"message": "m", "published": "false", "scheduled_publish_time": "tomorrow"}, 100),
        ({"message": "m", "published": "false", "scheduled_publish_time": "60"}, 100),
        ({"message": "m", "attached_media": '[{"media_fbid":"1"}]'}, 100),
        ({"message": "m", "attached_media": "{{"}, 100),
    ],
)
async def test_what_cannot_be_posted(sandbox: Driver, params: dict[str, str], code: int) -> None:
    assert error_of(await sandbox.graph("POST", f"{PAGE}/feed", await sandbox.page_token(), **params)) == (
        code,
        None,
    )


async def test_posting_needs_the_page_token_and_the_permission(sandbox: Driver) -> None:
    user = await sandbox.user_token(("pages_show_list",))
    weak = await sandbox.page_token(token=user)

    assert error_of(await sandbox.graph("POST", f"{PAGE}/feed", user, message="m")) == (210, None)
    assert error_of(await sandbox.graph("POST", f"{PAGE}/feed", weak, message="m")) == (200, None)
    assert error_of(await sandbox.graph("GET", f"{PAGE}/feed", weak)) == (10, None)


async def test_a_page_token_opens_only_its_own_page(sandbox: Driver) -> None:
    token = await sandbox.page_token()
    other = (await sandbox.state())["pages"][1]["id"]

    assert error_of(await sandbox.graph("POST", f"{other}/feed", token, message="m")) == (100, 33)


async def test_a_lost_role_ends_one_page(sandbox: Driver) -> None:
    user = await sandbox.user_token()
    token = await sandbox.page_token(token=user)
    await sandbox.control("pages", pages=[{"id": PAGE, "tasks": []}])

    assert error_of(await sandbox.graph("GET", "me", token)) == (190, 492)
    assert len((await sandbox.graph("GET", "me/accounts", user)).json()["data"]) == 2


async def test_subscribing_a_page(sandbox: Driver) -> None:
    token = await sandbox.subscribe("leadgen,feed")
    listed = (await sandbox.graph("GET", f"{PAGE}/subscribed_apps", token)).json()["data"]
    refused = await sandbox.graph("POST", f"{PAGE}/subscribed_apps", token, subscribed_fields="messages")
    unknown = await sandbox.graph("POST", f"{PAGE}/subscribed_apps", token, subscribed_fields="colour")
    removed = await sandbox.graph("DELETE", f"{PAGE}/subscribed_apps", token)

    assert listed[0]["id"] == sandbox.settings["app_id"]
    assert listed[0]["subscribed_fields"] == ["leadgen", "feed"]
    assert (error_of(refused), error_of(unknown)) == ((200, None), (100, None))
    assert removed.json() == {"success": True}
    assert (await sandbox.graph("GET", f"{PAGE}/subscribed_apps", token)).json()["data"] == []


async def test_the_app_subscribes_after_a_handshake(sandbox: Driver) -> None:
    sandbox.host.verify_token = "tell me"
    path = f"{sandbox.settings['app_id']}/subscriptions"
    wanted = {"object": "page", "callback_url": "http://host.test/hook?x=1", "fields": "leadgen"}
    refused = await sandbox.graph("POST", path, sandbox.app_token, verify_token="wrong", **wanted)
    taken = await sandbox.graph("POST", path, sandbox.app_token, verify_token="tell me", **wanted)
    listed = (await sandbox.graph("GET", path, sandbox.app_token)).json()["data"]

    assert error_of(refused) == (2200, None)
    assert taken.json() == {"success": True}
    assert next(row for row in listed if row["object"] == "page")["callback_url"] == wanted["callback_url"]
    assert error_of(await sandbox.graph("GET", path, await sandbox.user_token())) == (15, None)


async def test_a_batch_answers_in_order_with_string_bodies(sandbox: Driver) -> None:
    token = await sandbox.page_token()
    batch = [
        {"method": "GET", "relative_url": "v26.0/me?fields=id"},
        {"method": "POST", "relative_url": f"{PAGE}/feed", "body": "message=from+a+batch"},
        {"method": "GET", "relative_url": "404404"},
    ]
    answer = await sandbox.graph("POST", "", token, batch=msgspec.json.encode(batch).decode())
    rows = answer.json()

    assert [row["code"] for row in rows] == [200, 200, 400]
    assert msgspec.json.decode(rows[0]["body"]) == {"id": PAGE}
    assert any(header["name"] == "x-app-usage" for header in rows[0]["headers"])


async def test_usage_headers_come_with_success_and_failure(sandbox: Driver) -> None:
    token = await sandbox.page_token()
    for answer in (
        await sandbox.graph("GET", PAGE, token),
        await sandbox.graph("POST", f"{PAGE}/feed", token),
    ):
        assert "call_count" in answer.headers["x-app-usage"]
        assert PAGE in answer.headers["x-business-use-case-usage"]
        assert answer.headers["x-fb-trace-id"]


async def test_text_travels_as_meta_writes_it(sandbox: Driver) -> None:
    """Escaped non-ASCII and slashes: whoever re-serialises will notice here."""
    page = (await sandbox.state())["pages"][2]["id"]
    token = await sandbox.user_token()
    answer = await sandbox.graph("GET", page, token, fields="name,link")

    assert b"Lumi\\u00e8re" in answer.content
    assert b"http:\\/\\/" in answer.content


async def test_businesses_need_their_permission(sandbox: Driver) -> None:
    rows = (await sandbox.graph("GET", "me/businesses", await sandbox.user_token())).json()["data"]
    weak = await sandbox.graph("GET", "me/businesses", await sandbox.user_token(("email",)))

    assert rows[0]["name"] == "Demo Group"
    # what was granted before stays granted: a second dialog adds
    assert weak.status_code == 200


async def test_calls_are_counted_by_template(sandbox: Driver) -> None:
    token = await sandbox.page_token()
    for _ in range(3):
        await sandbox.graph("POST", f"{PAGE}/feed", token, message="again")

    calls = (await sandbox.state())["calls"]
    assert calls["POST /{page}/feed"] == 3
    assert calls["GET /me/accounts"] == 1


async def test_several_nodes_by_ids(sandbox: Driver) -> None:
    token = await sandbox.user_token()
    pages = [page["id"] for page in (await sandbox.state())["pages"]]
    answer = (await sandbox.graph("GET", "", token, ids=",".join(pages), fields="name")).json()

    assert answer.keys() == set(pages)
