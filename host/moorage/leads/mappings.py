"""The mappings of an org's forms: to read, to save the next version of, and to try out on leads that came."""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

import attrs
import structlog
from attrs.validators import deep_iterable, ge, instance_of, le, max_len

from moorage.codec import clean_text
from moorage.crm.form_mapping import map_answers
from moorage.leads.mapping_checks import problems_by, problems_of
from moorage.operations.lead_channels import lead_channels
from moorage.services import Caller, OperationCall, Services
from moorage_ports.crm import NEW, CrmLead, LeadFilter
from moorage_ports.errors import (
    ConflictError,
    InvalidRequestError,
    NotConnectedError,
    NotFoundError,
    UnsupportedError,
    VendorError,
)
from moorage_ports.lead_mapping import MOST_RULES, MOST_WORDS, DedupePolicy, FormMapping, MappingRule
from moorage_ports.lead_source import LeadForm
from moorage_ports.plugin import Vendor
from moorage_ports.values import is_aware

log = structlog.get_logger(__name__)

BY_MEANING: Final = (
    "Answers whose meaning the vendor names fill the columns; every other answer is kept under its"
    " question's name."
)
BY_RULES: Final = "Answers fill what the rules say; every other answer is kept under its question's name."
UNCHECKED: Final = (
    "The form could not be read at the vendor just now, so nobody checked that it asks these questions."
)
READ_BEFORE: Final = (
    "The form could not be read at the vendor just now: this was checked against what it asked when it was"
    " last read, {at:%Y-%m-%d %H:%M} UTC."
)
NO_ANSWERS: Final = "Its answers were not kept, so nothing can be mapped from them."
FRESH: Final = timedelta(hours=1)  # forms are read every quarter of an hour
_ASK_DEADLINE: Final = timedelta(seconds=10)
_LONGEST_ID: Final = 128
_COLUMNS: Final = {
    "email": "email",
    "firstName": "first_name",
    "lastName": "last_name",
    "phone": "phone",
    "company": "company",
    "status": "status",
    "stage": "stage",
}


@attrs.frozen(kw_only=True)
class FormQuery:
    """Whose form it is: needed where several vendors with forms are installed."""

    vendor: str = attrs.field(default="", validator=max_len(64))


@attrs.frozen(kw_only=True)
class MappingDraft:
    """What a version says, before it is one."""

    rules: tuple[MappingRule, ...] = attrs.field(
        validator=[max_len(MOST_RULES), deep_iterable(instance_of(MappingRule))]
    )
    required: tuple[str, ...] = attrs.field(
        default=(), validator=[max_len(MOST_RULES), deep_iterable(max_len(MOST_WORDS))]
    )
    dedupe: DedupePolicy = attrs.field(factory=DedupePolicy)
    region: str = attrs.field(default="", validator=max_len(2))


@attrs.frozen(kw_only=True)
class SaveMapping(MappingDraft):
    """The next version; `based_on` is the one that whoever wrote it had read."""

    based_on: int = attrs.field(validator=[ge(0), le(1_000_000_000)])


@attrs.frozen(kw_only=True)
class PreviewMapping:
    """What to try out, and on how many of the newest leads."""

    mapping: MappingDraft
    limit: int = attrs.field(default=10, validator=[ge(1), le(50)])


@attrs.frozen(kw_only=True)
class MappingView:
    """One version of a form's mapping; version 0 is how a form without one is mapped."""

    vendor: str
    form_id: str
    version: int
    does: str
    rules: tuple[MappingRule, ...]
    required: tuple[str, ...]
    dedupe: DedupePolicy
    region: str
    saved_by: str
    saved_at: datetime | None = attrs.field(validator=is_aware)
    notes: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class VersionLine:
    """That there is a version."""

    version: int
    rule_count: int
    saved_by: str
    saved_at: datetime = attrs.field(validator=is_aware)


@attrs.frozen(kw_only=True)
class VersionList:
    """All versions of a form's mapping, the newest first."""

    items: tuple[VersionLine, ...]


@attrs.frozen(kw_only=True)
class MappedView:
    """What a mapping fills of a lead."""

    email: str = attrs.field(repr=False)
    first_name: str = attrs.field(repr=False)
    last_name: str = attrs.field(repr=False)
    phone: str = attrs.field(repr=False)
    company: str = attrs.field(repr=False)
    status: str
    stage: str
    properties: Mapping[str, tuple[str, ...]] = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class PreviewedLead:
    """One lead as it is, and as the mapping would make it; `after` is null if its answers were not kept."""

    lead_id: str
    mapping_version: int
    before: MappedView
    after: MappedView | None
    problems: Mapping[str, str]
    notes: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class Preview:
    """What a mapping would make of the newest leads. Nothing was saved."""

    items: tuple[PreviewedLead, ...]
    notes: tuple[str, ...] = ()


async def current_mapping(services: Services, org_id: str, form_id: str, query: FormQuery) -> MappingView:
    """The version that leads are mapped by now.

    Raises:
        InvalidRequestError, UnknownVendorError, UnsupportedError: See `vendor_of_form`.
        NotFoundError: No form can have this id.
    """
    vendor, form_id = vendor_of_form(services, query.vendor), form_of(form_id)
    async with services.storage.unit_of_work(org_id, reads_only=True) as uow:
        mapping = await uow.lead_mappings.current(vendor.slug, form_id)
    return _view(mapping) if mapping else _default(vendor, form_id)


async def list_versions(services: Services, org_id: str, form_id: str, query: FormQuery) -> VersionList:
    """Every version that was saved.

    Raises:
        InvalidRequestError, UnknownVendorError, UnsupportedError: See `vendor_of_form`.
        NotFoundError: No form can have this id.
    """
    vendor, form_id = vendor_of_form(services, query.vendor), form_of(form_id)
    async with services.storage.unit_of_work(org_id, reads_only=True) as uow:
        versions = await uow.lead_mappings.versions(vendor.slug, form_id)
    return VersionList(
        items=tuple(
            VersionLine(
                version=each.version,
                rule_count=len(each.rules),
                saved_by=each.saved_by,
                saved_at=each.saved_at,
            )
            for each in versions
        )
    )


async def one_version(
    services: Services, org_id: str, form_id: str, number: str, query: FormQuery
) -> MappingView:
    """One version; 0 is how a form without a mapping is mapped.

    Raises:
        InvalidRequestError, UnknownVendorError, UnsupportedError: See `vendor_of_form`.
        NotFoundError: There is no such version.
    """
    vendor, form_id = vendor_of_form(services, query.vendor), form_of(form_id)
    if number == "0":
        return _default(vendor, form_id)
    found = None
    if number.isascii() and number.isdecimal() and len(number) < 10:  # what a database takes for a number
        async with services.storage.unit_of_work(org_id, reads_only=True) as uow:
            found = await uow.lead_mappings.version(vendor.slug, form_id, int(number))
    if found is None:
        msg = "this form's mapping has no such version"
        raise NotFoundError(msg)
    return _view(found)


async def save_mapping(
    services: Services, caller: Caller, form_id: str, query: FormQuery, asked: SaveMapping
) -> MappingView:
    """Write the next version. Leads that come from now on are mapped by it.

    Raises:
        InvalidRequestError: It does not fit; `fields` names every mistake. Or see `vendor_of_form`.
        ConflictError: It is based on a version that is not the current one.
        NotFoundError: No form can have this id.
    """
    vendor, form_id = vendor_of_form(services, query.vendor), form_of(form_id)
    async with services.storage.unit_of_work(caller.org_id, reads_only=True) as uow:
        current = await uow.lead_mappings.current(vendor.slug, form_id)
    if asked.based_on != (current.version if current else 0):
        raise _stale()
    mapping = _mapping(services, caller, vendor, form_id, asked, asked.based_on + 1)
    notes = await _check(services, caller, vendor, mapping)
    async with services.storage.unit_of_work(caller.org_id) as uow:
        if not await uow.lead_mappings.add(mapping):
            raise _stale()
    log.info("lead_mapping_saved", org=caller.org_id, version=mapping.version, by=caller.user_id)
    return attrs.evolve(_view(mapping), notes=notes)


async def preview_mapping(
    services: Services, caller: Caller, form_id: str, query: FormQuery, asked: PreviewMapping
) -> Preview:
    """What a mapping would make of the form's newest leads. Nothing is saved, neither it nor they.

    Raises:
        InvalidRequestError: The mapping does not fit; `fields` names every mistake. Or see `vendor_of_form`.
        NotFoundError: No form can have this id.
    """
    vendor, form_id = vendor_of_form(services, query.vendor), form_of(form_id)
    mapping = _mapping(services, caller, vendor, form_id, asked.mapping, 1)
    notes = await _check(services, caller, vendor, mapping, below="mapping.")
    async with services.storage.unit_of_work(caller.org_id, reads_only=True) as uow:
        # A lead that came by a form has its vendor for a source: nobody changes that.
        where = LeadFilter(form_id=form_id, source=vendor.slug)
        page = await uow.leads.page(page=1, page_size=asked.limit, where=where)
    return Preview(items=tuple(_previewed(lead, mapping) for lead in page.items), notes=notes)


def vendor_of_form(services: Services, slug: str) -> Vendor:
    """The vendor that is meant.

    Raises:
        InvalidRequestError: None is named, and it is not clear.
        UnknownVendorError: None of that name is installed.
        UnsupportedError: It has no forms.
    """
    if slug:
        named = services.vendors.get(slug)
        if named.lead_source is None:
            msg = "this vendor has no lead forms"
            raise UnsupportedError(msg)
        return named
    having = [vendor for vendor in services.vendors if vendor.lead_source is not None]
    if len(having) != 1:
        msg = "it is not clear whose form this is"
        names = ", ".join(sorted(vendor.slug for vendor in having))
        raise InvalidRequestError(msg, fields={"vendor": f"must be one of: {names}"})
    return having[0]


def form_of(form_id: str) -> str:
    """The id, if a form can have it.

    Raises:
        NotFoundError: None can.
    """
    if not 0 < len(form_id) <= _LONGEST_ID or clean_text(form_id) != form_id:
        msg = "no form has this id"
        raise NotFoundError(msg)
    return form_id


def _stale() -> ConflictError:
    return ConflictError(
        "somebody saved another version of this mapping meanwhile",
        remedy="Read the current version, and put your changes on top of it.",
    )


def _mapping(
    services: Services, caller: Caller, vendor: Vendor, form_id: str, draft: MappingDraft, version: int
) -> FormMapping:
    return FormMapping(
        vendor=vendor.slug,
        form_external_id=form_id,
        version=version,
        rules=draft.rules,
        required=draft.required,
        dedupe=draft.dedupe,
        region=draft.region,
        saved_by=caller.user_id,
        saved_at=services.clock.now(),
    )


async def _check(
    services: Services, caller: Caller, vendor: Vendor, mapping: FormMapping, *, below: str = ""
) -> tuple[str, ...]:
    """What a reader should know about the check; `below` is where the mapping is in the body.

    Raises:
        InvalidRequestError: Something is wrong with it.
    """
    _refuse(problems_of(mapping, None), below)
    now, form_id = services.clock.now(), mapping.form_external_id
    async with services.storage.unit_of_work(caller.org_id, reads_only=True) as uow:
        known = await uow.lead_forms.get(vendor.slug, form_id)
    if known and now - known.read_at < FRESH and not problems_by(mapping, known.form):
        return ()  # what is wrong by this copy may be right by now: then the vendor is asked
    read = await _read(services, caller, vendor, form_id)
    if read is not None:
        _refuse(problems_by(mapping, read), below)
        return ()
    if known is None:
        return (UNCHECKED,)
    _refuse(problems_by(mapping, known.form), below)
    return (READ_BEFORE.format(at=known.read_at),)


def _refuse(problems: Mapping[str, str], below: str) -> None:
    if problems:
        msg = "the mapping does not fit"
        raise InvalidRequestError(msg, fields={f"{below}{path}": text for path, text in problems.items()})


async def _read(services: Services, caller: Caller, vendor: Vendor, form_id: str) -> LeadForm | None:
    """The form as it is at the vendor; `None` if that cannot be found out now.

    A form that the vendor has no more, or that nobody is connected for yet, may have a mapping all the same.
    """
    call = OperationCall(services=services, caller=caller, vendor=vendor)
    try:
        found = await lead_channels(call, form_id=form_id)
        async with asyncio.timeout(_ASK_DEADLINE.total_seconds()):
            _, form = await found.form(form_id)
    except (VendorError, NotConnectedError, NotFoundError, UnsupportedError, TimeoutError) as failure:
        log.info("lead_form_not_read", org=caller.org_id, reason=type(failure).__name__)
        return None
    return form


def _view(mapping: FormMapping) -> MappingView:
    return MappingView(
        vendor=mapping.vendor,
        form_id=mapping.form_external_id,
        version=mapping.version,
        does=BY_RULES,
        rules=mapping.rules,
        required=mapping.required,
        dedupe=mapping.dedupe,
        region=mapping.region,
        saved_by=mapping.saved_by,
        saved_at=mapping.saved_at,
    )


def _default(vendor: Vendor, form_id: str) -> MappingView:
    return MappingView(
        vendor=vendor.slug,
        form_id=form_id,
        version=0,
        does=BY_MEANING,
        rules=(),
        required=(),
        dedupe=DedupePolicy(),
        region="",
        saved_by="",
        saved_at=None,
    )


def _previewed(lead: CrmLead, mapping: FormMapping) -> PreviewedLead:
    before = MappedView(
        **{name: getattr(lead, name) for name in _COLUMNS.values()}, properties=lead.properties
    )
    if not (lead.answers or lead.consents):
        return PreviewedLead(
            lead_id=lead.id,
            mapping_version=lead.mapping_version,
            before=before,
            after=None,
            problems={},
            notes=(NO_ANSWERS,),
        )
    mapped = map_answers(lead.answers, lead.consents, mapping)
    fresh = {"status": NEW, "stage": NEW}
    columns = {name: mapped.columns.get(column, fresh.get(column, "")) for column, name in _COLUMNS.items()}
    return PreviewedLead(
        lead_id=lead.id,
        mapping_version=lead.mapping_version,
        before=before,
        after=MappedView(**columns, properties=mapped.properties),
        problems=mapped.problems,
    )
