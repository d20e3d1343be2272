"""Edges of lead forms and leads.

https://developers.facebook.com/docs/marketing-api/guides/lead-ads/retrieving ·
https://developers.facebook.com/docs/marketing-api/reference/leadgen-form
"""

from collections.abc import Callable, Mapping
from operator import ge, gt, le, lt
from typing import TypeVar

import attrs
import msgspec

from moorage_facebook.sandbox.entities import Attribution, Lead, LeadForm, Page, Question
from moorage_facebook.sandbox.errors import invalid
from moorage_facebook.sandbox.jsontext import Json, graph_time
from moorage_facebook.sandbox.paging import connection
from moorage_facebook.sandbox.wire import AnyRoute, AnyShape, Call, Route, Shape, render

_SCOPES = ("leads_retrieval",)
_COMPARE: Mapping[str, Callable[[int, int], bool]] = {
    "GREATER_THAN": gt,
    "GREATER_THAN_OR_EQUAL": ge,
    "LESS_THAN": lt,
    "LESS_THAN_OR_EQUAL": le,
}


_TICKED = (True, 1, "1", "true")


class _FieldData(msgspec.Struct):
    """One element of `field_data`."""

    name: str
    values: list[str]


class _Ticked(msgspec.Struct):
    """One element of `custom_disclaimer_responses`."""

    checkbox_key: str
    is_checked: bool | int | str = False


Row = TypeVar("Row")


class _Filter(msgspec.Struct):
    """One element of `filtering`; only `time_created` can be compared."""

    field: str
    operator: str
    value: int | str


async def list_forms(call: Call, page: Page) -> Json:
    """`GET /{page}/leadgen_forms`."""
    return await connection(call, call.world.forms.of(page.id))


async def read_form(call: Call, form: LeadForm) -> Json:
    """`GET /{form}`."""
    return await render(call, form, call.fields())


async def list_leads(call: Call, form: LeadForm) -> Json:
    """Newest first; `filtering=[{"field":"time_created","operator":"GREATER_THAN","value":unix}]`."""
    leads = call.world.leads_of(form)
    for keep in _filters(call):
        leads = [lead for lead in leads if keep(lead)]
    return await connection(call, leads, lambda lead: lead.created_at)


async def list_test_leads(call: Call, form: LeadForm) -> Json:
    """`GET /{form}/test_leads`."""
    return await connection(call, call.world.test_leads_of(form))


async def create_test_lead(call: Call, form: LeadForm) -> Json:
    """A lead with dummy answers, or those given; the webhook follows as for a real one. One per form.

    https://developers.facebook.com/docs/marketing-api/guides/lead-ads/testing-troubleshooting

    Raises:
        GraphError: 100 for answers to what the form does not ask, or when there is a test lead already.
    """
    answers: dict[str, tuple[str, ...]] = {question.key: (_dummy(question),) for question in form.questions}
    given = _given(call, "field_data", _FieldData)
    answers |= {_asked(row.name, answers): tuple(row.values) for row in given}
    boxes = {box.key: box.checked_by_default for box in form.checkboxes}
    ticked = _given(call, "custom_disclaimer_responses", _Ticked)
    boxes |= {_asked(row.checkbox_key, boxes): row.is_checked in _TICKED for row in ticked}
    if call.world.test_leads_of(form):
        told = "There is a test lead for this form already. Delete it to create another."
        raise invalid("Invalid parameter", title="Only one test lead per form", user_message=told)
    lead = Lead(
        id=call.world.new_id(),
        form_id=form.id,
        page_id=form.page_id,
        created_at=call.world.seconds(),
        answers=tuple(answers.items()),
        consents=tuple(boxes.items()),
        attribution=Attribution(),
        is_test=True,
    )
    call.world.leads.put(lead)
    call.webhooks.lead_arrived(lead.id)
    return {"id": lead.id}


async def read_lead(call: Call, lead: Lead) -> Json:
    """`GET /{lead}`."""
    return await render(call, lead, call.fields())


async def delete_lead(call: Call, lead: Lead) -> Json:
    """`DELETE /{lead}`."""
    call.world.leads.drop(lead.id)
    return {"success": True}


def _given(call: Call, name: str, row: type[Row]) -> list[Row]:
    """A parameter that is a list of objects in JSON."""
    text = call.param(name)
    if not text:
        return []
    try:
        return msgspec.json.decode(text.encode("utf-8", "replace"), type=list[row])  # type: ignore[valid-type]
    except (msgspec.MsgspecError, RecursionError) as error:
        raise invalid(f"Param {name} must be an array") from error


def _asked(name: str, known: Mapping[str, object]) -> str:
    if name not in known:
        raise invalid(f"The form has no field named {name[:100]}")
    return name


def _filters(call: Call) -> list[Callable[[Lead], bool]]:
    text = call.param("filtering")
    if not text:
        return []
    try:
        rules = msgspec.json.decode(text.encode("utf-8", "replace"), type=list[_Filter])
    except (msgspec.MsgspecError, RecursionError) as error:
        raise invalid("Param filtering must be an array of {field, operator, value}") from error
    return [_keep(rule) for rule in rules]


def _keep(rule: _Filter) -> Callable[[Lead], bool]:
    compare = _COMPARE.get(rule.operator)
    if rule.field != "time_created" or compare is None:
        raise invalid(f"Filtering field {rule.field} with operation {rule.operator} is not supported")
    text = str(rule.value)
    if not (text.isascii() and text.isdigit() and len(text) < 13):
        raise invalid("Filtering value must be a UNIX timestamp")
    moment = int(text)
    return lambda lead: compare(lead.created_at, moment)


def _dummy(question: Question) -> str:
    if question.options:
        return question.options[0].value
    if question.type == "EMAIL":
        return "test@fb.com"
    return f"<test lead: dummy data for {question.key}>"


def _questions(_: Call, form: LeadForm) -> Json:
    rows: list[Json] = []
    for question in form.questions:
        row: dict[str, Json] = {
            "key": question.key,
            "label": question.label,
            "type": question.type,
            "id": question.id,
        }
        if question.options:
            row["options"] = [{"key": option.key, "value": option.value} for option in question.options]
        rows.append(row)
    return rows


def _form_page(call: Call, form: LeadForm) -> Json:
    page = call.world.pages.get(form.page_id)
    return {"name": page.name, "id": page.id} if page else None


def _counted(call: Call, form: LeadForm) -> Json:
    return len(call.world.submitted(form))


def _expired(call: Call, form: LeadForm) -> Json:
    return len(call.world.submitted(form)) - len(call.world.leads_of(form))


def _organic(call: Call, form: LeadForm) -> Json:
    return sum(lead.is_organic for lead in call.world.submitted(form))


def _legal_content(call: Call, form: LeadForm) -> Json:
    boxes: list[Json] = [
        {
            "id": box.id,
            "key": box.key,
            "text": box.text,
            "is_required": box.required,
            "is_checked_by_default": box.checked_by_default,
        }
        for box in form.checkboxes
    ]
    content: dict[str, Json] = {
        "id": form.id,
        "privacy_policy": {"url": f"{call.world.plan.base_url}/sandbox/forms/{form.id}"},
    }
    if boxes:
        content["custom_disclaimer"] = {"title": "Consent", "checkboxes": boxes}
    return content


def _answers(_: Call, lead: Lead) -> Json:
    return [{"name": name, "values": list(values)} for name, values in lead.answers]


def _responses(_: Call, lead: Lead) -> Json:
    """Ticked and empty boxes; Graph writes `is_checked` as a string."""
    rows: list[Json] = [
        {"checkbox_key": key, "is_checked": "1" if given else ""} for key, given in lead.consents
    ]
    return rows or None


def _from_ad(name: str) -> Callable[[Call, Lead], Json]:
    """A member of the attribution, left out when there was no ad."""
    field = attrs.fields_dict(Attribution)[name].name

    def read(_: Call, lead: Lead) -> Json:
        value: str = getattr(lead.attribution, field)
        return value or None

    return read


ROUTES: tuple[AnyRoute, ...] = (
    Route[Page](
        method="GET",
        node=Page,
        edge="leadgen_forms",
        handle=list_forms,
        scopes=_SCOPES,
        page_token=True,
        usage="leadgen",
    ),
    Route[LeadForm](
        method="GET", node=LeadForm, handle=read_form, scopes=_SCOPES, hides=True, usage="leadgen"
    ),
    Route[LeadForm](
        method="GET",
        node=LeadForm,
        edge="leads",
        handle=list_leads,
        scopes=_SCOPES,
        page_token=True,
        hides=True,
        usage="leadgen",
    ),
    Route[LeadForm](
        method="GET",
        node=LeadForm,
        edge="test_leads",
        handle=list_test_leads,
        scopes=_SCOPES,
        page_token=True,
        hides=True,
        usage="leadgen",
    ),
    Route[LeadForm](
        method="POST",
        node=LeadForm,
        edge="test_leads",
        handle=create_test_lead,
        scopes=_SCOPES,
        page_token=True,
        hides=True,
        usage="leadgen",
    ),
    Route[Lead](
        method="GET",
        node=Lead,
        handle=read_lead,
        scopes=_SCOPES,
        page_token=True,
        hides=True,
        usage="leadgen",
    ),
    Route[Lead](
        method="DELETE",
        node=Lead,
        handle=delete_lead,
        scopes=_SCOPES,
        page_token=True,
        hides=True,
        usage="leadgen",
    ),
)

SHAPES: tuple[AnyShape, ...] = (
    Shape[LeadForm](
        node=LeadForm,
        title="LeadGenData",
        default=("name", "locale", "status"),
        readers={
            "name": lambda _, form: form.name,
            "locale": lambda _, form: form.locale,
            "status": lambda _, form: form.status,
            "questions": _questions,
            "legal_content": _legal_content,
            "page": _form_page,
            "page_id": lambda _, form: form.page_id,
            "created_time": lambda _, form: graph_time(form.created_at),
            "leads_count": _counted,
            "expired_leads_count": _expired,
            "organic_leads_count": _organic,
            "privacy_policy_url": lambda call, form: f"{call.world.plan.base_url}/sandbox/forms/{form.id}",
            "follow_up_action_url": lambda call, form: f"{call.world.plan.base_url}/sandbox/forms/{form.id}",
            "is_optimized_for_quality": lambda _, __: False,
            "block_display_for_non_targeted_viewer": lambda _, __: False,
            "tracking_parameters": lambda _, __: None,
            "context_card": lambda _, __: None,
            "thank_you_page": lambda _, __: None,
        },
    ),
    Shape[Lead](
        node=Lead,
        title="UserLeadGenInfo",
        default=("created_time", "field_data"),
        readers={
            "created_time": lambda _, lead: graph_time(lead.created_at),
            "field_data": _answers,
            "form_id": lambda _, lead: lead.form_id,
            "is_organic": lambda _, lead: lead.is_organic,
            "platform": _from_ad("platform"),
            "ad_id": _from_ad("ad_id"),
            "ad_name": _from_ad("ad_name"),
            "adset_id": _from_ad("adset_id"),
            "adset_name": _from_ad("adset_name"),
            "campaign_id": _from_ad("campaign_id"),
            "campaign_name": _from_ad("campaign_name"),
            "partner_name": lambda _, __: None,
            "retailer_item_id": lambda _, __: None,
            "custom_disclaimer_responses": _responses,
            "home_listing": lambda _, __: None,
            "vehicle": lambda _, __: None,
            "post": lambda _, __: None,
        },
    ),
)
