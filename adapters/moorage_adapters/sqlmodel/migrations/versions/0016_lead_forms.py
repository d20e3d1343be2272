"""Forms as they were last read at their vendor."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_KEY = ("org_id", "vendor", "channel_external_id", "form_external_id")


def upgrade() -> None:
    op.create_table(
        "lead_form",
        *(sa.Column(name, sa.Text(), nullable=False) for name in _KEY),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("name", "status", "locale")),
        sa.Column("questions_json", sa.Text(), nullable=False),
        sa.Column("consents_json", sa.Text(), nullable=False),
        sa.Column("counts_json", sa.Text(), nullable=True),
        sa.Column("read_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint(*_KEY, name=op.f("pk_lead_form")),
    )
    op.create_index("ix_lead_form_form", "lead_form", ["org_id", "vendor", "form_external_id"])


def downgrade() -> None:
    op.drop_index("ix_lead_form_form", table_name="lead_form")
    op.drop_table("lead_form")
