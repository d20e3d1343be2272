"""From a vendor's lead to a lead of the CRM: by the form's mapping, or by meaning where it has none.

By meaning: answers whose meaning the vendor names fill the columns; every other answer, and every value
that a column has no room for, is kept under its question's name. Total: whatever a stranger typed into a
form becomes a lead.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime

import attrs

from moorage.codec import clean_text
from moorage.crm.form_mapping import STAGE, STATUS, Mapped, map_answers, telling
from moorage.crm.reading import international
from moorage_ports.crm import NEW, CrmLead
from moorage_ports.lead_mapping import FormMapping
from moorage_ports.lead_source import Answer, Lead, Meaning

COLUMN_OF = {
    Meaning.EMAIL: "email",
    Meaning.FIRST_NAME: "firstName",
    Meaning.LAST_NAME: "lastName",
    Meaning.PHONE: "phone",
    Meaning.COMPANY: "company",
}


@attrs.frozen(kw_only=True)
class MappedLead:
    """A lead of the CRM, and what mapping it had trouble with, by what a rule was to fill."""

    lead: CrmLead
    problems: Mapping[str, str]


def crm_lead(
    lead: Lead, *, mapping: FormMapping | None = None, lead_id: str, vendor: str, now: datetime
) -> CrmLead:
    """`lead` as the CRM keeps it, new and untouched by anyone; without a mapping, mapped by meaning."""
    return mapped_lead(lead, mapping=mapping, lead_id=lead_id, vendor=vendor, now=now).lead


def mapped_lead(
    lead: Lead, *, mapping: FormMapping | None, lead_id: str, vendor: str, now: datetime
) -> MappedLead:
    """The same, with what was not as the mapping's rules have it; by meaning, nothing is."""
    if mapping is None:
        columns, properties = _by_meaning(lead.answers)
        mapped = Mapped(columns=columns, properties=properties, problems={})
    else:
        mapped = map_answers(lead.answers, lead.consents, mapping)
    version = mapping.version if mapping else 0
    made = _made(lead, mapped, version, lead_id=lead_id, vendor=vendor, now=now)
    return MappedLead(lead=made, problems=mapped.problems)


def _made(lead: Lead, mapped: Mapped, version: int, *, lead_id: str, vendor: str, now: datetime) -> CrmLead:
    columns = mapped.columns
    return CrmLead(
        id=lead_id,
        external_id=lead.external_id,
        vendor=vendor,
        channel_external_id=lead.channel_external_id,
        email=columns.get("email", ""),
        first_name=columns.get("firstName", ""),
        last_name=columns.get("lastName", ""),
        phone=columns.get("phone", ""),
        company=columns.get("company", ""),
        status=columns.get(STATUS, NEW),
        stage=columns.get(STAGE, NEW),
        source=vendor,
        form_id=clean_text(lead.form_external_id),
        campaign_id=clean_text(lead.campaign_external_id),
        ad_set_id=clean_text(lead.ad_set_external_id),
        ad_id=clean_text(lead.ad_external_id),
        platform=clean_text(lead.platform),
        is_organic=lead.is_organic,
        properties=mapped.properties,
        campaign_name=lead.campaign_name,
        ad_set_name=lead.ad_set_name,
        ad_name=lead.ad_name,
        is_test=lead.is_test is True,
        answers=lead.answers,
        consents=lead.consents,
        mapping_version=version,
        submitted_at=lead.submitted_at,
        created_at=now,
    )


def _by_meaning(answers: Iterable[Answer]) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """Columns and properties of answers whose form has no mapping."""
    columns: dict[str, str] = {}
    properties: dict[str, tuple[str, ...]] = {}
    full_name: tuple[str, tuple[str, ...]] | None = None
    for answer in answers:
        name, values = clean_text(answer.name), tuple(clean_text(value) for value in answer.values)
        given = telling(values)
        column = COLUMN_OF.get(answer.meaning) if answer.meaning else None
        if answer.meaning is Meaning.FULL_NAME and given and full_name is None:
            full_name = (name, values)
        elif column and given and column not in columns:
            columns[column] = given[0]
            if len(given) > 1:
                _keep(properties, name, values)
        else:
            _keep(properties, name, values)
    if full_name and not _split_name(full_name[1], columns):
        _keep(properties, *full_name)
    if "phone" in columns:
        columns["phone"] = international(columns["phone"])
    return columns, properties


def _split_name(values: tuple[str, ...], columns: dict[str, str]) -> bool:
    """Fill the name columns from a full name; false if not all of it is in them now.

    A form that asks for the parts as well is believed about the parts.

    Everything after the first word is the last name: wrong for some, but nothing is lost and it can be
    put together again.
    """
    if "firstName" in columns or "lastName" in columns:
        return False
    given = telling(values)
    first, _, last = given[0].partition(" ")
    columns["firstName"], columns["lastName"] = first, last.strip()
    return len(given) == 1


def _keep(properties: dict[str, tuple[str, ...]], name: str, values: tuple[str, ...]) -> None:
    properties[name] = (*properties.get(name, ()), *values)
