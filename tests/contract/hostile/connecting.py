"""Whatever connects an organisation, wrong in one place each."""

from collections.abc import Mapping

import attrs

from moorage_adapters.memory.authorizer import MemoryAuthorizer
from moorage_adapters.memory.directory import MemoryDirectory
from moorage_adapters.memory.subscriptions import MemorySubscriptions
from moorage_adapters.memory.things import SCOPES
from moorage_adapters.memory.token_vault import MemoryTokenVault
from moorage_ports.apps import ProvenApp
from moorage_ports.authorizer import Consented, RedeemedGrant, Refused
from moorage_ports.directory import ChannelOffer
from moorage_ports.errors import (
    VendorUnavailableError,
)
from moorage_ports.secret import Secret
from moorage_ports.secret_store import SecretRef


class EchoesTheirProse(MemoryAuthorizer):
    """Hands on what stood in the query, to a page that will print it."""

    def read_return(self, query: Mapping[str, str]) -> Consented | Refused:
        if "error" in query:
            return Refused(reason=query["error"])
        return super().read_return(query)


class TakesTheirWord(MemoryAuthorizer):
    """Whoever writes an app id down owns the app."""

    async def prove_app(self) -> ProvenApp:
        return ProvenApp(app_id=self.app.app_id)


class TrustsEveryScope(MemoryAuthorizer):
    """Reports what was asked for as granted."""

    async def redeem(self, code: Secret, redirect_uri: str) -> RedeemedGrant:
        grant = await super().redeem(code, redirect_uri)
        return attrs.evolve(grant, granted_scopes=SCOPES)


class PrintsTheToken(MemoryTokenVault):
    """Names the secret after the token."""

    async def keep(self, grant_id: str, grant: RedeemedGrant) -> None:
        await super().keep(grant_id, grant)
        ref = SecretRef(owner_type="grant", owner_id=grant_id, field=grant.token.reveal())
        await self.secrets.put(ref, grant.token)


class ForgetsTooMuch(MemoryTokenVault):
    """Takes all channels along with one grant."""

    async def forget(self, grant_id: str) -> None:
        await super().forget(grant_id)
        await self.forget_channel("board-1")


class EmptyWhenDown(MemoryDirectory):
    """Nothing answered, so there is nothing: the host lets go of every channel."""

    async def channels(self, business_id: str | None = None) -> tuple[ChannelOffer, ...]:
        try:
            return await super().channels(business_id)
        except VendorUnavailableError:
            return ()


class FirstGrantOnly(MemoryDirectory):
    """Whoever connected first decides for all."""

    async def channels(self, business_id: str | None = None) -> tuple[ChannelOffer, ...]:
        return await MemoryDirectory(self.world, self.vault, self.grant_ids[:1]).channels(business_id)


class OffWhenDown(MemorySubscriptions):
    """Not knowing is taken for no."""

    async def is_subscribed(self, channel_external_id: str) -> bool:
        try:
            return await super().is_subscribed(channel_external_id)
        except VendorUnavailableError:
            return False


class HeardWithItself(MemorySubscriptions):
    """A channel counts among the others."""

    async def heard_with(self, channel_external_id: str) -> tuple[str, ...]:
        return (channel_external_id,)
