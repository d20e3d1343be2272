"""`MemoryTokenVault`: which secrets a grant consists of, and under which names they are kept."""

import attrs
import msgspec

from moorage_adapters.memory.door import SLUG
from moorage_ports.authorizer import RedeemedGrant
from moorage_ports.errors import Hits, ReauthorizationError
from moorage_ports.secret import Secret
from moorage_ports.secret_store import SecretRef, SecretStore


def _grant_ref(grant_id: str) -> SecretRef:
    return SecretRef(owner_type="grant", owner_id=grant_id, field="token")


def _person_ref(grant_id: str) -> SecretRef:
    return SecretRef(owner_type="grant", owner_id=grant_id, field="person")


def _channel_ref(channel_external_id: str) -> SecretRef:
    return SecretRef(owner_type="channel", owner_id=channel_external_id, field="token")


@attrs.frozen
class MemoryTokenVault:
    """A `TokenVault`: one sealed secret per token, and one for the person."""

    secrets: SecretStore

    async def keep(self, grant_id: str, grant: RedeemedGrant) -> None:
        person = msgspec.json.encode({"subject": grant.subject.reveal(), "profile": dict(grant.profile)})
        await self.secrets.put(_grant_ref(grant_id), grant.token)
        await self.secrets.put(_person_ref(grant_id), Secret(person.decode()))
        for channel in grant.channels:
            if channel.token is not None:
                await self.secrets.put(_channel_ref(channel.offer.external_id), channel.token)

    async def channel_token(self, channel_external_id: str) -> Secret:
        opened = await self.secrets.get(_channel_ref(channel_external_id))
        if opened is None:
            msg = "no token of this board is kept"
            raise ReauthorizationError(msg, vendor=SLUG, hits=Hits.CHANNEL)
        return opened.value

    async def grant_token(self, grant_id: str) -> Secret:
        opened = await self.secrets.get(_grant_ref(grant_id))
        if opened is None:
            msg = "no such grant is kept"
            raise ReauthorizationError(msg, vendor=SLUG, hits=Hits.INTEGRATION)
        return opened.value

    async def forget_channel(self, channel_external_id: str) -> None:
        await self.secrets.forget(owner_type="channel", owner_id=channel_external_id)

    async def forget(self, grant_id: str) -> None:
        await self.secrets.forget(owner_type="grant", owner_id=grant_id)
