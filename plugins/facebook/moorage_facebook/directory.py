"""`GraphDirectory`: the Pages that an org's grants cover, and why one can't be chosen.

https://developers.facebook.com/docs/graph-api/reference/user/accounts
"""

from collections.abc import Collection, Mapping
from typing import Final

import attrs

from moorage_facebook.graph.call import GraphCall
from moorage_facebook.graph.client import GraphClient, graph_client
from moorage_facebook.graph.paging import fetch_all
from moorage_facebook.graph.values import items, node_id, text
from moorage_facebook.scopes import page_scopes
from moorage_facebook.settings import VENDOR
from moorage_facebook.token_facts import TokenFacts, inspect_token
from moorage_facebook.token_vault import GraphTokenVault, token_vault
from moorage_ports.directory import ChannelOffer
from moorage_ports.errors import Hits, RateLimitError, ReauthorizationError, VendorError, VendorNotFoundError
from moorage_ports.plugin import VendorContext
from moorage_ports.secret import Secret

PAGE: Final = "page"
_PAGE_SIZE: Final = "100"

# Any of these lets a person do something here; somebody with none of them may only look at figures.
_USEFUL_TASKS: Final = frozenset(
    {
        "MANAGE",
        "FULL_CONTROL",
        "FACEBOOK_ACCESS",
        "CREATE_CONTENT",
        "MODERATE",
        "MESSAGING",
        "ADVERTISE",
        "MANAGE_LEADS",
    }
)
_NEW_PAGE_PREFIX: Final = "PROFILE_PLUS_"  # what Pages of the newer kind put before a task's name


def my_pages(token: Secret) -> GraphCall:
    """`GET /me/accounts`: the Pages that the person let this app see, with a token for each."""
    return GraphCall(
        path=("me", "accounts"),
        query={"fields": "id,name,access_token,tasks", "limit": _PAGE_SIZE},
        token=token,
    )


def business_pages(business_id: str, edge: str, token: Secret) -> GraphCall:
    """`GET /{business}/owned_pages` or `client_pages`."""
    return GraphCall(path=(business_id, edge), query={"fields": "id", "limit": _PAGE_SIZE}, token=token)


def page_offer(node: Mapping[str, object], facts: TokenFacts) -> ChannelOffer | None:
    """A Page as it may be offered; `None` if it is not readable as one."""
    page_id = node_id(node.get("id"))
    if not page_id:
        return None
    reason = _why_not(node)
    return ChannelOffer(
        external_id=page_id,
        type=PAGE,
        name=text(node.get("name")),
        selectable=not reason,
        reason=reason,
        missing_scopes=facts.missing_for(page_id, page_scopes(facts.scopes)),
    )


def _why_not(node: Mapping[str, object]) -> str:
    if not text(node.get("access_token")):
        return "Facebook gave no access to this Page: connect again and tick it."
    tasks = node.get("tasks")
    if not isinstance(tasks, list):
        return ""  # older answers have none
    names = {text(task).removeprefix(_NEW_PAGE_PREFIX) for task in items(tasks)}
    if names.isdisjoint(_USEFUL_TASKS):
        return "The person who connected may only look at this Page: have its admin give them a larger role."
    return ""


@attrs.frozen(kw_only=True)
class GraphDirectory:
    """A `Directory` over every grant of the org."""

    client: GraphClient
    vault: GraphTokenVault
    grant_ids: tuple[str, ...]

    async def channels(self, business_id: str | None = None) -> tuple[ChannelOffer, ...]:
        """Every Page, each once; of two grants that cover one, that which lets it be chosen counts."""
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
        nodes = await fetch_all(self.client, my_pages(token))
        offers = [offer for offer in (page_offer(node, facts) for node in nodes) if offer]
        if business_id is None:
            return tuple(offers)
        wanted = await self._business_page_ids(business_id, token)
        return tuple(offer for offer in offers if offer.external_id in wanted)

    async def _business_page_ids(self, business_id: str, token: Secret) -> Collection[str]:
        """A business's own Pages, and (where it may be seen) those it works on for others.

        A business that this person knows nothing of has none: somebody else of the org may know it.
        """
        try:
            owned = await fetch_all(self.client, business_pages(business_id, "owned_pages", token))
        except VendorNotFoundError:
            return ()
        try:
            clients = await fetch_all(self.client, business_pages(business_id, "client_pages", token))
        except (ReauthorizationError, RateLimitError):
            raise
        except VendorError:
            clients = ()
        return {node_id(node.get("id")) for node in (*owned, *clients)}


def directory(context: VendorContext) -> GraphDirectory:
    """The directory of one org."""
    return GraphDirectory(
        client=graph_client(context), vault=token_vault(context), grant_ids=context.grant_ids
    )
