"""Attempts: what was sent from here, until the vendor says under which id it has it.

An attempt is a message record that was written down before anything was sent; its conversation shows it as
`pending`. When the vendor's id is known (from the answer, an echo, a status or a sync, in any order) the
message takes over who wrote it, and the attempt is gone: one row, whoever told of it first. What named the
attempt is proof. Where a vendor gives no name back, an attempt whose answer was lost (`unknown`) becomes the
message of ours in the same conversation that says the same, if no other attempt became that.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

import attrs

from moorage.crm.merge import Before, Merge, message_id_of
from moorage.crm.merge_messages import deliver
from moorage_ports.crm_records import CrmRecords, Ledger, LedgerKeys, MessageRecord, attempt_record_id
from moorage_ports.events import CommentSeen, CrmEvent, DeliveryState, MessageDelivery, MessageSeen

CLOCK_SKEW: Final = timedelta(minutes=2)  # the vendor's clock may be behind ours
_OPEN: Final = (DeliveryState.PENDING, DeliveryState.UNKNOWN)


# While events are merged ---------------------------------------------------------------------


async def settle(records: CrmRecords, merge: Merge, events: Sequence[tuple[str, CrmEvent]]) -> None:
    """Let messages that `events` told of take the place of the attempts that they came of."""
    ours: dict[str, MessageRecord] = {}
    for vendor, event in events:
        message = _told_of(merge, vendor, event)
        if message is None:
            continue
        reference = _reference(event)
        attempt = merge.ledger.messages.get(attempt_record_id(vendor, reference)) if reference else None
        if attempt is not None:
            _become(merge, message, attempt)
        elif not reference and message.is_ours and message.is_known and not message.attempt_id:
            ours[message.id] = message
    if not ours:
        return
    talks = {message.conversation_id for message in ours.values()}
    found = {one.id: one for one in await records.attempts_in(talks)}
    # What is merged may have moved since it was saved.
    moved = {one.id: one for one in merge.ledger.messages.values() if not one.external_id}
    attempts = sorted({**found, **moved}.values(), key=lambda one: (one.at, one.id))
    unknown = [one for one in attempts if one.state is DeliveryState.UNKNOWN and one.id not in merge.settled]
    for attempt in unknown:
        same = _same(attempt, ours.values())
        if same is not None:
            _become(merge, same, attempt)


async def write(records: CrmRecords, merge: Merge) -> None:
    """Save what changed; what has to be counted anew, from the messages as they are saved then."""
    talks = merge.ledger.conversations
    anew = {key: talks[key].read_at for key in merge.recounts if key in talks}
    if anew:
        await records.save(Ledger(messages=merge.changed.messages))
    else:
        await records.save(merge.changed)
    await records.remove_messages(merge.settled)
    if not anew:
        return
    totals = await records.totals_of(anew)
    for key in anew:
        merge.recount(talks[key], totals.get(key))
    await records.save(attrs.evolve(merge.changed, messages={}))


def _told_of(merge: Merge, vendor: str, event: CrmEvent) -> MessageRecord | None:
    match event:
        case CommentSeen(comment_external_id=external_id, is_ours=True):
            return merge.ledger.messages.get(message_id_of(vendor, external_id))
        case MessageSeen(message_external_id=external_id, is_ours=True):
            return merge.ledger.messages.get(message_id_of(vendor, external_id))
        case MessageDelivery(message_external_id=external_id) if event.reference:
            return merge.ledger.messages.get(message_id_of(vendor, external_id))
    return None


def _reference(event: CrmEvent) -> str:
    return event.reference if isinstance(event, CommentSeen | MessageSeen | MessageDelivery) else ""


def _same(attempt: MessageRecord, messages: Iterable[MessageRecord]) -> MessageRecord | None:
    """The earliest message that says what the attempt says, and that no attempt became yet."""
    said = _plain(attempt.text)
    alike = [
        message
        for message in messages
        if said
        and message.is_ours
        and message.external_id
        and not message.attempt_id
        and message.conversation_id == attempt.conversation_id
        and message.at >= attempt.at - CLOCK_SKEW
        and _plain(message.text) == said
    ]
    return min(alike, key=lambda message: (message.at, message.id), default=None)


def _plain(text: str) -> str:
    """Vendors trim texts, and have their own line ends."""
    return " ".join(text.split())


def _become(merge: Merge, message: MessageRecord, attempt: MessageRecord) -> None:
    """`message` is what `attempt` became."""
    before = Before.of(message, merge)
    if not message.is_known:
        _fill_in(message, attempt)
    message.is_ours, message.identity_id = True, ""
    message.attempt_id, message.sent_by = attempt.attempt_id, attempt.sent_by
    message.reply_to_external_id = max(message.reply_to_external_id, attempt.reply_to_external_id)
    deliver(message, DeliveryState.SENT, attempt.at)
    merge.changed.messages[message.id] = message
    merge.count(message, before)
    _forget(merge, attempt)


def _forget(merge: Merge, attempt: MessageRecord) -> None:
    """The attempt is gone; its conversation is counted anew if it spoke for that."""
    merge.settled.add(attempt.id)
    merge.changed.messages.pop(attempt.id, None)
    merge.ledger.messages.pop(attempt.id, None)
    conversation = merge.ledger.conversations.get(attempt.conversation_id)
    if conversation is not None and (
        conversation.last_message_id == attempt.id or conversation.created_at >= attempt.at
    ):
        merge.recounts.add(conversation.id)


def _fill_in(message: MessageRecord, attempt: MessageRecord) -> None:
    """A status came for something that nobody has told of: the attempt knows what it says."""
    message.is_known, message.kind = True, attempt.kind
    message.at, message.is_exact = attempt.at, False
    message.conversation_id = attempt.conversation_id
    message.parent_external_id = attempt.parent_external_id
    if message.removed_at is None and message.text_stamp is None:
        message.text, message.text_stamp = attempt.text, attempt.text_stamp
    if message.removed_at is None and message.attachments_stamp is None:
        message.attachments, message.attachments_stamp = attempt.attachments, attempt.attachments_stamp


# What the sender writes down -----------------------------------------------------------------


async def begin(records: CrmRecords, attempts: Sequence[MessageRecord]) -> None:
    """Write attempts down, before anything is sent."""
    merge = await _around(records, attempts)
    for attempt in attempts:
        before = Before.of(attempt, merge)
        attempt.is_known = True
        merge.ledger.messages[attempt.id] = merge.changed.messages[attempt.id] = attempt
        merge.count(attempt, before)
    await records.save(merge.changed)


async def note(
    records: CrmRecords, attempt_ids: Sequence[str], state: DeliveryState, at: datetime, code: str, error: str
) -> None:
    """Note of attempts (by their records' ids) that they failed, or that nobody knows what became of them.

    One that became a message meanwhile is left alone; one that did so unnoticed becomes it now.
    """
    ledger = await records.load(LedgerKeys(messages=set(attempt_ids)))
    attempts = [one for one in ledger.messages.values() if one.state in _OPEN]
    merge = await _around(records, attempts)
    for attempt in attempts:
        attempt.state, attempt.state_at = state, at
        attempt.error_code, attempt.error = code, error
        merge.ledger.messages[attempt.id] = merge.changed.messages[attempt.id] = attempt
    if state is DeliveryState.UNKNOWN:
        await _look_around(records, merge, attempts)
    await write(records, merge)


async def drop(records: CrmRecords, attempt_ids: Sequence[str]) -> None:
    """Take attempts (by their records' ids) back that came to nothing at all."""
    ledger = await records.load(LedgerKeys(messages=set(attempt_ids)))
    attempts = list(ledger.messages.values())
    merge = await _around(records, attempts)
    for attempt in attempts:
        _forget(merge, attempt)
    await write(records, merge)


async def _look_around(records: CrmRecords, merge: Merge, attempts: Sequence[MessageRecord]) -> None:
    """What came before anybody knew that the answer was lost."""
    there = await records.messages_of({one.conversation_id for one in attempts if one.conversation_id})
    for message in there:
        merge.ledger.messages.setdefault(message.id, message)
    for attempt in attempts:
        same = _same(attempt, list(merge.ledger.messages.values()))
        if same is not None:
            _become(merge, same, attempt)


async def _around(records: CrmRecords, attempts: Iterable[MessageRecord]) -> Merge:
    """A merge that has the attempts' conversations at hand."""
    wanted = {attempt.conversation_id for attempt in attempts if attempt.conversation_id}
    return Merge(ledger=await records.load(LedgerKeys(conversations=wanted)))
