"""Lead forms: which there are, what is missing of each; and one form: questions, counts, mapping."""

from datetime import timedelta
from typing import Annotated, Any, Final
from urllib.parse import quote

import attrs
from litestar import Request, get, post
from litestar.params import FromPath, QueryParameter

from moorage.admin import words
from moorage.admin.desk import LIVE_HEADER, FormHere, Visit, VisitHere
from moorage.admin.forms import MAX_FORM_BYTES, Form, day_of
from moorage.admin.lead_form_reading import ChannelForms, form_of, forms_of_channels
from moorage.admin.lead_form_words import (
    CHECKED_BEFORE,
    ORDERS,
    RuleLine,
    Standing,
    dedupe_words,
    rule_line,
    source_labels,
    standing_of,
)
from moorage.admin.leafing import leafing, page_number
from moorage.admin.pages import Answer
from moorage.admin.standing import VendorStanding, all_standings, channel_names, vendor_standing
from moorage.admin.words import Trouble
from moorage.auth import SESSION
from moorage.errors import status_of
from moorage.leads.mappings import (
    UNCHECKED,
    FormQuery,
    MappingView,
    current_mapping,
    list_versions,
    one_version,
    vendor_of_form,
)
from moorage.leads.mappings import form_of as possible_form
from moorage.leads.remap_orders import RemapView, newest_remap
from moorage_ports.errors import InvalidRequestError, MoorageError, NotFoundError
from moorage_ports.lead_operations import (
    BACKFILL_LEADS,
    BackfillLeads,
    BackfillView,
    FormCountsView,
    LeadFormView,
)
from moorage_ports.listing import Listing
from moorage_ports.plugin import Vendor

FORMS: Final = "/admin/leads/forms"
FORMS_SHOWN: Final = 100  # on one page
_DAY: Final = timedelta(days=1)
NOT_A_DAY: Final = "Choose a day, or leave it empty."


@attrs.frozen(kw_only=True)
class FormRow:
    """A form as a list shows it."""

    slug: str
    vendor_title: str
    channel: str
    view: LeadFormView
    version: int  # of its mapping; 0: by meaning

    @property
    def path(self) -> str:
        """Its own page."""
        return form_path(self.slug, self.view.id)

    @property
    def name(self) -> str:
        """What it is called; a form without a name still is one."""
        return self.view.name or f"Form {self.view.id}"

    @property
    def counts(self) -> FormCountsView:
        """The vendor's count and ours."""
        return self.view.counts

    @property
    def standing(self) -> Standing:
        """How the two compare."""
        return standing_of(self.view.counts)

    @property
    def backfill(self) -> BackfillView | None:
        """The newest."""
        return self.view.backfill


def form_path(slug: str, form_id: str) -> str:
    """Where a form's page is."""
    return f"{FORMS}/{quote(slug, safe='')}/{quote(form_id, safe='')}"


@get("/leads/forms", opt=SESSION)
async def forms_page(
    request: Request[Any, Any, Any],
    visit: VisitHere,
    p: Annotated[str, QueryParameter(required=False)] = "1",
) -> Answer:
    """The forms of the org's channels, those with a gap first."""
    storage = visit.services.storage
    async with storage.unit_of_work(visit.org_id, reads_only=True) as uow:
        standings = await all_standings(uow, visit.services.vendors)
    found = await forms_of_channels(visit, standings, is_look=LIVE_HEADER in request.headers)
    rows = await _rows(visit, found)
    page = page_number(p)
    start = (page - 1) * FORMS_SHOWN
    shown = Listing(
        items=tuple(rows[start : start + FORMS_SHOWN]), total=len(rows), page=page, page_size=FORMS_SHOWN
    )
    context = {
        "title": "Forms",
        "rows": shown.items,
        "pages": leafing(shown, {}),
        "missing": [row for row in rows if row.counts.missing],
        "unread": [each for each in found if each.failure is not None],
        "standings": standings,
        "expired": [standing for standing in standings if standing.is_expired],
        "is_connected": any(standing.is_live for standing in standings),
        "has_channels": bool(found),
        "orders": ORDERS,
    }
    return visit.page("lead_forms.html", context)


async def _rows(visit: Visit, found: tuple[ChannelForms, ...]) -> list[FormRow]:
    versions: dict[tuple[str, str], int] = {}
    async with visit.services.storage.unit_of_work(visit.org_id, reads_only=True) as uow:
        for slug in {each.standing.slug for each in found}:
            ids = frozenset(form.id for each in found if each.standing.slug == slug for form in each.forms)
            mappings = await uow.lead_mappings.of_forms(slug, ids) if ids else {}
            versions |= {(slug, form_id): mapping.version for form_id, mapping in mappings.items()}
    rows = [
        FormRow(
            slug=each.standing.slug,
            vendor_title=each.standing.title,
            channel=each.channel.name,
            view=form,
            version=versions.get((each.standing.slug, form.id), 0),
        )
        for each in found
        for form in each.forms
    ]
    return sorted(rows, key=lambda row: (-row.counts.missing, row.name.casefold(), row.view.id))


# One form ------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Stretch:
    """From which day to which day to fetch, as it was typed."""

    since: str = ""
    until: str = ""


@attrs.frozen(kw_only=True)
class LeadFormHere:
    """What a form's pages have in common."""

    standing: VendorStanding
    form_id: str
    view: LeadFormView | None
    failure: Trouble | None  # why it could not be read now
    channel: str

    @property
    def path(self) -> str:
        """The form's page."""
        return form_path(self.standing.slug, self.form_id)

    @property
    def name(self) -> str:
        """What it is called, as far as that is known."""
        return (self.view.name if self.view else "") or f"Form {self.form_id}"


def named_form(visit: Visit, slug: str, form_id: str) -> tuple[Vendor, str]:
    """The vendor and the form that an address names, whether or not there is such a form.

    Raises:
        UnknownVendorError: No vendor of that name is installed.
        UnsupportedError: It has no forms.
        NotFoundError: No form can have this id.
    """
    return vendor_of_form(visit.services, slug), possible_form(form_id)


async def form_here(visit: Visit, slug: str, form_id: str, *, is_look: bool) -> LeadFormHere:
    """The form that an address names.

    Raises:
        UnknownVendorError: No vendor of that name is installed.
        UnsupportedError: It has no forms.
        NotFoundError: The org has no such form, as far as anybody can tell.
    """
    vendor, form_id = named_form(visit, slug, form_id)
    async with visit.services.storage.unit_of_work(visit.org_id, reads_only=True) as uow:
        standing = await vendor_standing(uow, vendor)
        mapping = await uow.lead_mappings.current(vendor.slug, form_id)
    view, failure = await form_of(visit, standing, form_id, is_look=is_look)
    if view is None and mapping is None:
        msg = failure.detail if failure else "this organisation has no such form"
        raise NotFoundError(msg, remedy=failure.remedy if failure else "")
    names = channel_names((standing,))
    channel = names.get((standing.slug, view.channel_id), "") if view else ""
    return LeadFormHere(standing=standing, form_id=form_id, view=view, failure=failure, channel=channel)


@get("/leads/forms/{slug:str}/{form_id:str}", opt=SESSION)
async def form_page(
    request: Request[Any, Any, Any],
    visit: VisitHere,
    slug: FromPath[str],
    form_id: FromPath[str],
    version: Annotated[str, QueryParameter(required=False)] = "",
    saved: Annotated[str, QueryParameter(required=False)] = "",
    checked: Annotated[str, QueryParameter(required=False)] = "",
) -> Answer:
    """One form: what it asks, how its leads are counted and mapped."""
    is_look = LIVE_HEADER in request.headers
    here = await form_here(visit, slug, form_id, is_look=is_look)
    doubt = {"not": UNCHECKED, "before": CHECKED_BEFORE}.get(checked, "")
    return await form_page_of(visit, here, version=version, saved=saved, doubt=doubt, is_look=is_look)


@post(
    "/leads/forms/{slug:str}/{form_id:str}/backfill",
    opt=SESSION,
    request_max_body_size=MAX_FORM_BYTES,
    status_code=200,
)
async def backfill(visit: VisitHere, form: FormHere, slug: FromPath[str], form_id: FromPath[str]) -> Answer:
    """Fetch what is missing of a stretch of time. The same stretch twice is fetched once."""
    vendor, form_id = named_form(visit, slug, form_id)
    stretch = Stretch(since=form.text("since"), until=form.text("until"))
    try:
        await visit.ask(vendor, BACKFILL_LEADS, _order(form_id, form, stretch))
    except MoorageError as error:
        here = await form_here(visit, slug, form_id, is_look=True)
        return await form_page_of(
            visit, here, stretch=stretch, failure=words.trouble(error), status=status_of(error)
        )
    return visit.redirect(f"{form_path(slug, form_id)}#fetch")


def _order(form_id: str, form: Form, stretch: Stretch) -> BackfillLeads:
    """What the form says, whole days of UTC.

    Raises:
        InvalidRequestError: Something is no day, or the days do not follow each other.
    """
    days = {name: day_of(form.text(name)) for name in ("since", "until")}
    wrong = {name: NOT_A_DAY for name, day in days.items() if day is None and getattr(stretch, name)}
    if wrong:
        msg = "this is no stretch of time"
        raise InvalidRequestError(msg, fields=wrong)
    since, until = days["since"], days["until"]
    try:
        return BackfillLeads(form=form_id, since=since, until=until + _DAY if until else None)
    except ValueError:
        msg = "this is no stretch of time"
        raise InvalidRequestError(
            msg, fields={"until": "The last day must not be before the first."}
        ) from None


async def form_page_of(
    visit: Visit,
    here: LeadFormHere,
    *,
    version: str = "",
    saved: str = "",
    doubt: str = "",
    stretch: Stretch | None = None,
    came_since: str = "",
    failure: Trouble | None = None,
    status: int = 200,
    is_look: bool = False,
) -> Answer:
    """A form's page, with what came of a button on it; a look leaves the versions alone."""
    services, query = visit.services, FormQuery(vendor=here.standing.slug)
    current = await current_mapping(services, visit.org_id, here.form_id, query)
    mapping = current
    if version:
        mapping = await one_version(services, visit.org_id, here.form_id, version, query)
    versions = () if is_look else (await list_versions(services, visit.org_id, here.form_id, query)).items
    backfill = here.view.backfill if here.view else None
    context = {
        "title": here.name,
        "here": here,
        "form": here.view,
        "standing": here.standing,
        "count_standing": standing_of(here.view.counts) if here.view else None,
        "mapping": mapping,
        "is_current": mapping.version == current.version,
        "lines": _lines(mapping, here.view),
        "dedupe": dedupe_words(mapping.dedupe),
        "versions": versions,
        "newest": current.version,
        "emails": await services.storage.accounts.emails(visit.org_id),
        "backfill": backfill,
        "remap": await _newest_remap(visit, here.form_id, query),
        "came_since": came_since,
        "orders": ORDERS,
        "stretch": stretch or Stretch(),
        "failure": failure,
        "fields": failure.fields if failure else {},
        "is_saved": saved == str(current.version),
        "doubt": doubt,
    }
    return visit.page("lead_form.html", context, status=status)


async def _newest_remap(visit: Visit, form_id: str, query: FormQuery) -> RemapView | None:
    try:
        return await newest_remap(visit.services, visit.org_id, form_id, query)
    except NotFoundError:
        return None


def _lines(mapping: MappingView, form: LeadFormView | None) -> list[RuleLine]:
    labels = source_labels(form)
    return [rule_line(rule, labels, mapping.required) for rule in mapping.rules]
