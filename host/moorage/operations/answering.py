"""Answering people: replies to comments, comments hidden, direct messages within the vendor's window."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import attrs

from moorage.crm.apply import apply_events
from moorage.crm.merge import MAX_TEXT, is_theirs, message_id_of
from moorage.crm.messages import message_view
from moorage.ids import new_id
from moorage.operations.outgoing import Outgoing, act_on_refusal, send_once
from moorage.operations.standing import usable_channel, usable_integration
from moorage.services import OperationCall, port
from moorage_ports.activity_sync import ActivitySync
from moorage_ports.answering_operations import (
    HideComment,
    MessageView,
    ReplyPrivately,
    ReplyToComment,
    SendMessage,
)
from moorage_ports.conversations import Conversation, Message
from moorage_ports.crm_records import ConversationRecord, MessageRecord, attempt_record_id
from moorage_ports.direct_messages import DirectMessages, OutgoingMessage, PrivateReply, ReplyWindow
from moorage_ports.errors import (
    InvalidRequestError,
    NotFoundError,
    RejectedError,
    VendorError,
    VendorUnavailableError,
)
from moorage_ports.events import (
    Attachment,
    AttachmentType,
    CommentHidden,
    CommentSeen,
    DeliveryState,
    MessageSeen,
    Person,
)
from moorage_ports.integrations import Channel
from moorage_ports.storage import UnitOfWork

_HIDING: Final = 25.0  # seconds; harmless to repeat, so a late answer is no answer
_LOOKED_THROUGH: Final = 50  # messages, for who wrote last
_OURS: Final = "ms_"  # what our ids of messages begin with


@attrs.frozen(kw_only=True)
class _Comment:
    """A comment to act on, and what is known of it here (nothing, perhaps)."""

    external_id: str
    channel: Channel
    record: MessageRecord | None = None
    conversation: ConversationRecord | None = None
    author: Person | None = None


@attrs.frozen(kw_only=True)
class _Talk:
    """A direct conversation to write into."""

    conversation: ConversationRecord
    channel: Channel
    person: Person
    reply_to: str = ""


# The operations --------------------------------------------------------------------------------


async def reply_to_comment(call: OperationCall, request: ReplyToComment) -> MessageView:
    """Answer a comment where everybody reads it, once.

    Raises:
        NotConnectedError, ReauthorizationError: The integration or the channel cannot be used now.
        NotFoundError: The org has no such comment or conversation.
        InvalidRequestError: Neither or both are named, or it is no comment.
        VendorError: The vendor said no; nothing was written there.
    """
    if bool(request.comment_id) == bool(request.conversation_id):
        msg = "name the comment, or the conversation that it began"
        raise InvalidRequestError(msg, fields={"commentId": "give this or conversationId"})
    _check_text(request.text)
    if request.conversation_id:
        comment = await _first_comment(call, request.conversation_id)
    else:
        comment = await _comment(call, request.comment_id, request.channel_id)
    sync = await _activity(call)
    attempt = _attempt(call, comment.channel, comment.conversation, request.text)
    attempt.parent_external_id = comment.external_id

    async def send() -> CommentSeen:
        return await sync.reply(comment.channel.external_id, comment.external_id, request.text)

    return await _sent(call, [Outgoing(attempt=attempt, send=send)], comment.channel)


async def hide_comment(call: OperationCall, request: HideComment) -> MessageView:
    """Hide a comment from others, or show it again. Harmless to repeat.

    Raises:
        NotConnectedError, ReauthorizationError: The integration or the channel cannot be used now.
        NotFoundError: The org has no such comment.
        InvalidRequestError: It is no comment.
        VendorError: The vendor said no, or did not answer: ask again.
    """
    services, org_id = call.services, call.caller.org_id
    comment = await _comment(call, request.comment_id, request.channel_id)
    sync = await _activity(call)
    now = services.clock.now()
    if not call.dry_run:
        await _hide(call, sync, comment, is_hidden=request.hidden)
        event = CommentHidden(
            channel_external_id=comment.channel.external_id,
            comment_external_id=comment.external_id,
            at=services.clock.now(),
            is_hidden=request.hidden,
        )
        async with services.storage.unit_of_work(org_id) as uow:
            await apply_events(uow.crm_records, [(call.vendor.slug, event)])
    key = message_id_of(call.vendor.slug, comment.external_id)
    async with services.storage.unit_of_work(org_id, reads_only=True) as uow:
        stands = await uow.conversations.message(key)
    if stands is not None:
        return message_view(stands)
    unheard = MessageRecord(  # of but by its id
        id=key,
        vendor=call.vendor.slug,
        channel_external_id=comment.channel.external_id,
        external_id=comment.external_id,
        at=now,
        is_hidden=request.hidden,
    )
    return message_view(Message(record=unheard, contact_id="", author_name=""))


async def reply_privately(call: OperationCall, request: ReplyPrivately) -> MessageView:
    """Answer a comment by a direct message to its author, once.

    Raises:
        NotConnectedError, ReauthorizationError: The integration or the channel cannot be used now.
        NotFoundError: The org has no such comment.
        InvalidRequestError: It is no comment, or the text is none that the vendor takes.
        RejectedError: It is too late for that; the vendor was not asked.
        VendorError: The vendor said no; nothing was sent.
    """
    _check_text(request.text)
    comment = await _comment(call, request.comment_id, request.channel_id)
    messages = await _messages(call)
    record, conversation = comment.record, comment.conversation
    if record is not None and conversation is not None and record.is_exact:
        _check_window(call, messages.window(conversation.surface, record.at), is_by_hand=True)
    # The author's conversation is known once the vendor says whom it reached: until then it stands here.
    attempt = _attempt(call, comment.channel, conversation, request.text)
    attempt.reply_to_external_id = comment.external_id
    reply = PrivateReply(
        channel_external_id=comment.channel.external_id,
        comment_external_id=comment.external_id,
        text=request.text,
        commented_at=record.at if record is not None and record.is_exact else None,
        reference=attempt.attempt_id,
    )

    async def send() -> MessageSeen:
        return await messages.reply_privately(reply)

    part = Outgoing(attempt=attempt, send=send, author=comment.author)
    return await _sent(call, [part], comment.channel)


async def send_message(call: OperationCall, request: SendMessage) -> MessageView:
    """Write to the person of a direct conversation, each part once.

    Raises:
        NotConnectedError, ReauthorizationError: The integration or the channel cannot be used now.
        NotFoundError: The org has no such conversation.
        InvalidRequestError: It is one of comments, or there is nothing that the vendor can send.
        RejectedError: The reply window is closed; the vendor was not asked.
        VendorError: The vendor said no; nothing was sent.
    """
    talk = await _talk(call, request)
    messages = await _messages(call)
    last = talk.conversation.last_received_at
    _check_window(call, messages.window(talk.conversation.surface, last), is_by_hand=request.by_hand)
    whole = OutgoingMessage(
        channel_external_id=talk.channel.external_id,
        person=talk.person,
        surface=talk.conversation.surface,
        text=request.text,
        attachments=tuple(
            Attachment(type=AttachmentType(one.type), url=one.url, title=one.title)
            for one in request.attachments
        ),
        reply_to_external_id=talk.reply_to,
        last_received_at=last,
        is_by_hand=request.by_hand,
    )
    outgoing = [
        _part(call, messages, talk, message, number) for number, message in enumerate(messages.parts(whole))
    ]
    return await _sent(call, outgoing, talk.channel)


def _part(
    call: OperationCall, messages: DirectMessages, talk: _Talk, message: OutgoingMessage, number: int
) -> Outgoing:
    attempt = _attempt(call, talk.channel, talk.conversation, message.text, number)
    attempt.attachments = message.attachments
    attempt.attachments_stamp = attempt.at if message.attachments else None
    attempt.reply_to_external_id = message.reply_to_external_id
    named = attrs.evolve(message, reference=attempt.attempt_id)

    async def send() -> MessageSeen:
        return await messages.send(named)

    return Outgoing(attempt=attempt, send=send)


# What they have in common ------------------------------------------------------------------------


async def _sent(call: OperationCall, parts: Sequence[Outgoing], channel: Channel) -> MessageView:
    if call.dry_run:
        rehearsed = Message(record=parts[0].attempt, contact_id="", author_name=channel.name)
        return attrs.evolve(message_view(rehearsed), id="")
    return await send_once(call, parts, author_name=channel.name)


def _attempt(
    call: OperationCall,
    channel: Channel,
    conversation: ConversationRecord | None,
    text: str,
    number: int = 0,
) -> MessageRecord:
    """The record of something about to be sent. The first part bears the id that the call was given."""
    vendor, now = call.vendor.slug, call.services.clock.now()
    attempt_id = call.subject_id or new_id()
    if number:
        attempt_id = f"{attempt_id}.{number}"
    return MessageRecord(
        id=attempt_record_id(vendor, attempt_id),
        vendor=vendor,
        channel_external_id=channel.external_id,
        external_id="",
        conversation_id=conversation.id if conversation is not None else "",
        is_ours=True,
        sent_by=call.caller.user_id,
        attempt_id=attempt_id,
        text=text[:MAX_TEXT],
        text_stamp=now,
        at=now,
        state=DeliveryState.PENDING,
        state_at=now,
    )


def _check_text(text: str) -> None:
    if not text.strip():
        msg = "there is nothing to send"
        raise InvalidRequestError(msg, fields={"text": "must not be blank"})


def _check_window(call: OperationCall, window: ReplyWindow, *, is_by_hand: bool) -> None:
    """Refuse what the vendor would refuse, before it is asked.

    Raises:
        RejectedError: The window is closed; the remedy says since when.
    """
    now = call.services.clock.now()
    if window.is_open(now, is_by_hand=is_by_hand):
        return
    ended_at = window.ends_at(is_by_hand=is_by_hand)
    remedy = "Wait until the person writes: only then may the channel answer."
    if ended_at is not None:
        remedy = f"The reply window was open until {_spoken(ended_at)}: wait until the person writes again."
    by_hand_until = window.ends_at(is_by_hand=True)
    if by_hand_until is not None and now < by_hand_until:
        remedy += f" What a person writes by hand may still be sent until {_spoken(by_hand_until)}."
    msg = "the reply window is closed; nothing was sent"
    raise RejectedError(msg, vendor=call.vendor.slug, remedy=window.remedy or remedy)


def _spoken(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


async def _activity(call: OperationCall) -> ActivitySync:
    factory = port(call.vendor.activity_sync, "comments to answer")
    return factory(await call.services.context(call.vendor, call.caller.org_id))


async def _messages(call: OperationCall) -> DirectMessages:
    factory = port(call.vendor.direct_messages, "direct messages")
    return factory(await call.services.context(call.vendor, call.caller.org_id))


async def _hide(call: OperationCall, sync: ActivitySync, comment: _Comment, *, is_hidden: bool) -> None:
    services, org_id, vendor = call.services, call.caller.org_id, call.vendor.slug
    channel_id, asked_at = comment.channel.external_id, services.clock.now()
    try:
        async with asyncio.timeout(_HIDING):
            await sync.hide(channel_id, comment.external_id, is_hidden=is_hidden)
    except TimeoutError as late:
        msg = "the vendor took too long"
        raise VendorUnavailableError(msg, vendor=vendor, symptom="timed_out") from late
    except VendorError as refusal:
        await act_on_refusal(services, org_id, refusal, vendor, channel_id, asked_at)
        raise


# Finding what to act on ------------------------------------------------------------------------


async def _comment(call: OperationCall, comment_id: str, channel_id: str) -> _Comment:
    """The comment of that id, ours or the vendor's, with the channel to act as.

    Raises:
        NotConnectedError, ReauthorizationError, MissingScopeError: It cannot be acted as that channel.
        NotFoundError, InvalidRequestError: There is no such comment, or it is none.
    """
    vendor, is_ours = call.vendor.slug, comment_id.startswith(_OURS)
    async with call.services.storage.unit_of_work(call.caller.org_id, reads_only=True) as uow:
        integration = await usable_integration(uow, vendor)
        key = comment_id if is_ours else message_id_of(vendor, comment_id)
        known = await uow.conversations.message(key)
        if known is not None and known.record.vendor == vendor:
            return await _known_comment(uow, known)
        if is_ours:
            msg = "no such comment"
            raise NotFoundError(msg)
        channel = await _named_channel(uow, vendor, integration.id, channel_id)
    return _Comment(external_id=comment_id, channel=channel)


async def _first_comment(call: OperationCall, conversation_id: str) -> _Comment:
    """The comment that a conversation began with, seen or not.

    Raises:
        NotConnectedError, ReauthorizationError, MissingScopeError: It cannot be acted as its channel.
        NotFoundError, InvalidRequestError: There is no such conversation, or it is a direct one.
    """
    vendor = call.vendor.slug
    async with call.services.storage.unit_of_work(call.caller.org_id, reads_only=True) as uow:
        await usable_integration(uow, vendor)
        thread = (await _conversation(uow, vendor, conversation_id, kind="comment")).record
        known = await uow.conversations.message(message_id_of(vendor, thread.thread_external_id))
        if known is not None:
            return await _known_comment(uow, known)
        channel = await usable_channel(uow, vendor, thread.channel_external_id)
    return _Comment(external_id=thread.thread_external_id, channel=channel, conversation=thread)


async def _known_comment(uow: UnitOfWork, known: Message) -> _Comment:
    record = known.record
    thread = await uow.conversations.get(record.conversation_id)
    if thread is None or thread.record.kind != "comment":
        msg = "this is no comment"
        remedy = "Write into its conversation with the operation that sends messages."
        raise InvalidRequestError(msg, remedy=remedy, fields={"commentId": "is a direct message"})
    if not record.external_id:
        msg = "this reply has not reached the vendor"
        raise NotFoundError(msg)
    if record.removed_at is not None:
        msg = "the comment was removed"
        raise NotFoundError(msg)
    return _Comment(
        external_id=record.external_id,
        channel=await usable_channel(uow, record.vendor, record.channel_external_id),
        record=record,
        conversation=thread.record,
        author=await _person(uow, known.contact_id, record.identity_id),
    )


async def _talk(call: OperationCall, request: SendMessage) -> _Talk:
    """The direct conversation that a request names.

    Raises:
        NotConnectedError, ReauthorizationError, MissingScopeError: It cannot be acted as its channel.
        NotFoundError, InvalidRequestError: There is no such conversation, or it is one of comments.
    """
    vendor = call.vendor.slug
    async with call.services.storage.unit_of_work(call.caller.org_id, reads_only=True) as uow:
        await usable_integration(uow, vendor)
        found = await _conversation(uow, vendor, request.conversation_id, kind="direct")
        record = found.record
        channel = await usable_channel(uow, vendor, record.channel_external_id)
        person = await _person(uow, found.contact_id, await _last_writer(uow, record))
        if person is None:
            msg = "nobody is known to write to in this conversation"
            raise NotFoundError(msg)
        reply_to = ""
        if request.reply_to_message_id:
            answered = await uow.conversations.message(request.reply_to_message_id)
            if answered is None or answered.record.conversation_id != record.id:
                msg = "no such message in this conversation"
                raise InvalidRequestError(msg, fields={"replyToMessageId": "is in another conversation"})
            reply_to = answered.record.external_id
    return _Talk(conversation=record, channel=channel, person=person, reply_to=reply_to)


async def _conversation(uow: UnitOfWork, vendor: str, conversation_id: str, *, kind: str) -> Conversation:
    found = await uow.conversations.get(conversation_id)
    if found is None or found.record.vendor != vendor:
        msg = "no such conversation"
        raise NotFoundError(msg)
    if found.record.kind == kind:
        return found
    told = (
        "This is a thread of comments: use the operation that answers comments."
        if kind == "direct"
        else "This is a direct conversation: use the operation that sends messages."
    )
    msg = "this conversation is of another kind"
    raise InvalidRequestError(msg, remedy=told, fields={"conversationId": f"is {found.record.kind}"})


async def _last_writer(uow: UnitOfWork, record: ConversationRecord) -> str:
    """The identity to write to: of the several that a person may have, the one they used last."""
    newest = await uow.conversations.messages(record.id, page=1, page_size=_LOOKED_THROUGH)
    theirs = (one.record for one in newest.items if one.record.identity_id and is_theirs(one.record))
    return next((message.identity_id for message in theirs), record.identity_id)


async def _person(uow: UnitOfWork, contact_id: str, identity_id: str) -> Person | None:
    """Whom the vendor knows under an identity."""
    contact = await uow.contacts.get(contact_id) if contact_id and identity_id else None
    for identity in contact.identities if contact is not None else ():
        if identity.id == identity_id:
            return Person(external_id=identity.external_id, realm=identity.realm)
    return None


async def _named_channel(uow: UnitOfWork, vendor: str, integration_id: str, channel_id: str) -> Channel:
    """The channel to act as on a comment that nobody here has heard of.

    Raises:
        InvalidRequestError: None is named, and the org has several.
        NotFoundError: It has none of that name.
    """
    channels = await uow.integrations.channels(integration_id)
    if channel_id:
        named = [one for one in channels if channel_id in {one.id, one.external_id}]
    else:
        named = [one for one in channels if one.selected]
        if len(named) > 1:
            msg = "the comment is not known here: name its channel"
            raise InvalidRequestError(msg, fields={"channelId": "required for a comment not known here"})
    if not named:
        msg = "the organisation has no such channel"
        raise NotFoundError(msg)
    return await usable_channel(uow, vendor, named[0].external_id)
