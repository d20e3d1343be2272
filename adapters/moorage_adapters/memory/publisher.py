"""`MemoryPublisher`: a post becomes a note on a board."""

from datetime import datetime

import attrs

from moorage_adapters.memory.door import SLUG, reading, writing
from moorage_adapters.memory.things import LONGEST_NOTE, Note
from moorage_adapters.memory.token_vault import MemoryTokenVault
from moorage_adapters.memory.world import MemoryWorld
from moorage_ports.errors import VendorNotFoundError
from moorage_ports.publisher import PostState, Preflight, PublishedPost, PublishPost


def post_from_note(note: Note) -> PublishedPost:
    """Where a note hangs, in the ports' words."""
    return PublishedPost(external_id=note.id, permalink=f"https://memory.invalid/{note.board_id}/{note.id}")


def says_the_same(note: Note, post: PublishPost) -> bool:
    """Whether this note is what publishing `post` would have left behind."""
    return (note.text, note.link, note.images) == (post.text, post.link, post.images)


@attrs.frozen
class MemoryPublisher:
    """A `Publisher`: one call per post, with the board's own token."""

    world: MemoryWorld
    vault: MemoryTokenVault

    async def preflight(self, post: PublishPost) -> Preflight:
        await self.vault.channel_token(post.channel_external_id)
        if len(post.text) > LONGEST_NOTE:
            return Preflight(
                problems=(f"A note takes {LONGEST_NOTE} characters; this has {len(post.text)}.",)
            )
        return Preflight()

    async def prepare(self, post: PublishPost) -> tuple[str, ...]:
        await self.vault.channel_token(post.channel_external_id)
        return ()  # a note is pinned in one go

    async def publish(self, post: PublishPost, parts: tuple[str, ...] = ()) -> PublishedPost:
        token = await self.vault.channel_token(post.channel_external_id)
        with writing():
            note = self.world.pin(
                token, post.channel_external_id, text=post.text, link=post.link, images=post.images
            )
        return post_from_note(note)

    async def check(self, channel_external_id: str, external_id: str) -> PostState:
        token = await self.vault.channel_token(channel_external_id)
        with reading():
            notes = self.world.notes_on(token, channel_external_id)
        for note in notes:
            if note.id == external_id:
                return PostState(is_visible=True, permalink=post_from_note(note).permalink)
        msg = "no such note hangs on this board"
        raise VendorNotFoundError(msg, vendor=SLUG)

    async def find(
        self, post: PublishPost, *, since: datetime, known: frozenset[str] = frozenset()
    ) -> PublishedPost | None:
        token = await self.vault.channel_token(post.channel_external_id)
        with reading():
            notes = self.world.notes_on(token, post.channel_external_id)
        alike = (
            note
            for note in reversed(notes)  # they come newest first, and the earliest is the one
            if note.pinned_at >= since and note.id not in known and says_the_same(note, post)
        )
        return next(map(post_from_note, alike), None)

    async def withdraw(self, channel_external_id: str, external_id: str) -> None:
        token = await self.vault.channel_token(channel_external_id)
        try:
            with writing():
                self.world.unpin(token, channel_external_id, external_id)
        except VendorNotFoundError:
            return  # gone already
