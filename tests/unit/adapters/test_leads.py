"""The CRM's leads: once per vendor's lead, and found literally."""

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moorage_adapters.sqlmodel.storage import SqlStorage
from moorage_adapters.sqlmodel.types import clean
from moorage_ports.crm import LeadFilter
from tests.unit.adapters.conftest import NOON, Fresh
from tests.unit.adapters.things import VENDOR, lead


async def test_a_lead_comes_back_as_it_was_given(storage: SqlStorage) -> None:
    given = lead(
        email="Ada@Customer.Example",
        first_name="Ada",
        last_name="Lovelace",
        phone="+44 1",
        company="Engines & Co",
        properties={"colour": ("red", "blue"), "": ()},
        is_organic=False,
        form_id="form-1",
        campaign_id="c",
        ad_set_id="s",
        ad_id="ad",
        platform="web",
        contact_id="contact-1",
        submitted_at=NOON - timedelta(minutes=1),
    )
    async with storage.unit_of_work("a") as uow:
        assert await uow.leads.add(given)
        assert await uow.leads.get(given.id) == given
        assert await uow.leads.by_external_id(VENDOR, given.external_id) == given
    async with storage.unit_of_work("b") as uow:
        assert await uow.leads.get(given.id) is None
        assert await uow.leads.by_external_id(VENDOR, given.external_id) is None
        assert (await uow.leads.page(page=1, page_size=10)).total == 0


async def test_w5_the_same_lead_of_a_vendor_is_added_once_per_org(storage: SqlStorage) -> None:
    async with storage.unit_of_work("a") as uow:
        assert await uow.leads.add(lead(first_name="first"))
        assert not await uow.leads.add(lead(id="another", first_name="second"))
        assert await uow.leads.add(lead(2, vendor="other", external_id="external-1"))
    async with storage.unit_of_work("b") as uow:
        assert await uow.leads.add(lead())
    async with storage.unit_of_work("a") as uow:
        found = await uow.leads.by_external_id(VENDOR, "external-1")
        assert found is not None
        assert found.first_name == "first"


async def test_pages_run_from_the_newest_to_the_oldest(storage: SqlStorage) -> None:
    async with storage.unit_of_work("a") as uow:
        for number in range(5):
            await uow.leads.add(lead(number, created_at=NOON + timedelta(seconds=number)))
        first = await uow.leads.page(page=1, page_size=2)
        last = await uow.leads.page(page=3, page_size=2)
        beyond = await uow.leads.page(page=9, page_size=2)
    assert ([one.id for one in first.items], first.total) == (["lead-4", "lead-3"], 5)
    assert [one.id for one in last.items] == ["lead-0"]
    assert (beyond.items, beyond.total, beyond.page, beyond.page_size) == ((), 5, 9, 2)


async def test_filters_narrow_the_page(storage: SqlStorage) -> None:
    async with storage.unit_of_work("a") as uow:
        await uow.leads.add(lead(1, status="won", form_id="form-1"))
        await uow.leads.add(lead(2, form_id="form-1"))
        await uow.leads.add(lead(3, form_id="form-2"))
        assert (await uow.leads.page(page=1, page_size=9, where=LeadFilter(status="won"))).total == 1
        assert (await uow.leads.page(page=1, page_size=9, where=LeadFilter(form_id="form-1"))).total == 2
        won_elsewhere = LeadFilter(form_id="form-2", status="won")
        assert (await uow.leads.page(page=1, page_size=9, where=won_elsewhere)).total == 0


@pytest.mark.parametrize(
    ("search", "finds"),
    [
        ("ADA", True),
        ("ada lovelace", True),
        ("LOVELACE", True),
        ("customer.example", True),
        ("straße", True),
        ("STRASSE", True),
        ("+44", True),
        ("  ada  ", True),
        ("%", False),
        ("_", False),
        ("a%a", False),
        ("lovelace ada", False),
        ("\\", False),
    ],
)
async def test_search_is_literal_whatever_the_case(storage: SqlStorage, search: str, finds: bool) -> None:
    async with storage.unit_of_work("a") as uow:
        await uow.leads.add(
            lead(
                first_name="Ada",
                last_name="Lovelace",
                email="ada@customer.example",
                phone="+44 1",
                company="Straße",
            )
        )
        found = await uow.leads.page(page=1, page_size=9, where=LeadFilter(search=search))
        assert found.total == int(finds)


_TRICKY = st.text(alphabet=st.sampled_from("ab%_\\/'\"*?[ÄäßİıſK\ud800\0\n "), max_size=6)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(names=st.lists(_TRICKY, min_size=1, max_size=6), search=_TRICKY)
async def test_search_finds_exactly_the_rows_that_hold_the_text(
    fresh_storage: Fresh, names: list[str], search: str
) -> None:
    async with fresh_storage() as storage:
        async with storage.unit_of_work("a") as uow:
            for number, name in enumerate(names):
                await uow.leads.add(lead(number, company=name))
            found = await uow.leads.page(page=1, page_size=99, where=LeadFilter(search=search))
        term = clean(search).casefold().strip()
        expected = {f"lead-{n}" for n, name in enumerate(names) if term in clean(name).casefold()}
        assert {one.id for one in found.items} == expected


async def test_text_that_no_database_takes_is_replaced_not_refused(storage: SqlStorage) -> None:
    async with storage.unit_of_work("a") as uow:
        await uow.leads.add(lead(first_name="A\ud800da\0", properties={"q\0": ("\udfff",)}))
        found = await uow.leads.get("lead-1")
    assert found is not None
    assert found.first_name == "A\ufffdda\ufffd"
    assert found.properties == {"q\ufffd": ("\ufffd",)}
