"""From a form that somebody filled in to the org's own CRM: what becomes of a lead is told, and told once."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from moorage_adapters.memory.lead_source import MemoryLeadSource
from moorage_adapters.memory.world import CAFE, NEWSLETTER
from moorage_adapters.safe_http import SafeDoor
from tests.support.asking import headers_of
from tests.support.crm import read
from tests.support.harbour import ADMIN, Harbour, harbour
from tests.support.receiver import Receiver
from tests.unit.adapters.test_safe_http import LOOPBACK
from tests.unit.handover.conftest import Quay

ANSWERS = {"email": ("ada@harbour.example",), "full_name": ("Ada Reed",), "roast": ("dark", "light")}


@attrs.define
class Shop:
    """A host with a form, and a CRM that listens."""

    host: Harbour
    quay: Quay

    async def told(self) -> list[tuple[str, Any]]:
        """What has been told since last asked."""
        await self.quay.look_until_done()
        received, self.quay.receiver.received = self.quay.receiver.received, []
        return [(one.event["type"], one.event["data"]) for one in received]

    async def ask(self, method: str, path: str, **body: object) -> Any:
        answer = await self.host.http.request(method, path, headers=headers_of(self.host), json=body or None)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None


@pytest.fixture
async def shop(tmp_path: Path, storage_url: str, receiver: Receiver) -> AsyncIterator[Shop]:
    async with harbour(tmp_path, database_url=storage_url) as host:
        await host.connect()
        await host.select(CAFE.id)
        door = SafeDoor(LOOPBACK)
        quay = Quay(attrs.evolve(host.services, door=door), host.storage, host.clock, receiver)
        await quay.endpoint()
        yield Shop(host, quay)
        await door.aclose()


async def test_a_lead_is_told_once_however_often_its_delivery_comes(shop: Shop) -> None:
    slip = shop.host.world.fill_in(NEWSLETTER.id, ANSWERS)
    await shop.host.deliver_all()
    await shop.host.work()
    for _ in range(2):
        await shop.host.deliver(shop.host.world.delivery_of(slip, slip))
        await shop.host.work()
    (lead,) = (await read(shop.host, "/crm/leads/detail"))["items"]
    assert await shop.told() == [("lead.created", lead)]
    assert (lead["externalId"], lead["email"]) == (slip.id, "ada@harbour.example")


async def test_what_people_change_and_delete_is_told_too(shop: Shop) -> None:
    lead = await shop.ask("POST", "/crm/leads/detail", email="bo@harbour.example", firstName="Bo")
    path = f"/crm/leads/detail/{lead['id']}"
    assert await shop.told() == [("lead.created", lead)]
    changed = await shop.ask("PATCH", path, status="contacted")
    assert await shop.told() == [("lead.updated", changed)]
    await shop.ask("PATCH", path, status="qualified")
    await shop.ask("DELETE", path)
    ((kind, data),) = await shop.told()
    assert (kind, data["id"]) == ("lead.deleted", lead["id"])
    assert "bo@" not in str(data)


async def test_a_test_lead_that_was_told_of_as_a_real_one_is_told_of_again(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its delivery may be faster than the answer that says which it is, and not every vendor's lead says."""
    slow = MemoryLeadSource.create_test_lead

    async def arrives_first(source: MemoryLeadSource, channel: str, form: str, answers: Any) -> str:
        made = await slow(source, channel, form, answers=answers)
        await shop.host.deliver_all()
        await shop.host.work()
        async with shop.quay.storage.unit_of_work(ADMIN.org_id) as uow:
            (lead,) = (await uow.leads.page(page=1, page_size=1)).items
            await uow.leads.update(attrs.evolve(lead, is_test=False))
        return made

    monkeypatch.setattr(MemoryLeadSource, "create_test_lead", arrives_first)
    body = {"form": NEWSLETTER.id, "answers": {"email": ["ada@harbour.example"]}}
    await shop.ask("POST", "/upstream/call/memory-provider/try-form", **body)
    told = await shop.told()
    assert [kind for kind, _ in told] == ["lead.created", "lead.updated"]
    assert told[-1][1]["isTest"] is True


async def test_where_nobody_listens_nothing_is_kept(shop: Shop) -> None:
    async with shop.quay.storage.unit_of_work(ADMIN.org_id) as uow:
        await uow.outgoing.delete_endpoint("e1")
    lead = await shop.ask("POST", "/crm/leads/detail", email="bo@harbour.example")
    async with shop.quay.storage.unit_of_work(ADMIN.org_id) as uow:
        assert await uow.outgoing.forget_about([lead["id"]]) == 0
