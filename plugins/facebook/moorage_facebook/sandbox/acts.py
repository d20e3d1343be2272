"""What people and the world do to the sandbox, for the control routes and the pages alike."""

import random
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl, urlencode, urlsplit

import attrs

from moorage_facebook.sandbox import bodies, oauth
from moorage_facebook.sandbox.entities import (
    ALL_TASKS,
    Attribution,
    Checkbox,
    Consent,
    Delivery,
    Lead,
    LeadForm,
    Option,
    Page,
    Question,
    User,
)
from moorage_facebook.sandbox.given import UnworkableError, moment_given
from moorage_facebook.sandbox.jsontext import Json
from moorage_facebook.sandbox.seed import default_questions
from moorage_facebook.sandbox.state import World
from moorage_facebook.sandbox.tables import split_version
from moorage_facebook.sandbox.webhooks import WebhookSender, leadgen_change, page_body, signed_request

_shuffler = random.SystemRandom()


def consent(world: World, body: bodies.ConsentBody) -> str:
    """Click through the dialog without a browser; answers the redirect.

    Raises:
        UnworkableError: The dialog would not open, or the choice names what it does not offer.
    """
    try:
        url = urlsplit(body.auth_url)
        ask = oauth.read_ask(world, dict(parse_qsl(url.query, keep_blank_values=True)))
    except (ValueError, oauth.DialogProblemError) as problem:
        raise UnworkableError(str(problem)) from problem
    if split_version(url.path)[1] != ("dialog", "oauth"):
        raise UnworkableError("authUrl is not the address of the dialog")
    if body.decision == "deny":
        return oauth.deny(ask)
    user = _person(world, body.user_id)
    own = {page.id for page in oauth.own_pages(world, user)}
    pages = own if body.pages is None else set(body.pages)
    scopes = set(ask.scopes) if body.scopes is None else set(body.scopes)
    if not pages <= own:
        raise UnworkableError(f"{user.name} has no role on {', '.join(sorted(pages - own))}")
    if not scopes <= set(ask.scopes):
        raise UnworkableError(f"the dialog does not ask for {', '.join(sorted(scopes - set(ask.scopes)))}")
    return oauth.grant(world, ask, user, scopes=scopes, page_ids=pages)


def submit_leads(world: World, sender: WebhookSender, body: bodies.LeadsBody) -> dict[str, Json]:
    """Fill in a form `count` times; the webhooks travel as `delivery` says.

    Raises:
        UnworkableError: An unknown form, another Page's form, or an id that is taken.
    """
    form = world.forms.get(body.form_id)
    if form is None or body.page_id not in {None, form.page_id}:
        raise UnworkableError("there is no such form on this page")
    if body.id is not None and (body.count > 1 or world.node(body.id) is not None):
        raise UnworkableError("id needs count 1 and an id that nothing has yet")
    leads = [_put_lead(world, form, body, number) for number in range(1, body.count + 1)]
    answer: dict[str, Json] = {"leads": [{"id": lead.id, "createdTime": lead.created_at} for lead in leads]}
    deliveries, skipped = _announce(world, sender, form, leads, body)
    answer["deliveries"] = [delivery.id for delivery in deliveries]
    return {**answer, "skipped": skipped} if skipped else answer


def answer_form(
    world: World,
    sender: WebhookSender,
    form: LeadForm,
    given: Mapping[str, str],
    consents: Mapping[str, bool],
) -> Lead:
    """A person pressed the button under a lead form."""
    answers = {question.key: given[question.key] for question in form.questions if given.get(question.key)}
    body = bodies.LeadsBody(form_id=form.id, answers=dict(answers), consents=dict(consents))
    lead = _put_lead(world, form, body, 1)
    _announce(world, sender, form, [lead], body)
    return lead


def put_pages(world: World, body: bodies.PagesBody) -> list[Page]:
    """Make Pages, or claim those that exist.

    Raises:
        UnworkableError: An id that names something else.
    """
    user = _person(world, body.user_id)
    pages = [_put_page(world, wanted, user) for wanted in body.pages]
    if body.granted:
        for known in world.consents:
            if known.user_id == user.id and not known.removed:
                ids = dict.fromkeys([*known.page_ids, *(page.id for page in pages)])
                world.consents.put(attrs.evolve(known, page_ids=tuple(ids)))
    return pages


def revoke(world: World, sender: WebhookSender, body: bodies.RevokeBody) -> list[str]:
    """The person removes the app: every token dies, and the app's deauthorize callback is told.

    https://developers.facebook.com/docs/facebook-login/guides/advanced/manual-flow#deauth-callback
    """
    user = _person(world, body.user_id)
    told: list[str] = []
    for known in world.consents:
        if known.user_id != user.id or known.removed:
            continue
        world.consents.put(attrs.evolve(known, scopes=(), declined=(), page_ids=(), removed=True))
        if body.notify:
            told.append(_deauthorize(world, sender, known).id)
    return told


def ask_for_deletion(world: World, sender: WebhookSender, body: bodies.DataDeletionBody) -> list[str]:
    """The person asks every app that they removed, or now remove, to delete what it has of them.

    https://developers.facebook.com/docs/development/create-an-app/app-dashboard/data-deletion-callback
    """
    user = _person(world, body.user_id)
    told: list[str] = []
    for known in world.consents:
        if known.user_id == user.id:
            world.consents.put(attrs.evolve(known, scopes=(), declined=(), page_ids=(), removed=True))
            app = world.apps.get(known.app_id) or world.app()
            told.append(_signed(world, sender, known, "data_deletion", app.data_deletion_url).id)
    return told


def _deauthorize(world: World, sender: WebhookSender, known: Consent) -> Delivery:
    app = world.apps.get(known.app_id) or world.app()
    return _signed(world, sender, known, "deauthorize", app.deauthorize_url)


def _signed(world: World, sender: WebhookSender, known: Consent, topic: str, url: str) -> Delivery:
    """A callback about a person, signed by their app."""
    app = world.apps.get(known.app_id) or world.app()
    now = world.now()
    payload: dict[str, Json] = {"algorithm": "HMAC-SHA256", "issued_at": int(now), "user_id": known.user_id}
    return sender.submit(
        Delivery(
            id=world.new_id(),
            url=url,
            topic=topic,
            body=urlencode({"signed_request": signed_request(app.secret, payload)}),
            content_type="application/x-www-form-urlencoded",
            signing="none",
            retry=False,
            created_at=now,
            due_at=now,
        )
    )


def _announce(
    world: World, sender: WebhookSender, form: LeadForm, leads: Sequence[Lead], body: bodies.LeadsBody
) -> tuple[list[Delivery], str]:
    page = world.pages.get(form.page_id)
    heard = list(sender.listeners(page, "leadgen")) if page else []
    if not heard:
        return [], "the page is not subscribed to leadgen for this app"
    shares = shares_of(body.delivery)
    ordered = list(leads)
    if shares.shuffle:
        _shuffler.shuffle(ordered)
    size = body.per_delivery
    texts = [
        page_body(
            form.page_id, [leadgen_change(lead) for lead in ordered[start : start + size]], world.seconds()
        )
        for start in range(0, len(ordered), size)
    ]
    sent = [
        sender.queue(
            app,
            wanted.callback_url,
            "page/leadgen",
            text,
            delay=body.delay_seconds if fate == "late" else 0.0,
            lost=fate == "lose",
        )
        for text, fate in zip(texts, _fates(shares, len(texts)), strict=True)
        for app, wanted in heard
        for _ in range(2 if fate == "double" else 1)
    ]
    return sent, ""


def shares_of(delivery: str | bodies.PortionsBody) -> bodies.PortionsBody:
    """How deliveries travel, in shares; one word says it of all of them.

    Raises:
        UnworkableError: The shares are more than there is.
    """
    if isinstance(delivery, str):
        return bodies.PortionsBody(
            lose=float(delivery == "lose"),
            double=float(delivery == "double"),
            late=float(delivery == "late"),
            shuffle=delivery == "shuffle",
        )
    if delivery.lose + delivery.double + delivery.late > 1 + 1e-9:
        raise UnworkableError("lose, double and late are shares of the same deliveries: at most 1 together")
    return delivery


def _fates(shares: bodies.PortionsBody, count: int) -> list[str]:
    """What becomes of each of `count` deliveries: as many of each kind as their share says, anywhere."""
    wanted = {"lose": shares.lose, "double": shares.double, "late": shares.late}
    fates = [fate for fate, share in wanted.items() for _ in range(round(share * count))][:count]
    fates += ["send"] * (count - len(fates))
    _shuffler.shuffle(fates)
    return fates


def _put_lead(world: World, form: LeadForm, body: bodies.LeadsBody, number: int) -> Lead:
    answers = []
    for name, value in body.answers.items():
        values = value if isinstance(value, list) else [value]
        answers.append((name, tuple(item.replace("{n}", str(number)) for item in values)))
    organic = not body.ad_id if body.is_organic is None else body.is_organic
    return world.leads.put(
        Lead(
            id=body.id or world.new_id(),
            form_id=form.id,
            page_id=form.page_id,
            created_at=moment_given(body.created_time, world.seconds()),
            answers=tuple(answers),
            is_organic=organic,
            consents=tuple(body.consents.items()),
            attribution=Attribution(
                ad_id=body.ad_id,
                ad_name=body.ad_name,
                adset_id=body.adset_id,
                adset_name=body.adset_name,
                campaign_id=body.campaign_id,
                campaign_name=body.campaign_name,
                platform=body.platform,
            ),
        )
    )


def _put_page(world: World, wanted: bodies.PageBody, user: User) -> Page:
    known = world.node(wanted.id) if wanted.id else None
    if known is not None and not isinstance(known, Page):
        raise UnworkableError(f"{wanted.id} is not a page")
    page = known or Page(id=wanted.id or world.new_id(), name="A page", tasks={})
    tasks = tuple(wanted.tasks) if wanted.tasks is not None else page.tasks.get(user.id, ALL_TASKS)
    roles = {person: given for person, given in {**page.tasks, user.id: tasks}.items() if given}
    page = attrs.evolve(
        page, name=wanted.name or page.name, category=wanted.category or page.category, tasks=roles
    )
    if wanted.leads_closed_to is not None:
        page = attrs.evolve(page, leads_closed_to=wanted.leads_closed_to)
    world.pages.put(page)
    for form in wanted.forms:
        _put_form(world, page, form)
    return page


def _put_form(world: World, page: Page, wanted: bodies.FormBody) -> LeadForm:
    known = world.node(wanted.id) if wanted.id else None
    if known is not None and not isinstance(known, LeadForm):
        raise UnworkableError(f"{wanted.id} is not a form")
    questions = tuple(_question(world, question) for question in wanted.questions)
    if known is not None and known.page_id != page.id:
        raise UnworkableError(f"form {wanted.id} belongs to another page")
    return world.forms.put(
        LeadForm(
            id=wanted.id or world.new_id(),
            page_id=page.id,
            name=wanted.name or (known.name if known else "A form"),
            locale=wanted.locale,
            status=wanted.status or (known.status if known else "ACTIVE"),
            questions=questions or (known.questions if known else default_questions(world)),
            checkboxes=_checkboxes(world, wanted, known),
            created_at=known.created_at if known else world.seconds(),
        )
    )


def _checkboxes(world: World, wanted: bodies.FormBody, known: LeadForm | None) -> tuple[Checkbox, ...]:
    if wanted.checkboxes is None:
        return known.checkboxes if known else ()
    return tuple(
        Checkbox(
            id=world.new_id(),
            key=box.key,
            text=box.text,
            required=box.required,
            checked_by_default=box.checked_by_default,
        )
        for box in wanted.checkboxes
    )


def _question(world: World, wanted: bodies.QuestionBody) -> Question:
    return Question(
        id=world.new_id(),
        key=wanted.key,
        label=wanted.label or wanted.key,
        type=wanted.type,
        required=wanted.required,
        options=tuple(map(_option, wanted.options)),
    )


def _option(wanted: str | bodies.OptionBody) -> Option:
    if isinstance(wanted, str):
        return Option(key=wanted, value=wanted)
    return Option(key=wanted.key, value=wanted.value)


def _person(world: World, user_id: str | None) -> User:
    user = world.users.get(user_id) if user_id else next(iter(world.users), None)
    if user is None:
        raise UnworkableError("there is no such user")
    return user
