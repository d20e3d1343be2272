"""What webhooks say of messages: Messenger and Instagram in `messaging`, WhatsApp in `changes`.

https://developers.facebook.com/docs/messenger-platform/reference/webhook-events ·
https://developers.facebook.com/docs/whatsapp/cloud-api/webhooks/components
"""

from collections.abc import Mapping, Sequence

from moorage_facebook.sandbox.entities import PhoneNumber
from moorage_facebook.sandbox.jsontext import Json
from moorage_facebook.sandbox.news import News, Object, change
from moorage_facebook.sandbox.social import Face, Message, Part, Thread
from moorage_facebook.sandbox.state import World

LOVE, LIKE = "\u2764\ufe0f", "\U0001f44d"
REACTIONS: Mapping[str, str] = {
    LOVE: "love",
    "\u2764": "love",
    "\U0001f606": "smile",
    "\U0001f622": "sad",
    "\U0001f621": "angry",
    LIKE: "like",
    "\U0001f44e": "dislike",
    "\U0001f62e": "wow",
}
_MIME: Mapping[str, str] = {
    "image": "image/jpeg",
    "video": "video/mp4",
    "audio": "audio/ogg; codecs=opus",
    "document": "application/pdf",
    "sticker": "image/webp",
}


def message_news(world: World, thread: Thread, message: Message) -> News:
    """A message of the person, or an echo of what the channel sent."""
    if thread.channel == "whatsapp":
        return _whatsapp(world, thread, {"messages": [_whatsapp_message(world, message)]})
    told: dict[str, Json] = {"mid": message.id}
    if message.direction == "out":
        told |= {"is_echo": True, "app_id": int(message.app_id or 0)}
        told |= {"metadata": message.mark} if message.mark else {}
    told |= _content(message)
    field = "message_echoes" if message.direction == "out" and thread.channel == "messenger" else "messages"
    return _messaging(
        thread, field, {"message": told}, message.created_ms, is_echo=message.direction == "out"
    )


def pressed_news(world: World, thread: Thread, message: Message) -> News:
    """A button was pressed: a postback, or on WhatsApp a message of its own kind."""
    if thread.channel == "whatsapp":
        return message_news(world, thread, message)
    told: Json = {"mid": message.id, "title": message.text, "payload": message.payload}
    return _messaging(thread, "messaging_postbacks", {"postback": told}, message.created_ms)


def edit_news(world: World, thread: Thread, message: Message) -> News:
    """The person changed the text."""
    if thread.channel == "whatsapp":
        edit: Json = {
            "original_message_id": message.id,
            "message": {"type": "text", "text": {"body": message.text}},
        }
        return _whatsapp_act(world, thread, message, "edit", edit)
    told: Json = {"mid": message.id, "text": message.text, "num_edit": str(message.edits)}
    field = "message_edits" if thread.channel == "messenger" else "message_edit"
    return _messaging(thread, field, {"message_edit": told}, world.millis())


def unsent_news(world: World, thread: Thread, message: Message) -> News:
    """The person took the message back: the same id, and that it is deleted."""
    if thread.channel == "whatsapp":
        return _whatsapp_act(world, thread, message, "revoke", {"original_message_id": message.id})
    told: Json = {"mid": message.id, "is_deleted": True}
    return _messaging(thread, "messages", {"message": told}, world.millis())


def reaction_news(world: World, thread: Thread, message: Message, emoji: str) -> News:
    """The person reacted to a message; without an emoji, they took that back."""
    if thread.channel == "whatsapp":
        reaction: dict[str, Json] = {"message_id": message.id}
        return _whatsapp_act(
            world, thread, message, "reaction", {**reaction, "emoji": emoji} if emoji else reaction
        )
    told: dict[str, Json] = {"mid": message.id, "action": "react" if emoji else "unreact"}
    if emoji:
        told |= {"reaction": REACTIONS.get(emoji, "other"), "emoji": emoji}
    return _messaging(thread, "message_reactions", {"reaction": told}, world.millis())


def delivered_news(world: World, thread: Thread, messages: Sequence[Message]) -> list[News]:
    """Messages of the channel arrived. Instagram does not tell."""
    if thread.channel == "instagram" or not messages:
        return []
    if thread.channel == "whatsapp":
        return [_status(world, thread, message, "delivered") for message in messages]
    told: Json = {"mids": [message.id for message in messages], "watermark": thread.delivered_at}
    return [_messaging(thread, "message_deliveries", {"delivery": told}, None)]


def read_news(world: World, thread: Thread, messages: Sequence[Message]) -> list[News]:
    """Messages of the channel were read: up to a moment, or (Instagram) up to a message."""
    if thread.channel == "whatsapp":
        return [_status(world, thread, message, "read") for message in messages]
    if thread.channel == "messenger":
        told: Json = {"watermark": thread.read_at}
        return [_messaging(thread, "message_reads", {"read": told}, thread.read_at)]
    return [
        _messaging(thread, "messaging_seen", {"read": {"mid": message.id}}, thread.read_at)
        for message in messages[-1:]
    ]


def sent_news(world: World, thread: Thread, message: Message) -> list[News]:
    """WhatsApp says of each message that it left."""
    return [_status(world, thread, message, "sent")] if thread.channel == "whatsapp" else []


def _messaging(
    thread: Thread, field: str, told: Mapping[str, Json], at: int | None, *, is_echo: bool = False
) -> News:
    person, channel = {"id": thread.person_id}, {"id": thread.channel_id}
    sender, recipient = (channel, person) if is_echo else (person, channel)
    stamp: dict[str, Json] = {} if at is None else {"timestamp": at}
    kind: Object = "instagram" if thread.channel == "instagram" else "page"
    return News(
        object=kind,
        field=field,
        owner_id=thread.page_id,
        entry_id=thread.channel_id,
        item={"sender": sender, "recipient": recipient, **stamp, **told},
        is_messaging=True,
    )


def _content(message: Message) -> dict[str, Json]:
    told: dict[str, Json] = {"text": message.text} if message.text else {}
    if message.payload:
        told["quick_reply"] = {"payload": message.payload}
    if message.reply_to:
        told["reply_to"] = {"mid": message.reply_to}
    if message.parts:
        told["attachments"] = [_attached(part) for part in message.parts]
    return told


def _attached(part: Part) -> Json:
    if part.type == "location":
        return {"type": "location", "payload": {"coordinates": {"lat": 52.5, "long": 13.4}}}
    return {"type": part.type, "payload": {"url": part.url}}


def _whatsapp(world: World, thread: Thread, more: Mapping[str, Json]) -> News:
    number = world.phone_numbers.get(thread.channel_id)
    value: dict[str, Json] = {"messaging_product": "whatsapp", "metadata": _metadata(number)}
    face = world.faces.get(thread.person_id)
    if face is not None:
        value["contacts"] = [_contact(face)]
    account_id = number.account_id if number else ""
    return change(account_id, "messages", {**value, **more}, object="whatsapp_business_account")


def _metadata(number: PhoneNumber | None) -> Json:
    if number is None:
        return {}
    return {"display_phone_number": number.digits, "phone_number_id": number.id}


def _contact(face: Face) -> Json:
    return {"profile": {"name": face.name}, "wa_id": face.id, "user_id": face.user_id}


def _whatsapp_message(world: World, message: Message) -> Json:
    told: dict[str, Json] = {
        "from": message.person_id,
        "from_user_id": _user_id(world, message.person_id),
        "id": message.id,
        "timestamp": str(message.created_at),
    }
    if message.reply_to:
        number = world.phone_numbers.get(message.channel_id)
        told["context"] = {"from": number.digits if number else "", "id": message.reply_to}
    if message.payload:
        return {**told, "type": "button", "button": {"payload": message.payload, "text": message.text}}
    if message.parts:
        return {**told, **_whatsapp_part(message.parts[0], message)}
    return {**told, "type": "text", "text": {"body": message.text}}


def _whatsapp_part(part: Part, message: Message) -> dict[str, Json]:
    if part.type == "location":
        place: Json = {"latitude": 52.5, "longitude": 13.4, "name": part.name or "Here"}
        return {"type": "location", "location": place}
    kind = {"file": "document"}.get(part.type, part.type)
    media: dict[str, Json] = {"id": message.id[-16:], "mime_type": _MIME[kind], "sha256": "", "url": part.url}
    if message.text:
        media["caption"] = message.text
    if kind == "document":
        media["filename"] = part.name or "document.pdf"
    return {"type": kind, kind: media}


def _whatsapp_act(world: World, thread: Thread, message: Message, kind: str, told: Json) -> News:
    """An edit, a revocation or a reaction is a message of its own."""
    act: Json = {
        "from": thread.person_id,
        "from_user_id": _user_id(world, thread.person_id),
        "id": f"wamid.{world.new_id()}",
        "timestamp": str(world.seconds()),
        "type": kind,
        kind: told,
    }
    return _whatsapp(world, thread, {"messages": [act]})


def _status(world: World, thread: Thread, message: Message, state: str) -> News:
    status: dict[str, Json] = {
        "id": message.id,
        "status": state,
        "timestamp": str(world.seconds()),
        "recipient_id": thread.person_id,
        "recipient_user_id": _user_id(world, thread.person_id),
    }
    if message.mark:
        status["biz_opaque_callback_data"] = message.mark
    if state in {"sent", "delivered"}:
        status["pricing"] = {
            "billable": False,
            "pricing_model": "PMP",
            "category": "service",
            "type": "free_customer_service",
        }
    return _whatsapp(world, thread, {"statuses": [status]})


def _user_id(world: World, person_id: str) -> str:
    face = world.faces.get(person_id)
    return face.user_id if face else ""
