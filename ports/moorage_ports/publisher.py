"""`Publisher`: puts a post in front of an audience."""

from datetime import datetime
from typing import Protocol

import attrs
from attrs.validators import deep_iterable, max_len, min_len, optional

from moorage_ports.values import is_web_url


@attrs.frozen(kw_only=True)
class PublishPost:
    """One post as a person wrote it. Media are public URLs that the vendor fetches itself."""

    channel_external_id: str = attrs.field(validator=min_len(1))
    text: str = attrs.field(default="", validator=max_len(63_206))
    link: str | None = attrs.field(default=None, validator=optional(is_web_url))
    images: tuple[str, ...] = attrs.field(default=(), validator=[max_len(10), deep_iterable(is_web_url)])

    def __attrs_post_init__(self) -> None:
        if not (self.text or self.link or self.images):
            msg = "a post needs a text, a link or an image"
            raise ValueError(msg)


@attrs.frozen(kw_only=True)
class PublishedPost:
    """Where the post now lives, in the vendor's own numbering; `notes` say what was changed on the way."""

    external_id: str
    permalink: str | None = None
    notes: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class Preflight:
    """What would happen: `problems` stand in the way, `notes` are changes that the vendor forces."""

    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Publisher(Protocol):
    """Publishes on behalf of one org's integration."""

    async def preflight(self, post: PublishPost) -> Preflight:
        """Check `post` as far as possible without changing anything at the vendor.

        Raises:
            ReauthorizationError: The channel's token is gone.
        """
        ...

    async def publish(self, post: PublishPost) -> PublishedPost:
        """Send `post` once and say where it went.

        Raises:
            ReauthorizationError: The grant is gone; nothing was published.
            MissingScopeError: The grant does not cover publishing; nothing was published.
            RejectedError: The vendor refused the content; nothing was published.
            RateLimitError: Too much just now; nothing was published.
            VendorUnavailableError: The request did not get through; nothing was published.
            OutcomeUnknownError: The request left us and no answer came back.
        """
        ...

    async def find(self, post: PublishPost, *, since: datetime) -> PublishedPost | None:
        """Look for `post` among what stands on the channel since then; how an unknown outcome is settled."""
        ...

    async def withdraw(self, channel_external_id: str, external_id: str) -> None:
        """Take a post down; one that is gone already is no error."""
        ...
