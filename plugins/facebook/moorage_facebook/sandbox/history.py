"""Histories of any size, made at once: posts with comments, answers and reactions, and no webhook."""

import random
from itertools import cycle, islice

from moorage_facebook.sandbox.bodies import BulkBody
from moorage_facebook.sandbox.entities import Page, Post, Setting
from moorage_facebook.sandbox.faces import crowd, face_on
from moorage_facebook.sandbox.given import UnworkableError, page_given
from moorage_facebook.sandbox.jsontext import Json
from moorage_facebook.sandbox.reactions import TYPES, reaction_id
from moorage_facebook.sandbox.social import (
    Comment,
    Face,
    InstagramAccount,
    InstagramComment,
    InstagramMedia,
    Reaction,
)
from moorage_facebook.sandbox.state import World

_ANSWERS_EVERY = 5  # of so many comments one answers another
_STRETCH = "next_number"
_WORDS = ("Lovely", "When do you open?", "Is this still there?", "Thank you ☕", "How much is it?", "Bravo!")


def make_history(world: World, body: BulkBody) -> dict[str, Json]:
    """As many posts as asked for, over the last `days`; what is said on them follows by the minute.

    Raises:
        UnworkableError: There is no such Page, or it has no Instagram account.
    """
    page = page_given(world, body.page_id)
    if body.channel == "instagram":
        account = world.instagram_of(page)
        if account is None:
            raise UnworkableError("this page has no Instagram account")
        _on_instagram(world, body, account)
    else:
        _on_the_wall(world, body, page)
    reactions = 0 if body.channel == "instagram" else min(body.reactions_per_post, body.people)
    return {
        "pageId": page.id,
        "posts": body.posts,
        "comments": body.posts * body.comments_per_post,
        "reactions": body.posts * reactions,
    }


def _on_the_wall(world: World, body: BulkBody, page: Page) -> None:
    faces = [face_on(world, person, page) for person in crowd(world, body.people)]
    writers, fans = cycle(faces), random.Random(body.posts)  # noqa: S311 - which invented person likes what
    numbers = _numbers(world, body)
    for number in range(body.posts):
        at = _moment(world, body, number)
        post_number = next(numbers)
        post = Post(
            id=f"{page.id}_{post_number}",
            page_id=page.id,
            app_id="",
            message=f"Post {number + 1}",
            created_at=at,
            updated_at=at + 60 * body.comments_per_post,
        )
        world.posts.put(post)
        _comments(world, post, list(islice(writers, body.comments_per_post)), numbers)
        for face in fans.sample(faces, min(body.reactions_per_post, len(faces))):
            world.reactions.put(
                Reaction(
                    id=reaction_id(post.id, face.id),
                    page_id=page.id,
                    post_id=post.id,
                    target_id=post.id,
                    author_id=face.id,
                    type=TYPES[fans.randrange(len(TYPES))],
                    created_at=at,
                )
            )


def _comments(world: World, post: Post, writers: list[Face], numbers: "_Numbers") -> None:
    above = ""
    for place, face in enumerate(writers):
        comment = Comment(
            id=f"{post.number}_{next(numbers)}",
            page_id=post.page_id,
            post_id=post.id,
            parent_id=above if place % _ANSWERS_EVERY == _ANSWERS_EVERY - 1 else "",
            author_id=face.id,
            text=f"{_WORDS[place % len(_WORDS)]} ({place + 1})",
            created_at=post.created_at + 60 * (place + 1),
        )
        above = above if comment.parent_id else comment.id
        world.comments.put(comment)


def _on_instagram(world: World, body: BulkBody, account: InstagramAccount) -> None:
    writers = cycle([face_on(world, person, account) for person in crowd(world, body.people)])
    numbers = _numbers(world, body)
    for number in range(body.posts):
        at = _moment(world, body, number)
        media = InstagramMedia(
            id=str(next(numbers)),
            page_id=account.page_id,
            account_id=account.id,
            caption=f"Picture {number + 1}",
            url="https://shop.example/picture.jpg",
            created_at=at,
        )
        world.instagram_media.put(media)
        above = ""
        for place, face in enumerate(islice(writers, body.comments_per_post)):
            comment = InstagramComment(
                id=str(next(numbers)),
                page_id=account.page_id,
                account_id=account.id,
                media_id=media.id,
                parent_id=above if place % _ANSWERS_EVERY == _ANSWERS_EVERY - 1 else "",
                author_id=face.id,
                username=face.username,
                text=f"{_WORDS[place % len(_WORDS)]} ({place + 1})",
                created_at=at + 60 * (place + 1),
            )
            above = above if comment.parent_id else comment.id
            world.instagram_comments.put(comment)


class _Numbers:
    """Ids in a row: asking for each whether it is free would take longer than everything else."""

    def __init__(self, first: int) -> None:
        self._next = first

    def __next__(self) -> int:
        self._next += 1
        return self._next


def _numbers(world: World, body: BulkBody) -> _Numbers:
    """A stretch of ids that nothing has: longer than those handed out singly, each after the last."""
    known = world.settings.get(_STRETCH)
    first = int(known.value) if known else 5 * 10**17
    size = body.posts * (body.comments_per_post + 1)
    world.settings.put(Setting(id=_STRETCH, value=str(first + size)))
    return _Numbers(first)


def _moment(world: World, body: BulkBody, number: int) -> int:
    """The newest post is the last one made, and its last comment lies in the past."""
    length = 60 * (body.comments_per_post + 2)
    step = max(1, body.days * 86_400 // body.posts)
    return world.seconds() - length - step * (body.posts - 1 - number)
