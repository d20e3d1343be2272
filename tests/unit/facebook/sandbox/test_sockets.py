"""The sandbox behind a real server: cut connections are cut, kill -9 forgets nothing."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.unit.facebook.sandbox.driver import FORM

SERVE = """
import sys
from pathlib import Path
import uvicorn
from moorage_facebook.sandbox.app import facebook_sandbox
from moorage_ports.plugin import SandboxPlan
base = f"http://127.0.0.1:{sys.argv[1]}"
plan = SandboxPlan(base_url=base, host_url="http://127.0.0.1:1", state_file=Path(sys.argv[2]))
uvicorn.run(facebook_sandbox(plan).app, port=int(sys.argv[1]), log_level="warning")
"""


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


def serve(port: int, state_file: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", SERVE, str(port), str(state_file)]
    return subprocess.Popen(command, stderr=subprocess.PIPE)


@pytest.fixture
def server(port: int, state_file: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = serve(port, state_file)
    yield process
    process.kill()
    _, complaints = process.communicate()
    assert complaints == b""


async def ready(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                await client.get("/_sandbox/state?only=now")
            except httpx.ConnectError:
                await asyncio.sleep(0.05)
            else:
                return


@pytest.mark.slow
@pytest.mark.parametrize(("drop", "seen"), [("before", 0), ("after", 1)])
async def test_a_cut_connection_says_nothing_at_all(
    server: subprocess.Popen[bytes], port: int, drop: str, seen: int
) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        await ready(client)
        token = "{}|{}".format(*(await app_of(client)))
        path = f"/{token.partition('|')[0]}/subscriptions"
        await client.post("/_sandbox/faults", json={"match": {"method": "DELETE"}, "times": 1, "drop": drop})
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            await client.delete(path, params={"access_token": token, "object": "user"})
        state = (await client.get("/_sandbox/state?only=appSubscriptions")).json()["appSubscriptions"]

        assert ("user" not in {row["object"] for row in state}) is bool(seen)


@pytest.mark.slow
async def test_kill_nine_forgets_nothing_that_was_answered(
    server: subprocess.Popen[bytes], port: int, state_file: Path
) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
        await ready(client)
        made = await client.post(
            "/_sandbox/leads", json={"formId": FORM, "answers": {"full_name": "A"}, "count": 50}
        )
        server.send_signal(signal.SIGKILL)
        server.wait()
        again = serve(port, state_file)
        try:
            await ready(client)
            leads = (await client.get("/_sandbox/state?only=leads")).json()["leads"]
            assert [lead["id"] for lead in leads] == [lead["id"] for lead in made.json()["leads"]]
        finally:
            os.kill(again.pid, signal.SIGKILL)
            again.communicate()


async def app_of(client: httpx.AsyncClient) -> tuple[str, str]:
    app = (await client.get("/_sandbox/state?only=apps")).json()["apps"][0]
    return app["id"], app["secret"]
