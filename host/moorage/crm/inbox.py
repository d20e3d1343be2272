"""The inbox as the API shows it: conversations, one by one and listed, and their messages."""

from datetime import datetime
from typing import Final, Literal

import attrs
from attrs.validators import ge, in_, le, max_len

from moorage.crm.channel_book import ChannelBook, channel_book
from moorage.crm.messages import message_view
from moorage.services import Caller, Services
from moorage_ports.answering_operations import MessageView
from moorage_ports.conversations import STATUSES, Conversation, ConversationFilter
from moorage_ports.crm_records import ConversationRecord, MessageRecord
from moorage_ports.errors import InvalidRequestError, NotFoundError
from moorage_ports.values import is_aware

ME: Final = "me"  # as an assignee: whoever asks
KINDS: Final = ("comment", "direct")
MOST_ID: Final = 512  # characters: a vendor's id may be long


@attrs.frozen(kw_only=True)
class ConversationQuery:
    """Which conversations: a page (`p`, from 1; `ps` a page) of those that fit everything given.

    `assignee` may be `me` or `none`; `channel_id` is our id of a channel, or the vendor's.
    """

    p: int = attrs.field(default=1, validator=[ge(1), le(1_000_000)])
    ps: int = attrs.field(default=25, validator=[ge(1), le(500)])
    kind: str = attrs.field(default="", validator=in_(("", *KINDS)))
    status: str = attrs.field(default="", validator=in_(("", *STATUSES)))
    surface: str = attrs.field(default="", validator=max_len(64))
    vendor: str = attrs.field(default="", validator=max_len(64))
    channel_id: str = attrs.field(default="", validator=max_len(MOST_ID))
    assignee: str = attrs.field(default="", validator=max_len(255))
    tag: str = attrs.field(default="", validator=max_len(64))
    contact_id: str = attrs.field(default="", validator=max_len(64))
    unread: bool | None = None
    search: str = attrs.field(default="", validator=max_len(200), repr=False)


@attrs.frozen(kw_only=True)
class MessageQuery:
    """Which messages: those of one conversation, or those of all that have these words."""

    p: int = attrs.field(default=1, validator=[ge(1), le(1_000_000)])
    ps: int = attrs.field(default=50, validator=[ge(1), le(500)])
    conversation_id: str = attrs.field(default="", validator=max_len(64))
    search: str = attrs.field(default="", validator=max_len(200), repr=False)
    before: datetime | None = attrs.field(default=None, validator=is_aware)
    after: datetime | None = attrs.field(default=None, validator=is_aware)


@attrs.frozen(kw_only=True)
class LastMessage:
    """The newest message of a conversation; without text, once it was removed."""

    id: str
    text: str = attrs.field(repr=False)
    at: datetime = attrs.field(validator=is_aware)
    direction: Literal["in", "out"]
    removed_at: datetime | None = attrs.field(default=None, validator=is_aware)


@attrs.frozen(kw_only=True)
class ConversationView:
    """A conversation as an org sees it. `surface` is the vendor's own word for where it takes place.

    `reply_until`: until when the vendor takes an answer. `handled_by`: another program of the channel's
    owner that answers the person at the moment.
    """

    id: str
    vendor: str
    kind: str
    surface: str
    channel_id: str | None
    subject: str = attrs.field(repr=False)
    contact_id: str | None
    contact_name: str = attrs.field(repr=False)
    status: str
    snoozed_until: datetime | None = attrs.field(default=None, validator=is_aware)
    assignee: str | None
    tags: tuple[str, ...]
    unread_count: int
    last_message: LastMessage | None = attrs.field(repr=False)
    reply_until: datetime | None = attrs.field(default=None, validator=is_aware)
    handled_by: str = ""
    post_external_id: str = ""
    external_id: str = ""
    created_at: datetime = attrs.field(validator=is_aware)
    updated_at: datetime = attrs.field(validator=is_aware)


@attrs.frozen(kw_only=True)
class ConversationList:
    """One page of conversations, the last changed first."""

    items: tuple[ConversationView, ...]
    total: int
    page: int
    page_size: int


@attrs.frozen(kw_only=True)
class MessageList:
    """One page of messages, the newest first."""

    items: tuple[MessageView, ...]
    total: int
    page: int
    page_size: int


async def list_conversations(
    services: Services, caller: Caller, query: ConversationQuery
) -> ConversationList:
    """One page of the org's conversations."""
    now = services.clock.now()
    async with services.storage.unit_of_work(caller.org_id, reads_only=True) as uow:
        book = await channel_book(uow)
        wanted = conversation_filter(query, book, user_id=caller.user_id)
        page = await uow.conversations.page(wanted, page=query.p, page_size=query.ps, now=now)
    return ConversationList(
        items=tuple(conversation_view(one, book, now) for one in page.items),
        total=page.total,
        page=page.page,
        page_size=page.page_size,
    )


async def get_conversation(services: Services, caller: Caller, conversation_id: str) -> ConversationView:
    """One of the org's conversations, by our id.

    Raises:
        NotFoundError: It has none of that id.
    """
    async with services.storage.unit_of_work(caller.org_id, reads_only=True) as uow:
        book = await channel_book(uow)
        found = await uow.conversations.get(conversation_id)
    if found is None:
        raise no_conversation()
    return conversation_view(found, book, services.clock.now())


async def list_messages(services: Services, caller: Caller, query: MessageQuery) -> MessageList:
    """One page of a conversation's messages, or of those that a search finds.

    Raises:
        InvalidRequestError: Neither a conversation nor a search is given, or both.
        NotFoundError: The org has no such conversation.
    """
    search = query.search.strip()
    if bool(query.conversation_id) == bool(search):
        msg = "messages are those of one conversation, or those that a search finds"
        raise InvalidRequestError(msg, fields={"conversationId": "give this or search"})
    if search and (query.before or query.after):
        msg = "a search looks at all times"
        raise InvalidRequestError(msg, fields={"search": "goes without before and after"})
    async with services.storage.unit_of_work(caller.org_id, reads_only=True) as uow:
        talks = uow.conversations
        if search:
            page = await talks.search_messages(search, page=query.p, page_size=query.ps)
        elif await talks.get(query.conversation_id) is None:
            raise no_conversation()
        else:
            page = await talks.messages(
                query.conversation_id,
                page=query.p,
                page_size=query.ps,
                before=query.before,
                after=query.after,
            )
    return MessageList(
        items=tuple(map(message_view, page.items)),
        total=page.total,
        page=page.page,
        page_size=page.page_size,
    )


def no_conversation() -> NotFoundError:
    """The org has no conversation of that id."""
    return NotFoundError("no such conversation")


def conversation_filter(query: ConversationQuery, book: ChannelBook, *, user_id: str) -> ConversationFilter:
    """What a query asks the store for."""
    vendor, channel = query.vendor, ""
    if query.channel_id:
        vendor, channel = book.meant_by(query.channel_id, query.vendor)
        if query.vendor and vendor != query.vendor:
            vendor, channel = query.vendor, query.channel_id  # of another vendor: there is none
    return ConversationFilter(
        kind=query.kind,
        status=query.status,
        surface=query.surface,
        vendor=vendor,
        channel_external_id=channel,
        assignee=user_id if query.assignee == ME else query.assignee,
        tag=query.tag,
        contact_id=query.contact_id,
        is_unread=query.unread,
        search=query.search,
    )


def conversation_view(conversation: Conversation, book: ChannelBook, now: datetime) -> ConversationView:
    """A conversation as it stands at `now`."""
    record, last = conversation.record, conversation.last_message
    status = status_at(record, now)
    return ConversationView(
        id=record.id,
        vendor=record.vendor,
        kind=record.kind,
        surface=record.surface,
        channel_id=book.id_of(record.vendor, record.channel_external_id),
        subject=conversation.subject,
        contact_id=conversation.contact_id or None,
        contact_name=conversation.contact_name,
        status=status,
        snoozed_until=record.snoozed_until if status == "snoozed" else None,
        assignee=record.assignee or None,
        tags=record.tags,
        unread_count=record.unread_count,
        last_message=_last(last) if last else None,
        reply_until=record.reply_until,
        handled_by=record.owner,
        post_external_id=record.post_external_id,
        external_id=record.thread_external_id,
        created_at=record.created_at,
        updated_at=record.updated_at,
    )


def status_at(record: ConversationRecord, now: datetime) -> str:
    """A snoozed one whose time has come is open."""
    is_woken = record.status == "snoozed" and record.snoozed_until is not None and record.snoozed_until <= now
    return "open" if is_woken else record.status


def _last(message: MessageRecord) -> LastMessage:
    return LastMessage(
        id=message.id,
        text=message.text,
        at=message.at,
        direction="out" if message.is_ours else "in",
        removed_at=message.removed_at,
    )
