"""Maps answers by the rules of a form's mapping.

Pure and total: whatever a stranger typed becomes columns and properties, and none of it is dropped. What
cannot be read as its rule says is kept as it was given; what no rule took is kept under its question's name.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import attrs

from moorage.codec import clean_text
from moorage.crm.reading import read
from moorage_ports.crm import LEAD_STATUSES
from moorage_ports.lead_mapping import COLUMNS, PROPERTY, FormMapping, MappingRule, NamePart
from moorage_ports.lead_source import Answer, Consent

CONSENT: Final = "consent:"
BETWEEN_VALUES: Final = ", "
STATUS: Final = "status"
STAGE: Final = "stage"
LONGEST_STAGE: Final = 64
_READING: Final = "could not be read as {type}, and is kept as it was given"
_NO_ROOM: Final = "cannot hold what was given, which is kept below its question"
_UNKNOWN: Final = "is nothing that a rule may fill"
_EMPTY: Final = "is required, and nothing filled it"


@attrs.frozen(kw_only=True)
class Mapped:
    """What a mapping made of some answers. `problems` names targets and quotes nobody."""

    columns: Mapping[str, str] = attrs.field(repr=False)
    properties: Mapping[str, tuple[str, ...]] = attrs.field(repr=False)
    problems: Mapping[str, str]


def map_answers(answers: Iterable[Answer], consents: Iterable[Consent], mapping: FormMapping) -> Mapped:
    """The answers as `mapping` says; `columns` by the names that rules use."""
    mapper = _Mapper(mapping, _by_name(answers), _by_key(consents))
    for rule in mapping.rules:
        mapper.apply(rule)
    mapper.keep_the_rest()
    mapper.note_what_is_missing()
    return Mapped(columns=mapper.columns, properties=mapper.properties, problems=mapper.problems)


def is_target(target: str) -> bool:
    """Whether a rule may fill it."""
    return target in COLUMNS or bool(_property_of(target))


def has_room(column: str, text: str) -> bool:
    """Whether a column can hold `text`: not every one takes any."""
    if column == STATUS:
        return text in LEAD_STATUSES
    return column != STAGE or len(text) <= LONGEST_STAGE


@attrs.define
class _Mapper:
    mapping: FormMapping
    answers: dict[str, tuple[str, ...]]
    consents: dict[str, tuple[str, ...]]
    columns: dict[str, str] = attrs.field(factory=dict)
    properties: dict[str, tuple[str, ...]] = attrs.field(factory=dict)
    problems: dict[str, str] = attrs.field(factory=dict)
    taken: set[str] = attrs.field(factory=set)
    halves: dict[tuple[tuple[str, ...], str], set[NamePart]] = attrs.field(factory=dict)

    def apply(self, rule: MappingRule) -> None:
        """Fill the rule's target, and remember which answers are in it whole."""
        if not is_target(rule.target):
            self.problems[rule.target] = _UNKNOWN
            return
        given = self._given(rule)
        values = self._values(rule, given)
        if not values:
            fixed = clean_text(rule.constant).strip() or clean_text(rule.default).strip()
            values = (fixed,) if fixed else ()
        if not values or self._fill(rule.target, values):
            self._take(rule, given)

    def keep_the_rest(self) -> None:
        """Keep what no rule took under its question's name."""
        for name, values in self.answers.items():
            if name not in self.taken:
                self._keep(name, values)

    def note_what_is_missing(self) -> None:
        """Name the required targets that stayed empty."""
        for target in self.mapping.required:
            if target not in self.columns and not telling(self.properties.get(_property_of(target), ())):
                self.problems.setdefault(target, _EMPTY)

    def _given(self, rule: MappingRule) -> dict[str, tuple[str, ...]]:
        """The values that say something, by source."""
        sources = dict.fromkeys(map(clean_text, rule.sources))
        found = {
            name: telling((*self.answers.get(name, ()), *self.consents.get(name, ()))) for name in sources
        }
        return {name: values for name, values in found.items() if values}

    def _values(self, rule: MappingRule, given: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
        """What the sources say: several values of one source each read alone, several sources as one text."""
        if not given:
            return ()
        if len(given) == 1 and rule.part is None:
            values = tuple(self._read(value, rule) for value in next(iter(given.values())))
            return values if _property_of(rule.target) else (BETWEEN_VALUES.join(values),)
        joined = clean_text(rule.separator).join(BETWEEN_VALUES.join(values) for values in given.values())
        text = _part(joined, rule.part)
        return (self._read(text, rule),) if text else ()

    def _read(self, text: str, rule: MappingRule) -> str:
        value = read(text, rule, self.mapping.region)
        if value is None:
            self.problems[rule.target] = _READING.format(type=rule.type.value)
            return text
        return clean_text(value)

    def _fill(self, target: str, values: tuple[str, ...]) -> bool:
        """False if the target has no room for them."""
        if name := _property_of(target):
            self._keep(name, values)
            return True
        text = BETWEEN_VALUES.join(values)
        if target in self.columns or not has_room(target, text):
            self.problems[target] = _NO_ROOM
            return False
        self.columns[target] = text
        return True

    def _take(self, rule: MappingRule, given: Mapping[str, tuple[str, ...]]) -> None:
        """Half of a name is not all of it: its answers are taken once both halves are."""
        if rule.part is not None:
            halves = self.halves.setdefault((tuple(given), rule.separator), set())
            halves.add(rule.part)
            if len(halves) < len(NamePart):
                return
        self.taken.update(given)

    def _keep(self, name: str, values: tuple[str, ...]) -> None:
        self.properties[name] = (*self.properties.get(name, ()), *values)


def _by_name(answers: Iterable[Answer]) -> dict[str, tuple[str, ...]]:
    """Values by question; several answers of one name are one."""
    by_name: dict[str, tuple[str, ...]] = {}
    for answer in answers:
        name = clean_text(answer.name)
        by_name[name] = (*by_name.get(name, ()), *map(clean_text, answer.values))
    return by_name


def _by_key(consents: Iterable[Consent]) -> dict[str, tuple[str, ...]]:
    """What was agreed to, or not; what the vendor does not say says nothing."""
    by_key: dict[str, tuple[str, ...]] = {}
    for consent in consents:
        if consent.is_given is not None:
            by_key[CONSENT + clean_text(consent.key)] = ("true" if consent.is_given else "false",)
    return by_key


def telling(values: Iterable[str]) -> tuple[str, ...]:
    """The values that say something, without blanks around them, each once."""
    return tuple(dict.fromkeys(value.strip() for value in values if value.strip()))


def _part(name: str, part: NamePart | None) -> str:
    """The first word of a name, or all the others: together they are the whole."""
    if part is None:
        return name
    first, *others = name.split(maxsplit=1)
    return first if part is NamePart.FIRST else "".join(others)


def _property_of(target: str) -> str:
    """The name of the property that a target is; empty if it is none."""
    name = clean_text(target.removeprefix(PROPERTY)) if target.startswith(PROPERTY) else ""
    return name if name.strip() else ""
