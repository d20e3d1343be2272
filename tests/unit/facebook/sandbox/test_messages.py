"""Messenger, Instagram and WhatsApp: people write, the Send API answers, webhooks tell."""

from typing import Any

import msgspec
import pytest

from moorage_facebook.sandbox.seed import INSTAGRAM_ID, PHONE_NUMBER_ID, WHATSAPP_ACCOUNT_ID
from moorage_facebook.sandbox.threads import new_message_id
from tests.unit.facebook.sandbox.driver import EVERYTHING, PAGE, SCOPES, Driver
from tests.unit.facebook.sandbox.test_comments import error_of, say

HEARD = "messages,message_echoes,message_deliveries,message_reads,message_reactions,message_edits"
A_DAY = 24 * 3_600


async def write(sandbox: Driver, text: str = "Do you open on Sunday?", **more: object) -> Any:
    """Somebody writes; the message as the control route tells of it."""
    return (await sandbox.control("messages", text=text, **more))["messages"][0]


async def send(sandbox: Driver, token: str, person: str, where: str = PAGE, /, **more: object) -> Any:
    """`POST /{page}/messages`."""
    body: dict[str, object] = {
        "recipient": {"id": person},
        "message": {"text": "From ten to four."},
        "messaging_type": "RESPONSE",
        **more,
    }
    params = {
        name: value if isinstance(value, str) else msgspec.json.encode(value).decode()
        for name, value in body.items()
    }
    return await sandbox.graph("POST", f"{where}/messages", token, **params)


async def test_a_person_writes_and_is_answered(sandbox: Driver) -> None:
    token = await sandbox.talkative(HEARD)
    asked = await write(sandbox)
    answer = (await send(sandbox, token, asked["personId"])).json()

    told = await sandbox.heard(3)
    incoming = next(one for one in told if "message" in one and not one["message"].get("is_echo"))
    echo = next(one for one in told if one.get("message", {}).get("is_echo"))
    arrived = next(one for one in told if "delivery" in one)
    assert incoming["sender"] == {"id": asked["personId"]}
    assert incoming["recipient"] == {"id": PAGE}
    assert incoming["message"] == {"mid": asked["id"], "text": "Do you open on Sunday?"}
    assert incoming["timestamp"] == asked["createdAt"]
    assert answer["recipient_id"] == asked["personId"]
    assert echo["message"]["mid"] == answer["message_id"]
    assert echo["message"]["app_id"] == int(sandbox.settings["app_id"])
    assert echo["recipient"] == {"id": asked["personId"]}
    assert arrived["delivery"]["mids"] == [answer["message_id"]]
    assert "timestamp" not in arrived
    entry = msgspec.json.decode(sandbox.host.got[0].content)["entry"][0]
    assert (entry["id"], entry["time"] > 10**12) == (PAGE, True)


async def test_me_is_the_page(sandbox: Driver) -> None:
    token, asked = await sandbox.talkative(HEARD), await write(sandbox)

    assert (await send(sandbox, token, asked["personId"], "me")).status_code == 200


async def test_reading_moves_the_watermark(sandbox: Driver) -> None:
    token, asked = await sandbox.talkative("message_reads"), await write(sandbox)
    sent = (await send(sandbox, token, asked["personId"])).json()
    await sandbox.control("messages", action="read", personId=asked["personId"])

    (told,) = await sandbox.heard(1)
    at = next(row for row in (await sandbox.state())["messages"] if row["id"] == sent["message_id"])
    assert told["read"] == {"watermark": at["createdMs"]}


async def test_people_edit_react_and_unsend(sandbox: Driver) -> None:
    await sandbox.talkative(HEARD)
    first = await write(sandbox, "helo")
    for more in (
        {"action": "edit", "text": "hello"},
        {"action": "react", "emoji": "👍"},
        {"action": "unreact"},
        {"action": "unsend"},
    ):
        await sandbox.control("messages", messageId=first["id"], **more)

    told = await sandbox.heard(5)
    edit = next(one["message_edit"] for one in told if "message_edit" in one)
    reactions = [one["reaction"] for one in told if "reaction" in one]
    assert (edit["mid"], edit["text"], edit["num_edit"]) == (first["id"], "hello", "1")
    assert sorted(one["action"] for one in reactions) == ["react", "unreact"]
    assert {"mid": first["id"], "is_deleted": True} in [one.get("message") for one in told]


@pytest.mark.parametrize(
    ("waited", "more", "expected"),
    [
        (A_DAY - 60, {}, None),
        (A_DAY + 60, {}, (10, 2018278)),
        (A_DAY + 60, {"messaging_type": "UPDATE"}, (10, 2018278)),
        (A_DAY + 60, {"messaging_type": "MESSAGE_TAG", "tag": "HUMAN_AGENT"}, None),
        (8 * A_DAY, {"messaging_type": "MESSAGE_TAG", "tag": "HUMAN_AGENT"}, (10, 2018278)),
        (60, {"messaging_type": "MESSAGE_TAG", "tag": "ACCOUNT_UPDATE"}, (100, None)),
        (60, {"messaging_type": "MESSAGE_TAG"}, (100, None)),
        (60, {"messaging_type": "SHOUT"}, (100, None)),
        (60, {"message": {}}, (100, None)),
        (60, {"message": {"text": "x" * 2_001}}, (100, None)),
        (
            60,
            {"message": {"attachment": {"type": "smell", "payload": {"url": "https://a.example/"}}}},
            (100, None),
        ),
        (60, {"recipient": {"id": "12"}}, (100, 2018001)),
        (60, {"recipient": {"user_ref": "a-box"}}, (100, 2018001)),
        (60, {"recipient": {}}, (100, None)),
        (60, {"recipient": "nonsense"}, (100, None)),
    ],
)
async def test_who_may_be_written_to_and_when(
    sandbox: Driver, waited: int, more: dict[str, object], expected: tuple[int, int | None] | None
) -> None:
    token, asked = await sandbox.talkative(HEARD), await write(sandbox)
    await sandbox.control("clock", advanceSeconds=waited)
    answer = await send(sandbox, token, asked["personId"], **more)

    assert (None if answer.status_code == 200 else error_of(answer)) == expected


async def test_who_blocked_the_page_can_not_be_reached(sandbox: Driver) -> None:
    token, asked = await sandbox.talkative(HEARD), await write(sandbox)
    await sandbox.control("messages", action="block", personId=asked["personId"])
    assert error_of(await send(sandbox, token, asked["personId"])) == (551, 1545041)
    await sandbox.control("messages", action="unblock", personId=asked["personId"])

    assert (await send(sandbox, token, asked["personId"])).status_code == 200


async def test_a_comment_is_answered_privately_once(sandbox: Driver) -> None:
    post, token = await sandbox.post(), await sandbox.talkative(HEARD)
    comment = await say(sandbox, "How much is it?", postId=post)
    ours = (await sandbox.graph("POST", f"{post}/comments", token, message="Hello")).json()["id"]

    first = await send(sandbox, token, "", recipient={"comment_id": comment})
    again = await send(sandbox, token, "", recipient={"comment_id": comment})

    author = (await sandbox.state())["comments"][0]["authorId"]
    assert first.json()["recipient_id"] == author
    assert error_of(again) == (10900, None)
    assert error_of(await send(sandbox, token, author)) == (10, 2018278)  # opens no window
    assert error_of(await send(sandbox, token, "", recipient={"comment_id": ours})) == (100, 2018001)
    assert error_of(await send(sandbox, token, "", recipient={"comment_id": "1_2"})) == (100, None)
    old = await say(sandbox, "And this?", postId=post)
    await sandbox.control("clock", advanceSeconds=8 * A_DAY)
    assert error_of(await send(sandbox, token, "", recipient={"comment_id": old})) == (10, 2018278)


async def test_instagram_messages_go_through_the_page(sandbox: Driver) -> None:
    token = await sandbox.talkative("messages")
    asked = await write(sandbox, channel="instagram")
    sent = (await send(sandbox, token, asked["personId"])).json()
    other = await send(sandbox, token, asked["personId"], INSTAGRAM_ID)
    await sandbox.control("messages", channel="instagram", action="read", personId=asked["personId"])

    told = await sandbox.heard(4)  # two echoes, no deliveries
    body = msgspec.json.decode(sandbox.host.got[0].content)
    assert other.status_code == 200
    assert (body["object"], body["entry"][0]["id"]) == ("instagram", INSTAGRAM_ID)
    assert [one["read"]["mid"] for one in told if "read" in one] == [other.json()["message_id"]]
    echoes = {one["message"]["mid"] for one in told if one.get("message", {}).get("is_echo")}
    assert echoes == {sent["message_id"], other.json()["message_id"]}


async def test_conversations_are_read_back(sandbox: Driver) -> None:
    token = await sandbox.talkative(HEARD)
    asked = await write(
        sandbox, person="Mei Chen", attachments=[{"type": "image", "url": "https://a.example/1"}]
    )
    await send(sandbox, token, asked["personId"])
    await write(sandbox, channel="instagram")
    listed = await sandbox.graph(
        "GET",
        f"{PAGE}/conversations",
        token,
        fields="id,snippet,unread_count,message_count,can_reply,participants,messages{message,from,to}",
    )
    (thread,) = listed.json()["data"]
    instagram = await sandbox.graph("GET", f"{PAGE}/conversations", token, platform="instagram")
    person = await sandbox.graph("GET", asked["personId"], token, fields="first_name,last_name")
    message = await sandbox.graph("GET", asked["id"], token, fields="created_time,from,to,attachments")

    assert (thread["snippet"], thread["unread_count"], thread["message_count"]) == ("From ten to four.", 1, 2)
    assert [row["message"] for row in thread["messages"]["data"]] == [
        "From ten to four.",
        "Do you open on Sunday?",
    ]
    assert thread["participants"]["data"][0] == {"name": "Mei Chen", "id": asked["personId"]}
    assert len(instagram.json()["data"]) == 1
    assert person.json() == {"first_name": "Mei", "last_name": "Chen", "id": asked["personId"]}
    assert message.json()["attachments"]["data"][0]["file_url"] == "https://a.example/1"


async def test_conversations_are_shown_to_those_who_may_see_them(sandbox: Driver) -> None:
    rows = {
        channel: await write(sandbox, channel=channel) for channel in ("messenger", "instagram", "whatsapp")
    }
    token = await sandbox.page_token(
        token=await sandbox.user_token(EVERYTHING, scopes=[*SCOPES, "pages_messaging"])
    )
    other = await sandbox.page_token("104857600012345", token=await sandbox.user_token(EVERYTHING))

    def refusals(channel: str, name: str, who: str) -> Any:
        return sandbox.graph("GET", rows[channel][name], who)

    for name in ("id", "threadId", "personId"):
        assert (await refusals("messenger", name, token)).status_code == 200
        assert error_of(await refusals("messenger", name, other)) == (100, 33)
        assert error_of(await refusals("whatsapp", name, token)) == (100, 33)
    sandbox_token = await sandbox.user_token(EVERYTHING, scopes=[*SCOPES, "pages_messaging"])
    poor = await sandbox.page_token(token=sandbox_token)
    assert error_of(await refusals("instagram", "threadId", poor)) == (10, None)
    listed = await sandbox.graph("GET", f"{PAGE}/conversations", poor, platform="instagram")
    assert error_of(listed) == (10, None)


async def test_who_wrote_is_shown_with_the_fields_of_the_channel(sandbox: Driver) -> None:
    token = await sandbox.page_token(token=await sandbox.user_token(EVERYTHING))
    psid = (await write(sandbox, person="Mei Chen"))["personId"]
    igsid = (await write(sandbox, person="Mei Chen", channel="instagram"))["personId"]

    async def shown(person: str, fields: str) -> Any:
        return await sandbox.graph("GET", person, token, fields=fields)

    assert (await shown(psid, "name,first_name")).json() == {
        "name": "Mei Chen",
        "first_name": "Mei",
        "id": psid,
    }
    assert (await shown(igsid, "name,username")).json() == {
        "name": "Mei Chen",
        "username": "mei.chen",
        "id": igsid,
    }
    assert (await sandbox.graph("GET", igsid, token)).json() == (await shown(igsid, "name,username")).json()
    assert error_of(await shown(psid, "name,username")) == (100, None)
    assert error_of(await shown(igsid, "name,last_name")) == (100, None)


async def test_who_never_wrote_or_hides_is_not_shown(sandbox: Driver) -> None:
    """A comment allows nothing; the code says which of the two it is, and not on both channels the same."""
    token = await sandbox.page_token(token=await sandbox.user_token(EVERYTHING))
    await sandbox.control("bulk", posts=1, commentsPerPost=0, reactionsPerPost=0)
    commented = (await sandbox.control("comments", text="Lovely", person="Omar Haddad"))["comments"][0]
    media = (await sandbox.control("media"))["id"]
    below = (await sandbox.control("comments", mediaId=media, text="Lovely"))["comments"][0]
    assert error_of(await sandbox.graph("GET", commented["personId"], token)) == (100, 2018247)
    assert error_of(await sandbox.graph("GET", below["personId"], token)) == (230, None)

    for channel, refused in (("messenger", (100, 2018218)), ("instagram", (100, 33))):
        person = (await write(sandbox, channel=channel))["personId"]
        await sandbox.control("messages", channel=channel, action="hide", personId=person)
        assert error_of(await sandbox.graph("GET", person, token)) == refused
        await sandbox.control("messages", channel=channel, action="show", personId=person)
        assert (await sandbox.graph("GET", person, token)).status_code == 200


async def whatsapp(sandbox: Driver, token: str, to: str, **more: object) -> Any:
    """`POST /{phone-number}/messages`."""
    body: dict[str, object] = {
        "messaging_product": "whatsapp",
        "to": to,
        "type": "text",
        "text": {"body": "From ten to four."},
        **more,
    }
    return await sandbox.client.post(
        f"/v26.0/{PHONE_NUMBER_ID}/messages",
        json={**body, "appsecret_proof": sandbox.proof(token)},
        headers={"Authorization": f"Bearer {token}"},
    )


async def on_whatsapp(sandbox: Driver) -> str:
    """The app hears of the WhatsApp account; the person's token."""
    token = await sandbox.user_token(EVERYTHING)
    answer = await sandbox.graph("POST", f"{WHATSAPP_ACCOUNT_ID}/subscribed_apps", token)
    assert answer.json() == {"success": True}
    return token


async def test_whatsapp_is_answered_within_a_day(sandbox: Driver) -> None:
    token = await on_whatsapp(sandbox)
    asked = await write(sandbox, channel="whatsapp", person="Aylin Yılmaz", phone="+49 151 12345678")
    answer = (await whatsapp(sandbox, token, "+49 151 12345678")).json()
    await sandbox.control("messages", channel="whatsapp", action="read", personId=asked["personId"])

    changes = await sandbox.heard(4)
    assert {change["field"] for change in changes} == {"messages"}
    first = next(change["value"] for change in changes if "messages" in change["value"])
    states = [row for change in changes for row in change["value"].get("statuses", [])]
    assert first["metadata"]["phone_number_id"] == PHONE_NUMBER_ID
    assert first["contacts"][0]["profile"] == {"name": "Aylin Yılmaz"}
    assert first["messages"][0]["text"] == {"body": "Do you open on Sunday?"}
    assert {row["status"] for row in states} == {"sent", "delivered", "read"}
    assert {row["id"] for row in states} == {answer["messages"][0]["id"]}
    await sandbox.control("clock", advanceSeconds=A_DAY + 60)
    late = await whatsapp(sandbox, token, asked["personId"])
    assert error_of(late) == (131047, None)
    template = await whatsapp(
        sandbox, token, asked["personId"], type="template", template={"name": "hello_world"}
    )
    assert template.status_code == 200


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"type": "image", "image": {"link": "https://a.example/1.jpg", "caption": "Look"}}, None),
        ({"type": "document", "document": {"id": "123", "filename": "a.pdf"}}, None),
        ({"type": "location", "location": {"latitude": 1, "longitude": 2}}, None),
        ({"type": "image", "image": {}}, 131008),
        ({"type": "image"}, 131008),
        ({"type": "video", "video": {"link": "https://a.example/1", "caption": "x" * 1_025}}, 131009),
        ({"type": "template", "template": {"name": "unheard_of"}}, 132001),
        ({"type": "reaction", "reaction": {"message_id": "wamid.other", "emoji": "👍"}}, 131009),
        ({"type": "telegram"}, 131051),
    ],
)
async def test_whatsapp_takes_what_the_cloud_api_takes(
    sandbox: Driver, more: dict[str, object], code: int | None
) -> None:
    token = await on_whatsapp(sandbox)
    asked = await write(sandbox, channel="whatsapp")
    answer = await whatsapp(sandbox, token, asked["personId"], **more)

    assert (None if answer.status_code == 200 else error_of(answer)[0]) == code


async def test_whatsapp_edits_reactions_and_revocations_are_messages(sandbox: Driver) -> None:
    await on_whatsapp(sandbox)
    first = await write(sandbox, "helo", channel="whatsapp")
    for more in ({"action": "edit", "text": "hello"}, {"action": "react"}, {"action": "unsend"}):
        await sandbox.control("messages", channel="whatsapp", messageId=first["id"], **more)

    told = [change["value"]["messages"][0] for change in await sandbox.heard(4)]
    by_type = {one["type"]: one for one in told}
    assert by_type.keys() == {"text", "edit", "reaction", "revoke"}
    assert by_type["edit"]["edit"]["message"]["text"] == {"body": "hello"}
    assert by_type["reaction"]["reaction"]["message_id"] == first["id"]
    assert by_type["revoke"]["revoke"] == {"original_message_id": first["id"]}


async def test_messages_travel_by_rule_too(sandbox: Driver) -> None:
    await sandbox.talkative(HEARD)
    await write(sandbox, delivery="double")
    await write(sandbox, delivery="lose")
    await sandbox.control("messages", text="number {n}", count=30, perDelivery=10, delivery="shuffle")

    texts = [one["message"]["text"] for one in await sandbox.heard(5)]
    assert texts.count("Do you open on Sunday?") == 2
    assert len({text for text in texts if text.startswith("number")}) == 30


def test_an_id_of_a_message_stands_in_a_path() -> None:
    assert all("/" not in new_message_id("whatsapp") for _ in range(500))
