"""The vendors' webhooks: prove the bytes, keep them, answer. What they mean is found out afterwards.

One ASGI handler for both methods: a delivery is read, verified, split and kept without a request object, an
injected parameter or a serialised answer in between. Nothing here crosses the network, and nothing
answers 2xx before the rows are durable.
"""

import asyncio
import re
from collections.abc import Iterable
from datetime import timedelta
from functools import cache
from typing import Final, cast
from urllib.parse import parse_qsl

import attrs
import structlog
from litestar.handlers import BaseRouteHandler, asgi
from litestar.types import HTTPScope, Receive, Scope, Send
from prometheus_client import Counter

from moorage.auth import PUBLIC, QUIET, InvalidOrgIdError
from moorage.bodies import BodyBudget, BodyShare
from moorage.client_certificates import ClientCertificates
from moorage.errors import MethodNotAllowedError, RequestTimeoutError, TooLargeError, UnsupportedEncodingError
from moorage.metrics import DELIVERIES, LAST_HEARD
from moorage.services import Services
from moorage_ports.errors import MalformedError, SignatureError, UnknownVendorError
from moorage_ports.failpoints import fail_point
from moorage_ports.inbox import Arrival, Unreadable
from moorage_ports.plugin import Vendor
from moorage_ports.values import ORG_ID
from moorage_ports.webhooks import Change, Delivery, TooManyChangesError, VendorApp, WebhookSource

log = structlog.get_logger(__name__)

MAX_BODY: Final = 4 * 1024 * 1024
# What would hold up all others while it is split is split in a thread: large bodies, and small ones with a
# lot in them, for a few bytes are enough for a change.
LARGE_BODY: Final = 64 * 1024
MANY_VALUES: Final = 500
READ_WITHIN: Final = timedelta(seconds=20)
_ADDRESS: Final = re.compile(r"/([a-z][a-z0-9]{1,30})(/[A-Za-z0-9._-]{1,64})?/?", re.ASCII)  # vendor, service
_PLAIN_ORG: Final = re.compile(f"orgid=({ORG_ID.pattern})".encode())
_MOST_PARAMETERS: Final = 32

# The answer to a delivery is its status: a body would be one more write to the socket, and a twentieth of
# what a delivery costs. Middleware writes into messages: only their parts are made once.
_KEPT_HEADERS: Final = [(b"content-length", b"0")]


@attrs.frozen
class WebhookRoute:
    """`GET` is a vendor's handshake, `POST` a delivery; whatever else is refused."""

    services: Services
    budget: BodyBudget
    certificates: ClientCertificates | None = None

    async def __call__(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        vendor = self._vendor(scope)
        match scope["method"]:
            case "POST":
                await self.deliver(vendor, scope, receive, send)
            case "GET":
                await self.shake_hands(vendor, scope, send)
            case _:
                msg = "a webhook takes GET and POST"
                raise MethodNotAllowedError(msg, allow="GET, POST")

    async def deliver(self, vendor: Vendor, scope: HTTPScope, receive: Receive, send: Send) -> None:
        """Keep a delivery, then say so.

        Raises:
            UnsupportedEncodingError: The body is compressed.
            InvalidOrgIdError: `orgid` is doubled or malformed.
            TooLargeError: The body is larger than 4 MB.
            SignatureError: Nobody who holds the app's secret signed it, or the vendor's client certificate is
                missing; nothing is stored.
            UnavailableError: It could not be stored; or too much is in memory already.
        """
        share = BodyShare(self.budget)
        try:
            await self._deliver(vendor, scope, receive, send, share)
        finally:
            share.give_back()

    async def _deliver(
        self, vendor: Vendor, scope: HTTPScope, receive: Receive, send: Send, share: BodyShare
    ) -> None:
        fail_point("P0")
        source = _source(vendor)
        if self.certificates is not None:
            self.certificates.check(scope, vendor.webhook_client_name)
        raw_headers = scope["headers"]
        _refuse_encoded(raw_headers)
        org_id = narrowing_org(scope["query_string"])
        body = await _body(raw_headers, receive, share)
        if body is None:
            return  # whoever sent it is gone
        fail_point("P2")
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in raw_headers]
        apps = await self.services.apps.signing(vendor, org_id)
        try:
            app = source.verify(Delivery(headers=headers, body=body), apps)
        except SignatureError:
            _counted(vendor.slug, "refused").inc()
            raise
        fail_point("P3")
        outcome = await self._keep(vendor, source, app, body, org_id)
        await send({"type": "http.response.start", "status": 200, "headers": _KEPT_HEADERS})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        fail_point("P7")
        _counted(vendor.slug, outcome).inc()
        LAST_HEARD[vendor.slug] = self.services.clock.now()

    async def _keep(
        self, vendor: Vendor, source: WebhookSource, app: VendorApp, body: bytes, org_id: str | None
    ) -> str:
        """Durable when this returns.

        What was signed and can't be read is kept aside, not sent back: the vendor would only send it again,
        and switch everybody's webhooks off after a while.
        """
        now = self.services.clock.now()
        if len(body) > LARGE_BODY or body.count(b",") > MANY_VALUES:
            changes, reason = await asyncio.to_thread(_split, vendor, source, body)
        else:
            changes, reason = _split(vendor, source, body)
        if changes:
            await self.services.storage.intake.keep(
                Arrival(
                    vendor=vendor.slug,
                    app_id=app.app_id,
                    received_at=now,
                    changes=changes,
                    # Whoever brought an app can sign anything with it: it speaks for that org alone.
                    narrow_to=org_id if app.org_id is None else app.org_id,
                )
            )
            return "kept"
        await self.services.storage.intake.keep_aside(
            Unreadable(vendor=vendor.slug, app_id=app.app_id, received_at=now, reason=reason, body=body)
        )
        return "kept_aside"

    async def shake_hands(self, vendor: Vendor, scope: HTTPScope, send: Send) -> None:
        """Answer a subscription's handshake with the bare challenge.

        Raises:
            SignatureError: The verify token is not ours, or something about the question is off.
        """
        query = scope["query_string"]
        pairs = _parameters(query)
        if pairs is None or len({name for name, _ in pairs}) != len(pairs):
            msg = "the handshake is garbled"
            raise SignatureError(msg)
        apps = await self.services.apps.signing(vendor, narrowing_org(query))
        challenge = _source(vendor).answer_handshake(dict(pairs), apps).encode()
        headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", str(len(challenge)).encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"cache-control", b"no-store"),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": challenge, "more_body": False})

    def _vendor(self, scope: HTTPScope) -> Vendor:
        address = _ADDRESS.fullmatch(scope["path"])
        vendor = self.services.vendors.by_slug.get(address.group(1)) if address else None
        if vendor is None or vendor.webhooks is None:
            msg = "no installed vendor has webhooks here"
            raise UnknownVendorError(msg)
        return vendor


@cache
def _counted(vendor: str, outcome: str) -> Counter:
    """The counter of one outcome; looking it up costs more than counting."""
    return DELIVERIES.labels(vendor, outcome)


def webhook_handlers(services: Services) -> list[BaseRouteHandler]:
    """The routes `/connect/webhook/{vendor}` and `/connect/webhook/{vendor}/{service}`."""
    budget = BodyBudget(services.settings.webhook_memory_mb * 1024 * 1024)
    route = WebhookRoute(services, budget, ClientCertificates.of(services.settings))

    # A mount, because the framework's router loses an ASGI handler that has parameters in its path.
    @asgi(
        "/connect/webhook",
        is_mount=True,
        opt={**PUBLIC, **QUIET},
        copy_scope=False,
        name="webhook",
    )
    async def webhook(scope: Scope, receive: Receive, send: Send) -> None:
        await route(cast("HTTPScope", scope), receive, send)

    return [webhook]


def narrowing_org(query: bytes) -> str | None:
    """The `orgid` of a webhook's address, if there is one. It can only ever narrow who gets a delivery.

    Raises:
        InvalidOrgIdError: There are two, or it is malformed.
    """
    if not query:
        return None
    plain = _PLAIN_ORG.fullmatch(query)  # what nearly every delivery has
    if plain is not None:
        return plain.group(1).decode("ascii")
    pairs = _parameters(query)
    named = [] if pairs is None else [value for name, value in pairs if name == "orgid"]
    if pairs is None or len(named) > 1 or not all(ORG_ID.fullmatch(value) for value in named):
        msg = "the orgid is malformed or doubled"
        raise InvalidOrgIdError(msg)
    return named[0] if named else None


def _parameters(query: bytes) -> list[tuple[str, str]] | None:
    """The query's parameters in order; `None` if there are too many to be meant."""
    try:
        return parse_qsl(query.decode("latin-1"), keep_blank_values=True, max_num_fields=_MOST_PARAMETERS)
    except ValueError:
        return None


def _refuse_encoded(headers: Iterable[tuple[bytes, bytes]]) -> None:
    for name, value in headers:
        if name == b"content-encoding" and value.strip().lower() not in {b"", b"identity"}:
            msg = "a webhook's body must not be compressed"
            raise UnsupportedEncodingError(msg)


async def _body(headers: Iterable[tuple[bytes, bytes]], receive: Receive, share: BodyShare) -> bytes | None:
    """The whole body; `None` if the sender went away. A `Content-Length` is only ever held against it.

    Raises:
        TooLargeError: It is larger than 4 MB, announced or not.
        RequestTimeoutError: It took longer than 20 seconds.
        UnavailableError: Too much is in memory already.
    """
    for name, value in headers:
        if name == b"content-length" and value.isdigit() and int(value) > MAX_BODY:
            raise _too_large()
    try:
        async with asyncio.timeout(READ_WITHIN.total_seconds()):
            return await _read(receive, share)
    except TimeoutError:
        msg = "the body did not arrive in time"
        raise RequestTimeoutError(msg) from None


async def _read(receive: Receive, share: BodyShare) -> bytes | None:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        chunk = message["body"]
        size += len(chunk)
        if size > MAX_BODY:
            raise _too_large()
        share.add(len(chunk))
        if not message["more_body"]:
            return b"".join((*chunks, chunk)) if chunks else chunk
        fail_point("P1")
        chunks.append(chunk)


def _too_large() -> TooLargeError:
    return TooLargeError("a webhook's body may be 4 MB")


def _source(vendor: Vendor) -> WebhookSource:
    if vendor.webhooks is None:
        msg = "no installed vendor has webhooks here"
        raise UnknownVendorError(msg)
    return vendor.webhooks


def _split(vendor: Vendor, source: WebhookSource, body: bytes) -> tuple[tuple[Change, ...], str]:
    """The delivery's changes; or none, and why not."""
    try:
        changes = source.split(body)
    except TooManyChangesError:
        return (), "too many changes"
    except MalformedError:
        return (), "malformed"
    except Exception:
        # The bytes are proven and must not get lost because a plugin stumbles over them.
        log.exception("delivery_not_split", vendor=vendor.slug, size=len(body))
        return (), "not understood"
    return changes, "" if changes else "empty"
