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
from moorage_ports.outgoing import MOST_ENDPOINTS, Endpoint, EventType, HandoverState, SigningSecret
from moorage_ports.secret import Secret
from tests.support.receiver import Receiver, hangs, receiving
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


def endpoint(id_: str, url: str) -> Endpoint:
    now = SystemClock().now()
    secrets_ = (SigningSecret(value=new_secret()),)
    return Endpoint(id=id_, url=url, secrets=secrets_, created_at=now, updated_at=now)


async def announced(settings: Settings, url: str) -> tuple[HandoverState, str]:
    """What became of a message, once it was tried, with the workers of such a host running."""
    async with assembled(settings, Vendors({}, {})) as services:
        async with services.storage.unit_of_work(ORG) as uow:
            await uow.outgoing.save_endpoint(endpoint("e1", url))
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


async def test_an_endpoint_that_hangs_delays_nobody_else(settings: Settings, receiver: Receiver) -> None:
    """Also one of the same org, with much to tell to the one that hangs."""
    demo = attrs.evolve(settings, is_demo=True, outgoing_allow_networks=("127.0.0.0/8",))
    async with receiving() as slow, assembled(demo, Vendors({}, {})) as services:
        slow.usual = hangs
        async with services.storage.unit_of_work(ORG) as uow:
            for number in range(MOST_ENDPOINTS - 1):
                await uow.outgoing.save_endpoint(endpoint(f"slow-{number}", slow.url))
            await uow.outgoing.save_endpoint(endpoint("z-fast", receiver.url))
            for number in range(20):
                await uow.outgoing.announce(EventType.LEAD_CREATED, f"lead-{number}", {"id": str(number)})
        running = asyncio.create_task(services.jobs.run())
        try:
            async with asyncio.timeout(10):
                while len(receiver.received) < 20:  # noqa: ASYNC110 - it is another loop's list, too
                    await asyncio.sleep(0.02)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        assert slow.received


async def test_without_being_told_otherwise_the_host_calls_nobody_beside_it(
    settings: Settings, receiver: Receiver
) -> None:
    url = receiver.url.replace("http:", "https:")
    assert await announced(settings, url) == (HandoverState.PENDING, "address_refused")
    assert receiver.received == []
