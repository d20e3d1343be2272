"""Instagram comments and mentions; its messages have Messenger's shape.

https://developers.facebook.com/docs/graph-api/webhooks/reference/instagram
"""

from typing import Final

from moorage_facebook.graph.values import record
from moorage_facebook.translate.happening import (
    Events,
    Happening,
    first_id,
    flat,
    loose_id,
    notice,
    person_of,
    prose,
)
from moorage_ports.events import CommentSeen, Mentioned

SURFACE: Final = "instagram"


def comment_seen(happening: Happening) -> Events:
    """A comment below a post, a reel, an ad or a live video. Edits and removals are not announced.

    The account's own comments name it as their author, with its scoped id beside.
    """
    value, comment_id = happening.value, loose_id(happening.value.get("id"))
    if not comment_id:
        return None
    author = person_of(value.get("from"), happening.channel)
    is_self = bool(loose_id(record(value.get("from")).get("self_ig_scoped_id")))
    is_ours = author is not None and (is_self or author.external_id == happening.channel)
    parent_id = loose_id(value.get("parent_id"))
    return (
        CommentSeen(
            channel_external_id=happening.channel,
            comment_external_id=comment_id,
            at=happening.at,
            surface=SURFACE,
            post_external_id=loose_id(record(value.get("media")).get("id")),
            parent_external_id="" if parent_id == comment_id else parent_id,
            author=None if is_ours else author,
            is_ours=is_ours,
            text=prose(value.get("text")),
        ),
    )


def mentioned(happening: Happening) -> Events:
    """Somebody named the account in a comment or a caption; who and what, only a call would tell."""
    mention_id = first_id(happening.value, "comment_id", "media_id")
    if not mention_id:
        return None
    return (
        Mentioned(
            channel_external_id=happening.channel,
            mention_external_id=mention_id,
            at=happening.at,
            surface=SURFACE,
            post_external_id=loose_id(happening.value.get("media_id")),
        ),
    )


def story_counted(happening: Happening) -> Events:
    """A story's figures, as it ends. Meta writes -1 for a count below five: that is no figure."""
    figures = {name: words for name, words in flat(happening.value).items() if words != "-1"}
    return (notice(happening, "story_insights", details=figures),) if figures else None
