"""A mapping while somebody writes it: what the page's fields hold, whatever it is, and what it asks to save.

Whether it fits is for the API's own door to say; a draft only knows how a form's fields become its body.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

import attrs

from moorage.admin.forms import MAX_FORM_BYTES, MOST_FIELDS, Form
from moorage.leads.mappings import MappingView
from moorage_ports.lead_mapping import COLUMNS, PROPERTY, DedupePolicy, MappingRule, NamePart, ValueType

AS_PROPERTY: Final = "property"
ANSWERS: Final = "answers"
FIRST: Final = NamePart.FIRST.value
LAST: Final = NamePart.LAST.value
CONSTANT: Final = "constant"
HOW: Final[Mapping[str, str]] = {
    ANSWERS: "As it was answered",
    FIRST: "First name out of it",
    LAST: "Last name out of it",
    CONSTANT: "Always the same",
}


@attrs.frozen(kw_only=True)
class RuleDraft:
    """The fields of one rule. Of a choice, pairs: what is answered, and what to write for it, if anything."""

    target: str = "email"
    name: str = ""  # of the property, where the target is one
    sources: tuple[str, ...] = ()
    how: str = ANSWERS
    separator: str = " "
    constant: str = ""
    default: str = ""
    type: str = ValueType.TEXT.value
    choices: tuple[tuple[str, str], ...] = ()
    is_required: bool = False

    @property
    def doubled(self) -> frozenset[int]:
        """The places of choices that stand there before, and would be lost."""
        answers = [answer for answer, _ in self.choices]
        return frozenset(place for place, answer in enumerate(answers) if answer in answers[:place])

    @property
    def full_target(self) -> str:
        """As a rule names it."""
        return PROPERTY + self.name if self.target == AS_PROPERTY else self.target

    def body(self) -> dict[str, object]:
        """As the API takes it."""
        is_constant = self.how == CONSTANT
        found: dict[str, object] = {
            "target": self.full_target,
            "sources": [] if is_constant else list(self.sources),
            "constant": self.constant if is_constant else "",
            "default": self.default,
            "separator": self.separator,
            "type": self.type,
            "choices": {answer: written for answer, written in self.choices if written.strip()},
        }
        return found | ({"part": self.how} if self.how in (FIRST, LAST) else {})

    @property
    def has_line_breaks(self) -> bool:
        """Whether there are any where a browser takes them away."""
        lines = (self.name, self.constant, self.default, *(text for pair in self.choices for text in pair))
        return any("\n" in line or "\r" in line for line in lines)

    def posted(self, prefix: str) -> list[tuple[str, str]]:
        """As the page posts it."""
        return [
            *((f"{prefix}source", source) for source in self.sources),
            *(
                pair
                for choice in self.choices
                for pair in zip((f"{prefix}answer", f"{prefix}written"), choice, strict=True)
            ),
            *((f"{prefix}{name}", getattr(self, name)) for name in _TEXTS),
            *([(f"{prefix}required", "1")] if self.is_required else []),
        ]


_TEXTS: Final = ("target", "name", "how", "separator", "constant", "default", "type")


@attrs.frozen(kw_only=True)
class MappingFields:
    """Everything that stands on the page."""

    rules: tuple[RuleDraft, ...] = ()
    by: tuple[str, ...] = ()
    then: str = "new"
    region: str = ""
    based_on: int = 0

    def body(self) -> dict[str, object]:
        """The draft as the API takes it, but for what it is based on."""
        return {
            "rules": [rule.body() for rule in self.rules],
            "required": list(dict.fromkeys(rule.full_target for rule in self.rules if rule.is_required)),
            "dedupe": {"by": list(self.by), "then": self.then},
            "region": self.region,
        }

    def posted(self) -> list[tuple[str, str]]:
        """As the page posts it."""
        pairs = [("based_on", str(self.based_on)), ("then", self.then), ("region", self.region)]
        pairs += [("by", each) for each in self.by]
        for number, rule in enumerate(self.rules):
            pairs += [("r.number", str(number)), *rule.posted(f"r{number}.")]
        return pairs

    @property
    def is_unfit(self) -> bool:
        """Whether a browser would not send it back as it is: too much, or line breaks in one-line fields."""
        pairs = self.posted()
        spare = 20 + 5 * len(self.rules)  # the blank inputs that each rule ends with, and the page's own
        is_much = len(pairs) + spare > MOST_FIELDS or len(urlencode(pairs)) > MAX_FORM_BYTES * 3 // 4
        return is_much or any(rule.has_line_breaks for rule in self.rules)


def fields_of(view: MappingView, based_on: int) -> MappingFields:
    """A version that was saved, to be changed."""
    return MappingFields(
        rules=tuple(_rule_fields(rule, is_required=rule.target in view.required) for rule in view.rules),
        by=view.dedupe.by,
        then=view.dedupe.then,
        region=view.region,
        based_on=based_on,
    )


def fields_of_rules(rules: tuple[MappingRule, ...]) -> MappingFields:
    """What somebody begins with."""
    return MappingFields(
        rules=tuple(_rule_fields(rule, is_required=False) for rule in rules), then=DedupePolicy().then
    )


def _rule_fields(rule: MappingRule, *, is_required: bool) -> RuleDraft:
    is_column = rule.target in COLUMNS
    is_constant = not rule.sources and bool(rule.constant.strip())
    how = CONSTANT if is_constant else rule.part.value if rule.part else ANSWERS
    return RuleDraft(
        target=rule.target if is_column else AS_PROPERTY,
        name="" if is_column else rule.target.removeprefix(PROPERTY),
        sources=rule.sources,
        how=how,
        separator=rule.separator,
        constant=rule.constant if is_constant else "",
        # Beside sources both say what an empty answer becomes, the constant first.
        default=rule.default if is_constant or not rule.constant.strip() else rule.constant,
        type=rule.type.value,
        choices=tuple(rule.choices.items()),
        is_required=is_required,
    )


def posted_fields(form: Form) -> MappingFields:
    """What the page posted: total, nothing that was typed gets lost."""
    numbers = form.all("r.number")
    based_on = form.text("based_on")
    return MappingFields(
        rules=tuple(_posted_rule(form, f"r{number}.") for number in dict.fromkeys(numbers)),
        by=form.all("by"),
        then=form.text("then") or "new",
        region=form.text("region").upper(),
        based_on=int(based_on) if based_on.isascii() and based_on.isdecimal() and len(based_on) < 10 else 0,
    )


def _posted_rule(form: Form, prefix: str) -> RuleDraft:
    answers, written = (form.fields.get(prefix + name, ()) for name in ("answer", "written"))
    pairs = tuple((answer, text.strip()) for answer, text in zip(answers, written, strict=False))
    return RuleDraft(
        target=form.text(prefix + "target"),
        name=form.text(prefix + "name"),
        sources=tuple(source for source in form.fields.get(prefix + "source", ()) if source.strip()),
        how=form.text(prefix + "how") if form.text(prefix + "how") in HOW else ANSWERS,
        separator=form.exact(prefix + "separator"),
        constant=form.text(prefix + "constant"),
        default=form.text(prefix + "default"),
        type=form.text(prefix + "type") or ValueType.TEXT.value,
        choices=tuple(pair for pair in pairs if pair[0].strip() or pair[1]),
        is_required=bool(form.text(prefix + "required")),
    )


def without_rule(fields: MappingFields, number: int) -> MappingFields:
    """The same without one rule."""
    kept = tuple(rule for place, rule in enumerate(fields.rules) if place != number)
    return attrs.evolve(fields, rules=kept)


def with_rule(fields: MappingFields) -> MappingFields:
    """The same with one rule more, which fills what no other one does."""
    taken = {rule.target for rule in fields.rules}
    target = next((column for column in COLUMNS if column not in taken), AS_PROPERTY)
    return attrs.evolve(fields, rules=(*fields.rules, RuleDraft(target=target)))
