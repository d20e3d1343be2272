"""Signed webhooks: what is sent, to whom, and again when nobody took it.

https://developers.facebook.com/docs/graph-api/webhooks/getting-started
"""

import asyncio
import base64
import hashlib
import heapq
import hmac
import ipaddress
import secrets
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlencode, urlsplit

import attrs
import httpx

from moorage_facebook.sandbox.entities import App, AppSubscription, Attempt, Delivery, Lead, Page, Signing
from moorage_facebook.sandbox.jsontext import Json, meta_json
from moorage_facebook.sandbox.news import AS_IT_SHOULD, Manner, News, deliveries
from moorage_facebook.sandbox.state import World

_TIMEOUT = 20.0
_GIVE_UP_AFTER = 36 * 3_600
_DELAYS = (0.5, 1, 2, 4, 8, 15, 30, 60, 120, 300, 900, 3_600)
_AT_ONCE = 32
_ANSWER_KEPT = 500


def sign(secret: str, body: bytes, signing: Signing = "valid") -> dict[str, str]:
    """`X-Hub-Signature-256` and the legacy SHA-1 header over exactly these bytes."""
    if signing == "none":
        return {}
    key = secret.encode() if signing == "valid" else b"not the app secret"
    return {
        "X-Hub-Signature": "sha1=" + hmac.new(key, body, hashlib.sha1).hexdigest(),
        "X-Hub-Signature-256": "sha256=" + hmac.new(key, body, hashlib.sha256).hexdigest(),
    }


def leadgen_change(lead: Lead) -> Json:
    """One `changes[]` element; ad ids only when an ad brought the lead."""
    value: dict[str, Json] = {
        "created_time": lead.created_at,
        "leadgen_id": lead.id,
        "page_id": lead.page_id,
        "form_id": lead.form_id,
    }
    if lead.attribution.ad_id:
        value |= {"ad_id": lead.attribution.ad_id, "adgroup_id": lead.attribution.ad_id}
    return {"value": value, "field": "leadgen"}


def page_body(page_id: str, changes: Sequence[Json], at: int) -> str:
    """A delivery for one Page; `at` is when it was sent."""
    return meta_json({"object": "page", "entry": [{"id": page_id, "time": at, "changes": list(changes)}]})


@attrs.define(eq=False)
class WebhookSender:
    """Sends what is queued, in the order in which it falls due, and keeps every answer.

    Due times lie on the sandbox clock: when that jumps ahead, so do the retries.
    """

    world: World
    transport: httpx.AsyncBaseTransport | None = None
    _due: list[tuple[float, str]] = attrs.field(factory=list, init=False)
    _flying: int = attrs.field(default=0, init=False)
    _wake: asyncio.Event = attrs.field(factory=asyncio.Event, init=False)
    _client: httpx.AsyncClient | None = attrs.field(default=None, init=False)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Send for as long as the app lives; what is still queued stays in the state file."""
        self._due.clear()
        self._flying = 0
        for delivery in self.world.deliveries:
            if delivery.state == "queued":
                heapq.heappush(self._due, (delivery.due_at, delivery.id))
        async with httpx.AsyncClient(
            transport=self.transport, trust_env=False, timeout=_TIMEOUT, follow_redirects=False
        ) as client:
            self._client = client
            self.world.moved = self._wake.set
            task = asyncio.create_task(self._run())
            try:
                yield
            finally:
                self.world.moved = self._client = None
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    def listeners(self, page: Page, field: str) -> Iterator[tuple[App, AppSubscription]]:
        """The apps that hear this field of this Page: subscribed on the Page and in their dashboards."""
        for row in self.world.page_subscriptions.of(page.id):
            app = self.world.apps.get(row.app_id)
            wanted = self.world.app_subscriptions.get(f"{row.app_id}:page")
            if app and wanted and wanted.active and field in row.fields and field in wanted.fields:
                yield app, wanted

    def lead_arrived(self, lead_id: str) -> None:
        """One delivery about one lead to each app that listens."""
        lead = self.world.leads.get(lead_id)
        page = self.world.pages.get(lead.page_id) if lead else None
        if lead is None or page is None:
            return
        body = page_body(lead.page_id, [leadgen_change(lead)], self.world.seconds())
        for app, wanted in self.listeners(page, "leadgen"):
            self.queue(app, wanted.callback_url, "page/leadgen", body)

    def tell(self, news: Sequence[News], manner: Manner = AS_IT_SHOULD) -> list[Delivery]:
        """Put news on its way to the apps that listen; answers the deliveries."""
        return [self.submit(delivery) for delivery in deliveries(self.world, news, manner)]

    def queue(
        self, app: App, url: str, topic: str, body: str, *, delay: float = 0.0, lost: bool = False
    ) -> Delivery:
        """Put a delivery on its way; a lost one is only written down."""
        now = self.world.now()
        delivery = Delivery(
            id=self.world.new_id(),
            app_id=app.id,
            url=url,
            topic=topic,
            body=body,
            state="lost" if lost else "queued",
            created_at=now,
            due_at=now + delay,
        )
        return self.submit(delivery)

    def submit(self, delivery: Delivery) -> Delivery:
        self.world.deliveries.put(delivery)
        if delivery.state == "queued":
            heapq.heappush(self._due, (delivery.due_at, delivery.id))
            self._wake.set()
        return delivery

    async def send_now(self, delivery: Delivery) -> Delivery:
        """Send outside the queue and wait for the answer."""
        self.world.deliveries.put(delivery)
        await self._send(delivery)
        return self.world.deliveries.get(delivery.id) or delivery

    async def shake_hands(self, callback_url: str, verify_token: str) -> str:
        """`GET callback?hub.mode=subscribe&...`; empty when the bare challenge came back."""
        if self._client is None or not self._is_near(callback_url):
            return "URL is not on this machine, and the sandbox talks to nobody else"
        challenge = str(10**9 + secrets.randbelow(9 * 10**9))
        query = {"hub.mode": "subscribe", "hub.challenge": challenge, "hub.verify_token": verify_token}
        joint = "&" if "?" in callback_url else "?"
        try:
            answer = await self._client.get(f"{callback_url}{joint}{urlencode(query)}")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return f"no answer ({type(error).__name__})"
        if answer.status_code != 200 or answer.content != challenge.encode():
            return f"HTTP Status Code = {answer.status_code}; the body must be the bare challenge"
        return ""

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            while True:
                self._wake.clear()
                for delivery in self._take_due():
                    self._flying += 1
                    group.create_task(self._fly(delivery))
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), self._pause())

    def _take_due(self) -> list[Delivery]:
        """What is due now, as many as may fly at once."""
        taken: list[Delivery] = []
        while self._due and self._due[0][0] <= self.world.now() and self._flying + len(taken) < _AT_ONCE:
            _, delivery_id = heapq.heappop(self._due)
            delivery = self.world.deliveries.get(delivery_id)
            if delivery and delivery.state == "queued":
                taken.append(delivery)
        return taken

    def _pause(self) -> float | None:
        if not self._due or self._flying >= _AT_ONCE:
            return None
        return max(0.001, self._due[0][0] - self.world.now())

    async def _fly(self, delivery: Delivery) -> None:
        try:
            await self._send(delivery)
        finally:
            self._flying -= 1
            self.world.flush()
            self._wake.set()

    async def _send(self, delivery: Delivery) -> None:
        attempt = await self._attempt(delivery)
        current = self.world.deliveries.get(delivery.id)
        if current is None:  # the sandbox was reset meanwhile
            return
        after = attrs.evolve(current, attempts=(*current.attempts, attempt))
        if 200 <= attempt.status < 300:
            self.submit(attrs.evolve(after, state="delivered"))
        elif not delivery.retry:
            self.submit(attrs.evolve(after, state="refused"))
        else:
            self.submit(self._next_try(after))

    def _next_try(self, delivery: Delivery) -> Delivery:
        now = self.world.now()
        if now - delivery.created_at > _GIVE_UP_AFTER:
            return attrs.evolve(delivery, state="given_up")
        delay = _DELAYS[min(len(delivery.attempts), len(_DELAYS)) - 1]
        return attrs.evolve(delivery, due_at=now + delay)

    async def _attempt(self, delivery: Delivery) -> Attempt:
        at, started = self.world.now(), time.monotonic()
        if self._client is None or not self._is_near(delivery.url):
            return Attempt(at=at, error="not on this machine: the sandbox talks to nobody else")
        body = delivery.body.encode("utf-8", "surrogatepass")
        headers = {"User-Agent": "facebookexternalua", "Content-Type": delivery.content_type}
        if delivery.content_type == "application/json":
            app = self.world.apps.get(delivery.app_id) or self.world.app()
            headers |= sign(app.secret, body, delivery.signing)
        try:
            answer = await self._client.post(
                delivery.url, content=body, headers={**headers, **delivery.headers}, timeout=_TIMEOUT
            )
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            return Attempt(at=at, millis=_since(started), error=type(error).__name__)
        text = answer.text[:_ANSWER_KEPT]
        return Attempt(at=at, status=answer.status_code, millis=_since(started), answer=text)

    def _is_near(self, url: str) -> bool:
        """Loopback, or the very host the sandbox was told about."""
        try:
            parts, host = urlsplit(url), urlsplit(self.world.plan.host_url)
            if parts.scheme not in {"http", "https"}:
                return False
            if (parts.scheme, parts.netloc) == (host.scheme, host.netloc) or parts.hostname == "localhost":
                return True
            return ipaddress.ip_address(parts.hostname or "").is_loopback
        except ValueError:
            return False


def signed_request(secret: str, payload: Mapping[str, Json]) -> str:
    """`signature.payload`, both base64url without padding.

    https://developers.facebook.com/docs/development/create-an-app/app-dashboard/data-deletion-callback
    """
    encoded = _base64(meta_json(payload).encode())
    signature = hmac.new(secret.encode(), encoded.encode(), hashlib.sha256).digest()
    return f"{_base64(signature)}.{encoded}"


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
