"""The grammar of a Graph call: what came in, which function answers it, and how nodes and lists are written.

Each module of edges brings two tables: `ROUTES` (method, node type, edge -> function) and `SHAPES` (the
fields a node type has). `graph.py` joins them; nothing else knows which edges exist.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, Protocol, TypeAlias, TypeVar, cast

import attrs

from moorage_facebook.sandbox.entities import Node, Page
from moorage_facebook.sandbox.errors import bad_query, invalid, missing_permission, no_token
from moorage_facebook.sandbox.fields import Field, parse_fields
from moorage_facebook.sandbox.jsontext import Json
from moorage_facebook.sandbox.news import News
from moorage_facebook.sandbox.state import World
from moorage_facebook.sandbox.tokens import Session

DEFAULT_VERSION = "v26.0"

N = TypeVar("N", bound=Node)


class WebhookDoor(Protocol):
    """What Graph needs of the webhook sender."""

    def tell(self, news: Sequence[News]) -> object:
        """Send news to the apps that listen."""
        ...

    async def shake_hands(self, callback_url: str, verify_token: str) -> str:
        """Answer why the URL did not pass, or nothing when it did."""
        ...

    def lead_arrived(self, lead_id: str) -> None:
        """Tell the app about a lead, if it listens."""
        ...


class Directory(Protocol):
    """The joined tables, for field expansion: a field may be an edge."""

    def shape(self, node: Node) -> "AnyShape | None": ...

    def reader(self, node: Node, edge: str) -> "AnyRoute | None": ...


@attrs.frozen(kw_only=True)
class Call:
    """One Graph call on its way to the function that answers it."""

    world: World
    webhooks: WebhookDoor
    directory: Directory
    method: str
    version: str
    path: tuple[str, ...]
    params: Mapping[str, str]
    files: Mapping[str, int] = attrs.field(factory=dict)
    session: Session | None = None

    def param(self, name: str) -> str:
        return self.params.get(name, "").strip()

    def fields(self) -> tuple[Field, ...]:
        return parse_fields(self.param("fields"))

    @property
    def who(self) -> Session:
        """The session; routes without one are in the root table and never ask."""
        if self.session is None:
            raise no_token()
        return self.session


class AnyRoute(Protocol):
    """A `Route` of whatever node type."""

    @property
    def method(self) -> str: ...
    @property
    def node(self) -> type[Node]: ...
    @property
    def edge(self) -> str: ...
    @property
    def scopes(self) -> tuple[str, ...]: ...
    @property
    def page_token(self) -> bool: ...
    @property
    def hides(self) -> bool: ...
    @property
    def usage(self) -> str: ...
    async def __call__(self, call: Call, node: Node) -> Json: ...


@attrs.frozen
class Linked:
    """A field's value that is another node: by itself its id, with fields in braces those of the node."""

    node: Node


@attrs.frozen(kw_only=True)
class Route(Generic[N]):
    """One edge of one node type; `edge` is empty for the node itself.

    `scopes` must all be granted; `page_token` wants the Page's own token; a route that `hides` answers
    100/33 to whoever lacks either, as Graph does for leads, instead of saying what is missing.
    """

    method: str
    node: type[N]
    edge: str = ""
    handle: Callable[[Call, N], Awaitable[Json]]
    scopes: tuple[str, ...] = ()
    page_token: bool = False
    hides: bool = False
    usage: str = "pages"

    async def __call__(self, call: Call, node: Node) -> Json:
        if not isinstance(node, self.node):
            raise bad_query(f"Unknown path components: /{self.edge}")
        return await self.handle(call, node)


Reader: TypeAlias = Callable[[Call, Node], Json | Linked]


class AnyShape(Protocol):
    """A `Shape` of whatever node type."""

    @property
    def node(self) -> type[Node]: ...
    @property
    def title(self) -> str: ...
    @property
    def default(self) -> tuple[str, ...]: ...
    @property
    def names(self) -> tuple[str, ...]: ...
    def has(self, name: str) -> bool: ...
    def reader(self, name: str) -> Reader | None: ...


@attrs.frozen(kw_only=True)
class Shape(Generic[N]):
    """The fields of a node type. A reader that answers None leaves its field out, as Graph does."""

    node: type[N]
    title: str
    default: tuple[str, ...]
    readers: Mapping[str, Callable[[Call, N], Json | Linked]]

    @property
    def names(self) -> tuple[str, ...]:
        """Every field there is."""
        return tuple(self.readers)

    def has(self, name: str) -> bool:
        return name in self.readers

    def reader(self, name: str) -> Reader | None:
        """What reads a field of such a node; the directory hands shapes out by the node's own type."""
        return cast("Reader | None", self.readers.get(name))


def nothing(_: Call, __: Node) -> Json:
    """A field that Graph knows and that is empty here: it is left out, not refused."""
    return None


def picture(call: Call, _: Node) -> Json:
    """Everybody looks the same here."""
    url = f"{call.world.plan.base_url}/sandbox/static/person.svg"
    return {"data": {"height": 50, "width": 50, "is_silhouette": True, "url": url}}


async def render(call: Call, node: Node, wanted: Sequence[Field]) -> dict[str, Json]:
    """A node as JSON: the wanted fields, or the default ones, and always its id.

    Raises:
        GraphError: 100 for a field that this type does not have.
    """
    (rendered,) = await render_all(call, (node,), wanted)
    return rendered


async def render_all(call: Call, nodes: Sequence[Node], wanted: Sequence[Field]) -> list[dict[str, Json]]:
    """Nodes of one type, each as `render` has it; what a field means is looked up once.

    Raises:
        GraphError: As above.
    """
    shape = call.directory.shape(nodes[0]) if nodes else None
    if shape is None:
        return [{"id": node.id} for node in nodes]
    fields = tuple(wanted) or tuple(Field(name=name) for name in shape.default)
    plan = [(field.key, field, shape.reader(field.name)) for field in fields if field.name != "id"]
    return [await _rendered(call, node, shape, plan) for node in nodes]


async def _rendered(
    call: Call, node: Node, shape: AnyShape, plan: Sequence[tuple[str, Field, Reader | None]]
) -> dict[str, Json]:
    answer: dict[str, Json] = {}
    for key, field, read in plan:
        value = read(call, node) if read is not None else await _edge_value(call, node, shape, field)
        if value is None:
            continue
        if isinstance(value, Linked):
            value = await render(call, value.node, field.sub)
        elif field.sub and read is not None:
            value = prune(value, field.sub)
        answer[key] = value
    answer["id"] = node.id
    return answer


async def _edge_value(call: Call, node: Node, shape: AnyShape, field: Field) -> Json:
    """A field that is an edge.

    Raises:
        GraphError: 100 if it is none, 10 without the edge's permissions.
    """
    edge = call.directory.reader(node, field.name)
    if edge is None:
        raise invalid(f"Tried accessing nonexisting field ({field.name}) on node type ({shape.title})")
    if not call.who.may(*edge.scopes) and call.who.token.kind != "APP":
        raise missing_permission("GET", tuple(scope for scope in edge.scopes if not call.who.may(scope)))
    return await edge(_nested(call, node, field), node)


def _nested(call: Call, node: Node, field: Field) -> Call:
    params = {name: call.params[name] for name in ("access_token",) if name in call.params}
    inner = {**params, **field.arguments, "fields": spell(field.sub)}
    return attrs.evolve(call, path=(node.id, field.name), params=inner)


def spell(fields: Sequence[Field]) -> str:
    """Write fields back as text: a nested list's `next` link carries them."""
    words = []
    for field in fields:
        alias = {"as": field.alias} if field.alias else {}
        modifiers = "".join(f".{name}({value})" for name, value in {**field.arguments, **alias}.items())
        words.append(field.name + modifiers + (f"{{{spell(field.sub)}}}" if field.sub else ""))
    return ",".join(words)


def prune(value: Json, fields: Sequence[Field]) -> Json:
    """Keep the wanted members of a plain object, of each object in a list, or of a `data` list."""
    if isinstance(value, (dict, Mapping)):  # the first is told at once
        if "data" in value:
            return {**value, "data": prune(value["data"], fields)}
        return {field.key: value[field.name] for field in fields if field.name in value}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [prune(item, fields) for item in value]
    return value


def owned_page(call: Call, page: Page) -> bool:
    """Whether the session may touch this Page at all."""
    session = call.who
    return session.reaches(page) and (session.page is None or session.page.id == page.id)
