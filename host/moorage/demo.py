"""`moorage demo`: the host, every installed vendor's sandbox and a seeded org, in one process and one folder.

Everything lives in the data folder: settings (usable with `--config`), keyring, database, each sandbox's
state. The same folder started again, also after kill -9, goes on where it stopped.
"""

import json
import os
import secrets
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from socket import socket
from typing import Annotated, Final

import attrs
import msgspec
from cyclopts import Parameter
from rich.console import Console

from moorage.admin.accounts import create_account
from moorage.app import create_app
from moorage.auth import issue_token
from moorage.bootstrap import assembled, create_keyring, migrate
from moorage.catalogue import NO_VENDOR
from moorage.logging import configure_logging
from moorage.services import Services
from moorage.serving import Site, listening, port_of, run, serve, working
from moorage.settings import CannotStartError, Settings, load_settings
from moorage.vendors import Vendors, installed_vendors
from moorage_ports.errors import UnavailableError
from moorage_ports.operations import Role
from moorage_ports.plugin import Sandbox, SandboxPlan

ORG: Final = "demo"
EMAIL: Final = "admin@demo.example"
LIFETIME: Final = timedelta(hours=24)
_HERE: Final = "127.0.0.1"
_PORT: Final = "--port (make demo PORT=...)"
_SANDBOX_PORT: Final = "--sandbox-port (make demo SANDBOX_PORT=...)"
_LOG_LEVEL: Final = "WARNING"


@attrs.frozen(kw_only=True)
class Plan:
    """One demo: its folder and where it answers."""

    data: Path
    host_url: str
    sandbox_url: str

    @property
    def settings_file(self) -> Path:
        """Settings as `--config` takes them, secrets included."""
        return self.data / "settings.toml"

    @property
    def facts_file(self) -> Path:
        """What scripts need to drive it."""
        return self.data / "demo.json"


def demo(
    *,
    port: Annotated[int, Parameter(help="The host's port; 0 takes a free one.")] = 8090,
    sandbox_port: Annotated[int, Parameter(help="The sandbox's port; 0 takes a free one.")] = 8091,
    data: Annotated[Path | None, Parameter(help="The folder to keep; none: a temporary one.")] = None,
) -> int:
    """Start everything on this machine and print where to click."""
    configure_logging(_LOG_LEVEL)
    os.umask(0o077)  # the folder holds secrets: its files are for its owner
    try:
        with (
            _folder(data) as folder,
            listening(_HERE, port, chosen_by=_PORT) as host_socket,
            listening(_HERE, sandbox_port, chosen_by=_SANDBOX_PORT) as sandbox_socket,
        ):
            plan = Plan(
                data=folder,
                host_url=f"http://{_HERE}:{port_of(host_socket)}",
                sandbox_url=f"http://{_HERE}:{port_of(sandbox_socket)}",
            )
            run(lambda: _demo(plan, host_socket, sandbox_socket))
    except (CannotStartError, OSError, UnavailableError) as failure:
        sys.stderr.write(f"{failure}\n")
        return 3
    return 0


@contextmanager
def _folder(data: Path | None) -> Iterator[Path]:
    if data is not None:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        yield data.resolve()
        return
    folder = Path(tempfile.mkdtemp(prefix="moorage-demo-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _demo(plan: Plan, host_socket: socket, sandbox_socket: socket) -> None:
    found = installed_vendors()
    configure_logging(_LOG_LEVEL, token_shapes=found.token_shapes)
    # One sandbox port, so one sandbox: that of the first vendor which has one.
    sandboxes = {
        vendor.slug: vendor.sandbox(
            SandboxPlan(
                base_url=plan.sandbox_url,
                host_url=plan.host_url,
                state_file=plan.data / f"sandbox-{vendor.slug}.sqlite",
            )
        )
        for vendor in [each for each in found if each.sandbox is not None][:1]
        if vendor.sandbox is not None
    }
    settings = _settings(plan, found, sandboxes)
    await migrate(settings)
    async with assembled(settings, found) as services, working(services):
        facts = await _facts(plan, services, sandboxes)
        sites = [Site(app=create_app(services), socket=host_socket)]  # type: ignore[arg-type]
        sites += [Site(app=box.app, socket=sandbox_socket, has_lifespan=True) for box in sandboxes.values()]

        def ready() -> None:
            _write(plan.facts_file, msgspec.json.format(msgspec.json.encode(facts), indent=2))
            _welcome(plan, facts, found)

        await serve(*sites, ready=ready)


# What is kept --------------------------------------------------------------------------------


def _settings(plan: Plan, found: Vendors, sandboxes: Mapping[str, Sandbox]) -> Settings:
    """Write the settings file anew around the secrets that it already holds, then read it as any other."""
    kept = _read_toml(plan.settings_file)
    keyring = plan.data / "keyring.json"
    if not keyring.exists():
        create_keyring(keyring)
    kept_jwt = kept.get("jwt")
    jwt_secret = kept_jwt.get("secret") if isinstance(kept_jwt, dict) else None
    top: dict[str, object] = {
        "public_url": plan.host_url,
        "host": _HERE,
        "port": int(plan.host_url.rpartition(":")[2]),
        "database_url": f"sqlite:///{plan.data / 'moorage.sqlite3'}",
        "keyring_file": str(keyring),
        "state_secret": kept.get("state_secret") or secrets.token_urlsafe(32),
        "return_urls": [f"{ORG}:{plan.host_url}", f"{ORG}:https://admin.example"],
        "log_level": "WARNING",
        "open_metrics": True,
        "open_schema": True,
        "is_demo": True,
        "outgoing_allow_networks": ["127.0.0.0/8", "::1/128"],  # a receiver beside the demo
    }
    tables: dict[str, Mapping[str, object]] = {
        "jwt": {
            "secret": jwt_secret or secrets.token_urlsafe(32),
            "max_lifetime": int(LIFETIME.total_seconds()),
        },
        **{slug: box.settings for slug, box in sandboxes.items()},
    }
    _write(plan.settings_file, _toml(top, tables).encode())
    # The demo's own file only: whatever the environment says belongs to another host.
    return load_settings(found, environ={}, config=plan.settings_file)


def _read_toml(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError):
        return {}


def _toml(top: Mapping[str, object], tables: Mapping[str, Mapping[str, object]]) -> str:
    """TOML of text, numbers, flags and lists of text; JSON writes those alike."""
    lines = ["# Written by `moorage demo`; holds secrets.", *_toml_lines(top)]
    for name, table in tables.items():
        lines += ["", f"[{name}]", *_toml_lines(table)]
    return "\n".join(lines) + "\n"


def _toml_lines(values: Mapping[str, object]) -> list[str]:
    return [f"{name} = {json.dumps(value)}" for name, value in values.items()]


def _write(path: Path, content: bytes) -> None:
    """Replace `path` at once, readable by its owner only: nobody ever reads half of it."""
    half = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    half.replace(path)


async def _facts(plan: Plan, services: Services, sandboxes: Mapping[str, Sandbox]) -> dict[str, object]:
    """Seed the org's admin and say how to drive all of it."""
    password = _kept_password(plan.facts_file)
    if not password or await services.storage.accounts.by_email(EMAIL) is None:
        password = secrets.token_urlsafe(12)
        await create_account(services.storage, org_id=ORG, email=EMAIL, password=password, role=Role.ADMIN)
    token = issue_token(
        services.settings.jwt,
        org_id=ORG,
        user_id=EMAIL,
        role=Role.ADMIN,
        now=services.clock.now(),
        lifetime=LIFETIME,
        email=EMAIL,
    )
    facts: dict[str, object] = {
        "host": plan.host_url,
        "sandbox": plan.sandbox_url,
        "org": ORG,
        "token": token,
        "login": {"url": f"{plan.host_url}/admin", "email": EMAIL, "password": password},
        "appId": "",
        "appSecret": "",
        "verifyToken": "",
        "pages": [],
    }
    for box in sandboxes.values():
        facts.update(box.facts)
    return facts


def _kept_password(path: Path) -> str:
    try:
        login = msgspec.json.decode(path.read_bytes(), type=dict[str, object]).get("login")
    except (OSError, msgspec.MsgspecError):
        return ""
    password = login.get("password") if isinstance(login, dict) else ""
    return password if isinstance(password, str) else ""


# What a person sees --------------------------------------------------------------------------


def _welcome(plan: Plan, facts: Mapping[str, object], found: Vendors) -> None:
    login = facts["login"]
    assert isinstance(login, dict)  # noqa: S101 - made above
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"\n[bold]Moorage is up:[/] {login['url']}")
    console.print(f"Sign in as    [bold]{login['email']}[/]")
    console.print(f"with password [bold]{login['password']}[/]\n")
    titles = [vendor.title for vendor in found if vendor.sandbox is not None]
    if not found.by_slug:
        console.print(NO_VENDOR)
    for title in titles[:1]:
        console.print(f"1. Integrations, then Connect {title}: its sandbox asks for consent.")
        console.print("2. Pick the channels to manage, write a post, and see it on the wall.")
        console.print(f"3. Fill in a lead form at {plan.sandbox_url} and find the lead under Leads.\n")
    console.print(f"For scripts: {plan.facts_file}")
    console.print("Ctrl-C stops it.\n")
