"""Signing in and out."""

import math
import re
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import attrs
import structlog
from litestar import Request, get, post

from moorage.admin.desk import Desk, DeskHere, FormHere, VisitHere
from moorage.admin.forms import MAX_FORM_BYTES, read_form
from moorage.admin.pages import Answer
from moorage.admin.sessions import no_session_cookie, open_session, session_cookie, session_from_request
from moorage.auth import PUBLIC, SESSION

log = structlog.get_logger(__name__)

# Our own pages and nothing else: no second slash, no backslash, no other host.
_BACK_TO: Final = re.compile(r"/admin(?:/[A-Za-z0-9_-]+)*(?:\?[A-Za-z0-9_=&%+.-]*)?")
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})


@get("/sign-in", opt=PUBLIC)
async def sign_in_page(request: Request[Any, Any, Any], desk: DeskHere) -> Answer:
    """The sign-in form; whoever is signed in already goes on."""
    elsewhere = _same_machine_other_name(request, desk.services.settings.public_url)
    if elsewhere:
        return desk.renderer.redirect(elsewhere)
    back_to = _back_to(request.query_params.get("next", ""))
    if await session_from_request(request, desk.services) is not None:
        return desk.renderer.redirect(back_to)
    return _form(desk, back_to)


@post("/sign-in", opt=PUBLIC, request_max_body_size=MAX_FORM_BYTES)
async def sign_in(request: Request[Any, Any, Any], desk: DeskHere) -> Answer:
    """Check the password; then a session that no browser could have chosen."""
    form = await read_form(request)
    email, back_to = form.text("email"), _back_to(form.text("next"))
    address = address_of(request)
    wait = desk.attempts.begin(email, address, desk.now())
    if wait is not None:
        log.warning("sign_in_limited", address=address)
        return _too_many(desk, back_to, email, wait)
    services = desk.services
    account = await services.storage.accounts.by_email(email) if email else None
    if not await desk.passwords.check(account, form.exact("password")) or account is None:
        log.info("sign_in_refused", address=address)
        return _form(
            desk, back_to, email=email, problem="The e-mail or the password is not right.", status=422
        )
    desk.attempts.succeeded(email, address)
    if desk.passwords.is_outdated(account):
        kept = await desk.passwords.hash(form.exact("password"))
        account = attrs.evolve(account, password_hash=kept)
        await services.storage.accounts.save(account)
    await _close_current(request, desk)
    _, token = await open_session(services, account)
    log.info("signed_in", account=account.id, org=account.org_id)
    return desk.renderer.redirect(back_to, [session_cookie(services.settings.public_url, token)])


@post("/sign-out", opt=SESSION, request_max_body_size=MAX_FORM_BYTES)
async def sign_out(visit: VisitHere, form: FormHere) -> Answer:
    """End the session here and on the server."""
    _ = form  # asked for so that its token is checked
    await visit.services.storage.accounts.close_session(visit.session.id)
    gone = no_session_cookie(visit.services.settings.public_url)
    return visit.desk.renderer.redirect("/admin/sign-in", [gone])


async def _close_current(request: Request[Any, Any, Any], desk: Desk) -> None:
    """A browser that signs in again leaves no live session behind."""
    session = await session_from_request(request, desk.services)
    if session is not None:
        await desk.services.storage.accounts.close_session(session.id)


def _form(desk: Desk, back_to: str, *, email: str = "", problem: str = "", status: int = 200) -> Answer:
    context = {"back_to": back_to, "email": email, "problem": problem, "wait": ""}
    return desk.nobody_page("sign_in.html", context, status=status)


def address_of(request: Request[Any, Any, Any]) -> str:
    """Where a guess comes from, for its limit."""
    return request.client.host if request.client else ""


def wait_words(wait: timedelta) -> str:
    """How long to wait after too many guesses."""
    minutes = math.ceil(wait / timedelta(minutes=1))
    return f"Wait {minutes} {'minute' if minutes == 1 else 'minutes'}, then try again."


def _too_many(desk: Desk, back_to: str, email: str, wait: timedelta) -> Answer:
    context = {
        "back_to": back_to,
        "email": email,
        "problem": "Too many attempts.",
        "wait": wait_words(wait),
    }
    seconds = str(math.ceil(wait.total_seconds()))
    return desk.nobody_page("sign_in.html", context, status=429, extra_headers={"Retry-After": seconds})


def _back_to(text: str) -> str:
    return text if _BACK_TO.fullmatch(text) and not text.startswith("/admin/sign-") else "/admin"


def _same_machine_other_name(request: Request[Any, Any, Any], public_url: str) -> str:
    """The sign-in page under the name that the settings have, if it was asked for under another.

    On one's own machine `localhost` and `127.0.0.1` are two origins to a browser: a vendor would send the
    person back to the other one, without their session.
    """
    parts, asked = urlsplit(public_url), request.headers.get("host", "")
    host, _, port = asked.rpartition(":")
    known, _, known_port = parts.netloc.rpartition(":")
    is_alias = {host, known} <= _LOOPBACK and host != known and port == known_port
    return f"{public_url}/admin/sign-in" if is_alias else ""
