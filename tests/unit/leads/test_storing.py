"""Leads of people who are known: merged, linked or kept apart, and nothing of what they said is lost."""

import asyncio
from datetime import timedelta
from typing import Any

import attrs
import pytest
from sqlalchemy import Engine, event

from moorage_adapters.sqlmodel.storage import SqlStorage
from moorage_adapters.sqlmodel.tables import LEAD
from moorage_ports.lead_ledger import LeadOutcome
from moorage_ports.lead_mapping import DedupePolicy
from moorage_ports.lead_source import Answer, Consent
from tests.unit.adapters.conftest import NOON
from tests.unit.leads.telling import BOTH, LINK, NEW, ORG, heard, leads_of, settle, ways_of

PHONE = "+49 170 1234567"


async def test_a_merge_loses_no_answer(storage: SqlStorage) -> None:
    older = heard(
        1,
        email="ada@x.example",
        company="One",
        properties={"size": ("S",)},
        answers=(Answer(name="size", values=("S",)),),
        consents=(Consent(key="terms", is_given=True),),
    )
    newer = heard(
        2,
        email="ADA@X.example",
        company="Two",
        first_name="Ada",
        phone=PHONE,
        properties={"size": ("L", "S"), "colour": ("red",)},
        answers=(Answer(name="size", values=("L", "S")),),
        consents=(Consent(key="news", is_given=False),),
    )
    await settle(storage, older)
    (placed,) = (await settle(storage, newer)).values()
    assert (placed.outcome, placed.lead_id, placed.into) == (LeadOutcome.MERGED, "lead-1", "lead-1")

    (one,) = (await leads_of(storage)).values()
    assert (one.external_id, one.email, one.company) == ("external-1", "ada@x.example", "One")
    assert (one.first_name, one.phone, one.updated_at) == ("Ada", PHONE, NOON)
    assert one.properties == {
        "size": ("S", "L"),
        "colour": ("red",),
        "company": ("Two",),
        "email": ("ADA@X.example",),
    }
    assert [answer.values for answer in one.answers] == [("S",), ("L", "S")]
    assert [consent.key for consent in one.consents] == ["terms", "news"]
    assert await ways_of(storage, "lead-1") == ["external-1", "external-2"]


async def test_what_was_merged_is_not_stored_when_it_is_heard_of_again(storage: SqlStorage) -> None:
    told = heard(1, email="ada@x.example"), heard(2, email="ada@x.example", company="Two")
    await settle(storage, *told)
    before = await leads_of(storage)

    assert await settle(storage, *told) == {}
    assert await leads_of(storage) == before


async def test_a_link_points_to_the_oldest(storage: SqlStorage) -> None:
    await settle(storage, heard(1, LINK, email="ada@x.example"))
    placed = await settle(
        storage,
        heard(2, LINK, email="ada@x.example", created_at=NOON + timedelta(hours=1)),
        heard(3, LINK, email="ada@x.example", created_at=NOON + timedelta(hours=2)),
    )
    assert {one.outcome for one in placed.values()} == {LeadOutcome.LINKED}
    leads = await leads_of(storage)
    assert [leads[f"lead-{number}"].duplicate_of for number in (1, 2, 3)] == [None, "lead-1", "lead-1"]
    assert await ways_of(storage, "lead-3") == ["external-3"]


@pytest.mark.parametrize("policy", [None, NEW, DedupePolicy(by=(), then="merge")])
async def test_without_a_policy_every_lead_is_one_of_its_own(
    storage: SqlStorage, policy: DedupePolicy | None
) -> None:
    placed = await settle(storage, *(heard(number, policy, email="ada@x.example") for number in (1, 2)))
    assert {one.outcome for one in placed.values()} == {LeadOutcome.STORED}
    assert {one.duplicate_of for one in (await leads_of(storage)).values()} == {None}


@pytest.mark.parametrize(
    ("policy", "first", "second", "joins"),
    [
        (BOTH, {"email": "a@x.example", "phone": PHONE}, {"email": "b@x.example", "phone": PHONE}, False),
        (BOTH, {"email": "a@x.example", "phone": PHONE}, {"phone": "+491701234567"}, True),
        (BOTH, {"phone": PHONE}, {"email": "b@x.example", "phone": PHONE}, True),
        (BOTH, {"phone": "0170 1234567"}, {"phone": "0170 1234567"}, False),
        (BOTH, {"email": "nobody"}, {"email": "nobody"}, False),
        (BOTH, {}, {}, False),
        (
            DedupePolicy(by=("phone",), then="merge"),
            {"email": "a@x.example", "phone": PHONE},
            {"email": "b@x.example", "phone": PHONE},
            True,
        ),
        (DedupePolicy(by=("email",), then="merge"), {"phone": PHONE}, {"phone": PHONE}, False),
        (BOTH, {"email": "a@x.example", "is_test": True}, {"email": "a@x.example"}, False),
        (BOTH, {"email": "a@x.example"}, {"email": "a@x.example", "is_test": True}, False),
    ],
)
@pytest.mark.parametrize("at_once", [True, False])
async def test_who_is_the_same_person(
    storage: SqlStorage,
    policy: DedupePolicy,
    first: dict[str, Any],
    second: dict[str, Any],
    joins: bool,
    at_once: bool,
) -> None:
    """The same number with another address is somebody else; a number without its country is nobody's."""
    told = heard(1, policy, **first), heard(2, policy, **second)
    if at_once:
        await settle(storage, *told)
    else:
        for one in told:
            await settle(storage, one)
    assert len(await leads_of(storage)) == (1 if joins else 2)


async def test_workers_with_leads_of_one_person_make_one_of_them(storage: SqlStorage) -> None:
    """Also where two of them have the same lead of the vendor, under ids of their own."""
    said = [
        heard(number, email="same@x.example", properties={f"q{number}": (str(number),)})
        for number in range(1, 9)
    ]
    again = [
        attrs.evolve(one, lead=attrs.evolve(one.lead, id=f"other-{place}"))
        for place, one in enumerate(said)
        if one.lead is not None
    ]
    await asyncio.gather(*(settle(storage, one) for one in (*said, *again)))

    (one,) = (await leads_of(storage)).values()
    assert one.properties.items() >= {f"q{number}": (str(number),) for number in range(1, 9)}.items()
    assert await ways_of(storage, one.id) == [f"external-{number}" for number in range(1, 9)]


async def test_leads_from_before_there_were_digests_are_found(storage: SqlStorage) -> None:
    await settle(storage, heard(1, None, email="old@x.example"), heard(2, None, phone=PHONE), heard(3, None))
    before = {"email_digest": None, "phone_digest": None, "is_digested": False}
    async with storage.unit_of_work(ORG) as uow:
        await uow.leads._gate.run(lambda org: org.update(LEAD, before))

    placed = await settle(storage, heard(4, email="Old@x.example"), heard(5, phone="+491701234567"))
    assert [placed[number].into for number in (4, 5)] == ["lead-1", "lead-2"]


async def test_a_column_that_a_person_emptied_stays_empty(storage: SqlStorage) -> None:
    await settle(storage, heard(1, email="ada@x.example", edited=("company",)))
    await settle(storage, heard(2, email="ada@x.example", company="Two"))

    (one,) = (await leads_of(storage)).values()
    assert (one.company, one.properties) == ("", {"company": ("Two",)})


async def test_what_is_asked_of_the_database_does_not_grow_with_the_leads(storage: SqlStorage) -> None:
    async def questions(first: int, many: int) -> int:
        seen: list[str] = []

        def note(*arguments: Any) -> None:
            seen.extend(word for word in str(arguments[2]).split()[:1] if word in ("SELECT", "UPDATE"))

        people = [
            heard(number, LINK, email=f"{number}@x.example", phone=f"+4917{number:08}")
            for number in range(first, first + many)
        ]
        event.listen(Engine, "before_cursor_execute", note)
        try:
            await settle(storage, *people)
        finally:
            event.remove(Engine, "before_cursor_execute", note)
        return len(seen)

    await questions(1, 2)  # the org's keys are made
    assert await questions(100, 60) == await questions(1000, 2) < 20
