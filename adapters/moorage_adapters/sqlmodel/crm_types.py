"""Column types of the CRM's tables: values within a record are JSON text in the database."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import attrs
import msgspec
from sqlalchemy import Dialect, Text, TypeDecorator

from moorage_adapters.sqlmodel.types import clean, to_json
from moorage_ports.events import Attachment

_NUL: Final = (
    b"\\u0000"  # as JSON writes it; also part of a harmless backslash, which is just looked at twice
)

_attachments: Final = msgspec.json.Decoder(tuple[Attachment, ...])
_text_map: Final = msgspec.json.Decoder(dict[str, str])
_reactions: Final = msgspec.json.Decoder(dict[str, tuple[str, str]])

BYTEWISE: Final = Text().with_variant(Text(collation="C"), "postgresql")  # in one order on every database


def _encoded(value: Any, cleaned: Callable[[Any], Any]) -> str:
    """`value` as JSON; only if it holds what no database takes, of its cleaned form."""
    try:
        encoded = msgspec.json.encode(value)
    except UnicodeEncodeError:
        return to_json(cleaned(value))
    return to_json(cleaned(value)) if _NUL in encoded else encoded.decode()


def _clean_map(value: Mapping[str, str]) -> dict[str, str]:
    return {clean(name): clean(text) for name, text in value.items()}


def _clean_reactions(value: Mapping[str, tuple[str, str]]) -> dict[str, tuple[str, str]]:
    return {clean(who): (clean(reaction), clean(at)) for who, (reaction, at) in value.items()}


def _clean_attachments(value: Sequence[Attachment]) -> list[Attachment]:
    return [
        attrs.evolve(
            one,
            url=clean(one.url),
            external_id=clean(one.external_id),
            title=clean(one.title),
            mime_type=clean(one.mime_type),
            details=_clean_map(one.details),
        )
        for one in value
    ]


class Attachments(TypeDecorator[tuple[Attachment, ...]]):
    """What is attached to a message, as JSON."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Sequence[Attachment] | None, dialect: Dialect) -> str | None:
        """To JSON."""
        if value is None:
            return None
        return _encoded(value, _clean_attachments) if value else "[]"

    def process_result_value(self, value: Any | None, dialect: Dialect) -> tuple[Attachment, ...] | None:
        """From JSON."""
        if value is None:
            return None
        return () if value == "[]" else _attachments.decode(value)


class TextMap(TypeDecorator[Mapping[str, str]]):
    """A mapping of names to texts, as JSON."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Mapping[str, str] | None, dialect: Dialect) -> str | None:
        """To JSON."""
        if value is None:
            return None
        return _encoded(value, _clean_map) if value else "{}"

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Mapping[str, str] | None:
        """From JSON."""
        if value is None:
            return None
        return {} if value == "{}" else _text_map.decode(value)


class Reactions(TypeDecorator[Mapping[str, tuple[str, str]]]):
    """Who reacted how and when, as JSON."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Mapping[str, tuple[str, str]] | None, dialect: Dialect) -> str | None:
        """To JSON."""
        if value is None:
            return None
        return _encoded(value, _clean_reactions) if value else "{}"

    def process_result_value(
        self, value: Any | None, dialect: Dialect
    ) -> Mapping[str, tuple[str, str]] | None:
        """From JSON."""
        if value is None:
            return None
        return {} if value == "{}" else _reactions.decode(value)
