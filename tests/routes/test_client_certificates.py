"""W18: with mTLS on, a delivery needs the vendor's certificate, and only the proxy may say so."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
from litestar import Litestar

from moorage.app import create_app
from moorage.serving import Site, listening, port_of, serve
from moorage.settings import JwtSettings, Settings, SettingsError, load_settings
from moorage.vendors import installed_vendors
from moorage_adapters.memory.world import CAFE, NEWSLETTER
from moorage_ports.secret import Secret
from moorage_ports.webhooks import Delivery
from tests.support.harbour import ORIGIN, Harbour, harbour

NAME = "deliveries.memory.example"
HEADER = "x-client-cn"
PROXY = "10.7.0.1"
ELSEWHERE = "203.0.113.9"


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Harbour]:
    async with harbour(tmp_path) as made:
        await made.connect()
        await made.select(CAFE.id)
        yield made


def guarded(host: Harbour, *, name: str = NAME, proxies: tuple[str, ...] = (PROXY,)) -> Litestar:
    """The same host with mTLS on, and a vendor that names its certificate."""
    vendor = attrs.evolve(host.vendor, webhook_client_name=name)
    settings = attrs.evolve(host.services.settings, webhook_client_cn_header=HEADER, trusted_proxies=proxies)
    vendors = attrs.evolve(host.services.vendors, by_slug={vendor.slug: vendor})
    return create_app(attrs.evolve(host.services, settings=settings, vendors=vendors))


async def deliver(app: Litestar, delivery: Delivery, peer: str, *names: str) -> int:
    """The status of a delivery from `peer`, with these values of the header."""
    transport = httpx.ASGITransport(app=app, client=(peer, 4711))  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as http:
        headers = [*delivery.headers, *((HEADER, value) for value in names)]
        answer = await http.post("/connect/webhook/memory", content=delivery.body, headers=headers)
    return answer.status_code


def signed(host: Harbour) -> Delivery:
    return host.world.delivery_of(host.world.fill_in(NEWSLETTER.id, {"email": ("ada@harbour.example",)}))


async def test_through_the_proxy_with_the_vendors_name_w18(host: Harbour) -> None:
    assert await deliver(guarded(host), signed(host), PROXY, NAME) == 200
    await host.work()
    assert len(await host.leads()) == 1


@pytest.mark.parametrize(
    ("peer", "names"),
    [
        (ELSEWHERE, (NAME,)),
        ("not an address", (NAME,)),
        ("", (NAME,)),
        (PROXY, ()),
        (PROXY, ("",)),
        (PROXY, (NAME, NAME)),
        (PROXY, (NAME, "other")),
        (PROXY, (f"{NAME}.evil.example",)),
        (PROXY, (f"evil-{NAME}",)),
        (PROXY, (NAME.upper(),)),
        (PROXY, (f"CN={NAME}",)),
        (PROXY, (NAME.replace(".", "-", 1),)),
    ],
)
async def test_whoever_else_says_so_is_refused_w18(host: Harbour, peer: str, names: tuple[str, ...]) -> None:
    """Straight to us, without the header, with two of them, or with a name that only looks like it: 403."""
    assert await deliver(guarded(host), signed(host), peer, *names) == 403
    await host.work()
    assert await host.leads() == ()


async def test_a_network_of_proxies_is_trusted_and_no_other_w18(host: Harbour) -> None:
    app = guarded(host, proxies=("10.7.0.0/24", "::1"))
    assert await deliver(app, signed(host), "10.7.0.200", NAME) == 200
    assert await deliver(app, signed(host), "::ffff:10.7.0.3", NAME) == 200
    assert await deliver(app, signed(host), "::1", NAME) == 200
    assert await deliver(app, signed(host), "10.8.0.1", NAME) == 403


async def test_the_signature_is_still_asked_for_w18(host: Harbour) -> None:
    """A certificate says who sends, not what."""
    delivery = signed(host)
    forged = Delivery(headers=delivery.headers, body=delivery.body + b" ")
    assert await deliver(guarded(host), forged, PROXY, NAME) == 403


async def test_a_vendor_without_certificates_delivers_as_ever_w18(host: Harbour) -> None:
    assert await deliver(guarded(host, name=""), signed(host), ELSEWHERE) == 200


async def test_off_by_default_and_then_a_header_means_nothing_w18(host: Harbour) -> None:
    assert host.services.settings.webhook_client_cn_header == ""
    assert await deliver(create_app(host.services), signed(host), ELSEWHERE, "whatever") == 200


# Behind a real server, where X-Forwarded-For is believed ---------------------------------------


@asynccontextmanager
async def served(app: Litestar, proxies: tuple[str, ...]) -> AsyncIterator[str]:
    socket = listening("127.0.0.1", 0, chosen_by="--port")
    site = Site(app=app, socket=socket, trusted_proxies=proxies, notes_peers=True)  # type: ignore[arg-type]
    is_up = asyncio.Event()
    serving = asyncio.create_task(serve(site, ready=is_up.set))
    await is_up.wait()
    try:
        yield f"http://127.0.0.1:{port_of(socket)}"
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


@pytest.mark.parametrize(
    ("proxies", "forwarded_for", "status"),
    [
        (("127.0.0.1",), ELSEWHERE, 200),  # the vendor's address, as the proxy tells it
        ((PROXY,), PROXY, 403),  # somebody who says that the proxy sent them
        ((PROXY,), f"{PROXY}, {PROXY}", 403),
    ],
)
async def test_the_peer_is_who_the_socket_is_with_w18(
    host: Harbour, proxies: tuple[str, ...], forwarded_for: str, status: int
) -> None:
    """Not whom a header names."""
    delivery = signed(host)
    headers = [*delivery.headers, (HEADER, NAME), ("x-forwarded-for", forwarded_for)]
    async with served(guarded(host, proxies=proxies), proxies) as url, httpx.AsyncClient() as http:
        answer = await http.post(f"{url}/connect/webhook/memory", content=delivery.body, headers=headers)
    assert answer.status_code == status


# Settings ----------------------------------------------------------------------------------------


def settings_with(keyring: Path, **changes: Any) -> Settings:
    return Settings(
        public_url=ORIGIN,
        keyring_file=keyring,
        jwt=JwtSettings(secret=Secret(secrets.token_urlsafe(48))),
        state_secret=Secret(secrets.token_urlsafe(48)),
        **changes,
    )


@pytest.mark.parametrize("proxies", [(), ("*",), ("proxy.example",), ("0.0.0.0/0",), ("10.0.0.1", "::/0")])
def test_the_header_needs_proxies_that_can_be_told_apart_w18(
    tmp_path: Path, proxies: tuple[str, ...]
) -> None:
    """A header that everybody may set would be worse than none."""
    with pytest.raises(ValueError, match="trusted_proxies"):
        settings_with(tmp_path, webhook_client_cn_header=HEADER, trusted_proxies=proxies)


@pytest.mark.parametrize("header", ["X-Client-Cn", "x client", "x\n", "-x", "x_client"])
def test_the_header_is_named_as_servers_spell_it_w18(tmp_path: Path, header: str) -> None:
    with pytest.raises(ValueError, match="header"):
        settings_with(tmp_path, webhook_client_cn_header=header, trusted_proxies=(PROXY,))


def test_an_operator_is_told_what_is_missing_w18(tmp_path: Path) -> None:
    """From the environment: a sentence, not a traceback."""
    environment: Mapping[str, str] = {
        "MOORAGE_PUBLIC_URL": ORIGIN,
        "MOORAGE_KEYRING_FILE": str(tmp_path / "keyring.json"),
        "MOORAGE_JWT_SECRET": secrets.token_urlsafe(48),
        "MOORAGE_STATE_SECRET": secrets.token_urlsafe(48),
        "MOORAGE_WEBHOOK_CLIENT_CN_HEADER": HEADER,
    }
    load: Callable[..., Settings] = load_settings
    with pytest.raises(SettingsError, match="trusted_proxies"):
        load(installed_vendors(entries=()), environ=dict(environment))
    assert load(
        installed_vendors(entries=()), environ={**environment, "MOORAGE_TRUSTED_PROXIES": PROXY}
    ).trusted_proxies == (PROXY,)
