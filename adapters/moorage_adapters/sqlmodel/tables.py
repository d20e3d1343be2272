"""Most tables; `metadata` has all of them. Declarations only: stores use the Core tables below, no ORM.

Every table of a tenant begins its primary key with `org_id`, so that `tenant.Tenant` can bind it and orgs can
be spread over databases later. Index columns hold no personal data: what must be found by such a value is
found by a keyed hash. Columns named `…_sealed` hold what `cipher.OrgKeys.seal` made.
"""

from datetime import datetime

from sqlalchemy import (
    BigInteger,
    Double,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    Text,
    UniqueConstraint,
    literal_column,
    text,
)
from sqlmodel import Field

from moorage_adapters.sqlmodel.schema import BIG_KEY, Base, core, partial
from moorage_adapters.sqlmodel.types import DIGEST, CleanText, EnumValue, TextLists, Texts, UtcDateTime
from moorage_ports.inbox import HeardBy, ItemState
from moorage_ports.integrations import ConnectMode, IntegrationStatus
from moorage_ports.operations import PublicationStatus, Role

# Keys and secrets ----------------------------------------------------------------------------


class OrgKeyRow(Base, table=True):
    """A data key, wrapped by the keyring's key `kek_id`; without it what it sealed cannot be read."""

    __tablename__ = "org_key"

    org_id: str = Field(primary_key=True, sa_type=Text)
    key_no: int = Field(primary_key=True)
    kek_id: str = Field(sa_type=Text, index=True)
    wrapped: bytes = Field(sa_type=LargeBinary)
    seals: int = Field(default=0, sa_type=BigInteger)  # how often it was used, counted in blocks
    created_at: datetime = Field(sa_type=UtcDateTime)


class SecretRow(Base, table=True):
    """One secret of one org and vendor."""

    __tablename__ = "secret"

    org_id: str = Field(primary_key=True, sa_type=Text)
    vendor: str = Field(primary_key=True, sa_type=Text)
    owner_type: str = Field(primary_key=True, sa_type=Text)
    owner_id: str = Field(primary_key=True, sa_type=Text)
    field: str = Field(primary_key=True, sa_type=Text)
    version: int
    value_sealed: bytes = Field(sa_type=LargeBinary)
    updated_at: datetime = Field(sa_type=UtcDateTime)


# Integrations --------------------------------------------------------------------------------


class IntegrationRow(Base, table=True):
    """One org's link to one vendor."""

    __tablename__ = "integration"
    __table_args__ = (UniqueConstraint("org_id", "vendor"),)

    org_id: str = Field(primary_key=True, sa_type=Text)
    id: str = Field(primary_key=True, sa_type=Text)
    vendor: str = Field(sa_type=Text)
    status: IntegrationStatus = Field(sa_type=EnumValue(IntegrationStatus))
    app_id: str = Field(sa_type=Text)
    granted_scopes: tuple[str, ...] = Field(sa_type=Texts)
    missing_scopes: tuple[str, ...] = Field(sa_type=Texts)
    notify_emails_sealed: bytes = Field(sa_type=LargeBinary)
    expires_at: datetime | None = Field(sa_type=UtcDateTime)
    data_access_expires_at: datetime | None = Field(sa_type=UtcDateTime)
    created_at: datetime = Field(sa_type=UtcDateTime)
    updated_at: datetime = Field(sa_type=UtcDateTime)
    name: str = Field(default="", sa_type=CleanText)
    description: str = Field(default="", sa_type=CleanText)
    require_ticket: bool = False
    capabilities: tuple[str, ...] | None = Field(default=None, sa_type=Texts)


class OwnAppRow(Base, table=True):
    """That an org brought an app of its own; an app belongs to one org at most. Secrets are in `secret`."""

    __tablename__ = "own_app"
    __table_args__ = (UniqueConstraint("vendor", "app_id"),)

    org_id: str = Field(primary_key=True, sa_type=Text)
    vendor: str = Field(primary_key=True, sa_type=Text)
    app_id: str = Field(sa_type=Text)
    revision: str = Field(sa_type=Text)
    secret_since: datetime = Field(sa_type=UtcDateTime)
    previous_secret_until: datetime | None = Field(sa_type=UtcDateTime)


class CallCountRow(Base, table=True):
    """What an org's calls of one vendor add up to."""

    __tablename__ = "call_count"

    org_id: str = Field(primary_key=True, sa_type=Text)
    vendor: str = Field(primary_key=True, sa_type=Text)
    total: int = Field(sa_type=BigInteger)
    failed: int = Field(sa_type=BigInteger)
    milliseconds: int = Field(sa_type=BigInteger)
    last_used_at: datetime | None = Field(sa_type=UtcDateTime)


class GrantRow(Base, table=True):
    """One person's consent beneath an integration."""

    __tablename__ = "grant_record"
    __table_args__ = (
        UniqueConstraint("org_id", "integration_id", "subject_index"),
        ForeignKeyConstraint(["org_id", "integration_id"], ["integration.org_id", "integration.id"]),
        Index("ix_grant_record_subject", "subject_index"),
    )

    org_id: str = Field(primary_key=True, sa_type=Text)
    id: str = Field(primary_key=True, sa_type=Text)
    integration_id: str = Field(sa_type=Text)
    subject_index: str = Field(sa_type=Text)
    connected_by: str = Field(sa_type=Text)
    scopes: tuple[str, ...] = Field(sa_type=Texts)
    expires_at: datetime | None = Field(sa_type=UtcDateTime)
    data_access_expires_at: datetime | None = Field(sa_type=UtcDateTime)
    created_at: datetime = Field(sa_type=UtcDateTime)
    renewed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class ChannelRow(Base, table=True):
    """A place to publish or listen. `vendor` and `external_id` are what decides whose a delivery is."""

    __tablename__ = "channel"
    __table_args__ = (
        UniqueConstraint("org_id", "vendor", "external_id"),
        ForeignKeyConstraint(["org_id", "integration_id"], ["integration.org_id", "integration.id"]),
        Index("ix_channel_owner", "vendor", "external_id"),
    )

    org_id: str = Field(primary_key=True, sa_type=Text)
    id: str = Field(primary_key=True, sa_type=Text)
    integration_id: str = Field(sa_type=Text)
    grant_id: str = Field(sa_type=Text)
    vendor: str = Field(sa_type=Text)
    external_id: str = Field(sa_type=Text)
    type: str = Field(sa_type=Text)
    name: str = Field(sa_type=CleanText)
    selected: bool
    subscribed: bool
    selectable: bool
    reason: str = Field(sa_type=CleanText)
    missing_scopes: tuple[str, ...] = Field(sa_type=Texts)


class ConnectAttemptRow(Base, table=True):
    """A connection under way. Neither the id nor the e-mail address can be read from it."""

    __tablename__ = "connect_attempt"

    id_hash: bytes = Field(primary_key=True, sa_type=LargeBinary)
    org_id: str = Field(sa_type=Text)
    user_id: str = Field(sa_type=Text)
    email_sealed: bytes = Field(sa_type=LargeBinary)
    vendor: str = Field(sa_type=Text)
    app_id: str = Field(sa_type=Text)
    redirect_uri: str = Field(sa_type=Text)
    return_url: str = Field(sa_type=Text)
    scopes: tuple[str, ...] = Field(sa_type=Texts)
    mode: ConnectMode = Field(sa_type=EnumValue(ConnectMode))
    session_id: str = Field(sa_type=Text)
    created_at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime, index=True)
    used_at: datetime | None = Field(sa_type=UtcDateTime)


# Inbox ---------------------------------------------------------------------------------------

_PENDING = text("state = 'pending'")
_WAITING = text("state = 'pending' AND next_at IS NOT NULL")


class InboxRow(Base, table=True):
    """One kept change of one org. `key_digest` is its business key, `partition_digest` its partition."""

    __tablename__ = "inbox"
    __table_args__ = (
        UniqueConstraint("org_id", "vendor", "key_digest"),
        partial("ix_inbox_pending", _PENDING, "org_id", "bucket", "seq", "next_at"),
        partial("ix_inbox_waiting", _WAITING, "org_id", "bucket", "next_at"),
        partial("ix_inbox_parked", text("state = 'parked'"), "org_id", "vendor", "bucket"),
        partial("ix_inbox_dead", text("state = 'dead'"), "org_id", "seq"),
        partial("ix_inbox_forget", text("forget_at IS NOT NULL"), "forget_at"),
        {"sqlite_autoincrement": True},
    )

    seq: int | None = Field(default=None, primary_key=True, sa_type=BIG_KEY)
    org_id: str = Field(sa_type=Text)
    vendor: str = Field(sa_type=Text)
    key_digest: bytes = Field(sa_type=DIGEST)
    partition_digest: bytes = Field(sa_type=DIGEST)
    bucket: int
    kind: str = Field(sa_type=CleanText)
    state: ItemState = Field(sa_type=EnumValue(ItemState))
    received_at: datetime = Field(sa_type=UtcDateTime)
    next_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    settled_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    tries: int = 0
    lease: int = 0
    last_error: str = Field(default="", sa_type=CleanText)
    forget_at: datetime | None = Field(default=None, sa_type=UtcDateTime)  # of a settled one: what is next
    is_lasting: bool = False  # its key stays for ever
    heard_by: HeardBy = Field(default=HeardBy.WEBHOOK, sa_type=EnumValue(HeardBy))
    body_sealed: bytes = Field(sa_type=LargeBinary)  # empty once it is forgotten


class InboxDoubleRow(Base, table=True):
    """That a kept change was told again, as a row that nobody waits for: intakes only ever add to it."""

    __tablename__ = "inbox_double"
    __table_args__ = (
        Index("ix_inbox_double_key", "org_id", "vendor", "key_digest"),
        Index("ix_inbox_double_at", "at"),
        {"sqlite_autoincrement": True},
    )

    seq: int | None = Field(default=None, primary_key=True, sa_type=BIG_KEY)
    org_id: str = Field(sa_type=Text)
    vendor: str = Field(sa_type=Text)
    key_digest: bytes = Field(sa_type=DIGEST)
    at: datetime = Field(sa_type=UtcDateTime)


class QuarantineRow(Base, table=True):
    """A verified delivery or change that is nobody's or cannot be read, sealed under the host's key."""

    __tablename__ = "quarantine"

    id: str = Field(primary_key=True, sa_type=Text)
    vendor: str = Field(sa_type=Text)
    app_id: str = Field(sa_type=Text)
    reason: str = Field(sa_type=CleanText)
    received_at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime, index=True)
    body_sealed: bytes = Field(sa_type=LargeBinary)


class LeadCheckpointRow(Base, table=True):
    """Up to when a form's leads are known; with an empty form, since when a channel is listened to."""

    __tablename__ = "lead_checkpoint"

    org_id: str = Field(primary_key=True, sa_type=Text)
    vendor: str = Field(primary_key=True, sa_type=Text)
    channel_external_id: str = Field(primary_key=True, sa_type=Text)
    form_external_id: str = Field(primary_key=True, sa_type=Text)
    since: datetime = Field(sa_type=UtcDateTime)
    checked_at: datetime | None = Field(sa_type=UtcDateTime)
    cursor: str | None = Field(sa_type=CleanText)
    began_at: datetime | None = Field(sa_type=UtcDateTime)


# CRM -----------------------------------------------------------------------------------------


class LeadRow(Base, table=True):
    """A lead as sales people know it. Its columns are plain so that they can be searched.

    `answers_sealed` holds what the vendor told, if anything. `email_digest` and `phone_digest`
    are what others of the same person are found by; `is_digested`: both were made.
    """

    __tablename__ = "lead"
    __table_args__ = (
        UniqueConstraint("org_id", "vendor", "external_id"),
        Index("ix_lead_newest", "org_id", "created_at", "id"),
        Index("ix_lead_form", "org_id", "vendor", "form_id", "id"),
        partial("ix_lead_contact", text("contact_id IS NOT NULL"), "org_id", "contact_id"),
        partial("ix_lead_email", text("email_digest IS NOT NULL"), "org_id", "email_digest"),
        partial("ix_lead_phone", text("phone_digest IS NOT NULL"), "org_id", "phone_digest"),
        partial("ix_lead_undigested", text("NOT is_digested"), "org_id", "id"),
    )

    org_id: str = Field(primary_key=True, sa_type=Text)
    id: str = Field(primary_key=True, sa_type=Text)
    external_id: str = Field(sa_type=Text)
    vendor: str = Field(sa_type=Text)
    channel_external_id: str = Field(sa_type=Text)
    email: str = Field(sa_type=CleanText)
    first_name: str = Field(sa_type=CleanText)
    last_name: str = Field(sa_type=CleanText)
    phone: str = Field(sa_type=CleanText)
    company: str = Field(sa_type=CleanText)
    search_text: str = Field(sa_type=CleanText)  # what `search` looks through, case folded
    status: str = Field(sa_type=CleanText)
    stage: str = Field(sa_type=CleanText)
    assignee: str = Field(sa_type=CleanText)
    source: str = Field(sa_type=CleanText)
    form_id: str = Field(sa_type=Text)
    campaign_id: str = Field(sa_type=Text)
    campaign_name: str = Field(sa_type=CleanText)
    ad_set_id: str = Field(sa_type=Text)
    ad_set_name: str = Field(sa_type=CleanText)
    ad_id: str = Field(sa_type=Text)
    ad_name: str = Field(sa_type=CleanText)
    platform: str = Field(sa_type=CleanText)
    is_organic: bool | None
    is_test: bool
    contact_id: str | None = Field(sa_type=Text)
    duplicate_of: str | None = Field(sa_type=Text)
    properties: dict[str, tuple[str, ...]] = Field(sa_type=TextLists)
    answers_sealed: bytes | None = Field(sa_type=LargeBinary)
    mapping_version: int
    edited: tuple[str, ...] = Field(sa_type=Texts)
    submitted_at: datetime | None = Field(sa_type=UtcDateTime)
    created_at: datetime = Field(sa_type=UtcDateTime)
    updated_at: datetime | None = Field(sa_type=UtcDateTime)
    email_digest: bytes | None = Field(sa_type=DIGEST)
    phone_digest: bytes | None = Field(sa_type=DIGEST)
    is_digested: bool


# Publishing ----------------------------------------------------------------------------------


class PublicationRow(Base, table=True):
    """One attempt to put a post in front of people."""

    __tablename__ = "publication"
    __table_args__ = (
        Index("ix_publication_newest", "org_id", "created_at", "id"),
        Index("ix_publication_status", "status", "updated_at"),
    )

    org_id: str = Field(primary_key=True, sa_type=Text)
    id: str = Field(primary_key=True, sa_type=Text)
    integration_id: str = Field(sa_type=Text)
    vendor: str = Field(sa_type=Text)
    post_json: str = Field(sa_type=CleanText)
    status: PublicationStatus = Field(sa_type=EnumValue(PublicationStatus))
    external_id: str | None = Field(sa_type=Text)
    permalink: str | None = Field(sa_type=Text)
    notes: tuple[str, ...] = Field(sa_type=Texts)
    steps_json: str = Field(sa_type=CleanText)
    error_code: str = Field(sa_type=Text)
    created_by: str = Field(sa_type=Text)
    created_at: datetime = Field(sa_type=UtcDateTime)
    updated_at: datetime = Field(sa_type=UtcDateTime)


class RememberedCallRow(Base, table=True):
    """What an idempotency key stands for."""

    __tablename__ = "remembered_call"

    org_id: str = Field(primary_key=True, sa_type=Text)
    operation: str = Field(primary_key=True, sa_type=Text)
    key_digest: bytes = Field(primary_key=True, sa_type=DIGEST)
    body_hash: str = Field(sa_type=Text)
    subject_id: str = Field(sa_type=Text)
    status: int
    response_sealed: bytes = Field(sa_type=LargeBinary)
    created_at: datetime = Field(sa_type=UtcDateTime, index=True)


# Accounts ------------------------------------------------------------------------------------


class AccountRow(Base, table=True):
    """Somebody who may sign in, found by a keyed hash of their e-mail address."""

    __tablename__ = "account"

    id: str = Field(primary_key=True, sa_type=Text)
    org_id: str = Field(sa_type=Text)
    email_digest: bytes = Field(sa_type=DIGEST, unique=True)
    email_sealed: bytes = Field(sa_type=LargeBinary)
    password_hash: str = Field(sa_type=Text)
    role: Role = Field(sa_type=EnumValue(Role))


class SessionRow(Base, table=True):
    """A signed-in browser."""

    __tablename__ = "session"

    id: str = Field(primary_key=True, sa_type=Text)
    token_hash: str = Field(sa_type=Text, unique=True)
    account_id: str = Field(sa_type=Text, index=True)
    org_id: str = Field(sa_type=Text)
    csrf_token_sealed: bytes = Field(sa_type=LargeBinary)
    email_sealed: bytes = Field(sa_type=LargeBinary)
    role: Role = Field(sa_type=EnumValue(Role))
    created_at: datetime = Field(sa_type=UtcDateTime)
    last_seen_at: datetime = Field(sa_type=UtcDateTime, index=True)
    proved_at: datetime | None = Field(sa_type=UtcDateTime)


# Jobs ----------------------------------------------------------------------------------------


class JobRow(Base, table=True):
    """A group in line at `place`. `version` counts its nudges; `due_at` delays it after a failure."""

    __tablename__ = "job"
    __table_args__ = (
        Index("ix_job_line", "queue", "place"),
        partial("ix_job_retry", text("due_at IS NOT NULL"), "due_at"),
    )

    queue: str = Field(primary_key=True, sa_type=Text)
    group_key: str = Field(primary_key=True, sa_type=Text)
    org_id: str = Field(sa_type=Text)
    version: int = 0
    place: int = Field(sa_type=BigInteger)
    failures: int = 0
    due_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class JobTimerRow(Base, table=True):
    """A look that must not happen before its time; it becomes a nudge when that comes."""

    __tablename__ = "job_timer"

    queue: str = Field(primary_key=True, sa_type=Text)
    group_key: str = Field(primary_key=True, sa_type=Text)
    at: datetime = Field(primary_key=True, sa_type=UtcDateTime, index=True)
    org_id: str = Field(sa_type=Text)


class JobQueueRow(Base, table=True):
    """A queue that somebody paused."""

    __tablename__ = "job_pause"

    queue: str = Field(primary_key=True, sa_type=Text)


class JobScheduleRow(Base, table=True):
    """When a schedule runs next."""

    __tablename__ = "job_schedule"

    name: str = Field(primary_key=True, sa_type=Text)
    next_at: datetime = Field(sa_type=UtcDateTime)


# Vendors' limits: nobody's data, shared by all orgs that use one app ---------------------------


class UsageMeterRow(Base, table=True):
    """How close one meter of one app is to its limit, and until when nobody calls."""

    __tablename__ = "usage_meter"

    vendor: str = Field(primary_key=True, sa_type=Text)
    app_id: str = Field(primary_key=True, sa_type=Text)
    meter: str = Field(primary_key=True, sa_type=Text)
    used: float = Field(sa_type=Double)
    parked_until: datetime | None = Field(sa_type=UtcDateTime)
    strikes: int
    observed_at: datetime = Field(sa_type=UtcDateTime)


ORG_KEY = core(OrgKeyRow)
SECRET = core(SecretRow)
INTEGRATION = core(IntegrationRow)
OWN_APP = core(OwnAppRow)
CALL_COUNT = core(CallCountRow)
GRANT = core(GrantRow)
CHANNEL = core(ChannelRow)
CONNECT_ATTEMPT = core(ConnectAttemptRow)
INBOX = core(InboxRow)
INBOX_DOUBLE = core(InboxDoubleRow)
QUARANTINE = core(QuarantineRow)
LEAD_CHECKPOINT = core(LeadCheckpointRow)
LEAD = core(LeadRow)
PUBLICATION = core(PublicationRow)
REMEMBERED_CALL = core(RememberedCallRow)
ACCOUNT = core(AccountRow)
SESSION = core(SessionRow)
JOB = core(JobRow)
JOB_TIMER = core(JobTimerRow)
JOB_PAUSE = core(JobQueueRow)
JOB_SCHEDULE = core(JobScheduleRow)
USAGE_METER = core(UsageMeterRow)

# A literal, not a parameter: a database uses a partial index only if it sees that the condition holds.
IS_PENDING = INBOX.c.state == literal_column("'pending'", INBOX.c.state.type)
IS_PARKED = INBOX.c.state == literal_column("'parked'", INBOX.c.state.type)
IS_UNDIGESTED = ~LEAD.c.is_digested
