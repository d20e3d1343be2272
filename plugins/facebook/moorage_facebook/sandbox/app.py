"""Puts the sandbox together: `facebook_sandbox(plan)` is what the plugin's calling card names."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import cast

import attrs
import httpx
from litestar import Litestar
from litestar.di import Provide
from litestar.exceptions import NotFoundException

from moorage_facebook.sandbox.control import control_router, page_facts
from moorage_facebook.sandbox.errors import GraphFailure, new_trace_id
from moorage_facebook.sandbox.gate import Gate, Receive, Send, is_graph
from moorage_facebook.sandbox.graph import Asked, Graph
from moorage_facebook.sandbox.jsontext import meta_json
from moorage_facebook.sandbox.pages import not_found_page, pages_router
from moorage_facebook.sandbox.params import MAX_BODY
from moorage_facebook.sandbox.seed import seed
from moorage_facebook.sandbox.state import World, open_world
from moorage_facebook.sandbox.webhooks import WebhookSender
from moorage_ports.plugin import AsgiApp, AsgiMessage, Sandbox, SandboxPlan


def facebook_sandbox(plan: SandboxPlan) -> Sandbox:
    """A Graph of one's own at `plan.base_url`, talking back to the host at `plan.host_url`."""
    return build_sandbox(plan)


def build_sandbox(plan: SandboxPlan, webhook_transport: httpx.AsyncBaseTransport | None = None) -> Sandbox:
    """As `facebook_sandbox`; tests may catch the webhooks with a transport of their own."""
    world = open_world(plan)
    seed(world)
    sender = WebhookSender(world, webhook_transport)
    site = _site(world, sender)
    app = world.app()
    base_url = plan.base_url.rstrip("/")
    return Sandbox(
        app=Gate(world, Wire(Graph(world=world, webhooks=sender), site)),
        settings={
            "app_id": app.id,
            "app_secret": app.secret,
            "verify_token": app.verify_token,
            "graph_url": base_url,
            "dialog_url": base_url,
        },
        facts={
            "appId": app.id,
            "appSecret": app.secret,
            "verifyToken": app.verify_token,
            "pages": page_facts(world),
        },
    )


@attrs.frozen
class Wire:
    """Graph's paths go to Graph, everything else to the site: the two share nothing but the world."""

    graph: Graph
    site: AsgiApp

    async def __call__(self, scope: AsgiMessage, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not is_graph(scope):
            await self.site(scope, receive, send)
            return
        body = await _body(receive)
        if body is None:
            failure = GraphFailure(message="The request is too large", code=1, status=413)
            text = meta_json(failure.body(new_trace_id()))
            await _say(send, 413, text, {})
            return
        answer = await self.graph.answer(_asked(scope, body))
        await _say(send, answer.status, answer.text, answer.headers)


def _site(world: World, sender: WebhookSender) -> AsgiApp:
    """The Litestar app with the control routes and the pages; its lifespan runs the webhook sender."""

    @asynccontextmanager
    async def running(_: Litestar) -> AsyncIterator[None]:
        async with sender.running():
            yield
        world.flush()

    site = Litestar(
        route_handlers=[control_router(), pages_router()],
        dependencies={
            "world": Provide(lambda: world, sync_to_thread=False),
            "sender": Provide(lambda: sender, sync_to_thread=False),
        },
        lifespan=[running],
        exception_handlers={NotFoundException: not_found_page},
        openapi_config=None,
        logging_config=None,  # whoever serves this decides about logging
    )
    return cast("AsgiApp", site)  # it is one; its own types are only narrower


def _asked(scope: AsgiMessage, body: bytes) -> Asked:
    headers = {bytes(name).lower(): bytes(value).decode("latin-1") for name, value in scope["headers"]}
    return Asked(
        method=str(scope["method"]),
        path=str(scope["path"]),
        query=bytes(scope.get("query_string", b"")).decode("latin-1"),
        content_type=headers.get(b"content-type", ""),
        authorization=headers.get(b"authorization", ""),
        body=body,
    )


async def _body(receive: Receive) -> bytes | None:
    """The whole body, or None when it is larger than anything Graph would take here."""
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        chunk = bytes(message.get("body", b""))
        size += len(chunk)
        if size > MAX_BODY:
            return None
        chunks.append(chunk)
        if message["type"] != "http.request" or not message.get("more_body", False):
            return b"".join(chunks)


async def _say(send: Send, status: int, text: str, headers: Mapping[str, str]) -> None:
    content = text.encode()
    pairs = [
        (b"content-type", b"application/json; charset=UTF-8"),
        (b"content-length", str(len(content)).encode()),
        *((name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": content})
