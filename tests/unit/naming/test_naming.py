"""Who writes by direct message gets a name: asked once, again only when that may help, never in the way."""

import asyncio
from datetime import timedelta
from typing import Any

import attrs
import pytest
from sqlalchemy import select

from moorage import naming
from moorage.crm.apply import apply_events
from moorage.naming import (
    CLAIM,
    NAMELESS,
    NOT_NOW,
    Namer,
    may_name,
    naming_nudge,
    sweep,
)
from moorage_adapters.memory.direct_messages import SURFACE
from moorage_adapters.memory.things import Person
from moorage_adapters.memory.world import BOOKS, CAFE
from moorage_adapters.sqlmodel.tables import JOB
from moorage_ports import events
from moorage_ports.capabilities import Capability
from tests.support.crm import ask, read
from tests.support.harbour import ADMIN, NOON, Harbour
from tests.support.naming import BO, CY, SECOND, asked, contact_of, hear, look, names, tell

OTHER = attrs.evolve(ADMIN, org_id="org-b", user_id="user-9")
ERASE = "/crm/privacy/erase"


# A name comes in ---------------------------------------------------------------------------------


async def test_who_wrote_is_asked_about_once_and_named_everywhere(host: Harbour) -> None:
    await hear(host, BO)
    before = await contact_of(host)
    assert before["name"] == ""
    host.clock.advance(timedelta(minutes=3))

    assert await asked(host) == 1

    after = await contact_of(host)
    assert after["name"] == "Bo Quay"
    assert (after["firstSeenAt"], after["lastSeenAt"]) == (before["firstSeenAt"], before["lastSeenAt"])
    assert after["identities"][0]["name"] == "Bo Quay"
    (talk,) = (await read(host, "/crm/inbox/conversations"))["items"]
    (letter,) = (await read(host, "/crm/inbox/messages", conversationId=talk["id"]))["items"]
    assert letter["author"]["name"] == "Bo Quay"
    assert talk["unreadCount"] == 1
    assert (await read(host, "/crm/contacts", search="quay"))["total"] == 1
    assert (await read(host, f"/crm/contacts/{after['id']}"))["signalTotal"] == 0, (
        "asking is nothing they did"
    )
    host.clock.advance(NAMELESS * 2)
    assert await asked(host) == 0


async def test_the_sweep_leaves_a_nudge_where_somebody_has_no_name_and_nowhere_else(quick: Harbour) -> None:
    await sweep(quick.services)
    assert await _in_line(quick) == []
    await hear(quick, BO)

    await sweep(quick.services)
    assert await _in_line(quick) == [f"{ADMIN.org_id}:memory"]


async def _in_line(host: Harbour) -> list[str]:
    """The groups of our queue."""
    statement = select(JOB.c.group_key).where(JOB.c.queue == naming.QUEUE)
    return await host.storage.database.read_at_once(
        lambda connection: list(connection.execute(statement).scalars())
    )


async def test_many_are_named_a_few_at_a_time(quick: Harbour, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(naming, "PEOPLE_A_LOOK", 2)
    await hear(quick, *(Person(id=f"person-{number}", name=f"P {number}") for number in range(5)))

    await Namer(quick.services).look(naming_nudge(ADMIN.org_id, "memory"))
    assert (await names(quick)).count("") == 3
    assert await asked(quick) == 3
    assert await names(quick) == [f"P {number}" for number in range(5)]


async def test_two_workers_ask_once(host: Harbour, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second comes while the first waits for an answer; so does another host's."""
    await hear(host, BO, CY)
    calls: list[str] = []

    async def slow(real: Any, who: events.Person) -> events.Person | None:
        calls.append(who.external_id)
        await asyncio.sleep(0.01)
        said: events.Person | None = await real()
        return said

    tell(monkeypatch, slow)
    nudge = naming_nudge(ADMIN.org_id, "memory")
    await asyncio.gather(*(Namer(host.services).look(nudge) for _ in range(4)))

    assert sorted(calls) == [BO.id, CY.id]
    assert await names(host) == ["Bo Quay", "Cy Moor"]


async def test_what_is_killed_while_asking_is_asked_again(
    quick: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    await hear(quick, BO)

    is_asking = asyncio.Event()

    async def hang(real: Any, who: events.Person) -> None:
        is_asking.set()
        await asyncio.Event().wait()

    with monkeypatch.context() as patch:
        tell(patch, hang)
        killed = asyncio.create_task(Namer(quick.services).look(naming_nudge(ADMIN.org_id, "memory")))
        await is_asking.wait()
        killed.cancel()
        await asyncio.gather(killed, return_exceptions=True)
    assert await asked(quick) == 0
    quick.clock.advance(CLAIM + SECOND)

    assert await asked(quick) == 1
    assert await names(quick) == ["Bo Quay"]


async def test_another_org_is_left_alone(host: Harbour) -> None:
    """Both have the café; one of them is looked at."""
    await host.connect(OTHER)
    await host.select(CAFE.id, caller=OTHER)
    await hear(host, BO)

    await Namer(host.services).look(naming_nudge(ADMIN.org_id, "memory"))

    assert await names(host) == ["Bo Quay"]
    assert await names(host, OTHER.org_id) == [""]
    assert await host.storage.backlog.strangers_due(["memory"], host.clock.now()) == [
        (OTHER.org_id, "memory")
    ]


# Whoever is not asked about ----------------------------------------------------------------------


async def test_who_has_a_name_already_is_not_asked_about(quick: Harbour) -> None:
    quick.world.mail.names_people = True
    await hear(quick, BO)

    assert await asked(quick) == 0


async def test_whose_contact_has_a_name_keeps_it(quick: Harbour) -> None:
    """They are known by another id, too: whoever gave them that name knew them better than a profile does."""
    await hear(quick, BO)
    bo = events.Person(external_id=BO.id, realm="town")
    called = events.Person(external_id="person-70", realm="town", name="Bo from the quay")
    linked = events.PersonLinked(channel_external_id=CAFE.id, persons=(bo, called), at=quick.clock.now())
    async with quick.storage.unit_of_work(ADMIN.org_id) as uow:
        await apply_events(uow.crm_records, [("memory", linked)])
    before = await names(quick)
    assert before == ["Bo from the quay"]

    assert await asked(quick) == 0
    assert await names(quick) == before


async def test_who_only_cheered_or_is_on_a_board_not_in_use_is_not_asked_about(quick: Harbour) -> None:
    """Until they write, or the board is chosen."""
    nobody = events.Person(external_id=CY.id, realm="town")
    mark = events.DeliveryMark(
        channel_external_id=CAFE.id,
        person=nobody,
        up_to=NOON,
        surface=SURFACE,
        state=events.DeliveryState.READ,
    )
    async with quick.storage.unit_of_work(ADMIN.org_id) as uow:
        await apply_events(uow.crm_records, [("memory", mark)])
    await quick.select(CAFE.id, BOOKS.id)
    await hear(quick, BO, board=BOOKS.id)
    await quick.select(CAFE.id)

    assert await asked(quick) == 0
    await hear(quick, CY)
    await quick.select(CAFE.id, BOOKS.id)
    quick.clock.advance(NOT_NOW)
    assert await asked(quick) == 2
    assert await names(quick) == ["Bo Quay", "Cy Moor"]


async def test_an_org_that_wants_no_messages_is_looked_at_rarely(quick: Harbour) -> None:
    await hear(quick, BO)
    integration = attrs.evolve(await quick.integration(), capabilities=(Capability.PUBLISH_POSTS,))
    assert not may_name(quick.vendor, integration)
    async with quick.storage.unit_of_work(ADMIN.org_id) as uow:
        await uow.integrations.save(integration)

    assert await asked(quick) == 0
    assert await quick.storage.backlog.strangers_due(["memory"], quick.clock.now()) == []


async def test_a_vendor_that_tells_no_names_is_asked_nothing(quick: Harbour) -> None:
    integration = await quick.integration()
    silent = attrs.evolve(quick.vendor, profiles=None)
    assert may_name(quick.vendor, integration)
    assert not may_name(silent, integration)
    await hear(quick, BO)
    by_slug = {"memory": silent}
    services = attrs.evolve(quick.services, vendors=attrs.evolve(quick.services.vendors, by_slug=by_slug))

    await sweep(services)
    assert await Namer(services).look(naming_nudge(ADMIN.org_id, "memory")) is None
    assert await names(quick) == [""]


# Names win by the moment they were known of ------------------------------------------------------


async def test_a_name_that_is_heard_of_while_asking_is_kept_if_it_is_later(
    host: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name is of the moment of asking, whenever the answer comes: what is known of later stands."""
    await hear(host, BO)

    async def meanwhile(real: Any, who: events.Person) -> events.Person | None:
        host.clock.advance(SECOND)
        renamed = events.CommentSeen(
            channel_external_id=CAFE.id,
            comment_external_id="remark-9",
            post_external_id="note-1",
            author=attrs.evolve(who, name="Bo of the Quay"),
            at=host.clock.now(),
            surface="board",
        )
        async with host.storage.unit_of_work(ADMIN.org_id) as uow:
            await apply_events(uow.crm_records, [("memory", renamed)])
        said: events.Person | None = await real()
        return said

    tell(monkeypatch, meanwhile)
    assert await asked(host) == 1

    assert await names(host) == ["Bo of the Quay"]


async def test_a_handle_alone_is_enough(quick: Harbour, monkeypatch: pytest.MonkeyPatch) -> None:
    await hear(quick, BO)

    async def handle(real: Any, who: events.Person) -> events.Person:
        return attrs.evolve(who, handle="bo.quay")

    tell(monkeypatch, handle)
    await look(quick)
    quick.clock.advance(NAMELESS * 2)

    assert await names(quick) == ["bo.quay"]
    assert await quick.storage.backlog.strangers_due(["memory"], quick.clock.now()) == []


# Whoever was forgotten ---------------------------------------------------------------------------


async def test_who_is_forgotten_while_the_vendor_is_asked_stays_forgotten(
    host: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    await hear(host, BO, CY)
    found = (await read(host, "/crm/contacts"))["items"]
    contact = next(one for one in found if one["identities"][0]["externalId"] == BO.id)

    async def erasing(real: Any, who: events.Person) -> events.Person | None:
        if who.external_id == BO.id:
            body = {"contactId": contact["id"], "dryRun": False}
            assert (await ask(host, ERASE, method="POST", body=body)).status_code == 200
        said: events.Person | None = await real()
        return said

    tell(monkeypatch, erasing)
    await look(host)

    assert await names(host) == ["Cy Moor"]
    assert (await read(host, "/crm/contacts", search="Bo"))["total"] == 0
    assert (await ask(host, f"/crm/contacts/{contact['id']}")).status_code == 404


async def test_who_writes_again_after_that_is_somebody_new(quick: Harbour) -> None:
    await hear(quick, BO)
    await look(quick)
    contact = await contact_of(quick)
    await ask(quick, ERASE, method="POST", body={"contactId": contact["id"], "dryRun": False})
    assert await asked(quick) == 0
    quick.clock.advance(SECOND)

    await hear(quick, BO)

    assert await names(quick) == [""]
    assert await asked(quick) == 1
    assert await names(quick) == ["Bo Quay"]


async def test_nobody_is_asked_about_who_is_being_erased(quick: Harbour) -> None:
    """An erasure marks first, and gets to the person last."""
    await hear(quick, BO)
    async with quick.storage.unit_of_work(ADMIN.org_id) as uow:
        (stranger,) = await uow.strangers.claim(
            "memory", now=quick.clock.now(), until=quick.clock.now(), limit=9
        )
        await uow.erasures.mark([stranger.identity_id], at=quick.clock.now())

    assert await asked(quick) == 0
