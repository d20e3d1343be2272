"""`/crm/lead-forms/{id}/mapping`: read, saved in versions, tried out; and what was saved maps leads."""

from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest

from moorage.leads.mappings import BY_MEANING, BY_RULES, NO_ANSWERS, UNCHECKED
from moorage.vendors import Vendors
from moorage_adapters.memory.world import CAFE, NEWSLETTER
from moorage_ports.operations import Role
from tests.support.crm import ask, read
from tests.support.harbour import Harbour, harbour

MAPPING = f"/crm/lead-forms/{NEWSLETTER.id}/mapping"
EMAIL: dict[str, Any] = {"target": "email", "sources": ["email"], "type": "email"}
ROAST: dict[str, Any] = {"target": "company", "sources": ["roast"]}
ANSWERS = {"email": ("ada@harbour.example",), "full_name": ("Ada Reed",), "roast": ("dark",)}


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Harbour]:
    async with harbour(tmp_path) as made:
        await made.connect()
        await made.select(CAFE.id)
        yield made


async def save(
    host: Harbour, *rules: dict[str, Any], on: int = 0, role: Role = Role.ADMIN, **more: Any
) -> httpx.Response:
    body = {"basedOn": on, "rules": list(rules), **more}
    return await ask(host, MAPPING, method="PUT", role=role, body=body)


async def saved(host: Harbour, *rules: dict[str, Any], on: int = 0, **more: Any) -> dict[str, Any]:
    answer = await save(host, *rules, on=on, **more)
    assert answer.status_code == 200, answer.text
    view: dict[str, Any] = answer.json()
    return view


async def preview(host: Harbour, *rules: dict[str, Any], role: Role = Role.AGENT, **more: Any) -> Any:
    body = {"mapping": {"rules": list(rules)}, **more}
    return await ask(host, f"{MAPPING}/preview", method="POST", role=role, body=body)


async def hand_in(host: Harbour, answers: Mapping[str, tuple[str, ...]] = ANSWERS) -> None:
    host.world.fill_in(NEWSLETTER.id, answers)
    await host.deliver_all()
    await host.work()


async def test_a_form_without_a_mapping_says_how_it_is_mapped(host: Harbour) -> None:
    view = await read(host, MAPPING)
    assert view == {
        "vendor": "memory",
        "formId": NEWSLETTER.id,
        "version": 0,
        "does": BY_MEANING,
        "rules": [],
        "required": [],
        "dedupe": {"then": "new"},
        "region": "",
        "savedBy": "",
        "savedAt": None,
    }
    assert await read(host, f"{MAPPING}/versions/0") == view
    assert await read(host, f"{MAPPING}/versions") == {"items": []}


async def test_versions_are_saved_one_upon_the_other_and_stay(host: Harbour) -> None:
    dedupe = {"by": ["email"], "then": "link"}
    first = await saved(host, EMAIL, required=["email"], dedupe=dedupe, region="DE")
    second = await saved(host, EMAIL, ROAST, on=1)

    assert (first["version"], first["does"], first["savedBy"]) == (1, BY_RULES, "user-1")
    assert (first["required"], first["dedupe"], first["region"]) == (["email"], dedupe, "DE")
    assert first["rules"] == [{**EMAIL, "separator": " "}]
    assert "notes" not in first, "the form was read, and asks this"
    assert await read(host, MAPPING) == second
    assert await read(host, f"{MAPPING}/versions/1") == first
    lines = (await read(host, f"{MAPPING}/versions"))["items"]
    assert [(line["version"], line["ruleCount"]) for line in lines] == [(2, 2), (1, 1)]


async def test_what_is_based_on_an_older_version_is_refused(host: Harbour) -> None:
    await saved(host, EMAIL)
    for based_on in (0, 2):
        answer = await save(host, ROAST, on=based_on)
        assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
        assert answer.json()["remedy"]
    assert (await read(host, MAPPING))["version"] == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"rules": [{**EMAIL, "sources": ["e-mail"]}]}, "rules[0].sources[0]"),
        ({"rules": [{**EMAIL, "target": "shoeSize"}]}, "rules[0].target"),
        ({"rules": [EMAIL, EMAIL]}, "rules[1].target"),
        ({"rules": [{**EMAIL, "sources": ["x" * 501]}]}, "rules[0].sources[0]"),
        ({"rules": [{**EMAIL, "type": "shoe"}]}, "rules[0].type"),
        ({"rules": [EMAIL], "required": ["phone"]}, "required[0]"),
        ({"rules": [EMAIL], "region": "XX"}, "region"),
        ({"rules": [EMAIL], "dedupe": {"by": ["shoe"]}}, "dedupe.by[0]"),
        ({"rules": [EMAIL], "basedOn": -1}, "basedOn"),
        ({}, "rules"),
    ],
)
async def test_a_mapping_that_does_not_fit_is_refused_by_field(
    host: Harbour, body: dict[str, Any], field: str
) -> None:
    answer = await ask(host, MAPPING, method="PUT", body={"basedOn": 0, **body})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert set(answer.json()["fields"]) == {field}
    assert (await read(host, MAPPING))["version"] == 0


async def test_with_the_vendor_out_of_reach_it_is_saved_and_says_what_was_not_checked(host: Harbour) -> None:
    host.world.go_down()
    view = await saved(host, {**EMAIL, "sources": ["e-mail"]})
    assert (view["version"], view["notes"]) == (1, [UNCHECKED])
    refused = await save(host, {**EMAIL, "target": "shoeSize"}, on=1)
    assert refused.status_code == 422, "what needs no vendor is checked all the same"


async def test_who_reads_tries_out_and_saves(host: Harbour) -> None:
    assert (await save(host, EMAIL, role=Role.AGENT)).status_code == 403
    assert (await preview(host, EMAIL, role=Role.VIEWER)).status_code == 403
    assert (await preview(host, EMAIL)).status_code == 200
    for path in (MAPPING, f"{MAPPING}/versions", f"{MAPPING}/versions/0"):
        assert (await ask(host, path, role=Role.VIEWER)).status_code == 200
        assert (await host.http.get(path)).status_code == 401
    assert (await read(host, MAPPING))["version"] == 0


async def test_another_org_sees_neither_the_mapping_nor_the_leads(host: Harbour) -> None:
    await saved(host, EMAIL)
    await hand_in(host)

    assert (await read(host, MAPPING, org_id="org-b"))["version"] == 0
    assert (await read(host, f"{MAPPING}/versions", org_id="org-b"))["items"] == []
    assert (await ask(host, f"{MAPPING}/versions/1", org_id="org-b")).status_code == 404
    body = {"mapping": {"rules": [EMAIL]}}
    tried = await read(host, f"{MAPPING}/preview", method="POST", org_id="org-b", body=body)
    assert tried == {"items": [], "notes": [UNCHECKED]}


@pytest.mark.parametrize("number", ["1", "00", "-1", "x", "9" * 30, "²"])
async def test_a_version_that_is_not_there_is_not_found(host: Harbour, number: str) -> None:
    assert (await ask(host, f"{MAPPING}/versions/{number}")).status_code == 404


@pytest.mark.parametrize("form_id", ["x" * 129, "%00"])
async def test_what_no_form_is_called_is_not_found(host: Harbour, form_id: str) -> None:
    path = f"/crm/lead-forms/{form_id}/mapping"
    assert (await ask(host, path)).status_code == 404
    body = {"basedOn": 0, "rules": [EMAIL]}
    assert (await ask(host, path, method="PUT", body=body)).status_code == 404


async def test_the_vendor_is_named_where_several_have_forms(host: Harbour) -> None:
    other = attrs.evolve(host.vendor, slug="elsewhere")
    mute = attrs.evolve(host.vendor, slug="mute", lead_source=None)
    vendors = Vendors({vendor.slug: vendor for vendor in (host.vendor, other, mute)})
    services = attrs.evolve(host.services, vendors=vendors)
    host = Harbour(services, host.storage, host.world, host.clock)

    unclear = await ask(host, MAPPING)
    assert (unclear.status_code, set(unclear.json()["fields"])) == (422, {"vendor"})
    assert (await read(host, MAPPING, vendor="memory"))["vendor"] == "memory"
    unknown, formless = await ask(host, MAPPING, vendor="nobody"), await ask(host, MAPPING, vendor="mute")
    assert (unknown.status_code, formless.json()["code"]) == (404, "unsupported")
    await host.http.aclose()


async def test_a_preview_shows_before_and_after_and_saves_nothing(host: Harbour) -> None:
    await hand_in(host)
    host.clock.advance(timedelta(minutes=1))
    await hand_in(host, {"email": ("nobody",), "roast": ("light",)})
    before = await host.leads()

    answer = await preview(host, EMAIL, ROAST)
    newest, oldest = answer.json()["items"]
    assert oldest["before"]["firstName"] == "Ada"
    assert (oldest["after"]["company"], oldest["after"]["firstName"]) == ("dark", "")
    assert oldest["after"]["properties"] == {"full_name": ["Ada Reed"]}
    assert oldest["problems"] == {}
    assert (newest["after"]["email"], set(newest["problems"])) == ("nobody", {"email"})

    assert await host.leads() == before
    assert (await read(host, MAPPING))["version"] == 0
    assert len((await preview(host, EMAIL, limit=1)).json()["items"]) == 1
    for limit in (0, 51):
        assert (await preview(host, EMAIL, limit=limit)).status_code == 422
    wrong = await preview(host, {**EMAIL, "target": "shoeSize"})
    assert set(wrong.json()["fields"]) == {"mapping.rules[0].target"}


async def test_a_lead_whose_answers_were_not_kept_says_so(host: Harbour) -> None:
    await hand_in(host)
    (lead,) = await host.leads()
    async with host.storage.unit_of_work("org-a") as uow:
        await uow.leads.update(attrs.evolve(lead, answers=(), consents=()))

    (item,) = (await preview(host, EMAIL)).json()["items"]
    assert (item["after"], item["notes"]) == (None, [NO_ANSWERS])


async def test_a_lead_that_comes_is_mapped_by_what_was_saved(host: Harbour) -> None:
    """From the saving to the ledger, and the ones before stay as they were mapped."""
    await hand_in(host)
    await saved(host, EMAIL)
    await saved(host, EMAIL, ROAST, {"target": "stage", "constant": "tasting"}, on=1)
    await hand_in(host, {**ANSWERS, "email": ("bo@harbour.example",)})

    by_email = {lead["email"]: lead for lead in (await read(host, "/crm/leads/detail"))["items"]}
    mapped, before = by_email["bo@harbour.example"], by_email["ada@harbour.example"]
    assert (mapped["company"], mapped["stage"], mapped["mappingVersion"]) == ("dark", "tasting", 2)
    assert mapped["properties"] == {"full_name": ["Ada Reed"]}
    assert (before["firstName"], before["company"], before["mappingVersion"]) == ("Ada", "", 0)
    entries = {entry["leadId"]: entry for entry in (await read(host, "/crm/leads/ledger"))["items"]}
    assert entries[mapped["id"]]["mappingVersion"] == 2
    assert entries[before["id"]]["mappingVersion"] == 0
