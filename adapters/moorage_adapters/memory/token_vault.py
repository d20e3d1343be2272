"""`MemoryTokenVault`: which secrets a grant consists of, and under which names they are kept."""

import attrs
import msgspec

from moorage_adapters.memory.door import SLUG
from moorage_ports.authorizer import RedeemedGrant
from moorage_ports.errors import ConflictError, Hits, ReauthorizationError
from moorage_ports.secret import Secret
from moorage_ports.secret_store import SecretRef, SecretStore

_GRANTS = SecretRef(owner_type="vault", owner_id="grants", field="ids")


def _grant_ref(grant_id: str) -> SecretRef:
    return SecretRef(owner_type="grant", owner_id=grant_id, field="token")


def _person_ref(grant_id: str) -> SecretRef:
    return SecretRef(owner_type="grant", owner_id=grant_id, field="person")


def _channel_ref(channel_external_id: str) -> SecretRef:
    return SecretRef(owner_type="channel", owner_id=channel_external_id, field="token")


@attrs.frozen
class MemoryTokenVault:
    """A `TokenVault`: one sealed secret per token, one for the person, and one list of the grants."""

    secrets: SecretStore

    async def keep(self, grant_id: str, grant: RedeemedGrant) -> None:
        person = msgspec.json.encode({"subject": grant.subject.reveal(), "profile": dict(grant.profile)})
        await self.secrets.put(_grant_ref(grant_id), grant.token)
        await self.secrets.put(_person_ref(grant_id), Secret(person.decode()))
        for channel in grant.channels:
            if channel.token is not None:
                await self.secrets.put(_channel_ref(channel.offer.external_id), channel.token)
        await self._list_grant(grant_id, listed=True)

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
        await self._list_grant(grant_id, listed=False)

    async def grant_ids(self) -> tuple[str, ...]:
        """The grants that are kept: a secret store has no listing, so the vault keeps its own."""
        return (await self._listing())[0]

    async def _list_grant(self, grant_id: str, *, listed: bool) -> None:
        while True:
            ids, version = await self._listing()
            if (grant_id in ids) == listed:
                return
            ids = (*ids, grant_id) if listed else tuple(known for known in ids if known != grant_id)
            try:
                await self.secrets.put(
                    _GRANTS, Secret(msgspec.json.encode(ids).decode()), expected_version=version
                )
            except ConflictError:
                continue  # somebody listed another grant meanwhile: read again
            return

    async def _listing(self) -> tuple[tuple[str, ...], int]:
        opened = await self.secrets.get(_GRANTS)
        if opened is None:
            return (), 0
        return msgspec.json.decode(opened.value.reveal(), type=tuple[str, ...]), opened.version
