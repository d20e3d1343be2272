"""`moorage remap`: past leads by the current mapping, from the command line."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from moorage import org_commands
from moorage.crm.mapping import crm_lead
from moorage_adapters.cipher import Keyring
from moorage_adapters.clock import SystemClock
from moorage_adapters.sqlmodel.storage import SqlStorage
from moorage_ports.lead_mapping import FormMapping, MappingRule
from moorage_ports.lead_source import Answer, Lead
from tests.unit.host.test_replay_command import config

__all__ = ["config"]

NOON = datetime(2030, 6, 1, 12, tzinfo=UTC)
MAPPING = FormMapping(
    vendor="facebook",
    form_external_id="form-1",
    version=1,
    rules=(MappingRule(target="company", sources=("firm",)),),
    saved_at=NOON,
)


async def _opened(folder: Path) -> SqlStorage:
    keyring = Keyring.load(folder / "keyring.json")
    return await SqlStorage.open(f"sqlite:///{folder / 'm.sqlite3'}", keyring, SystemClock())


@pytest.fixture
def seeded(config: Path, tmp_path: Path) -> Path:
    """Two leads of a form of `acme` that has a mapping since."""

    async def seed() -> None:
        storage = await _opened(tmp_path)
        async with storage.unit_of_work("acme") as uow:
            for number in range(2):
                read = Lead(
                    external_id=f"{number}",
                    channel_external_id="1",
                    form_external_id="form-1",
                    answers=(Answer(name="firm", values=(f"Reed {number}",)),),
                )
                await uow.leads.add(crm_lead(read, lead_id=f"l{number}", vendor="facebook", now=NOON))
            assert await uow.lead_mappings.add(MAPPING)
        await storage.aclose()

    asyncio.run(seed())
    return config


def companies(folder: Path) -> list[str]:
    async def read() -> list[str]:
        storage = await _opened(folder)
        async with storage.unit_of_work("acme", reads_only=True) as uow:
            found = (await uow.leads.page(page=1, page_size=10)).items
        await storage.aclose()
        return sorted(lead.company for lead in found)

    return asyncio.run(read())


def test_past_leads_are_mapped_and_counted(
    seeded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert org_commands.remap(org="acme", form="form-1", vendor="facebook", dry_run=True, config=seeded) == 0
    assert "2 would change" in capsys.readouterr().out
    assert companies(tmp_path) == ["", ""]
    assert org_commands.remap(org="acme", form="form-1", vendor="facebook", config=seeded) == 0
    said = capsys.readouterr()
    assert said.out == "Version 1: 2 leads seen, 2 changed, 0 without answers to map.\n"
    assert "Mapping leads" in said.err, "a bar shows how far it is"
    assert companies(tmp_path) == ["Reed 0", "Reed 1"]


def test_a_bound_is_in_utc(seeded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    late = datetime(2030, 6, 1, 12, 0, 1)  # noqa: DTZ001 - as the command line has it
    assert org_commands.remap(org="acme", form="form-1", vendor="facebook", since=late, config=seeded) == 0
    assert "0 leads seen" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"org": "../acme"}, "org"),
        ({"vendor": "nobody"}, "no installed vendor answers"),
        ({"form": "form-2"}, "no mapping. Save a mapping for the form first"),
    ],
)
def test_what_is_not_there_is_said_in_a_sentence(
    seeded: Path, capsys: pytest.CaptureFixture[str], wrong: dict[str, str], named: str
) -> None:
    asked = {"org": "acme", "form": "form-1", "vendor": "facebook", **wrong}
    assert org_commands.remap(**asked, config=seeded) != 0  # type: ignore[arg-type]
    assert named in capsys.readouterr().err
