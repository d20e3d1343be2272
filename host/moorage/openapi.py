"""The OpenAPI document: the framework's own, and a path of its own for every vendor's operation.

Request and result schemas come from the declarations that `codec.py` enforces, so the document cannot
promise what the host does not do.
"""

from typing import Any, Final

import msgspec
from litestar import Request, Router
from litestar.enums import OpenAPIMediaType
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import OpenAPIRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.types import Guard

from moorage.auth import PUBLIC
from moorage.catalogue import provider_of
from moorage.errors import PROBLEM_JSON
from moorage.schemas import Schema, request_schema, result_schema
from moorage.settings import Settings
from moorage.vendors import Vendors
from moorage_ports.operations import Binding, Effect
from moorage_ports.plugin import Vendor
from moorage_ports.values import ORG_ID

_PROBLEMS: Final = {
    400: "The body is not JSON, or the orgid is missing or malformed",
    401: "The token is missing, not valid or expired",
    403: "The organisation, the role or a permission does not allow it",
    404: "No such vendor, operation or thing",
    408: "The body came too slowly",
    409: "Something is in the way, or the Idempotency-Key stands for another body",
    412: "The vendor must be connected (again) first",
    413: "The body is too large",
    415: "The body is encoded",
    422: "The request does not fit, or the vendor refused it",
    429: "Too much just now; see Retry-After",
    500: "A mistake of ours, logged under the request's id",
    501: "The vendor cannot do this, or we have not written it",
    502: "The vendor failed",
    503: "Nothing happened; come back",
    504: "The outcome is unknown: look before sending it again",
}
PROBLEM: Final[Schema] = {
    "type": "object",
    "description": "An RFC 9457 problem document; `code` is what programs branch on.",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "requestId": {"type": "string"},
        "remedy": {"type": "string"},
        "retryAfter": {"type": "integer", "minimum": 0},
        "fields": {"type": "object", "additionalProperties": {"type": "string"}},
        "vendor": {
            "type": "object",
            "properties": {name: {"type": "string"} for name in ("code", "subcode", "traceId")},
            "additionalProperties": False,
        },
    },
    "required": ["type", "title", "status", "detail", "code", "requestId"],
    "additionalProperties": False,
}
REHEARSAL: Final[Schema] = {
    "type": "object",
    "properties": {
        "valid": {"const": True},
        "operation": {"type": "string"},
        "effect": {"type": "string"},
        "integration": {"type": ["string", "null"]},
        "missingScopes": {"type": "array", "items": {"type": "string"}},
        "notes": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["valid", "operation", "effect", "integration", "missingScopes", "notes"],
    "additionalProperties": False,
}
_ORG: Final[Schema] = {
    "name": "orgid",
    "in": "header",
    "required": True,
    "schema": {"type": "string", "pattern": f"^{ORG_ID.pattern}$"},
}
_KEY: Final[Schema] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "The same key and body answers the first result again; keys live 7 days.",
    "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
}


def openapi_config(settings: Settings, vendors: Vendors, guard: Guard) -> OpenAPIConfig:
    """Litestar's document at `/schema`, completed with the vendors' operations."""
    return OpenAPIConfig(
        title="Moorage",
        version="1",
        description="One API for every vendor that is moored here.",
        components=Components(
            security_schemes={"token": SecurityScheme(type="http", scheme="bearer", bearer_format="JWT")}
        ),
        security=[{"token": []}],
        render_plugins=[_Document(vendors)],
        openapi_router=Router(
            "/schema",
            route_handlers=[],
            include_in_schema=False,
            opt=PUBLIC if settings.open_schema else {},
            guards=[guard],
        ),
    )


class _Document(OpenAPIRenderPlugin):
    """Renders the document once. It shows no page: those of the framework load scripts from elsewhere."""

    def __init__(self, vendors: Vendors) -> None:
        super().__init__(path=["/", "/openapi.json"], media_type=OpenAPIMediaType.OPENAPI_JSON)
        self._vendors = vendors
        self._rendered = b""

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """The whole document as JSON."""
        if not self._rendered:
            self._rendered = msgspec.json.encode(completed(openapi_schema, self._vendors))
        return self._rendered


def completed(document: dict[str, Any], vendors: Vendors) -> dict[str, Any]:
    """`document` with a path for each binding of each vendor."""
    paths = dict(document.get("paths") or {})
    for vendor in vendors:
        for binding in vendor.operations:
            at = f"{provider_of(vendor)}/{binding.name}"
            paths[f"/upstream/call/{at}"] = _call(vendor, binding)
            paths[f"/upstream/test/{at}"] = _rehearsal(vendor, binding)
    components = dict(document.get("components") or {})
    components["schemas"] = {**(components.get("schemas") or {}), "Problem": PROBLEM}
    return {**document, "paths": paths, "components": components}


def _call(vendor: Vendor, binding: Binding) -> dict[str, object]:
    effect = binding.operation.effect
    result = {"application/json": {"schema": result_schema(binding.result)}}
    responses: dict[str, object] = dict(_problems())
    responses["200"] = {"description": "Done", "content": result}
    if effect is Effect.PUBLISHES:
        responses["202"] = {"description": "Taken; more will be known later", "content": result}
    common: dict[str, object] = {
        "tags": [vendor.title],
        "summary": binding.summary,
        "security": [{"token": []}],
    }
    posted: dict[str, object] = {
        **common,
        "operationId": f"{vendor.slug}-{binding.name}",
        "parameters": [_ORG, _KEY] if effect is Effect.PUBLISHES else [_ORG],
        "requestBody": _body(binding),
        "responses": responses,
    }
    if effect is not Effect.READS:
        return {"post": posted}
    asked: dict[str, object] = {
        **common,
        "operationId": f"{vendor.slug}-{binding.name}-get",
        "parameters": [_ORG, *_query(binding)],
        "responses": responses,
    }
    return {"get": asked, "post": posted}


def _rehearsal(vendor: Vendor, binding: Binding) -> dict[str, object]:
    done = {"description": "It would do", "content": {"application/json": {"schema": REHEARSAL}}}
    posted: dict[str, object] = {
        "tags": [vendor.title],
        "summary": f"Dry run: {binding.summary}",
        "operationId": f"{vendor.slug}-{binding.name}-test",
        "security": [{"token": []}],
        "parameters": [_ORG],
        "requestBody": _body(binding),
        "responses": {**_problems(), "200": done},
    }
    return {"post": posted}


def _body(binding: Binding) -> dict[str, object]:
    schema = request_schema(binding.request)
    return {"required": bool(schema["required"]), "content": {"application/json": {"schema": schema}}}


def _query(binding: Binding) -> list[Schema]:
    schema = request_schema(binding.request)
    properties, required = schema["properties"], schema["required"]
    assert isinstance(properties, dict)  # noqa: S101 - written by `schemas.py`
    assert isinstance(required, list)  # noqa: S101
    return [
        {"name": name, "in": "query", "required": name in required, "schema": _not_null(each)}
        for name, each in properties.items()
    ]


def _not_null(schema: Schema) -> Schema:
    """A query says nothing by leaving out, never by `null`."""
    branches = schema.get("anyOf")
    rest = [each for each in branches if each != {"type": "null"}] if isinstance(branches, list) else []
    return rest[0] if len(rest) == 1 else schema


def _problems() -> dict[str, object]:
    reference = {"$ref": "#/components/schemas/Problem"}
    return {
        str(status): {"description": text, "content": {PROBLEM_JSON: {"schema": reference}}}
        for status, text in _PROBLEMS.items()
    }
