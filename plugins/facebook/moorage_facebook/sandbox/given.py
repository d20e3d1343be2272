"""What control calls are given: how it is understood, and that it makes no sense."""

from datetime import UTC, datetime

from moorage_facebook.sandbox.bodies import ActBody
from moorage_facebook.sandbox.entities import Page, Post
from moorage_facebook.sandbox.news import Manner
from moorage_facebook.sandbox.state import World


class UnworkableError(Exception):
    """A control call that makes no sense; the text says why."""


def manner_of(body: ActBody) -> Manner:
    """How the news shall travel."""
    return Manner(mode=body.delivery, delay_seconds=body.delay_seconds, per_delivery=body.per_delivery)


def page_given(world: World, page_id: str | None) -> Page:
    """The Page that is meant; the first one if none is named.

    Raises:
        UnworkableError: There is none.
    """
    page = world.pages.get(page_id) if page_id else next(iter(world.pages), None)
    if page is None:
        raise UnworkableError("there is no such page")
    return page


def post_given(world: World, post_id: str | None, page_id: str | None) -> Post:
    """The post that is meant; the Page's newest if none is named.

    Raises:
        UnworkableError: There is none.
    """
    post = (
        world.posts.get(post_id) if post_id else next(iter(world.posts_on(page_given(world, page_id))), None)
    )
    if post is None:
        raise UnworkableError("there is no such post" if post_id else "the page has no post yet")
    return post


def moment_given(given: int | str | None, now: int) -> int:
    """UNIX seconds or ISO 8601; now if nothing is given.

    Raises:
        UnworkableError: It is neither.
    """
    if given is None:
        return now
    if isinstance(given, int):
        return given
    try:
        moment = datetime.fromisoformat(given)
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError) as error:
        raise UnworkableError("createdTime must be UNIX seconds or an ISO 8601 time") from error
