"""The universal API: who may call what, how bodies are read, what comes back, and that it happens once."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from moorage.dispatch import MAX_BODY
from moorage_adapters.memory.world import BOOKS, CAFE
from moorage_ports.operations import Role
from moorage_ports.publications import RememberedCall
from moorage_ports.publisher import PublishPost
from tests.support.asking import headers_of
from tests.support.harbour import ADMIN, RETURN_URL, Harbour, harbour

CALL = "/upstream/call/memory-provider"
NOTE = {"board": CAFE.id, "text": "Fresh scones"}


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Harbour]:
    """Org A is connected and manages the café's board."""
    async with harbour(tmp_path) as made:
        await made.connect()
        await made.select(CAFE.id)
        yield made


def code_of(answer: Any) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    document = answer.json()
    assert document["status"] == answer.status_code
    assert document["requestId"] == answer.headers["x-request-id"]
    return answer.status_code, document["code"]


# Reading requests ------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "/api"])
@pytest.mark.parametrize("content_type", ["application/json", "text/plain;charset=UTF-8", "", None])
async def test_a_body_is_json_whatever_it_says_it_is(
    host: Harbour, prefix: str, content_type: str | None
) -> None:
    """A plain `fetch` with a string body says text/plain; the answer is bare, at / and at /api."""
    headers = headers_of(host) | ({} if content_type is None else {"content-type": content_type})
    body = msgspec.json.encode({"returnUrl": RETURN_URL})

    answer = await host.http.post(f"{prefix}{CALL}/connect", content=body, headers=headers)

    assert answer.status_code == 200, answer.text
    assert set(answer.json()) >= {"authUrl", "state", "scopes", "addedScopes"}


async def test_no_body_is_an_empty_object(host: Harbour) -> None:
    answer = await host.http.post(f"{CALL}/channels", headers=headers_of(host))

    assert answer.status_code == 200, answer.text
    assert {channel["externalId"] for channel in answer.json()["channels"]} >= {CAFE.id, BOOKS.id}


async def test_reading_operations_take_get_with_the_same_parameters(host: Harbour) -> None:
    published = await host.publish()

    answer = await host.http.get(f"{CALL}/publication?id={published.id}", headers=headers_of(host))

    assert (answer.status_code, answer.json()["id"]) == (200, published.id)
    assert code_of(await host.http.get(f"{CALL}/publication", headers=headers_of(host))) == (
        422,
        "invalid_request",
    )
    twice = await host.http.get(f"{CALL}/publication?id=1&id=2", headers=headers_of(host))
    assert twice.json()["fields"] == {"id": "was given more than once"}


async def test_operations_that_change_something_do_not_take_get(host: Harbour) -> None:
    answer = await host.http.get(f"{CALL}/publish?board={CAFE.id}&text=x", headers=headers_of(host))

    assert code_of(answer) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"{", (400, "malformed_json")),
        (b"[" * 100_000, (400, "malformed_json")),
        (b'{"a":' * 100_000, (400, "malformed_json")),
        (b"\xff\xfe", (400, "malformed_json")),
        (b"[]", (422, "invalid_request")),
        (b'{"board":"board-1"}', (422, "invalid_request")),
        (b'{"board":"board-1","text":"x","colour":"red"}', (422, "invalid_request")),
        (b'{"board":"board-1","text":"\\u0000"}', (422, "invalid_request")),
        (b" " * (MAX_BODY + 1), (413, "too_large")),
    ],
)
async def test_a_bad_body_is_refused_by_its_own_name(
    host: Harbour, body: bytes, expected: tuple[int, str]
) -> None:
    answer = await host.http.post(f"{CALL}/publish", content=body, headers=headers_of(host))

    assert code_of(answer) == expected


async def test_a_body_in_pieces_is_capped_too(host: Harbour) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 100_000

    answer = await host.http.post(f"{CALL}/publish", content=pieces(), headers=headers_of(host))

    assert code_of(answer) == (413, "too_large")


async def test_a_body_that_trickles_is_cut_off(host: Harbour, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sends a byte now and then does not hold a request open for ever."""
    monkeypatch.setattr("moorage.bodies.READ_DEADLINE", 0.05)

    async def trickle() -> AsyncIterator[bytes]:
        for _ in range(100):
            await asyncio.sleep(0.02)
            yield b" "

    answer = await host.http.post(f"{CALL}/publish", content=trickle(), headers=headers_of(host))

    assert code_of(answer) == (408, "request_timeout")


async def test_a_compressed_body_is_refused(host: Harbour) -> None:
    headers = headers_of(host) | {"content-encoding": "gzip"}

    assert code_of(await host.http.post(f"{CALL}/publish", content=b"x", headers=headers)) == (
        415,
        "unsupported_encoding",
    )


# Who may ---------------------------------------------------------------------------------------


async def test_a2_the_header_org_must_be_the_tokens(host: Harbour) -> None:
    """A2: 401 before 400 before 403 before 404, whatever else is wrong."""
    nowhere = "/upstream/call/nobody-provider/nothing"
    good = headers_of(host)
    cases = [
        ({}, (401, "missing_authorization_header")),
        ({"orgid": "org-a"}, (401, "missing_authorization_header")),
        ({"authorization": "Bearer x", "orgid": "not an org"}, (401, "invalid_token")),
        ({"authorization": good["authorization"]}, (400, "missing_orgid")),
        ({**good, "orgid": "not an org"}, (400, "invalid_orgid")),
        ({**good, "orgid": "org-b"}, (403, "org_mismatch")),
        (good, (404, "unknown_vendor")),
    ]
    for headers, expected in cases:
        assert code_of(await host.http.post(nowhere, headers=headers)) == expected
    doubled = [("authorization", good["authorization"]), ("orgid", "org-a"), ("orgid", "org-a")]
    assert code_of(await host.http.post(nowhere, headers=doubled)) == (400, "invalid_orgid")
    host.clock.advance(timedelta(minutes=6))
    assert code_of(await host.http.post(nowhere, headers=good)) == (401, "token_expired")


async def test_a2_bola_matrix(host: Harbour) -> None:
    """A2: every operation and every record, for every pair of token org and header org: never another's."""
    publication = await host.publish()
    integration = await host.integration()
    asked = [
        ("POST", f"{CALL}/publication", {"id": publication.id}),
        ("GET", f"{CALL}/publication?id={publication.id}", None),
        ("POST", f"{CALL}/channels", {}),
        ("POST", f"{CALL}/choose-channels", {"channels": [CAFE.id]}),
        ("POST", f"{CALL}/publish", NOTE),
        ("POST", "/upstream/test/memory-provider/publish", NOTE),
        ("GET", f"/upstream/active/detail/{integration.id}", None),
        ("POST", "/upstream/get-integration", {"id": integration.id}),
        ("POST", f"/upstream/shutdown/{integration.id}", None),
    ]
    for method, path, body in asked:
        for token_org, header_org in (("org-b", "org-b"), ("org-b", "org-a"), ("org-a", "org-b")):
            headers = headers_of(host, token_org, header=header_org)
            answer = await host.http.request(method, path, json=body, headers=headers)
            allowed = {404, 412} if token_org == header_org else {403}
            assert answer.status_code in allowed, (method, path, token_org, header_org, answer.text)
            assert publication.id not in answer.text
            assert CAFE.name not in answer.text
    listed = await host.http.get("/upstream/active", headers=headers_of(host, "org-b"))
    assert listed.json() == {"integrations": []}
    assert (await host.integration()).status.value == "active"


async def test_a_role_is_asked_for_by_the_operation(host: Harbour) -> None:
    async def status(operation: str, role: Role, body: object) -> int:
        headers = headers_of(host, role=role)
        return (await host.http.post(f"{CALL}/{operation}", json=body, headers=headers)).status_code

    assert await status("channels", Role.VIEWER, {}) == 200
    assert await status("publish", Role.VIEWER, NOTE) == 403
    assert await status("publish", Role.AGENT, NOTE) == 200
    assert await status("choose-channels", Role.AGENT, {"channels": []}) == 403
    assert await status("connect", Role.ADMIN, {"returnUrl": RETURN_URL}) == 200


# Where ------------------------------------------------------------------------------------------

ODD_NAMES = [
    "memory",
    "Memory-provider",
    "MEMORY-PROVIDER",
    "memory-provider-provider",
    "-provider",
    "m-provider",
    "1memory-provider",
    "memory_x-provider",
    "memory -provider",
    "mеmory-provider",
    "memory-provider%20",
    "memory%2dprovider%00",
    "memory-provider;x",
    "memory-provider%0a",
    "memory-provider%ff",
    "%2e%2e",
    "..%2fmemory-provider",
    "%252e%252e",
    "__class__",
    "x" * 400 + "-provider",
]


@pytest.mark.parametrize("name", ODD_NAMES)
async def test_a5_only_a_vendors_exact_name_is_a_vendor(host: Harbour, name: str) -> None:
    """A5: ASCII, lower case, one segment, one suffix."""
    answer = await host.http.post(f"/upstream/call/{name}/publish", json=NOTE, headers=headers_of(host))

    assert answer.status_code == 404, answer.text
    assert answer.json()["code"] in {"unknown_vendor", "not_found"}


@pytest.mark.parametrize(
    "name",
    [
        "Publish",
        "publish ",
        "publish%00",
        "post",
        "__init__",
        "operations",
        "publish;x",
        "publish%2f..",
        "рublish",
    ],
)
async def test_a5_only_an_exact_name_is_an_operation(host: Harbour, name: str) -> None:
    """A5: looked up among what the vendor bound, never by attribute."""
    answer = await host.http.post(f"{CALL}/{name}", json=NOTE, headers=headers_of(host))

    assert answer.status_code == 404, answer.text
    assert answer.json()["code"] in {"unknown_operation", "not_found"}
    assert not host.world.notes


@given(path=st.text(max_size=80), query=st.text(max_size=20))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
async def test_a5_no_path_is_a_crash(host: Harbour, path: str, query: str) -> None:
    """A5: whatever stands behind /upstream/call/, the answer is a refusal with a name."""
    statuses: list[int] = []

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    decoded = "/upstream/call/" + path
    scope: Any = {
        "type": "http",
        "method": "POST",
        "path": decoded,
        "raw_path": decoded.encode("utf-8", "surrogatepass"),
        "query_string": query.encode("utf-8", "surrogatepass"),
        "headers": [(name.encode(), value.encode()) for name, value in headers_of(host).items()],
        "root_path": "",
        "scheme": "http",
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 1),
        "http_version": "1.1",
        "asgi": {"version": "3.0"},
    }
    await host.app(scope, receive, send)

    assert statuses
    assert statuses[0] < 500


# Once -------------------------------------------------------------------------------------------


async def publish(host: Harbour, key: str | None, **changes: object) -> Any:
    headers = headers_of(host) | ({} if key is None else {"idempotency-key": key})
    return await host.http.post(f"{CALL}/publish", json=NOTE | changes, headers=headers)


def posted(host: Harbour) -> int:
    return len(host.world.notes)


async def test_a9_the_same_key_and_body_is_the_first_answer_again(host: Harbour) -> None:
    """A9: a caller who lost the answer may ask again; it is posted once."""
    first, again = await publish(host, "k-1"), await publish(host, "k-1")

    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json() == again.json()
    assert posted(host) == 1
    assert code_of(await publish(host, "k-1", text="Other")) == (409, "idempotency_mismatch")
    assert (await publish(host, "k-2")).json()["id"] != first.json()["id"]
    assert (await publish(host, None)).status_code == 200
    assert posted(host) == 3


async def test_a9_the_order_of_fields_is_not_another_body(host: Harbour) -> None:
    """A9: the request counts, not its spelling."""
    headers = headers_of(host) | {"idempotency-key": "k-1"}
    bodies = [b'{"board":"board-1","text":"x"}', b'{ "text": "x",\n "board": "board-1" }']

    answers = [await host.http.post(f"{CALL}/publish", content=body, headers=headers) for body in bodies]

    assert answers[0].json() == answers[1].json()
    assert posted(host) == 1


async def test_a9_a_hundred_at_once_post_once(host: Harbour) -> None:
    """A9: whoever comes second is told to wait or gets the first answer."""
    answers = await asyncio.gather(*(publish(host, "k-1") for _ in range(100)))

    assert posted(host) == 1
    assert {answer.status_code for answer in answers} <= {200, 409}
    for answer in answers:
        if answer.status_code == 409:
            assert code_of(answer) == (409, "conflict")
            assert answer.headers["retry-after"] == "2"
    assert (await publish(host, "k-1")).status_code == 200


async def test_a9_a_refusal_frees_the_key(host: Harbour) -> None:
    """A9: nothing happened, so the corrected or repeated request may use the key again."""
    host.world.refuse_notes()
    refused = await publish(host, "k-1")
    host.world.clear_up()

    assert refused.status_code == 422
    assert (await publish(host, "k-1", text="Milder")).status_code == 200
    assert posted(host) == 1


async def test_a9_an_answer_that_never_came_is_unconfirmed_and_not_sent_again(host: Harbour) -> None:
    """A9: 202 at once, 202 again, one post."""
    host.world.drop_answers()
    first = await publish(host, "k-1")
    again = await publish(host, "k-1")

    assert (first.status_code, first.json()["status"]) == (202, "unconfirmed")
    assert (again.status_code, again.json()) == (202, first.json())
    assert posted(host) == 1


async def test_a9_a_first_call_that_died_after_it_published_is_read_back(host: Harbour) -> None:
    """A9: the process was killed between the post and the answer; its publication tells."""
    published = await host.publish(subject_id="subject-1", text=NOTE["text"])
    async with host.storage.unit_of_work(ADMIN.org_id) as uow:
        digest = await _digest_of_first(host)
        await uow.remembered_calls.begin(
            "memory/publish",
            "k-1",
            RememberedCall(body_hash=digest, subject_id="subject-1"),
            now=host.clock.now(),
        )

    again = await publish(host, "k-1")

    assert (again.status_code, again.json()["id"]) == (200, published.id)
    assert posted(host) == 1


async def test_a9_a_first_call_that_died_before_it_did_anything_gives_the_key_back(host: Harbour) -> None:
    """A9: for five minutes it might still be running; then the key can be taken over."""
    async with host.storage.unit_of_work(ADMIN.org_id) as uow:
        digest = await _digest_of_first(host)
        await uow.remembered_calls.begin(
            "memory/publish", "k-1", RememberedCall(body_hash=digest, subject_id="gone"), now=host.clock.now()
        )

    assert code_of(await publish(host, "k-1")) == (409, "conflict")
    host.clock.advance(timedelta(minutes=5))
    assert (await publish(host, "k-1")).status_code == 200
    assert posted(host) == 1


async def _digest_of_first(host: Harbour) -> str:
    """The hash that the host makes of `NOTE`."""
    import hashlib

    from moorage.codec import decode, to_plain
    from moorage_adapters.memory.plugin import PinNote

    pin = decode(msgspec.json.encode(NOTE), PinNote)
    return hashlib.sha256(msgspec.json.encode(to_plain(pin), order="sorted")).hexdigest()


async def test_a9_keys_are_the_orgs_own(host: Harbour) -> None:
    """A9: another org's key of the same name is another key."""
    await publish(host, "k-1")

    headers = headers_of(host, "org-b") | {"idempotency-key": "k-1"}
    answer = await host.http.post(f"{CALL}/publish", json=NOTE, headers=headers)

    assert code_of(answer) == (412, "not_connected")


@pytest.mark.parametrize("key", ["", "x" * 256, "with blank", "ümlaut", "tab\there"])
async def test_a9_a_key_is_printable_ascii(host: Harbour, key: str) -> None:
    """A9: what cannot be a key is said to be none, and nothing is posted."""
    headers = [*headers_of(host).items(), ("idempotency-key", key)]
    raw = [(name.encode(), value.encode()) for name, value in headers]

    answer = await host.http.post(f"{CALL}/publish", json=NOTE, headers=raw)

    assert code_of(answer) == (422, "invalid_request")
    assert "Idempotency-Key" in answer.json()["fields"]
    assert posted(host) == 0


# Rehearsing ----------------------------------------------------------------------------------------


async def test_a_dry_run_checks_everything_and_changes_nothing(host: Harbour) -> None:
    path = "/upstream/test/memory-provider"
    headers = headers_of(host)

    fine = await host.http.post(f"{path}/publish", json=NOTE, headers=headers)
    wrong = await host.http.post(f"{path}/publish", json={"board": CAFE.id}, headers=headers)
    elsewhere = await host.http.post(f"{path}/publish", json=NOTE | {"board": "board-9"}, headers=headers)
    connect = await host.http.post(f"{path}/connect", json={"returnUrl": RETURN_URL}, headers=headers)
    evil = await host.http.post(
        f"{path}/connect", json={"returnUrl": "https://evil.example"}, headers=headers
    )

    assert fine.json() == {
        "valid": True,
        "operation": "publish",
        "effect": "publishes",
        "integration": "active",
        "missingScopes": [],
        "notes": [],
    }
    assert code_of(wrong) == (422, "invalid_request")
    assert code_of(elsewhere) == (404, "not_found")
    assert connect.json()["valid"] is True
    assert code_of(evil) == (400, "return_url_not_allowed")
    assert posted(host) == 0
    async with host.storage.unit_of_work(ADMIN.org_id, reads_only=True) as uow:
        assert await uow.publications.latest(limit=10) == ()


# What is installed and connected ---------------------------------------------------------------------


async def test_what_is_installed_comes_with_schemas(host: Harbour) -> None:
    types = (await host.http.get("/upstream/integration-types", headers=headers_of(host))).json()["types"]
    one = await host.http.get("/upstream/integration-types/memory-provider", headers=headers_of(host))
    by_type = await host.http.get("/upstream/integration-types/reference", headers=headers_of(host))
    none = await host.http.get("/upstream/integration-types/nothing", headers=headers_of(host))

    assert [each["id"] for each in types] == ["reference"]
    assert types[0]["providers"] == [one.json()]
    assert by_type.json() == types[0]
    assert code_of(none) == (404, "unknown_vendor")
    card = one.json()
    assert card["capabilities"]["publish posts"] == "full"
    operations = {each["name"]: each for each in card["operations"]}
    assert operations["publish"]["request"]["required"] == ["board"]
    assert operations["channels"]["methods"] == ["GET", "POST"]


async def test_what_is_connected_shows_no_secret(host: Harbour) -> None:
    integration = await host.integration()
    headers = headers_of(host)

    listed = (await host.http.get("/upstream/active", headers=headers)).json()["integrations"]
    detail = (await host.http.get(f"/upstream/active/detail/{integration.id}", headers=headers)).json()
    got = await host.http.post("/upstream/get-integration", json={"id": integration.id}, headers=headers)

    assert listed[0].items() <= detail.items()
    assert got.json() == detail
    assert (await host.http.get("/upstream/active/memory", headers=headers)).json()["integrations"] == listed
    assert (await host.http.get("/upstream/active/email", headers=headers)).json() == {"integrations": []}
    assert (detail["status"], detail["provider"], detail["type"]) == (
        "active",
        "memory-provider",
        "reference",
    )
    counts = {"channels": 3, "selectedChannels": 1, "subscribedChannels": 1}
    assert counts.items() <= detail["metrics"].items()
    assert detail["app"] == {"kind": "shared", "id": host.world.app.app_id}
    assert "token" not in str(detail).lower()
    assert host.world.app.secret.reveal() not in str(detail)


async def test_shutting_down_deactivates_once_and_only_for_admins(host: Harbour) -> None:
    integration = await host.integration()
    path = f"/upstream/shutdown/{integration.id}"

    assert code_of(await host.http.post(path, headers=headers_of(host, role=Role.AGENT))) == (
        403,
        "forbidden",
    )
    down = await host.http.post(path, headers=headers_of(host))
    host.clock.advance(timedelta(minutes=1))
    again = await host.http.post(path, headers=headers_of(host))

    assert (
        down.json()
        == again.json()
        == {
            "id": integration.id,
            "status": "inactive",
            "shutdownAt": "2030-06-01T12:00:00Z",
        }
    )
    assert code_of(await publish(host, None)) == (412, "not_connected")


async def test_a_publisher_that_breaks_is_logged_not_shown(
    host: Harbour, monkeypatch: pytest.MonkeyPatch
) -> None:
    """L4: the caller gets an id, not our insides."""

    async def broken(_: object, post: PublishPost) -> tuple[str, ...]:
        msg = f"canary {post.text}"
        raise ZeroDivisionError(msg)

    monkeypatch.setattr("moorage_adapters.memory.publisher.MemoryPublisher.prepare", broken)
    answer = await publish(host, None)

    assert code_of(answer) == (500, "internal")
    assert "canary" not in answer.text
