"""What an error says about an integration, when several people connected and things happen meanwhile."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import attrs
import pytest

from moorage.operations.standing import BROKEN, act_on_vendor_error, usable_channel
from moorage_adapters.memory.things import Person
from moorage_adapters.memory.world import ADA, BOOKS, CAFE
from moorage_ports.errors import (
    Hits,
    MissingScopeError,
    RateLimitError,
    ReauthorizationError,
    RejectedError,
    VendorError,
)
from moorage_ports.integrations import Channel, IntegrationStatus
from tests.support.harbour import ADMIN, Harbour, harbour

BEN = Person(id="person-2", name="Ben Moor")


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Harbour]:
    """Ada keeps the café's board, Ben the bookshop's; both connected for one org."""
    async with harbour(tmp_path) as made:
        made.world.people[BEN.id] = BEN
        made.world.boards[CAFE.id] = attrs.evolve(CAFE, keepers=frozenset({ADA.id}))
        made.world.boards[BOOKS.id] = attrs.evolve(BOOKS, keepers=frozenset({BEN.id}))
        for person in (ADA, BEN):
            begun = await made.begin()
            answer = await made.come_back(made.world.consent(begun.auth_url, person=person))
            assert answer.status_code == 303
        await made.select(CAFE.id, BOOKS.id)
        made.clock.advance(timedelta(minutes=1))
        yield made


async def channel(host: Harbour, external_id: str) -> Channel:
    async with host.storage.unit_of_work(ADMIN.org_id, reads_only=True) as uow:
        found = await uow.integrations.channel("memory", external_id)
    assert found is not None
    return found


async def act(host: Harbour, error: VendorError, *, of: str | None = CAFE.id, ago: float = 0) -> None:
    asked_at = host.clock.now() - timedelta(seconds=ago)
    await act_on_vendor_error(
        host.services, ADMIN.org_id, "memory", error, asked_at=asked_at, channel_external_id=of
    )


def gone(hits: Hits) -> ReauthorizationError:
    return ReauthorizationError("gone", vendor="memory", hits=hits)


async def test_two_people_are_two_grants_of_one_integration(host: Harbour) -> None:
    integration = await host.integration()
    async with host.storage.unit_of_work(ADMIN.org_id, reads_only=True) as uow:
        assert len(await uow.integrations.grants(integration.id)) == 2
    assert (await channel(host, CAFE.id)).grant_id != (await channel(host, BOOKS.id)).grant_id
    assert (await channel(host, CAFE.id)).selectable
    assert (await channel(host, BOOKS.id)).selectable


async def test_one_persons_lost_grant_leaves_the_others_channels_working(host: Harbour) -> None:
    await act(host, gone(Hits.INTEGRATION))

    assert (await host.integration()).status is IntegrationStatus.ACTIVE
    assert not (await channel(host, CAFE.id)).selectable
    assert (await channel(host, BOOKS.id)).selectable


async def test_when_the_last_grant_goes_the_integration_is_expired(host: Harbour) -> None:
    await act(host, gone(Hits.INTEGRATION), of=CAFE.id)
    await act(host, gone(Hits.INTEGRATION), of=BOOKS.id)

    assert (await host.integration()).status is IntegrationStatus.EXPIRED


async def test_when_no_grant_is_left_that_could_be_asked_all_of_it_is_expired(host: Harbour) -> None:
    await act(host, gone(Hits.INTEGRATION), of=None)

    assert (await host.integration()).status is IntegrationStatus.EXPIRED


async def test_a_channels_end_is_the_channels_alone(host: Harbour) -> None:
    await act(host, gone(Hits.CHANNEL))

    assert (await host.integration()).status is IntegrationStatus.ACTIVE
    assert not (await channel(host, CAFE.id)).selectable
    assert (await channel(host, CAFE.id)).selected, "its news still belongs to the org"
    assert (await channel(host, BOOKS.id)).selectable


@pytest.mark.parametrize(
    "error",
    [
        gone(Hits.CALL),
        MissingScopeError("no", vendor="memory", hits=Hits.INTEGRATION),
        RateLimitError("wait", vendor="memory", hits=Hits.INTEGRATION),
        RejectedError("no", vendor="memory", hits=Hits.CHANNEL),
        VendorError("?", vendor="memory", hits=Hits.INTEGRATION),
    ],
)
async def test_no_other_error_says_anything_lasting(host: Harbour, error: VendorError) -> None:
    await act(host, error)

    assert (await host.integration()).status is IntegrationStatus.ACTIVE
    assert (await channel(host, CAFE.id)).selectable


@pytest.mark.parametrize("hits", [Hits.INTEGRATION, Hits.CHANNEL])
async def test_an_error_of_before_a_reconnection_says_nothing_about_it(host: Harbour, hits: Hits) -> None:
    """A call that began with the old token may fail after the new one was stored."""
    await act(host, gone(hits), ago=3600)

    assert (await host.integration()).status is IntegrationStatus.ACTIVE
    assert (await channel(host, CAFE.id)).selectable


async def test_a_vendor_or_channel_that_the_org_does_not_have_changes_nothing(host: Harbour) -> None:
    await act(host, gone(Hits.CHANNEL), of="board-99")
    await act_on_vendor_error(
        host.services, "org-z", "memory", gone(Hits.INTEGRATION), asked_at=host.clock.now()
    )

    assert (await host.integration()).status is IntegrationStatus.ACTIVE


async def test_everybody_hears_how_to_get_a_lost_channel_back(host: Harbour) -> None:
    """Not only whoever ran into it first: connecting again may not help before somebody does this."""
    remedy = "Have a keeper of the board let you in again, then connect again."
    await act(host, ReauthorizationError("gone", vendor="memory", hits=Hits.CHANNEL, remedy=remedy))

    assert (await channel(host, CAFE.id)).reason == remedy
    async with host.storage.unit_of_work(ADMIN.org_id, reads_only=True) as uow:
        with pytest.raises(ReauthorizationError) as refusal:
            await usable_channel(uow, "memory", CAFE.id)
    assert refusal.value.remedy == remedy
    views = {view.external_id: view for view in (await host.channels()).channels}
    assert views[CAFE.id].reason == remedy


async def test_a_loss_that_nobody_has_words_for_says_to_connect_again(host: Harbour) -> None:
    await act(host, gone(Hits.CHANNEL))

    assert (await channel(host, CAFE.id)).reason == BROKEN
