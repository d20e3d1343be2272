"""Leads that know their answers and their mapping, and the ledger of how each got here."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)
_BIG_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TEXT = ("assignee", "campaign_name", "ad_set_name", "ad_name")
_INDEXES = {
    "ix_lead_form": ("lead", ["org_id", "vendor", "form_id", "id"], None),
    "ix_lead_contact": ("lead", ["org_id", "contact_id"], sa.text("contact_id IS NOT NULL")),
    "ix_lead_email": ("lead", ["org_id", "email_digest"], sa.text("email_digest IS NOT NULL")),
    "ix_lead_phone": ("lead", ["org_id", "phone_digest"], sa.text("phone_digest IS NOT NULL")),
    "ix_lead_undigested": ("lead", ["org_id", "id"], sa.text("NOT is_digested")),
    "ix_lead_entry_newest": ("lead_entry", ["org_id", "arrived_at", "vendor", "external_id"], None),
    "ix_lead_entry_form": (
        "lead_entry",
        ["org_id", "vendor", "form_external_id", "outcome", "is_test"],
        None,
    ),
    "ix_lead_entry_lead": ("lead_entry", ["org_id", "lead_id"], sa.text("lead_id <> ''")),
    "ix_inbox_double_key": ("inbox_double", ["org_id", "vendor", "key_digest"], None),
    "ix_inbox_double_at": ("inbox_double", ["at"], None),
}
# Leads that are here already have an entry, too: nobody noted how they were heard of.
_ENTRIES_OF_BEFORE = """
INSERT INTO lead_entry (org_id, vendor, external_id, channel_external_id, form_external_id, heard_by, outcome,
 arrived_at, submitted_at, stored_at, updated_at, mapping_version, tries, error, remedy, lead_id, "into",
 is_test, attribution, item_id)
SELECT org_id, vendor, external_id, channel_external_id, form_id, 'unknown', 'stored', created_at,
 submitted_at, created_at, created_at, 0, 0, '', '', id, '', false, '{}', '' FROM lead
"""


def upgrade() -> None:
    columns: tuple[sa.Column[Any], ...] = (
        *(sa.Column(name, sa.Text(), nullable=False, server_default="") for name in _TEXT),
        sa.Column("is_test", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("duplicate_of", sa.Text(), nullable=True),
        sa.Column("answers_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("mapping_version", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("edited", sa.Text(), nullable=False, server_default="[]"),
        sa.Column("updated_at", _MOMENT, nullable=True),
        sa.Column("email_digest", sa.LargeBinary(16), nullable=True),
        sa.Column("phone_digest", sa.LargeBinary(16), nullable=True),
        sa.Column("is_digested", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    for column in columns:
        op.add_column("lead", column)
    op.add_column("inbox", sa.Column("heard_by", sa.String(16), nullable=False, server_default="webhook"))
    _create_doubles()
    _create_entries()
    for name, (table, indexed, where) in _INDEXES.items():
        op.create_index(name, table, indexed, sqlite_where=where, postgresql_where=where)
    op.execute(_ENTRIES_OF_BEFORE)


def _create_doubles() -> None:
    op.create_table(
        "inbox_double",
        sa.Column("seq", _BIG_KEY, nullable=False),
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("vendor", sa.Text(), nullable=False),
        sa.Column("key_digest", sa.LargeBinary(16), nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("seq", name=op.f("pk_inbox_double")),
        sqlite_autoincrement=True,
    )


def _create_entries() -> None:
    op.create_table(
        "lead_entry",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("vendor", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("channel_external_id", sa.Text(), nullable=False),
        sa.Column("form_external_id", sa.Text(), nullable=False),
        sa.Column("heard_by", sa.String(16), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("arrived_at", _MOMENT, nullable=False),
        sa.Column("submitted_at", _MOMENT, nullable=True),
        sa.Column("fetched_at", _MOMENT, nullable=True),
        sa.Column("mapped_at", _MOMENT, nullable=True),
        sa.Column("stored_at", _MOMENT, nullable=True),
        sa.Column("updated_at", _MOMENT, nullable=False),
        sa.Column("mapping_version", sa.Integer(), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("remedy", sa.Text(), nullable=False),
        sa.Column("lead_id", sa.Text(), nullable=False),
        sa.Column("into", sa.Text(), nullable=False),
        sa.Column("is_test", sa.Boolean(), nullable=False),
        sa.Column("attribution", sa.Text(), nullable=False),
        sa.Column("item_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("org_id", "vendor", "external_id", name=op.f("pk_lead_entry")),
    )


def downgrade() -> None:
    for name, (table, _, _) in reversed(_INDEXES.items()):
        op.drop_index(name, table_name=table)
    for table in ("lead_entry", "inbox_double"):
        op.drop_table(table)
    with op.batch_alter_table("inbox") as inbox:
        inbox.drop_column("heard_by")
    with op.batch_alter_table("lead") as lead:
        for name in (
            "is_digested",
            "phone_digest",
            "email_digest",
            "updated_at",
            "edited",
            "mapping_version",
            "answers_sealed",
            "duplicate_of",
            "is_test",
            *_TEXT,
        ):
            lead.drop_column(name)
