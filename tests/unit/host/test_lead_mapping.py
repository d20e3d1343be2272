"""The default mapping: total over whatever a stranger typed, and nothing typed is lost."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage.codec import clean_text
from moorage.crm.mapping import crm_lead
from moorage.crm.reading import international
from moorage_ports.crm import CrmLead
from moorage_ports.lead_source import Answer, Lead, Meaning

NOW = datetime(2030, 5, 1, 12, 0, tzinfo=UTC)

anything = st.text(st.characters(codec=None), max_size=20)
answers = st.builds(
    Answer,
    name=anything,
    values=st.lists(anything, max_size=3).map(tuple),
    meaning=st.none() | st.sampled_from(Meaning),
)


def mapped(*given_answers: Answer) -> CrmLead:
    lead = Lead(
        external_id="7",
        channel_external_id="1",
        form_external_id="2",
        answers=given_answers,
        submitted_at=NOW,
    )
    return crm_lead(lead, lead_id="ours", vendor="memory", now=NOW)


def test_meanings_fill_columns_and_the_rest_is_kept_by_question() -> None:
    lead = mapped(
        Answer(name="mail", values=("ada@harbour.example",), meaning=Meaning.EMAIL),
        Answer(name="first", values=("Ada",), meaning=Meaning.FIRST_NAME),
        Answer(name="last", values=("Reed",), meaning=Meaning.LAST_NAME),
        Answer(name="firm", values=("Reed & Co",), meaning=Meaning.COMPANY),
        Answer(name="roast", values=("dark", "light")),
    )

    assert (lead.email, lead.first_name, lead.last_name) == ("ada@harbour.example", "Ada", "Reed")
    assert lead.company == "Reed & Co"
    assert lead.properties == {"roast": ("dark", "light")}
    assert (lead.external_id, lead.form_id, lead.source, lead.status) == ("7", "2", "memory", "new")


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [("Ada Reed", "Ada", "Reed"), ("Ada", "Ada", ""), (" Ada  van der Reed ", "Ada", "van der Reed")],
)
def test_a_full_name_is_split_after_its_first_word(name: str, first: str, last: str) -> None:
    lead = mapped(Answer(name="name", values=(name,), meaning=Meaning.FULL_NAME))

    assert (lead.first_name, lead.last_name) == (first, last)


def test_the_parts_of_a_name_go_before_the_whole() -> None:
    lead = mapped(
        Answer(name="whole", values=("Ada R.",), meaning=Meaning.FULL_NAME),
        Answer(name="last", values=("Reed",), meaning=Meaning.LAST_NAME),
    )

    assert (lead.first_name, lead.last_name) == ("", "Reed")
    assert lead.properties == {"whole": ("Ada R.",)}


def test_a_second_value_of_a_column_is_not_lost() -> None:
    lead = mapped(
        Answer(name="mail", values=("a@x.example", "b@x.example"), meaning=Meaning.EMAIL),
        Answer(name="work mail", values=("c@x.example",), meaning=Meaning.EMAIL),
    )

    assert lead.email == "a@x.example"
    assert lead.properties == {"mail": ("a@x.example", "b@x.example"), "work mail": ("c@x.example",)}


@pytest.mark.parametrize(
    ("phone", "kept"),
    [
        ("+49 30 901820", "+4930901820"),
        ("+1 (650) 253-0000", "+16502530000"),
        ("030 901820", "030 901820"),  # no country: which one it is would be a guess
        ("+1 650 253 0000 ext. 12", "+1 650 253 0000 ext. 12"),
        ("+", "+"),
        ("call me", "call me"),
        ("+0", "+0"),
    ],
)
def test_a_phone_number_becomes_international_where_it_says_its_country(phone: str, kept: str) -> None:
    assert international(phone) == kept


@given(st.lists(answers, max_size=6))
def test_any_answers_become_a_lead_and_none_is_lost(given_answers: list[Answer]) -> None:
    lead = mapped(*given_answers)

    columns = (lead.email, lead.first_name, lead.last_name, lead.company)
    everything = [*columns, *(v for values in lead.properties.values() for v in values)]
    for answer in given_answers:
        for value in answer.values:
            words = clean_text(value).split()
            if answer.meaning is Meaning.PHONE and lead.phone and lead.phone not in everything:
                continue
            assert all(any(word in kept for kept in everything) for word in words)


@given(anything, anything)
def test_what_is_kept_can_be_stored_and_encoded_57(name: str, value: str) -> None:
    """BAR 57: NUL and lone surrogates are replaced; nothing that is kept fails to encode."""
    lead = mapped(Answer(name=name, values=(value,)))

    for kept_name, kept in lead.properties.items():
        for text in (kept_name, *kept):
            assert "\x00" not in text
            text.encode("utf-8")


@given(st.text(max_size=30))
def test_international_is_total(phone: str) -> None:
    assert international(phone) == phone or international(phone).startswith("+")
