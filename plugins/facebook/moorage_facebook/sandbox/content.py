"""Edges of Pages, posts and photos.

https://developers.facebook.com/docs/graph-api/reference/page/feed ·
https://developers.facebook.com/docs/graph-api/reference/page/photos ·
https://developers.facebook.com/docs/graph-api/reference/post
"""

import re
from urllib.parse import urlsplit

import attrs
import msgspec

from moorage_facebook.sandbox.comments import remove
from moorage_facebook.sandbox.entities import Page, Photo, Post
from moorage_facebook.sandbox.errors import GraphError, GraphFailure, invalid
from moorage_facebook.sandbox.jsontext import Json, graph_time
from moorage_facebook.sandbox.paging import connection
from moorage_facebook.sandbox.params import is_true, moment_param
from moorage_facebook.sandbox.state import posted_at
from moorage_facebook.sandbox.tokens import issue_page_token
from moorage_facebook.sandbox.wire import (
    AnyRoute,
    AnyShape,
    Call,
    Linked,
    Route,
    Shape,
    nothing,
    picture,
    prune,
    render,
)

_SOONEST = 10 * 60
_LATEST = 30 * 86_400
_TIMES = ("since", "until")
_POST_SCOPES = ("pages_read_engagement", "pages_manage_posts")
_READ_SCOPES = ("pages_read_engagement",)


async def read_page(call: Call, page: Page) -> Json:
    """`GET /{page}`."""
    return await render(call, page, call.fields())


async def create_post(call: Call, page: Page) -> Json:
    """`POST /{page}/feed` -> `{"id": "<page>_<post>"}`.

    Raises:
        GraphError: 100 when there is nothing to post or a parameter is wrong, 1500 for a link that is no URL.
    """
    message, link = call.param("message"), call.param("link")
    photos = _attached(call, page)
    if not (message or link or photos):
        raise invalid("Param message must be a non-empty string, or link or attached_media must be given")
    if link and not _is_url(link):
        raise GraphError(GraphFailure(message="(#1500) The url you supplied is invalid", code=1500))
    published, scheduled_at = _publication(call)
    post = _put_post(
        call, page, message=message, link=link, photos=photos, published=published, scheduled_at=scheduled_at
    )
    return {"id": post.id}


async def list_posts(call: Call, page: Page) -> Json:
    """`GET /{page}/feed`, `posts` and `published_posts`: newest first, `since` and `until` when asked.

    https://developers.facebook.com/docs/graph-api/results (time-based pagination)
    """
    since, until = (moment_param(name, call.param(name)) if call.param(name) else None for name in _TIMES)
    posts = [
        post
        for post in call.world.posts_on(page)
        if (since is None or posted_at(post) >= since) and (until is None or posted_at(post) <= until)
    ]
    return await connection(call, posts, posted_at)


async def list_scheduled(call: Call, page: Page) -> Json:
    """`GET /{page}/scheduled_posts`: the next one first."""
    waiting = [post for post in call.world.posts.of(page.id) if post.scheduled_at > call.world.now()]
    return await connection(call, sorted(waiting, key=posted_at))


async def create_photo(call: Call, page: Page) -> Json:
    """`POST /{page}/photos` -> `{"id", "post_id"}`, or only `{"id"}` for one that is not published.

    Raises:
        GraphError: 324 when there is no picture, 100 for an address that is none.
    """
    url, bytes_sent = call.param("url"), sum(call.files.values())
    if not url and not call.files:
        raise GraphError(GraphFailure(message="(#324) Requires upload file", code=324))
    if url and not _is_url(url):
        raise invalid("url should represent a valid URL")
    published, scheduled_at = _publication(call)
    caption = call.param("caption") or call.param("message")
    photo = Photo(
        id=call.world.new_id(),
        page_id=page.id,
        url=url,
        caption=caption,
        published=published,
        temporary=is_true(call.param("temporary")),
        byte_count=bytes_sent,
        created_at=call.world.seconds(),
    )
    if not published and not scheduled_at:
        call.world.photos.put(photo)
        return {"id": photo.id}
    post = _put_post(
        call, page, message=caption, link="", photos=(photo,), published=published, scheduled_at=scheduled_at
    )
    return {"id": photo.id, "post_id": post.id}


async def read_post(call: Call, post: Post) -> Json:
    """`GET /{post}`."""
    return await render(call, post, call.fields())


async def list_attachments(call: Call, post: Post) -> Json:
    """`GET /{post}/attachments`; as a field of the post it is left out when there are none."""
    found, wanted = _attachments(call, post) or {"data": []}, call.fields()
    return prune(found, wanted) if wanted else found


async def edit_post(call: Call, post: Post) -> Json:
    """Only the app that made a post may change it."""
    if post.app_id != call.who.app.id:
        raise GraphError(GraphFailure(message="(#200) The app did not create this post", code=200))
    changed = attrs.evolve(post, updated_at=call.world.seconds())
    if "message" in call.params:
        changed = attrs.evolve(changed, message=call.param("message"))
    if is_true(call.param("is_published")):
        changed = attrs.evolve(changed, published=True, scheduled_at=0, created_at=call.world.seconds())
    elif call.param("scheduled_publish_time"):
        if call.world.is_live(post):
            raise invalid("You cannot specify a scheduled publish time on a published post")
        changed = attrs.evolve(changed, scheduled_at=_schedule(call))
    call.world.posts.put(changed)
    return {"success": True}


async def delete_post(call: Call, post: Post) -> Json:
    """`DELETE /{post}`; its photos go with it, and what people said below it."""
    world = call.world
    for photo_id in post.photo_ids:
        world.photos.drop(photo_id)
    for comment in world.comments.of(f"{post.id}/top"):
        remove(world, comment)
    for reaction in world.reactions.of(post.id):
        world.reactions.drop(reaction.id)
    world.posts.drop(post.id)
    return {"success": True}


async def read_photo(call: Call, photo: Photo) -> Json:
    """`GET /{photo}`."""
    return await render(call, photo, call.fields())


async def delete_photo(call: Call, photo: Photo) -> Json:
    """`DELETE /{photo}`."""
    call.world.photos.drop(photo.id)
    return {"success": True}


def _put_post(
    call: Call,
    page: Page,
    *,
    message: str,
    link: str,
    photos: tuple[Photo, ...],
    published: bool,
    scheduled_at: int,
) -> Post:
    now = call.world.seconds()
    post = Post(
        id=f"{page.id}_{call.world.new_id()}",
        page_id=page.id,
        app_id=call.who.app.id,
        message=message,
        link=link,
        photo_ids=tuple(photo.id for photo in photos),
        published=published,
        scheduled_at=scheduled_at,
        created_at=now,
        updated_at=now,
    )
    for photo in photos:
        call.world.photos.put(attrs.evolve(photo, post_id=post.id, published=published))
    return call.world.posts.put(post)


def _attached(call: Call, page: Page) -> tuple[Photo, ...]:
    """`attached_media` as a JSON list, or as `attached_media[0]`, `attached_media[1]` ... in a form."""
    texts = [call.param("attached_media")] if call.param("attached_media") else []
    listed = [name for name in call.params if re.fullmatch(r"attached_media\[[0-9]{1,3}\]", name)]
    texts += [call.params[name] for name in sorted(listed, key=lambda name: int(name[15:-1]))]
    photos: list[Photo] = []
    for text in texts:
        for media_id in _media_ids(text):
            photo = call.world.photos.get(media_id)
            if photo is None or photo.page_id != page.id:
                raise invalid(f"Invalid parameter: attached_media names no photo of this page ({media_id})")
            if photo.post_id:
                raise invalid(f"Invalid parameter: photo {media_id} was already posted")
            photos.append(photo)
    return tuple(photos)


def _media_ids(text: str) -> list[str]:
    item = dict[str, str | int]
    try:
        decoded = msgspec.json.decode(text.encode("utf-8", "replace"), type=list[item] | item)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise invalid("Param attached_media must be an array of objects with media_fbid") from error
    found = decoded if isinstance(decoded, list) else [decoded]
    return [str(entry.get("media_fbid", "")) for entry in found]


def _publication(call: Call) -> tuple[bool, int]:
    """`(published, scheduled_at)`."""
    text = call.param("published")
    published = is_true(text) if text else True
    if not call.param("scheduled_publish_time"):
        return published, 0
    if published:
        raise invalid("You cannot specify a scheduled publish time on a published post")
    return False, _schedule(call)


def _schedule(call: Call) -> int:
    moment = moment_param("scheduled_publish_time", call.param("scheduled_publish_time"))
    ahead = moment - call.world.seconds()
    if not _SOONEST - 60 <= ahead <= _LATEST:
        raise invalid(
            "The specified scheduled publish time is invalid.",
            user_message="Choose a time between 10 minutes and 30 days from now.",
        )
    return moment


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and not re.search(r"\s", text)


def permalink(call: Call, post_id: str) -> str:
    """On the sandbox's own wall, so that a click shows the post."""
    return f"{call.world.plan.base_url.rstrip('/')}/sandbox/posts/{post_id}"


def _token_of(call: Call, page: Page) -> Json:
    session = call.who
    if session.token.kind == "APP" or not session.reaches(page) or not session.may("pages_show_list"):
        return None
    return session.token.id if session.page else issue_page_token(call.world, session.token, page).id


def _instagram_of(call: Call, page: Page) -> Linked | None:
    """The linked account, for those who may know of it."""
    account = call.world.instagram_of(page) if call.who.may("instagram_basic") else None
    return Linked(account) if account else None


def _tasks_of(call: Call, page: Page) -> Json:
    user = call.who.user
    return list(page.tasks.get(user.id, ())) if user else None


def _owner(call: Call, post: Post | Photo) -> Json:
    page = call.world.pages.get(post.page_id)
    return {"name": page.name, "id": page.id} if page else None


def _status_type(_: Call, post: Post) -> Json:
    if post.photo_ids:
        return "added_photos"
    return "shared_story" if post.link else "mobile_status_update"


def _attachments(call: Call, post: Post) -> Json:
    photos = [photo for photo in (call.world.photos.get(row) for row in post.photo_ids) if photo]
    data: list[Json] = [
        {
            "media_type": "photo",
            "type": "photo",
            "target": {"id": photo.id, "url": permalink(call, post.id)},
            "media": {"image": {"height": 720, "width": 720, "src": photo.url}},
        }
        for photo in photos
    ]
    if post.link:
        data.append({"media_type": "link", "type": "share", "title": post.link, "unshimmed_url": post.link})
    return {"data": data} if data else None


def _full_picture(call: Call, post: Post) -> Json:
    photo = call.world.photos.get(post.photo_ids[0]) if post.photo_ids else None
    return photo.url or None if photo else None


def _shares(call: Call, post: Post) -> Json:
    count = call.world.shares.count(post.id)
    return {"count": count} if count else None


def _maker(call: Call, post: Post) -> Json:
    app = call.world.apps.get(post.app_id)
    return {"name": app.name, "id": app.id} if app else None


def _lead_access(call: Call, page: Page) -> Json:
    """What Leads Access Manager says of whoever asks.

    https://developers.facebook.com/docs/graph-api/reference/has-lead-access
    """
    closed = page.leads_closed_to
    access: dict[str, Json] = {
        "app_has_leads_permission": closed != "app",
        "user_has_leads_permission": closed != "person",
        "enabled_lead_access_manager": bool(closed),
        "is_page_admin": True,
        "can_access_lead": not closed,
        "page_id": page.id,
        "user_id": call.who.token.user_id,
    }
    if closed:
        access["failure_reason"] = f"The {closed} has no leads access permission for this Page."
        access["failure_resolution"] = "Assign leads access in Business Manager."
    return access


_NO_PAGE_HAS = (
    "cover",
    "description",
    "description_html",
    "display_subtext",
    "emails",
    "engagement",
    "global_brand_page_name",
    "global_brand_root_id",
    "phone",
    "username",
    "website",
)
_NO_POST_HAS = ("icon", "message_tags", "picture", "story")
"""Fields that clients ask for by default and nothing here has: Graph leaves out what is empty."""


ROUTES: tuple[AnyRoute, ...] = (
    Route[Page](method="GET", node=Page, handle=read_page),
    Route[Page](
        method="POST", node=Page, edge="feed", handle=create_post, scopes=_POST_SCOPES, page_token=True
    ),
    Route[Page](method="GET", node=Page, edge="feed", handle=list_posts, scopes=_READ_SCOPES),
    Route[Page](method="GET", node=Page, edge="posts", handle=list_posts, scopes=_READ_SCOPES),
    Route[Page](method="GET", node=Page, edge="published_posts", handle=list_posts, scopes=_READ_SCOPES),
    Route[Page](
        method="GET",
        node=Page,
        edge="scheduled_posts",
        handle=list_scheduled,
        scopes=_READ_SCOPES,
        page_token=True,
    ),
    Route[Page](
        method="POST", node=Page, edge="photos", handle=create_photo, scopes=_POST_SCOPES, page_token=True
    ),
    Route[Post](method="GET", node=Post, handle=read_post, scopes=_READ_SCOPES),
    Route[Post](method="GET", node=Post, edge="attachments", handle=list_attachments, scopes=_READ_SCOPES),
    Route[Post](method="POST", node=Post, handle=edit_post, scopes=_POST_SCOPES, page_token=True),
    Route[Post](method="DELETE", node=Post, handle=delete_post, scopes=_POST_SCOPES, page_token=True),
    Route[Photo](method="GET", node=Photo, handle=read_photo, scopes=_READ_SCOPES),
    Route[Photo](method="DELETE", node=Photo, handle=delete_photo, scopes=_POST_SCOPES, page_token=True),
)

SHAPES: tuple[AnyShape, ...] = (
    Shape[Page](
        node=Page,
        title="Page",
        default=("name",),
        readers={
            "name": lambda _, page: page.name,
            "about": lambda _, page: page.about or None,
            "category": lambda _, page: page.category,
            "category_list": lambda _, page: [{"id": page.category_id, "name": page.category}],
            "access_token": _token_of,
            "tasks": _tasks_of,
            "link": lambda call, page: f"{call.world.plan.base_url}/sandbox/pages/{page.id}",
            "is_published": lambda _, __: True,
            "has_transitioned_to_new_page_experience": lambda _, __: True,
            "fan_count": lambda _, __: 0,
            "followers_count": lambda _, __: 0,
            "verification_status": lambda _, __: "not_verified",
            "leadgen_tos_accepted": lambda _, __: True,
            "has_lead_access": _lead_access,
            "picture": picture,
            "instagram_business_account": _instagram_of,
            "connected_instagram_account": _instagram_of,
            **dict.fromkeys(_NO_PAGE_HAS, nothing),
        },
    ),
    Shape[Post](
        node=Post,
        title="Post",
        default=("created_time", "message"),
        readers={
            "message": lambda _, post: post.message or None,
            "created_time": lambda _, post: graph_time(posted_at(post)),
            "updated_time": lambda _, post: graph_time(post.updated_at),
            "permalink_url": lambda call, post: permalink(call, post.id),
            "is_published": lambda call, post: call.world.is_live(post),
            "scheduled_publish_time": lambda _, post: post.scheduled_at or None,
            "status_type": _status_type,
            "from": _owner,
            "attachments": _attachments,
            "full_picture": _full_picture,
            "application": _maker,
            "shares": _shares,
            "is_hidden": lambda _, __: False,
            **dict.fromkeys(_NO_POST_HAS, nothing),
        },
    ),
    Shape[Photo](
        node=Photo,
        title="Photo",
        default=("created_time", "name"),
        readers={
            "name": lambda _, photo: photo.caption or None,
            "created_time": lambda _, photo: graph_time(photo.created_at),
            "from": _owner,
            "updated_time": lambda _, photo: graph_time(photo.created_at),
            "page_story_id": lambda _, photo: photo.post_id or None,
            "link": lambda call, photo: permalink(call, photo.post_id) if photo.post_id else None,
            "images": lambda _, photo: [{"height": 720, "width": 720, "source": photo.url}],
        },
    ),
)
