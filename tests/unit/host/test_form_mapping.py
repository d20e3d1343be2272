"""A form's own mapping: each kind of rule and type, and nothing dropped whatever rules and answers meet."""

from datetime import UTC, datetime

import attrs
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from moorage.codec import clean_text
from moorage.crm.form_mapping import Mapped, map_answers
from moorage.crm.mapping import crm_lead
from moorage.crm.reading import read
from moorage.leads.mapping_checks import problems_by, problems_of
from moorage_ports.crm import LEAD_STATUSES
from moorage_ports.lead_mapping import COLUMNS, DedupePolicy, FormMapping, MappingRule, NamePart, ValueType
from moorage_ports.lead_source import Answer, Consent, Lead, LeadForm, Question

NOW = datetime(2030, 5, 1, 12, 0, tzinfo=UTC)


def mapping_of(*rules: MappingRule, region: str = "", required: tuple[str, ...] = ()) -> FormMapping:
    return FormMapping(
        vendor="memory",
        form_external_id="2",
        version=3,
        rules=rules,
        region=region,
        required=required,
        dedupe=DedupePolicy(by=("email",), then="merge"),
        saved_at=NOW,
    )


def mapped(
    *rules: MappingRule,
    answers: dict[str, tuple[str, ...]],
    consents: tuple[Consent, ...] = (),
    region: str = "",
    required: tuple[str, ...] = (),
) -> Mapped:
    given_answers = [Answer(name=name, values=values) for name, values in answers.items()]
    return map_answers(given_answers, consents, mapping_of(*rules, region=region, required=required))


def rule(
    target: str,
    *sources: str,
    type: ValueType = ValueType.TEXT,
    part: NamePart | None = None,
) -> MappingRule:
    return MappingRule(target=target, sources=sources, type=type, part=part)


# Rules ---------------------------------------------------------------------------------------


def test_names_of_any_language_fill_columns_and_the_rest_stays_below_its_question() -> None:
    made = mapped(
        rule("firstName", "nombre_y_apellido", part=NamePart.FIRST),
        rule("lastName", "nombre_y_apellido", part=NamePart.LAST),
        rule("phone", "número_de_móvil", type=ValueType.PHONE),
        rule("properties.town", "您居住的城市是？"),
        answers={
            "nombre_y_apellido": ("Inés  de la Cruz",),
            "número_de_móvil": ("+34 912 34 56 78",),
            "您居住的城市是？": ("台南",),
            "barco": ("vela", "motor"),
        },
    )

    assert made.columns == {"firstName": "Inés", "lastName": "de la Cruz", "phone": "+34912345678"}
    assert made.properties == {"town": ("台南",), "barco": ("vela", "motor")}
    assert not made.problems


def test_an_answer_that_one_rule_reads_and_another_halves_is_kept_as_it_was_read() -> None:
    made = mapped(
        rule("email", "wants", type=ValueType.BOOLEAN),
        rule("firstName", "wants", part=NamePart.FIRST),
        answers={"wants": ("perhaps", "yes")},
    )

    assert made.columns == {"email": "perhaps, true", "firstName": "perhaps,"}
    assert made.properties == {}


def test_half_of_a_name_does_not_take_the_whole() -> None:
    made = mapped(rule("firstName", "name", part=NamePart.FIRST), answers={"name": ("Ada Reed",)})

    assert made.columns == {"firstName": "Ada"}
    assert made.properties == {"name": ("Ada Reed",)}


def test_halves_of_different_answers_do_not_make_a_whole() -> None:
    made = mapped(
        rule("firstName", "name", part=NamePart.FIRST),
        rule("lastName", "name", "other", part=NamePart.LAST),
        answers={"name": ("Ada Reed",), "other": ("Voss",)},
    )

    assert made.properties == {"name": ("Ada Reed",), "other": ("Voss",)}


def test_several_sources_are_joined_and_silent_ones_left_out() -> None:
    street = MappingRule(target="properties.address", sources=("street", "no", "town"), separator=", ")
    made = mapped(street, answers={"street": ("Quay",), "no": (" ",), "town": ("Emden", "Leer")})

    assert made.properties["address"] == ("Quay, Emden, Leer",)


def test_what_is_joined_is_read_as_one() -> None:
    whole = MappingRule(target="phone", sources=("code", "number"), separator="", type=ValueType.PHONE)
    made = mapped(whole, answers={"code": ("+49",), "number": ("30 901820",)})

    assert made.columns == {"phone": "+4930901820"}


def test_several_values_are_one_text_in_a_column_and_several_in_a_property() -> None:
    made = mapped(
        rule("company", "firm"),
        rule("properties.boats", "boat"),
        answers={"firm": ("Reed", "Voss"), "boat": ("sail", "motor")},
    )

    assert made.columns == {"company": "Reed, Voss"}
    assert made.properties == {"boats": ("sail", "motor")}


def test_answers_of_one_name_are_taken_together() -> None:
    answers = [Answer(name="boat", values=("sail",)), Answer(name="boat", values=("motor",))]
    made = map_answers(answers, (), mapping_of(rule("properties.boats", "boat")))

    assert made.properties == {"boats": ("sail", "motor")}


@pytest.mark.parametrize(
    ("values", "constant", "default", "kept"),
    [
        (("sail",), "", "rowing", "sail"),
        ((" ",), "", "rowing", "rowing"),
        ((), "", "rowing", "rowing"),
        ((), "always", "rowing", "always"),
    ],
)
def test_a_constant_or_a_default_speaks_where_sources_do_not(
    values: tuple[str, ...], constant: str, default: str, kept: str
) -> None:
    boat = MappingRule(target="company", sources=("boat",), constant=constant, default=default)

    assert mapped(boat, answers={"boat": values}).columns == {"company": kept}


def test_a_consent_is_a_source_and_an_unknown_answer_says_nothing() -> None:
    consents = (
        Consent(key="news", is_given=True),
        Consent(key="calls", is_given=False),
        Consent(key="mail", is_given=None),
    )
    made = mapped(
        *(
            rule(f"properties.{key}", f"consent:{key}", type=ValueType.BOOLEAN)
            for key in ("news", "calls", "mail")
        ),
        answers={},
        consents=consents,
    )

    assert made.properties == {"news": ("true",), "calls": ("false",)}


def test_a_status_that_is_none_is_kept_below_its_question() -> None:
    made = mapped(rule("status", "state"), answers={"state": ("very keen",)})

    assert (made.columns, made.properties) == ({}, {"state": ("very keen",)})
    assert "status" in made.problems


def test_required_targets_that_stay_empty_are_named() -> None:
    made = mapped(rule("email", "mail"), answers={"mail": ()}, required=("email",))

    assert "required" in made.problems["email"]


def test_a_lead_says_by_which_version_it_was_mapped() -> None:
    lead = Lead(
        external_id="7",
        channel_external_id="1",
        form_external_id="2",
        answers=(Answer(name="state", values=("qualified",)), Answer(name="vor", values=("Ada",))),
    )
    rules = mapping_of(rule("status", "state"), rule("firstName", "vor"))
    made = crm_lead(lead, mapping=rules, lead_id="ours", vendor="memory", now=NOW)
    plain = crm_lead(lead, lead_id="ours", vendor="memory", now=NOW)

    assert (made.status, made.stage, made.first_name, made.mapping_version) == ("qualified", "new", "Ada", 3)
    assert (plain.status, plain.first_name, plain.mapping_version) == ("new", "", 0)
    assert plain.properties == {"state": ("qualified",), "vor": ("Ada",)}


# Types ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type_", "text", "kept"),
    [
        (ValueType.TEXT, " as is ", "as is"),
        (ValueType.EMAIL, " Ada@Harbour.EXAMPLE ", "Ada@harbour.example"),
        (ValueType.PHONE, "030 901820", "+4930901820"),
        (ValueType.PHONE, "030/90 18-20", "+4930901820"),
        (ValueType.PHONE, "+1 (650) 253-0000", "+16502530000"),
        (ValueType.PHONE, "+1 650 253 0000 ext. 12", "+1 650 253 0000 ext. 12"),
        (ValueType.NUMBER, "12.50", "12.50"),
        (ValueType.NUMBER, "-12,5", "-12.5"),
        (ValueType.NUMBER, "0,125", "0.125"),
        (ValueType.NUMBER, "1,234.5", "1234.5"),
        (ValueType.NUMBER, "1.234,5", "1234.5"),
        (ValueType.NUMBER, "123456789012345678901234567890.1", "123456789012345678901234567890.1"),
        (ValueType.BOOLEAN, "YES", "true"),
        (ValueType.BOOLEAN, "0", "false"),
        (ValueType.DATE, "2024-02-29", "2024-02-29"),
        (ValueType.DATE, "1.2.2024", "2024-02-01"),
        (ValueType.DATE, "02/29/2024", "2024-02-29"),
        (ValueType.DATE, "29/02/2024", "2024-02-29"),
        (ValueType.DATE, "03/03/2024", "2024-03-03"),
        (ValueType.CHOICE, "s", "Sail"),
    ],
)
def test_a_value_is_read_as_its_type(type_: ValueType, text: str, kept: str) -> None:
    one = MappingRule(target="company", sources=("q",), type=type_, choices={"s": "Sail", "m": " "})
    made = mapped(one, answers={"q": (text,)}, region="DE")

    assert made.columns == {"company": kept}
    assert not made.problems


@pytest.mark.parametrize(
    ("type_", "text"),
    [
        (ValueType.EMAIL, "ada at harbour"),
        (ValueType.EMAIL, "a@b@c"),
        (ValueType.PHONE, "call me"),
        (ValueType.PHONE, "030 901820 in the evening"),
        (ValueType.PHONE, "1"),
        (ValueType.NUMBER, "1,234"),  # a thousand and some, or one and some
        (ValueType.NUMBER, "1e5"),
        (ValueType.NUMBER, "twelve"),
        (ValueType.BOOLEAN, "maybe"),
        (ValueType.DATE, "02/03/2024"),
        (ValueType.DATE, "31.2.2024"),
        (ValueType.DATE, "0000-01-01"),
        (ValueType.CHOICE, "unknown"),
        (ValueType.CHOICE, "m"),
    ],
)
def test_what_cannot_be_read_is_kept_as_it_was_given_and_named(type_: ValueType, text: str) -> None:
    one = MappingRule(target="company", sources=("q",), type=type_, choices={"s": "Sail", "m": " "})
    made = mapped(one, answers={"q": (text,)}, region="DE")

    assert made.columns == {"company": text}
    assert type_.value in made.problems["company"]
    assert text not in made.problems["company"]


def test_a_phone_number_without_a_country_is_not_guessed() -> None:
    made = mapped(rule("phone", "tel", type=ValueType.PHONE), answers={"tel": ("030 901820",)})

    assert made.columns == {"phone": "030 901820"}
    assert "phone" in made.problems


# Any rules and any answers -------------------------------------------------------------------

anything = st.text(st.characters(codec=None), max_size=12)
tricky = st.sampled_from(
    ["", " ", "\x00", "\ud800", "+49 30 901820", "1,5", "yes", "1/2/2024", "Ada\u3000Reed", "a, b"]
)
few = st.sampled_from(["q", "q", "città", "名前", "\ud800", "consent:news"])
names = st.one_of(few, few, few, anything)  # mostly few, so that rules and answers meet
answer_lists = st.lists(
    st.builds(Answer, name=names, values=st.lists(tricky | anything, max_size=3).map(tuple)), max_size=5
)
consent_lists = st.lists(
    st.builds(Consent, key=st.just("news") | anything, is_given=st.none() | st.booleans()), max_size=2
)
rules = st.builds(
    MappingRule,
    target=st.sampled_from(COLUMNS) | (names | anything).map(lambda name: f"properties.{name}"),
    sources=st.lists(names, min_size=1, max_size=3).map(tuple),
    constant=st.just("") | st.sampled_from(LEAD_STATUSES) | anything,
    default=st.just("") | st.sampled_from(LEAD_STATUSES) | anything,
    separator=anything,
    part=st.none() | st.sampled_from(NamePart),
    type=st.sampled_from(ValueType),
    choices=st.dictionaries(tricky | anything, anything, max_size=2),
).map(lambda one: one if one.type is ValueType.CHOICE else attrs.evolve(one, choices={}))


@st.composite
def rule_lists(draw: st.DrawFn) -> FormMapping:
    drawn = draw(st.lists(rules, max_size=4, unique_by=lambda each: each.target))
    return mapping_of(*drawn, region=draw(st.sampled_from(["", "DE", "US"])))


def valid(mapping: FormMapping) -> FormMapping:
    """`mapping` without the rules that the checks refuse."""
    return mapping_of(
        *(one for one in mapping.rules if not problems_of(mapping_of(one), None)), region=mapping.region
    )


def kept_in(made: Mapped) -> list[str]:
    return [*made.columns.values(), *(value for values in made.properties.values() for value in values)]


def is_kept(value: str, name: str, mapping: FormMapping, said: dict[str, list[str]], made: Mapped) -> bool:
    """As it was given, or in what a rule of its question makes of it and its other sources."""
    kept = kept_in(made)
    if any(value in each for each in kept):
        return True
    rules_of_it = [one for one in mapping.rules if name in map(clean_text, one.sources)]
    halves = [made_by(one, mapping, value, said) for one in rules_of_it if one.part]
    if len(halves) > 1 and all(any(half in each for each in kept) for half in halves):
        return True
    whole = [made_by(one, mapping, value, said) for one in rules_of_it if not one.part]
    return any(made in each for made in whole for each in kept)


def made_by(one: MappingRule, mapping: FormMapping, value: str, said: dict[str, list[str]]) -> str:
    """What `one` makes of a value: of all its sources together if several say something."""
    speaking = [
        ", ".join(said[name]) for name in dict.fromkeys(map(clean_text, one.sources)) if said.get(name)
    ]
    text = clean_text(one.separator).join(speaking) if one.part or len(speaking) > 1 else value
    if one.part:
        words = [*text.split(maxsplit=1), ""]
        text = words[0] if one.part is NamePart.FIRST else words[1]
    typed = read(text, one, mapping.region)
    return text if typed is None else clean_text(typed)


def said_by(answers: list[Answer], consents: list[Consent]) -> dict[str, list[str]]:
    """What each source says, each thing once."""
    pairs = [(answer.name, value) for answer in answers for value in answer.values]
    last = {clean_text(each.key): each.is_given for each in consents if each.is_given is not None}
    pairs += [(f"consent:{key}", "true" if is_given else "false") for key, is_given in last.items()]
    said: dict[str, list[str]] = {}
    for name, value in pairs:
        values, text = said.setdefault(clean_text(name), []), clean_text(value).strip()
        if text and text not in values:
            values.append(text)
    return said


@given(rule_lists(), answer_lists, consent_lists)
def test_any_valid_rules_take_any_answers_and_drop_none(
    drawn: FormMapping, answers: list[Answer], consents: list[Consent]
) -> None:
    mapping = valid(drawn)
    assume(not problems_of(mapping, None))
    made = map_answers(answers, consents, mapping)

    assert made == map_answers(answers, consents, mapping)
    said = said_by(answers, consents)
    for name in {clean_text(answer.name) for answer in answers}:
        for value in said_by(answers, []).get(name, ()):
            assert is_kept(value, name, mapping, said, made)
    for text in (*kept_in(made), *made.properties):
        assert "\x00" not in text
        text.encode("utf-8")


@given(rule_lists(), answer_lists, consent_lists)
def test_rules_that_nobody_checked_do_no_harm(
    mapping: FormMapping, answers: list[Answer], consents: list[Consent]
) -> None:
    made = map_answers(answers, consents, mapping)

    assert made.columns.get("status", "new") in LEAD_STATUSES


# Checks --------------------------------------------------------------------------------------


def test_a_sound_mapping_has_no_problems() -> None:
    sound = mapping_of(
        rule("email", "mail", "consent:news"),
        MappingRule(target="stage", constant="fair"),
        required=("email", "stage"),
        region="DE",
    )

    assert problems_of(sound, (Question(key="mail", label="Mail"),)) == {}


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        (rule("email", "mail", "no such"), "rules[0].sources[1]"),
        (rule("email", " "), "rules[0].sources[0]"),
        (rule("email", "consent:"), "rules[0].sources[0]"),
        (rule("nickname", "mail"), "rules[0].target"),
        (rule("properties. ", "mail"), "rules[0].target"),
        (rule("email"), "rules[0]"),
        (MappingRule(target="status", constant="keen"), "rules[0].constant"),
        (MappingRule(target="stage", default="x" * 65), "rules[0].default"),
        (MappingRule(target="email", sources=("mail",), choices={"a": "b"}), "rules[0].choices"),
        (
            MappingRule(target="email", sources=("mail",), type=ValueType.CHOICE, choices={"a": " "}),
            "rules[0].choices.a",
        ),
    ],
)
def test_a_mistake_is_named_by_its_path(wrong: MappingRule, path: str) -> None:
    assert list(problems_of(mapping_of(wrong), (Question(key="mail", label="Mail"),))) == [path]


@pytest.mark.parametrize(
    ("source", "consents", "is_wrong"),
    [
        ("consent:news", ("news",), False),
        ("consent:news", ("terms",), True),
        ("consent:news", (), True),
        ("consent:news", None, False),  # nobody knows what it asks consent for
        ("consent:mail", (), False),  # a question may be called so
        ("news", ("news",), True),  # a consent goes by its prefix
    ],
)
def test_consents_are_checked_against_what_the_form_asks_consent_for(
    source: str, consents: tuple[str, ...] | None, is_wrong: bool
) -> None:
    form = LeadForm(
        external_id="f",
        channel_external_id="c",
        name="",
        status="",
        questions=(Question(key="mail", label=""), Question(key="consent:mail", label="")),
        consents=tuple(Consent(key=key) for key in consents or ()),
        knows_consents=consents is not None,
    )
    found = problems_by(mapping_of(rule("email", "mail", source)), form)
    assert list(found) == (["rules[0].sources[1]"] if is_wrong else [])


def test_mistakes_of_the_whole_are_named_too() -> None:
    doubled = mapping_of(
        rule("email", "mail"), rule("email", "other"), region="Germany", required=("email", "phone")
    )

    assert list(problems_of(doubled, None)) == ["rules[1].target", "required[1]", "region"]
