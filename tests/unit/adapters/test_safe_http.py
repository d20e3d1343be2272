"""S3, S4: whatever URL somebody gives us, nothing of ours and nothing beside us is ever connected to."""

import asyncio
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import timedelta
from ipaddress import ip_address, ip_network
from itertools import chain, cycle

import attrs
import httpcore
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage_adapters.denied_networks import DENIED, is_denied
from moorage_adapters.safe_http import RESOLVING, Rules, SafeDoor
from moorage_ports.http import (
    AddressRefusedError,
    HttpRequest,
    NeverSentError,
)
from tests.unit.adapters.test_http import serving

PUBLIC = "93.184.216.34"
NOBODY = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # believes no certificate; loading a list of them takes long
LOOPBACK = Rules(opened=(ip_network("127.0.0.0/8"), ip_network("::1/128")))


@attrs.define
class Sentinel(httpcore.AsyncNetworkBackend):
    """A network that nobody ever reaches, and that remembers who was called."""

    called: list[tuple[str, int]] = attrs.field(factory=list)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        self.called.append((host, port))
        raise httpcore.ConnectError


def resolving(*answers: Sequence[str]) -> Callable[[str, int], Awaitable[Sequence[str]]]:
    """A resolver that says one thing after the other, and begins again."""
    following = cycle(answers)

    async def resolved(_: str, __: int) -> Sequence[str]:
        return next(following)

    return resolved


def post(url: str, **changes: object) -> HttpRequest:
    fields: dict[str, object] = {
        "method": "POST",
        "url": url,
        "body": b"{}",
        "deadline": timedelta(seconds=5),
    }
    return HttpRequest(**(fields | changes))  # type: ignore[arg-type]


# Where nobody may be called -------------------------------------------------------------------


def spellings(text: str) -> Iterable[str]:
    """An address in every way that some parser takes for it."""
    address = ip_address(text)
    if address.version == 6:
        yield f"[{address.compressed}]"
        yield f"[{address.exploded}]"
        return
    number = int(address)
    a, b, c, d = address.packed
    yield str(address)
    yield str(number)
    yield hex(number)
    yield f"0{number:o}"
    yield f"0{a:o}.0{b:o}.0{c:o}.0{d:o}"
    yield f"{a:#x}.{b:#x}.{c:#x}.{d:#x}"
    yield f"{a}.{(b << 16) + (c << 8) + d}"
    yield f"{a}.{b}.{(c << 8) + d}"
    yield f"[::ffff:{address}]"
    yield f"[::{address}]"
    yield f"[64:ff9b::{address}]"
    yield f"[2002:{a:02x}{b:02x}:{c:02x}{d:02x}::]"


def inside(network: str) -> Iterable[str]:
    """Its first address, its last and one between."""
    whole = ip_network(network)
    for place in {0, whole.num_addresses // 2, whole.num_addresses - 1}:
        yield str(whole[place])


WRITTEN = sorted(
    {
        f"https://{spelled}{path}"
        for network in map(str, DENIED)
        for address in inside(network)
        for spelled, path in zip(spellings(address), cycle(("/", "/hook?x=1", "")), strict=False)
    }
)
MALFORMED = (
    "",
    "https://",
    "https:///hook",
    "http://crm.example/",
    "HTTP://127.0.0.1/",
    "ftp://127.0.0.1/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_INFO",
    "//127.0.0.1/",
    "https://user@crm.example/",
    "https://crm.example@127.0.0.1/",
    "https://crm.example:443@127.0.0.1/",
    "https://127.0.0.1#@crm.example/",
    "https://crm.example/#fragment",
    "https://crm.example\\@127.0.0.1/",
    "https://crm.example\\.127.0.0.1/",
    "https://127.0.0.1\t/",
    "https://127.0.0.1 /",
    "https://crm.example/\r\nHost: 127.0.0.1",
    "https://crm.example/\0",
    "https://①②⑦.⓪.⓪.①/",
    "https://127。0。0。1/",
    "https://ⓛocalhost/",
    "https://crm.example:0/",
    "https://crm.example:65536/",
    "https://crm.example:x/",
    "https://crm.example:22/",
    "https://crm.example:8443/",
    "https://crm.example:80/",
    "https://" + "a" * 3000 + "/",
    "https://" + "a" * 70 + "/",
    "https://localhost/",
    "https://LOCALHOST/",
    "https://localhost./",
    "https://127.0.0.1:443/",
    "https://127.1/",
    "https://127.0.0.1./",
    "https://0/",
    "https://[::]/",
    "https://[::1]evil.example/",
    "https://[::1%25lo]/",
    "https://[fe80::1%25eth0]/",
    "https://[::ffff:7f00:1]/",
    "https://[0:0:0:0:0:ffff:a9fe:a9fe]/",
    "https://[64:ff9b:1::7f00:1]/",
)


def test_the_corpus_is_large() -> None:
    assert len(WRITTEN) + len(MALFORMED) > 300


async def test_t_ssrf_corpus_nothing_is_connected_to() -> None:
    """Names are the system's to read here: it takes `0x7f.1` for an address, and so may a request library."""
    sentinel = Sentinel()

    async def read(host: str, port: int) -> Sequence[str]:
        """What is written as an address the system's way, without asking anybody; of names we know a few."""
        if host.rstrip(".") == "localhost":
            return ["127.0.0.1"]
        if host.endswith("example"):
            return [PUBLIC]
        flags = socket.AI_NUMERICHOST
        return [
            str(one[4][0]) for one in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
        ]

    door = SafeDoor(resolving=read, network=sentinel, tls=NOBODY)
    for url in chain(WRITTEN, MALFORMED):
        with pytest.raises(NeverSentError):
            await door.send(post(url))
        assert sentinel.called == [], url
    await door.aclose()


async def test_t_ssrf_sentinel_a_listener_of_our_own_hears_nothing() -> None:
    """The same over real sockets, with the port that is allowed."""

    async def talk(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        """Only connections are counted."""

    async with serving(talk) as server:
        door = SafeDoor(Rules(port=server.port), tls=NOBODY)
        for host in ("localhost", *spellings("127.0.0.1"), *spellings("0.0.0.0"), "[::1]"):  # noqa: S104 - not bound to
            with pytest.raises(NeverSentError):
                await door.send(post(f"https://{host}:{server.port}/"))
        assert server.connections == 0
        opened = SafeDoor(LOOPBACK, tls=NOBODY)
        with pytest.raises(NeverSentError):  # it speaks no TLS
            await opened.send(post(f"https://127.0.0.1:{server.port}/", deadline=timedelta(seconds=1)))
        assert server.connections == 1, "it would have heard"


@pytest.mark.parametrize("network", [str(network) for network in DENIED])
async def test_a_name_that_leads_there_is_refused_whatever_else_it_leads_to(network: str) -> None:
    sentinel = Sentinel()
    for address in inside(network):
        for found in ([address], [PUBLIC, address], [address, PUBLIC]):
            door = SafeDoor(resolving=resolving(found), network=sentinel, tls=NOBODY)
            with pytest.raises(AddressRefusedError):
                await door.send(post("https://crm.example/"))
            with pytest.raises(AddressRefusedError):
                await door.check("https://crm.example/")
    assert sentinel.called == []


async def test_a_public_address_is_called_and_the_check_lets_it_through() -> None:
    """Otherwise the tests above would hold for a door that is nailed up."""
    sentinel = Sentinel()
    door = SafeDoor(resolving=resolving([PUBLIC, "2606:2800:220:1::1"]), network=sentinel, tls=NOBODY)
    await door.check("https://crm.example/")
    with pytest.raises(NeverSentError) as missed:
        await door.send(post("https://crm.example/"))
    assert not isinstance(missed.value, AddressRefusedError)
    assert sentinel.called == [(PUBLIC, 443), ("2606:2800:220:1::1", 443)], "one after the other"


async def test_a_name_that_turns_round_between_two_looks_gains_nothing() -> None:
    """DNS rebinding: what was looked at is what is connected to, and every connection looks anew."""
    sentinel = Sentinel()
    door = SafeDoor(resolving=resolving([PUBLIC], ["127.0.0.1"]), network=sentinel, tls=NOBODY)
    await door.check("https://crm.example/")
    with pytest.raises(AddressRefusedError):
        await door.send(post("https://crm.example/"))
    with pytest.raises(NeverSentError):
        await door.send(post("https://crm.example/"))
    assert sentinel.called == [(PUBLIC, 443)]


async def test_a_resolver_that_says_nonsense_is_not_believed() -> None:
    for found in (["nonsense"], [""], ["127.0.0.1\0"], [PUBLIC, "localhost"]):
        door = SafeDoor(resolving=resolving(found), network=(sentinel := Sentinel()), tls=NOBODY)
        with pytest.raises(AddressRefusedError):
            await door.send(post("https://crm.example/"))
        assert sentinel.called == []


async def test_a_name_that_does_not_resolve_is_no_refusal() -> None:
    door = SafeDoor(resolving=resolving([]))
    await door.check("https://crm.example/")
    with pytest.raises(NeverSentError) as missed:
        await door.send(post("https://crm.example/"))
    assert type(missed.value) is NeverSentError


ADDRESSES = st.ip_addresses()


@given(ADDRESSES)
def test_t_ip_table_what_is_let_through_is_given_out_to_the_world(address: object) -> None:
    """The table is stricter than the library wherever the two differ."""
    found = ip_address(str(address))
    if not is_denied(found):
        assert found.is_global
        assert not found.is_multicast
        if found.version == 6:
            assert found in ip_network("2000::/3")


@pytest.mark.parametrize(
    "text",
    ["64:ff9b::a9fe:a9fe", "2002:7f00:1::", "::127.0.0.1", "fec0::1", "192.88.99.1", "224.0.0.1", "5f00::1"],
)
def test_what_the_library_calls_global_and_is_not_is_denied(text: str) -> None:
    assert is_denied(ip_address(text))


@pytest.mark.parametrize(
    "text", [PUBLIC, "8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111"]
)
def test_the_world_is_not_denied(text: str) -> None:
    assert not is_denied(ip_address(text))


async def test_name_servers_that_never_answer_use_up_no_threads_but_the_doors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Vendors' names are resolved on the loop's own threads, of which there are few."""
    answered = threading.Event()

    def never(*_: object, **__: object) -> list[tuple[object, ...]]:
        answered.wait(10)
        return []

    monkeypatch.setattr("moorage_adapters.safe_http.socket.getaddrinfo", never)
    monkeypatch.setattr("moorage_adapters.safe_http.RESOLVE_SECONDS", 0.2)
    door = SafeDoor(tls=NOBODY)
    waiting = [asyncio.create_task(door.check("https://slow.example/")) for _ in range(RESOLVING + 8)]
    await asyncio.sleep(0.05)
    async with asyncio.timeout(2):
        assert await asyncio.to_thread(lambda: 1) == 1
        await asyncio.gather(*waiting)
        with pytest.raises(NeverSentError, match="does not resolve"):
            await door.send(post("https://slow.example/"))
        await door.aclose()
    answered.set()


# What the operator opened ---------------------------------------------------------------------


async def test_an_opened_network_is_called_at_any_port_and_no_other_is() -> None:
    rules = Rules(opened=(ip_network("10.1.0.0/16"),))
    for found, is_called in ((["10.1.2.3"], True), (["10.2.0.1"], False), (["10.1.2.3", "10.2.0.1"], False)):
        sentinel = Sentinel()
        door = SafeDoor(rules, resolving=resolving(found), network=sentinel, tls=NOBODY)
        with pytest.raises(NeverSentError):
            await door.send(post("https://crm.internal:8443/"))
        assert bool(sentinel.called) is is_called
    with pytest.raises(AddressRefusedError, match="not https"):
        await SafeDoor(rules, resolving=resolving(["10.1.2.3"])).send(post("http://crm.internal/"))


@pytest.mark.parametrize("url", ["http://crm.example/", "http://crm.example:443/", "http://10.0.0.1/"])
async def test_without_tls_only_this_machine_is_called_even_where_it_is_opened(url: str) -> None:
    door = SafeDoor(LOOPBACK, resolving=resolving([PUBLIC]), network=(sentinel := Sentinel()), tls=NOBODY)
    with pytest.raises(AddressRefusedError):
        await door.send(post(url))
    assert sentinel.called == []
