"""How the answers of one form become a lead of the CRM, as an org's people put it together, in versions."""

from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import Final, Literal, Protocol

import attrs
from attrs.validators import deep_iterable, deep_mapping, ge, in_, instance_of, max_len, min_len

from moorage_ports.values import is_aware

COLUMNS: Final = (
    *("email", "firstName", "lastName", "phone", "company"),
    *("status", "stage"),
)
"""What a rule may fill besides `properties.NAME`."""
PROPERTY: Final = "properties."
MOST_RULES: Final = 200
MOST_WORDS: Final = 500


class ValueType(Enum):
    """What a value is read as. One that cannot be is kept as it was given; a preview says so."""

    TEXT = "text"
    EMAIL = "email"
    PHONE = "phone"  # to E.164, with the mapping's region where it names no country
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"  # to ISO 8601
    CHOICE = "choice"  # through `choices`


class NamePart(Enum):
    """Which part of a full name a rule takes."""

    FIRST = "first"
    LAST = "last"


@attrs.frozen(kw_only=True)
class MappingRule:
    """What fills one target: the answers to `sources`, joined; without any, `constant` or `default`.

    A source is a question's name as the vendor writes it, whatever its language, or `consent:KEY`.
    """

    target: str = attrs.field(validator=[min_len(1), max_len(MOST_WORDS)])
    sources: tuple[str, ...] = attrs.field(
        default=(), validator=[max_len(20), deep_iterable(max_len(MOST_WORDS))]
    )
    constant: str = attrs.field(default="", validator=max_len(MOST_WORDS))
    default: str = attrs.field(default="", validator=max_len(MOST_WORDS))
    separator: str = attrs.field(default=" ", validator=max_len(20))
    part: NamePart | None = None
    type: ValueType = ValueType.TEXT
    choices: Mapping[str, str] = attrs.field(
        factory=dict, validator=deep_mapping(max_len(MOST_WORDS), max_len(MOST_WORDS))
    )


@attrs.frozen(kw_only=True)
class DedupePolicy:
    """What becomes of a lead of somebody who is known by one of `by`. By the vendor's lead id: always one."""

    by: tuple[Literal["email", "phone"], ...] = attrs.field(
        default=(), validator=deep_iterable(in_(("email", "phone")))
    )
    then: Literal["merge", "link", "new"] = attrs.field(
        default="new", validator=in_(("merge", "link", "new"))
    )


@attrs.frozen(kw_only=True)
class FormMapping:
    """One version of a form's mapping, from 1 on; version 0 is what maps without one: by meaning."""

    vendor: str
    form_external_id: str = attrs.field(validator=[min_len(1), max_len(128)])
    version: int = attrs.field(validator=ge(1))
    rules: tuple[MappingRule, ...] = attrs.field(
        validator=[max_len(MOST_RULES), deep_iterable(instance_of(MappingRule))]
    )
    required: tuple[str, ...] = attrs.field(
        default=(), validator=[max_len(MOST_RULES), deep_iterable(max_len(MOST_WORDS))]
    )
    dedupe: DedupePolicy = attrs.field(factory=DedupePolicy)
    region: str = ""  # two letters (ISO 3166): of phone numbers that name no country
    saved_by: str = ""
    saved_at: datetime = attrs.field(validator=is_aware)


class LeadMappings(Protocol):
    """The org's mappings, in a unit of work. A version, once written, is never changed."""

    async def current(self, vendor: str, form_external_id: str) -> FormMapping | None:
        """The newest version; `None` if the form has none."""
        ...

    async def of_forms(self, vendor: str, form_external_ids: frozenset[str]) -> Mapping[str, FormMapping]:
        """The newest version of each of these forms that has one."""
        ...

    async def version(self, vendor: str, form_external_id: str, number: int) -> FormMapping | None:
        """One version."""
        ...

    async def versions(self, vendor: str, form_external_id: str) -> tuple[FormMapping, ...]:
        """All versions, the newest first."""
        ...

    async def add(self, mapping: FormMapping) -> bool:
        """Write the next version; false (and nothing written) if its number is not the next one."""
        ...
