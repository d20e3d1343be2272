"""What every `DirectMessages` promises."""

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

import attrs
import pytest

from moorage_ports.direct_messages import DirectMessages, OutgoingMessage, PrivateReply
from moorage_ports.errors import (
    Hits,
    InvalidRequestError,
    MissingScopeError,
    OutcomeUnknownError,
    RateLimitError,
    ReauthorizationError,
    RejectedError,
    VendorNotFoundError,
    VendorUnavailableError,
)
from moorage_ports.events import Attachment, AttachmentType, Person
from moorage_ports.plugin import Vendor
from moorage_ports.testing.connected import A_WHILE, NEVER_KEPT, Connected, VendorFixtures
from moorage_ports.testing.lent import FakeClock
from moorage_ports.testing.world import MessagesWorld

LONG: Final = timedelta(days=400)  # longer than any window
MOMENT: Final = timedelta(seconds=1)
PICTURE: Final = "https://img.example/menu.jpg"
STRANGER: Final = Person(external_id=NEVER_KEPT, realm="nowhere")


class MessageSendingContract(VendorFixtures):
    """What is promised of messages alone, for surfaces without comments. Provide `vendor` and `world`."""

    @pytest.fixture
    def messages(self, vendor: Vendor, connected: Connected) -> DirectMessages:
        """The messages of an org that one person connected."""
        assert vendor.direct_messages is not None
        return vendor.direct_messages(connected.context)

    async def _answer(
        self, world: MessagesWorld, clock: FakeClock, text: str = "From ten to four."
    ) -> OutgoingMessage:
        """An answer to somebody who has just written."""
        person = await world.write("Do you open on Sunday?")
        return OutgoingMessage(
            channel_external_id=world.channel_external_id,
            person=person,
            surface=world.message_surface,
            text=text,
            last_received_at=clock.now(),
            reference="attempt-1",
        )

    # The window --------------------------------------------------------------------------------

    async def test_the_window_is_said_without_a_call(
        self, messages: DirectMessages, world: MessagesWorld, clock: FakeClock
    ) -> None:
        """Lists show it for each conversation: the same question, the same answer, for nothing."""
        before = await world.calls_made()

        windows = [messages.window(world.message_surface, clock.now()) for _ in range(3)]

        assert windows[0] == windows[1] == windows[2]
        assert await world.calls_made() == before

    async def test_the_window_closes(
        self, messages: DirectMessages, world: MessagesWorld, clock: FakeClock
    ) -> None:
        """It opens with a person's message and ends; what a person writes may come as late or later."""
        wrote_at = clock.now()
        window = messages.window(world.message_surface, wrote_at)

        assert window.until is not None
        assert wrote_at < window.until < wrote_at + LONG
        by_hand = window.ends_at(is_by_hand=True)
        assert by_hand is not None
        assert by_hand >= window.until
        assert window.is_open(window.until - MOMENT, is_by_hand=False)
        assert not window.is_open(window.until, is_by_hand=False)

    async def test_nobody_is_written_to_who_never_wrote(
        self, messages: DirectMessages, world: MessagesWorld, clock: FakeClock
    ) -> None:
        """Without a message there is no window."""
        window = messages.window(world.message_surface, None)

        assert not window.is_open(clock.now(), is_by_hand=True)
        assert not window.is_open(clock.now(), is_by_hand=False)

    async def test_a_surface_nobody_knows_has_no_window(
        self, messages: DirectMessages, clock: FakeClock
    ) -> None:
        """Rather not sent than sent against a rule that was not looked up."""
        assert not messages.window("nowhere", clock.now()).is_open(clock.now(), is_by_hand=False)

    async def test_a_closed_window_is_refused_before_any_call(
        self, messages: DirectMessages, world: MessagesWorld, clock: FakeClock
    ) -> None:
        """`RejectedError`: who asks in vain too often is shut out."""
        message = await self._answer(world, clock)
        await world.pass_time(LONG)
        before = await world.calls_made()

        for late in (message, attrs.evolve(message, last_received_at=None)):
            with pytest.raises(RejectedError):
                await messages.send(late)
        assert await world.calls_made() == before

    async def test_a_persons_own_words_may_come_later_than_a_programs(
        self, messages: DirectMessages, world: MessagesWorld, clock: FakeClock
    ) -> None:
        """Where the vendor knows that difference, it is sent in the one way and refused in the other."""
        message = await self._answer(world, clock)
        window = messages.window(world.message_surface, clock.now())
        assert window.until is not None
        await world.pass_time(window.until - clock.now() + MOMENT)

        with pytest.raises(RejectedError):
            await messages.send(attrs.evolve(message, is_by_hand=False))
        if window.is_open(clock.now(), is_by_hand=True):
            await messages.send(message)
            assert await world.messages_got() == [message.text]
        else:
            with pytest.raises(RejectedError):
                await messages.send(message)

    # Sending -----------------------------------------------------------------------------------

    async def test_a_message_arrives_once(
        self, messages: DirectMessages, world: MessagesWorld, clock: FakeClock
    ) -> None:
        """And is answered as what it is from now on."""
        message = await self._answer(world, clock)

        seen = await messages.send(message)

        assert await world.messages_got() == [message.text]
        assert seen.is_ours
        assert seen.person.external_id == message.person.external_id
        assert seen.person.realm == message.person.realm
        assert (seen.channel_external_id, seen.surface) == (message.channel_external_id, message.surface)
        assert seen.text == message.text
        assert seen.message_external_id
        assert _is_near(seen.at, clock.now())

    async def test_each_message_has_its_own_id(
        self, messages: DirectMessages, world: MessagesWorld, clock: FakeClock
    ) -> None:
        """Also if it says the same."""
        message = await self._answer(world, clock)

        ids = [(await messages.send(message)).message_external_id for _ in range(2)]

        assert len(set(ids)) == 2
        assert await world.messages_got() == [message.text, message.text]

    async def test_all_parts_arrive_in_order(
        self, messages: DirectMessages, world: MessagesWorld, clock: FakeClock
    ) -> None:
        """A text and a picture, in as many messages as the vendor needs: nothing of them is lost."""
        picture = Attachment(type=AttachmentType.IMAGE, url=PICTURE)
        message = attrs.evolve(await self._answer(world, clock), attachments=(picture,))

        parts = messages.parts(message)
        for part in parts:
            await messages.send(part)

        assert [part.text for part in parts if part.text] == [message.text]
        assert [one.url for part in parts for one in part.attachments] == [PICTURE]
        assert set(await world.messages_got()) == {message.text, PICTURE}

    async def test_a_message_of_one_part_is_that_part(
        self, messages: DirectMessages, world: MessagesWorld, clock: FakeClock
    ) -> None:
        """Whoever takes it apart again finds the same."""
        message = await self._answer(world, clock)

        assert messages.parts(message) == (message,)

    async def test_nothing_to_send_is_refused(
        self, messages: DirectMessages, world: MessagesWorld, clock: FakeClock
    ) -> None:
        """`InvalidRequestError` for nothing, and for far too much; no call is made for either."""
        message = await self._answer(world, clock)
        before = await world.calls_made()

        for text in ("", "  \n", "x" * 100_000):
            with pytest.raises(InvalidRequestError):
                messages.parts(attrs.evolve(message, text=text))
            with pytest.raises(InvalidRequestError):
                await messages.send(attrs.evolve(message, text=text))
        assert await world.calls_made() == before
        assert await world.messages_got() == []

    async def test_what_people_are_written_stands_in_no_log(
        self,
        messages: DirectMessages,
        world: MessagesWorld,
        clock: FakeClock,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """Nor in how a message is printed, nor in an error."""
        caplog.set_level(logging.DEBUG)
        message = await self._answer(world, clock, "Your code is 4711-0815")

        seen = await messages.send(message)
        await world.refuse_content()
        with pytest.raises(RejectedError) as failure:
            await messages.send(message)

        for said in (repr(message), repr(seen), str(failure.value), failure.value.remedy, *_said(caplog)):
            assert "4711-0815" not in said

    # Weather -----------------------------------------------------------------------------------

    async def test_lost_answer_is_never_reported_as_failure(
        self, messages: DirectMessages, world: MessagesWorld, clock: FakeClock
    ) -> None:
        """`OutcomeUnknownError`: it may be there, so nobody may send it again to find out."""
        message = await self._answer(world, clock)
        await world.drop_answers()

        with pytest.raises(OutcomeUnknownError):
            await messages.send(message)
        await world.clear_up()
        assert await world.messages_got() == [message.text]

    async def test_out_of_reach_is_no_lost_answer(
        self, messages: DirectMessages, world: MessagesWorld, clock: FakeClock
    ) -> None:
        """`VendorUnavailableError`: it never left, and may be sent again."""
        message = await self._answer(world, clock)
        await world.go_down()

        with pytest.raises(VendorUnavailableError):
            await messages.send(message)
        await world.clear_up()
        assert await world.messages_got() == []

    async def test_a_refusal_sends_nothing(
        self, messages: DirectMessages, world: MessagesWorld, clock: FakeClock
    ) -> None:
        """`RejectedError`: the vendor understood and said no."""
        message = await self._answer(world, clock)
        await world.refuse_content()

        with pytest.raises(RejectedError):
            await messages.send(message)
        assert await world.messages_got() == []

    async def test_a_stranger_can_not_be_written_to(
        self, messages: DirectMessages, world: MessagesWorld, clock: FakeClock
    ) -> None:
        """Whoever the vendor does not know, or who never wrote: an error of this call, of nothing else."""
        message = await self._answer(world, clock)

        with pytest.raises((RejectedError, VendorNotFoundError)) as failure:
            await messages.send(attrs.evolve(message, person=STRANGER))
        assert failure.value.hits is Hits.CALL

    async def test_a_channel_without_a_token_hits_the_channel_only(
        self, messages: DirectMessages, world: MessagesWorld, clock: FakeClock
    ) -> None:
        """`ReauthorizationError` for one channel says nothing about the others."""
        message = await self._answer(world, clock)

        with pytest.raises(ReauthorizationError) as failure:
            await messages.send(attrs.evolve(message, channel_external_id=NEVER_KEPT))
        assert failure.value.hits is Hits.CHANNEL

    async def test_a_revoked_grant_asks_for_reauthorization(
        self, messages: DirectMessages, world: MessagesWorld, clock: FakeClock
    ) -> None:
        """`ReauthorizationError`: nothing was sent."""
        message = await self._answer(world, clock)
        await world.revoke_grant()

        with pytest.raises(ReauthorizationError):
            await messages.send(message)
        assert await world.messages_got() == []

    async def test_a_missing_scope_is_told_apart_from_a_lost_grant(
        self, messages: DirectMessages, world: MessagesWorld, clock: FakeClock
    ) -> None:
        """`MissingScopeError`: the grant stands, but was given without this."""
        message = await self._answer(world, clock)
        await world.withdraw_scopes()

        with pytest.raises(MissingScopeError) as failure:
            await messages.send(message)
        assert failure.value.remedy
        assert await world.messages_got() == []

    async def test_a_rate_limit_asks_for_patience(
        self, messages: DirectMessages, world: MessagesWorld, clock: FakeClock
    ) -> None:
        """`RateLimitError`: nothing was sent; the same message may be sent later."""
        message = await self._answer(world, clock)
        await world.limit(A_WHILE)

        with pytest.raises(RateLimitError) as failure:
            await messages.send(message)
        assert failure.value.retry_after == A_WHILE
        await world.clear_up()
        assert await world.messages_got() == []


class DirectMessagesContract(MessageSendingContract):
    """Subclass as `Test<Adapter>`; provide `vendor` and `world`; inherit the promises."""

    async def _reply(self, world: MessagesWorld, clock: FakeClock) -> PrivateReply:
        """An answer to somebody who has just commented."""
        comment = await world.comment("What does it cost?")
        return PrivateReply(
            channel_external_id=world.channel_external_id,
            comment_external_id=comment,
            text="We tell you here.",
            commented_at=clock.now(),
            reference="attempt-2",
        )

    async def test_a_comment_is_answered_in_private(
        self, messages: DirectMessages, world: MessagesWorld, clock: FakeClock
    ) -> None:
        """The answer reaches its author, whose conversation it is part of."""
        seen = await messages.reply_privately(await self._reply(world, clock))

        assert await world.messages_got() == ["We tell you here."]
        assert seen.is_ours
        assert (seen.surface, seen.text) == (world.message_surface, "We tell you here.")
        assert seen.person.external_id

    async def test_a_comment_may_be_answered_in_private_for_a_while(
        self, messages: DirectMessages, world: MessagesWorld, clock: FakeClock
    ) -> None:
        """The comment's own window, counted as by hand."""
        window = messages.window(world.comment_surface, clock.now())

        assert window.is_open(clock.now() + A_WHILE, is_by_hand=True)
        assert not window.is_open(clock.now() + LONG, is_by_hand=True)

    async def test_a_comment_is_answered_in_private_once(
        self, messages: DirectMessages, world: MessagesWorld, clock: FakeClock
    ) -> None:
        """The second time is a `RejectedError`, and nobody gets it."""
        reply = await self._reply(world, clock)
        await messages.reply_privately(reply)

        with pytest.raises(RejectedError):
            await messages.reply_privately(reply)
        assert await world.messages_got() == ["We tell you here."]

    async def test_a_comment_that_is_gone_can_not_be_answered(
        self, messages: DirectMessages, world: MessagesWorld, clock: FakeClock
    ) -> None:
        """`VendorNotFoundError`; from a vendor that has one code for all that is wrong, `RejectedError`."""
        reply = await self._reply(world, clock)

        with pytest.raises((VendorNotFoundError, RejectedError)):
            await messages.reply_privately(attrs.evolve(reply, comment_external_id=NEVER_KEPT))

    async def test_a_comment_answered_too_late_is_refused_before_any_call(
        self, messages: DirectMessages, world: MessagesWorld, clock: FakeClock
    ) -> None:
        """As a closed window of messages; nor is a call made for nothing, or for far too much."""
        reply = await self._reply(world, clock)
        before = await world.calls_made()
        for text in ("", "  \n", "x" * 100_000):
            with pytest.raises(InvalidRequestError):
                await messages.reply_privately(attrs.evolve(reply, text=text))
        await world.pass_time(LONG)

        with pytest.raises(RejectedError):
            await messages.reply_privately(reply)
        assert await world.calls_made() == before

    async def test_a_lost_answer_to_a_private_reply_leaves_it_open(
        self, messages: DirectMessages, world: MessagesWorld, clock: FakeClock
    ) -> None:
        """`OutcomeUnknownError`: it works once, so whoever tries again hears a refusal."""
        reply = await self._reply(world, clock)
        await world.drop_answers()

        with pytest.raises(OutcomeUnknownError):
            await messages.reply_privately(reply)
        await world.clear_up()
        assert await world.messages_got() == [reply.text]

    async def test_a_private_reply_needs_the_grant(
        self, messages: DirectMessages, world: MessagesWorld, clock: FakeClock
    ) -> None:
        """`ReauthorizationError`, of one channel or of all of it."""
        reply = await self._reply(world, clock)
        with pytest.raises(ReauthorizationError):
            await messages.reply_privately(attrs.evolve(reply, channel_external_id=NEVER_KEPT))
        await world.revoke_grant()

        with pytest.raises(ReauthorizationError):
            await messages.reply_privately(reply)
        assert await world.messages_got() == []


def _is_near(moment: datetime, now: datetime) -> bool:
    return abs(moment - now) < A_WHILE


def _said(caplog: pytest.LogCaptureFixture) -> Iterator[str]:
    for entry in caplog.records:
        yield entry.getMessage()
