"""What people do in conversations: write, change and unsend, react, read, block, hide. The app is told."""

import re
from collections.abc import Sequence

import attrs

from moorage_facebook.sandbox.bodies import MessagesBody
from moorage_facebook.sandbox.crowd import SOMEBODY
from moorage_facebook.sandbox.entities import PhoneNumber
from moorage_facebook.sandbox.faces import crowd, face_by_phone, face_on, person_named
from moorage_facebook.sandbox.given import UnworkableError, manner_of, page_given
from moorage_facebook.sandbox.jsontext import Json
from moorage_facebook.sandbox.message_news import (
    edit_news,
    message_news,
    pressed_news,
    reaction_news,
    read_news,
    unsent_news,
)
from moorage_facebook.sandbox.news import News
from moorage_facebook.sandbox.social import Face, Message, Part, Person, Thread
from moorage_facebook.sandbox.state import World
from moorage_facebook.sandbox.threads import Inbox, keep, new_message_id, read, thread_with
from moorage_facebook.sandbox.webhooks import WebhookSender


def act_on_messages(world: World, sender: WebhookSender, body: MessagesBody) -> dict[str, Json]:
    """Do what the body says, and tell the app of it.

    Raises:
        UnworkableError: What is named is not there, or this can't be done to it.
    """
    channel = inbox(world, body)
    if body.action in {"send", "press"}:
        made, news = _write(world, body, channel)
    else:
        made, news = _change(world, body, channel)
    sent = sender.tell(news, manner_of(body))
    rows: list[Json] = [
        {"id": row.id, "personId": row.person_id, "threadId": row.thread_id, "createdAt": row.created_ms}
        for row in made
    ]
    answer: dict[str, Json] = {"messages": rows, "deliveries": [delivery.id for delivery in sent]}
    if news and not sent:
        answer["skipped"] = f"no app listens to {news[0].object}/{news[0].field} here"
    return answer


def inbox(world: World, body: MessagesBody) -> Inbox:
    """Where the people write to.

    Raises:
        UnworkableError: There is no such channel.
    """
    found: Inbox | None
    if body.channel == "whatsapp":
        found = (
            world.phone_numbers.get(body.channel_id)
            if body.channel_id
            else next(iter(world.phone_numbers), None)
        )
    elif body.channel == "instagram":
        known = world.instagram_accounts.get(body.channel_id or "")
        found = known or world.instagram_of(page_given(world, body.page_id))
    else:
        found = page_given(world, body.channel_id or body.page_id)
    if found is None:
        raise UnworkableError(f"there is no such {body.channel} channel")
    return found


def _write(world: World, body: MessagesBody, channel: Inbox) -> tuple[Sequence[Message], list[News]]:
    if not (body.text or body.attachments or body.payload):
        raise UnworkableError("a message needs a text or an attachment")
    if body.action == "press" and not (body.text and body.payload):
        raise UnworkableError("a button has a text and a payload")
    made: list[Message] = []
    news: list[News] = []
    writers = _writers(world, body, channel)
    for number in range(1, body.count + 1):
        face = writers[(number - 1) % len(writers)]
        thread = thread_with(world, channel, face.id)
        if body.reply_to and getattr(world.messages.get(body.reply_to), "thread_id", "") != thread.id:
            raise UnworkableError("replyTo is no message of this conversation")
        message = Message(
            id=new_message_id(thread.channel),
            channel=thread.channel,
            channel_id=channel.id,
            page_id=thread.page_id,
            person_id=face.id,
            direction="in",
            text=body.text.replace("{n}", str(number)),
            parts=tuple(Part(type=part.type, url=part.url, name=part.name) for part in body.attachments),
            payload=body.payload,
            reply_to=body.reply_to,
            created_at=world.seconds(),
        )
        thread, kept = keep(world, thread, message)
        made.append(kept)
        tell = pressed_news if body.action == "press" else message_news
        news.append(tell(world, thread, kept))
    return made, news


def _change(world: World, body: MessagesBody, channel: Inbox) -> tuple[Sequence[Message], list[News]]:
    if body.action in {"hide", "show"}:
        face = _writer(world, body, channel)
        world.faces.put(attrs.evolve(face, is_hidden=body.action == "hide"))
        return [], []
    if body.action in {"read", "block", "unblock"} and not body.message_id:
        face = _writer(world, body, channel)
        return _of_a_thread(world, body, thread_with(world, channel, face.id), None)
    message = world.messages.get(body.message_id or "")
    thread = world.threads.get(message.thread_id) if message else None
    if message is None or thread is None:
        raise UnworkableError("there is no such message")
    if body.action in {"read", "block", "unblock"}:
        return _of_a_thread(world, body, thread, message)
    if body.action in {"react", "unreact"}:
        emoji = body.emoji if body.action == "react" else ""
        changed = world.messages.put(attrs.evolve(message, reaction=emoji))
        return [changed], [reaction_news(world, thread, changed, emoji)]
    if message.direction != "in" or message.is_removed:
        raise UnworkableError("people change only what they wrote themselves")
    if body.action == "edit":
        changed = world.messages.put(attrs.evolve(message, text=body.text, edits=message.edits + 1))
        return [changed], [edit_news(world, thread, changed)]
    changed = world.messages.put(attrs.evolve(message, text="", parts=(), is_removed=True))
    return [changed], [unsent_news(world, thread, changed)]


def _of_a_thread(
    world: World, body: MessagesBody, thread: Thread, message: Message | None
) -> tuple[Sequence[Message], list[News]]:
    if body.action == "read":
        thread, new = read(world, thread, message)
        return new, read_news(world, thread, new)
    world.threads.put(attrs.evolve(thread, is_blocked=body.action == "block"))
    return [], []


def _writers(world: World, body: MessagesBody, channel: Inbox) -> list[Face]:
    """Who writes: the one who is named, or, of many messages, many people."""
    if body.count == 1 or body.person or body.person_id or body.phone:
        return [_writer(world, body, channel)]
    return [_face(world, person, channel) for person in crowd(world, min(body.count, 500))]


def _writer(world: World, body: MessagesBody, channel: Inbox) -> Face:
    if body.person_id:
        known = world.faces.get(body.person_id)
        if known is None or known.channel_id not in {channel.id, "whatsapp"}:
            raise UnworkableError("there is no such person on this channel")
        return known
    if body.phone:
        digits = re.sub(r"[^0-9]", "", body.phone)
        return face_by_phone(world, digits, person_named(world, body.person) if body.person else None)
    return _face(world, person_named(world, body.person or SOMEBODY), channel)


def _face(world: World, person: Person, channel: Inbox) -> Face:
    if isinstance(channel, PhoneNumber):
        return face_by_phone(world, person.phone, person)
    return face_on(world, person, channel)
