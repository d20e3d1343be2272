"""`/_sandbox/...`: how tests and scripts drive the sandbox, in camelCase JSON. Meta has nothing of it."""

from collections.abc import Callable, Mapping, Sequence

from litestar import Response, Router, delete, get, post

from moorage_facebook.sandbox import acts, bodies
from moorage_facebook.sandbox.control_io import Incoming, TheSender, TheWorld, answer, read_body, refuse
from moorage_facebook.sandbox.entities import Delivery, Fault, Lead, Post
from moorage_facebook.sandbox.given import UnworkableError
from moorage_facebook.sandbox.jsontext import Json, camel, meta_json, read_json, view
from moorage_facebook.sandbox.seed import new_app, seed
from moorage_facebook.sandbox.social_control import SOCIAL_ROUTES
from moorage_facebook.sandbox.state import World


@get("/state")
async def read_state(world: TheWorld, request: Incoming) -> Response[bytes]:
    """Everything, or only the parts named in `?only=leads,webhooks`.

    Unasked, of what there are very many only the newest are shown; `counts` says how many there are.
    """
    wanted = {name for name in request.query_params.get("only", "").split(",") if name}
    unknown = wanted - _PARTS.keys()
    if unknown:
        raise UnworkableError(f"only knows {', '.join(_PARTS)}")
    most = None if wanted else _MOST_SHOWN
    return answer({name: part(world, most) for name, part in _PARTS.items() if not wanted or name in wanted})


@post("/consent", status_code=200)
async def give_consent(world: TheWorld, request: Incoming) -> Response[bytes]:
    """What a person does in the dialog; answers `{redirect}`."""
    return answer({"redirect": acts.consent(world, await read_body(request, bodies.ConsentBody))})


@post("/leads", status_code=200)
async def submit_leads(world: TheWorld, sender: TheSender, request: Incoming) -> Response[bytes]:
    """Fill in a form, once or many times; answers the leads and the deliveries."""
    return answer(acts.submit_leads(world, sender, await read_body(request, bodies.LeadsBody)))


@post("/pages", status_code=200)
async def put_pages(world: TheWorld, request: Incoming) -> Response[bytes]:
    """Make or claim Pages with their forms; answers them as `demo.json` has them."""
    pages = acts.put_pages(world, await read_body(request, bodies.PagesBody))
    ids = {page.id for page in pages}
    return answer({"pages": [row for row in page_facts(world) if row["id"] in ids]})


@post("/apps", status_code=200)
async def put_app(world: TheWorld, request: Incoming) -> Response[bytes]:
    """Register an app, or change one; answers its id, secret and verify token."""
    body = await read_body(request, bodies.AppBody)
    if body.id and world.apps.get(body.id) is None and world.node(body.id) is not None:
        raise UnworkableError(f"{body.id} is not an app")
    app = new_app(
        world,
        app_id=body.id or "",
        name=body.name,
        secret=body.secret,
        verify_token=body.verify_token,
        callback_url=body.callback_url,
    )
    facts = {"id": app.id, "name": app.name, "secret": app.secret, "verifyToken": app.verify_token}
    return answer({**facts, "callbackUrl": app.callback_url})


@post("/faults", status_code=200)
async def add_fault(world: TheWorld, request: Incoming) -> Response[bytes]:
    """Add a rule to misbehave by; answers its id."""
    body = await read_body(request, bodies.FaultBody)
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
        share=body.share,
        delay_ms=body.delay_ms,
        drop=body.drop or "",
    )
    world.faults.put(fault)
    return answer({"id": fault.id})


@delete("/faults", status_code=200)
async def drop_faults(world: TheWorld) -> Response[bytes]:
    """Behave again."""
    dropped = len(world.faults)
    world.faults.clear()
    return answer({"dropped": dropped})


@post("/webhooks", status_code=200)
async def send_webhook(world: TheWorld, sender: TheSender, request: Incoming) -> Response[bytes]:
    """Send any body, signed as asked, and wait for the answer of the first try."""
    body = await read_body(request, bodies.WebhookBody)
    given = bytes(body.body)
    if (body.raw is None) == (not given):
        raise UnworkableError("exactly one of body and raw must be given")
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
    return answer(view(await sender.send_now(delivery)))


@post("/revoke", status_code=200)
async def revoke(world: TheWorld, sender: TheSender, request: Incoming) -> Response[bytes]:
    """The person removes the app."""
    return answer({"deliveries": acts.revoke(world, sender, await read_body(request, bodies.RevokeBody))})


@post("/data-deletion", status_code=200)
async def ask_for_deletion(world: TheWorld, sender: TheSender, request: Incoming) -> Response[bytes]:
    """The person removes the app and asks it to delete what it has of them."""
    body = await read_body(request, bodies.DataDeletionBody)
    return answer({"deliveries": acts.ask_for_deletion(world, sender, body)})


@post("/clock", status_code=200)
async def advance_clock(world: TheWorld, request: Incoming) -> Response[bytes]:
    """Time passes; answers the new time."""
    body = await read_body(request, bodies.ClockBody)
    if world.now() + body.advance_seconds > _LAST_MOMENT:
        raise UnworkableError("the clock ends with the year 2999")
    world.advance(body.advance_seconds)
    return answer({"now": world.seconds()})


@post("/reset", status_code=200)
async def reset(world: TheWorld, request: Incoming) -> Response[bytes]:
    """Start over with the seed; the app keeps its secrets, which the host knows."""
    await read_body(request, bodies.EmptyBody)
    world.clear()
    seed(world)
    return answer({"pages": page_facts(world)})


Part = Callable[[World, int | None], Json]


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
            ask_for_deletion,
            advance_clock,
            reset,
            *SOCIAL_ROUTES,
        ],
        exception_handlers={UnworkableError: refuse},
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


def _all(name: str) -> Part:
    def part(world: World, most: int | None) -> Json:
        rows = list(getattr(world, name))
        return view(rows if most is None else rows[-most:])

    return part


def _nothing(_: World, __: int | None) -> Sequence[Json]:
    return []


def _posts(world: World, most: int | None) -> Json:
    rows = list(world.posts)
    return [_post(world, row) for row in (rows if most is None else rows[-most:])]


def _leads(world: World, most: int | None) -> Json:
    rows = list(world.leads)
    return [_lead(row) for row in (rows if most is None else rows[-most:])]


def _counts(world: World, _: int | None) -> Json:
    tables = {camel(name): getattr(world, name) for name in _COUNTED}
    return {name: len(table) for name, table in tables.items()}


_LAST_MOMENT = 32_503_680_000
_MOST_SHOWN = 10_000
_COUNTED = (
    "posts",
    "comments",
    "reactions",
    "shares",
    "instagram_media",
    "instagram_comments",
    "threads",
    "messages",
    "leads",
    "deliveries",
)
_PARTS: Mapping[str, Part] = {
    "now": lambda world, _: world.now(),
    "counts": _counts,
    "apps": _all("apps"),
    "users": _all("users"),
    "businesses": _all("businesses"),
    "pages": _all("pages"),
    "posts": _posts,
    "photos": _all("photos"),
    "comments": _all("comments"),
    "reactions": _all("reactions"),
    "shares": _all("shares"),
    "instagramAccounts": _all("instagram_accounts"),
    "instagramMedia": _all("instagram_media"),
    "instagramComments": _all("instagram_comments"),
    "persons": _all("persons"),
    "faces": _all("faces"),
    "threads": _all("threads"),
    "forms": _all("forms"),
    "leads": _leads,
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
    "calls": lambda world, _: {row.id: row.count for row in world.calls},
}
