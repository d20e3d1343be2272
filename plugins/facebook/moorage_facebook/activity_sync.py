"""`GraphActivitySync`: comments and reactions, read in pieces, and the channel's answers to comments."""

from datetime import datetime
from typing import Final

import attrs

from moorage_facebook.activity import calls, events
from moorage_facebook.activity.checkpoint import Checkpoint, Phase, unpacked
from moorage_facebook.activity.run import Run
from moorage_facebook.channel_types import INSTAGRAM
from moorage_facebook.graph.client import GraphClient, graph_client
from moorage_facebook.graph.values import node_id
from moorage_facebook.settings import VENDOR
from moorage_facebook.token_vault import GraphTokenVault, token_vault
from moorage_ports.activity_sync import ActivityPiece
from moorage_ports.errors import OutcomeUnknownError, RejectedError
from moorage_ports.events import CommentSeen
from moorage_ports.plugin import VendorContext

LONGEST_COMMENT: Final = 8_000  # characters


@attrs.frozen(kw_only=True)
class GraphActivitySync:
    """An `ActivitySync` for the Pages and Instagram accounts of one org."""

    client: GraphClient
    vault: GraphTokenVault

    async def activity(
        self, channel_external_id: str, *, checkpoint: str = "", since: datetime | None = None
    ) -> ActivityPiece:
        """The next piece; Instagram names nobody who likes something, so it has comments only."""
        token = await self.vault.channel_token(channel_external_id)
        is_page = await self.vault.channel_type(channel_external_id) != INSTAGRAM
        stands = self._begun(channel_external_id, checkpoint, since, is_page=is_page)
        run = Run(
            client=self.client,
            token=token,
            channel_id=channel_external_id,
            is_page=is_page,
            checkpoint=stands,
        )
        return await run.piece()

    async def reply(self, channel_external_id: str, comment_external_id: str, text: str) -> CommentSeen:
        """Answer a comment publicly; the new comment."""
        if not text.strip() or len(text) > LONGEST_COMMENT:
            msg = f"a comment takes 1 to {LONGEST_COMMENT} characters"
            raise RejectedError(msg, vendor=VENDOR, remedy="Change the text, then send it again.")
        token = await self.vault.channel_token(channel_external_id)
        is_instagram = await self._is_instagram(channel_external_id)
        edge = "replies" if is_instagram else "comments"
        call = calls.answer_comment(channel_external_id, comment_external_id, text, token, edge=edge)
        comment_id = node_id((await self.client.send(call)).get("id"))
        if not comment_id:
            msg = "Facebook did not say where the answer went"
            raise OutcomeUnknownError(msg, vendor=VENDOR, symptom="no_id")
        now = self.client.clock.now()
        return CommentSeen(
            channel_external_id=channel_external_id,
            comment_external_id=comment_id,
            at=now,
            surface=events.INSTAGRAM if is_instagram else events.FACEBOOK,
            parent_external_id=comment_external_id,
            is_ours=True,
            created_at=now,
            text=text,
        )

    async def hide(self, channel_external_id: str, comment_external_id: str, *, is_hidden: bool) -> None:
        """Hide a comment from others, or show it again."""
        token = await self.vault.channel_token(channel_external_id)
        field = "hide" if await self._is_instagram(channel_external_id) else "is_hidden"
        await self.client.send(
            calls.hide_comment(
                channel_external_id, comment_external_id, token, field=field, is_hidden=is_hidden
            )
        )

    async def _is_instagram(self, channel_external_id: str) -> bool:
        return await self.vault.channel_type(channel_external_id) == INSTAGRAM

    def _begun(
        self, channel_id: str, checkpoint: str, since: datetime | None, *, is_page: bool
    ) -> Checkpoint:
        """The run under way, or a new one."""
        now = int(self.client.clock.now().timestamp())
        if not checkpoint:
            floor = int(since.timestamp()) if since else 0
            # What is older than a moment is told by counts and times; without one all is read as it comes.
            phase = Phase.CHANGES if floor or not is_page else Phase.EVERYTHING
            return Checkpoint(channel=channel_id, phase=phase, began=now, floor=floor)
        stands = unpacked(checkpoint, channel_id)
        if stands.phase is Phase.IDLE:
            # Where the last run found no post, there is nothing to compare with: this one is like a first.
            is_first = is_page and not (stands.floor or stands.watched)
            stands.phase, stands.began = Phase.EVERYTHING if is_first else Phase.CHANGES, now
        return stands


def activity_sync(context: VendorContext) -> GraphActivitySync:
    """The activity of one org's channels."""
    return GraphActivitySync(client=graph_client(context), vault=token_vault(context))
