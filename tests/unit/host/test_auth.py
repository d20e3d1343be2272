"""A1: a token counts only if its one issuer made it for us, lately, with the one algorithm and our keys."""

import base64
import hmac
import json
import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from moorage.auth import (
    AuthError,
    Claims,
    ForbiddenError,
    InvalidOrgIdError,
    InvalidTokenError,
    MissingAuthorizationError,
    MissingOrgIdError,
    OrgMismatchError,
    TokenExpiredError,
    TokenVerifier,
    authenticate,
    issue_token,
    require_role,
)
from moorage.services import Caller
from moorage.settings import JwtSettings
from moorage_adapters.clock import FixedClock
from moorage_ports.operations import Role
from moorage_ports.secret import Secret

NOON = datetime(2030, 6, 1, 12, 0, tzinfo=UTC)
NOW = int(NOON.timestamp())
KEY = "k9f3Jx0vQm7Zt2Ls8Rw5Yb1Nc4Hd6Gp_Ua-EeTq3Xo9Ik2Vz7Bj5Md1Wl8"
SETTINGS = JwtSettings(secret=Secret(KEY), issuer="platform", audience="moorage")
GOOD: dict[str, Any] = {
    "sub": "user-1",
    "org": "org-a",
    "role": "admin",
    "iss": "platform",
    "aud": "moorage",
    "iat": NOW,
    "exp": NOW + 600,
}


def verifier(settings: JwtSettings = SETTINGS) -> TokenVerifier:
    return TokenVerifier(settings, FixedClock(NOON))


def signed(claims: Mapping[str, Any], key: Any = KEY, algorithm: str = "HS256", **headers: Any) -> bytes:
    """As an issuer with any ideas would sign; PyJWT's own encoder is too well-behaved for HS256 nonsense."""
    if algorithm != "HS256":
        return jwt.encode(dict(claims), key, algorithm=algorithm, headers=headers or None).encode()
    return hs256({"alg": "HS256", "typ": "JWT"} | headers, claims, key.encode())


def hs256(header: object, claims: object, key: bytes) -> bytes:
    text = f"{b64(header)}.{b64(claims)}"
    mac = hmac.digest(key, text.encode(), "sha256")
    return f"{text}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}".encode()


def b64(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def verify(token: bytes, settings: JwtSettings = SETTINGS) -> Claims:
    return verifier(settings).verify(token)


def test_a_good_token_says_who_asks() -> None:
    claims = verify(signed(GOOD | {"email": "boss@a.example"}))

    assert claims == Claims(
        subject="user-1", orgs=frozenset({"org-a"}), role=Role.ADMIN, email="boss@a.example"
    )


def test_an_org_claim_may_be_a_list_and_a_role_may_be_absent() -> None:
    claims = verify(signed({k: v for k, v in GOOD.items() if k != "role"} | {"org": ["a", "b"]}))

    assert (claims.orgs, claims.role) == (frozenset({"a", "b"}), Role.VIEWER)


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": "somebody-else"},
        {"iss": "somebody-else"},
        {"iss": ["platform"]},
        {"exp": NOW + 86_400 * 365},
        {"exp": NOW + 3_601},
        {"exp": NOW},
        {"exp": "soon"},
        {"exp": float("1e300")},
        {"exp": True},
        {"iat": NOW + 61, "exp": NOW + 300},
        {"iat": "now"},
        {"iat": -5},
        {"nbf": NOW + 61},
        {"nbf": "later"},
        {"sub": ""},
        {"sub": 7},
        {"sub": "x" * 256},
        {"org": ""},
        {"org": []},
        {"org": ["org-a", 7]},
        {"org": "org a"},
        {"org": {"org-a": True}},
        {"role": "owner"},
        {"role": ["admin"]},
        {"email": ["x@y.example"]},
    ],
)
def test_a1_claims_that_do_not_hold_are_refused(changes: dict[str, Any]) -> None:
    """A1: other audience or issuer, far or missing expiry, the future, and every wrong type."""
    with pytest.raises(InvalidTokenError):
        verify(signed(GOOD | changes))


@pytest.mark.parametrize("missing", ["sub", "org", "iss", "aud", "iat", "exp"])
def test_a1_every_claim_is_required(missing: str) -> None:
    """A1: a token that leaves one out is none."""
    with pytest.raises(InvalidTokenError):
        verify(signed({name: value for name, value in GOOD.items() if name != missing}))


def test_a1_leeway_is_thirty_seconds_and_expiry_has_its_own_name() -> None:
    """A1: clocks may disagree by less than a minute."""
    late = GOOD | {"iat": NOW - 600, "exp": NOW - 29}
    later = GOOD | {"iat": NOW - 600, "exp": NOW - 31}

    assert verify(signed(late)).subject == "user-1"
    with pytest.raises(TokenExpiredError):
        verify(signed(later))


def test_a1_no_algorithm_but_ours() -> None:
    """A1: `none` in any spelling, and another HMAC under the same key."""
    body = b64(GOOD)
    unsigned = [f"{b64({'alg': name, 'typ': 'JWT'})}.{body}." for name in ("none", "None", "nOnE", "NONE")]
    unsigned += [token + "AAAA" for token in unsigned]

    for token in [*(each.encode() for each in unsigned), signed(GOOD, algorithm="HS384")]:
        with pytest.raises(InvalidTokenError):
            verify(token)


@pytest.mark.parametrize(
    "header",
    [
        {"crit": ["exp"]},
        {"crit": ["b64"], "b64": False},
        {"kid": "../../../../dev/null"},
        {"kid": "x" * 9000},
        {"jku": "https://evil.example/keys"},
        {"x5u": "https://evil.example/cert"},
        {"jwk": {"kty": "oct", "k": "AAAA"}},
    ],
)
def test_a1_a_header_never_chooses_the_key(header: dict[str, Any]) -> None:
    """A1: signed with the attacker's own key, which the header names; and no extension is understood."""
    with pytest.raises(InvalidTokenError):
        verify(signed(GOOD, key="a" * 40, **header))
    if "crit" in header:
        with pytest.raises(InvalidTokenError):
            verify(signed(GOOD, **header))


def test_a1_a_token_of_seventy_kilobytes_is_refused_unread() -> None:
    """A1: nobody parses what no platform sends."""
    with pytest.raises(InvalidTokenError):
        verify(signed(GOOD | {"padding": "x" * 70_000}))


def test_a1_ten_thousand_mutants_and_none_gets_in() -> None:
    """A1: every bit of the token, cuts, doubled parts, swapped parts, spare bits of the signature's end."""
    good = signed(GOOD)
    chance = random.Random(20300601)
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    mutants = {
        bytes([*good[:i], good[i] ^ (1 << bit), *good[i + 1 :]]) for i in range(len(good)) for bit in range(8)
    }
    mutants |= {good[:cut] for cut in range(len(good))} | {good + bytes([extra]) for extra in range(256)}
    mutants |= {good[:-1] + bytes([last]) for last in alphabet}  # the same signature bytes, spelt otherwise
    while len(mutants) < 10_001:
        place, letter = chance.randrange(len(good)), chance.choice(alphabet)
        other = chance.randrange(len(good))
        mutants.add(good[:place] + bytes([letter]) + good[place + 1 :])
        mutants.add(good[:place] + bytes([letter]) + good[place:])
        mutants.add(good[: min(place, other)] + good[max(place, other) :])
    mutants.discard(good)
    assert len(mutants) >= 10_000

    check, accepted = verifier(), []
    for mutant in mutants:
        try:
            accepted.append(check.verify(mutant))
        except AuthError:
            continue
    assert accepted == []


@given(st.binary(max_size=300))
def test_a1_no_bytes_do_anything_but_get_refused(token: bytes) -> None:
    """A1: garbage is invalid, never a crash."""
    with pytest.raises(InvalidTokenError):
        verify(token)


@given(
    st.dictionaries(
        st.sampled_from(sorted(GOOD)), st.recursive(st.none() | st.integers() | st.text(), st.lists)
    )
)
def test_a1_signed_nonsense_is_refused_or_read_never_a_crash(changes: dict[str, Any]) -> None:
    """A1: an issuer with odd ideas breaks nothing."""
    try:
        verify(signed(GOOD | changes))
    except AuthError:
        return


# Asymmetric keys -----------------------------------------------------------------------------


def jwks(path: Path, *keys: Any) -> Path:
    made = []
    for key in keys:
        algorithm: Any = RSAAlgorithm if isinstance(key, rsa.RSAPublicKey) else ECAlgorithm
        made.append(json.loads(algorithm.to_jwk(key)))
    path.write_text(json.dumps({"keys": made}))
    return path


@pytest.fixture(scope="module")
def rsa_keys() -> tuple[rsa.RSAPrivateKey, rsa.RSAPrivateKey]:
    return rsa.generate_private_key(65537, 2048), rsa.generate_private_key(65537, 2048)


def test_a1_any_key_of_the_file_verifies_and_no_other(
    tmp_path: Path, rsa_keys: tuple[rsa.RSAPrivateKey, rsa.RSAPrivateKey]
) -> None:
    """A1: two keys may be live while one is rotated; the `kid` is not even looked at."""
    old, new = rsa_keys
    settings = JwtSettings(
        algorithm="RS256",
        jwks_file=jwks(tmp_path / "jwks.json", old.public_key(), new.public_key()),
        issuer="platform",
    )
    stranger = rsa.generate_private_key(65537, 2048)

    for key in rsa_keys:
        assert verify(signed(GOOD, key, "RS256", kid="whatever"), settings).subject == "user-1"
    with pytest.raises(InvalidTokenError):
        verify(signed(GOOD, stranger, "RS256"), settings)


def test_a1_a_public_key_is_no_hmac_secret(
    tmp_path: Path, rsa_keys: tuple[rsa.RSAPrivateKey, rsa.RSAPrivateKey]
) -> None:
    """A1: HS256 under the text of the public key, the classic confusion."""
    public = rsa_keys[0].public_key()
    settings = JwtSettings(
        algorithm="RS256", jwks_file=jwks(tmp_path / "jwks.json", public), issuer="platform"
    )
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    forged = hs256({"alg": "HS256", "typ": "JWT"}, GOOD, pem)

    with pytest.raises(InvalidTokenError):
        verify(forged, settings)


def test_es256_works_too(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    settings = JwtSettings(
        algorithm="ES256", jwks_file=jwks(tmp_path / "jwks.json", key.public_key()), issuer="platform"
    )

    assert verify(signed(GOOD, key, "ES256"), settings).subject == "user-1"


def test_a1_weak_keys_do_not_start(tmp_path: Path) -> None:
    """A1: less than 256 bits of secret, RSA below 2048, another curve, no file, a file of nonsense."""
    small = rsa.generate_private_key(65537, 1024).public_key()  # noqa: S505 - that is the point
    curve = ec.generate_private_key(ec.SECP384R1()).public_key()
    nonsense = tmp_path / "nonsense.json"
    nonsense.write_text("[" * 10_000)
    weak = [
        JwtSettings(),
        JwtSettings(secret=Secret("x" * 31)),
        JwtSettings(algorithm="RS256"),
        JwtSettings(algorithm="RS256", secret=Secret(KEY)),
        JwtSettings(algorithm="RS256", jwks_file=jwks(tmp_path / "small.json", small)),
        JwtSettings(algorithm="ES256", jwks_file=jwks(tmp_path / "curve.json", curve)),
        JwtSettings(algorithm="ES256", jwks_file=nonsense),
    ]

    for settings in weak:
        with pytest.raises(ValueError, match=r"needs|read"):
            verifier(settings)


# Headers -------------------------------------------------------------------------------------

BEARER = (b"authorization", b"Bearer " + signed(GOOD))


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ([], MissingAuthorizationError),
        ([(b"orgid", b"org-b")], MissingAuthorizationError),
        ([(b"authorization", b"")], InvalidTokenError),
        ([(b"authorization", b"Basic dXNlcjpwYXNz")], InvalidTokenError),
        ([BEARER, BEARER, (b"orgid", b"org-a")], InvalidTokenError),
        ([(b"authorization", b"Bearer x"), (b"orgid", b"org b")], InvalidTokenError),
        ([BEARER], MissingOrgIdError),
        ([BEARER, (b"orgid", b"")], InvalidOrgIdError),
        ([BEARER, (b"orgid", b"org-a"), (b"orgid", b"org-a")], InvalidOrgIdError),
        ([BEARER, (b"orgid", b"org-a, org-b")], InvalidOrgIdError),
        ([BEARER, (b"orgid", b"org-a\n")], InvalidOrgIdError),
        ([BEARER, (b"orgid", "örg".encode())], InvalidOrgIdError),
        ([BEARER, (b"orgid", b"x" * 65)], InvalidOrgIdError),
        ([BEARER, (b"orgid", b"org-b")], OrgMismatchError),
        ([BEARER, (b"orgid", b"ORG-A")], OrgMismatchError),
    ],
)
def test_a2_401_comes_before_400_before_403(
    headers: list[tuple[bytes, bytes]], error: type[AuthError]
) -> None:
    """A2: who asks is settled first, then for whom, then whether that fits."""
    with pytest.raises(error):
        authenticate(verifier(), headers)


def test_a_caller_is_bound_to_one_org() -> None:
    caller = authenticate(verifier(), [BEARER, (b"orgid", b"org-a")])

    assert caller == Caller(org_id="org-a", user_id="user-1", role=Role.ADMIN)


@pytest.mark.parametrize("has", list(Role))
@pytest.mark.parametrize("needs", list(Role))
def test_a_role_includes_those_below_it(has: Role, needs: Role) -> None:
    ladder = [Role.VIEWER, Role.AGENT, Role.ADMIN]
    caller = Caller(org_id="o", user_id="u", role=has)

    if ladder.index(has) >= ladder.index(needs):
        require_role(caller, needs)
    else:
        with pytest.raises(ForbiddenError):
            require_role(caller, needs)


def test_tokens_we_issue_are_tokens_we_accept() -> None:
    made = issue_token(
        SETTINGS, org_id="org-a", user_id="u", role=Role.AGENT, now=NOON, lifetime=timedelta(hours=1)
    )

    assert verify(made.encode()).role is Role.AGENT
    with pytest.raises(ValueError, match="at most"):
        issue_token(
            SETTINGS, org_id="o", user_id="u", role=Role.AGENT, now=NOON, lifetime=timedelta(seconds=3601)
        )
    with pytest.raises(ValueError, match="only verifies"):
        issue_token(
            JwtSettings(algorithm="RS256"),
            org_id="o",
            user_id="u",
            role=Role.AGENT,
            now=NOON,
            lifetime=timedelta(seconds=60),
        )
