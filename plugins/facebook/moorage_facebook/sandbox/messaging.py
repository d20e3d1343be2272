"""The Send API and what Graph shows of conversations, for Pages and their Instagram accounts.

https://developers.facebook.com/docs/messenger-platform/reference/send-api ·
https://developers.facebook.com/docs/messenger-platform/discovery/private-replies ·
https://developers.facebook.com/docs/graph-api/reference/page/conversations
"""

from collections.abc import Mapping
from typing import TypeVar

import attrs
import msgspec

from moorage_facebook.sandbox.entities import Page
from moorage_facebook.sandbox.errors import GraphError, GraphFailure, invalid, missing_permission
from moorage_facebook.sandbox.jsontext import Json
from moorage_facebook.sandbox.message_news import delivered_news, message_news, sent_news
from moorage_facebook.sandbox.social import (
    Comment,
    InstagramAccount,
    InstagramComment,
    Message,
    Part,
    Thread,
)
from moorage_facebook.sandbox.state import World
from moorage_facebook.sandbox.threads import (
    delivered,
    is_open,
    keep,
    new_message_id,
    thread_with,
)
from moorage_facebook.sandbox.wire import AnyRoute, Call, Route, WebhookDoor

MESSENGER = ("pages_messaging",)
INSTAGRAM = ("instagram_basic", "instagram_manage_messages")
LONGEST: Mapping[str, int] = {"messenger": 2_000, "instagram": 1_000}  # characters; bytes on Instagram
_TYPES = ("RESPONSE", "UPDATE", "MESSAGE_TAG", "UTILITY")
_RETIRED = ("CONFIRMED_EVENT_UPDATE", "ACCOUNT_UPDATE", "POST_PURCHASE_UPDATE")
_HUMAN_AGENT = "HUMAN_AGENT"
_ACTIONS = ("typing_on", "typing_off", "mark_seen", "react", "unreact")
_PARTS = ("image", "video", "audio", "file", "template")
_PRIVATE_REPLY_LIFE = 7 * 86_400

S = TypeVar("S", bound=msgspec.Struct)


class _Recipient(msgspec.Struct):
    id: str | int = ""
    comment_id: str = ""
    post_id: str = ""
    user_ref: str = ""


class _Payload(msgspec.Struct):
    url: str = ""
    template_type: str = ""
    text: str = ""
    attachment_id: str | int = ""


class _Attachment(msgspec.Struct):
    type: str = ""
    payload: _Payload = msgspec.field(default_factory=_Payload)


class _Message(msgspec.Struct):
    text: str = ""
    attachment: _Attachment | None = None
    attachments: list[_Attachment] = []
    metadata: str = ""


class _ReplyTo(msgspec.Struct):
    mid: str = ""


async def send_from_page(call: Call, page: Page) -> Json:
    """`POST /{page}/messages`: to people of the Page and of its Instagram account.

    Raises:
        GraphError: 10/2018278 outside the window, 100/2018001 for nobody, 551 for who can't be reached,
            10900 for a comment that was answered privately before, 100 for what is wrong.
    """
    told = _read(call, "recipient", _Recipient)
    account = call.world.instagram_of(page)
    if account is not None and _is_instagram(call.world, told, account):
        return await send_from_account(call, account)
    need(call, MESSENGER)
    return _send(call, page, told)


async def send_from_account(call: Call, account: InstagramAccount) -> Json:
    """`POST /{ig}/messages`; errors as above."""
    need(call, INSTAGRAM)
    return _send(call, account, _read(call, "recipient", _Recipient))


def deliver(world: World, webhooks: WebhookDoor, thread: Thread, message: Message) -> Message:
    """Put a message of the channel on its way: it is echoed, and arrives at once."""
    thread, kept = keep(world, thread, message)
    news = [*sent_news(world, thread, kept)]
    if thread.channel != "whatsapp":
        news.append(message_news(world, thread, kept))
    if not thread.is_blocked:
        thread, new = delivered(world, thread)
        news += delivered_news(world, thread, new)
    webhooks.tell(news)
    return kept


def _send(call: Call, channel: Page | InstagramAccount, told: _Recipient) -> Json:
    if told.comment_id:
        return _answer_privately(call, channel, told.comment_id)
    person_id = str(told.id)
    if not person_id and not told.user_ref:
        raise invalid("The parameter recipient is required")
    face = call.world.faces.get(person_id)
    if face is None or face.channel_id != channel.id:
        raise _nobody()
    thread = next(iter(call.world.threads.of(f"{channel.id}:{face.id}")), None)
    if thread is None:  # known from a comment only: nobody writes first
        raise _outside()
    if call.param("sender_action"):
        return _act(call, thread)
    message = _message(call, thread)
    _check_window(call, thread)
    if thread.is_blocked:
        raise _unavailable()
    kept = deliver(call.world, call.webhooks, thread, message)
    return {"recipient_id": thread.person_id, "message_id": kept.id}


def _answer_privately(call: Call, channel: Page | InstagramAccount, comment_id: str) -> Json:
    """One message to whoever wrote a comment: once per comment, within seven days."""
    world = call.world
    comment: Comment | InstagramComment | None
    if isinstance(channel, Page):
        page_id, comment = channel.id, world.comments.get(comment_id)
    else:
        page_id, comment = channel.page_id, world.instagram_comments.get(comment_id)
    if comment is None or comment.page_id != page_id:
        raise invalid("The comment does not exist or is not on this page")
    if comment.author_id in {channel.id, comment.page_id}:
        raise _nobody()
    if comment.answered_privately:
        message = "(#10900) Activity already replied to"
        raise GraphError(GraphFailure(message=message, code=10900))
    if world.seconds() - comment.created_at > _PRIVATE_REPLY_LIFE:
        raise _outside()
    thread = thread_with(world, channel, comment.author_id)
    if thread.is_blocked:
        raise _unavailable()
    kept = deliver(world, call.webhooks, thread, _message(call, thread))
    if isinstance(comment, Comment):
        world.comments.put(attrs.evolve(comment, answered_privately=True))
    else:
        world.instagram_comments.put(attrs.evolve(comment, answered_privately=True))
    return {"recipient_id": thread.person_id, "message_id": kept.id}


def _act(call: Call, thread: Thread) -> Json:
    """`sender_action`: the business types, or has read."""
    action = call.param("sender_action").lower()
    if action not in _ACTIONS:
        raise invalid(f"Param sender_action must be one of {{{', '.join(_ACTIONS).upper()}}}")
    if action == "mark_seen":
        call.world.threads.put(attrs.evolve(thread, seen_at=thread.updated_at))
    return {"recipient_id": thread.person_id}


def _check_window(call: Call, thread: Thread) -> None:
    """Whether this may be said now.

    https://developers.facebook.com/docs/messenger-platform/send-messages/message-tags
    """
    kind = call.param("messaging_type").upper() or "RESPONSE"
    tag = call.param("tag").upper()
    if kind not in _TYPES:
        raise invalid(f"Param messaging_type must be one of {{{', '.join(_TYPES)}}}")
    if tag in _RETIRED:
        raise invalid(f"The message tag {tag} is no longer supported")
    if kind == "MESSAGE_TAG" and tag != _HUMAN_AGENT:
        raise invalid("Param tag must be one of {HUMAN_AGENT}")
    if not is_open(call.world, thread, for_humans=kind == "MESSAGE_TAG"):
        raise _outside()


def _message(call: Call, thread: Thread) -> Message:
    told = _read(call, "message", _Message)
    given = [told.attachment] if told.attachment else told.attachments
    most = LONGEST[thread.channel]
    if not told.text and not given:
        raise invalid("Message cannot be empty, must provide valid attachment or text")
    counted = told.text.encode("utf-8", "replace") if thread.channel == "instagram" else told.text
    if len(counted) > most:
        raise invalid(f"Length of param message[text] must be less than or equal to {most}")
    reply_to = _read(call, "reply_to", _ReplyTo).mid if call.param("reply_to") else ""
    if reply_to and getattr(call.world.messages.get(reply_to), "thread_id", "") != thread.id:
        raise invalid("Param reply_to[mid] is no message of this conversation")
    return Message(
        id=new_message_id(thread.channel),
        channel=thread.channel,
        channel_id=thread.channel_id,
        page_id=thread.page_id,
        person_id=thread.person_id,
        direction="out",
        text=told.text or next((part.payload.text for part in given if part.payload.text), ""),
        parts=tuple(_part(part) for part in given),
        reply_to=reply_to,
        app_id=call.who.app.id,
        tag=call.param("tag").upper(),
        mark=told.metadata if thread.channel == "messenger" else "",
        created_at=call.world.seconds(),
    )


def _part(given: _Attachment) -> Part:
    if given.type not in _PARTS:
        raise invalid(f"Param message[attachment][type] must be one of {{{', '.join(_PARTS)}}}")
    if given.type == "template" and not given.payload.template_type:
        raise invalid("The parameter message[attachment][payload][template_type] is required")
    if given.type != "template" and not (given.payload.url or given.payload.attachment_id):
        raise invalid("Param message[attachment][payload] must have a url or an attachment_id")
    return Part(type=given.type, url=given.payload.url, name=given.payload.template_type)


def _is_instagram(world: World, told: _Recipient, account: InstagramAccount) -> bool:
    if told.comment_id:
        return told.comment_id in world.instagram_comments
    face = world.faces.get(str(told.id))
    return face is not None and face.channel_id == account.id


def need(call: Call, scopes: tuple[str, ...]) -> None:
    """Check permissions that depend on the channel.

    Raises:
        GraphError: 10 or 200.
    """
    missing = tuple(scope for scope in scopes if not call.who.may(scope))
    if missing:
        raise missing_permission(call.method, missing)


def _read(call: Call, name: str, kind: type[S]) -> S:
    text = call.param(name)
    if not text:
        raise invalid(f"The parameter {name} is required")
    try:
        return msgspec.json.decode(text.encode("utf-8", "replace"), type=kind)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise invalid(f"Param {name} must be a JSON object of the documented shape") from error


def _outside() -> GraphError:
    message = "(#10) This message is sent outside of allowed window."
    return GraphError(GraphFailure(message=message, code=10, subcode=2018278))


def _nobody() -> GraphError:
    return invalid("No matching user found", subcode=2018001)


def _unavailable() -> GraphError:
    message = "(#551) This person isn't available right now."
    return GraphError(GraphFailure(message=message, code=551, subcode=1545041))


ROUTES: tuple[AnyRoute, ...] = (
    Route[Page](
        method="POST", node=Page, edge="messages", handle=send_from_page, page_token=True, usage="messenger"
    ),
    Route[InstagramAccount](
        method="POST",
        node=InstagramAccount,
        edge="messages",
        handle=send_from_account,
        page_token=True,
        usage="messenger",
    ),
)
