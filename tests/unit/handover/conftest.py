"""A host over either database, whose door leads to this machine, and a receiver behind it."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs
import pytest

from moorage.handover.delivering import Deliverer
from moorage.handover.signing import new_secret
from moorage.services import Services
from moorage_adapters.clock import FixedClock
from moorage_adapters.safe_http import SafeDoor
from moorage_adapters.sqlmodel.storage import SqlStorage
from moorage_ports.jobs import LookAgain
from moorage_ports.outgoing import (
    Endpoint,
    EventType,
    Handover,
    SigningSecret,
    outgoing_nudge,
)
from tests.support.harbour import harbour
from tests.support.receiver import Receiver, receiving
from tests.unit.adapters.conftest import clock, keyring, migrated, open_storage, place, storage_url, url_at
from tests.unit.adapters.test_safe_http import LOOPBACK

__all__ = ["clock", "keyring", "migrated", "open_storage", "place", "storage_url", "url_at"]

ORG = "org-a"


@attrs.define
class Quay:
    """What tests do with one org's endpoints."""

    services: Services
    storage: SqlStorage
    clock: FixedClock
    receiver: Receiver

    @property
    def now(self) -> datetime:
        return self.clock.now()

    async def endpoint(self, id_: str = "e1", **changes: Any) -> Endpoint:
        """Have the receiver listen (again), as `changes` say."""
        fields: dict[str, Any] = {
            "id": id_,
            "url": self.receiver.url,
            "secrets": (SigningSecret(value=new_secret()),),
            "created_at": self.now,
            "updated_at": self.now,
        }
        endpoint = Endpoint(**(fields | changes))
        async with self.storage.unit_of_work(ORG) as uow:
            await uow.outgoing.save_endpoint(endpoint)
        return endpoint

    async def tell(self, *subjects: str, event: EventType = EventType.LEAD_CREATED) -> None:
        for subject in subjects:
            async with self.storage.unit_of_work(ORG) as uow:
                await uow.outgoing.announce(event, subject, {"id": subject})

    async def look(self, endpoint_id: str = "e1") -> LookAgain | None:
        return await Deliverer(self.services).look(outgoing_nudge(ORG, endpoint_id))

    async def look_until_done(self, endpoint_id: str = "e1", *, most: int = 1000) -> None:
        """Look as often as is asked for, and let the time pass that is to be waited."""
        for _ in range(most):
            again = await self.look(endpoint_id)
            if again is None:
                return
            if again.at is not None and again.at > self.now:
                self.clock.advance(again.at - self.now)
        msg = "there is always more to do"
        raise AssertionError(msg)

    async def handovers(self, endpoint_id: str = "e1") -> Sequence[Handover]:
        async with self.storage.unit_of_work(ORG, reads_only=True) as uow:
            return (await uow.outgoing.handovers(endpoint_id, page=1, page_size=500)).items

    async def current(self, endpoint_id: str = "e1") -> Endpoint:
        async with self.storage.unit_of_work(ORG, reads_only=True) as uow:
            found = await uow.outgoing.endpoint(endpoint_id)
        assert found is not None
        return found


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made


@pytest.fixture
async def quay(tmp_path: Path, storage_url: str, receiver: Receiver) -> AsyncIterator[Quay]:
    async with harbour(tmp_path, database_url=storage_url) as host:
        door = SafeDoor(LOOPBACK)
        yield Quay(attrs.evolve(host.services, door=door), host.storage, host.clock, receiver)
        await door.aclose()
