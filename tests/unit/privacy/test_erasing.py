"""M3: somebody asks to be forgotten: nothing of theirs is left anywhere, and nothing brings it back."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import attrs
import pytest

from moorage.handover.announcing import announce_lead
from moorage.privacy.keeping import keep_to_retention
from moorage.privacy.people import MOST_LEADS
from moorage.syncing import Syncer, sync_nudge
from moorage_adapters.memory.direct_messages import MemoryDirectMessages
from moorage_adapters.memory.things import Note, Person
from moorage_adapters.memory.withdrawals import notice
from moorage_adapters.memory.world import ADA, BOOKS, CAFE, NEWSLETTER
from moorage_ports.crm import CrmLead
from moorage_ports.crm_records import LedgerKeys
from moorage_ports.direct_messages import OutgoingMessage
from moorage_ports.erasure import Cause
from moorage_ports.inbox import ItemState, Settlement
from moorage_ports.lead_ledger import LeadOutcome
from moorage_ports.operations import Role
from moorage_ports.outgoing import Endpoint, EventType, SigningSecret
from moorage_ports.secret import Secret
from moorage_ports.webhooks import Delivery
from tests.support.asking import headers_of
from tests.support.crm import ask, read
from tests.support.harbour import ADMIN, NOON, Harbour, harbour
from tests.support.remains import found_in, opened, postgres_rows, sqlite_files

# One word for each place: none of them may be found anywhere once it is over.
NAME, MAIL, PHONE, FREE = "zwixelbart", "quorlander", "15555550142", "flimmerkiste"
REMARK, LETTER, REPLY, ANSWER, CALLED = (
    "brummkreisel",
    "schnurrhahn",
    "tintenfass",
    "wolkenbank",
    "770017700177",
)
PLAIN: Final = (NAME, MAIL, PHONE, REMARK, LETTER, REPLY, ANSWER, CALLED)
SEALED: Final = (NAME, LETTER, REMARK, REPLY, CALLED)
ALL: Final = (*PLAIN, FREE)
GONE = Person(id=f"person-{CALLED}", name=f"{NAME.title()} Moor")
BEN = Person(id="person-9", name="Ben Stays")
EMAIL: Final = f"{MAIL.title()}@Harbour.example"
NOTE: Final = f"note-{CAFE.id}"
ERASE: Final = "/crm/privacy/erase"
STAYING: Final = "haltestelle"  # what others said


@pytest.fixture
def url(database_kind: str, request: pytest.FixtureRequest) -> str:
    """The database that is none of the harbour's own."""
    return str(request.getfixturevalue("postgres_url")) if database_kind == "postgres" else ""


@pytest.fixture
async def host(tmp_path: Path, url: str) -> AsyncIterator[Harbour]:
    """The café's board is chosen, and a note hangs there."""
    async with _town(tmp_path, url) as made:
        yield made


@pytest.fixture
async def quick(tmp_path: Path) -> AsyncIterator[Harbour]:
    """The same, where it makes no difference which database there is."""
    async with _town(tmp_path, "") as made:
        yield made


@asynccontextmanager
async def _town(folder: Path, url: str) -> AsyncIterator[Harbour]:
    async with harbour(folder, database_url=url) as made:
        made.world.people |= {GONE.id: GONE, BEN.id: BEN}
        for board in (CAFE, BOOKS):
            made.world.notes[f"note-{board.id}"] = Note(
                id=f"note-{board.id}", board_id=board.id, text="Hi", link=None, images=(), pinned_at=NOON
            )
        await made.connect()
        await made.select(CAFE.id)
        yield made


@attrs.frozen
class Planted:
    """What was done with somebody: every delivery that told of it, and their lead."""

    deliveries: Sequence[Delivery]
    lead: CrmLead
    contact_id: str
    contact_ids: frozenset[str]
    remark_id: str


async def hear(host: Harbour) -> list[Delivery]:
    """Take in what the vendor tells, and work on it."""
    told = list(host.world.outbox)
    await host.deliver_all()
    await host.work()
    return told


async def call(host: Harbour, operation: str, body: dict[str, object], key: str) -> dict[str, Any]:
    headers = headers_of(host, role=Role.AGENT) | {"idempotency-key": key}
    answer = await host.http.post(f"/upstream/call/memory-provider/{operation}", json=body, headers=headers)
    assert answer.status_code in {200, 202}, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def plant(host: Harbour) -> Planted:
    """They write, comment, like, hand in a form; we answer; others talk beside them."""
    world = host.world
    async with host.storage.unit_of_work(ADMIN.org_id) as uow:
        await uow.outgoing.save_endpoint(
            Endpoint(
                id="ep-1",
                url="https://crm.example/hook",
                secrets=(SigningSecret(value=Secret("not a secret of anybody's")),),
                created_at=host.clock.now(),
                updated_at=host.clock.now(),
            )
        )
    remark = world.say(NOTE, f"Is the {REMARK} open?", by=GONE)
    other = world.say(NOTE, f"The {STAYING} is.", by=BEN)
    world.say(NOTE, f"It is, says {STAYING}", by=BEN, answers=remark.id)
    world.cheer(NOTE, "heart", by=GONE)
    world.cheer(NOTE, "heart", by=BEN)
    world.write_to(CAFE.id, f"My {LETTER} is lost", by=GONE)
    world.write_to(CAFE.id, f"Where is the {STAYING}?", by=BEN)
    answers = {
        "full_name": (GONE.name,),
        "email": (EMAIL,),
        "phone": (f"+{PHONE}",),
        "wish": (f"a {FREE}",),
    }
    world.fill_in(NEWSLETTER.id, answers)
    told = await hear(host)
    await sync(host)
    world.write_to(BOOKS.id, f"A {LETTER} to nobody", by=GONE)  # nobody chose that board: kept aside
    told += await hear(host)
    (lead,) = await host.leads()
    former = lead.contact_id or ""
    lead, contact_id = await join(host, lead)
    talk = await talk_of(host, contact_id)
    host.clock.advance(timedelta(minutes=1))
    await call(host, "reply", {"commentId": remark.id, "text": f"Dear {NAME}, {REPLY}"}, "k1")
    await call(host, "reply", {"commentId": other.id, "text": STAYING}, "k2")
    await call(host, "write", {"conversationId": talk, "text": f"Your {ANSWER} waits"}, "k3")
    told += await hear(host)
    ids = frozenset({contact_id, former})
    return Planted(deliveries=told, lead=lead, contact_id=contact_id, contact_ids=ids, remark_id=remark.id)


async def join(host: Harbour, lead: CrmLead) -> tuple[CrmLead, str]:
    """Whoever sent the lead is whoever wrote: their contacts are one, and somebody is told of the lead."""
    found = await read(host, "/crm/contacts", search=GONE.name)
    contact_id = next(str(one["id"]) for one in found["items"] if one["id"] != lead.contact_id)
    assert lead.contact_id is not None
    async with host.storage.unit_of_work(ADMIN.org_id) as uow:
        ledger = await uow.crm_records.load(LedgerKeys(contacts={lead.contact_id, contact_id}))
        for identity in await uow.crm_records.identities_of([lead.contact_id]):
            identity.contact_id = contact_id
            ledger.identities[identity.id] = identity
        former = ledger.contacts[lead.contact_id]
        former.name, former.name_stamp, former.merged_into = "", None, contact_id
        await uow.crm_records.save(ledger)
        lead = attrs.evolve(lead, contact_id=contact_id)
        await uow.leads.update(lead)
        await announce_lead(uow, EventType.LEAD_UPDATED, lead)
    return lead, contact_id


async def talk_of(host: Harbour, contact_id: str) -> str:
    found = await read(host, "/crm/inbox/conversations", kind="direct")
    return next(str(one["id"]) for one in found["items"] if one["contactId"] == contact_id)


async def remains(host: Harbour, tmp_path: Path, url: str, *, aside: bool = True) -> set[str]:
    """Which of the words are left, in the files or rows, or in what opens."""
    sealed = await opened(host, ADMIN.org_id, aside=aside)
    if url:
        return found_in(await postgres_rows(url), ALL) | found_in(sealed, ALL)
    await host.storage.database.aclose()
    return found_in(sqlite_files(tmp_path / "moorage.db"), ALL) | found_in(sealed, ALL)


@pytest.mark.parametrize("by", ["contactId", "leadId", "email", "phone"])
async def test_t_delete_canary_nothing_is_left_m3(host: Harbour, tmp_path: Path, url: str, by: str) -> None:
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
    assert await remains(host, tmp_path, url) == set()


async def test_the_planting_is_found_without_an_erasure(host: Harbour, tmp_path: Path, url: str) -> None:
    """Without this the test above could not fail."""
    await plant(host)

    assert await remains(host, tmp_path, url) == set(ALL)


async def test_a_dry_run_says_what_would_go_and_changes_nothing(host: Harbour) -> None:
    """It is what happens unless somebody says otherwise."""
    planted = await plant(host)

    answer = await ask(host, ERASE, method="POST", body={"email": EMAIL})

    assert answer.status_code == 200, answer.text
    assert answer.json() == {
        "dryRun": True,
        "contactIds": sorted(planted.contact_ids),
        "leadIds": [planted.lead.id],
        # A comment and a letter of theirs, and our answer to the letter; a comment and a like; one
        # conversation, and one thread that they began.
        "counts": {
            "contacts": 2,
            "identities": 3,
            "leads": 1,
            "messages": 3,
            "activities": 2,
            "conversations": 2,
        },
    }
    assert len(await host.leads()) == 1
    assert (await read(host, "/crm/privacy/erasures"))["items"] == []


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


async def test_nothing_brings_them_back_m3(host: Harbour, tmp_path: Path, url: str) -> None:
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
    assert await remains(host, tmp_path, url, aside=False) == set()


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


async def sync(host: Harbour) -> None:
    headers = headers_of(host, role=Role.AGENT)
    await host.http.post("/upstream/call/memory-provider/sync", content=b"{}", headers=headers)
    for _ in range(50):
        if await Syncer(host.services).look(sync_nudge(ADMIN.org_id, "memory", CAFE.id)) is None:
            return
    msg = "the sync never ends"
    raise AssertionError(msg)


async def test_a_lead_on_its_way_does_not_come_in_any_more(quick: Harbour) -> None:
    """It was sent and acknowledged, the vendor was down, and the person asked to be forgotten meanwhile."""
    quick.world.fill_in(NEWSLETTER.id, {"email": (EMAIL,)})
    told = await hear(quick)
    quick.world.go_down()
    quick.world.fill_in(NEWSLETTER.id, {"email": (EMAIL,)})
    quick.world.fill_in(NEWSLETTER.id, {"email": ("bo@harbour.example",)})
    await hear(quick)
    assert (await read(quick, "/upstream/deliveries", state="pending"))["total"] == 2
    quick.world.clear_up()

    await ask(quick, ERASE, method="POST", body={"email": EMAIL, "dryRun": False})
    quick.clock.advance(timedelta(days=4))
    await quick.deliver(told[0])
    await quick.work()

    assert [lead.email for lead in await quick.leads()] == ["bo@harbour.example"]
    quick.world.fill_in(NEWSLETTER.id, {"email": (EMAIL,)})
    await hear(quick)
    assert {lead.email for lead in await quick.leads()} == {"bo@harbour.example", EMAIL}, "a new one is new"


async def test_what_waits_for_a_person_or_was_given_up_goes_as_well(quick: Harbour) -> None:
    """Who connected has left: letters are parked. Some were given up. Ben's letters stay where they are."""
    planted = await plant(quick)
    left = notice(quick.world.app, quick.clock.now(), person=ADA.id)
    assert (await quick.http.post("/connect/deauthorize/memory", content=left)).status_code == 200
    for person in (GONE, BEN):
        quick.world.write_to(CAFE.id, f"Are you there? {LETTER if person is GONE else STAYING}", by=person)
    await hear(quick)
    quick.clock.advance(timedelta(days=91))
    await keep_to_retention(quick.services)
    for person in (GONE, BEN):
        quick.world.write_to(CAFE.id, f"Still there? {LETTER if person is GONE else STAYING}", by=person)
    await hear(quick)
    for state in ("parked", "dead"):
        assert (await read(quick, "/upstream/deliveries", state=state))["total"] == 2

    await ask(quick, ERASE, method="POST", body={"contactId": planted.contact_id, "dryRun": False})

    assert not found_in(await opened(quick, ADMIN.org_id, aside=False), ALL)
    for state in ("parked", "dead"):
        assert (await read(quick, "/upstream/deliveries", state=state))["total"] == 1
    quick.clock.advance(timedelta(minutes=1))
    await quick.connect()
    await quick.work()
    talks = (await read(quick, "/crm/inbox/conversations", kind="direct"))["items"]
    assert [one["lastMessage"]["text"] for one in talks] == [f"Still there? {STAYING}"]


async def test_whoever_is_at_a_delivery_cannot_write_what_it_said(quick: Harbour) -> None:
    """Fault 66: a worker has read it, the person is forgotten, the worker comes to write."""
    planted = await plant(quick)
    quick.world.write_to(CAFE.id, f"One more {LETTER}", by=GONE)
    await quick.deliver_all()
    ((org_id, bucket),) = await quick.storage.backlog.pending_groups(quick.clock.now())
    async with quick.storage.unit_of_work(org_id) as uow:
        (item,) = await uow.inbox.claim(bucket, limit=5, now=quick.clock.now())

    await ask(quick, ERASE, method="POST", body={"contactId": planted.contact_id, "dryRun": False})

    async with quick.storage.unit_of_work(org_id) as uow:
        settlement = Settlement(item=item, state=ItemState.DONE)
        assert await uow.inbox.settle([settlement], now=quick.clock.now()) == (False,)
    await quick.work()
    assert (await read(quick, "/crm/inbox/messages", search=LETTER))["total"] == 0


async def test_an_answer_that_was_under_way_leaves_nothing(
    quick: Harbour, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """We were writing to them when they were forgotten: it was sent, and nothing is kept of it."""
    planted = await plant(quick)
    talk = await talk_of(quick, planted.contact_id)
    send = MemoryDirectMessages.send

    async def while_erasing(port: MemoryDirectMessages, message: OutgoingMessage) -> object:
        sent = await send(port, message)
        erased = {"contactId": planted.contact_id, "dryRun": False}
        assert (await ask(quick, ERASE, method="POST", body=erased)).status_code == 200
        return sent

    monkeypatch.setattr(MemoryDirectMessages, "send", while_erasing)
    headers = headers_of(quick, role=Role.AGENT)
    body = {"conversationId": talk, "text": f"Dear {NAME}"}
    answer = await quick.http.post("/upstream/call/memory-provider/write", json=body, headers=headers)
    await hear(quick)

    assert answer.status_code in {200, 202, 404}, answer.text
    assert (await read(quick, "/crm/inbox/messages", search=NAME))["total"] == 0
    assert {one["name"] for one in (await read(quick, "/crm/contacts"))["items"]} == {BEN.name}
    assert await remains(quick, tmp_path, "", aside=False) == set()


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
