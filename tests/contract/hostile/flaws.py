"""Vendors that are wrong in one place each: what the promises must notice. Run by `test_hostile`.

Each flaw is one that real integrations have had. A promise that lets its flaw through promises nothing.
"""

import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

import attrs
import pytest

from moorage_adapters.memory.authorizer import MemoryAuthorizer
from moorage_adapters.memory.directory import MemoryDirectory
from moorage_adapters.memory.lead_source import MemoryLeadSource
from moorage_adapters.memory.plugin import MemoryPlugin
from moorage_adapters.memory.publisher import MemoryPublisher
from moorage_adapters.memory.token_vault import MemoryTokenVault
from moorage_adapters.memory.world import MemoryWorld
from moorage_ports.operations import PUBLISH, bind
from moorage_ports.plugin import Vendor, VendorContext, hookimpl
from moorage_ports.publisher import PublishPost
from moorage_ports.secret import Secret
from moorage_ports.testing.authorizer import AuthorizerContract
from moorage_ports.testing.contract import Contract
from moorage_ports.testing.directory import DirectoryContract
from moorage_ports.testing.lead_source import LeadSourceContract
from moorage_ports.testing.publisher import PublisherContract
from moorage_ports.testing.subscriptions import SubscriptionsContract
from moorage_ports.testing.token_vault import TokenVaultContract
from moorage_ports.testing.vendor import VendorContract
from moorage_ports.testing.webhooks import WebhookSourceContract
from moorage_ports.webhooks import VendorApp
from tests.contract.hostile.connecting import (
    EchoesTheirProse,
    EmptyWhenDown,
    FirstGrantOnly,
    ForgetsTooMuch,
    HeardWithItself,
    OffWhenDown,
    PrintsTheToken,
    TakesTheirWord,
    TrustsEveryScope,
)
from tests.contract.hostile.leads import (
    AllLeadsEver,
    CountsAnything,
    FirstPageOnly,
    FirstValueOnly,
    NeverStops,
    OneForAll,
    TriesUntilThereIsATest,
)
from tests.contract.hostile.publishing import (
    AlwaysTheGrant,
    AlwaysTheVendor,
    FindsLastWeeks,
    FindsTheNewest,
    FindsTheSameAgain,
    PublishesToLookAhead,
    PublishesToPrepare,
    ReadsOnlyTheText,
    TakesSilenceForFailure,
    TriesAgain,
)
from tests.contract.hostile.webhooks import (
    ComparesText,
    EchoesAnyChallenge,
    FirstChangeOnly,
    FirstHeaderWins,
    Insatiable,
    KeyOfTheBatch,
    KeyOfTheFinder,
    KnowsEverything,
    NewestSecretOnly,
    OneLine,
    OpenWithoutApp,
    Recursive,
)
from tests.contract.memory_weather import OnMemory


def _vault(context: VendorContext) -> MemoryTokenVault:
    return MemoryTokenVault(context.secrets)


# The card ------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class OpenSettings:
    """A secret as text, and one that everybody knows."""

    app_secret: str = "changeme"

    def app(self) -> VendorApp | None:
        return VendorApp(
            vendor="memory", app_id="1", secrets=(Secret(self.app_secret),), verify_token=Secret("1")
        )


@attrs.frozen(kw_only=True)
class AnythingGoes:
    """A body that no schema describes."""

    board: str
    note: object = None


def _anything(body: AnythingGoes) -> PublishPost:
    return PublishPost(channel_external_id=body.board, text=str(body.note))


def _looks_around(vendor: Vendor) -> Vendor:
    with tempfile.TemporaryFile("wb"):
        return vendor


# Which promise must notice which flaw --------------------------------------------------------


@attrs.frozen
class Broken(MemoryPlugin):
    """The memory vendor with one thing changed."""

    breaks: "Breaks"

    @hookimpl
    def moorage_vendor(self) -> Vendor:
        return self.breaks(MemoryPlugin(self.world).moorage_vendor(), self.world)


Breaks: TypeAlias = Callable[[Vendor, MemoryWorld], Vendor]


def _changed(vendor: Vendor, changes: Mapping[str, Any]) -> Vendor:
    return attrs.evolve(vendor, **changes)


def _instead(port: str, build: Callable[[MemoryWorld, VendorContext], object]) -> Breaks:
    return lambda vendor, world: _changed(vendor, {port: partial(build, world)})


def _publisher(cls: type[MemoryPublisher]) -> Breaks:
    return _instead("publisher", lambda world, context: cls(world, _vault(context)))


def _lead_source(cls: type[MemoryLeadSource]) -> Breaks:
    return _instead("lead_source", lambda world, context: cls(world, _vault(context)))


def _authorizer(cls: type[MemoryAuthorizer]) -> Breaks:
    return _instead("authorizer", lambda world, context: cls(world, context.app, _vault(context)))


def _directory(cls: type[MemoryDirectory]) -> Breaks:
    return _instead("directory", lambda world, context: cls(world, _vault(context), context.grant_ids))


def _vault_of(cls: type[MemoryTokenVault]) -> Breaks:
    return _instead("token_vault", lambda _, context: cls(context.secrets))


def _card(**changes: object) -> Breaks:
    return lambda vendor, _: _changed(vendor, changes)


FLAWS: Mapping[tuple[type[Contract], str], Breaks] = {
    (PublisherContract, "lost_answer_is_never_reported_as_failure"): _publisher(TakesSilenceForFailure),
    (PublisherContract, "lost_answer_is_settled_by_looking"): _publisher(TriesAgain),
    (PublisherContract, "find_does_not_look_before_since"): _publisher(FindsLastWeeks),
    (PublisherContract, "find_does_not_take_another_post_for_it"): _publisher(FindsTheNewest),
    (PublisherContract, "find_tells_twins_apart"): _publisher(FindsTheSameAgain),
    (PublisherContract, "find_tells_links_apart"): _publisher(ReadsOnlyTheText),
    (PublisherContract, "preparing_shows_nothing_to_anybody"): _publisher(PublishesToPrepare),
    (PublisherContract, "preflight_changes_nothing"): _publisher(PublishesToLookAhead),
    (PublisherContract, "missing_scope_is_told_apart_from_a_lost_grant"): _publisher(AlwaysTheGrant),
    (PublisherContract, "revoked_grant_asks_for_reauthorization"): _publisher(AlwaysTheVendor),
    (PublisherContract, "refused_content_is_the_authors_to_change"): _publisher(AlwaysTheVendor),
    (PublisherContract, "rate_limit_published_nothing_and_passes"): _publisher(AlwaysTheVendor),
    (LeadSourceContract, "every_lead_is_listed_once_over_all_pages"): _lead_source(FirstPageOnly),
    (LeadSourceContract, "a_lead_says_what_the_person_wrote"): _lead_source(FirstValueOnly),
    (LeadSourceContract, "leads_before_since_are_left_out"): _lead_source(AllLeadsEver),
    (LeadSourceContract, "leads_from_until_on_are_left_out"): _lead_source(NeverStops),
    (LeadSourceContract, "one_of_many_that_cannot_be_read_costs_no_other"): _lead_source(OneForAll),
    (LeadSourceContract, "a_form_counts_its_leads"): _lead_source(CountsAnything),
    (LeadSourceContract, "a_lost_answer_leaves_open_whether_there_is_a_test_lead"): _lead_source(
        TriesUntilThereIsATest
    ),
    (AuthorizerContract, "any_query_is_read_as_a_yes_or_a_no"): _authorizer(EchoesTheirProse),
    (AuthorizerContract, "a_wrong_secret_proves_nothing"): _authorizer(TakesTheirWord),
    (AuthorizerContract, "a_declined_scope_is_not_granted"): _authorizer(TrustsEveryScope),
    (TokenVaultContract, "the_person_is_only_inside_what_is_sealed"): _vault_of(PrintsTheToken),
    (TokenVaultContract, "a_forgotten_grant_leaves_channels_to_other_grants"): _vault_of(ForgetsTooMuch),
    (DirectoryContract, "unreachable_vendor_is_not_an_empty_list"): _directory(EmptyWhenDown),
    (DirectoryContract, "a_grant_that_ended_does_not_hide_the_others"): _directory(FirstGrantOnly),
    (SubscriptionsContract, "what_is_heard_along_with_a_channel_are_others"): _instead(
        "subscriptions", lambda world, context: HeardWithItself(world, _vault(context))
    ),
    (SubscriptionsContract, "unreachable_vendor_is_not_an_ended_subscription"): _instead(
        "subscriptions", lambda world, context: OffWhenDown(world, _vault(context))
    ),
    (WebhookSourceContract, "no_app_no_trust"): _card(webhooks=OpenWithoutApp()),
    (WebhookSourceContract, "garbled_signatures_are_refused"): _card(webhooks=ComparesText()),
    (WebhookSourceContract, "missing_or_doubled_signatures_are_refused"): _card(webhooks=FirstHeaderWins()),
    (WebhookSourceContract, "every_live_secret_is_tried"): _card(webhooks=NewestSecretOnly()),
    (WebhookSourceContract, "every_lead_of_a_delivery_becomes_a_change_and_an_event"): _card(
        webhooks=FirstChangeOnly()
    ),
    (WebhookSourceContract, "a_happening_keeps_its_key_in_any_company"): _card(webhooks=KeyOfTheBatch()),
    (WebhookSourceContract, "no_lead_waits_for_another"): _card(webhooks=OneLine()),
    (WebhookSourceContract, "a_lead_that_is_found_is_the_one_that_is_delivered"): _card(
        webhooks=KeyOfTheFinder()
    ),
    (WebhookSourceContract, "what_nests_too_deep_is_malformed"): _card(webhooks=Recursive()),
    (WebhookSourceContract, "a_delivery_has_a_most_of_changes"): _card(webhooks=Insatiable()),
    (WebhookSourceContract, "a_delivery_with_a_surprise_in_it_is_still_read"): _card(
        webhooks=KnowsEverything()
    ),
    (WebhookSourceContract, "a_challenge_that_is_no_plain_number_is_refused"): _card(
        webhooks=EchoesAnyChallenge()
    ),
    (VendorContract, "without_settings_there_is_no_app"): _card(settings=OpenSettings),
    (VendorContract, "secret_settings_are_secrets"): _card(settings=OpenSettings),
    (VendorContract, "a_full_capability_has_its_ports"): _card(lead_source=None),
    (VendorContract, "an_operation_has_its_ports"): _card(publisher=None),
    (VendorContract, "bodies_can_be_described"): _card(
        operations=(bind("publish", PUBLISH, request=AnythingGoes, to_neutral=_anything),)
    ),
    (VendorContract, "operation_names_are_bound_once"): _card(
        operations=(bind("publish", PUBLISH), bind("publish", PUBLISH))
    ),
    (VendorContract, "registration_reaches_nothing"): lambda vendor, _: _looks_around(vendor),
}


def _class_for(contract: type[Contract], breaks: Breaks) -> type:
    class Hostile(OnMemory, contract):  # type: ignore[misc, valid-type]
        @pytest.fixture
        def plugin(self, memory: MemoryWorld) -> Broken:
            return Broken(memory, breaks)

        @pytest.fixture
        def vendor(self, plugin: Broken) -> Vendor:
            return plugin.moorage_vendor()

    return Hostile


for (_contract, _promise), _breaks in FLAWS.items():
    globals()[f"Test_{_promise}"] = _class_for(_contract, _breaks)
