"""Apps that orgs bring, and counts of calls, as rows: one owner per app, nothing lost between writers."""

import asyncio
from datetime import timedelta

import attrs
import pytest

from moorage_adapters.sqlmodel.storage import SqlStorage
from moorage_ports.apps import CallCount, OwnApp
from moorage_ports.capabilities import Capability
from moorage_ports.errors import ConflictError
from tests.unit.adapters.conftest import NOON
from tests.unit.adapters.things import VENDOR, connect, integration

APP = OwnApp(
    vendor=VENDOR,
    app_id="4711",
    revision="one",
    secret_since=NOON,
    previous_secret_until=NOON + timedelta(hours=1),
)


async def test_an_app_is_kept_replaced_and_forgotten(storage: SqlStorage) -> None:
    async with storage.unit_of_work("a") as uow:
        await uow.own_apps.save(APP)
    renewed = attrs.evolve(APP, app_id="4712", revision="two", previous_secret_until=None)
    async with storage.unit_of_work("a") as uow:
        assert await uow.own_apps.of_vendor(VENDOR) == APP
        await uow.own_apps.save(renewed)
        assert await uow.own_apps.of_vendor(VENDOR) == renewed
        assert await uow.own_apps.of_vendor("other") is None
    assert await storage.own_app_marks() == {(VENDOR, "a"): "two"}
    async with storage.unit_of_work("a") as uow:
        assert await uow.own_apps.remove(VENDOR)
        assert not await uow.own_apps.remove(VENDOR)
    assert await storage.own_app_marks() == {}


async def test_an_app_belongs_to_one_org_w7b(storage: SqlStorage) -> None:
    """W7b, unique app ids: whoever comes second gets a conflict, and what it had stays."""
    async with storage.unit_of_work("a") as uow:
        await uow.own_apps.save(APP)
    own = attrs.evolve(APP, app_id="815")
    async with storage.unit_of_work("b") as uow:
        await uow.own_apps.save(own)

    with pytest.raises(ConflictError) as refused:
        async with storage.unit_of_work("b") as uow:
            await uow.own_apps.save(attrs.evolve(APP, revision="other"))

    assert "4711" not in str(refused.value)
    async with storage.unit_of_work("b", reads_only=True) as uow:
        assert await uow.own_apps.of_vendor(VENDOR) == own
    async with storage.unit_of_work("c") as uow:
        await uow.own_apps.save(attrs.evolve(APP, vendor="another"))  # another vendor's numbering


async def test_an_org_sees_its_own_app_only(storage: SqlStorage) -> None:
    async with storage.unit_of_work("a") as uow:
        await uow.own_apps.save(APP)
    async with storage.unit_of_work("b") as uow:
        assert await uow.own_apps.of_vendor(VENDOR) is None
        assert not await uow.own_apps.remove(VENDOR)
    assert (VENDOR, "a") in await storage.own_app_marks()


async def test_counts_of_several_processes_add_up(storage: SqlStorage) -> None:
    one = CallCount(total=2, failed=1, milliseconds=30, last_used_at=NOON)

    async def add() -> None:
        async with storage.unit_of_work("a") as uow:
            await uow.call_counts.add(VENDOR, one)

    await asyncio.gather(*(add() for _ in range(10)))

    async with storage.unit_of_work("a", reads_only=True) as uow:
        assert await uow.call_counts.of_vendor(VENDOR) == CallCount(
            total=20, failed=10, milliseconds=300, last_used_at=NOON
        )
        assert await uow.call_counts.of_vendor("other") == CallCount()
    async with storage.unit_of_work("b", reads_only=True) as uow:
        assert await uow.call_counts.of_vendor(VENDOR) == CallCount()


@pytest.mark.parametrize("chosen", [None, (Capability.RECEIVE_LEADS,)])
async def test_an_integration_keeps_what_the_org_decided(
    storage: SqlStorage, chosen: tuple[Capability, ...] | None
) -> None:
    decided = integration(name="Shop", description="Two boards", require_ticket=True, capabilities=chosen)
    async with storage.unit_of_work("a") as uow:
        await uow.integrations.save(decided)
    async with storage.unit_of_work("a", reads_only=True) as uow:
        assert await uow.integrations.get(decided.id) == decided


async def test_a_grant_can_be_removed(storage: SqlStorage) -> None:
    await connect(storage, "a", "page-1")
    async with storage.unit_of_work("a") as uow:
        await uow.integrations.remove_grant("grant-1")
        assert await uow.integrations.grants("integration-a") == ()
