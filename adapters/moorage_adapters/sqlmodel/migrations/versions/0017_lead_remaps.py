"""Past leads that are to be mapped anew, and how far that is."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)
_RUNNING = sa.text("state = 'running'")


def upgrade() -> None:
    op.create_table(
        "lead_remap",
        *(
            sa.Column(name, sa.Text(), nullable=False)
            for name in ("org_id", "id", "vendor", "form_external_id")
        ),
        sa.Column("since", _MOMENT, nullable=True),
        sa.Column("dry_run", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("last_lead_id", sa.Text(), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("total", "seen", "changed")),
        sa.Column("without_answers", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("error", "remedy", "ordered_by")),
        sa.Column("ordered_at", _MOMENT, nullable=False),
        sa.Column("finished_at", _MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("org_id", "id", name=op.f("pk_lead_remap")),
    )
    op.create_index(
        "ix_lead_remap_form", "lead_remap", ["org_id", "vendor", "form_external_id", "ordered_at"]
    )
    op.create_index(
        "ix_lead_remap_running",
        "lead_remap",
        ["org_id", "id"],
        sqlite_where=_RUNNING,
        postgresql_where=_RUNNING,
    )


def downgrade() -> None:
    op.drop_index("ix_lead_remap_running", table_name="lead_remap")
    op.drop_index("ix_lead_remap_form", table_name="lead_remap")
    op.drop_table("lead_remap")
