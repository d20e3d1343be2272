"""`Storage`: the one choke point through which the host reaches its data.

Everything of an org goes through `unit_of_work(org_id)`: one transaction, one tenant. What knows no org
yet (a delivery, an OAuth return, a sign-in) has a named door of its own.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeVar

from moorage_ports.accounts import Accounts
from moorage_ports.activity_sync import SyncStates
from moorage_ports.apps import CallCounts, OwnApps
from moorage_ports.checkpoints import LeadCheckpoints
from moorage_ports.contacts import Contacts
from moorage_ports.conversations import Conversations
from moorage_ports.crm import Leads
from moorage_ports.crm_records import CrmRecords
from moorage_ports.erasure import AsideCopies, DeletionRequests, Erasures, KeptCopies, Offboarding
from moorage_ports.form_checks import FormChecks
from moorage_ports.inbox import Backlog, Inbox, Intake
from moorage_ports.integrations import ConnectAttempts, Integrations
from moorage_ports.jobs import Nudges
from moorage_ports.lead_forms import LeadForms
from moorage_ports.lead_ledger import LeadLedger
from moorage_ports.lead_mapping import LeadMappings
from moorage_ports.lead_orders import Backfills, LeadTests, Remaps
from moorage_ports.outgoing import Handovers, Outgoing
from moorage_ports.profiles import Strangers
from moorage_ports.publications import Publications, RememberedCalls
from moorage_ports.retention import RetentionRules
from moorage_ports.secret import Secret
from moorage_ports.secret_store import SecretStore

T = TypeVar("T")


class UnitOfWork(Protocol):
    """One transaction of one org: all of it becomes true together, or nothing does.

    Await nothing but the database inside one: on a single-writer database everybody else waits.
    """

    @property
    def org_id(self) -> str: ...
    @property
    def integrations(self) -> Integrations: ...
    @property
    def own_apps(self) -> OwnApps: ...
    @property
    def call_counts(self) -> CallCounts: ...
    @property
    def inbox(self) -> Inbox: ...
    @property
    def leads(self) -> Leads: ...
    @property
    def lead_ledger(self) -> LeadLedger: ...
    @property
    def lead_mappings(self) -> LeadMappings: ...
    @property
    def crm_records(self) -> CrmRecords: ...
    @property
    def conversations(self) -> Conversations: ...
    @property
    def contacts(self) -> Contacts: ...
    @property
    def strangers(self) -> Strangers: ...
    @property
    def sync_states(self) -> SyncStates: ...
    @property
    def lead_checkpoints(self) -> LeadCheckpoints: ...
    @property
    def backfills(self) -> Backfills: ...
    @property
    def remaps(self) -> Remaps: ...
    @property
    def lead_tests(self) -> LeadTests: ...
    @property
    def lead_forms(self) -> LeadForms: ...
    @property
    def form_checks(self) -> FormChecks: ...
    @property
    def publications(self) -> Publications: ...
    @property
    def remembered_calls(self) -> RememberedCalls: ...
    @property
    def outgoing(self) -> Outgoing: ...
    @property
    def retention(self) -> RetentionRules: ...
    @property
    def erasures(self) -> Erasures: ...
    @property
    def kept_copies(self) -> KeptCopies: ...
    @property
    def jobs(self) -> Nudges: ...
    def secrets(self, vendor: str) -> SecretStore: ...


class Storage(Protocol):
    """The host's data, whatever database holds it."""

    def unit_of_work(
        self, org_id: str, *, reads_only: bool = False
    ) -> AbstractAsyncContextManager[UnitOfWork]:
        """Commits on leaving, rolls back on an exception.

        Raises:
            UnavailableError: The database is out of reach, locked or full; nothing was written.
            CommitUnknownError: It went away while committing; nobody knows whether that was written.
        """
        ...

    async def at_once(self, org_id: str, work: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        """All of `work` in one unit of work, which it awaits and nothing else; for what is done all the time.

        Where only one may write this holds it up for less: the steps follow each other, possibly on another
        thread, without coming back to the event loop. Whoever is cancelled meanwhile does not stop it.

        Raises:
            UnavailableError: The database is out of reach, locked or full; nothing was written.
            CommitUnknownError: It went away while committing; nobody knows whether that was written.
            RuntimeError: `work` awaited something else; nothing was written. Not every store notices.
        """
        ...

    def secrets(self, org_id: str, vendor: str) -> SecretStore:
        """The same secrets outside a unit of work: each call its own transaction."""
        ...

    async def blind_index(self, label: str, value: Secret) -> str:
        """A keyed hash: equal values have equal ones under one `label`, in every org; it tells nothing.

        What finds a row by something that may not be stored in the clear. The key is the host's.
        """
        ...

    @property
    def intake(self) -> Intake: ...
    @property
    def backlog(self) -> Backlog: ...
    @property
    def handovers(self) -> Handovers: ...
    @property
    def connect_attempts(self) -> ConnectAttempts: ...
    @property
    def accounts(self) -> Accounts: ...
    @property
    def deletion_requests(self) -> DeletionRequests: ...
    @property
    def aside(self) -> AsideCopies: ...
    @property
    def offboarding(self) -> Offboarding: ...

    async def channel_holders(
        self, vendor: str, app_id: str, external_ids: Collection[str]
    ) -> Mapping[str, frozenset[str]]:
        """Which orgs have each of these channels selected, in an integration with this app not inactive.

        Over all orgs, for counting only: a channel's news is switched off when nobody is left.
        """
        ...

    async def grants_of(self, vendor: str, app_id: str, subject_index: str) -> Collection[tuple[str, str]]:
        """Every (org, grant) of one person's consent to this app; over all orgs: they took it from all."""
        ...

    async def orgs(self) -> Sequence[str]:
        """Every org that has ever sealed anything here. Over all orgs, for what is done for each of them."""
        ...

    async def orgs_of_app(self, vendor: str, app_id: str) -> Sequence[str]:
        """Every org that is or was connected with this app."""
        ...

    async def compact_search(self) -> None:
        """Take the words of what was deleted out of the index, too, where it keeps them for a while.

        In many small steps: deliveries do not wait behind it.
        """
        ...

    def forget_keys(self, org_id: str) -> None:
        """The org's keys were deleted: this process may not remember them, either."""
        ...

    async def own_app_marks(self) -> Mapping[tuple[str, str], str]:
        """The revision of every app that an org brought, by (vendor, org). Over all orgs, for caches only."""
        ...

    async def ping(self) -> None:
        """Raises UnavailableError unless the database answers and its schema is current."""
        ...

    async def aclose(self) -> None:
        """Let go of every connection."""
        ...
