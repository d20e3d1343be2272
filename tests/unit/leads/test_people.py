"""The contact of a lead: one person by one address, and never two people by one telephone."""

from typing import Any

import pytest

from moorage_adapters.sqlmodel.storage import SqlStorage
from tests.unit.adapters.things import lead
from tests.unit.leads.telling import ORG, heard, leads_of, settle

PHONE = "+49 170 1234567"
ADA: dict[str, Any] = {"email": "ada@x.example", "phone": PHONE, "first_name": "Ada"}
BEN: dict[str, Any] = {"email": "ben@x.example", "phone": PHONE, "first_name": "Ben"}


async def contacts(storage: SqlStorage, *said: dict[str, Any], at_once: bool = False) -> list[str | None]:
    """The contact of each, in turn."""
    told = [heard(number, None, **one) for number, one in enumerate(said)]
    for some in [told] if at_once else [[one] for one in told]:
        await settle(storage, *some)
    leads = await leads_of(storage)
    return [leads[f"lead-{number}"].contact_id for number in range(len(said))]


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"email": "ada@x.example"}, {"email": " ADA@X.example"}),
        ({"phone": PHONE}, {"phone": "+491701234567"}),
        (ADA, {"email": "ada@x.example"}),
        (ADA, {"phone": PHONE}),
        ({"phone": PHONE}, ADA),
        (ADA, {"email": "ada@x.example", "phone": "+44 20 1234567"}),
    ],
)
async def test_the_same_address_or_number_is_the_same_contact(
    storage: SqlStorage, first: dict[str, Any], second: dict[str, Any], at_once: bool
) -> None:
    one, other = await contacts(storage, first, second, at_once=at_once)
    assert one is not None
    assert one == other


@pytest.mark.parametrize("at_once", [True, False])
async def test_two_people_with_one_telephone_stay_two(storage: SqlStorage, at_once: bool) -> None:
    """Not even one who is known by both of them by now, nor who calls from it without an address."""
    ada, ben, ben_again, caller = await contacts(
        storage, ADA, BEN, {"email": "ben@x.example"}, {"phone": PHONE}, at_once=at_once
    )
    assert ada != ben
    assert ben == ben_again
    assert caller == ada, "the number is hers: she gave it first"


async def test_who_is_known_by_a_number_and_another_by_an_address_are_never_joined(
    storage: SqlStorage,
) -> None:
    caller, writer, both = await contacts(
        storage, {"phone": PHONE, "first_name": "Cal"}, {"email": "ada@x.example"}, ADA
    )
    assert caller != writer
    assert both == writer, "an address says more than a number"
    async with storage.unit_of_work(ORG, reads_only=True) as uow:
        assert caller is not None
        assert writer is not None
        assert {one.contact_id for one in await uow.crm_records.identities_of([caller, writer])} == {
            caller,
            writer,
        }


@pytest.mark.parametrize(
    "said", [{}, {"email": "nobody"}, {"phone": "0170 1234567"}, {"email": "t@x.example", "is_test": True}]
)
async def test_who_says_nothing_of_the_kind_and_who_is_a_test_is_nobody(
    storage: SqlStorage, said: dict[str, Any]
) -> None:
    assert await contacts(storage, said, said) == [None, None]


async def test_contacts_are_of_one_org_and_hold_no_address(storage: SqlStorage) -> None:
    (here,) = await contacts(storage, ADA)
    assert here is not None
    wanted = [("email", "ada@x.example"), ("phone", PHONE), ("email", "nobody")]
    async with storage.unit_of_work(ORG) as uow:
        mine = await uow.leads.fingerprints(wanted)
        identities = await uow.crm_records.identities_of([here])
    async with storage.unit_of_work("b") as uow:
        await uow.leads.add(lead(email="ada@x.example"))
        others = await uow.leads.fingerprints(wanted)
    assert {one.external_id for one in identities} == set(mine.values())
    assert set(mine) == set(others) == set(wanted[:2])
    assert not set(mine.values()) & set(others.values())
    assert not any("ada" in value or "1234567" in value for value in mine.values())
