"""The calls that read and answer comments and reactions, as values.

https://developers.facebook.com/docs/graph-api/reference/page/feed ·
https://developers.facebook.com/docs/graph-api/reference/object/comments ·
https://developers.facebook.com/docs/graph-api/reference/object/reactions ·
https://developers.facebook.com/docs/instagram-platform/instagram-graph-api/reference/ig-media/comments
"""

from datetime import timedelta
from typing import Final

from moorage_facebook.graph.call import PAGES, GraphCall
from moorage_ports.secret import Secret

INSTAGRAM_USE_CASE: Final = "instagram"
LISTED: Final = 100  # posts per call that only counts; the most that Graph lists at once
MOST_NESTED: Final = 100
IG_PAGE: Final = 50  # the most that Instagram lists at once

COMMENT_FIELDS: Final = (
    "id,message,created_time,from{id,name},parent{id},is_hidden,permalink_url,"
    "attachment{type,title,url,media}"
)
REACTION_FIELDS: Final = "id,name,type"
POST_FIELDS: Final = (
    "id,message,created_time,updated_time,permalink_url,is_hidden,shares,from{id,name},"
    "attachments{media_type,title,url,media}"
)
_COUNTS: Final = (
    "comments.filter(stream).limit(0).summary(total_count),reactions.limit(0).summary(total_count)"
)
_REPLY_FIELDS: Final = "id,text,timestamp,username,from{id,username},hidden"
IG_COMMENT_FIELDS: Final = f"{_REPLY_FIELDS},replies.limit({IG_PAGE}){{{_REPLY_FIELDS}}}"
_MEDIA_FIELDS: Final = "id,caption,timestamp,permalink,media_type,comments_count"

_LONG: Final = timedelta(seconds=25)


def posts_counted(page_id: str, token: Secret, *, after: str, limit: int = LISTED) -> GraphCall:
    """`GET /{page}/feed`, newest first: how many comments (replies too) and reactions each post has."""
    return _listing(page_id, "feed", f"{POST_FIELDS},{_COUNTS}", token, after=after, limit=limit)


def posts_expanded(page_id: str, token: Secret, *, after: str, limit: int, nested: int) -> GraphCall:
    """`GET /{page}/feed` with up to `nested` comments and as many reactions inside each post.

    https://developers.facebook.com/docs/graph-api/guides/field-expansion
    """
    comments = f"comments.filter(stream).order(reverse_chronological).limit({nested}).summary(total_count)"
    reactions = f"reactions.limit({nested}).summary(total_count)"
    fields = f"{POST_FIELDS},{comments}{{{COMMENT_FIELDS}}},{reactions}{{{REACTION_FIELDS}}}"
    return _listing(page_id, "feed", fields, token, after=after, limit=limit)


def count_posts(page_id: str, token: Secret) -> GraphCall:
    """`GET /{page}/published_posts`, none of them: only how many there are."""
    query = {"limit": "0", "summary": "total_count"}
    return _reading((page_id, "published_posts"), query, token, after="", owner=page_id, use_case=PAGES)


def count_media(account_id: str, token: Secret) -> GraphCall:
    """`GET /{ig}`: how many media there are."""
    return GraphCall(
        path=(account_id,),
        query={"fields": "media_count"},
        token=token,
        owner=account_id,
        use_case=INSTAGRAM_USE_CASE,
    )


def post_comments(page_id: str, post_id: str, token: Secret, /, *, after: str, limit: int) -> GraphCall:
    """`GET /{post}/comments`: of all levels, newest first."""
    query = {
        "fields": COMMENT_FIELDS,
        "filter": "stream",
        "order": "reverse_chronological",
        "limit": str(limit),
    }
    return _reading((post_id, "comments"), query, token, after=after, owner=page_id, use_case=PAGES)


def post_reactions(page_id: str, post_id: str, token: Secret, /, *, after: str, limit: int) -> GraphCall:
    """`GET /{post}/reactions`: who reacted, and how."""
    query = {"fields": REACTION_FIELDS, "limit": str(limit)}
    return _reading((post_id, "reactions"), query, token, after=after, owner=page_id, use_case=PAGES)


def media_counted(account_id: str, token: Secret, *, after: str, limit: int = LISTED) -> GraphCall:
    """`GET /{ig}/media`, newest first: how many comments each has."""
    query = {"fields": _MEDIA_FIELDS, "limit": str(limit)}
    return _reading(
        (account_id, "media"), query, token, after=after, owner=account_id, use_case=INSTAGRAM_USE_CASE
    )


def media_comments(account_id: str, media_id: str, token: Secret, /, *, after: str, limit: int) -> GraphCall:
    """`GET /{media}/comments` with their replies, newest first."""
    query = {"fields": IG_COMMENT_FIELDS, "limit": str(min(limit, IG_PAGE))}
    return _reading(
        (media_id, "comments"), query, token, after=after, owner=account_id, use_case=INSTAGRAM_USE_CASE
    )


def comment_replies(
    account_id: str, comment_id: str, token: Secret, /, *, after: str, limit: int
) -> GraphCall:
    """`GET /{comment}/replies` on Instagram."""
    query = {"fields": _REPLY_FIELDS, "limit": str(min(limit, IG_PAGE))}
    return _reading(
        (comment_id, "replies"), query, token, after=after, owner=account_id, use_case=INSTAGRAM_USE_CASE
    )


def answer_comment(channel_id: str, comment_id: str, text: str, token: Secret, *, edge: str) -> GraphCall:
    """`POST /{comment}/comments` (`/replies` on Instagram)."""
    return GraphCall(
        method="POST",
        path=(comment_id, edge),
        data={"message": text},
        expects=frozenset({"id"}),
        token=token,
        owner=channel_id,
        use_case=INSTAGRAM_USE_CASE if edge == "replies" else PAGES,
    )


def hide_comment(
    channel_id: str, comment_id: str, token: Secret, *, field: str, is_hidden: bool
) -> GraphCall:
    """`POST /{comment}?is_hidden=` (`hide=` on Instagram); may be sent twice."""
    return GraphCall(
        method="POST",
        path=(comment_id,),
        data={field: "true" if is_hidden else "false"},
        expects=frozenset({"success"}),
        token=token,
        is_repeatable=True,
        owner=channel_id,
        use_case=INSTAGRAM_USE_CASE if field == "hide" else PAGES,
    )


def _listing(page_id: str, edge: str, fields: str, token: Secret, *, after: str, limit: int) -> GraphCall:
    query = {"fields": fields, "limit": str(limit)}
    return _reading((page_id, edge), query, token, after=after, owner=page_id, use_case=PAGES)


def _reading(
    path: tuple[str, ...], query: dict[str, str], token: Secret, *, after: str, owner: str, use_case: str
) -> GraphCall:
    return GraphCall(
        path=path,
        query={**query, "after": after} if after else query,
        token=token,
        expects=frozenset({"data"}),
        owner=owner,
        use_case=use_case,
        deadline=_LONG,
    )
