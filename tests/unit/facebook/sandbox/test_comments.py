"""Comments, reactions and shares on a Page's wall: over Graph, by control routes, in webhooks."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from tests.unit.facebook.sandbox.driver import EVERYTHING, PAGE, SCOPES, Driver, Host, opened


def error_of(answer: Any) -> tuple[int, int | None]:
    error = answer.json()["error"]
    return error["code"], error.get("error_subcode")


async def say(sandbox: Driver, text: str, **more: object) -> str:
    """Somebody comments; the comment's id."""
    made = await sandbox.control("comments", text=text, **more)
    return str(made["comments"][0]["id"])


async def test_a_comment_is_told_and_read(sandbox: Driver) -> None:
    post = await sandbox.post()
    token = await sandbox.talkative()
    made = await sandbox.control(
        "comments", postId=post, text="Is this still there? 😀", person="Omar Haddad"
    )

    (change,) = await sandbox.heard(1)
    comment_id = made["comments"][0]["id"]
    author = {"id": made["comments"][0]["personId"], "name": "Omar Haddad"}
    assert change["field"] == "feed"
    told = {name: change["value"][name] for name in ("item", "verb", "comment_id", "parent_id", "from")}
    assert told == {
        "item": "comment",
        "verb": "add",
        "comment_id": comment_id,
        "parent_id": post,
        "from": author,
    }
    assert change["value"]["message"] == "Is this still there? 😀"
    listed = (await sandbox.graph("GET", f"{post}/comments", token)).json()["data"]
    assert [(row["id"], row["message"], row["from"]) for row in listed] == [
        (comment_id, "Is this still there? 😀", author)
    ]
    assert comment_id.startswith(post.partition("_")[2] + "_")


async def test_answers_stand_below_their_comment(sandbox: Driver) -> None:
    post, token = await sandbox.post(), await sandbox.talkative()
    first = await say(sandbox, "one", postId=post)
    answer = await say(sandbox, "two", commentId=first)
    deeper = await say(sandbox, "three", commentId=answer)

    top = (await sandbox.graph("GET", f"{post}/comments", token, fields="id,comment_count")).json()["data"]
    all_levels = (
        await sandbox.graph(
            "GET",
            f"{post}/comments",
            token,
            filter="stream",
            order="reverse_chronological",
            fields="id,parent{id}",
        )
    ).json()["data"]
    below = (await sandbox.graph("GET", f"{first}/comments", token, fields="id")).json()["data"]

    assert top == [{"id": first, "comment_count": 2}]
    assert all_levels == [
        {"id": deeper, "parent": {"id": first}},
        {"id": answer, "parent": {"id": first}},
        {"id": first},
    ]
    assert [row["id"] for row in below] == [answer, deeper]


async def test_the_page_answers_hides_and_removes(sandbox: Driver) -> None:
    post, token = await sandbox.post(), await sandbox.talkative()
    rude = await say(sandbox, "something rude", postId=post, delivery="lose")

    reply = (await sandbox.graph("POST", f"{rude}/comments", token, message="Please stay polite")).json()[
        "id"
    ]
    hidden = await sandbox.graph("POST", rude, token, is_hidden="true")
    again = await sandbox.graph("POST", rude, token, is_hidden="true")
    changed = await sandbox.graph("POST", reply, token, message="Stay polite, please")
    seen = (await sandbox.graph("GET", rude, token, fields="is_hidden,can_hide,message")).json()
    gone = await sandbox.graph("DELETE", rude, token)

    assert [answer.json() for answer in (hidden, again, changed, gone)] == [{"success": True}] * 4
    assert seen == {"is_hidden": True, "can_hide": True, "message": "something rude", "id": rude}
    assert error_of(await sandbox.graph("GET", rude, token)) == (100, 33)
    assert error_of(await sandbox.graph("GET", reply, token)) == (100, 33)
    verbs = [change["value"]["verb"] for change in await sandbox.heard(4)]
    assert sorted(verbs) == ["add", "edited", "hide", "remove"]


async def test_a_page_rewrites_only_what_it_wrote(sandbox: Driver) -> None:
    post, token = await sandbox.post(), await sandbox.talkative()
    theirs = await say(sandbox, "hello", postId=post)
    ours = (await sandbox.graph("POST", f"{post}/comments", token, message="welcome")).json()["id"]

    assert error_of(await sandbox.graph("POST", theirs, token, message="goodbye")) == (200, None)
    assert error_of(await sandbox.graph("POST", ours, token, is_hidden="true")) == (200, None)
    assert error_of(await sandbox.graph("POST", f"{post}/comments", token, message="")) == (100, None)
    assert error_of(await sandbox.graph("POST", f"{post}/comments", token, message="x" * 8_001)) == (
        100,
        None,
    )
    assert error_of(await sandbox.graph("POST", theirs, token)) == (100, None)


async def test_people_edit_hide_and_remove_comments(sandbox: Driver) -> None:
    post, _ = await sandbox.post(), await sandbox.talkative()
    comment = await say(sandbox, "helo", postId=post)
    for action in ("edit", "hide", "unhide", "remove"):
        await sandbox.control("comments", commentId=comment, action=action, text="hello")

    told = {change["value"]["verb"]: change["value"] for change in await sandbox.heard(5)}
    assert told.keys() == {"add", "edited", "hide", "unhide", "remove"}
    assert told["edited"]["message"] == "hello"
    assert "message" not in told["remove"]
    assert (await sandbox.state())["comments"] == []


async def test_attachments_are_told_and_read(sandbox: Driver) -> None:
    post, token = await sandbox.post(), await sandbox.talkative()
    photo = await say(sandbox, "", postId=post, photo="https://shop.example/a.jpg")
    (change,) = await sandbox.heard(1)
    read = (await sandbox.graph("GET", photo, token, fields="message,attachment{type,media}")).json()

    assert change["value"]["photo"] == "https://shop.example/a.jpg"
    assert "message" not in change["value"]
    assert read["attachment"]["type"] == "photo"
    assert read["attachment"]["media"]["image"]["src"] == "https://shop.example/a.jpg"


async def test_reactions_are_given_exchanged_and_taken_back(sandbox: Driver) -> None:
    post, token = await sandbox.post(), await sandbox.talkative()
    person = (await sandbox.control("reactions", postId=post, type="love"))["reactions"][0]["personId"]
    await sandbox.control("reactions", postId=post, type="love")  # says nothing new
    await sandbox.control("reactions", postId=post, type="wow", personId=person)
    listed = (await sandbox.graph("GET", f"{post}/reactions", token, summary="true")).json()
    await sandbox.control("reactions", postId=post, action="remove", personId=person)

    told = [change["value"] for change in await sandbox.heard(3)]
    assert sorted((one["verb"], one["reaction_type"]) for one in told) == [
        ("add", "love"),
        ("edit", "wow"),
        ("remove", "wow"),
    ]
    assert {one["item"] for one in told} == {"reaction"}
    assert listed["data"] == [{"name": "Grace Müller", "type": "WOW", "id": person}]
    assert listed["summary"]["total_count"] == 1
    assert listed["summary"]["viewer_reaction"] == "NONE"
    assert (await sandbox.state())["reactions"] == []


async def test_a_comment_is_liked_by_a_person_and_by_the_page(sandbox: Driver) -> None:
    post, token = await sandbox.post(), await sandbox.talkative()
    comment = await say(sandbox, "hello", postId=post, delivery="lose")
    await sandbox.control("reactions", commentId=comment)
    assert (await sandbox.graph("POST", f"{comment}/likes", token)).json() == {"success": True}

    read = (await sandbox.graph("GET", comment, token, fields="like_count,user_likes")).json()
    told = [change["value"] for change in await sandbox.heard(2)]
    assert (read["like_count"], read["user_likes"]) == (2, True)
    assert {one["comment_id"] for one in told} == {comment}
    assert {one["post_id"] for one in told} == {post}


async def test_shares_are_told_and_counted(sandbox: Driver) -> None:
    post, token = await sandbox.post(), await sandbox.talkative()
    await sandbox.control("shares", postId=post, text="Look at this", count=2)

    told = [change["value"] for change in await sandbox.heard(2)]
    assert {one["item"] for one in told} == {"share"}
    assert len({one["share_id"] for one in told}) == 2
    assert (await sandbox.graph("GET", post, token, fields="shares")).json()["shares"] == {"count": 2}


@pytest.mark.parametrize(
    ("delivery", "texts"), [("lose", []), ("double", ["hello", "hello"]), ("send", ["hello"])]
)
async def test_news_travels_as_told(sandbox: Driver, delivery: str, texts: list[str]) -> None:
    post, _ = await sandbox.post(), await sandbox.talkative()
    made = await sandbox.control("comments", postId=post, text="hello", delivery=delivery)

    assert [change["value"]["message"] for change in await sandbox.heard(len(texts))] == texts
    assert len(made["deliveries"]) == max(1, len(texts))


async def test_late_news_waits_for_the_clock(sandbox: Driver) -> None:
    post, _ = await sandbox.post(), await sandbox.talkative()
    await sandbox.control("comments", postId=post, text="hello", delivery="late", delaySeconds=600)
    assert sandbox.host.got == []
    await sandbox.control("clock", advanceSeconds=601)

    assert len(await sandbox.settled(1)) == 1


async def test_many_come_together_and_in_any_order(sandbox: Driver) -> None:
    post, _ = await sandbox.post(), await sandbox.talkative()
    await sandbox.control(
        "comments", postId=post, text="number {n}", count=40, delivery="shuffle", perDelivery=20
    )

    texts = [change["value"]["message"] for change in await sandbox.heard(2)]
    assert sorted(texts) == sorted(f"number {number}" for number in range(1, 41))
    assert texts != [f"number {number}" for number in range(1, 41)]


async def test_nobody_hears_what_was_not_subscribed(sandbox: Driver) -> None:
    post, _ = await sandbox.post(), await sandbox.talkative("leadgen")
    made = await sandbox.control("comments", postId=post, text="hello")

    assert made["deliveries"] == []
    assert "feed" in made["skipped"]


async def test_lists_expand_inside_the_feed(sandbox: Driver) -> None:
    post, token = await sandbox.post(), await sandbox.talkative()
    for number in range(3):
        await say(sandbox, f"number {number}", postId=post)
    await sandbox.control("reactions", postId=post, count=3)
    fields = (
        "id,comments.filter(stream).order(reverse_chronological).limit(2).summary(total_count){message},"
        "reactions.limit(0).summary(total_count)"
    )
    row = (await sandbox.graph("GET", f"{PAGE}/feed", token, fields=fields)).json()["data"][0]

    assert [comment["message"] for comment in row["comments"]["data"]] == ["number 2", "number 1"]
    assert row["comments"]["summary"] == {"total_count": 3}
    assert row["reactions"] == {"data": [], "summary": {"total_count": 3}}
    query = parse_qs(urlsplit(row["comments"]["paging"]["next"]).query)
    assert (query["filter"], query["order"]) == (["stream"], ["reverse_chronological"])
    rest = await sandbox.graph(
        "GET",
        f"{post}/comments",
        token,
        filter="stream",
        order="reverse_chronological",
        after=query["after"][0],
    )
    assert [comment["message"] for comment in rest.json()["data"]] == ["number 0"]


async def test_a_cursor_outlives_its_comment(sandbox: Driver) -> None:
    post, token = await sandbox.post(), await sandbox.talkative()
    ids = []
    for number in range(4):
        ids.append(await say(sandbox, f"number {number}", postId=post))
        await sandbox.control("clock", advanceSeconds=60)
    for order in ("chronological", "reverse_chronological"):
        first = (await sandbox.graph("GET", f"{post}/comments", token, order=order, limit="2")).json()
        last = first["data"][-1]["id"]
        await sandbox.control("comments", commentId=last, action="remove")
        after = first["paging"]["cursors"]["after"]
        rest = await sandbox.graph("GET", f"{post}/comments", token, order=order, limit="2", after=after)
        seen = [row["id"] for row in (*first["data"], *rest.json()["data"])]
        assert [*ids] == sorted(seen, key=ids.index)
        ids.remove(last)


@pytest.mark.parametrize(
    ("posts", "nested", "refused"), [(25, 100, False), (26, 100, True), (100, 25, False)]
)
async def test_too_much_at_once_is_refused(sandbox: Driver, posts: int, nested: int, refused: bool) -> None:
    await sandbox.post()
    token = await sandbox.talkative()
    fields = f"comments.limit({nested}){{id}},reactions.limit({nested}){{id}}"
    answer = await sandbox.graph("GET", f"{PAGE}/feed", token, fields=fields, limit=str(posts))

    assert (answer.status_code, refused) in {(500, True), (200, False)}
    if refused:
        assert error_of(answer) == (1, None)


@pytest.mark.parametrize("path", ["{post}/comments", "{post}/reactions", "{comment}"])
async def test_what_people_say_needs_its_own_permission(sandbox: Driver, path: str) -> None:
    post, _ = await sandbox.post(), await sandbox.talkative()
    comment = await say(sandbox, "hello", postId=post)
    token = await sandbox.page_token(token=await sandbox.user_token(EVERYTHING, scopes=[*SCOPES]))
    where = path.format(post=post, comment=comment)

    assert error_of(await sandbox.graph("GET", where, token)) == (10, None)
    assert error_of(await sandbox.graph("POST", f"{post}/comments", token, message="hi")) == (200, None)
    nested = await sandbox.graph("GET", f"{PAGE}/feed", token, fields="comments{id}")
    assert error_of(nested) == (10, None)


async def test_a_batch_reads_many_lists(sandbox: Driver) -> None:
    post, token = await sandbox.post(), await sandbox.talkative()
    comment = await say(sandbox, "hello", postId=post)
    proof = sandbox.proof(token)
    items = [
        {"method": "GET", "relative_url": f"{where}?access_token={token}&appsecret_proof={proof}&fields=id"}
        for where in (f"{post}/comments", f"{post}/reactions", "999_999/comments")
    ]
    answer = await sandbox.client.post(
        "/v26.0/", data={"batch": msgspec.json.encode(items).decode(), "access_token": sandbox.app_token}
    )

    bodies = [msgspec.json.decode(row["body"]) for row in answer.json()]
    assert [row["code"] for row in answer.json()] == [200, 200, 400]
    assert bodies[0]["data"] == [{"id": comment}]
    assert bodies[1]["data"] == []


async def test_a_history_is_made_at_once_and_outlives_the_process(host: Host, tmp_path: Any) -> None:
    state_file = tmp_path / "state.db"
    async with opened(host, state_file) as sandbox:
        made = await sandbox.control("bulk", posts=20, commentsPerPost=10, reactionsPerPost=7)
        assert made == {"pageId": PAGE, "posts": 20, "comments": 200, "reactions": 140}
        before = await sandbox.state()
    async with opened(host, state_file) as sandbox:
        after = await sandbox.state()
        token = await sandbox.page_token(token=await sandbox.user_token(EVERYTHING))
        feed = await sandbox.graph(
            "GET",
            f"{PAGE}/feed",
            token,
            fields="updated_time,comments.filter(stream).limit(0).summary(total_count)",
            limit="100",
        )

    assert after["comments"] == before["comments"]
    assert after["counts"]["reactions"] == 140
    assert {row["comments"]["summary"]["total_count"] for row in feed.json()["data"]} == {10}
    assert any(row["parentId"] for row in after["comments"])
    assert host.got == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("comments", {"text": "hello"}),  # no post yet
        ("comments", {"commentId": "1_2", "text": "hello"}),
        ("comments", {"commentId": "1_2", "action": "remove"}),
        ("comments", {"mediaId": "12", "text": "hello"}),
        ("comments", {"text": ""}),
        ("reactions", {"postId": "1_2"}),
        ("reactions", {"type": "boredom"}),
        ("shares", {"postId": "1_2"}),
        ("bulk", {"posts": 0}),
        ("bulk", {"channel": "instagram", "pageId": "104857600012345"}),
        ("messages", {"text": ""}),
        ("messages", {"channel": "instagram", "pageId": "104857600012345", "text": "hello"}),
        ("messages", {"messageId": "m_1", "action": "edit"}),
        ("messages", {"channel": "telegraph", "text": "hello"}),
    ],
)
async def test_acts_that_make_no_sense_are_refused(sandbox: Driver, path: str, body: object) -> None:
    answer = await sandbox.client.post(f"/_sandbox/{path}", json=body)

    assert answer.status_code == 400
    assert answer.json()["error"]["message"]
