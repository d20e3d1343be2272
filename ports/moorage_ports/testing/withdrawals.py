"""What every `Withdrawals` promises: nobody but the vendor ends a grant, and no old notice ends a new one."""

from datetime import datetime, timedelta
from typing import Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage_ports.errors import SignatureError
from moorage_ports.secret import Secret
from moorage_ports.testing.contract import Contract
from moorage_ports.testing.inputs import inherited
from moorage_ports.testing.lent import BEGINNING
from moorage_ports.webhooks import VendorApp
from moorage_ports.withdrawals import Withdrawals


class Notice(Protocol):
    """Writes a vendor's notice that `person` or `channel` left `app`, issued at `at`."""

    def __call__(self, app: VendorApp, at: datetime, *, person: str = "", channel: str = "") -> bytes: ...


def an_app(vendor: str, app_id: str, *secrets: str) -> VendorApp:
    """A registration with these secrets, newest first."""
    return VendorApp(
        vendor=vendor,
        app_id=app_id,
        secrets=tuple(map(Secret, secrets)),
        verify_token=Secret("a word of ours"),
    )


OURS = an_app("any", "1001", "the newest secret there is", "the one before, still live")
THEIRS = an_app("any", "1002", "a secret of somebody else's")


class WithdrawalsContract(Contract):
    """Subclass as `Test<Vendor>Withdrawals`; say `make`, `notice`, `person` and `channel`."""

    person: str
    channel: str

    def make(self) -> Withdrawals:
        """The port; it keeps nothing, so each may be a new one."""
        raise NotImplementedError

    @pytest.fixture
    def withdrawals(self) -> Withdrawals:
        """The port."""
        return self.make()

    @pytest.fixture
    def notice(self) -> Notice:
        """How the vendor writes."""
        raise NotImplementedError

    def test_a_person_who_left_is_named(self, withdrawals: Withdrawals, notice: Notice) -> None:
        """With the app that signed, also when it is one of several, and when it was written."""
        body = notice(OURS, BEGINNING, person=self.person)
        read = withdrawals.read(body, [THEIRS, OURS], now=BEGINNING)
        assert read.subject == Secret(self.person)
        assert (read.app, read.channel_external_id, read.issued_at) == (OURS, "", BEGINNING)

    def test_a_channel_that_left_is_named(self, withdrawals: Withdrawals, notice: Notice) -> None:
        """The channel itself, and no person."""
        read = withdrawals.read(notice(OURS, BEGINNING, channel=self.channel), [OURS], now=BEGINNING)
        assert (read.subject, read.channel_external_id) == (None, self.channel)

    def test_the_secret_before_still_counts(self, withdrawals: Withdrawals, notice: Notice) -> None:
        """While a secret is being rotated, both sign."""
        before = an_app(OURS.vendor, OURS.app_id, OURS.secrets[1].reveal())
        assert (
            withdrawals.read(notice(before, BEGINNING, person=self.person), [OURS], now=BEGINNING).app == OURS
        )

    def test_another_apps_notice_is_refused(self, withdrawals: Withdrawals, notice: Notice) -> None:
        """`SignatureError`: well signed, by somebody else; and without an app nothing can be proven."""
        body = notice(THEIRS, BEGINNING, person=self.person)
        for apps in ([OURS], []):
            with pytest.raises(SignatureError):
                withdrawals.read(body, apps, now=BEGINNING)

    @pytest.mark.parametrize("days", [-30, 30])
    def test_a_stale_notice_is_refused(self, withdrawals: Withdrawals, notice: Notice, days: int) -> None:
        """`SignatureError`: whoever kept an old one cannot end with it what was granted since."""
        body = notice(OURS, BEGINNING + timedelta(days=days), person=self.person)
        with pytest.raises(SignatureError):
            withdrawals.read(body, [OURS], now=BEGINNING)

    def test_a_notice_about_nobody_is_refused(self, withdrawals: Withdrawals, notice: Notice) -> None:
        """`SignatureError`, although it is well signed."""
        with pytest.raises(SignatureError):
            withdrawals.read(notice(OURS, BEGINNING), [OURS], now=BEGINNING)

    def test_a_deletion_is_answered_with_where_to_look(self, withdrawals: Withdrawals) -> None:
        """As plain texts, for the person to see: the address and the code, unchanged."""
        url, code = "https://host.example/connect/data-deletion/any/a1b2c3", "a1b2c3"
        answer = withdrawals.deletion_answer(status_url=url, code=code)
        assert {url, code} <= set(answer.values())

    @inherited
    @given(body=st.binary(max_size=300))
    def test_anything_else_is_refused(self, body: bytes) -> None:
        """`SignatureError`, never another exception: the address is open to anybody."""
        with pytest.raises(SignatureError):
            self.make().read(body, [OURS], now=BEGINNING)
