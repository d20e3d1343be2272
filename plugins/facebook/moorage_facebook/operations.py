"""What callers may ask of Facebook by name: the platform's names and bodies, bound to neutral operations."""

import attrs
from attrs.validators import deep_iterable, matches_re, max_len, optional

from moorage_ports.errors import InvalidRequestError
from moorage_ports.operations import (
    BEGIN_CONNECT,
    COMPLETE_CONNECT,
    GET_PUBLICATION,
    LIST_CHANNELS,
    PUBLISH,
    SELECT_CHANNELS,
    Binding,
    bind,
)
from moorage_ports.publisher import PublishPost
from moorage_ports.values import is_web_url

_MOST_PHOTOS = 10


@attrs.frozen(kw_only=True)
class PostToPage:
    """A post on a Page. Facebook shows photos or a link card: a link beside photos moves into the text."""

    page_id: str = attrs.field(validator=matches_re(r"[0-9]{1,64}"))
    message: str = attrs.field(default="", validator=max_len(63_206))
    link: str | None = attrs.field(default=None, validator=optional(is_web_url))
    image: str | None = attrs.field(default=None, validator=optional(is_web_url))
    images: tuple[str, ...] = attrs.field(
        default=(), validator=[max_len(_MOST_PHOTOS), deep_iterable(is_web_url)]
    )


def publish_post(body: PostToPage) -> PublishPost:
    """The neutral post.

    Raises:
        InvalidRequestError: There is nothing to post, or photos in two places.
    """
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
)
