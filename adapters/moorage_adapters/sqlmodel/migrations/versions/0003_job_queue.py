"""The job queue of many machines: pgqueuer's tables in a schema of their own. Nothing on SQLite.

Row-level security stays off there: who looks for work looks for everybody's, and rows hold ids only.
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# Notifications per new row instead of per statement of any kind: a release or a repeated nudge wakes nobody,
# and does not queue for the lock that every commit with a notification takes.
_OURS = """
DROP TRIGGER tg_pgqueuer_changed ON jobs.pgqueuer;
CREATE TRIGGER tg_pgqueuer_changed AFTER INSERT ON jobs.pgqueuer
    FOR EACH ROW EXECUTE FUNCTION jobs.fn_pgqueuer_changed();
CREATE TABLE jobs.paused (queue text PRIMARY KEY, paused_at timestamptz NOT NULL DEFAULT now());
"""


def upgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name != "postgresql":
        return
    # Imported here: SQLite hosts need not load pgqueuer.
    from pgqueuer.adapters.persistence.qb import QueryBuilderEnvironment  # noqa: PLC0415

    from moorage_adapters.pgqueuer_line import queue_settings  # noqa: PLC0415

    install = QueryBuilderEnvironment(queue_settings())
    for script in (install.build_install_query(), install.build_optimize_autovacuum_query(), _OURS):
        for statement in _statements(script):
            connection.exec_driver_sql(statement)


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP SCHEMA jobs CASCADE")


def _statements(script: str) -> list[str]:
    """A script's statements; a driver that prepares takes one at a time. Function bodies stay whole."""
    parts = script.split("$$")
    for number in range(0, len(parts), 2):
        parts[number] = parts[number].replace(";", "\0")
    return [statement.strip() for statement in "$$".join(parts).split("\0") if statement.strip(" \n-")]
