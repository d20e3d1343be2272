"""What an editor begins with does what mapping by meaning does."""

from datetime import UTC, datetime

import attrs
from hypothesis import given
from hypothesis import strategies as st

from moorage.crm.mapping import crm_lead
from moorage.leads.mapping_checks import problems_of
from moorage.leads.mapping_suggestions import suggested_rules
from moorage_ports.lead_mapping import FormMapping, MappingRule
from moorage_ports.lead_operations import QuestionView
from moorage_ports.lead_source import Answer, Lead, Meaning, Question

NOON = datetime(2030, 6, 1, 12, 0, tzinfo=UTC)
QUESTIONS = st.lists(
    st.builds(
        Question, key=st.text(min_size=1), label=st.text(), meaning=st.none() | st.sampled_from(Meaning)
    ),
    max_size=12,
    unique_by=lambda question: question.key,
)
COLUMNS = ("email", "first_name", "last_name", "phone", "company")


def view(question: Question) -> QuestionView:
    meaning = question.meaning.value if question.meaning else ""
    return QuestionView(key=question.key, label=question.label, meaning=meaning)


def mapping_of(rules: tuple[MappingRule, ...]) -> FormMapping:
    return FormMapping(
        vendor="memory", form_external_id="form-1", version=1, rules=rules, saved_by="", saved_at=NOON
    )


@given(QUESTIONS)
def test_whatever_a_form_asks_the_rules_fit_it(questions: list[Question]) -> None:
    mapping = mapping_of(suggested_rules(map(view, questions)))
    assert problems_of(mapping, tuple(questions)) == {}


@given(st.lists(st.sampled_from(Meaning), max_size=8), st.data())
def test_they_fill_the_columns_as_meaning_does(meanings: list[Meaning], data: st.DataObject) -> None:
    questions = [
        Question(key=f"q{number}", label="", meaning=meaning) for number, meaning in enumerate(meanings)
    ]
    word = st.text("abcdefgh", min_size=1, max_size=6)
    said = st.sampled_from(["+49 30 901820", "a@harbour.example"]) | st.lists(
        word, min_size=1, max_size=3
    ).map(" ".join)
    answers = tuple(
        Answer(name=question.key, values=(data.draw(said),), meaning=question.meaning)
        for question in questions
    )
    lead = Lead(external_id="1", channel_external_id="b", form_external_id="form-1", answers=answers)
    by_meaning = crm_lead(lead, lead_id="1", vendor="memory", now=NOON)
    rules = mapping_of(suggested_rules(map(view, questions)))
    by_rules = crm_lead(lead, mapping=rules, lead_id="1", vendor="memory", now=NOON)

    for column in COLUMNS:
        assert getattr(by_rules, column) == getattr(by_meaning, column), column


def test_a_form_that_asks_for_the_parts_of_a_name_is_believed() -> None:
    asked = [Meaning.FULL_NAME, Meaning.FIRST_NAME]
    rules = suggested_rules(QuestionView(key=each.value, label="", meaning=each.value) for each in asked)
    assert [(rule.target, rule.sources, rule.part) for rule in rules] == [
        ("firstName", ("first_name",), None)
    ]
    whole = suggested_rules([QuestionView(key="name", label="", meaning="full_name")])
    assert [attrs.astuple(rule)[0] for rule in whole] == ["firstName", "lastName"]
