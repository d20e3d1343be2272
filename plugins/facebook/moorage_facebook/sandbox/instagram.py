"""Instagram accounts that are linked to Pages: their media, the comments there and what answers them.

https://developers.facebook.com/docs/instagram-platform/instagram-graph-api/reference/ig-user ·
https://developers.facebook.com/docs/instagram-platform/instagram-graph-api/reference/ig-media/comments ·
https://developers.facebook.com/docs/instagram-platform/instagram-graph-api/reference/ig-comment
"""

from collections.abc import Sequence

import attrs

from moorage_facebook.sandbox.entities import Page
from moorage_facebook.sandbox.errors import invalid
from moorage_facebook.sandbox.feed_news import instagram_comment_news
from moorage_facebook.sandbox.jsontext import Json, graph_time
from moorage_facebook.sandbox.paging import connection, newest_first
from moorage_facebook.sandbox.params import is_true
from moorage_facebook.sandbox.social import InstagramAccount, InstagramComment, InstagramMedia
from moorage_facebook.sandbox.state import World
from moorage_facebook.sandbox.wire import AnyRoute, AnyShape, Call, Route, Shape, nothing, render

_BASIC = ("instagram_basic",)
_COMMENTS = ("instagram_basic", "instagram_manage_comments")
_USAGE = "instagram"
LONGEST = 2_200


async def list_accounts(call: Call, page: Page) -> Json:
    """`GET /{page}/instagram_accounts`."""
    return await connection(call, call.world.instagram_accounts.of(page.id))


async def read_account(call: Call, account: InstagramAccount) -> Json:
    """`GET /{ig}`."""
    return await render(call, account, call.fields())


async def list_media(call: Call, account: InstagramAccount) -> Json:
    """`GET /{ig}/media`: newest first."""
    media = call.world.instagram_media.of(account.id)
    return await connection(call, newest_first(media, _posted), _posted)


async def read_media(call: Call, media: InstagramMedia) -> Json:
    """`GET /{media}`."""
    return await render(call, media, call.fields())


async def list_comments(call: Call, media: InstagramMedia) -> Json:
    """`GET /{media}/comments`: top-level ones, newest first."""
    return await _listed(call, call.world.instagram_comments.of(f"{media.id}/top"))


async def list_replies(call: Call, comment: InstagramComment) -> Json:
    """`GET /{comment}/replies`: newest first."""
    return await _listed(call, call.world.instagram_comments.of(comment.id))


async def comment_on_media(call: Call, media: InstagramMedia) -> Json:
    """`POST /{media}/comments` -> `{"id"}`."""
    return _written(call, media.account_id, media.id, "")


async def reply(call: Call, comment: InstagramComment) -> Json:
    """`POST /{comment}/replies` -> `{"id"}`; what answers a reply stands below the same comment."""
    return _written(call, comment.account_id, comment.media_id, comment.parent_id or comment.id)


async def read_comment(call: Call, comment: InstagramComment) -> Json:
    """`GET /{comment}`."""
    return await render(call, comment, call.fields())


async def hide_comment(call: Call, comment: InstagramComment) -> Json:
    """`POST /{comment}?hide=true`.

    Raises:
        GraphError: 100 without `hide`; the account's own comments can't be hidden.
    """
    if "hide" not in call.params:
        raise invalid("The parameter hide is required")
    if comment.author_id == comment.account_id:
        raise invalid("Comments of the account itself can not be hidden")
    hidden = attrs.evolve(comment, is_hidden=is_true(call.param("hide")))
    call.world.instagram_comments.put(hidden)
    return {"success": True}


async def delete_comment(call: Call, comment: InstagramComment) -> Json:
    """`DELETE /{comment}`: its replies go with it."""
    remove(call.world, comment)
    return {"success": True}


def remove(world: World, comment: InstagramComment) -> None:
    """Drop a comment and what answers it."""
    for row in world.instagram_comments.of(comment.id):
        world.instagram_comments.drop(row.id)
    world.instagram_comments.drop(comment.id)


async def _listed(call: Call, rows: Sequence[InstagramComment]) -> Json:
    return await connection(call, newest_first(rows, _written_at), _written_at)


def _written(call: Call, account_id: str, media_id: str, parent_id: str) -> Json:
    """The account writes."""
    world, text = call.world, call.param("message")
    account = world.instagram_accounts.get(account_id)
    if not text or len(text) > LONGEST or account is None:
        raise invalid(f"Param message must be a string of 1 to {LONGEST} characters")
    comment = InstagramComment(
        id=world.new_id(),
        page_id=account.page_id,
        account_id=account.id,
        media_id=media_id,
        parent_id=parent_id,
        author_id=account.id,
        username=account.username,
        text=text,
        created_at=world.seconds(),
    )
    world.instagram_comments.put(comment)
    call.webhooks.tell([instagram_comment_news(world, comment)])
    return {"id": comment.id}


def _posted(media: InstagramMedia) -> int:
    return media.created_at


def _written_at(comment: InstagramComment) -> int:
    return comment.created_at


def _owner(call: Call, media: InstagramMedia) -> Json:
    return {"id": media.account_id}


def _username(call: Call, media: InstagramMedia) -> Json:
    account = call.world.instagram_accounts.get(media.account_id)
    return account.username if account else None


def _media_link(call: Call, media: InstagramMedia) -> Json:
    return f"{call.world.plan.base_url.rstrip('/')}/sandbox/instagram/{media.account_id}#{media.id}"


_NO_ACCOUNT_HAS = ("legacy_instagram_user_id", "profile_picture_url", "website")
_NO_MEDIA_HAS = ("children", "thumbnail_url", "alt_text")

ROUTES: tuple[AnyRoute, ...] = (
    Route[Page](
        method="GET", node=Page, edge="instagram_accounts", handle=list_accounts, scopes=_BASIC, usage=_USAGE
    ),
    Route[InstagramAccount](
        method="GET", node=InstagramAccount, handle=read_account, scopes=_BASIC, usage=_USAGE
    ),
    Route[InstagramAccount](
        method="GET", node=InstagramAccount, edge="media", handle=list_media, scopes=_BASIC, usage=_USAGE
    ),
    Route[InstagramMedia](method="GET", node=InstagramMedia, handle=read_media, scopes=_BASIC, usage=_USAGE),
    Route[InstagramMedia](
        method="GET",
        node=InstagramMedia,
        edge="comments",
        handle=list_comments,
        scopes=_COMMENTS,
        usage=_USAGE,
    ),
    Route[InstagramMedia](
        method="POST",
        node=InstagramMedia,
        edge="comments",
        handle=comment_on_media,
        scopes=_COMMENTS,
        usage=_USAGE,
    ),
    Route[InstagramComment](
        method="GET", node=InstagramComment, handle=read_comment, scopes=_COMMENTS, usage=_USAGE
    ),
    Route[InstagramComment](
        method="POST", node=InstagramComment, handle=hide_comment, scopes=_COMMENTS, usage=_USAGE
    ),
    Route[InstagramComment](
        method="DELETE", node=InstagramComment, handle=delete_comment, scopes=_COMMENTS, usage=_USAGE
    ),
    Route[InstagramComment](
        method="GET",
        node=InstagramComment,
        edge="replies",
        handle=list_replies,
        scopes=_COMMENTS,
        usage=_USAGE,
    ),
    Route[InstagramComment](
        method="POST", node=InstagramComment, edge="replies", handle=reply, scopes=_COMMENTS, usage=_USAGE
    ),
)

SHAPES: tuple[AnyShape, ...] = (
    Shape[InstagramAccount](
        node=InstagramAccount,
        title="IGUser",
        default=(),
        readers={
            "username": lambda _, account: account.username,
            "name": lambda _, account: account.name,
            "biography": lambda _, account: account.biography or None,
            "media_count": lambda call, account: call.world.instagram_media.count(account.id),
            "followers_count": lambda _, __: 0,
            "follows_count": lambda _, __: 0,
            "is_published": lambda _, __: True,
            "has_profile_pic": lambda _, __: False,
            **dict.fromkeys(_NO_ACCOUNT_HAS, nothing),
        },
    ),
    Shape[InstagramMedia](
        node=InstagramMedia,
        title="IGMedia",
        default=(),
        readers={
            "caption": lambda _, media: media.caption or None,
            "timestamp": lambda _, media: graph_time(media.created_at),
            "permalink": _media_link,
            "media_type": lambda _, media: media.type,
            "media_product_type": lambda _, media: "REELS" if media.type == "VIDEO" else "FEED",
            "media_url": lambda _, media: media.url or None,
            "comments_count": lambda call, media: call.world.instagram_comments.count(media.id),
            "like_count": lambda _, __: 0,
            "is_comment_enabled": lambda _, __: True,
            "shortcode": lambda _, media: media.id[-11:],
            "owner": _owner,
            "username": _username,
            **dict.fromkeys(_NO_MEDIA_HAS, nothing),
        },
    ),
    Shape[InstagramComment](
        node=InstagramComment,
        title="IGComment",
        default=("timestamp", "text"),
        readers={
            "text": lambda _, comment: comment.text,
            "timestamp": lambda _, comment: graph_time(comment.created_at),
            "username": lambda _, comment: comment.username,
            "from": lambda _, comment: {"id": comment.author_id, "username": comment.username},
            "hidden": lambda _, comment: comment.is_hidden,
            "like_count": lambda _, __: 0,
            "parent_id": lambda _, comment: comment.parent_id or None,
            "media": lambda _, comment: {"id": comment.media_id},
            "user": nothing,
        },
    ),
)
