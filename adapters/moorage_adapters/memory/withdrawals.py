"""`MemoryWithdrawals`: reads the notice that somebody took the app away, which is signed whole."""

import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated

import msgspec

from moorage_adapters.memory.news import signature
from moorage_ports.errors import SignatureError
from moorage_ports.secret import Secret
from moorage_ports.webhooks import VendorApp
from moorage_ports.withdrawals import Withdrawal

FRESH = timedelta(hours=1)


class _Notice(msgspec.Struct):
    """Who left: a person, or a board by itself."""

    at: Annotated[datetime, msgspec.Meta(tz=True)]
    person: str = ""
    board: str = ""


def notice(app: VendorApp, at: datetime, *, person: str = "", board: str = "") -> bytes:
    """A notice as the vendor sends it: the signature, a blank, what was signed."""
    told = msgspec.json.encode(_Notice(at=at, person=person, board=board))
    return signature(told, app.secret).encode() + b" " + told


class MemoryWithdrawals:
    """`Withdrawals`. It needs nothing but what it is handed."""

    def read(self, body: bytes, apps: Sequence[VendorApp], *, now: datetime) -> Withdrawal:
        given, _, told = body.partition(b" ")
        app = next((app for app in apps if _signed(app, given, told)), None)
        try:
            left = msgspec.json.decode(told, type=_Notice)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            left = None
        if app is None or left is None or not (left.person or left.board) or abs(now - left.at) > FRESH:
            msg = "this is no fresh notice that a secret of ours signed"
            raise SignatureError(msg)
        if left.person:
            return Withdrawal(app=app, subject=Secret(left.person), issued_at=left.at)
        return Withdrawal(app=app, channel_external_id=left.board, issued_at=left.at)

    def deletion_answer(self, *, status_url: str, code: str) -> Mapping[str, str]:
        return {"look_at": status_url, "ask_for": code}


def _signed(app: VendorApp, given: bytes, told: bytes) -> bool:
    return any(hmac.compare_digest(signature(told, secret).encode(), given) for secret in app.secrets)
