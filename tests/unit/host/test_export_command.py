"""`moorage export`: leads on standard output, and nothing else there."""

import asyncio
import csv
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from moorage import org_commands
from moorage_adapters.cipher import Keyring
from moorage_adapters.clock import SystemClock
from moorage_adapters.sqlmodel.storage import SqlStorage
from tests.unit.adapters.things import lead
from tests.unit.host.test_replay_command import config

__all__ = ["config"]

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def seeded(config: Path, tmp_path: Path) -> Path:
    """Two leads of `acme`, a day apart, of different forms."""

    async def seed() -> None:
        keyring = Keyring.load(tmp_path / "keyring.json")
        storage = await SqlStorage.open(f"sqlite:///{tmp_path / 'm.sqlite3'}", keyring, SystemClock())
        async with storage.unit_of_work("acme") as uow:
            await uow.leads.add(lead(1, created_at=LONG_AGO, form_id="form-1", first_name="Äda"))
            await uow.leads.add(lead(2, created_at=LONG_AGO + timedelta(days=1), form_id="form-2"))
        await storage.aclose()

    asyncio.run(seed())
    return config


def test_leads_are_printed_as_csv_and_nothing_else(
    seeded: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert org_commands.export(org="acme", config=seeded) == 0
    printed = capfdbinary.readouterr().out.decode()
    rows = list(csv.DictReader(io.StringIO(printed, newline=""), strict=True))
    assert [(row["id"], row["firstName"]) for row in rows] == [("lead-1", "Äda"), ("lead-2", "")]


def test_leads_are_printed_as_json_lines_within_bounds(
    seeded: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    def ids(**bounds: object) -> list[str]:
        assert org_commands.export(org="acme", format="jsonl", config=seeded, **bounds) == 0  # type: ignore[arg-type]
        return [json.loads(line)["id"] for line in capfdbinary.readouterr().out.splitlines()]

    assert ids() == ["lead-1", "lead-2"]
    assert ids(form="form-2") == ["lead-2"]
    assert ids(since=datetime(2020, 1, 2)) == ["lead-2"]  # noqa: DTZ001 - as the command line has it
    assert ids(until=datetime(2020, 1, 2)) == ["lead-1"]  # noqa: DTZ001


def test_who_is_not_here_is_said_and_an_empty_form_is_no_mistake(
    seeded: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert org_commands.export(org="nobody", config=seeded) == 1
    printed = capfdbinary.readouterr()
    assert printed.out == b"", "no header either: whoever reads the file would take it for a whole one"
    assert b"There is nothing of nobody here." in printed.err
    assert org_commands.export(org="acme", form="form-3", format="jsonl", config=seeded) == 0
    assert capfdbinary.readouterr().out == b""


def test_an_org_that_is_none_is_refused(seeded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert org_commands.export(org="../acme", config=seeded) == 1
    assert "org" in capsys.readouterr().err
