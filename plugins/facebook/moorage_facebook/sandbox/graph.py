"""The front of Graph: from a request to the function that answers it, and the answer's envelope and headers.

https://developers.facebook.com/docs/graph-api/overview
"""

import asyncio
import base64
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import parse_qsl, urlsplit

import attrs
import msgspec

from moorage_facebook.sandbox import errors, oauth
from moorage_facebook.sandbox.entities import Fault, Lead, Node, Page
from moorage_facebook.sandbox.errors import GraphError, GraphFailure
from moorage_facebook.sandbox.faults import fault_answer, page_id_of, take_fault
from moorage_facebook.sandbox.jsontext import Json, meta_json
from moorage_facebook.sandbox.params import read_sent
from moorage_facebook.sandbox.state import LEAD_RETENTION, World
from moorage_facebook.sandbox.tables import EDGES, METHODS, TABLES, count_call, route_of, split_version
from moorage_facebook.sandbox.tokens import Session, check_proof, open_session
from moorage_facebook.sandbox.wire import AnyRoute, Call, WebhookDoor, owned_page, render

_MOST_IN_BATCH = 50
_LISTS_OF_LEADS = frozenset({"leads", "test_leads"})
_NOMINAL_CALLS = 100_000_000  # calls that would be 100 % of every limit: so many that only faults throttle


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
        params = {**_credentials(asked.authorization), **sent.params}
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
            directory=TABLES,
            method=override if override in METHODS and method == "POST" else method,
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
        one = self._call(item.method.upper(), version, path, params, {})
        page_id = page_id_of(self.world, path, params.get("access_token", ""))
        fault = take_fault(self.world, one.method, url.path, page_id)
        answered = await self._struck(fault, one) if fault else _entry(await self._run(one))
        if answered is not None and call.param("include_headers") == "false":
            answered = {name: value for name, value in answered.items() if name != "headers"}
        return answered

    async def _struck(self, fault: Fault, call: Call) -> "Mapping[str, Json] | None":
        """One call of a batch in bad weather; None is what Graph puts for a call that it did not get to."""
        await asyncio.sleep(fault.delay_ms / 1000)
        if fault.drop == "before":
            return None
        said = None if fault.drop else fault_answer(fault)
        if said is not None:
            return _batched(said.status, said.body.decode(), said.headers)
        answer = _entry(await self._run(call))
        return None if fault.drop else answer

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


def _entry(answer: Answer) -> Mapping[str, Json]:
    return _batched(answer.status, answer.text, answer.headers)


def _batched(status: int, text: str, headers: Mapping[str, str]) -> Mapping[str, Json]:
    named: list[Json] = [{"name": name, "value": value} for name, value in headers.items()]
    return {"code": status, "body": text, "headers": named}


_INHERITED = ("access_token", "appsecret_proof", "appsecret_time")


def _credentials(authorization: str) -> Mapping[str, str]:
    """What the `Authorization` header says: a token, or who the app is.

    https://www.rfc-editor.org/rfc/rfc6749#section-2.3.1
    """
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() in {"bearer", "oauth"} and value.strip():
        return {"access_token": value.strip()}
    if scheme.lower() != "basic":
        return {}
    try:
        client_id, _, secret = base64.b64decode(value.strip(), validate=True).decode().partition(":")
    except ValueError:
        return {}
    return {"client_id": client_id, "client_secret": secret}


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
    route = route_of(call.method, node, edge)
    if route is not None:
        return route
    if not edge or edge in EDGES:
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
    if page.leads_closed_to and (isinstance(node, Lead) or route.edge in _LISTS_OF_LEADS):
        raise hidden


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
