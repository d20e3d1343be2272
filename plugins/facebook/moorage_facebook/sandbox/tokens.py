"""Access tokens: how they are issued, what they open, when they stop.

https://developers.facebook.com/docs/facebook-login/guides/access-tokens
"""

import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping

import attrs

from moorage_facebook.sandbox import errors
from moorage_facebook.sandbox.entities import App, Code, Consent, Page, Token, User
from moorage_facebook.sandbox.state import World

LONG_LIVED = 5_183_944
SHORT_LIVED = 5_400
CODE_LIFE = 600
DATA_ACCESS = 90 * 86_400
_PROOF_LIFE = 300


@attrs.frozen(kw_only=True)
class Session:
    """A token that works, and who speaks through it. App tokens speak for no person."""

    token: Token
    app: App
    user: User | None = None
    page: Page | None = None
    consent: Consent | None = None

    def may(self, *scopes: str) -> bool:
        """Whether all of these were granted; the app itself has no scopes."""
        return self.consent is not None and set(scopes) <= set(self.consent.scopes)

    def reaches(self, page: Page) -> bool:
        """Whether the person picked this Page in the dialog and has a role on it."""
        return (
            self.consent is not None
            and page.id in self.consent.page_ids
            and self.consent.user_id in page.tasks
        )


def app_token(app: App) -> str:
    """The app's own token: its id and secret with a bar between them."""
    return f"{app.id}|{app.secret}"


def issue_code(world: World, consent: Consent, redirect_uri: str) -> Code:
    """A fresh authorization code for what was just allowed."""
    return world.codes.put(
        Code(
            id="AQ" + secrets.token_urlsafe(96),
            app_id=consent.app_id,
            user_id=consent.user_id,
            redirect_uri=redirect_uri,
            serial=consent.serial,
            expires_at=world.seconds() + CODE_LIFE,
        )
    )


def issue_user_token(world: World, consent: Consent, *, long_lived: bool) -> Token:
    """A fresh user token, short- or long-lived."""
    now = world.seconds()
    return world.tokens.put(
        Token(
            id=_token_string(),
            kind="USER",
            app_id=consent.app_id,
            user_id=consent.user_id,
            serial=consent.serial,
            issued_at=now,
            expires_at=now + (LONG_LIVED if long_lived else SHORT_LIVED),
            long_lived=long_lived,
        )
    )


def issue_page_token(world: World, parent: Token, page: Page) -> Token:
    """The Page token of one person; the same string as long as the same kind of user token asks for it.

    From a long-lived user token it bears no date, from a short-lived one it ends with its parent.
    """
    expires_at = 0 if parent.long_lived or not parent.expires_at else parent.expires_at
    for known in world.tokens.of(parent.user_id):
        same = (known.page_id, known.app_id, known.serial, known.expires_at)
        if same == (page.id, parent.app_id, parent.serial, expires_at):
            return known
    return world.tokens.put(
        attrs.evolve(
            parent,
            id=_token_string(),
            kind="PAGE",
            page_id=page.id,
            issued_at=world.seconds(),
            expires_at=expires_at,
        )
    )


def open_session(world: World, value: str) -> Session:
    """What a token opens right now.

    Raises:
        GraphError: 190 with the subcode that says why it opens nothing.
    """
    if "|" in value:
        return _app_session(world, value)
    token = world.tokens.get(value)
    app = world.apps.get(token.app_id) if token else None
    if token is None or app is None:
        raise errors.bad_token()
    consent = world.consents.get(consent_id(token.user_id, token.app_id))
    _check_life(world, token, consent)
    page = world.pages.get(token.page_id) if token.page_id else None
    if token.kind == "PAGE" and (page is None or token.user_id not in page.tasks):
        raise errors.role_lost()
    return Session(token=token, app=app, user=world.users.get(token.user_id), page=page, consent=consent)


def check_proof(app: App, value: str, params: Mapping[str, str], *, now: float) -> None:
    """Verify `appsecret_proof`, with `appsecret_time` if the caller signs the time, too.

    The time may be right by the sandbox clock or by the machine's: a caller cannot know that it was moved.
    https://developers.facebook.com/docs/graph-api/guides/secure-requests
    """
    proof = params.get("appsecret_proof", "")
    if not proof:
        if app.require_proof:
            raise errors.proof_required()
        return
    stamp = params.get("appsecret_time", "")
    message = f"{value}|{stamp}" if stamp else value
    expected = hmac.new(app.secret.encode(), message.encode("utf-8", "replace"), hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected.encode(), proof.encode("utf-8", "replace")):
        raise errors.bad_proof()
    if stamp and not _is_fresh(stamp, now):
        raise errors.bad_proof()


def consent_id(user_id: str, app_id: str) -> str:
    """There is one consent per person and app."""
    return f"{user_id}:{app_id}"


def _app_session(world: World, value: str) -> Session:
    app_id, _, secret = value.partition("|")
    app = world.apps.get(app_id)
    if app is None or not hmac.compare_digest(app.secret.encode(), secret.encode("utf-8", "replace")):
        raise errors.bad_token()
    token = Token(id=value, kind="APP", app_id=app.id, user_id="", serial=0, issued_at=0, expires_at=0)
    return Session(token=token, app=app)


def _check_life(world: World, token: Token, consent: Consent | None) -> None:
    now = world.seconds()
    if token.expires_at and token.expires_at <= now:
        raise errors.expired_token(token.expires_at, now)
    if consent is None or consent.removed:
        raise errors.app_removed(token.user_id, token.app_id)
    if consent.serial != token.serial:
        raise errors.session_invalidated()
    if consent.data_access_expires_at <= now:
        raise errors.data_access_expired()


def _is_fresh(stamp: str, now: float) -> bool:
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) < 12):
        return False
    return any(abs(clock - int(stamp)) <= _PROOF_LIFE for clock in (now, time.time()))


def _token_string() -> str:
    letters = secrets.token_urlsafe(140).replace("-", "Z").replace("_", "D")
    return "EAA" + letters
