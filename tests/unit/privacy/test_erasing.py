"""M3: somebody asks to be forgotten: nothing of theirs is left anywhere, and nothing brings it back."""

from datetime import timedelta
from pathlib import Path

import pytest

from moorage.privacy.erasing import Reason, erase_leads
from moorage.privacy.people import MOST_LEADS
from moorage_adapters.memory.world import CAFE, NEWSLETTER
from moorage_ports import events
from moorage_ports.crm import CrmLead
from moorage_ports.erasure import Cause, LeadTrace
from moorage_ports.lead_ledger import EntryFilter, LeadOutcome
from moorage_ports.operations import Role
from moorage_ports.outgoing import EventType
from tests.support.asking import headers_of
from tests.support.crm import ask, letter, read, tell
from tests.support.harbour import ADMIN, Harbour
from tests.support.remains import found_in, opened
from tests.unit.leads.telling import ORG, heard, leads_of, settle, ways_of
from tests.unit.privacy.planting import (
    ALL,
    ANSWER,
    BEN,
    EMAIL,
    ERASE,
    REMARK,
    SEALED,
    STAYING,
    hear,
    plant,
    remains,
    sync,
    talk_of,
)


@pytest.mark.parametrize("by", ["contactId", "leadId", "email", "phone"])
async def test_t_delete_canary_nothing_is_left_m3(
    host: Harbour, tmp_path: Path, database_url: str, by: str
) -> None:
    """M3: by whatever they are known; in the files, the rows, the index of words, and in what is sealed."""
    planted = await plant(host)
    assert found_in(await opened(host, ADMIN.org_id), SEALED) == set(SEALED), "the planting is seen at all"
    asked = {
        "contactId": planted.contact_id,
        "leadId": planted.lead.id,
        "email": EMAIL.lower(),
        "phone": "+1 (555) 555-0142",
    }[by]

    answer = await ask(host, ERASE, method="POST", body={by: asked, "dryRun": False})

    assert answer.status_code == 200, answer.text
    assert answer.json()["counts"]["leads"] == 1
    assert planted.contact_id in answer.json()["contactIds"]
    assert await remains(host, tmp_path, database_url) == set()


async def test_the_planting_is_found_without_an_erasure(
    host: Harbour, tmp_path: Path, database_url: str
) -> None:
    """Without this the test above could not fail."""
    await plant(host)

    assert await remains(host, tmp_path, database_url) == set(ALL)


async def test_a_dry_run_says_what_would_go_and_changes_nothing(host: Harbour) -> None:
    """It is what happens unless somebody says otherwise."""
    planted = await plant(host)

    answer = await ask(host, ERASE, method="POST", body={"email": EMAIL})

    assert answer.status_code == 200, answer.text
    assert answer.json() == {
        "dryRun": True,
        "contactIds": sorted(planted.contact_ids),
        "leadIds": [planted.lead.id],
        # A comment and a letter of theirs, and our answer to each; both comments and a like; one
        # conversation. Others said something in the thread that they began: it stays.
        "counts": {
            "contacts": 2,
            "identities": 3,
            "leads": 1,
            "messages": 4,
            "activities": 3,
            "conversations": 1,
        },
    }
    assert len(await host.leads()) == 1
    assert (await read(host, "/crm/privacy/erasures"))["items"] == []

    went = (await ask(host, ERASE, method="POST", body={"email": EMAIL, "dryRun": False})).json()["counts"]
    counted = answer.json()["counts"]
    assert went.keys() - counted.keys() == {"deliveries", "answers"}, "copies are opened only now"
    assert {name: went[name] for name in counted} == counted


async def test_what_others_said_stays(host: Harbour) -> None:
    """Their comments, also below one that is gone; their letters, their likes; and what we answered them."""
    planted = await plant(host)
    await ask(host, ERASE, method="POST", body={"contactId": planted.contact_id, "dryRun": False})

    contacts = await read(host, "/crm/contacts")
    talks = await read(host, "/crm/inbox/conversations")
    assert [one["name"] for one in contacts["items"]] == [BEN.name]
    assert {one["lastMessage"]["text"] for one in talks["items"]} == {
        f"It is, says {STAYING}",
        STAYING,
        f"Where is the {STAYING}?",
    }
    activity = await read(host, "/crm/social/activity")
    assert {(one["kind"], one["contactId"]) for one in activity["items"]} == {
        ("comment", contacts["items"][0]["id"]),
        ("reaction", contacts["items"][0]["id"]),
    }
    found = await read(host, "/crm/inbox/messages", search=STAYING)
    assert found["total"] == 4


async def test_nothing_brings_them_back_m3(host: Harbour, tmp_path: Path, database_url: str) -> None:
    """M3: the vendor sends all of it again, a month later, too, and a sync reads the board anew."""
    planted = await plant(host)
    await ask(host, ERASE, method="POST", body={"email": EMAIL, "dryRun": False})

    for days in (0, 31, 400):
        host.clock.advance(timedelta(days=days))
        for delivery in planted.deliveries:
            assert (await host.deliver(delivery)).status_code == 200
        await host.work()
        assert await host.leads() == ()
        contacts = await read(host, "/crm/contacts")
        assert [one["name"] for one in contacts["items"]] == [BEN.name]
    await sync(host)
    assert [one["name"] for one in (await read(host, "/crm/contacts"))["items"]] == [BEN.name]
    assert (await read(host, "/crm/inbox/messages", search=REMARK))["total"] == 0

    # What no org owned comes aside again, sealed, for its week: whose it is, nobody here can tell.
    assert await remains(host, tmp_path, database_url, aside=False) == set()


async def test_a_lead_goes_with_those_that_were_put_into_it_and_none_comes_back_m3(quick: Harbour) -> None:
    """M3: of the second only the ledger knows."""
    both = heard(1, email="ada@reed.example"), heard(2, email="ada@reed.example")
    await settle(quick.storage, *both)
    (whole,) = (await leads_of(quick.storage)).values()
    assert await ways_of(quick.storage, whole.id) == [one.event.lead_external_id for one in both]

    trace = LeadTrace(
        id=whole.id,
        vendor=whole.vendor,
        external_id=whole.external_id,
        channel_external_id=whole.channel_external_id,
        form_id=whole.form_id,
    )
    await erase_leads(quick.services, ORG, [trace], Reason(cause=Cause.RETENTION))
    assert await leads_of(quick.storage) == {}

    async with quick.storage.unit_of_work(ORG, reads_only=True) as uow:
        entries = await uow.lead_ledger.page(EntryFilter(), page=1, page_size=9)
    assert [entry.outcome for entry in entries.items] == [LeadOutcome.ERASED, LeadOutcome.ERASED]
    for one in both:
        assert await settle(quick.storage, one) == {}, "it was here before, and is not asked after again"
    assert await leads_of(quick.storage) == {}


async def test_an_answer_under_a_key_says_that_it_is_gone_and_is_not_sent_again(quick: Harbour) -> None:
    """What a call made is deleted; its key still stands for that call."""
    planted = await plant(quick)
    talk = await talk_of(quick, planted.contact_id)
    await ask(quick, ERASE, method="POST", body={"contactId": planted.contact_id, "dryRun": False})
    letters = len(quick.world.mail.letters)

    headers = headers_of(quick, role=Role.AGENT) | {"idempotency-key": "k3"}
    body = {"conversationId": talk, "text": f"Your {ANSWER} waits"}
    again = await quick.http.post("/upstream/call/memory-provider/write", json=body, headers=headers)

    assert (again.status_code, again.json()["code"]) == (404, "not_found")
    assert len(quick.world.mail.letters) == letters


async def test_what_happened_is_told_without_saying_to_whom(host: Harbour) -> None:
    planted = await plant(host)
    await ask(host, ERASE, method="POST", body={"contactId": planted.contact_id, "dryRun": False})

    (noted,) = (await read(host, "/crm/privacy/erasures"))["items"]
    async with host.storage.unit_of_work(ADMIN.org_id, reads_only=True) as uow:
        entries = await uow.lead_ledger.of("memory", [planted.lead.external_id])
        parcels = await uow.outgoing.handovers("ep-1", page=1, page_size=10)

    assert (noted["cause"], noted["by"]) == (Cause.REQUEST.value, ADMIN.user_id)
    assert noted["removed"]["leads"] == 1
    assert not found_in(repr(noted).encode(), ALL)
    assert [one.event_type for one in parcels.items] == [EventType.LEAD_DELETED]
    for entry in entries.values():
        assert (entry.outcome, entry.lead_id) == (LeadOutcome.ERASED, "")
        assert entry.external_id.startswith("erased:")


async def test_only_what_was_named_if_that_is_asked_for(quick: Harbour) -> None:
    """A family has one address: `onlyThis` leaves the others."""
    for name in ("Ada", "Bo"):
        quick.world.fill_in(NEWSLETTER.id, {"full_name": (name,), "email": ("reed@harbour.example",)})
    await hear(quick)
    ada = next(lead for lead in await quick.leads() if lead.first_name == "Ada")

    body = {"leadId": ada.id, "onlyThis": True, "dryRun": False}
    assert (await ask(quick, ERASE, method="POST", body=body)).status_code == 200

    assert [lead.first_name for lead in await quick.leads()] == ["Bo"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"email": "a@b.example", "phone": "+15550100199"}, 422),
        ({"phone": "12"}, 422),
        ({"email": "nobody@harbour.example", "dryRun": False}, 200),
        ({"contactId": "ct_nobody"}, 200),
        ({"everybody": True}, 422),
    ],
)
async def test_who_is_to_be_forgotten_has_to_be_said(quick: Harbour, body: object, status: int) -> None:
    answer = await ask(quick, ERASE, method="POST", body=body)
    assert answer.status_code == status, answer.text
    if status == 200:
        assert answer.json()["counts"] == {}


@pytest.mark.parametrize(("phone", "is_found"), [("+1 (555) 010-0199", True), ("555 010 0199", False)])
async def test_a_number_finds_whoever_a_vendor_knows_by_it(
    quick: Harbour, phone: str, is_found: bool
) -> None:
    """Some vendors' ids are numbers, with their country. Without it the same digits are somebody else's."""
    who = events.Person(external_id="15550100199", realm="numbers", name="Ada Reed")
    await tell(quick, letter(1, person=who))
    answer = await ask(quick, ERASE, method="POST", body={"phone": phone, "dryRun": False})

    assert answer.json()["counts"].get("contacts", 0) == is_found
    assert (await read(quick, "/crm/contacts"))["total"] == (not is_found)


async def test_what_is_no_single_persons_is_refused(quick: Harbour) -> None:
    """A reception's number stands on hundreds of leads: whoever named it did not mean all of these people."""
    async with quick.storage.unit_of_work(ADMIN.org_id) as uow:
        await uow.leads.add_all(
            [
                CrmLead(
                    id=f"lead-{number}",
                    external_id=f"slip-9{number}",
                    vendor="memory",
                    channel_external_id=CAFE.id,
                    phone=("+15550100199", "+1 555 0100 199", "15550100199")[number % 3],
                    source="memory",
                    created_at=quick.clock.now(),
                )
                for number in range(MOST_LEADS + 1)
            ]
        )

    for dry_run in (True, False):
        body = {"phone": "+1 (555) 010-0199", "dryRun": dry_run}
        answer = await ask(quick, ERASE, method="POST", body=body)
        assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert len(await quick.leads()) > 0


async def test_administrators_only_and_their_own_org_only(quick: Harbour) -> None:
    planted = await plant(quick)
    body = {"contactId": planted.contact_id, "dryRun": False}

    assert (await ask(quick, ERASE, method="POST", body=body, role=Role.AGENT)).status_code == 403
    other = await ask(quick, ERASE, method="POST", body=body, org_id="org-b")
    assert (other.status_code, other.json()["counts"]) == (200, {})
    assert len(await quick.leads()) == 1
