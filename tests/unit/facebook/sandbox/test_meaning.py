"""What people do in the sandbox is what the plugin understands of its webhooks, act by act."""

from collections.abc import Sequence
from datetime import UTC, datetime

import attrs
import pytest

from moorage_facebook.sandbox.seed import INSTAGRAM_ID, PHONE_NUMBER_ID
from moorage_facebook.webhooks import GraphWebhooks
from moorage_ports.events import (
    CommentHidden,
    CommentRemoved,
    CommentSeen,
    DeliveryMark,
    DeliveryState,
    Event,
    Mentioned,
    MessageDelivery,
    MessageEdited,
    MessageKind,
    MessageRemoved,
    MessageSeen,
    PersonLinked,
    PostShared,
    ReactionRemoved,
    ReactionSet,
    Target,
)
from tests.unit.facebook.sandbox.driver import PAGE, Driver
from tests.unit.facebook.sandbox.test_comments import say
from tests.unit.facebook.sandbox.test_messages import HEARD, on_whatsapp, send, whatsapp, write

WEBHOOKS = GraphWebhooks()


@attrs.define
class Ear:
    """Understands what comes, in turn."""

    sandbox: Driver
    heard: int = 0

    async def hears(self, news: int = 1) -> Sequence[Event]:
        """The events of the next webhooks; `PersonLinked`, which comes with all of WhatsApp, is left out."""
        requests = await self.sandbox.settled(self.heard + news)
        new, self.heard = requests[self.heard :], len(requests)
        assert len(new) == news
        events = [
            event
            for request in new
            for change in WEBHOOKS.split(request.content)
            for event in WEBHOOKS.events(change.body, datetime.now(UTC))
        ]
        return [event for event in events if not isinstance(event, PersonLinked)]


async def test_what_happens_to_a_comment(sandbox: Driver) -> None:
    post, token = await sandbox.post(), await sandbox.talkative()
    ear = Ear(sandbox)
    comment = await say(sandbox, "Do you open on Sunday?", postId=post, person="Omar Haddad")
    (seen,) = await ear.hears()
    assert isinstance(seen, CommentSeen)
    assert (seen.comment_external_id, seen.post_external_id, seen.parent_external_id) == (comment, post, "")
    assert (seen.text, seen.is_ours, seen.author and seen.author.name) == (
        "Do you open on Sunday?",
        False,
        "Omar Haddad",
    )

    reply = (await sandbox.graph("POST", f"{comment}/comments", token, message="From ten")).json()["id"]
    (ours,) = await ear.hears()
    assert isinstance(ours, CommentSeen)
    assert (ours.comment_external_id, ours.parent_external_id, ours.is_ours) == (reply, comment, True)

    await sandbox.control("comments", commentId=comment, action="edit", text="And on Monday?")
    (edited,) = await ear.hears()
    assert isinstance(edited, CommentSeen)
    assert (edited.is_edit, edited.text) == (True, "And on Monday?")
    for action, is_hidden in (("hide", True), ("unhide", False)):
        await sandbox.control("comments", commentId=comment, action=action)
        (hidden,) = await ear.hears()
        assert isinstance(hidden, CommentHidden)
        assert hidden.is_hidden is is_hidden
    await sandbox.control("comments", commentId=comment, action="remove")
    (removed,) = await ear.hears()
    assert isinstance(removed, CommentRemoved)
    assert removed.comment_external_id == comment


async def test_reactions_and_shares(sandbox: Driver) -> None:
    post, _ = await sandbox.post(), await sandbox.talkative()
    comment = await say(sandbox, "hello", postId=post, delivery="lose")
    ear = Ear(sandbox)
    for kind in ("love", "wow"):
        await sandbox.control("reactions", postId=post, type=kind)
        (given,) = await ear.hears()
        assert isinstance(given, ReactionSet)
        assert (given.target, given.target_external_id, given.reaction) == (Target.POST, post, kind)
    await sandbox.control("reactions", postId=post, action="remove")
    (taken,) = await ear.hears()
    assert isinstance(taken, ReactionRemoved)
    await sandbox.control("reactions", commentId=comment)
    (liked,) = await ear.hears()
    assert isinstance(liked, ReactionSet)
    assert (liked.target, liked.target_external_id) == (Target.COMMENT, comment)
    await sandbox.control("shares", postId=post, person="Mei Chen")
    (shared,) = await ear.hears()
    assert isinstance(shared, PostShared)
    assert (shared.post_external_id, shared.person and shared.person.name) == (post, "Mei Chen")


@pytest.mark.parametrize("channel", ["page", "instagram"])
@pytest.mark.parametrize("in_comment", [True, False])
async def test_a_mention(sandbox: Driver, channel: str, in_comment: bool) -> None:
    await sandbox.talkative("mention")
    ear = Ear(sandbox)
    await sandbox.control(
        "mentions", channel=channel, text="Go there!", person="Mei Chen", inComment=in_comment
    )
    (named,) = await ear.hears()
    assert isinstance(named, Mentioned)
    assert named.channel_external_id == (PAGE if channel == "page" else INSTAGRAM_ID)
    if channel == "page":
        assert (named.text, named.person and named.person.name) == ("Go there!", "Mei Chen")


async def test_an_instagram_comment(sandbox: Driver) -> None:
    await sandbox.talkative()
    ear, media = Ear(sandbox), (await sandbox.control("media"))["id"]
    comment = await say(sandbox, "Lovely", mediaId=media)
    reply = await say(sandbox, "It is", commentId=comment)
    events = await ear.hears(2)
    seen = {event.comment_external_id: event for event in events if isinstance(event, CommentSeen)}
    assert seen.keys() == {comment, reply}
    assert (seen[comment].post_external_id, seen[reply].parent_external_id) == (media, comment)
    assert seen[comment].channel_external_id == INSTAGRAM_ID


@pytest.mark.parametrize(("channel", "inbox"), [("messenger", PAGE), ("instagram", INSTAGRAM_ID)])
async def test_a_conversation_on_messenger_and_instagram(sandbox: Driver, channel: str, inbox: str) -> None:
    token = await sandbox.talkative(HEARD)
    ear = Ear(sandbox)
    asked = await write(sandbox, channel=channel)
    (seen,) = await ear.hears()
    assert isinstance(seen, MessageSeen)
    assert (seen.message_external_id, seen.channel_external_id, seen.surface) == (asked["id"], inbox, channel)
    assert (seen.is_ours, seen.person.external_id) == (False, asked["personId"])

    answer = (await send(sandbox, token, asked["personId"])).json()["message_id"]
    events = await ear.hears(2 if channel == "messenger" else 1)
    echo = next(event for event in events if isinstance(event, MessageSeen))
    assert (echo.message_external_id, echo.is_ours) == (answer, True)
    if channel == "messenger":
        assert any(
            isinstance(event, DeliveryMark) and event.state is DeliveryState.DELIVERED for event in events
        )
    await sandbox.control("messages", channel=channel, action="read", personId=asked["personId"])
    (read,) = await ear.hears()
    assert isinstance(read, DeliveryMark | MessageDelivery)
    assert read.state is DeliveryState.READ
    await _changed(sandbox, ear, channel, asked["id"])


@pytest.mark.parametrize("channel", ["messenger", "instagram", "whatsapp"])
async def test_a_button_is_pressed(sandbox: Driver, channel: str) -> None:
    await sandbox.talkative("messages,messaging_postbacks")
    await on_whatsapp(sandbox)
    ear = Ear(sandbox)
    pressed = await write(sandbox, "Yes, please", channel=channel, action="press", payload="ORDER_7")
    (seen,) = await ear.hears()
    assert isinstance(seen, MessageSeen)
    assert (seen.message_external_id, seen.kind) == (pressed["id"], MessageKind.CHOICE)
    assert (seen.text, seen.payload) == ("Yes, please", "ORDER_7")


async def _changed(sandbox: Driver, ear: Ear, channel: str, message_id: str) -> None:
    """A message is edited, reacted to, and taken back."""
    wanted = {
        "edit": MessageEdited,
        "react": ReactionSet,
        "unreact": ReactionRemoved,
        "unsend": MessageRemoved,
    }
    for action, kind in wanted.items():
        await sandbox.control("messages", channel=channel, messageId=message_id, action=action, text="new")
        (event,) = await ear.hears()
        assert isinstance(event, kind), action
        about = event.target_external_id if isinstance(event, ReactionSet | ReactionRemoved) else ""
        assert (about or getattr(event, "message_external_id", "")) == message_id


async def test_a_conversation_on_whatsapp(sandbox: Driver) -> None:
    token, ear = await on_whatsapp(sandbox), Ear(sandbox)
    asked = await write(sandbox, channel="whatsapp")
    (seen,) = await ear.hears()
    assert isinstance(seen, MessageSeen)
    assert (seen.message_external_id, seen.channel_external_id) == (asked["id"], PHONE_NUMBER_ID)
    answer = (await whatsapp(sandbox, token, asked["personId"])).json()["messages"][0]["id"]
    await sandbox.control("messages", channel="whatsapp", action="read", personId=asked["personId"])
    states = [event for event in await ear.hears(3) if isinstance(event, MessageDelivery)]
    assert {event.message_external_id for event in states} == {answer}
    assert {event.state for event in states} == {
        DeliveryState.SENT,
        DeliveryState.DELIVERED,
        DeliveryState.READ,
    }
    await _changed(sandbox, ear, "whatsapp", asked["id"])
