"""Instagram accounts and WhatsApp numbers beside Pages: who may be chosen, and what trouble costs."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from urllib.parse import urlsplit

import attrs
import pytest

from moorage_facebook.authorizer import GraphAuthorizer
from moorage_facebook.directory import GraphDirectory
from moorage_facebook.scopes import INSTAGRAM_SCOPES, WHATSAPP_SCOPES
from moorage_facebook.token_vault import GraphTokenVault
from moorage_ports.authorizer import RedeemedGrant
from moorage_ports.directory import ChannelOffer
from moorage_ports.errors import OutcomeUnknownError, ReauthorizationError
from moorage_ports.http import HttpAnswer, HttpRequest, NoAnswerError
from moorage_ports.secret import Secret
from moorage_ports.testing.connected import REDIRECT_URI
from moorage_ports.testing.lent import BEGINNING, FakeClock, FakeSecretStore
from tests.unit.facebook.graph.support import APP, Bench, ScriptedGraph, answer, form_of, query_of, refusal

USER, PAGE, ACCOUNT, NUMBER = "10206266332119368", "6103920011774455", "17841400001234567", "277905518099999"
WABA, SECOND_WABA, BUSINESS = "104892217399999", "104892217388888", "90817263599999999"
PAGE_SCOPES = ("pages_show_list", "pages_read_engagement", "pages_manage_metadata")
ALL = (*PAGE_SCOPES, *INSTAGRAM_SCOPES, *WHATSAPP_SCOPES, "business_management")
LATER = int((BEGINNING + timedelta(days=60)).timestamp())
SHOP: Mapping[str, object] = {
    "id": PAGE,
    "name": "Shop",
    "access_token": "page-token",
    "tasks": ["MANAGE"],
    "instagram_business_account": {"id": ACCOUNT, "username": "shop", "name": "The shop"},
}
PHONE: Mapping[str, object] = {"id": NUMBER, "verified_name": "Shop", "display_phone_number": "+49 30 1"}


@attrs.define(kw_only=True)
class Person:
    """A Graph with one person, who has a Page with an account, and a business with WhatsApp."""

    scopes: Sequence[str] = ALL
    targets: Mapping[str, list[str]] = attrs.field(factory=dict)
    page: Mapping[str, object] = SHOP
    acts_as: str = PAGE
    bent: dict[str, HttpAnswer | Exception] = attrs.field(factory=dict)
    asked: list[str] = attrs.field(factory=list)

    def __call__(self, request: HttpRequest) -> HttpAnswer:
        path = urlsplit(request.url).path.removeprefix("/v26.0")
        self.asked.append(path)
        if path in self.bent:
            bent = self.bent[path]
            if isinstance(bent, Exception):
                raise bent
            return bent
        if path == "/oauth/access_token":
            return answer({"access_token": "short" if "code" in form_of(request) else "long"})
        if path == "/debug_token":
            return answer({"data": self._facts(query_of(request)["input_token"])})
        if path == "/me":
            return answer({"id": USER, "name": "Dana"})
        if path == "/me/accounts":
            return answer({"data": [self._shown(query_of(request)["fields"])]})
        lists = {
            "/me/permissions": [],
            "/me/businesses": [{"id": BUSINESS}],
            f"/{BUSINESS}/owned_pages": [{"id": PAGE}],
            f"/{BUSINESS}/client_pages": [],
            f"/{BUSINESS}/owned_whatsapp_business_accounts": [{"id": WABA}],
            f"/{BUSINESS}/client_whatsapp_business_accounts": [],
            f"/{WABA}/phone_numbers": [PHONE],
            f"/{SECOND_WABA}/phone_numbers": [{"id": "8"}, {"id": None}],
        }
        return answer({"data": lists[path]}) if path in lists else refusal(100, 33)

    def _facts(self, token: str) -> Mapping[str, object]:
        granular = [{"scope": scope, "target_ids": ids} for scope, ids in self.targets.items()]
        profile = {"profile_id": self.acts_as} if token == "page-token" else {}
        return {
            "app_id": APP.app_id,
            "user_id": USER,
            "is_valid": True,
            "scopes": list(self.scopes),
            "granular_scopes": granular,
            "expires_at": LATER,
            **profile,
        }

    def _shown(self, fields: str) -> Mapping[str, object]:
        hidden = () if "instagram_business_account{" in fields else ("instagram_business_account",)
        return {name: value for name, value in self.page.items() if name not in hidden}

    def authorizer(self) -> GraphAuthorizer:
        there = Bench(graph=ScriptedGraph(self), clock=FakeClock())
        return GraphAuthorizer(client=there.client, vault=GraphTokenVault(FakeSecretStore()))

    async def redeem(self) -> RedeemedGrant:
        return await self.authorizer().redeem(Secret("code"), REDIRECT_URI)

    async def directory(self) -> GraphDirectory:
        """Over the kept grant of a person who has all scopes; what is bent comes after that."""
        authorizer = attrs.evolve(self, bent={}).authorizer()
        await authorizer.vault.keep("g", await authorizer.redeem(Secret("code"), REDIRECT_URI))
        return GraphDirectory(client=self.authorizer().client, vault=authorizer.vault, grant_ids=("g",))


def by_type(offers: Sequence[ChannelOffer]) -> dict[str, ChannelOffer]:
    found = {offer.type: offer for offer in offers}
    assert len(found) == len(offers)
    return found


async def test_one_grant_brings_all_three_each_with_its_token() -> None:
    """The account has its Page's, the number that of the person; the vault knows what each hangs on."""
    authorizer = Person().authorizer()
    grant = await authorizer.redeem(Secret("code"), REDIRECT_URI)
    await authorizer.vault.keep("g", grant)

    offers = by_type([channel.offer for channel in grant.channels])
    assert {kind: (offer.external_id, offer.name) for kind, offer in offers.items()} == {
        "page": (PAGE, "Shop"),
        "instagram": (ACCOUNT, "@shop"),
        "whatsapp": (NUMBER, "Shop · +49 30 1"),
    }
    assert all(offer.selectable and not offer.reason for offer in offers.values())
    assert (grant.unread_types, offers["instagram"].missing_scopes, offers["whatsapp"].missing_scopes) == (
        (),
        (),
        (),
    )
    kept = authorizer.vault
    for channel_id, token, kind, parent in (
        (PAGE, "page-token", "page", ""),
        (ACCOUNT, "page-token", "instagram", PAGE),
        (NUMBER, "long", "whatsapp", WABA),
    ):
        assert await kept.channel_token(channel_id) == Secret(token)
        assert (await kept.channel_type(channel_id), await kept.channel_parent(channel_id)) == (kind, parent)


async def test_what_was_not_granted_is_not_asked_for() -> None:
    """Without these scopes Graph would refuse, and could refuse the Pages with them."""
    person = Person(scopes=PAGE_SCOPES)

    grant = await person.redeem()

    assert [channel.offer.type for channel in grant.channels] == ["page"]
    assert grant.unread_types == ()
    assert not [path for path in person.asked if "business" in path or "phone" in path]


@pytest.mark.parametrize("declined", [*INSTAGRAM_SCOPES[1:], WHATSAPP_SCOPES[1]])
async def test_a_declined_scope_costs_only_the_channels_that_need_it(declined: str) -> None:
    grant = await Person(scopes=[scope for scope in ALL if scope != declined]).redeem()

    offers = by_type([channel.offer for channel in grant.channels])
    hit = "whatsapp" if declined in WHATSAPP_SCOPES else "instagram"
    assert [kind for kind, offer in offers.items() if not offer.selectable] == [hit]
    assert (offers[hit].missing_scopes, bool(offers[hit].reason)) == ((declined,), True)


@pytest.mark.parametrize(
    ("ids", "is_missing"), [([ACCOUNT], False), ([PAGE], False), (["17841400009999999"], True), ([], True)]
)
async def test_a_scope_for_other_accounts_is_missing_here(ids: list[str], is_missing: bool) -> None:
    """Granted for the account or for its Page: Meta names either."""
    grant = await Person(targets={"instagram_manage_comments": ids}).redeem()

    offer = by_type([channel.offer for channel in grant.channels])["instagram"]
    assert (offer.missing_scopes == ("instagram_manage_comments",)) is is_missing
    assert offer.selectable is not is_missing


@pytest.mark.parametrize("page", [{**SHOP, "access_token": None}, SHOP])
async def test_an_account_is_as_good_as_its_pages_token(page: Mapping[str, object]) -> None:
    """Without one, or with one that is another Page's, nobody can act as the account."""
    grant = await Person(page=page, acts_as="999").redeem()

    account = next(channel for channel in grant.channels if channel.offer.type == "instagram")
    assert account.token is None
    assert not account.offer.selectable
    assert account.offer.reason


async def test_accounts_that_were_named_in_the_dialog_are_the_ones_there_are() -> None:
    """Then nobody needs to look through businesses, and may lack the scope for that."""
    person = Person(
        scopes=[scope for scope in ALL if scope != "business_management"],
        targets={WHATSAPP_SCOPES[0]: [SECOND_WABA], WHATSAPP_SCOPES[1]: [SECOND_WABA]},
    )

    grant = await person.redeem()

    (number,) = [channel for channel in grant.channels if channel.offer.type == "whatsapp"]
    assert (number.offer.external_id, number.parent_external_id) == ("8", SECOND_WABA)
    assert "/me/businesses" not in person.asked


@pytest.mark.parametrize(
    ("path", "trouble", "unread"),
    [
        (f"/{WABA}/phone_numbers", refusal(200), ()),
        (f"/{WABA}/phone_numbers", refusal(100, 33), ()),
        ("/me/businesses", refusal(100), ()),
        (f"/{BUSINESS}/owned_whatsapp_business_accounts", refusal(10), ()),
        (f"/{WABA}/phone_numbers", NoAnswerError("cut"), ("whatsapp",)),
        ("/me/businesses", answer(b"<html>", status=502), ("whatsapp",)),
        (f"/{WABA}/phone_numbers", refusal(80008), ("whatsapp",)),
    ],
)
async def test_trouble_with_whatsapp_costs_no_page(
    path: str, trouble: HttpAnswer | Exception, unread: tuple[str, ...]
) -> None:
    """A refusal says that there is nothing; a hiccup says nothing, and the grant says so."""
    grant = await Person(bent={path: trouble}).redeem()

    assert [channel.offer.type for channel in grant.channels] == ["page", "instagram"]
    assert all(channel.token for channel in grant.channels)
    assert grant.unread_types == unread

    directory = await Person(bent={path: trouble}).directory()
    assert {offer.external_id for offer in await directory.channels()} == {PAGE, ACCOUNT}


async def test_accounts_that_may_not_be_seen_cost_no_page() -> None:
    """Graph refuses the whole list for one field."""
    person = Person()

    def picky(request: HttpRequest) -> HttpAnswer:
        is_too_much = "instagram" in query_of(request).get("fields", "")
        return refusal(10) if is_too_much else person(request)

    there = Bench(graph=ScriptedGraph(picky), clock=FakeClock())
    authorizer = GraphAuthorizer(client=there.client, vault=GraphTokenVault(FakeSecretStore()))
    grant = await authorizer.redeem(Secret("code"), REDIRECT_URI)

    assert [channel.offer.type for channel in grant.channels] == ["page", "whatsapp"]
    assert grant.unread_types == ("instagram",)


async def test_a_token_that_dies_on_the_way_is_no_hiccup() -> None:
    """The Pages are gone as well, whichever call hears it."""
    directory = await Person(bent={f"/{WABA}/phone_numbers": refusal(190)}).directory()

    with pytest.raises(ReauthorizationError):
        await directory.channels()


async def test_pages_that_could_not_be_listed_still_end_the_redeeming() -> None:
    with pytest.raises(OutcomeUnknownError):
        await Person(bent={"/me/accounts": NoAnswerError("cut")}).redeem()


async def test_a_business_has_its_pages_their_accounts_and_its_numbers() -> None:
    assert {offer.external_id for offer in await (await Person().directory()).channels(BUSINESS)} == {
        PAGE,
        ACCOUNT,
        NUMBER,
    }
    assert await (await Person().directory()).channels("404") == ()


async def test_a_business_that_shows_no_whatsapp_still_shows_its_pages() -> None:
    trouble: dict[str, HttpAnswer | Exception] = {
        f"/{BUSINESS}/owned_whatsapp_business_accounts": NoAnswerError("cut")
    }
    directory = await Person(targets={WHATSAPP_SCOPES[0]: [WABA]}, bent=trouble).directory()

    assert {offer.external_id for offer in await directory.channels(BUSINESS)} == {PAGE, ACCOUNT}
