"""What is wrong with a mapping that somebody wants to save, each mistake with its path."""

from collections.abc import Iterator
from typing import Final

import attrs
import phonenumbers

from moorage.codec import clean_text, path_text
from moorage.constraints import Mistake, Path
from moorage.crm.form_mapping import CONSENT, LONGEST_STAGE, STATUS, has_room, is_target
from moorage_ports.crm import LEAD_STATUSES
from moorage_ports.lead_mapping import COLUMNS, FormMapping, MappingRule, ValueType
from moorage_ports.lead_source import Consent, LeadForm, Question

_NO_QUESTION: Final = "is no question of this form"
_NO_CONSENT: Final = "is nothing that this form asks consent for"
_TARGETS: Final = f"must be properties.NAME or one of: {', '.join(COLUMNS)}"


def problems_of(
    mapping: FormMapping,
    questions: tuple[Question, ...] | None,
    consents: tuple[Consent, ...] | None = None,
) -> dict[str, str]:
    """Messages by path (`rules[2].sources[0]`), empty if all is well.

    `questions` and `consents` are `None` where it is not known what the form asks.
    """
    asked = _Asked(
        questions=None if questions is None else frozenset(clean_text(each.key) for each in questions),
        consents=None if consents is None else frozenset(CONSENT + clean_text(each.key) for each in consents),
    )
    found: dict[str, str] = {}
    for path, text in _mistakes(mapping, asked):
        name = path_text(path)
        found[name] = f"{found[name]}; {text}" if name in found else text
    return found


def problems_by(mapping: FormMapping, form: LeadForm) -> dict[str, str]:
    """The same by what a form is known to ask."""
    return problems_of(mapping, form.questions, form.consents if form.knows_consents else None)


@attrs.frozen(kw_only=True)
class _Asked:
    """The sources that a form has; `None`: nobody knows."""

    questions: frozenset[str] | None
    consents: frozenset[str] | None

    def may_be(self, source: str) -> bool:
        """Whether it is one, as far as anybody knows."""
        if source in (self.questions or ()) or source in (self.consents or ()):
            return True
        return (self.consents if source.startswith(CONSENT) else self.questions) is None


def _mistakes(mapping: FormMapping, asked: _Asked) -> Iterator[Mistake]:
    targets: set[str] = set()
    for number, rule in enumerate(mapping.rules):
        at: Path = ("rules", number)
        if rule.target in targets:
            yield (*at, "target"), "is filled by another rule already"
        targets.add(rule.target)
        yield from _of_rule(rule, at)
        yield from _of_sources(rule, at, asked)
    # A rule that fills nothing is named where it stands, so here only what no rule fills.
    for number, target in enumerate(mapping.required):
        if target not in targets:
            yield ("required", number), "is filled by no rule"
    if mapping.region and mapping.region not in phonenumbers.SUPPORTED_REGIONS:
        yield ("region",), "must be a country in two capital letters (ISO 3166)"


def _of_rule(rule: MappingRule, at: Path) -> Iterator[Mistake]:
    if not is_target(rule.target):
        yield (*at, "target"), _TARGETS
    if not (rule.sources or rule.constant.strip() or rule.default.strip()):
        yield at, "needs a source, a constant or a default"
    for field, text in (("constant", rule.constant.strip()), ("default", rule.default.strip())):
        if text and not has_room(rule.target, text):
            yield (*at, field), _what_fits(rule.target)
    if rule.choices and rule.type is not ValueType.CHOICE:
        yield (*at, "choices"), "go with the type choice"
    for key, chosen in rule.choices.items():
        if not chosen.strip():
            yield (*at, "choices", key), "must not be empty"


def _of_sources(rule: MappingRule, at: Path, asked: _Asked) -> Iterator[Mistake]:
    for number, source in enumerate(rule.sources):
        if not source.strip() or source == CONSENT:
            yield (*at, "sources", number), "must be a question's name or consent:KEY"
        elif not asked.may_be(clean_text(source)):
            wrong = _NO_CONSENT if source.startswith(CONSENT) else _NO_QUESTION
            yield (*at, "sources", number), wrong


def _what_fits(column: str) -> str:
    if column == STATUS:
        return f"must be one of: {', '.join(LEAD_STATUSES)}"
    return f"must not be longer than {LONGEST_STAGE} characters"
