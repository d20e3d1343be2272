"""What a test needs to speak with the sandbox: signed Graph calls, control calls, a listening host."""

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, urlencode, urlsplit

import attrs
import httpx
import msgspec
from litestar import Litestar
from litestar.testing import AsyncTestClient

from moorage_facebook.sandbox.app import build_sandbox
from moorage_ports.plugin import SandboxPlan

PAGE = "1234567890"
FORM = "920180045512345"
CALLBACK = "http://host.test/connect/oauth2callback/facebook"
SCOPES = (
    "email",
    "pages_show_list",
    "pages_read_engagement",
    "pages_manage_posts",
    "pages_manage_metadata",
    "leads_retrieval",
    "business_management",
)
EVERYTHING = (
    *SCOPES,
    "pages_read_user_content",
    "pages_manage_engagement",
    "pages_messaging",
    "instagram_basic",
    "instagram_manage_comments",
    "instagram_manage_messages",
    "whatsapp_business_management",
    "whatsapp_business_messaging",
)


@attrs.define
class Host:
    """The app's side: takes webhooks, answers as it is told, remembers the bytes."""

    answers: list[int] = attrs.field(factory=list)  # statuses for the next requests; then 200
    got: list[httpx.Request] = attrs.field(factory=list)
    verify_token: str = ""

    @property
    def transport(self) -> httpx.MockTransport:
        return httpx.MockTransport(self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            ok = request.url.params.get("hub.verify_token") == self.verify_token
            return httpx.Response(200 if ok else 403, text=request.url.params.get("hub.challenge", ""))
        self.got.append(request)
        return httpx.Response(self.answers.pop(0) if self.answers else 200, text="ok")


@attrs.define(kw_only=True)
class Driver:
    """One sandbox and the ways to use it."""

    client: AsyncTestClient[Litestar]
    settings: Mapping[str, str]
    facts: Mapping[str, object]
    host: Host

    def dialog_url(self, scopes: tuple[str, ...] = SCOPES, **more: str) -> str:
        query = {
            "client_id": self.settings["app_id"],
            "redirect_uri": CALLBACK,
            "state": "s1",
            "scope": ",".join(scopes),
            "response_type": "code",
            **more,
        }
        return f"{self.settings['dialog_url']}/v26.0/dialog/oauth?{urlencode(query)}"

    async def control(self, path: str, **body: object) -> Any:
        answer = await self.client.post(f"/_sandbox/{path}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def state(self) -> Any:
        return (await self.client.get("/_sandbox/state")).json()

    async def code(self, asked: tuple[str, ...] = SCOPES, **choice: object) -> str:
        answer = await self.control("consent", authUrl=self.dialog_url(asked), decision="grant", **choice)
        return parse_qs(urlsplit(str(answer["redirect"])).query)["code"][0]

    async def exchange(self, **params: str) -> httpx.Response:
        body = {
            "client_id": self.settings["app_id"],
            "client_secret": self.settings["app_secret"],
            **params,
        }
        return await self.client.post("/v26.0/oauth/access_token", data=body)

    async def user_token(self, asked: tuple[str, ...] = SCOPES, **choice: object) -> str:
        """A long-lived one."""
        code = await self.code(asked, **choice)
        short = (await self.exchange(code=code, redirect_uri=CALLBACK)).json()["access_token"]
        long = await self.exchange(grant_type="fb_exchange_token", fb_exchange_token=short)
        token: str = long.json()["access_token"]
        return token

    async def page_token(self, page_id: str = PAGE, token: str = "") -> str:
        accounts = (await self.graph("GET", "me/accounts", token or await self.user_token())).json()["data"]
        return next(str(row["access_token"]) for row in accounts if row["id"] == page_id)

    async def graph(self, method: str, path: str, token: str, **params: str) -> httpx.Response:
        """A call as the plugin makes it: token in the header, proof beside the parameters."""
        signed = {**params, "appsecret_proof": self.proof(token)}
        headers = {"Authorization": f"Bearer {token}"}
        if method == "GET":
            return await self.client.get(f"/v26.0/{path}", params=signed, headers=headers)
        return await self.client.request(method, f"/v26.0/{path}", data=signed, headers=headers)

    def proof(self, message: str) -> str:
        return hmac.new(self.settings["app_secret"].encode(), message.encode(), hashlib.sha256).hexdigest()

    @property
    def app_token(self) -> str:
        return f"{self.settings['app_id']}|{self.settings['app_secret']}"

    async def subscribe(self, fields: str = "leadgen") -> str:
        """Connect the first Page to leadgen; answers its token."""
        token = await self.page_token()
        answer = await self.graph("POST", f"{PAGE}/subscribed_apps", token, subscribed_fields=fields)
        assert answer.json() == {"success": True}
        return token

    async def talkative(self, fields: str = "feed") -> str:
        """Connect the first Page with every permission, subscribed to `fields`; answers its token."""
        token = await self.page_token(token=await self.user_token(EVERYTHING))
        answer = await self.graph("POST", f"{PAGE}/subscribed_apps", token, subscribed_fields=fields)
        assert answer.json() == {"success": True}
        return token

    async def post(self, message: str = "Hello") -> str:
        """A post of the first Page."""
        token = await self.page_token()
        made = await self.graph("POST", f"{PAGE}/feed", token, message=message)
        return str(made.json()["id"])

    async def heard(self, wanted: int) -> list[Any]:
        """What the webhooks said, one `changes` or `messaging` element after the other."""
        found: list[Any] = []
        for request in await self.settled(wanted):
            for entry in msgspec.json.decode(request.content)["entry"]:
                found += entry.get("changes", entry.get("messaging", []))
        return found

    async def settled(self, wanted: int) -> list[httpx.Request]:
        """Wait until the host got `wanted` webhooks."""
        async with asyncio.timeout(5):
            while len(self.host.got) < wanted:  # noqa: ASYNC110 - the host is plain and runs in another loop
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.02)
        return self.host.got


@asynccontextmanager
async def opened(host: Host, state_file: Path | None) -> AsyncIterator[Driver]:
    """A sandbox of one's own, for tests that start it twice."""
    plan = SandboxPlan(base_url="http://sandbox.test", host_url="http://host.test", state_file=state_file)
    built = build_sandbox(plan, host.transport)
    async with AsyncTestClient(cast("Litestar", built.app), base_url=plan.base_url) as client:
        yield Driver(client=client, settings=built.settings, facts=built.facts, host=host)
