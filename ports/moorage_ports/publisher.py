"""`Publisher`: puts a post in front of an audience."""

from datetime import datetime
from typing import Protocol

import attrs
from attrs.validators import deep_iterable, max_len, min_len, optional

from moorage_ports.values import is_aware, is_web_url


@attrs.frozen(kw_only=True)
class PublishPost:
    """One post as a person wrote it. Media are public URLs that the vendor fetches itself.

    `publish_at`: the vendor keeps it until then. `is_draft`: the vendor keeps it, nobody else sees it.
    """

    channel_external_id: str = attrs.field(validator=min_len(1))
    text: str = attrs.field(default="", validator=max_len(63_206))
    link: str | None = attrs.field(default=None, validator=optional(is_web_url))
    images: tuple[str, ...] = attrs.field(default=(), validator=[max_len(10), deep_iterable(is_web_url)])
    publish_at: datetime | None = attrs.field(default=None, validator=is_aware)
    is_draft: bool = False

    def __attrs_post_init__(self) -> None:
        if not (self.text or self.link or self.images):
            msg = "a post needs a text, a link or an image"
            raise ValueError(msg)
        if self.is_draft and self.publish_at:
            msg = "a draft has no time at which it is published"
            raise ValueError(msg)

    @property
    def is_visible_at_once(self) -> bool:
        """Whether people are to see it as soon as the vendor has it."""
        return not self.is_draft and self.publish_at is None


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


@attrs.frozen(kw_only=True)
class PostState:
    """How a post stands at the vendor now."""

    is_visible: bool
    permalink: str | None = None


class Publisher(Protocol):
    """Publishes on behalf of one org's integration.

    The host calls `prepare`, writes down that it is about to publish, then calls `publish`: what goes wrong
    before that note did nothing that people can see and may be done again; what goes wrong after it may
    have published, and is looked for with `find`.
    """

    async def preflight(self, post: PublishPost) -> Preflight:
        """Check `post` as far as possible without changing anything at the vendor.

        Raises:
            ReauthorizationError: The channel's token is gone.
        """
        ...

    async def prepare(self, post: PublishPost) -> tuple[str, ...]:
        """Do whatever comes before publishing and shows nothing to anybody: put media in, say.

        Answers what `publish` needs of it, in the vendor's own numbering. It may be done again.

        Raises:
            InvalidRequestError: The vendor would refuse the post as it is.
            ReauthorizationError: The grant is gone.
            MissingScopeError: The grant does not cover publishing.
            RejectedError: The vendor refused some of it.
            RateLimitError: Too much just now.
            VendorUnavailableError: The vendor is out of reach, or an answer was lost.
        """
        ...

    async def publish(self, post: PublishPost, parts: tuple[str, ...] = ()) -> PublishedPost:
        """Send `post` once and say where it went, as soon as that is known.

        `parts` are what `prepare` answered; without them it prepares by itself. A draft or a post for later
        is kept by the vendor, unseen.

        Raises:
            ReauthorizationError: The grant is gone; nothing was published.
            MissingScopeError: The grant does not cover publishing; nothing was published.
            RejectedError: The vendor refused the content; nothing was published.
            RateLimitError: Too much just now; nothing was published.
            VendorUnavailableError: The request did not get through; nothing was published.
            OutcomeUnknownError: The request left us and no answer came back.
        """
        ...

    async def check(self, channel_external_id: str, external_id: str) -> PostState:
        """How a post stands now, and where people see it.

        Raises:
            VendorNotFoundError: It is gone.
            VendorUnavailableError: The vendor does not say just now.
        """
        ...

    async def find(
        self, post: PublishPost, *, since: datetime, known: frozenset[str] = frozenset()
    ) -> PublishedPost | None:
        """Look for `post` among what stands on the channel since then; how an unknown outcome is settled.

        `known` are external ids of posts that something else accounts for: the same words may hang there
        twice, and each post answers for one attempt only. Of several others the earliest is the one.
        """
        ...

    async def withdraw(self, channel_external_id: str, external_id: str) -> None:
        """Take a post down; one that is gone already is no error."""
        ...
