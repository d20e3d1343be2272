"""`/crm/webhooks`: who is told is an admin's business, a secret is shown once, and failures are explained."""

from collections.abc import AsyncIterator
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import attrs
import httpx
import pytest
from structlog.testing import capture_logs

from moorage.handover.announcing import announce_deleted, announce_lead
from moorage.handover.endpoints import MOST_SECRETS
from moorage_adapters.safe_http import Rules, SafeDoor
from moorage_ports.operations import Role
from moorage_ports.outgoing import MOST_ENDPOINTS, EventType
from moorage_ports.secret import Secret
from tests.support.asking import headers_of
from tests.support.harbour import Harbour, harbour
from tests.support.receiver import Receiver, says
from tests.unit.adapters.test_safe_http import LOOPBACK
from tests.unit.adapters.things import lead
from tests.unit.handover.conftest import ORG, Quay

ENDPOINTS = "/crm/webhooks/endpoints"


@attrs.define
class Api:
    """The routes, as an admin calls them."""

    host: Harbour
    quay: Quay
    role: Role = Role.ADMIN

    async def ask(self, method: str, path: str = "", org_id: str = ORG, **body: Any) -> httpx.Response:
        return await self.host.http.request(
            method,
            f"{ENDPOINTS}{path}",
            headers=headers_of(self.host, org_id, role=self.role),
            json=body or None,
        )

    async def done(self, method: str, path: str = "", *, status: int = 200, **body: Any) -> Any:
        answer = await self.ask(method, path, **body)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    async def refused(self, method: str, path: str = "", *, status: int, **body: Any) -> Any:
        problem = await self.done(method, path, status=status, **body)
        assert problem["remedy"]
        return problem

    async def create(self, **changes: Any) -> Any:
        return await self.done("POST", status=201, **({"url": self.quay.receiver.url} | changes))


@pytest.fixture
async def api(tmp_path: Path, receiver: Receiver) -> AsyncIterator[Api]:
    """On SQLite alone: what the two databases may do differently is below the routes."""
    async with harbour(tmp_path) as host:
        door = SafeDoor(LOOPBACK)
        services = attrs.evolve(host.services, door=door)
        host.services = services
        yield Api(host, Quay(services, host.storage, host.clock, receiver))
        await door.aclose()


async def test_an_endpoint_is_made_shown_changed_and_deleted(api: Api) -> None:
    made = await api.create(eventTypes=["lead.created", "lead.created"], description="our CRM")
    endpoint = made["endpoint"]
    assert made["secret"].startswith("whsec_")
    assert endpoint == {
        "id": endpoint["id"],
        "url": api.quay.receiver.url,
        "eventTypes": ["lead.created"],
        "description": "our CRM",
        "state": "active",
        "failures": 0,
        "failingSince": None,
        "heldUntil": None,
        "liveSecrets": 1,
        "createdAt": "2030-06-01T12:00:00Z",
        "updatedAt": "2030-06-01T12:00:00Z",
        "rotatedAt": None,
    }
    path = f"/{endpoint['id']}"
    assert await api.done("GET", path) == endpoint
    assert await api.done("GET") == {"items": [endpoint]}
    changed = await api.done("PATCH", path, state="paused", eventTypes=[])
    assert changed == endpoint | {"state": "paused", "eventTypes": []}
    assert await api.done("PATCH", path, description="") == changed | {"description": ""}
    await api.done("DELETE", path, status=204)
    assert await api.done("GET") == {"items": []}
    for method, below in (("GET", ""), ("DELETE", ""), ("POST", "/test"), ("GET", "/deliveries")):
        assert (await api.refused(method, path + below, status=404))["code"] == "not_found"


async def test_a_secret_is_shown_when_it_is_made_and_nowhere_else(api: Api) -> None:
    with capture_logs() as logs:
        made = await api.create(url=f"{api.quay.receiver.url}?key=hidden")
        path = f"/{made['endpoint']['id']}"
        turned = await api.done("POST", f"{path}/rotate")
        answers = [
            await api.ask("GET"),
            await api.ask("GET", path),
            await api.ask("PATCH", path, description="x"),
            await api.ask("POST", f"{path}/test"),
            await api.ask("GET", f"{path}/deliveries"),
        ]
    assert made["secret"] != turned["secret"]
    for secret in (made["secret"], turned["secret"]):
        assert not any(secret in answer.text for answer in answers)
        assert secret not in str(logs)
    assert "hidden" not in str(logs)
    assert {entry["event"] for entry in logs} >= {"endpoint_created", "endpoint_secret_rotated"}


@pytest.mark.parametrize("role", [Role.VIEWER, Role.AGENT])
async def test_endpoints_are_an_admins_business(api: Api, role: Role) -> None:
    path = f"/{(await api.create())['endpoint']['id']}"
    api.role = role
    for method, where, body in (
        ("GET", "", {}),
        ("POST", "", {"url": api.quay.receiver.url}),
        ("GET", path, {}),
        ("PATCH", path, {"state": "paused"}),
        ("DELETE", path, {}),
        ("POST", f"{path}/rotate", {}),
        ("POST", f"{path}/test", {}),
        ("GET", f"{path}/deliveries", {}),
        ("POST", f"{path}/replay", {}),
    ):
        assert (await api.refused(method, where, status=403, **body))["code"] == "forbidden"


async def test_another_orgs_endpoints_are_not_there(api: Api) -> None:
    path = f"/{(await api.create())['endpoint']['id']}"
    for method, below in (
        ("GET", ""),
        ("PATCH", ""),
        ("DELETE", ""),
        ("POST", "/rotate"),
        ("POST", "/replay"),
    ):
        assert (await api.ask(method, path + below, org_id="org-b")).status_code == 404
    assert (await api.ask("GET", org_id="org-b")).json() == {"items": []}


@pytest.mark.parametrize(
    "url",
    [
        "http://crm.example/",
        "https://127.0.0.1/hook",
        "https://10.0.0.1/",
        "https://user@crm.example/",
        "https://1.1.1.1:8443/",
        "nonsense",
    ],
)
async def test_an_address_that_may_not_be_called_is_refused_when_it_is_given(api: Api, url: str) -> None:
    path = f"/{(await api.create())['endpoint']['id']}"
    api.host.services = attrs.evolve(api.host.services, door=SafeDoor(Rules()))
    del api.host.app, api.host.http  # they are made of the services that were
    for method, where in (("POST", ""), ("PATCH", path)):
        problem = await api.refused(method, where, status=422, url=url)
        assert (problem["code"], list(problem["fields"])) == ("invalid_request", ["url"])


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"url": ""},
        {"url": "https://crm.example/", "eventTypes": ["ping"]},
        {"url": "https://crm.example/", "secret": "mine"},
        {"url": "https://crm.example/", "description": "x" * 501},
    ],
)
async def test_what_does_not_fit_is_named(api: Api, body: dict[str, Any]) -> None:
    assert (await api.refused("POST", status=422, **body))["code"] == "invalid_request"


async def test_an_org_has_so_many_endpoints_and_no_more(api: Api) -> None:
    for _ in range(MOST_ENDPOINTS):
        await api.create()
    assert (await api.refused("POST", status=409, url=api.quay.receiver.url))["code"] == "conflict"


async def test_rotating_keeps_the_secret_before_for_as_long_as_was_said(api: Api) -> None:
    made = await api.create()
    path = f"/{made['endpoint']['id']}"
    first = Secret(made["secret"])
    turned = await api.done("POST", f"{path}/rotate", keepHours=2)
    assert turned["endpoint"]["liveSecrets"] == 2
    second = Secret(turned["secret"])
    await api.done("POST", f"{path}/test")
    got = api.quay.receiver.received[-1]
    assert got.verify(first) == got.verify(second)
    api.quay.clock.advance(timedelta(hours=2))
    assert (await api.done("GET", path))["liveSecrets"] == 1
    await api.done("POST", f"{path}/rotate", keepHours=2)
    await api.done("POST", f"{path}/rotate", keepHours=100)
    api.quay.clock.advance(timedelta(hours=2))
    live = (await api.done("GET", path))["liveSecrets"]
    assert live == 2, "a later turn does not make an earlier one's time longer"
    for _ in range(MOST_SECRETS + 1):
        turned = await api.done("POST", f"{path}/rotate")
    assert turned["endpoint"]["liveSecrets"] == MOST_SECRETS
    turned = await api.done("POST", f"{path}/rotate", keepHours=0)
    assert turned["endpoint"]["liveSecrets"] == 1
    await api.refused("POST", f"{path}/rotate", status=422, keepHours=169)


async def test_a_test_message_says_what_came_of_it(api: Api) -> None:
    made = await api.create()
    path = f"/{made['endpoint']['id']}"
    await api.done("PATCH", path, state="paused")
    told = await api.done("POST", f"{path}/test")
    assert (told["type"], told["state"], told["status"]) == ("ping", "delivered", 204)
    got = api.quay.receiver.received[-1].verify(Secret(made["secret"]))
    assert (got["type"], got["data"]) == ("ping", {"endpointId": made["endpoint"]["id"]})
    api.quay.receiver.behaviours = [says("401 Who are you")]
    told = await api.done("POST", f"{path}/test")
    assert (told["state"], told["status"], told["error"]) == ("dead", 401, "rejected")
    assert told["remedy"].endswith("Then test it again: a test message is tried once.")
    replay, nothing = f"{path}/replay", {"replayed": 0, "hasMore": False}
    for body in ({}, {"state": "delivered"}, {"state": "dead", "since": "2030-06-01T12:00:00Z"}):
        assert await api.done("POST", replay, status=202, **body) == nothing, "it told what it was sent for"
    listed = await api.done("GET", f"{path}/deliveries")
    assert [(one["type"], one["state"]) for one in listed["items"]] == [
        ("ping", "dead"),
        ("ping", "delivered"),
    ]


async def test_a_lead_is_told_of_as_the_api_shows_it_and_a_deleted_one_by_its_ids(api: Api) -> None:
    made = await api.create()
    endpoint_id = made["endpoint"]["id"]
    ada = lead(1, email="ada@harbour.example", first_name="Ada", properties={"size": ("L", "XL")})
    async with api.quay.storage.unit_of_work(ORG) as uow:
        await uow.leads.add(ada)
        assert await announce_lead(uow, EventType.LEAD_CREATED, ada) == 1
    await api.quay.look(endpoint_id)
    shown = await api.host.http.get("/crm/leads/detail/lead-1", headers=headers_of(api.host, ORG))
    assert api.quay.receiver.received[-1].event["data"] == shown.json()
    async with api.quay.storage.unit_of_work(ORG) as uow:
        await announce_lead(uow, EventType.LEAD_UPDATED, ada)
        await announce_deleted(uow, ada)
    await api.quay.look(endpoint_id)
    (_, deleted) = api.quay.receiver.received
    assert deleted.event["type"] == "lead.deleted", "what was to be told of it before is never told"
    ids = {"id": "lead-1", "externalId": "external-1", "vendor": "memory"}
    assert deleted.event["data"] == ids | {"reason": "request"}
    listed = await api.done("GET", f"/{endpoint_id}/deliveries")
    assert [one["type"] for one in listed["items"]] == ["lead.deleted"]
    assert "ada@" not in str(listed)


async def test_what_was_given_up_is_replayed_once_the_endpoint_is_back(api: Api) -> None:
    made = await api.create()
    endpoint_id = made["endpoint"]["id"]
    path = f"/{endpoint_id}"
    api.quay.receiver.behaviours = [says("410 Gone")]
    await api.quay.tell("lead-1")
    await api.quay.look(endpoint_id)
    shown = await api.done("GET", path)
    assert (shown["state"], shown["reason"]) == ("disabled", "gone")
    assert shown["remedy"]
    assert (await api.refused("POST", f"{path}/replay", status=409))["code"] == "conflict"
    again = await api.done("PATCH", path, state="active")
    assert (again["state"], "reason" in again) == ("active", False)
    [dead] = (await api.done("GET", f"{path}/deliveries?state=dead"))["items"]
    replayed = {"replayed": 1, "hasMore": False}
    assert await api.done("POST", f"{path}/replay", status=202) == replayed
    await api.quay.look(endpoint_id)
    for body in (
        {"ids": [dead["id"]]},
        {"since": "2030-06-01T12:00:00Z", "state": "delivered"},
        {"state": "delivered"},
    ):
        assert await api.done("POST", f"{path}/replay", status=202, **body) == replayed
        await api.quay.look(endpoint_id)
    nothing = {"replayed": 0, "hasMore": False}
    later = "2030-06-01T12:00:01Z"
    assert await api.done("POST", f"{path}/replay", status=202, since=later, state="delivered") == nothing
    assert set(api.quay.receiver.ids) == {dead["id"]}
    assert len(api.quay.receiver.ids) == 5
    await api.refused("POST", f"{path}/replay", status=422, ids=["../x"])


def test_the_rules_of_these_tests_open_this_machine_alone() -> None:
    assert set(LOOPBACK.opened) == {ip_network("127.0.0.0/8"), ip_network("::1/128")}
