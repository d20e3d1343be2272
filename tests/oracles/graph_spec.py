"""What Meta says that Graph takes: which edges, which parameters, which fields.

Two tellings of the same specification: the official SDK that is installed, whose methods are generated from
it, and (where the folder lies beside the project) tables that were read out of it. Neither knows OAuth,
`debug_token`, the dialogs and batches.
"""

import importlib
import inspect
import warnings
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final, Protocol

import attrs
import msgspec
from facebook_business.api import FacebookAdsApi, FacebookRequest
from facebook_business.session import FacebookSession

TABLES: Final = Path(__file__).parents[3] / "shared" / "graph" / "spec"

KINDS: Final = (
    "Application",
    "Business",
    "Comment",
    "IGComment",
    "IGMedia",
    "IGUser",
    "Lead",
    "LeadgenForm",
    "Page",
    "PagePost",
    "Photo",
    "UnifiedThread",
    "User",
    "WhatsAppBusinessAccount",
)
"""The kinds of nodes that plugin and sandbox know."""


class Spec(Protocol):
    """One telling of the specification. Edges are written with their method: `GET feed`, or `GET /`."""

    def params(self, node: str, edge: str) -> frozenset[str] | None:
        """The parameters of an edge; None if there is no such edge."""
        ...

    def fields(self, node: str) -> frozenset[str]:
        """The fields of a kind of node."""
        ...


@attrs.frozen(kw_only=True)
class SdkSpec:
    """The specification as the methods of the installed SDK know it."""

    def params(self, node: str, edge: str) -> frozenset[str] | None:
        request = _requests(node).get(edge)
        return None if request is None else frozenset(request._param_checker._type_check_info)

    def fields(self, node: str) -> frozenset[str]:
        return frozenset(name for key, name in vars(_class(node).Field).items() if not key.startswith("_"))

    def listed(self, node: str, edge: str) -> str:
        """The kind of node that an edge lists or makes; empty where the SDK does not know."""
        request = _requests(node).get(edge)
        target = request._target_class if request else None
        return "" if target is None or target.__name__.startswith("Abstract") else str(target.__name__)


@attrs.frozen(kw_only=True)
class TableSpec:
    """The specification as tables: kind -> `GET edge` -> parameters, and kind -> fields."""

    edges: Mapping[str, Mapping[str, Mapping[str, object]]]
    known_fields: Mapping[str, Mapping[str, str]]

    def params(self, node: str, edge: str) -> frozenset[str] | None:
        found = self.edges.get(node, {}).get(edge)
        if found is None:
            return None
        params = found.get("params")
        return frozenset(params if isinstance(params, dict) else ())

    def fields(self, node: str) -> frozenset[str]:
        return frozenset(self.known_fields.get(node, {}))


def table_spec() -> TableSpec | None:
    """The tables, where they lie beside the project."""
    edges, fields = (sorted(TABLES.glob(f"*_{name}.json")) for name in ("endpoints", "fields"))
    if not (edges and fields):
        return None
    return TableSpec(
        edges=msgspec.json.decode(edges[-1].read_bytes(), type=dict[str, dict[str, dict[str, object]]]),
        known_fields=msgspec.json.decode(fields[-1].read_bytes(), type=dict[str, dict[str, str]]),
    )


def _class(node: str) -> Any:
    return getattr(importlib.import_module(f"facebook_business.adobjects.{node.lower()}"), node)


@cache
def _requests(node: str) -> Mapping[str, FacebookRequest]:
    """Every call that the SDK's class can make, unsent, by method and edge."""
    thing = _class(node)("1", api=FacebookAdsApi(FacebookSession(access_token="none: nothing is sent")))
    return {f"{request._method} {request._endpoint or '/'}": request for request in _pending(thing)}


def _pending(thing: Any) -> Iterator[FacebookRequest]:
    for name, method in inspect.getmembers(type(thing), inspect.isfunction):
        asks = inspect.signature(method).parameters
        if "pending" in asks and "parent_id" not in asks:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the SDK warns about its own old methods
                try:
                    made = getattr(thing, name)(pending=True)
                except SyntaxError:  # in one of its own classes (26.0.3: `or = 'or'`): it can't be asked
                    continue
            if isinstance(made, FacebookRequest):
                yield made
