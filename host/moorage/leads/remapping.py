"""Past leads anew by the mapping that is current: from the answers that they were kept with.

What a person wrote by hand stays, and so do status and stage: those are sales people's from the first day on.
A lead whose answers were not kept stays as it is.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Final, TypeAlias

import attrs
import structlog

from moorage.codec import clean_text
from moorage.crm.mapping import MappedLead, mapped_lead
from moorage.handover.announcing import announce_lead
from moorage.leads.merging import COLUMNS
from moorage.leads.people import contacts_of_leads
from moorage.services import Services
from moorage_ports.crm import CrmLead, LeadFilter
from moorage_ports.errors import NotFoundError
from moorage_ports.lead_mapping import FormMapping
from moorage_ports.lead_source import Answer, Lead
from moorage_ports.outgoing import EventType
from moorage_ports.storage import UnitOfWork

log = structlog.get_logger(__name__)

AT_ONCE: Final = 20  # a transaction's worth: acknowledgements may have to wait behind it
Versions: TypeAlias = Mapping[int, FormMapping]


@attrs.frozen(kw_only=True)
class RemapOrder:
    """Which leads: all of a form, or those that came at `since` or later. A dry run changes none."""

    org_id: str
    by: str
    vendor: str
    form_id: str
    since: datetime | None = None
    dry_run: bool = False


@attrs.define
class Remapped:
    """How far a re-mapping is, in leads."""

    version: int
    total: int
    seen: int = 0
    changed: int = 0
    without_answers: int = 0


def remapped(lead: CrmLead, versions: Versions, now: datetime) -> CrmLead:
    """`lead` as the newest of `versions` makes it; the very same if that is nothing new.

    Where a lead was merged into it, a question may be answered twice: the first answer counts, as it did
    then, and the others stay properties. So does what the version that mapped it did not make of its answers:
    it came from elsewhere, and nobody knows it but the lead.
    """
    newest = max(versions)
    answers, more = _firsts(lead.answers)
    then = _made(lead, answers, versions.get(lead.mapping_version))
    made = _made(lead, answers, versions[newest])
    columns: dict[str, str] = {}
    for name in COLUMNS:
        here, there = getattr(lead, name), getattr(made, name)
        if name in lead.edited:
            continue
        if here in {"", getattr(then, name)}:
            columns[name] = there
        elif there not in {"", here}:
            more.append((name, (there,)))  # as `merged` does where both say something
    properties = dict(made.properties)
    for name, values in (*more, *_from_elsewhere(lead, then)):
        properties[name] = tuple(dict.fromkeys((*properties.get(name, ()), *values)))
    after = attrs.evolve(
        lead,
        **columns,  # type: ignore[arg-type]  # names of text columns, all of them
        properties=properties,
        mapping_version=newest,
    )
    return lead if after == lead else attrs.evolve(after, updated_at=now)


def _made(lead: CrmLead, answers: Sequence[Answer], mapping: FormMapping | None) -> CrmLead:
    return _mapped(lead, answers, mapping).lead


def _mapped(lead: CrmLead, answers: Sequence[Answer], mapping: FormMapping | None) -> MappedLead:
    """What a mapping makes of these answers of a lead."""
    read = Lead(
        external_id=lead.external_id,
        channel_external_id=lead.channel_external_id,
        form_external_id=lead.form_id,
        answers=tuple(answers),
        consents=lead.consents,
    )
    return mapped_lead(read, mapping=mapping, lead_id=lead.id, vendor=lead.vendor, now=lead.created_at)


def _firsts(answers: tuple[Answer, ...]) -> tuple[list[Answer], list[tuple[str, tuple[str, ...]]]]:
    """The first answer to each question, and what was said to it again."""
    first: dict[str, Answer] = {}
    again: list[tuple[str, tuple[str, ...]]] = []
    for answer in answers:
        name = clean_text(answer.name)
        if name not in first:
            first[name] = answer
        elif answer.values != first[name].values:
            again.append((name, tuple(map(clean_text, answer.values))))
    return list(first.values()), again


def _from_elsewhere(lead: CrmLead, then: CrmLead) -> list[tuple[str, tuple[str, ...]]]:
    """Properties that the lead has and its answers do not explain."""
    told = {name: set(values) for name, values in then.properties.items()}
    said = {clean_text(value) for answer in lead.answers for value in answer.values}
    kept = {
        name: tuple(value for value in values if value not in told.get(name, ()) and value not in said)
        for name, values in lead.properties.items()
    }
    return [(name, values) for name, values in kept.items() if values]


async def remap(services: Services, order: RemapOrder) -> AsyncIterator[Remapped]:
    """Go through the leads, a transaction's worth at a time; each step says how far that is.

    Whoever begins again after a break harms nothing: what is as the mapping makes it already is no change.

    Raises:
        NotFoundError: The form has no mapping.
        UnavailableError: The database is out of reach; what was done stays done.
    """
    async with services.storage.unit_of_work(order.org_id, reads_only=True) as uow:
        versions = await versions_of(uow, order)
        total = await count_leads(uow, order)
    progress, after = Remapped(version=max(versions), total=total), ""
    yield progress
    is_over = False
    while not is_over:
        async with services.storage.unit_of_work(order.org_id, reads_only=order.dry_run) as uow:
            piece = await remap_some(uow, order, versions, after, services.clock.now())
        progress.seen += piece.seen
        progress.changed += piece.changed
        progress.without_answers += piece.without_answers
        yield progress
        after, is_over = piece.last_lead_id, piece.is_last
    log.info("leads_remapped", org=order.org_id, by=order.by, version=progress.version, **_told(progress))


async def versions_of(uow: UnitOfWork, order: RemapOrder) -> Versions:
    """Every version of the form's mapping.

    Raises:
        NotFoundError: It has none.
    """
    saved = await uow.lead_mappings.versions(order.vendor, order.form_id)
    if not saved:
        msg = "this form has no mapping"
        raise NotFoundError(msg, remedy="Save a mapping for the form first, then map its leads by it.")
    return {mapping.version: mapping for mapping in saved}


async def count_leads(uow: UnitOfWork, order: RemapOrder) -> int:
    """How many leads the order means."""
    where = LeadFilter(form_id=order.form_id, source=order.vendor, since=order.since)
    return (await uow.leads.page(page=1, page_size=1, where=where)).total


@attrs.frozen(kw_only=True)
class Piece:
    """What one step came to; behind `last_lead_id` goes on whoever goes on."""

    seen: int
    changed: int
    without_answers: int
    last_lead_id: str
    is_last: bool


async def remap_some(
    uow: UnitOfWork, order: RemapOrder, versions: Versions, after: str, now: datetime
) -> Piece:
    """Map the next leads behind this one, a transaction's worth; a dry run writes none of them."""
    leads = await uow.leads.of_form(order.vendor, order.form_id, after, AT_ONCE)
    wanted = [lead for lead in leads if order.since is None or lead.created_at >= order.since]
    changed = _changed(wanted, versions, now)
    if not order.dry_run:
        await _write(uow, changed)
        await _note_problems(uow, wanted, versions, now)
    return Piece(
        seen=len(wanted),
        changed=len(changed),
        without_answers=sum(not _has_answers(lead) for lead in wanted),
        last_lead_id=leads[-1].id if leads else after,
        is_last=len(leads) < AT_ONCE,
    )


def _has_answers(lead: CrmLead) -> bool:
    return bool(lead.answers or lead.consents)


def _changed(leads: list[CrmLead], versions: Versions, now: datetime) -> list[CrmLead]:
    """Those that become others; one that a version mapped which was saved since stays as it is."""
    newest = max(versions)
    made = [
        (lead, remapped(lead, versions, now))
        for lead in leads
        if _has_answers(lead) and lead.mapping_version <= newest
    ]
    return [after for before, after in made if after is not before]


async def _note_problems(
    uow: UnitOfWork, leads: Sequence[CrmLead], versions: Versions, now: datetime
) -> None:
    """Have the ledger tell what the newest version had trouble with, and no more what an older one had.

    Of each lead's own entry; one that was merged into it came by the version that it came by.
    """
    newest = max(versions)
    ours = {lead.external_id: lead for lead in leads if _has_answers(lead) and lead.mapping_version <= newest}
    entries = await uow.lead_ledger.of(leads[0].vendor, ours) if ours else {}
    changed = []
    for external_id, entry in entries.items():
        lead = ours[external_id]
        answers, _ = _firsts(lead.answers)
        problems = _mapped(lead, answers, versions[newest]).problems
        if entry.lead_id == lead.id and (entry.mapping_version, entry.problems) != (newest, problems):
            changed.append(attrs.evolve(entry, mapping_version=newest, problems=problems, updated_at=now))
    await uow.lead_ledger.write(changed)


async def _write(uow: UnitOfWork, leads: list[CrmLead]) -> None:
    contacts = await contacts_of_leads(uow, leads)
    listened = bool(leads) and await uow.outgoing.listens(EventType.LEAD_UPDATED)
    for lead in leads:
        whole = attrs.evolve(lead, contact_id=lead.contact_id or contacts.get(lead.id))
        await uow.leads.update(whole)
        if listened:
            await announce_lead(uow, EventType.LEAD_UPDATED, whole)


def _told(progress: Remapped) -> Mapping[str, int]:
    return {"seen": progress.seen, "changed": progress.changed, "without_answers": progress.without_answers}
