"""Instagram accounts over Graph: media, comments, replies, hiding; and the webhooks."""

import msgspec

from moorage_facebook.sandbox.seed import INSTAGRAM_ID
from tests.unit.facebook.sandbox.driver import EVERYTHING, PAGE, SCOPES, Driver
from tests.unit.facebook.sandbox.test_comments import error_of, say


async def test_the_page_names_its_account(sandbox: Driver) -> None:
    token = await sandbox.talkative()
    fields = "instagram_business_account,connected_instagram_account{id,username}"
    read = (await sandbox.graph("GET", PAGE, token, fields=fields)).json()
    account = (await sandbox.graph("GET", INSTAGRAM_ID, token, fields="username,media_count")).json()
    assert read["instagram_business_account"] == {"id": INSTAGRAM_ID}
    assert read["connected_instagram_account"] == {"id": INSTAGRAM_ID, "username": "harbour.street.shop"}
    assert account == {"username": "harbour.street.shop", "media_count": 2, "id": INSTAGRAM_ID}
    poor = await sandbox.page_token(token=await sandbox.user_token(EVERYTHING, scopes=[*SCOPES]))

    assert (await sandbox.graph("GET", PAGE, poor, fields=fields)).json() == {"id": PAGE}
    assert error_of(await sandbox.graph("GET", INSTAGRAM_ID, poor)) == (10, None)


async def test_comments_and_replies_are_told_and_read(sandbox: Driver) -> None:
    token = await sandbox.talkative("messages")  # whatever the Page's own choice was
    media = (await sandbox.control("media", caption="New in"))["id"]
    first = await say(sandbox, "Lovely", mediaId=media)
    answer = await say(sandbox, "I think so, too", commentId=first, person="Omar Haddad")
    ours = (await sandbox.graph("POST", f"{first}/replies", token, message="Thank you")).json()["id"]

    listed = await sandbox.graph(
        "GET",
        f"{INSTAGRAM_ID}/media",
        token,
        fields="caption,comments_count,comments{text,username,from{id,username},replies{text}}",
        limit="1",
    )
    (row,) = listed.json()["data"]
    (comment,) = row["comments"]["data"]
    assert (row["id"], row["comments_count"]) == (media, 3)
    assert (comment["text"], comment["username"]) == ("Lovely", comment["from"]["username"])
    assert [reply["id"] for reply in comment["replies"]["data"]] == [ours, answer]
    told = {change["value"]["id"]: change for change in await sandbox.heard(3)}
    body = msgspec.json.decode(sandbox.host.got[0].content)
    assert (body["object"], body["entry"][0]["id"]) == ("instagram", INSTAGRAM_ID)
    assert {change["field"] for change in told.values()} == {"comments"}
    assert told[answer]["value"]["parent_id"] == first
    assert told[first]["value"]["media"]["id"] == media
    assert told[ours]["value"]["from"] == {"id": INSTAGRAM_ID, "username": "harbour.street.shop"}


async def test_the_account_hides_and_removes(sandbox: Driver) -> None:
    token = await sandbox.talkative()
    media = (await sandbox.control("media", caption="New in"))["id"]
    rude = await say(sandbox, "something rude", mediaId=media)
    ours = (await sandbox.graph("POST", f"{media}/comments", token, message="Hello")).json()["id"]

    assert (await sandbox.graph("POST", rude, token, hide="true")).json() == {"success": True}
    assert (await sandbox.graph("GET", rude, token, fields="hidden")).json()["hidden"] is True
    assert error_of(await sandbox.graph("POST", ours, token, hide="true")) == (100, None)
    assert error_of(await sandbox.graph("POST", rude, token)) == (100, None)
    assert (await sandbox.graph("DELETE", rude, token)).json() == {"success": True}
    assert error_of(await sandbox.graph("GET", rude, token)) == (100, 33)


async def test_a_history_on_instagram_is_paged(sandbox: Driver) -> None:
    await sandbox.control("bulk", channel="instagram", posts=3, commentsPerPost=60)
    token = await sandbox.talkative()
    media = (await sandbox.graph("GET", f"{INSTAGRAM_ID}/media", token, limit="1")).json()["data"][0]["id"]
    seen, after = set[str](), ""
    while True:
        more = {"after": after} if after else {}
        page = (await sandbox.graph("GET", f"{media}/comments", token, limit="20", **more)).json()
        seen |= {row["id"] for row in page["data"]}
        if "next" not in page["paging"]:
            break
        after = page["paging"]["cursors"]["after"]

    assert len(seen) == 48
