"""Publishers that are wrong in one place each."""

from datetime import datetime

from moorage_adapters.memory.door import reading
from moorage_adapters.memory.publisher import MemoryPublisher, post_from_note
from moorage_ports.errors import (
    MissingScopeError,
    OutcomeUnknownError,
    ReauthorizationError,
    VendorError,
    VendorUnavailableError,
)
from moorage_ports.publisher import Preflight, PublishedPost, PublishPost


class TakesSilenceForFailure(MemoryPublisher):
    """No answer, so it failed: the host posts again, and people read it twice."""

    async def publish(self, post: PublishPost, parts: tuple[str, ...] = ()) -> PublishedPost:
        try:
            return await super().publish(post)
        except OutcomeUnknownError as lost:
            msg = "it failed"
            raise VendorUnavailableError(msg, vendor="memory") from lost


class TriesAgain(MemoryPublisher):
    """A retry around a write."""

    async def publish(self, post: PublishPost, parts: tuple[str, ...] = ()) -> PublishedPost:
        try:
            return await super().publish(post)
        except OutcomeUnknownError:
            return await super().publish(post)


class FindsLastWeeks(MemoryPublisher):
    """Looks at the text alone."""

    async def find(
        self, post: PublishPost, *, since: datetime, known: frozenset[str] = frozenset()
    ) -> PublishedPost | None:
        return await super().find(post, since=datetime.min.replace(tzinfo=since.tzinfo), known=known)


class FindsTheNewest(MemoryPublisher):
    """Takes the newest post for ours."""

    async def find(
        self, post: PublishPost, *, since: datetime, known: frozenset[str] = frozenset()
    ) -> PublishedPost | None:
        token = await self.vault.channel_token(post.channel_external_id)
        with reading():
            notes = self.world.notes_on(token, post.channel_external_id)
        return post_from_note(notes[0]) if notes and notes[0].pinned_at >= since else None


class FindsTheSameAgain(MemoryPublisher):
    """Takes no interest in what is accounted for."""

    async def find(
        self, post: PublishPost, *, since: datetime, known: frozenset[str] = frozenset()
    ) -> PublishedPost | None:
        return await super().find(post, since=since)


class ReadsOnlyTheText(MemoryPublisher):
    """The link makes no difference to it."""

    async def find(
        self, post: PublishPost, *, since: datetime, known: frozenset[str] = frozenset()
    ) -> PublishedPost | None:
        token = await self.vault.channel_token(post.channel_external_id)
        with reading():
            notes = self.world.notes_on(token, post.channel_external_id)
        alike = [note for note in notes if note.text == post.text and note.pinned_at >= since]
        return next((post_from_note(note) for note in alike if note.id not in known), None)


class PublishesToPrepare(MemoryPublisher):
    """Too eager."""

    async def prepare(self, post: PublishPost) -> tuple[str, ...]:
        return ((await self.publish(post)).external_id,)


class PublishesToLookAhead(MemoryPublisher):
    """A dry run that is none."""

    async def preflight(self, post: PublishPost) -> Preflight:
        await self.publish(post)
        return await super().preflight(post)


class AlwaysTheGrant(MemoryPublisher):
    """Any refusal means: connect again."""

    async def publish(self, post: PublishPost, parts: tuple[str, ...] = ()) -> PublishedPost:
        try:
            return await super().publish(post)
        except MissingScopeError as refused:
            msg = "connect again"
            raise ReauthorizationError(msg, vendor="memory") from refused


class AlwaysTheVendor(MemoryPublisher):
    """Any failure is "a vendor error"."""

    async def publish(self, post: PublishPost, parts: tuple[str, ...] = ()) -> PublishedPost:
        try:
            return await super().publish(post)
        except VendorError as refused:
            msg = "something went wrong"
            raise VendorError(msg, vendor="memory") from refused
