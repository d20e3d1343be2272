"""Validators that ports share: what a neutral value must be before anyone sends it anywhere."""

import re
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

import attrs

ORG_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")  # an organisation's id, whole; no other place says so
_PRINTABLE_ASCII = re.compile(r"[\x21-\x7e]+")


def is_aware(_: object, attribute: "attrs.Attribute[Any]", value: datetime | None) -> None:
    """A point in time names its offset; a naive one is a bug on some machine."""
    if value is not None and value.tzinfo is None:
        msg = f"{attribute.name} needs a time zone"
        raise ValueError(msg)


def is_web_url(_: object, attribute: "attrs.Attribute[Any]", value: str | None) -> None:
    r"""An absolute http(s) URL without credentials, blanks, controls or backslashes.

    Browsers and parsers disagree about `\`, `@` and blanks, so none of them gets through.
    """
    if value is not None and not web_url(value):
        msg = f"{attribute.name} must be an absolute http or https URL"
        raise ValueError(msg)


def web_url(value: str) -> bool:
    """Whether `value` is a URL that every parser reads alike (see `is_web_url`)."""
    if not _PRINTABLE_ASCII.fullmatch(value) or "\\" in value or len(value) > 2048:
        return False
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        return False
    return (
        parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in parts.netloc and port != 0
    )
