"""The editor of a form's mapping: rules to add, change and try out on leads that came, and the next version.

Works by plain forms: whatever button is pressed, all that was typed comes back with the page.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Final

import attrs
import structlog
from litestar import get, post
from litestar.params import FromPath, QueryParameter

from moorage import codec
from moorage.admin import words
from moorage.admin.desk import FormHere, Visit, VisitHere
from moorage.admin.forms import MAX_FORM_BYTES
from moorage.admin.lead_form_words import (
    COLUMNS,
    SEPARATORS,
    THEN,
    TYPES,
    dedupe_words,
    rule_line,
    source_labels,
)
from moorage.admin.lead_forms import LeadFormHere, form_here
from moorage.admin.lead_mapping_draft import (
    HOW,
    MappingFields,
    fields_of,
    fields_of_rules,
    posted_fields,
    with_rule,
    without_rule,
)
from moorage.admin.lead_mapping_rows import PreviewRow, RuleRow, complaints_of, preview_row, rule_rows
from moorage.admin.pages import Answer
from moorage.admin.sessions import caller_of
from moorage.admin.words import Trouble
from moorage.auth import SESSION
from moorage.errors import status_of
from moorage.leads.mapping_suggestions import suggested_rules
from moorage.leads.mappings import (
    UNCHECKED,
    FormQuery,
    MappingView,
    PreviewMapping,
    SaveMapping,
    current_mapping,
    one_version,
    preview_mapping,
    save_mapping,
)
from moorage_ports.errors import ConflictError, InvalidRequestError, MoorageError
from moorage_ports.operations import Role

log = structlog.get_logger(__name__)

_PREVIEWED: Final = 5
_TWICE: Final = "This answer stands above already."
_PATH: Final = "/leads/forms/{slug:str}/{form_id:str}/mapping"


@attrs.frozen(kw_only=True)
class Outcome:
    """What came of the button that was pressed, besides the fields as they are now."""

    failure: Trouble | None = None
    complaints: Mapping[str, str] = attrs.field(factory=dict)
    preview: tuple[PreviewRow, ...] | None = None
    notes: tuple[str, ...] = ()
    quicker: MappingView | None = None  # somebody else's version, saved meanwhile
    status: int = 200
    is_saving: bool = False


@get(_PATH, opt=SESSION)
async def mapping_page(
    visit: VisitHere,
    slug: FromPath[str],
    form_id: FromPath[str],
    version: Annotated[str, QueryParameter(required=False)] = "",
) -> Answer:
    """The current mapping to change, or an older `version` to begin the next one with."""
    visit.caller(Role.AGENT)
    here = await form_here(visit, slug, form_id, is_look=False)
    query = FormQuery(vendor=here.standing.slug)
    current = await current_mapping(visit.services, visit.org_id, form_id, query)
    chosen = current
    if version:
        chosen = await one_version(visit.services, visit.org_id, form_id, version, query)
    if chosen.version:
        return await _page(visit, here, fields_of(chosen, current.version), Outcome())
    rules = suggested_rules(here.view.questions if here.view else ())
    fields = attrs.evolve(fields_of_rules(rules), based_on=current.version)
    return await _page(visit, here, fields, Outcome(), is_suggested=bool(rules))


@post(_PATH, opt=SESSION, request_max_body_size=MAX_FORM_BYTES, status_code=200)
async def edit_mapping(
    visit: VisitHere, form: FormHere, slug: FromPath[str], form_id: FromPath[str]
) -> Answer:
    """Whatever button of the editor was pressed; without one, a preview, which changes nothing."""
    visit.caller(Role.AGENT)
    here = await form_here(visit, slug, form_id, is_look=True)
    fields, (deed, _, number) = posted_fields(form), form.text("do").partition(":")
    if deed == "save":
        return await _save(visit, here, fields)
    if deed == "add":
        fields = with_rule(fields)
    elif deed == "remove" and number.isascii() and number.isdecimal():
        fields = without_rule(fields, int(number[:9]))
    elif deed != "more":
        return await _page(visit, here, fields, await _previewed(visit, here, fields))
    return await _page(visit, here, fields, Outcome())


async def _save(visit: Visit, here: LeadFormHere, fields: MappingFields) -> Answer:
    caller, query = visit.caller(Role.ADMIN), FormQuery(vendor=here.standing.slug)
    try:
        _check_doubles(fields)
        asked = codec.structure({**fields.body(), "basedOn": fields.based_on}, SaveMapping)
        try:
            saved = await save_mapping(visit.services, caller, here.form_id, query, asked)
        except ConflictError:
            return await _too_late(visit, here, fields, asked)
    except MoorageError as error:
        return await _page(visit, here, fields, attrs.evolve(_failed(error), is_saving=True))
    checked = "&checked=not" if UNCHECKED in saved.notes else "&checked=before" if saved.notes else ""
    return visit.redirect(f"{here.path}?saved={saved.version}{checked}")


async def _too_late(visit: Visit, here: LeadFormHere, fields: MappingFields, asked: SaveMapping) -> Answer:
    """Somebody saved a version meanwhile: what they say, above all that was typed here."""
    query = FormQuery(vendor=here.standing.slug)
    current = await current_mapping(visit.services, visit.org_id, here.form_id, query)
    if _says_the_same(current, asked):
        return visit.redirect(f"{here.path}?saved={current.version}")  # this very form, sent twice
    based_anew = attrs.evolve(fields, based_on=current.version)
    return await _page(visit, here, based_anew, Outcome(quicker=current, status=409))


async def _previewed(visit: Visit, here: LeadFormHere, fields: MappingFields) -> Outcome:
    caller, query = caller_of(visit.session), FormQuery(vendor=here.standing.slug)
    try:
        _check_doubles(fields)
        asked = codec.structure({"mapping": fields.body(), "limit": _PREVIEWED}, PreviewMapping)
        preview = await preview_mapping(visit.services, caller, here.form_id, query, asked)
    except MoorageError as error:
        return _failed(error)
    log.info(  # as for a lead that is opened: they are shown in full here
        "leads_previewed",
        org=visit.org_id,
        account=visit.session.account_id,
        leads=[lead.lead_id for lead in preview.items],
    )
    return Outcome(preview=tuple(map(preview_row, preview.items)), notes=preview.notes)


def _check_doubles(fields: MappingFields) -> None:
    """Raises InvalidRequestError for an answer that stands twice among a rule's choices: JSON has no such."""
    doubled = {
        f"rules[{number}].doubled[{place}]": _TWICE
        for number, rule in enumerate(fields.rules)
        for place in sorted(rule.doubled)
    }
    if doubled:
        msg = "an answer stands twice among a rule's choices"
        raise InvalidRequestError(msg, fields=doubled)


def _failed(error: MoorageError) -> Outcome:
    told = words.trouble(error)
    return Outcome(failure=told, complaints=complaints_of(told.fields), status=status_of(error))


def _says_the_same(current: MappingView, asked: SaveMapping) -> bool:
    names = ("rules", "required", "dedupe", "region")
    return all(getattr(current, name) == getattr(asked, name) for name in names)


async def _page(
    visit: Visit, here: LeadFormHere, fields: MappingFields, outcome: Outcome, *, is_suggested: bool = False
) -> Answer:
    labels, complaints = source_labels(here.view), outcome.complaints
    rows = rule_rows(fields, here.view, complaints)
    quicker = outcome.quicker
    context = {
        "title": f"Mapping of {here.name}",
        "here": here,
        "fields": fields,
        "rows": rows,
        "labels": labels,
        "columns": COLUMNS,
        "types": TYPES,
        "hows": HOW,
        "separators": SEPARATORS,
        "thens": THEN,
        "complaints": complaints,
        "elsewhere": _elsewhere(complaints, rows),
        "outcome": outcome,
        "failure": outcome.failure,
        "quicker_lines": [rule_line(rule, labels, quicker.required) for rule in quicker.rules]
        if quicker
        else [],
        "quicker_dedupe": dedupe_words(quicker.dedupe) if quicker else "",
        "emails": await visit.services.storage.accounts.emails(visit.org_id),
        "is_suggested": is_suggested,
        "may_save": visit.may(Role.ADMIN),
    }
    return visit.page("lead_mapping.html", context, status=outcome.status)


def _elsewhere(complaints: Mapping[str, str], rows: Iterable[RuleRow]) -> list[str]:
    """Complaints that belong to no field of the page."""
    shown = {"region", "by", "then"} | {path for row in rows for path in row.claimed}
    return [text for path, text in complaints.items() if path not in shown]
