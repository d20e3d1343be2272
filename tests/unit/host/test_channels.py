"""Choosing channels: what is subscribed, what is not, and whose news must not stop."""

from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import pytest

from moorage.operations.handlers import HANDLERS
from moorage.operations.shutdown import shut_down
from moorage.services import Caller
from moorage_adapters.memory.things import READ_BOARDS, SEND_NEWS
from moorage_adapters.memory.world import BOOKS, CAFE
from moorage_ports.errors import (
    InvalidRequestError,
    MissingScopeError,
    NotConnectedError,
    NotFoundError,
    ReauthorizationError,
)
from moorage_ports.integrations import IntegrationStatus
from moorage_ports.operations import SELECT_CHANNELS, Role, SelectChannels
from moorage_ports.subscriptions import Subscriptions
from tests.support.harbour import ADMIN, Harbour, harbour

ORG_B = Caller(org_id="org-b", user_id="user-b", role=Role.ADMIN)


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Harbour]:
    async with harbour(tmp_path) as made:
        await made.connect()
        yield made


async def test_a_chosen_channel_sends_its_news_and_an_unchosen_one_no_more(host: Harbour) -> None:
    selection = await host.select(CAFE.id, BOOKS.id)
    assert len(selection.selected) == len(selection.subscribed) == 2
    assert host.world.sending == {CAFE.id, BOOKS.id}

    selection = await host.select(CAFE.id)
    assert host.world.sending == {CAFE.id}
    assert len(selection.subscribed) == 1
    views = {view.external_id: view for view in (await host.channels()).channels}
    assert (views[BOOKS.id].selected, views[BOOKS.id].subscribed) == (False, False)


async def test_choosing_the_same_again_asks_the_vendor_nothing(host: Harbour) -> None:
    first = await host.select(CAFE.id)
    calls = host.world.calls

    assert await host.select(first.selected[0]) == first
    assert host.world.calls == calls


async def test_a_channel_that_another_org_has_too_keeps_sending_o10(host: Harbour) -> None:
    """O10: switching off is counted over all orgs, choosing less and choosing nothing alike."""
    await host.connect(ORG_B)
    await host.select(CAFE.id)
    await host.select(CAFE.id, caller=ORG_B)

    await host.select()
    assert host.world.sending == {CAFE.id}
    await host.select(caller=ORG_B)
    assert host.world.sending == set()


@attrs.frozen
class _SharedLine:
    """The café's subscription brings the bookshop's news as well, and the other way round."""

    inner: Subscriptions

    async def subscribe(self, channel_external_id: str) -> None:
        await self.inner.subscribe(channel_external_id)

    async def unsubscribe(self, channel_external_id: str) -> None:
        for board in (CAFE.id, BOOKS.id):
            await self.inner.unsubscribe(board)

    async def is_subscribed(self, channel_external_id: str) -> bool:
        return await self.inner.is_subscribed(channel_external_id)

    async def heard_with(self, channel_external_id: str) -> tuple[str, ...]:
        return tuple({CAFE.id, BOOKS.id} - {channel_external_id})


def _sharing(host: Harbour) -> Harbour:
    build = host.vendor.subscriptions
    assert build is not None
    vendor = attrs.evolve(host.vendor, subscriptions=lambda context: _SharedLine(build(context)))
    vendors = attrs.evolve(host.services.vendors, by_slug={vendor.slug: vendor})
    return attrs.evolve(host, services=attrs.evolve(host.services, vendors=vendors))


async def test_a_line_that_another_chosen_channel_needs_is_not_cut_o10(host: Harbour) -> None:
    """O10: not by the org that chose both, not by another; the last one who goes cuts it."""
    shared = _sharing(host)
    await shared.connect(ORG_B)
    await shared.select(CAFE.id, BOOKS.id)
    await shared.select(BOOKS.id, caller=ORG_B)

    await shared.select(CAFE.id)
    await shared.select()
    assert host.world.sending == {CAFE.id, BOOKS.id}, "org-b still listens to the bookshop"
    await shared.select(caller=ORG_B)
    assert host.world.sending == set()


async def test_shutting_down_stops_the_news_and_connecting_again_brings_it_back_o10(host: Harbour) -> None:
    """O10, M7: nobody's personal data is sent here for nothing; what was chosen is kept."""
    await host.select(CAFE.id, BOOKS.id)
    integration = await host.integration()
    down = await shut_down(host.services, ADMIN.org_id, integration.id)
    assert down.status is IntegrationStatus.INACTIVE
    assert host.world.sending == set()
    async with host.storage.unit_of_work(ADMIN.org_id, reads_only=True) as uow:
        rows = await uow.integrations.channels(integration.id)
    assert {row.external_id for row in rows if row.selected} == {CAFE.id, BOOKS.id}
    assert not [row for row in rows if row.subscribed]

    await host.connect()
    assert host.world.sending == {CAFE.id, BOOKS.id}


async def test_shutting_down_leaves_another_orgs_news_alone_o10(host: Harbour) -> None:
    await host.connect(ORG_B)
    await host.select(CAFE.id, BOOKS.id)
    await host.select(CAFE.id, caller=ORG_B)
    await shut_down(host.services, ADMIN.org_id, (await host.integration()).id)

    assert host.world.sending == {CAFE.id}


async def test_a_vendor_that_is_down_does_not_keep_anybody_from_shutting_down(host: Harbour) -> None:
    await host.select(CAFE.id)
    host.world.go_down()
    await shut_down(host.services, ADMIN.org_id, (await host.integration()).id)

    assert (await host.integration()).status is IntegrationStatus.INACTIVE


async def test_only_ones_own_integration_can_be_shut_down(host: Harbour) -> None:
    with pytest.raises(NotFoundError):
        await shut_down(host.services, ORG_B.org_id, (await host.integration()).id)
    assert (await host.integration()).status is IntegrationStatus.ACTIVE


async def test_a_choice_stands_also_when_the_vendor_refuses_to_send(host: Harbour) -> None:
    host.world.drop_scope(SEND_NEWS)
    selection = await host.select(CAFE.id)

    assert len(selection.selected) == 1
    assert selection.subscribed == ()
    (problem,) = selection.problems
    assert (problem.code, bool(problem.remedy)) == ("missing_scope", True)
    views = {view.external_id: view for view in (await host.channels()).channels}
    assert (views[CAFE.id].selected, views[CAFE.id].subscribed) == (True, False)


async def test_choosing_again_subscribes_what_did_not_work_the_first_time(host: Harbour) -> None:
    host.world.go_down()
    assert (await host.select(CAFE.id)).subscribed == ()
    host.world.clear_up()

    assert len((await host.select(CAFE.id)).subscribed) == 1
    assert host.world.sending == {CAFE.id}


async def test_a_connection_after_a_lost_grant_subscribes_the_chosen_channels_again(host: Harbour) -> None:
    await host.select(CAFE.id)
    host.world.revoke_grant()
    host.world.sending.clear()
    with pytest.raises(ReauthorizationError):
        await host.channels()
    assert (await host.integration()).status is IntegrationStatus.EXPIRED

    await host.connect()
    assert host.world.sending == {CAFE.id}
    assert (await host.integration()).status is IntegrationStatus.ACTIVE


async def test_an_unknown_id_changes_nothing(host: Harbour) -> None:
    await host.select(CAFE.id)
    with pytest.raises(InvalidRequestError) as refusal:
        await host.select(BOOKS.id, "nobody")

    assert "channels[1]" in refusal.value.fields
    assert host.world.sending == {CAFE.id}


async def test_what_cannot_be_acted_as_is_a_problem_and_not_chosen(host: Harbour) -> None:
    selection = await host.select("board-3", CAFE.id)

    assert len(selection.selected) == 1
    assert [problem.code for problem in selection.problems] == ["reconnect_required"]


async def test_a_dry_run_of_a_choice_changes_nothing(host: Harbour) -> None:
    request = SelectChannels(channels=(CAFE.id,))
    selection = await HANDLERS[SELECT_CHANNELS.name](host.call(dry_run=True), request)

    assert len(selection.selected) == 1
    assert host.world.sending == set()
    assert not any(view.selected for view in (await host.channels()).channels)


async def test_without_an_integration_there_are_no_channels(host: Harbour) -> None:
    with pytest.raises(NotConnectedError):
        await host.channels(ORG_B)
    with pytest.raises(NotConnectedError):
        await host.select(CAFE.id, caller=ORG_B)


async def test_a_missing_scope_for_listing_is_no_lost_grant(host: Harbour) -> None:
    host.world.drop_scope(READ_BOARDS)
    with pytest.raises(MissingScopeError):
        await host.channels()

    assert (await host.integration()).status is IntegrationStatus.ACTIVE


async def test_a_channel_that_appeared_after_the_consent_is_pointed_out(host: Harbour) -> None:
    del host.world.boards[BOOKS.id]
    await host.connect(ORG_B)
    host.world.boards[BOOKS.id] = BOOKS

    views = {view.external_id: view for view in (await host.channels(ORG_B)).channels}
    assert not views[BOOKS.id].selectable
    assert views[BOOKS.id].reason
