"""Entries of the ledger are found by the kept change that tells of them."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_HAS_ONE = sa.text("item_id <> ''")


def upgrade() -> None:
    op.create_index(
        "ix_lead_entry_item",
        "lead_entry",
        ["org_id", "item_id"],
        sqlite_where=_HAS_ONE,
        postgresql_where=_HAS_ONE,
    )


def downgrade() -> None:
    op.drop_index("ix_lead_entry_item", table_name="lead_entry")
