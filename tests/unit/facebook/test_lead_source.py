"""Leads in whatever language, script and state: an answer is never lost, and a hidden lead is explained."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moorage_facebook.lead_calls import form_leads
from moorage_facebook.translate.lead_nodes import form_from_graph, lead_from_graph
from moorage_ports.errors import (
    MissingScopeError,
    RateLimitError,
    RejectedError,
    VendorNotFoundError,
)
from moorage_ports.lead_source import Answer, Consent, LeadCounts, Meaning, Option, Question
from moorage_ports.secret import Secret
from tests.contract.facebook_weather import FORM, PAGE
from tests.unit.facebook.conftest import Org

SALON, SALON_FORM = "104857600012345", "18400199387756201"


def read(node: Mapping[str, object]) -> tuple[Answer, ...]:
    lead = lead_from_graph({"id": "1", **node}, page_id=PAGE)
    assert lead is not None
    return lead.answers


def test_a_lead_in_neutral_words() -> None:
    lead = lead_from_graph(
        {
            "id": 9007199254740993117,
            "created_time": "2030-01-01T08:30:00+0000",
            "form_id": 7712,
            "ad_id": "23",
            "adset_id": 24,
            "campaign_id": 0,
            "is_organic": False,
            "platform": "ig",
            "field_data": [{"name": "email", "values": ["a@b.example"]}],
        },
        page_id=PAGE,
    )

    assert lead is not None
    assert (lead.external_id, lead.form_external_id) == ("9007199254740993117", "7712")
    assert (lead.ad_external_id, lead.ad_set_external_id, lead.campaign_external_id) == ("23", "24", "")
    assert lead.submitted_at == datetime(2030, 1, 1, 8, 30, tzinfo=UTC)
    assert (lead.is_organic, lead.platform) == (False, "ig")


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("email", Meaning.EMAIL),
        ("work_email", Meaning.EMAIL),
        ("EMAIL", Meaning.EMAIL),
        ("phone_number", Meaning.PHONE),
        ("work_phone_number", Meaning.PHONE),
        ("full_name", Meaning.FULL_NAME),
        ("first_name", Meaning.FIRST_NAME),
        ("last_name", Meaning.LAST_NAME),
        ("company_name", Meaning.COMPANY),
        ("decrivez_la_coupe", None),
        ("請協助留下您的真實中文姓名", None),
    ],
)
def test_standard_questions_mean_something(name: str, meaning: Meaning | None) -> None:
    (answer,) = read({"field_data": [{"name": name, "values": ["x"]}]})

    assert (answer.name, answer.meaning) == (name, meaning)


@pytest.mark.parametrize(
    ("entry", "values"),
    [
        ({"name": "q", "values": ["a", "b"]}, ("a", "b")),
        ({"name": "q", "values": []}, ()),
        ({"name": "q"}, ()),
        ({"name": "q", "values": None}, ()),
        ({"name": "q", "values": "alone"}, ("alone",)),
        ({"name": "q", "values": [7, 10206266332119368, True, None]}, ("7", "10206266332119368", "true")),
        ({"name": "q", "values": [{"a": "ä"}]}, ('{"a":"ä"}',)),
        ({"name": "q", "values": ["", "\x00", "\u202e"]}, ("", "\x00", "\u202e")),
    ],
)
def test_answers_arrive_whole(entry: Mapping[str, object], values: tuple[str, ...]) -> None:
    (answer,) = read({"field_data": [entry]})

    assert answer.values == values


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
NAMES = (
    "id",
    "created_time",
    "form_id",
    "field_data",
    "ad_id",
    "is_organic",
    "platform",
    "questions",
    "status",
    "locale",
    "legal_content",
    "leads_count",
    "expired_leads_count",
    "organic_leads_count",
    "custom_disclaimer_responses",
    "campaign_name",
)


@given(node=st.dictionaries(st.sampled_from(NAMES), json_values))
def test_any_answer_of_graph_is_read(node: Mapping[str, object]) -> None:
    """A lead without an id is none; everything else is read for what is there."""
    lead_from_graph(node, page_id=PAGE)
    form_from_graph(node, page_id=PAGE)


def test_a_form_tells_what_its_keys_mean() -> None:
    form = form_from_graph(
        {
            "id": 7,
            "name": "Visite",
            "status": "ACTIVE",
            "questions": [
                {"key": "nom_complet", "label": "Nom complet", "type": "FULL_NAME"},
                {"key": "créneau", "type": "CUSTOM", "options": [{"key": "m", "value": "le matin"}]},
            ],
        },
        page_id=PAGE,
    )

    assert form is not None
    assert (form.external_id, form.status) == ("7", "active")
    assert form.questions == (
        Question(key="nom_complet", label="Nom complet", meaning=Meaning.FULL_NAME),
        Question(key="créneau", label="créneau", options=(Option(key="m", label="le matin"),)),
    )


def test_since_includes_its_own_second() -> None:
    """Graph compares with "later than", in whole seconds."""
    since = datetime(2030, 1, 1, 8, 30, 0, 900_000, tzinfo=UTC)

    filtering = form_leads(PAGE, FORM, since, Secret("t")).query["filtering"]

    assert f'"value":{int(since.timestamp()) - 1}' in filtering


async def test_a_lead_in_a_foreign_language_is_understood_through_its_form(org: Org) -> None:
    """Question keys follow the form's language; what they mean stands in the form."""
    answers = {
        "nom_complet": ["Zoé"],
        "e-mail": ["zoe@mail.example"],
        "décrivez_la_coupe_de_vos_rêves": ["é"],
    }
    made = await org.world.control("leads", pageId=SALON, formId=SALON_FORM, answers=answers, delivery="lose")
    leads = made["leads"]
    assert isinstance(leads, list)
    lead_id = str(leads[0]["id"] if isinstance(leads[0], dict) else leads[0])

    lead = await org.leads.lead(SALON, lead_id)

    assert {answer.name: answer.meaning for answer in lead.answers} == {
        "nom_complet": Meaning.FULL_NAME,
        "e-mail": Meaning.EMAIL,
        "décrivez_la_coupe_de_vos_rêves": None,
    }


async def test_a_form_that_cannot_be_read_costs_no_lead(org: Org) -> None:
    """The answers are what counts; what they mean can be mapped by hand. Only for a limit it waits."""
    made = await org.world.control(
        "leads", pageId=SALON, formId=SALON_FORM, answers={"nom_complet": ["Zoé"]}, delivery="lose"
    )
    leads = made["leads"]
    assert isinstance(leads, list)
    lead_id = str(leads[0]["id"] if isinstance(leads[0], dict) else leads[0])
    await org.world.control("faults", match={"method": "GET", "path": f"/{SALON_FORM}"}, code=200)

    lead = await org.leads.lead(SALON, lead_id)

    assert [answer.values for answer in lead.answers] == [("Zoé",)]

    await org.world.clear_up()
    await org.world.control("faults", match={"method": "GET", "path": f"/{SALON_FORM}"}, code=80005)
    with pytest.raises(RateLimitError):
        await org.leads.lead(SALON, lead_id)


async def test_a_lead_is_read_without_its_ad_where_ads_may_not_be_seen(org: Org) -> None:
    """Permissions for ads are often not granted; the person who wrote is what counts."""
    filled = await org.world.fill_in()
    await org.world.control(
        "faults", match={"method": "GET", "path": f"/{filled.lead_external_id}"}, times=1, code=200
    )

    lead = await org.leads.lead(PAGE, filled.lead_external_id)

    assert {answer.name: answer.values for answer in lead.answers} == filled.answers


@pytest.mark.parametrize("subcode", [None, 33])
async def test_a_hidden_lead_names_leads_access(org: Org, subcode: int | None) -> None:
    """Graph says the same for "gone" and "not for you", with and without its subcode."""
    filled = await org.world.fill_in()
    path = f"/{filled.lead_external_id}"
    await org.world.control("faults", match={"method": "GET", "path": path}, code=100, subcode=subcode)

    with pytest.raises(VendorNotFoundError) as failure:
        await org.leads.lead(PAGE, filled.lead_external_id)

    assert "Leads access is in order" in failure.value.remedy


async def test_another_refusal_stays_what_it_is(org: Org) -> None:
    filled = await org.world.fill_in()
    path = f"/{filled.lead_external_id}"
    await org.world.control("faults", match={"method": "GET", "path": path}, code=506)

    with pytest.raises(RejectedError):
        await org.leads.lead(PAGE, filled.lead_external_id)


async def test_a_scope_taken_back_is_told_from_a_hidden_lead(org: Org) -> None:
    """Graph hides the lead in both cases: its own view of the token tells which."""
    filled = await org.world.fill_in()
    await org.world.withdraw_scopes()

    with pytest.raises(MissingScopeError):
        await org.leads.lead(PAGE, filled.lead_external_id)


async def test_hundreds_of_leads_are_listed_once(org: Org) -> None:
    """More than a page of them, by cursor, none before `since`."""
    await org.world.control(
        "leads", pageId=PAGE, formId=FORM, answers={"email": ["old@b.example"]}, count=5, delivery="lose"
    )
    await org.world.pass_time(timedelta(hours=1))
    since = org.context.clock.now()
    await org.world.control(
        "leads", pageId=PAGE, formId=FORM, answers={"email": ["{n}@b.example"]}, count=230, delivery="lose"
    )

    seen, cursor = [], None
    for _ in range(3):
        page = await org.leads.leads_since(PAGE, FORM, since, cursor)
        seen += [lead.answers[0].values[0] for lead in page.items]
        cursor = page.next_cursor

    assert cursor is None
    assert sorted(seen) == sorted(f"{number}@b.example" for number in range(1, 231))


# Whatever a form can ask, and a lead can say -------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "meaning"),
    [
        ("JOB_TITLE", Meaning.JOB_TITLE),
        ("STREET_ADDRESS", Meaning.STREET),
        ("CITY", Meaning.CITY),
        ("STATE", Meaning.REGION),
        ("PROVINCE", Meaning.REGION),
        ("ZIP", Meaning.POSTAL_CODE),
        ("POST_CODE", Meaning.POSTAL_CODE),
        ("COUNTRY", Meaning.COUNTRY),
        ("DOB", Meaning.BIRTH_DATE),
        ("GENDER", Meaning.GENDER),
        ("MARITIAL_STATUS", Meaning.MARITAL_STATUS),
        ("WORK_PHONE_NUMBER", Meaning.PHONE),
        ("MILITARY_STATUS", None),
        ("CUSTOM", None),
        ("A_TYPE_OF_NEXT_YEAR", None),
    ],
)
def test_the_types_of_questions_mean_something(kind: str, meaning: Meaning | None) -> None:
    """Whatever language their keys are in."""
    form = form_from_graph({"id": "7", "questions": [{"key": "clé", "type": kind}]}, page_id=PAGE)

    assert form is not None
    assert [question.meaning for question in form.questions] == [meaning]


def test_a_form_with_consents_counts_and_a_locale() -> None:
    form = form_from_graph(
        {
            "id": "7",
            "locale": "fr_FR",
            "leads_count": 12,
            "expired_leads_count": "3",
            "organic_leads_count": 0,
            "legal_content": {
                "id": "9",
                "custom_disclaimer": {
                    "checkboxes": [
                        {"id": "1", "key": "news", "text": "Écrivez-moi", "is_required": True},
                        {"id": 2, "text": "Appelez-moi", "is_required": "false"},
                    ]
                },
            },
        },
        page_id=PAGE,
    )

    assert form is not None
    assert form.locale == "fr_FR"
    assert form.counts == LeadCounts(total=12, expired=3, organic=0)
    assert form.consents == (
        Consent(key="news", text="Écrivez-moi", is_required=True),
        Consent(key="2", text="Appelez-moi", is_required=False),
    )


@pytest.mark.parametrize(
    "counts", [{}, {"leads_count": None}, {"leads_count": "many"}, {"leads_count": 10**30}]
)
def test_a_form_without_a_count_is_not_one_without_leads(counts: Mapping[str, object]) -> None:
    form = form_from_graph({"id": "7", **counts}, page_id=PAGE)

    assert form is not None
    assert form.counts is None


@pytest.mark.parametrize(
    ("checked", "given"),
    [("1", True), ("true", True), (True, True), ("0", False), ("", False), (False, False), (None, None)],
)
def test_a_lead_says_which_consents_were_given(checked: object, given: bool | None) -> None:
    """Graph writes `is_checked` as a string; the empty one is a box that was left empty."""
    lead = lead_from_graph(
        {"id": "1", "custom_disclaimer_responses": [{"checkbox_key": "news", "is_checked": checked}]},
        page_id=PAGE,
    )

    assert lead is not None
    assert lead.consents == (Consent(key="news", is_given=given),)


def test_a_lead_names_the_ads_that_brought_it() -> None:
    """And an organic one names none."""
    node = {"id": "1", "campaign_name": "Spring", "adset_name": "Berlin", "ad_name": "Red", "ad_id": 5}
    paid = lead_from_graph(node, page_id=PAGE)
    organic = lead_from_graph({"id": "2", "is_organic": True}, page_id=PAGE)

    assert paid is not None
    assert organic is not None
    assert (paid.campaign_name, paid.ad_set_name, paid.ad_name) == ("Spring", "Berlin", "Red")
    assert (organic.campaign_name, organic.ad_external_id, organic.ad_name) == ("", "", "")
    assert organic.is_organic


def test_dummy_data_tells_a_test_lead() -> None:
    dummy = [{"name": "full_name", "values": ["<test lead: dummy data for full_name>"]}]
    test = lead_from_graph({"id": "1", "field_data": dummy}, page_id=PAGE)
    real = lead_from_graph({"id": "2", "field_data": []}, page_id=PAGE)

    assert test is not None
    assert real is not None
    assert (test.is_test, real.is_test) == (True, None)


def test_a_stretch_of_time_is_asked_for_with_both_its_ends() -> None:
    since = datetime(2030, 1, 1, tzinfo=UTC)
    until = since + timedelta(days=1, microseconds=1)

    filtering = form_leads(PAGE, FORM, since, Secret("t"), until=until).query["filtering"]

    assert f'"LESS_THAN","value":{int(since.timestamp()) + 86_401}' in filtering
