"""A demo as a process of its own: started, waited for, killed and started again."""

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import httpx
import msgspec


class DemoForm(msgspec.Struct, frozen=True):
    """A lead form that the demo seeded."""

    id: str
    name: str = ""


class DemoPage(msgspec.Struct, frozen=True):
    """A page that the demo seeded."""

    id: str
    name: str
    forms: tuple[DemoForm, ...] = ()


class DemoFacts(msgspec.Struct, frozen=True, rename="camel"):
    """What `demo.json` says, as far as tests read it."""

    host: str
    sandbox: str
    org: str
    token: str
    app_id: str
    app_secret: str
    verify_token: str
    pages: tuple[DemoPage, ...]


def free_port() -> int:
    """A port nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@attrs.define(kw_only=True)
class DemoProcess:
    """`moorage demo` with a data folder; survives being killed because it can be started again."""

    data: Path
    port: int = attrs.field(factory=free_port)
    sandbox_port: int = attrs.field(factory=free_port)
    process: asyncio.subprocess.Process | None = None

    @property
    def log(self) -> Path:
        """Everything the process printed, all starts in one file."""
        return self.data.parent / f"{self.data.name}.log"

    async def start(
        self, environment: Mapping[str, str] | None = None, *, deadline: float = 30.0
    ) -> DemoFacts:
        """Start it and wait until both its ports answer and the facts are written."""
        facts = self.data / "demo.json"
        started = time.time_ns()
        with self.log.open("ab") as output:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "moorage",
                "demo",
                "--port",
                str(self.port),
                "--sandbox-port",
                str(self.sandbox_port),
                "--data",
                str(self.data),
                stdout=output,
                stderr=output,
                env={**os.environ, **(environment or {})},
            )
        until = time.monotonic() + deadline
        while time.monotonic() < until:
            if self.process.returncode is not None:
                break
            if facts.exists() and facts.stat().st_mtime_ns >= started:
                return msgspec.json.decode(facts.read_bytes(), type=DemoFacts)
            await asyncio.sleep(0.05)
        msg = f"the demo did not come up:\n{self.log.read_text()[-4000:]}"
        raise AssertionError(msg)

    async def kill(self) -> None:
        """SIGKILL, as a machine would."""
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(signal.SIGKILL)
        await self.wait_dead()

    async def wait_dead(self, *, deadline: float = 10.0) -> int:
        """Wait until the process is gone (a fail point may have killed it); answers its exit code."""
        assert self.process is not None
        return await asyncio.wait_for(self.process.wait(), deadline)


@asynccontextmanager
async def running_demo(data: Path) -> AsyncIterator[tuple[DemoProcess, DemoFacts]]:
    """A demo for the length of a test."""
    demo = DemoProcess(data=data)
    try:
        yield demo, await demo.start()
    finally:
        await demo.kill()


@attrs.define
class DemoClient:
    """What a script with `demo.json` in its hand can do."""

    facts: DemoFacts
    http: httpx.AsyncClient

    async def call(self, operation: str, body: Mapping[str, object], **headers: str) -> httpx.Response:
        """Call an operation of the universal API as the demo org's admin."""
        return await self.http.post(
            f"{self.facts.host}/upstream/call/facebook-provider/{operation}",
            json=body,
            headers={"orgid": self.facts.org, "authorization": f"Bearer {self.facts.token}", **headers},
        )

    async def get(self, path: str) -> httpx.Response:
        """Read a route of the host as the demo org's admin."""
        return await self.http.get(
            f"{self.facts.host}{path}",
            headers={"orgid": self.facts.org, "authorization": f"Bearer {self.facts.token}"},
        )

    async def control(self, path: str, body: Mapping[str, object]) -> httpx.Response:
        """Tell the sandbox something."""
        return await self.http.post(f"{self.facts.sandbox}/_sandbox/{path}", json=body)

    async def state(self) -> dict[str, object]:
        """Everything the sandbox holds."""
        answer = await self.http.get(f"{self.facts.sandbox}/_sandbox/state")
        return msgspec.json.decode(answer.content, type=dict[str, object])

    async def connect(self, *page_ids: str) -> None:
        """Connect the demo org and have it manage these pages (default: all)."""
        begun = await self.call("get-auth-url", {"returnUrl": "https://admin.example/integrations"})
        assert begun.status_code == 200, begun.text
        consent = await self.control("consent", {"authUrl": begun.json()["authUrl"], "decision": "grant"})
        assert consent.status_code == 200, consent.text
        back = await self.http.get(consent.json()["redirect"], follow_redirects=False)
        assert back.status_code == 303, back.text
        assert "integration=connected" in back.headers["location"], back.headers["location"]
        pages = list(page_ids) or [page.id for page in self.facts.pages]
        chosen = await self.call("select-channels", {"channels": pages})
        assert chosen.status_code == 200, chosen.text
        assert not chosen.json().get("problems"), chosen.text

    async def leads(self) -> list[dict[str, object]]:
        """Every CRM lead of the org (the newest 200)."""
        answer = await self.get("/crm/leads/detail?ps=200")
        assert answer.status_code == 200, answer.text
        items: list[dict[str, object]] = answer.json()["items"]
        return items

    async def wait_for_leads(self, count: int, *, deadline: float) -> list[dict[str, object]]:
        """The leads once there are `count` of them; fails when the deadline passes first."""
        until = time.monotonic() + deadline
        leads = await self.leads()
        while len(leads) < count and time.monotonic() < until:
            await asyncio.sleep(0.05)
            leads = await self.leads()
        assert len(leads) == count, f"{len(leads)} leads after {deadline} s, {count} wanted"
        return leads


@asynccontextmanager
async def demo_client(facts: DemoFacts) -> AsyncIterator[DemoClient]:
    """A client of a running demo."""
    async with httpx.AsyncClient(trust_env=False, timeout=20) as http:
        yield DemoClient(facts, http)
