"""The inbox that people read: `moorage_ports.conversations`."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Final

import attrs
from sqlalchemy import Connection, Text, and_, cast, exists, func, literal, not_, or_, select, type_coerce
from sqlalchemy.dialects.postgresql import JSONB

from moorage_adapters.sqlmodel.crm_codec import short
from moorage_adapters.sqlmodel.crm_people import (
    NOBODY,
    Page,
    among,
    has_name,
    identities_of,
    matches,
    people_of,
)
from moorage_adapters.sqlmodel.crm_records import CONVERSATIONS, MAY_BE_UNREAD, MESSAGES, POSTS, records_by
from moorage_adapters.sqlmodel.crm_tables import (
    CONVERSATION,
    IS_ATTEMPT,
    IS_LISTED,
    IS_SENT_FROM_HERE,
    MESSAGE,
)
from moorage_adapters.sqlmodel.tables import CHANNEL
from moorage_adapters.sqlmodel.tenant import Condition, OrgGate, Tenant
from moorage_adapters.sqlmodel.types import clean, to_json
from moorage_ports.conversations import Conversation, ConversationFilter, Message
from moorage_ports.crm_records import ConversationRecord, MessageRecord, PostRecord
from moorage_ports.events import DeliveryState
from moorage_ports.listing import Listing

_MAX_SUBJECT: Final = 120
_EQUAL: Final = ("kind", "surface", "vendor", "channel_external_id")
_NEWEST: Final = (MESSAGE.c.at.desc(), MESSAGE.c.id.desc())


class SqlConversations:
    """`moorage_ports.conversations.Conversations` over one unit of work."""

    def __init__(self, gate: OrgGate) -> None:
        self._gate = gate

    async def page(
        self, wanted: ConversationFilter, *, page: int, page_size: int, now: datetime
    ) -> Listing[Conversation]:
        """The last changed first."""
        asked = Page(page, page_size)

        def work(org: Tenant) -> Listing[Conversation]:
            where = _conditions(org, wanted, now)
            ids = org.ids(
                CONVERSATION,
                *where,
                order_by=(CONVERSATION.c.updated_at.desc(), CONVERSATION.c.id.desc()),
                limit=asked.size,
                offset=asked.offset,
            )
            return asked.of(_conversations(org, ids), org.count(CONVERSATION, *where))

        return await self._gate.run(work)

    async def get(self, conversation_id: str) -> Conversation | None:
        """One by our id."""

        def work(org: Tenant) -> Conversation | None:
            return next(iter(_conversations(org, [conversation_id])), None)

        return await self._gate.run(work)

    async def messages(
        self,
        conversation_id: str,
        *,
        page: int,
        page_size: int,
        before: datetime | None = None,
        after: datetime | None = None,
    ) -> Listing[Message]:
        """A conversation's messages, the newest first; those before and after these moments, if given."""
        of_it: list[Condition] = [MESSAGE.c.conversation_id == conversation_id, MESSAGE.c.is_known]
        if before is not None:
            of_it.append(MESSAGE.c.at < before)
        if after is not None:
            of_it.append(MESSAGE.c.at > after)
        return await self._gate.run(lambda org: _page(org, Page(page, page_size), of_it))

    async def search_messages(self, search: str, *, page: int, page_size: int) -> Listing[Message]:
        """Messages of all conversations with all these words, the newest first; none without a word."""

        def work(org: Tenant) -> Listing[Message]:
            asked, found = Page(page, page_size), matches(org, search)
            if found is None:
                return asked.of((), 0)
            return _page(org, asked, (among(org, MESSAGE.c.id, select(found.c.id)), MESSAGE.c.is_known))

        return await self._gate.run(work)

    async def message(self, message_id: str) -> Message | None:
        """One by our id; none that was only heard of."""

        def work(org: Tenant) -> Message | None:
            found = [message for message in records_by(org, MESSAGES, [message_id]) if message.is_known]
            return next(iter(_messages(org, found)), None)

        return await self._gate.run(work)

    async def attempt(self, attempt_id: str) -> Message | None:
        """What came of something that was sent from here; the attempt itself, if nothing has (yet)."""

        def work(org: Tenant) -> Message | None:
            of_it = (MESSAGE.c.attempt_id == attempt_id, IS_SENT_FROM_HERE)
            ids = org.ids(MESSAGE, *of_it, order_by=_NEWEST, limit=1)  # type: ignore[arg-type]
            return next(iter(_messages(org, records_by(org, MESSAGES, ids))), None)

        return await self._gate.run(work)

    async def count_unread(self, conversation_id: str, *, since: datetime | None) -> int:
        """How many messages of the other side came after `since` and are still there."""
        where = [
            MESSAGE.c.conversation_id == conversation_id,
            MESSAGE.c.is_known,
            MAY_BE_UNREAD,
        ]
        if since is not None:
            where.append(MESSAGE.c.at > since)
        return await self._gate.run(lambda org: org.count(MESSAGE, *where))


# Which -------------------------------------------------------------------------------------------


def _conditions(org: Tenant, wanted: ConversationFilter, now: datetime) -> list[Condition]:
    where: list[Condition] = [IS_LISTED]  # type: ignore[list-item]
    for name in _EQUAL:
        value: str = getattr(wanted, name)
        if value:
            where.append(CONVERSATION.c[name] == value)
    if wanted.status:
        where.append(_has_status(wanted.status, now))
    if wanted.assignee:
        where.append(CONVERSATION.c.assignee == ("" if wanted.assignee == "none" else wanted.assignee))
    if wanted.tag:
        where.append(_has_tag(org, clean(wanted.tag)))
    if wanted.contact_id:
        where.append(CONVERSATION.c.identity_id.in_(identities_of(org, wanted.contact_id)))
    if wanted.is_unread is not None:
        unread = CONVERSATION.c.unread_count > 0
        where.append(unread if wanted.is_unread else not_(unread))
    found = matches(org, wanted.search)
    if found is not None:
        talked_of = select(MESSAGE.c.conversation_id).where(
            MESSAGE.c.org_id == org.org_id, among(org, MESSAGE.c.id, select(found.c.id))
        )
        named = has_name(org, CONVERSATION.c.identity_id, found)
        where.append(or_(CONVERSATION.c.id.in_(talked_of), named))
    return where


def _has_status(status: str, now: datetime) -> Condition:
    """A snoozed conversation whose time has come counts as open."""
    has = CONVERSATION.c.status == status
    until = CONVERSATION.c.snoozed_until
    woken = and_(CONVERSATION.c.status == "snoozed", until.is_not(None), until <= now)
    if status == "open":
        return or_(has, woken)
    return and_(has, not_(woken)) if status == "snoozed" else has


def _has_tag(org: Tenant, tag: str) -> Condition:
    """Whether it is one of the tags, whole: these are a list as JSON."""
    tags = type_coerce(CONVERSATION.c.tags, Text)
    if org.dialect_name == "postgresql":
        return cast(tags, JSONB).contains(cast(literal(to_json([tag]), Text), JSONB))
    one = func.json_each(tags).table_valued("value")
    return exists(select(literal(1)).select_from(one).where(one.c.value == literal(tag, Text)))


# As they are shown ---------------------------------------------------------------------------


def _conversations(org: Tenant, ids: Sequence[str]) -> Iterable[Conversation]:
    """These conversations in this order, with what a list shows of them."""
    by_id = {record.id: record for record in records_by(org, CONVERSATIONS, ids)}
    records = [by_id[key] for key in ids if key in by_id]
    people = people_of(org, (record.identity_id for record in records))
    last_ids = {record.last_message_id for record in records if record.last_message_id}
    last = {message.id: _shown(message) for message in records_by(org, MESSAGES, last_ids)}
    posts = _posts(org, records)
    for record in records:
        person = people.get(record.identity_id, NOBODY)
        about = posts.get((record.vendor, record.post_external_id), "")
        yield Conversation(
            record=record,
            contact_id=person.contact_id,
            contact_name=person.name,
            subject=about or person.name,
            last_message=last.get(record.last_message_id),
        )


def _posts(org: Tenant, records: Collection[ConversationRecord]) -> dict[tuple[str, str], str]:
    """What the posts are about that comments stand below, by vendor and their id there."""
    wanted = {short(record.post_external_id) for record in records if record.post_external_id}
    posts = records_by(org, POSTS, wanted, "external_key")
    return {(post.vendor, post.external_id): _subject(post) for post in posts}


def _subject(post: PostRecord) -> str:
    line = " ".join(post.text[: _MAX_SUBJECT * 4].split())
    return line if len(line) <= _MAX_SUBJECT else f"{line[: _MAX_SUBJECT - 1].rstrip()}…"


def _page(org: Tenant, asked: Page, where: Collection[Condition]) -> Listing[Message]:
    ids = org.ids(MESSAGE, *where, order_by=_NEWEST, limit=asked.size, offset=asked.offset)
    by_id = {record.id: record for record in records_by(org, MESSAGES, ids)}
    return asked.of(_messages(org, [by_id[key] for key in ids]), org.count(MESSAGE, *where))


def _messages(org: Tenant, records: Collection[MessageRecord]) -> Iterable[Message]:
    """These messages, with who wrote them (a person, or the channel) and the rest that is shown of them."""
    reacted = {key for record in records for key in record.reactions}
    people = people_of(org, {*reacted, *(record.identity_id for record in records)})
    inside = {record.conversation_id for record in records if record.conversation_id}
    conversations = {one.id: one for one in records_by(org, CONVERSATIONS, inside)}
    ours = {record.channel_external_id for record in records if record.is_ours}
    channels = org.rows(CHANNEL, CHANNEL.c.external_id.in_(ours)) if ours else ()
    names = {(row["vendor"], row["external_id"]): str(row["name"]) for row in channels}
    for record in records:
        person = people.get(record.identity_id, NOBODY)
        name = names.get((record.vendor, record.channel_external_id), "") if record.is_ours else person.name
        yield Message(
            record=_shown(record),
            contact_id=person.contact_id,
            author_name=name,
            reacted={key: people[key].contact_id for key in record.reactions if key in people},
            conversation=conversations.get(record.conversation_id),
        )


def _shown(message: MessageRecord) -> MessageRecord:
    """The message; of one that was removed, no content."""
    if message.removed_at is None:
        return message
    return attrs.evolve(message, text="", attachments=(), payload="", permalink="", reactions={})


def pending_attempts(connection: Connection, before: datetime) -> Sequence[tuple[str, str, str]]:
    """Every (org, vendor, attempt) to send something that is `pending` and was begun before `before`."""
    is_stuck = (IS_ATTEMPT, MESSAGE.c.state == DeliveryState.PENDING, MESSAGE.c.at < before)
    rows = connection.execute(
        select(MESSAGE.c.org_id, MESSAGE.c.vendor, MESSAGE.c.attempt_id)
        .where(*is_stuck)
        .order_by(MESSAGE.c.at, MESSAGE.c.id)
    )
    return [(row[0], row[1], row[2]) for row in rows]
