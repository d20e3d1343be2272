"""The joined tables of all edges, and how a path is read with them."""

import re
from collections.abc import Mapping
from urllib.parse import unquote

from moorage_facebook.sandbox import (
    comments,
    content,
    conversations,
    instagram,
    leads,
    messaging,
    people,
    reactions,
    subscribing,
    whatsapp,
    whatsapp_sending,
)
from moorage_facebook.sandbox.entities import CallCount, Node
from moorage_facebook.sandbox.state import World
from moorage_facebook.sandbox.wire import DEFAULT_VERSION, AnyRoute, AnyShape, Directory

METHODS = frozenset({"GET", "POST", "DELETE"})
_VERSION = re.compile(r"v[0-9]{1,3}\.[0-9]{1,2}")

ROUTES: tuple[AnyRoute, ...] = (
    *people.ROUTES,
    *content.ROUTES,
    *subscribing.ROUTES,
    *comments.ROUTES,
    *reactions.ROUTES,
    *instagram.ROUTES,
    *messaging.ROUTES,
    *conversations.ROUTES,
    *leads.ROUTES,
    *whatsapp.ROUTES,
    *whatsapp_sending.ROUTES,
)
SHAPES: tuple[AnyShape, ...] = (
    *people.SHAPES,
    *content.SHAPES,
    *comments.SHAPES,
    *reactions.SHAPES,
    *instagram.SHAPES,
    *conversations.SHAPES,
    *leads.SHAPES,
    *whatsapp.SHAPES,
)
_BY_EDGE = {(route.method, route.node, route.edge): route for route in ROUTES}
_BY_NODE = {shape.node: shape for shape in SHAPES}

EDGES = frozenset(route.edge for route in ROUTES) | {"access_token", "oauth"}  # of roots, too
_WORDS = frozenset({"me", "app", "oauth", "debug_token", "dialog"})
_KINDS: Mapping[str, str] = {
    "LeadForm": "form",
    "WhatsAppAccount": "whatsapp-business-account",
    "PhoneNumber": "phone-number",
    "InstagramAccount": "ig-user",
    "InstagramMedia": "ig-media",
    "InstagramComment": "ig-comment",
    "Thread": "conversation",
    "Face": "person",
}


class _Tables(Directory):
    """The joined tables of all edges."""

    def shape(self, node: Node) -> AnyShape | None:
        return _BY_NODE.get(type(node))

    def reader(self, node: Node, edge: str) -> AnyRoute | None:
        return _BY_EDGE.get(("GET", type(node), edge)) if edge else None


TABLES = _Tables()


def route_of(method: str, node: Node, edge: str) -> AnyRoute | None:
    """The function behind an edge of a node; `edge` is empty for the node itself."""
    return _BY_EDGE.get((method, type(node), edge))


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
    known = [part if part in EDGES else "{unknown}" for part in path[1:3]]
    return "/" + "/".join([head, *known])


def count_call(world: World, method: str, path: tuple[str, ...]) -> None:
    """Remember that somebody called; also calls that a fault then swallows."""
    key = f"{method if method in METHODS else 'OTHER'} {template(world, path)}"
    before = world.calls.get(key)
    world.calls.put(CallCount(id=key, count=(before.count if before else 0) + 1))
