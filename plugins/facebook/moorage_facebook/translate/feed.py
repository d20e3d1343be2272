"""What happens on a Page's wall: posts, comments, reactions, shares, mentions, reviews.

https://developers.facebook.com/docs/graph-api/webhooks/reference/page
"""

from typing import Final

from moorage_facebook.graph.values import items, record, text, truth
from moorage_facebook.translate.happening import (
    MOST_ATTACHMENTS,
    Events,
    Happening,
    address,
    after,
    attached,
    first_id,
    first_text,
    loose_id,
    name_of,
    notice,
    person_of,
    prose,
)
from moorage_ports.events import (
    Attachment,
    AttachmentType,
    CommentHidden,
    CommentRemoved,
    CommentSeen,
    Mentioned,
    MentionRemoved,
    Person,
    PostRemoved,
    PostSeen,
    PostShared,
    ReactionRemoved,
    ReactionSet,
    Severity,
    Target,
)

SURFACE: Final = "facebook"


def comment_seen(happening: Happening) -> Events:
    """A comment was added or edited; the change carries all of it."""
    value, comment_id = happening.value, loose_id(happening.value.get("comment_id"))
    if not comment_id:
        return None
    author, is_edit = _author(happening), happening.verb != "add"
    is_ours = author is not None and author.external_id == happening.channel
    return (
        CommentSeen(
            channel_external_id=happening.channel,
            comment_external_id=comment_id,
            at=after(happening.changed_at) if is_edit else happening.at,
            surface=SURFACE,
            post_external_id=loose_id(value.get("post_id")),
            parent_external_id=_parent_id(happening, comment_id),
            author=None if is_ours else author,
            is_ours=is_ours,
            created_at=None if is_edit else happening.at,
            is_edit=is_edit,
            text=prose(value.get("message")),
            attachments=_attachments(happening),
            permalink=address(value.get("permalink_url")),
            is_hidden=True if truth(value.get("is_hidden")) else None,
        ),
    )


def comment_hidden(happening: Happening) -> Events:
    """A comment was hidden from others, or is shown again."""
    comment_id = loose_id(happening.value.get("comment_id"))
    if not comment_id:
        return None
    return (
        CommentHidden(
            channel_external_id=happening.channel,
            comment_external_id=comment_id,
            at=happening.changed_at,
            is_hidden=happening.verb == "hide",
        ),
    )


def comment_removed(happening: Happening) -> Events:
    """A comment is gone; the change says neither when it was written nor what it said."""
    comment_id = loose_id(happening.value.get("comment_id"))
    if not comment_id:
        return None
    return (
        CommentRemoved(
            channel_external_id=happening.channel, comment_external_id=comment_id, at=happening.changed_at
        ),
    )


def post_seen(happening: Happening) -> Events:
    """A post was added, edited, hidden or shown; on our wall, a stranger's post names us, too."""
    value, post_id = happening.value, _post_id(happening)
    if not post_id:
        return None
    author, is_new = _author(happening), happening.verb == "add"
    is_ours = author is None or author.external_id == happening.channel
    told = first_text(value, "message", "story")
    seen = PostSeen(
        channel_external_id=happening.channel,
        post_external_id=post_id,
        at=happening.at if is_new else after(happening.changed_at),
        created_at=happening.at if is_new else None,
        author=None if is_ours else author,
        text=told,
        attachments=_attachments(happening),
        permalink=_permalink(happening),
        is_hidden={"hide": True, "unhide": False}.get(happening.verb),
    )
    if is_ours or happening.verb not in {"add", "edited"}:
        return (seen,)
    named = Mentioned(
        channel_external_id=happening.channel,
        mention_external_id=post_id,
        at=seen.at,
        surface=SURFACE,
        person=author,
        text=told,
        post_external_id=post_id,
    )
    return (seen, named)


def post_removed(happening: Happening) -> Events:
    """A post is gone; if it was not our own, so is the mention that it was."""
    post_id, author = _post_id(happening), _author(happening)
    if not post_id:
        return None
    channel, at = happening.channel, happening.changed_at
    removed = PostRemoved(channel_external_id=channel, post_external_id=post_id, at=at)
    if author is not None and author.external_id == channel:
        return (removed,)
    return (removed, MentionRemoved(channel_external_id=channel, mention_external_id=post_id, at=at))


def post_shared(happening: Happening) -> Events:
    """Somebody shared a post. What the Page itself shares (a link) is a post of its own."""
    post_id = first_id(happening.value, "parent_id") or _post_id(happening)
    author = _author(happening)
    if author is not None and author.external_id == happening.channel:
        return post_seen(happening)
    if not post_id:
        return None
    return (
        PostShared(
            channel_external_id=happening.channel,
            post_external_id=post_id,
            share_external_id=loose_id(happening.value.get("share_id")) or happening.fingerprint,
            at=happening.at,
            person=author,
            text=prose(happening.value.get("message")),
        ),
    )


def share_hidden(happening: Happening) -> Events:
    """A share was hidden from the wall, or is shown again."""
    return () if _names_what_was_shared(happening) else post_seen(happening)


def share_removed(happening: Happening) -> Events:
    """A share is gone; what was shared stays. That somebody did share it is still true."""
    return () if _names_what_was_shared(happening) else post_removed(happening)


def reaction_set(happening: Happening) -> Events:
    """A like or a reaction was given, or exchanged for another: dated by when that was done."""
    (target, target_id), person = _target(happening), _author(happening)
    if person is None:
        return ()  # Meta names nobody who did not let it
    return (
        ReactionSet(
            channel_external_id=happening.channel,
            target=target,
            target_external_id=target_id,
            person=person,
            reaction=name_of(happening.value.get("reaction_type")).lower() or "like",
            at=happening.at if happening.verb == "add" else after(happening.at),
            post_external_id=loose_id(happening.value.get("post_id")),
        ),
    )


def reaction_removed(happening: Happening) -> Events:
    """A like or a reaction was taken back."""
    (target, target_id), person = _target(happening), _author(happening)
    if person is None:
        return ()
    return (
        ReactionRemoved(
            channel_external_id=happening.channel,
            target=target,
            target_external_id=target_id,
            person=person,
            at=after(happening.at),
            post_external_id=loose_id(happening.value.get("post_id")),
        ),
    )


def mentioned(happening: Happening) -> Events:
    """Somebody named the Page in a post or a comment of theirs."""
    value = happening.value
    mention_id = loose_id(value.get("comment_id")) or _post_id(happening)
    if not mention_id:
        return None
    return (
        Mentioned(
            channel_external_id=happening.channel,
            mention_external_id=mention_id,
            at=happening.at if happening.verb == "add" else after(happening.changed_at),
            surface=SURFACE,
            person=_author(happening),
            text=prose(value.get("message")),
            post_external_id=_post_id(happening),
            permalink=_permalink(happening),
        ),
    )


def mention_removed(happening: Happening) -> Events:
    """It no longer does."""
    mention_id = loose_id(happening.value.get("comment_id")) or _post_id(happening)
    if not mention_id:
        return None
    return (
        MentionRemoved(
            channel_external_id=happening.channel, mention_external_id=mention_id, at=happening.changed_at
        ),
    )


def reviewed(happening: Happening) -> Events:
    """A review of the Page: a recommendation or stars, with or without words."""
    value, story = happening.value, first_id(happening.value, "open_graph_story_id", "post_id")
    reviewer = {"id": value.get("reviewer_id"), "name": value.get("reviewer_name")}
    verdict = name_of(value.get("recommendation_type")).lower()
    stars = name_of(value.get("rating"))
    words = (verdict, f"{stars}/5" if stars else "", prose(value.get("review_text")))
    if not story and not any(words):
        return None
    return (
        Mentioned(
            channel_external_id=happening.channel,
            mention_external_id=story or happening.fingerprint,
            at=happening.at if happening.verb == "add" else after(happening.changed_at),
            surface=SURFACE,
            person=person_of(reviewer, happening.channel) or _author(happening),
            text=" · ".join(filter(None, words)),
        ),
    )


def review_removed(happening: Happening) -> Events:
    """A review was taken back."""
    story = first_id(happening.value, "open_graph_story_id", "post_id")
    if not story:
        return None
    return (
        MentionRemoved(
            channel_external_id=happening.channel, mention_external_id=story, at=happening.changed_at
        ),
    )


def video_flagged(happening: Happening) -> Events:
    """A video was blocked or muted (for its music, mostly), or is free again."""
    verb = happening.verb
    severity = Severity.INFO if verb.startswith("un") else Severity.PROBLEM
    return (
        notice(happening, f"video.{verb}", severity=severity, told=name_of(happening.value.get("message"))),
    )


def _author(happening: Happening) -> Person | None:
    """Who did it; since v3 in `from`, before that in fields of its own."""
    value = happening.value
    told = value.get("from") or {"id": value.get("sender_id"), "name": value.get("sender_name")}
    return person_of(told, happening.channel)


def _parent_id(happening: Happening, comment_id: str) -> str:
    """The comment that is answered. A parent may also be the post, or a photo of it.

    Ids of posts begin with the Page's; those of comments with their post's own.
    """
    channel, parent_id = f"{happening.channel}_", loose_id(happening.value.get("parent_id"))
    is_post = parent_id.startswith(channel) and not comment_id.startswith(channel)
    return "" if is_post or parent_id in {loose_id(happening.value.get("post_id")), comment_id} else parent_id


def _target(happening: Happening) -> tuple[Target, str]:
    """What a reaction is about: a comment, if one is named; the Page itself, if nothing is."""
    comment_id = loose_id(happening.value.get("comment_id"))
    if comment_id:
        return (Target.COMMENT, comment_id)
    return (Target.POST, first_id(happening.value, "post_id", "parent_id") or happening.channel)


def _post_id(happening: Happening) -> str:
    """The post, or where none is named the thing that was posted."""
    names = ("post_id", "album_id", "photo_id", "video_id", "event_id", "share_id")
    return first_id(happening.value, *names)


def _names_what_was_shared(happening: Happening) -> bool:
    """Whether `post_id` is the post that a stranger shared, rather than the one that their share made."""
    author, post_id = _author(happening), _post_id(happening)
    share_id = loose_id(happening.value.get("share_id"))
    is_ours = author is not None and author.external_id == happening.channel
    is_the_share = bool(share_id) and post_id.rpartition("_")[2] == share_id
    return bool(post_id) and not (is_ours or is_the_share)


def _permalink(happening: Happening) -> str:
    value = happening.value
    return address(value.get("permalink_url")) or address(record(value.get("post")).get("permalink_url"))


def _attachments(happening: Happening) -> tuple[Attachment, ...]:
    """What is attached: `photo` and `video` of a comment, `link` (and `photos`) of a post."""
    value, item = happening.value, text(happening.value.get("item"))
    found = []
    for name, kind in (("photo", AttachmentType.IMAGE), ("video", AttachmentType.VIDEO)):
        if text(value.get(name)):
            found.append(attached(kind, value.get(name), external_id=loose_id(value.get(f"{name}_id"))))
    if text(value.get("link")):
        kind = {"photo": AttachmentType.IMAGE, "video": AttachmentType.VIDEO}.get(item, AttachmentType.LINK)
        found.append(attached(kind, value.get("link"), external_id=first_id(value, "photo_id", "video_id")))
    pictures = [url for url in items(value.get("photos"))[:MOST_ATTACHMENTS] if text(url)]
    return (*found, *(attached(AttachmentType.IMAGE, url) for url in pictures))
