"""A Page's comments and reactions, read with few calls; and later only what has changed."""

from datetime import timedelta
from typing import Final

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moorage_facebook.activity import run as runs
from moorage_facebook.activity.checkpoint import (
    MOST_WATCHED,
    Checkpoint,
    Edge,
    Pending,
    Watched,
    packed,
    unpacked,
)
from moorage_facebook.activity.run import Run
from moorage_ports.activity_sync import MAX_CHECKPOINT_CHARACTERS
from moorage_ports.errors import RateLimitError, RejectedError, VendorUnavailableError
from moorage_ports.events import CommentSeen
from moorage_ports.http import HttpAnswer, HttpRequest
from tests.unit.facebook.reader import Reader, calls_of, reader_of, wall_of
from tests.unit.facebook.wall import PAGE, Post, RefusalError, Wall

# What Graph's answers are made of, so that some of what is invented looks like one.
_KEYS: Final = st.sampled_from(
    [
        *("id", "message", "created_time", "updated_time", "from", "name", "parent", "comments", "reactions"),
        *("data", "paging", "cursors", "after", "next", "summary", "total_count", "shares", "count"),
        *("attachments", "attachment", "media", "image", "src", "type", "is_hidden"),
    ]
) | st.text(max_size=5)
NOBODY_ANSWERS: Final = RefusalError(0, 0)


# Everything ----------------------------------------------------------------------------------------


async def test_the_first_run_finds_everything_with_few_calls() -> None:
    """Each post with what is in it; what does not fit is read on."""
    wall = wall_of([(0, 0), (3, 1), (250, 120), (40, 230), (0, 5), (1, 0), *[(2, 2)] * 60])
    reader = await reader_of(wall)

    pieces = await reader.run()

    assert (reader.comments, reader.reactions) == wall.everything()
    assert reader.posts == set(wall.posts)
    cursor_loop = 1 + 2 * len(wall.posts)
    assert calls_of(wall) < cursor_loop / 6
    assert sum(piece.calls for piece in pieces) == calls_of(wall)
    assert sum(piece.items for piece in pieces) == len(reader.comments) + len(reader.reactions)
    assert pieces[-1].progress == 1.0


async def test_what_is_posted_on_an_empty_page_is_read_with_as_few_calls() -> None:
    """A run that found no post has nothing that the next could compare counts with."""
    sizes = [(4, 3)] * 60
    fresh, reader = await reader_of(wall_of(sizes)), await reader_of(Wall(most=10_000))
    await fresh.run()
    await reader.run()
    assert (reader.posts, reader.comments) == (set(), set())

    reader.wall.posts, reader.wall.now = fresh.wall.posts, fresh.wall.now
    before = calls_of(reader.wall)
    await reader.run()
    assert (reader.posts, reader.comments) == (fresh.posts, fresh.comments)
    assert calls_of(reader.wall) - before <= calls_of(fresh.wall) < len(sizes)


async def test_answers_name_what_they_answer() -> None:
    wall = Wall()
    post = wall.post()
    first = wall.comment(post)
    answer = wall.comment(post, first.id)
    own = wall.comment(post, first.id, author=PAGE)
    reader = await reader_of(wall)

    events = (await reader.piece()).events

    seen = {event.comment_external_id: event for event in events if isinstance(event, CommentSeen)}
    assert (seen[first.id].parent_external_id, seen[answer.id].parent_external_id) == ("", first.id)
    assert (seen[own.id].is_ours, seen[own.id].author) == (True, None)
    author = seen[first.id].author
    assert author is not None
    assert (author.external_id, author.realm) == (first.author, PAGE)
    assert seen[first.id].created_at == first.at


async def test_what_is_too_much_at_once_is_asked_for_in_smaller_pieces() -> None:
    """Graph says how much is too much only by refusing; that is not asked for again."""
    wall = wall_of([(30, 30)] * 40, most=600)
    reader = await reader_of(wall)

    await reader.run()

    assert (reader.comments, reader.reactions) == wall.everything()
    refused = wall.calls["GET feed"] - 14
    assert refused <= 4, wall.calls


async def test_a_single_post_that_is_too_much_is_read_in_smaller_pieces() -> None:
    wall = wall_of([(60, 60)] * 3, most=50)
    reader = await reader_of(wall)

    await reader.run()

    assert (reader.comments, reader.reactions) == wall.everything()


async def test_what_stays_too_much_is_an_error() -> None:
    wall = wall_of([(1, 1)], most=1)
    reader = await reader_of(wall)

    with pytest.raises(VendorUnavailableError):
        await reader.piece()


async def test_progress_only_grows() -> None:
    wall = wall_of([(100, 100)] * 120)
    reader = await reader_of(wall)

    progress = [piece.progress for piece in await reader.run()]

    assert len(progress) > 3
    assert progress == sorted(progress)
    assert 0 < progress[0] < 0.5


# Changes -------------------------------------------------------------------------------------------


async def test_without_news_only_counts_are_read() -> None:
    wall = wall_of([(20, 20)] * 250)
    reader = await reader_of(wall)
    await reader.run()
    wall.calls.clear()
    wall.now += timedelta(hours=1)

    pieces = await reader.run()

    assert wall.calls == {"GET feed": 3}
    assert sum(piece.items for piece in pieces) == 0


async def test_many_new_posts_are_read_as_by_a_first_run() -> None:
    """Two lists of each would be asked for otherwise."""
    reader = await reader_of(wall_of([(3, 2)] * 30))
    await reader.run()
    wall = reader.wall
    newest = wall.post()
    await reader.run()
    for _ in range(70):
        post = wall.post()
        wall.react(post)
        wall.comment(post)
    wall.posts[newest.id] = wall.posts.pop(newest.id)  # it stands above them: some of them came in late
    before = calls_of(wall)
    wall.comment(wall.posts[min(wall.posts)])
    await reader.run()
    assert len(reader.posts) == 101
    assert len(reader.comments) == 30 * 3 + 70 + 1
    assert len(reader.reactions) == 30 * 2 + 70
    assert calls_of(wall) - before <= 8  # pages of posts, counts before them, and the one list that changed

    before = calls_of(wall)
    await reader.run()
    assert calls_of(wall) - before == 2  # nothing is new: two pages of counts


async def test_only_what_changed_is_read() -> None:
    wall = wall_of([(50, 50)] * 120)
    wall.now += timedelta(hours=1)
    reader = await reader_of(wall)
    await reader.run()
    reader.forget()
    wall.calls.clear()
    wall.now += timedelta(hours=1)
    posts = [*wall.posts.values()]
    commented = wall.comment(posts[3])
    answered = wall.comment(posts[110], posts[110].comments[0].id)
    wall.react(posts[60], "77", "WOW")
    fresh = wall.post()
    first = wall.comment(fresh)

    pieces = await reader.run()

    assert {commented.id, answered.id, first.id} <= reader.comments
    assert (posts[60].id, "77", "wow") in reader.reactions
    assert fresh.id in reader.posts
    assert calls_of(wall) <= 2 + 4
    assert sum(piece.items for piece in pieces) < 50


async def test_what_came_while_a_run_went_on_is_found_by_the_next() -> None:
    """The overlap: a post that the run had behind it gets a comment before the run ends."""
    wall = wall_of([(60, 60)] * 100)
    reader = await reader_of(wall)
    await reader.piece()
    newest = [*wall.posts.values()][-1]
    late = wall.comment(newest)
    await reader.run()
    assert late.id not in reader.comments
    wall.now += timedelta(minutes=15)
    await reader.run()

    assert late.id in reader.comments


async def test_a_changed_mind_is_seen_where_somebody_else_reacted_too() -> None:
    wall = wall_of([(0, 3)])
    post = next(iter(wall.posts.values()))
    reader = await reader_of(wall)
    await reader.run()
    person = next(iter(post.reactions))
    wall.react(post, person, "ANGRY")
    wall.react(post)

    await reader.run()

    assert (post.id, person, "angry") in reader.reactions


async def test_posts_that_are_gone_are_forgotten() -> None:
    wall = wall_of([(5, 5)] * 30)
    reader = await reader_of(wall)
    await reader.run()
    gone = next(iter(wall.posts))
    del wall.posts[gone]
    await reader.run()

    watched = {w.post for w in unpacked(reader.checkpoint, PAGE).watched}
    assert gone.split("_")[1] not in watched
    assert len(watched) == 29


async def test_a_post_that_goes_while_it_is_read_holds_nothing_up() -> None:
    wall = wall_of([(150, 0), (150, 0)])
    reader = await reader_of(wall)
    wall.troubles["comments"] = [RefusalError(100), RefusalError(100)]

    await reader.run()

    assert len(reader.comments) >= 250


async def test_a_cursor_that_ran_out_is_read_from_the_beginning() -> None:
    wall = wall_of([(150, 0)])
    reader = await reader_of(wall)
    wall.troubles["comments"] = [RefusalError(100)]

    await reader.run()

    assert reader.comments == wall.everything()[0]


# Weather -------------------------------------------------------------------------------------------


async def test_what_was_read_before_a_limit_is_kept() -> None:
    """The piece ends there; the next one says that there is a limit."""
    wall = wall_of([(150, 150)] * 10)
    reader = await reader_of(wall)
    wall.troubles["reactions"] = [RefusalError(80001) for _ in range(10)]

    piece = await reader.piece()

    assert piece.items > 1_000
    assert not piece.is_complete
    with pytest.raises(RateLimitError):
        await reader.piece()
    reader.clock.advance(timedelta(hours=2))
    await reader.run()
    assert (reader.comments, reader.reactions) == wall.everything()


async def test_what_a_batch_left_out_is_asked_for_again() -> None:
    wall = wall_of([(150, 150)] * 10)
    reader = await reader_of(wall)
    wall.troubles["comments"] = [None, NOBODY_ANSWERS, None, NOBODY_ANSWERS]

    await reader.run()

    assert (reader.comments, reader.reactions) == wall.everything()


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(
    sizes=st.lists(st.tuples(st.integers(0, 130), st.integers(0, 130)), max_size=12),
    most=st.integers(40, 6_000),
    later=st.lists(
        st.tuples(
            st.sampled_from(["comment", "answer", "react", "post", "piece", "run"]), st.integers(0, 50)
        ),
        max_size=25,
    ),
    many=st.sampled_from([2, runs.MANY_NEW]),
)
async def test_whatever_happens_meanwhile_all_of_it_is_found_in_the_end(
    sizes: list[tuple[int, int]], most: int, later: list[tuple[str, int]], many: int
) -> None:
    """People go on while we read; after a last quiet run nothing is missing."""
    wall = wall_of(sizes, most=most)
    reader = await reader_of(wall)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(runs, "MANY_NEW", many)
        for what, number in later:
            await _happen(wall, reader, what, number)
        for _ in range(2):
            wall.now += timedelta(minutes=20)
            await reader.run()

    assert (reader.comments, reader.reactions) == wall.everything()


async def _happen(wall: Wall, reader: Reader, what: str, number: int) -> None:
    posts: list[Post] = [*wall.posts.values()]
    post = posts[number % len(posts)] if posts else wall.post()
    if what == "post":
        wall.post()
    elif what == "comment":
        wall.comment(post)
    elif what == "answer" and post.comments:
        wall.comment(post, post.comments[number % len(post.comments)].id)
    elif what == "react":
        wall.react(post)
    elif what == "piece":
        await reader.piece()
    elif what == "run":
        await reader.run()


async def test_a_list_of_posts_whose_cursor_ran_out_begins_anew() -> None:
    wall = wall_of([(1, 1)] * 250)
    reader = await reader_of(wall)
    await reader.run()
    wall.now += timedelta(hours=1)
    late = wall.comment(next(iter(wall.posts.values())))
    wall.troubles["feed"] = [None, RefusalError(100)]

    await reader.run()

    assert late.id in reader.comments


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=8),
    max_leaves=25,
)


@settings(deadline=None)
@given(data=st.lists(_json, max_size=5))
async def test_whatever_graph_lists_is_read_or_left_out(data: list[object]) -> None:
    """Wrong types, missing keys, huge numbers, half characters: nothing of it stops a sync."""
    wall = wall_of([(2, 2)])
    reader = await reader_of(wall)
    answer = {"data": data, "paging": {}}
    body = msgspec.json.encode(answer)

    async def send(request: HttpRequest) -> HttpAnswer:
        return HttpAnswer(status=200, body=body)

    wall.send = send  # type: ignore[method-assign]
    for _ in range(3):
        await reader.piece()
    assert len(reader.checkpoint) < MAX_CHECKPOINT_CHARACTERS


# Instagram -----------------------------------------------------------------------------------------


async def test_instagram_comments_come_with_their_replies() -> None:
    wall = Wall(is_instagram=True)
    for _ in range(3):
        post = wall.post()
        for _ in range(60):
            wall.comment(post)
        for _ in range(70):
            wall.comment(post, post.comments[5].id)
    reader = await reader_of(wall)

    await reader.run()

    assert reader.comments == wall.everything()[0]
    wall.now += timedelta(hours=1)
    newest = [*wall.posts.values()][-1]
    late = wall.comment(newest, newest.comments[50].id)
    wall.calls.clear()
    reader.forget()
    await reader.run()
    assert late.id in reader.comments
    assert calls_of(wall) <= 5


# Checkpoints ---------------------------------------------------------------------------------------


def test_a_checkpoint_has_room_for_thousands_of_posts() -> None:
    """At most 64 Ki characters, with ids and cursors as long as Graph's."""
    watched = [
        Watched(
            post=str(10**17 + n * 7919**3), comments=n % 9973, reactions=n, updated=1_900_000_000 - n * 977
        )
        for n in range(MOST_WATCHED)
    ]
    pending = [
        Pending(post=w.post, edge=Edge.COMMENTS, after=f"{n:x}" * 40) for n, w in enumerate(watched[:50])
    ]
    checkpoint = Checkpoint(channel=PAGE, watched=watched, pending=pending, seen=MOST_WATCHED)

    text = packed(checkpoint)

    assert len(text) <= MAX_CHECKPOINT_CHARACTERS
    assert unpacked(text, PAGE) == checkpoint


def test_too_much_to_note_costs_the_oldest_posts_their_watch() -> None:
    watched = [
        Watched(post=f"{n}{'abcdefghij' * 3}{n**9}", comments=n, reactions=n, updated=n) for n in range(9_000)
    ]

    kept = unpacked(packed(Checkpoint(channel=PAGE, watched=watched, seen=9_000)), PAGE)

    assert 0 < len(kept.watched) < 9_000
    assert kept.watched == watched[: len(kept.watched)]
    assert kept.seen == len(kept.watched)


@given(st.text() | st.binary().map(lambda raw: raw.decode("latin-1")))
def test_whatever_text_comes_it_is_a_checkpoint_or_refused(text: str) -> None:
    with pytest.raises(RejectedError):
        unpacked(text, PAGE)


def test_another_channels_checkpoint_is_refused() -> None:
    with pytest.raises(RejectedError):
        unpacked(packed(Checkpoint(channel="1")), PAGE)


def test_the_piece_is_bounded() -> None:
    """One call's worth above what is enough; the host merges a piece at a time."""
    assert runs.ENOUGH + runs.MOST_POSTS * 200 < 20_000
    assert Run.__slots__
