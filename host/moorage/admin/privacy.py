"""Privacy: what is kept for how long, and erasing a person; what either removes is said before it is done."""

from collections.abc import Mapping
from typing import Annotated, Any, Final
from urllib.parse import urlencode

import attrs
from litestar import Request, get, post
from litestar.params import QueryParameter

from moorage import codec
from moorage.admin import words
from moorage.admin.desk import FormHere, Visit, VisitHere
from moorage.admin.forms import MAX_FORM_BYTES
from moorage.admin.inbox import NAMELESS
from moorage.admin.lead_words import name_of
from moorage.admin.leafing import PAGE_SIZE, leafing, page_number
from moorage.admin.pages import Answer
from moorage.admin.proof import ERASE, SHORTEN, confirm_path, needs_proof
from moorage.admin.words import Trouble
from moorage.auth import SESSION
from moorage.crm.contacts import name_of as contact_name
from moorage.errors import status_of
from moorage.privacy.requests import ErasedView, ErasePerson, ErasureQuery, erase_person, list_erasures
from moorage.privacy.settings import RetentionView, SetRetention, get_retention, set_retention
from moorage_ports.erasure import Cause
from moorage_ports.errors import InvalidRequestError, MoorageError
from moorage_ports.operations import Role
from moorage_ports.retention import MOST_DAYS, MOST_DELIVERY_DAYS, WAITING_DAYS

PATH: Final = "/operations/privacy"
_SHOWN: Final = 10  # leads and contacts of somebody who is to be erased, by name

CAUSES: Final[Mapping[str, str]] = {
    Cause.REQUEST.value: "Somebody here erased it",
    Cause.PERSON.value: "The person asked the vendor for it",
    Cause.RETENTION.value: "Its days were over",
}
# How many of a kind went, or would: (one, many).
KINDS: Final[Mapping[str, tuple[str, str]]] = {
    "contacts": ("contact", "contacts"),
    "identities": ("identity that they are known by", "identities that they are known by"),
    "leads": ("lead", "leads"),
    "messages": ("message", "messages"),
    "activities": ("comment, reaction or the like", "comments, reactions and the like"),
    "posts": ("post", "posts"),
    "conversations": ("conversation", "conversations"),
    "people": ("person", "people"),
    "deliveries": ("copy of what a vendor sent", "copies of what a vendor sent"),
    "answers": ("answer to a call", "answers to calls"),
    "waiting": ("delivery that waited too long", "deliveries that waited too long"),
}
DAYS: Final = ("leadDays", "personDays", "deliveryDays", "waitingDays")
_FOREVER: Final = ("leadDays", "personDays")  # empty means: until somebody deletes it
_SAID: Final = ("leadId", "contactId", "email", "phone")


def amounts(counts: Mapping[str, int]) -> list[str]:
    """How many of which kind, each in words."""
    return [
        words.count(number, *KINDS.get(kind, (kind.replace("_", " "), kind.replace("_", " "))))
        for kind, number in counts.items()
        if number
    ]


@get(PATH, opt=SESSION)
async def privacy_page(
    visit: VisitHere,
    saved: Annotated[str, QueryParameter(required=False)] = "",
    erased: Annotated[str, QueryParameter(required=False)] = "",
    p: Annotated[str, QueryParameter(required=False)] = "1",
) -> Answer:
    """What is kept for how long, whom to erase, and what was erased so far."""
    visit.caller(Role.ADMIN)
    return await _page(visit, page=page_number(p), is_saved=bool(saved), is_erased=bool(erased))


async def _page(
    visit: Visit,
    *,
    page: int = 1,
    is_saved: bool = False,
    is_erased: bool = False,
    written: Mapping[str, str] | None = None,
    failure: Trouble | None = None,
    about: str = "",
    status: int = 200,
) -> Answer:
    kept = await get_retention(visit.services, visit.org_id)
    found = await list_erasures(visit.services, visit.org_id, ErasureQuery(p=page, ps=PAGE_SIZE))
    emails = await visit.services.storage.accounts.emails(visit.org_id)
    context = {
        "title": "Privacy",
        "kept": kept,
        "written": written or _written(kept),
        "changed_by": _who(visit, kept.changed_by, emails),
        "limits": {"most": MOST_DAYS, "delivery": MOST_DELIVERY_DAYS, "waiting": WAITING_DAYS},
        "rows": [(one, _who(visit, one.by, emails), amounts(one.removed)) for one in found.items],
        "causes": CAUSES,
        "amounts": amounts,
        "pages": leafing(found, {}),
        "is_saved": is_saved,
        "is_erased": is_erased,
        "failure": failure,
        "about": about,
        "fields": failure.fields if failure else {},
        "confirm_href": confirm_path(ERASE),
    }
    return visit.page("privacy.html", context, status=status)


def _who(visit: Visit, user_id: str, emails: Mapping[str, str]) -> str:
    """Somebody here, by address; or as the platform calls them."""
    return "you" if user_id == visit.session.account_id else emails.get(user_id, user_id)


def _written(kept: RetentionView) -> dict[str, str]:
    numbers = (kept.lead_days, kept.person_days, kept.delivery_days, kept.waiting_days)
    return {name: "" if days is None else str(days) for name, days in zip(DAYS, numbers, strict=True)}


# How long --------------------------------------------------------------------------------------


@get(f"{PATH}/retention", opt=SESSION)
async def retention_preview(request: Request[Any, Any, Any], visit: VisitHere) -> Answer:
    """What these days would remove, before the button that saves them."""
    caller = visit.caller(Role.ADMIN)
    written = {name: str(request.query_params.get(name, "")).strip()[:12] for name in DAYS}
    try:
        asked = attrs.evolve(_retention(written), dry_run=True)
    except InvalidRequestError as error:
        return await _bad_days(visit, written, error)
    before = await get_retention(visit.services, visit.org_id)
    after = await set_retention(visit.services, caller, asked)
    context = {
        "title": "Retention",
        "before": before,
        "after": after,
        "written": written,
        "is_same": _written(before) == _written(after),
        "due": amounts({"leads": after.due.leads, "people": after.due.people}),
    }
    return visit.page("retention.html", context)


@post(f"{PATH}/retention", opt=SESSION, request_max_body_size=MAX_FORM_BYTES, status_code=200)
async def save_retention(visit: VisitHere, form: FormHere) -> Answer:
    """Keep to these days from the next look on."""
    caller = visit.caller(Role.ADMIN)
    written = {name: form.text(name) for name in DAYS}
    try:
        asked = _retention(written)
        if _is_shorter(asked, await get_retention(visit.services, visit.org_id)):
            needs_proof(visit, SHORTEN, f"/admin{PATH}/retention?{urlencode(written)}")
        await set_retention(visit.services, caller, asked)
    except InvalidRequestError as error:
        return await _bad_days(visit, written, error)
    return visit.redirect(f"/admin{PATH}?saved=1")


def _is_shorter(asked: SetRetention, kept: RetentionView) -> bool:
    """Whether anything would be kept for fewer days than now; no number is for ever."""
    pairs = (
        (asked.lead_days, kept.lead_days),
        (asked.person_days, kept.person_days),
        (asked.delivery_days, kept.delivery_days),
        (asked.waiting_days, kept.waiting_days),
    )
    return any(new is not None and (old is None or new < old) for new, old in pairs)


def _retention(written: Mapping[str, str]) -> SetRetention:
    """The days as the API takes them.

    Raises:
        InvalidRequestError: Some are no number, too few or too many.
    """
    days: dict[str, object] = {}
    for name, text in written.items():
        if not text and name in _FOREVER:
            days[name] = None
        elif text.isascii() and text.isdigit() and len(text) < 9:
            days[name] = int(text)
        else:
            msg = "these are no days"
            raise InvalidRequestError(msg, fields={name: "must be a whole number of days"})
    return codec.structure(days, SetRetention)


async def _bad_days(visit: Visit, written: Mapping[str, str], error: InvalidRequestError) -> Answer:
    told = words.trouble(error)
    named = {name: f"{_NAMES.get(name, name)}: {text}" for name, text in told.fields.items()}
    return await _page(
        visit,
        written=written,
        failure=attrs.evolve(told, fields=named),
        about="retention",
        status=status_of(error),
    )


_NAMES: Final = {
    "leadDays": "Leads",
    "personDays": "Contacts",
    "deliveryDays": "What a vendor sent, once worked on",
    "waitingDays": "What waits",
}


# Whom ------------------------------------------------------------------------------------------


@get(f"{PATH}/erase", opt=SESSION)
async def erasure_preview(
    visit: VisitHere,
    lead: Annotated[str, QueryParameter(required=False)] = "",
    contact: Annotated[str, QueryParameter(required=False)] = "",
    only: Annotated[str, QueryParameter(required=False)] = "",
) -> Answer:
    """What there is of somebody, by an id of ours; an address or a number is posted: no URL may say it."""
    return await _look(visit, {"leadId": lead, "contactId": contact}, only_this=bool(only))


@post(f"{PATH}/look", opt=SESSION, request_max_body_size=MAX_FORM_BYTES, status_code=200)
async def look_for_person(visit: VisitHere, form: FormHere) -> Answer:
    """The same by an e-mail address or a phone number. Changes nothing."""
    return await _look(visit, {name: form.text(name) for name in _SAID}, only_this=bool(form.text("only")))


@post(f"{PATH}/erase", opt=SESSION, request_max_body_size=MAX_FORM_BYTES, status_code=200)
async def erase(visit: VisitHere, form: FormHere) -> Answer:
    """Erase what the page before said."""
    caller = visit.caller(Role.ADMIN)
    said, only_this = {name: form.text(name) for name in _SAID}, bool(form.text("only"))
    if not form.text("sure"):
        return await _look(visit, said, only_this=only_this, is_unsure=True)
    # An address or a number is typed again: the way back is an address, and none may say it.
    back = {"lead": said["leadId"], "contact": said["contactId"], "only": form.text("only")}
    is_by_id = said["leadId"] or said["contactId"]
    needs_proof(visit, ERASE, f"/admin{PATH}/erase?{urlencode(back)}" if is_by_id else "")
    try:
        await erase_person(visit.services, caller, _person(said, only_this=only_this, dry_run=False))
    except MoorageError as error:
        return await _page(visit, failure=words.trouble(error), about="erase", status=status_of(error))
    return visit.redirect(f"/admin{PATH}?erased=1")


def _person(said: Mapping[str, str], *, only_this: bool, dry_run: bool) -> ErasePerson:
    known = {name: text for name, text in said.items() if text}
    return codec.structure({**known, "onlyThis": only_this, "dryRun": dry_run}, ErasePerson)


async def _look(visit: Visit, said: Mapping[str, str], *, only_this: bool, is_unsure: bool = False) -> Answer:
    caller = visit.caller(Role.ADMIN)
    try:
        found = await erase_person(visit.services, caller, _person(said, only_this=only_this, dry_run=True))
    except MoorageError as error:
        return await _page(visit, failure=words.trouble(error), about="erase", status=status_of(error))
    context = {
        "title": "Erase a person",
        "said": {name: text for name, text in said.items() if text},
        "only_this": only_this,
        "is_unsure": is_unsure,
        "found": found,
        "amounts": amounts(found.counts),
        **await _named(visit, found),
    }
    return visit.page("erase.html", context, status=422 if is_unsure else 200)


async def _named(visit: Visit, found: ErasedView) -> dict[str, object]:
    """Who that is, so that nobody erases somebody else."""
    async with visit.services.storage.unit_of_work(visit.org_id, reads_only=True) as uow:
        leads = [(id_, await uow.leads.get(id_)) for id_ in found.lead_ids[:_SHOWN]]
        contacts = [(id_, await uow.contacts.get(id_)) for id_ in found.contact_ids[:_SHOWN]]
    return {
        "leads": [(id_, name_of(lead)) for id_, lead in leads if lead],
        "contacts": [(id_, contact_name(one) or NAMELESS) for id_, one in contacts if one],
    }
