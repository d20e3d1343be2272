"""What callers may ask of Facebook by name: the platform's names and bodies, bound to neutral operations."""

from datetime import datetime

import attrs
from attrs.validators import deep_iterable, matches_re, max_len, optional

from moorage_facebook.lead_operations import LEAD_OPERATIONS
from moorage_ports.answering_operations import HIDE_COMMENT, REPLY_PRIVATELY, REPLY_TO_COMMENT, SEND_MESSAGE
from moorage_ports.errors import InvalidRequestError, UnsupportedError
from moorage_ports.operations import (
    BEGIN_CONNECT,
    COMPLETE_CONNECT,
    GET_PUBLICATION,
    LIST_CHANNELS,
    PUBLISH,
    SELECT_CHANNELS,
    SYNC_ACTIVITY,
    Binding,
    bind,
)
from moorage_ports.publisher import PublishPost
from moorage_ports.values import is_aware, is_web_url

_MOST_PHOTOS = 10


@attrs.frozen(kw_only=True)
class PostToPage:
    """A post on a Page. Facebook shows photos or a link card: a link beside photos moves into the text.

    `publish_at`: Facebook publishes it then, 10 minutes to 30 days from now. `draft`: it publishes nothing.
    """

    page_id: str = attrs.field(validator=matches_re(r"[0-9]{1,64}"))
    message: str = attrs.field(default="", validator=max_len(63_206))
    link: str | None = attrs.field(default=None, validator=optional(is_web_url))
    image: str | None = attrs.field(default=None, validator=optional(is_web_url))
    images: tuple[str, ...] = attrs.field(
        default=(), validator=[max_len(_MOST_PHOTOS), deep_iterable(is_web_url)]
    )
    video: str | None = attrs.field(default=None, validator=optional(is_web_url))
    publish_at: datetime | None = attrs.field(default=None, validator=is_aware)
    draft: bool = False


def publish_post(body: PostToPage) -> PublishPost:
    """The neutral post.

    Raises:
        InvalidRequestError: There is nothing to post, photos in two places, or a draft with a time.
        UnsupportedError: It has a video.
    """
    if body.video:
        msg = "videos cannot be posted yet"
        raise UnsupportedError(msg, remedy="Post images, or give the video's address as the link.")
    if body.draft and body.publish_at:
        msg = "a draft has no time at which it is published"
        raise InvalidRequestError(msg, fields={"publishAt": "leave out publishAt or draft"})
    if body.image and body.images:
        msg = "give one image or a list of images, not both"
        raise InvalidRequestError(msg, fields={"image": "leave out image or images"})
    if not (body.message.strip() or body.link or body.image or body.images):
        msg = "a post needs a message, a link or an image"
        raise InvalidRequestError(msg, fields={"message": "required unless there is a link or an image"})
    return PublishPost(
        channel_external_id=body.page_id,
        text=body.message,
        link=body.link,
        images=(body.image,) if body.image else body.images,
        publish_at=body.publish_at,
        is_draft=body.draft,
    )


OPERATIONS: tuple[Binding, ...] = (
    bind("get-auth-url", BEGIN_CONNECT),
    bind("complete-connect", COMPLETE_CONNECT),
    bind("list-channels", LIST_CHANNELS),
    bind("select-channels", SELECT_CHANNELS),
    bind(
        "post-to-page",
        PUBLISH,
        request=PostToPage,
        to_neutral=publish_post,
        summary="Publish a post on a Facebook Page.",
    ),
    bind("get-publication", GET_PUBLICATION),
    bind("sync-activity", SYNC_ACTIVITY),
    bind("reply-to-comment", REPLY_TO_COMMENT),
    bind("hide-comment", HIDE_COMMENT),
    bind(
        "private-reply",
        REPLY_PRIVATELY,
        summary="Answer a comment by a message to its author's Messenger or Instagram inbox, once.",
    ),
    bind(
        "send-message",
        SEND_MESSAGE,
        summary="Write to a person on Messenger, Instagram or WhatsApp, within the reply window.",
    ),
    *LEAD_OPERATIONS,
)
