"""A batch over a Graph that behaves: tokens of several Pages, one bad call among good ones, one skipped."""

from collections.abc import Mapping

from moorage_facebook.graph.batch import send_batch
from moorage_facebook.graph.call import PAGES, GraphCall
from moorage_ports.errors import OutcomeUnknownError, RateLimitError, VendorNotFoundError
from moorage_ports.governor import Meter, MeterScope
from moorage_ports.testing.lent import FakeGovernor
from tests.contract.facebook_weather import PAGE, SECOND_PAGE
from tests.unit.facebook.conftest import Org


async def calls(org: Org) -> tuple[GraphCall, GraphCall, GraphCall]:
    """The names of two Pages, each with its own token, and a post on the first."""
    first, second = [await org.publisher.vault.channel_token(page) for page in (PAGE, SECOND_PAGE)]
    names = [
        GraphCall(path=(page,), query={"fields": "id,name"}, token=token, owner=page, use_case=PAGES)
        for page, token in ((PAGE, first), (SECOND_PAGE, second))
    ]
    post = GraphCall(
        method="POST",
        path=(PAGE, "feed"),
        data={"message": "From a batch"},
        token=first,
        owner=PAGE,
        use_case=PAGES,
        publishes=True,
        expects=frozenset({"id"}),
    )
    return names[0], names[1], post


async def test_calls_of_several_pages_go_together(org: Org) -> None:
    name, other, post = await calls(org)
    missing = GraphCall(path=("777777777777777",), token=name.token, owner=PAGE, use_case=PAGES)

    outcomes = await send_batch(org.publisher.client, [name, missing, other, post])

    assert isinstance(outcomes[0], Mapping)
    assert isinstance(outcomes[2], Mapping)
    assert (outcomes[0]["id"], outcomes[2]["id"]) == (PAGE, SECOND_PAGE)
    assert isinstance(outcomes[1], VendorNotFoundError)
    assert isinstance(outcomes[3], Mapping)
    assert "From a batch" in await org.world.texts_on(PAGE)


async def test_what_a_batch_says_about_limits_is_heard(org: Org) -> None:
    """Each item carries its own usage headers."""
    name, other, _ = await calls(org)
    governor = org.context.governor
    assert isinstance(governor, FakeGovernor)
    governor.reported.clear()

    await send_batch(org.publisher.client, [name, other])

    heard = {reading.meter for reading in governor.reported}
    for page in (PAGE, SECOND_PAGE):
        assert Meter(scope=MeterScope.CHANNEL, owner_id=page, use_case=PAGES) in heard


async def test_a_limit_in_a_batch_parks_one_page(org: Org) -> None:
    name, other, post = await calls(org)
    await org.world.control("faults", match={"pageId": PAGE}, code=80001)

    outcomes = await send_batch(org.publisher.client, [name, other, post])

    assert isinstance(outcomes[0], RateLimitError)
    assert isinstance(outcomes[1], Mapping)
    assert isinstance(outcomes[2], RateLimitError)


async def test_a_skipped_write_is_unknown_and_a_skipped_read_is_read(org: Org) -> None:
    """Graph answers null for what it did not get to, and for what timed out after it was done."""
    name, other, post = await calls(org)
    await org.world.control("faults", match={"pageId": PAGE}, drop="after", times=2)

    outcomes = await send_batch(org.publisher.client, [name, post, other])

    assert isinstance(outcomes[0], Mapping)
    assert isinstance(outcomes[1], OutcomeUnknownError)
    assert isinstance(outcomes[2], Mapping)
    assert list(await org.world.texts_on(PAGE)).count("From a batch") == 1
