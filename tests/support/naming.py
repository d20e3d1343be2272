"""People who write to a café at a vendor that names them by an id only, and those who ask who they are."""

from datetime import timedelta
from typing import Any

import pytest

from moorage.naming import PAUSE, Namer, naming_nudge
from moorage_adapters.memory.profiles import MemoryProfiles
from moorage_adapters.memory.things import Person
from moorage_adapters.memory.world import CAFE
from moorage_ports import events
from moorage_ports.jobs import LookAgain
from tests.support.crm import read
from tests.support.harbour import ADMIN, Harbour

BO, CY = Person(id="person-7", name="Bo Quay"), Person(id="person-8", name="Cy Moor")
SECOND = timedelta(seconds=1)


async def open_cafe(host: Harbour) -> None:
    """A café to write to, at a vendor that says of its writers no more than an id."""
    await host.connect()
    await host.select(CAFE.id)
    host.world.mail.names_people = False


async def hear(host: Harbour, *people: Person, board: str = CAFE.id) -> None:
    """These write, one after the other, and it is heard of."""
    for person in people:
        host.world.write_to(board, "Do you open on Sunday?", by=person)
        host.clock.advance(SECOND)
    await host.deliver_all()
    await host.work()


async def look(host: Harbour) -> None:
    """What the schedule does, and the workers after it."""
    for org_id, slug in await host.storage.backlog.strangers_due(["memory"], host.clock.now()):
        while (again := await Namer(host.services).look(naming_nudge(org_id, slug))) is not None:
            assert again == LookAgain(at=host.clock.now() + PAUSE)
            host.clock.advance(PAUSE)


async def asked(host: Harbour) -> int:
    """How many calls a look makes now."""
    before = host.world.calls
    await look(host)
    return host.world.calls - before


async def names(host: Harbour, org_id: str = ADMIN.org_id) -> list[str]:
    """Everybody's, as the inbox shows them."""
    found = await read(host, "/crm/contacts", org_id=org_id)
    return sorted(contact["name"] for contact in found["items"])


async def contact_of(host: Harbour) -> dict[str, Any]:
    (contact,) = (await read(host, "/crm/contacts"))["items"]
    assert isinstance(contact, dict)
    return contact


def tell(monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    """Have `answer(real, channel, person)` stand in for the vendor's word."""
    real = MemoryProfiles.person

    async def person(port: MemoryProfiles, channel: str, who: events.Person) -> events.Person | None:
        said: events.Person | None = await answer(lambda: real(port, channel, who), who)
        return said

    monkeypatch.setattr(MemoryProfiles, "person", person)
