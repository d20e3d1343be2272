"""`/_sandbox/...`: how tests and scripts drive the sandbox, in camelCase JSON. Meta has nothing of it."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import msgspec
from litestar import MediaType, Request, Response, Router, delete, get, post
from litestar.datastructures import State
from litestar.di import NamedDependency

from moorage_facebook.sandbox import acts, bodies
from moorage_facebook.sandbox.entities import Delivery, Fault, Lead, Post
from moorage_facebook.sandbox.jsontext import Json, meta_json, read_json, view
from moorage_facebook.sandbox.seed import new_app, seed
from moorage_facebook.sandbox.state import World
from moorage_facebook.sandbox.webhooks import WebhookSender

B = TypeVar("B", bound=bodies.Body)
TheWorld = NamedDependency[World]
TheSender = NamedDependency[WebhookSender]
Incoming = Request[None, None, State]


@get("/state")
async def read_state(world: TheWorld, request: Incoming) -> Response[bytes]:
    """Everything, or only the parts named in `?only=leads,webhooks`."""
    wanted = {name for name in request.query_params.get("only", "").split(",") if name}
    unknown = wanted - _PARTS.keys()
    if unknown:
        raise acts.UnworkableError(f"only knows {', '.join(_PARTS)}")
    return _json({name: part(world) for name, part in _PARTS.items() if not wanted or name in wanted})


@post("/consent", status_code=200)
async def give_consent(world: TheWorld, request: Incoming) -> Response[bytes]:
    """What a person does in the dialog; answers `{redirect}`."""
    return _json({"redirect": acts.consent(world, await _read(request, bodies.ConsentBody))})


@post("/leads", status_code=200)
async def submit_leads(world: TheWorld, sender: TheSender, request: Incoming) -> Response[bytes]:
    """Fill in a form, once or many times; answers the leads and the deliveries."""
    return _json(acts.submit_leads(world, sender, await _read(request, bodies.LeadsBody)))


@post("/pages", status_code=200)
async def put_pages(world: TheWorld, request: Incoming) -> Response[bytes]:
    """Make or claim Pages with their forms; answers them as `demo.json` has them."""
    pages = acts.put_pages(world, await _read(request, bodies.PagesBody))
    ids = {page.id for page in pages}
    return _json({"pages": [row for row in page_facts(world) if row["id"] in ids]})


@post("/apps", status_code=200)
async def put_app(world: TheWorld, request: Incoming) -> Response[bytes]:
    """Register an app, or change one; answers its id, secret and verify token."""
    body = await _read(request, bodies.AppBody)
    if body.id and world.apps.get(body.id) is None and world.node(body.id) is not None:
        raise acts.UnworkableError(f"{body.id} is not an app")
    app = new_app(
        world,
        app_id=body.id or "",
        name=body.name,
        secret=body.secret,
        verify_token=body.verify_token,
        callback_url=body.callback_url,
    )
    facts = {"id": app.id, "name": app.name, "secret": app.secret, "verifyToken": app.verify_token}
    return _json({**facts, "callbackUrl": app.callback_url})


@post("/faults", status_code=200)
async def add_fault(world: TheWorld, request: Incoming) -> Response[bytes]:
    """Add a rule to misbehave by; answers its id."""
    body = await _read(request, bodies.FaultBody)
    fault = Fault(
        id=world.new_id(),
        method=body.match.method,
        path=body.match.path,
        page_id=body.match.page_id,
        times=body.times,
        status=body.status,
        code=body.code,
        subcode=body.subcode,
        body=_fault_text(bytes(body.body)),
        headers=dict(body.headers),
        delay_ms=body.delay_ms,
        drop=body.drop or "",
    )
    world.faults.put(fault)
    return _json({"id": fault.id})


@delete("/faults", status_code=200)
async def drop_faults(world: TheWorld) -> Response[bytes]:
    """Behave again."""
    dropped = len(world.faults)
    world.faults.clear()
    return _json({"dropped": dropped})


@post("/webhooks", status_code=200)
async def send_webhook(world: TheWorld, sender: TheSender, request: Incoming) -> Response[bytes]:
    """Send any body, signed as asked, and wait for the answer of the first try."""
    body = await _read(request, bodies.WebhookBody)
    given = bytes(body.body)
    if (body.raw is None) == (not given):
        raise acts.UnworkableError("exactly one of body and raw must be given")
    text = body.raw if body.raw is not None else meta_json(read_json(given))
    now = world.now()
    app_id = body.app_id or world.app().id
    subscription = world.app_subscriptions.get(f"{app_id}:page")
    delivery = Delivery(
        id=world.new_id(),
        app_id=app_id,
        url=body.url or (subscription.callback_url if subscription else ""),
        topic="custom",
        body=text,
        content_type=body.content_type,
        signing=body.signature,
        headers=dict(body.headers),
        retry=body.retry,
        created_at=now,
        due_at=now,
    )
    return _json(view(await sender.send_now(delivery)))


@post("/revoke", status_code=200)
async def revoke(world: TheWorld, sender: TheSender, request: Incoming) -> Response[bytes]:
    """The person removes the app."""
    return _json({"deliveries": acts.revoke(world, sender, await _read(request, bodies.RevokeBody))})


@post("/clock", status_code=200)
async def advance_clock(world: TheWorld, request: Incoming) -> Response[bytes]:
    """Time passes; answers the new time."""
    body = await _read(request, bodies.ClockBody)
    if world.now() + body.advance_seconds > _LAST_MOMENT:
        raise acts.UnworkableError("the clock ends with the year 2999")
    world.advance(body.advance_seconds)
    return _json({"now": world.seconds()})


@post("/reset", status_code=200)
async def reset(world: TheWorld, request: Incoming) -> Response[bytes]:
    """Start over with the seed; the app keeps its secrets, which the host knows."""
    await _read(request, bodies.EmptyBody)
    world.clear()
    seed(world)
    return _json({"pages": page_facts(world)})


def control_router() -> Router:
    """All control routes."""
    return Router(
        path="/_sandbox",
        route_handlers=[
            read_state,
            give_consent,
            submit_leads,
            put_pages,
            put_app,
            add_fault,
            drop_faults,
            send_webhook,
            revoke,
            advance_clock,
            reset,
        ],
        exception_handlers={acts.UnworkableError: _refuse},
    )


def page_facts(world: World) -> list[dict[str, Json]]:
    """Pages with their forms, as `demo.json` carries them."""
    return [
        {
            "id": page.id,
            "name": page.name,
            "forms": [{"id": form.id, "name": form.name} for form in world.forms.of(page.id)],
        }
        for page in world.pages
    ]


async def _read(request: Incoming, kind: type[B]) -> B:
    """The body, checked; an empty one counts as `{}`.

    Raises:
        UnworkableError: It is no JSON, or not this shape.
    """
    raw = await request.body() or b"{}"
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise acts.UnworkableError(str(error)) from error


def _refuse(_: Incoming, problem: Exception) -> Response[bytes]:
    return _json({"error": {"message": str(problem)}}, status=400)


def _json(value: Json, status: int = 200) -> Response[bytes]:
    return Response(msgspec.json.encode(value), status_code=status, media_type=MediaType.JSON)


def _fault_text(raw: bytes) -> str | None:
    """A JSON string is sent as its own text (an HTML page, half a body), anything else as JSON."""
    if raw in {b"", b"null"}:
        return None
    value = read_json(raw)
    return value if isinstance(value, str) else raw.decode()


def _lead(lead: Lead) -> Json:
    answers = {name: list(values) for name, values in lead.answers}
    flat = view(lead)
    return {**flat, "answers": answers} if isinstance(flat, Mapping) else flat


def _post(world: World, row: Post) -> Json:
    flat = view(row)
    photos = [photo.url for photo in (world.photos.get(name) for name in row.photo_ids) if photo]
    more: dict[str, Json] = {"live": world.is_live(row), "photos": photos}
    return {**flat, **more} if isinstance(flat, Mapping) else flat


def _all(name: str) -> Callable[[World], Json]:
    def part(world: World) -> Json:
        return view(list(getattr(world, name)))

    return part


def _nothing(_: World) -> Sequence[Json]:
    return []


_LAST_MOMENT = 32_503_680_000
_PARTS: Mapping[str, Callable[[World], Json]] = {
    "now": lambda world: world.now(),
    "apps": _all("apps"),
    "users": _all("users"),
    "businesses": _all("businesses"),
    "pages": _all("pages"),
    "posts": lambda world: [_post(world, row) for row in world.posts],
    "photos": _all("photos"),
    "comments": _nothing,
    "forms": _all("forms"),
    "leads": lambda world: [_lead(row) for row in world.leads],
    "whatsappAccounts": _all("whatsapp_accounts"),
    "phoneNumbers": _all("phone_numbers"),
    "messages": _all("messages"),
    "campaigns": _nothing,
    "consents": _all("consents"),
    "tokens": _all("tokens"),
    "subscriptions": _all("page_subscriptions"),
    "appSubscriptions": _all("app_subscriptions"),
    "webhooks": _all("deliveries"),
    "faults": _all("faults"),
    "calls": lambda world: {row.id: row.count for row in world.calls},
}
