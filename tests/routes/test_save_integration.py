"""Bringing an app: proven, sealed, shown to nobody, one org's only; and what becomes of the connection."""

from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from moorage.apps import previous_secret_ref
from moorage.call_counts import CallCounter
from moorage.operations.saving import PREVIOUS_SECRET_LIVES, forget_old_secrets
from moorage.services import Caller
from moorage_adapters.memory.things import READ_BOARDS, WRITE_NOTES
from moorage_adapters.memory.world import BOOKS, CAFE, NEWSLETTER
from moorage_adapters.sqlmodel.metadata import metadata
from moorage_ports.apps import CallCount
from moorage_ports.errors import InvalidRequestError, NotConnectedError
from moorage_ports.integrations import IntegrationStatus
from moorage_ports.operations import Role
from moorage_ports.webhooks import VendorApp
from tests.support.asking import headers_of
from tests.support.harbour import ADMIN, RETURN_URL, Harbour, harbour, told

SAVE = "/upstream/save-integration"
ANSWERS = {"email": ("ada@harbour.example",), "full_name": ("Ada Reed",)}


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Harbour]:
    async with harbour(tmp_path) as made:
        yield made


@pytest.fixture
def own(host: Harbour) -> VendorApp:
    """An app that somebody of org A registered with the vendor."""
    return host.world.register_app("own-app")


def config_of(app: VendorApp, **more: str) -> dict[str, str]:
    return {
        "appId": app.app_id,
        "appSecret": app.secret.reveal(),
        "verifyToken": app.verify_token.reveal(),
        **more,
    }


async def save(host: Harbour, org_id: str = "org-a", role: Role = Role.ADMIN, **body: Any) -> httpx.Response:
    return await host.http.post(
        SAVE, json={"vendor": "memory", **body}, headers=headers_of(host, org_id, role=role)
    )


async def saved(host: Harbour, org_id: str = "org-a", **body: Any) -> dict[str, Any]:
    answer = await save(host, org_id, **body)
    assert answer.status_code == 200, answer.text
    card: dict[str, Any] = answer.json()
    return card


def refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def everything_stored(host: Harbour) -> bytes:
    """Every value of every row."""
    async with host.storage.database.read() as transaction:
        rows = await transaction.run(
            lambda connection: [
                tuple(row) for table in metadata.sorted_tables for row in connection.execute(table.select())
            ]
        )
    return repr(rows).encode()


# Keeping -----------------------------------------------------------------------------------------


async def test_an_app_is_kept_and_serves_the_org(host: Harbour, own: VendorApp) -> None:
    card = await saved(host, config=config_of(own), name="Our own", description="Two boards")

    assert (card["status"], card["name"], card["description"]) == ("pending", "Our own", "Two boards")
    assert card["app"]["kind"] == "own"
    assert card["app"]["id"] == "own-app"
    assert card["app"]["webhookUrl"].endswith("/connect/webhook/memory?orgid=org-a")
    assert card["app"]["redirectUri"].endswith("/connect/oauth2callback/memory")
    assert (await host.services.apps.for_org(host.vendor, "org-a")).secrets == own.secrets
    assert await host.services.apps.for_org(host.vendor, "org-b") == host.world.app


async def test_no_secret_is_shown_or_stored_in_the_clear(
    host: Harbour, own: VendorApp, capfd: pytest.CaptureFixture[str]
) -> None:
    """Not in an answer, a row, a log line: sealed under the org's key or not at all."""
    card = await saved(host, config=config_of(own, previousAppSecret="before-" + "x" * 20))
    paths = ["/upstream/active", "/upstream/active/detail", f"/upstream/active/detail/{card['id']}"]
    answers = [await host.http.get(path, headers=headers_of(host)) for path in paths]
    by_id = await host.http.post(
        "/upstream/get-integration", json={"id": card["id"]}, headers=headers_of(host)
    )
    shown = "".join(answer.text for answer in (*answers, by_id)) + str(card) + "".join(capfd.readouterr())

    for secret in (own.secret.reveal(), own.verify_token.reveal(), "before-" + "x" * 20):
        assert secret not in shown
        assert secret.encode() not in await everything_stored(host)
    assert card["config"] == {"appId": "own-app", "appSecret": "set", "verifyToken": "set"}
    assert by_id.json() == card


async def test_an_app_is_proven_first(host: Harbour, own: VendorApp) -> None:
    """W7b: with a guessed secret nothing is kept."""
    answer = await save(host, config={**config_of(own), "appSecret": "guessed-" + "0" * 24})

    assert refusal(answer) == (422, "vendor_rejected")
    assert await host.services.apps.for_org(host.vendor, "org-a") == host.world.app


async def test_a_vendor_out_of_reach_proves_nothing(host: Harbour, own: VendorApp) -> None:
    host.world.go_down()

    assert refusal(await save(host, config=config_of(own))) == (503, "unavailable")
    assert await host.services.apps.for_org(host.vendor, "org-a") == host.world.app


async def test_an_app_serves_one_org_w7b(host: Harbour, own: VendorApp) -> None:
    """W7b, A8: the second org gets a conflict that does not say whose it is."""
    await saved(host, config=config_of(own))

    second = await save(host, "org-b", config=config_of(own))
    operators = await save(host, "org-b", config=config_of(host.world.app))

    assert refusal(second) == refusal(operators) == (409, "conflict")
    assert second.json()["detail"] == operators.json()["detail"]
    assert "org-a" not in second.text
    assert "own-app" not in second.text


async def test_only_an_apps_owner_learns_that_it_is_in_use_w7b(host: Harbour, own: VendorApp) -> None:
    """A8: a guessed secret gets the same answer whether or not the app is registered here."""
    await saved(host, config=config_of(own))
    wrong = {"appSecret": "guessed-" + "0" * 24, "verifyToken": "verify-" + "0" * 24}

    answers = [
        await save(host, "org-b", config={"appId": app_id, **wrong})
        for app_id in ("own-app", host.world.app.app_id, "free")
    ]

    assert {refusal(answer) for answer in answers} == {(422, "vendor_rejected")}
    assert len({answer.json()["detail"] for answer in answers}) == 1


@pytest.mark.parametrize("role", [Role.VIEWER, Role.AGENT])
async def test_only_admins_save(host: Harbour, own: VendorApp, role: Role) -> None:
    assert (await save(host, role=role, config=config_of(own))).status_code == 403


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"config": {}}, {"config.appId", "config.appSecret", "config.verifyToken"}),
        ({"config": {"appId": "a b", "appSecret": "s" * 16, "verifyToken": "v" * 16}}, {"config.appId"}),
        ({"config": {"appId": "a", "appSecret": "short", "verifyToken": "ü" * 16}}, None),
        ({"config": {"graphUrl": "https://evil.example"}}, None),
        ({"config": {}, "useSharedApp": True}, {"useSharedApp"}),
        ({"vendor": "", "name": "x"}, {"vendor"}),
        ({"notifyEmails": ["nobody"]}, {"notifyEmails"}),
        ({"notifyEmails": ["a@b.example"] * 21}, {"notifyEmails"}),
        ({"capabilities": ["manage ads"]}, {"capabilities[0]"}),
        ({"capabilities": ["fly"]}, {"capabilities[0]"}),
        ({"requireTicket": "yes"}, {"requireTicket"}),
    ],
)
async def test_what_does_not_fit_is_named(
    host: Harbour, body: Mapping[str, Any], fields: set[str] | None
) -> None:
    answer = await save(host, **body)

    assert refusal(answer) == (422, "invalid_request")
    if fields is not None:
        assert set(answer.json()["fields"]) == fields
    assert "short" not in answer.text


@pytest.mark.parametrize(
    "name", [{"vendor": "memory-provider"}, {"vendor": "", "provider": "memory-provider"}]
)
async def test_a_vendor_goes_by_several_names(host: Harbour, name: Mapping[str, Any]) -> None:
    assert (await save(host, **name)).status_code == 200
    assert (await save(host, vendor="", type="reference")).status_code == 200
    assert refusal(await save(host, vendor="", type="nothing")) == (404, "unknown_vendor")
    assert refusal(await save(host, vendor="nothing")) == (404, "unknown_vendor")


async def test_the_vendors_card_says_what_an_app_is_made_of(host: Harbour) -> None:
    answer = await host.http.get("/upstream/integration-types/memory", headers=headers_of(host))

    schema = answer.json()["appConfig"]
    assert schema["required"] == ["appId", "appSecret", "verifyToken"]
    assert schema["properties"]["appSecret"]["writeOnly"] is True


# Secrets change ------------------------------------------------------------------------------------


async def test_a_new_secret_keeps_the_one_before_for_a_day_w9(host: Harbour, own: VendorApp) -> None:
    """W9: deliveries signed with either are taken until the window ends; calls use the new one."""
    await connect_own(host, own)
    fresh = host.world.renew_secret("own-app")
    card = await saved(host, config=config_of(fresh))
    assert card["status"] == "active"
    assert card["app"]["previousSecretUntil"] == "2030-06-02T12:00:00Z"

    async def taken(app: VendorApp) -> int:
        slip = host.world.fill_in(NEWSLETTER.id, ANSWERS)
        host.world.outbox.clear()
        return (await host.deliver(host.world.delivery_of(slip, app=app), query="?orgid=org-a")).status_code

    assert [await taken(own), await taken(fresh)] == [200, 200]
    host.clock.advance(PREVIOUS_SECRET_LIVES)
    assert [await taken(own), await taken(fresh)] == [403, 200]


async def test_saving_the_same_again_prolongs_nothing_w9(host: Harbour, own: VendorApp) -> None:
    await saved(host, config=config_of(own))
    fresh = host.world.renew_secret("own-app")
    first = await saved(host, config=config_of(fresh))
    host.clock.advance(timedelta(hours=5))

    again = await saved(host, config=config_of(fresh))

    assert again["app"] == first["app"]
    host.clock.advance(PREVIOUS_SECRET_LIVES)
    last = await saved(host, config=config_of(fresh))
    assert "previousSecretUntil" not in last["app"] or last["app"]["previousSecretUntil"] is None
    assert (await host.services.apps.for_org(host.vendor, "org-a")).secrets == fresh.secrets


async def test_the_secret_before_is_shredded_when_its_time_is_over_w9(host: Harbour, own: VendorApp) -> None:
    """W9: what nobody may sign with any more is not kept for somebody to find."""
    await saved(host, config=config_of(own))
    await saved(host, config=config_of(host.world.renew_secret("own-app")))
    host.clock.advance(PREVIOUS_SECRET_LIVES - timedelta(seconds=1))

    async def is_kept() -> bool:
        await forget_old_secrets(host.services)
        return await host.storage.secrets("org-a", "memory").get(previous_secret_ref("own-app")) is not None

    assert await is_kept()
    host.clock.advance(timedelta(seconds=1))
    assert not await is_kept()


# The connection ------------------------------------------------------------------------------------


async def connect_own(host: Harbour, own: VendorApp) -> None:
    """Org A brings its app, connects through it and manages the café's board."""
    await saved(host, config=config_of(own))
    assert await host.connect() == {"tab": "1", "integration": "connected"}
    await host.select(CAFE.id)


async def test_an_org_connects_and_hears_through_its_own_app(host: Harbour, own: VendorApp) -> None:
    await connect_own(host, own)
    assert host.world.boards_heard_by("own-app") == {CAFE.id}
    assert host.world.sending == set()

    host.world.fill_in(NEWSLETTER.id, ANSWERS)
    (delivery,) = host.world.outbox
    assert (await host.deliver(delivery)).status_code == 403, "the address does not say whose app it is"
    assert (await host.deliver(delivery, query="?orgid=org-a")).status_code == 200
    await host.work()

    assert [lead.email for lead in await host.leads()] == ["ada@harbour.example"]


async def test_its_handshake_carries_its_own_token(host: Harbour, own: VendorApp) -> None:
    await saved(host, config=config_of(own))
    params = {"token": own.verify_token.reveal(), "challenge": "42"}

    named = await host.http.get("/connect/webhook/memory", params={**params, "orgid": "org-a"})
    unnamed = await host.http.get("/connect/webhook/memory", params=params)

    assert (named.status_code, named.text) == (200, "42")
    assert unnamed.status_code == 403


async def test_another_app_waits_until_somebody_connects_again(host: Harbour, own: VendorApp) -> None:
    """What was granted was granted to the app before: nothing is called with it, and nothing gets lost."""
    await host.connect()
    await host.select(CAFE.id, BOOKS.id)
    before = await host.integration()

    card = await saved(host, config=config_of(own))

    assert (card["id"], card["status"]) == (before.id, "pending")
    with pytest.raises(NotConnectedError):
        await host.publish()
    host.world.fill_in(NEWSLETTER.id, ANSWERS)  # the operator's app still hears it
    await host.deliver_all()
    await host.work()
    assert await host.leads() == ()

    assert (await host.connect())["integration"] == "connected"
    await host.work()
    after = await host.integration()
    assert (after.id, after.status, after.app_id) == (before.id, IntegrationStatus.ACTIVE, "own-app")
    assert len(await host.leads()) == 1
    assert host.world.boards_heard_by("own-app") == {CAFE.id, BOOKS.id}
    assert host.world.sending == set(), "the operator's app was told to be quiet"
    async with host.storage.unit_of_work("org-a", reads_only=True) as uow:
        grants = await uow.integrations.grants(after.id)
        channels = await uow.integrations.channels(after.id)
    assert len(grants) == 1
    assert {channel.grant_id for channel in channels} == {grants[0].id}
    assert (await host.publish()).external_id


async def test_the_operators_app_goes_on_for_others(host: Harbour, own: VendorApp) -> None:
    """O10: an org that leaves the shared app does not silence a board that another org hears through it."""
    org_b = Caller(org_id="org-b", user_id="user-b", role=Role.ADMIN)
    for caller in (ADMIN, org_b):
        await host.connect(caller)
        await host.select(CAFE.id, caller=caller)

    await saved(host, config=config_of(own))
    await host.connect()

    assert host.world.sending == {CAFE.id}
    assert host.world.boards_heard_by("own-app") == {CAFE.id}


async def test_who_returns_to_the_app_before_is_active_again(host: Harbour, own: VendorApp) -> None:
    await host.connect()
    await host.select(CAFE.id)
    await saved(host, config=config_of(own))
    host.world.fill_in(NEWSLETTER.id, ANSWERS)
    await host.deliver_all()
    await host.work()
    stored = await everything_stored(host)
    assert b"own-app" in stored

    card = await saved(host, useSharedApp=True)

    assert (card["status"], card["app"]["kind"], card["config"]) == ("active", "shared", {})
    await host.work()
    assert len(await host.leads()) == 1
    async with host.storage.unit_of_work("org-a", reads_only=True) as uow:
        assert await uow.own_apps.of_vendor("memory") is None


async def test_who_returns_after_connecting_connects_again(host: Harbour, own: VendorApp) -> None:
    await connect_own(host, own)

    assert (await saved(host, useSharedApp=True))["status"] == "pending"
    assert (await host.connect())["integration"] == "connected"

    assert (await host.integration()).app_id == host.world.app.app_id
    assert host.world.sending == {CAFE.id}


async def test_a_consent_to_another_app_connects_nothing(host: Harbour, own: VendorApp) -> None:
    """O8: the app was changed while somebody was at the vendor's."""
    begun = await host.begin()
    await saved(host, config=config_of(own))

    answer = await host.come_back(host.world.consent(begun.auth_url))

    assert told(answer) == {"tab": "1", "integration": "error", "code": "invalid_state"}
    assert (await host.integration()).status is IntegrationStatus.PENDING


async def test_saving_words_leaves_the_connection_alone(host: Harbour) -> None:
    await host.connect()
    card = await saved(host, name="Shop", notifyEmails=["it@a.example", "boss@a.example"])

    assert (card["status"], card["name"]) == ("active", "Shop")
    assert card["notifyEmails"] == ["it@a.example", "boss@a.example"]
    await host.connect()
    again = await saved(host)
    assert (again["name"], again["notifyEmails"]) == (card["name"], card["notifyEmails"])


# What the org decides --------------------------------------------------------------------------------


async def test_an_org_can_insist_on_tickets_o2(host: Harbour) -> None:
    """O2: then a stranger who follows somebody's link finishes nothing."""
    before = await host.begin()
    assert (await saved(host, requireTicket=True))["requireTicket"] is True

    with pytest.raises(InvalidRequestError):
        await host.begin()
    answer = await host.come_back(host.world.consent(before.auth_url))
    assert told(answer)["code"] == "invalid_state"
    begun = await host.begin(complete="ticket")
    ticket = told(await host.come_back(host.world.consent(begun.auth_url)))["ticket"]
    assert (await host.complete(ticket)).status == "active"


async def test_an_org_is_asked_for_what_it_wants_only(host: Harbour) -> None:
    """Scopes follow from capabilities; an empty list is everything again."""
    everything = (await host.begin()).scopes
    await saved(host, capabilities=["publish posts"])
    assert set((await host.begin()).scopes) == {READ_BOARDS, WRITE_NOTES}
    await saved(host, capabilities=[])
    assert (await host.begin()).scopes == everything


# Figures -------------------------------------------------------------------------------------------


async def test_calls_are_counted(host: Harbour) -> None:
    await host.connect()
    call = "/upstream/call/memory-provider"
    for path, body in (
        (f"{call}/connect", {"returnUrl": RETURN_URL}),
        (f"{call}/channels", {}),
        (f"{call}/publish", {"board": "nowhere", "text": "hello"}),
    ):
        await host.http.post(path, json=body, headers=headers_of(host))

    async def card() -> dict[str, Any]:
        answer = await host.http.get("/upstream/active/detail", headers=headers_of(host))
        found: dict[str, Any] = answer.json()["integrations"][0]
        return found

    before = await card()
    await host.services.calls.write(host.storage)

    metrics = before["metrics"]
    assert (metrics["totalCalls"], metrics["successfulCalls"], metrics["failedCalls"]) == (3, 2, 1)
    assert metrics["averageResponseTime"] >= 0
    assert before["lastUsed"] == "2030-06-01T12:00:00Z"
    assert await card() == before
    assert host.services.calls.unwritten("org-a", "memory") == CallCount()


async def test_counts_that_cannot_be_written_wait(host: Harbour) -> None:
    """A database that is away costs no figure, and no call."""
    counter = CallCounter()
    with counter.counted(host.storage, "org-a", "memory", at=host.clock.now()):
        pass
    await host.storage.aclose()

    await counter.write(host.storage)

    assert counter.unwritten("org-a", "memory").total == 1
