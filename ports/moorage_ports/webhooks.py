"""`WebhookSource`: how a vendor's deliveries are proven, split by owner and understood.

Everything here is pure: no network, no clock, no store. The host keeps bytes before it asks for meaning.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Protocol

import attrs

from moorage_ports.errors import MalformedError
from moorage_ports.events import Event
from moorage_ports.lead_source import Lead
from moorage_ports.secret import Secret

MOST_CHANGES: Final = 4_000  # of one delivery; each is a row, and whoever brought an app signs what they like


class TooManyChangesError(MalformedError):
    """A delivery of more than `MOST_CHANGES`: nobody's vendor sends that."""


@attrs.frozen(kw_only=True)
class VendorApp:
    """A registration with the vendor: the host's own, or one that an org brought (`org_id` set)."""

    vendor: str
    app_id: str
    secrets: tuple[Secret, ...]  # live ones, newest first: more than one while a secret is rotated
    verify_token: Secret
    org_id: str | None = None

    @property
    def secret(self) -> Secret:
        """The secret to sign with."""
        return self.secrets[0]


@attrs.frozen(kw_only=True)
class Delivery:
    """One webhook request as it came: header pairs keep their order and their doubles, names lower case."""

    headers: Sequence[tuple[str, str]] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)

    def header_values(self, name: str) -> tuple[str, ...]:
        """Every value sent under `name` (lower case), in order."""
        return tuple(value for key, value in self.headers if key == name)


@attrs.frozen(kw_only=True)
class Change:
    """One change of a delivery, cut out so that it can belong to one org.

    `owner_keys` are the vendor's ids of channels it may belong to, the surest first (empty: nobody's).
    `business_key` names the happening itself, so that a second delivery of it is recognised.
    Changes of one `partition` are applied in order, so one that fails holds up those behind it: what needs no
    order among its like (a lead) is a partition of its own. `body` is what `WebhookSource.events` reads.
    """

    kind: str
    owner_keys: tuple[str, ...]
    business_key: str
    partition: str
    body: bytes = attrs.field(repr=False)


class WebhookSource(Protocol):
    """A vendor's webhooks, from the handshake to neutral events."""

    def answer_handshake(self, query: Mapping[str, str], apps: Sequence[VendorApp]) -> str:
        """The bare challenge to answer a subscription handshake with.

        Raises:
            SignatureError: The verify token is not ours, or the challenge is not a plain number.
        """
        ...

    def verify(self, delivery: Delivery, apps: Sequence[VendorApp]) -> VendorApp:
        """Say which app signed exactly these bytes; every live secret of every app is tried.

        Raises:
            SignatureError: None did; the header is missing, doubled or garbled; or `apps` is empty.
        """
        ...

    def split(self, body: bytes) -> tuple[Change, ...]:
        """Every change of a verified delivery, in order. May be called in any thread.

        Raises:
            MalformedError: The body is not a delivery (not JSON, too deep, no entries).
            TooManyChangesError: It has more than `MOST_CHANGES`; found out before more than those are made.
        """
        ...

    def events(self, change: bytes, received_at: datetime) -> tuple[Event, ...]:
        """What one kept change means. Total over whatever `split` produced: unknown becomes `Unmapped`.

        `received_at` stands in for the moment of what says none of its own.
        """
        ...

    def lead_change(self, lead: Lead) -> Change:
        """The change that a delivery announces `lead` with: same owner, business key and partition.

        So a lead whose delivery got lost goes the way of all others, and is one with it if it comes late.
        """
        ...
