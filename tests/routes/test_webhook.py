"""The webhook route: what is proven is kept, what is not is refused, and nothing else happens."""

import asyncio
import random
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import attrs
import pytest
from sqlalchemy import text

from moorage.routes.webhook import LARGE_BODY, MANY_VALUES, MAX_BODY
from moorage.services import Caller
from moorage_adapters.memory.news import SIGNATURE_HEADER, news_of_slips, signature, signed
from moorage_adapters.memory.things import Board, Form, Slip
from moorage_adapters.memory.webhooks import MemoryWebhooks
from moorage_adapters.memory.world import BOOKS, CAFE, NEWSLETTER
from moorage_adapters.sqlmodel.storage import SqlStorage
from moorage_ports.errors import NotConnectedError, UnavailableError
from moorage_ports.inbox import Arrival, Kept, Unreadable
from moorage_ports.operations import Role
from moorage_ports.plugin import Vendor, VendorSettings
from moorage_ports.storage import Storage
from moorage_ports.webhooks import MOST_CHANGES, Change, Delivery, VendorApp
from tests.support.harbour import NOON, Harbour, harbour

ORG_B = Caller(org_id="org-b", user_id="user-b", role=Role.ADMIN)
ANSWERS = {"email": ("ada@harbour.example",), "full_name": ("Ada Reed",)}


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Harbour]:
    """Org A owns the café's board, org B the bookshop's."""
    async with harbour(tmp_path) as made:
        await made.connect()
        await made.select(CAFE.id)
        await made.connect(ORG_B)
        await made.select(BOOKS.id, caller=ORG_B)
        made.world.forms["form-2"] = Form(id="form-2", board_id=BOOKS.id, name="Club", asks={"email": "Mail"})
        yield made


async def rows(host: Harbour) -> dict[str, int]:
    """How many inbox rows each org has, and how many lie aside (under "")."""
    async with host.storage.database.read() as transaction:
        found = await transaction.run(
            lambda connection: [
                *connection.execute(text("SELECT org_id, count(*) FROM inbox GROUP BY org_id")),
                *connection.execute(text("SELECT '', count(*) FROM quarantine")),
            ]
        )
    return {org_id: count for org_id, count in found if count}


def a_delivery(host: Harbour) -> Delivery:
    host.world.fill_in(NEWSLETTER.id, ANSWERS)
    return host.world.outbox.pop()


async def test_a_signed_delivery_is_kept_and_answered(host: Harbour) -> None:
    answer = await host.deliver(a_delivery(host))

    assert (answer.status_code, answer.content) == (200, b"")
    assert await rows(host) == {"org-a": 1}


async def test_every_answer_has_an_id_of_its_own(host: Harbour) -> None:
    answers = [await host.deliver(a_delivery(host)) for _ in range(3)]

    assert len({answer.headers["x-request-id"] for answer in answers}) == 3
    assert all(answer.headers.get_list("content-length") == ["0"] for answer in answers)


@pytest.mark.parametrize("path", ["memory", "memory/leads"])
@pytest.mark.parametrize("prefix", ["", "/api"])
async def test_it_is_kept_at_every_address_of_the_route(host: Harbour, path: str, prefix: str) -> None:
    delivery = a_delivery(host)
    answer = await host.http.post(
        f"{prefix}/connect/webhook/{path}", content=delivery.body, headers=list(delivery.headers)
    )

    assert answer.status_code == 200
    assert await rows(host) == {"org-a": 1}


# Signatures ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(SIGNATURE_HEADER, "")],
        [(SIGNATURE_HEADER, "0" * 64)],
        [(SIGNATURE_HEADER, "é" * 64)],
        [(SIGNATURE_HEADER, "sha256=")],
    ],
)
async def test_without_a_good_signature_nothing_is_stored_w10(
    host: Harbour, headers: list[tuple[str, str]]
) -> None:
    delivery = a_delivery(host)
    raw = [(name.encode(), value.encode()) for name, value in headers]
    answer = await host.http.post("/connect/webhook/memory", content=delivery.body, headers=raw)

    assert (answer.status_code, answer.json()["code"]) == (403, "invalid_signature")
    assert await rows(host) == {}


async def test_a_doubled_signature_is_refused_although_both_are_good(host: Harbour) -> None:
    delivery = a_delivery(host)
    good = signature(delivery.body, host.world.app.secret)
    answer = await host.http.post(
        "/connect/webhook/memory",
        content=delivery.body,
        headers=[(SIGNATURE_HEADER, good), (SIGNATURE_HEADER, good)],
    )

    assert answer.status_code == 403
    assert await rows(host) == {}


async def test_10000_mutants_of_a_delivery_are_all_refused_g8(host: Harbour) -> None:
    """One byte of the body or of the signature is another: refused, every time."""
    delivery = a_delivery(host)
    good = signature(delivery.body, host.world.app.secret)
    dice = random.Random(7)
    source = host.vendor.webhooks
    assert source is not None
    refused = 0
    for number in range(10_000):
        body, mac = bytearray(delivery.body), bytearray(good.encode())
        target = body if number % 2 else mac
        target[dice.randrange(len(target))] ^= 1 << dice.randrange(8)
        headers = ((SIGNATURE_HEADER, mac.decode("latin-1")),)
        if number < 100:  # through the whole application
            answer = await host.http.post(
                "/connect/webhook/memory",
                content=bytes(body),
                headers=[(name.encode(), value.encode("latin-1")) for name, value in headers],
            )
            refused += answer.status_code == 403
            continue
        with pytest.raises(Exception, match="signed"):
            source.verify(Delivery(headers=headers, body=bytes(body)), (host.world.app,))
        refused += 1

    assert refused == 10_000
    assert await rows(host) == {}


async def test_without_an_app_every_delivery_is_refused_w10(host: Harbour) -> None:
    """W10: no secret configured means nothing verifies, never that nothing is checked."""
    delivery = a_delivery(host)
    services = attrs.evolve(host.services, apps=_NoApps())
    bare = Harbour(services, host.storage, host.world, host.clock)
    async with bare.http:
        assert (await bare.deliver(delivery)).status_code == 403
    assert await rows(host) == {}


async def test_an_unknown_vendor_has_no_webhook(host: Harbour) -> None:
    answer = await host.deliver(a_delivery(host), path="nobody")

    assert (answer.status_code, answer.json()["code"]) == (404, "unknown_vendor")


# Owners ------------------------------------------------------------------------------------------


async def test_a_mixed_delivery_is_split_by_owner_w6(host: Harbour) -> None:
    """W6: each org gets its own changes, nobody's are kept aside, and no row holds another org's."""
    slips = [_slip("slip-101", CAFE), _slip("slip-102", BOOKS), _slip("slip-103", CAFE)]
    nobodys = _slip("slip-104", attrs.evolve(CAFE, id="board-9"))

    answer = await host.deliver(host.world.delivery_of(*slips, nobodys))

    assert answer.status_code == 200
    assert await rows(host) == {"org-a": 2, "org-b": 1, "": 1}
    for org_id, theirs in (("org-a", {"slip-101", "slip-103"}), ("org-b", {"slip-102"})):
        assert await _slips_of(host, org_id) == theirs


@pytest.mark.parametrize("query", ["?orgid=org-b", "?orgid=nobody"])
async def test_orgid_never_gives_a_delivery_to_whom_it_names_w7(host: Harbour, query: str) -> None:
    """W7: a body about org A's board at `?orgid=B` makes no row for B, and the answer does not tell."""
    answer = await host.deliver(a_delivery(host), query=query)

    assert (answer.status_code, answer.content) == (200, b"")
    assert await rows(host) == {"": 1}


async def test_orgid_of_the_owner_changes_nothing(host: Harbour) -> None:
    assert (await host.deliver(a_delivery(host), query="?orgid=org-a")).status_code == 200
    assert await rows(host) == {"org-a": 1}


@pytest.mark.parametrize(
    "query",
    [
        "?orgid=",
        "?orgid=a&orgid=a",
        "?orgid=org-a&orgid=org-b",
        "?orgid=" + "x" * 65,
        "?orgid=a%00b",
        "?orgid=a;b",
        "?orgid=%C3%A9",
        "?orgid=a%0A",
        "?orgid=a b",
        "?%6frgid=a&orgid=b",
        "?" + "&".join(f"p{number}=1" for number in range(40)),
    ],
)
async def test_a_malformed_orgid_is_refused_before_anything_is_looked_up_w8(
    host: Harbour, query: str
) -> None:
    """W8: also with a good signature, and without touching the app's secrets."""
    services = attrs.evolve(host.services, apps=_Untouchable())
    bare = Harbour(services, host.storage, host.world, host.clock)
    async with bare.http:
        answer = await bare.deliver(a_delivery(host), query=query)

    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_orgid")
    assert await rows(host) == {}


# Bodies ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "identity, gzip", "GZIP"])
async def test_an_encoded_body_is_refused_w12(host: Harbour, encoding: str) -> None:
    delivery = attrs.evolve(
        a_delivery(host), headers=(*a_delivery(host).headers, ("content-encoding", encoding))
    )

    answer = await host.deliver(delivery)

    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_encoding")


async def test_an_identity_encoding_is_none(host: Harbour) -> None:
    delivery = a_delivery(host)
    delivery = attrs.evolve(delivery, headers=(*delivery.headers, ("content-encoding", "identity")))

    assert (await host.deliver(delivery)).status_code == 200


@pytest.mark.parametrize("is_chunked", [True, False])
async def test_a_body_over_4_mb_is_refused_and_one_of_3_mb_is_not_w12(
    host: Harbour, is_chunked: bool
) -> None:
    """W12: enforced while reading, whether or not a length was announced."""
    for size, status in ((3 * 1024 * 1024, 200), (MAX_BODY + 1, 413)):
        delivery = signed(b" " * (size - 11) + b'{"news": []}'[:11], host.world.app.secret)
        content = _chunks(delivery.body) if is_chunked else delivery.body
        answer = await host.http.post(
            "/connect/webhook/memory", content=content, headers=list(delivery.headers)
        )
        assert answer.status_code == status, answer.text


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"not json", b"[" * 100_000 + b"]" * 100_000, b"\xff\xfe{\x00}\x00", b"{}"],
)
async def test_a_signed_body_that_cannot_be_read_is_kept_aside_and_acknowledged_w13(
    host: Harbour, body: bytes
) -> None:
    """W13: a 4xx would make the vendor retry it for days and then switch every webhook of the app off."""
    answer = await host.deliver(signed(body, host.world.app.secret))

    assert answer.status_code == 200
    assert await rows(host) == {"": 1}


async def test_a_delivery_of_too_many_changes_is_kept_aside_whole_w7b(host: Harbour) -> None:
    """Whoever brought an app can sign what they like: they must not fill everybody's inbox with it."""
    slips = [_slip(f"slip-{number}", CAFE) for number in range(MOST_CHANGES + 1)]
    for some, kept in ((slips, {"": 1}), (slips[1:], {"": 1, "org-a": MOST_CHANGES})):
        answer = await host.deliver(signed(news_of_slips(some), host.world.app.secret))

        assert answer.status_code == 200
        assert await rows(host) == kept
    async with host.storage.database.read() as transaction:
        reason = text("SELECT reason FROM quarantine")
        found = await transaction.run(lambda connection: connection.execute(reason).scalar_one())
    assert found == "too many changes"


@pytest.mark.parametrize(
    ("body", "is_aside"),
    [
        (b'{"news":["plain"]}', False),
        (b'{"news":[%s]}' % b",".join([b"0"] * (MANY_VALUES + 2)), True),
        (b'{"news":["%s"]}' % (b"x" * LARGE_BODY), True),
    ],
)
async def test_what_takes_long_to_split_is_split_in_a_thread(
    host: Harbour, monkeypatch: pytest.MonkeyPatch, body: bytes, is_aside: bool
) -> None:
    """Everybody else's answers come from the one thread that must not be held up."""
    threads: list[int] = []
    plain = MemoryWebhooks.split

    def noting(self: MemoryWebhooks, body: bytes) -> tuple[Change, ...]:
        threads.append(threading.get_ident())
        return plain(self, body)

    monkeypatch.setattr(MemoryWebhooks, "split", noting)
    answer = await host.deliver(signed(body, host.world.app.secret))

    assert answer.status_code == 200
    assert [ident != threading.get_ident() for ident in threads] == [is_aside]


async def test_an_unsigned_body_that_cannot_be_read_is_not_stored_w13(host: Harbour) -> None:
    answer = await host.http.post("/connect/webhook/memory", content=b"not json")

    assert answer.status_code == 403
    assert await rows(host) == {}


async def test_slow_bodies_of_strangers_have_their_share_of_the_memory_and_no_more(host: Harbour) -> None:
    """They are read before anybody knows whether they are signed; what is ordinary still gets in."""
    settings = attrs.evolve(host.services.settings, webhook_memory_mb=16)
    bare = Harbour(attrs.evolve(host.services, settings=settings), host.storage, host.world, host.clock)
    go_on = asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield bytes(2_900_000)
        await go_on.wait()
        yield bytes(1024)

    async with bare.http:
        slow = [
            asyncio.create_task(bare.http.post("/connect/webhook/memory", content=slowly())) for _ in range(6)
        ]
        finished = asyncio.as_completed(slow, timeout=5)
        refused = [await next(finished) for _ in range(2)]
        assert (await bare.deliver(a_delivery(host))).status_code == 200
        go_on.set()
        answered = [await one for one in finished]
        again = await bare.http.post("/connect/webhook/memory", content=slowly())

    assert [(one.status_code, one.json()["code"]) for one in refused] == [(503, "unavailable")] * 2
    assert all(int(one.headers["retry-after"]) > 0 for one in refused)
    assert [one.status_code for one in (*answered, again)] == [403] * 5, "read to the end, and not signed"
    assert await rows(host) == {"org-a": 1}


async def test_what_cannot_be_stored_is_not_acknowledged_w4(host: Harbour) -> None:
    """W3, W4: no 2xx before the rows are durable; the vendor is asked to come back."""
    services = attrs.evolve(host.services, storage=cast("Storage", _WithIntake(host.storage, _FullDisk())))
    bare = Harbour(services, host.storage, host.world, host.clock)
    async with bare.http:
        for delivery in (a_delivery(host), signed(b"not json", host.world.app.secret)):
            answer = await bare.deliver(delivery)
            assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
            assert int(answer.headers["retry-after"]) > 0


# The handshake ------------------------------------------------------------------------------------


async def test_the_handshake_is_answered_with_the_bare_challenge_w17(host: Harbour) -> None:
    token = host.world.app.verify_token.reveal()
    answer = await host.http.get(
        "/connect/webhook/memory", params={"token": token, "challenge": "1158201444"}
    )

    assert (answer.status_code, answer.text) == (200, "1158201444")
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"token": "wrong", "challenge": "1"},
        {"token": "RIGHT", "challenge": "<script>"},
        [("token", "RIGHT"), ("token", "RIGHT"), ("challenge", "1")],
    ],
)
async def test_a_wrong_handshake_is_refused_w17(
    host: Harbour, params: dict[str, str] | list[tuple[str, str]]
) -> None:
    right = host.world.app.verify_token.reveal()
    pairs = params.items() if isinstance(params, dict) else params
    answer = await host.http.get(
        "/connect/webhook/memory",
        params=[(name, right if value == "RIGHT" else value) for name, value in pairs],
    )

    assert answer.status_code == 403
    assert "script" not in answer.text


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
async def test_other_methods_are_refused(host: Harbour, method: str) -> None:
    answer = await host.http.request(method, "/connect/webhook/memory")

    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")


# Helpers -------------------------------------------------------------------------------------------


def _slip(slip_id: str, board: Board) -> Slip:
    form_id = NEWSLETTER.id if board.id == CAFE.id else "form-2"
    return Slip(id=slip_id, form_id=form_id, board_id=board.id, answers=ANSWERS, handed_in_at=NOON)


async def _slips_of(host: Harbour, org_id: str) -> set[str]:
    """The slips that the org's inbox rows tell of, as the vendor's translator reads them."""
    source = host.vendor.webhooks
    assert source is not None
    found = set()
    async with host.storage.unit_of_work(org_id) as uow:
        for bucket in range(4):
            for item in await uow.inbox.claim(bucket, limit=100, now=NOON):
                found |= {
                    getattr(event, "lead_external_id", "?")
                    for event in source.events(item.body, item.received_at)
                }
    return found


async def _chunks(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 65_536):
        yield body[start : start + 65_536]


class _NoApps:
    """A host whose operator configured no app."""

    def settings(self, vendor: Vendor) -> VendorSettings:
        raise NotConnectedError(vendor.slug)

    async def for_org(self, vendor: Vendor, org_id: str) -> VendorApp:
        raise NotConnectedError(vendor.slug)

    async def signing(self, vendor: Vendor, org_id: str | None) -> tuple[VendorApp, ...]:
        return ()

    def forget(self, vendor: Vendor, org_id: str) -> None: ...


class _Untouchable(_NoApps):
    """Apps that nobody may ask for in this test."""

    async def signing(self, vendor: Vendor, org_id: str | None) -> tuple[VendorApp, ...]:
        raise AssertionError


class _FullDisk:
    """An intake that can store nothing."""

    async def keep(self, arrival: Arrival) -> Kept:
        msg = "the disk is full"
        raise UnavailableError(msg)

    async def keep_aside(self, unreadable: Unreadable) -> None:
        msg = "the disk is full"
        raise UnavailableError(msg)


class _WithIntake:
    """The host's storage with another door."""

    def __init__(self, inner: SqlStorage, intake: _FullDisk) -> None:
        self._inner = inner
        self.intake = intake

    def __getattr__(self, name: str) -> object:
        return getattr(self._inner, name)
