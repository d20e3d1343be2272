"""Instagram comments and mentions; its messages have Messenger's shape.

https://developers.facebook.com/docs/graph-api/webhooks/reference/instagram
"""

from typing import Final

from moorage_facebook.graph.values import record, text
from moorage_facebook.translate.happening import Events, Happening, flat, loose_id, notice, person_of
from moorage_ports.events import CommentSeen, Mentioned

SURFACE: Final = "instagram"


def comment_seen(happening: Happening) -> Events:
    """A comment below a post, a reel, an ad or a live video. Edits and removals are not announced."""
    value, comment_id = happening.value, loose_id(happening.value.get("id"))
    if not comment_id:
        return ()
    author = person_of(value.get("from"), happening.channel)
    is_ours = author is not None and author.external_id == happening.channel
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
            text=text(value.get("text")),
        ),
    )


def mentioned(happening: Happening) -> Events:
    """Somebody named the account in a comment or a caption; who and what, only a call would tell."""
    media_id, comment_id = (loose_id(happening.value.get(name)) for name in ("media_id", "comment_id"))
    if not media_id and not comment_id:
        return ()
    return (
        Mentioned(
            channel_external_id=happening.channel,
            mention_external_id=comment_id or media_id,
            at=happening.at,
            surface=SURFACE,
            post_external_id=media_id,
        ),
    )


def story_counted(happening: Happening) -> Events:
    """A story's figures, as it ends. Meta writes -1 for a count below five: that is no figure."""
    figures = {name: words for name, words in flat(happening.value).items() if words != "-1"}
    return (notice(happening, "story_insights", details=figures),)
