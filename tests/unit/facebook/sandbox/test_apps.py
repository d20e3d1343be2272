"""The sandbox knows several apps: each has its own secret, tokens, subscriptions and callback."""

import hashlib
import hmac
from typing import Any

import attrs
import httpx

from tests.unit.facebook.sandbox.driver import FORM, PAGE, Driver

CALLBACK = "http://host.test/connect/webhook/facebook?orgid=acme"


def as_app(sandbox: Driver, app: Any) -> Driver:
    """The same sandbox, driven by another app's developer."""
    settings = {**sandbox.settings, "app_id": app["id"], "app_secret": app["secret"]}
    return attrs.evolve(sandbox, settings=settings)


def signed_with(request: httpx.Request, secret: str) -> bool:
    digest = hmac.new(secret.encode(), request.content, hashlib.sha256).hexdigest()
    return request.headers["x-hub-signature-256"] == f"sha256={digest}"


async def test_an_app_tells_its_id_to_whoever_knows_its_secret(sandbox: Driver) -> None:
    app = await sandbox.control("apps", name="Acme CRM")
    other = as_app(sandbox, app)

    told = await other.graph("GET", app["id"], other.app_token, fields="id,name")
    refused = await other.graph("GET", app["id"], f"{app['id']}|{sandbox.settings['app_secret']}")

    assert told.json() == {"id": app["id"], "name": "Acme CRM"}
    assert refused.json()["error"]["code"] == 190


async def test_every_app_that_listens_hears_it_with_its_own_signature(sandbox: Driver) -> None:
    app = await sandbox.control("apps", callbackUrl=CALLBACK)
    await sandbox.subscribe()
    await as_app(sandbox, app).subscribe()

    await sandbox.control("leads", pageId=PAGE, formId=FORM, answers={"email": "a@b.example"})

    got = {str(request.url): request for request in await sandbox.settled(2)}
    assert signed_with(got[CALLBACK], app["secret"])
    assert signed_with(got["http://host.test/connect/webhook/facebook"], sandbox.settings["app_secret"])


async def test_a_code_and_a_token_are_one_apps(sandbox: Driver) -> None:
    other = as_app(sandbox, await sandbox.control("apps"))
    token = await other.user_token()

    assert "access_token" not in (await sandbox.exchange(code=await other.code())).json()
    described = await sandbox.graph("GET", "debug_token", sandbox.app_token, input_token=token)
    assert described.json()["data"]["is_valid"] is False


async def test_a_secret_can_be_reset(sandbox: Driver) -> None:
    app = await sandbox.control("apps", name="Acme CRM", callbackUrl=CALLBACK)
    reset = await sandbox.control("apps", id=app["id"], secret="f" * 32)

    assert reset == {**app, "secret": "f" * 32}
    assert (await sandbox.graph("GET", app["id"], f"{app['id']}|{app['secret']}")).status_code == 400


async def test_starting_over_keeps_apps_and_their_callbacks(sandbox: Driver) -> None:
    app = await sandbox.control("apps", callbackUrl=CALLBACK)
    await sandbox.control("reset")

    state = await sandbox.state()
    assert app["id"] in {row["id"] for row in state["apps"]}
    rows = [row for row in state["appSubscriptions"] if CALLBACK in row.values()]
    assert {row["object"] for row in rows} >= {"page"}
