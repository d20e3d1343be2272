"""Comments on a Page's posts: the lists, one comment, and what the Page does about it.

https://developers.facebook.com/docs/graph-api/reference/object/comments ·
https://developers.facebook.com/docs/graph-api/reference/comment
"""

from collections.abc import Callable, Sequence

import attrs

from moorage_facebook.sandbox.entities import Post
from moorage_facebook.sandbox.errors import GraphError, GraphFailure, invalid
from moorage_facebook.sandbox.faces import author_name
from moorage_facebook.sandbox.feed_news import comment_news
from moorage_facebook.sandbox.jsontext import Json, graph_time
from moorage_facebook.sandbox.paging import connection, newest_first
from moorage_facebook.sandbox.params import is_true, moment_param
from moorage_facebook.sandbox.social import Comment
from moorage_facebook.sandbox.state import World
from moorage_facebook.sandbox.wire import AnyRoute, AnyShape, Call, Route, Shape, nothing, render

READ = ("pages_read_engagement", "pages_read_user_content")
WRITE = ("pages_manage_engagement",)
LONGEST = 8_000
_ORDERS = ("chronological", "reverse_chronological")


async def list_post_comments(call: Call, post: Post) -> Json:
    """`GET /{post}/comments`: top-level ones, or of all levels (`filter=stream`)."""
    group = post.id if call.param("filter") == "stream" else f"{post.id}/top"
    return await _listed(call, call.world.comments.of(group))


async def list_replies(call: Call, comment: Comment) -> Json:
    """`GET /{comment}/comments`."""
    return await _listed(call, call.world.comments.of(comment.id))


async def _listed(call: Call, rows: Sequence[Comment]) -> Json:
    if call.param("filter") not in {"", "toplevel", "stream"}:
        raise invalid("Param filter must be one of {STREAM, TOPLEVEL}")
    order = call.param("order") or _ORDERS[0]
    if order not in _ORDERS:
        raise invalid("Param order must be one of {CHRONOLOGICAL, REVERSE_CHRONOLOGICAL}")
    if call.param("since"):
        since = moment_param("since", call.param("since"))
        rows = [row for row in rows if row.created_at >= since]
    rising = order == _ORDERS[0]
    listed = sorted(rows, key=_at) if rising else newest_first(rows, _at)
    more: dict[str, Json] = {"order": order, "can_comment": True}
    return await connection(call, listed, _at, rising=rising, summary=more)


async def comment_on_post(call: Call, post: Post) -> Json:
    """`POST /{post}/comments` -> `{"id"}`."""
    return _written(call, post, "")


async def reply(call: Call, comment: Comment) -> Json:
    """`POST /{comment}/comments` -> `{"id"}`; what answers a reply stands below the same comment."""
    post = call.world.posts.get(comment.post_id)
    if post is None:
        raise invalid("The post is gone")
    return _written(call, post, comment.parent_id or comment.id)


async def read_comment(call: Call, comment: Comment) -> Json:
    """`GET /{comment}`."""
    return await render(call, comment, call.fields())


async def change_comment(call: Call, comment: Comment) -> Json:
    """`POST /{comment}`: the Page rewrites its own, and hides (or shows) those of others.

    Raises:
        GraphError: 200 the other way round, 100 with nothing to change.
    """
    if "message" not in call.params and "is_hidden" not in call.params:
        raise invalid("Nothing to change: message or is_hidden must be given")
    is_own = comment.author_id == comment.page_id
    changed, verbs = comment, []
    if "message" in call.params:
        if not is_own:
            raise _not_allowed("edit")
        changed = attrs.evolve(changed, text=_text(call), edited_at=call.world.seconds())
        verbs.append("edited")
    if "is_hidden" in call.params:
        if is_own:
            raise _not_allowed("hide")
        hidden = is_true(call.param("is_hidden"))
        if hidden is not comment.is_hidden:
            changed = attrs.evolve(changed, is_hidden=hidden)
            verbs.append("hide" if hidden else "unhide")
    call.world.comments.put(changed)
    call.webhooks.tell([comment_news(call.world, changed, verb) for verb in verbs])
    return {"success": True}


async def delete_comment(call: Call, comment: Comment) -> Json:
    """`DELETE /{comment}`: its replies go with it."""
    remove(call.world, comment)
    call.webhooks.tell([comment_news(call.world, comment, "remove")])
    return {"success": True}


def add(world: World, post: Post, comment: Comment) -> Comment:
    """Put a new comment below its post, which is thereby newer."""
    world.comments.put(comment)
    touch(world, post, comment.created_at)
    return comment


def touch(world: World, post: Post, at: int) -> None:
    """A comment moves the time at which its post last changed; a reaction does not."""
    if at > post.updated_at:
        world.posts.put(attrs.evolve(post, updated_at=at))


def remove(world: World, comment: Comment) -> None:
    """Drop a comment, what answers it, and what people thought of both."""
    for reply_to in world.comments.of(comment.id):
        remove(world, reply_to)
    for reaction in world.reactions.of(comment.id):
        world.reactions.drop(reaction.id)
    world.comments.drop(comment.id)


def new_comment_id(world: World, post: Post) -> str:
    """The post's number and one of its own."""
    return f"{post.number}_{world.new_id()}"


def _written(call: Call, post: Post, parent_id: str) -> Json:
    """The Page writes."""
    world, url = call.world, call.param("attachment_url") or call.param("attachment_share_url")
    text = call.param("message")
    if not text and not url:
        raise invalid("Param message must be a non-empty string, or attachment_url must be given")
    comment = Comment(
        id=new_comment_id(world, post),
        page_id=post.page_id,
        post_id=post.id,
        parent_id=parent_id,
        author_id=post.page_id,
        text=_text(call) if text else "",
        photo_url=url,
        app_id=call.who.app.id,
        created_at=world.seconds(),
    )
    add(world, post, comment)
    call.webhooks.tell([comment_news(world, comment, "add")])
    return {"id": comment.id}


def _text(call: Call) -> str:
    text = call.param("message")
    if not text:
        raise invalid("Param message must be a non-empty string")
    if len(text) > LONGEST:
        raise invalid(f"Param message must be at most {LONGEST} characters long")
    return text


def _not_allowed(what: str) -> GraphError:
    message = f"(#200) You do not have permission to {what} this comment"
    return GraphError(GraphFailure(message=message, code=200))


def _at(comment: Comment) -> int:
    return comment.created_at


def _from(call: Call, comment: Comment) -> Json:
    return {"name": author_name(call.world, comment.author_id), "id": comment.author_id}


def _parent(call: Call, comment: Comment) -> Json:
    """The comment above, as Graph shows it by itself: without what stands around it."""
    parent = call.world.comments.get(comment.parent_id) if comment.parent_id else None
    if parent is None:
        return None
    return {
        "created_time": graph_time(parent.created_at),
        "from": _from(call, parent),
        "message": parent.text,
        "id": parent.id,
    }


def _attachment(_: Call, comment: Comment) -> Json:
    for kind, url in (
        ("photo", comment.photo_url),
        ("video_inline", comment.video_url),
        ("sticker", comment.sticker_url),
    ):
        if url:
            media: dict[str, Json] = {"image": {"height": 720, "width": 720, "src": url}}
            if kind == "video_inline":
                media["source"] = url
            return {"media": media, "target": {"url": url}, "type": kind, "url": url}
    return None


def _object(call: Call, comment: Comment) -> Json:
    post = call.world.posts.get(comment.post_id)
    return {"created_time": graph_time(post.created_at), "id": post.id} if post else None


def _liked_by_page(call: Call, comment: Comment) -> Json:
    return f"{comment.id}:{comment.page_id}" in call.world.reactions


def permalink(call: Call, comment: Comment) -> Json:
    """On the sandbox's own wall."""
    base = call.world.plan.base_url.rstrip("/")
    return f"{base}/sandbox/posts/{comment.post_id}?comment_id={comment.id.rpartition('_')[2]}"


def _is_others(_: Call, comment: Comment) -> Json:
    return comment.author_id != comment.page_id


def _always(_: Call, __: Comment) -> Json:
    return True


def _may_answer_privately(call: Call, comment: Comment) -> Json:
    return _is_others(call, comment) is True and not comment.answered_privately


_READERS: dict[str, Callable[[Call, Comment], Json]] = {
    "message": lambda _, comment: comment.text,
    "created_time": lambda _, comment: graph_time(comment.created_at),
    "from": _from,
    "parent": _parent,
    "is_hidden": lambda _, comment: comment.is_hidden,
    "is_private": lambda _, __: False,
    "permalink_url": permalink,
    "attachment": _attachment,
    "object": _object,
    "comment_count": lambda call, comment: call.world.comments.count(comment.id),
    "like_count": lambda call, comment: call.world.reactions.count(comment.id),
    "user_likes": _liked_by_page,
    "can_comment": _always,
    "can_like": _always,
    "can_remove": _always,
    "can_hide": _is_others,
    "can_reply_privately": _may_answer_privately,
    "message_tags": nothing,
    "application": nothing,
    "admin_creator": nothing,
    "live_broadcast_timestamp": nothing,
}

ROUTES: tuple[AnyRoute, ...] = (
    Route[Post](method="GET", node=Post, edge="comments", handle=list_post_comments, scopes=READ),
    Route[Post](
        method="POST", node=Post, edge="comments", handle=comment_on_post, scopes=WRITE, page_token=True
    ),
    Route[Comment](method="GET", node=Comment, handle=read_comment, scopes=READ),
    Route[Comment](method="POST", node=Comment, handle=change_comment, scopes=WRITE, page_token=True),
    Route[Comment](method="DELETE", node=Comment, handle=delete_comment, scopes=WRITE, page_token=True),
    Route[Comment](method="GET", node=Comment, edge="comments", handle=list_replies, scopes=READ),
    Route[Comment](method="POST", node=Comment, edge="comments", handle=reply, scopes=WRITE, page_token=True),
)

SHAPES: tuple[AnyShape, ...] = (
    Shape[Comment](
        node=Comment, title="Comment", default=("created_time", "from", "message"), readers=_READERS
    ),
)
