"""When somebody who is signed in last gave their password: some acts ask for it again."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Sessions that are open have none: they are asked at their next such act.
    op.add_column("session", sa.Column("proved_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("session") as session:
        session.drop_column("proved_at")
