"""Backfills and test leads that were ordered, and what each form's leads add up to."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)
_RUNNING = sa.text("state = 'running'")


def upgrade() -> None:
    op.create_table(
        "lead_backfill",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        *_form(),
        sa.Column("since", _MOMENT, nullable=True),
        sa.Column("until", _MOMENT, nullable=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("cursor", sa.Text(), nullable=True),
        sa.Column("fetched", sa.BigInteger(), nullable=False),
        sa.Column("known", sa.BigInteger(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("remedy", sa.Text(), nullable=False),
        sa.Column("retry_at", _MOMENT, nullable=True),
        sa.Column("ordered_at", _MOMENT, nullable=False),
        sa.Column("finished_at", _MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_lead_backfill")),
    )
    op.create_index(
        "ix_lead_backfill_form", "lead_backfill", ["org_id", "vendor", "form_external_id", "ordered_at"]
    )
    op.create_index(
        "ix_lead_backfill_running",
        "lead_backfill",
        ["org_id", "id"],
        sqlite_where=_RUNNING,
        postgresql_where=_RUNNING,
    )
    op.create_table(
        "lead_test",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        *_form(),
        sa.Column("lead_external_id", sa.Text(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("remedy", sa.Text(), nullable=False),
        sa.Column("ordered_at", _MOMENT, nullable=False),
        sa.Column("created_at", _MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_lead_test")),
    )
    op.create_index("ix_lead_test_external_id", "lead_test", ["org_id", "vendor", "lead_external_id"])
    op.create_table(
        "form_check",
        sa.Column("org_id", sa.Text(), nullable=False),
        *_form(),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("theirs", sa.BigInteger(), nullable=True),
        sa.Column("expired", sa.BigInteger(), nullable=False),
        sa.Column("ours", sa.BigInteger(), nullable=False),
        sa.Column("before", sa.BigInteger(), nullable=True),
        sa.Column("gap", sa.BigInteger(), nullable=False),
        sa.Column("gap_since", _MOMENT, nullable=True),
        sa.Column("reread_at", _MOMENT, nullable=True),
        sa.Column("alarmed_at", _MOMENT, nullable=True),
        sa.Column("listens_since", _MOMENT, nullable=True),
        sa.Column("first_at", _MOMENT, nullable=False),
        sa.Column("checked_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint(
            "org_id", "vendor", "channel_external_id", "form_external_id", name=op.f("pk_form_check")
        ),
    )


def _form() -> tuple["sa.Column[str]", ...]:
    names = ("vendor", "channel_external_id", "form_external_id")
    return tuple(sa.Column(name, sa.Text(), nullable=False) for name in names)


def downgrade() -> None:
    op.drop_table("form_check")
    op.drop_index("ix_lead_test_external_id", table_name="lead_test")
    op.drop_table("lead_test")
    op.drop_index("ix_lead_backfill_running", table_name="lead_backfill")
    op.drop_index("ix_lead_backfill_form", table_name="lead_backfill")
    op.drop_table("lead_backfill")
