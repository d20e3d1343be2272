"""Who writes, as Graph tells it: what is asked, what the answers mean, and which refusals are answers."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage_facebook.graph.meters import meters_of
from moorage_facebook.profiles import GraphProfiles, profile
from moorage_facebook.token_vault import GraphTokenVault
from moorage_facebook.translate.talk import reference_realm
from moorage_facebook.translate.whatsapp import NUMBERS
from moorage_ports.authorizer import ChannelGrant, RedeemedGrant
from moorage_ports.directory import ChannelOffer
from moorage_ports.errors import (
    MissingScopeError,
    RateLimitError,
    ReauthorizationError,
    RejectedError,
    VendorError,
    VendorUnavailableError,
)
from moorage_ports.events import Person
from moorage_ports.governor import MeterScope
from moorage_ports.http import NoAnswerError
from moorage_ports.secret import Secret
from moorage_ports.testing.lent import FakeSecretStore
from tests.unit.facebook.graph.support import APP, TOKEN, Bench, answer, bench, query_of, refusal

PAGE, ACCOUNT, NUMBER = "1234567890", "17841400008460056", "277905518032461"
PSID, IGSID = "7700900090090", "8800900090090"
GRANTED = ("pages_messaging", "instagram_basic", "instagram_manage_messages")
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def somebody(channel: str) -> Person:
    return Person(external_id=IGSID if channel == ACCOUNT else PSID, realm=channel)


async def on(*script: Any, scopes: tuple[str, ...] = GRANTED) -> tuple[GraphProfiles, Bench]:
    there, vault = bench(*script), GraphTokenVault(FakeSecretStore())
    channels = tuple(
        ChannelGrant(offer=ChannelOffer(external_id=key, type=kind, name=""), token=Secret("page-token"))
        for key, kind in ((PAGE, "page"), (ACCOUNT, "instagram"), (NUMBER, "whatsapp"))
    )
    await vault.keep(
        "g",
        RedeemedGrant(
            subject=Secret("1"), profile={}, token=Secret("u"), granted_scopes=scopes, channels=channels
        ),
    )
    return GraphProfiles(client=there.client, vault=vault), there


# What is asked ----------------------------------------------------------------------------------


async def test_a_page_asks_for_names_and_nothing_else() -> None:
    profiles, there = await on(answer({"name": "Mei Chen", "first_name": "Mei", "id": PSID}))

    told = await profiles.person(PAGE, somebody(PAGE))

    assert told == Person(external_id=PSID, realm=PAGE, name="Mei Chen")
    (request,) = there.graph.sent
    assert (request.method, request.url.split("?")[0].rsplit("/", 1)[1]) == ("GET", PSID)
    assert query_of(request)["fields"] == "name,first_name,last_name"
    assert request.headers["authorization"] == "Bearer page-token"


async def test_an_account_asks_for_the_username_too() -> None:
    profiles, there = await on(answer({"name": "Mei Chen", "username": "mei.chen", "id": IGSID}))

    told = await profiles.person(ACCOUNT, somebody(ACCOUNT))

    assert told == Person(external_id=IGSID, realm=ACCOUNT, name="Mei Chen", handle="mei.chen")
    assert query_of(there.graph.sent[0])["fields"] == "name,username"


@pytest.mark.parametrize(
    ("channel", "on_instagram", "use_case"), [(PAGE, False, "messenger"), (ACCOUNT, True, "instagram")]
)
def test_it_counts_on_the_channels_own_limits(channel: str, on_instagram: bool, use_case: str) -> None:
    """Those of its messages: who answers no more, asks for no names, either."""
    call = profile(PSID, channel, TOKEN, on_instagram=on_instagram)

    meters = {(meter.scope, meter.owner_id, meter.use_case) for meter in meters_of(call, APP.secret)}
    assert (MeterScope.CHANNEL, channel, use_case) in meters
    assert not call.writes


@pytest.mark.parametrize(
    ("channel", "person"),
    [
        (NUMBER, Person(external_id="491701234567", realm=NUMBERS)),  # WhatsApp names people itself
        (PAGE, Person(external_id=PSID, realm=ACCOUNT)),  # an id of another channel's
        (PAGE, Person(external_id="ref-1", realm=reference_realm(PAGE))),  # no id of a person yet
        (PAGE, Person(external_id="../me", realm=PAGE)),
    ],
)
async def test_ids_that_cannot_be_looked_up_cost_no_call(channel: str, person: Person) -> None:
    profiles, there = await on(answer({"name": "Nobody"}))

    assert await profiles.person(channel, person) is None
    assert there.graph.sent == []


# What the answers mean ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "name", "handle"),
    [
        ({"first_name": "Mei", "last_name": "Chen"}, "Mei Chen", ""),
        ({"first_name": "Mei"}, "Mei", ""),
        ({"name": "  Mei  "}, "Mei", ""),
        ({"name": "x" * 4_000}, "x" * 300, ""),
        ({"name": "Mei", "username": "mei"}, "Mei", ""),  # a Page's people have no handle
    ],
)
async def test_a_name_is_what_of_it_is_told(body: dict[str, object], name: str, handle: str) -> None:
    profiles, _ = await on(answer({**body, "id": PSID}))

    told = await profiles.person(PAGE, somebody(PAGE))

    assert told is not None
    assert (told.name, told.handle) == (name, handle)


async def test_a_username_alone_is_enough() -> None:
    """`name` is null where nobody entered one."""
    profiles, _ = await on(answer({"name": None, "username": "mei.chen", "id": IGSID}))

    told = await profiles.person(ACCOUNT, somebody(ACCOUNT))

    assert told is not None
    assert (told.name, told.handle) == ("", "mei.chen")


@pytest.mark.parametrize("body", [{"id": PSID}, {"name": None, "id": PSID}, {"name": " "}, {}])
async def test_an_answer_without_a_name_is_none(body: dict[str, object]) -> None:
    """An app without *Business Asset User Profile Access* is told the id that it sent."""
    profiles, _ = await on(answer(body))

    assert await profiles.person(PAGE, somebody(PAGE)) is None


@pytest.mark.parametrize(
    ("channel", "code", "subcode"),
    [
        (PAGE, 100, 33),
        (PAGE, 100, 2018218),
        (PAGE, 100, 2018247),
        (PAGE, 803, None),
        (ACCOUNT, 100, 33),
        (ACCOUNT, 230, None),
        (ACCOUNT, 9010, None),
        (ACCOUNT, 100, 2534014),
    ],
)
async def test_no_name_to_be_had_is_an_answer(channel: str, code: int, subcode: int | None) -> None:
    profiles, there = await on(refusal(code, subcode))

    assert await profiles.person(channel, somebody(channel)) is None
    assert len(there.graph.sent) == 1


@pytest.mark.parametrize(
    ("channel", "code", "subcode", "kind"),
    [
        (PAGE, 230, None, MissingScopeError),  # the same code, for a missing `pages_messaging`
        (PAGE, 10, None, MissingScopeError),
        (ACCOUNT, 10, None, MissingScopeError),
        (ACCOUNT, 200, None, MissingScopeError),
        (PAGE, 190, 460, ReauthorizationError),
        (PAGE, 190, 492, ReauthorizationError),
        (PAGE, 4, None, RateLimitError),
        (PAGE, 613, None, RateLimitError),
        (PAGE, 80006, None, RateLimitError),
        (PAGE, 100, None, RejectedError),
        (PAGE, 2, None, VendorUnavailableError),
    ],
)
async def test_whatever_else_is_refused_says_what_to_do(
    channel: str, code: int, subcode: int | None, kind: type[VendorError]
) -> None:
    """None of these may be believed for weeks as "has no name"."""
    profiles, _ = await on(refusal(code, subcode))

    with pytest.raises(VendorError) as failure:
        await profiles.person(channel, somebody(channel))
    assert type(failure.value) is kind
    assert failure.value.remedy


async def test_what_was_never_allowed_is_not_asked() -> None:
    """Then 230 on Instagram means one thing only."""
    profiles, there = await on(answer({}), scopes=("pages_messaging", "instagram_basic"))

    with pytest.raises(MissingScopeError):
        await profiles.person(ACCOUNT, somebody(ACCOUNT))
    assert there.graph.sent == []
    assert await profiles.person(PAGE, somebody(PAGE)) is None, "the Page's own may be asked for"


async def test_a_read_without_an_answer_is_tried_again_and_then_given_up() -> None:
    profiles, there = await on(NoAnswerError(), answer({"name": "Mei", "id": PSID}))
    assert await profiles.person(PAGE, somebody(PAGE)) is not None
    assert len(there.graph.sent) == 2
    lost, _ = await on(NoAnswerError())
    with pytest.raises(VendorUnavailableError):
        await lost.person(PAGE, somebody(PAGE))


@given(
    body=json_values | st.fixed_dictionaries({}, optional=dict.fromkeys(("name", "username"), json_values))
)
async def test_any_answer_is_a_person_nobody_or_our_error(body: object) -> None:
    profiles, _ = await on(answer(body))

    for channel in (PAGE, ACCOUNT):
        try:
            told = await profiles.person(channel, somebody(channel))
        except VendorError:
            continue
        assert told is None or (told.external_id == somebody(channel).external_id and len(told.name) <= 300)
