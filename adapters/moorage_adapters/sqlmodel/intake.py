"""The door of the inbox: deliveries are kept, durably, before anybody understands them.

Deliveries that arrive together are committed together: while one group is written and fsynced, the next one
collects, and nobody waits for a timer. A failure fails every delivery of its group, so an acknowledgement
never stands for less than a commit. A delivery of many changes is cut into pieces of a bounded size, each
committed in its turn: it holds up nobody, and is answered after its last piece.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Final

import attrs
import structlog
from sqlalchemy import Connection

from moorage_adapters.cipher import EnvelopeCipher
from moorage_adapters.sqlmodel.database import Database
from moorage_adapters.sqlmodel.inbox import forget_settled
from moorage_adapters.sqlmodel.keeping import Aside, Keeping, forget_aside, forget_doubles, put_aside
from moorage_adapters.sqlmodel.keys import TransactionKeys
from moorage_adapters.sqlmodel.nudges import Bell
from moorage_ports.clock import Clock
from moorage_ports.errors import UnavailableError
from moorage_ports.failpoints import fail_point
from moorage_ports.inbox import DEAD_KEPT, Arrival, Kept, Unreadable

log = structlog.get_logger(__name__)

GROUP_ROWS: Final = 64
PIECE_ROWS: Final = 128  # changes of one delivery in one transaction
_NOT_STORED: Final = "the delivery was not stored"
FORGET_ROWS: Final = 200  # deliveries must not wait behind a big clean-up


@attrs.define
class _Waiting:
    """A delivery whose sender waits for our answer, and what is left of it to store."""

    arrival: Arrival
    answer: "asyncio.Future[Kept]"
    kept: Kept = attrs.field(factory=Kept)
    stored: int = 0  # changes

    @property
    def piece(self) -> Arrival:
        """What is to be stored next."""
        changes = self.arrival.changes
        if len(changes) <= PIECE_ROWS:
            return self.arrival
        return attrs.evolve(self.arrival, changes=changes[self.stored : self.stored + PIECE_ROWS])

    @property
    def rows(self) -> int:
        """How many changes the next piece has."""
        return min(len(self.arrival.changes) - self.stored, PIECE_ROWS)

    def is_done_with(self, piece: Kept) -> bool:
        """Note what became of a piece; true, and answered, if it was the last one."""
        self.stored += self.rows
        self.kept = Kept(
            stored=self.kept.stored + piece.stored,
            duplicates=self.kept.duplicates + piece.duplicates,
            orphaned=self.kept.orphaned + piece.orphaned,
        )
        if self.stored < len(self.arrival.changes):
            return False
        if not self.answer.done():
            self.answer.set_result(self.kept)
        return True


class SqlIntake:
    """`moorage_ports.inbox.Intake` with group commit."""

    def __init__(self, database: Database, cipher: EnvelopeCipher, clock: Clock, bell: Bell) -> None:
        self._database = database
        self._cipher = cipher
        self._clock = clock
        self._bell = bell
        self._waiting: list[_Waiting] = []
        self._writer: asyncio.Task[None] | None = None

    async def keep(self, arrival: Arrival) -> Kept:
        """One row per owning org and change; returns only when all of them are durable.

        Raises:
            UnavailableError: Not stored, or not all pieces of a delivery of many changes.
        """
        if not arrival.changes:
            return Kept()
        answer: asyncio.Future[Kept] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(arrival, answer))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write_groups(), name="moorage-intake")
        return await answer

    async def keep_aside(self, unreadable: Unreadable) -> None:
        """Keep what cannot be split; durable when this returns.

        Raises:
            UnavailableError: Not stored.
        """
        keys = TransactionKeys(self._cipher, self._clock)

        def work(connection: Connection) -> None:
            put_aside(connection, keys, [Aside.unreadable(unreadable)])

        try:
            await self._database.write_at_once(work, hot=True)
        except UnavailableError as failure:  # also if nobody knows: a second one is no other row
            raise UnavailableError(_NOT_STORED) from failure
        keys.publish()

    async def forget_expired(self, now: datetime) -> int:
        """Delete what was kept aside and has run out, a transaction's worth at a time.

        Raises:
            UnavailableError: The database is out of reach; what is left is deleted the next time.
        """
        return await self._forget(lambda connection: forget_aside(connection, now, FORGET_ROWS))

    async def forget_settled(self, now: datetime) -> int:
        """Forget what is due of settled items, a transaction's worth at a time.

        Raises:
            UnavailableError: The database is out of reach; what is left is forgotten the next time.
        """
        doubles_before = now - DEAD_KEPT
        await self._forget(lambda connection: forget_doubles(connection, doubles_before, FORGET_ROWS))
        return await self._forget(lambda connection: forget_settled(connection, now, FORGET_ROWS))

    async def _forget(self, some_of_it: Callable[[Connection], int]) -> int:
        forgotten = 0
        while True:
            some = await self._database.write_at_once(some_of_it)
            forgotten += some
            if some < FORGET_ROWS:
                return forgotten

    async def aclose(self) -> None:
        """Wait for what is being written."""
        if self._writer is not None:
            await asyncio.wait([self._writer])

    async def _write_groups(self) -> None:
        """Write group after group until nobody waits."""
        try:
            await asyncio.sleep(
                0
            )  # whoever is ready to arrive in this turn of the loop joins the first group
            while self._waiting:
                await self._write(self._next_group())
        finally:
            self._writer = None
            _refuse(self._waiting)  # only if this task was cancelled: the process is going down
            self._waiting.clear()

    def _next_group(self) -> list[_Waiting]:
        rows = 0
        for number, waiting in enumerate(self._waiting):
            rows += waiting.rows
            if rows > GROUP_ROWS and number:
                group, self._waiting = self._waiting[:number], self._waiting[number:]
                return group
        group, self._waiting = self._waiting, []
        return group

    async def _write(self, group: Sequence[_Waiting]) -> None:
        """Commit one group and answer everybody in it; who has more to store goes to the end of the line."""
        keys = TransactionKeys(self._cipher, self._clock)
        arrivals = [waiting.piece for waiting in group]
        try:
            kept = await self._database.write_at_once(
                lambda connection: Keeping(connection, keys).store(arrivals), hot=True
            )
        except (UnavailableError, asyncio.CancelledError) as failure:
            _refuse(group)
            if isinstance(failure, asyncio.CancelledError):
                raise
            return
        except Exception as failure:
            if len(group) > 1:  # one of them is bad: the others must not suffer for it again and again
                for waiting in group:
                    await self._write([waiting])
                return
            log.exception("delivery_not_kept", vendor=arrivals[0].vendor, error=type(failure).__name__)
            _refuse(group)
            return
        fail_point("P6")
        keys.publish()
        if any(one.stored for one in kept):
            self._bell.ring()
        self._waiting += [
            waiting for waiting, one in zip(group, kept, strict=True) if not waiting.is_done_with(one)
        ]


def _refuse(group: Iterable[_Waiting]) -> None:
    for waiting in group:
        if not waiting.answer.done():
            waiting.answer.set_exception(UnavailableError(_NOT_STORED))
