"""Re-mapping a form's past leads: in pieces, told of, and harmless the second time."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import attrs
import pytest

from moorage.crm.mapping import crm_lead
from moorage.handover.signing import new_secret
from moorage.leads import remapping
from moorage.leads.remapping import RemapOrder, Remapped, remap
from moorage_ports.crm import CrmLead
from moorage_ports.errors import NotFoundError
from moorage_ports.lead_mapping import FormMapping, MappingRule, ValueType
from moorage_ports.lead_source import Answer, Lead, Meaning
from moorage_ports.outgoing import Endpoint, EventType, SigningSecret
from tests.support.harbour import Harbour, harbour
from tests.unit.adapters.conftest import NOON

ORG, FORM = "org-a", "form-1"
COUNT = 2 * remapping.AT_ONCE + 3


@pytest.fixture
async def dock(tmp_path: Path, storage_url: str) -> AsyncIterator[Harbour]:
    """A host that holds leads of one form, a day apart, one of another form, and one without answers."""
    async with harbour(tmp_path, database_url=storage_url) as made:
        async with made.storage.unit_of_work(ORG) as uow:
            await uow.leads.add_all([came(number) for number in range(COUNT)])
            await uow.leads.add(came(COUNT, form="form-2"))
            await uow.leads.add(came(COUNT + 1, answers=()))
        yield made


def came(
    number: int,
    *,
    form: str = FORM,
    answers: tuple[str, ...] = ("correo", "ciudad"),
    mapping_version: int = 0,
) -> CrmLead:
    """A lead as it was mapped by meaning, whichever version it says."""
    meaning = {"correo": Meaning.EMAIL}
    read = Lead(
        external_id=f"{number}",
        channel_external_id="board-1",
        form_external_id=form,
        answers=tuple(
            Answer(name=name, values=(f"{number}@{name}.example",), meaning=meaning.get(name))
            for name in answers
        ),
    )
    at = NOON + timedelta(days=number)
    lead = crm_lead(read, lead_id=f"lead-{number:03}", vendor="memory", now=at)
    return attrs.evolve(lead, mapping_version=mapping_version)


def order(**changes: object) -> RemapOrder:
    return RemapOrder(**{"org_id": ORG, "by": "test", "vendor": "memory", "form_id": FORM, **changes})  # type: ignore[arg-type]


async def save(dock: Harbour, version: int, target: str, *, type: ValueType = ValueType.TEXT) -> None:
    rules = (MappingRule(target=target, sources=("ciudad",), type=type),)
    mapping = FormMapping(vendor="memory", form_external_id=FORM, version=version, rules=rules, saved_at=NOON)
    async with dock.storage.unit_of_work(ORG) as uow:
        assert await uow.lead_mappings.add(mapping)


async def run(dock: Harbour, **changes: object) -> tuple[Remapped, list[int]]:
    """How it ended, and how far each step was."""
    steps = [attrs.evolve(step) async for step in remap(dock.services, order(**changes))]
    return steps[-1], [step.seen for step in steps]


async def companies(dock: Harbour) -> dict[str, str]:
    async with dock.storage.unit_of_work(ORG, reads_only=True) as uow:
        listed = await uow.leads.page(page=1, page_size=200)
    return {lead.id: lead.company for lead in listed.items if lead.company}


async def test_all_of_a_form_are_mapped_in_pieces_and_a_second_time_none(dock: Harbour) -> None:
    await save(dock, 1, "company")
    done, seen = await run(dock)

    assert (done.version, done.total, done.seen) == (1, COUNT + 1, COUNT + 1)
    assert (done.changed, done.without_answers) == (COUNT, 1)
    assert seen == [0, remapping.AT_ONCE, 2 * remapping.AT_ONCE, COUNT + 1]
    assert await companies(dock) == {f"lead-{n:03}": f"{n}@ciudad.example" for n in range(COUNT)}
    again, _ = await run(dock)
    assert (again.seen, again.changed) == (COUNT + 1, 0)


async def test_a_dry_run_counts_and_changes_nothing(dock: Harbour) -> None:
    await save(dock, 1, "company")
    done, _ = await run(dock, dry_run=True)

    assert done.changed == COUNT
    assert await companies(dock) == {}


async def test_only_what_came_since_is_mapped(dock: Harbour) -> None:
    await save(dock, 1, "company")
    done, _ = await run(dock, since=NOON + timedelta(days=COUNT - 2))

    assert (done.total, done.seen, done.changed) == (3, 3, 2)
    assert set(await companies(dock)) == {f"lead-{n:03}" for n in (COUNT - 2, COUNT - 1)}


async def test_a_later_version_takes_over_what_an_earlier_one_filled(dock: Harbour) -> None:
    await save(dock, 1, "company")
    await run(dock)
    await save(dock, 2, "lastName")
    done, _ = await run(dock)

    assert (done.version, done.changed) == (2, COUNT)
    assert await companies(dock) == {}


async def test_who_listens_hears_of_each_that_changed(dock: Harbour) -> None:
    endpoint = Endpoint(
        id="e1",
        url="https://crm.example/hook",
        event_types=(EventType.LEAD_UPDATED,),
        secrets=(SigningSecret(value=new_secret()),),
        created_at=NOON,
        updated_at=NOON,
    )
    async with dock.storage.unit_of_work(ORG) as uow:
        await uow.outgoing.save_endpoint(endpoint)
    await save(dock, 1, "company")
    await run(dock)
    await run(dock)

    async with dock.storage.unit_of_work(ORG, reads_only=True) as uow:
        told = (await uow.outgoing.handovers("e1", page=1, page_size=500)).items
    assert len(told) == COUNT


async def test_a_form_without_a_mapping_is_named(dock: Harbour) -> None:
    with pytest.raises(NotFoundError):
        await run(dock, form_id="form-2")
