"""How often orgs call, counted in memory and written down every few seconds: no call waits for it.

A process that is killed takes the last seconds' counts with it. They are for people to look at, nothing
depends on them.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Final

import structlog

from moorage_ports.apps import CallCount
from moorage_ports.errors import MoorageError
from moorage_ports.storage import Storage

log = structlog.get_logger(__name__)

WRITE_EVERY: Final = 5.0  # seconds


class CallCounter:
    """The calls that this process has not written down yet."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], CallCount] = {}
        self._writing: asyncio.Task[None] | None = None

    @contextmanager
    def counted(self, storage: Storage, org_id: str, vendor: str, *, at: datetime) -> Iterator[None]:
        """Count what the block does; an exception makes it a failed call."""
        began, failed = time.perf_counter(), 1
        try:
            yield
            failed = 0
        finally:
            spent = round((time.perf_counter() - began) * 1000)
            one = CallCount(total=1, failed=failed, milliseconds=spent, last_used_at=at)
            self._counts[org_id, vendor] = self.unwritten(org_id, vendor).plus(one)
            if self._writing is None or self._writing.done():
                self._writing = asyncio.create_task(self._write_later(storage), name="moorage-call-counts")

    def unwritten(self, org_id: str, vendor: str) -> CallCount:
        """What the storage does not know yet."""
        return self._counts.get((org_id, vendor), CallCount())

    async def write(self, storage: Storage) -> None:
        """Write everything down; what can't be written stays for the next time."""
        counts, self._counts = self._counts, {}
        for (org_id, vendor), count in counts.items():
            try:
                async with storage.unit_of_work(org_id) as uow:
                    await uow.call_counts.add(vendor, count)
            except MoorageError as failure:
                log.warning("calls_not_counted", vendor=vendor, org=org_id, code=failure.code)
                self._counts[org_id, vendor] = self.unwritten(org_id, vendor).plus(count)

    async def _write_later(self, storage: Storage) -> None:
        await asyncio.sleep(WRITE_EVERY)
        await self.write(storage)
