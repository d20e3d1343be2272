"""JSON as Meta writes it, and the one name for a JSON value."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import attrs
import msgspec

Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]


def meta_json(value: Json) -> str:
    """ASCII only, lower-case `\\uXXXX` escapes and `\\/`: the bytes that Meta sends and signs.

    https://developers.facebook.com/docs/graph-api/webhooks/getting-started
    """
    return json.dumps(value, ensure_ascii=True, separators=(",", ":")).replace("/", "\\/")


def read_json(text: bytes) -> Json:
    """Any JSON value.

    Raises:
        ValueError: It is none, or nested too deeply to be meant.
    """
    try:
        value: Json = msgspec.json.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise ValueError(str(error)) from error
    return value


def graph_time(unix: int) -> str:
    """`2015-02-28T08:49:14+0000`: no colon in the offset."""
    return datetime.fromtimestamp(unix, UTC).isoformat()[:19] + "+0000"


def camel(name: str) -> str:
    """`page_id` -> `pageId`."""
    first, *rest = name.split("_")
    return first + "".join(part.title() for part in rest)


def view(value: object) -> Json:
    """An entity as camelCase JSON; keys of plain mappings are data and stay as they are."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        return {str(key): view(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [view(item) for item in value]
    kind = type(value)
    if attrs.has(kind):
        return {camel(field.name): view(getattr(value, field.name)) for field in attrs.fields(kind)}
    return str(value)
