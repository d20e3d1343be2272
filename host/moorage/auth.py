"""Who asks: the platform's JWT and the `orgid` header, made into a `Caller` before anything else happens.

A handler needs a caller unless its `opt` says otherwise (`PUBLIC`, `SESSION`): the exemption hangs on the
handler and never on the shape of a path. The order is fixed: 401, then 400, then 403; 404 comes after.
"""

import base64
import binascii
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, cast

import attrs
import jwt
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from moorage.services import Caller
from moorage.settings import JwtSettings
from moorage_ports.clock import Clock
from moorage_ports.errors import MoorageError
from moorage_ports.operations import Role
from moorage_ports.values import ORG_ID

AUTH: Final = "auth"
PUBLIC: Final[dict[str, str]] = {AUTH: "public"}  # nobody is asked who they are
SESSION: Final[dict[str, str]] = {AUTH: "session"}  # the admin UI asks for its own cookie

QUIET: Final[dict[str, bool]] = {"quiet": True}  # answers below 400 leave no line in the access log

MAX_TOKEN_BYTES: Final = 8192
_COMPACT: Final = re.compile(rb"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_BEARER: Final = re.compile(rb"[Bb][Ee][Aa][Rr][Ee][Rr] +(\S+)")
_REQUIRED: Final = ["sub", "org", "iss", "aud", "iat", "exp"]
_LADDER: Final = (Role.VIEWER, Role.AGENT, Role.ADMIN)


class AuthError(MoorageError):
    """Something about who asks does not hold."""

    code = "invalid_token"
    title = "The token is not valid"
    default_remedy = "Send a valid token of your platform in the Authorization header."


class MissingAuthorizationError(AuthError):
    """No `Authorization: Bearer …` was sent."""

    code = "missing_authorization_header"
    title = "Not signed in"


class InvalidTokenError(AuthError):
    """The token was not made for us by whom we trust; which part fails is not said."""


class TokenExpiredError(AuthError):
    """The token was good once."""

    code = "token_expired"
    title = "The token has expired"
    default_remedy = "Get a new token from your platform and send the request again."


class MissingOrgIdError(AuthError):
    """No `orgid` header was sent."""

    code = "missing_orgid"
    title = "No organisation was named"
    default_remedy = "Name the organisation in the orgid header."


class InvalidOrgIdError(AuthError):
    """The `orgid` is malformed or was sent more than once."""

    code = "invalid_orgid"
    title = "The organisation's id does not fit"
    default_remedy = "Send exactly one orgid: 1 to 64 letters, digits, _ or -."


class OrgMismatchError(AuthError):
    """The token does not speak for that organisation."""

    code = "org_mismatch"
    title = "The token does not speak for this organisation"
    default_remedy = "Use a token that names this organisation in its org claim."


class ForbiddenError(AuthError):
    """The caller's role does not reach that far."""

    code = "forbidden"
    title = "Not allowed for this role"
    default_remedy = "Ask somebody with a higher role in your organisation."


@attrs.frozen(kw_only=True)
class Claims:
    """What a verified token says."""

    subject: str
    orgs: frozenset[str]
    role: Role
    email: str = attrs.field(default="", repr=False)


class TokenVerifier:
    """Checks tokens of one issuer, with one algorithm and only the keys of the settings.

    Nothing in a token chooses a key: `kid`, `jku`, `x5u` and `jwk` are not read; every key of a JWKS file is
    tried instead, so that two may be live while one is rotated.
    """

    def __init__(self, settings: JwtSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._keys = settings.verification_keys()

    def verify(self, token: bytes) -> Claims:
        """The claims of `token`.

        Raises:
            InvalidTokenError: Anything about it is not as it must be.
            TokenExpiredError: Only its time is over.
        """
        if len(token) > MAX_TOKEN_BYTES or not _COMPACT.fullmatch(token) or not _is_canonical(token):
            raise _invalid()
        claims = self._signed_claims(token.decode("ascii"))
        self._check_times(claims)
        return _read(claims)

    def _signed_claims(self, token: str) -> Mapping[str, object]:
        for key in self._keys:
            try:
                whole = jwt.decode_complete(
                    token,
                    key=cast("Any", key),  # PyJWT's own union of key types
                    algorithms=[self._settings.algorithm],
                    issuer=self._settings.issuer,
                    audience=self._settings.audience,
                    # Times are checked below, on the host's clock.
                    options={
                        "require": _REQUIRED,
                        "verify_exp": False,
                        "verify_iat": False,
                        "verify_nbf": False,
                    },
                )
            except jwt.InvalidSignatureError:
                continue
            except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
                raise _invalid() from None
            if "crit" in whole["header"]:  # an extension that we would have to understand
                raise _invalid()
            return cast("Mapping[str, object]", whole["payload"])
        raise _invalid()

    def _check_times(self, claims: Mapping[str, object]) -> None:
        issued, expires = _seconds(claims["iat"]), _seconds(claims["exp"])
        starts = _seconds(claims.get("nbf", claims["iat"]))
        now = self._clock.now().timestamp()
        leeway = self._settings.leeway.total_seconds()
        if not 0 < expires - issued <= self._settings.max_lifetime.total_seconds():
            raise _invalid()
        if max(issued, starts) > now + leeway:
            raise _invalid()
        if expires <= now - leeway:
            msg = "the token has expired"
            raise TokenExpiredError(msg)


def _invalid() -> InvalidTokenError:
    return InvalidTokenError("the token is not valid here")


def _is_canonical(token: bytes) -> bool:
    """Base64 has spare bits at its end: without this, several spellings of one signature would pass."""
    signature = token.rsplit(b".", 1)[1]
    try:
        decoded = base64.urlsafe_b64decode(signature + b"=" * (-len(signature) % 4))
    except (binascii.Error, ValueError):
        return False
    return base64.urlsafe_b64encode(decoded).rstrip(b"=") == signature


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e11:
        raise _invalid()
    return float(value)


def _read(claims: Mapping[str, object]) -> Claims:
    subject, org, email = claims["sub"], claims["org"], claims.get("email", "")
    orgs = [org] if isinstance(org, str) else org
    if not isinstance(orgs, list) or not isinstance(email, str) or len(email) > 320:
        raise _invalid()
    if not isinstance(subject, str) or not 0 < len(subject) <= 255:
        raise _invalid()
    if not orgs or not all(isinstance(each, str) and ORG_ID.fullmatch(each) for each in orgs):
        raise _invalid()
    try:
        role = Role(claims.get("role", Role.VIEWER.value))
    except ValueError:
        raise _invalid() from None
    return Claims(subject=subject, orgs=frozenset(cast("list[str]", orgs)), role=role, email=email)


def bearer_token(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The token of exactly one `Authorization: Bearer` header.

    Raises:
        MissingAuthorizationError: There is none.
        InvalidTokenError: There are two, or it is of another scheme.
    """
    values = [value for name, value in headers if name == b"authorization"]
    if not values:
        msg = "the Authorization header is missing"
        raise MissingAuthorizationError(msg)
    found = _BEARER.fullmatch(values[0])
    if len(values) > 1 or found is None:
        raise _invalid()
    return found.group(1)


def org_id_of(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The one well-formed `orgid` header.

    Raises:
        MissingOrgIdError: There is none.
        InvalidOrgIdError: There are two, or it is malformed.
    """
    values = [value for name, value in headers if name == b"orgid"]
    if not values:
        msg = "the orgid header is missing"
        raise MissingOrgIdError(msg)
    org_id = values[0].decode("latin-1")
    if len(values) > 1 or not ORG_ID.fullmatch(org_id):
        msg = "the orgid header is malformed or doubled"
        raise InvalidOrgIdError(msg)
    return org_id


def authenticate(verifier: TokenVerifier, headers: Iterable[tuple[bytes, bytes]]) -> Caller:
    """Token, then org, then whether they belong together.

    Raises:
        AuthError: One of its subclasses, in that order.
    """
    claims = verifier.verify(bearer_token(headers))
    org_id = org_id_of(headers)
    if org_id not in claims.orgs:
        msg = "the token does not speak for this organisation"
        raise OrgMismatchError(msg)
    return Caller(org_id=org_id, user_id=claims.subject, role=claims.role, email=claims.email)


def require_role(caller: Caller, role: Role) -> None:
    """Roles include the ones before them.

    Raises:
        ForbiddenError: The caller's is too low.
    """
    if _LADDER.index(caller.role) < _LADDER.index(role):
        msg = f"this needs the role {role.value}"
        raise ForbiddenError(msg)


def caller_guard(
    verifier: TokenVerifier,
) -> Callable[[ASGIConnection[Any, Any, Any, Any], BaseRouteHandler], Awaitable[None]]:
    """A guard for the whole app: no caller, no handler, unless the handler itself is marked otherwise."""

    async def guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        if handler.opt.get(AUTH) not in {"public", "session"}:
            connection.scope["user"] = authenticate(verifier, connection.scope["headers"])

    return guard


def issue_token(
    settings: JwtSettings,
    *,
    org_id: str,
    user_id: str,
    role: Role,
    now: datetime,
    lifetime: timedelta,
    email: str = "",
) -> str:
    """A token as the platform would make it; for people at the command line and for the demo.

    Raises:
        ValueError: We hold no signing key (only a JWKS file), or the lifetime exceeds what we would accept.
    """
    if settings.secret is None:
        msg = "this host only verifies tokens (asymmetric keys): get one from your platform"
        raise ValueError(msg)
    if not timedelta(0) < lifetime <= settings.max_lifetime:
        msg = f"a token may live for at most {settings.max_lifetime}"
        raise ValueError(msg)
    issued = int(now.timestamp())
    claims: dict[str, object] = {
        "sub": user_id,
        "org": org_id,
        "role": role.value,
        "iss": settings.issuer,
        "aud": settings.audience,
        "iat": issued,
        "exp": issued + int(lifetime.total_seconds()),
    }
    if email:
        claims["email"] = email
    return jwt.encode(claims, settings.secret.reveal(), algorithm=settings.algorithm)


def caller_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Caller:
    """Who asks, as the guard found.

    Raises:
        MissingAuthorizationError: The handler is one that the guard lets pass.
    """
    caller = connection.scope.get("user")
    if not isinstance(caller, Caller):
        msg = "nobody was asked who they are"
        raise MissingAuthorizationError(msg)
    return caller
