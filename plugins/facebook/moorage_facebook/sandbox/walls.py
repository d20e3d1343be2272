"""The walls: a Page with its posts, an Instagram account with its pictures, and what people say below them.

Whoever looks is somebody (`?as=Grace Müller`) and may comment, react, share, and change what they wrote.
"""

from collections.abc import Iterable, Mapping
from urllib.parse import urlencode

import attrs
import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from moorage_facebook.sandbox import bodies
from moorage_facebook.sandbox.crowd import SOMEBODY, act_on_comments, act_on_reactions, share_posts
from moorage_facebook.sandbox.entities import Page, Photo, Post
from moorage_facebook.sandbox.faces import author_name, names
from moorage_facebook.sandbox.given import UnworkableError
from moorage_facebook.sandbox.html import Incoming, form_sent, redirect, show
from moorage_facebook.sandbox.paging import newest_first
from moorage_facebook.sandbox.reactions import TYPES
from moorage_facebook.sandbox.social import Comment, InstagramAccount, InstagramComment, InstagramMedia
from moorage_facebook.sandbox.state import World, posted_at
from moorage_facebook.sandbox.webhooks import WebhookSender

TheWorld = NamedDependency[World]
TheSender = NamedDependency[WebhookSender]

_POSTS_SHOWN = 50
_COMMENTS_SHOWN = 25
_PEOPLE = 8  # whom one can be without typing a name


@attrs.frozen(kw_only=True)
class Said:
    """A comment as a visitor sees it."""

    id: str
    name: str
    text: str
    at: int
    pictures: tuple[str, ...] = ()
    is_ours: bool = False  # the Page's (the account's) own
    is_mine: bool = False  # of whoever looks
    is_hidden: bool = False
    is_edited: bool = False
    likes: int = 0
    answers: tuple["Said", ...] = ()


@attrs.frozen(kw_only=True)
class Entry:
    """A post or a picture, with all that stands below it."""

    id: str
    text: str
    at: int
    link: str = ""
    photos: tuple[Photo, ...] = ()
    is_scheduled: bool = False
    reactions: tuple[tuple[str, int], ...] = ()
    mine: str = ""  # how whoever looks reacted
    shares: int = 0
    count: int = 0
    said: tuple[Said, ...] = ()
    more: int = 0


@get("/sandbox/pages/{page_id:str}")
async def wall(world: TheWorld, request: Incoming, page_id: FromPath[str]) -> Response[str]:
    """A Page as visitors see it, and what is scheduled."""
    page = world.pages.get(page_id)
    if page is None:
        raise NotFoundException
    me = viewer(request)
    live = world.posts_on(page)
    waiting = [row for row in world.posts.of(page.id) if row.scheduled_at and not world.is_live(row)]
    return show(
        "wall.html",
        page=page,
        posts=[_entry(world, page, row, me) for row in live[:_POSTS_SHOWN]],
        unseen=max(0, len(live) - _POSTS_SHOWN),
        waiting=[_entry(world, page, row, me) for row in waiting],
        forms=world.forms.of(page.id),
        account=world.instagram_of(page),
        one=False,
        more=who_is_here(world, me),
    )


@get("/sandbox/posts/{post_id:str}")
async def one_post(world: TheWorld, request: Incoming, post_id: FromPath[str]) -> Response[str]:
    """One post by itself: where permalinks lead."""
    row = world.posts.get(post_id)
    page = world.pages.get(row.page_id) if row else None
    if row is None or page is None:
        raise NotFoundException
    me = viewer(request)
    entry = _entry(world, page, row, me)
    return show(
        "wall.html",
        page=page,
        posts=[entry],
        unseen=0,
        waiting=[],
        forms=[],
        account=None,
        one=True,
        more=who_is_here(world, me),
    )


@get("/sandbox/instagram/{account_id:str}")
async def grid(world: TheWorld, request: Incoming, account_id: FromPath[str]) -> Response[str]:
    """An Instagram account: its pictures, newest first."""
    account = world.instagram_accounts.get(account_id)
    if account is None:
        raise NotFoundException
    me = viewer(request)
    media = newest_first(world.instagram_media.of(account.id), lambda row: row.created_at)
    return show(
        "instagram.html",
        account=account,
        posts=[_picture(world, account, row, me) for row in media[:_POSTS_SHOWN]],
        unseen=max(0, len(media) - _POSTS_SHOWN),
        more=who_is_here(world, me),
    )


@post("/sandbox/talk")
async def talk(world: TheWorld, sender: TheSender, request: Incoming) -> Response[str]:
    """Every button on a wall; back to where it was pressed."""
    given = await form_sent(request)
    me = given.get("as", "").strip()[:80] or SOMEBODY
    try:
        _act(world, sender, given, me)
    except (UnworkableError, msgspec.ValidationError) as problem:
        return show("problem.html", title="That did not work", text=str(problem), status=400)
    back = given.get("back", "")
    safe = back if back.startswith("/sandbox/") and "\\" not in back else "/"
    return redirect(f"{safe}?{urlencode({'as': me})}#{given.get('at', '')[:60]}")


def _act(world: World, sender: WebhookSender, given: Mapping[str, str], me: str) -> None:
    """What the pressed button says, done as whoever looks."""
    verb, target, text = given.get("do", ""), given.get("target", ""), given.get("text", "").strip()
    on = {"personId": None, "person": me}
    if verb == "comment":
        where = {"mediaId": target} if target in world.instagram_media else {"postId": target}
        act_on_comments(world, sender, _body(bodies.CommentsBody, {**on, **where, "text": text}))
    elif verb == "answer":
        act_on_comments(world, sender, _body(bodies.CommentsBody, {**on, "commentId": target, "text": text}))
    elif verb in {"edit", "remove", "hide", "unhide"}:
        change = {**on, "commentId": target, "action": verb, "text": text}
        act_on_comments(world, sender, _body(bodies.CommentsBody, change))
    elif verb in TYPES or verb == "unreact":
        where = {"commentId": target} if target in world.comments else {"postId": target}
        kind = {"action": "remove"} if verb == "unreact" else {"type": verb}
        act_on_reactions(world, sender, _body(bodies.ReactionsBody, {**on, **where, **kind}))
    elif verb == "share":
        share_posts(world, sender, _body(bodies.SharesBody, {**on, "postId": target, "text": text}))
    else:
        raise UnworkableError("This button does nothing.")


def _body(kind: type[bodies.B], values: Mapping[str, str | None]) -> bodies.B:
    return msgspec.convert({name: value for name, value in values.items() if value is not None}, type=kind)


def viewer(request: Incoming) -> str:
    """Who looks."""
    return request.query_params.get("as", "").strip()[:80] or SOMEBODY


def who_is_here(world: World, me: str) -> Mapping[str, object]:
    """Whom one can be."""
    found = list(names(_PEOPLE))
    found += [person.name for person in world.persons if person.name not in found][: _PEOPLE * 2]
    return {"me": me, "people": found if me in found else [me, *found], "kinds": TYPES}


def _entry(world: World, page: Page, row: Post, me: str) -> Entry:
    mine = _my_id(world, me, page.id)
    tally: dict[str, int] = {}
    own = ""
    for reaction in world.reactions.of(row.id):
        tally[reaction.type] = tally.get(reaction.type, 0) + 1
        own = reaction.type if reaction.author_id == mine else own
    top = newest_first(world.comments.of(f"{row.id}/top"), lambda comment: comment.created_at)
    photos = (world.photos.get(name) for name in row.photo_ids)
    return Entry(
        id=row.id,
        text=row.message,
        at=posted_at(row),
        link=row.link,
        photos=tuple(photo for photo in photos if photo),
        is_scheduled=bool(row.scheduled_at) and not world.is_live(row),
        reactions=tuple(sorted(tally.items(), key=lambda pair: -pair[1])),
        mine=own,
        shares=world.shares.count(row.id),
        count=world.comments.count(row.id),
        said=tuple(_said(world, comment, mine) for comment in top[:_COMMENTS_SHOWN][::-1]),
        more=max(0, len(top) - _COMMENTS_SHOWN),
    )


def _said(world: World, comment: Comment, mine: str) -> Said:
    pictures = (comment.photo_url, comment.video_url, comment.sticker_url)
    return Said(
        id=comment.id,
        name=author_name(world, comment.author_id),
        text=comment.text,
        at=comment.created_at,
        pictures=tuple(url for url in pictures if url),
        is_ours=comment.author_id == comment.page_id,
        is_mine=comment.author_id == mine,
        is_hidden=comment.is_hidden,
        is_edited=bool(comment.edited_at),
        likes=world.reactions.count(comment.id),
        answers=tuple(_said(world, row, mine) for row in _in_order(world.comments.of(comment.id))),
    )


def _in_order(rows: Iterable[Comment]) -> list[Comment]:
    return sorted(rows, key=lambda row: row.created_at)


def _picture(world: World, account: InstagramAccount, row: InstagramMedia, me: str) -> Entry:
    mine = _my_id(world, me, account.id)
    top = newest_first(world.instagram_comments.of(f"{row.id}/top"), lambda comment: comment.created_at)
    return Entry(
        id=row.id,
        text=row.caption,
        at=row.created_at,
        photos=(Photo(id=row.id, page_id=row.page_id, url=row.url, created_at=row.created_at),),
        count=world.instagram_comments.count(row.id),
        said=tuple(_said_there(world, comment, mine) for comment in top[:_COMMENTS_SHOWN][::-1]),
        more=max(0, len(top) - _COMMENTS_SHOWN),
    )


def _said_there(world: World, comment: InstagramComment, mine: str) -> Said:
    rows = sorted(world.instagram_comments.of(comment.id), key=lambda row: row.created_at)
    return Said(
        id=comment.id,
        name=comment.username,
        text=comment.text,
        at=comment.created_at,
        is_ours=comment.author_id == comment.account_id,
        is_mine=comment.author_id == mine,
        is_hidden=comment.is_hidden,
        answers=tuple(_said_there(world, row, mine) for row in rows),
    )


def _my_id(world: World, me: str, channel_id: str) -> str:
    """How this channel knows whoever looks; nothing if they were never here."""
    person = next(iter(world.persons.of(me)), None)
    face = next(iter(world.faces.of(f"{person.id}:{channel_id}")), None) if person else None
    return face.id if face else ""


WALLS = (wall, one_post, grid, talk)
