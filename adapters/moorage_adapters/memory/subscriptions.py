"""`MemorySubscriptions`: whether a board's news comes to us."""

import attrs

from moorage_adapters.memory.door import reading, writing
from moorage_adapters.memory.token_vault import MemoryTokenVault
from moorage_adapters.memory.world import MemoryWorld


@attrs.frozen
class MemorySubscriptions:
    """A `Subscriptions`: switched with the board's own token."""

    world: MemoryWorld
    vault: MemoryTokenVault

    async def subscribe(self, channel_external_id: str) -> None:
        token = await self.vault.channel_token(channel_external_id)
        with writing():
            self.world.send_news(token, channel_external_id, wanted=True)

    async def unsubscribe(self, channel_external_id: str) -> None:
        token = await self.vault.channel_token(channel_external_id)
        with writing():
            self.world.send_news(token, channel_external_id, wanted=False)

    async def heard_with(self, channel_external_id: str) -> tuple[str, ...]:
        """None: each channel has a subscription of its own."""
        return ()

    async def is_subscribed(self, channel_external_id: str) -> bool:
        token = await self.vault.channel_token(channel_external_id)
        with reading():
            return self.world.sends_news(token, channel_external_id)
