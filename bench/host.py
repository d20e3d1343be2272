"""A host to measure: its own process, its own database, one organisation that owns one page."""

import base64
import os
import secrets
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import attrs

from moorage_adapters.cipher import Keyring
from moorage_adapters.clock import SystemClock
from moorage_adapters.sqlmodel import migrate
from moorage_adapters.sqlmodel.storage import SqlStorage
from moorage_ports.integrations import Channel, GrantRecord, Integration, IntegrationStatus

ORG, APP_ID, PAGE_ID = "bench", "424242424242424", "1234567890"


@attrs.frozen(kw_only=True)
class Measured:
    """A server under measurement."""

    port: int
    secret: str
    process: "subprocess.Popen[bytes]"


async def seed(database_url: str, keyring_file: Path) -> None:
    """Bring the schema up to date and let one organisation own one page."""
    await migrate.upgrade(database_url)
    storage = await SqlStorage.open(database_url, Keyring.load(keyring_file), SystemClock())
    now = datetime.now(UTC)
    integration = Integration(
        id="int_bench",
        vendor="facebook",
        status=IntegrationStatus.ACTIVE,
        app_id=APP_ID,
        created_at=now,
        updated_at=now,
    )
    grant = GrantRecord(
        id="gr_bench",
        integration_id=integration.id,
        subject_index="bench",
        connected_by="bench",
        scopes=(),
        created_at=now,
    )
    channel = Channel(
        id="ch_bench",
        integration_id=integration.id,
        grant_id=grant.id,
        vendor="facebook",
        external_id=PAGE_ID,
        type="page",
        name="Bench",
        selected=True,
        subscribed=True,
    )
    async with storage.unit_of_work(ORG) as work:
        await work.integrations.save(integration)
        await work.integrations.save_grant(grant)
        await work.integrations.save_channels([channel])
    await storage.aclose()


def _answers(port: int, path: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=1) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


@contextmanager
def running(command: list[str], port: int, secret: str, environment: dict[str, str]) -> Iterator[Measured]:
    """A server for the length of a measurement, ended by its own id."""
    process = subprocess.Popen(command, env={**os.environ, **environment})
    try:
        until = time.monotonic() + 30
        while not _answers(port, "/healthz"):
            if process.poll() is not None or time.monotonic() > until:
                msg = f"{command} did not come up"
                raise RuntimeError(msg)
            time.sleep(0.05)
        yield Measured(port=port, secret=secret, process=process)
    finally:
        process.kill()
        process.wait()


@contextmanager
def baseline(port: int) -> Iterator[Measured]:
    """The bare Litestar application."""
    secret = secrets.token_hex(16)
    with running([sys.executable, "-m", "bench.baseline", str(port), secret], port, secret, {}) as measured:
        yield measured


@contextmanager
def host(port: int, database_url: str, keyring_file: Path) -> Iterator[Measured]:
    """The real host, intake only: `serve --no-jobs` on a seeded database."""
    secret = secrets.token_hex(16)
    environment = {
        "MOORAGE_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "MOORAGE_PORT": str(port),
        "MOORAGE_DATABASE_URL": database_url,
        "MOORAGE_KEYRING_FILE": str(keyring_file),
        "MOORAGE_JWT_SECRET": _key(),
        "MOORAGE_STATE_SECRET": _key(),
        "MOORAGE_LOG_LEVEL": "WARNING",
        "MOORAGE_FACEBOOK_APP_ID": APP_ID,
        "MOORAGE_FACEBOOK_APP_SECRET": secret,
        "MOORAGE_FACEBOOK_VERIFY_TOKEN": _key(),
    }
    command = [sys.executable, "-m", "moorage", "serve", "--no-jobs"]
    with running(command, port, secret, environment) as measured:
        yield measured


def _key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()
