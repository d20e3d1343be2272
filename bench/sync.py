"""A Page's whole history: our sync beside a plain loop over the official SDK's cursors, over one sandbox.

`python -m bench.sync [--posts 1000] [--comments 50] [--reactions 50] [--sdk-posts 100] [--no-host] [--kill]`.
The sandbox is a process of its own in which every HTTP request takes 100 ms on the way. Both sides ask for
the same fields with limit 100, and the sandbox refuses to expand more than Graph would.

Prints items (comments and reactions) per second and calls of both, and their `ratio`; then a second run after
a hundred changes; then the whole host, from the trigger to the last row in SQLite. `--kill` kills the host in
the middle of that.
"""

import argparse
import asyncio
import os
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import attrs
import uvloop
from facebook_business.adobjects.page import Page
from facebook_business.adobjects.pagepost import PagePost
from facebook_business.api import FacebookAdsApi

from moorage_facebook.activity.calls import COMMENT_FIELDS, POST_FIELDS, REACTION_FIELDS
from moorage_facebook.sandbox.paging import MOST_EXPANDED
from moorage_ports.events import CommentSeen, ReactionSet
from tests.oracles.asked import RecordingHttp
from tests.oracles.official_sdk import official_sdk
from tests.oracles.plugin import ConnectedPlugin, connect, http_client, ports
from tests.oracles.sandbox import PAGE, ServedSandbox
from tests.support.demo import free_port
from tests.support.sandboxes import SandboxProcess, host_plan, served_by
from tests.support.syncing import ORG, SyncingHost

LATENCY = 100  # milliseconds, of every HTTP request
LIMIT = 100
CHANGES = 100
PEOPLE = 2_000


@attrs.frozen(kw_only=True)
class Measured:
    """One way to read the wall. A call in a batch counts as one; a request may carry fifty."""

    seconds: float
    items: int
    calls: int
    requests: int

    @property
    def per_second(self) -> float:
        """Items per second."""
        return self.items / self.seconds

    def line(self, name: str) -> str:
        """As it is printed."""
        return (
            f"sync {name:<12} {self.items:>7} items  {self.seconds:>6.1f} s  {self.per_second:>7.0f} items/s"
            f"  {self.calls:>5} calls in {self.requests} requests"
        )


@attrs.define
class Ours:
    """The plugin through its port, from a checkpoint on."""

    plugin: ConnectedPlugin
    http: RecordingHttp
    checkpoint: str = ""
    seen: set[tuple[str, ...]] = attrs.field(factory=set)

    async def run(self) -> Measured:
        """A whole run."""
        items = calls = 0
        before, began = len(self.http.sent), time.monotonic()
        while True:
            piece = await self.plugin.activity_sync.activity(PAGE, checkpoint=self.checkpoint)
            self.checkpoint, items, calls = piece.checkpoint, items + piece.items, calls + piece.calls
            for event in piece.events:
                if isinstance(event, CommentSeen):
                    self.seen.add((event.comment_external_id,))
                elif isinstance(event, ReactionSet):
                    self.seen.add((event.target_external_id, event.person.external_id))
            if piece.is_complete:
                break
        seconds, requests = time.monotonic() - began, len(self.http.sent) - before
        return Measured(seconds=seconds, items=items, calls=calls, requests=requests)


def sdk_loop(api: FacebookAdsApi, posts: int) -> Measured:
    """What the SDK's documentation shows: a cursor over posts, and for each two cursors more."""
    items, began, before = 0, time.monotonic(), api.get_num_requests_attempted()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it has no word for fields of fields
        feed = Page(PAGE, api=api).get_feed(fields=[POST_FIELDS], params={"limit": LIMIT})
        for _, post in zip(range(posts), feed, strict=False):
            items += _all_of(PagePost(post["id"], api=api))
    calls = api.get_num_requests_attempted() - before
    return Measured(seconds=time.monotonic() - began, items=items, calls=calls, requests=calls)


def _all_of(post: PagePost) -> int:
    comments = post.get_comments(
        fields=[COMMENT_FIELDS],
        params={"filter": "stream", "order": "reverse_chronological", "limit": LIMIT},
    )
    reactions = post.get_reactions(fields=[REACTION_FIELDS], params={"limit": LIMIT})
    return sum(1 for _ in comments) + sum(1 for _ in reactions)


async def beside_the_sdk(sandbox: ServedSandbox, wall: argparse.Namespace) -> bool:
    """The whole history through the port, the SDK over a part of it, and a second run."""
    wanted = wall.posts * (wall.comments + wall.reactions)
    part = min(wall.sdk_posts, wall.posts)
    async with http_client() as inner:
        http = RecordingHttp(inner)
        plugin = ports(sandbox, http)
        await connect(plugin, sandbox)
        sandbox.control("latency", millis=LATENCY)
        ours = Ours(plugin, http)
        first = await ours.run()
        print(first.line("ours"), flush=True)
        assert len(ours.seen) == wanted, f"{len(ours.seen)} of {wanted} were found"
        with official_sdk(sandbox, sandbox.page_token(sandbox.user_token())) as api:
            theirs = await asyncio.to_thread(sdk_loop, api, part)
        print(f"{theirs.line('SDK loop')}  (the first {part} of {wall.posts} posts)", flush=True)
        changes = change(sandbox, CHANGES)
        second = await ours.run()
        print(f"{second.line('ours again')}  after {changes} changes", flush=True)
        assert len(ours.seen) == wanted + changes
    ratio = first.per_second / theirs.per_second
    apiece = theirs.calls / theirs.items * first.items
    print(
        f"sync calls for the same items: ours {first.calls}, SDK loop {apiece:.0f}; ratio {ratio:.1f}",
        flush=True,
    )
    return ratio >= 10 and first.calls < apiece


def change(sandbox: ServedSandbox, most: int) -> int:
    """People comment on some posts and react to others, all of them different ones; how many there were."""
    posts = [str(row["id"]) for row in sandbox.state("posts")]
    changed = posts[:: max(1, len(posts) // most)][:most]
    for number, post in enumerate(changed):
        act = {"postId": post, "person": f"Newcomer {number}", "delivery": "lose"}
        if number % 2:
            sandbox.control("reactions", **act)
        else:
            sandbox.control("comments", **act, text="I came late")
    return len(changed)


async def whole_host(sandbox: ServedSandbox, wall: argparse.Namespace, folder: Path) -> None:
    """A host of its own process, from the trigger to the last row."""
    plan = host_plan(sandbox, folder)
    await plan.seed({ORG: [PAGE]})
    host = SyncingHost(plan=plan, port=free_port())
    try:
        await host.start()
        await host.trigger()
        if wall.kill:
            await killed_in_the_middle(host)
        state = await host.until_done(deadline=600)
        held = await host.held()
    finally:
        await host.process.kill()
    assert state.started_at is not None
    assert state.finished_at is not None
    seconds = (state.finished_at - state.started_at).total_seconds()
    print(
        f"sync whole host   {state.items:>7} items  {seconds:>6.1f} s  {state.items / seconds:>7.0f} items/s"
        f"  {state.calls:>5} calls; in SQLite {held['comments']} comments, {held['reactions']} reactions",
        flush=True,
    )


async def killed_in_the_middle(host: SyncingHost) -> None:
    """kill -9 when a third is written; the next process goes on where that stood."""
    while True:
        state = await host.state()
        if state is not None and state.progress > 1 / 3:
            break
        await asyncio.sleep(0.05)
    await host.process.kill()
    stands = await host.state()
    assert stands is not None
    print(f"sync killed (-9) at {stands.items} items, {stands.calls} calls", flush=True)
    await host.start()


async def run(wall: argparse.Namespace) -> bool:
    """All of it in one sandbox."""
    with tempfile.TemporaryDirectory(prefix="moorage-sync-") as name:
        folder = Path(name)
        process = SandboxProcess(folder=folder)
        try:
            sandbox = served_by(process, await process.start())
            with sandbox.client:
                build(sandbox, wall)
                enough = await beside_the_sdk(sandbox, wall)
                if wall.host:
                    await whole_host(sandbox, wall, folder)
            return enough
        finally:
            await process.stop()


def build(sandbox: ServedSandbox, wall: argparse.Namespace) -> None:
    """The history that both sides read."""
    began = time.monotonic()
    sandbox.control(
        "bulk",
        posts=wall.posts,
        commentsPerPost=wall.comments,
        reactionsPerPost=wall.reactions,
        people=PEOPLE,
    )
    print(
        f"sync wall: {wall.posts} posts with {wall.comments} comments and {wall.reactions} reactions each,"
        f" made in {time.monotonic() - began:.1f} s; {LATENCY} ms per request, limit {LIMIT},"
        f" at most {MOST_EXPANDED} nested per call",
        flush=True,
    )


def compare(argv: Sequence[str] | None = None) -> bool:
    """Print the comparison; answers whether we are ten times as fast with fewer calls."""
    parser = argparse.ArgumentParser(prog="python -m bench.sync", description=__doc__)
    parser.add_argument("--posts", type=int, default=1_000)
    parser.add_argument("--comments", type=int, default=50)
    parser.add_argument("--reactions", type=int, default=50)
    parser.add_argument("--sdk-posts", type=int, default=100, help="the part that the SDK's loop reads")
    parser.add_argument("--no-host", dest="host", action="store_false")
    parser.add_argument("--kill", action="store_true", help="kill the host in the middle")
    os.environ["NO_PROXY"] = "127.0.0.1"  # the SDK asks the environment, and no proxy leads to this machine
    return uvloop.run(run(parser.parse_args(argv)))


if __name__ == "__main__":
    raise SystemExit(0 if compare() else 1)
