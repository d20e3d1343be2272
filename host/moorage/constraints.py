"""What attrs validators demand, in JSON Schema's words and in a person's.

One reading of the validators serves both the schema that is published and the complaint that a wrong value
gets, so the two cannot drift apart. Validators of attrs are recognised by the names of their classes (they
are private, so a test pins them); any other callable still runs, it only adds nothing to the schema.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

import attrs

from moorage_ports.apps import LONGEST_SECRET, SHORTEST_SECRET, is_secret_text
from moorage_ports.values import is_web_url

Validator: TypeAlias = Callable[[Any, Any, Any], Any]
Path: TypeAlias = tuple[str | int, ...]
Mistake: TypeAlias = tuple[Path, str]

_BOUNDS: Final = {
    ">=": ("minimum", "must be at least"),
    ">": ("exclusiveMinimum", "must be more than"),
    "<=": ("maximum", "must be at most"),
    "<": ("exclusiveMaximum", "must be less than"),
}


def parts_of(validator: Validator | None) -> Iterator[Validator]:
    """The single demands of a validator: `and_` taken apart, `optional` unwrapped."""
    if validator is None:
        return
    name = type(validator).__name__
    if name == "_AndValidator":
        for part in getattr(validator, "_validators"):  # noqa: B009 - attrs' own slot
            yield from parts_of(part)
    elif name == "_OptionalValidator":
        inner = getattr(validator, "validator")  # noqa: B009
        for part in inner if isinstance(inner, list | tuple) else [inner]:
            yield from parts_of(part)
    else:
        yield validator
        # What a deep validator demands of the whole stands beside what it demands of each entry.
        for outer in ("iterable_validator", "mapping_validator"):
            yield from parts_of(_whole(validator, outer))


def keywords_of(validator: Validator | None, kind: str) -> dict[str, object]:
    """The JSON Schema keywords of a field whose schema has the type `kind`."""
    found: dict[str, object] = {}
    for part in parts_of(validator):
        found.update(_keywords(part, kind))
    return found


def member_validator(validator: Validator | None) -> Validator | None:
    """What `deep_iterable` demands of each entry, as one validator."""
    members = [
        _whole(part, "member_validator") for part in parts_of(validator) if _named(part, "_DeepIterable")
    ]
    return attrs.validators.and_(*members) if members else None


def value_validator(validator: Validator | None) -> Validator | None:
    """What `deep_mapping` demands of each value."""
    members = [
        _whole(part, "value_validator") for part in parts_of(validator) if _named(part, "_DeepMapping")
    ]
    return attrs.validators.and_(*[each for each in members if each is not None]) if members else None


def mistakes_of(field: "attrs.Attribute[Any]", value: object) -> list[Mistake]:
    """Everything `field`'s validators find wrong with `value`, with paths below the field."""
    found: list[Mistake] = []
    if value is None and type(field.validator).__name__ == "_OptionalValidator":
        return found
    for part in parts_of(field.validator):
        found.extend(_mistakes(part, field, value))
    return found


def sentence_of(wrong: BaseException, name: str = "") -> str:
    """The sentence that our own validators wrote; of others nothing, since it may repeat the value."""
    if len(wrong.args) == 1 and isinstance(wrong.args[0], str):
        return wrong.args[0].removeprefix(name).strip()
    return "is not valid"


def _keywords(part: Validator, kind: str) -> Mapping[str, object]:
    if part is is_web_url:
        return {"format": "uri", "pattern": "^https?://", "maxLength": 2048}
    if part is is_secret_text:
        return {"pattern": f"^[!-~]{{{SHORTEST_SECRET},{LONGEST_SECRET}}}$"}
    name = type(part).__name__
    suffix = {"string": "Length", "array": "Items", "object": "Properties"}.get(kind, "")
    if name == "_MinLengthValidator" and suffix:
        return {f"min{suffix}": part.min_length}  # type: ignore[attr-defined]
    if name == "_MaxLengthValidator" and suffix:
        return {f"max{suffix}": part.max_length}  # type: ignore[attr-defined]
    if name == "_InValidator":
        return {"enum": list(part.options)}  # type: ignore[attr-defined]
    if name == "_NumberValidator":
        return {_BOUNDS[part.compare_op][0]: part.bound}  # type: ignore[attr-defined]
    if name == "_MatchesReValidator":
        return {"pattern": f"^(?:{part.pattern.pattern})$"}  # type: ignore[attr-defined]
    return {}


def _mistakes(part: Validator, field: "attrs.Attribute[Any]", value: object) -> Iterator[Mistake]:
    member: Validator | None = None
    entries: Iterable[tuple[str | int, object]] | None = None
    if _named(part, "_DeepIterable") and isinstance(value, tuple | list):
        entries, member = enumerate(value), _whole(part, "member_validator")
    elif _named(part, "_DeepMapping") and isinstance(value, Mapping):
        entries, member = value.items(), _whole(part, "value_validator")
        for key in value:
            keys = parts_of(_whole(part, "key_validator"))
            yield from (((str(key)[:64],), text) for each in keys for _, text in _mistakes(each, field, key))
    if entries is not None:
        for step, item in entries:
            for inner in parts_of(member):
                yield from (((step, *path), text) for path, text in _mistakes(inner, field, item))
        return
    try:
        part(None, field, value)
    except (ValueError, TypeError) as wrong:
        yield (), _complaint(part, value) or sentence_of(wrong, field.name)


def _complaint(part: Validator, value: object) -> str:
    name = type(part).__name__
    things = "characters" if isinstance(value, str) else "entries"
    if name == "_MinLengthValidator":
        least = part.min_length  # type: ignore[attr-defined]
        return "must not be empty" if least == 1 else f"needs at least {least} {things}"
    if name == "_MaxLengthValidator":
        return f"may have at most {part.max_length} {things}"  # type: ignore[attr-defined]
    if name == "_InValidator":
        return "must be one of: " + ", ".join(str(each) for each in part.options)  # type: ignore[attr-defined]
    if name == "_NumberValidator":
        return f"{_BOUNDS[part.compare_op][1]} {part.bound}"  # type: ignore[attr-defined]
    if name == "_MatchesReValidator":
        return f"must match {part.pattern.pattern}"  # type: ignore[attr-defined]
    return "is not of the right kind" if name == "_InstanceOfValidator" else ""


def _named(part: Validator, name: str) -> bool:
    return type(part).__name__ == name


def _whole(part: Validator, attribute: str) -> Any:
    inner = getattr(part, attribute, None)
    return attrs.validators.and_(*inner) if isinstance(inner, list | tuple) else inner
