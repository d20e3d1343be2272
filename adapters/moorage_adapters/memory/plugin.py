"""The memory vendor's calling card: everything the host needs to know, and how each port is built.

It has no entry point: who wants this vendor passes `memory_plugin(world)` to the host.
"""

from functools import partial

import attrs

from moorage_adapters.memory.activity_sync import MemoryActivitySync
from moorage_adapters.memory.authorizer import MemoryAuthorizer
from moorage_adapters.memory.direct_messages import MemoryDirectMessages
from moorage_adapters.memory.directory import MemoryDirectory
from moorage_adapters.memory.door import SLUG
from moorage_adapters.memory.lead_source import MemoryLeadSource
from moorage_adapters.memory.profiles import MemoryProfiles
from moorage_adapters.memory.publisher import MemoryPublisher
from moorage_adapters.memory.subscriptions import MemorySubscriptions
from moorage_adapters.memory.token_vault import MemoryTokenVault
from moorage_adapters.memory.webhooks import MemoryWebhooks
from moorage_adapters.memory.withdrawals import MemoryWithdrawals
from moorage_adapters.memory.world import MemoryWorld
from moorage_ports.answering_operations import HIDE_COMMENT, REPLY_PRIVATELY, REPLY_TO_COMMENT, SEND_MESSAGE
from moorage_ports.apps import AppCredentials
from moorage_ports.capabilities import Capability, Support
from moorage_ports.lead_operations import (
    BACKFILL_LEADS,
    CREATE_TEST_LEAD,
    GET_BACKFILL,
    GET_LEAD,
    GET_LEAD_FORM,
    GET_TEST_LEAD,
    LIST_LEAD_FORMS,
)
from moorage_ports.operations import (
    BEGIN_CONNECT,
    COMPLETE_CONNECT,
    GET_PUBLICATION,
    LIST_CHANNELS,
    PUBLISH,
    SELECT_CHANNELS,
    SYNC_ACTIVITY,
    bind,
)
from moorage_ports.plugin import Vendor, VendorContext, hookimpl
from moorage_ports.publisher import PublishPost
from moorage_ports.secret import Secret
from moorage_ports.webhooks import VendorApp


@attrs.frozen(kw_only=True)
class MemorySettings:
    """Which app is ours. The host fills this from `MOORAGE_MEMORY_APP_ID` and so on."""

    app_id: str = ""
    app_secret: Secret = attrs.field(factory=lambda: Secret(""))
    verify_token: Secret = attrs.field(factory=lambda: Secret(""))

    def app(self) -> VendorApp | None:
        """The operator's app, if the settings name one whole."""
        if not (self.app_id and self.app_secret and self.verify_token):
            return None
        return VendorApp(
            vendor=SLUG, app_id=self.app_id, secrets=(self.app_secret,), verify_token=self.verify_token
        )


@attrs.frozen(kw_only=True)
class PinNote:
    """The vendor's own body for `publish`: a note to pin on a board."""

    board: str
    text: str = ""
    link: str | None = None
    images: tuple[str, ...] = ()


def post_from_pin(pin: PinNote) -> PublishPost:
    """The vendor's body in the ports' words; a body that makes no post is a `ValueError`."""
    return PublishPost(channel_external_id=pin.board, text=pin.text, link=pin.link, images=pin.images)


def _vault(context: VendorContext) -> MemoryTokenVault:
    return MemoryTokenVault(context.secrets)


def _authorizer(world: MemoryWorld, context: VendorContext) -> MemoryAuthorizer:
    return MemoryAuthorizer(world, context.app, _vault(context))


def _directory(world: MemoryWorld, context: VendorContext) -> MemoryDirectory:
    return MemoryDirectory(world, _vault(context), context.grant_ids)


def _subscriptions(world: MemoryWorld, context: VendorContext) -> MemorySubscriptions:
    return MemorySubscriptions(world, _vault(context))


def _publisher(world: MemoryWorld, context: VendorContext) -> MemoryPublisher:
    return MemoryPublisher(world, _vault(context))


def _lead_source(world: MemoryWorld, context: VendorContext) -> MemoryLeadSource:
    return MemoryLeadSource(world, _vault(context))


def _activity_sync(world: MemoryWorld, context: VendorContext) -> MemoryActivitySync:
    return MemoryActivitySync(world, _vault(context))


def _direct_messages(world: MemoryWorld, context: VendorContext) -> MemoryDirectMessages:
    return MemoryDirectMessages(world, _vault(context))


def _profiles(world: MemoryWorld, context: VendorContext) -> MemoryProfiles:
    return MemoryProfiles(world, _vault(context))


@attrs.frozen
class MemoryPlugin:
    """What is registered with the host: an object here, a module in a plugin of its own."""

    world: MemoryWorld

    @hookimpl
    def moorage_vendor(self) -> Vendor:
        """The card."""
        return Vendor(
            slug=SLUG,
            title="Memory",
            categories=("reference",),
            icon="M",
            settings=MemorySettings,
            own_app=AppCredentials,
            operations=(
                bind("connect", BEGIN_CONNECT),
                bind("finish-connect", COMPLETE_CONNECT),
                bind("channels", LIST_CHANNELS),
                bind("choose-channels", SELECT_CHANNELS),
                bind("publish", PUBLISH, request=PinNote, to_neutral=post_from_pin),
                bind("publication", GET_PUBLICATION),
                bind("sync", SYNC_ACTIVITY),
                bind("reply", REPLY_TO_COMMENT),
                bind("hide", HIDE_COMMENT),
                bind("answer-by-letter", REPLY_PRIVATELY),
                bind("write", SEND_MESSAGE),
                bind("forms", LIST_LEAD_FORMS),
                bind("form", GET_LEAD_FORM),
                bind("slip", GET_LEAD),
                bind("fetch-slips", BACKFILL_LEADS),
                bind("fetching", GET_BACKFILL),
                bind("try-form", CREATE_TEST_LEAD),
                bind("trial", GET_TEST_LEAD),
            ),
            capabilities={
                Capability.PUBLISH_POSTS: Support.FULL,
                Capability.PUBLISH_IMAGES: Support.FULL,
                Capability.RECEIVE_LEADS: Support.FULL,
                Capability.SYNC_ACTIVITY: Support.FULL,
                Capability.ANSWER_COMMENTS: Support.FULL,
                Capability.DIRECT_MESSAGES: Support.FULL,
                Capability.MANAGE_ADS: Support.IMPOSSIBLE,
            },
            authorizer=partial(_authorizer, self.world),
            token_vault=_vault,
            directory=partial(_directory, self.world),
            subscriptions=partial(_subscriptions, self.world),
            publisher=partial(_publisher, self.world),
            lead_source=partial(_lead_source, self.world),
            activity_sync=partial(_activity_sync, self.world),
            direct_messages=partial(_direct_messages, self.world),
            profiles=partial(_profiles, self.world),
            webhooks=MemoryWebhooks(),
            withdrawals=MemoryWithdrawals(),
        )


def memory_plugin(world: MemoryWorld) -> MemoryPlugin:
    """The plugin over one world, ready to be handed to the host."""
    return MemoryPlugin(world)
