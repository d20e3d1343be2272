"""From Graph's posts, comments and reactions to neutral events. Pure; what makes no sense is left out."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from moorage_facebook.graph.paging import Node
from moorage_facebook.graph.values import integer, moment, node_id, record, records, text, truth
from moorage_facebook.translate.happening import MOST_ATTACHMENTS, address, name_of, prose
from moorage_ports.events import (
    Attachment,
    AttachmentType,
    CommentSeen,
    CrmEvent,
    Person,
    PostSeen,
    ReactionSet,
    Target,
)

FACEBOOK: Final = "facebook"
INSTAGRAM: Final = "instagram"

_MOST_SHARES: Final = 10**12
_TYPES: Final = {
    "photo": AttachmentType.IMAGE,
    "album": AttachmentType.IMAGE,
    "sticker": AttachmentType.STICKER,
    "animated_image_share": AttachmentType.IMAGE,
    "animated_image_autoplay": AttachmentType.IMAGE,
    "video": AttachmentType.VIDEO,
    "video_inline": AttachmentType.VIDEO,
    "video_autoplay": AttachmentType.VIDEO,
    "link": AttachmentType.LINK,
    "share": AttachmentType.LINK,
}


def post_seen(node: Node, page_id: str, at: datetime) -> PostSeen | None:
    """A post on a Page; `None` if it has no id."""
    post_id = node_id(node.get("id"))
    if not post_id:
        return None
    shares = integer(record(node.get("shares")).get("count"))
    attached = records(record(node.get("attachments")).get("data"))
    return PostSeen(
        channel_external_id=page_id,
        post_external_id=post_id,
        at=at,
        created_at=moment(node.get("created_time")),
        author=_person(node.get("from"), page_id),
        text=prose(node.get("message")),
        attachments=tuple(map(_attachment, attached[:MOST_ATTACHMENTS])),
        permalink=address(node.get("permalink_url")),
        is_hidden=truth(node.get("is_hidden")),
        shares=shares if shares is not None and 0 <= shares <= _MOST_SHARES else None,
    )


def comment_seen(node: Node, post_id: str, page_id: str, at: datetime) -> CommentSeen | None:
    """A comment on a Page's post, or an answer to one; `None` if it has no id."""
    comment_id = node_id(node.get("id"))
    if not comment_id:
        return None
    parent_id, attachment = node_id(record(node.get("parent")).get("id")), record(node.get("attachment"))
    return CommentSeen(
        channel_external_id=page_id,
        comment_external_id=comment_id,
        at=at,
        surface=FACEBOOK,
        post_external_id=post_id,
        parent_external_id="" if parent_id == post_id else parent_id,
        author=_person(node.get("from"), page_id),
        is_ours=node_id(record(node.get("from")).get("id")) == page_id,
        created_at=moment(node.get("created_time")),
        text=prose(node.get("message")),
        attachments=(_attachment(attachment),) if attachment else (),
        permalink=address(node.get("permalink_url")),
        is_hidden=truth(node.get("is_hidden")),
    )


def reaction_set(node: Node, post_id: str, page_id: str, at: datetime) -> ReactionSet | None:
    """Who reacted to a post, and how. Graph does not say when: `at` is when it was found there."""
    person, reaction = _person(node, page_id), name_of(node.get("type")).lower()
    if person is None or not reaction:
        return None
    return ReactionSet(
        channel_external_id=page_id,
        target=Target.POST,
        target_external_id=post_id,
        person=person,
        reaction=reaction,
        at=at,
        is_exact=False,
        post_external_id=post_id,
    )


def media_seen(node: Node, account_id: str, at: datetime) -> PostSeen | None:
    """A picture or video on an Instagram account; `None` if it has no id."""
    media_id = node_id(node.get("id"))
    if not media_id:
        return None
    return PostSeen(
        channel_external_id=account_id,
        post_external_id=media_id,
        at=at,
        created_at=moment(node.get("timestamp")),
        text=prose(node.get("caption")),
        permalink=address(node.get("permalink")),
    )


def media_comments_seen(node: Node, media_id: str, account_id: str, at: datetime) -> Iterator[CrmEvent]:
    """A comment on Instagram and the replies that came with it."""
    comment_id = node_id(node.get("id"))
    if not comment_id:
        return
    yield _media_comment(node, comment_id, media_id, "", account_id, at)
    for reply in records(record(node.get("replies")).get("data")):
        yield from reply_seen(reply, comment_id, media_id, account_id, at)


def reply_seen(
    node: Node, parent_id: str, media_id: str, account_id: str, at: datetime
) -> Iterator[CrmEvent]:
    """A reply to a comment on Instagram."""
    reply_id = node_id(node.get("id"))
    if reply_id:
        yield _media_comment(node, reply_id, media_id, parent_id, account_id, at)


def _media_comment(
    node: Node, comment_id: str, media_id: str, parent_id: str, account_id: str, at: datetime
) -> CommentSeen:
    who = record(node.get("from"))
    author_id, handle = node_id(who.get("id")), name_of(who.get("username")) or name_of(node.get("username"))
    is_ours = author_id == account_id
    author = None
    if author_id and not is_ours:
        author = Person(external_id=author_id, realm=account_id, handle=handle)
    return CommentSeen(
        channel_external_id=account_id,
        comment_external_id=comment_id,
        at=at,
        surface=INSTAGRAM,
        post_external_id=media_id,
        parent_external_id=parent_id,
        author=author,
        is_ours=is_ours,
        created_at=moment(node.get("timestamp")),
        text=prose(node.get("text")),
        is_hidden=truth(node.get("hidden")),
    )


def seconds_of(value: object) -> int:
    """A moment in whole Unix seconds; 0 if there is none."""
    found = moment(value)
    return int(found.timestamp()) if found is not None else 0


def _person(value: object, page_id: str) -> Person | None:
    """Somebody; not the Page itself, and not those whom Graph does not name."""
    who = record(value)
    person_id = node_id(who.get("id"))
    if not person_id or person_id == page_id:
        return None
    return Person(external_id=person_id, realm=page_id, name=name_of(who.get("name")))


def _attachment(node: Node) -> Attachment:
    kind = text(node.get("media_type")) or text(node.get("type"))
    media = record(node.get("media"))
    picture = address(record(media.get("image")).get("src"))
    return Attachment(
        type=_TYPES.get(kind.lower(), AttachmentType.OTHER),
        url=address(media.get("source")) or picture or address(node.get("url")),
        title=name_of(node.get("title")),
    )
