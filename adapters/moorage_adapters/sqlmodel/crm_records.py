"""The CRM's records of one org as the host merges events into them: `moorage_ports.crm_records`."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

import attrs
from sqlalchemy import and_, case, func, not_

from moorage_adapters.sqlmodel.crm_codec import Codec, R, short
from moorage_adapters.sqlmodel.crm_search import indexed, org_key, words_of
from moorage_adapters.sqlmodel.crm_tables import (
    ACTIVITY,
    CONTACT,
    CONVERSATION,
    IDENTITY,
    IS_ATTEMPT,
    MESSAGE,
    NOTICE,
    POST,
    SEARCH_ENTRY,
    UNMAPPED,
)
from moorage_adapters.sqlmodel.marks import marks_of, put_marks
from moorage_adapters.sqlmodel.tenant import OrgGate, Tenant
from moorage_adapters.sqlmodel.types import clean
from moorage_ports.crm_records import (
    ActivityRecord,
    ContactRecord,
    ConversationRecord,
    IdentityRecord,
    Ledger,
    LedgerKeys,
    MessageRecord,
    MessageTotals,
    NoticeRecord,
    PostRecord,
    UnmappedRecord,
)
from moorage_ports.events import MessageKind

_LAST: Final = "\U0010fffd"  # after every name: where contacts without one are listed
_MAX_SORT_NAME: Final = 80
# What the vendor itself says in a conversation is nobody's word: see `moorage_ports.events.MessageKind`.
IS_THEIRS: Final = and_(not_(MESSAGE.c.is_ours), MESSAGE.c.kind != MessageKind.NOTICE)
MAY_BE_UNREAD: Final = and_(IS_THEIRS, MESSAGE.c.removed_at.is_(None), not_(MESSAGE.c.is_history))
_NO_DATE: Final = datetime(1970, 1, 1, tzinfo=UTC)


@attrs.frozen
class SearchEntry:
    """The words of a record; of a message, also what its activity is about."""

    id: str
    about_key: str
    words: str


@lru_cache(maxsize=4096)
def _sort_name(name: str) -> str:
    """What a name is sorted by: without case and accents, of bounded length."""
    return (" ".join(words_of(name)) or clean(name).strip())[:_MAX_SORT_NAME] or _LAST


def _about_key(activity: ActivityRecord) -> str:
    return short(activity.vendor, activity.external_id) if activity.kind == "comment" else ""


IDENTITIES: Final = Codec(IDENTITY, IdentityRecord, besides="ask_at")
CONTACTS: Final = Codec(CONTACT, ContactRecord, {"sort_name": lambda contact: _sort_name(contact.name)})
CONVERSATIONS: Final = Codec(CONVERSATION, ConversationRecord)
MESSAGES: Final = Codec(MESSAGE, MessageRecord)
ACTIVITIES: Final = Codec(
    ACTIVITY,
    ActivityRecord,
    {"about_key": _about_key, "post_key": lambda activity: short(activity.post_external_id)},
)
POSTS: Final = Codec(
    POST,
    PostRecord,
    {
        "external_key": lambda post: short(post.external_id),
        "listed_at": lambda post: post.created_at or post.stamp or _NO_DATE,
    },
)
NOTICES: Final = Codec(NOTICE, NoticeRecord)
UNMAPPED_KINDS: Final = Codec(UNMAPPED, UnmappedRecord)
_ENTRIES: Final = Codec(SEARCH_ENTRY, SearchEntry, besides="no")

_KINDS: Final[Mapping[str, Codec[Any]]] = {  # by the ledger's field
    "identities": IDENTITIES,
    "contacts": CONTACTS,
    "conversations": CONVERSATIONS,
    "messages": MESSAGES,
    "activities": ACTIVITIES,
    "posts": POSTS,
    "notices": NOTICES,
    "unmapped": UNMAPPED_KINDS,
}


# Reading records, also for whoever only reads --------------------------------------------------


def records_by(org: Tenant, codec: Codec[R], wanted: Collection[str], by: str = "id") -> list[R]:
    """The org's records whose column `by` has one of these values, in no order."""
    if not wanted:
        return []
    name = org.dialect_name
    rows = org.fetch(codec.select(name, by), codec.wanted(wanted, name))
    return [codec.record(row, name) for row in rows]


def contacts_of(org: Tenant, wanted: Iterable[str]) -> dict[str, ContactRecord]:
    """These contacts and all that they were joined to, by id."""
    found: dict[str, ContactRecord] = {}
    missing = set(wanted)
    while missing:
        more = records_by(org, CONTACTS, missing)
        found.update((contact.id, contact) for contact in more)
        missing = {contact.merged_into for contact in more if contact.merged_into} - found.keys()
    return found


# Merging ---------------------------------------------------------------------------------------


class SqlCrmRecords:
    """`moorage_ports.crm_records.CrmRecords` over one unit of work.

    What a unit of work loads is its own until it ends: on SQLite only one writes, on PostgreSQL it began by
    taking its org's lock.
    """

    def __init__(self, gate: OrgGate) -> None:
        self._gate = gate
        # What the index of words has of a record, as far as that is known: written is only what changes.
        self._indexed: dict[str, str] = {}

    async def load(self, keys: LedgerKeys) -> Ledger:
        """The records with these ids that exist, and the identities' contacts."""
        return await self._gate.run(lambda org: self._load(org, keys))

    async def messages_of(self, conversation_ids: Collection[str]) -> tuple[MessageRecord, ...]:
        """All messages of these conversations, oldest first."""

        def work(org: Tenant) -> tuple[MessageRecord, ...]:
            found = records_by(org, MESSAGES, conversation_ids, "conversation_id")
            for message in found:
                self._indexed.setdefault(message.id, _text_of_message(message))
            return tuple(sorted(found, key=lambda message: (message.at, message.id)))

        return await self._gate.run(work)

    async def totals_of(self, read_at: Mapping[str, datetime | None]) -> Mapping[str, MessageTotals]:
        """What all known messages of these conversations come to, as they are saved."""

        def work(org: Tenant) -> dict[str, MessageTotals]:
            found = {key: _totals(org, key, since) for key, since in read_at.items()}
            return {key: totals for key, totals in found.items() if totals is not None}

        return await self._gate.run(work)

    async def attempts_in(self, conversation_ids: Collection[str]) -> tuple[MessageRecord, ...]:
        """The attempts in these conversations that are no messages yet, oldest first."""

        def work(org: Tenant) -> tuple[MessageRecord, ...]:
            where = (MESSAGE.c.conversation_id.in_(conversation_ids), IS_ATTEMPT)
            found = records_by(org, MESSAGES, org.ids(MESSAGE, *where))  # type: ignore[arg-type]
            for message in found:
                self._indexed.setdefault(message.id, _text_of_message(message))
            return tuple(sorted(found, key=lambda message: (message.at, message.id)))

        return await self._gate.run(work)

    async def identities_of(self, contact_ids: Collection[str]) -> tuple[IdentityRecord, ...]:
        """All identities of these contacts."""

        def work(org: Tenant) -> tuple[IdentityRecord, ...]:
            found = records_by(org, IDENTITIES, contact_ids, "contact_id")
            for identity in found:
                self._indexed.setdefault(identity.id, _text_of_identity(identity))
            return tuple(sorted(found, key=lambda identity: identity.id))

        return await self._gate.run(work)

    async def talks_of(self, identity_ids: Collection[str]) -> tuple[ConversationRecord, ...]:
        """All direct conversations with these identities."""

        def work(org: Tenant) -> tuple[ConversationRecord, ...]:
            found = records_by(org, CONVERSATIONS, identity_ids, "identity_id")
            return tuple(sorted((one for one in found if one.kind == "direct"), key=lambda one: one.id))

        return await self._gate.run(work)

    async def save(self, ledger: Ledger) -> None:
        """Insert or replace every record of `ledger`."""
        await self._gate.run(lambda org: self._save(org, ledger))

    async def remove_conversations(self, conversation_ids: Collection[str]) -> None:
        """Delete these conversations."""
        if conversation_ids:
            await self._gate.run(lambda org: _delete(org, CONVERSATIONS, conversation_ids))

    async def remove_messages(self, message_ids: Collection[str]) -> None:
        """Delete messages, and the words they are found by."""
        await self._remove({MESSAGES: message_ids})

    async def remove_activities(self, activity_ids: Collection[str]) -> None:
        """Delete activities, and the words they are found by."""
        await self._remove({ACTIVITIES: activity_ids})

    async def remove_posts(self, post_ids: Collection[str]) -> None:
        """Delete posts."""
        await self._remove({POSTS: post_ids})

    async def remove_people(self, contact_ids: Collection[str], identity_ids: Collection[str]) -> None:
        """Delete contacts and identities, and the names they are found by."""
        await self._remove({CONTACTS: contact_ids, IDENTITIES: identity_ids})

    async def erased(self, keys: Collection[str]) -> Mapping[str, datetime]:
        """Which records of these ids were erased, and when."""
        return await self._gate.run(lambda org: marks_of(org, keys)) if keys else {}

    async def mark_erased(self, keys: Collection[str], *, at: datetime) -> None:
        """Records of these ids are not to be made again, either; a mark that is there already stays."""
        if keys:
            await self._gate.run(lambda org: put_marks(org, keys, at))

    async def _remove(self, wanted: Mapping[Codec[Any], Collection[str]]) -> None:
        """Delete records with the words they are found by."""

        def work(org: Tenant) -> None:
            for codec, keys in wanted.items():
                if keys:
                    _delete(org, codec, keys)
                    _delete(org, _ENTRIES, keys)
                self._indexed.update(dict.fromkeys(keys, ""))

        if any(wanted.values()):
            await self._gate.run(work)

    def _load(self, org: Tenant, keys: LedgerKeys) -> Ledger:
        ledger = Ledger()
        for kind, codec in _KINDS.items():
            wanted: set[str] = getattr(keys, kind)
            if kind == "contacts" and (wanted or ledger.identities):
                wanted = wanted | {identity.contact_id for identity in ledger.identities.values()}
                ledger.contacts = contacts_of(org, wanted)
            elif wanted:
                records: dict[str, attrs.AttrsInstance] = getattr(ledger, kind)
                records.update((record.id, record) for record in records_by(org, codec, wanted))
            for key in wanted:
                self._indexed.setdefault(key, "")
        for entry_id, text, _ in _texts(ledger):
            self._indexed[entry_id] = text
        return ledger

    def _save(self, org: Tenant, ledger: Ledger) -> None:
        for kind, codec in _KINDS.items():
            _upsert(org, codec, getattr(ledger, kind).values())
        self._index(org, ledger)

    def _index(self, org: Tenant, ledger: Ledger) -> None:
        """Bring the index of words up to date with what of these records' texts is new to it."""
        key = org_key(org.org_id)
        entries: list[SearchEntry] = []
        gone: list[str] = []
        for entry_id, text, about in _texts(ledger):
            before = self._indexed.get(entry_id)
            if before == text:
                continue
            self._indexed[entry_id] = text
            words = indexed(key, text)
            if words:
                entries.append(SearchEntry(entry_id, about, words))
            elif before != "":
                gone.append(entry_id)
        _upsert(org, _ENTRIES, entries)
        if gone:
            _delete(org, _ENTRIES, gone)


def _totals(org: Tenant, conversation_id: str, read_at: datetime | None) -> MessageTotals | None:
    of_it = (MESSAGE.c.conversation_id == conversation_id, MESSAGE.c.is_known)
    newest = (MESSAGE.c.at.desc(), MESSAGE.c.id.desc())
    last_id = next(iter(org.ids(MESSAGE, *of_it, order_by=newest, limit=1)), None)
    if last_id is None:
        return None
    at = MESSAGE.c.at
    is_unread = MAY_BE_UNREAD if read_at is None else and_(MAY_BE_UNREAD, at > read_at)
    sums = org.sums(
        MESSAGE,
        (
            func.min(at),
            func.max(at),
            func.max(MESSAGE.c.edited_at),
            func.max(MESSAGE.c.removed_at),
            func.max(case((IS_THEIRS, at))),
            func.max(case((and_(IS_THEIRS, MESSAGE.c.is_exact), at))),
            func.count(case((is_unread, 1))),
        ),
        *of_it,
    )
    first_at, last_at, edited_at, removed_at, received_at, received_exactly_at, unread = sums
    return MessageTotals(
        first_at=first_at,
        changed_at=max(moment for moment in (last_at, edited_at, removed_at) if moment is not None),
        last_id=last_id,
        last_at=last_at,
        received_at=received_at,
        received_exactly_at=received_exactly_at,
        unread=unread,
    )


def _upsert(org: Tenant, codec: Codec[R], records: Iterable[R]) -> None:
    for statement, parameters in codec.upserts(records, org.dialect_name):
        org.execute(statement, *parameters)


def _delete(org: Tenant, codec: Codec[Any], wanted: Collection[str]) -> None:
    org.execute(codec.delete(org.dialect_name), codec.wanted(wanted, org.dialect_name))


# What is searched for ----------------------------------------------------------------------------


def _texts(ledger: Ledger) -> Iterator[tuple[str, str, str]]:
    """(id, text to be found by, what its activity is about) of every record that can be found.

    A comment's activity is found by the message that the comment is: its words are not kept twice.
    """
    for identity in ledger.identities.values():
        yield identity.id, _text_of_identity(identity), ""
    for contact in ledger.contacts.values():
        yield contact.id, contact.name, ""
    for message in ledger.messages.values():
        yield message.id, _text_of_message(message), short(message.vendor, message.external_id)
    for activity in ledger.activities.values():
        if activity.kind != "comment":
            yield activity.id, activity.text if activity.is_present else "", ""


def _text_of_identity(identity: IdentityRecord) -> str:
    return f"{identity.name} {identity.handle}".strip()


def _text_of_message(message: MessageRecord) -> str:
    return message.text if message.is_known and message.removed_at is None else ""
