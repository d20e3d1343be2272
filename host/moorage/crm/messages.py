"""Comments and direct messages as the API shows them."""

from collections.abc import Iterable, Iterator
from datetime import datetime

from moorage.crm.merge import message_id_of
from moorage.crm.merge_messages import state_of
from moorage_ports.answering_operations import (
    AttachmentView,
    AuthorView,
    MessagePart,
    MessageView,
    ReactionView,
)
from moorage_ports.conversations import Message
from moorage_ports.crm_records import MessageRecord
from moorage_ports.events import Attachment, DeliveryState, MessageKind


def message_view(message: Message, parts: Iterable[MessagePart] = ()) -> MessageView:
    """A message as an org sees it."""
    record = message.record
    return MessageView(
        id=record.id,
        external_id=record.external_id or None,
        conversation_id=record.conversation_id,
        direction="out" if record.is_ours else "in",
        author=AuthorView(name=message.author_name, contact_id=message.contact_id or None),
        text=record.text,
        attachments=tuple(map(attachment_view, record.attachments)),
        state=delivery_state(message),
        kind=None if record.kind is MessageKind.TEXT else record.kind,
        payload=record.payload,
        permalink=record.permalink,
        parent_message_id=_named(record, record.parent_external_id),
        reply_to_message_id=_named(record, record.reply_to_external_id),
        reactions=tuple(_reactions(message)),
        sent_by=record.sent_by or None,
        error_code=record.error_code or None,
        error=record.error or None,
        hidden=record.is_hidden,
        at=record.at,
        edited_at=record.edited_at,
        removed_at=record.removed_at,
        parts=tuple(parts),
    )


def delivery_state(message: Message) -> DeliveryState | None:
    """How far one of ours got, by all that is known; `None` of what others wrote."""
    record = message.record
    if not record.is_ours:
        return None
    if record.state is None:  # a comment: once it is there, everybody can read it
        return DeliveryState.SENT
    return record.state if message.conversation is None else state_of(record, message.conversation)


def attachment_view(attachment: Attachment) -> AttachmentView:
    """What is attached."""
    return AttachmentView(
        type=attachment.type.value,
        url=attachment.url,
        title=attachment.title,
        mime_type=attachment.mime_type,
        details=attachment.details,
    )


def _named(record: MessageRecord, external_id: str) -> str | None:
    """Our id of the message that the vendor calls so: it follows from that, known or not."""
    return message_id_of(record.vendor, external_id) if external_id else None


def _reactions(message: Message) -> Iterator[ReactionView]:
    """Those not taken back, the first one first."""
    given = sorted((moment, key, reaction) for key, (reaction, moment) in message.record.reactions.items())
    for moment, key, reaction in given:
        if reaction:
            at = datetime.fromisoformat(moment)
            yield ReactionView(reaction=reaction, contact_id=message.reacted.get(key, ""), at=at)
