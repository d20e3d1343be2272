"""`SqlStorage`: the host's data over SQL, one unit of work per transaction and org."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import cached_property, partial
from typing import TypeVar

from moorage_adapters.cipher import HOST, EnvelopeCipher, Keyring
from moorage_adapters.sqlmodel import inbox as inbox_rows
from moorage_adapters.sqlmodel import keys as key_rows
from moorage_adapters.sqlmodel.accounts import SqlAccounts
from moorage_adapters.sqlmodel.checkpoints import SqlLeadCheckpoints, listening_channels
from moorage_adapters.sqlmodel.connects import SqlConnectAttempts
from moorage_adapters.sqlmodel.crm_contacts import SqlContacts
from moorage_adapters.sqlmodel.crm_conversations import SqlConversations, pending_attempts
from moorage_adapters.sqlmodel.crm_records import SqlCrmRecords
from moorage_adapters.sqlmodel.crm_search import compact
from moorage_adapters.sqlmodel.crm_strangers import SqlStrangers, strangers_due
from moorage_adapters.sqlmodel.database import Database, Transaction, unavailable
from moorage_adapters.sqlmodel.deletion_requests import SqlDeletionRequests
from moorage_adapters.sqlmodel.erasure import SqlErasures
from moorage_adapters.sqlmodel.inbox import SqlInbox
from moorage_adapters.sqlmodel.intake import SqlIntake
from moorage_adapters.sqlmodel.integrations import SqlIntegrations, channel_holders, grants_of, orgs_of_app
from moorage_adapters.sqlmodel.kept_copies import SqlAsideCopies, SqlKeptCopies
from moorage_adapters.sqlmodel.keys import TransactionKeys
from moorage_adapters.sqlmodel.lead_forms import SqlLeadForms
from moorage_adapters.sqlmodel.lead_ledger import SqlLeadLedger
from moorage_adapters.sqlmodel.lead_mappings import SqlLeadMappings
from moorage_adapters.sqlmodel.lead_orders import (
    SqlBackfills,
    SqlFormChecks,
    SqlLeadTests,
    SqlRemaps,
    backfills_due,
    missing_leads,
    running_remaps,
)
from moorage_adapters.sqlmodel.leads import SqlLeads
from moorage_adapters.sqlmodel.nudges import Bell, SqlNudges
from moorage_adapters.sqlmodel.offboarding import SqlOffboarding
from moorage_adapters.sqlmodel.outgoing import SqlHandovers, SqlOutgoing
from moorage_adapters.sqlmodel.own_apps import SqlCallCounts, SqlOwnApps, own_app_marks
from moorage_adapters.sqlmodel.postgres import PostgresDatabase
from moorage_adapters.sqlmodel.postgres_connections import is_postgres
from moorage_adapters.sqlmodel.publications import SqlPublications, SqlRememberedCalls, unsettled_everywhere
from moorage_adapters.sqlmodel.retention import SqlRetentionRules
from moorage_adapters.sqlmodel.revision import current_revision, head
from moorage_adapters.sqlmodel.secret_store import SqlSecrets, SqlSecretStore
from moorage_adapters.sqlmodel.sqlite import SqliteDatabase, sqlite_path
from moorage_adapters.sqlmodel.sync_states import SqlSyncStates
from moorage_adapters.sqlmodel.tenant import OrgGate
from moorage_ports.clock import Clock
from moorage_ports.secret import Secret
from moorage_ports.storage import UnitOfWork

T = TypeVar("T")

_REWRAP_AT_ONCE = 200


class SqlUnitOfWork:
    """`moorage_ports.storage.UnitOfWork`: one transaction of one org."""

    def __init__(self, gate: OrgGate, bell: Bell, clock: Clock) -> None:
        self._gate = gate
        self._bell = bell
        self._clock = clock

    @property
    def org_id(self) -> str:
        """Whose transaction it is."""
        return self._gate.org_id

    @cached_property
    def integrations(self) -> SqlIntegrations:
        """The org's integrations."""
        return SqlIntegrations(self._gate)

    @cached_property
    def own_apps(self) -> SqlOwnApps:
        """The apps that the org brought."""
        return SqlOwnApps(self._gate)

    @cached_property
    def call_counts(self) -> SqlCallCounts:
        """What the org's calls add up to."""
        return SqlCallCounts(self._gate)

    @cached_property
    def inbox(self) -> SqlInbox:
        """The org's kept changes."""
        return SqlInbox(self._gate)

    @cached_property
    def leads(self) -> SqlLeads:
        """The org's leads."""
        return SqlLeads(self._gate)

    @cached_property
    def lead_ledger(self) -> SqlLeadLedger:
        """How the org's leads got here."""
        return SqlLeadLedger(self._gate)

    @cached_property
    def lead_mappings(self) -> SqlLeadMappings:
        """How the answers of the org's forms become leads."""
        return SqlLeadMappings(self._gate)

    @cached_property
    def crm_records(self) -> SqlCrmRecords:
        """What the org's people say and do, to merge events into."""
        return SqlCrmRecords(self._gate)

    @cached_property
    def conversations(self) -> SqlConversations:
        """The org's conversations, to read."""
        return SqlConversations(self._gate)

    @cached_property
    def contacts(self) -> SqlContacts:
        """The org's contacts and their activity, to read."""
        return SqlContacts(self._gate)

    @cached_property
    def strangers(self) -> SqlStrangers:
        """The org's people without a name."""
        return SqlStrangers(self._gate)

    @cached_property
    def lead_checkpoints(self) -> SqlLeadCheckpoints:
        """How far the org's leads are known."""
        return SqlLeadCheckpoints(self._gate)

    @cached_property
    def backfills(self) -> SqlBackfills:
        """Leads that the org ordered to be read."""
        return SqlBackfills(self._gate)

    @cached_property
    def remaps(self) -> SqlRemaps:
        """Past leads that the org ordered to be mapped anew."""
        return SqlRemaps(self._gate)

    @cached_property
    def lead_tests(self) -> SqlLeadTests:
        """Leads that the org made to try things out."""
        return SqlLeadTests(self._gate)

    @cached_property
    def lead_forms(self) -> SqlLeadForms:
        """The org's forms as they were last read."""
        return SqlLeadForms(self._gate)

    @cached_property
    def form_checks(self) -> SqlFormChecks:
        """What the leads of the org's forms add up to."""
        return SqlFormChecks(self._gate)

    @cached_property
    def sync_states(self) -> SqlSyncStates:
        """How far the org's channels are synced."""
        return SqlSyncStates(self._gate)

    @cached_property
    def publications(self) -> SqlPublications:
        """The org's publications."""
        return SqlPublications(self._gate)

    @cached_property
    def remembered_calls(self) -> SqlRememberedCalls:
        """The org's idempotency keys."""
        return SqlRememberedCalls(self._gate)

    @cached_property
    def outgoing(self) -> SqlOutgoing:
        """What the org tells others."""
        return SqlOutgoing(self._gate, self.jobs, self._clock)

    @cached_property
    def retention(self) -> SqlRetentionRules:
        """What the org keeps for how long."""
        return SqlRetentionRules(self._gate)

    @cached_property
    def erasures(self) -> SqlErasures:
        """What is known of somebody, and what was erased."""
        return SqlErasures(self._gate)

    @cached_property
    def kept_copies(self) -> SqlKeptCopies:
        """The org's sealed copies of what people said."""
        return SqlKeptCopies(self._gate)

    @cached_property
    def jobs(self) -> SqlNudges:
        """Nudges that become visible with this transaction."""
        return SqlNudges(self._gate, self._bell)

    def secrets(self, vendor: str) -> SqlSecretStore:
        """The org's secrets with one vendor, within this transaction."""
        return SqlSecretStore(self._gate, vendor, self._clock)


class SqlBacklog:
    """`moorage_ports.inbox.Backlog`: what is waiting, over all orgs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def pending_groups(self, now: datetime) -> Sequence[tuple[str, int]]:
        """Every (org, bucket) that has items due."""
        return await self._database.read_at_once(
            lambda connection: inbox_rows.pending_groups(connection, now)
        )

    async def unsettled_publications(self, before: datetime) -> Sequence[tuple[str, str]]:
        """Every (org, publication) that is `publishing` or `unconfirmed` and not changed since `before`."""
        return await self._database.read_at_once(lambda connection: unsettled_everywhere(connection, before))

    async def pending_attempts(self, before: datetime) -> Sequence[tuple[str, str, str]]:
        """Every (org, vendor, attempt) to send a message that is `pending` and was begun before `before`."""
        return await self._database.read_at_once(lambda connection: pending_attempts(connection, before))

    async def oldest_pending_at(self) -> datetime | None:
        """When the oldest unprocessed item was received."""
        return await self._database.read_at_once(inbox_rows.oldest_pending_at)

    async def pending_count(self) -> int:
        """How many items are unprocessed, those that wait for a retry included."""
        return await self._database.read_at_once(inbox_rows.pending_count)

    async def listening_channels(self) -> Sequence[tuple[str, str, str]]:
        """Every (org, vendor, channel's external id) that is selected, can be acted as and is connected."""
        return await self._database.read_at_once(listening_channels)

    async def strangers_due(self, vendors: Collection[str], now: datetime) -> Sequence[tuple[str, str]]:
        """Every (org, vendor of these) that is connected and has people without a name to be asked about."""
        return await self._database.read_at_once(lambda connection: strangers_due(connection, vendors, now))

    async def backfills_due(self, now: datetime) -> Sequence[tuple[str, str]]:
        """Every (org, backfill) that is not over, and not told to wait beyond `now`."""
        return await self._database.read_at_once(lambda connection: backfills_due(connection, now))

    async def running_remaps(self) -> Sequence[tuple[str, str]]:
        """Every (org, re-mapping of a form's past leads) that is not over."""
        return await self._database.read_at_once(running_remaps)

    async def missing_leads(self) -> Mapping[str, int]:
        """How many leads are missing, by vendor: the gaps that alarm."""
        return await self._database.read_at_once(missing_leads)


class SqlStorage:
    """`moorage_ports.storage.Storage`. Make it with `open`, after `migrate.upgrade`."""

    def __init__(self, database: Database, keyring: Keyring, clock: Clock, *, head: str) -> None:
        self.database = database
        self.cipher = EnvelopeCipher(keyring)
        self.bell = Bell()
        self._clock = clock
        self._head = head
        self._host_secrets: dict[tuple[str, str], SqlSecrets] = {}
        self.intake = SqlIntake(database, self.cipher, clock, self.bell)
        self.backlog = SqlBacklog(database)
        self.handovers = SqlHandovers(database)
        self.connect_attempts = SqlConnectAttempts(database, self.cipher, clock)
        self.accounts = SqlAccounts(database, self.cipher, clock)
        self.deletion_requests = SqlDeletionRequests(database, self.cipher, clock)
        self.aside = SqlAsideCopies(database, self.cipher, clock)
        self.offboarding = SqlOffboarding(database)

    @classmethod
    async def open(
        cls,
        url: str,
        keyring: Keyring,
        clock: Clock,
        *,
        on_fatal: Callable[[], None] | None = None,
    ) -> "SqlStorage":
        """Open the database that `url` (`sqlite:///PATH`, `postgresql://USER:PASSWORD@HOST/DATABASE`) names.

        `on_fatal` is called once when the disk failed to keep a promise: nothing can be acknowledged any more
        and the process must end, so that its successor recovers from what is really there.

        Raises:
            UnsafeDatabaseError: The database cannot promise durability, or the URL names none.
            UnavailableError: It cannot be opened.
        """
        database: Database
        if is_postgres(url):
            database = await PostgresDatabase.open(url)
        else:
            database = await SqliteDatabase.open(sqlite_path(url), on_fatal)
        return cls(database, keyring, clock, head=head())

    @asynccontextmanager
    async def unit_of_work(self, org_id: str, *, reads_only: bool = False) -> AsyncIterator[SqlUnitOfWork]:
        """One transaction of one org: commits on leaving, rolls back on an exception.

        Raises:
            UnavailableError: The database is out of reach, locked or full; nothing was written.
        """
        async with self._gate(org_id, reads_only=reads_only) as gate:
            yield SqlUnitOfWork(gate, self.bell, self._clock)

    async def at_once(self, org_id: str, work: Callable[[UnitOfWork], Awaitable[T]]) -> T:
        """All of `work` in one unit of work, which it awaits and nothing else.

        Raises:
            UnavailableError: The database is out of reach, locked or full; nothing was written.
        """

        async def whole(transaction: Transaction) -> T:
            transaction.after_commit.append(keys.publish)
            return await work(SqlUnitOfWork(OrgGate(transaction, org_id, keys), self.bell, self._clock))

        keys = TransactionKeys(self.cipher, self._clock)
        return await self.database.write_through(whole, org_id=org_id)

    def secrets(self, org_id: str, vendor: str) -> SqlSecrets:
        """One org's secrets with one vendor, each call a transaction of its own."""

        @asynccontextmanager
        async def store(reads_only: bool) -> AsyncIterator[SqlSecretStore]:  # noqa: FBT001 - a callback
            async with self._gate(org_id, reads_only=reads_only) as gate:
                yield SqlSecretStore(gate, vendor, self._clock)

        return SqlSecrets(store)

    @asynccontextmanager
    async def _gate(self, org_id: str, *, reads_only: bool) -> AsyncIterator[OrgGate]:
        keys = TransactionKeys(self.cipher, self._clock)
        if reads_only:
            async with self.database.read(org_id=org_id) as transaction:
                yield OrgGate(transaction, org_id, keys)
            keys.publish()
            return
        async with self.database.write(org_id=org_id) as transaction:
            transaction.after_commit.append(keys.publish)
            yield OrgGate(transaction, org_id, keys)

    async def blind_index(self, label: str, value: Secret) -> str:
        """A keyed hash: equal values have equal ones under one `label`, in every org; it tells nothing."""
        keys = TransactionKeys(self.cipher, self._clock)
        host = self.cipher.cached(HOST)
        if host is None:
            host = await self.database.write_at_once(lambda connection: keys.sealing(connection, HOST))
            keys.publish()
        return host.digest(label, value.reveal()).hex()

    async def channel_holders(
        self, vendor: str, app_id: str, external_ids: Collection[str]
    ) -> Mapping[str, frozenset[str]]:
        """Which orgs have each of these channels selected, in an integration with this app not inactive."""
        return await self.database.read_at_once(
            lambda connection: channel_holders(connection, vendor, app_id, external_ids)
        )

    async def grants_of(self, vendor: str, app_id: str, subject_index: str) -> Collection[tuple[str, str]]:
        """Every (org, grant) of one person's consent to this app."""
        return await self.database.read_at_once(
            lambda connection: grants_of(connection, vendor, app_id, subject_index)
        )

    async def orgs(self) -> Sequence[str]:
        """Every org that has ever sealed anything here."""
        return await self.database.read_at_once(key_rows.orgs_with_keys)

    async def orgs_of_app(self, vendor: str, app_id: str) -> Sequence[str]:
        """Every org that is or was connected with this app."""
        return await self.database.read_at_once(lambda connection: orgs_of_app(connection, vendor, app_id))

    async def compact_search(self) -> None:
        """Take the words of what was deleted out of the index, too, in many small steps."""
        is_first = True
        while await self.database.write_at_once(partial(compact, begins=is_first)):
            is_first = False

    def forget_keys(self, org_id: str) -> None:
        """The org's keys were deleted: this process may not remember them, either."""
        self.cipher.forget(org_id)

    async def own_app_marks(self) -> Mapping[tuple[str, str], str]:
        """The revision of every app that an org brought, by (vendor, org)."""
        return await self.database.read_at_once(own_app_marks)

    async def ping(self) -> None:
        """Raises UnavailableError unless the database answers, is sound, and its schema is current."""
        self.database.refuse_if_broken()
        current = await self.database.read_at_once(current_revision)
        if current != self._head:
            raise unavailable("not of this version: run `moorage migrate`")

    async def aclose(self) -> None:
        """Let go of every connection, after what is being written."""
        await self.intake.aclose()
        await self.database.aclose()

    # Keys ------------------------------------------------------------------------------------

    async def rewrap_keys(self, progress: Callable[[int], None] = lambda _: None) -> int:
        """Wrap every data key that an old key of the keyring wraps under the primary one; answers how many.

        `progress` is told how many are done, again and again.

        Touches no sealed value, may run while the host works, and goes on where it was interrupted.

        Raises:
            SealError: A data key does not unwrap: the key that wraps it is not in the keyring.
        """
        done = 0
        while True:
            some = await self.database.write_at_once(
                lambda connection: key_rows.rewrap_some(connection, self.cipher, limit=_REWRAP_AT_ONCE)
            )
            if not some:
                return done
            done += some
            progress(done)

    async def renew_key(self, org_id: str) -> int:
        """Seal what comes from now on under a fresh data key; answers its number.

        Raises:
            SealError: The org has sealed nothing yet.
        """
        number = await self.database.write_at_once(
            lambda connection: key_rows.mint_next(connection, org_id, self.cipher, self._clock)
        )
        self.cipher.forget(org_id)
        return number

    async def shred(self, org_id: str) -> None:
        """Make all that the org ever sealed unreadable, also in copies of this database."""
        await self.database.write_at_once(lambda connection: key_rows.shred(connection, org_id))
        self.cipher.forget(org_id)

    async def keys_by_kek(self) -> Mapping[str, int]:
        """How many data keys each key of the keyring wraps; one with none may be removed from it."""
        return await self.database.read_at_once(key_rows.counts_by_kek)
