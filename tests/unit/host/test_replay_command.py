"""`moorage replay`: what an operator types, and what it says."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from moorage import commands, org_commands
from moorage_adapters.cipher import Keyring
from moorage_adapters.clock import SystemClock
from moorage_adapters.sqlmodel.storage import SqlStorage
from moorage_ports.inbox import ItemState, Settlement
from moorage_ports.testing.holding import arrival, change, hold

BEFORE = datetime.now(UTC) - timedelta(hours=1)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Settings of a host whose org `acme` has one dead change and one that is done."""
    path = tmp_path / "moorage.toml"
    path.write_text(
        'public_url = "http://127.0.0.1:8080"\n'
        f'keyring_file = "{tmp_path / "keyring.json"}"\ndatabase_url = "sqlite:///{tmp_path / "m.sqlite3"}"\n'
        'state_secret = "Zt2Ls8Rw5Yb1Nc4Hd6GpUaEeTq3Xo9Ik2Vz7"\n'
        '[jwt]\nsecret = "k9f3Jx0vQm7Zt2Ls8Rw5Yb1Nc4Hd6GpUaEe"\n'
    )
    assert commands.create_keys(tmp_path / "keyring.json") == 0
    assert commands.migrate(config=path) == 0
    asyncio.run(_seed(tmp_path))
    return path


async def _storage(folder: Path) -> SqlStorage:
    keyring = Keyring.load(folder / "keyring.json")
    return await SqlStorage.open(f"sqlite:///{folder / 'm.sqlite3'}", keyring, SystemClock())


async def _seed(folder: Path) -> None:
    storage = await _storage(folder)
    await hold(storage, "acme", "board-1")
    for key, state in (("one", ItemState.DEAD), ("two", ItemState.DONE)):
        await storage.intake.keep(arrival(change(key)))
        ((_, bucket),) = await storage.backlog.pending_groups(BEFORE)
        async with storage.unit_of_work("acme") as work:
            (item,) = await work.inbox.claim(bucket, limit=1, now=BEFORE)
            settlement = Settlement(item=item, state=state, error="not_found")
            assert await work.inbox.settle([settlement], now=BEFORE) == (True,)
    await storage.aclose()


async def _pending(folder: Path) -> int:
    storage = await _storage(folder)
    count = await storage.backlog.pending_count()
    await storage.aclose()
    return count


def test_a_dry_run_lists_and_changes_nothing_w16(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert org_commands.replay(org="acme", dry_run=True, config=config) == 0

    told = capsys.readouterr().out
    assert "dead" in told
    assert "not_found" in told
    assert told.endswith("Would be replayed: 1.\n")
    assert asyncio.run(_pending(tmp_path)) == 0


def test_what_is_dead_is_replayed_and_audited_w16(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line for people, one for the log."""
    capsys.readouterr()
    assert org_commands.replay(org="acme", config=config) == 0

    told = capsys.readouterr()
    assert "Replayed: 1." in told.out
    lines = [json.loads(line) for line in (told.out + told.err).splitlines() if line.startswith("{")]
    (audited,) = [line for line in lines if line["event"] == "replayed"]
    assert (audited["org"], audited["count"]) == ("acme", 1)
    assert audited["by"].startswith("cli:")
    assert asyncio.run(_pending(tmp_path)) == 1


def test_ids_and_states_say_which_w16(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    org_commands.replay(org="acme", state="done", dry_run=True, config=config)
    done = capsys.readouterr().out.splitlines()[-2].split()[0]
    assert org_commands.replay(org="acme", id=(done,), dry_run=True, config=config) == 0
    assert "Would be replayed: 1." in capsys.readouterr().out
    assert org_commands.replay(org="acme", id=(done,), state="dead", dry_run=True, config=config) == 0
    assert "Would be replayed: 0." in capsys.readouterr().out


def test_an_org_that_cannot_be_one_is_refused(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert org_commands.replay(org="a/b", config=config) == 1
    assert "1 to 64" in capsys.readouterr().err
