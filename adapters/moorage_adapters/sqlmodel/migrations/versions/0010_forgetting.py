"""When a settled inbox row has something to be forgotten, and whether its key stays for ever."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_IS_TO_FORGET = sa.text("forget_at IS NOT NULL")
# Nobody noted which of these announced leads: their bodies go at the next hour, their keys stay.
_DONE_BEFORE = "UPDATE inbox SET forget_at = settled_at, is_lasting = true WHERE state = 'done'"
# What was given up stays for its 90 days, for somebody to find out why.
_GIVEN_UP_BEFORE = "UPDATE inbox SET forget_at = {} WHERE state = 'dead'"
_IN_90_DAYS = {
    "postgresql": "settled_at + interval '90 days'",
    "sqlite": "datetime(settled_at, '+90 days') || '.000000'",
}


def upgrade() -> None:
    op.add_column("inbox", sa.Column("forget_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("inbox", sa.Column("is_lasting", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.execute(_DONE_BEFORE)
    op.execute(_GIVEN_UP_BEFORE.format(_IN_90_DAYS[op.get_bind().dialect.name]))
    op.create_index(
        "ix_inbox_forget",
        "inbox",
        ["forget_at"],
        sqlite_where=_IS_TO_FORGET,
        postgresql_where=_IS_TO_FORGET,
    )


def downgrade() -> None:
    op.drop_index("ix_inbox_forget", table_name="inbox")
    with op.batch_alter_table("inbox") as inbox:
        inbox.drop_column("is_lasting")
        inbox.drop_column("forget_at")
