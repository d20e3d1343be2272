"""Lead forms in words: how their counts stand, what a rule of a mapping does, steps of a test lead."""

from collections.abc import Mapping
from typing import Final

import attrs

from moorage.admin import words
from moorage.admin.words import Badge
from moorage.crm.form_mapping import CONSENT
from moorage_ports.lead_mapping import PROPERTY, DedupePolicy, MappingRule, NamePart, ValueType
from moorage_ports.lead_operations import FormCountsView, LeadFormView, StepOutcome
from moorage_ports.lead_orders import OrderState

READ_AGAIN: Final = (
    "Everything is read again by itself; if that does not bring them, this turns into an alarm."
)
STAYS_MISSING: Final = (
    "Everything was read again, and they did not come. Fetch what is missing; if they still stay away,"
    " whoever connected may not see all of this form’s leads: have somebody connect who may."
)

CHECKED_BEFORE: Final = (
    "The form could not be read at the vendor just now: this was checked against what it asked when it was"
    " last read."
)

COLUMNS: Final[Mapping[str, str]] = {
    "email": "E-mail",
    "firstName": "First name",
    "lastName": "Last name",
    "phone": "Phone",
    "company": "Company",
    "status": "Status",
    "stage": "Stage",
}
TYPES: Final[Mapping[str, str]] = {
    ValueType.TEXT.value: "Text, as it is",
    ValueType.EMAIL.value: "E-mail address",
    ValueType.PHONE.value: "Phone number",
    ValueType.NUMBER.value: "Number",
    ValueType.BOOLEAN.value: "Yes or no",
    ValueType.DATE.value: "Date",
    ValueType.CHOICE.value: "Choice, renamed",
}
_AS: Final[Mapping[ValueType, str]] = {
    ValueType.EMAIL: "as an e-mail address",
    ValueType.PHONE: "as a phone number",
    ValueType.NUMBER: "as a number",
    ValueType.BOOLEAN: "as yes or no",
    ValueType.DATE: "as a date",
    ValueType.CHOICE: "renamed by choice",
}
_PARTS: Final = {NamePart.FIRST: "the first name", NamePart.LAST: "the last name"}
THEN: Final[Mapping[str, str]] = {
    "new": "Keep it as a lead of its own",
    "link": "Keep it, linked to the one before",
    "merge": "Put it into the one before",
}

SEPARATORS: Final[Mapping[str, str]] = {
    " ": "a blank",
    ", ": "a comma",
    " / ": "a slash",
    " - ": "a dash",
    "\n": "a line break",
    "": "nothing",
}

ORDERS: Final[Mapping[OrderState, Badge]] = {
    OrderState.RUNNING: Badge("Running", "wait"),
    OrderState.DONE: Badge("Done", "good"),
    OrderState.FAILED: Badge("Failed", "bad"),
}
STEPS: Final[Mapping[str, str]] = {
    "created": "Made at the vendor",
    "arrived": "The vendor’s news of it arrived",
    "verified": "Its signature holds",
    "fetched": "Its answers were fetched",
    "mapped": "The answers were mapped",
    "stored": "It is a lead here",
}
STEP_BADGES: Final[Mapping[StepOutcome, Badge]] = {
    StepOutcome.DONE: Badge("Done", "good"),
    StepOutcome.WAITING: Badge("Waits", "wait"),
    StepOutcome.FAILED: Badge("Failed", "bad"),
    StepOutcome.SKIPPED: Badge("Came without it", "calm"),
}
_ERRORS: Final[Mapping[str, str]] = {
    "no_answer": "The vendor never answered",
    "not_heard": "No news of it came within ten minutes",
}


@attrs.frozen(kw_only=True)
class Standing:
    """How a form's counts stand: in a word, and what a person can do about it."""

    badge: Badge
    remedy: str = ""


def standing_of(counts: FormCountsView) -> Standing:
    """What matters most about them."""
    if counts.missing:
        badge = Badge(f"{counts.missing:,} missing", "bad" if counts.alarming else "wait")
        return Standing(badge=badge, remedy=STAYS_MISSING if counts.alarming else READ_AGAIN)
    if counts.dead:
        return Standing(badge=Badge(f"{counts.dead:,} given up", "bad"))
    if counts.waiting:
        return Standing(badge=Badge(f"{counts.waiting:,} on their way", "wait"))
    if counts.checked_at is None:
        return Standing(badge=Badge("Not compared yet", "calm"))
    if counts.theirs is None:
        return Standing(badge=Badge("Not counted", "calm"))
    return Standing(badge=Badge("Complete", "good"))


def error_words(code: str) -> str:
    """What an error's code says, as a sentence begins."""
    return _ERRORS.get(code) or words.TITLES.get(code) or code.replace("_", " ").capitalize()


def target_words(target: str) -> str:
    """What a rule fills."""
    return COLUMNS.get(target) or f"“{target.removeprefix(PROPERTY)}”"


@attrs.frozen(kw_only=True)
class RuleLine:
    """One rule in words."""

    target: str
    sources: tuple[str, ...]
    how: str
    is_required: bool


def source_labels(form: LeadFormView | None) -> dict[str, str]:
    """What each question and each consent is called, by what a rule calls it."""
    if form is None:
        return {}
    questions = {question.key: question.label or question.key for question in form.questions}
    consents = {CONSENT + consent.key: consent.text or consent.key for consent in form.consents}
    return questions | consents


def rule_line(rule: MappingRule, labels: Mapping[str, str], required: tuple[str, ...]) -> RuleLine:
    """A rule as somebody who did not write it reads it."""
    fixed = rule.constant.strip() or rule.default.strip()
    parts = [_PARTS[rule.part]] if rule.part else []
    parts += [_AS[rule.type]] if rule.type in _AS else []
    if len(rule.sources) > 1:
        parts.append("joined by " + separator_words(rule.separator))
    if fixed and rule.sources:
        parts.append(f"“{fixed}” if nothing was answered")
    return RuleLine(
        target=target_words(rule.target),
        sources=tuple(labels.get(source) or source for source in rule.sources),
        how=", ".join(parts) if rule.sources else f"Always “{fixed}”",
        is_required=rule.target in required,
    )


def separator_words(separator: str) -> str:
    """What stands between joined answers."""
    return SEPARATORS.get(separator) or f"“{separator}”"


def dedupe_words(policy: DedupePolicy) -> str:
    """What becomes of a lead of somebody who is known."""
    by = " or ".join({"email": "e-mail", "phone": "phone"}[each] for each in policy.by)
    if not by or policy.then == "new":
        return "Every lead is kept as one of its own."
    what = "is put into" if policy.then == "merge" else "is kept, and linked to"
    return f"A lead with the same {by} as an earlier one {what} that one."
