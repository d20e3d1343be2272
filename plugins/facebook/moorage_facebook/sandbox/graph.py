"""The front of Graph: from a request to the function that answers it, and the answer's envelope and headers.

https://developers.facebook.com/docs/graph-api/overview
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import parse_qsl, unquote, urlsplit

import attrs
import msgspec

from moorage_facebook.sandbox import content, errors, leads, oauth, people
from moorage_facebook.sandbox.entities import CallCount, Lead, Node, Page
from moorage_facebook.sandbox.errors import GraphError, GraphFailure
from moorage_facebook.sandbox.jsontext import Json, meta_json
from moorage_facebook.sandbox.params import read_sent
from moorage_facebook.sandbox.state import LEAD_RETENTION, World
from moorage_facebook.sandbox.tokens import Session, check_proof, open_session
from moorage_facebook.sandbox.wire import (
    DEFAULT_VERSION,
    AnyRoute,
    AnyShape,
    Call,
    Directory,
    WebhookDoor,
    owned_page,
    render,
)

_VERSION = re.compile(r"v[0-9]{1,3}\.[0-9]{1,2}")
_METHODS = frozenset({"GET", "POST", "DELETE"})
_MOST_IN_BATCH = 50
_NOMINAL_CALLS = 5_000  # calls that would be 100 % of every limit: high, so that only faults ever throttle

_ALL_ROUTES: tuple[AnyRoute, ...] = (*people.ROUTES, *content.ROUTES, *leads.ROUTES)
_ALL_SHAPES: tuple[AnyShape, ...] = (*people.SHAPES, *content.SHAPES, *leads.SHAPES)
_ROUTES = {(route.method, route.node, route.edge): route for route in _ALL_ROUTES}
_SHAPES = {shape.node: shape for shape in _ALL_SHAPES}

_KINDS: Mapping[str, str] = {"LeadForm": "form"}


@attrs.frozen(kw_only=True)
class Asked:
    """A request as it came off the wire."""

    method: str
    path: str
    query: str = ""
    content_type: str = ""
    authorization: str = ""
    body: bytes = attrs.field(default=b"", repr=False)


@attrs.frozen(kw_only=True)
class Answer:
    """What goes back: a JSON value and Graph's headers."""

    status: int
    body: Json
    headers: Mapping[str, str] = attrs.field(factory=dict)

    @property
    def text(self) -> str:
        return meta_json(self.body)


class _Tables(Directory):
    """The joined tables of all edges."""

    def shape(self, node: Node) -> AnyShape | None:
        return _SHAPES.get(type(node))

    def reader(self, node: Node, edge: str) -> AnyRoute | None:
        return _ROUTES.get(("GET", type(node), edge)) if edge else None


_TABLES = _Tables()


@attrs.frozen(kw_only=True)
class Graph:
    """Graph over one world. `answer` never raises for anything a caller can send."""

    world: World
    webhooks: WebhookDoor

    async def answer(self, asked: Asked) -> Answer:
        """Run one request; errors become Graph's envelope."""
        version, path = split_version(asked.path)
        try:
            sent = read_sent(asked.query, asked.content_type, asked.body)
        except GraphError as refused:
            return self._refusal(refused.failure, version)
        params = dict(sent.params)
        scheme, _, token = asked.authorization.partition(" ")
        if scheme.lower() in {"bearer", "oauth"} and token.strip():
            params.setdefault("access_token", token.strip())
        return await self._run(self._call(asked.method, version, path, params, sent.files))

    def _call(
        self,
        method: str,
        version: str,
        path: tuple[str, ...],
        params: Mapping[str, str],
        files: Mapping[str, int],
    ) -> Call:
        override = params.get("method", "").upper()
        return Call(
            world=self.world,
            webhooks=self.webhooks,
            directory=_TABLES,
            method=override if override in _METHODS and method == "POST" else method,
            version=version,
            path=path,
            params=params,
            files=files,
        )

    async def _run(self, call: Call) -> Answer:
        try:
            root = _ROOTS.get((call.method, "/".join(call.path)))
            if root is not None:
                body = await root(self, call)
                return Answer(status=200, body=body, headers=self._headers(call.version, None, "pages"))
            return await self._run_on_node(call)
        except GraphError as refused:
            return self._refusal(refused.failure, call.version)

    async def _run_on_node(self, call: Call) -> Answer:
        if not 0 < len(call.path) <= 2:
            raise errors.unknown_path("/".join(call.path)[:200])
        call = authenticate(call)
        node = _node(call)
        route = _route(call, node)
        page = self.world.page_of(node)
        try:
            _check_access(call, route, node, page)
            body = await route(call, node)
        except GraphError as refused:
            return self._refusal(refused.failure, call.version, page, route.usage)
        return Answer(status=200, body=body, headers=self._headers(call.version, page, route.usage))

    async def batch(self, call: Call) -> Json:
        """`POST /` with `batch=[{method, relative_url, body}]`: answers in order, each body a string.

        https://developers.facebook.com/docs/graph-api/batch-requests
        """
        try:
            items = msgspec.json.decode(call.param("batch").encode("utf-8", "replace"), type=list[_BatchItem])
        except (msgspec.MsgspecError, RecursionError) as error:
            raise errors.invalid("Param batch must be an array of {method, relative_url, body}") from error
        if len(items) > _MOST_IN_BATCH:
            raise errors.invalid(
                f"Too many requests in batch message. Maximum batch size is {_MOST_IN_BATCH}"
            )
        inherited = {name: call.params[name] for name in _INHERITED if name in call.params}
        return [await self._batch_item(item, inherited, call) for item in items]

    async def _batch_item(self, item: "_BatchItem", inherited: Mapping[str, str], call: Call) -> Json:
        url = urlsplit(item.relative_url.lstrip("/"))
        version, path = split_version(url.path)
        pairs = parse_qsl(url.query, keep_blank_values=True, errors="replace")
        body = parse_qsl(item.body, keep_blank_values=True, errors="replace")
        count_call(self.world, item.method.upper(), path)
        own = dict([*pairs, *body])
        own.pop("batch", None)  # no batch within a batch
        params = own if "access_token" in own else {**inherited, **own}
        answer = await self._run(self._call(item.method.upper(), version, path, params, {}))
        entry: dict[str, Json] = {"code": answer.status, "body": answer.text}
        if call.param("include_headers") != "false":
            entry["headers"] = [{"name": name, "value": value} for name, value in answer.headers.items()]
        return entry

    def _refusal(
        self, failure: GraphFailure, version: str, page: Page | None = None, usage: str = "pages"
    ) -> Answer:
        trace_id = errors.new_trace_id()
        headers = self._headers(version, page, usage, trace_id)
        return Answer(status=failure.status, body=failure.body(trace_id), headers=headers)

    def _headers(self, version: str, page: Page | None, usage: str, trace_id: str = "") -> dict[str, str]:
        """Usage and trace headers, on success and failure alike.

        https://developers.facebook.com/docs/graph-api/overview/rate-limiting
        """
        made = sum(row.count for row in self.world.calls)
        percent = min(99, made % _NOMINAL_CALLS * 100 // _NOMINAL_CALLS)
        app: dict[str, Json] = {"call_count": percent, "total_cputime": percent, "total_time": percent}
        headers = {
            "facebook-api-version": version,
            "x-fb-trace-id": trace_id or errors.new_trace_id(),
            "x-fb-rev": "1000000001",
            "x-app-usage": msgspec.json.encode(app).decode(),
            "cache-control": "private, no-cache, no-store, must-revalidate",
        }
        if page is not None:
            entry = {"type": usage, **app, "estimated_time_to_regain_access": 0}
            headers["x-business-use-case-usage"] = msgspec.json.encode({page.id: [entry]}).decode()
        return headers


class _BatchItem(msgspec.Struct):
    """One request of a batch."""

    method: str = "GET"
    relative_url: str = ""
    body: str = ""
    name: str = ""


_INHERITED = ("access_token", "appsecret_proof", "appsecret_time")


def authenticate(call: Call) -> Call:
    """The same call with its session.

    Raises:
        GraphError: No token, one that opens nothing, or a proof that is missing or wrong.
    """
    value = call.param("access_token")
    if not value:
        raise errors.no_token(needs_user=call.path[:1] == ("me",))
    session = open_session(call.world, value)
    if session.token.kind != "APP" or call.param("appsecret_proof"):
        check_proof(session.app, value, call.params, now=call.world.now())
    return attrs.evolve(call, session=session, params={**call.params, "access_token": value})


def split_version(path: str) -> tuple[str, tuple[str, ...]]:
    """`/v26.0/me/accounts/` -> `("v26.0", ("me", "accounts"))`; without a version it is the app's default."""
    parts = tuple(unquote(part) for part in path.split("/") if part)
    if parts and _VERSION.fullmatch(parts[0]):
        return parts[0], parts[1:]
    return DEFAULT_VERSION, parts


def template(world: World, path: tuple[str, ...]) -> str:
    """`/{page}/feed` for `/1234567890/feed`: how calls are counted and faults are matched."""
    if not path:
        return "/"
    node = None if path[0] == "me" else world.node(path[0])
    if node is not None:
        name = type(node).__name__
        head = f"{{{_KINDS.get(name, name.lower())}}}"
    else:
        head = path[0] if path[0] in _WORDS else "{unknown}"
    known = [part if _is_edge(part) else "{unknown}" for part in path[1:3]]
    return "/" + "/".join([head, *known])


def count_call(world: World, method: str, path: tuple[str, ...]) -> None:
    """Remember that somebody called; also calls that a fault then swallows."""
    key = f"{method if method in _METHODS else 'OTHER'} {template(world, path)}"
    before = world.calls.get(key)
    world.calls.put(CallCount(id=key, count=(before.count if before else 0) + 1))


def _is_edge(part: str) -> bool:
    return part in _EDGES


def _node(call: Call) -> Node:
    name = call.path[0]
    if name == "me":
        mine = call.who.page or call.who.user
        if mine is None:
            raise errors.no_token(needs_user=True)
        return mine
    node = call.who.app if name == "app" else call.world.node(name)
    if node is None:
        raise errors.not_found(call.method, name[:100])
    if isinstance(node, Lead) and _is_past(call.world, node):
        raise errors.not_found(call.method, name[:100])
    return node


def _is_past(world: World, lead: Lead) -> bool:
    return lead.created_at < world.now() - LEAD_RETENTION


def _route(call: Call, node: Node) -> AnyRoute:
    edge = call.path[1] if len(call.path) > 1 else ""
    route = _ROUTES.get((call.method, type(node), edge))
    if route is not None:
        return route
    if not edge or edge in _EDGES:
        raise errors.not_found(call.method, call.path[0][:100])
    raise errors.unknown_path(edge[:100])


def _check_access(call: Call, route: AnyRoute, node: Node, page: Page | None) -> None:
    """Reach of the token, kind of the token, permissions: in that order, as Graph reports them."""
    if page is None:
        return
    session: Session = call.who
    hidden = errors.not_found(call.method, node.id)
    if session.token.kind == "APP" or not owned_page(call, page):
        raise hidden
    if route.page_token and session.page is None:
        raise hidden if route.hides else errors.page_token_required()
    missing = tuple(scope for scope in route.scopes if not session.may(scope))
    if missing:
        raise hidden if route.hides else errors.missing_permission(call.method, missing)


async def _exchange(_: Graph, call: Call) -> Json:
    return await oauth.exchange(call)


async def _debug_token(_: Graph, call: Call) -> Json:
    return await oauth.debug_token(authenticate(call))


async def _by_ids(_: Graph, call: Call) -> Json:
    """`GET /?ids=1,2&fields=...`: several nodes under their ids."""
    ids = [part for part in call.param("ids").split(",") if part][:_MOST_IN_BATCH]
    if not ids:
        raise errors.invalid("The parameter ids is required")
    answers: dict[str, Json] = {}
    for node_id in ids:
        single = authenticate(attrs.evolve(call, path=(node_id,)))
        node = _node(single)
        route = _route(single, node)
        _check_access(single, route, node, call.world.page_of(node))
        answers[node_id] = await render(single, node, single.fields())
    return answers


_ROOTS: Mapping[tuple[str, str], Callable[[Graph, Call], Awaitable[Json]]] = {
    ("GET", "oauth/access_token"): _exchange,
    ("POST", "oauth/access_token"): _exchange,
    ("GET", "debug_token"): _debug_token,
    ("GET", ""): _by_ids,
    ("POST", ""): Graph.batch,
    ("POST", "me"): Graph.batch,
}
_WORDS = frozenset({"me", "app", "oauth", "debug_token", "dialog"})
_EDGES = frozenset(route.edge for route in _ALL_ROUTES) | {"access_token", "oauth"}  # of roots, too
