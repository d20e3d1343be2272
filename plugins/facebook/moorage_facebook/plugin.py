"""Facebook's calling card. No I/O here: a host asks for it once, at its start."""

import re
from collections.abc import Mapping

from moorage_facebook.activity_sync import activity_sync
from moorage_facebook.authorizer import authorizer
from moorage_facebook.channel_types import GOOD_FOR
from moorage_facebook.direct_messages import direct_messages
from moorage_facebook.directory import directory
from moorage_facebook.lead_source import lead_source
from moorage_facebook.operations import OPERATIONS
from moorage_facebook.profiles import profiles
from moorage_facebook.publisher import publisher
from moorage_facebook.settings import VENDOR, GraphSettings, MetaApp
from moorage_facebook.subscriptions import subscriptions
from moorage_facebook.token_vault import token_vault
from moorage_facebook.webhooks import GraphWebhooks
from moorage_facebook.withdrawals import SignedRequests
from moorage_ports.capabilities import Capability, Support
from moorage_ports.plugin import Sandbox, SandboxPlan, Vendor, hookimpl

CAPABILITIES: Mapping[Capability, Support] = {
    Capability.PUBLISH_POSTS: Support.FULL,
    Capability.PUBLISH_IMAGES: Support.FULL,
    Capability.RECEIVE_LEADS: Support.FULL,
    Capability.PUBLISH_VIDEOS: Support.NOT_YET,
    Capability.SCHEDULE_POSTS: Support.FULL,
    Capability.SYNC_ACTIVITY: Support.FULL,
    Capability.ANSWER_COMMENTS: Support.FULL,
    Capability.DIRECT_MESSAGES: Support.FULL,
    Capability.MANAGE_ADS: Support.NOT_YET,
    Capability.MANAGE_BUSINESSES: Support.NOT_YET,
}


# A person's or a Page's token, one of Instagram's own login, and an app's.
# https://developers.facebook.com/docs/facebook-login/guides/access-tokens
TOKEN_SHAPES = (
    re.compile(r"\bEAA[A-Za-z0-9]{8,}"),
    re.compile(r"\bIG[A-Z]{1,4}[A-Za-z0-9_-]{16,}"),
    re.compile(r"\b\d{5,20}\|[A-Za-z0-9_-]{10,}"),
)


def _sandbox(plan: SandboxPlan) -> Sandbox:
    # It needs a web framework, which comes with the extra `sandbox` and not with the plugin.
    from moorage_facebook.sandbox.app import facebook_sandbox  # noqa: PLC0415

    return facebook_sandbox(plan)


@hookimpl
def moorage_vendor() -> Vendor:
    """Facebook: Pages, their leads, and what people say there."""
    return Vendor(
        slug=VENDOR,
        title="Facebook",
        categories=("social", "ads"),
        icon="f",
        settings=GraphSettings,
        own_app=MetaApp,
        operations=OPERATIONS,
        capabilities=CAPABILITIES,
        channel_capabilities=GOOD_FOR,
        authorizer=authorizer,
        token_vault=token_vault,
        directory=directory,
        subscriptions=subscriptions,
        publisher=publisher,
        lead_source=lead_source,
        activity_sync=activity_sync,
        direct_messages=direct_messages,
        profiles=profiles,
        webhooks=GraphWebhooks(),
        withdrawals=SignedRequests(),
        token_shapes=TOKEN_SHAPES,
        webhook_client_name="client.webhooks.fbclientcerts.com",
        sandbox=_sandbox,
    )
