"""How far each form's leads are known; and an index on what was given up, which people replay from."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_DEAD = sa.text("state = 'dead'")


def upgrade() -> None:
    op.create_table(
        "lead_checkpoint",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("vendor", sa.Text(), nullable=False),
        sa.Column("channel_external_id", sa.Text(), nullable=False),
        sa.Column("form_external_id", sa.Text(), nullable=False),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cursor", sa.Text(), nullable=True),
        sa.Column("began_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint(
            "org_id",
            "vendor",
            "channel_external_id",
            "form_external_id",
            name=op.f("pk_lead_checkpoint"),
        ),
    )
    op.create_index("ix_inbox_dead", "inbox", ["org_id", "seq"], sqlite_where=_DEAD, postgresql_where=_DEAD)


def downgrade() -> None:
    op.drop_index("ix_inbox_dead", "inbox")
    op.drop_table("lead_checkpoint")
