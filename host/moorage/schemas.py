"""JSON Schemas (2020-12, as OpenAPI 3.1 has them) of the same attrs declarations that `codec.py` enforces."""

import types
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Final, Literal, TypeAlias, Union, get_args, get_origin

import attrs

from moorage.codec import DECIMAL, Field, fields_of, to_plain
from moorage.constraints import Validator, keywords_of, member_validator, value_validator
from moorage_ports.secret import Secret

Schema: TypeAlias = dict[str, object]

_SIMPLE: Final[Mapping[object, Schema]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    datetime: {"type": "string", "format": "date-time"},
}


def request_schema(kind: type[object]) -> Schema:
    """What `codec.decode` takes for `kind`.

    Raises:
        TypeError: A field has a type that has no place in JSON.
    """
    return _Writer(is_result=False).schema(kind, None)


def result_schema(kind: type[object]) -> Schema:
    """What `codec.encode` makes of a `kind`: what may be left out is not required.

    Raises:
        TypeError: A field has a type that has no place in JSON.
    """
    return _Writer(is_result=True).schema(kind, None)


class _Writer:
    """Writes one schema. Types that contain themselves would never end, so they are refused."""

    def __init__(self, *, is_result: bool) -> None:
        self._is_result = is_result
        self._inside: list[object] = []

    def schema(self, hint: Any, validator: Validator | None) -> Schema:
        """The schema of one type, with what a field's validator adds to it."""
        origin, arguments = get_origin(hint), get_args(hint)
        if origin in {Union, types.UnionType}:
            return self._union(arguments, validator)
        if origin in {tuple, list, Sequence}:
            items = self.schema(arguments[0], member_validator(validator))
            return {"type": "array", "items": items, **keywords_of(validator, "array")}
        if origin in {dict, Mapping}:
            values = self.schema(arguments[1], value_validator(validator))
            return {"type": "object", "additionalProperties": values, **keywords_of(validator, "object")}
        if origin is Literal or (isinstance(hint, type) and issubclass(hint, Enum)):
            options = list(arguments) or [each.value for each in hint]
            return {"type": "string", "enum": options}
        if hint is Decimal:
            return self._decimal()
        if hint is Secret and not self._is_result:
            return {
                "type": "string",
                "format": "password",
                "writeOnly": True,
                **keywords_of(validator, "string"),
            }
        if isinstance(hint, type) and attrs.has(hint):
            return self._object(hint)
        if hint in {object, Any}:
            return {}
        simple = _SIMPLE.get(hint)
        if simple is None:
            msg = f"{hint} has no place in JSON"
            raise TypeError(msg)
        return {**simple, **keywords_of(validator, str(simple["type"]))}

    def _union(self, arguments: tuple[Any, ...], validator: Validator | None) -> Schema:
        branches = [self.schema(each, validator) for each in arguments if each is not types.NoneType]
        if len(branches) < len(arguments):
            branches.append({"type": "null"})
        return branches[0] if len(branches) == 1 else {"anyOf": branches}

    def _decimal(self) -> Schema:
        if self._is_result:  # a number that was given in full is told in full
            return {"type": "string", "pattern": r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?$"}
        return {"anyOf": [{"type": "number"}, {"type": "string", "pattern": f"^{DECIMAL.pattern}$"}]}

    def _object(self, kind: type[object]) -> Schema:
        if kind in self._inside:
            msg = f"{kind.__name__} contains itself"
            raise TypeError(msg)
        self._inside.append(kind)
        fields = fields_of(kind)
        schema: Schema = {
            "type": "object",
            "title": kind.__name__,
            "description": _first_line(kind),
            "properties": {field.json: self._property(field) for field in fields},
            "required": [field.json for field in fields if self._is_required(field)],
            "additionalProperties": False,
        }
        self._inside.pop()
        return schema

    def _property(self, field: Field) -> Schema:
        is_left_out = self._is_result and not field.is_required  # as `None`; else `null` is written
        hint = _without_none(field.hint) if is_left_out else field.hint
        schema = self.schema(hint, field.attribute.validator)
        default = field.attribute.default
        # attrs' own mark for "no default" is an Enum, too
        has_default = not field.is_required and isinstance(default, str | bool | int | Enum)
        if not self._is_result and has_default and default != "":
            schema["default"] = to_plain(default)
        return schema

    def _is_required(self, field: Field) -> bool:
        if field.is_required or not self._is_result:
            return field.is_required
        # A default that is not empty (`false`, a number) is always written, unless `None` can take its place.
        default: object = field.attribute.default
        is_empty = default in ("", (), None) or type(default).__name__ == "Factory"
        return not is_empty and types.NoneType not in get_args(field.hint)


def _without_none(hint: Any) -> Any:
    if get_origin(hint) not in {Union, types.UnionType}:
        return hint
    return Union[tuple(each for each in get_args(hint) if each is not types.NoneType)]  # noqa: UP007


def _first_line(kind: type[object]) -> str:
    return (kind.__doc__ or "").strip().partition("\n")[0]
