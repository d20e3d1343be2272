"""Meta's signed requests: real vectors are read, ten thousand forgeries are not."""

import random
import string
from datetime import UTC, datetime
from urllib.parse import urlencode

import msgspec
import pytest

from moorage_facebook.sandbox.jsontext import Json
from moorage_facebook.sandbox.webhooks import signed_request
from moorage_facebook.withdrawals import SignedRequests, opened
from moorage_ports.errors import SignatureError
from moorage_ports.secret import Secret
from moorage_ports.webhooks import VendorApp
from tests.support.deliveries import SHARED

NOW = datetime(2030, 6, 1, 12, tzinfo=UTC)
SECRET = "an app secret of the tests' own"
PAYLOAD: dict[str, Json] = {
    "algorithm": "HMAC-SHA256",
    "issued_at": int(NOW.timestamp()),
    "user_id": "10206266332119368",
}


def app_with(secret: str) -> VendorApp:
    return VendorApp(vendor="facebook", app_id="1", secrets=(Secret(secret),), verify_token=Secret("word"))


def form(signed: str) -> bytes:
    return urlencode({"signed_request": signed}).encode()


def test_no_mutant_of_a_signed_request_is_believed() -> None:
    """G8: flipped, cut, doubled, swapped and re-encoded: 10,000 of them, none accepted."""
    dice, genuine, alphabet = random.Random(7), signed_request(SECRET, PAYLOAD), string.printable
    assert SignedRequests().read(form(genuine), [app_with(SECRET)], now=NOW).subject
    accepted, tried = [], 0
    while tried < 10_000:
        at = dice.randrange(len(genuine))
        mutant = dice.choice(
            (
                genuine[:at] + dice.choice(alphabet) + genuine[at + 1 :],
                genuine[:at] + genuine[at + 1 :],
                genuine[:at] + dice.choice(alphabet) + genuine[at:],
                genuine[:at] + genuine[at:][::-1],
                genuine + dice.choice("=.A"),
                ".".join(reversed(genuine.split("."))),
            )
        )
        if mutant == genuine:
            continue
        tried += 1
        try:
            SignedRequests().read(form(mutant), [app_with(SECRET)], now=NOW)
        except SignatureError:
            continue
        accepted.append(mutant)
    assert accepted == []


@pytest.mark.parametrize(
    "change",
    [
        {"algorithm": "none"},
        {"algorithm": ""},
        {"issued_at": 0},
        {"issued_at": "soon"},
        {"issued_at": 10**30},
        {"user_id": None},
        {"user_id": {"id": "1"}},
    ],
)
def test_what_is_signed_must_also_make_sense(change: dict[str, Json]) -> None:
    """A signature over nonsense proves who wrote the nonsense."""
    payload = {**PAYLOAD, **change}
    with pytest.raises(SignatureError):
        SignedRequests().read(form(signed_request(SECRET, payload)), [app_with(SECRET)], now=NOW)


@pytest.mark.parametrize("body", [b"", b"signed_request=", b"\xff", b"signed_request=a.b&signed_request=a.b"])
def test_the_form_has_exactly_one(body: bytes) -> None:
    with pytest.raises(SignatureError):
        SignedRequests().read(body, [app_with(SECRET)], now=NOW)


class _Vector(msgspec.Struct):
    secret: str
    signed_request: str


class _Vectors(msgspec.Struct):
    signed_request_vectors: list[_Vector]


def test_requests_that_meta_and_its_sdks_made_are_opened() -> None:
    """Padded and unpadded, ids as numbers and as text; our own stands in where the folder is absent."""
    path = SHARED / "SIGNATURE_VECTORS.json"
    vectors = (
        msgspec.json.decode(path.read_bytes(), type=_Vectors).signed_request_vectors if path.exists() else []
    )
    for vector in [*vectors, _Vector(secret=SECRET, signed_request=signed_request(SECRET, PAYLOAD))]:
        app, payload = opened(vector.signed_request, [app_with("another secret"), app_with(vector.secret)])
        assert app.secret == Secret(vector.secret)
        assert payload["algorithm"] == "HMAC-SHA256"
