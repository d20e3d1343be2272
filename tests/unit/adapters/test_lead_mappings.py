"""How the answers of forms become leads, in versions, on both databases."""

import asyncio
from datetime import timedelta

import attrs

from moorage_adapters.sqlmodel.storage import SqlStorage
from moorage_ports.lead_mapping import DedupePolicy, FormMapping, MappingRule, NamePart, ValueType
from tests.unit.adapters.conftest import NOON

FIRST = FormMapping(
    vendor="memory",
    form_external_id="7",
    version=1,
    rules=(
        MappingRule(target="email", sources=("mail", "e-mail"), separator="; ", type=ValueType.EMAIL),
        MappingRule(target="firstName", sources=("имя",), part=NamePart.FIRST, default="Café \\ \x00"),
        MappingRule(
            target="properties.size", sources=("size",), type=ValueType.CHOICE, choices={"s": "Small"}
        ),
        MappingRule(target="stage", constant="fresh"),
    ),
    required=("email",),
    dedupe=DedupePolicy(by=("email", "phone"), then="link"),
    region="DE",
    saved_by="user-1",
    saved_at=NOON,
)
SECOND = attrs.evolve(
    FIRST,
    version=2,
    rules=FIRST.rules[:1],
    required=(),
    dedupe=DedupePolicy(),
    region="",
    saved_at=NOON + timedelta(hours=1),
)


async def test_versions_come_back_as_they_were_written(storage: SqlStorage) -> None:
    async with storage.unit_of_work("acme") as uow:
        assert await uow.lead_mappings.current("memory", "7") is None
        assert await uow.lead_mappings.add(FIRST)
        assert await uow.lead_mappings.add(SECOND)
    async with storage.unit_of_work("acme", reads_only=True) as uow:
        assert await uow.lead_mappings.current("memory", "7") == SECOND
        assert await uow.lead_mappings.version("memory", "7", 1) == FIRST
        assert await uow.lead_mappings.version("memory", "7", 3) is None
        assert await uow.lead_mappings.versions("memory", "7") == (SECOND, FIRST)


async def test_only_the_next_version_is_written(storage: SqlStorage) -> None:
    """What was written is never changed, and nothing is skipped."""
    async with storage.unit_of_work("acme") as uow:
        assert not await uow.lead_mappings.add(SECOND)
        assert await uow.lead_mappings.add(FIRST)
        assert not await uow.lead_mappings.add(attrs.evolve(FIRST, region="AT"))
        assert not await uow.lead_mappings.add(attrs.evolve(FIRST, version=3))
        assert await uow.lead_mappings.versions("memory", "7") == (FIRST,)


async def test_of_those_who_write_the_same_version_at_once_one_does(storage: SqlStorage) -> None:
    async def save(by: str) -> bool:
        async with storage.unit_of_work("acme") as uow:
            return await uow.lead_mappings.add(attrs.evolve(FIRST, saved_by=by))

    written = await asyncio.gather(*(save(f"user-{number}") for number in range(4)))

    assert sorted(written) == [False, False, False, True]
    async with storage.unit_of_work("acme", reads_only=True) as uow:
        (only,) = await uow.lead_mappings.versions("memory", "7")
    assert only.saved_by == f"user-{written.index(True)}"


async def test_each_form_has_its_own_and_each_vendor_and_each_org(storage: SqlStorage) -> None:
    other_form = attrs.evolve(FIRST, form_external_id="8")
    other_vendor = attrs.evolve(FIRST, vendor="elsewhere", region="")
    async with storage.unit_of_work("acme") as uow:
        for mapping in (FIRST, SECOND, other_form, other_vendor):
            assert await uow.lead_mappings.add(mapping)
        asked = frozenset({"7", "8", "9", *(str(number) for number in range(1000, 2200))})
        found = await uow.lead_mappings.of_forms("memory", asked)
        assert await uow.lead_mappings.of_forms("memory", frozenset()) == {}
    assert found == {"7": SECOND, "8": other_form}
    async with storage.unit_of_work("other", reads_only=True) as uow:
        assert await uow.lead_mappings.current("memory", "7") is None
        assert await uow.lead_mappings.of_forms("memory", frozenset({"7"})) == {}
        assert await uow.lead_mappings.versions("memory", "7") == ()
        assert await uow.lead_mappings.version("memory", "7", 1) is None
