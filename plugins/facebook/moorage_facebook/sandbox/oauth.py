"""What the consent dialog decides, and the token endpoints.

https://developers.facebook.com/docs/facebook-login/guides/advanced/manual-flow
"""

import hmac
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import attrs

from moorage_facebook.sandbox import tokens
from moorage_facebook.sandbox.entities import App, Consent, Page, Token, User
from moorage_facebook.sandbox.errors import GraphError, GraphFailure, app_token_required, bad_token, invalid
from moorage_facebook.sandbox.jsontext import Json
from moorage_facebook.sandbox.scopes import ALWAYS_GRANTED, PERMISSIONS
from moorage_facebook.sandbox.state import World
from moorage_facebook.sandbox.wire import Call

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class DialogProblemError(Exception):
    """The dialog can't be shown: what the person reads instead. Never sent to the redirect URI."""


@attrs.frozen(kw_only=True)
class Ask:
    """What an app asks a person for: a dialog URL, understood and found in order."""

    app: App
    redirect_uri: str
    state: str
    scopes: tuple[str, ...]
    rerequest: bool


def read_ask(world: World, params: Mapping[str, str]) -> Ask:
    """Check a dialog's parameters.

    Raises:
        DialogProblemError: Unknown app, a redirect URI outside the app's domains, an unknown permission,
            another response type than `code`.
    """
    app = world.apps.get(params.get("client_id", ""))
    if app is None:
        raise DialogProblemError("Invalid app ID: the provided app ID does not look like a valid app ID.")
    redirect_uri = params.get("redirect_uri", "")
    if not _may_return_to(world, redirect_uri):
        raise DialogProblemError(
            "URL blocked: the redirect URI is not one of the app's valid OAuth redirect URIs."
        )
    if params.get("response_type", "code") not in {"code", ""}:
        raise DialogProblemError("Invalid response_type: this sandbox only issues codes.")
    asked = [name.strip() for name in params.get("scope", "").replace(" ", ",").split(",") if name.strip()]
    unknown = [name for name in asked if name not in PERMISSIONS]
    if unknown:
        raise DialogProblemError(f"Invalid Scopes: {', '.join(unknown)[:200]}.")
    scopes = tuple(dict.fromkeys([ALWAYS_GRANTED, *asked]))
    return Ask(
        app=app,
        redirect_uri=redirect_uri,
        state=params.get("state", ""),
        scopes=scopes,
        rerequest="rerequest" in params.get("auth_type", ""),
    )


def shown_scopes(ask: Ask, known: Consent | None) -> list[str]:
    """What the dialog offers: without `auth_type=rerequest` nobody is asked twice for what they declined."""
    declined = set(known.declined) if known and not ask.rerequest and not known.removed else set()
    return [scope for scope in ask.scopes if scope not in declined]


def own_pages(world: World, user: User) -> list[Page]:
    """Pages on which the person has a role: the ones the dialog lists."""
    return [page for page in world.pages if user.id in page.tasks]


def grant(world: World, ask: Ask, user: User, *, scopes: set[str], page_ids: set[str]) -> str:
    """Write down what the person allowed and answer where the browser goes, with a code.

    Permissions that this dialog did not ask for stay as they were.
    """
    known = world.consents.get(tokens.consent_id(user.id, ask.app.id))
    offered = set(shown_scopes(ask, known))
    before = set(known.scopes) if known and not known.removed else set()
    refused = set(known.declined) if known and not known.removed else set()
    granted = (before - offered) | (scopes & offered) | {ALWAYS_GRANTED}
    declined = (refused | offered) - granted
    consent = Consent(
        id=tokens.consent_id(user.id, ask.app.id),
        user_id=user.id,
        app_id=ask.app.id,
        scopes=tuple(name for name in PERMISSIONS if name in granted),
        declined=tuple(name for name in PERMISSIONS if name in declined),
        page_ids=tuple(page.id for page in own_pages(world, user) if page.id in page_ids),
        data_access_expires_at=world.seconds() + tokens.DATA_ACCESS,
        serial=(known.serial + known.removed) if known else 1,
    )
    world.consents.put(consent)
    code = tokens.issue_code(world, consent, ask.redirect_uri)
    return _back(ask, {"code": code.id, "state": ask.state})


def deny(ask: Ask) -> str:
    """Where the browser goes after Cancel."""
    return _back(
        ask,
        {
            "error": "access_denied",
            "error_code": "200",
            "error_description": "Permissions error",
            "error_reason": "user_denied",
            "state": ask.state,
        },
    )


async def exchange(call: Call) -> Json:
    """`/oauth/access_token`: a code, a short-lived token or the app's own credentials for a token.

    Raises:
        GraphError: 101 and 1 for wrong app credentials, 100 with a 3600x subcode for a code that is no good.
    """
    app = _client(call)
    kind = call.param("grant_type") or "authorization_code"
    exchanges = {
        "authorization_code": _redeem,
        "fb_exchange_token": _extend,
        "client_credentials": _app_itself,
    }
    if kind not in exchanges:
        raise invalid(f"Unsupported grant_type {kind[:60]}")
    return exchanges[kind](call, app)


async def debug_token(call: Call) -> Json:
    """What a token is, whoever asks being the same app.

    https://developers.facebook.com/docs/graph-api/reference/debug_token
    """
    session = call.who
    value = call.param("input_token")
    if not value:
        raise invalid("The parameter input_token is required")
    token = call.world.tokens.get(value)
    if token is None or token.app_id != session.app.id:
        message = "The access token could not be decrypted"
        return {"data": {"error": {"code": 190, "message": message}, "is_valid": False, "scopes": []}}
    if session.token.kind != "APP" and session.token.user_id != token.user_id:
        raise app_token_required()
    return {"data": _described(call.world, session.app, token)}


def _described(world: World, app: App, token: Token) -> dict[str, Json]:
    consent = world.consents.get(tokens.consent_id(token.user_id, token.app_id))
    data: dict[str, Json] = {
        "app_id": app.id,
        "type": token.kind,
        "application": app.name,
        "data_access_expires_at": consent.data_access_expires_at if consent else 0,
        "expires_at": token.expires_at,
        "is_valid": True,
        "issued_at": token.issued_at,
        "scopes": [],
        "user_id": token.user_id,
    }
    if token.page_id:
        data["profile_id"] = token.page_id
    try:
        session = tokens.open_session(world, token.id)
    except GraphError as dead:
        failure = dead.failure
        error: dict[str, Json] = {"code": failure.code, "message": failure.message}
        if failure.subcode is not None:
            error["subcode"] = failure.subcode
        return {**data, "error": error, "is_valid": False}
    scopes = session.consent.scopes if session.consent else ()
    pages = list(session.consent.page_ids) if session.consent else []
    data["scopes"] = list(scopes)
    data["granular_scopes"] = [
        _granular(world, scope, pages, token.user_id)
        for scope in scopes
        if scope not in {"email", ALWAYS_GRANTED}
    ]
    return data


def _granular(world: World, scope: str, page_ids: list[str], user_id: str) -> Json:
    """A scope and what it is good for; without `target_ids` it is good for all there are."""
    if scope.startswith("pages_") or scope == "leads_retrieval":
        return {"scope": scope, "target_ids": list(page_ids)}
    if scope.startswith("instagram_"):
        accounts = [row.id for page_id in page_ids for row in world.instagram_accounts.of(page_id)]
        return {"scope": scope, "target_ids": list(accounts)}
    if scope.startswith("whatsapp_business_m"):
        owned = [row.id for row in world.businesses if user_id in row.user_ids]
        numbers = [row.id for business_id in owned for row in world.whatsapp_accounts.of(business_id)]
        return {"scope": scope, "target_ids": list(numbers)}
    return {"scope": scope}


def _client(call: Call) -> App:
    app = call.world.apps.get(call.param("client_id"))
    if app is None:
        message = "Error validating application. Cannot get application info due to a system error."
        raise GraphError(GraphFailure(message=message, code=101))
    if not hmac.compare_digest(app.secret.encode(), call.param("client_secret").encode("utf-8", "replace")):
        raise GraphError(GraphFailure(message="Error validating client secret.", code=1))
    return app


def _redeem(call: Call, app: App) -> Json:
    world = call.world
    code = world.codes.get(call.param("code"))
    if code is None or code.app_id != app.id:
        raise GraphError(GraphFailure(message="Invalid verification code format.", code=100, subcode=36009))
    if code.used:
        raise GraphError(
            GraphFailure(message="This authorization code has been used.", code=100, subcode=36009)
        )
    if code.expires_at <= world.now():
        raise GraphError(
            GraphFailure(message="This authorization code has expired.", code=100, subcode=36007)
        )
    if code.redirect_uri != call.params.get("redirect_uri", ""):
        message = (
            "Error validating verification code. Please make sure your redirect_uri is identical to the one "
            "you used in the OAuth dialog request"
        )
        raise GraphError(GraphFailure(message=message, code=100, subcode=36008))
    world.codes.put(attrs.evolve(code, used=True))
    consent = world.consents.get(tokens.consent_id(code.user_id, app.id))
    if consent is None or consent.removed or consent.serial != code.serial:
        raise bad_token()
    return _reply(world, tokens.issue_user_token(world, consent, long_lived=False))


def _extend(call: Call, app: App) -> Json:
    """A fresh long-lived token; an expired one cannot be exchanged."""
    value = call.param("fb_exchange_token")
    session = tokens.open_session(call.world, value)
    if session.app.id != app.id or session.consent is None or session.page is not None:
        raise bad_token()
    return _reply(call.world, tokens.issue_user_token(call.world, session.consent, long_lived=True))


def _app_itself(_: Call, app: App) -> Json:
    return {"access_token": tokens.app_token(app), "token_type": "bearer"}


def _reply(world: World, token: Token) -> Json:
    expires_in = token.expires_at - world.seconds()
    return {"access_token": token.id, "token_type": "bearer", "expires_in": expires_in}


def _may_return_to(world: World, redirect_uri: str) -> bool:
    """The host's own origin, or any port of this machine."""
    try:
        wanted, host = urlsplit(redirect_uri), urlsplit(world.plan.host_url)
        same = (wanted.scheme, wanted.netloc) == (host.scheme, host.netloc)
        return wanted.scheme in {"http", "https"} and (same or wanted.hostname in _LOOPBACK)
    except ValueError:
        return False


def _back(ask: Ask, answer: Mapping[str, str]) -> str:
    """The redirect URI with the answer in its query (without the `#_=_` that Facebook hangs on it)."""
    parts = urlsplit(ask.redirect_uri)
    query = urlencode([*parse_qsl(parts.query, keep_blank_values=True), *answer.items()])
    return urlunsplit((parts.scheme, parts.netloc, parts.path, query, ""))
