"""The ledger as the API shows it: every lead's way here, and what each form's leads add up to."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final

import attrs
from attrs.validators import ge, in_, le, max_len

from moorage.crm.channel_book import channel_book
from moorage.services import Services
from moorage_ports.errors import NotFoundError
from moorage_ports.form_checks import FormCheck
from moorage_ports.inbox import HeardBy
from moorage_ports.lead_ledger import EntryFilter, LeadEntry, LeadOutcome, LeadTotals
from moorage_ports.values import is_aware

OUTCOMES: Final = tuple(outcome.value for outcome in LeadOutcome)
WAYS: Final = tuple(way.value for way in HeardBy)
DONE: Final = "done"
FAILED: Final = "failed"
WAITS: Final = "waits"


@attrs.frozen(kw_only=True)
class LedgerQuery:
    """Which entries: a page (`p`, from 1; `ps` a page) of those that match everything given."""

    p: int = attrs.field(default=1, validator=[ge(1), le(1_000_000)])
    ps: int = attrs.field(default=25, validator=[ge(1), le(500)])
    vendor: str = attrs.field(default="", validator=max_len(64))
    channel_id: str = attrs.field(default="", validator=max_len(128))
    form_id: str = attrs.field(default="", validator=max_len(128))
    outcome: str = attrs.field(default="", validator=in_(("", *OUTCOMES)))
    heard_by: str = attrs.field(default="", validator=in_(("", *WAYS)))
    error: str = attrs.field(default="", validator=max_len(64))
    lead_id: str = attrs.field(default="", validator=max_len(64))
    external_id: str = attrs.field(default="", validator=max_len(128))
    is_test: bool | None = None
    has_problems: bool | None = None
    since: datetime | None = attrs.field(default=None, validator=is_aware)
    until: datetime | None = attrs.field(default=None, validator=is_aware)


@attrs.frozen(kw_only=True)
class StepView:
    """One step of a lead's way. `outcome`: `done`, `failed`, `waits`; what did not happen has no moment."""

    name: str
    at: datetime | None = attrs.field(default=None, validator=is_aware)
    outcome: str


@attrs.frozen(kw_only=True)
class EntryView:
    """How one of a vendor's leads got here, or where it is stuck and what a person can do about it."""

    vendor: str
    external_id: str
    channel_external_id: str
    form_id: str
    heard_by: str
    outcome: str
    steps: tuple[StepView, ...]
    arrived_at: datetime = attrs.field(validator=is_aware)
    submitted_at: datetime | None = attrs.field(validator=is_aware)
    updated_at: datetime = attrs.field(validator=is_aware)
    mapping_version: int | None
    problems: Mapping[str, str]
    tries: int
    doubles: int
    error: str
    remedy: str
    lead_id: str | None
    merged_into: str | None
    duplicate_of: str | None
    is_test: bool
    attribution: Mapping[str, str]
    delivery_id: str | None


@attrs.frozen(kw_only=True)
class EntryList:
    """One page of entries, the last arrived first."""

    items: tuple[EntryView, ...]
    total: int
    page: int
    page_size: int


@attrs.frozen(kw_only=True)
class VendorCount:
    """The vendor's count of a form's leads when it was last compared with ours; see `form_counts`."""

    name: str
    theirs: int | None
    expired: int
    before: int | None
    missing: int
    missing_since: datetime | None = attrs.field(default=None, validator=is_aware)
    alarming: bool
    checked_at: datetime = attrs.field(validator=is_aware)


@attrs.frozen(kw_only=True)
class FormTotals:
    """What one form's leads add up to. `heard` is all of them but the test leads.

    `with_problems` of them had some when they were mapped: see `problems` of each.
    """

    vendor: str
    form_id: str
    heard: int
    stored: int
    merged: int
    linked: int
    parked: int
    pending: int
    dead: int
    expired: int
    erased: int
    test: int
    with_problems: int
    counted: VendorCount | None = None  # None: never compared


@attrs.frozen(kw_only=True)
class FormTotalsList:
    """Every form's."""

    items: tuple[FormTotals, ...]


@attrs.frozen(kw_only=True)
class Trace:
    """How a lead of the CRM came about: its own entry, and those of leads that were merged into it."""

    lead_id: str
    items: tuple[EntryView, ...]


async def list_entries(services: Services, org_id: str, query: LedgerQuery) -> EntryList:
    """One page of the org's ledger."""
    async with services.storage.unit_of_work(org_id, reads_only=True) as uow:
        channel = (await channel_book(uow)).meant_by(query.channel_id)[1] if query.channel_id else ""
        wanted = EntryFilter(
            vendor=query.vendor,
            channel_external_id=channel,
            form_external_id=query.form_id,
            outcome=LeadOutcome(query.outcome) if query.outcome else None,
            heard_by=HeardBy(query.heard_by) if query.heard_by else None,
            error=query.error,
            lead_id=query.lead_id,
            external_id=query.external_id,
            is_test=query.is_test,
            has_problems=query.has_problems,
            since=query.since,
            until=query.until,
        )
        page = await uow.lead_ledger.page(wanted, page=query.p, page_size=query.ps)
    return EntryList(
        items=tuple(map(entry_view, page.items)), total=page.total, page=page.page, page_size=page.page_size
    )


async def trace_of(services: Services, org_id: str, lead_id: str) -> Trace:
    """How a lead came about.

    Of one that was deleted the ledger keeps that it was erased, but no longer under its id.

    Raises:
        NotFoundError: Nobody ever heard of it, or it was deleted.
    """
    async with services.storage.unit_of_work(org_id, reads_only=True) as uow:
        entries = await uow.lead_ledger.of_lead(lead_id)
    if not entries:
        msg = "no such lead"
        raise NotFoundError(msg)
    return Trace(lead_id=lead_id, items=tuple(map(entry_view, entries)))


async def totals(services: Services, org_id: str) -> FormTotalsList:
    """What the leads of each form add up to, of forms without one that was heard of, too."""
    async with services.storage.unit_of_work(org_id, reads_only=True) as uow:
        found = await uow.lead_ledger.totals()
        checks = {(check.vendor, check.form_external_id): check for check in await uow.form_checks.all()}
    return FormTotalsList(
        items=tuple(
            _totals_view(*form, found.get(form, LeadTotals()), checks.get(form))
            for form in sorted({*found, *checks})
        )
    )


def _totals_view(vendor: str, form_id: str, sums: LeadTotals, check: FormCheck | None) -> FormTotals:
    numbers = {field.name: getattr(sums, field.name) for field in attrs.fields(LeadTotals)}
    counted = _counted_view(check) if check else None
    return FormTotals(vendor=vendor, form_id=form_id, heard=sums.heard, counted=counted, **numbers)


def _counted_view(check: FormCheck) -> VendorCount:
    return VendorCount(
        name=check.name,
        theirs=check.theirs,
        expired=check.expired,
        before=check.before,
        missing=max(check.gap, 0),
        missing_since=check.gap_since if check.gap > 0 else None,
        alarming=check.is_alarming,
        checked_at=check.checked_at,
    )


def entry_view(entry: LeadEntry) -> EntryView:
    """An entry, with its steps."""
    is_merged = entry.outcome is LeadOutcome.MERGED
    return EntryView(
        vendor=entry.vendor,
        external_id=entry.external_id,
        channel_external_id=entry.channel_external_id,
        form_id=entry.form_external_id,
        heard_by=entry.heard_by.value,
        outcome=entry.outcome.value,
        steps=tuple(steps_of(entry)),
        arrived_at=entry.arrived_at,
        submitted_at=entry.submitted_at,
        updated_at=entry.updated_at,
        mapping_version=entry.mapping_version,
        problems=entry.problems,
        tries=entry.tries,
        doubles=entry.doubles,
        error=entry.error,
        remedy=entry.remedy,
        lead_id=entry.lead_id or None,
        merged_into=entry.into if is_merged else None,
        duplicate_of=(entry.into or None) if not is_merged else None,
        is_test=entry.is_test,
        attribution=entry.attribution,
        delivery_id=entry.item_id or None,
    )


def steps_of(entry: LeadEntry) -> Iterator[StepView]:
    """Each step in turn; the first that did not happen says whether that is for now or for good."""
    has_failed = entry.outcome in (LeadOutcome.DEAD, LeadOutcome.EXPIRED, LeadOutcome.ERASED)
    is_over = entry.stored_at is not None
    moments = {
        "arrived": entry.arrived_at,
        "fetched": entry.fetched_at,
        "mapped": entry.mapped_at,
        "stored": entry.stored_at,
    }
    for name, at in moments.items():
        if at is not None:
            yield StepView(name=name, at=at, outcome=DONE)
        elif not is_over:
            yield StepView(name=name, outcome=FAILED if has_failed else WAITS)
