"""What a caller sent, by query, form, multipart or JSON: one flat map of strings."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.message import Message
from urllib.parse import parse_qsl

import attrs
import msgspec

from moorage_facebook.sandbox.errors import invalid
from moorage_facebook.sandbox.jsontext import Json, read_json

MAX_BODY = 16 * 1024 * 1024
_MOST_FIELDS = 2_000


@attrs.frozen(kw_only=True)
class Sent:
    """Parameters by name (nested values as JSON text) and the sizes of uploaded files."""

    params: Mapping[str, str] = attrs.field(factory=dict)
    files: Mapping[str, int] = attrs.field(factory=dict)


def read_sent(query: str, content_type: str, body: bytes) -> Sent:
    """Merge query and body; the body wins.

    Raises:
        GraphError: 100, when the body is not what its Content-Type says.
    """
    params = dict(_pairs(query))
    files: dict[str, int] = {}
    header = Message()
    header["content-type"] = content_type or "application/x-www-form-urlencoded"
    kind = header.get_content_type()
    if not body:
        pass
    elif kind == "application/json":
        params |= json_params(body)
    elif kind == "multipart/form-data":
        boundary = header.get_boundary()
        if not boundary:
            raise invalid("multipart body without a boundary")
        for name, filename, value in _parts(body, boundary.encode("utf-8", "replace")):
            if filename:
                files[name] = len(value)
            else:
                params[name] = value.decode("utf-8", "replace")
    elif kind == "application/x-www-form-urlencoded":
        params |= dict(_pairs(body.decode("utf-8", "replace")))
    return Sent(params=params, files=files)


def json_params(body: bytes) -> dict[str, str]:
    """A JSON object with every value as text, as if it had come in a form."""
    try:
        decoded = read_json(body)
    except ValueError as error:
        raise invalid("The request body is not JSON") from error
    if not isinstance(decoded, Mapping):
        raise invalid("The request body is not a JSON object")
    return {name: as_text(value) for name, value in decoded.items()}


def as_text(value: Json) -> str:
    """How a JSON value looks as a form value."""
    if isinstance(value, str):
        return value
    return "" if value is None else msgspec.json.encode(value).decode()


def is_true(text: str) -> bool:
    """Graph's idea of a boolean in a form."""
    return text.strip().lower() in {"true", "1", "yes"}


def moment_param(name: str, text: str) -> int:
    """Unix seconds or ISO 8601.

    Raises:
        GraphError: 100, when it is neither.
    """
    if re.fullmatch(r"[0-9]{1,11}", text):
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError) as error:
        raise invalid(f"Param {name} must be a UNIX timestamp or an ISO 8601 time") from error


def _pairs(text: str) -> Iterable[tuple[str, str]]:
    try:
        return parse_qsl(text, keep_blank_values=True, errors="replace", max_num_fields=_MOST_FIELDS)
    except ValueError as error:
        raise invalid("Too many parameters") from error


def _parts(body: bytes, boundary: bytes) -> Iterable[tuple[str, str, bytes]]:
    """`(name, file name, content)` of each part; what is not a part is passed over."""
    for piece in body.split(b"--" + boundary)[1 : _MOST_FIELDS + 1]:
        head, gap, content = piece.lstrip(b"\r\n").partition(b"\r\n\r\n")
        if not gap:
            continue
        name, filename = _disposition(head.decode("utf-8", "replace"))
        if name:
            yield name, filename, content.removesuffix(b"\r\n")


def _disposition(head: str) -> tuple[str, str]:
    for line in head.split("\r\n"):
        label, _, value = line.partition(":")
        if label.strip().lower() == "content-disposition":
            part = Message()
            part["content-disposition"] = value.replace("\n", " ").replace("\r", " ").strip()
            name = part.get_param("name", header="content-disposition")
            filename = part.get_param("filename", header="content-disposition")
            return (name if isinstance(name, str) else ""), (filename if isinstance(filename, str) else "")
    return "", ""
