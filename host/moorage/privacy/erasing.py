"""Forgetting somebody: everything that an org has of them goes, and a mark of each thing stays.

First the marks of who they are, so that from then on nothing about them comes in any more; then, in steps of
a bounded size, what is there, until nothing is found. Whoever is interrupted is asked again, and finishes.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Final

import attrs
import structlog

from moorage.crm.merge import Merge, message_id_of
from moorage.handover.announcing import announce_deleted
from moorage.ids import new_id
from moorage.leads.people import OWN
from moorage.privacy.copies import Looker, erase_copies
from moorage.privacy.people import Somebody
from moorage.services import Services
from moorage_ports.crm_records import ConversationRecord, Ledger, LedgerKeys, MessageRecord, record_id
from moorage_ports.erasure import Cause, Erasure, KnownPeople, LeadTrace, Traces, lead_mark
from moorage_ports.lead_source import Lead
from moorage_ports.outgoing import EventType
from moorage_ports.storage import UnitOfWork

log = structlog.get_logger(__name__)

AT_ONCE: Final = 25  # records of a kind per transaction: deliveries must not wait behind it


@attrs.frozen(kw_only=True)
class Reason:
    """Why somebody is forgotten, and who said so."""

    cause: Cause
    by: str = ""


async def erase(services: Services, org_id: str, somebody: Somebody, reason: Reason) -> Mapping[str, int]:
    """Forget them, and note that it was done; answers how many of which kind went.

    Raises:
        UnavailableError: The database went out of reach; what is left goes when it is asked for again.
    """
    counts = await erase_quietly(services, org_id, somebody, reason)
    await note(services, org_id, reason, counts)
    await services.storage.compact_search()
    return counts


async def note(services: Services, org_id: str, reason: Reason, counts: Mapping[str, int]) -> None:
    """Keep that something was erased, for administrators to see."""
    at = services.clock.now()
    noted = Erasure(id=new_id(), at=at, cause=reason.cause, by=reason.by, removed=counts)
    async with services.storage.unit_of_work(org_id) as uow:
        await uow.erasures.note(noted)
    log.info("erased", org=org_id, cause=reason.cause.value, **counts)


async def erase_quietly(
    services: Services, org_id: str, somebody: Somebody, reason: Reason
) -> Mapping[str, int]:
    """Forget them. What leads to the rest (contacts, then leads) goes last: so it can be asked for again."""
    now = services.clock.now()
    removed: Counter[str] = Counter()
    async with services.storage.unit_of_work(org_id) as uow:
        await uow.erasures.mark(somebody.identity_ids, at=now)
        await uow.erasures.mark([lead_mark(lead.vendor, lead.external_id) for lead in somebody.leads], at=now)
    # The records before the copies: they tell by which ids the copies call them.
    records, names = await _erase_records(services, org_id, somebody, now, removed)
    looker = Looker(names=somebody.names | names, records=somebody.identity_ids | records)
    removed.update(await erase_copies(services, org_id, looker))
    async with services.storage.unit_of_work(org_id) as uow:
        await uow.crm_records.load(LedgerKeys(contacts=set(somebody.contact_ids)))
        await uow.crm_records.remove_people(somebody.contact_ids, somebody.identity_ids)
    removed.update(contacts=len(somebody.contact_ids), identities=len(somebody.identities))
    removed["leads"] += await erase_leads(services, org_id, somebody.leads, reason)
    return {kind: number for kind, number in removed.items() if number}


# Leads -------------------------------------------------------------------------------------------


async def erase_leads(services: Services, org_id: str, leads: Collection[LeadTrace], reason: Reason) -> int:
    """Delete leads with what was told of them and what announced them; answers how many those were."""
    waiting, removed = list(leads), 0
    while waiting:
        some, waiting = waiting[:AT_ONCE], waiting[AT_ONCE:]
        async with services.storage.unit_of_work(org_id, reads_only=True) as uow:
            told = [*some, *await _merged_into(uow, some)]
            listens = await uow.outgoing.listens(EventType.LEAD_DELETED)
            shown = [await uow.leads.get(lead.id) for lead in some] if listens else []
        async with services.storage.unit_of_work(org_id) as uow:
            await _erase_traces_of(services, uow, told)
            removed += await uow.leads.delete([lead.id for lead in some])
            await uow.outgoing.forget_about([lead.id for lead in some])
            for lead in shown:
                if lead is not None:
                    await announce_deleted(uow, lead, reason=reason.cause.value)
        await _forget_orphans(services, org_id, some)
    return removed


async def _erase_traces_of(services: Services, uow: UnitOfWork, leads: Collection[LeadTrace]) -> None:
    """The marks of leads, what announced them, and what the ledger says of them."""
    now = services.clock.now()
    await uow.erasures.mark([lead_mark(lead.vendor, lead.external_id) for lead in leads], at=now)
    for vendor, keys in _announced(services, leads).items():
        await uow.kept_copies.erase_deliveries(vendor, await uow.kept_copies.ids_of(keys))
    for vendor in {lead.vendor for lead in leads}:
        ids = [lead.external_id for lead in leads if lead.vendor == vendor]
        await uow.lead_ledger.erase(vendor, ids, at=now)


async def _merged_into(uow: UnitOfWork, leads: Collection[LeadTrace]) -> list[LeadTrace]:
    """The vendor's leads that became a part of these: each of them may be heard of again."""
    own = {lead.id: lead.external_id for lead in leads}
    return [
        LeadTrace(
            id="",
            vendor=entry.vendor,
            external_id=entry.external_id,
            channel_external_id=entry.channel_external_id,
            form_id=entry.form_external_id,
        )
        for entry in await uow.lead_ledger.of_lead(*own)
        if entry.external_id != own[entry.lead_id]
    ]


def _announced(services: Services, leads: Collection[LeadTrace]) -> dict[str, list[str]]:
    """By vendor, the business keys under which deliveries announced these leads."""
    keys: dict[str, list[str]] = {}
    for lead in leads:
        vendor = services.vendors.by_slug.get(lead.vendor)
        if vendor is None or vendor.webhooks is None:
            continue
        told = Lead(
            external_id=lead.external_id,
            channel_external_id=lead.channel_external_id,
            form_external_id=lead.form_id,
            answers=(),
        )
        keys.setdefault(lead.vendor, []).append(vendor.webhooks.lead_change(told).business_key)
    return keys


async def _forget_orphans(services: Services, org_id: str, leads: Collection[LeadTrace]) -> None:
    """Contacts that were made of these leads, and of whom nothing else is known, go with them."""
    ids = {lead.contact_id for lead in leads if lead.contact_id}
    async with services.storage.unit_of_work(org_id, reads_only=True) as uow:
        orphans = [contact_id for contact_id in sorted(ids) if await _orphan(uow, contact_id)]
    if not orphans:
        return
    async with services.storage.unit_of_work(org_id) as uow:
        for contact_id in orphans:  # looked at again: a lead of theirs may have come
            people = await _orphan(uow, contact_id)
            await uow.crm_records.load(LedgerKeys(contacts=set(people.contact_ids)))
            await uow.crm_records.remove_people(
                people.contact_ids, frozenset(one.id for one in people.identities)
            )


async def _orphan(uow: UnitOfWork, contact_id: str) -> KnownPeople:
    """Who that is, if they are known by nothing but leads and have none; else nobody."""
    people = await uow.erasures.known_people([contact_id])
    is_of_leads = bool(people.identities) and all(one.vendor == OWN for one in people.identities)
    if not is_of_leads or await uow.erasures.leads_like(contact_ids=people.contact_ids, limit=1):
        return KnownPeople()
    return people


# Records of the CRM ------------------------------------------------------------------------------


def _activity_of(message: MessageRecord) -> str:
    return record_id("ac", message.vendor, "comment", message.external_id)


async def _erase_records(
    services: Services, org_id: str, somebody: Somebody, now: datetime, removed: Counter[str]
) -> tuple[frozenset[str], frozenset[str]]:
    """Messages, activity, posts, conversations, until nothing is found; answers their ids, and vendors'."""
    ids: set[str] = set()
    names: set[str] = set()
    while True:
        async with services.storage.unit_of_work(org_id, reads_only=True) as uow:
            found = await uow.erasures.traces(somebody.identity_ids, limit=AT_ONCE)
        if not found:
            return frozenset(ids), frozenset(names)
        async with services.storage.unit_of_work(org_id) as uow:
            step = _Records(uow, somebody.identity_ids, now, removed)
            ids |= found.messages | found.activities | found.posts | found.conversations
            names |= await step.remove(found)


@attrs.frozen
class _Records:
    """One step of it, within one transaction."""

    uow: UnitOfWork
    people: frozenset[str]
    now: datetime
    removed: Counter[str]

    async def remove(self, found: Traces) -> set[str]:
        """Delete these; answers by which ids of the vendor's copies may call them."""
        records = self.uow.crm_records
        keys = LedgerKeys(
            messages=set(found.messages),
            activities=set(found.activities),
            posts=set(found.posts),
            conversations=set(found.conversations),
        )
        ledger = await records.load(keys)
        # What a comment says, its activity says as well, also where that is nobody's.
        same = {_activity_of(message) for message in ledger.messages.values()} - ledger.activities.keys()
        ledger.activities.update((await records.load(LedgerKeys(activities=same))).activities)
        await self._take_reactions_back(ledger)
        things = (*ledger.messages, *ledger.activities, *ledger.posts)
        await self.uow.erasures.mark(things, at=self.now)
        await records.remove_messages(found.messages)
        await records.remove_activities(ledger.activities)
        await records.remove_posts(found.posts)
        touched = {message.conversation_id for message in ledger.messages.values()} - {""}
        gone = await self._settle_conversations(touched | found.conversations)
        self.removed.update(
            messages=len(ledger.messages),
            activities=len(ledger.activities),
            posts=len(ledger.posts),
            conversations=len(gone),
        )
        names = {message.external_id for message in ledger.messages.values()}
        names |= {one.external_id for one in ledger.activities.values() if one.kind != "reaction"}
        names |= {post.external_id for post in ledger.posts.values()}
        return names - {""}

    async def _take_reactions_back(self, ledger: Ledger) -> None:
        """What they reacted to shows it, too."""
        reacted = {
            message_id_of(one.vendor, one.external_id)
            for one in ledger.activities.values()
            if one.kind == "reaction" and one.target == "message"
        } - ledger.messages.keys()
        if not reacted:
            return
        messages = (await self.uow.crm_records.load(LedgerKeys(messages=reacted))).messages
        for message in messages.values():
            message.reactions = {
                who: reaction for who, reaction in message.reactions.items() if who not in self.people
            }
        await self.uow.crm_records.save(Ledger(messages=messages))

    async def _settle_conversations(self, ids: Collection[str]) -> set[str]:
        """Delete those in which nobody said anything any more; in others, nobody of them began it."""
        loaded = (await self.uow.crm_records.load(LedgerKeys(conversations=set(ids)))).conversations
        totals = await self.uow.crm_records.totals_of({key: one.read_at for key, one in loaded.items()})
        attempts = {one.conversation_id for one in await self.uow.crm_records.attempts_in(list(loaded))}
        merge = Merge(ledger=Ledger(conversations=loaded))
        for key, conversation in loaded.items():
            merge.recount(conversation, totals.get(key))
            self._disown(conversation)
        gone = {key for key in loaded if key not in totals and key not in attempts}
        await self.uow.crm_records.save(
            Ledger(conversations={key: one for key, one in loaded.items() if key not in gone})
        )
        await self.uow.crm_records.remove_conversations(gone)
        return gone

    def _disown(self, conversation: ConversationRecord) -> None:
        if conversation.identity_id in self.people and conversation.kind != "direct":
            conversation.identity_id = ""
