"""`GraphSubscriptions`: whether a Page's news is sent to the app, and which.

https://developers.facebook.com/docs/graph-api/reference/page/subscribed_apps
"""

from collections.abc import Collection, Mapping
from typing import Final

import attrs

from moorage_facebook.graph.call import PAGES, GraphCall
from moorage_facebook.graph.client import GraphClient, graph_client
from moorage_facebook.graph.paging import fetch_all
from moorage_facebook.graph.values import items, node_id, text, truth
from moorage_facebook.settings import VENDOR
from moorage_facebook.token_vault import GraphTokenVault, token_vault
from moorage_ports.errors import VendorError, VendorNotFoundError
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


def fields_for(scopes: Collection[str]) -> tuple[str, ...]:
    """What to subscribe to with these scopes; `feed` in any case, so that Graph says what is missing."""
    return tuple(field for field, scope in FIELDS.items() if field == _ALWAYS or scope in scopes)


def subscribe_page(page_id: str, fields: Collection[str], token: Secret) -> GraphCall:
    """`POST /{page}/subscribed_apps`: replaces what was subscribed before, so it may be sent twice."""
    return GraphCall(
        method="POST",
        path=(page_id, "subscribed_apps"),
        data={"subscribed_fields": ",".join(fields)},
        expects=frozenset({"success"}),
        token=token,
        is_repeatable=True,
        owner=page_id,
        use_case=PAGES,
    )


@attrs.frozen(kw_only=True)
class GraphSubscriptions:
    """`Subscriptions` of one org's Pages to the app's one webhook."""

    client: GraphClient
    vault: GraphTokenVault

    async def subscribe(self, channel_external_id: str) -> None:
        """Subscribe to every field that the Page's scopes allow, and read back that it is so."""
        token = await self.vault.channel_token(channel_external_id)
        fields = fields_for(await self.vault.channel_scopes(channel_external_id))
        answer = await self.client.send(subscribe_page(channel_external_id, fields, token))
        if truth(answer.get("success")) is not True or not set(fields) <= await self._subscribed(
            channel_external_id, token
        ):
            msg = "Facebook accepted the subscription but does not show it"
            raise VendorError(msg, vendor=VENDOR)

    async def unsubscribe(self, channel_external_id: str) -> None:
        """`DELETE /{page}/subscribed_apps`: for this app only."""
        token = await self.vault.channel_token(channel_external_id)
        call = GraphCall(
            method="DELETE",
            path=(channel_external_id, "subscribed_apps"),
            token=token,
            is_repeatable=True,
            owner=channel_external_id,
            use_case=PAGES,
        )
        try:
            await self.client.send(call)
        except VendorNotFoundError:
            return

    async def is_subscribed(self, channel_external_id: str) -> bool:
        """Whether this app gets all of the Page's news that its scopes allow.

        Fields get lost one by one: Facebook drops one that fails for long, a person unticks one in the app.
        """
        token = await self.vault.channel_token(channel_external_id)
        wanted = fields_for(await self.vault.channel_scopes(channel_external_id))
        return set(wanted) <= await self._subscribed(channel_external_id, token)

    async def _subscribed(self, page_id: str, token: Secret) -> frozenset[str]:
        """The fields that this app gets today."""
        call = GraphCall(path=(page_id, "subscribed_apps"), token=token, owner=page_id, use_case=PAGES)
        apps = await fetch_all(self.client, call)
        ours = [app for app in apps if node_id(app.get("id")) == self.client.app.app_id]
        return frozenset(text(field) for app in ours for field in items(app.get("subscribed_fields")))


def subscriptions(context: VendorContext) -> GraphSubscriptions:
    """The subscriptions of one org."""
    return GraphSubscriptions(client=graph_client(context), vault=token_vault(context))
