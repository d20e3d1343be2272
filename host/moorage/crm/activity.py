"""What people did, on which posts, and what vendors told the channels' owner: as the API shows it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import attrs
from attrs.validators import ge, in_, le, max_len

from moorage.crm.channel_book import ChannelBook, channel_book
from moorage.crm.inbox import MOST_ID
from moorage.crm.merge import message_id_of
from moorage.crm.messages import attachment_view
from moorage.crm.scoring import WEIGHTS, heat_of, score
from moorage.services import Services
from moorage_ports.answering_operations import AttachmentView
from moorage_ports.contacts import Activity, ActivityFilter
from moorage_ports.crm_records import NoticeRecord, PostRecord
from moorage_ports.events import ContactMoment
from moorage_ports.values import is_aware

KINDS: Final = ("comment", "reaction", "share", "mention", *(moment.value for moment in ContactMoment))


@attrs.frozen(kw_only=True)
class ActivityQuery:
    """Which activity: a page (`p`, from 1; `ps` a page) of what fits everything given."""

    p: int = attrs.field(default=1, validator=[ge(1), le(1_000_000)])
    ps: int = attrs.field(default=25, validator=[ge(1), le(500)])
    kind: str = attrs.field(default="", validator=in_(("", *KINDS)))
    vendor: str = attrs.field(default="", validator=max_len(64))
    channel_id: str = attrs.field(default="", validator=max_len(MOST_ID))
    post_external_id: str = attrs.field(default="", validator=max_len(MOST_ID))
    contact_id: str = attrs.field(default="", validator=max_len(64))
    since: datetime | None = attrs.field(default=None, validator=is_aware)
    until: datetime | None = attrs.field(default=None, validator=is_aware)
    search: str = attrs.field(default="", validator=max_len(200), repr=False)


@attrs.frozen(kw_only=True)
class PostQuery:
    """Which posts: a page of those of one channel (our id, or the vendor's), or of all."""

    p: int = attrs.field(default=1, validator=[ge(1), le(1_000_000)])
    ps: int = attrs.field(default=25, validator=[ge(1), le(500)])
    channel_id: str = attrs.field(default="", validator=max_len(MOST_ID))


@attrs.frozen(kw_only=True)
class NoticeQuery:
    """Which notices: a page of all."""

    p: int = attrs.field(default=1, validator=[ge(1), le(1_000_000)])
    ps: int = attrs.field(default=25, validator=[ge(1), le(500)])


@attrs.frozen(kw_only=True)
class ActivityView:
    """What somebody did. `points` is what it adds to their score today; see `moorage.crm.scoring`.

    `external_id` is the comment's or the share's own; of a reaction it is what it is about, which `target`
    calls a post, a comment or a message. `message_id`: the comment is this message of the inbox.
    """

    id: str
    vendor: str
    kind: str
    reaction: str = ""
    text: str = attrs.field(default="", repr=False)
    channel_id: str | None
    post_external_id: str
    external_id: str
    target: str = ""
    message_id: str | None = None
    contact_id: str | None
    contact_name: str = attrs.field(repr=False)
    points: float
    at: datetime = attrs.field(validator=is_aware)


@attrs.frozen(kw_only=True)
class ActivityList:
    """One page of activity, the newest first."""

    items: tuple[ActivityView, ...]
    total: int
    page: int
    page_size: int


@attrs.frozen(kw_only=True)
class PostView:
    """A post on a channel, whoever published it."""

    id: str
    vendor: str
    channel_id: str | None
    external_id: str
    text: str = attrs.field(repr=False)
    attachments: tuple[AttachmentView, ...] = attrs.field(repr=False)
    permalink: str = ""
    shares: int
    hidden: bool
    created_at: datetime | None = attrs.field(validator=is_aware)


@attrs.frozen(kw_only=True)
class PostList:
    """One page of posts, the newest first."""

    items: tuple[PostView, ...]
    total: int
    page: int
    page_size: int


@attrs.frozen(kw_only=True)
class NoticeView:
    """What a vendor told a channel's owner; `kind` and `details` are its own words."""

    id: str
    vendor: str
    channel_id: str | None
    kind: str
    severity: str
    text: str = attrs.field(repr=False)
    details: Mapping[str, str] = attrs.field(repr=False)
    at: datetime = attrs.field(validator=is_aware)


@attrs.frozen(kw_only=True)
class NoticeList:
    """One page of notices, the newest first."""

    items: tuple[NoticeView, ...]
    total: int
    page: int
    page_size: int


async def list_activity(services: Services, org_id: str, query: ActivityQuery) -> ActivityList:
    """One page of what people did."""
    async with services.storage.unit_of_work(org_id, reads_only=True) as uow:
        book = await channel_book(uow)
        wanted = _filter(query, book)
        page = await uow.contacts.activity(wanted, page=query.p, page_size=query.ps)
    now = services.clock.now()
    return ActivityList(
        items=tuple(activity_view(one, book, now) for one in page.items),
        total=page.total,
        page=page.page,
        page_size=page.page_size,
    )


async def list_posts(services: Services, org_id: str, query: PostQuery) -> PostList:
    """One page of the channels' posts."""
    async with services.storage.unit_of_work(org_id, reads_only=True) as uow:
        book = await channel_book(uow)
        channel = book.meant_by(query.channel_id)[1] if query.channel_id else ""
        page = await uow.contacts.posts(page=query.p, page_size=query.ps, channel_external_id=channel)
    return PostList(
        items=tuple(_post_view(one, book) for one in page.items),
        total=page.total,
        page=page.page,
        page_size=page.page_size,
    )


async def list_notices(services: Services, org_id: str, query: NoticeQuery) -> NoticeList:
    """One page of what vendors told the channels' owner."""
    async with services.storage.unit_of_work(org_id, reads_only=True) as uow:
        book = await channel_book(uow)
        page = await uow.contacts.notices(page=query.p, page_size=query.ps)
    return NoticeList(
        items=tuple(_notice_view(one, book) for one in page.items),
        total=page.total,
        page=page.page,
        page_size=page.page_size,
    )


def _filter(query: ActivityQuery, book: ChannelBook) -> ActivityFilter:
    vendor, channel = query.vendor, ""
    if query.channel_id:
        found, channel = book.meant_by(query.channel_id, query.vendor)
        vendor = query.vendor or found
    return ActivityFilter(
        kind=query.kind,
        vendor=vendor,
        channel_external_id=channel,
        post_external_id=query.post_external_id,
        contact_id=query.contact_id,
        since=query.since,
        until=query.until,
        search=query.search,
    )


def activity_view(activity: Activity, book: ChannelBook, now: datetime) -> ActivityView:
    """What somebody did, and what it is worth at `now`."""
    record = activity.record
    is_comment = record.kind == "comment"
    return ActivityView(
        id=record.id,
        vendor=record.vendor,
        kind=record.kind,
        reaction=record.reaction,
        text=record.text,
        channel_id=book.id_of(record.vendor, record.channel_external_id),
        post_external_id=record.post_external_id,
        external_id=record.external_id,
        target=record.target if record.kind == "reaction" else "",
        message_id=message_id_of(record.vendor, record.external_id) if is_comment else None,
        contact_id=activity.contact_id or None,
        contact_name=activity.contact_name,
        points=score(heat_of(record.kind, record.at), now) if record.kind in WEIGHTS else 0.0,
        at=record.at,
    )


def _post_view(post: PostRecord, book: ChannelBook) -> PostView:
    return PostView(
        id=post.id,
        vendor=post.vendor,
        channel_id=book.id_of(post.vendor, post.channel_external_id),
        external_id=post.external_id,
        text=post.text,
        attachments=tuple(map(attachment_view, post.attachments)),
        permalink=post.permalink,
        shares=post.shares,
        hidden=post.is_hidden,
        created_at=post.created_at,
    )


def _notice_view(notice: NoticeRecord, book: ChannelBook) -> NoticeView:
    return NoticeView(
        id=notice.id,
        vendor=notice.vendor,
        channel_id=book.id_of(notice.vendor, notice.channel_external_id),
        kind=notice.kind,
        severity=notice.severity.value,
        text=notice.text,
        details=notice.details,
        at=notice.at,
    )
