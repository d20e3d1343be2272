"""Channels that are good for less than their vendor: nobody asks them for what they do not have."""

from collections.abc import AsyncIterator
from pathlib import Path

import attrs
import pytest

from moorage import reconcile
from moorage.operations.handlers import HANDLERS
from moorage.operations.syncing import sync_status
from moorage.reconcile import Reconciler
from moorage.syncing import Syncer, sync_nudge
from moorage_adapters.memory.things import Note
from moorage_adapters.memory.world import CAFE, NEWSLETTER
from moorage_ports.capabilities import Capability
from moorage_ports.errors import InvalidRequestError, NotFoundError
from moorage_ports.jobs import Nudge
from moorage_ports.operations import SYNC_ACTIVITY, SyncActivity, SyncReport
from tests.support.harbour import ADMIN, NOON, Harbour, harbour


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Harbour]:
    async with harbour(tmp_path) as made:
        await made.connect()
        await made.select(CAFE.id)
        made.world.notes["note-0"] = Note(
            id="note-0", board_id=CAFE.id, text="Hi", link=None, images=(), pinned_at=NOON
        )
        made.world.say("note-0", "Hello")
        made.world.fill_in(NEWSLETTER.id, {"email": ("ada@harbour.example",)})
        yield made


def only_for(host: Harbour, *capabilities: Capability) -> Harbour:
    """A host whose boards are good for this and nothing else."""
    good_for = {"board": frozenset(capabilities)}
    vendor = attrs.evolve(host.vendor, channel_capabilities=good_for)
    vendors = attrs.evolve(host.services.vendors, by_slug={vendor.slug: vendor})
    services = attrs.evolve(host.services, vendors=vendors)
    return Harbour(services, host.storage, host.world, host.clock)


async def look_after(host: Harbour) -> None:
    nudge = Nudge(queue=reconcile.QUEUE, group=f"{ADMIN.org_id}:memory:{CAFE.id}", org_id=ADMIN.org_id)
    assert await Reconciler(host.services).look(nudge) is None
    assert await Syncer(host.services).look(sync_nudge(ADMIN.org_id, "memory", CAFE.id)) is None
    await host.work()


async def test_a_type_that_is_not_named_is_good_for_all(host: Harbour) -> None:
    assert all(host.vendor.suits("board", capability) for capability in Capability)
    await look_after(host)

    assert len(await host.leads()) == 1
    (view,) = await sync_status(host.services, ADMIN.org_id)
    assert (view.items, view.last_error) == (1, None)


async def test_neither_leads_nor_activity_are_asked_for_and_nobody_is_alarmed(host: Harbour) -> None:
    """Its news is still looked after: that it was switched off is found."""
    plain = only_for(host, Capability.DIRECT_MESSAGES)
    host.world.sending.discard(CAFE.id)

    await look_after(plain)

    assert host.world.sending == {CAFE.id}
    assert await host.leads() == ()
    assert await sync_status(plain.services, ADMIN.org_id) == ()
    async with host.storage.unit_of_work(ADMIN.org_id, reads_only=True) as uow:
        assert await uow.sync_states.all() == ()


async def test_a_sync_that_is_asked_for_leaves_it_out_or_says_so(host: Harbour) -> None:
    plain = only_for(host, Capability.DIRECT_MESSAGES)
    report = await HANDLERS[SYNC_ACTIVITY.name](plain.call(), SyncActivity())
    assert isinstance(report, SyncReport)
    assert report.channels == ()

    with pytest.raises(InvalidRequestError):
        await HANDLERS[SYNC_ACTIVITY.name](plain.call(), SyncActivity(channels=(CAFE.id,)))


async def test_it_takes_no_posts_as_if_it_were_not_there(host: Harbour) -> None:
    with pytest.raises(NotFoundError) as unknown:
        await host.publish(channel="board-99")
    with pytest.raises(NotFoundError) as refused:
        await only_for(host, Capability.DIRECT_MESSAGES).publish()

    assert (str(refused.value), refused.value.remedy) == (str(unknown.value), unknown.value.remedy)
    assert host.world.notes.keys() == {"note-0"}
    assert (await only_for(host, Capability.PUBLISH_POSTS).publish()).external_id
