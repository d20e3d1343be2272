"""The JSON edge: bytes from outside become attrs values, attrs values become bytes.

JSON is camelCase, Python snake_case. Nothing is coerced ("5" is not 5, true is not 1), unknown keys are
refused, and every mistake is reported with its path. The schemas in `schemas.py` describe exactly this.
"""

import math
import re
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from enum import Enum
from typing import Any, Final, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import attrs
import cattrs
import msgspec

from moorage.constraints import Mistake, Path, mistakes_of, sentence_of
from moorage_ports.errors import InvalidRequestError, MalformedError
from moorage_ports.secret import Secret

T = TypeVar("T")

_DECODER: Final = msgspec.json.Decoder()
_ENCODER: Final = msgspec.json.Encoder()
# RFC 3339: an offset is not optional, and `24:00` or a leap second is no time of ours.
DATE_TIME: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})", re.ASCII
)
DECIMAL: Final = re.compile(r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,18})?")
_EXACT: Final = 2**53


class _MistakesError(Exception):
    """What is wrong with one value, each with its path below that value."""

    def __init__(self, *mistakes: Mistake) -> None:
        super().__init__(*mistakes)
        self.mistakes = mistakes


def camel(name: str) -> str:
    """`ad_set_id` -> `adSetId`."""
    head, *rest = name.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)


# In ------------------------------------------------------------------------------------------


def parse_object(raw: bytes) -> dict[str, object]:
    """The JSON object in `raw`; no bytes at all are an empty one.

    Raises:
        MalformedError: Not JSON as UTF-8, or nested deeper than the parser goes.
        InvalidRequestError: JSON, but not an object.
    """
    if not raw.strip():
        return {}
    try:
        value = _DECODER.decode(raw)
    except (ValueError, RecursionError):  # msgspec's errors and Unicode's are ValueErrors
        msg = "the body is not JSON, not UTF-8, or nested too deep"
        raise MalformedError(msg) from None
    if not isinstance(value, dict):
        msg = "the body must be one JSON object"
        raise InvalidRequestError(msg)
    return cast("dict[str, object]", value)


def structure(value: object, kind: type[T]) -> T:
    """Make a `kind` of parsed JSON.

    Raises:
        InvalidRequestError: It does not fit; `fields` names every mistake by its path.
        MalformedError: It nests deeper than we go.
    """
    try:
        return _CONVERTER.structure(value, kind)
    except _MistakesError as wrong:
        raise _invalid(wrong.mistakes) from None
    except RecursionError:
        msg = "the body is nested too deep"
        raise MalformedError(msg) from None


def decode(raw: bytes, kind: type[T]) -> T:
    """Make a `kind` of JSON bytes.

    Raises:
        MalformedError: Not JSON.
        InvalidRequestError: It does not fit.
    """
    return structure(parse_object(raw), kind)


def structure_query(pairs: Iterable[tuple[str, str]], kind: type[T]) -> T:
    """Make a `kind` of query parameters: the same names, lists by repetition.

    Raises:
        InvalidRequestError: It does not fit.
    """
    hints = {field.json: field.hint for field in fields_of(kind)}
    values: dict[str, object] = {}
    doubled: list[Mistake] = []
    for name, text in pairs:
        hint = _without_none(hints.get(name, str))
        if _is_list(hint):
            cast("list[object]", values.setdefault(name, [])).append(_from_text(text, get_args(hint)[0]))
        elif name in values:
            doubled.append(((name[:64],), "was given more than once"))
        else:
            values[name] = _from_text(text, hint)
    if doubled:
        raise _invalid(tuple(doubled))
    return structure(values, kind)


def clean_text(text: str) -> str:
    """`text` as a database can keep it: NUL and lone surrogates become U+FFFD."""
    return _UNSTORABLE.sub("\ufffd", text)


_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")


def _invalid(mistakes: Sequence[Mistake]) -> InvalidRequestError:
    fields: dict[str, str] = {}
    whole = [text for path, text in mistakes if not path]
    for path, text in mistakes:
        if path:
            name = path_text(path)
            fields[name] = f"{fields[name]}; {text}" if name in fields else text
    detail = "; ".join(["the request does not fit", *whole]).replace(";", ":", 1 if whole else 0)
    return InvalidRequestError(detail, fields=fields)


def path_text(path: Path) -> str:
    """`("channels", 0, "id")` -> `channels[0].id`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")


@attrs.frozen
class Field:
    """One field of an attrs class as JSON sees it; `init` is the name that its constructor takes."""

    attribute: "attrs.Attribute[Any]"
    json: str
    init: str
    hint: Any

    @property
    def is_required(self) -> bool:
        """Whether there is no default."""
        return self.attribute.default is attrs.NOTHING


def fields_of(kind: type[object]) -> tuple[Field, ...]:
    """The fields of an attrs class that its constructor takes, with their types resolved."""
    hints = get_type_hints(kind)
    every = attrs.fields(cast("type[attrs.AttrsInstance]", kind))
    inits = [(field, field.alias or field.name) for field in every if field.init]
    return tuple(Field(field, camel(init), init, hints[field.name]) for field, init in inits)


def _without_none(hint: Any) -> Any:
    if get_origin(hint) in {Union, types.UnionType}:
        rest = [each for each in get_args(hint) if each is not types.NoneType]
        return rest[0] if len(rest) == 1 else hint
    return hint


def _is_list(hint: Any) -> bool:
    return get_origin(hint) in {tuple, list, Sequence}


def _is_mapping(hint: Any) -> bool:
    return get_origin(hint) in {dict, Mapping}


def _is_choice(hint: Any) -> bool:
    origin: object = get_origin(hint)
    return origin is Literal or (isinstance(hint, type) and issubclass(hint, Enum))


def _from_text(text: str, hint: Any) -> object:
    """What `text` stands for if it is one of `hint`; else the text, and the strict reading complains."""
    if hint is bool:
        return {"true": True, "false": False}.get(text, text)
    if hint is int and re.fullmatch(r"-?[0-9]{1,18}", text):
        return int(text)
    if hint is float and DECIMAL.fullmatch(text):
        return float(text)
    return text


def _text(value: object, _: object) -> str:
    if not isinstance(value, str):
        raise _MistakesError(((), "must be text"))
    if _UNSTORABLE.search(value):
        raise _MistakesError(((), "holds a character that no text may hold (NUL)"))
    return value


def _secret(value: object, _: object) -> Secret:
    return Secret(_text(value, _))


def _integer(value: object, _: object) -> int:
    if isinstance(value, float) and value.is_integer() and abs(value) <= _EXACT:
        return int(value)  # 5.0 is the same JSON number as 5
    if isinstance(value, bool) or not isinstance(value, int):
        raise _MistakesError(((), "must be a whole number"))
    return value


def _number(value: object, _: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e300:
        raise _MistakesError(((), "must be a number"))
    return float(value)


def _boolean(value: object, _: object) -> bool:
    if not isinstance(value, bool):
        raise _MistakesError(((), "must be true or false"))
    return value


def _decimal(value: object, _: object) -> Decimal:
    if isinstance(value, str) and DECIMAL.fullmatch(value):
        return Decimal(value)
    if not isinstance(value, bool | str) and isinstance(value, int | float) and math.isfinite(value):
        try:
            return Decimal(repr(value))  # the shortest text of the number is the number that was meant
        except InvalidOperation:
            pass
    raise _MistakesError(((), 'must be a number, or one as text such as "12.50"'))


def _moment(value: object, _: object) -> datetime:
    try:
        if isinstance(value, str) and DATE_TIME.fullmatch(value):
            return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise _MistakesError(((), "must be a point in time such as 2026-01-31T08:00:00Z"))


def _anything(value: object, _: object) -> object:
    """Plain JSON that stays as it is; only its text is looked at."""
    if isinstance(value, str):
        return _text(value, str)
    if isinstance(value, list):
        return [_at(number, _anything, item, object) for number, item in enumerate(value)]
    if isinstance(value, dict):
        return {_text(key, str): _at(key, _anything, item, object) for key, item in value.items()}
    return value


def _at(step: str | int, hook: Callable[[Any, Any], T], value: object, kind: Any) -> T:
    try:
        return hook(value, kind)
    except _MistakesError as wrong:
        raise _MistakesError(*(((step, *path), text) for path, text in wrong.mistakes)) from None


def _each(pairs: Sequence[tuple[str | int, object]], hook: Callable[[Any, Any], T], kind: Any) -> list[T]:
    made: list[T] = []
    mistakes: list[Mistake] = []
    for step, item in pairs:
        try:
            made.append(_at(step, hook, item, kind))
        except _MistakesError as wrong:
            mistakes.extend(wrong.mistakes)
    if mistakes:
        raise _MistakesError(*mistakes[:100])
    return made


def _list_hook(kind: Any, converter: cattrs.Converter) -> Callable[[Any, Any], object]:
    element, *more = get_args(kind)
    origin = get_origin(kind)
    if origin is tuple and more != [Ellipsis]:
        msg = f"{kind}: only tuples of one kind have a place in JSON"
        raise TypeError(msg)
    hook = cast("Callable[[Any, Any], object]", converter.get_structure_hook(element))

    def structure_list(value: object, _: object) -> object:
        if not isinstance(value, list):
            raise _MistakesError(((), "must be a list"))
        made = _each(list(enumerate(value)), hook, element)
        return made if origin is list else tuple(made)

    return structure_list


def _mapping_hook(kind: Any, converter: cattrs.Converter) -> Callable[[Any, Any], object]:
    key, element = get_args(kind)
    if key is not str:
        msg = f"{kind}: JSON has only text for keys"
        raise TypeError(msg)
    hook = cast("Callable[[Any, Any], object]", converter.get_structure_hook(element))

    def structure_mapping(value: object, _: object) -> object:
        if not isinstance(value, dict):
            raise _MistakesError(((), "must be an object"))
        keys = [_text(name, str) for name in value]
        return dict(zip(keys, _each(list(value.items()), hook, element), strict=True))

    return structure_mapping


def _choice_hook(kind: Any) -> Callable[[Any, Any], object]:
    """Enums by value, and literals. `True` is not 1 here, although Python thinks so."""
    if get_origin(kind) is Literal:
        options: dict[object, object] = {each: each for each in get_args(kind)}
    else:
        options = {each.value: each for each in cast("type[Enum]", kind)}
    names = ", ".join(str(each) for each in options)

    def structure_choice(value: object, _: object) -> object:
        if isinstance(value, str) and value in options:
            return options[value]
        raise _MistakesError(((), f"must be one of: {names}"))

    return structure_choice


def _attrs_hook(kind: Any, converter: cattrs.Converter) -> Callable[[Any, Any], object]:
    fields = fields_of(kind)
    hooks = {field.init: converter.get_structure_hook(field.hint) for field in fields}
    known = {field.json for field in fields}

    def structure_attrs(value: object, _: object) -> object:
        if not isinstance(value, dict):
            raise _MistakesError(((), "must be an object"))
        unknown = [str(key)[:64] for key in value if key not in known]
        mistakes: list[Mistake] = [((key,), "is not a known field") for key in unknown]
        values: dict[str, object] = {}
        for field in fields:
            if field.json in value:
                try:
                    values[field.init] = _at(field.json, hooks[field.init], value[field.json], field.hint)
                except _MistakesError as wrong:
                    mistakes.extend(wrong.mistakes)
            elif field.is_required:
                mistakes.append(((field.json,), "is required"))
        return _made(kind, fields, values, mistakes)

    return structure_attrs


def _made(kind: Any, fields: tuple[Field, ...], values: dict[str, object], mistakes: list[Mistake]) -> object:
    """The instance. Only when that fails are the validators asked one by one, for all mistakes at once."""
    whole: list[Mistake] = []
    if not mistakes:
        try:
            return kind(**values)
        except (ValueError, TypeError) as wrong:
            whole.append(((), sentence_of(wrong)))
    for field in fields:
        if field.init in values:
            found = mistakes_of(field.attribute, values[field.init])
            mistakes.extend(((field.json, *path), text) for path, text in found)
    raise _MistakesError(*(mistakes or whole))


# Out -----------------------------------------------------------------------------------------


def encode(value: object) -> bytes:
    """`value` as JSON bytes. Fields with a default are left out while they are `None` or empty, no others.

    Raises:
        TypeError: It holds something that has no place in JSON, a `Secret` for one.
    """
    return _ENCODER.encode(to_plain(value))


def to_plain(value: object) -> object:
    """`value` as dicts, lists, text, numbers: camelCase, times in RFC 3339 with Z, enums by value."""
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, datetime):
        return _moment_text(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, tuple | list | frozenset | set):
        return [to_plain(item) for item in value]
    if not isinstance(value, Secret) and attrs.has(type(value)):
        return _plain_fields(value)
    msg = f"a {type(value).__name__} has no place in JSON"
    raise TypeError(msg)


def _plain_fields(value: object) -> dict[str, object]:
    plain: dict[str, object] = {}
    for field in attrs.fields(cast("type[attrs.AttrsInstance]", type(value))):
        item = getattr(value, field.name)
        may_be_left_out = field.default is not attrs.NOTHING
        if may_be_left_out and (item is None or item in ("", (), [], {})):
            continue
        plain[camel(field.alias or field.name)] = to_plain(item)
    return plain


def _moment_text(moment: datetime) -> str:
    if moment.tzinfo is None:
        msg = "a point in time without an offset has no place in JSON"
        raise TypeError(msg)
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _converter() -> cattrs.Converter:
    converter = cattrs.Converter(detailed_validation=False)
    simple: dict[Any, Callable[[Any, Any], object]] = {
        str: _text,
        int: _integer,
        float: _number,
        bool: _boolean,
        Decimal: _decimal,
        datetime: _moment,
        Secret: _secret,
    }
    for kind, hook in simple.items():
        converter.register_structure_hook(kind, hook)
    converter.register_structure_hook_func(lambda kind: kind in {object, Any}, _anything)
    converter.register_structure_hook_factory(_is_choice, _choice_hook)
    converter.register_structure_hook_factory(_is_list, lambda kind: _list_hook(kind, converter))
    converter.register_structure_hook_factory(_is_mapping, lambda kind: _mapping_hook(kind, converter))
    converter.register_structure_hook_factory(attrs.has, lambda kind: _attrs_hook(kind, converter))
    return converter


_CONVERTER: Final = _converter()
