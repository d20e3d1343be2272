"""What webhooks say of comments, reactions and shares: on Pages (`feed`), and on Instagram (`comments`).

https://developers.facebook.com/docs/graph-api/webhooks/reference/page ·
https://developers.facebook.com/docs/graph-api/webhooks/reference/instagram
"""

from moorage_facebook.sandbox.entities import Page, Post
from moorage_facebook.sandbox.faces import author_name
from moorage_facebook.sandbox.jsontext import Json, graph_time
from moorage_facebook.sandbox.news import News, change
from moorage_facebook.sandbox.social import Comment, Face, InstagramAccount, InstagramComment, Reaction, Share
from moorage_facebook.sandbox.state import World


def comment_news(world: World, comment: Comment, verb: str) -> News:
    """A comment was added, edited, hidden, unhidden or removed. A removal does not say what it said."""
    value: dict[str, Json] = {
        "from": _who(world, comment.author_id),
        "post_id": comment.post_id,
        "comment_id": comment.id,
        "created_time": comment.created_at if verb == "add" else world.seconds(),
        "item": "comment",
        "parent_id": comment.parent_id or comment.post_id,
        "verb": verb,
    }
    if verb != "remove":
        post = world.posts.get(comment.post_id)
        value |= {"post": _about(world, post)} if post else {}
        told = (("message", comment.text), ("photo", comment.photo_url), ("video", comment.video_url))
        value |= {name: said for name, said in told if said}
    return change(comment.page_id, "feed", value)


def reaction_news(world: World, reaction: Reaction, verb: str) -> News:
    """A reaction was added, edited (exchanged for another) or removed."""
    value: dict[str, Json] = {
        "from": _who(world, reaction.author_id),
        "parent_id": reaction.post_id,
        "post_id": reaction.post_id,
        "created_time": world.seconds(),
        "item": "reaction",
        "verb": verb,
        "reaction_type": reaction.type.lower(),
    }
    if reaction.target_id != reaction.post_id:
        value["comment_id"] = reaction.target_id
    return change(reaction.page_id, "feed", value)


def share_news(world: World, share: Share) -> News:
    """A person shared a post of the Page."""
    value: dict[str, Json] = {
        "from": _who(world, share.author_id),
        "post_id": share.post_id,
        "share_id": share.id,
        "created_time": share.created_at,
        "item": "share",
        "verb": "add",
        "published": 1,
    }
    return change(share.page_id, "feed", {**value, "message": share.text} if share.text else value)


def instagram_comment_news(world: World, comment: InstagramComment) -> News:
    """A comment on Instagram was added: edits and removals are not told."""
    media = world.instagram_media.get(comment.media_id)
    kind = "FEED" if media is None or media.type != "VIDEO" else "REELS"
    value: dict[str, Json] = {
        "from": {"id": comment.author_id, "username": comment.username},
        "media": {"id": comment.media_id, "media_product_type": kind},
        "id": comment.id,
        "text": comment.text,
    }
    if comment.parent_id:
        value["parent_id"] = comment.parent_id
    return change(comment.page_id, "comments", value, object="instagram", entry_id=comment.account_id)


def mention_news(
    world: World, face: Face, channel: Page | InstagramAccount, text: str, *, inside: bool
) -> News:
    """The channel was named in a stranger's post, or (`inside`) in a comment there.

    Instagram tells neither who did it nor what they said: a call would, if they allow it.
    """
    post, comment = world.new_id(), world.new_id()
    if isinstance(channel, InstagramAccount):
        told = {"media_id": post} | ({"comment_id": comment} if inside else {})
        return change(channel.page_id, "mentions", told, object="instagram", entry_id=channel.id)
    value: dict[str, Json] = {
        "from": {"id": face.id, "name": face.name},
        "post_id": f"{face.id}_{post}",
        "message": text,
        "created_time": world.seconds(),
        "item": "comment" if inside else "post",
        "verb": "add",
    }
    return change(channel.id, "mention", value | ({"comment_id": f"{post}_{comment}"} if inside else {}))


def _who(world: World, author_id: str) -> Json:
    return {"id": author_id, "name": author_name(world, author_id)}


def _about(world: World, post: Post) -> Json:
    kinds = {True: "photo", False: "share" if post.link else "status"}
    return {
        "status_type": "added_photos" if post.photo_ids else "mobile_status_update",
        "is_published": world.is_live(post),
        "updated_time": graph_time(post.updated_at),
        "permalink_url": f"{world.plan.base_url.rstrip('/')}/sandbox/posts/{post.id}",
        "promotion_status": "inactive",
        "type": kinds[bool(post.photo_ids)],
        "id": post.id,
    }
