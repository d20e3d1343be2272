"""A Page's news: every field that its scopes allow, and what Facebook shows is what counts."""

import pytest

from moorage_facebook.sandbox.scopes import FIELD_NEEDS, PAGE_FIELDS
from moorage_facebook.subscriptions import FIELDS, GraphSubscriptions, fields_for
from moorage_facebook.token_vault import GraphTokenVault
from moorage_ports.authorizer import ChannelGrant, RedeemedGrant
from moorage_ports.directory import ChannelOffer
from moorage_ports.errors import VendorError
from moorage_ports.http import HttpAnswer
from moorage_ports.secret import Secret
from moorage_ports.testing.lent import FakeSecretStore
from tests.contract.facebook_weather import PAGE
from tests.unit.facebook.conftest import Org
from tests.unit.facebook.graph.support import APP, answer, bench, form_of


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
