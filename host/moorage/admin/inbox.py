"""The inbox: which conversations there are, and which of them wait."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Final

import attrs
from litestar import get
from litestar.params import QueryParameter

from moorage.admin import words
from moorage.admin.desk import Visit, VisitHere
from moorage.admin.leafing import PAGE_SIZE, leafing, page_number, search_text
from moorage.admin.pages import Answer
from moorage.admin.standing import VendorStanding, all_standings, channel_names
from moorage.admin.words import Badge
from moorage.auth import SESSION
from moorage.crm.inbox import status_at
from moorage_ports.conversations import STATUSES, Conversation, ConversationFilter
from moorage_ports.inbox import ItemState
from moorage_ports.storage import UnitOfWork

NAMELESS: Final = "Somebody without a name"
_EXCERPT: Final = 160
_KINDS: Final = ("comment", "direct")
_WHO: Final = ("me", "none")
_TABS: Final = (*STATUSES, "all")


@attrs.frozen(kw_only=True)
class Asked:
    """What somebody wants to see; anything that no control of the page offers counts as not said."""

    status: str
    kind: str
    channel: str
    who: str
    unread: str
    tag: str
    search: str

    @property
    def is_narrow(self) -> bool:
        """Whether something is left out besides by the status."""
        return any((self.kind, self.channel, self.who, self.unread, self.tag, self.search))

    def query(self) -> dict[str, str]:
        """As the address has it; the open ones are what is shown without a word."""
        return {
            "status": "" if self.status == "open" else self.status,
            "kind": self.kind,
            "channel": self.channel,
            "who": self.who,
            "unread": self.unread,
            "tag": self.tag,
            "q": self.search,
        }


@attrs.frozen(kw_only=True)
class TalkRow:
    """A conversation as a list shows it."""

    id: str
    who: str
    about: str
    excerpt: str
    is_ours: bool  # the last word
    is_removed: bool
    kind: str
    surface: str
    channel: str
    vendor_title: str
    unread: int
    badge: Badge | None
    assignee: str
    tags: tuple[str, ...]
    at: datetime


@get("/inbox", opt=SESSION)
async def inbox_page(
    visit: VisitHere,
    status: Annotated[str, QueryParameter(required=False)] = "open",
    kind: Annotated[str, QueryParameter(required=False)] = "",
    channel: Annotated[str, QueryParameter(required=False)] = "",
    who: Annotated[str, QueryParameter(required=False)] = "",
    unread: Annotated[str, QueryParameter(required=False)] = "",
    tag: Annotated[str, QueryParameter(required=False)] = "",
    q: Annotated[str, QueryParameter(required=False)] = "",
    p: Annotated[str, QueryParameter(required=False)] = "1",
) -> Answer:
    """The org's conversations, the last changed first. The script asks for this page again to see news."""
    asked = Asked(
        status=status if status in _TABS else "open",
        kind=kind if kind in _KINDS else "",
        channel=channel.replace("\0", "")[:64],
        who=who if who in _WHO else "",
        unread="1" if unread else "",
        tag=tag.strip().replace("\0", "")[:64],
        search=search_text(q),
    )
    return await _page(visit, asked, page_number(p))


async def _page(visit: Visit, asked: Asked, number: int) -> Answer:
    now = visit.desk.now()
    async with visit.services.storage.unit_of_work(visit.org_id, reads_only=True) as uow:
        standings = await all_standings(uow, visit.services.vendors)
        wanted = _filter(visit, asked, standings)
        found = await uow.conversations.page(wanted, page=number, page_size=PAGE_SIZE, now=now)
        unread = ConversationFilter(is_unread=True)
        waiting = await uow.conversations.page(unread, page=1, page_size=1, now=now)
        parked = await parked_count(uow)
    emails = await visit.services.storage.accounts.emails(visit.org_id)
    names = channel_names(standings)
    context = {
        "title": "Inbox",
        "asked": asked,
        "rows": [talk_row(one, visit, names, emails) for one in found.items],
        "pages": leafing(found, asked.query()),
        "unread_total": waiting.total,
        "parked": parked,
        "standings": standings,
        "chosen": [channel for standing in standings for channel in standing.selected],
        "is_listening": any(standing.heard for standing in standings),
        "is_connected": any(standing.is_live for standing in standings),
        "expired": [standing for standing in standings if standing.is_expired],
    }
    return visit.page("inbox.html", context)


async def parked_count(uow: UnitOfWork) -> int:
    """How much waits until somebody connects again."""
    return (await uow.inbox.kept(ItemState.PARKED, page=1, page_size=1)).total


def _filter(visit: Visit, asked: Asked, standings: tuple[VendorStanding, ...]) -> ConversationFilter:
    chosen = next(
        (one for standing in standings for one in standing.channels if one.id == asked.channel), None
    )
    return ConversationFilter(
        status="" if asked.status == "all" else asked.status,
        kind=asked.kind,
        vendor=chosen.vendor if chosen else "",
        channel_external_id=chosen.external_id if chosen else asked.channel,
        assignee=visit.session.account_id if asked.who == "me" else asked.who,
        is_unread=True if asked.unread else None,
        tag=asked.tag,
        search=asked.search,
    )


def talk_row(
    conversation: Conversation,
    visit: Visit,
    names: Mapping[tuple[str, str], str],
    emails: Mapping[str, str],
) -> TalkRow:
    """A conversation in words."""
    record, last = conversation.record, conversation.last_message
    status = status_at(record, visit.desk.now())
    card = visit.services.vendors.by_slug.get(record.vendor)
    text = " ".join(last.text.split()) if last else ""
    if last and not text and last.attachments:
        text = words.count(len(last.attachments), "attachment")
    return TalkRow(
        id=record.id,
        who=conversation.contact_name or NAMELESS,
        about="" if conversation.subject == conversation.contact_name else conversation.subject,
        excerpt=text if len(text) <= _EXCERPT else text[: _EXCERPT - 1].rstrip() + "…",
        is_ours=last is not None and last.is_ours,
        is_removed=last is not None and last.removed_at is not None,
        kind=record.kind,
        surface=record.surface,
        channel=names.get((record.vendor, record.channel_external_id), "a channel that is gone"),
        vendor_title=card.title if card else record.vendor,
        unread=record.unread_count,
        badge=None if status == "open" else words.CONVERSATIONS[status],
        assignee=assignee_words(record.assignee, visit, emails),
        tags=record.tags,
        at=record.updated_at,
    )


def assignee_words(assignee: str, visit: Visit, emails: Mapping[str, str]) -> str:
    """Who sees to it: "you", an address, or the platform's own id of somebody who never signed in here."""
    if not assignee:
        return ""
    return "you" if assignee == visit.session.account_id else emails.get(assignee, assignee)
