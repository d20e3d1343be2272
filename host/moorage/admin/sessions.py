"""Sessions of the admin UI: kept on the server, found by the hash of a random cookie.

`__Host-` and `Secure` wherever the host is reached over https. SameSite is Lax, not Strict: a vendor sends
the person back from its own site, and that navigation must carry the session it belongs to.
"""

import re
import secrets
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final
from uuid import uuid4

from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie

from moorage.services import Caller, Services
from moorage_ports.accounts import Account, Session

IDLE: Final = timedelta(minutes=30)
ABSOLUTE: Final = timedelta(hours=12)
# One errand: to look, to decide, to press, to look again. A browser that was left open over lunch is none.
PROOF_LASTS: Final = timedelta(minutes=10)
TOUCH_EVERY: Final = timedelta(minutes=1)  # a write per click is more than anybody needs

_SHAPE: Final = re.compile(r"[A-Za-z0-9_-]{43}")


def cookie_name(public_url: str) -> str:
    """`__Host-…` over https: a browser then accepts it from this very host only. Plain on http."""
    return "__Host-moorage" if public_url.startswith("https://") else "moorage_session"


def session_cookie(public_url: str, token: str) -> Cookie:
    """The cookie that carries `token`; it ends with the browser, the server ends it earlier."""
    return _cookie(public_url, token, None)


def no_session_cookie(public_url: str) -> Cookie:
    """The same cookie, removed."""
    return _cookie(public_url, "", 0)


def _cookie(public_url: str, value: str, max_age: int | None) -> Cookie:
    return Cookie(
        key=cookie_name(public_url),
        value=value,
        max_age=max_age,
        path="/",
        secure=public_url.startswith("https://"),
        httponly=True,
        samesite="lax",
    )


def token_hash(token: str) -> str:
    """What the store keeps of a cookie: 256 random bits need no salt and no slow hash."""
    return sha256(token.encode()).hexdigest()


async def open_session(services: Services, account: Account) -> tuple[Session, str]:
    """A new session and the cookie value that opens it; never one that a browser brought along."""
    token, now = secrets.token_urlsafe(32), services.clock.now()
    session = Session(
        id=uuid4().hex,
        token_hash=token_hash(token),
        csrf_token=secrets.token_urlsafe(32),
        account_id=account.id,
        org_id=account.org_id,
        email=account.email,
        role=account.role,
        created_at=now,
        last_seen_at=now,
        proved_at=now,
    )
    await services.storage.accounts.open_session(session)
    return session, token


async def session_from_request(
    connection: ASGIConnection[Any, Any, Any, Any], services: Services
) -> Session | None:
    """The live session of a request's cookie. One that is over is closed and not answered."""
    token = connection.cookies.get(cookie_name(services.settings.public_url), "")
    if not _SHAPE.fullmatch(token):
        return None
    session = await services.storage.accounts.session(token_hash(token))
    if session is None:
        return None
    now = services.clock.now()
    if now - session.last_seen_at >= IDLE or now - session.created_at >= ABSOLUTE:
        await services.storage.accounts.close_session(session.id)
        return None
    return session


async def touch(session: Session, services: Services) -> None:
    """Record that somebody is there; at most once a minute."""
    now = services.clock.now()
    if now - session.last_seen_at >= TOUCH_EVERY:
        await services.storage.accounts.touch(session.id, now)


def is_proven(session: Session, now: datetime) -> bool:
    """Whether its person gave their password a short while ago, be it by signing in."""
    return session.proved_at is not None and now - session.proved_at < PROOF_LASTS


async def prove(session: Session, services: Services) -> str | None:
    """Record a proof; answers the cookie value that opens the session now, `None` if it ended meanwhile.

    The cookie is another one, as after a sign-in: whoever had got hold of the old one has nothing. The rest
    stays: a connection that was begun, forms in other tabs, and the hour at which the session ends.
    """
    token = secrets.token_urlsafe(32)
    now, kept = services.clock.now(), token_hash(token)
    return token if await services.storage.accounts.prove(session.id, now, token_hash=kept) else None


def caller_of(session: Session) -> Caller:
    """Who acts, for an operation."""
    return Caller(
        org_id=session.org_id,
        user_id=session.account_id,
        role=session.role,
        email=session.email,
        session_id=session.id,
    )
