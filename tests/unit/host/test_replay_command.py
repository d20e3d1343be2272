"""`moorage replay`: what an operator types, and what it says."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from moorage import commands, org_commands
from moorage.leads.rehearsing import WouldBecome
from moorage_adapters.cipher import Keyring
from moorage_adapters.clock import SystemClock
from moorage_adapters.sqlmodel.storage import SqlStorage
from moorage_ports.inbox import InboxItem, ItemState, Settlement
from moorage_ports.lead_ledger import LeadEntry, LeadOutcome
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
            await work.lead_ledger.write([_entry(item, state)])
    await storage.aclose()


def _entry(item: InboxItem, state: ItemState) -> LeadEntry:
    """The lead of a change, which is in the CRM if the change is done."""
    is_there = state is ItemState.DONE
    return LeadEntry(
        vendor=item.vendor,
        external_id=f"external-{state.value}",
        form_external_id=f"form-{state.value}",
        outcome=LeadOutcome.STORED if is_there else LeadOutcome.DEAD,
        arrived_at=BEFORE,
        updated_at=BEFORE,
        lead_id="lead-1" if is_there else "",
        item_id=item.id,
    )


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
    told = capsys.readouterr().out.splitlines()
    done = next(line for line in told if "  done  " in line).split()[0]
    assert org_commands.replay(org="acme", id=(done,), dry_run=True, config=config) == 0
    assert "Would be replayed: 1." in capsys.readouterr().out
    assert org_commands.replay(org="acme", id=(done,), state="dead", dry_run=True, config=config) == 0
    assert "Would be replayed: 0." in capsys.readouterr().out


def test_a_dry_run_says_what_would_become_of_leads_w16(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each below its change; narrowed by form and by time."""
    assert org_commands.replay(org="acme", dry_run=True, config=config) == 0
    assert "    lead external-dead: could not be read now: internal" in capsys.readouterr().out, (
        "no such vendor"
    )
    assert org_commands.replay(org="acme", state="done", dry_run=True, form="form-done", config=config) == 0
    assert "    lead external-done: is here already as lead-1\n" in capsys.readouterr().out
    for narrowed in ({"form": "form-done"}, {"until": BEFORE - timedelta(hours=1)}):
        assert org_commands.replay(org="acme", dry_run=True, config=config, **narrowed) == 0
        assert capsys.readouterr().out.endswith("Would be replayed: 0.\n")


@pytest.mark.parametrize(
    ("become", "said"),
    [
        ({"outcome": "stored"}, "would be a lead of its own"),
        ({"outcome": "linked", "into": "l1"}, "would be a lead of its own, linked to l1"),
        ({"outcome": "merged", "into_external_id": "7"}, "would be merged into that of the vendor's lead 7"),
        ({"outcome": "erased"}, "was erased, and would stay so"),
        ({"outcome": "already_there"}, "is here already"),
        (
            {"outcome": "not_read", "error": "not_found", "remedy": "Look."},
            "could not be read now: not_found. Look.",
        ),
    ],
)
def test_every_fate_has_its_words(become: dict[str, str], said: str) -> None:
    would = WouldBecome(external_id="1", form_id="f", **become)
    assert org_commands._fate(would) == said


def test_an_org_that_cannot_be_one_is_refused(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert org_commands.replay(org="a/b", config=config) == 1
    assert "1 to 64" in capsys.readouterr().err
