"""Integrations, their grants and channels, as the host keeps them; and connections under way."""

from collections.abc import Collection, Sequence
from datetime import datetime
from enum import Enum
from typing import Protocol

import attrs

from moorage_ports.capabilities import Capability
from moorage_ports.values import is_aware


class IntegrationStatus(Enum):
    """`expired`: the grant is gone, everything else is kept until somebody connects again.

    `pending`: not connected yet, or not since the org changed its app: what it has been granted is another
    app's. Neither may be acted with; what arrives for either is parked.
    """

    ACTIVE = "active"
    PENDING = "pending"
    EXPIRED = "expired"
    INACTIVE = "inactive"


@attrs.frozen(kw_only=True)
class Integration:
    """One org's link to one vendor.

    `app_id` is the app that it was connected with: only that app's signature counts for its channels.
    `capabilities`: what the org wants the vendor for (`None`: all that works). `require_ticket`: only the
    user who began a connection may finish it.
    """

    id: str
    vendor: str
    status: IntegrationStatus
    app_id: str
    granted_scopes: tuple[str, ...] = ()
    missing_scopes: tuple[str, ...] = ()
    notify_emails: tuple[str, ...] = ()
    expires_at: datetime | None = attrs.field(default=None, validator=is_aware)
    data_access_expires_at: datetime | None = attrs.field(default=None, validator=is_aware)
    created_at: datetime = attrs.field(validator=is_aware)
    updated_at: datetime = attrs.field(validator=is_aware)
    name: str = ""  # the org's own words for it
    description: str = ""
    require_ticket: bool = False
    capabilities: tuple[Capability, ...] | None = None


@attrs.frozen(kw_only=True)
class GrantRecord:
    """One person's consent beneath an integration. `subject_index` is a keyed hash: it finds, never tells."""

    id: str
    integration_id: str
    subject_index: str
    connected_by: str  # the platform's own user id of whoever began it
    scopes: tuple[str, ...]
    expires_at: datetime | None = attrs.field(default=None, validator=is_aware)
    data_access_expires_at: datetime | None = attrs.field(default=None, validator=is_aware)
    created_at: datetime = attrs.field(validator=is_aware)
    renewed_at: datetime | None = attrs.field(default=None, validator=is_aware)  # they consented anew


@attrs.frozen(kw_only=True)
class Channel:
    """A place to publish or listen that some grant of the integration covers."""

    id: str
    integration_id: str
    grant_id: str
    vendor: str
    external_id: str
    type: str
    name: str
    selected: bool = False
    subscribed: bool = False
    selectable: bool = True
    reason: str = ""
    missing_scopes: tuple[str, ...] = ()


class Integrations(Protocol):
    """The org's integrations. Lives in a unit of work; sees one org only."""

    async def of_vendor(self, vendor: str) -> Integration | None:
        """The org's integration with `vendor`, whatever its status."""
        ...

    async def get(self, integration_id: str) -> Integration | None:
        """One integration by our id."""
        ...

    async def all(self) -> tuple[Integration, ...]:
        """Every integration of the org, oldest first."""
        ...

    async def save(self, integration: Integration) -> None:
        """Insert or replace."""
        ...

    async def grants(self, integration_id: str) -> tuple[GrantRecord, ...]:
        """The grants beneath it."""
        ...

    async def save_grant(self, grant: GrantRecord) -> None:
        """Insert or replace (one per integration and subject)."""
        ...

    async def remove_grant(self, grant_id: str) -> None:
        """Delete a grant; its secrets are the vault's."""
        ...

    async def channels(self, integration_id: str) -> tuple[Channel, ...]:
        """Its channels, by name."""
        ...

    async def channel(self, vendor: str, external_id: str) -> Channel | None:
        """One channel by the vendor's id."""
        ...

    async def save_channels(self, channels: Sequence[Channel]) -> None:
        """Insert or replace each (one per org, vendor and external id)."""
        ...

    async def remove_channels(self, channel_ids: Collection[str]) -> None:
        """Delete channels by our id."""
        ...


class ConnectMode(Enum):
    """Who finishes: the callback itself, or the user who began, with a ticket."""

    CALLBACK = "callback"
    TICKET = "ticket"


@attrs.frozen(kw_only=True)
class ConnectAttempt:
    """A connection under way: everything the callback must not take from its query."""

    id: str  # random; the state (or ticket) names it through an HMAC
    org_id: str
    user_id: str
    email: str = attrs.field(repr=False)  # of the platform's user, for warnings; may be empty
    vendor: str
    app_id: str
    redirect_uri: str
    return_url: str
    scopes: tuple[str, ...]
    mode: ConnectMode
    session_id: str = ""  # admin UI: only this session's browser may finish
    created_at: datetime = attrs.field(validator=is_aware)
    expires_at: datetime = attrs.field(validator=is_aware)


class ConnectAttempts(Protocol):
    """Connections under way. Not bound to an org: the callback does not know one before it looks here."""

    async def begin(self, attempt: ConnectAttempt) -> None:
        """Keep a new attempt; durable when this returns."""
        ...

    async def consume(self, attempt_id: str, *, vendor: str, now: datetime) -> ConnectAttempt | None:
        """Use it up atomically: of any number of callers at most one gets it.

        `None`: unknown, used, expired, or another vendor's.
        """
        ...

    async def forget_expired(self, now: datetime) -> int:
        """Delete attempts that ran out a day ago or earlier."""
        ...
