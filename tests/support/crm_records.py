"""The CRM's records in a dict: what is not saved is lost, and nobody shares a record with the store."""

import copy
from collections.abc import Collection, Mapping
from datetime import datetime

from moorage_ports.crm_records import (
    ConversationRecord,
    IdentityRecord,
    Ledger,
    LedgerKeys,
    MessageRecord,
    MessageTotals,
)
from moorage_ports.events import MessageKind

KINDS = (
    "identities",
    "contacts",
    "conversations",
    "messages",
    "activities",
    "posts",
    "notices",
    "unmapped",
)


class DictRecords:
    """A `CrmRecords` for tests of what is merged."""

    def __init__(self) -> None:
        self.kept = Ledger()
        self.marks: dict[str, datetime] = {}
        self.loads = 0

    async def load(self, keys: LedgerKeys) -> Ledger:
        self.loads += 1
        found = Ledger()
        for kind in KINDS:
            there = getattr(self.kept, kind)
            for key in getattr(keys, kind):
                if key in there:
                    getattr(found, kind)[key] = copy.deepcopy(there[key])
        for identity in found.identities.values():
            contact = self.kept.contacts[identity.contact_id]
            found.contacts.setdefault(contact.id, copy.deepcopy(contact))
        return found

    async def messages_of(self, conversation_ids: Collection[str]) -> tuple[MessageRecord, ...]:
        found = [one for one in self.kept.messages.values() if one.conversation_id in conversation_ids]
        return tuple(copy.deepcopy(sorted(found, key=lambda one: (one.at, one.id))))

    async def totals_of(self, read_at: Mapping[str, datetime | None]) -> Mapping[str, MessageTotals]:
        found = {key: self._totals(key, since) for key, since in read_at.items()}
        return {key: totals for key, totals in found.items() if totals is not None}

    def _totals(self, key: str, since: datetime | None) -> MessageTotals | None:
        known = [one for one in self.kept.messages.values() if one.conversation_id == key and one.is_known]
        if not known:
            return None
        theirs = [one for one in known if not one.is_ours and one.kind is not MessageKind.NOTICE]
        last = max(known, key=lambda one: (one.at, one.id))
        moments = [(one.at, one.edited_at, one.removed_at) for one in known]
        return MessageTotals(
            first_at=min(one.at for one in known),
            changed_at=max(moment for three in moments for moment in three if moment is not None),
            last_id=last.id,
            last_at=last.at,
            received_at=max((one.at for one in theirs), default=None),
            received_exactly_at=max((one.at for one in theirs if one.is_exact), default=None),
            unread=sum(
                one.removed_at is None and not one.is_history and (since is None or one.at > since)
                for one in theirs
            ),
        )

    async def attempts_in(self, conversation_ids: Collection[str]) -> tuple[MessageRecord, ...]:
        found = await self.messages_of(conversation_ids)
        return tuple(one for one in found if not one.external_id)

    async def identities_of(self, contact_ids: Collection[str]) -> tuple[IdentityRecord, ...]:
        found = [one for one in self.kept.identities.values() if one.contact_id in contact_ids]
        return tuple(copy.deepcopy(found))

    async def talks_of(self, identity_ids: Collection[str]) -> tuple[ConversationRecord, ...]:
        kept = self.kept.conversations.values()
        found = [one for one in kept if one.kind == "direct" and one.identity_id in identity_ids]
        return tuple(copy.deepcopy(found))

    async def save(self, ledger: Ledger) -> None:
        for kind in KINDS:
            getattr(self.kept, kind).update(copy.deepcopy(getattr(ledger, kind)))

    async def remove_conversations(self, conversation_ids: Collection[str]) -> None:
        for key in conversation_ids:
            assert not any(one.conversation_id == key for one in self.kept.messages.values())
            self.kept.conversations.pop(key, None)

    async def remove_messages(self, message_ids: Collection[str]) -> None:
        for key in message_ids:
            del self.kept.messages[key]

    async def remove_activities(self, activity_ids: Collection[str]) -> None:
        for key in activity_ids:
            del self.kept.activities[key]

    async def remove_posts(self, post_ids: Collection[str]) -> None:
        for key in post_ids:
            del self.kept.posts[key]

    async def remove_people(self, contact_ids: Collection[str], identity_ids: Collection[str]) -> None:
        for key in contact_ids:
            del self.kept.contacts[key]
        for key in identity_ids:
            del self.kept.identities[key]

    async def erased(self, keys: Collection[str]) -> Mapping[str, datetime]:
        return {key: self.marks[key] for key in keys if key in self.marks}

    async def mark_erased(self, keys: Collection[str], *, at: datetime) -> None:
        self.marks = {**dict.fromkeys(keys, at), **self.marks}
