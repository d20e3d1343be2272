"""What the host tells others by webhook: who listens, what there is to tell, and how far each telling is.

Follows Standard Webhooks, https://github.com/standard-webhooks/standard-webhooks.
A message is written in the transaction that made it true; a *handover* is one message on its way to one
endpoint, and is tried until it arrived or was given up. So each arrives at least once, always under its
message's id: who has seen that id has seen the message.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from enum import Enum
from typing import Final, Protocol

import attrs
from attrs.validators import max_len

from moorage_ports.http import HttpAnswer, HttpRequest
from moorage_ports.jobs import Nudge
from moorage_ports.listing import Listing
from moorage_ports.secret import Secret
from moorage_ports.values import is_aware, is_web_url

OUTGOING_QUEUE: Final = "outgoing"
MOST_ENDPOINTS: Final = 20  # of one org

# How long what is settled stays, payload and all. What nobody could deliver goes when it is this old, too.
DELIVERED_KEPT: Final = timedelta(days=7)
DEAD_KEPT: Final = timedelta(days=30)


class EventType(Enum):
    """What a message tells; `ping` tells nothing and tests the way."""

    LEAD_CREATED = "lead.created"
    LEAD_UPDATED = "lead.updated"
    LEAD_DELETED = "lead.deleted"
    PING = "ping"


ANNOUNCED: Final = tuple(one for one in EventType if one is not EventType.PING)


def outgoing_group(org_id: str, endpoint_id: str) -> str:
    """The job group that delivers to an endpoint: one at a time, and a slow one delays nobody else."""
    return f"{org_id}:{endpoint_id}"


def outgoing_nudge(org_id: str, endpoint_id: str) -> Nudge:
    """What makes a worker look at what there is to deliver to an endpoint."""
    return Nudge(queue=OUTGOING_QUEUE, group=outgoing_group(org_id, endpoint_id), org_id=org_id)


class EndpointState(Enum):
    """`paused`: a person's choice, messages wait. `disabled`: it gets none, not even later."""

    ACTIVE = "active"
    PAUSED = "paused"
    DISABLED = "disabled"


@attrs.frozen(kw_only=True)
class SigningSecret:
    """A secret that messages are signed with; one that was replaced signs along until `until`."""

    value: Secret
    until: datetime | None = attrs.field(default=None, validator=is_aware)


@attrs.frozen(kw_only=True)
class Endpoint:
    """Where an org wants to be told. The URL may be a secret of theirs: it is sealed, and never logged.

    No event types means all of them. `failing_since` is when it last began to fail without a success in
    between, `failures` how often it has since, and nothing is sent before `held_until`.
    """

    id: str
    url: str = attrs.field(repr=False, validator=is_web_url)
    event_types: tuple[EventType, ...] = ()
    description: str = attrs.field(default="", validator=max_len(500))
    state: EndpointState = EndpointState.ACTIVE
    reason: str = ""  # why it is disabled: a code
    secrets: tuple[SigningSecret, ...] = attrs.field(repr=False)  # the newest first
    failures: int = 0
    failing_since: datetime | None = attrs.field(default=None, validator=is_aware)
    held_until: datetime | None = attrs.field(default=None, validator=is_aware)
    created_at: datetime = attrs.field(validator=is_aware)
    updated_at: datetime = attrs.field(validator=is_aware)
    rotated_at: datetime | None = attrs.field(default=None, validator=is_aware)

    def listens(self, event_type: EventType) -> bool:
        """Whether it is to be told of that."""
        return event_type is EventType.PING or not self.event_types or event_type in self.event_types

    def signing(self, now: datetime) -> tuple[Secret, ...]:
        """The secrets that sign at that moment, the newest first."""
        return tuple(one.value for one in self.secrets if one.until is None or one.until > now)


class HandoverState(Enum):
    """Where one message on its way to one endpoint stands."""

    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"


@attrs.frozen(kw_only=True)
class Handover:
    """One message on its way to one endpoint. `lease` fences: a settle with an older one is refused.

    `tries` counts claims; `status` is what the last one was answered with, 0 without an answer.
    """

    endpoint_id: str
    message_id: str
    event_type: EventType
    subject_id: str
    state: HandoverState
    tries: int = 0
    lease: int = 0
    created_at: datetime = attrs.field(validator=is_aware)  # the message was
    next_at: datetime | None = attrs.field(default=None, validator=is_aware)  # of a pending one
    tried_at: datetime | None = attrs.field(default=None, validator=is_aware)
    settled_at: datetime | None = attrs.field(default=None, validator=is_aware)
    status: int = 0
    error: str = ""


@attrs.frozen(kw_only=True)
class Parcel:
    """A claimed handover with what is to be handed over: the message's payload as JSON."""

    handover: Handover
    payload: bytes = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class Attempt:
    """What became of one try; `PENDING` and `retry_at`: there is another.

    Not `is_tried`: it was claimed and given back, and counts for nothing.
    """

    handover: Handover
    state: HandoverState
    status: int = 0
    error: str = ""
    retry_at: datetime | None = attrs.field(default=None, validator=is_aware)
    is_tried: bool = True


class Outgoing(Protocol):
    """What one org tells others, in a unit of work."""

    async def announce(self, event_type: EventType, subject_id: str, payload: Mapping[str, object]) -> int:
        """Have every endpoint that listens told of this once the transaction commits; answers how many.

        `subject_id` is what it is about (a lead's id): messages about one thing arrive in order. `payload`
        is JSON. If nobody listens it costs one query per unit of work, and nothing is kept.
        """
        ...

    async def listens(self, event_type: EventType) -> bool:
        """Whether anybody would be told: for who has to gather a payload first. The same one query."""
        ...

    async def ping(self, endpoint_id: str, payload: Mapping[str, object], *, lease_until: datetime) -> Parcel:
        """A message for one endpoint only, claimed by the caller until `lease_until`.

        Raises:
            NotFoundError: There is no such endpoint.
        """
        ...

    async def forget_about(self, subject_ids: Collection[str]) -> int:
        """Delete all messages about these, also those on their way; answers how many that were.

        For who deletes them: nobody may be told afterwards what there is no more.
        """
        ...

    # Endpoints

    async def endpoints(self) -> tuple[Endpoint, ...]:
        """Every endpoint of the org, the oldest first."""
        ...

    async def endpoint(self, endpoint_id: str, *, for_update: bool = False) -> Endpoint | None:
        """One by our id; `for_update`: held until the transaction ends, so that changes follow each other."""
        ...

    async def save_endpoint(self, endpoint: Endpoint) -> None:
        """Insert or replace. What is pending for one that is disabled is given up."""
        ...

    async def delete_endpoint(self, endpoint_id: str) -> bool:
        """Delete it with all that was on its way to it; false if there is none."""
        ...

    # Handovers

    async def claim(
        self, endpoint_id: str, *, limit: int, now: datetime, lease_until: datetime
    ) -> tuple[Parcel, ...]:
        """What is due for an endpoint, longest first, nobody else's until `lease_until`.

        Of each subject only the oldest that is pending, and none while that waits for a later try. None of
        an endpoint that is not active.
        """
        ...

    async def settle(self, attempts: Sequence[Attempt], *, now: datetime) -> tuple[bool, ...]:
        """Record outcomes; for each in turn, false (and nothing changed) if its lease was lost meanwhile."""
        ...

    async def next_due(self, endpoint_id: str) -> datetime | None:
        """When the next claim could find something; `None` if nothing is pending."""
        ...

    async def handovers(
        self, endpoint_id: str, *, page: int, page_size: int, state: HandoverState | None = None
    ) -> Listing[Handover]:
        """What was or is on its way to an endpoint, the newest first."""
        ...

    async def replay(
        self,
        endpoint_id: str,
        *,
        now: datetime,
        message_ids: Collection[str] = (),
        since: datetime | None = None,
        states: Collection[HandoverState] = (),
        limit: int = 1000,
    ) -> int:
        """Make what fits pending again, as if it were new; answers how many. What is pending stays so.

        A test message fits only by its id: it had told what it was sent for.
        """
        ...


class Handovers(Protocol):
    """What is on its way, over all orgs; for the sweep and for retention."""

    async def due_endpoints(self, now: datetime) -> Sequence[tuple[str, str]]:
        """Every (org, endpoint) that something is due for."""
        ...

    async def forget_expired(self, now: datetime) -> int:
        """Delete what has been settled, or has waited, for its days; answers how many handovers that were.

        Raises:
            UnavailableError: The database is out of reach; what is left is deleted the next time.
        """
        ...


class Door(Protocol):
    """The one way out to addresses that somebody else chose: never to this machine or its neighbours.

    HTTPS on its own port only, no redirects, no proxies; each name is resolved once, and only addresses that
    were looked at are connected to.
    """

    async def send(self, request: HttpRequest) -> HttpAnswer:
        """Send once; of the answer no more is read than its head and a little of its body.

        Raises:
            AddressRefusedError: The URL, or an address of its host, is not to be called from here.
            NeverSentError: Nothing left this machine.
            TimedOutError: It left and no answer began before `request.deadline`.
            NoAnswerError: It left and the connection broke before an answer began.
        """
        ...

    async def check(self, url: str) -> None:
        """Refuse early what `send` would refuse. A name that does not resolve (yet) is no reason.

        Raises:
            AddressRefusedError: The URL, or an address of its host, is not to be called from here.
        """
        ...
