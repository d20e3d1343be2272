"""What callers may ask about lead forms and leads of Pages by name; ids are Facebook's own."""

from collections.abc import Mapping
from datetime import datetime

import attrs
from attrs.validators import matches_re, max_len

from moorage_ports.lead_operations import (
    BACKFILL_LEADS,
    CREATE_TEST_LEAD,
    GET_BACKFILL,
    GET_LEAD,
    GET_LEAD_FORM,
    GET_TEST_LEAD,
    LIST_LEAD_FORMS,
    BackfillLeads,
    CreateTestLead,
    GetLead,
    GetLeadForm,
    ListLeadForms,
)
from moorage_ports.operations import Binding, bind
from moorage_ports.values import is_aware

_NUMBER = r"[0-9]{1,64}"
_NUMBER_OR_NONE = r"[0-9]{0,64}"


@attrs.frozen(kw_only=True)
class FormsOfPage:
    """The forms of one Page, archived ones too."""

    page_id: str = attrs.field(validator=matches_re(_NUMBER))


@attrs.frozen(kw_only=True)
class OneForm:
    """One form; without `page_id` it is looked for on every selected Page."""

    form_id: str = attrs.field(validator=matches_re(_NUMBER))
    page_id: str = attrs.field(default="", validator=matches_re(_NUMBER_OR_NONE))


@attrs.frozen(kw_only=True)
class OneLead:
    """One lead: Facebook's id, or ours of one that the CRM has."""

    lead_id: str = attrs.field(validator=matches_re(r"[0-9A-Za-z-]{1,64}"))
    page_id: str = attrs.field(default="", validator=matches_re(_NUMBER_OR_NONE))


@attrs.frozen(kw_only=True)
class BackfillForm:
    """A form's leads submitted at or after `since` and before `until`; Facebook has those of 90 days."""

    form_id: str = attrs.field(validator=matches_re(_NUMBER))
    page_id: str = attrs.field(default="", validator=matches_re(_NUMBER_OR_NONE))
    since: datetime | None = attrs.field(default=None, validator=is_aware)
    until: datetime | None = attrs.field(default=None, validator=is_aware)


@attrs.frozen(kw_only=True)
class TestForm:
    """A test lead for a form; `answers` by question key. It takes the place of the form's last test lead."""

    form_id: str = attrs.field(validator=matches_re(_NUMBER))
    page_id: str = attrs.field(default="", validator=matches_re(_NUMBER_OR_NONE))
    answers: Mapping[str, tuple[str, ...]] = attrs.field(factory=dict, validator=max_len(200), repr=False)


def _backfill(body: BackfillForm) -> BackfillLeads:
    return BackfillLeads(form=body.form_id, channel=body.page_id, since=body.since, until=body.until)


LEAD_OPERATIONS: tuple[Binding, ...] = (
    bind(
        "list-lead-forms",
        LIST_LEAD_FORMS,
        request=FormsOfPage,
        to_neutral=lambda body: ListLeadForms(channel=body.page_id),
    ),
    bind(
        "get-lead-form",
        GET_LEAD_FORM,
        request=OneForm,
        to_neutral=lambda body: GetLeadForm(form=body.form_id, channel=body.page_id),
    ),
    bind(
        "get-lead",
        GET_LEAD,
        request=OneLead,
        to_neutral=lambda body: GetLead(lead=body.lead_id, channel=body.page_id),
    ),
    bind("backfill-leads", BACKFILL_LEADS, request=BackfillForm, to_neutral=_backfill),
    bind("get-backfill", GET_BACKFILL),
    bind(
        "create-test-lead",
        CREATE_TEST_LEAD,
        request=TestForm,
        to_neutral=lambda body: CreateTestLead(form=body.form_id, channel=body.page_id, answers=body.answers),
    ),
    bind("get-test-lead", GET_TEST_LEAD),
)
