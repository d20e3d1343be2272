"""How comments and direct messages are merged: what both have in common, and what each has of its own."""

from datetime import datetime
from typing import Final

from moorage.crm.merge import (
    MAX_TEXT,
    Before,
    Merge,
    earliest,
    heat_of_activity,
    heat_of_message,
    is_later,
    latest,
    message_id_of,
    plain,
    thread_id_of,
)
from moorage.crm.talks import move, talk_with
from moorage_ports.crm_records import ConversationRecord, MessageRecord
from moorage_ports.events import (
    Attachment,
    CommentHidden,
    CommentRemoved,
    CommentSeen,
    DeliveryMark,
    DeliveryState,
    MessageDelivery,
    MessageEdited,
    MessageKind,
    MessageRemoved,
    MessageSeen,
    ThreadHandedOver,
)

_RANKS: Final = {state: rank for rank, state in enumerate(DeliveryState)}
# What a vendor did not hand over at first may come again, as what it is.
_KINDS: Final = {
    kind: -1 if kind is MessageKind.UNSUPPORTED else rank for rank, kind in enumerate(MessageKind)
}


# What both have ----------------------------------------------------------------------------------


def _date_stub(message: MessageRecord, at: datetime) -> None:
    """As long as nobody has seen it, it is dated by the first that was heard of it."""
    if not message.is_known:
        message.at = min(message.at, at)


def _date(message: MessageRecord, at: datetime, *, is_exact: bool) -> None:
    """When it was written: what is exact beats what is not, then the earlier moment."""
    if not message.is_known or (is_exact and not message.is_exact):
        message.at, message.is_exact = at, is_exact
    elif message.is_exact == is_exact:
        message.at = min(message.at, at)


def _write(
    message: MessageRecord, at: datetime, text: str, attachments: tuple[Attachment, ...] | None
) -> None:
    """The text as of `at` (and what is attached); nothing, once it was removed."""
    if message.removed_at is not None:
        return
    text = text[:MAX_TEXT]
    if is_later(at, text, message.text_stamp, message.text):
        message.text, message.text_stamp = text, at
    if attachments is not None and is_later(
        at, plain(attachments), message.attachments_stamp, plain(message.attachments)
    ):
        message.attachments, message.attachments_stamp = attachments, at


def _remove(message: MessageRecord, at: datetime) -> None:
    """Its content may not be shown any more, so it is not kept."""
    message.removed_at = latest(message.removed_at, at)
    message.text = message.payload = message.permalink = ""
    message.attachments, message.reactions = (), {}
    message.text_stamp = message.attachments_stamp = None


def _hide(message: MessageRecord, at: datetime, *, is_hidden: bool) -> None:
    if is_later(at, is_hidden, message.hidden_stamp, message.is_hidden):
        message.is_hidden, message.hidden_stamp = is_hidden, at


# Comments ----------------------------------------------------------------------------------------


def comment_seen(merge: Merge, vendor: str, event: CommentSeen) -> None:
    """A comment: a message in its thread, an activity of its author, a post that it stands below."""
    written_at = event.created_at or event.at
    message = merge.message(vendor, event, event.comment_external_id)
    before = Before.of(message, merge)
    _date(message, written_at, is_exact=event.created_at is not None or not event.is_edit)
    message.is_known = True
    message.is_ours |= event.is_ours
    message.parent_external_id = max(message.parent_external_id, event.parent_external_id)
    _write(message, event.at, event.text, event.attachments)
    if message.removed_at is None:
        message.permalink = max(message.permalink, event.permalink)
    if event.is_edit:
        message.edited_at = latest(message.edited_at, event.at)
    if event.is_hidden is not None:
        _hide(message, event.at, is_hidden=event.is_hidden)
    if event.author is not None and event.author.external_id != event.channel_external_id:
        identity_id = merge.person(vendor, event.author, event.at, written_at)
        message.identity_id = max(message.identity_id, identity_id)
    if event.post_external_id:
        merge.post(vendor, event, event.post_external_id)
    _file(merge, vendor, event, message)
    merge.count(message, before)
    _note_comment(merge, vendor, event, message, event.post_external_id)


def comment_hidden(merge: Merge, vendor: str, event: CommentHidden) -> None:
    """Hidden from others, or shown again."""
    message = merge.message(vendor, event, event.comment_external_id)
    before = Before.of(message, merge)
    _date_stub(message, event.at)
    _hide(message, event.at, is_hidden=event.is_hidden)
    merge.count(message, before)


def comment_removed(merge: Merge, vendor: str, event: CommentRemoved) -> None:
    """Gone; also its author's activity."""
    message = merge.message(vendor, event, event.comment_external_id)
    before = Before.of(message, merge)
    _date_stub(message, event.at)
    _remove(message, event.at)
    merge.count(message, before)
    if message.is_known:
        _note_comment(merge, vendor, event, message, "")


def _note_comment(
    merge: Merge, vendor: str, event: CommentSeen | CommentRemoved, message: MessageRecord, post: str
) -> None:
    """The activity that a comment is: it follows from the message."""
    activity = merge.activity(vendor, event, "comment", message.external_id, external_id=message.external_id)
    before = heat_of_activity(activity)
    activity.is_present = message.removed_at is None and not message.is_ours
    activity.identity_id = message.identity_id
    activity.text = message.text
    activity.stamp = message.text_stamp or message.removed_at or message.at
    activity.at, activity.is_exact = message.at, message.is_exact
    activity.post_external_id = max(activity.post_external_id, post)
    merge.warm(activity, before)


def _file(merge: Merge, vendor: str, event: CommentSeen, message: MessageRecord) -> None:
    """Put a comment into its thread, and what was thought to be a thread of its own below it as well."""
    own = thread_id_of(vendor, message.external_id)
    root = own
    if message.parent_external_id:
        parent = merge.ledger.messages.get(message_id_of(vendor, message.parent_external_id))
        above = thread_id_of(vendor, message.parent_external_id)
        root = parent.conversation_id if parent is not None and parent.conversation_id else above
    thread = merge.conversation(root, vendor, event, kind="comment", surface=event.surface)
    message.conversation_id = root
    if not message.parent_external_id:
        thread.thread_external_id = message.external_id
        thread.identity_id = max(thread.identity_id, message.identity_id)
    elif not thread.thread_external_id:
        thread.thread_external_id = message.parent_external_id
    thread.post_external_id = max(thread.post_external_id, event.post_external_id)
    provisional = merge.ledger.conversations.get(own)
    if provisional is not None and own != root:
        move(merge, provisional, thread)


# Direct messages ---------------------------------------------------------------------------------


def message_seen(merge: Merge, vendor: str, event: MessageSeen) -> None:
    """A message in the conversation of its person and channel."""
    conversation, identity_id = talk_with(merge, vendor, event)
    message = merge.message(vendor, event, event.message_external_id)
    before = Before.of(message, merge)
    _date(message, event.at, is_exact=True)
    message.is_history = event.is_history and (message.is_history or not message.is_known)
    message.kind = max(message.kind, event.kind, key=_KINDS.__getitem__) if message.is_known else event.kind
    message.is_known = True
    message.is_ours |= event.is_ours
    message.conversation_id = conversation.id
    message.identity_id = "" if message.is_ours else identity_id
    message.reply_to_external_id = max(message.reply_to_external_id, event.reply_to_external_id)
    _write(message, event.at, event.text, event.attachments)
    if message.removed_at is None:
        message.payload = max(message.payload, event.payload[:MAX_TEXT])
    if event.is_ours:
        deliver(message, DeliveryState.SENT, event.at)
    if event.reply_until is not None and not event.is_ours:
        conversation.reply_until = latest(conversation.reply_until, event.reply_until)
    _count_direct(merge, message, before, identity_id)


def message_edited(merge: Merge, vendor: str, event: MessageEdited) -> None:
    """A new text; what is attached stays."""
    message = merge.message(vendor, event, event.message_external_id)
    before = Before.of(message, merge)
    _date_stub(message, event.at)
    _write(message, event.at, event.text, None)
    message.edited_at = latest(message.edited_at, event.at)
    _count_direct(merge, message, before, message.identity_id)


def message_removed(merge: Merge, vendor: str, event: MessageRemoved) -> None:
    """Taken back by who sent it."""
    message = merge.message(vendor, event, event.message_external_id)
    before = Before.of(message, merge)
    _date_stub(message, event.at)
    _remove(message, event.at)
    _count_direct(merge, message, before, message.identity_id)


def message_delivery(merge: Merge, vendor: str, event: MessageDelivery) -> None:
    """How far it got."""
    message = merge.message(vendor, event, event.message_external_id)
    before = Before.of(message, merge)
    _date_stub(message, event.at)
    deliver(message, event.state, event.at, event.error_code, event.error[:MAX_TEXT])
    merge.count(message, before)


def delivery_mark(merge: Merge, vendor: str, event: DeliveryMark) -> None:
    """All up to a moment arrived, or was read. Kept on the conversation: messages may come later."""
    conversation, _ = talk_with(merge, vendor, event)
    if event.state is DeliveryState.READ:
        conversation.read_up_to = latest(conversation.read_up_to, event.up_to)
    conversation.delivered_up_to = latest(conversation.delivered_up_to, event.up_to)
    merge.touch_quiet(conversation, event.at)


def thread_handed_over(merge: Merge, vendor: str, event: ThreadHandedOver) -> None:
    """Who answers this person now."""
    conversation, _ = talk_with(merge, vendor, event)
    if is_later(event.at, event.owner, conversation.owner_stamp, conversation.owner):
        conversation.owner, conversation.owner_stamp = event.owner, event.at
    merge.touch_quiet(conversation, event.at)


def state_of(message: MessageRecord, conversation: ConversationRecord) -> DeliveryState | None:
    """How far one of our messages got, by what was said of itself and of all up to a moment."""
    if not message.is_ours or message.state is None:
        return None
    if not message.external_id:
        return message.state  # an attempt: what others were read says nothing about it
    states = [message.state]
    if conversation.read_up_to is not None and message.at <= conversation.read_up_to:
        states.append(DeliveryState.READ)
    if conversation.delivered_up_to is not None and message.at <= conversation.delivered_up_to:
        states.append(DeliveryState.DELIVERED)
    return max(states, key=_RANKS.__getitem__)


def deliver(
    message: MessageRecord, state: DeliveryState, at: datetime, code: str = "", error: str = ""
) -> None:
    """How far a message of ours got.

    The furthest state wins; of two words about one state, the earlier moment and the greater text.
    """
    if message.state is None or _RANKS[state] > _RANKS[message.state]:
        message.state, message.state_at = state, at
        message.error_code, message.error = code, error
    elif state is message.state:
        message.state_at = earliest(message.state_at, at)
        message.error_code, message.error = max((message.error_code, message.error), (code, error))


def _count_direct(merge: Merge, message: MessageRecord, before: Before, identity_id: str) -> None:
    merge.count(message, before)
    merge.add_heat(identity_id, heat_of_message(message) - before.heat)
