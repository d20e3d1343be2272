"""When a vendor is asked what somebody is called: those without a name are found by it."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_AT_ONCE = sa.text("'1970-01-01 00:00:00.000000'")
_IS_NAMELESS = sa.text("name = '' AND handle = ''")


def upgrade() -> None:
    # The default stays: whoever is new is asked about at once, and what writes people does not know of it.
    op.add_column(
        "contact_identity",
        sa.Column("ask_at", sa.DateTime(timezone=True), nullable=False, server_default=_AT_ONCE),
    )
    op.create_index(
        "ix_contact_identity_nameless",
        "contact_identity",
        ["org_id", "vendor", "ask_at"],
        sqlite_where=_IS_NAMELESS,
        postgresql_where=_IS_NAMELESS,
    )


def downgrade() -> None:
    op.drop_index("ix_contact_identity_nameless", table_name="contact_identity")
    with op.batch_alter_table("contact_identity") as identity:
        identity.drop_column("ask_at")
