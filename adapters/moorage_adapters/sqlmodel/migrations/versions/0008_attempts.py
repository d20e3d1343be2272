"""What was sent from here: which attempt a message came of."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_INDEXES = {
    "ix_message_attempt": (sa.text("attempt_id <> ''"), ["org_id", "attempt_id"]),
    "ix_message_attempted": (sa.text("external_id = ''"), ["org_id", "conversation_id"]),
}


def upgrade() -> None:
    op.add_column("message", sa.Column("attempt_id", sa.Text(), nullable=False, server_default=""))
    for name, (where, columns) in _INDEXES.items():
        op.create_index(op.f(name), "message", columns, sqlite_where=where, postgresql_where=where)


def downgrade() -> None:
    for name in _INDEXES:
        op.drop_index(op.f(name), table_name="message")
    with op.batch_alter_table("message") as message:
        message.drop_column("attempt_id")
