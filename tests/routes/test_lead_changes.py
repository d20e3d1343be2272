"""Leads over HTTP: found by what they are, changed and written down by hand, and how each got here."""

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from moorage.leads.remapping import RemapOrder, remap
from moorage_adapters.memory.things import Slip
from moorage_adapters.memory.world import CAFE, NEWSLETTER
from moorage_ports.crm import LEAD_STATUSES
from moorage_ports.lead_mapping import FormMapping, MappingRule
from moorage_ports.operations import Role
from tests.support.crm import ask, read
from tests.support.harbour import ADMIN, Harbour, harbour

LEADS, LEDGER = "/crm/leads/detail", "/crm/leads/ledger"
ADA = {"email": ("ada@harbour.example",), "full_name": ("Ada Reed",)}
BO = {"email": ("bo@harbour.example",), "full_name": ("Bo Lind",)}


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Harbour]:
    async with harbour(tmp_path) as made:
        await made.connect()
        await made.select(CAFE.id)
        yield made


async def hand_in(host: Harbour, answers: Mapping[str, tuple[str, ...]]) -> Slip:
    slip = host.world.fill_in(NEWSLETTER.id, answers)
    await host.deliver_all()
    await host.work()
    return slip


async def the_lead(host: Harbour, **query: object) -> dict[str, Any]:
    (item,) = (await read(host, LEADS, **query))["items"]
    found: dict[str, Any] = item
    return found


async def change(host: Harbour, lead_id: str, **body: object) -> dict[str, Any]:
    return await read(host, f"{LEADS}/{lead_id}", method="PATCH", role=Role.AGENT, body=body)


async def test_a_lead_moves_on_by_hand_and_says_what_was_written(host: Harbour) -> None:
    await hand_in(host, ADA)
    lead = await the_lead(host)
    changed = await change(host, lead["id"], status="qualified", stage="offer", firstName="Adele ")

    assert (changed["status"], changed["stage"], changed["firstName"]) == ("qualified", "offer", "Adele")
    assert changed["edited"] == ["firstName"], "what is ours alone, no mapping writes anyway"
    assert await read(host, f"{LEADS}/{lead['id']}") == changed


async def test_what_was_written_by_hand_no_mapping_takes_back(host: Harbour) -> None:
    await hand_in(host, ADA)
    lead = await the_lead(host)
    await change(host, lead["id"], company="Reed & Sons")
    rules = (MappingRule(target="company", sources=("full_name",)),)
    mapping = FormMapping(
        vendor="memory",
        form_external_id=NEWSLETTER.id,
        version=1,
        rules=rules,
        saved_at=host.clock.now(),
    )
    async with host.storage.unit_of_work(ADMIN.org_id) as uow:
        await uow.lead_mappings.add(mapping)
    order = RemapOrder(org_id=ADMIN.org_id, by="test", vendor="memory", form_id=NEWSLETTER.id)
    assert [step.changed async for step in remap(host.services, order)][-1] == 1

    after = await the_lead(host)
    assert (after["company"], after["mappingVersion"]) == ("Reed & Sons", 1)


async def test_put_changes_as_patch_does(host: Harbour) -> None:
    await hand_in(host, ADA)
    lead = await the_lead(host)
    changed = await read(host, f"{LEADS}/{lead['id']}", method="PUT", body={"assignee": "user-7"})
    assert (changed["assignee"], changed["email"]) == ("user-7", lead["email"])


@pytest.mark.parametrize(
    ("body", "field"),
    [({"status": "sold"}, "status"), ({"stage": "x" * 65}, "stage"), ({"color": "red"}, "color")],
)
async def test_a_change_that_does_not_fit_is_named(host: Harbour, body: object, field: str) -> None:
    await hand_in(host, ADA)
    lead = await the_lead(host)
    answer = await ask(host, f"{LEADS}/{lead['id']}", method="PATCH", body=body)
    assert answer.status_code == 422
    assert field in answer.json()["fields"]
    assert await the_lead(host) == lead


async def test_who_may_what_with_a_lead(host: Harbour) -> None:
    await hand_in(host, ADA)
    one = f"{LEADS}/{(await the_lead(host))['id']}"
    body = {"status": "qualified"}

    assert (await ask(host, one, method="PATCH", role=Role.VIEWER, body=body)).status_code == 403
    assert (
        await ask(host, LEADS, method="POST", role=Role.VIEWER, body={"email": "x@y.example"})
    ).status_code == 403
    assert (await ask(host, one, method="DELETE", role=Role.AGENT)).status_code == 403
    for method in ("GET", "PATCH", "DELETE"):
        answer = await ask(host, one, method=method, org_id="org-b", body=body if method == "PATCH" else None)
        assert answer.status_code == 404, "another org's lead is none"
    assert (await the_lead(host))["status"] == "new"


async def test_a_lead_is_written_down_by_hand_and_stands_in_the_ledger(host: Harbour) -> None:
    body = {"email": "cy@harbour.example", "phone": " +49 151 12345678 ", "source": "fair"}
    answer = await ask(host, LEADS, method="POST", role=Role.AGENT, body=body)
    assert answer.status_code == 201
    lead = msgspec.json.decode(answer.content)

    assert (lead["phone"], lead["source"], lead["vendor"]) == ("+4915112345678", "fair", "")
    assert lead["contactId"]
    (entry,) = (await read(host, f"{LEADS}/{lead['id']}/trace"))["items"]
    assert (entry["heardBy"], entry["outcome"]) == ("hand", "stored")
    empty = await ask(host, LEADS, method="POST", body={"stage": "new"})
    assert empty.status_code == 422, "nobody could be reached by it"


async def test_a_deleted_lead_does_not_come_again_and_the_ledger_says_no_more_than_that(
    host: Harbour,
) -> None:
    slip = await hand_in(host, ADA)
    lead = await the_lead(host)
    assert (await ask(host, f"{LEADS}/{lead['id']}", method="DELETE")).status_code == 204
    await host.deliver(host.world.delivery_of(slip))
    await host.work()

    assert (await read(host, LEADS))["total"] == 0
    (entry,) = (await read(host, LEDGER))["items"]
    assert (entry["outcome"], slip.id in entry["externalId"]) == ("erased", False)
    assert (await ask(host, f"{LEADS}/{lead['id']}/trace")).status_code == 404, "nothing leads back to whom"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"status": "qualified"}, {"ada"}),
        ({"stage": "offer"}, {"ada"}),
        ({"assignee": "user-7"}, {"ada"}),
        ({"source": "memory"}, {"ada", "bo"}),
        ({"source": "fair"}, {"cy"}),
        ({"formId": NEWSLETTER.id}, {"ada", "bo"}),
        ({"channelId": CAFE.id}, {"ada", "bo"}),
        ({"search": "lind"}, {"bo"}),
        ({"isTest": True}, set()),
        ({"until": "2030-06-01T11:00:00Z"}, set()),
        ({"since": "2030-06-01T11:00:00Z", "status": "new"}, {"bo", "cy"}),
    ],
)
async def test_leads_are_found_by_what_they_are(
    host: Harbour, query: dict[str, object], found: set[str]
) -> None:
    await hand_in(host, ADA)
    lead = await the_lead(host)
    await change(host, lead["id"], status="qualified", stage="offer", assignee="user-7")
    await hand_in(host, BO)
    body = {"email": "cy@harbour.example", "source": "fair"}
    assert (await ask(host, LEADS, method="POST", body=body)).status_code == 201

    listed = (await read(host, LEADS, **query))["items"]
    assert {item["email"].partition("@")[0] for item in listed} == found


async def test_a_status_that_no_lead_can_have_is_refused_with_those_that_exist(host: Harbour) -> None:
    answer = await ask(host, LEADS, status="nonsense")
    assert answer.status_code == 422
    assert [status for status in LEAD_STATUSES if status not in answer.text] == []
    assert (await read(host, LEADS, status=""))["total"] == 0, "no status is any"


async def test_a_contact_shows_its_leads_and_leads_are_found_by_it(host: Harbour) -> None:
    await hand_in(host, ADA)
    await hand_in(host, {**ADA, "email": ("ADA@harbour.example",)})
    await hand_in(host, BO)
    contact_id = (await read(host, LEADS, search="reed"))["items"][0]["contactId"]

    assert (await read(host, LEADS, contactId=contact_id))["total"] == 2
    contact = await read(host, f"/crm/contacts/{contact_id}")
    assert {lead["email"].lower() for lead in contact["leads"]} == {"ada@harbour.example"}


async def test_the_ledger_tells_each_step_and_is_searched_by_it(host: Harbour) -> None:
    slip = await hand_in(host, ADA)
    hidden = await hand_in_unreadable(host)
    lead = await the_lead(host)

    (entry,) = (await read(host, LEDGER, externalId=slip.id))["items"]
    assert [(step["name"], step["outcome"]) for step in entry["steps"]] == [
        ("arrived", "done"),
        ("fetched", "done"),
        ("mapped", "done"),
        ("stored", "done"),
    ]
    assert (entry["leadId"], entry["heardBy"]) == (lead["id"], "webhook")
    (waits,) = (await read(host, LEDGER, outcome="pending"))["items"]
    assert (waits["externalId"], waits["error"], bool(waits["remedy"])) == (hidden.id, "not_found", True)
    assert waits["steps"][0]["outcome"] == "done"
    assert (await read(host, LEDGER, error="not_found", formId=NEWSLETTER.id))["total"] == 1
    assert (await read(host, LEDGER, org_id="org-b"))["total"] == 0
    (sums,) = (await read(host, f"{LEDGER}/forms"))["items"]
    assert (sums["heard"], sums["stored"], sums["pending"]) == (2, 1, 1)


async def hand_in_unreadable(host: Harbour) -> Slip:
    """Announced, and gone before anybody could read it."""
    slip = host.world.fill_in(NEWSLETTER.id, BO)
    del host.world.slips[slip.id]
    await host.deliver_all()
    await host.work()
    return slip


async def test_who_was_never_heard_of_has_no_trace(host: Harbour) -> None:
    assert (await ask(host, f"{LEADS}/nobody/trace")).status_code == 404
