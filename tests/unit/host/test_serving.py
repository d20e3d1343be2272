"""Serving: several sites in one process, jobs beside them, and an orderly end."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest

from moorage.serving import Site, listening, port_of, serve, working
from tests.support.harbour import StillJobs, harbour


class Broken(StillJobs):
    """Jobs whose engine fails."""

    async def run(self) -> None:
        await asyncio.sleep(0.01)
        msg = "the engine failed"
        raise RuntimeError(msg)


class Running(StillJobs):
    """Jobs that run until they are told to stop."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    async def run(self) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.told.append("stopped")
            raise

    async def drain(self) -> None:
        self.told.append("drained")


async def test_jobs_that_break_end_the_process_loudly(tmp_path: Path) -> None:
    """A host that takes deliveries in and works on none would look healthy."""
    async with harbour(tmp_path) as host:
        services = attrs.evolve(host.services, jobs=Broken())
        with pytest.raises(RuntimeError, match="the engine failed"):
            async with working(services):
                await asyncio.sleep(10)


async def test_jobs_are_drained_then_stopped(tmp_path: Path) -> None:
    jobs = Running()
    async with harbour(tmp_path) as host, working(attrs.evolve(host.services, jobs=jobs)):
        await asyncio.sleep(0)
    assert jobs.told == ["drained", "stopped"]


async def test_a_mistake_inside_the_block_is_not_swallowed(tmp_path: Path) -> None:
    async with harbour(tmp_path) as host:
        with pytest.raises(ZeroDivisionError):
            async with working(attrs.evolve(host.services, jobs=Running())):
                raise ZeroDivisionError


def _saying(word: str) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": word.encode()})

    return app


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_two_sites_answer_until_one_signal_ends_both(number: signal.Signals) -> None:
    sockets = [listening("127.0.0.1", 0), listening("127.0.0.1", 0)]
    sites = [Site(app=_saying(word), socket=each) for word, each in zip(("a", "b"), sockets, strict=True)]
    ready = asyncio.Event()
    serving = asyncio.create_task(serve(*sites, ready=ready.set))
    await asyncio.wait_for(ready.wait(), 5)

    async with httpx.AsyncClient(trust_env=False) as http:
        answers = [await http.get(f"http://127.0.0.1:{port_of(each)}/") for each in sockets]
    os.kill(os.getpid(), number)
    await asyncio.wait_for(serving, 10)

    assert [answer.text for answer in answers] == ["a", "b"]
    assert not [answer for answer in answers if "server" in answer.headers]


def test_a_taken_port_is_an_error_at_once() -> None:
    taken = listening("127.0.0.1", 0)
    with taken, pytest.raises(OSError, match="in use"):
        listening("127.0.0.1", port_of(taken))
