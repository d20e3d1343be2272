"""What every `ActivitySync` promises."""

from collections.abc import Sequence
from datetime import datetime

import attrs
import pytest

from moorage_ports.activity_sync import MAX_CHECKPOINT_CHARACTERS, ActivityPiece, ActivitySync
from moorage_ports.errors import (
    Hits,
    MissingScopeError,
    OutcomeUnknownError,
    RateLimitError,
    ReauthorizationError,
    RejectedError,
    VendorNotFoundError,
    VendorUnavailableError,
)
from moorage_ports.events import CommentSeen, CrmEvent, ReactionSet
from moorage_ports.plugin import Vendor
from moorage_ports.testing.connected import A_WHILE, NEVER_KEPT, Connected, VendorFixtures
from moorage_ports.testing.lent import FakeClock
from moorage_ports.testing.world import ActivityWorld

MANY = 30
MOST_PIECES = 500


class ActivitySyncContract(VendorFixtures):
    """Subclass as `Test<Adapter>`; provide `vendor` and `world`; inherit the promises."""

    @pytest.fixture
    def sync(self, vendor: Vendor, connected: Connected) -> ActivitySync:
        """The activity of an org that one person connected."""
        assert vendor.activity_sync is not None
        return vendor.activity_sync(connected.context)

    async def _run(
        self,
        sync: ActivitySync,
        world: ActivityWorld,
        checkpoint: str = "",
        since: datetime | None = None,
    ) -> Sequence[ActivityPiece]:
        """A whole run, piece by piece."""
        pieces: list[ActivityPiece] = []
        while len(pieces) < MOST_PIECES:
            piece = await sync.activity(world.channel_external_id, checkpoint=checkpoint, since=since)
            pieces.append(piece)
            if piece.is_complete:
                return pieces
            assert piece.checkpoint != checkpoint, "a piece that leads nowhere"
            checkpoint = piece.checkpoint
        msg = f"a run of more than {MOST_PIECES} pieces"
        raise AssertionError(msg)

    # Reading -----------------------------------------------------------------------------------

    async def test_everything_that_was_said_is_read(self, sync: ActivitySync, world: ActivityWorld) -> None:
        """Comments, what answers them, and reactions, over all pieces, each as it is."""
        first = await world.comment("Do you open on Sunday?")
        answer = await world.comment("I would like to know, too ☕", answers=first)
        person = await world.react()

        events = events_of(await self._run(sync, world))

        comments = {event.comment_external_id: event for event in events if isinstance(event, CommentSeen)}
        assert comments[first].text == "Do you open on Sunday?"
        assert comments[first].parent_external_id == ""
        assert comments[answer].text == "I would like to know, too ☕"
        assert comments[answer].parent_external_id == first
        assert {event.channel_external_id for event in events} == {world.channel_external_id}
        author = comments[first].author
        assert author is not None
        assert not comments[first].is_ours
        reactions = [event for event in events if isinstance(event, ReactionSet)]
        assert [event.person.external_id for event in reactions] == [person]

    async def test_a_long_history_is_read_whole(self, sync: ActivitySync, world: ActivityWorld) -> None:
        """Whoever stops at the first page loses what people said."""
        written = {await world.comment(f"Number {number}") for number in range(MANY)}

        pieces = await self._run(sync, world)

        assert comment_ids(events_of(pieces)) == written
        assert sum(piece.items for piece in pieces) >= MANY
        assert sum(piece.calls for piece in pieces) > 0

    async def test_a_checkpoint_is_all_that_is_needed_to_go_on(
        self, sync: ActivitySync, world: ActivityWorld, vendor: Vendor, connected: Connected
    ) -> None:
        """Each piece is read by another process, so nothing may be remembered but the text."""
        written = {await world.comment(f"Number {number}") for number in range(MANY)}
        assert vendor.activity_sync is not None
        found: set[str] = set()
        checkpoint = ""
        for _ in range(MOST_PIECES):
            fresh = vendor.activity_sync(connected.context)
            piece = await fresh.activity(world.channel_external_id, checkpoint=checkpoint)
            found |= comment_ids(piece.events)
            checkpoint = piece.checkpoint
            assert len(checkpoint) <= MAX_CHECKPOINT_CHARACTERS
            if piece.is_complete:
                break

        assert found == written

    async def test_a_piece_can_be_read_twice(self, sync: ActivitySync, world: ActivityWorld) -> None:
        """Whoever died before they noted it asks again, and hears the same."""
        for number in range(MANY):
            await world.comment(f"Number {number}")

        once = await sync.activity(world.channel_external_id)
        again = await sync.activity(world.channel_external_id)

        assert undated(once.events) == undated(again.events)
        assert once.is_complete == again.is_complete

    async def test_a_later_run_reads_what_is_new(
        self, sync: ActivitySync, world: ActivityWorld, clock: FakeClock
    ) -> None:
        """And not everything once more; a little overlap is welcome."""
        for number in range(MANY):
            await world.comment(f"Number {number}")
        first = await self._run(sync, world)
        await world.pass_time(A_WHILE * 10)
        late = await world.comment("Just now")

        second = await self._run(sync, world, first[-1].checkpoint)

        assert late in comment_ids(events_of(second))
        assert sum(piece.items for piece in second) < MANY
        assert all(event.at >= clock.now() for event in events_of(second))

    async def test_nothing_new_costs_little(self, sync: ActivitySync, world: ActivityWorld) -> None:
        """A run without news makes no more calls than the run before, and brings (next to) nothing."""
        for number in range(MANY):
            await world.comment(f"Number {number}")
        first = await self._run(sync, world)
        await world.pass_time(A_WHILE * 10)

        second = await self._run(sync, world, first[-1].checkpoint)

        assert sum(piece.items for piece in second) < MANY / 2
        assert sum(piece.calls for piece in second) <= sum(piece.calls for piece in first)

    async def test_what_was_said_before_since_is_left_out(
        self, sync: ActivitySync, world: ActivityWorld, clock: FakeClock
    ) -> None:
        """Who asks for the last week does not want the last ten years."""
        early = await world.comment("Long ago")
        await world.pass_time(A_WHILE * 10)
        since = clock.now()
        await world.pass_time(A_WHILE)
        late = await world.comment("Just now")

        found = comment_ids(events_of(await self._run(sync, world, since=since)))

        assert late in found
        assert early not in found

    async def test_what_people_wrote_stands_in_no_checkpoint_and_no_log(
        self, sync: ActivitySync, world: ActivityWorld
    ) -> None:
        """A checkpoint is kept for long and in the clear."""
        await world.comment("My number is 030 123456")

        pieces = await self._run(sync, world)

        assert all("030 123456" not in piece.checkpoint for piece in pieces)
        assert "030 123456" not in repr(pieces)

    @pytest.mark.parametrize("text", ["nonsense", "{}", "\x00", "🦀" * 10])
    async def test_a_strange_checkpoint_is_refused(
        self, sync: ActivitySync, world: ActivityWorld, text: str
    ) -> None:
        """`RejectedError`, so that the host begins anew and does not ask for ever."""
        with pytest.raises(RejectedError):
            await sync.activity(world.channel_external_id, checkpoint=text)

    # Answering ---------------------------------------------------------------------------------

    async def test_a_reply_stands_below_the_comment(self, sync: ActivitySync, world: ActivityWorld) -> None:
        """People see it, and the next run knows it as ours."""
        asked = await world.comment("Do you open on Sunday?")

        reply = await sync.reply(world.channel_external_id, asked, "From ten to four.")

        assert "From ten to four." in await world.comments_shown()
        events = events_of(await self._run(sync, world))
        seen = [event for event in events if isinstance(event, CommentSeen)]
        ours = next(event for event in seen if event.comment_external_id == reply.comment_external_id)
        for one in (reply, ours):
            assert one.is_ours
            assert one.author is None
            assert one.parent_external_id == asked
            assert (one.channel_external_id, one.surface, one.text) == (
                world.channel_external_id,
                ours.surface,
                "From ten to four.",
            )

    async def test_a_hidden_comment_is_not_shown(self, sync: ActivitySync, world: ActivityWorld) -> None:
        """Hidden from others, harmless to repeat, and shown again when asked."""
        rude = await world.comment("Something rude")

        for _ in range(2):
            await sync.hide(world.channel_external_id, rude, is_hidden=True)
        assert "Something rude" not in await world.comments_shown()
        await sync.hide(world.channel_external_id, rude, is_hidden=False)
        assert "Something rude" in await world.comments_shown()

    async def test_a_comment_that_is_gone_can_not_be_answered(
        self, sync: ActivitySync, world: ActivityWorld
    ) -> None:
        """`VendorNotFoundError`, for hiding too."""
        with pytest.raises(VendorNotFoundError):
            await sync.reply(world.channel_external_id, NEVER_KEPT, "Hello?")
        with pytest.raises(VendorNotFoundError):
            await sync.hide(world.channel_external_id, NEVER_KEPT, is_hidden=True)

    async def test_a_text_that_does_not_fit_is_refused(
        self, sync: ActivitySync, world: ActivityWorld
    ) -> None:
        """`RejectedError`: there is nothing in it, or far too much."""
        asked = await world.comment("Do you open on Sunday?")
        for text in ("", "   ", "x" * 100_000):
            with pytest.raises(RejectedError):
                await sync.reply(world.channel_external_id, asked, text)

    async def test_a_lost_answer_to_a_reply_leaves_it_open(
        self, sync: ActivitySync, world: ActivityWorld
    ) -> None:
        """`OutcomeUnknownError`: to send it again might say it twice."""
        asked = await world.comment("Do you open on Sunday?")
        await world.drop_answers()

        with pytest.raises(OutcomeUnknownError):
            await sync.reply(world.channel_external_id, asked, "From ten to four.")
        await world.clear_up()
        assert "From ten to four." in await world.comments_shown()

    # Weather -----------------------------------------------------------------------------------

    async def test_a_channel_without_a_token_hits_the_channel_only(self, sync: ActivitySync) -> None:
        """`ReauthorizationError` for one channel says nothing about the others."""
        with pytest.raises(ReauthorizationError) as failure:
            await sync.activity(NEVER_KEPT)
        assert failure.value.hits is Hits.CHANNEL
        with pytest.raises(ReauthorizationError):
            await sync.reply(NEVER_KEPT, "1", "Hello?")
        with pytest.raises(ReauthorizationError):
            await sync.hide(NEVER_KEPT, "1", is_hidden=True)

    async def test_a_revoked_grant_asks_for_reauthorization(
        self, sync: ActivitySync, world: ActivityWorld
    ) -> None:
        """`ReauthorizationError`: the sync waits until somebody connects again."""
        asked = await world.comment("Do you open on Sunday?")
        await world.revoke_grant()

        with pytest.raises(ReauthorizationError):
            await sync.activity(world.channel_external_id)
        with pytest.raises(ReauthorizationError):
            await sync.reply(world.channel_external_id, asked, "From ten to four.")

    async def test_a_missing_scope_is_told_apart_from_a_lost_grant(
        self, sync: ActivitySync, world: ActivityWorld
    ) -> None:
        """`MissingScopeError`: the grant stands, but was given without this."""
        await world.comment("Do you open on Sunday?")
        await world.withdraw_scopes()

        with pytest.raises(MissingScopeError):
            await sync.activity(world.channel_external_id)

    async def test_a_rate_limit_asks_for_patience(self, sync: ActivitySync, world: ActivityWorld) -> None:
        """`RateLimitError`: the same checkpoint can be asked with later."""
        await world.limit(A_WHILE)

        with pytest.raises(RateLimitError):
            await sync.activity(world.channel_external_id)

    async def test_a_lost_answer_to_a_question_may_be_asked_again(
        self, sync: ActivitySync, world: ActivityWorld
    ) -> None:
        """Reading changes nothing, so silence and absence are the same: `VendorUnavailableError`."""
        written = await world.comment("Do you open on Sunday?")

        await world.drop_answers()
        with pytest.raises(VendorUnavailableError):
            await sync.activity(world.channel_external_id)
        await world.clear_up()
        await world.go_down()
        with pytest.raises(VendorUnavailableError):
            await sync.activity(world.channel_external_id)
        await world.clear_up()

        assert written in comment_ids(events_of(await self._run(sync, world)))


def events_of(pieces: Sequence[ActivityPiece]) -> list[CrmEvent]:
    """Everything that a run brought."""
    return [event for piece in pieces for event in piece.events]


def comment_ids(events: Sequence[CrmEvent]) -> set[str]:
    """The comments among them."""
    return {event.comment_external_id for event in events if isinstance(event, CommentSeen)}


def undated(events: Sequence[CrmEvent]) -> list[dict[str, object]]:
    """What they say, without when that was found out."""
    return [attrs.asdict(event, filter=lambda field, _: field.name != "at") for event in events]
