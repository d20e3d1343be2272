"""Hand-over: who is told of leads by webhook, with which secret, and what became of each message."""

from collections.abc import Mapping
from typing import Annotated, Final

import attrs
from litestar import get, post
from litestar.params import FromPath, QueryParameter

from moorage import codec
from moorage.admin import words
from moorage.admin.desk import FormHere, Visit, VisitHere
from moorage.admin.forms import MAX_FORM_BYTES, Form
from moorage.admin.leafing import PAGE_SIZE, leafing, page_number
from moorage.admin.pages import Answer
from moorage.admin.proof import ADD, DELETE, MOVE, ROTATE, SEND_AGAIN, confirm_path, needs_proof
from moorage.admin.words import Badge, Trouble
from moorage.auth import SESSION
from moorage.errors import status_of
from moorage.handover.endpoints import (
    MOST_REPLAYED,
    EndpointChange,
    HandoverQuery,
    HandoverReplay,
    HandoverView,
    NewEndpoint,
    Rotation,
    SecretShown,
    change_endpoint,
    create_endpoint,
    delete_endpoint,
    get_endpoint,
    list_endpoints,
    list_handovers,
    replay_handovers,
    rotate_secret,
    send_ping,
)
from moorage.handover.outcomes import remedy_of
from moorage.ids import new_id
from moorage_ports.errors import MoorageError
from moorage_ports.operations import Role
from moorage_ports.outgoing import ANNOUNCED, MOST_ENDPOINTS, EventType, HandoverState

PATH: Final = "/operations/handover"
_ONE: Final = PATH + "/{endpoint_id:str}"
_ADD_ONCE: Final = "admin-endpoint"  # under which a form's key is remembered: what it showed is shown once
_ROTATE_ONCE: Final = "admin-endpoint-secret"

EVENTS: Final[Mapping[str, str]] = {
    EventType.LEAD_CREATED.value: "A lead came in",
    EventType.LEAD_UPDATED.value: "A lead was changed",
    EventType.LEAD_DELETED.value: "A lead was deleted",
    EventType.PING.value: "A test",
}
ENDPOINTS: Final[Mapping[str, Badge]] = {
    "active": Badge("Active", "good"),
    "paused": Badge("Paused", "wait"),
    "disabled": Badge("Disabled", "bad"),
}
HANDOVERS: Final[Mapping[str, Badge]] = {
    HandoverState.PENDING.value: Badge("On its way", "wait"),
    HandoverState.DELIVERED.value: Badge("Delivered", "good"),
    HandoverState.DEAD.value: Badge("Given up", "bad"),
}
_FAILURES: Final[Mapping[str, str]] = {
    "address_refused": "Its address may not be called",
    "unreachable": "It could not be reached",
    "timed_out": "It took too long to answer",
    "no_answer": "It closed the connection without an answer",
    "redirected": "It answered with a redirect",
    "gone": "It wants no more messages",
    "failing": "Nothing arrived for days",
    "rate_limited": "It asked to be told more slowly",
    "endpoint_failed": "It answered with an error of its own",
    "rejected": "It refused the message",
    "internal": "Something broke here",
    "endpoint_disabled": "It was disabled before this was delivered",
}
KEEPS: Final[Mapping[str, str]] = {
    "24": "for a day",
    "1": "for an hour",
    "72": "for three days",
    "168": "for a week",
    "0": "not at all: the old one has leaked",
}


def failure_words(code: str) -> str:
    """What went wrong with an endpoint or a message, in words."""
    return _FAILURES.get(code) or code.replace("_", " ").capitalize()


@attrs.frozen(kw_only=True)
class Draft:
    """What stands in the form of a new endpoint; `key` makes that it is added once."""

    key: str
    url: str = attrs.field(default="", repr=False)
    description: str = ""
    events: tuple[str, ...] = ()


def _told(error: MoorageError) -> Trouble:
    """An error in words; of an address that may not be called also why, and which may."""
    told = words.trouble(error)
    if error.remedy != remedy_of("address_refused"):
        return told
    return attrs.evolve(told, fields={"url": f"{told.detail} {told.remedy}"})


# All of them ----------------------------------------------------------------------------------


@get(PATH, opt=SESSION)
async def endpoints_page(
    visit: VisitHere, deleted: Annotated[str, QueryParameter(required=False)] = ""
) -> Answer:
    """Every endpoint, and the form of a new one."""
    visit.caller(Role.ADMIN)
    return await _list_page(visit, Draft(key=new_id()), is_deleted=bool(deleted))


@post(PATH, opt=SESSION, request_max_body_size=MAX_FORM_BYTES, status_code=200)
async def add_endpoint(visit: VisitHere, form: FormHere) -> Answer:
    """Tell an endpoint from now on. The answer shows its secret, and the same form sent again does not."""
    caller = visit.caller(Role.ADMIN)
    needs_proof(visit, ADD)
    events = tuple(name for name in form.all("event") if name in EVENTS)
    draft = Draft(
        key=form.text("key") or new_id(),
        url=form.text("url"),
        description=form.text("description"),
        events=events,
    )
    asked = {"url": draft.url, "description": draft.description, "eventTypes": _events(events)}

    async def add(_: str) -> SecretShown:
        return await create_endpoint(visit.services, caller, codec.structure(asked, NewEndpoint))

    try:
        _, shown = await visit.once(_ADD_ONCE, draft.key, repr(asked), add)
    except MoorageError as error:
        again = attrs.evolve(draft, key=new_id())
        return await _list_page(visit, again, failure=_told(error), status=status_of(error))
    if shown is None:
        return visit.redirect(f"/admin{PATH}")
    return _secret_page(visit, shown, is_new=True)


def _events(chosen: tuple[str, ...]) -> list[str]:
    """Every box ticked means all there will ever be, as does none."""
    return [] if len(chosen) == len(ANNOUNCED) else list(chosen)


async def _list_page(
    visit: Visit, draft: Draft, *, failure: Trouble | None = None, is_deleted: bool = False, status: int = 200
) -> Answer:
    found = (await list_endpoints(visit.services, visit.org_id)).items
    context = {
        "title": "Hand-over",
        "endpoints": found,
        "badges": ENDPOINTS,
        "events": {one.value: EVENTS[one.value] for one in ANNOUNCED},
        "failure_words": failure_words,
        "draft": draft,
        "may_add": len(found) < MOST_ENDPOINTS,
        "confirm_href": confirm_path(ADD),
        "most": MOST_ENDPOINTS,
        "failure": failure,
        "fields": failure.fields if failure else {},
        "is_deleted": is_deleted,
    }
    return visit.page("handover.html", context, status=status)


def _secret_page(visit: Visit, shown: SecretShown, *, is_new: bool) -> Answer:
    context = {"title": "The secret", "endpoint": shown.endpoint, "secret": shown.secret, "is_new": is_new}
    return visit.page("endpoint_secret.html", context)


# One of them ----------------------------------------------------------------------------------


@get(_ONE, opt=SESSION)
async def endpoint_page(
    visit: VisitHere,
    endpoint_id: FromPath[str],
    which: Annotated[str, QueryParameter(name="state", required=False)] = "",
    tested: Annotated[str, QueryParameter(required=False)] = "",
    replayed: Annotated[str, QueryParameter(required=False)] = "",
    saved: Annotated[str, QueryParameter(required=False)] = "",
    keep: Annotated[str, QueryParameter(required=False)] = "",
    p: Annotated[str, QueryParameter(required=False)] = "1",
) -> Answer:
    """One endpoint: how it stands, what may be changed, and its messages, the newest first."""
    visit.caller(Role.ADMIN)
    state = which if which in HANDOVERS else ""
    query = HandoverQuery(p=page_number(p), ps=PAGE_SIZE, state=state)
    notes = {
        "tested": tested[:80],
        "replayed": page_number(replayed) if replayed and replayed != "0" else 0,
        "is_saved": bool(saved),
        "replayed_none": replayed == "0",
        "keep": keep,
    }
    return await _one_page(visit, endpoint_id, query, notes=notes)


async def _one_page(
    visit: Visit,
    endpoint_id: str,
    query: HandoverQuery,
    *,
    notes: Mapping[str, object] | None = None,
    failure: Trouble | None = None,
    status: int = 200,
) -> Answer:
    services, org_id = visit.services, visit.org_id
    endpoint = await get_endpoint(services, org_id, endpoint_id)
    found = await list_handovers(services, org_id, endpoint_id, query)
    counts = {
        name: (await list_handovers(services, org_id, endpoint_id, HandoverQuery(ps=1, state=name))).total
        for name in HANDOVERS
    }
    told = {
        "tested": "",
        "replayed": 0,
        "is_saved": False,
        "replayed_none": False,
        "keep": "",
        **(notes or {}),
    }
    context = {
        "title": endpoint.description or "Endpoint",
        "endpoint": endpoint,
        "badge_of": ENDPOINTS[endpoint.state],
        "badges": HANDOVERS,
        "events": {one.value: EVENTS[one.value] for one in ANNOUNCED},
        "event_words": EVENTS,
        "rows": found.items,
        "pages": leafing(found, {"state": query.state}),
        "state": query.state,
        "counts": counts,
        "failure_words": failure_words,
        "keeps": KEEPS,
        "confirm_href": confirm_path(MOVE, _path(endpoint_id)),
        "key": new_id(),
        "now": visit.desk.now(),
        "most": MOST_REPLAYED,
        "failure": failure,
        "fields": failure.fields if failure else {},
        **told,
        "test": _test(found.items, str(told["tested"])),
    }
    return visit.page("endpoint.html", context, status=status)


def _test(rows: tuple[HandoverView, ...], message_id: str) -> HandoverView | None:
    return next((row for row in rows if message_id and row.id == message_id), None)


async def _refused(visit: Visit, endpoint_id: str, error: MoorageError) -> Answer:
    return await _one_page(
        visit,
        endpoint_id,
        HandoverQuery(ps=PAGE_SIZE),
        failure=_told(error),
        status=status_of(error),
    )


@post(f"{_ONE}/change", opt=SESSION, request_max_body_size=MAX_FORM_BYTES, status_code=200)
async def change(visit: VisitHere, form: FormHere, endpoint_id: FromPath[str]) -> Answer:
    """Change where it is, what it is told, or whether."""
    caller = visit.caller(Role.ADMIN)
    try:
        asked = codec.structure(_changes(form), EndpointChange)
        if asked.url is not None and asked.url != await _url(visit, endpoint_id):
            needs_proof(visit, MOVE, _path(endpoint_id))
        await change_endpoint(visit.services, caller, endpoint_id, asked)
    except MoorageError as error:
        return await _refused(visit, endpoint_id, error)
    return visit.redirect(f"{_path(endpoint_id)}?saved=1")


async def _url(visit: Visit, endpoint_id: str) -> str:
    return (await get_endpoint(visit.services, visit.org_id, endpoint_id)).url


def _path(endpoint_id: str) -> str:
    return f"/admin{PATH}/{endpoint_id}"


def _changes(form: Form) -> dict[str, object]:
    """What the form is about: the state alone, or all the rest."""
    if "state" in form.fields:
        return {"state": form.text("state")}
    events = tuple(name for name in form.all("event") if name in EVENTS)
    return {"url": form.text("url"), "description": form.text("description"), "eventTypes": _events(events)}


@post(f"{_ONE}/rotate", opt=SESSION, request_max_body_size=MAX_FORM_BYTES, status_code=200)
async def rotate(visit: VisitHere, form: FormHere, endpoint_id: FromPath[str]) -> Answer:
    """Sign with a new secret, shown once; the same form sent again changes nothing."""
    caller = visit.caller(Role.ADMIN)
    hours = form.text("keep") if form.text("keep") in KEEPS else "24"
    needs_proof(visit, ROTATE, f"{_path(endpoint_id)}?keep={hours}")

    async def turn(_: str) -> SecretShown:
        return await rotate_secret(visit.services, caller, endpoint_id, Rotation(keep_hours=int(hours)))

    key = form.text("key") or new_id()
    _, shown = await visit.once(_ROTATE_ONCE, key, f"{endpoint_id} {hours}", turn)
    if shown is None:
        return visit.redirect(_path(endpoint_id))
    return _secret_page(visit, shown, is_new=False)


@post(f"{_ONE}/test", opt=SESSION, request_max_body_size=MAX_FORM_BYTES, status_code=200)
async def test_it(visit: VisitHere, form: FormHere, endpoint_id: FromPath[str]) -> Answer:
    """Send a test message and wait for what comes of it."""
    sent = await send_ping(visit.services, visit.caller(Role.ADMIN), endpoint_id)
    return visit.redirect(f"{_path(endpoint_id)}?tested={sent.id}")


@post(f"{_ONE}/replay", opt=SESSION, request_max_body_size=MAX_FORM_BYTES, status_code=200)
async def replay_messages(visit: VisitHere, form: FormHere, endpoint_id: FromPath[str]) -> Answer:
    """Send one message again, or all that were given up."""
    caller = visit.caller(Role.ADMIN)
    needs_proof(visit, SEND_AGAIN, _path(endpoint_id))
    try:
        asked = codec.structure({"ids": list(form.all("id"))}, HandoverReplay)
        done = await replay_handovers(visit.services, caller, endpoint_id, asked)
    except MoorageError as error:
        return await _refused(visit, endpoint_id, error)
    return visit.redirect(f"{_path(endpoint_id)}?replayed={done.replayed}")


@post(f"{_ONE}/delete", opt=SESSION, request_max_body_size=MAX_FORM_BYTES, status_code=200)
async def delete(visit: VisitHere, form: FormHere, endpoint_id: FromPath[str]) -> Answer:
    """Tell it nothing any more; the page said what goes with it."""
    caller = visit.caller(Role.ADMIN)
    needs_proof(visit, DELETE, _path(endpoint_id))
    await delete_endpoint(visit.services, caller, endpoint_id)
    return visit.redirect(f"/admin{PATH}?deleted=1")
