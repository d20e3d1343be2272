"""An `HttpClient` whose network is one ASGI app in this process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import httpx

from moorage_ports.http import HttpAnswer, HttpRequest, NeverSentError, NoAnswerError
from moorage_ports.plugin import AsgiApp


@attrs.define
class AsgiHttp:
    """Sends requests into the app. Unplugged, nothing leaves; a broken connection is no answer."""

    client: httpx.AsyncClient
    is_plugged: bool = True
    sent: list[HttpRequest] = attrs.field(factory=list)

    async def send(self, request: HttpRequest) -> HttpAnswer:
        """Send once, read the whole answer."""
        if not self.is_plugged:
            msg = "the cable is unplugged"
            raise NeverSentError(msg)
        self.sent.append(request)
        try:
            answer = await self.client.request(
                request.method, request.url, headers=dict(request.headers), content=request.body
            )
        except (ConnectionError, httpx.TransportError) as broken:
            msg = "the connection broke"
            raise NoAnswerError(msg) from broken
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return HttpAnswer(status=answer.status_code, headers=headers, body=answer.content)


@asynccontextmanager
async def asgi_http(app: AsgiApp) -> AsyncIterator[AsgiHttp]:
    """A client whose only other side is `app`."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app)) as client:
        yield AsgiHttp(client)
