"""Both vendors' notices that somebody took the app away, held to the same promises."""

from datetime import datetime
from urllib.parse import urlencode

import pytest

from moorage_adapters.memory.withdrawals import MemoryWithdrawals
from moorage_adapters.memory.withdrawals import notice as memory_notice
from moorage_facebook.sandbox.jsontext import Json
from moorage_facebook.sandbox.webhooks import signed_request
from moorage_facebook.withdrawals import SignedRequests
from moorage_ports.testing.withdrawals import Notice, WithdrawalsContract
from moorage_ports.webhooks import VendorApp
from moorage_ports.withdrawals import Withdrawals


class TestMemoryWithdrawals(WithdrawalsContract):
    person = "person-1"
    channel = "board-1"

    def make(self) -> Withdrawals:
        return MemoryWithdrawals()

    @pytest.fixture
    def notice(self) -> Notice:
        def write(app: VendorApp, at: datetime, *, person: str = "", channel: str = "") -> bytes:
            return memory_notice(app, at, person=person, board=channel)

        return write


class TestGraphWithdrawals(WithdrawalsContract):
    person = "10206266332119368"
    channel = "1234567890"

    def make(self) -> Withdrawals:
        return SignedRequests()

    @pytest.fixture
    def notice(self) -> Notice:
        def write(app: VendorApp, at: datetime, *, person: str = "", channel: str = "") -> bytes:
            payload: dict[str, Json] = {
                "algorithm": "HMAC-SHA256",
                "issued_at": int(at.timestamp()),
                "user_id": person or 0,
            }
            if channel:
                payload["profile_id"] = channel
            return urlencode({"signed_request": signed_request(app.secret.reveal(), payload)}).encode()

        return write
