"""A Graph that answers what a test tells it to, and a client whose sleeps pass at once."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import cached_property
from urllib.parse import parse_qsl, urlsplit

import attrs
import msgspec

from moorage_facebook.graph.client import GraphClient
from moorage_facebook.settings import GraphSettings
from moorage_ports.http import HttpAnswer, HttpError, HttpRequest
from moorage_ports.secret import Secret
from moorage_ports.testing.lent import FakeClock, FakeGovernor
from moorage_ports.webhooks import VendorApp

APP = VendorApp(
    vendor="facebook",
    app_id="1067432189054321",
    secrets=(Secret("app-secret-of-32-characters-long"),),
    verify_token=Secret("v"),
)
TOKEN = Secret("EAAB-user-token")
TRACE_ID = "A7dPq_x2-Lm9ZtRbYc41KvE"  # as long as Meta makes them


def answer(body: object = None, *, status: int = 200, headers: Mapping[str, str] | None = None) -> HttpAnswer:
    raw = body if isinstance(body, bytes) else msgspec.json.encode({} if body is None else body)
    return HttpAnswer(status=status, headers=headers or {}, body=raw)


def refusal(code: int, subcode: int | None = None, *, status: int = 400, **more: object) -> HttpAnswer:
    error: dict[str, object] = {
        "message": "no",
        "type": "OAuthException",
        "code": code,
        "fbtrace_id": TRACE_ID,
    }
    if subcode is not None:
        error["error_subcode"] = subcode
    return answer({"error": error | more}, status=status)


@attrs.define
class ScriptedGraph:
    """An `HttpClient`: answers one after the other (the last one stays), or by a function of the request."""

    script: list[HttpAnswer | HttpError] | Callable[[HttpRequest], HttpAnswer]
    sent: list[HttpRequest] = attrs.field(factory=list)

    async def send(self, request: HttpRequest) -> HttpAnswer:
        self.sent.append(request)
        if not isinstance(self.script, list):
            return self.script(request)
        said = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(said, HttpError):
            raise said
        return said


@attrs.define(kw_only=True, slots=False)
class Bench:
    """A client on a scripted Graph."""

    graph: ScriptedGraph
    clock: FakeClock = attrs.field(factory=FakeClock)
    app: VendorApp = APP

    @cached_property
    def governor(self) -> FakeGovernor:
        return FakeGovernor(self.clock, "facebook")

    @property
    def client(self) -> GraphClient:
        return GraphClient(
            http=self.graph,
            clock=self.clock,
            app=self.app,
            settings=GraphSettings(graph_url="https://graph.test"),
            governor=self.governor,
            lane="acme",
            jitter=lambda: 1.0,
        )

    @property
    def slept(self) -> timedelta:
        return self.clock.now() - FakeClock().now()


def bench(*script: HttpAnswer | HttpError) -> Bench:
    return Bench(graph=ScriptedGraph(list(script)))


def query_of(request: HttpRequest) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(request.url).query, keep_blank_values=True))


def form_of(request: HttpRequest) -> dict[str, str]:
    return dict(parse_qsl(request.body.decode(), keep_blank_values=True))
