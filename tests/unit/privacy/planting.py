"""Somebody about whom a host has something everywhere, with a word in each place that stands nowhere else."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import attrs

from moorage.handover.announcing import announce_lead
from moorage.syncing import Syncer, sync_nudge
from moorage_adapters.memory.things import Person
from moorage_adapters.memory.world import BOOKS, CAFE, NEWSLETTER
from moorage_ports.crm import CrmLead
from moorage_ports.crm_records import LedgerKeys
from moorage_ports.operations import Role
from moorage_ports.outgoing import Endpoint, EventType, SigningSecret
from moorage_ports.secret import Secret
from moorage_ports.webhooks import Delivery
from tests.support.asking import headers_of
from tests.support.crm import read
from tests.support.harbour import ADMIN, Harbour
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


async def sync(host: Harbour) -> None:
    headers = headers_of(host, role=Role.AGENT)
    await host.http.post("/upstream/call/memory-provider/sync", content=b"{}", headers=headers)
    for _ in range(50):
        if await Syncer(host.services).look(sync_nudge(ADMIN.org_id, "memory", CAFE.id)) is None:
            return
    msg = "the sync never ends"
    raise AssertionError(msg)
