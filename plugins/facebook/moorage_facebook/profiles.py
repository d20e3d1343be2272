"""`GraphProfiles`: what people are called who write by Messenger or on Instagram; WhatsApp says it itself.

https://developers.facebook.com/docs/messenger-platform/identity/user-profile ·
https://developers.facebook.com/docs/messenger-platform/instagram/features/user-profile
"""

from typing import Final

import attrs

from moorage_facebook.channel_types import INSTAGRAM as INSTAGRAM_CHANNEL
from moorage_facebook.direct_messages import INSTAGRAM, MESSENGER
from moorage_facebook.graph.call import GraphCall
from moorage_facebook.graph.client import GraphClient, graph_client
from moorage_facebook.graph.values import node_id
from moorage_facebook.settings import VENDOR
from moorage_facebook.token_vault import GraphTokenVault, token_vault
from moorage_facebook.translate.happening import name_of
from moorage_ports.errors import Hits, MissingScopeError, VendorNotFoundError
from moorage_ports.events import Person
from moorage_ports.plugin import VendorContext
from moorage_ports.secret import Secret

READ_INSTAGRAM: Final = "instagram_manage_messages"
# On Instagram: they never wrote to the account. Messenger's 230 says that `pages_messaging` is missing.
_NO_CONSENT: Final = "230"
_ALLOW: Final = "Connect again and allow the messages of the Instagram account."


def profile(person_id: str, channel_id: str, token: Secret, *, on_instagram: bool) -> GraphCall:
    """`GET /{page-scoped id}` or `GET /{Instagram-scoped id}`: the names, and nothing else."""
    return GraphCall(
        path=(person_id,),
        query={"fields": "name,username" if on_instagram else "name,first_name,last_name"},
        token=token,
        owner=channel_id,
        use_case=INSTAGRAM if on_instagram else MESSENGER,
    )


@attrs.frozen(kw_only=True)
class _Acting:
    """How a channel is acted as."""

    token: Secret
    on_instagram: bool
    is_allowed: bool  # as far as is known from the consent


@attrs.frozen(kw_only=True)
class GraphProfiles:
    """A `Profiles` for the Pages and Instagram accounts of one org.

    What it found in the vault it remembers: it lives as long as a few people are asked about.
    """

    client: GraphClient
    vault: GraphTokenVault
    _acting: dict[str, _Acting] = attrs.field(factory=dict, init=False, repr=False)

    async def person(self, channel_external_id: str, person: Person) -> Person | None:
        """One call; none for ids that are not of this channel, as WhatsApp's."""
        if person.realm != channel_external_id or node_id(person.external_id) != person.external_id:
            return None
        acting = await self._acting_as(channel_external_id)
        on_instagram = acting.on_instagram
        call = profile(person.external_id, channel_external_id, acting.token, on_instagram=on_instagram)
        try:
            answer = await self.client.send(call)
        except VendorNotFoundError:
            return None
        except MissingScopeError as refused:
            if on_instagram and refused.vendor_code == _NO_CONSENT:
                return None
            raise
        parts = (name_of(answer.get(part)).strip() for part in ("first_name", "last_name"))
        name = name_of(answer.get("name")).strip() or " ".join(filter(None, parts))
        handle = name_of(answer.get("username")).strip() if on_instagram else ""
        return attrs.evolve(person, name=name, handle=handle) if name or handle else None

    async def _acting_as(self, channel_external_id: str) -> _Acting:
        """The token to ask with. What is known to be missing is not asked for, so that 230 means one thing.

        Raises:
            ReauthorizationError: The channel's token is gone.
            MissingScopeError: The messages of this account were not allowed.
        """
        acting = self._acting.get(channel_external_id)
        if acting is None:
            token = await self.vault.channel_token(channel_external_id)
            on_instagram = await self.vault.channel_type(channel_external_id) == INSTAGRAM_CHANNEL
            scopes = await self.vault.channel_scopes(channel_external_id)
            is_allowed = not (on_instagram and scopes) or READ_INSTAGRAM in scopes
            acting = _Acting(token=token, on_instagram=on_instagram, is_allowed=is_allowed)
            self._acting[channel_external_id] = acting
        if not acting.is_allowed:
            msg = "the messages of this account were not allowed"
            raise MissingScopeError(msg, vendor=VENDOR, hits=Hits.CHANNEL, remedy=_ALLOW)
        return acting


def profiles(context: VendorContext) -> GraphProfiles:
    """The people of one org's channels."""
    return GraphProfiles(client=graph_client(context), vault=token_vault(context))
