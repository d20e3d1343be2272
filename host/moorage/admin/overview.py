"""The overview: is everything connected, what arrived, what waits for somebody, what is about to end."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Final

import attrs
from litestar import get

from moorage.admin import words
from moorage.admin.desk import VisitHere
from moorage.admin.handover import failure_words
from moorage.admin.inbox import NAMELESS, talk_row
from moorage.admin.lead_form_words import STAYS_MISSING
from moorage.admin.lead_forms import form_path
from moorage.admin.pages import Answer
from moorage.admin.posts import PostRow, post_rows
from moorage.admin.standing import VendorStanding, all_standings, channel_names
from moorage.auth import SESSION
from moorage.handover.outcomes import remedy_of
from moorage_ports.contacts import ActivityFilter
from moorage_ports.conversations import Conversation, ConversationFilter
from moorage_ports.crm import CrmLead, LeadFilter
from moorage_ports.form_checks import FormCheck
from moorage_ports.inbox import ItemState
from moorage_ports.operations import PublicationStatus, Role
from moorage_ports.outgoing import Endpoint, EndpointState
from moorage_ports.storage import UnitOfWork

RECENT: Final = 5
_DAYS: Final = 14
_COUNTED: Final = 500  # leads looked at for the drawing; with more, it starts where they are all known
_STALE: Final = timedelta(days=3)  # an older post that failed is history
_ATTENTION: Final = frozenset({PublicationStatus.FAILED, PublicationStatus.UNCONFIRMED})


@attrs.frozen(kw_only=True)
class Todo:
    """Something that waits for a person: what, why it matters, and the button that does it."""

    title: str
    text: str
    tone: str
    action: str
    href: str = ""
    connect: str = ""  # a vendor's slug: the button connects it, in place
    post: str = ""  # a path: the button posts to it, and whoever may not connect may not do that either


@attrs.frozen(kw_only=True)
class Day:
    """How many leads came on one day (UTC); `height` is 0 to 100 for the drawing."""

    on: date
    count: int
    height: float


@attrs.frozen(kw_only=True)
class InboxNow:
    """How the inbox stands: what waits, what came today (UTC), what is newest."""

    unread: int
    open: int
    done_today: int
    latest: tuple[Conversation, ...]
    newest_unread: Conversation | None


@get("/", opt=SESSION)
async def overview(visit: VisitHere) -> Answer:
    """The first page."""
    now = visit.desk.now()
    async with visit.services.storage.unit_of_work(visit.org_id, reads_only=True) as uow:
        standings = await all_standings(uow, visit.services.vendors)
        leads = await uow.leads.page(page=1, page_size=_COUNTED, where=LeadFilter(is_test=False))
        publications = await uow.publications.latest(limit=50)
        inbox = await _inbox(uow, now)
        checks = await uow.form_checks.all()
        dead = (await uow.inbox.kept(ItemState.DEAD, page=1, page_size=1)).total
        endpoints = await uow.outgoing.endpoints() if visit.may(Role.ADMIN) else ()
    emails = await visit.services.storage.accounts.emails(visit.org_id)
    names = channel_names(standings)
    posts = post_rows(publications, names, visit.services.vendors)
    days = days_of(leads.items, leads.total, now)
    todos = [
        *connection_todos(standings, now),
        *_gap_todos(checks),
        *_inbox_todos(inbox),
        *_post_todos(posts, now),
        *_kept_todos(dead),
        *_endpoint_todos(endpoints),
    ]
    context = {
        "title": "Overview",
        "standings": standings,
        "todos": todos,
        "leads": leads.items[:RECENT],
        "lead_total": leads.total,
        "leads_today": days[-1].count,
        "days": days,
        "posts": posts[:RECENT],
        "posts_today": sum(1 for row in posts if row.created_at.date() == now.date()),
        "listening": sum(len(standing.heard) for standing in standings),
        "channels": sum(len(standing.selected) for standing in standings),
        "channel_names": names,
        "inbox": inbox,
        "talks": [talk_row(one, visit, names, emails) for one in inbox.latest],
    }
    return visit.page("overview.html", context)


async def _inbox(uow: UnitOfWork, now: datetime) -> InboxNow:
    talks, midnight = uow.conversations, datetime.combine(now.date(), time(), UTC)
    unread = await talks.page(ConversationFilter(is_unread=True), page=1, page_size=1, now=now)
    opened = await talks.page(ConversationFilter(status="open"), page=1, page_size=RECENT, now=now)
    done = await uow.contacts.activity(ActivityFilter(since=midnight), page=1, page_size=1)
    return InboxNow(
        unread=unread.total,
        open=opened.total,
        done_today=done.total,
        latest=opened.items,
        newest_unread=unread.items[0] if unread.items else None,
    )


def _inbox_todos(inbox: InboxNow) -> list[Todo]:
    newest = inbox.newest_unread
    if newest is None:
        return []
    last = newest.last_message
    said = _brief(" ".join(last.text.split())) if last and not last.is_ours else ""  # not what we said
    who, are = newest.contact_name or NAMELESS, "is" if inbox.unread == 1 else "are"
    return [
        Todo(
            title=f"{words.count(inbox.unread, 'conversation')} {are} unread",
            text=f"The newest is from {who}: “{said}”." if said else f"The newest is from {who}.",
            tone="wait",
            action="Read",
            href="/admin/inbox?status=all&unread=1"
            if inbox.unread > 1
            else f"/admin/inbox/{newest.record.id}",
        )
    ]


def _gap_todos(checks: tuple[FormCheck, ...]) -> list[Todo]:
    """Leads that the vendor counts and that nothing brought; gaps that may still close stand below Leads."""
    return [
        Todo(
            title=f"{words.count(check.gap, 'lead')} of {check.name or 'a form'} "
            + ("is missing" if check.gap == 1 else "are missing"),
            text=STAYS_MISSING,
            tone="bad",
            action="See the form",
            href=form_path(check.vendor, check.form_external_id),
        )
        for check in checks
        if check.is_alarming
    ]


def _kept_todos(dead: int) -> list[Todo]:
    if not dead:
        return []
    return [
        Todo(
            title=f"{words.count(dead, 'delivery', 'deliveries')} could not be worked on",
            text="Everything is kept. Try again once the reason is gone; nothing happens twice.",
            tone="bad",
            action="Try again",
            post="/admin/deliveries/replay",
        )
    ]


def _endpoint_todos(endpoints: tuple[Endpoint, ...]) -> list[Todo]:
    """Endpoints that were disabled because nothing arrived any more; a person's own choice is none."""
    return [
        Todo(
            title="Your own CRM is told nothing any more",
            text=f"{failure_words(one.reason)}: {one.description or 'an endpoint'}. {remedy_of(one.reason)}",
            tone="bad",
            action="Look at it",
            href=f"/admin/operations/handover/{one.id}",
        )
        for one in endpoints
        if one.state is EndpointState.DISABLED and one.reason
    ]


def connection_todos(standings: tuple[VendorStanding, ...], now: datetime) -> list[Todo]:
    """What the connections ask of a person, the most urgent first."""
    return [todo for standing in standings if (todo := _connection_todo(standing, now)) is not None]


def _connection_todo(standing: VendorStanding, now: datetime) -> Todo | None:
    href = f"/admin/integrations/{standing.slug}"
    if standing.is_expired:
        text = "Nothing comes in or goes out until somebody connects again. Channels and history are kept."
        return Todo(
            title=f"{standing.title} has to be connected again",
            text=text,
            tone="bad",
            action="Reconnect",
            connect=standing.slug,
        )
    if not standing.is_live or standing.integration is None:
        return None
    if not standing.selected:
        text = "It is connected, but no channel is managed yet, so nothing can arrive."
        return Todo(
            title=f"Choose the channels of {standing.title}",
            text=text,
            tone="wait",
            action="Choose channels",
            href=href,
        )
    ends_at = standing.ends_at(now)
    if ends_at is not None:
        text = f"The permission ends {words.relative(ends_at, now)}. Connecting again renews it."
        title = f"{standing.title} is about to expire"
        return Todo(title=title, text=text, tone="wait", action="Renew", connect=standing.slug)
    if standing.silent:
        who = ", ".join(channel.name for channel in standing.silent[:3])
        more = f" and {len(standing.silent) - 3} more" if len(standing.silent) > 3 else ""
        return Todo(
            title=f"{words.count(len(standing.silent), 'channel')} of {standing.title} can't be heard",
            text=f"News from {who}{more} does not arrive here.",
            tone="wait",
            action="Look at the channels",
            href=href,
        )
    return None


def _post_todos(posts: tuple[PostRow, ...], now: datetime) -> list[Todo]:
    waiting = [row for row in posts if row.status in _ATTENTION and now - row.created_at < _STALE][:3]
    return [
        Todo(
            title="A post failed"
            if row.status is PublicationStatus.FAILED
            else "A post is not confirmed yet",
            text=f"“{_brief(row.excerpt)}” on {row.channel}. "
            + (row.trouble.remedy if row.trouble else "We are looking for it; it is not sent again."),
            tone=row.badge.tone,
            action="Open the post",
            href=f"/admin/posts/{row.id}",
        )
        for row in waiting
    ]


def _brief(text: str) -> str:
    return text if len(text) <= 60 else text[:60].rstrip(" …") + "…"


def days_of(leads: tuple[CrmLead, ...], total: int, now: datetime) -> tuple[Day, ...]:
    """Leads per day for the last two weeks, today last; only days of which every lead was looked at."""
    today = now.date()
    first = today - timedelta(days=_DAYS - 1)
    if len(leads) < total:  # older ones exist that we did not read: their day would be told wrong
        first = max(first, min(lead.created_at.date() for lead in leads) + timedelta(days=1))
        first = min(first, today)
    counts = {first + timedelta(days=offset): 0 for offset in range((today - first).days + 1)}
    for lead in leads:
        if lead.created_at.date() in counts:
            counts[lead.created_at.date()] += 1
    most = max(counts.values()) or 1
    return tuple(Day(on=on, count=number, height=100 * number / most) for on, number in counts.items())
