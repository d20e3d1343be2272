"""The inbox that people read: conversations and their messages."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, Protocol

import attrs

from moorage_ports.crm_records import ConversationRecord, MessageRecord
from moorage_ports.listing import Listing

STATUSES: Final = ("open", "pending", "closed", "snoozed")


@attrs.frozen(kw_only=True)
class Conversation:
    """A conversation with what a list shows of it; `subject`: who it is with, or what it is about."""

    record: ConversationRecord
    contact_id: str
    contact_name: str = attrs.field(repr=False)
    subject: str = attrs.field(repr=False)
    last_message: MessageRecord | None


@attrs.frozen(kw_only=True)
class Message:
    """A message with who wrote it, who reacted (by identity), and the conversation it is in.

    `conversation` is what a message that was only heard of does not have yet.
    """

    record: MessageRecord
    contact_id: str
    author_name: str = attrs.field(repr=False)
    reacted: Mapping[str, str] = attrs.field(factory=dict)  # identity id -> contact id
    conversation: ConversationRecord | None = None


@attrs.frozen(kw_only=True)
class ConversationFilter:
    """Which conversations; an empty field leaves all in. `search` looks through texts and names.

    A snoozed one whose time has come counts as open.
    """

    kind: str = ""
    status: str = ""
    surface: str = ""
    vendor: str = ""
    channel_external_id: str = ""
    assignee: str = ""  # `none`: nobody
    tag: str = ""
    contact_id: str = ""
    is_unread: bool | None = None
    search: str = attrs.field(default="", repr=False)


class Conversations(Protocol):
    """The org's conversations, to read."""

    async def page(
        self, wanted: ConversationFilter, *, page: int, page_size: int, now: datetime
    ) -> Listing[Conversation]:
        """The last changed first."""
        ...

    async def get(self, conversation_id: str) -> Conversation | None:
        """One by our id."""
        ...

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
        ...

    async def search_messages(self, search: str, *, page: int, page_size: int) -> Listing[Message]:
        """Messages of all conversations with all these words, the newest first."""
        ...

    async def message(self, message_id: str) -> Message | None:
        """One by our id."""
        ...

    async def attempt(self, attempt_id: str) -> Message | None:
        """What came of something that was sent from here; the attempt itself, if nothing has (yet)."""
        ...

    async def count_unread(self, conversation_id: str, *, since: datetime | None) -> int:
        """How many messages of the other side, without notices, came after `since` and are still there."""
        ...
