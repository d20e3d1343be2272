"""The app around its routes: what is open, what every answer carries, what is logged, what is documented."""

import io
import logging
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import attrs
import httpx
import jsonschema_rs
import msgspec
import pytest
import structlog
from litestar import Litestar
from litestar.routes import ASGIRoute, HTTPRoute

from moorage.app import create_app
from moorage.logging import configure_logging
from moorage.services import Services
from moorage.vendors import Vendors
from moorage_ports.errors import UnavailableError
from tests.support.asking import headers_of
from tests.support.harbour import ORIGIN, Harbour, harbour

# A4: nobody is asked who they are here; everything else needs a token, or a session below /admin.
OPEN = {
    ("GET", "/"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/connect/oauth2callback/{vendor}"),
    ("POST", "/connect/deauthorize/{vendor}"),
    ("POST", "/connect/data-deletion/{vendor}"),
    ("GET", "/connect/data-deletion/{vendor}/{code}"),
    ("mounted", "/connect/webhook"),
    ("GET", "/admin/assets/{name}"),
    ("GET", "/admin/sign-in"),
    ("POST", "/admin/sign-in"),
    ("GET", "/admin/{rest}"),
}


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Harbour]:
    async with harbour(tmp_path) as made:
        yield made


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """What is logged, with the process's logging put back afterwards."""
    root, stream = logging.getLogger(), io.StringIO()
    handlers, level = root.handlers, root.level
    configure_logging("INFO", stream=stream)
    yield stream
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


def client(app: Litestar) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)  # type: ignore[arg-type]
    return httpx.AsyncClient(transport=transport, base_url=ORIGIN)


def served(app: Litestar) -> Iterator[tuple[str, str, str]]:
    """(method, path without types, kind of auth) of every handler."""
    for route in app.routes:
        if isinstance(route, ASGIRoute):  # an app of its own below a path
            yield "mounted", route.path, str(route.route_handler.opt.get("auth", "token"))
        if not isinstance(route, HTTPRoute):
            continue
        path = "".join(
            f"/{part}" if isinstance(part, str) else f"/{{{part.name}}}" for part in route.path_components
        )
        for method, (handler, _) in route.route_handler_map.items():
            if method != "OPTIONS":
                yield method, path or "/", str(handler.opt.get("auth", "token"))


def test_a4_the_open_routes_are_this_list(host: Harbour) -> None:
    """A4: a new route without auth is a line in this test, or a failure of it."""
    app = host.app
    found = {(method, path) for method, path, auth in served(app) if auth == "public"}
    with_session = {path for _, path, auth in served(app) if auth == "session"}

    assert found == OPEN
    assert all(path.startswith("/admin") for path in with_session), with_session


async def test_a4_every_other_route_answers_401_without_a_token(host: Harbour) -> None:
    """A4: asked for, not read from a table: each with the method it takes, without a token."""
    checked = 0
    for method, path, auth in served(host.app):
        if auth == "token":
            answer = await host.http.request(method, path.replace("{", "x").replace("}", ""))
            assert answer.status_code == 401, (method, path, answer.status_code)
            assert answer.json()["code"] == "missing_authorization_header"
            checked += 1
    assert checked >= 20


async def test_a4_a_path_that_looks_exempt_is_not(host: Harbour) -> None:
    """A4: the exemption hangs on handlers; a path that only contains `/connect/webhook` has none."""
    for path in (
        "/upstream/call/connect/webhook",
        "/upstream/call/healthz/readyz",
        "/api/upstream/call/x/connect",
    ):
        assert (await host.http.post(path)).status_code == 401, path


def code_of(answer: httpx.Response) -> str:
    """What the problem is called; nothing of an answer that is none."""
    is_problem = answer.headers.get("content-type", "").startswith("application/problem+json")
    return str(answer.json()["code"]) if is_problem else ""


async def test_everything_is_served_below_api_too(host: Harbour) -> None:
    """At /… and at /api/…, the same; the admin UI only at /admin."""
    checked = 0
    for method, path, _ in served(host.app):
        plain = path.replace("{", "x").replace("}", "")
        if method == "mounted" or plain == "/" or plain.startswith("/schema"):
            continue
        here = await host.http.request(method, plain)
        below = await host.http.request(method, f"/api{plain}")
        if plain.startswith("/admin"):
            assert below.status_code == 404, (method, plain)
            continue
        assert (below.status_code, code_of(below)) == (here.status_code, code_of(here)), (method, plain)
        checked += here.status_code != 404
    assert checked >= 40


@pytest.mark.parametrize("path", ["/api", "/api/", "/api/api/crm/leads", "/apicrm/leads", "/api//crm/leads"])
async def test_what_only_looks_like_api_is_nowhere(host: Harbour, path: str) -> None:
    assert (await host.http.get(path, headers=headers_of(host))).status_code == 404


# Every answer ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/healthz"),
        ("GET", "/nowhere"),
        ("DELETE", "/healthz"),
        ("POST", "/upstream/call/memory-provider/publish"),
        ("GET", "/connect/oauth2callback/memory"),
        ("POST", "/connect/webhook/memory"),
        ("POST", "/connect/deauthorize/memory"),
        ("POST", "/connect/data-deletion/memory"),
        ("GET", "/connect/data-deletion/memory/a1"),
        ("GET", "/admin"),
        ("GET", "/"),
    ],
)
async def test_every_answer_is_named_and_guarded(host: Harbour, method: str, path: str) -> None:
    """U1, O7: an id, no sniffing, no referrer to others, no cache; also where no route was reached."""
    answer = await host.http.request(method, path)

    assert len(answer.headers["x-request-id"]) >= 8
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] in {"no-referrer", "same-origin"}
    assert answer.headers["cache-control"] == "no-store"
    assert "server" not in answer.headers


@pytest.mark.parametrize(
    ("given", "is_kept"),
    [
        ("abcDEF_12-34", True),
        ("short", False),
        ("x" * 65, False),
        ("with blank 1", False),
        ('x"1234567', False),
    ],
)
async def test_a_request_id_of_a_proxy_is_kept_when_it_fits(host: Harbour, given: str, is_kept: bool) -> None:
    answer = await host.http.get("/nowhere", headers={"x-request-id": given})

    assert (answer.headers["x-request-id"] == given) is is_kept
    assert answer.json()["requestId"] == answer.headers["x-request-id"]


async def test_unknown_paths_and_methods_are_problems_too(host: Harbour) -> None:
    nowhere, method = await host.http.get("/nowhere"), await host.http.delete("/healthz")

    assert (nowhere.status_code, nowhere.json()["code"]) == (404, "not_found")
    assert (method.status_code, method.json()["code"]) == (405, "method_not_allowed")
    assert "GET" in method.headers["allow"]
    assert {each.headers["content-type"] for each in (nowhere, method)} == {"application/problem+json"}


async def test_cors_is_for_the_listed_origins_only(host: Harbour) -> None:
    """Without a list no header at all; with one, that origin and no other."""
    preflight = {"origin": "https://admin.example", "access-control-request-method": "POST"}
    path = "/upstream/call/memory-provider/publish"
    assert "access-control-allow-origin" not in (await host.http.options(path, headers=preflight)).headers

    settings = attrs.evolve(host.services.settings, cors_origins=("https://admin.example",))
    async with client(create_app(attrs.evolve(host.services, settings=settings))) as http:
        ours = await http.options(path, headers=preflight)
        other = await http.options(path, headers=preflight | {"origin": "https://evil.example"})
        asked = await http.get("/healthz", headers={"origin": "https://evil.example"})

    assert ours.headers["access-control-allow-origin"] == "https://admin.example"
    assert "idempotency-key" in ours.headers["access-control-allow-headers"]
    assert "access-control-allow-origin" not in other.headers
    assert "access-control-allow-origin" not in asked.headers


# What is logged -------------------------------------------------------------------------------------


async def test_l3_the_access_log_has_paths_and_no_queries(host: Harbour, logged: io.StringIO) -> None:
    """L3: a callback's code and state stand in its query, so nothing of a query is written."""
    answer = await host.http.get("/connect/oauth2callback/memory?code=CANARY1&state=CANARY2&x=CANARY3")
    await host.http.get("/healthz")

    lines = [msgspec.json.decode(line, type=dict[str, Any]) for line in logged.getvalue().splitlines()]
    (line,) = [each for each in lines if each["event"] == "request"]
    assert (line["path"], line["status"]) == ("/connect/oauth2callback/memory", answer.status_code)
    assert line["request_id"] == answer.headers["x-request-id"]
    assert "CANARY" not in logged.getvalue()


async def test_l4_a_500_is_logged_once_under_its_id_without_locals(
    host: Harbour, logged: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    """L4: one line with the place; the caller gets the id and nothing else."""

    async def ping(_: object) -> None:
        local = "CANARY-LOCAL"
        msg = f"CANARY-TEXT {local}"
        raise RuntimeError(msg)

    monkeypatch.setattr(type(host.storage), "ping", ping)
    answer = await host.http.get("/readyz")

    lines = [msgspec.json.decode(line, type=dict[str, Any]) for line in logged.getvalue().splitlines()]
    (error,) = [line for line in lines if line["level"] == "error"]
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert error["request_id"] == answer.headers["x-request-id"]
    assert error["error"][0]["type"] == "builtins.RuntimeError"
    assert "CANARY" not in logged.getvalue()
    assert "CANARY" not in answer.text


async def test_a_database_out_of_reach_is_not_ready(host: Harbour, monkeypatch: pytest.MonkeyPatch) -> None:
    async def ping(_: object) -> None:
        msg = "the database is out of reach"
        raise UnavailableError(msg)

    monkeypatch.setattr(type(host.storage), "ping", ping)
    answer = await host.http.get("/readyz")

    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert answer.headers["retry-after"] == "5"
    assert (await host.http.get("/healthz")).status_code == 200


# What is documented ---------------------------------------------------------------------------------


async def test_u7_schema_and_metrics_need_a_token_unless_opened(host: Harbour) -> None:
    """U7: closed by default; the settings may open them."""
    for path in ("/schema", "/schema/openapi.json", "/metrics"):
        assert (await host.http.get(path)).status_code == 401
        assert (await host.http.get(path, headers=headers_of(host))).status_code == 200
    settings = attrs.evolve(host.services.settings, open_schema=True, open_metrics=True)
    async with client(create_app(attrs.evolve(host.services, settings=settings))) as http:
        assert (await http.get("/schema")).status_code == 200
        assert "moorage_deliveries" in (await http.get("/metrics")).text


async def test_the_document_lists_every_operation_by_its_own_name(host: Harbour) -> None:
    document: Any = (await host.http.get("/schema", headers=headers_of(host))).json()
    call = document["paths"]["/upstream/call/memory-provider/publish"]["post"]

    names = {binding.name for binding in host.vendor.operations}
    for name in names:
        assert f"/upstream/call/memory-provider/{name}" in document["paths"]
        assert f"/upstream/test/memory-provider/{name}" in document["paths"]
    assert set(document["paths"]["/upstream/call/memory-provider/channels"]) == {"get", "post"}
    assert {"200", "202", "401", "409", "422", "504"} <= set(call["responses"])
    assert [each["name"] for each in call["parameters"]] == ["orgid", "Idempotency-Key"]
    assert not [path for path in document["paths"] if path.startswith("/api")]


async def test_answers_and_problems_fit_the_document(host: Harbour) -> None:
    """A6: what is answered is what is documented."""
    document: Any = (await host.http.get("/schema", headers=headers_of(host))).json()
    paths = document["paths"]
    await host.connect()
    listed = await host.http.post("/upstream/call/memory-provider/channels", headers=headers_of(host))
    refused = await host.http.post("/upstream/call/memory-provider/publish", headers=headers_of(host))
    ok = paths["/upstream/call/memory-provider/channels"]["post"]["responses"]["200"]["content"]

    jsonschema_rs.validate(ok["application/json"]["schema"], listed.json())
    jsonschema_rs.validate(document["components"]["schemas"]["Problem"], refused.json())


# Without a vendor --------------------------------------------------------------------------------------


async def test_a_host_without_vendors_serves_and_says_so(host: Harbour) -> None:
    """No plugin is no mistake: the host runs and tells what to install."""
    services: Services = attrs.evolve(host.services, vendors=Vendors({}))
    async with client(create_app(services)) as http:
        types = await http.get("/upstream/integration-types", headers=headers_of(host))
        call = await http.post("/upstream/call/memory-provider/publish", headers=headers_of(host))
        schema = await http.get("/schema", headers=headers_of(host))

    assert types.json()["types"] == []
    assert types.json()["message"].lower().startswith("no vendor is installed")
    assert (call.status_code, call.json()["code"]) == (404, "unknown_vendor")
    assert schema.status_code == 200
