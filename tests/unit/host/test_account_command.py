"""`moorage create-account`: somebody can sign in afterwards, and no password is an argument."""

import asyncio
import io
from pathlib import Path

import pytest

from moorage import org_commands
from moorage.admin.accounts import Passwords
from moorage_adapters.cipher import Keyring
from moorage_adapters.clock import SystemClock
from moorage_adapters.sqlmodel.storage import SqlStorage
from moorage_ports.accounts import Account
from moorage_ports.operations import Role
from tests.unit.host.test_replay_command import config

__all__ = ["config"]

EMAIL = "ada@acme.example"
LONG_ENOUGH = "correct horse battery"


def account_of(config: Path) -> Account | None:
    async def look() -> Account | None:
        folder = config.parent
        keyring = Keyring.load(folder / "keyring.json")
        storage = await SqlStorage.open(f"sqlite:///{folder / 'm.sqlite3'}", keyring, SystemClock())
        try:
            return await storage.accounts.by_email(EMAIL)
        finally:
            await storage.aclose()

    return asyncio.run(look())


def signs_in(config: Path, password: str) -> bool:
    return asyncio.run(Passwords().check(account_of(config), password))


class Terminal(io.StringIO):
    """Standard input with somebody before it."""

    def isatty(self) -> bool:
        return True


def types(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    """What somebody types at a prompt that does not show it."""
    waiting = list(lines)
    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("getpass.getpass", lambda _prompt: waiting.pop(0))


def test_a_password_may_be_piped_in_and_is_set_anew_by_another_call(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{LONG_ENOUGH}\nand more\n"))
    assert org_commands.create_account(org="acme", email=EMAIL, config=config) == 0
    said = capsys.readouterr().out
    assert "http://127.0.0.1:8080/admin" in said
    assert LONG_ENOUGH not in said
    account = account_of(config)
    assert account is not None
    assert (account.org_id, account.role) == ("acme", Role.ADMIN)
    assert signs_in(config, LONG_ENOUGH)

    monkeypatch.setattr("sys.stdin", io.StringIO(f"{LONG_ENOUGH} staple\n"))
    assert org_commands.create_account(org="acme", email=EMAIL.upper(), role=Role.VIEWER, config=config) == 0
    again = account_of(config)
    assert again is not None
    assert (again.id, again.role) == (account.id, Role.VIEWER)
    assert not signs_in(config, LONG_ENOUGH)


def test_a_password_is_typed_twice(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    types(monkeypatch, LONG_ENOUGH, f"{LONG_ENOUGH}!")
    assert org_commands.create_account(org="acme", email=EMAIL, config=config) == 1
    assert "No account was made" in capsys.readouterr().err
    assert account_of(config) is None

    types(monkeypatch, LONG_ENOUGH, LONG_ENOUGH)
    assert org_commands.create_account(org="acme", email=EMAIL, config=config) == 0
    assert signs_in(config, LONG_ENOUGH)


def test_a_password_that_is_made_is_printed_and_works(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert org_commands.create_account(org="acme", email=EMAIL, make_password=True, config=config) == 0
    printed = capsys.readouterr().out
    assert signs_in(config, printed.rpartition("Password: ")[2].strip())


@pytest.mark.parametrize(("email", "password"), [(EMAIL, "short"), (EMAIL, ""), ("nobody", LONG_ENOUGH)])
def test_what_is_no_account_says_what_it_lacks(
    email: str,
    password: str,
    config: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(password))
    assert org_commands.create_account(org="acme", email=email, config=config) == 3
    assert "must" in capsys.readouterr().err
    assert account_of(config) is None


def test_nobody_is_moved_to_another_org(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for org, ends_with in (("acme", 0), ("other", 1)):
        monkeypatch.setattr("sys.stdin", io.StringIO(LONG_ENOUGH))
        assert org_commands.create_account(org=org, email=EMAIL, config=config) == ends_with
    assert "signs in for acme" in capsys.readouterr().err
    account = account_of(config)
    assert account is not None
    assert account.org_id == "acme"
