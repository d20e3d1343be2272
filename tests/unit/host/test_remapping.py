"""Re-mapping: what people wrote stays, nothing is lost, and a second time changes nothing."""

from datetime import UTC, datetime
from typing import Any

import attrs
from hypothesis import given
from hypothesis import strategies as st

from moorage.crm.mapping import crm_lead
from moorage.leads.merging import merged
from moorage.leads.remapping import remapped
from moorage_ports.crm import CrmLead
from moorage_ports.lead_mapping import FormMapping, MappingRule, NamePart
from moorage_ports.lead_source import Answer, Lead, Meaning

NOON = datetime(2030, 6, 1, 12, tzinfo=UTC)
LATER = datetime(2030, 6, 2, 12, tzinfo=UTC)


def version(number: int, *rules: MappingRule) -> FormMapping:
    return FormMapping(vendor="memory", form_external_id="f", version=number, rules=rules, saved_at=NOON)


def came(*answers: Answer, mapping: FormMapping | None = None, **changes: Any) -> CrmLead:
    lead = Lead(external_id="1", channel_external_id="c", form_external_id="f", answers=answers)
    made = crm_lead(lead, mapping=mapping, lead_id="ours", vendor="memory", now=NOON)
    return attrs.evolve(made, **changes)


NAME = Answer(name="nombre", values=("Grace Hopper",))
MAIL = Answer(name="email", values=("grace@navy.example",), meaning=Meaning.EMAIL)
RULES = (
    MappingRule(target="firstName", sources=("nombre",), part=NamePart.FIRST),
    MappingRule(target="lastName", sources=("nombre",), part=NamePart.LAST),
    MappingRule(target="email", sources=("email",)),
)


def test_a_past_lead_is_as_the_current_version_makes_it() -> None:
    before = came(NAME, MAIL)
    after = remapped(before, {1: version(1, *RULES)}, LATER)

    assert before.properties == {"nombre": ("Grace Hopper",)}
    assert (after.first_name, after.last_name, after.email) == ("Grace", "Hopper", "grace@navy.example")
    assert (after.properties, after.mapping_version, after.updated_at) == ({}, 1, LATER)


def test_what_a_person_wrote_stays() -> None:
    before = came(NAME, MAIL, first_name="Amazing", edited=("first_name",), status="qualified", stage="offer")
    after = remapped(before, {1: version(1, *RULES)}, LATER)

    assert (after.first_name, after.last_name) == ("Amazing", "Hopper")
    assert (after.status, after.stage) == ("qualified", "offer")


def test_what_came_from_elsewhere_stays_through_any_number_of_versions() -> None:
    lead = came(NAME, MAIL, properties={"nombre": ("Grace Hopper",), "phone": ("+4915112345678",)})
    for number in (1, 2, 3):
        lead = remapped(lead, {n: version(n, *RULES) for n in range(1, number + 1)}, LATER)

    assert lead.properties == {"phone": ("+4915112345678",)}


def test_a_second_answer_of_somebody_merged_into_it_stays_a_property() -> None:
    other = attrs.evolve(MAIL, values=("hopper@yale.example",))
    after = remapped(came(NAME, MAIL, other), {1: version(1, *RULES)}, LATER)

    assert after.email == "grace@navy.example"
    assert after.properties == {"email": ("hopper@yale.example",)}


def test_what_a_lead_of_before_says_is_not_lost_to_one_that_was_merged_into_it() -> None:
    """Its own answers were not kept; those that are kept are the other's."""
    older = came(first_name="Grace", last_name="Hopper", email="grace@navy.example")
    newer = came(attrs.evolve(NAME, values=("G. Hopper",)), MAIL, Answer(name="ship", values=("Hopper",)))
    versions = {1: version(1, *RULES)}
    once = remapped(merged(older, newer, NOON), versions, LATER)

    assert (once.first_name, once.last_name, once.email) == ("Grace", "Hopper", "grace@navy.example")
    assert once.properties == {"first_name": ("G.",), "ship": ("Hopper",)}
    assert remapped(once, versions, LATER.replace(year=2031)) is once


@given(
    st.lists(
        st.builds(
            Answer,
            name=st.sampled_from(("email", "nombre", "größe", "電話")),
            values=st.lists(st.text(max_size=8), max_size=3).map(tuple),
            meaning=st.sampled_from((None, Meaning.EMAIL, Meaning.FULL_NAME)),
        ),
        max_size=6,
    )
)
def test_a_second_time_changes_nothing(answers: list[Answer]) -> None:
    versions = {1: version(1, RULES[0]), 2: version(2, *RULES)}
    once = remapped(came(*answers, mapping=versions[1]), versions, LATER)

    assert remapped(once, versions, LATER.replace(year=2031)) is once
