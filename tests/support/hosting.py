"""Hosts as processes of their own: settings, seeded organisations, start, kill, stop and go on."""

import asyncio
import base64
import os
import secrets
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs

from moorage.auth import issue_token
from moorage.settings import JwtSettings
from moorage_adapters.cipher import Keyring
from moorage_adapters.clock import SystemClock
from moorage_adapters.sqlmodel import migrate
from moorage_adapters.sqlmodel.storage import SqlStorage
from moorage_facebook.token_vault import GraphTokenVault
from moorage_ports.authorizer import ChannelGrant, RedeemedGrant
from moorage_ports.directory import ChannelOffer
from moorage_ports.integrations import Channel, GrantRecord, Integration, IntegrationStatus
from moorage_ports.operations import Role
from moorage_ports.secret import Secret

APP_ID = "424242424242424"


def _key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


@attrs.define(kw_only=True)
class HostPlan:
    """What every process of one host shares."""

    folder: Path
    database_url: str
    app_secret: str = attrs.field(factory=lambda: secrets.token_hex(16))
    graph_url: str = "https://graph.facebook.com"
    app_id: str = APP_ID
    page_tokens: Mapping[str, str] = attrs.field(factory=dict, repr=False)  # where Graph looks at them
    jwt_secret: str = attrs.field(factory=_key)
    state_secret: str = attrs.field(factory=_key)
    verify_token: str = attrs.field(factory=_key)

    @property
    def keyring_file(self) -> Path:
        """Made on the first use."""
        path = self.folder / "keyring.json"
        if not path.exists():
            Keyring.create(path)
        return path

    def environment(self, port: int) -> dict[str, str]:
        """The settings, as an operator would give them."""
        return {
            "MOORAGE_PUBLIC_URL": f"http://127.0.0.1:{port}",
            "MOORAGE_PORT": str(port),
            "MOORAGE_DATABASE_URL": self.database_url,
            "MOORAGE_KEYRING_FILE": str(self.keyring_file),
            "MOORAGE_JWT_SECRET": self.jwt_secret,
            "MOORAGE_STATE_SECRET": self.state_secret,
            "MOORAGE_LOG_LEVEL": "WARNING",
            "MOORAGE_FACEBOOK_APP_ID": self.app_id,
            "MOORAGE_FACEBOOK_APP_SECRET": self.app_secret,
            "MOORAGE_FACEBOOK_VERIFY_TOKEN": self.verify_token,
            "MOORAGE_FACEBOOK_GRAPH_URL": self.graph_url,
        }

    def token(self, org_id: str) -> str:
        """What the platform would give an administrator of an org."""
        return issue_token(
            JwtSettings(secret=Secret(self.jwt_secret)),
            org_id=org_id,
            user_id="admin",
            role=Role.ADMIN,
            now=datetime.now(UTC),
            lifetime=timedelta(hours=1),
        )

    async def storage(self) -> SqlStorage:
        """The same data, opened from here."""
        return await SqlStorage.open(self.database_url, Keyring.load(self.keyring_file), SystemClock())

    async def seed(self, pages_of: Mapping[str, Sequence[str]]) -> None:
        """Bring the schema up to date and let each org own these pages, tokens included."""
        await migrate.upgrade(self.database_url)
        storage = await self.storage()
        for org_id, pages in pages_of.items():
            await _connected(self, storage, org_id, pages)
        await storage.aclose()


async def _connected(plan: HostPlan, storage: SqlStorage, org_id: str, pages: Sequence[str]) -> None:
    now = datetime.now(UTC)
    integration = Integration(
        id=f"int_{org_id}",
        vendor="facebook",
        status=IntegrationStatus.ACTIVE,
        app_id=plan.app_id,
        created_at=now,
        updated_at=now,
    )
    grant = GrantRecord(
        id=f"gr_{org_id}",
        integration_id=integration.id,
        subject_index=org_id,
        connected_by="seed",
        scopes=("leads_retrieval",),
        created_at=now,
    )
    offers = [ChannelOffer(external_id=page, type="page", name=f"Page {page}") for page in pages]
    redeemed = RedeemedGrant(
        subject=Secret("1"),
        profile={},
        token=Secret("grant-token"),
        granted_scopes=grant.scopes,
        channels=tuple(
            ChannelGrant(offer=offer, token=Secret(plan.page_tokens.get(offer.external_id, "page-token")))
            for offer in offers
        ),
    )
    channels = [
        Channel(
            id=f"ch_{org_id}_{offer.external_id}",
            integration_id=integration.id,
            grant_id=grant.id,
            vendor="facebook",
            external_id=offer.external_id,
            type=offer.type,
            name=offer.name,
            selected=True,
            subscribed=True,
        )
        for offer in offers
    ]
    async with storage.unit_of_work(org_id) as work:
        await work.integrations.save(integration)
        await work.integrations.save_grant(grant)
        await work.integrations.save_channels(channels)
        await GraphTokenVault(work.secrets("facebook")).keep(grant.id, redeemed)


@attrs.define(kw_only=True)
class HostProcess:
    """One `moorage serve` or `moorage worker` of a host."""

    plan: HostPlan
    port: int
    arguments: tuple[str, ...] = ("serve",)
    process: asyncio.subprocess.Process | None = None

    async def start(self, environment: Mapping[str, str] | None = None) -> None:
        """Start the process; does not wait until it answers."""
        with (self.plan.folder / "host.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "moorage",
                *self.arguments,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.plan.environment(self.port), **(environment or {})},
            )

    async def ready(self, *, deadline: float = 30.0) -> None:
        """Wait until it answers its port."""
        until = time.monotonic() + deadline
        while time.monotonic() < until:
            assert self.process is not None
            assert self.process.returncode is None, (self.plan.folder / "host.log").read_text()[-4000:]
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                await asyncio.sleep(0.02)
                continue
            writer.close()
            return
        msg = "the host did not come up"
        raise AssertionError(msg)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to this process, if it lives."""
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(number)

    async def wait_dead(self, *, deadline: float = 60.0) -> None:
        """Wait until it died of itself (a fail point)."""
        assert self.process is not None
        async with asyncio.timeout(deadline):
            await self.process.wait()

    async def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGKILL)
        if self.process is not None:
            await self.process.wait()
