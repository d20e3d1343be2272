"""Work that outlives the request that began it: owned by the process, waited for when it stops."""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any, TypeVar

import structlog

T = TypeVar("T")

log = structlog.get_logger(__name__)

PATIENCE = timedelta(seconds=20)  # longer than a publishing call in the middle takes


class Background:
    """The tasks of this process that nobody awaits. Whatever they do, a record says how far it came."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self.is_draining = False  # tasks look at it before they begin what takes long

    def start(self, work: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]:
        """Run `work` to its end, whoever stops waiting for it meanwhile."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def drain(self, patience: timedelta = PATIENCE) -> None:
        """Wait for what runs; what takes longer than `patience` is left to the next process."""
        self.is_draining = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=patience.total_seconds())
        left = list(self._tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("background_broke", task=task.get_name(), exc_info=task.exception())
