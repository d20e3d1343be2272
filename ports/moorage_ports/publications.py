"""Publications as the host keeps them: a durable state machine, checkpointed before each step."""

from datetime import datetime
from typing import Protocol

import attrs

from moorage_ports.operations import PublicationStatus, Step
from moorage_ports.publisher import PublishPost
from moorage_ports.values import is_aware


@attrs.frozen(kw_only=True)
class Publication:
    """One attempt to put a post in front of people."""

    id: str
    integration_id: str
    vendor: str
    post: PublishPost
    status: PublicationStatus
    external_id: str | None = None
    permalink: str | None = None
    notes: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    error_code: str = ""
    created_by: str
    created_at: datetime = attrs.field(validator=is_aware)
    updated_at: datetime = attrs.field(validator=is_aware)


class Publications(Protocol):
    """The org's publications, in a unit of work."""

    async def save(self, publication: Publication) -> None:
        """Insert or replace."""
        ...

    async def get(self, publication_id: str) -> Publication | None:
        """One by our id."""
        ...

    async def latest(self, *, limit: int) -> tuple[Publication, ...]:
        """The newest ones."""
        ...

    async def unsettled(self, *, before: datetime) -> tuple[Publication, ...]:
        """Those `pending`, `publishing` or `unconfirmed` whose last step is older than `before`."""
        ...

    async def known_posts(self, vendor: str, channel_external_id: str, *, since: datetime) -> frozenset[str]:
        """External ids of the posts on a channel that the org's publications account for.

        All whose publication changed at or after `since`: a post made since then is among them.
        """
        ...


@attrs.frozen(kw_only=True)
class RememberedCall:
    """What an Idempotency-Key stands for; `response` is empty while the first call is still running."""

    body_hash: str
    subject_id: str  # the publication (or other record) that the first call made
    status: int = 0
    response: bytes = attrs.field(default=b"", repr=False)
    begun_at: datetime | None = attrs.field(default=None, validator=is_aware)  # filled by `begin`


class RememberedCalls(Protocol):
    """Idempotency keys of the org; they live 7 days, per operation."""

    async def begin(
        self, operation: str, key: str, call: RememberedCall, *, now: datetime
    ) -> RememberedCall | None:
        """Claim `key`; `None` means it is new and now taken, else what it already stands for."""
        ...

    async def finish(self, operation: str, key: str, *, status: int, response: bytes) -> None:
        """Record the first call's answer."""
        ...

    async def forget(self, operation: str, key: str) -> None:
        """Free the key again: the first call did nothing at all."""
        ...

    async def forget_expired(self, now: datetime) -> int:
        """Delete those that lived their days; answers how many."""
        ...
