"""Forms and leads as Graph writes them, in the ports' words.

https://developers.facebook.com/docs/marketing-api/guides/lead-ads/retrieving ·
https://developers.facebook.com/docs/marketing-api/reference/leadgen-form
"""

from collections.abc import Mapping
from typing import Final

from moorage_facebook.graph.values import canonical, integer, moment, node_id, record, records, text, truth
from moorage_ports.lead_source import (
    Answer,
    Consent,
    Lead,
    LeadCounts,
    LeadForm,
    Meaning,
    Option,
    Question,
)

# What a standard question is called in `field_data`, and its type in a form, both in lower case. Meta's own
# spelling of the marital status is one of them.
# https://developers.facebook.com/docs/marketing-api/guides/lead-ads/create (pre-filled questions)
MEANINGS: Mapping[str, Meaning] = {
    "email": Meaning.EMAIL,
    "work_email": Meaning.EMAIL,
    "full_name": Meaning.FULL_NAME,
    "first_name": Meaning.FIRST_NAME,
    "last_name": Meaning.LAST_NAME,
    "phone": Meaning.PHONE,
    "phone_otp": Meaning.PHONE,
    "phone_number": Meaning.PHONE,
    "user_provided_phone_number": Meaning.PHONE,
    "work_phone_number": Meaning.PHONE,
    "company_name": Meaning.COMPANY,
    "job_title": Meaning.JOB_TITLE,
    "street_address": Meaning.STREET,
    "city": Meaning.CITY,
    "state": Meaning.REGION,
    "province": Meaning.REGION,
    "post_code": Meaning.POSTAL_CODE,
    "zip": Meaning.POSTAL_CODE,
    "zip_code": Meaning.POSTAL_CODE,
    "country": Meaning.COUNTRY,
    "dob": Meaning.BIRTH_DATE,
    "date_of_birth": Meaning.BIRTH_DATE,
    "gender": Meaning.GENDER,
    "maritial_status": Meaning.MARITAL_STATUS,
    "marital_status": Meaning.MARITAL_STATUS,
    "relationship_status": Meaning.MARITAL_STATUS,
    "website": Meaning.WEBSITE,
}

_DUMMY: Final = "<test lead: dummy data for "  # what Meta fills a test lead's questions with
_TOO_MANY: Final = 10**12  # leads of one form
_CHECKED: Final[Mapping[str, bool]] = {"1": True, "0": False, "": False}


def lead_from_graph(
    node: Mapping[str, object], *, page_id: str, form_id: str = "", meanings: Mapping[str, Meaning] = MEANINGS
) -> Lead | None:
    """A lead in neutral words; `None` if it has no id. Questions may be named in any language or script."""
    lead_id = node_id(node.get("id"))
    if not lead_id:
        return None
    answers = tuple(_answer(entry, meanings) for entry in records(node.get("field_data")))
    return Lead(
        external_id=lead_id,
        channel_external_id=page_id,
        form_external_id=node_id(node.get("form_id")) or form_id,
        answers=answers,
        submitted_at=moment(node.get("created_time")),
        campaign_external_id=node_id(node.get("campaign_id")),
        ad_set_external_id=node_id(node.get("adset_id")),
        ad_external_id=node_id(node.get("ad_id")),
        campaign_name=text(node.get("campaign_name")),
        ad_set_name=text(node.get("adset_name")),
        ad_name=text(node.get("ad_name")),
        is_organic=truth(node.get("is_organic")),
        platform=text(node.get("platform")),
        consents=tuple(map(_response, records(node.get("custom_disclaimer_responses")))),
        is_test=True if any(map(_is_dummy, answers)) else None,
    )


def form_from_graph(node: Mapping[str, object], *, page_id: str) -> LeadForm | None:
    """A form in neutral words; `None` if it has no id."""
    form_id = node_id(node.get("id"))
    if not form_id:
        return None
    disclaimer = record(record(node.get("legal_content")).get("custom_disclaimer"))
    return LeadForm(
        external_id=form_id,
        channel_external_id=page_id,
        name=text(node.get("name")),
        status=text(node.get("status")).lower(),
        locale=text(node.get("locale")),
        questions=tuple(map(_question, _listed(node.get("questions")))),
        consents=tuple(map(_checkbox, _listed(disclaimer.get("checkboxes")))),
        counts=_counts(node),
    )


def _answer(entry: Mapping[str, object], meanings: Mapping[str, Meaning]) -> Answer:
    name, values = text(entry.get("name")), entry.get("values")
    listed = values if isinstance(values, list) else [values]
    return Answer(
        name=name,
        values=tuple(_said(value) for value in listed if value is not None),
        meaning=meanings.get(name) or MEANINGS.get(name.lower()),
    )


def _said(value: object) -> str:
    """What a person answered; anything that is no text or number as JSON, so that nothing is lost."""
    if isinstance(value, (bool, dict, list)):
        return canonical(value).decode()
    return text(value)


def _is_dummy(answer: Answer) -> bool:
    return any(value.startswith(_DUMMY) for value in answer.values)


def _response(entry: Mapping[str, object]) -> Consent:
    """A ticked or empty box below the form; Graph writes `is_checked` as a string."""
    checked = entry.get("is_checked")
    given = truth(checked)
    return Consent(
        key=text(entry.get("checkbox_key")),
        is_given=_CHECKED.get(text(checked)) if given is None and checked is not None else given,
    )


def _checkbox(node: Mapping[str, object]) -> Consent:
    """A box that a form shows; answers name it by its key, or by its id where it has none."""
    return Consent(
        key=text(node.get("key")) or node_id(node.get("id")),
        text=text(node.get("text")),
        is_required=truth(node.get("is_required")),
    )


def _counts(node: Mapping[str, object]) -> LeadCounts | None:
    total = _count(node.get("leads_count"))
    if total is None:
        return None
    return LeadCounts(
        total=total,
        expired=_count(node.get("expired_leads_count")) or 0,
        organic=_count(node.get("organic_leads_count")),
    )


def _count(value: object) -> int | None:
    """A number of leads; one that cannot be is none."""
    number = integer(value)
    return number if number is not None and 0 <= number < _TOO_MANY else None


def _question(node: Mapping[str, object]) -> Question:
    key, kind = text(node.get("key")), text(node.get("type")).lower()
    return Question(
        key=key,
        label=text(node.get("label")) or key,
        meaning=MEANINGS.get(kind) or MEANINGS.get(key.lower()),
        options=tuple(map(_option, _listed(node.get("options")))),
    )


def _option(node: Mapping[str, object]) -> Option:
    label, key = text(node.get("value")), text(node.get("key"))
    return Option(key=key or label, label=label or key)


def _listed(value: object) -> list[Mapping[str, object]]:
    """A list as it is; an edge (`{"data": […]}`) as its list."""
    return records(record(value).get("data")) if isinstance(value, dict) else records(value)
