"""What an org keeps for how long, and who asked to be forgotten."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)
_INDEXES = {
    "ix_erasure_newest": ("erasure", ["org_id", "at", "id"], None),
    "ix_deletion_request_pending": ("deletion_request", ["received_at"], sa.text("state = 'pending'")),
    "ix_deletion_request_done": ("deletion_request", ["done_at"], sa.text("state = 'done'")),
}
# Leads go after 90 days from now on. Whoever collected some when they stayed for ever has not been asked:
# those orgs keep theirs until they say otherwise.
_KEEP_FOR_THOSE_BEFORE = """
INSERT INTO retention (org_id, lead_days, person_days, delivery_days, waiting_days, changed_by, removed_json)
SELECT DISTINCT org_id, CAST(NULL AS integer), CAST(NULL AS integer), 7, 90, 'upgrade', '{}' FROM lead
"""


def upgrade() -> None:
    op.create_table(
        "retention",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("lead_days", sa.Integer(), nullable=True),
        sa.Column("person_days", sa.Integer(), nullable=True),
        sa.Column("delivery_days", sa.Integer(), nullable=False),
        sa.Column("waiting_days", sa.Integer(), nullable=False),
        sa.Column("changed_at", _MOMENT, nullable=True),
        sa.Column("changed_by", sa.Text(), nullable=False),
        sa.Column("checked_at", _MOMENT, nullable=True),
        sa.Column("removed_json", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("org_id", name=op.f("pk_retention")),
    )
    op.create_table(
        "erased_mark",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("key_digest", sa.LargeBinary(16), nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("org_id", "key_digest", name=op.f("pk_erased_mark")),
    )
    op.create_table(
        "erasure",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("at", _MOMENT, nullable=False),
        sa.Column("cause", sa.String(16), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("removed_json", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_erasure")),
    )
    op.create_table(
        "deletion_request",
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("vendor", sa.Text(), nullable=False),
        sa.Column("app_id", sa.Text(), nullable=False),
        sa.Column("app_org_id", sa.Text(), nullable=False),
        sa.Column("subject_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("issued_at", _MOMENT, nullable=False),
        sa.Column("received_at", _MOMENT, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("done_at", _MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("code", name=op.f("pk_deletion_request")),
    )
    for name, (table, columns, where) in _INDEXES.items():
        op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)
    op.add_column("grant_record", sa.Column("renewed_at", _MOMENT, nullable=True))
    op.execute(_KEEP_FOR_THOSE_BEFORE)


def downgrade() -> None:
    with op.batch_alter_table("grant_record") as grants:
        grants.drop_column("renewed_at")
    for name, (table, _, _) in reversed(_INDEXES.items()):
        op.drop_index(name, table_name=table)
    for table in ("deletion_request", "erasure", "erased_mark", "retention"):
        op.drop_table(table)
