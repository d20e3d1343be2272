"""The pages on which people talk: walls, an Instagram grid, and the three windows."""

import re
from urllib.parse import quote

import pytest

from moorage_facebook.sandbox.seed import INSTAGRAM_ID, PHONE_NUMBER_ID
from tests.unit.facebook.sandbox.driver import PAGE, Driver
from tests.unit.facebook.sandbox.test_comments import say

ME = "Zoë Dubois"
WALL = f"/sandbox/pages/{PAGE}"


async def press(sandbox: Driver, do: str, target: str, text: str = "", back: str = WALL) -> str:
    """Press a button on a wall; answers where the browser goes."""
    form = {"as": ME, "back": back, "at": "here", "do": do, "target": target, "text": text}
    answer = await sandbox.client.post("/sandbox/talk", data=form, follow_redirects=False)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


async def test_a_person_talks_on_the_wall(sandbox: Driver) -> None:
    post, _ = await sandbox.post(), await sandbox.talkative()
    assert (
        await press(sandbox, "comment", post, "Is this still there?")
        == f"{WALL}?as={quote(ME).replace('%20', '+')}#here"
    )
    comment = str((await sandbox.state())["comments"][0]["id"])
    await press(sandbox, "answer", comment, "Hello?")
    await press(sandbox, "edit", comment, "Is it still there?")
    await press(sandbox, "LOVE", post)
    await press(sandbox, "LIKE", comment)
    await press(sandbox, "share", post)

    shown = (await sandbox.client.get(WALL, params={"as": ME})).text
    for words in (
        "Is it still there?",
        "Hello?",
        "Love 1",
        "2 comments · 1 share",
        "1 reaction",
        "edited",
        "Remove",
    ):
        assert words in shown
    verbs = sorted(change["value"]["verb"] for change in await sandbox.heard(6))
    assert verbs == ["add"] * 5 + ["edited"]

    await press(sandbox, "unreact", post)
    await press(sandbox, "hide", comment)
    assert "hidden" in (await sandbox.client.get(f"/sandbox/posts/{post}")).text
    await press(sandbox, "remove", comment)
    state = await sandbox.state()
    assert (state["comments"], state["reactions"]) == ([], [])


async def test_a_person_comments_on_instagram(sandbox: Driver) -> None:
    await sandbox.talkative("messages")
    media = (await sandbox.control("media", caption="New in"))["id"]
    back = f"/sandbox/instagram/{INSTAGRAM_ID}"
    assert (await press(sandbox, "comment", media, "Lovely", back)).startswith(back)

    assert "zoe.dubois" in (await sandbox.client.get(back)).text
    (change,) = await sandbox.heard(1)
    assert change["value"]["from"]["username"] == "zoe.dubois"


@pytest.mark.parametrize(
    ("channel", "inbox"), [("messenger", PAGE), ("instagram", INSTAGRAM_ID), ("whatsapp", PHONE_NUMBER_ID)]
)
async def test_a_person_writes_in_a_window(sandbox: Driver, channel: str, inbox: str) -> None:
    await sandbox.talkative()
    where = f"/sandbox/messages/{channel}/{inbox}"
    assert "has not written yet" in (await sandbox.client.get(where, params={"as": ME})).text

    async def act(**form: str) -> None:
        answer = await sandbox.client.post(where, data={"as": ME, **form}, follow_redirects=False)
        assert answer.status_code == 303, answer.text

    await act(do="send", text="Do you open on Sunday?", picture="https://shop.example/door.jpg")
    message = str((await sandbox.state())["messages"][0]["id"])
    await act(do="edit", message=message, text="Are you open on Sunday?")
    await act(do="react", message=message, emoji="👍")
    await act(do="read")
    shown = (await sandbox.client.get(where, params={"as": ME})).text
    for words in ("Are you open on Sunday?", "https://shop.example/door.jpg", "like", "may answer until"):
        assert words in shown
    await act(do="unsend", message=message)
    await act(do="block")
    shown = (await sandbox.client.get(where, params={"as": ME})).text
    assert "Unsent" in shown
    assert "blocked this business" in shown
    (thread,) = (await sandbox.state())["threads"]
    led = await sandbox.client.get(f"/sandbox/threads/{thread['id']}")
    assert led.url.path == where


async def test_what_people_write_is_only_text(sandbox: Driver) -> None:
    post = await sandbox.post()
    await say(sandbox, "<script>alert(1)</script>", postId=post, person="<b>Bob</b>")
    await sandbox.control("messages", text="<img src=x>", person="<b>Bob</b>")
    for path in (WALL, f"/sandbox/messages/messenger/{PAGE}?as=%3Cb%3EBob%3C/b%3E"):
        shown = (await sandbox.client.get(path)).text
        assert not re.search(r"<script|<b>Bob|<img", shown)
        assert "&lt;b&gt;Bob" in shown


@pytest.mark.parametrize(
    "back", ["https://evil.example/", "//evil.example/", "/\\evil.example", "/_sandbox/state", ""]
)
async def test_nobody_is_led_away(sandbox: Driver, back: str) -> None:
    post = await sandbox.post()

    assert (await press(sandbox, "LIKE", post, back=back)).startswith("/?as=")


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/sandbox/talk", {"do": "comment", "target": "1_2", "text": "hello"}),
        ("/sandbox/talk", {"do": "comment", "target": "1_2", "text": "x" * 20_000}),
        ("/sandbox/talk", {"do": "dance"}),
        (f"/sandbox/messages/messenger/{PAGE}", {"do": "send"}),
        (f"/sandbox/messages/messenger/{PAGE}", {"do": "edit", "message": "m_1", "text": "x"}),
        (f"/sandbox/messages/messenger/{PAGE}", {"do": "dance"}),
    ],
)
async def test_buttons_that_make_no_sense_say_so(sandbox: Driver, path: str, form: dict[str, str]) -> None:
    answer = await sandbox.client.post(path, data=form)

    assert answer.status_code == 400
    assert "That did not work" in answer.text


@pytest.mark.parametrize(
    "path",
    [
        "/sandbox/instagram/1",
        "/sandbox/messages/telegram/1",
        "/sandbox/messages/messenger/1",
        "/sandbox/threads/t_1",
    ],
)
async def test_what_is_not_there_is_not_found(sandbox: Driver, path: str) -> None:
    assert (await sandbox.client.get(path)).status_code == 404
