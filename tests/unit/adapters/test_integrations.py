"""Integrations, grants and channels: kept as given, one org's only."""

from datetime import timedelta

import pytest

from moorage_adapters.sqlmodel.storage import SqlStorage
from moorage_ports.errors import ConflictError
from moorage_ports.integrations import GrantRecord, IntegrationStatus
from tests.unit.adapters.conftest import NOON
from tests.unit.adapters.things import APP, VENDOR, channel, connect, integration


def _grant(**changes: object) -> GrantRecord:
    fields: dict[str, object] = {
        "id": "grant-1",
        "integration_id": "integration-a",
        "subject_index": "hash-1",
        "connected_by": "user-1",
        "scopes": ("one", "two"),
        "expires_at": NOON + timedelta(days=60),
        "created_at": NOON,
    }
    return GrantRecord(**(fields | changes))  # type: ignore[arg-type]


async def test_everything_comes_back_as_it_was_given(storage: SqlStorage) -> None:
    given = integration(
        notify_emails=("one@shop.example", "two@shop.example"),
        granted_scopes=("a", "b"),
        missing_scopes=("c",),
        expires_at=NOON + timedelta(days=60),
        data_access_expires_at=NOON + timedelta(days=90, microseconds=1),
    )
    page = channel(
        missing_scopes=("c",), reason="so", selectable=False, subscribed=True, name="Café \U0001f600"
    )
    async with storage.unit_of_work("a") as uow:
        await uow.integrations.save(given)
        await uow.integrations.save_grant(_grant())
        await uow.integrations.save_channels([page])
    async with storage.unit_of_work("a", reads_only=True) as uow:
        assert await uow.integrations.of_vendor(VENDOR) == given
        assert await uow.integrations.get(given.id) == given
        assert await uow.integrations.all() == (given,)
        assert await uow.integrations.grants(given.id) == (_grant(),)
        assert await uow.integrations.channels(given.id) == (page,)
        assert await uow.integrations.channel(VENDOR, "page-1") == page
        assert await uow.integrations.of_vendor("other") is None
        assert await uow.integrations.channel(VENDOR, "page-2") is None


async def test_saving_again_replaces(storage: SqlStorage) -> None:
    async with storage.unit_of_work("a") as uow:
        await uow.integrations.save(integration())
        await uow.integrations.save(integration(status=IntegrationStatus.EXPIRED))
        await uow.integrations.save_grant(_grant())
        await uow.integrations.save_grant(_grant(id="grant-2"))
        await uow.integrations.save_grant(_grant(id="grant-3", subject_index="hash-2"))
        await uow.integrations.save_channels([channel(), channel("page-2")])
        await uow.integrations.save_channels([channel(id="new-id", selected=False)])
        await uow.integrations.remove_channels(["a-page-2", "never-there"])
        stored = await uow.integrations.of_vendor(VENDOR)
        assert stored is not None
        assert stored.status is IntegrationStatus.EXPIRED
        assert [one.id for one in await uow.integrations.grants(stored.id)] == ["grant-2", "grant-3"]
        assert await uow.integrations.channels(stored.id) == (channel(id="new-id", selected=False),)


async def test_a_second_integration_with_the_same_vendor_is_a_conflict(storage: SqlStorage) -> None:
    await connect(storage, "a")
    with pytest.raises(ConflictError):
        async with storage.unit_of_work("a") as uow:
            await uow.integrations.save(integration(id="another"))


async def test_a_channel_without_an_integration_is_a_conflict(storage: SqlStorage) -> None:
    with pytest.raises(ConflictError):
        async with storage.unit_of_work("a") as uow:
            await uow.integrations.save_channels([channel()])
    async with storage.unit_of_work("a") as uow:
        assert await uow.integrations.channel(VENDOR, "page-1") is None


async def test_two_orgs_with_the_same_ids_and_channels_do_not_see_each_other(storage: SqlStorage) -> None:
    for org_id, name in (("a", "ours"), ("b", "theirs")):
        async with storage.unit_of_work(org_id) as uow:
            await uow.integrations.save(integration(id="same"))
            await uow.integrations.save_channels([channel(id="same", integration_id="same", name=name)])
    async with storage.unit_of_work("b") as uow:
        await uow.integrations.remove_channels(["same"])
    async with storage.unit_of_work("a") as uow:
        assert [one.name for one in await uow.integrations.channels("same")] == ["ours"]
    async with storage.unit_of_work("b") as uow:
        assert await uow.integrations.channels("same") == ()


async def test_channel_holders_counts_selected_channels_of_this_app_that_are_not_inactive(
    storage: SqlStorage,
) -> None:
    await connect(storage, "a", "page-1", "page-2")
    await connect(storage, "b", "page-1", status=IntegrationStatus.EXPIRED)
    await connect(storage, "c", "page-1", status=IntegrationStatus.INACTIVE)
    await connect(storage, "d", "page-1", app_id="another app")
    async with storage.unit_of_work("a") as uow:
        await uow.integrations.save_channels([channel("page-2", selected=False)])
    holders = await storage.channel_holders(VENDOR, APP, ["page-1", "page-2", "page-3"])
    assert holders == {"page-1": {"a", "b"}, "page-2": frozenset(), "page-3": frozenset()}


async def test_grants_of_finds_one_persons_grants_to_this_app_in_every_org_and_tells_nothing_else(
    storage: SqlStorage,
) -> None:
    """Whatever the status: somebody who left the app left it in every org; and (org, grant) is all of it."""
    orgs: dict[str, dict[str, object]] = {
        "a": {},
        "b": {"status": IntegrationStatus.EXPIRED},
        "c": {"status": IntegrationStatus.INACTIVE},
        "d": {"app_id": "another app"},
        "e": {"vendor": "another"},
    }
    for org_id, changes in orgs.items():
        await connect(storage, org_id, **changes)
        async with storage.unit_of_work(org_id) as uow:
            await uow.integrations.save_grant(_grant(integration_id=f"integration-{org_id}"))
            someone = _grant(id="grant-2", integration_id=f"integration-{org_id}", subject_index="hash-2")
            await uow.integrations.save_grant(someone)

    found = await storage.grants_of(VENDOR, APP, "hash-1")

    assert sorted(found) == [("a", "grant-1"), ("b", "grant-1"), ("c", "grant-1")]
    assert sorted(await storage.grants_of(VENDOR, "another app", "hash-2")) == [("d", "grant-2")]
    for nobody in (("another", "another app", "hash-1"), (VENDOR, APP, "hash-3"), (VENDOR, APP, "")):
        assert list(await storage.grants_of(*nobody)) == []
