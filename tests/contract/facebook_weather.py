"""The Facebook sandbox as the world that the promises speak of."""

import hashlib
import hmac
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

import attrs
import msgspec
import pytest

from moorage_facebook import plugin as facebook_plugin
from moorage_facebook.sandbox.app import build_sandbox
from moorage_facebook.settings import GraphSettings
from moorage_ports.events import LeadArrived
from moorage_ports.plugin import Sandbox, SandboxPlan, Vendor
from moorage_ports.secret import Secret
from moorage_ports.testing.lent import BEGINNING, FakeClock
from moorage_ports.testing.vendor import registered
from moorage_ports.testing.world import FilledIn
from moorage_ports.webhooks import Delivery, VendorApp
from tests.fakes.asgi_http import AsgiHttp, asgi_http

SANDBOX = "http://sandbox.test"
PAGE = "1234567890"
SECOND_PAGE = "61558812340917265"
FORM = "920180045512345"
ANSWERS = {
    "full_name": ("Grace Müller ☕",),
    "email": ("grace@example.org",),
    "phone_number": ("+4930123456",),
}


def first(answer: Mapping[str, object], part: str) -> Mapping[str, object]:
    """The first of what a control call made."""
    rows = answer[part]
    assert isinstance(rows, list)
    row = rows[0]
    assert isinstance(row, dict)
    return row


def _query(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))


@attrs.define(kw_only=True)
class FacebookWeather:
    """A `World` for every port of the Facebook plugin; acts through the sandbox's own control routes."""

    http: AsgiHttp
    clock: FakeClock
    app: VendorApp
    channel_external_id: str = PAGE
    _auth_url: str = ""

    async def control(self, path: str, **body: object) -> Mapping[str, object]:
        answer = await self.http.client.post(f"{SANDBOX}/_sandbox/{path}", json=body)
        assert answer.status_code == 200, answer.text
        return msgspec.json.decode(answer.content, type=dict[str, object])

    async def state(self, part: str) -> list[Mapping[str, object]]:
        answer = await self.http.client.get(f"{SANDBOX}/_sandbox/state", params={"only": part})
        return msgspec.json.decode(answer.content, type=dict[str, list[Mapping[str, object]]])[part]

    async def start_clock(self) -> None:
        """Bring the sandbox to the moment at which the lent clock stands still."""
        ahead = (BEGINNING - datetime.now(UTC)).total_seconds()
        await self.control("clock", advanceSeconds=ahead)

    async def consent(self, authorization_url: str, *, without: Collection[str] = ()) -> Mapping[str, str]:
        self._auth_url = authorization_url
        asked = _query(authorization_url)["scope"].split(",")
        scopes = [scope for scope in asked if scope not in without]
        answer = await self.control("consent", authUrl=authorization_url, decision="grant", scopes=scopes)
        return _query(str(answer["redirect"]))

    async def decline(self, authorization_url: str) -> Mapping[str, str]:
        answer = await self.control("consent", authUrl=authorization_url, decision="deny")
        return _query(str(answer["redirect"]))

    async def revoke_grant(self) -> None:
        await self.control("revoke")

    async def withdraw_scopes(self) -> None:
        await self.control("consent", authUrl=self._auth_url, decision="grant", scopes=[])

    async def limit(self, wait: timedelta) -> None:
        minutes = max(1, round(wait / timedelta(minutes=1)))
        usage = {PAGE: [{"type": "pages", "call_count": 100, "estimated_time_to_regain_access": minutes}]}
        headers = {"x-business-use-case-usage": msgspec.json.encode(usage).decode()}
        await self.control("faults", code=80001, headers=headers)

    async def go_down(self) -> None:
        self.http.is_plugged = False

    async def drop_answers(self) -> None:
        await self.control("faults", drop="after")

    async def refuse_content(self) -> None:
        await self.control("faults", match={"method": "POST", "path": "/feed"}, code=506)

    async def clear_up(self) -> None:
        self.http.is_plugged = True
        answer = await self.http.client.delete(f"{SANDBOX}/_sandbox/faults")
        assert answer.status_code == 200

    async def texts_on(self, channel_external_id: str) -> Sequence[str]:
        posts = await self.state("posts")
        return [
            str(post["message"])
            for post in posts
            if post["live"] and str(post["id"]).startswith(f"{channel_external_id}_")
        ]

    async def fill_in(self) -> FilledIn:
        answers = {name: list(values) for name, values in ANSWERS.items()}
        answer = await self.control("leads", pageId=PAGE, formId=FORM, answers=answers, delivery="lose")
        leads = answer["leads"]
        assert isinstance(leads, list)
        first = leads[0]
        lead_id = first["id"] if isinstance(first, dict) else first
        return FilledIn(form_external_id=FORM, lead_external_id=str(lead_id), answers=ANSWERS)

    async def write_post(self) -> None:
        """The one post that people talk about."""
        await self.control("bulk", posts=1, commentsPerPost=0, reactionsPerPost=0)

    async def comment(self, text: str, *, answers: str = "") -> str:
        about = {"commentId": answers} if answers else {}
        return str(first(await self.control("comments", text=text, **about), "comments")["id"])

    async def react(self) -> str:
        return str(first(await self.control("reactions", type="love"), "reactions")["personId"])

    async def comments_shown(self) -> Sequence[str]:
        return [str(row["text"]) for row in await self.state("comments") if not row["isHidden"]]

    async def pass_time(self, duration: timedelta) -> None:
        self.clock.advance(duration)
        await self.control("clock", advanceSeconds=duration.total_seconds())


@attrs.frozen
class FacebookSender:
    """A `WebhookWorld`: deliveries as Meta writes and signs them."""

    app: VendorApp

    def handshake(self, verify_token: str, challenge: str) -> Mapping[str, str]:
        return {"hub.mode": "subscribe", "hub.verify_token": verify_token, "hub.challenge": challenge}

    def some_leads(self) -> Sequence[LeadArrived]:
        pages = (PAGE, SECOND_PAGE, PAGE, PAGE)
        return [
            LeadArrived(
                lead_external_id=str(9_000_000_000_000_000_001 + number),
                channel_external_id=page,
                form_external_id=FORM,
                occurred_at=BEGINNING + timedelta(minutes=number),
            )
            for number, page in enumerate(pages)
        ]

    def delivery_body(self, leads: Sequence[LeadArrived]) -> bytes:
        entries = [
            {
                "id": lead.channel_external_id,
                "time": int(BEGINNING.timestamp()),
                "changes": [{"field": "leadgen", "value": _value(lead)}],
            }
            for lead in leads
        ]
        return msgspec.json.encode({"object": "page", "entry": entries}).replace(b"/", rb"\/")

    def signed(self, body: bytes, secret: Secret) -> Delivery:
        digest = hmac.new(secret.reveal().encode(), body, hashlib.sha256).hexdigest()
        return Delivery(headers=[("x-hub-signature-256", f"sha256={digest}")], body=body)


def _value(lead: LeadArrived) -> Mapping[str, object]:
    assert lead.occurred_at is not None
    return {
        "leadgen_id": lead.lead_external_id,
        "page_id": lead.channel_external_id,
        "form_id": lead.form_external_id,
        "created_time": int(lead.occurred_at.timestamp()),
    }


async def fair_weather(http: AsgiHttp, clock: FakeClock, settings: GraphSettings) -> FacebookWeather:
    """A fresh sandbox at the moment at which the lent clock stands still."""
    app = settings.app()
    assert app is not None
    world = FacebookWeather(http=http, clock=clock, app=app)
    await world.start_clock()
    return world


class OnFacebook:
    """Fixtures for every contract that the Facebook plugin keeps."""

    @pytest.fixture
    def plugin(self) -> object:
        return facebook_plugin

    @pytest.fixture
    def vendor(self, plugin: object) -> Vendor:
        return registered(plugin)

    @pytest.fixture
    def sandbox(self) -> Sandbox:
        return build_sandbox(SandboxPlan(base_url=SANDBOX, host_url="https://host.example"))

    @pytest.fixture
    def settings(self, sandbox: Sandbox) -> GraphSettings:
        given = sandbox.settings
        return GraphSettings(
            app_id=given["app_id"],
            app_secret=Secret(given["app_secret"]),
            verify_token=Secret(given["verify_token"]),
            graph_url=given["graph_url"],
            dialog_url=given["dialog_url"],
        )

    @pytest.fixture
    async def http(self, sandbox: Sandbox) -> AsyncIterator[AsgiHttp]:
        async with asgi_http(sandbox.app) as http:
            yield http

    @pytest.fixture
    async def world(self, http: AsgiHttp, clock: FakeClock, settings: GraphSettings) -> FacebookWeather:
        return await fair_weather(http, clock, settings)
