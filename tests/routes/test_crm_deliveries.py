"""`/upstream/deliveries`, `/upstream/unmapped`: what was given up or waits, and what nobody has mapped."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import nullcontext
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from moorage import settling
from moorage.crm.apply import Applied, apply_events
from moorage.inbox_worker import MOST_TRIES, InboxWorker
from moorage_adapters.memory.news import signed
from moorage_adapters.memory.things import Person
from moorage_adapters.memory.town import ADA
from moorage_adapters.memory.world import CAFE, NEWSLETTER
from moorage_ports.crm_records import CrmRecords
from moorage_ports.events import CrmEvent, MessageSeen
from moorage_ports.inbox import InboxItem, inbox_nudge
from moorage_ports.operations import Role
from tests.routes.test_any_order import telling
from tests.support.crm import ask, read
from tests.support.harbour import ADMIN, Harbour, harbour

DELIVERIES, REPLAY, UNMAPPED = "/upstream/deliveries", "/upstream/deliveries/replay", "/upstream/unmapped"


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Harbour]:
    async with harbour(tmp_path) as made:
        await made.connect()
        await made.select(CAFE.id)
        yield made


async def give_up(host: Harbour) -> str:
    """A form comes in, and is given up for a reason that is gone by now."""
    host.world.fill_in(NEWSLETTER.id, {"email": ("ada@harbour.example",)})
    await host.deliver_all()
    async with host.storage.database.write(org_id=ADMIN.org_id) as transaction:
        given_up = text(
            "UPDATE inbox SET state = 'dead', tries = 8, last_error = 'internal', settled_at = :at"
        )
        await transaction.run(
            lambda connection: connection.execute(given_up, {"at": host.clock.now().replace(tzinfo=None)})
        )
    [item] = (await read(host, DELIVERIES))["items"]
    return str(item["id"])


async def replay(host: Harbour, **body: object) -> int:
    answer = await ask(host, REPLAY, method="POST", body=body)
    assert answer.status_code == 202, answer.text
    return msgspec.json.decode(answer.content, type=dict[str, int])["replayed"]


async def test_what_was_given_up_is_listed_without_what_is_in_it(host: Harbour) -> None:
    await give_up(host)
    found = await read(host, DELIVERIES, state="dead", vendor="memory")
    assert (found["total"], found["page"], found["pageSize"]) == (1, 1, 25)
    [item] = found["items"]
    assert item == {
        "id": item["id"],
        "vendor": "memory",
        "kind": "slip",
        "state": "dead",
        "receivedAt": "2030-06-01T12:00:00Z",
        "settledAt": "2030-06-01T12:00:00Z",
        "tries": 8,
        "error": "internal",
    }
    assert (await read(host, DELIVERIES, vendor="other"))["total"] == 0
    for state in ("parked", "pending"):
        assert (await read(host, DELIVERIES, state=state))["items"] == []


@pytest.mark.parametrize("named", [False, True])
async def test_it_is_worked_on_again_by_route(host: Harbour, named: bool) -> None:
    key = await give_up(host)
    assert await replay(host, **({"ids": [key]} if named else {})) == 1
    [item] = (await read(host, DELIVERIES, state="pending"))["items"]
    assert (item["id"], item["tries"], item["error"]) == (key, 0, "")
    await host.work()
    assert [lead.email for lead in await host.leads()] == ["ada@harbour.example"]
    assert await replay(host) == 0
    assert await replay(host, state="done") == 1, "done once more"
    await host.work()
    assert len(await host.leads()) == 1


async def test_a_dry_run_says_what_would_be_worked_on_again_and_changes_nothing(host: Harbour) -> None:
    key = await give_up(host)
    answer = await ask(host, REPLAY, method="POST", body={"dryRun": True, "kind": "slip"})
    plan = msgspec.json.decode(answer.content)
    assert (answer.status_code, plan["wouldReplay"], plan["hasMore"]) == (200, 1, False)
    [item] = plan["items"]
    assert (item["id"], item["state"], item["error"], item["hasEffect"]) == (key, "dead", "internal", True)
    parked = await ask(host, REPLAY, method="POST", body={"dryRun": True, "state": "parked"})
    assert msgspec.json.decode(parked.content) == {"wouldReplay": 0, "hasMore": False}
    assert (await read(host, DELIVERIES))["total"] == 1


async def test_a_replay_goes_by_kind_and_by_what_went_wrong(host: Harbour) -> None:
    await give_up(host)
    assert await replay(host, kind="letter") == 0
    assert await replay(host, error="rate_limited") == 0
    assert await replay(host, kind="slip", error="internal") == 1


async def test_a_replay_takes_what_fits_only(host: Harbour) -> None:
    key = await give_up(host)
    assert await replay(host, vendor="other") == 0
    assert await replay(host, ids=["ab" * 16]) == 0
    assert await replay(host, ids=[key], state="done") == 0
    assert (await read(host, DELIVERIES))["total"] == 1


async def test_a_row_whose_effect_breaks_is_given_up_and_stops_no_other_w14(
    host: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    """W14: whatever breaks when it is merged is listed after 8 tries; what came with it is there at once."""
    merged = apply_events

    async def breaks(records: CrmRecords, events: Sequence[tuple[str, CrmEvent]]) -> Applied:
        if any(isinstance(event, MessageSeen) and event.text == "Poison" for _, event in events):
            raise ZeroDivisionError
        return await merged(records, events)

    monkeypatch.setattr(settling, "apply_events", breaks)
    bo = Person(id="person-2", name="Bo Quay")
    for who, what in ((ADA, "First"), (bo, "From Bo"), (ADA, "Poison"), (ADA, "Last")):
        host.world.write_to(CAFE.id, what, by=who)
    await host.deliver_all()
    with capture_logs():  # to show such a failure with all that is around it takes seconds
        await host.work()
    assert await texts(host) == {"First", "From Bo"}, "what Ada says after it waits for it"
    waits, broken = (await read(host, DELIVERIES, state="pending"))["items"]
    assert [(one["tries"], one["error"]) for one in (waits, broken)] == [(0, ""), (1, "internal")]

    with capture_logs() as logged:
        for _ in range(2 * MOST_TRIES):
            host.clock.advance(timedelta(minutes=15))
            await host.work()
    assert [line["event"] for line in logged].count("inbox_effect_broke") == MOST_TRIES - 1
    assert await texts(host) == {"First", "From Bo", "Last"}
    [dead] = (await read(host, DELIVERIES, state="dead"))["items"]
    assert (dead["id"], dead["tries"], dead["error"]) == (broken["id"], MOST_TRIES, "internal")

    monkeypatch.undo()
    assert await replay(host, ids=[dead["id"]]) == 1
    await host.work()
    assert await texts(host) == {"First", "From Bo", "Poison", "Last"}


async def test_a_look_ends_when_all_of_its_work_has_ended(
    host: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also if not even what became of a row can be written: nobody works on unseen, and it is told."""
    settled, ended = settling.Settler.settle, 0

    async def breaks(
        settler: settling.Settler, outcomes: Sequence[tuple[InboxItem, settling.Outcome]]
    ) -> datetime | None:
        nonlocal ended
        if b"Poison" in outcomes[0][0].body:
            raise ZeroDivisionError
        await asyncio.sleep(0.01)
        retry_at = await settled(settler, outcomes)
        ended += 1
        return retry_at

    monkeypatch.setattr(settling.Settler, "settle", breaks)
    said = [*["From a stranger"] * 20, "Poison"]
    for number, what in enumerate(said):
        host.world.write_to(CAFE.id, what, by=Person(id=f"person-{number + 2}", name="Bo Quay"))
    await host.deliver_all()
    for org_id, bucket in await host.storage.backlog.pending_groups(host.clock.now()):
        async with host.storage.unit_of_work(org_id) as uow:
            claimed = await uow.inbox.claim(bucket, limit=99, now=host.clock.now())
        ended, is_poisoned = 0, any(b"Poison" in item.body for item in claimed)
        with pytest.raises(ZeroDivisionError) if is_poisoned else nullcontext():
            await InboxWorker(host.services).look(inbox_nudge(org_id, bucket))
        assert ended == len(claimed) - is_poisoned


async def texts(host: Harbour) -> set[str]:
    """Of all messages that the CRM has."""
    talks = [one["id"] for one in (await read(host, "/crm/inbox/conversations"))["items"]]
    said = [await read(host, "/crm/inbox/messages", conversationId=talk) for talk in talks]
    return {one["text"] for messages in said for one in messages["items"]}


async def test_what_is_parked_can_be_tried_at_once(host: Harbour) -> None:
    """A person has mended it at the vendor, and does not want to wait."""
    host.world.weather.is_closed = True
    host.world.fill_in(NEWSLETTER.id, {"email": ("ada@harbour.example",)})
    await host.deliver_all()
    await host.work()
    [waits] = (await read(host, DELIVERIES, state="pending"))["items"]
    assert waits["retryAt"] > waits["receivedAt"]
    host.world.weather.is_closed = False
    await replay(host, state="parked")
    await host.work()
    assert len(await host.leads()) == 1


async def test_another_orgs_deliveries_are_neither_listed_nor_replayed(host: Harbour) -> None:
    key = await give_up(host)
    assert (await read(host, DELIVERIES, org_id="org-b"))["total"] == 0
    answer = await ask(host, REPLAY, method="POST", org_id="org-b", body={"ids": [key]})
    assert answer.json() == {"replayed": 0}
    assert (await read(host, DELIVERIES))["total"] == 1


async def test_only_admins_see_and_replay(host: Harbour) -> None:
    for role in (Role.VIEWER, Role.AGENT):
        for method, path in (("GET", DELIVERIES), ("POST", REPLAY)):
            answer = await ask(host, path, method=method, role=role)
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


MISFITS: list[tuple[dict[str, object], str]] = [
    ({"ids": ["x; DROP TABLE"]}, "ids[0]"),
    ({"ids": ["ab"] * 501}, "ids"),
    ({"ids": ["ab"], "state": "parked"}, "ids"),
    ({"state": "pending"}, "state"),
    ({"all": True}, "all"),
]


async def test_an_order_that_does_not_fit_is_named(host: Harbour) -> None:
    for body, field in MISFITS:
        answer = await ask(host, REPLAY, method="POST", body=body)
        assert answer.status_code == 422, answer.text
        assert field in answer.json()["fields"]


async def test_kinds_that_nobody_has_mapped_are_counted(host: Harbour) -> None:
    knowing = telling(host)
    for n in range(3):
        body = msgspec.json.encode({"news": [{"what": "closed", "board": CAFE.id, "at": n}]})
        assert (await knowing.deliver(signed(body, host.world.app.secret))).status_code == 200
        await knowing.work()
    found: dict[str, Any] = await read(host, UNMAPPED, role=Role.VIEWER)
    [kind] = found["items"]
    assert (kind["vendor"], kind["kind"], kind["count"]) == ("memory", "unknown", 3)
    assert kind["firstAt"] == kind["lastAt"] == "2030-06-01T12:00:00Z"
    assert await replay(host, ids=[kind["deliveryId"]]) == 1
    assert (await read(host, UNMAPPED, org_id="org-b"))["items"] == []
