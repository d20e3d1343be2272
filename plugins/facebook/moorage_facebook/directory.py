"""`GraphDirectory`: the channels that an org's grants cover, and why one can't be chosen.

https://developers.facebook.com/docs/graph-api/reference/business/owned_pages ·
https://developers.facebook.com/docs/graph-api/reference/business/owned_whatsapp_business_accounts
"""

from collections.abc import Collection

import attrs

from moorage_facebook.graph.client import GraphClient, graph_client
from moorage_facebook.graph.paging import fetch_all
from moorage_facebook.graph.values import node_id
from moorage_facebook.reach import accounts_of, of_business, reach
from moorage_facebook.scopes import SEE_WHATSAPP
from moorage_facebook.settings import VENDOR
from moorage_facebook.token_facts import TokenFacts, inspect_token
from moorage_facebook.token_vault import GraphTokenVault, token_vault
from moorage_ports.directory import ChannelOffer
from moorage_ports.errors import Hits, RateLimitError, ReauthorizationError, VendorError, VendorNotFoundError
from moorage_ports.plugin import VendorContext
from moorage_ports.secret import Secret


@attrs.frozen(kw_only=True)
class GraphDirectory:
    """A `Directory` over every grant of the org."""

    client: GraphClient
    vault: GraphTokenVault
    grant_ids: tuple[str, ...]

    async def channels(self, business_id: str | None = None) -> tuple[ChannelOffer, ...]:
        """Every channel, each once; of two grants that cover one, that which lets it be chosen counts."""
        found: dict[str, ChannelOffer] = {}
        gone: list[ReauthorizationError] = []
        for grant_id in self.grant_ids:
            try:
                offers = await self._offers(grant_id, business_id)
            except ReauthorizationError as ended:
                gone.append(ended)
                continue
            for offer in offers:
                if offer.selectable or offer.external_id not in found:
                    found[offer.external_id] = offer
        if len(gone) == len(self.grant_ids):
            msg = "no grant is left that could be asked"
            raise gone[0] if gone else ReauthorizationError(msg, vendor=VENDOR, hits=Hits.INTEGRATION)
        return tuple(found.values())

    async def _offers(self, grant_id: str, business_id: str | None) -> tuple[ChannelOffer, ...]:
        token = await self.vault.grant_token(grant_id)
        facts = await inspect_token(self.client, token)
        reached = (await reach(self.client, token, facts)).channels
        if business_id is None:
            return tuple(each.offer for each in reached)
        pages = await self._business_page_ids(business_id, token)
        wanted = {*pages, *await self._business_accounts(business_id, token, facts)}
        return tuple(each.offer for each in reached if wanted & {each.offer.external_id, each.parent})

    async def _business_page_ids(self, business_id: str, token: Secret) -> Collection[str]:
        """A business's own Pages, and (where it may be seen) those it works on for others.

        A business that this person knows nothing of has none: somebody else of the org may know it.
        """
        try:
            owned = await fetch_all(self.client, of_business(business_id, "owned_pages", token))
        except VendorNotFoundError:
            return ()
        try:
            clients = await fetch_all(self.client, of_business(business_id, "client_pages", token))
        except (ReauthorizationError, RateLimitError):
            raise
        except VendorError:
            clients = ()
        return {node_id(node.get("id")) for node in (*owned, *clients)} - {""}

    async def _business_accounts(self, business_id: str, token: Secret, facts: TokenFacts) -> Collection[str]:
        """A business's WhatsApp accounts, if they may be seen; trouble with them costs no Page."""
        if SEE_WHATSAPP not in facts.scopes:
            return ()
        try:
            return await accounts_of(self.client, business_id, token)
        except VendorError as trouble:
            if isinstance(trouble, ReauthorizationError) and trouble.hits is Hits.INTEGRATION:
                raise
            return ()


def directory(context: VendorContext) -> GraphDirectory:
    """The directory of one org."""
    return GraphDirectory(
        client=graph_client(context), vault=token_vault(context), grant_ids=context.grant_ids
    )
