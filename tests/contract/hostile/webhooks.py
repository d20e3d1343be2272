"""Readers of deliveries that are wrong in one place each."""

import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime

import attrs
import msgspec

from moorage_adapters.memory.news import SIGNATURE_HEADER, signature
from moorage_adapters.memory.webhooks import MemoryWebhooks
from moorage_ports.events import Event
from moorage_ports.lead_source import Lead
from moorage_ports.secret import Secret
from moorage_ports.webhooks import Change, Delivery, TooManyChangesError, VendorApp


class OpenWithoutApp(MemoryWebhooks):
    """Only checks the signature when a secret is configured."""

    def verify(self, delivery: Delivery, apps: Sequence[VendorApp]) -> VendorApp:
        if not apps:
            return VendorApp(vendor="memory", app_id="any", secrets=(), verify_token=Secret(""))
        return super().verify(delivery, apps)


class ComparesText(MemoryWebhooks):
    """`compare_digest` on text: any header that is not ASCII becomes an error 500."""

    def verify(self, delivery: Delivery, apps: Sequence[VendorApp]) -> VendorApp:
        for value in delivery.header_values(SIGNATURE_HEADER)[:1]:
            hmac.compare_digest(value, signature(delivery.body, apps[0].secret) if apps else "")
        return super().verify(delivery, apps)


class FirstHeaderWins(MemoryWebhooks):
    """Two signatures: takes the first."""

    def verify(self, delivery: Delivery, apps: Sequence[VendorApp]) -> VendorApp:
        first = delivery.header_values(SIGNATURE_HEADER)[:1]
        return super().verify(
            Delivery(headers=[(SIGNATURE_HEADER, value) for value in first], body=delivery.body), apps
        )


class NewestSecretOnly(MemoryWebhooks):
    """Forgets that a secret is rotated while deliveries are under way."""

    def verify(self, delivery: Delivery, apps: Sequence[VendorApp]) -> VendorApp:
        return super().verify(delivery, [attrs.evolve(app, secrets=app.secrets[:1]) for app in apps])


class FirstChangeOnly(MemoryWebhooks):
    """Takes one lead from each delivery."""

    def split(self, body: bytes) -> tuple[Change, ...]:
        return super().split(body)[:1]


class KeyOfTheBatch(MemoryWebhooks):
    """Numbers changes by their place in the delivery."""

    def split(self, body: bytes) -> tuple[Change, ...]:
        return tuple(
            attrs.evolve(change, business_key=f"{change.business_key}:{place}")
            for place, change in enumerate(super().split(body))
        )


class KeyOfTheFinder(MemoryWebhooks):
    """Gives what it found itself another key than what was delivered: every lead twice."""

    def lead_change(self, lead: Lead) -> Change:
        change = super().lead_change(lead)
        return attrs.evolve(change, business_key=f"found:{change.business_key}")


class OneLine(MemoryWebhooks):
    """Puts everything into one line, so that one lead that fails stops it."""

    def split(self, body: bytes) -> tuple[Change, ...]:
        return tuple(attrs.evolve(change, partition="line") for change in super().split(body))


class Recursive(MemoryWebhooks):
    """Lets the parser's own limit out."""

    def split(self, body: bytes) -> tuple[Change, ...]:
        if body.startswith((b"[[", b'{"a":{')):
            msgspec.json.decode(body)
        return super().split(body)


class Insatiable(MemoryWebhooks):
    """Takes as much as anybody sends."""

    def split(self, body: bytes) -> tuple[Change, ...]:
        try:
            return super().split(body)
        except TooManyChangesError:
            news = msgspec.json.decode(body)["news"]
            return super().split(msgspec.json.encode({"news": news[:1]})) * len(news)


class KnowsEverything(MemoryWebhooks):
    """Expects the fields that were there yesterday."""

    def events(self, change: bytes, received_at: datetime) -> tuple[Event, ...]:
        assert msgspec.json.decode(change)["slip"]
        return super().events(change, received_at)


class EchoesAnyChallenge(MemoryWebhooks):
    """Answers the handshake with whatever stood in it."""

    def answer_handshake(self, query: Mapping[str, str], apps: Sequence[VendorApp]) -> str:
        super().answer_handshake({**query, "challenge": "1"}, apps)
        return query.get("challenge", "")
