"""What people do with a conversation besides answering: who sees to it, whether it is done, what is read."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import attrs
from attrs.validators import deep_iterable, in_, max_len, optional

from moorage.crm.channel_book import channel_book
from moorage.crm.inbox import ME, ConversationView, conversation_view, no_conversation
from moorage.crm.merge import is_unread, latest
from moorage.services import Caller, Services
from moorage_ports.conversations import STATUSES
from moorage_ports.crm_records import ConversationRecord, Ledger, LedgerKeys, MessageRecord
from moorage_ports.errors import InvalidRequestError
from moorage_ports.storage import UnitOfWork
from moorage_ports.values import is_aware

_MOMENT: Final = timedelta(microseconds=1)
_TAGS: Final[Any] = deep_iterable(max_len(64), max_len(32))  # `Any`: mypy cannot bind its type variable


@attrs.frozen(kw_only=True)
class TendConversation:
    """What to change; what is left out stays. `assignee`: a member of the org, `me`, or "" for nobody.

    `snoozed_until` without `status` snoozes; `snoozed` without it means until somebody writes. `read_up_to`
    leaves unread what came after that moment; `read: false` makes the last message unread again.
    """

    status: str | None = attrs.field(default=None, validator=optional(in_(STATUSES)))
    snoozed_until: datetime | None = attrs.field(default=None, validator=is_aware)
    assignee: str | None = attrs.field(default=None, validator=optional(max_len(255)))
    tags: tuple[str, ...] | None = attrs.field(default=None, validator=optional(_TAGS))
    read: bool | None = None
    read_up_to: datetime | None = attrs.field(default=None, validator=is_aware)


def tending_of(body: Mapping[str, object]) -> Mapping[str, object]:
    """The body with `null` as callers mean it: nobody."""
    return {**body, "assignee": ""} if body.get("assignee", "") is None else body


async def tend_conversation(
    services: Services, caller: Caller, conversation_id: str, asked: TendConversation
) -> ConversationView:
    """Change what people decided about a conversation; answers it as it is then.

    Raises:
        InvalidRequestError: What is asked for does not go together.
        NotFoundError: The org has no such conversation.
    """
    now = services.clock.now()
    _check(asked, now)
    async with services.storage.unit_of_work(caller.org_id) as uow:
        found = (await uow.crm_records.load(LedgerKeys(conversations={conversation_id}))).conversations
        record = found.get(conversation_id)
        if record is None:
            raise no_conversation()
        _decide(record, asked, caller, now)
        if asked.read is not None or asked.read_up_to is not None:
            record.read_at = _read_at(record, asked, now)
            record.unread_count = await uow.conversations.count_unread(record.id, since=record.read_at)
        is_old = asked.read is False and not record.unread_count
        messages = await _as_news(uow, record) if is_old else {}
        await uow.crm_records.save(Ledger(conversations={record.id: record}, messages=messages))
        seen = await uow.conversations.get(record.id)
        book = await channel_book(uow)
    if seen is None:
        raise no_conversation()
    return conversation_view(seen, book, now)


async def _as_news(uow: UnitOfWork, record: ConversationRecord) -> dict[str, MessageRecord]:
    """The last message of the other side, for somebody to look at, although only a history told of it."""
    found = await uow.crm_records.messages_of({record.id})
    last = [one for one in found if one.at == record.last_received_at and one.is_history]
    for message in last:
        message.is_history = False
    record.unread_count = sum(is_unread(message, record) for message in last)
    return {message.id: message for message in last}


def _check(asked: TendConversation, now: datetime) -> None:
    if asked.snoozed_until is not None:
        if asked.status not in {None, "snoozed"}:
            msg = "only what is snoozed wakes up"
            raise InvalidRequestError(msg, fields={"snoozedUntil": "goes with the status snoozed"})
        if asked.snoozed_until <= now:
            msg = "that moment is over"
            raise InvalidRequestError(msg, fields={"snoozedUntil": "must lie ahead"})
    if asked.read_up_to is not None and asked.read is False:
        msg = "read and unread at once"
        raise InvalidRequestError(msg, fields={"readUpTo": "does not go with read: false"})


def _decide(record: ConversationRecord, asked: TendConversation, caller: Caller, now: datetime) -> None:
    """A status is dated by when it was decided: what is written after that opens what was closed.

    So the other decisions must not make it look younger, unless it is open anyway.
    """
    status = "snoozed" if asked.snoozed_until is not None else asked.status
    if status is not None:
        record.status, record.snoozed_until = status, asked.snoozed_until
    if asked.assignee is not None:
        record.assignee = caller.user_id if asked.assignee == ME else asked.assignee.strip()
    if asked.tags is not None:
        record.tags = tuple(dict.fromkeys(tag.strip() for tag in asked.tags if tag.strip()))
    is_decided = asked.assignee is not None or asked.tags is not None
    if status is not None or (is_decided and record.status == "open"):
        record.status_stamp = now


def _read_at(record: ConversationRecord, asked: TendConversation, now: datetime) -> datetime | None:
    """Up to when all is read: a message's own moment, so that one that is still on its way stays unread."""
    if asked.read_up_to is not None:
        # Nobody has read what is not written yet; a vendor's clock may be ahead of ours.
        return latest(record.read_at, min(asked.read_up_to, latest(record.last_message_at, now)))
    if asked.read:
        return latest(record.read_at, record.last_message_at) if record.last_message_at else record.read_at
    return record.last_received_at - _MOMENT if record.last_received_at else record.read_at
