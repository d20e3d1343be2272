"""Messages that only a history told of are kept apart from news: nobody has to look at them."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # All that is there came as news.
    op.add_column("message", sa.Column("is_history", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    with op.batch_alter_table("message") as message:
        message.drop_column("is_history")
