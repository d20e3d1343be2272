"""`TokenVault`: the life of a grant, built on the host's `SecretStore`."""

from typing import Protocol

from moorage_ports.authorizer import RedeemedGrant
from moorage_ports.secret import Secret


class TokenVault(Protocol):
    """Keeps grants and hands out the right token. Nothing here crosses the network."""

    async def keep(self, grant_id: str, grant: RedeemedGrant) -> None:
        """Seal the grant and each of its channels' tokens, replacing what was kept under these names."""
        ...

    async def channel_token(self, channel_external_id: str) -> Secret:
        """The token to act as this channel.

        Raises:
            ReauthorizationError: None is kept; `hits` is the channel.
        """
        ...

    async def grant_token(self, grant_id: str) -> Secret:
        """The token of the person who connected.

        Raises:
            ReauthorizationError: None is kept; `hits` is the integration.
        """
        ...

    async def forget_channel(self, channel_external_id: str) -> None:
        """Delete one channel's token; nothing kept is no error."""
        ...

    async def forget(self, grant_id: str) -> None:
        """Delete the grant's own secrets; nothing kept is no error."""
        ...
