"""`GraphTokenVault`: a user's grant and its channels' tokens, each sealed in a place of its own."""

from collections.abc import Mapping
from typing import Final

import attrs

from moorage_facebook.graph.values import UnreadableError, decode, encode, items, record, text
from moorage_facebook.settings import VENDOR
from moorage_ports.authorizer import RedeemedGrant
from moorage_ports.errors import Hits, ReauthorizationError
from moorage_ports.plugin import VendorContext
from moorage_ports.secret import Secret
from moorage_ports.secret_store import SecretRef, SecretStore

GRANT: Final = "grant"
CHANNEL: Final = "channel"
_FIELD: Final = "sealed"


@attrs.frozen
class GraphTokenVault:
    """A `TokenVault`. Who connected (id, name, e-mail) is kept nowhere but in the grant's sealed blob."""

    secrets: SecretStore

    async def keep(self, grant_id: str, grant: RedeemedGrant) -> None:
        """Seal the grant as one blob, and each channel's token with the scopes it came with.

        An Instagram account has its Page's token, a WhatsApp number that of the person who connected.
        """
        whole = {
            "token": grant.token.reveal(),
            "subject": grant.subject.reveal(),
            "profile": dict(grant.profile),
            "scopes": list(grant.granted_scopes),
        }
        await self._seal(GRANT, grant_id, whole)
        for channel in grant.channels:
            if channel.token is not None:
                missing = set(channel.offer.missing_scopes)
                scopes = [scope for scope in grant.granted_scopes if scope not in missing]
                sealed = {
                    "token": channel.token.reveal(),
                    "scopes": scopes,
                    "type": channel.offer.type,
                    "parent": channel.parent_external_id,
                }
                await self._seal(CHANNEL, channel.offer.external_id, sealed)

    async def channel_token(self, channel_external_id: str) -> Secret:
        """The token to act as this channel."""
        sealed = await self._open(CHANNEL, channel_external_id)
        if not text(sealed.get("token")):
            msg = "no token is kept for this channel"
            raise ReauthorizationError(msg, vendor=VENDOR, hits=Hits.CHANNEL)
        return Secret(text(sealed["token"]))

    async def channel_scopes(self, channel_external_id: str) -> tuple[str, ...]:
        """What the channel's token may be used for; empty if none is kept."""
        sealed = await self._open(CHANNEL, channel_external_id)
        return tuple(map(text, items(sealed.get("scopes"))))

    async def channel_type(self, channel_external_id: str) -> str:
        """What kind of channel its token was kept for; empty if none is, or if that was not noted then."""
        return text((await self._open(CHANNEL, channel_external_id)).get("type"))

    async def channel_parent(self, channel_external_id: str) -> str:
        """What the channel hangs on: a Page, or a WhatsApp business account; empty of a Page."""
        return text((await self._open(CHANNEL, channel_external_id)).get("parent"))

    async def grant_token(self, grant_id: str) -> Secret:
        """The long-lived token of the person who connected."""
        return Secret(text((await self._grant(grant_id))["token"]))

    async def subject(self, grant_id: str) -> Secret:
        """Facebook's id of the person who connected.

        Raises:
            ReauthorizationError: Nothing is kept under `grant_id`.
        """
        return Secret(text((await self._grant(grant_id)).get("subject")))

    async def forget_channel(self, channel_external_id: str) -> None:
        """Delete one channel's token."""
        await self.secrets.forget(owner_type=CHANNEL, owner_id=channel_external_id)

    async def forget(self, grant_id: str) -> None:
        """Delete the grant's blob."""
        await self.secrets.forget(owner_type=GRANT, owner_id=grant_id)

    async def _grant(self, grant_id: str) -> Mapping[str, object]:
        sealed = await self._open(GRANT, grant_id)
        if not text(sealed.get("token")):
            msg = "nothing is kept for this grant"
            raise ReauthorizationError(msg, vendor=VENDOR, hits=Hits.INTEGRATION)
        return sealed

    async def _seal(self, owner_type: str, owner_id: str, value: Mapping[str, object]) -> None:
        ref = SecretRef(owner_type=owner_type, owner_id=owner_id, field=_FIELD)
        await self.secrets.put(ref, Secret(encode(value).decode()))

    async def _open(self, owner_type: str, owner_id: str) -> Mapping[str, object]:
        opened = await self.secrets.get(SecretRef(owner_type=owner_type, owner_id=owner_id, field=_FIELD))
        if opened is None:
            return {}
        try:
            return record(decode(opened.value.reveal().encode()))
        except UnreadableError:
            return {}


def token_vault(context: VendorContext) -> GraphTokenVault:
    """The vault of one org."""
    return GraphTokenVault(context.secrets)
