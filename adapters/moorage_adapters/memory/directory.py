"""`MemoryDirectory`: the boards a person sees, and why some of them can't be chosen."""

import attrs

from moorage_adapters.memory.door import SLUG, reading
from moorage_adapters.memory.things import Board
from moorage_adapters.memory.token_vault import MemoryTokenVault
from moorage_adapters.memory.world import MemoryWorld
from moorage_ports.directory import ChannelOffer
from moorage_ports.errors import Hits, ReauthorizationError

NOT_A_KEEPER = "You can read this board, but you do not keep it. Ask one of its keepers to connect it."


def offer(board: Board, person_id: str) -> ChannelOffer:
    """A board in the ports' words, as it looks to this person."""
    is_keeper = person_id in board.keepers
    return ChannelOffer(
        external_id=board.id,
        type="board",
        name=board.name,
        selectable=is_keeper,
        reason="" if is_keeper else NOT_A_KEEPER,
    )


@attrs.frozen
class MemoryDirectory:
    """A `Directory`: asks with each grant of the org, and lists each board once, at its best."""

    world: MemoryWorld
    vault: MemoryTokenVault
    grant_ids: tuple[str, ...]

    async def channels(self, business_id: str | None = None) -> tuple[ChannelOffer, ...]:
        offers: dict[str, ChannelOffer] = {}
        gone: ReauthorizationError | None = None
        answered = False
        for grant_id in self.grant_ids:
            try:
                found = await self._offers(grant_id)
            except ReauthorizationError as failure:
                gone = failure  # this person's grant ended; the others' may stand
                continue
            answered = True
            for one in found:
                if one.external_id not in offers or one.selectable:
                    offers[one.external_id] = one
        if not answered:
            msg = "no grant is left that could be asked"
            raise ReauthorizationError(msg, vendor=SLUG, hits=Hits.INTEGRATION) from gone
        return () if business_id else tuple(offers.values())  # no businesses here: none has a board

    async def _offers(self, grant_id: str) -> tuple[ChannelOffer, ...]:
        token = await self.vault.grant_token(grant_id)
        with reading():
            person = self.world.person(token)
            return tuple(offer(board, person.id) for board in self.world.boards_of(token))
