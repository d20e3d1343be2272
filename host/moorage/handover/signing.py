"""Messages as Standard Webhooks has them: their envelope, their headers, their secrets.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import secrets
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

import msgspec
from standardwebhooks import Webhook

from moorage.codec import to_plain
from moorage_ports.outgoing import Parcel
from moorage_ports.secret import Secret

PREFIX: Final = "whsec_"
SECRET_BYTES: Final = 32  # 24 to 64 are allowed


def new_secret() -> Secret:
    """A secret that nobody has seen yet."""
    return Secret(PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode())


def body_of(parcel: Parcel) -> bytes:
    """What is sent: the same bytes at every try."""
    envelope = {
        "type": parcel.handover.event_type.value,
        "timestamp": to_plain(parcel.handover.created_at),
        "data": msgspec.Raw(parcel.payload),
    }
    return msgspec.json.encode(envelope)


def headers_of(message_id: str, body: bytes, signing: Iterable[Secret], now: datetime) -> Mapping[str, str]:
    """The headers of one try: each live secret signs, so that a receiver may change over when it likes."""
    at = now.astimezone(UTC)  # the library takes any moment for one in UTC
    text = body.decode()
    signatures = [Webhook(secret.reveal()).sign(message_id, at, text) for secret in signing]
    return {
        "content-type": "application/json",
        "user-agent": "Moorage",
        "accept-encoding": "identity",
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }
