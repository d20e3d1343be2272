"""A channel's news: every field that a Page's scopes allow, and what Facebook shows is what counts."""

import asyncio

import pytest

from moorage_facebook.sandbox.scopes import FIELD_NEEDS, PAGE_FIELDS
from moorage_facebook.sandbox.seed import INSTAGRAM_ID, PHONE_NUMBER_ID
from moorage_facebook.subscriptions import FIELDS, GraphSubscriptions, fields_for
from moorage_facebook.token_vault import GraphTokenVault
from moorage_ports.authorizer import ChannelGrant, RedeemedGrant
from moorage_ports.directory import ChannelOffer
from moorage_ports.errors import Hits, ReauthorizationError, VendorError
from moorage_ports.http import HttpAnswer
from moorage_ports.secret import Secret
from moorage_ports.testing.lent import FakeSecretStore
from tests.contract.facebook_weather import PAGE
from tests.unit.facebook.conftest import Org
from tests.unit.facebook.graph.support import APP, answer, bench, form_of

SALON = "104857600012345"  # a Page without an account


def test_only_what_the_scopes_allow_is_asked_for() -> None:
    """One field too many and Graph refuses the whole subscription."""
    assert fields_for([]) == ("feed",)
    assert fields_for(["pages_manage_metadata", "leads_retrieval"]) == ("feed", "leadgen")
    assert set(fields_for(FIELDS.values())) == set(FIELDS)


def test_every_field_is_one_of_graphs() -> None:
    assert set(FIELDS) <= set(PAGE_FIELDS)
    assert {field: FIELDS[field] for field in FIELD_NEEDS if field in FIELDS} == {
        field: scope for field, scope in FIELD_NEEDS.items() if field in FIELDS
    }


async def test_leads_and_posts_arrive_after_subscribing(org: Org) -> None:
    await org.subscriptions.subscribe(PAGE)

    assert await org.subscriptions.is_subscribed(PAGE)
    await org.subscriptions.unsubscribe(PAGE)
    assert not await org.subscriptions.is_subscribed(PAGE)


async def _subscriptions(*script: HttpAnswer) -> tuple[GraphSubscriptions, list[str]]:
    there = bench(*script)
    vault = GraphTokenVault(FakeSecretStore())
    channel = ChannelGrant(offer=ChannelOffer(external_id=PAGE, type="page", name=""), token=Secret("t"))
    await vault.keep(
        "g",
        RedeemedGrant(
            subject=Secret("1"),
            profile={},
            token=Secret("u"),
            granted_scopes=("pages_manage_metadata", "leads_retrieval"),
            channels=(channel,),
        ),
    )
    await GraphSubscriptions(client=there.client, vault=vault).subscribe(PAGE)
    return GraphSubscriptions(client=there.client, vault=vault), [
        form_of(request).get("subscribed_fields", "") for request in there.graph.sent
    ]


async def test_success_as_text_is_success() -> None:
    """Meta's own page prints `"true"`."""
    shown = answer({"data": [{"id": APP.app_id, "subscribed_fields": ["feed", "leadgen"]}]})

    _, sent = await _subscriptions(answer({"success": "true"}), shown)

    assert sent == ["feed,leadgen", ""]


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ({"success": False}, [{"id": APP.app_id, "subscribed_fields": ["feed", "leadgen"]}]),
        ({"success": True}, []),
        ({"success": True}, [{"id": "999", "subscribed_fields": ["feed", "leadgen"]}]),
        ({"success": True}, [{"id": APP.app_id, "subscribed_fields": ["feed"]}]),
    ],
)
async def test_a_subscription_that_does_not_show_is_none(said: object, shown: object) -> None:
    """Leads would be missed in silence."""
    with pytest.raises(VendorError):
        await _subscriptions(answer(said), answer({"data": shown}))


@pytest.mark.parametrize(
    ("shown", "is_heard"),
    [
        (["feed", "leadgen"], True),
        (["feed", "leadgen", "ratings"], True),
        (["feed"], False),
        (["leadgen"], False),
        ([], False),
    ],
)
async def test_a_field_that_was_lost_is_missed(shown: list[str], is_heard: bool) -> None:
    """Else nobody would notice that no lead comes any more: the posts still do."""
    whole = answer({"data": [{"id": APP.app_id, "subscribed_fields": ["feed", "leadgen"]}]})
    later = answer({"data": [{"id": APP.app_id, "subscribed_fields": shown}]})

    subscriptions, _ = await _subscriptions(answer({"success": True}), whole, later)

    assert await subscriptions.is_subscribed(PAGE) is is_heard


# What hangs on a Page, or on a business account --------------------------------------------------


async def _heard(org: Org) -> list[object]:
    """The fields that the Page is subscribed to."""
    return [field for row in await org.world.state("subscriptions") for field in _listed(row["fields"])]


def _listed(value: object) -> list[object]:
    assert isinstance(value, list)
    return value


async def test_an_account_is_heard_through_its_page_and_not_more_of_the_page_than_must_be(org: Org) -> None:
    """The feed of a Page that nobody chose is nobody's business here."""
    assert not await org.subscriptions.is_subscribed(INSTAGRAM_ID)
    await org.subscriptions.subscribe(INSTAGRAM_ID)

    assert await org.subscriptions.is_subscribed(INSTAGRAM_ID)
    assert not await org.subscriptions.is_subscribed(PAGE)
    assert await _heard(org) == ["name"]
    await org.subscriptions.unsubscribe(INSTAGRAM_ID)
    assert await _heard(org) == []


async def test_choosing_an_account_takes_nothing_from_its_page(org: Org) -> None:
    """On a Page a subscription replaces the one before."""
    await org.subscriptions.subscribe(PAGE)
    fields = await _heard(org)

    await org.subscriptions.subscribe(INSTAGRAM_ID)

    assert await _heard(org) == fields
    assert len(fields) > 1
    assert await org.subscriptions.is_subscribed(INSTAGRAM_ID)


@pytest.mark.parametrize("order", [(PAGE, INSTAGRAM_ID), (INSTAGRAM_ID, PAGE)])
async def test_both_chosen_at_once_are_both_heard(org: Org, order: tuple[str, str]) -> None:
    """The account's modest wish must not replace what its Page asked for a moment before."""
    subscriptions = org.subscriptions
    await asyncio.gather(*map(subscriptions.subscribe, order))

    for channel_id in order:
        assert await subscriptions.is_subscribed(channel_id)


async def test_a_page_and_its_account_are_heard_together(org: Org) -> None:
    assert await org.subscriptions.heard_with(PAGE) == (INSTAGRAM_ID,)
    assert await org.subscriptions.heard_with(INSTAGRAM_ID) == (PAGE,)
    assert await org.subscriptions.heard_with(SALON) == ()
    await org.world.control("faults", match={"method": "GET", "path": "/{page}"}, code=10)
    assert await org.subscriptions.heard_with(PAGE) == ()


async def test_a_number_is_heard_through_its_account(org: Org) -> None:
    """The app is put on the account and taken off it; other apps stay."""
    assert not await org.subscriptions.is_subscribed(PHONE_NUMBER_ID)
    await org.subscriptions.subscribe(PHONE_NUMBER_ID)
    assert await org.subscriptions.is_subscribed(PHONE_NUMBER_ID)
    (account,) = await org.world.state("whatsappAccounts")
    assert account["appIds"] == [org.world.app.app_id]

    await org.subscriptions.unsubscribe(PHONE_NUMBER_ID)
    await org.subscriptions.unsubscribe(PHONE_NUMBER_ID)
    assert not await org.subscriptions.is_subscribed(PHONE_NUMBER_ID)


def _vault_of(kind: str, channel_id: str, parent: str) -> tuple[GraphTokenVault, RedeemedGrant]:
    offer = ChannelOffer(external_id=channel_id, type=kind, name="")
    grant = RedeemedGrant(
        subject=Secret("1"),
        profile={},
        token=Secret("u"),
        granted_scopes=(),
        channels=(ChannelGrant(offer=offer, token=Secret("u"), parent_external_id=parent),),
    )
    return GraphTokenVault(FakeSecretStore()), grant


async def test_the_numbers_of_one_account_are_heard_together() -> None:
    """What would silence one silences all of them."""
    vault, grant = _vault_of("whatsapp", "11", "99")
    await vault.keep("g", grant)
    there = bench(answer({"data": [{"id": "11"}, {"id": "12"}, {"id": 13}, {}]}))

    assert await GraphSubscriptions(client=there.client, vault=vault).heard_with("11") == ("12", "13")


@pytest.mark.parametrize(
    "apps",
    [
        [],
        [{}],
        [{"whatsapp_business_api_data": None}],
        [{"whatsapp_business_api_data": {"id": "999"}}],
        [{"id": APP.app_id}],
    ],
)
async def test_an_app_that_is_not_shown_on_the_account_hears_nothing(apps: list[object]) -> None:
    vault, grant = _vault_of("whatsapp", "11", "99")
    await vault.keep("g", grant)
    there = bench(answer({"success": True}), answer({"data": apps}))

    with pytest.raises(VendorError):
        await GraphSubscriptions(client=there.client, vault=vault).subscribe("11")


@pytest.mark.parametrize("kind", ["instagram", "whatsapp"])
async def test_a_channel_that_hangs_on_nothing_known_asks_for_a_new_connection(kind: str) -> None:
    vault, grant = _vault_of(kind, "11", "")
    await vault.keep("g", grant)

    with pytest.raises(ReauthorizationError) as failure:
        await GraphSubscriptions(client=bench(answer()).client, vault=vault).subscribe("11")
    assert failure.value.hits is Hits.CHANNEL


async def test_only_pages_have_forms(org: Org) -> None:
    """Nothing is asked of the others, so nothing fails."""
    await org.world.control("faults", match={"method": "GET"}, code=1)

    assert await org.leads.forms(INSTAGRAM_ID) == await org.leads.forms(PHONE_NUMBER_ID) == ()
    await org.world.clear_up()
    assert await org.leads.forms(PAGE)
