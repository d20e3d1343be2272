"""What a person's token reaches: Pages, the Instagram accounts linked to them, and WhatsApp numbers.

https://developers.facebook.com/docs/graph-api/reference/user/accounts ·
https://developers.facebook.com/docs/instagram-platform/instagram-api-with-facebook-login/get-started ·
https://developers.facebook.com/docs/graph-api/reference/whats-app-business-account/phone_numbers
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from typing import Final

import attrs

from moorage_facebook.channel_types import INSTAGRAM, PAGE, WHATSAPP
from moorage_facebook.graph.call import PAGES, GraphCall
from moorage_facebook.graph.client import GraphClient
from moorage_facebook.graph.paging import Node, fetch_all
from moorage_facebook.graph.values import items, node_id, record, text
from moorage_facebook.scopes import (
    BUSINESSES,
    INSTAGRAM_SCOPES,
    SEE_INSTAGRAM,
    SEE_WHATSAPP,
    WHATSAPP_SCOPES,
    page_scopes,
)
from moorage_facebook.token_facts import TokenFacts
from moorage_ports.directory import ChannelOffer
from moorage_ports.errors import (
    Hits,
    MissingScopeError,
    ReauthorizationError,
    RejectedError,
    VendorError,
    VendorNotFoundError,
)
from moorage_ports.secret import Secret

PAGE_SIZE: Final = "100"
WHATSAPP_USE_CASE: Final = "whatsapp_business_management"
ACCOUNT_EDGES: Final = ("owned_whatsapp_business_accounts", "client_whatsapp_business_accounts")
_ACCOUNTS_AT_ONCE: Final = 5

_PAGE_FIELDS: Final = "id,name,access_token,tasks"
_LINKED_ACCOUNT: Final = "instagram_business_account"
_NUMBER_FIELDS: Final = "id,verified_name,display_phone_number"

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

_NO_PAGE: Final = "Facebook gave no access to this Page: connect again and tick it."
_ITS_PAGE: Final = "Facebook gave no access to the Page of this account: connect again and tick that Page."
_LACKING: Final = "Not all was allowed that this account needs: connect again and allow it."
# Graph's clear word that this can't be had; anything else says nothing lasting.
_REFUSED: Final = (MissingScopeError, RejectedError, VendorNotFoundError)


# Calls -------------------------------------------------------------------------------------------


def my_pages(token: Secret, *, with_instagram: bool = False) -> GraphCall:
    """`GET /me/accounts`: the Pages that the person let this app see, with a token for each."""
    linked = f",{_LINKED_ACCOUNT}{{id,username,name}}" if with_instagram else ""
    query = {"fields": f"{_PAGE_FIELDS}{linked}", "limit": PAGE_SIZE}
    return GraphCall(path=("me", "accounts"), query=query, token=token)


def linked_account(page_id: str, token: Secret) -> GraphCall:
    """`GET /{page}`: the Instagram account that is linked to it."""
    return GraphCall(
        path=(page_id,), query={"fields": _LINKED_ACCOUNT}, token=token, owner=page_id, use_case=PAGES
    )


def my_businesses(token: Secret) -> GraphCall:
    """`GET /me/businesses`: those that the person works in."""
    return GraphCall(path=("me", "businesses"), query={"fields": "id", "limit": PAGE_SIZE}, token=token)


def of_business(business_id: str, edge: str, token: Secret) -> GraphCall:
    """`GET /{business}/owned_pages`, `client_pages`, or one of `ACCOUNT_EDGES`."""
    return GraphCall(path=(business_id, edge), query={"fields": "id", "limit": PAGE_SIZE}, token=token)


def account_numbers(account_id: str, token: Secret) -> GraphCall:
    """`GET /{whatsapp-business-account}/phone_numbers`."""
    return GraphCall(
        path=(account_id, "phone_numbers"),
        query={"fields": _NUMBER_FIELDS, "limit": PAGE_SIZE},
        token=token,
        owner=account_id,
        use_case=WHATSAPP_USE_CASE,
    )


# What they answer --------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Reached:
    """A channel, and the token that Graph gave to act as it; whether that is so nobody has proven.

    `parent` is what it hangs on: an Instagram account on its Page, a number on its business account.
    """

    offer: ChannelOffer
    token: Secret | None = None
    parent: str = ""


@attrs.frozen(kw_only=True)
class Reach:
    """All of them. `unread` are types of channels that Graph could not list just now."""

    channels: tuple[Reached, ...]
    unread: tuple[str, ...] = ()


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
        return _NO_PAGE
    tasks = node.get("tasks")
    if not isinstance(tasks, list):
        return ""  # older answers have none
    names = {text(task).removeprefix(_NEW_PAGE_PREFIX) for task in items(tasks)}
    if names.isdisjoint(_USEFUL_TASKS):
        return "The person who connected may only look at this Page: have its admin give them a larger role."
    return ""


def instagram_offer(node: Mapping[str, object], facts: TokenFacts) -> ChannelOffer | None:
    """The account linked to a Page as it may be offered; `None` if there is none.

    It is acted as with its Page's token. A scope may be granted for the account or for the Page.
    """
    account = record(node.get(_LINKED_ACCOUNT))
    account_id, page_id = node_id(account.get("id")), node_id(node.get("id"))
    if not account_id:
        return None
    missing = facts.missing_for(page_id, facts.missing_for(account_id, INSTAGRAM_SCOPES))
    has_token = bool(text(node.get("access_token")))
    username = text(account.get("username"))
    return ChannelOffer(
        external_id=account_id,
        type=INSTAGRAM,
        name=f"@{username}" if username else text(account.get("name")),
        selectable=has_token and not missing,
        reason="" if has_token and not missing else _LACKING if has_token else _ITS_PAGE,
        missing_scopes=missing,
    )


def number_offer(node: Mapping[str, object], account_id: str, facts: TokenFacts) -> ChannelOffer | None:
    """A WhatsApp number as it may be offered; `None` if it is not readable as one."""
    number_id = node_id(node.get("id"))
    if not number_id:
        return None
    missing = facts.missing_for(account_id, WHATSAPP_SCOPES)
    told = (text(node.get(name)) for name in ("verified_name", "display_phone_number"))
    return ChannelOffer(
        external_id=number_id,
        type=WHATSAPP,
        name=" · ".join(filter(None, told)),
        selectable=not missing,
        reason=_LACKING if missing else "",
        missing_scopes=missing,
    )


# Looking -----------------------------------------------------------------------------------------


async def reach(client: GraphClient, token: Secret, facts: TokenFacts) -> Reach:
    """All that `token` reaches. Trouble with WhatsApp costs its numbers only, and says so.

    Raises:
        ReauthorizationError: The token is gone.
        VendorError: The Pages could not be listed.
    """
    nodes, unread = await _pages(client, token, facts)
    found = [each for node in nodes for each in _on_page(node, facts)]
    try:
        found += await _numbers(client, token, facts)
    except VendorError as trouble:
        if isinstance(trouble, ReauthorizationError) and trouble.hits is Hits.INTEGRATION:
            raise
        unread = (*unread, WHATSAPP)
    return Reach(channels=_each_once(found), unread=unread)


async def _pages(
    client: GraphClient, token: Secret, facts: TokenFacts
) -> tuple[tuple[Node, ...], tuple[str, ...]]:
    """The Pages, with their accounts where these may be seen; what could not be told of them."""
    if SEE_INSTAGRAM not in facts.scopes:
        return await fetch_all(client, my_pages(token)), ()
    try:
        return await fetch_all(client, my_pages(token, with_instagram=True)), ()
    except _REFUSED:  # for the sake of the accounts, maybe: they must not cost the Pages
        return await fetch_all(client, my_pages(token)), (INSTAGRAM,)


def _on_page(node: Node, facts: TokenFacts) -> Iterable[Reached]:
    page = page_offer(node, facts)
    if page is None:
        return
    token = Secret(text(node.get("access_token"))) or None
    yield Reached(offer=page, token=token)
    account = instagram_offer(node, facts)
    if account is not None:
        yield Reached(offer=account, token=token, parent=page.external_id)


def _each_once(found: Iterable[Reached]) -> tuple[Reached, ...]:
    """An account may be linked to two Pages; what can be chosen counts."""
    kept: dict[str, Reached] = {}
    for each in found:
        known = kept.get(each.offer.external_id)
        if known is None or (each.offer.selectable and not known.offer.selectable):
            kept[each.offer.external_id] = each
    return tuple(kept.values())


async def _numbers(client: GraphClient, token: Secret, facts: TokenFacts) -> list[Reached]:
    """The numbers of every account; an account that refuses has none.

    Raises:
        VendorError: Whether there are more could not be asked.
    """
    if SEE_WHATSAPP not in facts.scopes:
        return []
    accounts = await whatsapp_accounts(client, token, facts)
    turns = asyncio.Semaphore(_ACCOUNTS_AT_ONCE)

    async def in_turn(account_id: str) -> list[Reached]:
        async with turns:
            nodes = await listed(client, account_numbers(account_id, token))
        offers = (number_offer(node, account_id, facts) for node in nodes)
        return [Reached(offer=offer, token=token, parent=account_id) for offer in offers if offer]

    return [each for found in await asyncio.gather(*map(in_turn, accounts)) for each in found]


async def whatsapp_accounts(client: GraphClient, token: Secret, facts: TokenFacts) -> tuple[str, ...]:
    """The accounts that the person named in the dialog; all that their businesses have, if they named none.

    Raises:
        VendorError: Graph could not say.
    """
    named = facts.targets.get(SEE_WHATSAPP)
    if named is not None:
        return tuple(sorted(filter(None, map(node_id, named))))
    if BUSINESSES not in facts.scopes:
        return ()
    found: dict[str, None] = {}
    for business in await listed(client, my_businesses(token)):
        business_id = node_id(business.get("id"))
        if business_id:
            found |= dict.fromkeys(await accounts_of(client, business_id, token))
    return tuple(found)


async def accounts_of(client: GraphClient, business_id: str, token: Secret) -> Collection[str]:
    """A business's own WhatsApp accounts, and those it works on for others."""
    nodes = [
        node for edge in ACCOUNT_EDGES for node in await listed(client, of_business(business_id, edge, token))
    ]
    return tuple(filter(None, (node_id(node.get("id")) for node in nodes)))


async def listed(client: GraphClient, call: GraphCall) -> tuple[Node, ...]:
    """A list that may be refused: then nothing is in it.

    Raises:
        ReauthorizationError: The token is gone.
        VendorError: Graph did not say.
    """
    try:
        return tuple(await fetch_all(client, call))
    except _REFUSED:
        return ()
