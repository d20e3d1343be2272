"""Confirming that it is you: the password once more, before an act that needs to know it."""

import math
from datetime import timedelta
from typing import Annotated, Any

import structlog
from litestar import Request, get, post
from litestar.params import QueryParameter

from moorage.admin.desk import FormHere, SignInNeededError, Visit, VisitHere
from moorage.admin.forms import MAX_FORM_BYTES
from moorage.admin.pages import Answer
from moorage.admin.proof import ACTS, Act, confirm_path
from moorage.admin.sessions import PROOF_LASTS, prove, session_cookie
from moorage.admin.sign_in import address_of, wait_words
from moorage.auth import SESSION
from moorage_ports.errors import NotFoundError

log = structlog.get_logger(__name__)


@get("/confirm", opt=SESSION)
async def confirm_page(
    visit: VisitHere,
    name: Annotated[str, QueryParameter(name="act", required=False)] = "",
    asked: Annotated[str, QueryParameter(name="next", required=False)] = "",
) -> Answer:
    """What is about to be done, and the question for the password; whoever gave it just now goes on."""
    act = _act(name)
    if visit.is_proven:
        return visit.redirect(act.page_again(asked))
    return _form(visit, act, asked)


@post("/confirm", opt=SESSION, request_max_body_size=MAX_FORM_BYTES)
async def confirm(request: Request[Any, Any, Any], visit: VisitHere, form: FormHere) -> Answer:
    """Check the password, as the sign-in does and within the same limits. The act itself is not done."""
    act, asked = _act(form.text("act")), form.text("next")
    session, desk, address = visit.session, visit.desk, address_of(request)
    wait = desk.attempts.begin(session.email, address, desk.now())
    if wait is not None:
        log.warning("proof_limited", account=session.account_id, address=address)
        return _form(visit, act, asked, wait=wait)
    account = await visit.services.storage.accounts.by_email(session.email)
    if not await desk.passwords.check(account, form.exact("password")):
        log.info("proof_refused", account=session.account_id, address=address)
        return _form(visit, act, asked, problem="The password is not right.", status=422)
    desk.attempts.succeeded(session.email, address)
    # Another account of that address has ended this session: then there is nothing to prove any more. And a
    # hash that became too weak is renewed at the next sign-in: keeping another one ends the sessions.
    token = await prove(session, visit.services)
    if token is None:
        raise SignInNeededError(confirm_path(act, asked))
    log.info("proved", account=session.account_id, org=session.org_id, act=act.name)
    cookie = session_cookie(visit.services.settings.public_url, token)
    return desk.renderer.redirect(act.page_again(asked), [cookie])


def _act(name: str) -> Act:
    """The act of that name.

    Raises:
        NotFoundError: There is none.
    """
    if name not in ACTS:
        msg = "there is no such act"
        raise NotFoundError(msg)
    return ACTS[name]


def _form(
    visit: Visit, act: Act, asked: str, *, problem: str = "", wait: timedelta | None = None, status: int = 200
) -> Answer:
    context = {
        "act": act,
        "page": act.page(asked),
        "email": visit.session.email,
        "csrf": visit.session.csrf_token,
        "minutes": PROOF_LASTS // timedelta(minutes=1),
        "problem": problem if wait is None else "Too many attempts.",
        "wait": "" if wait is None else wait_words(wait),
    }
    if wait is None:
        return visit.desk.nobody_page("confirm.html", context, status=status)
    seconds = str(math.ceil(wait.total_seconds()))
    headers = {"Retry-After": seconds}
    return visit.desk.nobody_page("confirm.html", context, status=429, extra_headers=headers)
