"""A host with an admin account, and browsers in front of it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from moorage.admin.sessions import open_session
from moorage_adapters.memory.world import CAFE
from moorage_ports.accounts import Account
from moorage_ports.operations import Role
from tests.support.harbour import ADMIN, Harbour, harbour
from tests.support.visitor import PASSWORD, Browser, browser_of


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Harbour]:
    async with harbour(tmp_path) as made:
        yield made


@pytest.fixture(scope="session")
def password_hash() -> str:
    """Made once: it is slow on purpose."""
    return PasswordHasher().hash(PASSWORD)


@pytest.fixture
async def account(host: Harbour, password_hash: str) -> Account:
    account = Account(
        id="account-1",
        org_id=ADMIN.org_id,
        email="boss@a.example",
        password_hash=password_hash,
        role=Role.ADMIN,
    )
    await host.storage.accounts.save(account)
    return account


@pytest.fixture
async def stranger(host: Harbour) -> AsyncIterator[Browser]:
    """A browser that nobody signed in with."""
    browser = browser_of(host)
    yield browser
    await browser.http.aclose()


@pytest.fixture
async def admin(host: Harbour, account: Account) -> AsyncIterator[Browser]:
    """A browser in which the org's admin is signed in (how that goes is `test_sessions`' matter)."""
    browser = browser_of(host)
    _, token = await open_session(host.services, account)
    browser.http.cookies.set("moorage_session", token, domain="127.0.0.1", path="/")
    yield browser
    await browser.http.aclose()


@pytest.fixture
async def connected(host: Harbour) -> None:
    """A channel of the made-up vendor, chosen: its forms and leads are there."""
    await host.connect()
    await host.select(CAFE.id)
