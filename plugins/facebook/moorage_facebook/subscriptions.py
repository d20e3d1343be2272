"""`GraphSubscriptions`: whether a channel's news is sent to the app, and which.

An Instagram account is heard of while the app is installed on its Page, whatever the Page's own fields are; a
WhatsApp number while it is on the number's business account, with all the others of that account.

https://developers.facebook.com/docs/graph-api/reference/page/subscribed_apps ·
https://developers.facebook.com/docs/instagram-platform/webhooks ·
https://developers.facebook.com/docs/graph-api/reference/whats-app-business-account/subscribed_apps
"""

import asyncio
from collections.abc import Collection, Mapping
from typing import Final

import attrs

from moorage_facebook.channel_types import INSTAGRAM, WHATSAPP
from moorage_facebook.graph.call import PAGES, GraphCall
from moorage_facebook.graph.client import GraphClient, graph_client
from moorage_facebook.graph.paging import fetch_all
from moorage_facebook.graph.values import items, node_id, record, text, truth
from moorage_facebook.reach import WHATSAPP_USE_CASE, account_numbers, linked_account
from moorage_facebook.scopes import SEE_INSTAGRAM
from moorage_facebook.settings import VENDOR
from moorage_facebook.token_vault import GraphTokenVault, token_vault
from moorage_ports.errors import (
    Hits,
    MissingScopeError,
    ReauthorizationError,
    RejectedError,
    VendorError,
    VendorNotFoundError,
)
from moorage_ports.plugin import VendorContext
from moorage_ports.secret import Secret

# The fields we use, each with the scope without which Graph refuses the whole subscription.
FIELDS: Mapping[str, str] = {
    "feed": "pages_manage_metadata",
    "mention": "pages_read_user_content",
    "leadgen": "leads_retrieval",
    "messages": "pages_messaging",
    "message_echoes": "pages_messaging",
    "message_deliveries": "pages_messaging",
    "message_reads": "pages_messaging",
    "message_reactions": "pages_messaging",
    "message_edits": "pages_messaging",
    "messaging_postbacks": "pages_messaging",
    "messaging_optins": "pages_messaging",
    "messaging_optouts": "pages_messaging",
    "messaging_account_linking": "pages_messaging",
    "messaging_referrals": "pages_messaging",
    "messaging_handovers": "pages_messaging",
    "messaging_policy_enforcement": "pages_messaging",
    "standby": "pages_messaging",
}
_ALWAYS: Final = "feed"
# For the sake of its Instagram account a Page must be subscribed to something: of its own news, the quietest.
_QUIET: Final = "name"


def fields_for(scopes: Collection[str]) -> tuple[str, ...]:
    """What to subscribe to with these scopes; `feed` in any case, so that Graph says what is missing."""
    return tuple(field for field, scope in FIELDS.items() if field == _ALWAYS or scope in scopes)


@attrs.frozen(kw_only=True)
class _Place:
    """Where an app is installed to hear of a channel: its Page, or its WhatsApp business account.

    `fields` must all be heard; an Instagram account's Page may be subscribed to anything.
    """

    kind: str
    node: str
    token: Secret
    fields: tuple[str, ...] = ()

    @property
    def use_case(self) -> str:
        return WHATSAPP_USE_CASE if self.kind == WHATSAPP else PAGES


def install(place: _Place) -> GraphCall:
    """`POST /{page}/subscribed_apps`, or `/{whatsapp-business-account}/subscribed_apps`.

    On a Page it replaces what was subscribed before; on both it may be sent twice.
    """
    fields = place.fields or (() if place.kind == WHATSAPP else (_QUIET,))
    return GraphCall(
        method="POST",
        path=(place.node, "subscribed_apps"),
        data={"subscribed_fields": ",".join(fields)} if fields else {},
        expects=frozenset({"success"}),
        token=place.token,
        is_repeatable=True,
        owner=place.node,
        use_case=place.use_case,
    )


def uninstall(place: _Place) -> GraphCall:
    """`DELETE /{page or account}/subscribed_apps`: this app only."""
    return GraphCall(
        method="DELETE",
        path=(place.node, "subscribed_apps"),
        token=place.token,
        is_repeatable=True,
        owner=place.node,
        use_case=place.use_case,
    )


def installed(place: _Place) -> GraphCall:
    """`GET /{page or account}/subscribed_apps`."""
    return GraphCall(
        path=(place.node, "subscribed_apps"), token=place.token, owner=place.node, use_case=place.use_case
    )


@attrs.frozen(kw_only=True)
class GraphSubscriptions:
    """`Subscriptions` of one org's channels to the app's one webhook."""

    client: GraphClient
    vault: GraphTokenVault
    turns: dict[str, asyncio.Lock] = attrs.field(factory=dict, init=False, repr=False, eq=False)

    async def subscribe(self, channel_external_id: str) -> None:
        """Subscribe to every field that a Page's scopes allow, and read back that it is so.

        A Page that is subscribed already is left as it is for the sake of its Instagram account.
        """
        place = await self._place(channel_external_id)
        # One at a time on a Page: that nothing is subscribed yet must still be so when its account asks.
        async with self.turns.setdefault(place.node, asyncio.Lock()):
            await self._subscribe(place)

    async def _subscribe(self, place: _Place) -> None:
        if place.kind == INSTAGRAM and await self._is_heard(place):
            return
        answer = await self.client.send(install(place))
        if truth(answer.get("success")) is not True or not await self._is_heard(place):
            msg = "Facebook accepted the subscription but does not show it"
            raise VendorError(msg, vendor=VENDOR)

    async def unsubscribe(self, channel_external_id: str) -> None:
        """For this app only, and for all that `heard_with` names."""
        place = await self._place(channel_external_id)
        try:
            await self.client.send(uninstall(place))
        except VendorNotFoundError:
            return

    async def heard_with(self, channel_external_id: str) -> tuple[str, ...]:
        """A Page and its Instagram account; the numbers of one WhatsApp business account."""
        place = await self._place(channel_external_id)
        if place.kind == INSTAGRAM:
            return (place.node,)
        if place.kind == WHATSAPP:
            nodes = await fetch_all(self.client, account_numbers(place.node, place.token))
            numbers = {node_id(node.get("id")) for node in nodes}
            return tuple(sorted(numbers - {"", channel_external_id}))
        if SEE_INSTAGRAM not in await self.vault.channel_scopes(channel_external_id):
            return ()
        try:
            page = await self.client.send(linked_account(place.node, place.token))
        except (MissingScopeError, RejectedError, VendorNotFoundError):
            return ()  # what may not be seen is not acted as either
        account_id = node_id(record(page.get("instagram_business_account")).get("id"))
        return (account_id,) if account_id else ()

    async def is_subscribed(self, channel_external_id: str) -> bool:
        """Whether this app gets all of the Page's news that its scopes allow.

        Fields get lost one by one: Facebook drops one that fails for long, a person unticks one in the app.
        """
        return await self._is_heard(await self._place(channel_external_id))

    async def _place(self, channel_external_id: str) -> _Place:
        """Where news of this channel is asked for.

        Raises:
            ReauthorizationError: No token is kept for it.
        """
        token = await self.vault.channel_token(channel_external_id)
        kind = await self.vault.channel_type(channel_external_id)
        if kind not in {INSTAGRAM, WHATSAPP}:
            fields = fields_for(await self.vault.channel_scopes(channel_external_id))
            return _Place(kind=kind, node=channel_external_id, token=token, fields=fields)
        parent = await self.vault.channel_parent(channel_external_id)
        if not parent:
            msg = "it is not known what this channel hangs on"
            raise ReauthorizationError(msg, vendor=VENDOR, hits=Hits.CHANNEL)
        return _Place(kind=kind, node=parent, token=token)

    async def _is_heard(self, place: _Place) -> bool:
        apps = await fetch_all(self.client, installed(place))
        if place.kind == WHATSAPP:
            told = (record(app.get("whatsapp_business_api_data")) for app in apps)
            return any(node_id(app.get("id")) == self.client.app.app_id for app in told)
        ours = [app for app in apps if node_id(app.get("id")) == self.client.app.app_id]
        heard = {text(field) for app in ours for field in items(app.get("subscribed_fields"))}
        return bool(heard) and set(place.fields) <= heard


def subscriptions(context: VendorContext) -> GraphSubscriptions:
    """The subscriptions of one org."""
    return GraphSubscriptions(client=graph_client(context), vault=token_vault(context))
