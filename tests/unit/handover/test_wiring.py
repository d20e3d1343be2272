"""The host as it is put together: what is announced is delivered by its jobs, to where its settings allow."""

import asyncio
import secrets
from pathlib import Path

import attrs
import pytest

from moorage.bootstrap import assembled, create_keyring, migrate
from moorage.handover.signing import new_secret
from moorage.settings import JwtSettings, Settings
from moorage.vendors import Vendors
from moorage_adapters.clock import SystemClock
from moorage_ports.outgoing import Endpoint, EventType, HandoverState, SigningSecret
from moorage_ports.secret import Secret
from tests.support.receiver import Receiver
from tests.unit.handover.conftest import ORG


@pytest.fixture
async def settings(tmp_path: Path) -> Settings:
    create_keyring(tmp_path / "keyring.json")
    made = Settings(
        public_url="http://127.0.0.1:8080",
        keyring_file=tmp_path / "keyring.json",
        database_url=f"sqlite:///{tmp_path / 'm.sqlite3'}",
        jwt=JwtSettings(secret=Secret(secrets.token_urlsafe(48))),
        state_secret=Secret(secrets.token_urlsafe(48)),
    )
    await migrate(made)
    return made


async def announced(settings: Settings, url: str) -> tuple[HandoverState, str]:
    """What became of a message, once it was tried, with the workers of such a host running."""
    async with assembled(settings, Vendors({}, {})) as services:
        now = SystemClock().now()
        endpoint = Endpoint(
            id="e1",
            url=url,
            secrets=(SigningSecret(value=new_secret()),),
            created_at=now,
            updated_at=now,
        )
        async with services.storage.unit_of_work(ORG) as uow:
            await uow.outgoing.save_endpoint(endpoint)
            await uow.outgoing.announce(EventType.LEAD_CREATED, "lead-1", {"id": "lead-1"})
        running = asyncio.create_task(services.jobs.run())
        try:
            async with asyncio.timeout(20):
                while True:
                    async with services.storage.unit_of_work(ORG, reads_only=True) as uow:
                        (one,) = (await uow.outgoing.handovers("e1", page=1, page_size=1)).items
                    if one.error or one.state is not HandoverState.PENDING:
                        return one.state, one.error
                    await asyncio.sleep(0.02)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_a_message_is_delivered_by_the_hosts_own_jobs(settings: Settings, receiver: Receiver) -> None:
    demo = attrs.evolve(settings, is_demo=True, outgoing_allow_networks=("127.0.0.0/8",))
    assert await announced(demo, receiver.url) == (HandoverState.DELIVERED, "")
    assert receiver.subjects == ["lead-1"]


async def test_without_being_told_otherwise_the_host_calls_nobody_beside_it(
    settings: Settings, receiver: Receiver
) -> None:
    url = receiver.url.replace("http:", "https:")
    assert await announced(settings, url) == (HandoverState.PENDING, "address_refused")
    assert receiver.received == []
