"""Column types that mean the same on every database."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from functools import lru_cache
from typing import Any, Generic, TypeVar

import msgspec
from sqlalchemy import DateTime, Dialect, LargeBinary, String, Text, TypeDecorator

E = TypeVar("E", bound=Enum)

DIGEST = LargeBinary(16)  # a keyed hash, see `cipher.OrgKeys.digest`


class UtcDateTime(TypeDecorator[datetime]):
    """An aware moment in UTC, also where the database forgets the zone (SQLite does)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To UTC; a naive moment is refused."""
        if value is None:
            return None
        if value.tzinfo is None:
            msg = "a moment without a time zone cannot be stored"
            raise ValueError(msg)
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Aware again."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


@lru_cache(maxsize=4096)  # what is merged together has its moments in common
def sqlite_moment(moment: datetime) -> str:
    """`moment` as `UtcDateTime` writes it on SQLite, for statements that bypass SQLAlchemy."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


def clean(text: str) -> str:
    """`text` without what no database takes: lone surrogates and NUL become U+FFFD."""
    if text.isascii() and "\0" not in text:
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", "\ufffd")


class CleanText(TypeDecorator[str]):
    """Text that people outside wrote."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """See `clean`."""
        return None if value is None else clean(value)


class EnumValue(TypeDecorator[E], Generic[E]):
    """An enum's value as short text (a native enum type would survive a downgrade)."""

    impl = String(16)
    cache_ok = True

    def __init__(self, kind: type[E]) -> None:
        super().__init__()
        self.kind = kind

    def process_bind_param(self, value: E | None, dialect: Dialect) -> str | None:
        """The value."""
        return None if value is None else str(value.value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> E | None:
        """The member."""
        return None if value is None else self.kind(value)


class Texts(TypeDecorator[tuple[str, ...]]):
    """A tuple of strings, as JSON."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Sequence[str] | None, dialect: Dialect) -> str | None:
        """To JSON."""
        return None if value is None else to_json([clean(item) for item in value])

    def process_result_value(self, value: Any | None, dialect: Dialect) -> tuple[str, ...] | None:
        """From JSON."""
        return None if value is None else msgspec.json.decode(value, type=tuple[str, ...])


class TextLists(TypeDecorator[Mapping[str, tuple[str, ...]]]):
    """A mapping of names to several values each, as JSON."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Mapping[str, Sequence[str]] | None, dialect: Dialect) -> str | None:
        """To JSON."""
        if value is None:
            return None
        return to_json({clean(name): [clean(item) for item in items] for name, items in value.items()})

    def process_result_value(
        self, value: Any | None, dialect: Dialect
    ) -> Mapping[str, tuple[str, ...]] | None:
        """From JSON."""
        return None if value is None else msgspec.json.decode(value, type=dict[str, tuple[str, ...]])


def to_json(value: object) -> str:
    """`value` as compact JSON text."""
    return msgspec.json.encode(value).decode()
