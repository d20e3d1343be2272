"""`MemoryActivitySync`: remarks become comments, cheers become reactions."""

from datetime import datetime
from typing import Final

import attrs
import msgspec

from moorage_adapters.memory.chatter import Cheer, Remark
from moorage_adapters.memory.door import SLUG, reading, writing
from moorage_adapters.memory.things import LONGEST_NOTE
from moorage_adapters.memory.things import Person as Inhabitant
from moorage_adapters.memory.token_vault import MemoryTokenVault
from moorage_adapters.memory.world import MemoryWorld
from moorage_ports.activity_sync import ActivityPiece
from moorage_ports.errors import RejectedError
from moorage_ports.events import CommentSeen, CrmEvent, Person, ReactionSet, Target

SURFACE: Final = "board"
REALM: Final = "town"  # everybody is known by one id everywhere
OVERLAP: Final = 2  # lines that a run reads once more


class _Place(msgspec.Struct, forbid_unknown_fields=True):
    """Where a run stands."""

    board: str
    line: int
    since: float


def person_from_memory(person: Inhabitant) -> Person:
    """Somebody in the ports' words."""
    return Person(external_id=person.id, realm=REALM, name=person.name)


def comment_from_remark(remark: Remark, at: datetime, *, is_edit: bool = False) -> CommentSeen:
    """A remark as it stood at `at`."""
    return CommentSeen(
        channel_external_id=remark.board_id,
        comment_external_id=remark.id,
        at=at,
        surface=SURFACE,
        post_external_id=remark.note_id,
        parent_external_id=remark.answers,
        author=person_from_memory(remark.by) if remark.by else None,
        is_ours=remark.by is None,
        created_at=remark.made_at,
        is_edit=is_edit,
        text=remark.text,
        is_hidden=remark.is_covered,
    )


def reaction_from_cheer(cheer: Cheer, at: datetime, *, is_exact: bool = False) -> ReactionSet:
    """A cheer as it stood at `at`."""
    return ReactionSet(
        channel_external_id=cheer.board_id,
        target=Target.POST,
        target_external_id=cheer.note_id,
        person=person_from_memory(cheer.by),
        reaction=cheer.face,
        at=at,
        is_exact=is_exact,
        post_external_id=cheer.note_id,
    )


@attrs.frozen
class MemoryActivitySync:
    """An `ActivitySync`: reads and answers with the board's own token."""

    world: MemoryWorld
    vault: MemoryTokenVault

    async def activity(
        self, channel_external_id: str, *, checkpoint: str = "", since: datetime | None = None
    ) -> ActivityPiece:
        token = await self.vault.channel_token(channel_external_id)
        place = _place(channel_external_id, checkpoint, since)
        at = self.world.now()
        with reading():
            lines, following, is_end = self.world.chatter_on(token, channel_external_id, place.line)
        fresh = [line for line in lines if line.told_at.timestamp() >= place.since]
        line = max(following - OVERLAP, 0) if is_end else following
        return ActivityPiece(
            events=tuple(_event(each, at) for each in fresh),
            items=len(fresh),
            calls=1,
            checkpoint=msgspec.json.encode(
                _Place(board=channel_external_id, line=line, since=place.since)
            ).decode(),
            is_complete=is_end,
            progress=following / max(len(self.world.chatter.lines), 1),
        )

    async def reply(self, channel_external_id: str, comment_external_id: str, text: str) -> CommentSeen:
        token = await self.vault.channel_token(channel_external_id)
        if not text.strip() or len(text) > LONGEST_NOTE:
            msg = f"a remark takes 1 to {LONGEST_NOTE} characters"
            raise RejectedError(msg, vendor=SLUG)
        with writing():
            remark = self.world.answer_remark(token, channel_external_id, comment_external_id, text)
        return comment_from_remark(remark, self.world.now())

    async def hide(self, channel_external_id: str, comment_external_id: str, *, is_hidden: bool) -> None:
        token = await self.vault.channel_token(channel_external_id)
        with writing():
            self.world.cover_remark(token, channel_external_id, comment_external_id, is_covered=is_hidden)


def _event(line: Remark | Cheer, at: datetime) -> CrmEvent:
    return comment_from_remark(line, at) if isinstance(line, Remark) else reaction_from_cheer(line, at)


def _place(board_id: str, checkpoint: str, since: datetime | None) -> _Place:
    if not checkpoint:
        return _Place(board=board_id, line=0, since=since.timestamp() if since else 0.0)
    try:
        place = msgspec.json.decode(checkpoint, type=_Place)
    except (msgspec.MsgspecError, ValueError):
        place = None
    if place is None or place.board != board_id or place.line < 0:
        msg = "this checkpoint was not written for this board"
        raise RejectedError(msg, vendor=SLUG)
    return place
