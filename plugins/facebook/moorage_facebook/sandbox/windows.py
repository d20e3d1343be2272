"""The windows: Messenger, Instagram and WhatsApp as the person on the other side sees them."""

from collections.abc import Mapping
from urllib.parse import urlencode

import attrs
import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from moorage_facebook.sandbox import bodies
from moorage_facebook.sandbox.crowd import SOMEBODY
from moorage_facebook.sandbox.entities import Page
from moorage_facebook.sandbox.faces import person_named
from moorage_facebook.sandbox.given import UnworkableError
from moorage_facebook.sandbox.html import Incoming, form_sent, redirect, show
from moorage_facebook.sandbox.message_news import LIKE, LOVE, REACTIONS
from moorage_facebook.sandbox.social import InstagramAccount, Message, Thread
from moorage_facebook.sandbox.state import World
from moorage_facebook.sandbox.talks import act_on_messages
from moorage_facebook.sandbox.threads import WINDOW, Inbox, is_open, written
from moorage_facebook.sandbox.walls import viewer, who_is_here
from moorage_facebook.sandbox.webhooks import WebhookSender

TheWorld = NamedDependency[World]
TheSender = NamedDependency[WebhookSender]

_SHOWN = 200
_TITLES: Mapping[str, str] = {"messenger": "Messenger", "instagram": "Instagram", "whatsapp": "WhatsApp"}
_ACTS = frozenset({"send", "edit", "unsend", "react", "unreact", "read", "block", "unblock"})


@attrs.frozen(kw_only=True)
class Bubble:
    """A message as the person sees it."""

    id: str
    is_mine: bool
    text: str
    at: float
    parts: tuple[str, ...]
    answers: str  # what it answers, in a few words
    reaction: str
    is_edited: bool
    is_removed: bool
    state: str  # of what the business sent


@get("/sandbox/messages/{channel:str}/{channel_id:str}")
async def window(
    world: TheWorld, request: Incoming, channel: FromPath[str], channel_id: FromPath[str]
) -> Response[str]:
    """One person's conversation with one channel, and who else talks there."""
    inbox = _inbox(world, channel, channel_id)
    me = viewer(request)
    thread = _thread(world, inbox, me)
    rows = written(world, thread)[-_SHOWN:] if thread else []
    others = sorted(world.threads.of(inbox.id), key=lambda row: -row.updated_at)[:50]
    return show(
        "window.html",
        channel=channel,
        title=_TITLES[channel],
        love=LOVE,
        like=LIKE,
        inbox=inbox,
        name=_name(inbox),
        page=inbox if isinstance(inbox, Page) else None,
        thread=thread,
        open_until=(thread.last_in_at + WINDOW) / 1_000 if thread and is_open(world, thread) else 0,
        bubbles=[_bubble(world, thread, row) for row in rows] if thread else [],
        others=[(_person_of(world, row), row) for row in others],
        more=who_is_here(world, me),
    )


@post("/sandbox/messages/{channel:str}/{channel_id:str}")
async def write(
    world: TheWorld, sender: TheSender, request: Incoming, channel: FromPath[str], channel_id: FromPath[str]
) -> Response[str]:
    """Every button of a window."""
    inbox = _inbox(world, channel, channel_id)
    given = await form_sent(request)
    me = given.get("as", "").strip()[:80] or SOMEBODY
    try:
        _act(world, sender, inbox, channel, given, me)
    except (UnworkableError, msgspec.ValidationError) as problem:
        return show("problem.html", title="That did not work", text=str(problem), status=400)
    return redirect(f"/sandbox/messages/{channel}/{inbox.id}?{urlencode({'as': me})}#end")


@get("/sandbox/threads/{thread_id:str}")
async def one_thread(world: TheWorld, thread_id: FromPath[str]) -> Response[str]:
    """Where Graph's `link` of a conversation leads."""
    thread = world.threads.get(thread_id)
    if thread is None:
        raise NotFoundException
    query = urlencode({"as": _person_of(world, thread)})
    return redirect(f"/sandbox/messages/{thread.channel}/{thread.channel_id}?{query}#end")


def _act(
    world: World, sender: WebhookSender, inbox: Inbox, channel: str, given: Mapping[str, str], me: str
) -> None:
    action = given.get("do", "send")
    if action not in _ACTS:
        raise UnworkableError("This button does nothing.")
    values: dict[str, object] = {
        "channel": channel,
        "channelId": inbox.id,
        "action": action,
        "person": me,
        "text": given.get("text", "").strip(),
        "replyTo": given.get("replyTo", ""),
    }
    if given.get("message"):
        values["messageId"] = given["message"]
    if given.get("emoji"):
        values["emoji"] = given["emoji"]
    if given.get("picture", "").strip():
        values["attachments"] = [{"type": "image", "url": given["picture"].strip()}]
    act_on_messages(world, sender, msgspec.convert(values, type=bodies.MessagesBody))


def _inbox(world: World, channel: str, channel_id: str) -> Inbox:
    tables = {
        "messenger": world.pages.get,
        "instagram": world.instagram_accounts.get,
        "whatsapp": world.phone_numbers.get,
    }
    found = tables[channel](channel_id) if channel in tables else None
    if found is None:
        raise NotFoundException
    return found


def _name(inbox: Inbox) -> str:
    return inbox.username if isinstance(inbox, InstagramAccount) else inbox.name


def _thread(world: World, inbox: Inbox, me: str) -> Thread | None:
    """The conversation of whoever looks, if they ever wrote."""
    person = next(iter(world.persons.of(me)), None)
    if person is None:
        return None
    for face in (row for row in world.faces if row.person_id == person.id):
        known = next(iter(world.threads.of(f"{inbox.id}:{face.id}")), None)
        if known is not None:
            return known
    return None


def _person_of(world: World, thread: Thread) -> str:
    face = world.faces.get(thread.person_id)
    return face.name if face else person_named(world, thread.person_id).name


def _bubble(world: World, thread: Thread, row: Message) -> Bubble:
    answered = world.messages.get(row.reply_to) if row.reply_to else None
    state = ""
    if row.direction == "out":
        state = "sent"
        if row.created_ms <= thread.delivered_at:
            state = "delivered"
        if row.created_ms <= thread.read_at:
            state = "read"
    return Bubble(
        id=row.id,
        is_mine=row.direction == "in",
        text=row.text,
        at=row.created_ms / 1_000,
        parts=tuple(part.url or part.type for part in row.parts),
        answers=answered.text[:60] if answered else "",
        reaction=REACTIONS.get(row.reaction, row.reaction),
        is_edited=row.edits > 0,
        is_removed=row.is_removed,
        state=state,
    )


WINDOWS = (window, write, one_thread)
