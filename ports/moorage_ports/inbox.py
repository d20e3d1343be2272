"""The webhook inbox: kept before it is understood.

`Intake` is the door (no org known yet, durable when it returns); `Inbox` is one org's side of it, in a
unit of work, for the worker.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from enum import Enum
from typing import Final, Protocol

import attrs

from moorage_ports.jobs import Nudge
from moorage_ports.listing import Listing
from moorage_ports.values import is_aware
from moorage_ports.webhooks import Change

INBOX_QUEUE: Final = "inbox"

# How long what is settled stays: vendors repeat themselves for a week, so the key outlives the body.
BODY_KEPT: Final = timedelta(days=7)
KEY_KEPT: Final = timedelta(days=30)
DEAD_KEPT: Final = timedelta(days=90)  # the whole of it, for somebody to find out why and replay it


def inbox_group(org_id: str, bucket: int) -> str:
    """The job group that works on a bucket of an org's inbox."""
    return f"{org_id}:{bucket}"


def inbox_nudge(org_id: str, bucket: int) -> Nudge:
    """What makes a worker look at a bucket of an org's inbox."""
    return Nudge(queue=INBOX_QUEUE, group=inbox_group(org_id, bucket), org_id=org_id)


class HeardBy(Enum):
    """How a change came here. `unknown`: before that was noted."""

    WEBHOOK = "webhook"
    RECONCILE = "reconcile"  # looked for, because its delivery did not come
    BACKFILL = "backfill"  # somebody asked for what was there before
    TEST = "test"
    HAND = "hand"  # somebody here wrote it
    UNKNOWN = "unknown"


@attrs.frozen(kw_only=True)
class Arrival:
    """A verified delivery, split. `narrow_to` (an org id) can only take owners away, never add one."""

    vendor: str
    app_id: str
    received_at: datetime = attrs.field(validator=is_aware)
    changes: tuple[Change, ...]
    narrow_to: str | None = None
    heard_by: HeardBy = HeardBy.WEBHOOK


@attrs.frozen(kw_only=True)
class Unreadable:
    """A verified delivery that could not be split: kept aside whole, sealed under the host's key."""

    vendor: str
    app_id: str
    received_at: datetime = attrs.field(validator=is_aware)
    reason: str
    body: bytes = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class Kept:
    """What became of a delivery's changes: rows written, seen before, nobody's (kept aside for 7 days)."""

    stored: int = 0
    duplicates: int = 0
    orphaned: int = 0


class Intake(Protocol):
    """Takes deliveries in. Owners are found by content: channel rows with one of a change's owner keys."""

    async def keep(self, arrival: Arrival) -> Kept:
        """One row per owning org and change; returns only when all of them are durable.

        A delivery of many changes may be stored in several steps, so that others are between them.
        A change whose (org, vendor, business key) is known is a duplicate and changes nothing; that it came
        again by webhook is counted.
        A change that no org owns is kept aside.

        Raises:
            UnavailableError: Not stored, or of many changes only the first ones, duplicates the next
                time: answer 503 and let the vendor come back.
        """
        ...

    async def keep_aside(self, unreadable: Unreadable) -> None:
        """Keep what cannot be split; durable when this returns.

        Raises:
            UnavailableError: Not stored.
        """
        ...

    async def forget_expired(self, now: datetime) -> int:
        """Delete what was kept aside and has been there for its 7 days; answers how many that were.

        Raises:
            UnavailableError: The database is out of reach; what is left is deleted the next time.
        """
        ...

    async def forget_settled(self, now: datetime) -> int:
        """Forget what nobody works on any more, over all orgs; answers of how many items something went.

        The body of what is done goes after `BODY_KEPT`, the rest after `KEY_KEPT`, unless its key is to stay
        (`Settlement.is_lasting`); what was given up goes whole, after `DEAD_KEPT`.

        Raises:
            UnavailableError: The database is out of reach; what is left is forgotten the next time.
        """
        ...


class ItemState(Enum):
    """Where an inbox row stands. `parked`: waits until a person connects again."""

    PENDING = "pending"
    PARKED = "parked"
    DONE = "done"
    DEAD = "dead"


@attrs.frozen(kw_only=True)
class InboxItem:
    """One kept change, claimed for work. `lease` fences: a settle with an older one is refused.

    `tries` counts claims, this one included.
    """

    id: str
    vendor: str
    kind: str
    partition: str
    body: bytes = attrs.field(repr=False)
    received_at: datetime = attrs.field(validator=is_aware)
    tries: int
    lease: int
    heard_by: HeardBy = HeardBy.WEBHOOK


@attrs.frozen(kw_only=True)
class Settlement:
    """What becomes of a claimed item (`PENDING` and `retry_at`: a retry; without an error: no try).

    `is_lasting`: once it is done, its key is never forgotten, so that a double is one however late it comes.
    """

    item: InboxItem
    state: ItemState
    error: str = ""
    retry_at: datetime | None = None
    is_lasting: bool = False


@attrs.frozen(kw_only=True)
class SettledItem:
    """One kept change that nobody works on any more, for people: what it was and what became of it."""

    id: str
    vendor: str
    kind: str
    state: ItemState
    received_at: datetime = attrs.field(validator=is_aware)
    settled_at: datetime = attrs.field(validator=is_aware)
    tries: int
    error: str = ""


@attrs.frozen(kw_only=True)
class KeptItem:
    """One kept change, for people, whatever its state; `retry_at` is of one that waits for a later try."""

    id: str
    vendor: str
    kind: str
    state: ItemState
    received_at: datetime = attrs.field(validator=is_aware)
    settled_at: datetime | None = attrs.field(default=None, validator=is_aware)
    retry_at: datetime | None = attrs.field(default=None, validator=is_aware)
    tries: int
    error: str = ""


class Inbox(Protocol):
    """One org's kept changes."""

    async def claim(self, bucket: int, *, limit: int, now: datetime) -> tuple[InboxItem, ...]:
        """The oldest pending items of a bucket that are due, leased to the caller.

        Order holds within a partition: one whose oldest item waits for a retry is left out.
        """
        ...

    async def settle(self, settlements: Sequence[Settlement], *, now: datetime) -> tuple[bool, ...]:
        """Record outcomes; for each in turn, false (and nothing changed) if its lease was lost meanwhile."""
        ...

    async def unpark(self, vendor: str, *, now: datetime, with_waiting: bool = True) -> tuple[int, ...]:
        """Make parked items of `vendor` pending again, and due those that wait for a later try.

        The latter only `with_waiting`. For when something changed there. Each begins as if it had just
        come. Answers the buckets that have work now.
        """
        ...

    async def revive(self, vendor: str, business_keys: Collection[str], *, now: datetime) -> tuple[int, ...]:
        """Make pending, as if they had just come, what of these is dead, parked or waits for a later try.

        For when the vendor shows them (again). One that is done, due or unknown is left alone. Answers the
        buckets that have work now.
        """
        ...

    async def settled(
        self,
        *,
        states: Collection[ItemState],
        before: datetime,
        ids: Collection[str] = (),
        vendor: str = "",
        kind: str = "",
        error: str = "",
        form_external_id: str = "",
        since: datetime | None = None,
        until: datetime | None = None,
        limit: int = 500,
    ) -> tuple[SettledItem, ...]:
        """The oldest items that are `done` or `dead` since before `before`; of `ids`, if any are given.

        `vendor`, `kind` and `error` (the code of what went wrong last), where given, have to be the item's.
        With a form only those that tell of a lead of it, as far as the ledger knows. `since` and `until`
        bound when they were received.
        Those whose body is forgotten are not among them.
        """
        ...

    async def kept(
        self, state: ItemState, *, page: int, page_size: int, vendor: str = ""
    ) -> Listing[KeptItem]:
        """What is in that state, the newest first; of one vendor, if it is given."""
        ...

    async def replay(self, items: Collection[SettledItem], *, now: datetime) -> tuple[int, ...]:
        """Make settled items pending again, as if they had just come; answers the buckets that have work now.

        One that is pending or parked by now, or whose body is forgotten, is left alone. Replaying what had
        its effect has none again.
        """
        ...


class Backlog(Protocol):
    """What is waiting, over all orgs; for the sweep, for metrics and for readiness."""

    async def pending_groups(self, now: datetime) -> Sequence[tuple[str, int]]:
        """Every (org, bucket) that has items due."""
        ...

    async def unsettled_publications(self, before: datetime) -> Sequence[tuple[str, str]]:
        """Every (org, publication) that is `publishing` or `unconfirmed` and not changed since `before`."""
        ...

    async def pending_attempts(self, before: datetime) -> Sequence[tuple[str, str, str]]:
        """Every (org, vendor, attempt) to send a message that is `pending` and was begun before `before`."""
        ...

    async def oldest_pending_at(self) -> datetime | None:
        """When the oldest unprocessed item was received, also of those that wait for a retry."""
        ...

    async def pending_count(self) -> int:
        """How many items are unprocessed, those that wait for a retry included."""
        ...

    async def listening_channels(self) -> Sequence[tuple[str, str, str]]:
        """Every (org, vendor, channel's external id) that is selected, can be acted as and is connected."""
        ...

    async def strangers_due(self, vendors: Collection[str], now: datetime) -> Sequence[tuple[str, str]]:
        """Every (org, vendor of these) that is connected and has people without a name to be asked about."""
        ...

    async def backfills_due(self, now: datetime) -> Sequence[tuple[str, str]]:
        """Every (org, backfill) that is not over, and not told to wait beyond `now`."""
        ...

    async def running_remaps(self) -> Sequence[tuple[str, str]]:
        """Every (org, re-mapping of a form's past leads) that is not over."""
        ...

    async def missing_leads(self) -> Mapping[str, int]:
        """How many leads are missing, by vendor: the gaps between its counts and ours that alarm."""
        ...
