"""What mapping a lead had trouble with stays with it: from the mapping to the trace and the form's counts."""

from typing import Any

import pytest

from moorage_adapters.memory.world import NEWSLETTER
from moorage_ports.lead_mapping import FormMapping, MappingRule, ValueType
from tests.support.crm import read
from tests.support.harbour import ADMIN, Harbour

RULES = (
    MappingRule(target="email", sources=("email",), type=ValueType.EMAIL),
    MappingRule(target="phone", sources=("phone",), type=ValueType.PHONE),
    MappingRule(target="stage", sources=("roast",), type=ValueType.CHOICE, choices={"dark": "strong"}),
)
SOUND = {"email": ("ada@harbour.example",), "phone": ("+49 30 901820",), "roast": ("dark",)}


@pytest.fixture
async def mapped(host: Harbour) -> Harbour:
    """The form has a mapping that wants an e-mail address and a phone number."""
    mapping = FormMapping(
        vendor="memory",
        form_external_id=NEWSLETTER.id,
        version=1,
        rules=RULES,
        required=("email", "phone"),
        saved_at=host.clock.now(),
    )
    async with host.storage.unit_of_work(ADMIN.org_id) as uow:
        assert await uow.lead_mappings.add(mapping)
    return host


async def come(host: Harbour, **answers: tuple[str, ...]) -> str:
    """A lead comes in; its id."""
    slip = host.world.fill_in(NEWSLETTER.id, {**SOUND, **answers})
    await host.deliver_all()
    await host.work()
    return next(lead.id for lead in await host.leads() if lead.external_id == slip.id)


async def trace(host: Harbour, lead_id: str) -> dict[str, Any]:
    (entry,) = (await read(host, f"/crm/leads/detail/{lead_id}/trace"))["items"]
    problems: dict[str, Any] = entry["problems"]
    return problems


async def test_what_does_not_fit_is_told_with_the_lead_and_counted_by_form(mapped: Harbour) -> None:
    """A value that is no phone number, a choice that nobody knows, and one that is missing."""
    host = mapped
    sound = await come(host)
    odd = await come(host, phone=("call me",), roast=("purple",))
    empty = await come(host, phone=("",))

    assert await trace(host, sound) == {}
    assert set(await trace(host, odd)) == {"phone", "stage"}
    assert set(await trace(host, empty)) == {"phone"}
    assert (await trace(host, odd))["phone"] != (await trace(host, empty))["phone"]
    assert "call me" not in str(await trace(host, odd)), "it quotes nobody"

    (form,) = (await read(host, "/crm/leads/ledger/forms"))["items"]
    assert (form["heard"], form["withProblems"]) == (3, 2)
    with_some = await read(host, "/crm/leads/ledger", hasProblems=True)
    assert {entry["leadId"] for entry in with_some["items"]} == {odd, empty}
    without = await read(host, "/crm/leads/ledger", hasProblems=False)
    assert [entry["leadId"] for entry in without["items"]] == [sound]


async def test_a_lead_that_is_mapped_by_meaning_has_none(host: Harbour) -> None:
    assert await trace(host, await come(host, phone=("call me",))) == {}
