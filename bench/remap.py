"""Past leads mapped anew: `moorage remap`, as a command, over a seeded database of each kind.

`python -m bench.remap [--count 10000] [--database sqlite]`. Prints how long the command took, and answers
whether every lead is as the new version makes it.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.databases import KINDS, databases
from moorage.crm.mapping import crm_lead
from moorage_adapters.sqlmodel.storage import SqlStorage
from moorage_ports.crm import CrmLead, LeadFilter
from moorage_ports.lead_mapping import FormMapping, MappingRule, NamePart, ValueType
from moorage_ports.lead_source import Answer, Lead, Meaning
from tests.support.demo import free_port
from tests.support.hosting import HostPlan

ORG, PAGE, FORM, VENDOR = "remap", "1234567890", "920180045512345", "facebook"
AT_ONCE = 500
RULES = (
    MappingRule(target="email", sources=("email",), type=ValueType.EMAIL),
    MappingRule(target="firstName", sources=("nombre_completo",), part=NamePart.FIRST),
    MappingRule(target="lastName", sources=("nombre_completo",), part=NamePart.LAST),
    MappingRule(target="phone", sources=("teléfono",), type=ValueType.PHONE),
    MappingRule(target="properties.budget", sources=("presupuesto",), type=ValueType.NUMBER),
    MappingRule(target="company", constant="Acme"),
)


def lead(number: int) -> CrmLead:
    """A lead as it was mapped by meaning when it came."""
    answers = (
        Answer(name="email", values=(f"{number}@mail.example",), meaning=Meaning.EMAIL),
        Answer(name="nombre_completo", values=(f"Mei Number{number}",)),
        Answer(name="teléfono", values=(f"0151{number:08}",)),
        Answer(name="presupuesto", values=(f"{number},50",)),
        Answer(name="ciudad", values=("Rosario",)),
    )
    read = Lead(external_id=str(number), channel_external_id=PAGE, form_external_id=FORM, answers=answers)
    return crm_lead(read, lead_id=f"ld_{number:012}", vendor=VENDOR, now=datetime.now(UTC))


async def seed(plan: HostPlan, count: int) -> None:
    """An org with so many leads, and a mapping that none of them knows."""
    await plan.seed({ORG: [PAGE]})
    storage = await plan.storage()
    mapping = FormMapping(
        vendor=VENDOR,
        form_external_id=FORM,
        version=1,
        rules=RULES,
        region="DE",
        saved_by="bench",
        saved_at=datetime.now(UTC),
    )
    for start in range(0, count, AT_ONCE):
        async with storage.unit_of_work(ORG) as uow:
            await uow.leads.add_all([lead(n) for n in range(start, min(start + AT_ONCE, count))])
    async with storage.unit_of_work(ORG) as uow:
        await uow.lead_mappings.add(mapping)
    await storage.aclose()


async def are_mapped(storage: SqlStorage, count: int) -> bool:
    """Whether all of them are by the new version, with nothing lost."""
    after, seen = "", 0
    while True:
        async with storage.unit_of_work(ORG, reads_only=True) as uow:
            leads = await uow.leads.of_form(VENDOR, FORM, after, AT_ONCE)
        if not leads:
            break
        seen += sum(
            one.mapping_version == 1
            and (one.first_name, one.company, one.properties["ciudad"]) == ("Mei", "Acme", ("Rosario",))
            and one.phone.startswith("+49")
            for one in leads
        )
        after = leads[-1].id
    async with storage.unit_of_work(ORG, reads_only=True) as uow:
        total = (await uow.leads.page(page=1, page_size=1, where=LeadFilter(form_id=FORM))).total
    return seen == total == count


def run(name: str, url: str, folder: Path, count: int) -> bool:
    """One database."""
    plan = HostPlan(folder=folder, database_url=url)
    asyncio.run(seed(plan, count))
    command = [sys.executable, "-m", "moorage", "remap", "--org", ORG, "--form", FORM, "--vendor", VENDOR]
    began = time.monotonic()
    subprocess.run(command, env={**os.environ, **plan.environment(free_port())}, check=True)
    took = time.monotonic() - began

    async def check() -> bool:
        storage = await plan.storage()
        try:
            return await are_mapped(storage, count)
        finally:
            await storage.aclose()

    whole = asyncio.run(check())
    print(f"remap {name}: {count} leads in {took:.1f} s ({count / took:.0f}/s), all as mapped: {whole}")
    return whole


def measure(argv: Sequence[str] | None = None) -> bool:
    """Run on the databases asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench.remap", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--database", choices=KINDS, action="append")
    given = parser.parse_args(argv)
    whole = True
    for name, url, folder in databases(given.database):
        whole &= run(name, url, folder, given.count)
    return whole


if __name__ == "__main__":
    raise SystemExit(0 if measure() else 1)
