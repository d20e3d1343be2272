"""Reads one text as what a mapping says it is. What cannot be read so is nobody's mistake: it is told apart.

Exact: whatever could be meant in two ways is not read, as a guess would be wrong for half of the people.
"""

import re
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from typing import Final

import phonenumbers

from moorage_ports.lead_mapping import MappingRule, ValueType

_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+")
# What people write numbers with: of anything else the parser would leave out what it does not know.
_PHONE: Final = re.compile(r"[+\uff0b]?[\d\s().\-\u2010-\u2015/]+")
_PLAIN: Final = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")
_DECIMAL_COMMA: Final = re.compile(r"[+-]?[0-9]+,[0-9]+")
_THOUSANDS: Final = re.compile(r"[+-]?[1-9][0-9]{0,2},[0-9]{3}")  # or a decimal comma: nobody can tell
_GROUPS_BEFORE_POINT: Final = re.compile(r"[+-]?[1-9][0-9]{0,2}(,[0-9]{3})+\.[0-9]+")
_GROUPS_BEFORE_COMMA: Final = re.compile(r"[+-]?[1-9][0-9]{0,2}(\.[0-9]{3})+,[0-9]+")
_ISO_DATE: Final = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})")
_DOTTED_DATE: Final = re.compile(r"([0-9]{1,2})\.([0-9]{1,2})\.([0-9]{4})")
_SLASHED_DATE: Final = re.compile(r"([0-9]{1,2})/([0-9]{1,2})/([0-9]{4})")
_MONTHS: Final = 12
_BOOLEANS: Final = {"yes": "true", "true": "true", "1": "true", "no": "false", "false": "false", "0": "false"}


def read(text: str, rule: MappingRule, region: str) -> str | None:
    """`text` as the rule's type; `None` if it cannot be read so."""
    text = text.strip()
    if rule.type is ValueType.PHONE:
        return _phone(text, region)
    if rule.type is ValueType.CHOICE:
        return _choice(text, rule.choices)
    return _READERS[rule.type](text)


def _as_it_is(text: str) -> str:
    return text


def _email(text: str) -> str | None:
    if not _EMAIL.fullmatch(text):
        return None
    name, _, domain = text.partition("@")
    return f"{name}@{domain.lower()}"


def international(phone: str) -> str:
    """`phone` in E.164 if it says its country and can be a number there, else as it was given."""
    return _phone(phone.strip(), "") or phone


def _phone(text: str, region: str) -> str | None:
    try:
        number = phonenumbers.parse(text, region or None)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    if number.extension:
        return text  # an extension does not fit into E.164 and would be lost
    if not _PHONE.fullmatch(text):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def _number(text: str) -> str | None:
    if _GROUPS_BEFORE_POINT.fullmatch(text):
        text = text.replace(",", "")
    elif _GROUPS_BEFORE_COMMA.fullmatch(text):
        text = text.replace(".", "").replace(",", ".")
    elif _DECIMAL_COMMA.fullmatch(text) and not _THOUSANDS.fullmatch(text):
        text = text.replace(",", ".")
    return format(Decimal(text), "f") if _PLAIN.fullmatch(text) else None


def _boolean(text: str) -> str | None:
    return _BOOLEANS.get(text.casefold())


def _date(text: str) -> str | None:
    if found := _ISO_DATE.fullmatch(text):
        year, month, day = map(int, found.groups())
    elif found := _DOTTED_DATE.fullmatch(text):
        day, month, year = map(int, found.groups())
    elif found := _SLASHED_DATE.fullmatch(text):
        month, day, year = map(int, found.groups())
        if month > _MONTHS:
            month, day = day, month
        elif month != day and day <= _MONTHS:
            return None  # which of them is the month depends on who wrote it
    else:
        return None
    try:
        return date(year, month, day).isoformat()
    except ValueError:
        return None


def _choice(text: str, choices: Mapping[str, str]) -> str | None:
    chosen = choices.get(text, "").strip()
    return chosen or None


_READERS: Final[Mapping[ValueType, Callable[[str], str | None]]] = {
    ValueType.TEXT: _as_it_is,
    ValueType.EMAIL: _email,
    ValueType.NUMBER: _number,
    ValueType.BOOLEAN: _boolean,
    ValueType.DATE: _date,
}
