"""M3: what is under way while somebody is forgotten, or comes late, leaves nothing, either."""

from datetime import timedelta
from pathlib import Path

import pytest

from moorage.privacy.keeping import keep_to_retention
from moorage_adapters.memory.direct_messages import MemoryDirectMessages
from moorage_adapters.memory.withdrawals import notice
from moorage_adapters.memory.world import ADA, CAFE, NEWSLETTER
from moorage_ports.direct_messages import OutgoingMessage
from moorage_ports.inbox import ItemState, Settlement
from moorage_ports.operations import Role
from tests.support.asking import headers_of
from tests.support.crm import ask, read
from tests.support.harbour import ADMIN, Harbour
from tests.support.remains import found_in, opened
from tests.unit.privacy.planting import (
    ALL,
    BEN,
    EMAIL,
    ERASE,
    GONE,
    LETTER,
    NAME,
    STAYING,
    hear,
    plant,
    remains,
    talk_of,
)


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
