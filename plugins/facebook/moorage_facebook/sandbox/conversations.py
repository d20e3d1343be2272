"""What Graph shows of conversations: the threads of a Page, their messages, and who people are.

https://developers.facebook.com/docs/graph-api/reference/page/conversations ·
https://developers.facebook.com/docs/graph-api/reference/conversation ·
https://developers.facebook.com/docs/messenger-platform/identity/user-profile ·
https://developers.facebook.com/docs/messenger-platform/instagram/features/user-profile
"""

from typing import Final

import attrs

from moorage_facebook.sandbox.entities import Page
from moorage_facebook.sandbox.errors import GraphError, GraphFailure, invalid, not_found
from moorage_facebook.sandbox.faces import author_name
from moorage_facebook.sandbox.jsontext import Json, graph_time
from moorage_facebook.sandbox.messaging import INSTAGRAM, MESSENGER, need
from moorage_facebook.sandbox.paging import connection, newest_first
from moorage_facebook.sandbox.social import Face, InstagramAccount, Message, Thread
from moorage_facebook.sandbox.state import World
from moorage_facebook.sandbox.threads import is_open, written
from moorage_facebook.sandbox.wire import AnyRoute, AnyShape, Call, Route, Shape, nothing, render

_SNIPPET = 100
_UNREADABLE: Final = "Insufficient permission to access user profile."
_NO_PROFILE: Final = "No profile available for this user."
# Each of the two shows people by fields of its own.
_NOT_ON_INSTAGRAM: Final = frozenset({"first_name", "last_name"})
_NOT_ON_MESSENGER: Final = frozenset({"username"})


async def list_page_threads(call: Call, page: Page) -> Json:
    """`GET /{page}/conversations`: the newest first; `platform=instagram` for the account's.

    Raises:
        GraphError: 100 for another platform.
    """
    platform = call.param("platform").lower() or "messenger"
    if platform not in {"messenger", "instagram"}:
        raise invalid("Param platform must be one of {INSTAGRAM, MESSENGER}")
    account = call.world.instagram_of(page)
    if platform == "messenger":
        return await _listed(call, page.id)
    need(call, INSTAGRAM)
    return await _listed(call, account.id if account else "")


async def list_account_threads(call: Call, account: InstagramAccount) -> Json:
    """`GET /{ig}/conversations`."""
    return await _listed(call, account.id)


async def _listed(call: Call, channel_id: str) -> Json:
    threads = call.world.threads.of(channel_id)
    if call.param("user_id"):
        threads = [row for row in threads if row.person_id == call.param("user_id")]
    return await connection(call, newest_first(threads, _touched), _touched)


async def read_thread(call: Call, thread: Thread) -> Json:
    """`GET /{conversation}`."""
    _may_read(call, thread)
    return await render(call, thread, call.fields())


async def list_messages(call: Call, thread: Thread) -> Json:
    """`GET /{conversation}/messages`: the newest first."""
    _may_read(call, thread)
    rows = [row for row in reversed(written(call.world, thread)) if not row.is_removed]
    return await connection(call, rows, _sent)


async def read_message(call: Call, message: Message) -> Json:
    """`GET /{message}`."""
    _may_read(call, message)
    return await render(call, message, call.fields())


async def read_person(call: Call, face: Face) -> Json:
    """`GET /{page-scoped id}`, `GET /{Instagram-scoped id}`: who wrote.

    Raises:
        GraphError: 230 (Instagram) or 100/2018247 for somebody who never wrote to this channel, 100/2018218
            or 100/33 for somebody who hides, 100 for a field that the other channel has.
    """
    _may_read(call, face)
    on_instagram = face.channel_id in call.world.instagram_accounts
    thread = next(iter(call.world.threads.of(f"{face.channel_id}:{face.id}")), None)
    if thread is None or not thread.last_in_at:
        raise _no_consent() if on_instagram else invalid(_UNREADABLE, subcode=2018247)
    if face.is_hidden:
        raise not_found(call.method, face.id) if on_instagram else invalid(_NO_PROFILE, subcode=2018218)
    for field in call.fields():
        if field.name in (_NOT_ON_INSTAGRAM if on_instagram else _NOT_ON_MESSENGER):
            raise invalid(f"Tried accessing nonexisting field ({field.name})")
    if on_instagram and not call.param("fields"):
        call = attrs.evolve(call, params={**call.params, "fields": "name,username"})
    return await render(call, face, call.fields())


def _no_consent() -> GraphError:
    message = "(#230) User consent is required to access user profile"
    return GraphError(GraphFailure(message=message, code=230))


def _may_read(call: Call, node: Thread | Message | Face) -> None:
    """WhatsApp shows nothing of all this, and Instagram's is a permission of its own.

    Raises:
        GraphError: 100/33 or 10.
    """
    if call.world.page_of(node) is None:
        raise not_found(call.method, node.id)
    need(call, INSTAGRAM if node.channel_id in call.world.instagram_accounts else MESSENGER)


def _touched(thread: Thread) -> int:
    return thread.updated_at


def _sent(message: Message) -> int:
    return message.created_ms


def unread(world: World, thread: Thread) -> int:
    """How many messages of the person the business has not seen."""
    return sum(
        row.direction == "in" and row.created_ms > thread.seen_at for row in world.messages.of(thread.id)
    )


def _snippet(call: Call, thread: Thread) -> Json:
    rows = [row for row in written(call.world, thread) if not row.is_removed]
    return rows[-1].text[:_SNIPPET] if rows else None


def _ours(world: World, channel_id: str) -> dict[str, Json]:
    account = world.instagram_accounts.get(channel_id)
    if account is not None:
        return {"username": account.username, "id": account.id}
    page = world.pages.get(channel_id)
    return {"name": page.name if page else "", "id": channel_id}


def _theirs(world: World, person_id: str, channel_id: str) -> dict[str, Json]:
    face = world.faces.get(person_id)
    if channel_id in world.instagram_accounts:
        return {"username": face.username if face else "", "id": person_id}
    return {"name": author_name(world, person_id), "id": person_id}


def _participants(call: Call, thread: Thread) -> Json:
    world = call.world
    return {"data": [_theirs(world, thread.person_id, thread.channel_id), _ours(world, thread.channel_id)]}


def _from(call: Call, message: Message) -> Json:
    if message.direction == "out":
        return _ours(call.world, message.channel_id)
    return _theirs(call.world, message.person_id, message.channel_id)


def _to(call: Call, message: Message) -> Json:
    if message.direction == "in":
        return {"data": [_ours(call.world, message.channel_id)]}
    return {"data": [_theirs(call.world, message.person_id, message.channel_id)]}


def _attachments(_: Call, message: Message) -> Json:
    data: list[Json] = [
        {
            "id": f"{message.id[-12:]}{number}",
            "mime_type": f"{part.type}/*",
            "name": part.name,
            "file_url": part.url,
        }
        for number, part in enumerate(message.parts)
    ]
    return {"data": data} if data else None


def _link(call: Call, thread: Thread) -> Json:
    return f"{call.world.plan.base_url.rstrip('/')}/sandbox/threads/{thread.id}"


ROUTES: tuple[AnyRoute, ...] = (
    Route[Page](
        method="GET",
        node=Page,
        edge="conversations",
        handle=list_page_threads,
        scopes=MESSENGER,
        page_token=True,
        usage="messenger",
    ),
    Route[InstagramAccount](
        method="GET",
        node=InstagramAccount,
        edge="conversations",
        handle=list_account_threads,
        scopes=INSTAGRAM,
        page_token=True,
        usage="messenger",
    ),
    Route[Thread](method="GET", node=Thread, handle=read_thread, page_token=True, usage="messenger"),
    Route[Thread](
        method="GET",
        node=Thread,
        edge="messages",
        handle=list_messages,
        page_token=True,
        usage="messenger",
    ),
    Route[Message](method="GET", node=Message, handle=read_message, page_token=True, usage="messenger"),
    Route[Face](method="GET", node=Face, handle=read_person, page_token=True, usage="messenger"),
)

SHAPES: tuple[AnyShape, ...] = (
    Shape[Thread](
        node=Thread,
        title="UnifiedThread",
        default=("link", "updated_time"),
        readers={
            "link": _link,
            "updated_time": lambda _, thread: graph_time(thread.updated_at // 1_000),
            "message_count": lambda call, thread: call.world.messages.count(thread.id),
            "unread_count": lambda call, thread: unread(call.world, thread),
            "snippet": _snippet,
            "participants": _participants,
            "senders": _participants,
            "can_reply": lambda call, thread: is_open(call.world, thread),
            "folder": lambda _, __: "inbox",
            "is_subscribed": lambda _, __: True,
            "name": nothing,
            "scoped_thread_key": nothing,
            "wallpaper": nothing,
        },
    ),
    Shape[Message](
        node=Message,
        title="Message",
        default=("created_time",),
        readers={
            "created_time": lambda _, message: graph_time(message.created_at),
            "message": lambda _, message: message.text,
            "from": _from,
            "to": _to,
            "attachments": _attachments,
            "tags": lambda _, __: {"data": [{"name": "inbox"}]},
            "is_unsupported": lambda _, __: None,
            "reply_to": lambda _, message: {"mid": message.reply_to} if message.reply_to else None,
            "sticker": nothing,
            "shares": nothing,
            "thread_id": nothing,
        },
    ),
    Shape[Face](
        node=Face,
        title="User",
        default=("first_name", "last_name", "profile_pic"),
        readers={
            "name": lambda _, face: face.name,
            "first_name": lambda _, face: face.name.split(" ")[0],
            "last_name": lambda _, face: face.name.rpartition(" ")[2],
            "username": lambda _, face: face.username or None,
            "profile_pic": lambda call, _: f"{call.world.plan.base_url}/sandbox/static/person.svg",
        },
    ),
)
