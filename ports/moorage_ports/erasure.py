"""Forgetting people: what is known of somebody, what was erased, and that it must not come back.

An erasure leaves a *mark* for each thing that it took: a hash under the org's own key, from which nobody can
tell what it was, and by which a late or repeated word about it is recognised and dropped.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from enum import Enum
from typing import Final, Protocol

import attrs

from moorage_ports.crm_records import IdentityRecord
from moorage_ports.listing import Listing
from moorage_ports.secret import Secret
from moorage_ports.values import is_aware

WAITED_TOO_LONG: Final = "waited_too_long"  # the error of what was given up because nobody worked on it
NOTES_KEPT: Final = timedelta(days=365)  # that and when somebody was erased, without saying whom


def lead_mark(vendor: str, external_id: str) -> str:
    """What a vendor's lead is marked by. Records of the CRM are marked by their own ids."""
    return f"lead/{vendor}/{external_id}"


@attrs.frozen(kw_only=True)
class Traces:
    """Records of the CRM that are about somebody, by id: some of them, until there are none.

    `conversations` are theirs with a channel, or threads that they began; these may hold what others wrote.
    """

    messages: frozenset[str] = frozenset()
    activities: frozenset[str] = frozenset()
    posts: frozenset[str] = frozenset()
    conversations: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.messages or self.activities or self.posts or self.conversations)


@attrs.frozen(kw_only=True)
class TraceCounts:
    """How many records of the CRM go with somebody."""

    messages: int = 0
    activities: int = 0
    posts: int = 0
    conversations: int = 0


@attrs.frozen(kw_only=True)
class KnownPeople:
    """Contacts with all that were joined to them, and everything that they are known by."""

    contact_ids: frozenset[str] = frozenset()
    identities: tuple[IdentityRecord, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.contact_ids or self.identities)


@attrs.frozen(kw_only=True)
class LeadTrace:
    """A lead that is somebody's, with what finds others of theirs."""

    id: str
    vendor: str
    external_id: str
    channel_external_id: str
    form_id: str
    contact_id: str = ""
    email: str = attrs.field(default="", repr=False)
    phone: str = attrs.field(default="", repr=False)


class Cause(Enum):
    """Why something was erased."""

    REQUEST = "request"  # somebody of the org did it
    PERSON = "person"  # the person told the vendor
    RETENTION = "retention"  # its days were over


@attrs.frozen(kw_only=True)
class Erasure:
    """That something was erased, and how many of each kind; not what, and not whom it was about."""

    id: str
    at: datetime = attrs.field(validator=is_aware)
    cause: Cause
    by: str = ""  # the user, if it was one
    removed: Mapping[str, int]


@attrs.frozen(kw_only=True)
class IdleContact:
    """Somebody who was not seen for a while."""

    id: str
    last_seen_at: datetime = attrs.field(validator=is_aware)


class Erasures(Protocol):
    """One org's side of it, in a unit of work."""

    async def mark(self, keys: Collection[str], *, at: datetime) -> None:
        """These were erased; a mark that is there already stays as it is."""
        ...

    async def marked(self, keys: Collection[str]) -> Mapping[str, datetime]:
        """Which of these were erased, and when."""
        ...

    async def known_people(self, contact_ids: Collection[str]) -> KnownPeople:
        """Who these contacts are."""
        ...

    async def contacts_like(self, external_ids: Collection[str], *, vendor: str = "") -> tuple[str, ...]:
        """The contacts with an identity of one of these ids (of this vendor, if it is given).

        Looks through the org's records, as what finds does below: for a unit of work that only reads.
        """
        ...

    async def leads_like(
        self,
        *,
        lead_ids: Collection[str] = (),
        contact_ids: Collection[str] = (),
        emails: Collection[str] = (),
        phones: Collection[str] = (),
        limit: int,
    ) -> tuple[LeadTrace, ...]:
        """Leads with any of these: e-mail addresses whatever their case, phone numbers by their digits."""
        ...

    async def leads_before(self, before: datetime, *, limit: int) -> tuple[LeadTrace, ...]:
        """Leads that came at `before` or earlier, the oldest first."""
        ...

    async def count_leads_before(self, before: datetime) -> int:
        """How many those are."""
        ...

    async def traces(self, identity_ids: Collection[str], *, limit: int) -> Traces:
        """What the CRM has of whoever these identities are, about `limit` of each kind.

        Conversations are among them once there are no messages in them to be named.
        """
        ...

    async def trace_counts(self, identity_ids: Collection[str]) -> TraceCounts:
        """How much goes when all of that is erased: with what stands for it, and what is left empty."""
        ...

    async def idle_contacts(
        self, before: datetime, *, after: IdleContact | None = None, limit: int
    ) -> tuple[IdleContact, ...]:
        """Contacts who were last seen at `before` or earlier, without a lead; the longest unseen first.

        Those behind `after`, if it is given, which need not be there any more.
        """
        ...

    async def count_idle_contacts(self, before: datetime) -> int:
        """How many those are."""
        ...

    async def note(self, erasure: Erasure) -> None:
        """Keep that it happened."""
        ...

    async def noted(self, *, page: int, page_size: int) -> Listing[Erasure]:
        """What happened, the newest first."""
        ...

    async def forget_noted(self, before: datetime) -> int:
        """Delete what was noted earlier; answers how many."""
        ...


# Sealed copies ------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class KeptCopy:
    """A sealed copy of what somebody said, opened. `place` is behind those of all copies before it.

    `name` is what the vendor's plugin called it, if that is known. `is_worked_on`: its effect is to come.
    """

    place: int
    id: str
    vendor: str
    name: str = attrs.field(default="", repr=False)
    body: bytes = attrs.field(repr=False)
    received_at: datetime = attrs.field(validator=is_aware)
    is_worked_on: bool = False


@attrs.frozen(kw_only=True)
class GivenUp:
    """A kept change that waited too long."""

    id: str
    vendor: str


class KeptCopies(Protocol):
    """One org's sealed copies: no column says whom they are about, so they have to be looked through."""

    async def deliveries(self, *, after: int, limit: int) -> tuple[KeptCopy, ...]:
        """Kept changes that have a body, whatever their state. One that does not open is left out."""
        ...

    async def erase_deliveries(self, vendor: str, ids: Collection[str]) -> int:
        """Empty these kept changes; answers how many.

        Nobody works on them any more, whoever is at it cannot settle them, and their keys stay for ever: a
        double is recognised however late it comes.
        """
        ...

    async def ids_of(self, business_keys: Collection[str]) -> tuple[str, ...]:
        """The ids that kept changes of these business keys have, or would have."""
        ...

    async def answers(self, *, after: int, limit: int) -> tuple[KeptCopy, ...]:
        """What calls under an idempotency key were answered."""
        ...

    async def replace_answers(self, ids: Collection[str], *, status: int, response: bytes) -> int:
        """Have these calls answered this from now on; answers how many."""
        ...

    async def shorten(self, settled_before: datetime, *, now: datetime, limit: int) -> int:
        """Forget the bodies of what was done at that moment or earlier; answers how many went."""
        ...

    async def give_up_waiting(
        self, received_before: datetime, *, now: datetime, limit: int
    ) -> tuple[GivenUp, ...]:
        """Give up what came at that moment or earlier and still waits, for a person or for a later try."""
        ...


class AsideCopies(Protocol):
    """What was kept aside as nobody's or unreadable, over all orgs; each call is a transaction."""

    async def some(self, *, after: str, limit: int) -> tuple[KeptCopy, ...]:
        """The next ones behind this id."""
        ...

    async def erase(self, ids: Collection[str]) -> int:
        """Delete these; answers how many."""
        ...


# What a person asks the vendor for ---------------------------------------------------------------


class RequestState(Enum):
    """Where a person's request stands."""

    PENDING = "pending"
    DONE = "done"


@attrs.frozen(kw_only=True)
class DeletionRequest:
    """A person's request to be forgotten by everybody who uses an app, as their vendor passed it on.

    `code` is what they look it up by; whom it is about is sealed, and gone once it is done.
    """

    code: str
    vendor: str
    app_id: str
    subject: Secret | None
    app_org_id: str = ""  # whose own app it is, if it is not the host's
    issued_at: datetime = attrs.field(validator=is_aware)
    received_at: datetime = attrs.field(validator=is_aware)
    state: RequestState = RequestState.PENDING
    done_at: datetime | None = attrs.field(default=None, validator=is_aware)


class DeletionRequests(Protocol):
    """Such requests, over all orgs; each call is a transaction."""

    async def add(self, request: DeletionRequest) -> DeletionRequest:
        """Keep it, durably; answers it, or the one that has its code already.

        Raises:
            UnavailableError: Not kept.
        """
        ...

    async def get(self, vendor: str, code: str) -> DeletionRequest | None:
        """One by its code; without saying whom it is about."""
        ...

    async def pending(
        self, *, after: DeletionRequest | None = None, limit: int
    ) -> tuple[DeletionRequest, ...]:
        """The oldest that are not done, and came behind `after`."""
        ...

    async def finish(self, code: str, *, at: datetime) -> None:
        """It is done: from here on nobody can tell whom it was about."""
        ...

    async def forget_done(self, before: datetime) -> int:
        """Delete those that were done earlier; answers how many."""
        ...


class Offboarding(Protocol):
    """An org that leaves: all that it ever had here."""

    async def count(self, org_id: str) -> Mapping[str, int]:
        """How many rows of each table are its own."""
        ...

    async def remove_some(self, org_id: str) -> Mapping[str, int]:
        """Delete up to a transaction's worth; answers how many of which table, nothing once it is all gone.

        What decides that deliveries are the org's goes first, the org's keys go last.
        """
        ...
