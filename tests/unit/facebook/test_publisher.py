"""Posts as Facebook takes them: photos, links, and what becomes of them when an answer is lost."""

import time
from datetime import UTC, datetime, timedelta

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage_facebook.publisher import LINK_MOVED, is_this_post, page_feed_post, page_photo_post, post_text
from moorage_ports.errors import InvalidRequestError, OutcomeUnknownError, VendorUnavailableError
from moorage_ports.publisher import PublishPost
from moorage_ports.secret import Secret
from tests.contract.facebook_weather import PAGE
from tests.unit.facebook.conftest import Org

TOKEN = Secret("page-token")
LINK = "https://shop.example/spring?a=1&b=2"
PHOTO, SECOND_PHOTO = "https://img.example/a.jpg", "https://img.example/b.jpg"
SHORTLY_BEFORE = timedelta(minutes=5)


def post(text: str = "", link: str | None = None, *images: str) -> PublishPost:
    return PublishPost(channel_external_id=PAGE, text=text, link=link, images=images)


def test_a_link_is_a_card_of_its_own() -> None:
    call = page_feed_post(post("Look", LINK), TOKEN)

    assert (call.method, call.path) == ("POST", (PAGE, "feed"))
    assert dict(call.data) == {"message": "Look", "link": LINK}


def test_beside_a_photo_a_link_moves_into_the_text() -> None:
    """Graph has no post with both: nothing may be dropped without a word."""
    call = page_photo_post(post("Look", LINK, PHOTO), TOKEN)

    assert call.path == (PAGE, "photos")
    assert dict(call.data) == {"url": PHOTO, "caption": f"Look\n\n{LINK}"}


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        (post("Look", LINK, PHOTO), f"Look\n\n{LINK}"),
        (post("", LINK, PHOTO), LINK),
        (post(f"See {LINK} now", LINK, PHOTO), f"See {LINK} now"),
        (post("Look", None, PHOTO), "Look"),
        (post("Look", LINK), "Look"),
        (post("", LINK), ""),
    ],
)
def test_the_text_that_is_sent(written: PublishPost, sent: str) -> None:
    assert post_text(written) == sent


@given(text=st.text(max_size=50))
def test_the_authors_text_is_never_changed(text: str) -> None:
    """It is added to, at most."""
    assert post_text(post(text, LINK, PHOTO)).startswith(text)


@pytest.mark.parametrize(
    "written",
    [
        post("Only words ☕"),
        post("Look", LINK),
        post("", LINK),
        post("A photo", None, PHOTO),
        post("", None, PHOTO),
        post("Look", LINK, PHOTO),
        post("Two", None, PHOTO, SECOND_PHOTO),
        post("Two and a link", LINK, PHOTO, SECOND_PHOTO),
        post("  blanks around \r\nand two kinds of line ends \n"),
    ],
)
async def test_what_was_published_is_found_again(org: Org, written: PublishPost) -> None:
    """Whatever the kind of post, looking for it finds the very post that was made."""
    since = org.context.clock.now()

    published = await org.publisher.publish(written)
    found = await org.publisher.find(written, since=since)

    assert found is not None
    assert found.external_id == published.external_id
    assert found.permalink == (await org.publisher.check(PAGE, found.external_id)).permalink
    assert found.permalink
    assert published.notes == ((LINK_MOVED,) if written.images and written.link else ())


async def test_several_photos_are_one_post(org: Org) -> None:
    """They are uploaded unseen first; people see one post with all of them."""
    await org.publisher.publish(post("Two", None, PHOTO, SECOND_PHOTO))

    (made,) = await org.world.state("posts")
    photo_ids = made["photoIds"] if "photoIds" in made else made["photo_ids"]
    assert isinstance(photo_ids, list)
    assert len(photo_ids) == 2


async def test_an_answer_lost_while_uploading_published_nothing(org: Org) -> None:
    """No post exists yet, so the whole may be sent again: that is not "unknown"."""
    await org.world.control("faults", match={"method": "POST", "path": "/photos"}, times=1, drop="after")

    with pytest.raises(VendorUnavailableError):
        await org.publisher.publish(post("Two", None, PHOTO, SECOND_PHOTO))

    assert await org.world.state("posts") == []


async def test_an_answer_lost_at_the_last_step_is_unknown_and_then_found(org: Org) -> None:
    since = org.context.clock.now()
    written = post("Two", None, PHOTO, SECOND_PHOTO)
    await org.world.control("faults", match={"method": "POST", "path": "/feed"}, times=1, drop="after")

    with pytest.raises(OutcomeUnknownError):
        await org.publisher.publish(written)

    assert await org.publisher.find(written, since=since) is not None
    assert len(await org.world.state("posts")) == 1


async def test_an_answer_lost_before_it_was_carried_out_is_not_found(org: Org) -> None:
    """Graph never saw it: looking says so, and nothing was sent twice meanwhile."""
    since = org.context.clock.now()
    await org.world.control("faults", match={"method": "POST", "path": "/feed"}, times=1, drop="before")

    with pytest.raises(OutcomeUnknownError):
        await org.publisher.publish(post("Words"))

    assert await org.publisher.find(post("Words"), since=since) is None


async def test_nothing_is_asked_between_the_posts_id_and_whoever_waits_for_it(org: Org) -> None:
    """An id that we have must not be lost over a permalink that is slow."""
    await org.world.control("faults", match={"method": "GET"}, drop="before")

    assert (await org.publisher.publish(post("Words"))).external_id


@pytest.mark.parametrize(
    ("fault", "symptom"),
    [
        ({"status": 500, "body": "<html>"}, "vendor_answered_500"),
        ({"status": 200, "body": "<html>"}, "vendor_answered_200"),
        ({"drop": "after"}, "no_answer"),
    ],
)
async def test_what_happened_to_an_answer_is_told(org: Org, fault: dict[str, object], symptom: str) -> None:
    """Support has nothing else to go by."""
    await org.world.control("faults", match={"method": "POST", "path": "/feed"}, times=1, **fault)

    with pytest.raises(OutcomeUnknownError) as failure:
        await org.publisher.publish(post("Words"))

    assert failure.value.symptom == symptom


@pytest.mark.parametrize(
    ("asked", "shown", "is_same"),
    [
        ("https://shop.example", "https://shop.example/", True),
        ("https://www.shop.example/a/", "http://shop.example/a", True),
        ("https://shop.example/a?x=1", "https://shop.example/a?x=2", False),
        ("https://shop.example/a", "https://shop.example/b", False),
        ("https://shop.example/a", None, True),
    ],
)
def test_a_link_is_recognised_in_facebooks_spelling(asked: str, shown: str | None, is_same: bool) -> None:
    """A slash more must not make a post that stands look as if it did not; another page is another post."""
    card = [{"media_type": "link", "unshimmed_url": shown}] if shown else []
    node = {"created_time": 2_000_000_000, "message": "Look", "attachments": {"data": card}}
    since = datetime.fromtimestamp(1_999_999_999, UTC)

    assert is_this_post(node, post("Look", asked), app_id="1", since=since) is is_same


async def test_photos_are_uploaded_side_by_side(org: Org) -> None:
    """Ten slow uploads one after the other would outlast everybody's patience."""
    await org.world.control("faults", match={"method": "POST", "path": "/photos"}, delayMs=100)
    began = time.monotonic()

    parts = await org.publisher.prepare(post("Ten", None, *[f"{PHOTO}?{n}" for n in range(10)]))

    assert len(set(parts)) == 10
    assert time.monotonic() - began < 0.7


async def test_photos_stand_in_the_authors_order(org: Org) -> None:
    urls = [f"{PHOTO}?{n}" for n in range(6)]
    await org.publisher.publish(post("Six", None, *urls))

    (made,) = await org.world.state("posts")
    assert made["photos"] == urls


@pytest.mark.parametrize("ahead", [timedelta(minutes=9), timedelta(days=31), timedelta(days=-1)])
async def test_a_time_that_facebook_does_not_take_is_refused_before_anything_is_sent(
    org: Org, ahead: timedelta
) -> None:
    planned = attrs.evolve(post("Later", None, PHOTO), publish_at=org.context.clock.now() + ahead)

    with pytest.raises(InvalidRequestError) as failure:
        await org.publisher.publish(planned)

    assert "publishAt" in failure.value.fields
    assert (await org.publisher.preflight(planned)).problems
    assert await org.world.state("photos") == []


@pytest.mark.parametrize("images", [(), (PHOTO,), (PHOTO, SECOND_PHOTO)])
async def test_a_draft_with_whatever_photos_is_one_unseen_post(org: Org, images: tuple[str, ...]) -> None:
    await org.publisher.publish(attrs.evolve(post("Draft", None, *images), is_draft=True))

    (made,) = await org.world.state("posts")
    assert made["live"] is False
    assert made["photos"] == list(images)


async def test_a_draft_whose_answer_was_lost_may_be_sent_again(org: Org) -> None:
    """Nobody sees it, whatever became of it, and no list of Graph's has it."""
    await org.world.control("faults", match={"method": "POST", "path": "/feed"}, times=1, drop="after")

    with pytest.raises(VendorUnavailableError):
        await org.publisher.publish(attrs.evolve(post("Draft"), is_draft=True))


async def test_a_photo_is_not_taken_for_a_text_that_reads_alike(org: Org) -> None:
    since = org.context.clock.now()
    await org.publisher.publish(post("Same words", None, PHOTO))

    assert await org.publisher.find(post("Same words"), since=since) is None


async def test_the_earliest_of_two_alike_is_the_one(org: Org) -> None:
    """The second was sent by somebody who could not wait; the first settles the question."""
    since = org.context.clock.now()
    first = await org.publisher.publish(post("Words"))
    await org.world.pass_time(timedelta(minutes=1))
    await org.publisher.publish(post("Words"))

    found = await org.publisher.find(post("Words"), since=since)

    assert found is not None
    assert found.external_id == first.external_id


async def test_preflight_says_what_stands_in_the_way(org: Org) -> None:
    """Without asking Facebook to publish: a scope that was declined, a text that grows too long."""
    too_long = post("x" * 63_200, LINK, PHOTO)

    ahead = await org.publisher.preflight(too_long)

    assert len(ahead.problems) == 1
    assert ahead.notes == (LINK_MOVED,)
    assert await org.world.state("posts") == []
