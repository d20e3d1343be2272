"""Which app serves whom, and what a delivery costs: no read for shared apps, no stale secret after 5 s."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import cast

import attrs
import pytest

from moorage.apps import LOOK_AGAIN, TRUSTED_FOR, OrgApps, secret_ref
from moorage.operations.saving import PREVIOUS_SECRET_LIVES, SaveIntegration, save_integration
from moorage_adapters.sqlmodel.storage import SqlStorage
from moorage_ports.errors import UnavailableError
from moorage_ports.secret import Secret
from moorage_ports.storage import Storage
from moorage_ports.webhooks import VendorApp
from tests.support.harbour import Harbour, harbour
from tests.support.ownership import admin, bring

ORG = "north"


@attrs.define
class Watch:
    """Seconds as a test wants them."""

    seconds: float = 1000.0

    def __call__(self) -> float:
        return self.seconds


@attrs.define(slots=False)
class Counted:
    """A storage that counts how often it is asked about apps, and can be out of reach."""

    inner: SqlStorage
    looks: int = 0
    units: int = 0
    is_down: bool = False

    async def own_app_marks(self) -> Mapping[tuple[str, str], str]:
        self.looks += 1
        if self.is_down:
            msg = "down"
            raise UnavailableError(msg)
        return await self.inner.own_app_marks()

    def unit_of_work(self, org_id: str, *, reads_only: bool = False) -> object:
        self.units += 1
        return self.inner.unit_of_work(org_id, reads_only=reads_only)


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Harbour]:
    async with harbour(tmp_path) as made:
        yield made


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def counted(host: Harbour) -> Counted:
    return Counted(host.storage)


@pytest.fixture
def apps(host: Harbour, counted: Counted, watch: Watch) -> OrgApps:
    """Another process's view of the same storage."""
    services = host.services
    return OrgApps(services.settings, services.vendors, cast("Storage", counted), host.clock, seconds=watch)


def secrets_of(apps: tuple[VendorApp, ...]) -> list[Secret]:
    return [secret for app in apps for secret in app.secrets]


async def test_a_delivery_for_the_shared_app_reads_nothing(
    host: Harbour, apps: OrgApps, counted: Counted
) -> None:
    for _ in range(100):
        assert await apps.signing(host.vendor, None) == (host.world.app,)
    assert (counted.looks, counted.units) == (0, 0)


async def test_addresses_of_many_orgs_read_once_in_a_while(
    host: Harbour, apps: OrgApps, counted: Counted, watch: Watch
) -> None:
    """A flood of invented orgs costs the database nothing, and an own app's secrets are opened once."""
    own = host.world.register_app("own")
    await bring(host, ORG, own)
    for number in range(200):
        await apps.signing(host.vendor, f"org-{number}")
        await apps.signing(host.vendor, ORG)
    assert (counted.looks, counted.units) == (1, 1)

    watch.seconds += LOOK_AGAIN + 0.1
    for _ in range(20):
        await apps.signing(host.vendor, ORG)
        await asyncio.sleep(0)
    assert counted.looks == 2
    assert counted.units == 1


async def test_no_org_can_be_told_from_an_unknown_one_w10(host: Harbour, apps: OrgApps) -> None:
    """W10: as many secrets to try for nobody, for an org without an app, with one, and in rotation."""
    own = host.world.register_app("own")
    await host.connect(admin("east"))
    await bring(host, ORG, own)
    await bring(host, "south", host.world.register_app("second"))
    await bring(host, "south", host.world.renew_secret("second"))

    tried = {org: await apps.signing(host.vendor, org) for org in ("nobody", "east", ORG, "south")}

    assert {len(each) for each in tried.values()} == {2}
    assert {len(secrets_of(each)) for each in tried.values()} == {3}
    assert {len(secret.reveal()) > 20 for each in tried.values() for secret in secrets_of(each)} == {True}
    assert tried["nobody"] == tried["east"]
    assert own.secret in secrets_of(tried[ORG])


async def test_a_change_elsewhere_counts_within_five_seconds_w9(
    host: Harbour, apps: OrgApps, watch: Watch
) -> None:
    """W9: brought, rotated and taken away in another process."""
    assert len(secrets_of(await apps.signing(host.vendor, ORG))) == 3
    own = host.world.register_app("own")
    await bring(host, ORG, own)

    async def known() -> list[Secret]:
        watch.seconds += TRUSTED_FOR
        return secrets_of(await apps.signing(host.vendor, ORG))

    assert own.secret in await known()
    fresh = host.world.renew_secret("own")
    await bring(host, ORG, fresh)
    assert {own.secret, fresh.secret} <= set(await known())
    await save_integration(host.services, admin(ORG), SaveIntegration(vendor="memory", use_shared_app=True))
    assert not {own.secret, fresh.secret} & set(await known())


async def test_a_change_here_counts_at_once(host: Harbour) -> None:
    apps = host.services.apps
    own = host.world.register_app("own")
    await apps.signing(host.vendor, ORG)

    await bring(host, ORG, own)

    assert own.secret in secrets_of(await apps.signing(host.vendor, ORG))


async def test_the_secret_before_ends_by_itself_w9(host: Harbour) -> None:
    """W9: two live secrets with dates; after the window only the new one is tried."""
    old = host.world.register_app("own")
    await bring(host, ORG, old)
    fresh = host.world.renew_secret("own")
    await bring(host, ORG, fresh)
    apps = host.services.apps

    assert (await apps.for_org(host.vendor, ORG)).secrets == (fresh.secret, old.secret)
    host.clock.advance(PREVIOUS_SECRET_LIVES - timedelta(seconds=1))
    assert old.secret in secrets_of(await apps.signing(host.vendor, ORG))
    host.clock.advance(timedelta(seconds=1))
    assert old.secret not in secrets_of(await apps.signing(host.vendor, ORG))
    assert fresh.secret in secrets_of(await apps.signing(host.vendor, ORG))
    assert (await apps.for_org(host.vendor, ORG)).secrets == (fresh.secret,)


async def test_while_the_database_is_away_nothing_old_is_trusted(
    host: Harbour, apps: OrgApps, counted: Counted, watch: Watch
) -> None:
    """A delivery that can't be judged is one that can't be stored either: 503, and the vendor comes back."""
    await bring(host, ORG, host.world.register_app("own"))
    await apps.signing(host.vendor, ORG)
    counted.is_down = True

    watch.seconds += LOOK_AGAIN
    await apps.signing(host.vendor, ORG)
    await asyncio.sleep(0.01)
    watch.seconds += TRUSTED_FOR
    with pytest.raises(UnavailableError):
        await apps.signing(host.vendor, ORG)
    assert await apps.signing(host.vendor, None) == (host.world.app,)


async def test_an_app_that_does_not_open_is_never_replaced_by_the_operators(host: Harbour) -> None:
    """Its signatures count for nothing, and calls wait: another app's calls would end the grant."""
    own = host.world.register_app("own")
    await bring(host, ORG, own)
    async with host.storage.unit_of_work(ORG) as uow:
        await uow.secrets("memory").forget(owner_type=secret_ref("own").owner_type, owner_id="own")
    apps = host.services.apps
    apps.forget(host.vendor, ORG)

    assert own.secret not in secrets_of(await apps.signing(host.vendor, ORG))
    with pytest.raises(UnavailableError):
        await apps.for_org(host.vendor, ORG)


async def test_a_look_that_began_before_a_change_is_not_believed(
    host: Harbour, counted: Counted, apps: OrgApps
) -> None:
    """The change happens while the revisions are being read: they are read again."""
    own = host.world.register_app("own")
    reading, changed = asyncio.Event(), asyncio.Event()
    look = counted.own_app_marks

    async def slow() -> Mapping[tuple[str, str], str]:
        marks = await look()
        if counted.looks == 1:
            reading.set()
            await changed.wait()
        return marks

    counted.own_app_marks = slow  # type: ignore[method-assign]
    asking = asyncio.create_task(apps.signing(host.vendor, ORG))
    await reading.wait()
    await bring(host, ORG, own)
    apps.forget(host.vendor, ORG)
    changed.set()

    assert own.secret in secrets_of(await asking)
