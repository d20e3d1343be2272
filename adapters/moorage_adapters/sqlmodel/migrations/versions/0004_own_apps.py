"""Apps that orgs bring, what they want of an integration, and how much they call."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "own_app",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("vendor", sa.Text(), nullable=False),
        sa.Column("app_id", sa.Text(), nullable=False),
        sa.Column("revision", sa.Text(), nullable=False),
        sa.Column("secret_since", sa.DateTime(timezone=True), nullable=False),
        sa.Column("previous_secret_until", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("org_id", "vendor", name=op.f("pk_own_app")),
        sa.UniqueConstraint("vendor", "app_id", name=op.f("uq_own_app_vendor_app_id")),
    )
    op.create_table(
        "call_count",
        sa.Column("org_id", sa.Text(), nullable=False),
        sa.Column("vendor", sa.Text(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("failed", sa.BigInteger(), nullable=False),
        sa.Column("milliseconds", sa.BigInteger(), nullable=False),
        sa.Column("last_used_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("org_id", "vendor", name=op.f("pk_call_count")),
    )
    # The rows that are there get the defaults; from then on the program says what goes in.
    op.add_column("integration", sa.Column("name", sa.Text(), nullable=False, server_default=""))
    op.add_column("integration", sa.Column("description", sa.Text(), nullable=False, server_default=""))
    op.add_column(
        "integration", sa.Column("require_ticket", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.add_column("integration", sa.Column("capabilities", sa.Text(), nullable=True))


def downgrade() -> None:
    for column in ("capabilities", "require_ticket", "description", "name"):
        op.drop_column("integration", column)
    op.drop_table("call_count")
    op.drop_table("own_app")
