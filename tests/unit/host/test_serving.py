"""Serving: several sites in one process, jobs beside them, and an orderly end."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest

from moorage.demo import demo
from moorage.serving import Site, listening, place_of, port_of, serve, served_at, working
from moorage.settings import CannotStartError
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
    sockets = [listening("127.0.0.1", 0, chosen_by="--port"), listening("127.0.0.1", 0, chosen_by="--port")]
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
    taken = listening("127.0.0.1", 0, chosen_by="--port")
    port = port_of(taken)
    with taken, pytest.raises(CannotStartError) as failure:
        listening("127.0.0.1", port, chosen_by="MOORAGE_PORT")
    said = str(failure.value)
    assert f"127.0.0.1:{port}: another program listens there" in said
    assert "MOORAGE_PORT" in said
    with pytest.raises(CannotStartError, match=r"\[2001:db8::1\]:80"):
        listening("2001:db8::1", 80, chosen_by="MOORAGE_PORT")


def test_a_demo_whose_port_is_taken_says_how_to_choose_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("os.umask", lambda _mask: 0)  # it is this process's, and the next test's
    with listening("127.0.0.1", 0, chosen_by="--port") as taken:
        assert demo(port=port_of(taken), sandbox_port=0, data=tmp_path) == 3
        assert "make demo PORT=" in capsys.readouterr().err
        assert demo(port=0, sandbox_port=port_of(taken), data=tmp_path) == 3
    assert "make demo SANDBOX_PORT=" in capsys.readouterr().err


def test_a_host_says_where_it_is_called_and_where_it_listens() -> None:
    with listening("127.0.0.1", 0, chosen_by="--port") as socket:
        said = served_at("https://moorage.example", socket)
        assert "https://moorage.example" in said
        assert f"127.0.0.1:{port_of(socket)}" in said
    assert place_of("::1", 80) == "[::1]:80"
