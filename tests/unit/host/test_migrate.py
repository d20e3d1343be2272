"""`moorage migrate` with an owner of its own: the host's login works, and owns nothing."""

from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest
from sqlalchemy import text

from moorage.bootstrap import migrate
from moorage.settings import load_settings
from moorage.vendors import Vendors
from moorage_adapters.cipher import Keyring
from moorage_adapters.clock import SystemClock
from moorage_adapters.sqlmodel.storage import SqlStorage
from tests.support.databases import Databases
from tests.support.hosting import HostPlan

HOST_LOGIN = "moorage_test_host"
MADE = f"""DO $$ BEGIN CREATE ROLE {HOST_LOGIN} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$"""


def _as(url: str, login: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{login}@{parts.hostname}:{parts.port}"))


@pytest.mark.postgres
async def test_a3_the_owner_migrates_and_the_host_works(databases: Databases, tmp_path: Path) -> None:
    """A3: two URLs, two logins; the one that serves can read and write, and no table is its own."""
    owner_url = await databases.empty()
    await databases.execute(MADE)
    plan = HostPlan(folder=tmp_path, database_url=_as(owner_url, HOST_LOGIN))
    given = {k: v for k, v in plan.environment(8080).items() if "_FACEBOOK_" not in k}
    settings = load_settings(Vendors({}), environ={**given, "MOORAGE_DATABASE_OWNER_URL": owner_url})

    await migrate(settings)

    assert "moorage_owner" not in settings.fingerprints()["database_owner_url"]
    storage = await SqlStorage.open(settings.database_url, Keyring.load(plan.keyring_file), SystemClock())
    try:
        await storage.ping()
        async with storage.unit_of_work("org-a") as work:
            assert await work.integrations.all() == ()
        owned = text("SELECT count(*) FROM pg_tables WHERE tableowner = current_user")
        assert await storage.database.read_at_once(lambda c: int(c.execute(owned).scalar_one())) == 0
    finally:
        await storage.aclose()
        await databases.give_back(owner_url)
