"""`MemoryProfiles`: who wrote to a board."""

import attrs

from moorage_adapters.memory.activity_sync import person_from_memory
from moorage_adapters.memory.door import reading
from moorage_adapters.memory.token_vault import MemoryTokenVault
from moorage_adapters.memory.world import MemoryWorld
from moorage_ports.errors import VendorNotFoundError
from moorage_ports.events import Person


@attrs.frozen
class MemoryProfiles:
    """A `Profiles`: the board asks the town, which tells of its writers."""

    world: MemoryWorld
    vault: MemoryTokenVault

    async def person(self, channel_external_id: str, person: Person) -> Person | None:
        token = await self.vault.channel_token(channel_external_id)
        try:
            with reading():
                writer = self.world.writer_to(token, channel_external_id, person.external_id)
        except VendorNotFoundError:
            return None
        return person_from_memory(writer)
