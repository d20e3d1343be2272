"""Conversations: where messages stand, and until when a channel may answer.

https://developers.facebook.com/docs/messenger-platform/policy/policy-overview
"""

import base64
import secrets

import attrs

from moorage_facebook.sandbox.entities import Page, PhoneNumber
from moorage_facebook.sandbox.social import Channel, InstagramAccount, Message, Thread
from moorage_facebook.sandbox.state import World

WINDOW = 24 * 3_600 * 1_000
"""Milliseconds after a person's last message for which the channel may answer."""
HUMAN_WINDOW = 7 * WINDOW
"""The same for a human agent."""

Inbox = Page | InstagramAccount | PhoneNumber


def thread_with(world: World, channel: Inbox, person_id: str) -> Thread:
    """The conversation of a channel with a person; begun if there was none."""
    known = next(iter(world.threads.of(f"{channel.id}:{person_id}")), None)
    if known is not None:
        return known
    page_id = "" if isinstance(channel, PhoneNumber) else getattr(channel, "page_id", channel.id)
    return world.threads.put(
        Thread(
            id=f"t_{world.new_id()}",
            channel=channel_kind(channel),
            channel_id=channel.id,
            page_id=page_id,
            person_id=person_id,
            updated_at=world.millis(),
        )
    )


def channel_kind(channel: Inbox) -> Channel:
    """What people call it."""
    if isinstance(channel, Page):
        return "messenger"
    return "instagram" if isinstance(channel, InstagramAccount) else "whatsapp"


def new_message_id(channel: Channel) -> str:
    """As each of them writes ids; each stands whole in a path, so none holds a slash."""
    if channel == "whatsapp":
        # Base64 of a head, the hexadecimal digits of a number, and a foot: no slash comes of these.
        digits = secrets.token_hex(9).upper().encode()
        return "wamid." + base64.b64encode(b"\x11\x18\x12" + digits + b"\x00").decode()
    start = "m_" if channel == "messenger" else "aWdfZAG1f"
    return start + secrets.token_urlsafe(60)


def keep(world: World, thread: Thread, message: Message) -> tuple[Thread, Message]:
    """Put a message into its conversation; messages of one conversation are never of the same moment."""
    at = max(world.millis(), thread.updated_at + 1)
    dated = attrs.evolve(message, thread_id=thread.id, created_ms=at, created_at=at // 1_000)
    world.messages.put(dated)
    moved = attrs.evolve(thread, updated_at=at)
    if message.direction == "in":
        moved = attrs.evolve(moved, last_in_at=at, read_at=at, delivered_at=at)
    return world.threads.put(moved), dated


def written(world: World, thread: Thread) -> list[Message]:
    """The messages of a conversation, oldest first."""
    return sorted(world.messages.of(thread.id), key=lambda message: message.created_ms)


def is_open(world: World, thread: Thread, *, for_humans: bool = False) -> bool:
    """Whether the channel may still answer."""
    length = HUMAN_WINDOW if for_humans else WINDOW
    return bool(thread.last_in_at) and world.millis() - thread.last_in_at <= length


def delivered(world: World, thread: Thread) -> tuple[Thread, list[Message]]:
    """What the channel sent since the last time is on the person's phone now."""
    new = [
        row
        for row in written(world, thread)
        if row.direction == "out" and row.created_ms > thread.delivered_at
    ]
    if not new:
        return thread, []
    return world.threads.put(attrs.evolve(thread, delivered_at=new[-1].created_ms)), new


def read(world: World, thread: Thread, up_to: Message | None = None) -> tuple[Thread, list[Message]]:
    """The person reads what the channel sent, all of it or up to one message."""
    until = up_to.created_ms if up_to else thread.updated_at
    new = [
        row
        for row in written(world, thread)
        if row.direction == "out" and thread.read_at < row.created_ms <= until
    ]
    at = max(until, thread.read_at)
    return world.threads.put(attrs.evolve(thread, read_at=at, delivered_at=max(at, thread.delivered_at))), new
