"""What people do on walls: they comment, react and share. Each act changes the world and tells the app."""

from collections.abc import Iterator, Sequence

import attrs

from moorage_facebook.sandbox import comments, instagram
from moorage_facebook.sandbox.bodies import (
    ActBody,
    CommentsBody,
    MediaBody,
    MentionsBody,
    ReactionsBody,
    SharesBody,
)
from moorage_facebook.sandbox.entities import Page, Post
from moorage_facebook.sandbox.faces import crowd, face_on, person_named
from moorage_facebook.sandbox.feed_news import (
    comment_news,
    instagram_comment_news,
    mention_news,
    reaction_news,
    share_news,
)
from moorage_facebook.sandbox.given import UnworkableError, manner_of, moment_given, page_given, post_given
from moorage_facebook.sandbox.jsontext import Json
from moorage_facebook.sandbox.news import News
from moorage_facebook.sandbox.reactions import TYPES, react, reaction_id
from moorage_facebook.sandbox.social import (
    Comment,
    Face,
    InstagramAccount,
    InstagramComment,
    InstagramMedia,
    Reaction,
    Share,
)
from moorage_facebook.sandbox.state import World
from moorage_facebook.sandbox.webhooks import WebhookSender

SOMEBODY = "Grace Müller"  # who acts when nobody is named


def act_on_comments(world: World, sender: WebhookSender, body: CommentsBody) -> dict[str, Json]:
    """Write comments, or edit, remove, hide or show one; on a Page's wall or below Instagram media.

    Raises:
        UnworkableError: What is named is not there, or this can't be done to it.
    """
    if body.action == "add":
        made, news = _write(world, body)
    else:
        made, news = _change(world, body)
    sent = sender.tell(news, manner_of(body))
    rows: list[Json] = [
        {"id": row.id, "personId": row.author_id, "createdTime": row.created_at} for row in made
    ]
    return {"comments": rows, "deliveries": [delivery.id for delivery in sent], **_unheard(news, sent)}


def act_on_reactions(world: World, sender: WebhookSender, body: ReactionsBody) -> dict[str, Json]:
    """Give, exchange or take back reactions to a post or a comment.

    Raises:
        UnworkableError: There is no such target or type.
    """
    kind = body.type.upper()
    if kind not in TYPES:
        raise UnworkableError(f"type must be one of {', '.join(TYPES)}")
    target = _target(world, body)
    page = page_given(world, target.page_id)
    done: list[Reaction] = []
    news: list[News] = []
    for face in _faces(world, body, page, body.count):
        row = Reaction(
            id=reaction_id(target.id, face.id),
            page_id=page.id,
            post_id=target.id if isinstance(target, Post) else target.post_id,
            target_id=target.id,
            author_id=face.id,
            type=kind,
            created_at=world.seconds(),
        )
        row, verb = (row, react(world, row)) if body.action == "set" else _withdraw(world, row)
        done.append(row)
        news += [reaction_news(world, row, verb)] if verb else []
    sent = sender.tell(news, manner_of(body))
    rows: list[Json] = [
        {"personId": row.author_id, "targetId": row.target_id, "type": row.type} for row in done
    ]
    return {"reactions": rows, "deliveries": [delivery.id for delivery in sent], **_unheard(news, sent)}


def share_posts(world: World, sender: WebhookSender, body: SharesBody) -> dict[str, Json]:
    """People share a post of a Page.

    Raises:
        UnworkableError: There is no such post.
    """
    post = post_given(world, body.post_id, body.page_id)
    page = page_given(world, post.page_id)
    made = [
        world.shares.put(
            Share(
                id=world.new_id(),
                page_id=page.id,
                post_id=post.id,
                author_id=face.id,
                text=body.text,
                created_at=world.seconds(),
            )
        )
        for face in _faces(world, body, page, body.count)
    ]
    news = [share_news(world, share) for share in made]
    sent = sender.tell(news, manner_of(body))
    rows: list[Json] = [{"id": share.id, "personId": share.author_id} for share in made]
    return {"shares": rows, "deliveries": [delivery.id for delivery in sent], **_unheard(news, sent)}


def mention(world: World, sender: WebhookSender, body: MentionsBody) -> dict[str, Json]:
    """Somebody names a channel elsewhere: the app is told, and nothing is kept here.

    Raises:
        UnworkableError: The Page has no Instagram account.
    """
    page = page_given(world, body.page_id)
    channel = page if body.channel == "page" else world.instagram_of(page)
    if channel is None:
        raise UnworkableError("this page has no Instagram account")
    face = next(_faces(world, body, channel, 1))
    news = [mention_news(world, face, channel, body.text, inside=body.in_comment)]
    sent = sender.tell(news, manner_of(body))
    return {"personId": face.id, "deliveries": [delivery.id for delivery in sent], **_unheard(news, sent)}


def show_media(world: World, body: MediaBody) -> InstagramMedia:
    """Put something new on the Instagram account of a Page.

    Raises:
        UnworkableError: The Page has no Instagram account.
    """
    account = world.instagram_of(page_given(world, body.page_id))
    if account is None:
        raise UnworkableError("this page has no Instagram account")
    return world.instagram_media.put(
        InstagramMedia(
            id=world.new_id(),
            page_id=account.page_id,
            account_id=account.id,
            caption=body.caption,
            type=body.type,
            url=body.url or "https://shop.example/picture.jpg",
            created_at=world.seconds(),
        )
    )


AnyComment = Comment | InstagramComment


def _write(world: World, body: CommentsBody) -> tuple[Sequence[AnyComment], list[News]]:
    if not (body.text or body.photo or body.video or body.sticker):
        raise UnworkableError("a comment needs a text, a photo, a video or a sticker")
    above = _comment(world, body.comment_id) if body.comment_id else None
    media = world.instagram_media.get(
        above.media_id if isinstance(above, InstagramComment) else body.media_id or ""
    )
    if media is not None:
        parent = above if isinstance(above, InstagramComment) else None
        found = list(_write_on_instagram(world, body, media, parent))
        return found, [instagram_comment_news(world, comment) for comment in found]
    if body.media_id:
        raise UnworkableError("there is no such media")
    top = above if isinstance(above, Comment) else None
    post = post_given(world, top.post_id if top else body.post_id, body.page_id)
    written = list(_write_on_post(world, body, post, top))
    return written, [comment_news(world, comment, "add") for comment in written]


def _write_on_post(world: World, body: CommentsBody, post: Post, above: Comment | None) -> Iterator[Comment]:
    page = page_given(world, post.page_id)
    at = moment_given(body.created_time, world.seconds())
    author_id = page.id if body.as_page else next(_faces(world, body, page, 1)).id
    for number in range(1, body.count + 1):
        comment = Comment(
            id=comments.new_comment_id(world, post),
            page_id=page.id,
            post_id=post.id,
            parent_id=(above.parent_id or above.id) if above else "",
            author_id=author_id,
            text=body.text.replace("{n}", str(number)),
            photo_url=body.photo,
            video_url=body.video,
            sticker_url=body.sticker,
            created_at=at,
        )
        yield comments.add(world, post, comment)


def _write_on_instagram(
    world: World, body: CommentsBody, media: InstagramMedia, above: InstagramComment | None
) -> Iterator[InstagramComment]:
    account = world.instagram_accounts.get(media.account_id)
    if account is None or not body.text:
        raise UnworkableError("a comment on Instagram is a text")
    face = next(_faces(world, body, account, 1))
    at = moment_given(body.created_time, world.seconds())
    for number in range(1, body.count + 1):
        comment = InstagramComment(
            id=world.new_id(),
            page_id=media.page_id,
            account_id=account.id,
            media_id=media.id,
            parent_id=(above.parent_id or above.id) if above else "",
            author_id=account.id if body.as_page else face.id,
            username=account.username if body.as_page else face.username,
            text=body.text.replace("{n}", str(number)),
            created_at=at,
        )
        yield world.instagram_comments.put(comment)


def _change(world: World, body: CommentsBody) -> tuple[Sequence[AnyComment], list[News]]:
    comment = _comment(world, body.comment_id or "")
    if isinstance(comment, InstagramComment):
        return [_change_on_instagram(world, comment, body)], []  # Instagram tells of none of this
    verb = {"edit": "edited"}.get(body.action, body.action)
    if body.action == "remove":
        comments.remove(world, comment)
        return [comment], [comment_news(world, comment, verb)]
    if body.action == "edit":
        changed = attrs.evolve(comment, text=body.text, edited_at=world.seconds())
    else:
        changed = attrs.evolve(comment, is_hidden=body.action == "hide")
    world.comments.put(changed)
    return [changed], [comment_news(world, changed, verb)]


def _change_on_instagram(world: World, comment: InstagramComment, body: CommentsBody) -> InstagramComment:
    if body.action == "edit":
        raise UnworkableError("comments on Instagram can not be edited")
    if body.action == "remove":
        instagram.remove(world, comment)
        return comment
    return world.instagram_comments.put(attrs.evolve(comment, is_hidden=body.action == "hide"))


def _comment(world: World, comment_id: str) -> AnyComment:
    found = world.comments.get(comment_id) or world.instagram_comments.get(comment_id)
    if found is None:
        raise UnworkableError("there is no such comment")
    return found


def _target(world: World, body: ReactionsBody) -> Post | Comment:
    if not body.comment_id:
        return post_given(world, body.post_id, body.page_id)
    found = _comment(world, body.comment_id)
    if isinstance(found, InstagramComment):
        raise UnworkableError("Instagram says nothing about who likes a comment")
    return found


def _withdraw(world: World, wanted: Reaction) -> tuple[Reaction, str]:
    known = world.reactions.get(wanted.id)
    if known is None:
        return wanted, ""
    world.reactions.drop(known.id)
    return known, "remove"


def _faces(world: World, body: ActBody, channel: Page | InstagramAccount, count: int) -> Iterator[Face]:
    """Who acts: the one who is named, or `count` different people."""
    if body.person_id:
        known = world.faces.get(body.person_id)
        if known is None or known.channel_id != channel.id:
            raise UnworkableError("there is no such person on this channel")
        yield known
    elif count > 1:
        for person in crowd(world, count):
            yield face_on(world, person, channel)
    else:
        yield face_on(world, person_named(world, body.person or SOMEBODY), channel)


def _unheard(news: Sequence[News], sent: Sequence[object]) -> dict[str, Json]:
    """Why no webhook follows, if none does."""
    if sent or not news:
        return {}
    return {"skipped": f"no app listens to {news[0].object}/{news[0].field} here"}
