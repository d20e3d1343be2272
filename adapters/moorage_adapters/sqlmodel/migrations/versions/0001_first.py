"""The first schema: keys, integrations, inbox, leads, publications, accounts, jobs."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "account",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("email_digest", sa.LargeBinary(length=16), nullable=False),
        sa.Column("email_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account")),
        sa.UniqueConstraint("email_digest", name=op.f("uq_account_email_digest")),
    )
    op.create_table(
        "connect_attempt",
        sa.Column("id_hash", sa.LargeBinary(), nullable=False),
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("email_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("vendor", sa.Text(), nullable=False),
        sa.Column("app_id", sa.Text(), nullable=False),
        sa.Column("redirect_uri", sa.Text(), nullable=False),
        sa.Column("return_url", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("mode", sa.String(length=16), nullable=False),
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("used_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id_hash", name=op.f("pk_connect_attempt")),
    )
    op.create_index("ix_connect_attempt_expires_at", "connect_attempt", ["expires_at"], unique=False)

    op.create_table(
        "inbox",
        sa.Column("seq", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("vendor", sa.Text(), nullable=False),
        sa.Column("key_digest", sa.LargeBinary(length=16), nullable=False),
        sa.Column("partition_digest", sa.LargeBinary(length=16), nullable=False),
        sa.Column("bucket", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("lease", sa.Integer(), nullable=False),
        sa.Column("last_error", sa.Text(), nullable=False),
        sa.Column("body_sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_inbox")),
        sa.UniqueConstraint("org_id", "vendor", "key_digest", name=op.f("uq_inbox_org_id_vendor_key_digest")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_inbox_parked",
        "inbox",
        ["org_id", "vendor", "bucket"],
        unique=False,
        sqlite_where=sa.text("state = 'parked'"),
        postgresql_where=sa.text("state = 'parked'"),
    )
    op.create_index(
        "ix_inbox_pending",
        "inbox",
        ["org_id", "bucket", "seq", "next_at"],
        unique=False,
        sqlite_where=sa.text("state = 'pending'"),
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_index(
        "ix_inbox_waiting",
        "inbox",
        ["org_id", "bucket", "next_at"],
        unique=False,
        sqlite_where=sa.text("state = 'pending' AND next_at IS NOT NULL"),
        postgresql_where=sa.text("state = 'pending' AND next_at IS NOT NULL"),
    )

    op.create_table(
        "integration",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("vendor", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("app_id", sa.Text(), nullable=False),
        sa.Column("granted_scopes", sa.Text(), nullable=False),
        sa.Column("missing_scopes", sa.Text(), nullable=False),
        sa.Column("notify_emails_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("data_access_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_integration")),
        sa.UniqueConstraint("org_id", "vendor", name=op.f("uq_integration_org_id_vendor")),
    )
    op.create_table(
        "job",
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("group_key", sa.Text(), nullable=False),
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("place", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("queue", "group_key", name=op.f("pk_job")),
    )
    op.create_index("ix_job_line", "job", ["queue", "place"], unique=False)
    op.create_index(
        "ix_job_retry",
        "job",
        ["due_at"],
        unique=False,
        sqlite_where=sa.text("due_at IS NOT NULL"),
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )

    op.create_table(
        "job_pause",
        sa.Column("queue", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("queue", name=op.f("pk_job_pause")),
    )
    op.create_table(
        "job_schedule",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_job_schedule")),
    )
    op.create_table(
        "job_timer",
        sa.Column("queue", sa.Text(), nullable=False),
        sa.Column("group_key", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("queue", "group_key", "at", name=op.f("pk_job_timer")),
    )
    op.create_index("ix_job_timer_at", "job_timer", ["at"], unique=False)

    op.create_table(
        "lead",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("vendor", sa.Text(), nullable=False),
        sa.Column("channel_external_id", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("first_name", sa.Text(), nullable=False),
        sa.Column("last_name", sa.Text(), nullable=False),
        sa.Column("phone", sa.Text(), nullable=False),
        sa.Column("company", sa.Text(), nullable=False),
        sa.Column("search_text", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("form_id", sa.Text(), nullable=False),
        sa.Column("campaign_id", sa.Text(), nullable=False),
        sa.Column("ad_set_id", sa.Text(), nullable=False),
        sa.Column("ad_id", sa.Text(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("is_organic", sa.Boolean(), nullable=True),
        sa.Column("contact_id", sa.Text(), nullable=True),
        sa.Column("properties", sa.Text(), nullable=False),
        sa.Column("submitted_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_lead")),
        sa.UniqueConstraint(
            "org_id", "vendor", "external_id", name=op.f("uq_lead_org_id_vendor_external_id")
        ),
    )
    op.create_index("ix_lead_newest", "lead", ["org_id", "created_at", "id"], unique=False)

    op.create_table(
        "org_key",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("key_no", sa.Integer(), nullable=False),
        sa.Column("kek_id", sa.Text(), nullable=False),
        sa.Column("wrapped", sa.LargeBinary(), nullable=False),
        sa.Column("seals", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("org_id", "key_no", name=op.f("pk_org_key")),
    )
    op.create_index("ix_org_key_kek_id", "org_key", ["kek_id"], unique=False)

    op.create_table(
        "publication",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("integration_id", sa.Text(), nullable=False),
        sa.Column("vendor", sa.Text(), nullable=False),
        sa.Column("post_json", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("permalink", sa.Text(), nullable=True),
        sa.Column("notes", sa.Text(), nullable=False),
        sa.Column("steps_json", sa.Text(), nullable=False),
        sa.Column("error_code", sa.Text(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_publication")),
    )
    op.create_index("ix_publication_newest", "publication", ["org_id", "created_at", "id"], unique=False)
    op.create_index("ix_publication_status", "publication", ["status", "updated_at"], unique=False)

    op.create_table(
        "quarantine",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("vendor", sa.Text(), nullable=False),
        sa.Column("app_id", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("received_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("body_sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quarantine")),
    )
    op.create_index("ix_quarantine_expires_at", "quarantine", ["expires_at"], unique=False)

    op.create_table(
        "remembered_call",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("operation", sa.Text(), nullable=False),
        sa.Column("key_digest", sa.LargeBinary(length=16), nullable=False),
        sa.Column("body_hash", sa.Text(), nullable=False),
        sa.Column("subject_id", sa.Text(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("response_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("org_id", "operation", "key_digest", name=op.f("pk_remembered_call")),
    )
    op.create_index("ix_remembered_call_created_at", "remembered_call", ["created_at"], unique=False)

    op.create_table(
        "secret",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("vendor", sa.Text(), nullable=False),
        sa.Column("owner_type", sa.Text(), nullable=False),
        sa.Column("owner_id", sa.Text(), nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("value_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint(
            "org_id", "vendor", "owner_type", "owner_id", "field", name=op.f("pk_secret")
        ),
    )
    op.create_table(
        "session",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("csrf_token_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("email_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_session")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_session_token_hash")),
    )
    op.create_index("ix_session_account_id", "session", ["account_id"], unique=False)
    op.create_index("ix_session_last_seen_at", "session", ["last_seen_at"], unique=False)

    op.create_table(
        "channel",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("integration_id", sa.Text(), nullable=False),
        sa.Column("grant_id", sa.Text(), nullable=False),
        sa.Column("vendor", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("selected", sa.Boolean(), nullable=False),
        sa.Column("subscribed", sa.Boolean(), nullable=False),
        sa.Column("selectable", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("missing_scopes", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id", "integration_id"],
            ["integration.org_id", "integration.id"],
            name=op.f("fk_channel_integration"),
        ),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_channel")),
        sa.UniqueConstraint(
            "org_id", "vendor", "external_id", name=op.f("uq_channel_org_id_vendor_external_id")
        ),
    )
    op.create_index("ix_channel_owner", "channel", ["vendor", "external_id"], unique=False)

    op.create_table(
        "grant_record",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("integration_id", sa.Text(), nullable=False),
        sa.Column("subject_index", sa.Text(), nullable=False),
        sa.Column("connected_by", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("data_access_expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["org_id", "integration_id"],
            ["integration.org_id", "integration.id"],
            name=op.f("fk_grant_record_integration"),
        ),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_grant_record")),
        sa.UniqueConstraint(
            "org_id",
            "integration_id",
            "subject_index",
            name=op.f("uq_grant_record_org_id_integration_id_subject_index"),
        ),
    )
    op.create_index("ix_grant_record_subject", "grant_record", ["subject_index"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_grant_record_subject", "grant_record")

    op.drop_table("grant_record")
    op.drop_index("ix_channel_owner", "channel")

    op.drop_table("channel")
    op.drop_index("ix_session_last_seen_at", "session")
    op.drop_index("ix_session_account_id", "session")

    op.drop_table("session")
    op.drop_table("secret")
    op.drop_index("ix_remembered_call_created_at", "remembered_call")

    op.drop_table("remembered_call")
    op.drop_index("ix_quarantine_expires_at", "quarantine")

    op.drop_table("quarantine")
    op.drop_index("ix_publication_status", "publication")
    op.drop_index("ix_publication_newest", "publication")

    op.drop_table("publication")
    op.drop_index("ix_org_key_kek_id", "org_key")

    op.drop_table("org_key")
    op.drop_index("ix_lead_newest", "lead")

    op.drop_table("lead")
    op.drop_index("ix_job_timer_at", "job_timer")

    op.drop_table("job_timer")
    op.drop_table("job_schedule")
    op.drop_table("job_pause")
    op.drop_index(
        "ix_job_retry",
        "job",
        sqlite_where=sa.text("due_at IS NOT NULL"),
        postgresql_where=sa.text("due_at IS NOT NULL"),
    )
    op.drop_index("ix_job_line", "job")

    op.drop_table("job")
    op.drop_table("integration")
    op.drop_index(
        "ix_inbox_waiting",
        "inbox",
        sqlite_where=sa.text("state = 'pending' AND next_at IS NOT NULL"),
        postgresql_where=sa.text("state = 'pending' AND next_at IS NOT NULL"),
    )
    op.drop_index(
        "ix_inbox_pending",
        "inbox",
        sqlite_where=sa.text("state = 'pending'"),
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.drop_index(
        "ix_inbox_parked",
        "inbox",
        sqlite_where=sa.text("state = 'parked'"),
        postgresql_where=sa.text("state = 'parked'"),
    )

    op.drop_table("inbox")
    op.drop_index("ix_connect_attempt_expires_at", "connect_attempt")

    op.drop_table("connect_attempt")
    op.drop_table("account")
