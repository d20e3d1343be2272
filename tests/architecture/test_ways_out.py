"""There are two ways out: one to the vendors' own hosts, and one that looks where an address leads."""

import re
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.sources import DISTRIBUTIONS, imported_modules

CLIENTS = re.compile(
    r"(httpx|httpcore|anyio|aiohttp|requests|urllib3|urllib\.request|http\.client|smtplib|ftplib)(\.|$)"
)
OPENERS = re.compile(r"\b(open_connection|create_connection|sock_connect|connect_ex)\b")
WAYS_OUT = {"http.py", "safe_http.py"}


def ways_out(folder: Path) -> Iterator[str]:
    """Modules below `folder` that could call a host by themselves."""
    for path in folder.rglob("*.py"):
        if "sandbox" in path.parts or "testing" in path.parts:
            continue
        if any(map(CLIENTS.match, imported_modules(path))) or OPENERS.search(path.read_text()):
            yield path.name


def test_nothing_else_calls_out() -> None:
    found = {name for wall in DISTRIBUTIONS.values() for name in ways_out(wall.sources)}
    assert found == WAYS_OUT


def test_another_way_out_would_be_found(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("from httpx import get")
    (tmp_path / "two.py").write_text("import asyncio\nasyncio.open_connection('x', 1)")
    (tmp_path / "three.py").write_text("import http\nfrom moorage_ports.http import HttpClient")
    assert set(ways_out(tmp_path)) == {"one.py", "two.py"}


def test_the_door_is_used_for_endpoints_alone() -> None:
    """Whatever else calls where somebody points to has to come through here first."""
    host = DISTRIBUTIONS["moorage"].sources
    users = {path.relative_to(host).as_posix() for path in host.rglob("*.py") if ".door." in path.read_text()}
    assert users == {"handover/delivering.py", "handover/endpoints.py"}
