"""What a host lends a vendor, as fakes that behave: no database, no network, time on demand.

They are held to the same promises as the real ones, so a vendor that works on these works on those.
"""

import asyncio
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from typing import Final

import attrs

from moorage_ports.errors import ConflictError, RateLimitError
from moorage_ports.governor import Meter, Reading
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


@attrs.define
class FakeGovernor:
    """A `Governor` of one process that parks and never slows; `admitted`: what each call was counted on."""

    clock: FakeClock
    vendor: str = "fake"
    admitted: list[tuple[Meter, ...]] = attrs.field(factory=list)
    reported: list[Reading] = attrs.field(factory=list)
    parked: dict[Meter, datetime] = attrs.field(factory=dict)
    guesses: dict[Meter, int] = attrs.field(factory=dict)

    async def admit(self, meters: Collection[Meter], *, org_id: str, calls: int = 1) -> None:
        """Refuse if one of them is parked."""
        await asyncio.sleep(0)
        wait = self._longest(meters)
        if wait is not None:
            msg = "the vendor asked for a pause; no call was made"
            raise RateLimitError(msg, vendor=self.vendor, retry_after=wait)
        self.admitted += [tuple(meters)] * calls

    async def report(self, readings: Collection[Reading]) -> timedelta | None:
        """Park what refused or is used up; without a stated wait a minute longer each time."""
        await asyncio.sleep(0)
        self.reported.extend(readings)
        for reading in readings:
            is_used_up = reading.used is not None and reading.used >= 1
            if reading.regain_after:
                self._park(reading.meter, reading.regain_after)
            elif (reading.is_refused or is_used_up) and self._longest([reading.meter]) is None:
                self.guesses[reading.meter] = self.guesses.get(reading.meter, 0) + 1
                self._park(reading.meter, timedelta(minutes=self.guesses[reading.meter]))
        return self._longest([reading.meter for reading in readings])

    def _park(self, meter: Meter, wait: timedelta) -> None:
        until = self.clock.now() + wait
        self.parked[meter] = max(self.parked.get(meter, until), until)

    def _longest(self, meters: Collection[Meter]) -> timedelta | None:
        now = self.clock.now()
        waits = [self.parked[meter] - now for meter in meters if self.parked.get(meter, now) > now]
        return max(waits, default=None)
