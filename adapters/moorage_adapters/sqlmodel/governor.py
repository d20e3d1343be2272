"""`SqlGovernors`: the pace of calls to vendors, kept in one small table that every process reads.

Each process also remembers what it learnt, so that a pause holds where it was heard of even while the
database is out of reach. Taking turns happens within a process: each of them spaces its own calls.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final, TypeAlias

import attrs
import structlog
from sqlalchemy import Connection, RowMapping, delete, or_, select, tuple_

from moorage_adapters.pace import (
    STALE,
    Gate,
    LineTooLongError,
    MeterState,
    gap,
    is_worth_writing,
    merged,
    observed,
    parked_for,
)
from moorage_adapters.sqlmodel.database import Database
from moorage_adapters.sqlmodel.tables import USAGE_METER
from moorage_adapters.sqlmodel.tenant import insert_into
from moorage_ports.clock import Clock
from moorage_ports.errors import Hits, RateLimitError, UnavailableError
from moorage_ports.governor import Meter, MeterScope, Reading

log = structlog.get_logger(__name__)

PATIENCE: Final = 4.0  # seconds before a hot meter; shorter than any budget of the flows that wait here
WRITING_PATIENCE: Final = 1.0  # for the database: an answer must not wait long for its own footnote
REMEMBERED: Final = 10_000  # meters per process
IDLE: Final = timedelta(days=2)

_Key: TypeAlias = tuple[str, str, str]  # vendor, app, meter
_HITS: Final[Mapping[MeterScope, Hits]] = {
    MeterScope.APP: Hits.INTEGRATION,
    MeterScope.PERSON: Hits.INTEGRATION,
    MeterScope.CHANNEL: Hits.CHANNEL,
    MeterScope.AD_ACCOUNT: Hits.CHANNEL,
}


class SqlGovernors:
    """`moorage_ports.governor.Governors`: one per process."""

    def __init__(self, database: Database, clock: Clock, *, patience: float = PATIENCE) -> None:
        self._database = database
        self._clock = clock
        self._patience = patience
        self._known: OrderedDict[_Key, MeterState] = OrderedDict()
        self._gates: dict[_Key, Gate] = {}

    def of(self, vendor: str, app_id: str) -> "SqlGovernor":
        """The governor of one app at one vendor."""
        return SqlGovernor(self, vendor, app_id)

    async def forget_idle(self) -> int:
        """Drop what says nothing about the present any more; answers how many meters that were.

        Raises:
            UnavailableError: The database is out of reach, locked or full; nothing was dropped.
        """
        now = self._clock.now()
        return await self._database.write_at_once(lambda connection: _forget(connection, now))

    async def admit(self, meters: Mapping[_Key, Meter], *, org_id: str, calls: int = 1) -> None:
        """See `Governor.admit`."""
        self._refuse_parked(meters)  # what this process knows itself costs no look at the database
        await self._look(meters)
        self._refuse_parked(meters)
        if await self._wait_for_turns(meters, org_id, calls):
            # Meanwhile another process may have been turned away.
            await self._look(meters)
            self._refuse_parked(meters)

    async def report(self, readings: Mapping[_Key, Reading]) -> timedelta | None:
        """See `Governor.report`."""
        now = self._clock.now()
        notable: dict[_Key, Reading] = {}
        for key, reading in readings.items():
            before = self._known.get(key)
            after = observed(before, reading, now)
            if is_worth_writing(before, after):
                notable[key] = reading
                self._remember(key, after)
        if notable:
            await self._write(notable, now)
        waits = [parked_for(self._known.get(key), now) for key in readings]
        return max(waits, default=timedelta()) or None

    async def _look(self, keys: Collection[_Key]) -> None:
        """Learn what other processes have found out. Without the database, what is known here must do."""
        try:
            found = await self._database.read_at_once(lambda connection: _read(connection, keys))
        except UnavailableError:
            log.warning("usage_meters_out_of_reach")
            return
        for key, state in found.items():
            self._remember(key, state)

    async def _write(self, readings: Mapping[_Key, Reading], now: datetime) -> None:
        try:
            async with asyncio.timeout(WRITING_PATIENCE):
                written = await self._database.write_at_once(
                    lambda connection: _observe(connection, readings, now)
                )
        except (UnavailableError, TimeoutError) as failure:
            log.warning("usage_meters_not_written", reason=type(failure).__name__)
            return
        for key, state in written.items():
            self._remember(key, state)

    def _remember(self, key: _Key, state: MeterState) -> None:
        self._known[key] = merged(state, self._known.get(key)) or state
        self._known.move_to_end(key)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    def _refuse_parked(self, meters: Mapping[_Key, Meter]) -> None:
        """Raises RateLimitError for the meter that is parked longest."""
        now = self._clock.now()
        waits = {key: parked_for(self._known.get(key), now) for key in meters}
        longest = max(waits, key=lambda key: waits[key], default=None)
        if longest is not None and waits[longest]:
            msg = "the vendor asked for a pause; no call was made"
            raise _limit(msg, longest, meters[longest], waits[longest])

    async def _wait_for_turns(self, meters: Mapping[_Key, Meter], org_id: str, calls: int) -> bool:
        """Pass the gate of each hot meter; whether there was one."""
        now, loop = self._clock.now(), asyncio.get_running_loop()
        gaps = {key: seconds for key in meters if (seconds := gap(self._known.get(key), now))}
        give_up_at = loop.time() + self._patience
        for key, seconds in gaps.items():
            gate = self._gate(key)
            try:
                patience = give_up_at - loop.time()
                await gate.pass_through(org_id, gap=seconds, patience=patience, calls=calls)
            except LineTooLongError as line:
                msg = "too many calls wait for this vendor's limit already; no call was made"
                wait = timedelta(seconds=max(line.wait, 1.0))
                raise _limit(msg, key, meters[key], wait) from line
        return bool(gaps)

    def _gate(self, key: _Key) -> Gate:
        if key not in self._gates:
            if len(self._gates) >= REMEMBERED:
                self._gates = {key: gate for key, gate in self._gates.items() if not gate.is_idle}
            self._gates[key] = Gate()
        return self._gates[key]


@attrs.frozen
class SqlGovernor:
    """`moorage_ports.governor.Governor` of one app at one vendor."""

    governors: SqlGovernors
    vendor: str
    app_id: str

    async def admit(self, meters: Collection[Meter], *, org_id: str, calls: int = 1) -> None:
        """Return when a call that counts on all of `meters` may be sent.

        Raises:
            RateLimitError: A meter is parked, or too many wait before a hot one. Nothing was sent.
        """
        keyed = {self._key(meter): meter for meter in meters}
        await self.governors.admit(keyed, org_id=org_id, calls=calls)

    async def report(self, readings: Collection[Reading]) -> timedelta | None:
        """Take note of an answer; how long the longest of its meters is parked now. Never raises."""
        try:
            waits = [await self.governors.report(batch) for batch in self._batches(readings)]
        except Exception:  # what became of the call must not depend on this
            log.exception("usage_not_reported", vendor=self.vendor)
            return None
        return max((wait for wait in waits if wait), default=None)

    def _batches(self, readings: Collection[Reading]) -> Iterable[Mapping[_Key, Reading]]:
        """The readings in order, no meter twice in one batch."""
        batch: dict[_Key, Reading] = {}
        for reading in readings:
            key = self._key(reading.meter)
            if key in batch:
                yield batch
                batch = {}
            batch[key] = reading
        yield batch

    def _key(self, meter: Meter) -> _Key:
        return (self.vendor, self.app_id, f"{meter.scope.value}:{meter.use_case}:{meter.owner_id}")


def _limit(message: str, key: _Key, meter: Meter, wait: timedelta) -> RateLimitError:
    return RateLimitError(message, vendor=key[0], hits=_HITS[meter.scope], retry_after=wait)


def _read(connection: Connection, keys: Collection[_Key], *, locks: bool = False) -> dict[_Key, MeterState]:
    columns = tuple_(USAGE_METER.c.vendor, USAGE_METER.c.app_id, USAGE_METER.c.meter)
    statement = select(USAGE_METER).where(columns.in_(list(keys)))
    if locks:
        statement = statement.order_by(USAGE_METER.c.meter).with_for_update()
    rows = connection.execute(statement).mappings().all()
    return {(row["vendor"], row["app_id"], row["meter"]): _state(row) for row in rows}


def _state(row: RowMapping) -> MeterState:
    return MeterState(
        used=row["used"],
        parked_until=row["parked_until"],
        strikes=row["strikes"],
        observed_at=row["observed_at"],
    )


def _observe(
    connection: Connection, readings: Mapping[_Key, Reading], now: datetime
) -> dict[_Key, MeterState]:
    """Add the readings to what every process knows, and write that down; answers it."""
    insert = insert_into(connection, USAGE_METER)
    # What is not there cannot be locked: of two first readings the later would undo the other one's pause.
    nothing = attrs.asdict(MeterState(observed_at=now))
    connection.execute(insert.on_conflict_do_nothing(), [_named(key) | nothing for key in sorted(readings)])
    known = _read(connection, list(readings), locks=True)
    after = {key: observed(known.get(key), reading, now) for key, reading in readings.items()}
    replaced = {name: insert.excluded[name] for name in ("used", "parked_until", "strikes", "observed_at")}
    statement = insert.on_conflict_do_update(index_elements=["vendor", "app_id", "meter"], set_=replaced)
    connection.execute(statement, [_named(key) | attrs.asdict(after[key]) for key in sorted(after)])
    return after


def _named(key: _Key) -> dict[str, object]:
    return {"vendor": key[0], "app_id": key[1], "meter": key[2]}


def _forget(connection: Connection, now: datetime) -> int:
    is_over = or_(USAGE_METER.c.parked_until.is_(None), USAGE_METER.c.parked_until < now - STALE)
    idle = delete(USAGE_METER).where(USAGE_METER.c.observed_at < now - IDLE, is_over)
    return connection.execute(idle).rowcount
