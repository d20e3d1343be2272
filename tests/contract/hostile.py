"""Vendors that are wrong in one place each: what the promises must notice. Run by `test_hostile`.

Each flaw is one that real integrations have had. A promise that lets its flaw through promises nothing.
"""

import hmac
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, TypeAlias

import attrs
import msgspec
import pytest

from moorage_adapters.memory.authorizer import MemoryAuthorizer
from moorage_adapters.memory.directory import MemoryDirectory
from moorage_adapters.memory.door import reading
from moorage_adapters.memory.lead_source import MemoryLeadSource
from moorage_adapters.memory.news import SIGNATURE_HEADER, signature
from moorage_adapters.memory.plugin import MemoryPlugin
from moorage_adapters.memory.publisher import MemoryPublisher, post_from_note
from moorage_adapters.memory.subscriptions import MemorySubscriptions
from moorage_adapters.memory.things import SCOPES
from moorage_adapters.memory.token_vault import MemoryTokenVault
from moorage_adapters.memory.webhooks import MemoryWebhooks
from moorage_adapters.memory.world import MemoryWorld
from moorage_ports.apps import ProvenApp
from moorage_ports.authorizer import Consented, RedeemedGrant, Refused
from moorage_ports.directory import ChannelOffer
from moorage_ports.errors import (
    MissingScopeError,
    OutcomeUnknownError,
    ReauthorizationError,
    VendorError,
    VendorUnavailableError,
)
from moorage_ports.events import Event
from moorage_ports.lead_source import Lead, LeadCounts, LeadForm
from moorage_ports.operations import PUBLISH, bind
from moorage_ports.paging import Page
from moorage_ports.plugin import Vendor, VendorContext, hookimpl
from moorage_ports.publisher import Preflight, PublishedPost, PublishPost
from moorage_ports.secret import Secret
from moorage_ports.secret_store import SecretRef
from moorage_ports.testing.authorizer import AuthorizerContract
from moorage_ports.testing.contract import Contract
from moorage_ports.testing.directory import DirectoryContract
from moorage_ports.testing.lead_source import LeadSourceContract
from moorage_ports.testing.publisher import PublisherContract
from moorage_ports.testing.subscriptions import SubscriptionsContract
from moorage_ports.testing.token_vault import TokenVaultContract
from moorage_ports.testing.vendor import VendorContract
from moorage_ports.testing.webhooks import WebhookSourceContract
from moorage_ports.webhooks import Change, Delivery, TooManyChangesError, VendorApp
from tests.contract.memory_weather import OnMemory


def _vault(context: VendorContext) -> MemoryTokenVault:
    return MemoryTokenVault(context.secrets)


# Publishing ----------------------------------------------------------------------------------


class TakesSilenceForFailure(MemoryPublisher):
    """No answer, so it failed: the host posts again, and people read it twice."""

    async def publish(self, post: PublishPost, parts: tuple[str, ...] = ()) -> PublishedPost:
        try:
            return await super().publish(post)
        except OutcomeUnknownError as lost:
            msg = "it failed"
            raise VendorUnavailableError(msg, vendor="memory") from lost


class TriesAgain(MemoryPublisher):
    """A retry around a write."""

    async def publish(self, post: PublishPost, parts: tuple[str, ...] = ()) -> PublishedPost:
        try:
            return await super().publish(post)
        except OutcomeUnknownError:
            return await super().publish(post)


class FindsLastWeeks(MemoryPublisher):
    """Looks at the text alone."""

    async def find(
        self, post: PublishPost, *, since: datetime, known: frozenset[str] = frozenset()
    ) -> PublishedPost | None:
        return await super().find(post, since=datetime.min.replace(tzinfo=since.tzinfo), known=known)


class FindsTheNewest(MemoryPublisher):
    """Takes the newest post for ours."""

    async def find(
        self, post: PublishPost, *, since: datetime, known: frozenset[str] = frozenset()
    ) -> PublishedPost | None:
        token = await self.vault.channel_token(post.channel_external_id)
        with reading():
            notes = self.world.notes_on(token, post.channel_external_id)
        return post_from_note(notes[0]) if notes and notes[0].pinned_at >= since else None


class FindsTheSameAgain(MemoryPublisher):
    """Takes no interest in what is accounted for."""

    async def find(
        self, post: PublishPost, *, since: datetime, known: frozenset[str] = frozenset()
    ) -> PublishedPost | None:
        return await super().find(post, since=since)


class ReadsOnlyTheText(MemoryPublisher):
    """The link makes no difference to it."""

    async def find(
        self, post: PublishPost, *, since: datetime, known: frozenset[str] = frozenset()
    ) -> PublishedPost | None:
        token = await self.vault.channel_token(post.channel_external_id)
        with reading():
            notes = self.world.notes_on(token, post.channel_external_id)
        alike = [note for note in notes if note.text == post.text and note.pinned_at >= since]
        return next((post_from_note(note) for note in alike if note.id not in known), None)


class PublishesToPrepare(MemoryPublisher):
    """Too eager."""

    async def prepare(self, post: PublishPost) -> tuple[str, ...]:
        return ((await self.publish(post)).external_id,)


class PublishesToLookAhead(MemoryPublisher):
    """A dry run that is none."""

    async def preflight(self, post: PublishPost) -> Preflight:
        await self.publish(post)
        return await super().preflight(post)


class AlwaysTheGrant(MemoryPublisher):
    """Any refusal means: connect again."""

    async def publish(self, post: PublishPost, parts: tuple[str, ...] = ()) -> PublishedPost:
        try:
            return await super().publish(post)
        except MissingScopeError as refused:
            msg = "connect again"
            raise ReauthorizationError(msg, vendor="memory") from refused


class AlwaysTheVendor(MemoryPublisher):
    """Any failure is "a vendor error"."""

    async def publish(self, post: PublishPost, parts: tuple[str, ...] = ()) -> PublishedPost:
        try:
            return await super().publish(post)
        except VendorError as refused:
            msg = "something went wrong"
            raise VendorError(msg, vendor="memory") from refused


# Leads ---------------------------------------------------------------------------------------


class FirstPageOnly(MemoryLeadSource):
    """Never asks for the second page."""

    async def leads_since(
        self,
        channel_external_id: str,
        form_external_id: str,
        since: datetime,
        cursor: str | None = None,
        until: datetime | None = None,
    ) -> Page[Lead]:
        page = await super().leads_since(channel_external_id, form_external_id, since, cursor, until)
        return Page(items=page.items)


class FirstValueOnly(MemoryLeadSource):
    """One question, one answer."""

    async def lead(self, channel_external_id: str, lead_external_id: str) -> Lead:
        lead = await super().lead(channel_external_id, lead_external_id)
        return attrs.evolve(
            lead, answers=tuple(attrs.evolve(one, values=one.values[:1]) for one in lead.answers)
        )


class AllLeadsEver(MemoryLeadSource):
    """Ignores `since`."""

    async def leads_since(
        self,
        channel_external_id: str,
        form_external_id: str,
        since: datetime,
        cursor: str | None = None,
        until: datetime | None = None,
    ) -> Page[Lead]:
        ever = datetime.min.replace(tzinfo=since.tzinfo)
        return await super().leads_since(channel_external_id, form_external_id, ever, cursor, until)


class OneForAll(MemoryLeadSource):
    """One lead that cannot be read costs all the others."""

    async def leads(
        self, channel_external_id: str, lead_external_ids: Sequence[str]
    ) -> Mapping[str, Lead | VendorError]:
        return {one: await self.lead(channel_external_id, one) for one in lead_external_ids}


class NeverStops(MemoryLeadSource):
    """Ignores `until`."""

    async def leads_since(
        self,
        channel_external_id: str,
        form_external_id: str,
        since: datetime,
        cursor: str | None = None,
        until: datetime | None = None,
    ) -> Page[Lead]:
        return await super().leads_since(channel_external_id, form_external_id, since, cursor)


class CountsAnything(MemoryLeadSource):
    """Its count has nothing to do with its leads."""

    async def forms(self, channel_external_id: str) -> tuple[LeadForm, ...]:
        forms = await super().forms(channel_external_id)
        return tuple(attrs.evolve(form, counts=LeadCounts(total=7)) for form in forms)


class TriesUntilThereIsATest(MemoryLeadSource):
    """Takes silence for failure, so that there are tests nobody knows of."""

    async def create_test_lead(
        self,
        channel_external_id: str,
        form_external_id: str,
        *,
        answers: Mapping[str, tuple[str, ...]] | None = None,
    ) -> str:
        try:
            return await super().create_test_lead(channel_external_id, form_external_id, answers=answers)
        except OutcomeUnknownError as lost:
            msg = "it failed"
            raise VendorUnavailableError(msg, vendor="memory") from lost


# Connecting ----------------------------------------------------------------------------------


class EchoesTheirProse(MemoryAuthorizer):
    """Hands on what stood in the query, to a page that will print it."""

    def read_return(self, query: Mapping[str, str]) -> Consented | Refused:
        if "error" in query:
            return Refused(reason=query["error"])
        return super().read_return(query)


class TakesTheirWord(MemoryAuthorizer):
    """Whoever writes an app id down owns the app."""

    async def prove_app(self) -> ProvenApp:
        return ProvenApp(app_id=self.app.app_id)


class TrustsEveryScope(MemoryAuthorizer):
    """Reports what was asked for as granted."""

    async def redeem(self, code: Secret, redirect_uri: str) -> RedeemedGrant:
        grant = await super().redeem(code, redirect_uri)
        return attrs.evolve(grant, granted_scopes=SCOPES)


class PrintsTheToken(MemoryTokenVault):
    """Names the secret after the token."""

    async def keep(self, grant_id: str, grant: RedeemedGrant) -> None:
        await super().keep(grant_id, grant)
        ref = SecretRef(owner_type="grant", owner_id=grant_id, field=grant.token.reveal())
        await self.secrets.put(ref, grant.token)


class ForgetsTooMuch(MemoryTokenVault):
    """Takes all channels along with one grant."""

    async def forget(self, grant_id: str) -> None:
        await super().forget(grant_id)
        await self.forget_channel("board-1")


class EmptyWhenDown(MemoryDirectory):
    """Nothing answered, so there is nothing: the host lets go of every channel."""

    async def channels(self, business_id: str | None = None) -> tuple[ChannelOffer, ...]:
        try:
            return await super().channels(business_id)
        except VendorUnavailableError:
            return ()


class FirstGrantOnly(MemoryDirectory):
    """Whoever connected first decides for all."""

    async def channels(self, business_id: str | None = None) -> tuple[ChannelOffer, ...]:
        return await MemoryDirectory(self.world, self.vault, self.grant_ids[:1]).channels(business_id)


class OffWhenDown(MemorySubscriptions):
    """Not knowing is taken for no."""

    async def is_subscribed(self, channel_external_id: str) -> bool:
        try:
            return await super().is_subscribed(channel_external_id)
        except VendorUnavailableError:
            return False


class HeardWithItself(MemorySubscriptions):
    """A channel counts among the others."""

    async def heard_with(self, channel_external_id: str) -> tuple[str, ...]:
        return (channel_external_id,)


# Webhooks ------------------------------------------------------------------------------------


class OpenWithoutApp(MemoryWebhooks):
    """Only checks the signature when a secret is configured."""

    def verify(self, delivery: Delivery, apps: Sequence[VendorApp]) -> VendorApp:
        if not apps:
            return VendorApp(vendor="memory", app_id="any", secrets=(), verify_token=Secret(""))
        return super().verify(delivery, apps)


class ComparesText(MemoryWebhooks):
    """`compare_digest` on text: any header that is not ASCII becomes an error 500."""

    def verify(self, delivery: Delivery, apps: Sequence[VendorApp]) -> VendorApp:
        for value in delivery.header_values(SIGNATURE_HEADER)[:1]:
            hmac.compare_digest(value, signature(delivery.body, apps[0].secret) if apps else "")
        return super().verify(delivery, apps)


class FirstHeaderWins(MemoryWebhooks):
    """Two signatures: takes the first."""

    def verify(self, delivery: Delivery, apps: Sequence[VendorApp]) -> VendorApp:
        first = delivery.header_values(SIGNATURE_HEADER)[:1]
        return super().verify(
            Delivery(headers=[(SIGNATURE_HEADER, value) for value in first], body=delivery.body), apps
        )


class NewestSecretOnly(MemoryWebhooks):
    """Forgets that a secret is rotated while deliveries are under way."""

    def verify(self, delivery: Delivery, apps: Sequence[VendorApp]) -> VendorApp:
        return super().verify(delivery, [attrs.evolve(app, secrets=app.secrets[:1]) for app in apps])


class FirstChangeOnly(MemoryWebhooks):
    """Takes one lead from each delivery."""

    def split(self, body: bytes) -> tuple[Change, ...]:
        return super().split(body)[:1]


class KeyOfTheBatch(MemoryWebhooks):
    """Numbers changes by their place in the delivery."""

    def split(self, body: bytes) -> tuple[Change, ...]:
        return tuple(
            attrs.evolve(change, business_key=f"{change.business_key}:{place}")
            for place, change in enumerate(super().split(body))
        )


class KeyOfTheFinder(MemoryWebhooks):
    """Gives what it found itself another key than what was delivered: every lead twice."""

    def lead_change(self, lead: Lead) -> Change:
        change = super().lead_change(lead)
        return attrs.evolve(change, business_key=f"found:{change.business_key}")


class OneLine(MemoryWebhooks):
    """Puts everything into one line, so that one lead that fails stops it."""

    def split(self, body: bytes) -> tuple[Change, ...]:
        return tuple(attrs.evolve(change, partition="line") for change in super().split(body))


class Recursive(MemoryWebhooks):
    """Lets the parser's own limit out."""

    def split(self, body: bytes) -> tuple[Change, ...]:
        if body.startswith((b"[[", b'{"a":{')):
            msgspec.json.decode(body)
        return super().split(body)


class Insatiable(MemoryWebhooks):
    """Takes as much as anybody sends."""

    def split(self, body: bytes) -> tuple[Change, ...]:
        try:
            return super().split(body)
        except TooManyChangesError:
            news = msgspec.json.decode(body)["news"]
            return super().split(msgspec.json.encode({"news": news[:1]})) * len(news)


class KnowsEverything(MemoryWebhooks):
    """Expects the fields that were there yesterday."""

    def events(self, change: bytes, received_at: datetime) -> tuple[Event, ...]:
        assert msgspec.json.decode(change)["slip"]
        return super().events(change, received_at)


class EchoesAnyChallenge(MemoryWebhooks):
    """Answers the handshake with whatever stood in it."""

    def answer_handshake(self, query: Mapping[str, str], apps: Sequence[VendorApp]) -> str:
        super().answer_handshake({**query, "challenge": "1"}, apps)
        return query.get("challenge", "")


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
