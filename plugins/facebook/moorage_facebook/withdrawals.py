"""Meta's `signed_request`: what callbacks are sent when somebody removes the app, or wants to be forgotten.

https://developers.facebook.com/docs/facebook-login/guides/advanced/manual-flow (deauthorize callback)
https://developers.facebook.com/docs/development/create-an-app/app-dashboard/data-deletion-callback
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import parse_qsl

from moorage_facebook.graph.values import UnreadableError, decode, integer, node_id, record, text
from moorage_ports.errors import SignatureError
from moorage_ports.secret import Secret
from moorage_ports.webhooks import VendorApp
from moorage_ports.withdrawals import Withdrawal

ALGORITHM: Final = "HMAC-SHA256"
FRESH: Final = timedelta(days=1)  # how long after it was issued one is still believed
_AHEAD: Final = timedelta(minutes=5)  # how far Meta's clock may be before ours
_LONGEST: Final = 8192
_BASE64URL: Final = re.compile(r"[A-Za-z0-9_-]+={0,2}")


class SignedRequests:
    """`Withdrawals` of Meta: a form with one field, `signed_request`."""

    def read(self, body: bytes, apps: Sequence[VendorApp], *, now: datetime) -> Withdrawal:
        """The person or the Page that removed the app; a Page's message has a `user_id` of 0 or none."""
        app, payload = opened(_field(body), apps)
        issued = integer(payload.get("issued_at"))
        issued_at = datetime.fromtimestamp(issued, UTC) if issued and 0 < issued < 1e11 else None
        if issued_at is None or not now - FRESH <= issued_at <= now + _AHEAD:
            raise _refused("is not a fresh one")
        user_id, page_id = node_id(payload.get("user_id")), node_id(payload.get("profile_id"))
        if user_id in {"", "0"} and page_id in {"", "0"}:
            raise _refused("names nobody")
        if user_id in {"", "0"}:
            return Withdrawal(app=app, channel_external_id=page_id, issued_at=issued_at)
        return Withdrawal(app=app, subject=Secret(user_id), issued_at=issued_at)

    def deletion_answer(self, *, status_url: str, code: str) -> Mapping[str, str]:
        """https://developers.facebook.com/docs/development/create-an-app/app-dashboard/data-deletion-callback"""
        return {"url": status_url, "confirmation_code": code}


def opened(signed: str, apps: Sequence[VendorApp]) -> tuple[VendorApp, Mapping[str, object]]:
    """The app that signed and the payload. The signature is over the payload as it is encoded.

    Raises:
        SignatureError: Nobody of `apps` signed it, or it is garbled.
    """
    signature, _, encoded = signed.partition(".")
    is_padded = signed.count("=") > 0
    given = _decoded(signature, is_padded=is_padded)
    matches = [
        app
        for app in apps
        for secret in app.secrets
        if hmac.compare_digest(_signature(secret, encoded), given) and secret
    ]
    if not matches:
        raise _refused("was not signed with a secret of ours")
    try:
        payload = record(decode(_decoded(encoded, is_padded=is_padded)))
    except UnreadableError:
        raise _refused("is not readable") from None
    if text(payload.get("algorithm")).upper() != ALGORITHM:
        raise _refused("names another algorithm")
    return matches[0], payload


def _field(body: bytes) -> str:
    try:
        pairs = parse_qsl(body[:_LONGEST].decode("ascii"), max_num_fields=8)
    except ValueError:
        pairs = []
    values = [value for name, value in pairs if name == "signed_request"]
    if len(values) != 1 or len(body) > _LONGEST:
        raise _refused("is not there, or more than once")
    return values[0]


def _signature(secret: Secret, encoded: str) -> bytes:
    return hmac.digest(secret.reveal().encode(), encoded.encode(), hashlib.sha256)


def _decoded(part: str, *, is_padded: bool) -> bytes:
    """Base64 for URLs, as exactly one text encodes it: spare bits and stray padding are refused."""
    if not _BASE64URL.fullmatch(part):
        raise _refused("is not base64")
    bare = part.rstrip("=")
    try:
        data = base64.urlsafe_b64decode(bare + "=" * (-len(bare) % 4))
    except binascii.Error:
        raise _refused("is not base64") from None
    canonical = base64.urlsafe_b64encode(data).decode()
    if part != (canonical if is_padded else canonical.rstrip("=")):
        raise _refused("is not base64 as it is written")
    return data


def _refused(why: str) -> SignatureError:
    return SignatureError(f"the signed request {why}")
