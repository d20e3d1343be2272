"""What a host lends a vendor, as fakes that behave: no database, no network, time on demand.

They are held to the same promises as the real ones, so a vendor that works on these works on those.
"""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import attrs

from moorage_ports.errors import ConflictError
from moorage_ports.http import HttpAnswer, HttpRequest, NeverSentError
from moorage_ports.secret import Secret
from moorage_ports.secret_store import OpenedSecret, SecretRef

BEGINNING: Final = datetime(2030, 1, 1, tzinfo=UTC)


@attrs.define
class FakeClock:
    """A `Clock` that stands still until somebody moves it; sleeping moves it."""

    moment: datetime = BEGINNING

    def now(self) -> datetime:
        """The moment it was set to."""
        return self.moment

    async def sleep(self, duration: timedelta) -> None:
        """Let `duration` pass at once, giving others a turn."""
        self.advance(duration)
        await asyncio.sleep(0)

    def advance(self, duration: timedelta) -> None:
        """Move on."""
        self.moment += duration


@attrs.define
class FakeSecretStore:
    """A `SecretStore` of one org and one vendor, in a dictionary. Like the real one it takes a while."""

    kept: dict[SecretRef, OpenedSecret] = attrs.field(factory=dict)

    async def put(self, ref: SecretRef, value: Secret, *, expected_version: int | None = None) -> int:
        """Keep `value`, compare-and-set."""
        await asyncio.sleep(0)
        present = self.kept.get(ref)
        version = present.version if present else 0
        if expected_version not in {None, version}:
            msg = "somebody else wrote this secret meanwhile"
            raise ConflictError(msg)
        self.kept[ref] = OpenedSecret(value=value, version=version + 1)
        return version + 1

    async def get(self, ref: SecretRef) -> OpenedSecret | None:
        """What is kept there."""
        await asyncio.sleep(0)
        return self.kept.get(ref)

    async def forget(self, *, owner_type: str, owner_id: str) -> int:
        """Delete what this owner has."""
        await asyncio.sleep(0)
        gone = [ref for ref in self.kept if (ref.owner_type, ref.owner_id) == (owner_type, owner_id)]
        for ref in gone:
            del self.kept[ref]
        return len(gone)


@attrs.define
class FakeHttp:
    """An `HttpClient` whose other side is a function; without one the cable is unplugged."""

    answer: Callable[[HttpRequest], HttpAnswer] | None = None
    sent: list[HttpRequest] = attrs.field(factory=list)

    async def send(self, request: HttpRequest) -> HttpAnswer:
        """Hand the request to the function."""
        await asyncio.sleep(0)
        if self.answer is None:
            msg = "there is no network in this test"
            raise NeverSentError(msg)
        self.sent.append(request)
        return self.answer(request)
