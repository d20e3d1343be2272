"""The command line, as an operator meets it."""

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

from moorage import commands
from moorage.auth import TokenVerifier
from moorage.cli import app
from moorage.settings import load_settings
from moorage.vendors import installed_vendors
from moorage_adapters.cipher import Keyring
from moorage_adapters.clock import SystemClock
from moorage_adapters.sqlmodel.storage import SqlStorage
from moorage_ports.operations import Role
from moorage_ports.secret import Secret
from moorage_ports.secret_store import SecretRef


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the environment that runs the tests counts."""
    for name in [name for name in os.environ if name.startswith("MOORAGE_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A file with all that a host needs."""
    path = tmp_path / "moorage.toml"
    path.write_text(
        'public_url = "http://127.0.0.1:8080"\n'
        f'keyring_file = "{tmp_path / "keyring.json"}"\ndatabase_url = "sqlite:///{tmp_path / "m.sqlite3"}"\n'
        'state_secret = "Zt2Ls8Rw5Yb1Nc4Hd6GpUaEeTq3Xo9Ik2Vz7"\n'
        '[jwt]\nsecret = "k9f3Jx0vQm7Zt2Ls8Rw5Yb1Nc4Hd6GpUaEe"\n'
    )
    return path


def test_a_token_from_the_command_line_is_one_we_accept(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert commands.token(org="org-a", user="ada", role=Role.AGENT, ttl=60, config=config) == 0

    settings = load_settings(installed_vendors(), environ={}, config=config)
    claims = TokenVerifier(settings.jwt, SystemClock()).verify(capsys.readouterr().out.strip().encode())
    assert (claims.subject, claims.orgs, claims.role) == ("ada", frozenset({"org-a"}), Role.AGENT)


def test_a_token_that_would_not_be_accepted_is_not_made(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert commands.token(org="org-a", ttl=3601, config=config) == 1
    assert commands.token(org="org a", config=config) == 1

    told = capsys.readouterr()
    assert told.out == ""
    assert "at most 1:00:00" in told.err


def test_check_config_prints_no_secret(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """L8: safe to paste into a ticket."""
    assert commands.check_config(config=config) == 0

    shown = capsys.readouterr().out
    assert "state_secret = set, 36 characters, sha256 " in shown
    assert "Zt2Ls8" not in shown
    assert "k9f3Jx" not in shown


def test_settings_that_do_not_hold_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.check_config() == 2
    assert commands.serve() == 2

    assert capsys.readouterr().err.count("MOORAGE_PUBLIC_URL is missing") == 2


def test_keys_then_migrate_then_ready(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From nothing to a database that the host starts on; a second keyring never replaces the first."""
    assert commands.serve(config=config) == 3
    assert commands.create_keys(tmp_path / "keyring.json") == 0
    before = (tmp_path / "keyring.json").read_bytes()
    assert commands.create_keys(tmp_path / "keyring.json") == 1
    assert commands.serve(config=config) == 3
    assert commands.migrate(config=config) == 0

    told = capsys.readouterr()
    assert (tmp_path / "keyring.json").read_bytes() == before
    assert (tmp_path / "keyring.json").stat().st_mode & 0o077 == 0
    assert "no mode without encryption" in told.err
    assert "run `moorage migrate`; nothing was written. Try again" in told.err, "sentences"
    assert "The database is at version" in told.out


async def test_help_comes_without_importing_the_host() -> None:
    """`moorage --help` reads only the command line's own module."""
    heavy = {"litestar", "sqlalchemy", "httpx", "uvicorn"}
    probe = f"import sys, moorage.cli; print(','.join({heavy} & set(sys.modules)))"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", probe, stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await process.communicate()

    assert printed.strip() == b""


def test_workers_beside_a_server_need_postgresql(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On SQLite two processes would work on the same groups at once."""
    assert commands.worker(config=config) == 2
    assert "Workers share a PostgreSQL" in capsys.readouterr().err


def test_the_commands_that_pages_name_exist() -> None:
    """A page that shows a command shows one that can be run."""
    root = Path(__file__).parents[3]
    pages = [root / "README.md", *(root / "docs").rglob("*.md")]
    blocks = [
        block for page in pages for block in re.findall(r"```sh\n(.*?)```", page.read_text(), re.DOTALL)
    ]
    named = {word for block in blocks for word in re.findall(r"^moorage ([a-z-]+)", block, re.MULTILINE)}
    assert {"serve", "worker", "migrate"} <= named
    assert named <= set(app)


# Keys --------------------------------------------------------------------------------------------


async def _seal(config: Path, *orgs: str) -> None:
    """What a host does when these organisations connect."""
    settings = load_settings(installed_vendors(), environ={}, config=config)
    storage = await SqlStorage.open(settings.database_url, Keyring.load(settings.keyring_file), SystemClock())
    for org in orgs:
        await storage.secrets(org, "quay").put(
            SecretRef(owner_type="channel", owner_id="1", field="token"), Secret(org)
        )
    await storage.aclose()


def test_v3_keys_rotate_says_what_it_did_and_what_to_keep(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ring = config.with_name("keyring.json")
    commands.create_keys(ring)
    commands.migrate(config=config)
    asyncio.run(_seal(config, "a", "b"))
    capsys.readouterr()

    assert commands.rotate_keys(config=config) == 0

    told = capsys.readouterr().out
    assert "k2 wraps all data keys now; 4 were wrapped anew." in told
    assert "Keep k1" in told
    assert Keyring.load(ring).primary == "k2"
    asyncio.run(_seal(config, "a", "c"))


def test_v3_keys_rotate_finishes_what_was_begun_before_it_begins_anew(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Interrupted after the key was made, or made with `--add-only` so that every machine has it first."""
    commands.create_keys(config.with_name("keyring.json"))
    commands.migrate(config=config)
    asyncio.run(_seal(config, "a"))
    assert commands.rotate_keys(add_only=True, config=config) == 0
    assert "k2 is in the keyring" in capsys.readouterr().out

    assert commands.rotate_keys(config=config) == 0
    told = capsys.readouterr().out
    assert "k2 wraps all data keys now; 2 were wrapped anew." in told
    assert "finished an earlier rotation" in told

    assert commands.rotate_keys(config=config) == 0
    assert "k3 wraps all data keys now; 2 were wrapped anew." in capsys.readouterr().out


def test_v3_a_key_that_is_missing_is_told_and_nothing_is_lost(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ring = config.with_name("keyring.json")
    commands.create_keys(ring)
    commands.migrate(config=config)
    asyncio.run(_seal(config, "a"))
    saved = ring.read_bytes()
    ring.unlink()
    Keyring.create(config.with_name("other.json")).with_new_primary("k9").without("k1").save(ring)

    assert commands.rotate_keys(config=config) != 0
    assert "put it back" in capsys.readouterr().err

    ring.unlink()
    ring.write_bytes(saved)
    ring.chmod(0o400)
    assert commands.rotate_keys(config=config) == 0


def test_keys_without_a_keyring_are_a_sentence(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for add_only in (False, True):
        assert commands.rotate_keys(add_only=add_only, config=config) != 0
        assert "cannot be read" in capsys.readouterr().err
