"""One piece of a run: what is read for it, and where that leaves the checkpoint.

The first run of a Page reads posts with their comments and reactions inside (field expansion); Graph refuses
what it finds too large, and then fewer are asked for at once. Later runs count, and read only the lists whose
counts, or whose post's `updated_time`, are not what they were; many new posts they read as a first run
does. What does not fit inside a post is read on in batches.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

import attrs
import msgspec

from moorage_facebook.activity import calls
from moorage_facebook.activity.checkpoint import (
    MOST_WATCHED,
    Checkpoint,
    Edge,
    Pending,
    Phase,
    Watched,
    packed,
)
from moorage_facebook.activity.events import (
    comment_seen,
    media_comments_seen,
    media_seen,
    post_seen,
    reaction_set,
    reply_seen,
    seconds_of,
)
from moorage_facebook.graph.batch import MOST_IN_BATCH, Outcome, send_batch
from moorage_facebook.graph.call import GraphCall
from moorage_facebook.graph.client import GraphClient
from moorage_facebook.graph.paging import Node, page_from_graph
from moorage_facebook.graph.values import integer, node_id, record
from moorage_ports.activity_sync import ActivityPiece
from moorage_ports.errors import (
    RejectedError,
    VendorError,
    VendorNotFoundError,
    VendorUnavailableError,
)
from moorage_ports.events import CommentSeen, CrmEvent
from moorage_ports.secret import Secret

OVERLAP: Final = timedelta(minutes=10)  # read again where a post does not say when it changed
FIRST_POSTS: Final = 25  # per call with expansion, and how many comments (and reactions) inside each
MOST_POSTS: Final = 50
ENOUGH: Final = 4_000  # items of a piece: then the host gets it, whatever is left
FEW: Final = 1_500  # items of a call: the next may ask for more posts
MOST_PENDING: Final = 200  # lists to read on: then those first
PAGES_AT_ONCE: Final = 10  # of counts, in one piece
BATCHES_AT_ONCE: Final = 3
MANY_NEW: Final = 10  # posts, from which on they are read like a first run's
MARGIN: Final = 10  # how many more are read than the counts say have come
MOST_THREADS: Final = 200  # of an Instagram media's comments: how many are looked through for new replies
_SMALL_NESTED: Final = 10
_MOST_COUNTED: Final = 10**12
_TOO_MUCH: Final = "1"  # "reduce the amount of data", also Graph's word for its own trouble
_TOO_LONG: Final = frozenset({"timed_out", "no_answer"})


@attrs.define(kw_only=True)
class Run:
    """A channel's run, for the length of one piece. `is_page`: a Facebook Page, else an Instagram account."""

    client: GraphClient
    token: Secret
    channel_id: str
    is_page: bool
    checkpoint: Checkpoint
    events: list[CrmEvent] = attrs.field(factory=list, init=False)
    listed: dict[str, Watched] = attrs.field(factory=dict, init=False)  # by this run
    before: dict[str, Watched] = attrs.field(factory=dict, init=False)  # by the last, and not by this yet
    items: int = attrs.field(default=0, init=False)
    calls: int = attrs.field(default=0, init=False)
    trouble: VendorError | None = attrs.field(default=None, init=False)

    async def piece(self) -> ActivityPiece:
        """Read on until there is enough for a piece, or nothing is left.

        Raises:
            VendorError: Nothing could be read.
        """
        checkpoint = self.checkpoint
        for number, watched in enumerate(checkpoint.watched):
            (self.listed if number < checkpoint.seen else self.before)[watched.post] = watched
        try:
            await self._read()
        except VendorError as trouble:
            self.trouble = trouble
        if self.trouble is not None and not (self.items or self.events):
            raise self.trouble
        is_complete = self.trouble is None and checkpoint.is_listed and not checkpoint.pending
        progress = 1.0 if is_complete else self._progress()
        checkpoint.seen = len(self.listed)
        checkpoint.watched = [*self.listed.values(), *self.before.values()]
        if is_complete:
            self._finish()
        return ActivityPiece(
            events=tuple(self.events),
            items=self.items,
            calls=self.calls,
            checkpoint=packed(checkpoint),
            is_complete=is_complete,
            progress=progress,
        )

    async def _read(self) -> None:
        checkpoint, pages = self.checkpoint, 0
        if not (checkpoint.total or checkpoint.after or checkpoint.is_listed):
            await self._expect()
        await self._read_on()
        while self.trouble is None and self.items < ENOUGH and pages < PAGES_AT_ONCE:
            if checkpoint.is_listed or len(checkpoint.pending) > MOST_PENDING:
                break
            try:
                await (self._read_expanded() if self._wants_all() else self._count())
            except RejectedError:
                if not checkpoint.after:
                    raise
                checkpoint.after = ""  # the cursor ran out: from the newest post again
            pages += 1
            await self._read_on()

    def _wants_all(self) -> bool:
        return self.is_page and self.checkpoint.phase is Phase.EVERYTHING

    async def _expect(self) -> None:
        """Ask how many posts there are, for the sake of whoever watches; nothing else depends on it."""
        self.calls += 1
        count = calls.count_posts if self.is_page else calls.count_media
        try:
            body = await self.client.send(count(self.channel_id, self.token))
        except (RejectedError, VendorNotFoundError):
            return
        self.checkpoint.total = _total({"posts": body}, "posts") or _counted(body.get("media_count"))

    def _progress(self) -> float:
        checkpoint, seen = self.checkpoint, len(self.listed)
        done = 1.0 if checkpoint.is_listed else seen / max(checkpoint.total, seen + len(self.before), 1)
        return round(min(done, 1.0) * 0.99 / (1 + len(checkpoint.pending) / 1_000), 3)

    def _finish(self) -> None:
        checkpoint = self.checkpoint
        checkpoint.phase, checkpoint.last = Phase.IDLE, checkpoint.began
        checkpoint.total = checkpoint.seen
        del checkpoint.watched[checkpoint.seen :]
        checkpoint.seen, checkpoint.after, checkpoint.is_listed = 0, "", False

    # Posts with all that is in them ----------------------------------------------------------

    async def _read_expanded(self, most: int = MOST_POSTS) -> None:
        checkpoint = self.checkpoint
        if not checkpoint.posts:
            checkpoint.posts, checkpoint.nested = FIRST_POSTS, calls.MOST_NESTED
        began = self.items
        at, body = await self._expanded_page(most)
        page = page_from_graph(body)
        for node in page.items:
            post_id = node_id(node.get("id"))
            if post_id and checkpoint.phase is Phase.CHANGES and self._is_known(post_id):
                self._compare(node, post_id, at)
            elif post_id:
                self._take_post(node, post_id, at)
        self._listed(page.next_cursor)
        if self.items - began < FEW and not checkpoint.is_capped:
            checkpoint.posts = min(checkpoint.posts * 2, MOST_POSTS)

    async def _expanded_page(self, most: int) -> tuple[datetime, Node]:
        """A page as large as Graph hands out (that stays noted), of at most so many posts."""
        checkpoint = self.checkpoint
        while True:
            call = calls.posts_expanded(
                self.channel_id,
                self.token,
                after=checkpoint.after,
                limit=min(checkpoint.posts, most),
                nested=checkpoint.nested,
            )
            at = self.client.clock.now()
            self.calls += 1
            try:
                return at, await self.client.send(attrs.evolve(call, tries=1))
            except (VendorUnavailableError, RejectedError) as refused:
                if not _is_too_much(refused) or not self._ask_for_less():
                    raise

    def _ask_for_less(self) -> bool:
        checkpoint = self.checkpoint
        checkpoint.is_capped = True
        if checkpoint.posts > 1:
            checkpoint.posts //= 2
        elif checkpoint.nested > _SMALL_NESTED:
            checkpoint.nested = max(checkpoint.nested // 2, _SMALL_NESTED)
        else:
            return False
        return True

    def _take_post(self, node: Node, post_id: str, at: datetime) -> None:
        seen = post_seen(node, self.channel_id, at)
        if seen is not None:
            self.events.append(seen)
        self._watch(node, post_id)
        for edge, name in ((Edge.COMMENTS, "comments"), (Edge.REACTIONS, "reactions")):
            page = page_from_graph(record(node.get(name)))
            pending = Pending(post=self._short(post_id), edge=edge)
            self._take(pending, page.items, page.next_cursor, at)

    # Counts ----------------------------------------------------------------------------------

    async def _count(self) -> None:
        """A page of posts with counts; what is not as it was becomes pending."""
        checkpoint = self.checkpoint
        make = calls.posts_counted if self.is_page else calls.media_counted
        at = self.client.clock.now()
        self.calls += 1
        page = page_from_graph(
            await self.client.send(make(self.channel_id, self.token, after=checkpoint.after))
        )
        expanded = self._worth_expanding(page.items)
        if expanded:
            await self._read_expanded(expanded)
            return
        for node in page.items:
            post_id = node_id(node.get("id"))
            if post_id:
                self._compare(node, post_id, at)
        self._listed(page.next_cursor)

    def _worth_expanding(self, nodes: Sequence[Node]) -> int:
        """How many posts are best read with all that is in them: those up to the last new one; 0 if few are.

        What has changed would be all of a new one, two lists for each; that call reads dozens of posts.
        """
        checkpoint = self.checkpoint
        if not self.is_page or checkpoint.floor:
            return 0
        ids = [node_id(node.get("id")) for node in nodes[: checkpoint.posts or FIRST_POSTS]]
        new = [number for number, one in enumerate(ids, start=1) if one and not self._is_known(one)]
        is_worth_it = len(new) >= MANY_NEW and len(new) * 2 >= new[-1]
        return new[-1] if is_worth_it else 0

    def _is_known(self, post_id: str) -> bool:
        short = self._short(post_id)
        return short in self.before or short in self.listed

    def _compare(self, node: Node, post_id: str, at: datetime) -> None:
        short = self._short(post_id)
        before = self.before.get(short) or self.listed.get(short)
        now = self._watch(node, post_id)
        if before is None and self._is_too_old(node, now):
            return
        if before == now:
            return
        seen = post_seen(node, self.channel_id, at) if self.is_page else media_seen(node, self.channel_id, at)
        if seen is not None:
            self.events.append(seen)
        self._note_comments(before, now)
        if self.is_page and (before.reactions if before else 0) != now.reactions:
            more = now.reactions if before is None else max(now.reactions - before.reactions, 0)
            self._note(Pending(post=now.post, edge=Edge.REACTIONS, left=more + MARGIN))

    def _note_comments(self, before: Watched | None, now: Watched) -> None:
        more = now.comments if before is None else max(now.comments - before.comments, 0)
        if not self.is_page:
            if before is None or before.comments != now.comments:
                left = -1 if before is None else more + MOST_THREADS
                self._note(Pending(post=now.post, edge=Edge.COMMENTS, left=left))
            return
        if before is None and not now.comments:
            return
        if before is not None and (before.comments, before.updated) == (now.comments, now.updated):
            return
        self._note(
            Pending(
                post=now.post,
                edge=Edge.COMMENTS,
                left=more + MARGIN,
                least=more + MARGIN if before is not None else 0,
                until=max(self._known_until(before), self.checkpoint.floor),
            )
        )

    def _known_until(self, before: Watched | None) -> int:
        """What was written before this moment was there when the post was counted last."""
        if before is None:
            return 0
        if before.updated:  # a comment moves it, so whatever came since is no older
            return before.updated + 1
        return self.checkpoint.last - int(OVERLAP.total_seconds())

    def _note(self, pending: Pending) -> None:
        self.checkpoint.pending.append(pending)

    def _is_too_old(self, node: Node, now: Watched) -> bool:
        """Whether nothing happened on a post since the moment that was asked for, as far as it tells."""
        floor = self.checkpoint.floor
        changed = now.updated or (seconds_of(node.get("timestamp")) if not now.comments else floor)
        return bool(floor) and changed < floor

    # Lists that are read on ------------------------------------------------------------------

    async def _read_on(self) -> None:
        """Read pending lists, some at once, until there is enough for a piece."""
        checkpoint = self.checkpoint
        while checkpoint.pending and self.items < ENOUGH and self.trouble is None:
            turn = checkpoint.pending[: MOST_IN_BATCH * BATCHES_AT_ONCE]
            at = self.client.clock.now()
            outcomes = await self._ask([self._call(pending) for pending in turn])
            # What Graph did not answer stays where it was; what is read on goes behind the others.
            left = checkpoint.pending[len(turn) :]
            checkpoint.pending = []
            for pending, outcome in zip(turn, outcomes, strict=True):
                self._settle(pending, outcome, at)
            checkpoint.pending += left

    async def _ask(self, asked: Sequence[GraphCall]) -> list[Outcome]:
        self.calls += len(asked)
        chunks = [asked[start : start + MOST_IN_BATCH] for start in range(0, len(asked), MOST_IN_BATCH)]
        answered = await asyncio.gather(
            *(send_batch(self.client, chunk, with_headers=False) for chunk in chunks)
        )
        return [outcome for outcomes in answered for outcome in outcomes]

    def _call(self, pending: Pending) -> GraphCall:
        most = pending.most or calls.MOST_NESTED
        limit = most if pending.left < 0 else max(1, min(pending.left, most))
        make: Callable[..., GraphCall] = calls.media_comments
        subject = self._whole(pending.post)
        if self.is_page:
            make = calls.post_comments if pending.edge is Edge.COMMENTS else calls.post_reactions
        elif pending.edge is Edge.REPLIES:
            make, subject = calls.comment_replies, pending.of
        return make(self.channel_id, subject, self.token, after=pending.after, limit=limit)

    def _settle(self, pending: Pending, outcome: Outcome, at: datetime) -> None:
        if isinstance(outcome, VendorNotFoundError | RejectedError):
            if pending.after:  # the cursor may have run out: once more from the beginning
                self._note(msgspec.structs.replace(pending, after="", left=-1))
            return  # else it is gone, or closed to us: that holds nothing else up
        if isinstance(outcome, VendorError):
            most = (pending.most or calls.MOST_NESTED) // 2
            if outcome.vendor_code == _TOO_MUCH and most >= _SMALL_NESTED:
                pending.most = most
            else:
                self.trouble = outcome
            self._note(pending)
            return
        page = page_from_graph(outcome)
        self._take(pending, page.items, page.next_cursor, at)

    # What lists say --------------------------------------------------------------------------

    def _take(self, pending: Pending, nodes: Sequence[Node], cursor: str | None, at: datetime) -> None:
        """A page of one list; noted to be read on, if more of it is wanted."""
        found = list(self._events(pending, nodes, at))
        wanted = [event for event in found if not _is_before(event, self.checkpoint.floor)]
        self.events += wanted
        self.items += len(wanted)
        left = pending.left if pending.left < 0 else max(pending.left - len(nodes), 0)
        least = max(pending.least - len(nodes), 0)
        is_dated = self.is_page and pending.edge is Edge.COMMENTS
        is_wanted = left != 0
        if is_dated:
            left, is_wanted = -1, bool(least) or not _reaches(found, pending.until)
        if cursor is not None and is_wanted:
            self._note(msgspec.structs.replace(pending, after=cursor, left=left, least=least))

    def _events(self, pending: Pending, nodes: Iterable[Node], at: datetime) -> Iterable[CrmEvent]:
        post_id = self._whole(pending.post)
        if self.is_page:
            make = comment_seen if pending.edge is Edge.COMMENTS else reaction_set
            yield from filter(None, (make(node, post_id, self.channel_id, at) for node in nodes))
            return
        for node in nodes:
            if pending.edge is Edge.REPLIES:
                yield from reply_seen(node, pending.of, post_id, self.channel_id, at)
                continue
            yield from media_comments_seen(node, post_id, self.channel_id, at)
            cursor = page_from_graph(record(node.get("replies"))).next_cursor
            if cursor is not None and node_id(node.get("id")):
                comment_id = node_id(node.get("id"))
                self._note(Pending(post=pending.post, edge=Edge.REPLIES, after=cursor, of=comment_id))

    # Posts that are watched ------------------------------------------------------------------

    def _watch(self, node: Node, post_id: str) -> Watched:
        """Note what is counted on a post, in the order in which posts are listed."""
        watched = Watched(
            post=self._short(post_id),
            comments=self._comment_count(node),
            reactions=_total(node, "reactions"),
            updated=seconds_of(node.get("updated_time")),
        )
        self.before.pop(watched.post, None)
        if len(self.listed) < MOST_WATCHED:
            self.listed[watched.post] = watched
        return watched

    def _comment_count(self, node: Node) -> int:
        return _total(node, "comments") if self.is_page else _counted(node.get("comments_count"))

    def _listed(self, cursor: str | None) -> None:
        """Go on behind `cursor`. Later runs end where posts are not watched any more."""
        checkpoint = self.checkpoint
        is_past = checkpoint.phase is Phase.CHANGES and len(self.listed) >= MOST_WATCHED
        if cursor is None or cursor == checkpoint.after or is_past:
            checkpoint.is_listed, checkpoint.after = True, ""
        else:
            checkpoint.after = cursor

    def _short(self, post_id: str) -> str:
        prefix = f"{self.channel_id}_"
        return post_id.removeprefix(prefix) if post_id.startswith(prefix) else f"={post_id}"

    def _whole(self, short: str) -> str:
        return short.removeprefix("=") if short.startswith("=") else f"{self.channel_id}_{short}"


def _total(node: Node, edge: str) -> int:
    return _counted(record(record(node.get(edge)).get("summary")).get("total_count"))


def _counted(value: object) -> int:
    return min(max(integer(value) or 0, 0), _MOST_COUNTED)


def _reaches(found: Iterable[CrmEvent], until: int) -> bool:
    """Whether a comment among `found` was written before `until`; the others are newer."""
    return any(_is_before(event, until) for event in found)


def _is_before(event: CrmEvent, moment: int) -> bool:
    if not moment or not isinstance(event, CommentSeen) or event.created_at is None:
        return False
    return event.created_at.timestamp() < moment


def _is_too_much(refused: VendorError) -> bool:
    """Whether asking for less may help. Graph says so by a code that it has for other troubles, too."""
    return refused.vendor_code == _TOO_MUCH or refused.symptom in _TOO_LONG
