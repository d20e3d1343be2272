"""Nothing gets in but what somebody who holds an app secret signed; nothing is echoed but a plain number."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage_facebook.webhooks import GraphWebhooks
from moorage_ports.errors import SignatureError
from moorage_ports.secret import Secret
from moorage_ports.webhooks import Delivery, VendorApp
from tests.unit.facebook.fixtures import fixture

WEBHOOKS = GraphWebhooks()
HEADER = "x-hub-signature-256"
APP = VendorApp(
    vendor="facebook",
    app_id="1",
    secrets=(Secret("new secret"), Secret("old secret")),
    verify_token=Secret("verify me"),
)
OTHER = VendorApp(
    vendor="facebook", app_id="2", secrets=(Secret("another"),), verify_token=Secret("verify other")
)
# Escapes as Meta writes them, odd blanks, a key twice, a line end: any re-serialising would change it.
BODY = b'{"object":"page", "a":1,"a":2, "entry":[{"id":"1","x":"\\u00e4 \\ud83d\\ude00 https:\\/\\/a.b"}]}\n'


def sign(body: bytes, secret: str) -> str:
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def delivery(body: bytes, *values: str, name: str = HEADER) -> Delivery:
    return Delivery(headers=[("content-type", "application/json"), *((name, v) for v in values)], body=body)


def refuses(candidate: Delivery, *apps: VendorApp) -> bool:
    try:
        WEBHOOKS.verify(candidate, apps)
    except SignatureError:
        return True
    return False


def test_w1_the_raw_bytes_are_what_counts() -> None:
    """W1: signed as sent, verified as received; the same JSON written anew is another body."""
    import json

    rewritten = json.dumps(json.loads(BODY), ensure_ascii=False).encode()

    assert WEBHOOKS.verify(delivery(BODY, sign(BODY, "new secret")), [APP]) is APP
    assert refuses(delivery(rewritten, sign(BODY, "new secret")), APP)


def test_w1_sha1_opens_nothing() -> None:
    """W1: the legacy header is not looked at, alone or beside a wrong new one."""
    legacy = "sha1=" + hmac.new(b"new secret", BODY, hashlib.sha1).hexdigest()

    assert refuses(delivery(BODY, legacy, name="x-hub-signature"), APP)
    assert refuses(delivery(BODY, legacy), APP)


@pytest.mark.parametrize(
    "values",
    [
        (),
        ("",),
        ("sha256=",),
        (sign(BODY, "new secret")[:-1],),
        (sign(BODY, "new secret") + "0",),
        (sign(BODY, "new secret").upper(),),
        (sign(BODY, "new secret").removeprefix("sha256="),),
        (sign(BODY, "new secret"), sign(BODY, "new secret")),
        (sign(BODY, "new secret"), sign(BODY, "wrong")),
        ("sha256=é€\ud800",),
        (f" {sign(BODY, 'new secret')}",),
    ],
)
def test_w2_a_header_that_is_not_exactly_right_is_refused(values: tuple[str, ...]) -> None:
    """W2: missing, empty, short, long, doubled, foreign: refused, never a crash."""
    assert refuses(delivery(BODY, *values), APP)


@given(value=st.text(alphabet=st.characters(codec=None)), body=st.binary(max_size=200))
def test_w2_no_header_value_crashes_or_opens(value: str, body: bytes) -> None:
    """W2: strangers choose the header."""
    assert refuses(delivery(body, value), APP)


@given(body=st.binary(max_size=400), flip=st.integers(min_value=0))
def test_w1_any_changed_byte_is_refused(body: bytes, flip: int) -> None:
    signature = sign(body, "new secret")
    at = flip % (len(body) + 1)
    changed = body[:at] + b"!" + body[at:]

    assert not refuses(delivery(body, signature), APP)
    assert refuses(delivery(changed, signature), APP)


def test_w9_every_live_secret_of_every_app_is_accepted() -> None:
    """W9: while a secret is changed, deliveries signed with either come through; the app is named."""
    assert WEBHOOKS.verify(delivery(BODY, sign(BODY, "new secret")), [OTHER, APP]) is APP
    assert WEBHOOKS.verify(delivery(BODY, sign(BODY, "old secret")), [OTHER, APP]) is APP
    assert WEBHOOKS.verify(delivery(BODY, sign(BODY, "another")), [OTHER, APP]) is OTHER
    assert refuses(delivery(BODY, sign(BODY, "retired secret")), OTHER, APP)


def test_w10_without_a_secret_nothing_is_accepted() -> None:
    """W10: no app, no secret, an empty secret: closed, not open. An empty key is one that anybody has."""
    keyless = VendorApp(vendor="facebook", app_id="3", secrets=(), verify_token=Secret(""))
    empty = VendorApp(vendor="facebook", app_id="3", secrets=(Secret(""),), verify_token=Secret(""))

    assert refuses(delivery(BODY, sign(BODY, "")))
    assert refuses(delivery(BODY, sign(BODY, "")), keyless)
    assert refuses(delivery(BODY, sign(BODY, "")), empty)


def handshake(**changes: str) -> dict[str, str]:
    query = {"hub.mode": "subscribe", "hub.verify_token": "verify me", "hub.challenge": "1158201444"}
    return query | {f"hub.{name}": value for name, value in changes.items()}


def test_w17_the_bare_challenge_is_answered() -> None:
    """W17: to whoever knows one app's verify token."""
    assert WEBHOOKS.answer_handshake(handshake(), [OTHER, APP]) == "1158201444"
    assert WEBHOOKS.answer_handshake(handshake(verify_token="verify other"), [OTHER, APP]) == "1158201444"


@pytest.mark.parametrize(
    "challenge",
    ["", "12a", "-1", "1.5", " 1", "1\n", "٣", "1" * 21, "<script>alert(1)</script>", "1\x00"],
)
def test_w17_nothing_but_digits_is_echoed(challenge: str) -> None:
    """W17: otherwise a link to us would show a page of somebody else's making."""
    with pytest.raises(SignatureError):
        WEBHOOKS.answer_handshake(handshake(challenge=challenge), [APP])


@pytest.mark.parametrize(
    "query",
    [
        {},
        handshake(verify_token=""),
        handshake(verify_token="verify m"),
        handshake(verify_token="vérify me"),
        handshake(verify_token="\ud800"),
        handshake(mode="unsubscribe"),
        {"hub.challenge": "1", "hub.verify_token": "verify me"},
    ],
)
def test_w17_only_our_verify_token_subscribes(query: dict[str, str]) -> None:
    """W17: and only for a subscription."""
    with pytest.raises(SignatureError):
        WEBHOOKS.answer_handshake(query, [APP])


def test_w17_an_unset_verify_token_matches_nothing() -> None:
    """W10, W17: an app without one has no handshake."""
    unset = VendorApp(vendor="facebook", app_id="3", secrets=(Secret("s"),), verify_token=Secret(""))

    with pytest.raises(SignatureError):
        WEBHOOKS.answer_handshake(handshake(verify_token=""), [unset])
    with pytest.raises(SignatureError):
        WEBHOOKS.answer_handshake(handshake(), [])


def test_w1_a_real_shape_verifies() -> None:
    body = fixture("feed__comment_edited_odd_text")

    assert WEBHOOKS.verify(delivery(body, sign(body, "old secret")), [APP]) is APP
