"""The published schemas and the codec say the same: what one takes the other takes."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from types import MappingProxyType
from typing import Any, Literal

import attrs
import jsonschema_rs
import msgspec
import pytest
from attrs.validators import deep_iterable, ge, in_, le, matches_re, max_len, min_len, optional
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from moorage.codec import encode, structure
from moorage.schemas import Schema, request_schema, result_schema
from moorage_adapters.memory.plugin import PinNote
from moorage_ports import answering_operations, lead_operations, operations
from moorage_ports.apps import AppCredentials
from moorage_ports.errors import InvalidRequestError
from moorage_ports.operations import Operation
from moorage_ports.publisher import PublishPost


class Size(Enum):
    SMALL = "small"
    LARGE = "large"


@attrs.frozen(kw_only=True)
class Part:
    """A part of an order."""

    name: str = attrs.field(validator=[min_len(1), max_len(5)])
    count: int = attrs.field(default=1, validator=[ge(0), le(9)])


@attrs.frozen(kw_only=True)
class Order:
    """An order with every kind of field there is."""

    ad_set_id: str = attrs.field(validator=matches_re(r"[a-z]{1,3}"))
    parts: tuple[Part, ...] = attrs.field(default=(), validator=max_len(2))
    tags: tuple[str, ...] = attrs.field(default=(), validator=deep_iterable(min_len(2), max_len(3)))
    size: Size | None = None
    mode: Literal["fast", "slow"] = "slow"
    kind: str = attrs.field(default="a", validator=in_(("a", "b")))
    weight: float = 0.5
    amount: Decimal = Decimal(1)
    is_gift: bool = False
    due_at: datetime | None = None
    note: str | None = attrs.field(default=None, validator=optional(max_len(4)))
    labels: Mapping[str, str] = attrs.field(factory=dict, validator=max_len(2))
    extra: Mapping[str, object] = attrs.field(factory=dict)


OPERATIONS: list[Operation[Any, Any]] = [
    each
    for module in (operations, answering_operations, lead_operations)
    for each in vars(module).values()
    if isinstance(each, Operation)
]
REQUESTS: list[type[object]] = [
    Order,
    PinNote,
    PublishPost,
    AppCredentials,
    *(each.request for each in OPERATIONS),
]
RESULTS: list[type[object]] = [Order, *(each.result for each in OPERATIONS)]


def instances(schema: Schema) -> st.SearchStrategy[Any]:
    """Values that fit a schema of ours: a small reader of exactly the keywords that we write."""
    if "anyOf" in schema:
        branches: Any = schema["anyOf"]
        return st.one_of(*(instances(branch) for branch in branches))
    if "enum" in schema:
        options: Any = schema["enum"]
        return st.sampled_from(options)
    made = _BY_TYPE.get(str(schema.get("type")))
    return made(schema) if made else st.none() | st.integers() | text()


def text(schema: Mapping[str, Any] = MappingProxyType({})) -> st.SearchStrategy[str]:
    if schema.get("format") == "date-time":
        seconds = st.integers(0, 4_000_000_000)
        return seconds.map(lambda each: datetime.fromtimestamp(each, UTC).isoformat().replace("+00:00", "Z"))
    if schema.get("format") == "uri":
        return st.sampled_from(["https://x.example/a", "http://127.0.0.1:8080/?q=1"])
    if "pattern" in schema:
        return st.from_regex(re.compile(schema["pattern"], re.ASCII), fullmatch=True).filter(
            lambda made: not made.endswith("\n")
        )
    least, most = schema.get("minLength", 0), min(schema.get("maxLength", 20), 20)
    # NUL has a rule of its own that no keyword says.
    return st.text(
        st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=least, max_size=most
    )


def _number(schema: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    return st.floats(min_value=-1e6, max_value=1e6) | st.integers(-1000, 1000)


def _integer(schema: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    return st.integers(schema.get("minimum", -(2**53)), schema.get("maximum", 2**53))


def _array(schema: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    most = min(schema.get("maxItems", 4), 4)
    return st.lists(instances(schema["items"]), min_size=schema.get("minItems", 0), max_size=most)


def _object(schema: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    if "properties" not in schema:
        most = min(schema.get("maxProperties", 3), 3)
        return st.dictionaries(text(), instances(schema["additionalProperties"]), max_size=most)
    fields = {name: instances(each) for name, each in schema["properties"].items()}
    needed = {name: fields.pop(name) for name in schema["required"]}
    return st.fixed_dictionaries(needed, optional=fields)


_BY_TYPE: Mapping[str, Any] = {
    "string": text,
    "number": _number,
    "integer": _integer,
    "boolean": lambda _: st.booleans(),
    "null": lambda _: st.none(),
    "array": _array,
    "object": _object,
}
VALIDATORS = {
    kind: jsonschema_rs.Draft202012Validator(request_schema(kind), validate_formats=True) for kind in REQUESTS
}


@pytest.mark.parametrize("kind", REQUESTS, ids=lambda kind: kind.__name__)
def test_a_schema_is_a_schema(kind: type[object]) -> None:
    """Other people's tools accept it."""
    jsonschema_rs.meta.validate(
        {"$schema": "https://json-schema.org/draft/2020-12/schema", **request_schema(kind)}
    )


@given(st.data())
@settings(deadline=None)
def test_what_the_schema_takes_the_codec_takes(data: st.DataObject) -> None:
    """A6: nobody who follows the document is refused, except by a rule over several fields at once."""
    kind = data.draw(st.sampled_from(REQUESTS))
    body = data.draw(instances(request_schema(kind)))
    assume(VALIDATORS[kind].is_valid(body))
    try:
        structure(msgspec.json.decode(msgspec.json.encode(body)), kind)
    except InvalidRequestError as refusal:
        if refusal.fields:
            raise


def damaged(body: Any, data: st.DataObject) -> Any:
    """`body` with one thing changed somewhere."""
    if isinstance(body, dict) and body and data.draw(st.booleans()):
        key = data.draw(st.sampled_from(sorted(body)))
        return {**body, key: damaged(body[key], data)}
    if isinstance(body, list) and body and data.draw(st.booleans()):
        return [damaged(body[0], data), *body[1:]]
    if isinstance(body, dict):
        extra = data.draw(st.sampled_from(["nonsense", "ad_set_id", ""]))
        dropped = data.draw(st.sampled_from([*sorted(body), None]))
        return {key: value for key, value in body.items() if key != dropped} | (
            {extra: 1} if data.draw(st.booleans()) else {}
        )
    return data.draw(
        st.sampled_from([None, True, 5, 5.5, "5", "", [], {}, [None], "x" * 70_000, -1, 1e9, ["a"] * 1001])
    )


@given(st.data())
@settings(deadline=None)
def test_what_the_schema_refuses_the_codec_refuses(data: st.DataObject) -> None:
    """A6: nothing gets in that the document forbids."""
    kind = data.draw(st.sampled_from(REQUESTS))
    body = damaged(data.draw(instances(request_schema(kind))), data)
    assume(not VALIDATORS[kind].is_valid(body))

    with pytest.raises(InvalidRequestError):
        structure(msgspec.json.decode(msgspec.json.encode(body)), kind)


@given(st.data())
@settings(deadline=None)
def test_what_the_codec_writes_fits_the_result_schema(data: st.DataObject) -> None:
    """A6: results hold their declared fields and nothing else."""
    kind = data.draw(st.sampled_from(RESULTS))
    try:
        value = structure(data.draw(instances(request_schema(kind))), kind)
    except InvalidRequestError:
        value = None
    assume(value is not None)

    written = msgspec.json.decode(encode(value))
    jsonschema_rs.Draft202012Validator(result_schema(kind), validate_formats=True).validate(written)


def test_the_schema_says_what_attrs_say() -> None:
    schema: Any = request_schema(Order)

    assert schema["required"] == ["adSetId"]
    assert schema["additionalProperties"] is False
    assert schema["description"] == "An order with every kind of field there is."
    properties = schema["properties"]
    assert properties["adSetId"] == {"type": "string", "pattern": "^(?:[a-z]{1,3})$"}
    assert properties["tags"] == {
        "type": "array",
        "items": {"type": "string", "minLength": 2},
        "maxItems": 3,
    }
    assert properties["size"] == {"anyOf": [{"type": "string", "enum": ["small", "large"]}, {"type": "null"}]}
    assert properties["kind"] == {"type": "string", "enum": ["a", "b"], "default": "a"}
    assert properties["dueAt"]["anyOf"][0] == {"type": "string", "format": "date-time"}
    assert properties["parts"]["items"]["properties"]["count"] == {
        "type": "integer",
        "minimum": 0,
        "maximum": 9,
        "default": 1,
    }


@attrs.frozen
class Endless:
    """A type that contains itself."""

    inner: "tuple[Endless, ...]" = ()


@attrs.frozen
class Odd:
    """A type without a place in JSON."""

    inner: bytes = b""


@pytest.mark.parametrize("kind", [Endless, Odd])
def test_a_type_that_json_cannot_hold_is_refused_when_declared(kind: type[object]) -> None:
    with pytest.raises(TypeError):
        request_schema(kind)
