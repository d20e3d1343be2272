"""`MemoryDirectMessages`: letters to people, each with words or with an enclosure."""

from datetime import datetime
from typing import Final

import attrs

from moorage_adapters.memory.activity_sync import person_from_memory
from moorage_adapters.memory.door import SLUG, writing
from moorage_adapters.memory.letters import BY_HAND, LONGEST_LETTER, WINDOW, Enclosure, Letter
from moorage_adapters.memory.token_vault import MemoryTokenVault
from moorage_adapters.memory.world import MemoryWorld
from moorage_ports.direct_messages import OutgoingMessage, PrivateReply, ReplyWindow
from moorage_ports.errors import InvalidRequestError, RejectedError
from moorage_ports.events import Attachment, AttachmentType, MessageSeen

SURFACE: Final = "letters"


def message_from_letter(letter: Letter, *, reply_until: datetime | None = None) -> MessageSeen:
    """A letter in the ports' words."""
    enclosed = letter.enclosure
    return MessageSeen(
        channel_external_id=letter.board_id,
        message_external_id=letter.id,
        person=person_from_memory(letter.person),
        at=letter.written_at,
        surface=SURFACE,
        is_ours=letter.is_from_board,
        text=letter.text,
        attachments=(Attachment(type=AttachmentType(enclosed.kind), url=enclosed.url),) if enclosed else (),
        reply_to_external_id=letter.answers,
        reply_until=None if letter.is_from_board else letter.written_at + WINDOW,
        reference=letter.mark,
    )


@attrs.frozen
class MemoryDirectMessages:
    """A `DirectMessages`: one letter per message, with the board's own token."""

    world: MemoryWorld
    vault: MemoryTokenVault

    def window(self, surface: str, last_received_at: datetime | None) -> ReplyWindow:
        if last_received_at is None:
            return ReplyWindow()
        by_hand_until = last_received_at + BY_HAND
        until = last_received_at + WINDOW if surface == SURFACE else None
        return ReplyWindow(until=until, by_hand_until=by_hand_until)

    def parts(self, message: OutgoingMessage) -> tuple[OutgoingMessage, ...]:
        _check_text(message.text, may_be_empty=bool(message.attachments))
        words = (attrs.evolve(message, attachments=()),) if message.text.strip() else ()
        enclosures = (attrs.evolve(message, text="", attachments=(one,)) for one in message.attachments)
        return (*words, *enclosures)

    async def send(self, message: OutgoingMessage) -> MessageSeen:
        if len(self.parts(message)) != 1:
            msg = "a letter holds words or one enclosure"
            raise InvalidRequestError(msg)
        window = self.window(message.surface, message.last_received_at)
        self._check_window(window, is_by_hand=message.is_by_hand)
        token = await self.vault.channel_token(message.channel_external_id)
        enclosed = message.attachments[0] if message.attachments else None
        with writing():
            letter = self.world.write_letter(
                token,
                message.channel_external_id,
                message.person.external_id,
                text=message.text,
                enclosure=Enclosure(kind=enclosed.type.value, url=enclosed.url) if enclosed else None,
                answers=message.reply_to_external_id,
                mark=message.reference,
                is_by_hand=message.is_by_hand,
            )
        return message_from_letter(letter)

    async def reply_privately(self, reply: PrivateReply) -> MessageSeen:
        _check_text(reply.text)
        if reply.commented_at is not None:
            self._check_window(self.window("", reply.commented_at), is_by_hand=True)
        token = await self.vault.channel_token(reply.channel_external_id)
        with writing():
            letter = self.world.answer_by_letter(
                token, reply.channel_external_id, reply.comment_external_id, reply.text, mark=reply.reference
            )
        return message_from_letter(letter)

    def _check_window(self, window: ReplyWindow, *, is_by_hand: bool) -> None:
        if not window.is_open(self.world.now(), is_by_hand=is_by_hand):
            msg = "the reply window is closed"
            raise RejectedError(msg, vendor=SLUG, remedy="Wait until the person writes again.")


def _check_text(text: str, *, may_be_empty: bool = False) -> None:
    if not (text.strip() or may_be_empty) or len(text) > LONGEST_LETTER:
        msg = f"a letter takes 1 to {LONGEST_LETTER} characters"
        raise InvalidRequestError(msg, fields={"text": msg})
