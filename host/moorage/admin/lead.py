"""One lead: who it is, where it came from, how it got here; and changing what is written of it."""

from collections.abc import Mapping
from typing import Annotated, Final

import structlog
from litestar import get, post
from litestar.params import FromPath, QueryParameter

from moorage import codec
from moorage.admin import words
from moorage.admin.desk import FormHere, Visit, VisitHere
from moorage.admin.forms import MAX_FORM_BYTES, Form
from moorage.admin.inbox import NAMELESS, assignee_words
from moorage.admin.lead_words import (
    by_key,
    entry_row,
    form_names,
    name_of,
    status_badge,
)
from moorage.admin.pages import Answer
from moorage.admin.standing import all_standings, channel_names
from moorage.admin.words import Trouble
from moorage.auth import SESSION
from moorage.crm.contacts import name_of as contact_name
from moorage.crm.lead_changes import LeadChange, change_lead
from moorage.errors import status_of
from moorage.leads.ledger import entry_view
from moorage_ports.crm import LEAD_STATUSES, CrmLead
from moorage_ports.errors import InvalidRequestError, NotFoundError
from moorage_ports.operations import Role
from moorage_ports.storage import UnitOfWork

log = structlog.get_logger(__name__)

FIELDS: Final[Mapping[str, str]] = {
    "firstName": "First name",
    "lastName": "Last name",
    "email": "E-mail",
    "phone": "Phone",
    "company": "Company",
}
_CHANGEABLE: Final = ("status", "stage", "assignee", *FIELDS)
_WAS: Final = "was-"  # before a field's name: what stood there when the page was made


@get("/leads/{lead_id:str}", opt=SESSION)
async def lead_page(
    visit: VisitHere,
    lead_id: FromPath[str],
    saved: Annotated[str, QueryParameter(required=False)] = "",
) -> Answer:
    """One lead, in full: lists shorten e-mail and phone, opening a record shows them (and is logged)."""
    return await _page(visit, lead_id, is_saved=bool(saved))


@post("/leads/{lead_id:str}", opt=SESSION, request_max_body_size=MAX_FORM_BYTES, status_code=200)
async def change(visit: VisitHere, form: FormHere, lead_id: FromPath[str]) -> Answer:
    """Change what differs from what the form showed: somebody else may have changed the rest meanwhile."""
    caller = visit.caller(Role.AGENT)
    asked = {name: form.text(name) for name in _CHANGEABLE if name in form.fields}
    different = {name: text for name, text in asked.items() if text != form.text(_WAS + name)}
    try:
        await change_lead(visit.services, caller, lead_id, codec.structure(different, LeadChange))
    except InvalidRequestError as error:
        return await _page(visit, lead_id, failure=words.trouble(error), form=form, status=status_of(error))
    return visit.redirect(f"/admin/leads/{lead_id}?saved=1")


async def _page(
    visit: Visit,
    lead_id: str,
    *,
    failure: Trouble | None = None,
    form: Form | None = None,
    is_saved: bool = False,
    status: int = 200,
) -> Answer:
    async with visit.services.storage.unit_of_work(visit.org_id, reads_only=True) as uow:
        lead = await uow.leads.get(lead_id)
        if lead is None:
            msg = "this organisation has no such lead"
            raise NotFoundError(msg)
        standings = await all_standings(uow, visit.services.vendors)
        entries = await uow.lead_ledger.of_lead(lead_id)
        forms = by_key(await form_names(uow))
        contact = await uow.contacts.get(lead.contact_id) if lead.contact_id else None
        older = await _older(uow, lead)
    log.info("lead_opened", lead=lead.id, org=visit.org_id, account=visit.session.account_id)
    emails = await visit.services.storage.accounts.emails(visit.org_id)
    titles = visit.services.vendors.titles
    channels = channel_names(standings)
    context = {
        "title": name_of(lead),
        "lead": lead,
        "badge_of_status": status_badge(lead.status),
        "vendor_title": titles.get(lead.vendor, lead.vendor),
        "channel": channels.get((lead.vendor, lead.channel_external_id), ""),
        "form_name": forms.get((lead.vendor, lead.form_id), ""),
        "contact_name": (contact_name(contact) or NAMELESS) if contact else "",
        "older_name": name_of(older) if older else "",
        "assignee": assignee_words(lead.assignee, visit, emails),
        "rows": [entry_row(entry_view(entry), forms, channels, titles) for entry in entries],
        "written": _written(lead, form),
        "was": _written(lead, None),
        "field_names": FIELDS,
        "statuses": {one: status_badge(one).text for one in LEAD_STATUSES},
        "colleagues": emails,
        "me": visit.session.account_id,
        "failure": failure,
        "fields": failure.fields if failure else {},
        "is_saved": is_saved,
    }
    return visit.page("lead.html", context, status=status)


async def _older(uow: UnitOfWork, lead: CrmLead) -> CrmLead | None:
    return await uow.leads.get(lead.duplicate_of) if lead.duplicate_of else None


def _written(lead: CrmLead, form: Form | None) -> dict[str, str]:
    """What stands in the form's fields: what the lead says, or what was typed and did not fit."""
    now = {
        "status": lead.status,
        "stage": lead.stage,
        "assignee": lead.assignee,
        "firstName": lead.first_name,
        "lastName": lead.last_name,
        "email": lead.email,
        "phone": lead.phone,
        "company": lead.company,
    }
    return now if form is None else {name: form.text(name) for name in now}
