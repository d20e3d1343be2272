"""The rules that somebody begins with who never wrote a mapping for a form: what mapping by meaning does.

Without them the first rule that is saved would end that: what no rule takes is kept under its question's
name.
"""

from collections.abc import Iterable
from typing import Final

from moorage.codec import clean_text
from moorage.crm.mapping import COLUMN_OF
from moorage_ports.lead_mapping import MOST_WORDS, MappingRule, NamePart, ValueType
from moorage_ports.lead_operations import QuestionView
from moorage_ports.lead_source import Meaning

_TYPES: Final = {"email": ValueType.EMAIL, "phone": ValueType.PHONE}
_NAME: Final = ("firstName", "lastName")


def suggested_rules(questions: Iterable[QuestionView]) -> tuple[MappingRule, ...]:
    """A rule per question whose meaning the vendor names and a column has; the first of a meaning counts."""
    asked: dict[str, str] = {}
    for question in questions:
        if question.meaning and clean_text(question.key).strip() and len(question.key) <= MOST_WORDS:
            asked.setdefault(question.meaning, question.key)
    rules = [
        MappingRule(target=column, sources=(asked[meaning.value],), type=_TYPES.get(column, ValueType.TEXT))
        for meaning, column in COLUMN_OF.items()
        if meaning.value in asked
    ]
    whole = asked.get(Meaning.FULL_NAME.value, "")
    if whole and not any(rule.target in _NAME for rule in rules):  # who asks for the parts is believed
        rules += [
            MappingRule(target=target, sources=(whole,), part=part)
            for target, part in zip(_NAME, NamePart, strict=True)
        ]
    return tuple(rules)
