"""The `fields` language: `id,name,accounts.limit(5){id,name}`.

https://developers.facebook.com/docs/graph-api/guides/field-expansion
"""

import re
from collections.abc import Mapping

import attrs

from moorage_facebook.sandbox.errors import bad_query

_NAME = re.compile(r"[A-Za-z0-9_\-]+")
_ARGUMENT = re.compile(r"[^()]*")
_DEEPEST = 12


@attrs.frozen(kw_only=True)
class Field:
    """One wanted field: its modifiers (`limit`, `summary`, ...) and, if braces followed, its own fields."""

    name: str
    arguments: Mapping[str, str] = attrs.field(factory=dict)
    sub: tuple["Field", ...] = ()
    alias: str = ""

    @property
    def key(self) -> str:
        """The name under which the answer carries it."""
        return self.alias or self.name


def parse_fields(text: str) -> tuple[Field, ...]:
    """Read a `fields` parameter, written as Graph's list or (as the official SDK does) as a JSON array.

    Raises:
        GraphError: 2500, with the position of the first character that makes no sense.
    """
    stripped = text.strip()
    if stripped.startswith("[") and stripped.endswith("]"):
        stripped = stripped[1:-1].replace('"', "")
    if not stripped:
        return ()
    reader = _Reader(stripped)
    wanted = reader.read_list(0)
    if reader.position != len(stripped):
        raise reader.unexpected("end of string")
    return wanted


@attrs.define
class _Reader:
    """A recursive descent over the text."""

    text: str
    position: int = 0

    def read_list(self, depth: int) -> tuple[Field, ...]:
        if depth > _DEEPEST:
            raise bad_query("Syntax error: fields are nested too deeply.")
        wanted = [self._read_field(depth)]
        while self._take(","):
            wanted.append(self._read_field(depth))
        return tuple(wanted)

    def unexpected(self, expected: str) -> Exception:
        found = self.text[self.position : self.position + 1] or "end of string"
        return bad_query(
            f'Syntax error "Expected {expected} instead of "{found}"." at character {self.position}: '
            f"{self.text[:200]}"
        )

    def _read_field(self, depth: int) -> Field:
        name = self._read_name()
        arguments: dict[str, str] = {}
        while self._take("."):
            modifier = self._read_name()
            arguments[modifier] = self._read_argument()
        sub: tuple[Field, ...] = ()
        if self._take("{"):
            sub = self.read_list(depth + 1)
            if not self._take("}"):
                raise self.unexpected("}")
        return Field(name=name, alias=arguments.pop("as", ""), arguments=arguments, sub=sub)

    def _read_name(self) -> str:
        self._skip_space()
        found = _NAME.match(self.text, self.position)
        if found is None:
            raise self.unexpected("a field name")
        self.position = found.end()
        return found.group()

    def _read_argument(self) -> str:
        if not self._take("("):
            raise self.unexpected("(")
        found = _ARGUMENT.match(self.text, self.position)
        self.position = found.end() if found else self.position
        if not self._take(")"):
            raise self.unexpected(")")
        return found.group() if found else ""

    def _take(self, character: str) -> bool:
        self._skip_space()
        if self.text[self.position : self.position + 1] != character:
            return False
        self.position += 1
        return True

    def _skip_space(self) -> None:
        while self.text[self.position : self.position + 1].isspace():
            self.position += 1
