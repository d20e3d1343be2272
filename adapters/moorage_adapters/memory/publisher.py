"""`MemoryPublisher`: a post becomes a note on a board."""

from datetime import datetime

import attrs

from moorage_adapters.memory.door import reading, writing
from moorage_adapters.memory.things import LONGEST_NOTE, Note
from moorage_adapters.memory.token_vault import MemoryTokenVault
from moorage_adapters.memory.world import MemoryWorld
from moorage_ports.errors import VendorNotFoundError
from moorage_ports.publisher import Preflight, PublishedPost, PublishPost


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

    async def publish(self, post: PublishPost) -> PublishedPost:
        token = await self.vault.channel_token(post.channel_external_id)
        with writing():
            note = self.world.pin(
                token, post.channel_external_id, text=post.text, link=post.link, images=post.images
            )
        return post_from_note(note)

    async def find(self, post: PublishPost, *, since: datetime) -> PublishedPost | None:
        token = await self.vault.channel_token(post.channel_external_id)
        with reading():
            notes = self.world.notes_on(token, post.channel_external_id)
        return next(
            (post_from_note(note) for note in notes if note.pinned_at >= since and says_the_same(note, post)),
            None,
        )

    async def withdraw(self, channel_external_id: str, external_id: str) -> None:
        token = await self.vault.channel_token(channel_external_id)
        try:
            with writing():
                self.world.unpin(token, channel_external_id, external_id)
        except VendorNotFoundError:
            return  # gone already
