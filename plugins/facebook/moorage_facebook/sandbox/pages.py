"""The pages a person can click: front page, consent dialog, lead forms, webhook log; walls and windows."""

import re
from collections.abc import Mapping

from litestar import Response, Router, get, post
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from moorage_facebook.sandbox import acts, bodies, oauth, tokens
from moorage_facebook.sandbox.entities import LeadForm, Page, Question
from moorage_facebook.sandbox.html import HEADERS, HERE, Incoming, form_sent, redirect, show
from moorage_facebook.sandbox.scopes import ALWAYS_GRANTED, PERMISSIONS
from moorage_facebook.sandbox.state import World
from moorage_facebook.sandbox.walls import WALLS
from moorage_facebook.sandbox.webhooks import WebhookSender
from moorage_facebook.sandbox.windows import WINDOWS

TheWorld = NamedDependency[World]
TheSender = NamedDependency[WebhookSender]

_SHOWN_DELIVERIES = 100
_STATIC = {"sandbox.css": "text/css; charset=utf-8", "person.svg": "image/svg+xml"}
_INPUTS = {
    "EMAIL": ("email", "email"),
    "PHONE": ("tel", "tel"),
    "FULL_NAME": ("text", "name"),
    "COMPANY_NAME": ("text", "organization"),
    "CITY": ("text", "address-level2"),
}


@get("/")
async def front(world: TheWorld) -> Response[str]:
    """Everything there is to click."""
    rows = [
        {
            "page": page,
            "forms": [(form, len(world.leads.of(form.id))) for form in world.forms.of(page.id)],
            "posts": len(world.posts_on(page)),
            "talks": world.threads.count(page.id),
            "account": world.instagram_of(page),
            "fields": sorted({name for row in world.page_subscriptions.of(page.id) for name in row.fields}),
        }
        for page in world.pages
    ]
    connected = {row.user_id for row in world.consents if not row.removed}
    people = [(user, user.id in connected) for user in world.users]
    return show(
        "front.html",
        rows=rows,
        numbers=[(number, world.threads.count(number.id)) for number in world.phone_numbers],
        people=people,
        recent=list(world.deliveries)[-5:][::-1],
        now=world.seconds(),
    )


@get("/sandbox/forms/{form_id:str}")
async def lead_form(world: TheWorld, form_id: FromPath[str]) -> Response[str]:
    """A lead form to fill in."""
    form, page = _form(world, form_id)
    return _form_page(form, page, {}, {})


@post("/sandbox/forms/{form_id:str}")
async def submit_form(
    world: TheWorld, sender: TheSender, request: Incoming, form_id: FromPath[str]
) -> Response[str]:
    """Check, keep, tell the app, and thank: post, redirect, get."""
    form, page = _form(world, form_id)
    sent = await form_sent(request)
    given = {question.key: sent.get(f"q{index}", "").strip() for index, question in enumerate(form.questions)}
    ticked = {box.key: bool(sent.get(f"c{index}")) for index, box in enumerate(form.checkboxes)}
    problems = {question.key: text for question in form.questions if (text := _problem(question, given))}
    problems |= {
        box.key: "Please tick this box." for box in form.checkboxes if box.required and not ticked[box.key]
    }
    if problems:
        return _form_page(form, page, given, problems, ticked=ticked, status=422)
    lead = acts.answer_form(world, sender, form, given, ticked)
    return redirect(f"/sandbox/forms/{form.id}/thanks/{lead.id}")


@get("/sandbox/forms/{form_id:str}/thanks/{lead_id:str}")
async def thanks(world: TheWorld, form_id: FromPath[str], lead_id: FromPath[str]) -> Response[str]:
    """What became of the lead that was just sent."""
    form, page = _form(world, form_id)
    lead = world.leads.get(lead_id)
    if lead is None or lead.form_id != form.id:
        raise NotFoundException
    delivery = next((row for row in reversed(list(world.deliveries)) if f'"{lead.id}"' in row.body), None)
    return show("thanks.html", form=form, page=page, lead=lead, delivery=delivery)


@get("/sandbox/webhooks")
async def webhook_log(world: TheWorld) -> Response[str]:
    """What was sent to the app and what it answered, newest first."""
    rows = list(world.deliveries)
    return show(
        "webhooks.html", rows=rows[-_SHOWN_DELIVERIES:][::-1], total=len(rows), shown=_SHOWN_DELIVERIES
    )


@post("/sandbox/act")
async def act(world: TheWorld, sender: TheSender, request: Incoming) -> Response[str]:
    """The buttons of the front page: remove the app, move the clock."""
    sent = await form_sent(request)
    days = sent.get("days", "")
    if sent.get("revoke") in world.users:
        acts.revoke(world, sender, bodies.RevokeBody(user_id=sent["revoke"]))
    elif re.fullmatch(r"[0-9]{1,3}", days):
        world.advance(int(days) * 86_400)
    return redirect("/")


@get(["/dialog/oauth", "/{version:str}/dialog/oauth"])
async def dialog(world: TheWorld, request: Incoming) -> Response[str]:
    """The consent dialog. https://developers.facebook.com/docs/facebook-login/guides/advanced/manual-flow"""
    params = {name: value for name, value in request.query_params.multi_items() if isinstance(value, str)}
    try:
        ask = oauth.read_ask(world, params)
    except oauth.DialogProblemError as problem:
        return show("problem.html", title="This app can’t be opened", text=str(problem), status=400)
    return _dialog_page(world, ask, params)


@post(["/dialog/oauth", "/{version:str}/dialog/oauth"])
async def answer_dialog(world: TheWorld, request: Incoming) -> Response[str]:
    """Continue or Cancel; either way the browser goes back to the app."""
    sent = await form_sent(request)
    asked = {name: sent.get(name, "") for name in _ASKED}
    try:
        ask = oauth.read_ask(world, asked)
    except oauth.DialogProblemError as problem:
        return show("problem.html", title="This app can’t be opened", text=str(problem), status=400)
    if sent.get("decision") != "continue":
        return redirect(oauth.deny(ask))
    user = world.users.get(sent.get("user", ""))
    if user is None:
        return show("problem.html", title="Nobody is logged in", text="Open the dialog again.", status=400)
    scopes = {scope for scope in ask.scopes if sent.get(f"scope:{scope}")}
    pages = {page.id for page in oauth.own_pages(world, user) if sent.get(f"page:{page.id}")}
    return redirect(oauth.grant(world, ask, user, scopes=scopes, page_ids=pages))


@get("/sandbox/static/{name:str}")
async def static(name: FromPath[str]) -> Response[bytes]:
    """The stylesheet and the one picture."""
    if name not in _STATIC:
        raise NotFoundException
    headers = {**HEADERS, "cache-control": "max-age=60"}
    return Response((HERE / "static" / name).read_bytes(), media_type=_STATIC[name], headers=headers)


def pages_router() -> Router:
    """All pages."""
    return Router(
        path="/",
        route_handlers=[
            front,
            lead_form,
            submit_form,
            thanks,
            webhook_log,
            act,
            dialog,
            answer_dialog,
            static,
            *WALLS,
            *WINDOWS,
        ],
    )


def not_found_page(_: Incoming, __: Exception) -> Response[str]:
    """For every address that is neither a page nor Graph."""
    text = "Nothing lives at this address. The front page lists everything there is."
    return show("problem.html", title="Not here", text=text, status=404)


def _dialog_page(world: World, ask: oauth.Ask, params: Mapping[str, str]) -> Response[str]:
    user = world.users.get(params.get("user", "")) or next(iter(world.users))
    known = world.consents.get(tokens.consent_id(user.id, ask.app.id))
    known = None if known is None or known.removed else known
    scopes = [
        {
            "name": scope,
            "text": PERMISSIONS[scope],
            "fixed": scope == ALWAYS_GRANTED,
            "ticked": known is None or ask.rerequest or scope in known.scopes or scope not in known.declined,
        }
        for scope in oauth.shown_scopes(ask, known)
    ]
    pages = [(page, known is None or page.id in known.page_ids) for page in oauth.own_pages(world, user)]
    asked = {name: params.get(name, "") for name in _ASKED}
    return show(
        "dialog.html", ask=ask, user=user, known=known, scopes=scopes, pages=pages, asked=asked, leaves=True
    )


def _form_page(
    form: LeadForm,
    page: Page,
    given: Mapping[str, str],
    problems: Mapping[str, str],
    *,
    ticked: Mapping[str, bool] | None = None,
    status: int = 200,
) -> Response[str]:
    questions = [
        {
            "field": f"q{index}",
            "question": question,
            "kind": _INPUTS.get(question.type, ("text", "off"))[0],
            "autocomplete": _INPUTS.get(question.type, ("text", "off"))[1],
            "value": given.get(question.key, ""),
            "problem": problems.get(question.key, ""),
        }
        for index, question in enumerate(form.questions)
    ]
    boxes = [
        {
            "field": f"c{index}",
            "box": box,
            "is_ticked": box.checked_by_default if ticked is None else ticked[box.key],
            "problem": problems.get(box.key, ""),
        }
        for index, box in enumerate(form.checkboxes)
    ]
    return show(
        "form.html",
        status=status,
        form=form,
        page=page,
        questions=questions,
        boxes=boxes,
        problems=problems,
    )


def _problem(question: Question, given: Mapping[str, str]) -> str:
    """Why an answer will not do; empty when it will."""
    value = given[question.key]
    if not value:
        return "Please answer this question." if question.required else ""
    if len(value) > 2_000:
        return "This is too long."
    if question.options and value not in {option.value for option in question.options}:
        return "Please choose one of the answers."
    if question.type == "EMAIL" and not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", value):
        return "Please enter an e-mail address, like name@mail.example."
    if question.type == "PHONE" and len(re.sub(r"[^0-9]", "", value)) < 5:
        return "Please enter a phone number."
    return ""


def _form(world: World, form_id: str) -> tuple[LeadForm, Page]:
    form = world.forms.get(form_id)
    page = world.pages.get(form.page_id) if form else None
    if form is None or page is None:
        raise NotFoundException
    return form, page


_ASKED = ("client_id", "redirect_uri", "state", "scope", "response_type", "auth_type")
