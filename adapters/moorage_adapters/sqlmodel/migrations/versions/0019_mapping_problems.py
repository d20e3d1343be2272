"""What mapping a lead had trouble with stands with its entry in the ledger, and is counted by form."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

_BY_FORM = ["org_id", "vendor", "form_external_id", "outcome", "is_test"]


def upgrade() -> None:
    # The rows that are there get the defaults; from then on the program says what goes in.
    op.add_column("lead_entry", sa.Column("problems", sa.Text(), nullable=False, server_default="{}"))
    op.add_column(
        "lead_entry", sa.Column("has_problems", sa.Boolean(), nullable=False, server_default=sa.false())
    )
    op.drop_index("ix_lead_entry_form", table_name="lead_entry")
    op.create_index("ix_lead_entry_form", "lead_entry", [*_BY_FORM, "has_problems"])


def downgrade() -> None:
    op.drop_index("ix_lead_entry_form", table_name="lead_entry")
    op.create_index("ix_lead_entry_form", "lead_entry", _BY_FORM)
    op.drop_column("lead_entry", "has_problems")
    op.drop_column("lead_entry", "problems")
