"""Whose a delivery is: decided by its content, the app that signed it, and nothing that a stranger writes."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from sqlalchemy import text

from moorage_adapters.memory.news import news_of_slips, signed
from moorage_ports.integrations import IntegrationStatus
from moorage_ports.webhooks import VendorApp
from tests.support.harbour import Harbour, harbour
from tests.support.ownership import (
    ORGS,
    SHARED,
    Graph,
    Holder,
    Sent,
    Town,
    bring,
    build,
    deliveries,
    graphs,
    is_trusted,
    kept_by,
    owners,
    told_of,
)

NOBODY = Holder(has_own=False, connected_with=SHARED, status=IntegrationStatus.INACTIVE, selected=frozenset())


def holding(*boards: str, app: str = SHARED, has_own: bool = False) -> Holder:
    return Holder(
        has_own=has_own,
        connected_with=app,
        status=IntegrationStatus.ACTIVE,
        selected=frozenset(boards),
    )


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Harbour]:
    async with harbour(tmp_path) as made:
        yield made


async def send(town: Town, sent: Sent, number: int = 0, *, app: VendorApp | None = None) -> int:
    """Deliver it; the status of the answer."""
    body = news_of_slips(town.slips(sent, number))
    delivery = signed(body, (app or town.app(sent.signed_with)).secret)
    org = sent.orgid if sent.orgid in {None, "nobody"} else town.org(sent.orgid or "")
    answer = await town.host.deliver(delivery, query="" if org is None else f"?orgid={org}")
    return answer.status_code


async def aside(host: Harbour) -> int:
    async with host.storage.database.read() as transaction:
        count = await transaction.run(
            lambda connection: connection.execute(text("SELECT count(*) FROM quarantine")).scalar_one()
        )
    return int(count)


async def _check(host: Harbour, graph: Graph, sent: list[Sent]) -> None:
    town = await build(host, graph)
    lay_aside = await aside(host)
    expected: dict[str, list[str]] = {org: [] for org in ORGS}
    orphans = 0
    for number, one in enumerate(sent):
        assert await send(town, one, number) == (200 if is_trusted(one, graph) else 403)
        for slip, board in zip(town.slips(one, number), one.boards, strict=True):
            entitled = owners(one, board, graph)
            orphans += not entitled and is_trusted(one, graph)
            for org in entitled:
                expected[org].append(slip.id)
    for org in ORGS:
        assert told_of(await kept_by(host, town.org(org))) == sorted(expected[org]), org
    assert await aside(host) == lay_aside + orphans


def test_no_row_lands_where_the_board_is_not_owned_through_the_signing_app_w6_w7_w7b(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """W6, W7, W7b: over random orgs, apps, boards and statuses, each org has its own, whole and alone.

    The address can narrow and never grants; an app that an org brought speaks for that org; a body that names
    several owners is cut apart; what is nobody's is kept aside.
    """
    folder = tmp_path_factory.mktemp("towns")
    with asyncio.Runner() as runner:
        made = harbour(folder)
        host = runner.run(made.__aenter__())

        @settings(
            max_examples=120,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        )
        @given(graph=graphs, sent=deliveries)
        def check(graph: Graph, sent: list[Sent]) -> None:
            runner.run(_check(host, graph, sent))

        try:
            check()
        finally:
            runner.run(made.__aexit__(None, None, None))


async def test_an_org_cannot_speak_for_another_with_its_own_app_w7b(host: Harbour) -> None:
    """W7b, forgery: signed with north's app, naming east's board: kept aside, or refused."""
    graph = {
        "north": holding("board-1", app="north", has_own=True),
        "east": holding("board-2"),
        "south": NOBODY,
        "west": holding("board-2", app="west", has_own=True),
    }
    town = await build(host, graph)

    forged = Sent(signed_with="north", boards=("board-2", "board-1"), orgid="north")
    assert await send(town, forged) == 200
    for orgid in ("east", "west", "nobody", None):
        assert await send(town, Sent(signed_with="north", boards=("board-2",), orgid=orgid), 1) == 403

    assert len(await kept_by(host, town.org("north"))) == 1
    assert await kept_by(host, town.org("east")) == await kept_by(host, town.org("west")) == []
    assert await aside(host) == 1


async def test_a_channel_counts_for_the_app_it_was_connected_with_only_w7b(host: Harbour) -> None:
    """W7b: north brought an app and has not connected through it yet: it speaks for nothing."""
    graph = dict.fromkeys(ORGS, NOBODY) | {"north": holding("board-1", app=SHARED, has_own=True)}
    town = await build(host, graph)

    assert await send(town, Sent(signed_with="north", boards=("board-1",), orgid="north")) == 200
    assert await kept_by(host, town.org("north")) == []

    assert await send(town, Sent(signed_with=SHARED, boards=("board-1",), orgid=None), 1) == 200
    assert len(await kept_by(host, town.org("north"))) == 1


async def test_a_body_with_many_owners_is_cut_apart_w6(host: Harbour) -> None:
    """W6: each org sees its own and nothing of the others', also not inside a row."""
    graph = {
        "north": holding("board-1"),
        "east": holding("board-2"),
        "south": holding("board-1", "board-2"),
        "west": NOBODY,
    }
    town = await build(host, graph)
    sent = Sent(signed_with=SHARED, boards=("board-1", "board-2", "board-99"), orgid=None)
    assert await send(town, sent) == 200

    first, second, third = (slip.id for slip in town.slips(sent, 0))
    for org, own in {"north": [first], "east": [second], "south": [first, second], "west": []}.items():
        bodies = await kept_by(host, town.org(org))
        assert told_of(bodies) == own
        for foreign in {first, second, third} - set(own):
            assert not any(foreign.encode() in body for body in bodies)
    assert await aside(host) == 1


async def test_the_orgid_of_an_address_grants_nothing_w7(host: Harbour) -> None:
    """W7: validly signed news of north's board, sent to east's address: the same answer, no row for east."""
    graph = dict.fromkeys(ORGS, NOBODY) | {"north": holding("board-1"), "east": holding("board-2")}
    town = await build(host, graph)
    spoofed = Sent(signed_with=SHARED, boards=("board-1",), orgid="east")
    right = Sent(signed_with=SHARED, boards=("board-1",), orgid="north")

    assert await send(town, spoofed) == await send(town, right, 1) == 200
    assert await kept_by(host, town.org("east")) == []
    assert len(await kept_by(host, town.org("north"))) == 1


async def test_an_app_that_was_taken_away_signs_nothing_w9(host: Harbour) -> None:
    """W9: at once in the process that knows of it."""
    graph = dict.fromkeys(ORGS, NOBODY) | {"north": holding("board-1", app="north", has_own=True)}
    town = await build(host, graph)
    sent = Sent(signed_with="north", boards=("board-1",), orgid="north")
    assert await send(town, sent) == 200

    await bring(host, town.org("north"), host.world.register_app("another"))

    assert await send(town, sent, 1) == 403
