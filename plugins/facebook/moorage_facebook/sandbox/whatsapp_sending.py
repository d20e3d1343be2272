"""`POST /{phone-number}/messages`: what a business says on WhatsApp, and that it has read something.

https://developers.facebook.com/docs/whatsapp/cloud-api/reference/messages ·
https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes
"""

import re
from collections.abc import Mapping
from typing import TypeVar

import attrs
import msgspec

from moorage_facebook.sandbox.entities import PhoneNumber
from moorage_facebook.sandbox.errors import GraphError, GraphFailure, invalid
from moorage_facebook.sandbox.faces import face_by_phone
from moorage_facebook.sandbox.jsontext import Json
from moorage_facebook.sandbox.messaging import deliver
from moorage_facebook.sandbox.social import Message, Part, Thread
from moorage_facebook.sandbox.threads import is_open, new_message_id, thread_with
from moorage_facebook.sandbox.whatsapp import may
from moorage_facebook.sandbox.wire import AnyRoute, Call, Route

_SEND = "whatsapp_business_messaging"
_LONGEST_TEXT = 4_096
_LONGEST_CAPTION = 1_024
_NUMBER = re.compile(r"[0-9]{7,15}")
_USER_ID = re.compile(r"[A-Z]{2}\.[A-Za-z0-9.]{1,128}")  # what may stand in for a number since 2026
_MEDIA = ("image", "video", "audio", "document", "sticker")
TEMPLATES = ("hello_world",)
"""The templates that were approved here: the one that every new account has."""

S = TypeVar("S", bound=msgspec.Struct)


class _Text(msgspec.Struct):
    """The `text` object of a message."""

    body: str = ""
    preview_url: bool | str = False


class _Media(msgspec.Struct):
    """The `image` (`video`, `document` …) object of a message."""

    id: str = ""
    link: str = ""
    caption: str = ""
    filename: str = ""


class _Location(msgspec.Struct):
    """The `location` object of a message."""

    latitude: float | str = ""
    longitude: float | str = ""
    name: str = ""


class _Reaction(msgspec.Struct):
    """The `reaction` object of a message; without an emoji it is taken back."""

    message_id: str = ""
    emoji: str = ""


class _Template(msgspec.Struct):
    """The `template` object of a message."""

    name: str = ""


class _Context(msgspec.Struct):
    """The `context` object of a message: what it answers."""

    message_id: str = ""


async def send_message(call: Call, number: PhoneNumber) -> Json:
    """A message to one person, who is told by number or by user id; or the mark that one was read.

    Raises:
        GraphError: 100 and 131008 for what is missing, 131009 for what is wrong, 131021 for a message to
            oneself, 131026 for who can't be reached, 131047 outside the window, 131051 for a kind that is
            unknown, 132001 for a template that is.
    """
    may(call, number, _SEND)
    if call.param("messaging_product") != "whatsapp":
        raise invalid("The parameter messaging_product is required.")
    if call.param("status"):
        return _mark_read(call, number)
    thread = thread_with(call.world, number, _recipient(call, number))
    message = attrs.evolve(_content(call, thread), reply_to=_answered(call, number))
    if call.param("type") != "template" and not is_open(call.world, thread):
        raise _refusal(
            131047,
            "Re-engagement message",
            "Message failed to send because more than 24 hours have passed since the customer last replied",
        )
    if thread.is_blocked:
        raise _refusal(131026, "Message undeliverable", "The recipient can not be reached")
    kept = deliver(call.world, call.webhooks, thread, message)
    told = "wa_id" if call.param("to") else "user_id"
    given = call.param("to") or call.param("recipient")
    return {
        "messaging_product": "whatsapp",
        "contacts": [{"input": given, told: thread.person_id if told == "wa_id" else given}],
        "messages": [{"id": kept.id}],
    }


def _mark_read(call: Call, number: PhoneNumber) -> Json:
    """`status=read`: up to this message the business has read."""
    message = call.world.messages.get(call.param("message_id"))
    thread = call.world.threads.get(message.thread_id) if message else None
    if call.param("status") != "read" or message is None or thread is None or thread.channel_id != number.id:
        raise _wrong("message_id is no message to this number")
    call.world.threads.put(attrs.evolve(thread, seen_at=max(thread.seen_at, message.created_ms)))
    return {"success": True}


def _recipient(call: Call, number: PhoneNumber) -> str:
    """The digits of a phone number however it was written, or those behind a user id."""
    given = call.param("to")
    if not given:
        user_id = call.param("recipient")
        if not user_id:
            raise invalid("The parameter to is required.")
        if not _USER_ID.fullmatch(user_id):
            raise _wrong("recipient is no user id")
        known = next((face for face in call.world.faces if face.user_id == user_id), None)
        return known.id if known else user_id
    digits = re.sub(r"[\s()+\-]", "", given)
    if not _NUMBER.fullmatch(digits):
        raise _wrong("to is no phone number")
    if digits == number.digits:
        raise _refusal(131021, "Recipient cannot be sender", "to is the number that sends")
    return face_by_phone(call.world, digits).id


def _content(call: Call, thread: Thread) -> Message:
    """The message, by its type."""
    kind = call.param("type") or "text"
    message = Message(
        id=new_message_id("whatsapp"),
        channel="whatsapp",
        channel_id=thread.channel_id,
        thread_id=thread.id,
        person_id=thread.person_id,
        direction="out",
        text="",
        mark=call.param("biz_opaque_callback_data"),
        app_id=call.who.app.id,
        created_at=call.world.seconds(),
    )
    if kind == "text":
        return attrs.evolve(message, text=_text(call))
    if kind in _MEDIA:
        return _with_media(call, message, kind)
    if kind == "location":
        place = _read(call, "location", _Location)
        return attrs.evolve(message, parts=(Part(type="location", name=place.name),))
    if kind == "reaction":
        told = _read(call, "reaction", _Reaction)
        if getattr(call.world.messages.get(told.message_id), "thread_id", "") != thread.id:
            raise _wrong("reaction.message_id is no message of this conversation")
        return attrs.evolve(message, text=told.emoji)
    if kind == "template":
        return attrs.evolve(message, text=_template(call))
    raise _refusal(131051, "Unsupported message type", f"This sandbox sends no messages of type {kind[:40]}")


def _text(call: Call) -> str:
    if not call.param("text"):
        raise _refusal(131008, "Required parameter is missing", "text is missing")
    body = _read(call, "text", _Text).body
    if not body.strip():
        raise _refusal(131008, "Required parameter is missing", "text.body is missing")
    if len(body) > _LONGEST_TEXT:
        raise _wrong(f"text.body is longer than {_LONGEST_TEXT} characters")
    return body


def _with_media(call: Call, message: Message, kind: str) -> Message:
    if not call.param(kind):
        raise _refusal(131008, "Required parameter is missing", f"{kind} is missing")
    media = _read(call, kind, _Media)
    if not media.link and not media.id:
        raise _refusal(131008, "Required parameter is missing", f"{kind}.link or {kind}.id is missing")
    if len(media.caption) > _LONGEST_CAPTION:
        raise _wrong(f"{kind}.caption is longer than {_LONGEST_CAPTION} characters")
    part = Part(type={"document": "file"}.get(kind, kind), url=media.link or media.id, name=media.filename)
    return attrs.evolve(message, text=media.caption, parts=(part,))


def _template(call: Call) -> str:
    name = _read(call, "template", _Template).name if call.param("template") else ""
    if name not in TEMPLATES:
        raise _refusal(
            132001, "Template name does not exist in the translation", f"template name ({name[:80]})"
        )
    return f"[template {name}]"


def _answered(call: Call, number: PhoneNumber) -> str:
    """The message of the same number that this one answers."""
    if not call.param("context"):
        return ""
    message_id = _read(call, "context", _Context).message_id
    known = call.world.messages.get(message_id)
    if known is None or known.channel_id != number.id:
        raise _wrong("context.message_id is no message of this number")
    return message_id


def _read(call: Call, name: str, kind: type[S]) -> S:
    try:
        return msgspec.json.decode(call.param(name).encode("utf-8", "replace"), type=kind)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise _wrong(f"{name} is no such object") from error


def _wrong(details: str) -> GraphError:
    return _refusal(131009, "Parameter value is not valid", details)


def _refusal(code: int, meaning: str, details: str) -> GraphError:
    """How the Cloud API refuses: the meaning of the code, and in `error_data` what it is about."""
    data: Mapping[str, Json] = {"messaging_product": "whatsapp", "details": details}
    return GraphError(GraphFailure(message=f"(#{code}) {meaning}", code=code, data=data))


ROUTES: tuple[AnyRoute, ...] = (
    Route[PhoneNumber](
        method="POST", node=PhoneNumber, edge="messages", handle=send_message, usage="whatsapp"
    ),
)
