"""The rules of the editor as its page shows them, complaints at their fields; and what a preview shows."""

from collections.abc import Iterator, Mapping
from typing import Final

import attrs

from moorage.admin.lead_form_words import COLUMNS, target_words
from moorage.admin.lead_mapping_draft import AS_PROPERTY, MappingFields, RuleDraft
from moorage.admin.lead_words import name_of
from moorage.leads.mappings import MappedView, PreviewedLead
from moorage_ports.lead_mapping import ValueType
from moorage_ports.lead_operations import LeadFormView

_NAMELESS: Final = "Give the property a name."
_PLACES: Final = ("target", "constant", "default", "separator", "type")
_SHOWN: Final = {
    "email": "email",
    "firstName": "first_name",
    "lastName": "last_name",
    "phone": "phone",
    "company": "company",
    "status": "status",
    "stage": "stage",
}


@attrs.frozen(kw_only=True)
class ChoiceRow:
    """One answer of a choice, what to write for it, and what is wrong with that."""

    answer: str
    written: str
    wrong: str = ""


@attrs.frozen(kw_only=True)
class RuleRow:
    """One rule's fields. `wrong` by field, `claimed` the paths of all complaints that it shows."""

    number: int
    draft: RuleDraft
    title: str
    sources: tuple[tuple[str, str], ...]
    choices: tuple[ChoiceRow, ...]
    wrong: Mapping[str, str]
    claimed: frozenset[str]


def complaints_of(fields: Mapping[str, str]) -> dict[str, str]:
    """Complaints by path within the mapping, wherever in the body that stood."""
    found: dict[str, str] = {}
    for path, text in fields.items():
        name = path.removeprefix("mapping.")
        if name.startswith("dedupe."):
            name = "then" if name.startswith("dedupe.then") else "by"
        found[name] = text
    return found


def rule_rows(
    fields: MappingFields, form: LeadFormView | None, complaints: Mapping[str, str]
) -> tuple[RuleRow, ...]:
    """All rules, as they stand."""
    return tuple(_row(number, rule, form, complaints) for number, rule in enumerate(fields.rules))


def _row(number: int, rule: RuleDraft, form: LeadFormView | None, complaints: Mapping[str, str]) -> RuleRow:
    at = f"rules[{number}]"
    own = {
        path: text for path, text in complaints.items() if path == at or path.startswith((f"{at}.", f"{at}["))
    }
    wrong = {name: own[f"{at}.{name}"] for name in _PLACES if f"{at}.{name}" in own}
    if "target" in wrong and rule.target == AS_PROPERTY and not rule.name:
        wrong["target"] = _NAMELESS
    choices = tuple(_choices(at, rule, form, own))
    sources = tuple(
        (source, own.get(f"{at}.sources[{place}]", "")) for place, source in enumerate(rule.sources)
    )
    shown = {
        *(f"{at}.{name}" for name in wrong),
        *(f"{at}.sources[{place}]" for place in range(len(sources))),
    }
    told = {choice.wrong for choice in choices}
    rest = [text for path, text in own.items() if path not in shown and text not in told]
    if rest:
        wrong["rule"] = "; ".join(rest)
    return RuleRow(
        number=number,
        draft=rule,
        title=target_words(rule.full_target) if rule.target != AS_PROPERTY or rule.name else "A property",
        sources=sources,
        choices=choices,
        wrong=wrong,
        claimed=frozenset(own),
    )


def _choices(
    at: str, rule: RuleDraft, form: LeadFormView | None, own: Mapping[str, str]
) -> Iterator[ChoiceRow]:
    """What was written, then what else the rule's questions let people choose, then a blank one."""
    for place, (answer, written) in enumerate(rule.choices):
        paths = (f"{at}.doubled[{place}]", f"{at}.choices.{answer}", f"{at}.choices.{answer[:64]}")
        wrong = next((own[path] for path in paths if path in own), "")
        yield ChoiceRow(answer=answer, written=written, wrong=wrong)
    if rule.type == ValueType.CHOICE.value and form is not None:
        known = {answer for answer, _ in rule.choices}
        for question in form.questions:
            for option in question.options if question.key in rule.sources else ():
                for answer in dict.fromkeys((option.key, option.label)):  # vendors write either
                    if answer and answer not in known:
                        known.add(answer)
                        yield ChoiceRow(answer=answer, written="")
    yield ChoiceRow(answer="", written="")


@attrs.frozen(kw_only=True)
class PreviewLine:
    """One value of a lead, as it is and as the mapping would have it."""

    name: str
    before: str
    after: str
    is_changed: bool


@attrs.frozen(kw_only=True)
class PreviewRow:
    """One lead before and after."""

    lead: PreviewedLead
    name: str
    lines: tuple[PreviewLine, ...]
    problems: tuple[tuple[str, str], ...]

    @property
    def changed(self) -> tuple[PreviewLine, ...]:
        """What would be another."""
        return tuple(line for line in self.lines if line.is_changed)

    @property
    def unchanged(self) -> tuple[PreviewLine, ...]:
        """What stays as it is."""
        return tuple(line for line in self.lines if not line.is_changed)


def preview_row(lead: PreviewedLead) -> PreviewRow:
    """A lead that was tried out; its values are shown in full, as they have to be judged."""
    return PreviewRow(
        lead=lead,
        name=name_of(lead.before),
        lines=tuple(_lines(lead.before, lead.after)) if lead.after else (),
        problems=tuple((target_words(target), text) for target, text in lead.problems.items()),
    )


def _lines(before: MappedView, after: MappedView) -> Iterator[PreviewLine]:
    for target, field in _SHOWN.items():
        yield from _line(COLUMNS[target], getattr(before, field), getattr(after, field))
    for name in dict.fromkeys((*before.properties, *after.properties)):
        values = (", ".join(each.properties.get(name, ())) for each in (before, after))
        yield from _line(f"“{name}”", *values)


def _line(name: str, before: str, after: str) -> Iterator[PreviewLine]:
    if before or after:
        yield PreviewLine(name=name, before=before, after=after, is_changed=before != after)
