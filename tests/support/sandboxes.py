"""The Facebook sandbox as a process of its own: it lives on while hosts are killed.

Started as `python -m tests.support.sandboxes PORT FOLDER HOST_URL`; what a host is configured with is then in
`FOLDER/sandbox.json`.
"""

import asyncio
import sys
import time
from pathlib import Path

import attrs
import httpx
import msgspec
import uvicorn

from moorage_facebook.sandbox.app import build_sandbox
from moorage_ports.plugin import SandboxPlan
from tests.oracles.sandbox import PAGE, ServedSandbox
from tests.support.demo import free_port
from tests.support.hosting import HostPlan

_STATE, _SETTINGS = "sandbox.db", "sandbox.json"


@attrs.define(kw_only=True)
class SandboxProcess:
    """One sandbox with its state in `folder`."""

    folder: Path
    host_url: str = "http://127.0.0.1:9"
    port: int = attrs.field(factory=free_port)
    process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """Where its Graph is."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self, *, deadline: float = 30.0) -> dict[str, str]:
        """Start it and wait until it answers; its settings."""
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", __name__, str(self.port), str(self.folder), self.host_url
        )
        until = time.monotonic() + deadline
        while True:
            assert self.process.returncode is None, "the sandbox did not come up"
            assert time.monotonic() < until, "the sandbox did not come up in time"
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                await asyncio.sleep(0.02)
                continue
            writer.close()
            return msgspec.json.decode((self.folder / _SETTINGS).read_bytes(), type=dict[str, str])

    async def stop(self) -> None:
        """End it, by its own id."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()


def served_by(process: SandboxProcess, settings: dict[str, str]) -> ServedSandbox:
    """The same, as what drives it."""
    client = httpx.Client(base_url=process.url, trust_env=False, timeout=120)
    return ServedSandbox(url=process.url, settings=settings, client=client)


def host_plan(sandbox: ServedSandbox, folder: Path) -> HostPlan:
    """A host whose app and whose Page's token are the sandbox's own; not seeded yet."""
    return HostPlan(
        folder=folder,
        database_url=f"sqlite:///{folder / 'moorage.sqlite3'}",
        app_id=sandbox.app_id,
        app_secret=sandbox.app_secret,
        verify_token=sandbox.settings["verify_token"],
        graph_url=sandbox.url,
        page_tokens={PAGE: sandbox.page_token(sandbox.user_token())},
    )


def _serve(port: int, folder: Path, host_url: str) -> None:
    plan = SandboxPlan(base_url=f"http://127.0.0.1:{port}", host_url=host_url, state_file=folder / _STATE)
    built = build_sandbox(plan)
    (folder / _SETTINGS).write_bytes(msgspec.json.encode(dict(built.settings)))
    uvicorn.run(
        built.app,
        host="127.0.0.1",
        port=port,
        loop="uvloop",
        http="httptools",
        ws="none",
        log_level="warning",
        access_log=False,
    )


if __name__ == "__main__":
    _serve(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
