"""Two leads of one person: how one is found, and how what the newer one says goes into the older one."""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

import attrs

from moorage.leads.hearing import Policy
from moorage_ports.crm import CrmLead, email_key, phone_key

EMAIL: Final = "email"
PHONE: Final = "phone"
# What a person may say of themselves in a form, each once.
COLUMNS: Final = ("email", "first_name", "last_name", "phone", "company")


def twin_of(lead: CrmLead, policy: Policy, others: Iterable[CrmLead]) -> CrmLead | None:
    """The oldest of `others` (oldest first) of the same person, as far as `policy` goes; a test has none.

    An e-mail address says more than a phone number, which people share: where the policy goes by both, the
    same number with another address is somebody else.
    """
    if lead.is_test:
        return None
    known = [other for other in others if not other.is_test and other.id != lead.id]
    email, phone = email_key(lead.email), phone_key(lead.phone)
    if EMAIL in policy.by and email:
        found = next((other for other in known if email_key(other.email) == email), None)
        if found is not None:
            return found
    if PHONE not in policy.by or not phone:
        return None
    return next(
        (
            other
            for other in known
            if phone_key(other.phone) == phone
            and not (EMAIL in policy.by and email and email_key(other.email))
        ),
        None,
    )


def merged(older: CrmLead, newer: CrmLead, now: datetime) -> CrmLead:
    """`older` with what only `newer` says. No answer is lost: what has no room in a column is a property.

    A column that a person emptied or wrote by hand stays as they left it.
    """
    taken: dict[str, str] = {}
    properties = dict(older.properties)
    for column in COLUMNS:
        here, there = str(getattr(older, column)), str(getattr(newer, column))
        if there and not here and column not in older.edited:
            taken[column] = there
        elif there and there != here:
            properties[column] = _with(properties.get(column, ()), (there,))
    for name, values in newer.properties.items():
        properties[name] = _with(properties.get(name, ()), values)
    answers = older.answers + tuple(answer for answer in newer.answers if answer not in older.answers)
    consents = older.consents + tuple(one for one in newer.consents if one not in older.consents)
    return attrs.evolve(
        older,
        **taken,  # type: ignore[arg-type]  # names of text columns, all of them
        properties=properties,
        answers=answers,
        consents=consents,
        updated_at=now,
    )


def _with(values: tuple[str, ...], more: Iterable[str]) -> tuple[str, ...]:
    """`values` and what of `more` is not among them."""
    return (*values, *(value for value in dict.fromkeys(more) if value not in values))
